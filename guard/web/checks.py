"""One finding as the templates show it: its answer, and the numbers that it rests on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from guard.core.evidence.statistics import wilson
from guard.core.findings import Verdict
from guard.core.quantities import count, duration, e_value, percent
from guard.core.verdicts import E_TOO_HIGH_TO_PROMOTE
from guard.web import words
from guard.web.figures import Bar, Whisker, log_bar, scale, whisker
from guard.web.words import Words

if TYPE_CHECKING:
    from collections.abc import Mapping

    Numbers = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Side:
    """What one revision's requests came to; `figure` None before the first one."""

    name: str
    bad: str
    total: str
    ratio: str
    interval: str
    figure: Whisker | None


@dataclass(frozen=True, slots=True)
class Weight:
    """One log-scaled measure of evidence with its goal."""

    value: str
    goal: str
    bar: Bar
    reached: bool


@dataclass(frozen=True, slots=True)
class Counted:
    """The numbers of a counted check.

    Attributes:
        bound_at: where the bound stands on the sides' scale, in percent of its width.
        against: E against what decides; `good`: M′ against what promotes.
        missing: how many requests are missing until it is good enough, in words.
    """

    bound: str
    bound_at: float
    sides: tuple[Side, ...]
    against: Weight
    good: Weight
    missing: str


@dataclass(frozen=True, slots=True)
class Check:
    """One check's answer.

    Attributes:
        question: what it asks, in words.
        why: what the answer rests on, (label, text) each.
        otherwise: what would have decided otherwise; empty where nothing is known to.
    """

    name: str
    kind: str
    answer: Words
    reason: str
    text: str
    hold: bool
    query: str
    counted: Counted | None
    numbers: tuple[tuple[str, str], ...]
    question: str = ""
    why: tuple[tuple[str, str], ...] = ()
    otherwise: str = ""


def check(finding: Mapping[str, Any]) -> Check:
    """Read one finding."""
    numbers: Numbers = finding["numbers"]
    kind = words.KINDS.get(finding["kind"], finding["kind"])
    # A guard before this one, asked by `guard explain --server`, explained nothing.
    explained = finding.get("explanation") or {}
    return Check(
        name=finding["check"],
        kind=kind if kind != finding["check"] else "",
        answer=words.VERDICTS[Verdict(finding["answer"])],
        reason=finding["reason"].replace("_", " "),
        text=finding["text"],
        hold=finding["hold"],
        query=finding["query"],
        counted=_counted(numbers) if finding["counted"] and "total" in numbers else None,
        numbers=tuple((name, f"{value:.6g}") for name, value in numbers.items()),
        question=explained.get("question", ""),
        why=tuple((line["label"], line["text"]) for line in explained.get("lines", ())),
        otherwise=explained.get("otherwise", ""),
    )


def _counted(numbers: Numbers) -> Counted:
    bound = numbers.get("p0", 0.0)
    pairs = [
        ("Candidate", numbers["bad"], numbers["total"]),
        ("Stable", numbers.get("stable_bad", 0.0), numbers.get("stable_total", 0.0)),
    ]
    highs = tuple(wilson(bad, total)[1] for _, bad, total in pairs if total > 0)
    end = scale(bound, highs)
    return Counted(
        bound=percent(bound),
        bound_at=round(100.0 * bound / end, 2),
        sides=tuple(_side(*pair, end) for pair in pairs),
        against=_against(numbers),
        good=_good(numbers),
        missing=_missing(numbers),
    )


def _side(name: str, bad: float, total: float, end: float) -> Side:
    if total <= 0:
        return Side(name, bad="0", total="0", ratio="", interval="", figure=None)
    low, high = wilson(bad, total)
    return Side(
        name=name,
        bad=count(bad),
        total=count(total),
        ratio=percent(bad / total),
        interval=f"{percent(low)} to {percent(high)}",
        figure=whisker(bad / total, (low, high), end),
    )


def _against(numbers: Numbers) -> Weight:
    """E; where several counted checks share α, the mean of their E decides beside it."""
    decides = max(numbers.get("bound", 100.0), 2.0)
    log_e = numbers.get("log_e", 0.0)
    return Weight(
        value=e_value(log_e),
        goal=count(decides),
        bar=log_bar(log_e, math.log(decides), (1.0, E_TOO_HIGH_TO_PROMOTE, decides)),
        reached=log_e >= math.log(decides),
    )


def _good(numbers: Numbers) -> Weight:
    """M′ of both looks, over all requests and over the newest: the lesser one promotes."""
    goal = max(numbers.get("log_bound_d", math.log(20.0)), math.log(2.0))
    log_m = min(numbers.get("log_m_d", 0.0), numbers.get("log_m_d_recent", 0.0))
    return Weight(
        value=e_value(log_m),
        goal=count(math.exp(goal)),
        bar=log_bar(log_m, goal, (1.0, math.exp(goal))),
        reached=log_m >= goal,
    )


def _missing(numbers: Numbers) -> str:
    missing = numbers.get("missing", -1.0)
    if missing < 0:
        return "never at this ratio"
    if missing == 0:
        return "none"
    seconds = numbers.get("missing_seconds", -1.0)
    when = f", {duration(seconds)} at this rate" if seconds >= 0 else ""
    return f"{count(missing)}{when}"
