"""The buckets of classic histograms: which one is the threshold's, and what to say without it.

The law of this module: a threshold is the bound of a bucket, or nothing is counted. Bounds are
compared as numbers, for libraries write `1`, `1.0` and `1e0` alike.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from guard.core.policy import Latency
from guard.core.samples import NoData, NoDataReason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from guard.core.policy import Selector, Sli

LABEL: Final = "le"
_CLOSE: Final = 1e-9
"""Relative difference up to which two bounds are the same number: decimals in binary."""


def bound_of(sli: Sli, selector: Selector) -> float | None:
    """The bound to be found among a selector's series; None where they are no buckets."""
    if isinstance(sli, Latency) and selector.metric == sli.buckets.metric:
        return sli.bound
    return None


def is_bound(labels: Mapping[str, str], bound: float) -> bool:
    """Whether a series is the bucket of this bound."""
    found = _number(labels.get(LABEL, ""))
    return found is not None and math.isclose(found, bound, rel_tol=_CLOSE)


def bounds(buckets: Iterable[Mapping[str, str]]) -> list[float]:
    """The different bounds of some buckets, in their order."""
    numbers = (_number(labels.get(LABEL, "")) for labels in buckets)
    return sorted({number for number in numbers if number is not None})


def missing(sli: Latency, known: Sequence[float] = ()) -> NoData:
    """Why slow requests cannot be counted, with the neighbouring bounds where they are known."""
    histogram = sli.histogram.metric
    if sli.bound in known:
        words = f"some series of {histogram} have no bucket le={sli.bound:g}, others have"
        return NoData(NoDataReason.NO_BUCKET, words)
    words = f"{histogram} has no bucket le={sli.bound:g}"
    if known:
        words += f"; the neighbouring bounds are {neighbours(sli.bound, known)}"
    else:
        words += " (a summary and a native histogram have none at all, and are not supported)"
    return NoData(NoDataReason.NO_BUCKET, words)


def neighbours(bound: float, known: Sequence[float]) -> str:
    """The greatest bound below and the least one above, in words."""
    below = [f"{one:g}" for one in known if one < bound][-1:]
    above = ["+Inf" if math.isinf(one) else f"{one:g}" for one in known if one > bound][:1]
    return " and ".join((*below, *above))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
