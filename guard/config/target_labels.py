"""Target labels that would make errors of all requests, judged as the document stands.

A pod's own page lacks the labels that Prometheus adds, so the guard drops matchers on them there.
A label that tells errors apart must not be one: without its matcher every request is bad.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from guard.config import presets, selectors
from guard.config.codes import Code
from guard.config.problems import Path, Problem, Rejected, place, show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guard.config.documents import Document
    from guard.core.policy import Selector

_OF_SERIES: Final = {"__name__": "a metric's name", "le": "the bound of a bucket"}


def broken(document: Document) -> Iterator[Problem]:
    """Target labels that cannot be a target's, and those that are named twice."""
    telling = _telling(document)
    first: dict[str, Path] = {}
    for path, label in document.items("target_labels"):
        if not isinstance(label, str):
            continue
        words = _wrong(label, telling, first.get(label))
        if words:
            yield document.problem(path, Code.LABEL_INVALID, words)
        first.setdefault(label, path)


def _wrong(
    label: str, telling: dict[str, Path], before: Path | None
) -> tuple[str, str, str] | None:
    expected = "labels that Prometheus adds to a target"
    if before is not None:
        found = f"{show(label)} again (first at {place(before)})"
        return found, "each label once", "remove one"
    if label in _OF_SERIES:
        return f"{show(label)}, which is {_OF_SERIES[label]}", expected, "remove it"
    if label in telling:
        found = f"{show(label)}, by which {place(telling[label])} tells errors from other requests"
        return found, expected, "remove it: on a scrape every request would be an error"
    return None


def _telling(document: Document) -> dict[str, Path]:
    """Each label that an objective's `bad` has a matcher on and its `total` lacks, and where."""
    found: dict[str, Path] = {}
    for path, item in document.items("objectives"):
        for where, bad, total in _pairs(item):
            for matcher in selectors.narrowing(bad):
                if matcher not in total.matchers:
                    found.setdefault(matcher.label, (*path, "sli", *where))
    return found


def _pairs(item: object) -> Iterator[tuple[Path, Selector, Selector]]:
    """What an objective counts: its place below `sli`, bad and total; nothing if it is wrong."""
    sli = _get(item, "sli")
    ratio = _get(sli, "ratio")
    try:
        if isinstance(ratio, dict):
            bad, total = (selectors.selector(ratio.get(key)) for key in ("bad", "total"))
            yield ("ratio", "bad"), bad, total
        elif isinstance(_get(sli, "preset"), str):
            indicator = presets.preset(_get(sli, "preset")).indicator
            yield ("preset",), indicator.bad, indicator.total
    except Rejected:
        return


def _get(value: object, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None
