"""One indicator asked of one page: which series are selected, whose requests they count, the sums.

What a block of labels means is worked out when it is first seen: a pod is asked twice a second,
and its series hardly change.
"""

from __future__ import annotations

from functools import lru_cache
from math import fsum
from typing import TYPE_CHECKING, Final, NamedTuple

from guard.core.policy import Latency
from guard.core.samples import NoData, NoDataReason, Reading, Unavailable, UnavailableReason
from guard.sources import buckets, paths
from guard.sources.exposition import Malformed
from guard.sources.matching import compiled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guard.core.policy import Selector, Sli
    from guard.core.samples import CounterSample
    from guard.sources.exposition import Series
    from guard.sources.pages import Page

SOURCE: Final = "scrape"
_MEANINGS_AT_MOST: Final = 20_000


class _Meaning(NamedTuple):
    """What a block of labels says: the labels' names, whether it is selected, and its path."""

    names: frozenset[str]
    selected: bool
    path: str | None


class _Selected(NamedTuple):
    """What a selector selects on one page.

    Attributes:
        exposed: the metric has some series, selected or not.
        users: the selected series that machines do not ask for.
        paths: those of all selected series.
    """

    exposed: bool
    users: list[Series]
    paths: frozenset[str | None]


class _Asked:
    """One selector, asked again and again."""

    def __init__(self, selector: Selector, sli: Sli, machines: frozenset[str]) -> None:
        self.metric = selector.metric
        self._match = compiled(selector, sli.target_labels)
        self._bound = buckets.bound_of(sli, selector)
        self._machines = machines
        self._meanings: dict[bytes, _Meaning] = {}

    def select(self, page: Page) -> _Selected | NoData:
        """What is selected; NO_LABEL where the selector asks for a label that no series has."""
        series = page.series(self.metric)
        users: list[Series] = []
        found: set[str | None] = set()
        labels: set[frozenset[str]] = set()
        for one in series:
            names, selected, path = self._meanings.get(one.block) or self._work_out(one)
            labels.add(names)
            if selected:
                found.add(path)
                if path not in self._machines:
                    users.append(one)
        unknown = self._match.unknown_label(labels) if series else None
        return unknown or _Selected(bool(series), users, frozenset(found))

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Whether a series with these exposed labels is selected."""
        fits = self._bound is None or buckets.is_bound(labels, self._bound)
        return fits and self._match(labels)

    def bounds(self, page: Page) -> list[float]:
        """The bounds of the buckets that the selector selects but for their bounds."""
        return buckets.bounds(
            one.labels for one in page.series(self.metric) if self._match(one.labels)
        )

    def _work_out(self, one: Series) -> _Meaning:
        if len(self._meanings) >= _MEANINGS_AT_MOST:
            self._meanings.clear()
        labels = one.labels
        meaning = _Meaning(frozenset(labels), self.selects(labels), paths.path_of(labels))
        self._meanings[one.block] = meaning
        return meaning


class Question:
    """One indicator, asked of pods whose machines ask for the same paths."""

    def __init__(self, sli: Sli, machines: frozenset[str]) -> None:
        """Nothing is known yet of any label.

        Args:
            sli: the indicator.
            machines: the paths that machines ask for (`paths.machine_paths`).
        """
        self._sli = sli
        self._machines = machines
        total, told_by = sli.selectors
        self._total = _Asked(total, sli, machines)
        self._bad = _Asked(told_by, sli, machines)

    def answer(self, page: Page) -> CounterSample:
        """What one page says, machines' rates not yet set off.

        Returns:
            The reading; NO_SERIES, NO_LABEL or NO_BUCKET where the selectors find nothing;
            MALFORMED.
        """
        try:
            total, bad = self._total.select(page), self._bad.select(page)
            start = page.exposition.process_start()
        except Malformed as error:
            return Unavailable(UnavailableReason.MALFORMED, str(error))
        if isinstance(total, NoData):
            return total
        if not total.exposed:
            return NoData(NoDataReason.NO_SERIES, f"{self._total.metric} is not exposed")
        if isinstance(bad, NoData):
            return bad
        if not total.paths:
            words = f"no exposed series matches {self._sli.total.text}"
            return NoData(NoDataReason.NO_SERIES, words)
        counted: float | None = _sum(bad.users) if bad.paths else None
        if isinstance(self._sli, Latency):
            if counted is None or len(bad.users) != len(total.users):
                return buckets.missing(self._sli, self._bad.bounds(page))
            counted = _sum(total.users) - counted
        return Reading(
            total=_sum(total.users),
            bad=counted,
            at=_exposed_at(total.users) or page.at,
            source=SOURCE,
            process_start=start,
            paths_known=paths.known_paths(total.paths, self._machines),
        )


@lru_cache(maxsize=256)
def ask(sli: Sli, machines: frozenset[str]) -> Question:
    """The question about one indicator, with all that is known already of its labels."""
    return Question(sli, machines)


def _sum(series: list[Series]) -> float:
    return fsum(one.value for one in series)


def _exposed_at(series: list[Series]) -> float | None:
    """The newest exposed time; None where any series goes without: it is then of now."""
    times = [one.at for one in series if one.at is not None]
    return max(times) if times and len(times) == len(series) else None
