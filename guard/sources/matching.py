"""A team's bare selectors against series as a pod itself exposes them.

The law of this module: the same text selects the same series as in Prometheus, although the labels
of the target are not there yet: they count as satisfied by the pod's identity.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from guard.config import regexes
from guard.core.policy import Matcher, MatchOp, Selector
from guard.core.samples import NoData, NoDataReason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TARGET_LABELS: Final = frozenset(
    {"job", "instance", "namespace", "pod", "container", "endpoint", "service", "node"}
)
"""Labels that Prometheus or its operator add to a target (`Ratio.target_labels` adds others)."""
EXPORTED: Final = "exported_"
"""What Prometheus puts before an exposed label that a target's label hides."""

_Labels = frozenset[str]


@dataclass(frozen=True, slots=True)
class _Test:
    """One matcher, ready for exposed labels. A label that is absent reads as empty."""

    label: str
    negative: bool
    value: str
    pattern: Any

    def __call__(self, labels: Mapping[str, str]) -> bool:
        found = labels.get(self.label, "")
        if self.pattern is None:
            return (found == self.value) is not self.negative
        return (self.pattern.fullmatch(found) is not None) is not self.negative

    @property
    def about_absence(self) -> bool:
        """Whether the matcher itself says that the label may be absent, as `code=""` does.

        `code!="200"` does not: without the label it would select every series.
        """
        return not self.negative and self({})


@dataclass(frozen=True, slots=True)
class Match:
    """A selector's matchers, those of target labels left out."""

    selector: Selector
    tests: tuple[_Test, ...]

    def __call__(self, labels: Mapping[str, str]) -> bool:
        """Whether a series of the selector's metric with these exposed labels is selected."""
        return all(test(labels) for test in self.tests)

    def unknown_label(self, exposed: Iterable[Iterable[str]]) -> NoData | None:
        """Name a label that the selector asks for and no exposed series of the metric has.

        Args:
            exposed: the labels of every exposed series of the metric, or their names; at least
                one.

        Returns:
            NO_LABEL with the names; None where every label is known.
        """
        known: set[str] = set()
        known.update(*exposed)
        wanted = {test.label for test in self.tests if not test.about_absence}
        unknown = sorted(wanted - known)
        if not unknown:
            return None
        has = ", ".join(sorted(known)) or "no label at all"
        detail = f"no series of {self.selector.metric} has the label {', '.join(unknown)}"
        return NoData(NoDataReason.NO_LABEL, f"{detail}; there is {has}")


@lru_cache(maxsize=1024)
def compiled(selector: Selector, target_labels: _Labels = frozenset()) -> Match:
    """A selector ready to be matched against what a pod exposes.

    Args:
        selector: a bare selector.
        target_labels: `Ratio.target_labels`: what this team's Prometheus adds to a target.
    """
    hidden = TARGET_LABELS | target_labels
    tests = (_test(m, hidden) for m in selector.matchers if m.label not in hidden)
    return Match(selector, tuple(tests))


def _test(matcher: Matcher, hidden: _Labels) -> _Test:
    label = matcher.label
    bare = label.removeprefix(EXPORTED)
    if bare in hidden:
        label = bare
    pattern = None
    if matcher.op in {MatchOp.REGEX, MatchOp.NOT_REGEX}:
        pattern = regexes.compiled(matcher.value)
    negative = matcher.op in {MatchOp.NOT_EQUAL, MatchOp.NOT_REGEX}
    return _Test(label, negative, matcher.value, pattern)
