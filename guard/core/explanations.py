"""Explanations: a finding for someone who must know why, and cannot ask the guard.

The question in words, then what the answer rests on, line by line, and after a FAIL what would
have decided otherwise, where that is so. A pure function of the finding and its policy, so that
the record, the page and `guard explain` say the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from guard.core.findings import Finding, Reason, Verdict
from guard.core.policy import Health, Policy, Promql
from guard.core.quantities import percent
from guard.core.weights import COUNTS, Line, counted_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from guard.core.policy import Check

    Numbers = Mapping[str, float]

SETTLE_AT_MOST = 60.0
"""Seconds: errors of older pods are no matter of settling."""
NO_PROBABILITY = "a rule: it states no error probability"


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a check answers as it does.

    Attributes:
        question: what the check asks, in words.
        lines: what the answer rests on.
        otherwise: what would have decided otherwise; empty where nothing is known to.
    """

    question: str
    lines: tuple[Line, ...]
    otherwise: str = ""


def explain(finding: Finding, policy: Policy) -> Explanation:
    """Explain one finding of a rollout that was judged by this policy."""
    check = next((one for one in policy.checks if one.name == finding.check), None)
    finite = {name: value for name, value in finding.numbers.items() if math.isfinite(value)}
    finding = replace(finding, numbers=finite)
    return Explanation(
        question=_question(finding, check),
        lines=_lines(finding, policy, check),
        otherwise=_otherwise(finding, check) if finding.answer is Verdict.FAIL else "",
    )


# The question.


def _question(finding: Finding, check: Check | None) -> str:
    asked = _QUESTIONS.get(finding.kind)
    return asked(finding.numbers, check) if asked else f"What does {finding.check} say?"


def _errors(numbers: Numbers, _check: Check | None) -> str:
    if numbers.get("whole_service", 0.0) > 0.0:
        return (
            f"Do more than {percent(numbers.get('p0', 0.0))} of the whole service's requests fail, "
            "by its proxy's count, since all pods are the release's?"
        )
    asked = f"Do more than {percent(numbers.get('p0', 0.0))} of the candidate's requests fail"
    beside = numbers.get("compared", 0.0) > 0.0
    return f"{asked}, and more of them than of the stable revision's?" if beside else f"{asked}?"


def _slow(numbers: Numbers, _check: Check | None) -> str:
    asked = f"Are more than {percent(numbers.get('p0', 0.0))} of the candidate's requests too slow"
    beside = numbers.get("compared", 0.0) > 0.0
    return f"{asked}, and more of them than of the stable revision's?" if beside else f"{asked}?"


def _worse(_numbers: Numbers, check: Check | None) -> str:
    factor = getattr(check, "factor", None)
    worse = f"more than {factor:g} times as bad as" if factor else "worse than"
    return f"Is the candidate {worse} the stable revision beside it?"


def _health(_numbers: Numbers, check: Check | None) -> str:
    expect = check.expect if isinstance(check, Health) else 200
    return f"Does the health endpoint of every candidate pod answer {expect}?"


def _pods(_numbers: Numbers, _check: Check | None) -> str:
    return "Does the platform report trouble with the candidate's pods?"


def _promql(_numbers: Numbers, check: Check | None) -> str:
    if not isinstance(check, Promql):
        return "Does the expression stay inside its bound?"
    if check.above is not None:
        return f"Is the expression above {check.above:g}?"
    return f"Is the expression below {check.below:g}?"


def _alerts(_numbers: Numbers, _check: Check | None) -> str:
    return "Does an alert fire that did not fire before the release?"


_QUESTIONS: dict[str, Callable[[Numbers, Check | None], str]] = {
    "error_ratio": _errors,
    "slow_ratio": _slow,
    "worse_than_stable": _worse,
    "health": _health,
    "pods": _pods,
    "promql": _promql,
    "alerts": _alerts,
}


# What it rests on.


def _lines(finding: Finding, policy: Policy, check: Check | None) -> tuple[Line, ...]:
    if finding.counted and finding.numbers.keys() >= COUNTS:
        stated = getattr(check, "allowance", None) is not None
        return counted_lines(finding, policy, stated=stated)
    lines = [Line("Test", _rule(check))]
    if isinstance(check, Promql):
        lines.append(Line("Expression", check.expr))
    return tuple(lines)


def _rule(check: Check | None) -> str:
    failures = getattr(check, "failures", None)
    every = getattr(check, "every", None)
    if failures is None or every is None:
        return NO_PROBABILITY
    return f"{failures} bad answers in a row fail, one every {every:g} s; {NO_PROBABILITY}"


# What would have decided otherwise.


def _otherwise(finding: Finding, check: Check | None) -> str:
    if finding.counted:
        return _by_settle(finding.numbers, slow=finding.kind == "slow_ratio")
    if finding.reason is Reason.NOT_READY_IN_TIME:
        return "a longer `ready_within` would have waited longer"
    if finding.reason in (Reason.UNHEALTHY, Reason.BEYOND_BOUND):
        failures = getattr(check, "failures", None)
        return f"`failures: {failures + 1}` would have asked once more" if failures else ""
    return ""


def _by_settle(numbers: Numbers, *, slow: bool) -> str:
    """Errors of fresh pods alone, which `settle` leaves out."""
    bad, age = numbers.get("bad", 0.0), numbers.get("bad_age", 0.0)
    if bad <= 0 or not 0.0 < age < SETTLE_AT_MOST:
        return ""
    settle = math.floor(age) + 1
    first = f"the first {math.ceil(age)} s of a pod's life"
    what = "slow request" if slow else "error"
    said = f"all {bad:.0f} {what}s came" if bad > 1 else f"the only {what} came"
    text = f"{said} in {first}: `settle: {settle}s` would have left them out"
    if numbers.get("age", 0.0) < settle:
        text += ", and waited: no pod had served for longer by then"
    return text
