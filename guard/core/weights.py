"""The lines that explain a counted check: both sides' counts, the tests, and what is missing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guard.core.evidence.mixtures import terms_a
from guard.core.evidence.statistics import wilson
from guard.core.findings import Verdict
from guard.core.quantities import count, duration, e_value, percent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guard.core.findings import Finding
    from guard.core.policy import Policy

    Numbers = Mapping[str, float]

COUNTS = frozenset({"bad", "total", "p0", "k", "bound", "log_e"})
"""Numbers without which there is nothing to explain."""
DONE = (Verdict.PASS, Verdict.FAIL)


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that an answer rests on."""

    label: str
    text: str


def counted_lines(finding: Finding, policy: Policy, *, stated: bool) -> tuple[Line, ...]:
    """What a counted check's answer rests on.

    Args:
        finding: of a counted check, with its numbers.
        policy: the rollout's.
        stated: the policy itself says k.
    """
    numbers = finding.numbers
    lines = [
        Line("Candidate", side(numbers["bad"], numbers["total"])),
        _beside(numbers),
        *_normal(numbers),
        Line("Test", _test(numbers)),
        Line("Against it", _against(numbers, policy)),
        Line("For it", _good(numbers, policy)),
        Line("k", _k(numbers, stated=stated)),
    ]
    missing = _missing(finding)
    return (*lines, Line("Missing", missing)) if missing else tuple(lines)


def _beside(numbers: Numbers) -> Line:
    """What the candidate is seen beside: stable's pods, or the service's own past."""
    if numbers.get("whole_service", 0.0) <= 0.0:
        stable = side(numbers.get("stable_bad", 0.0), numbers.get("stable_total", 0.0))
        return Line("Stable", stable)
    text = side(numbers.get("before_bad", 0.0), numbers.get("before_total", 0.0))
    if numbers.get("before_over", 0.0) > 0.0:
        text += "; over its bound in the 5 min before the rollout, so a FAIL is only a hold"
    return Line("Before", f"{text} (its proxy's count for the whole service)")


def side(bad: float, total: float) -> str:
    """One revision's counts, and the estimate with its 95% interval."""
    if total <= 0:
        return "no request"
    low, high = wilson(bad, total)
    return (
        f"{count(bad)} of {count(total)} requests bad: {percent(bad / total)}, "
        f"95% between {percent(low)} and {percent(high)}"
    )


def _normal(numbers: Numbers) -> list[Line]:
    """Whether the service's own past takes the bound's place (decisions.md, What is normal)."""
    own = numbers.get("p0_own", numbers["p0"])
    if numbers.get("history", 0.0) <= 0.0 or numbers["p0"] <= own:
        return []
    text = (
        f"{percent(numbers['p0'])}, what is normal for this service by its history; the policy "
        f"says {percent(own)}"
    )
    return [Line("Bound", text)]


def _test(numbers: Numbers) -> str:
    """Which test speaks, with what each of them says (decisions.md, A, B, Blame)."""
    a = f"A (over {percent(numbers['p0'])}?){_says(numbers, 'm_a')}"
    if numbers.get("whole_service", 0.0) > 0.0:
        return (
            f"{a} alone: no stable side to compare with, a proxy counts for all pods; against its "
            "own series before the rollout"
        )
    if numbers.get("compared", numbers.get("control", 0.0)) <= 0.0:
        return f"{a} alone, no control: too little stable traffic beside it to compare with"
    b = f"B (worse than stable?){_says(numbers, 'm_b')}"
    return f"E is the lesser of {a} and {b}".rstrip(",")


def _says(numbers: Numbers, name: str) -> str:
    return f", which says {e_value(_log(numbers[name]))}," if name in numbers else ""


def _against(numbers: Numbers, policy: Policy) -> str:
    text = (
        f"E is {e_value(numbers['log_e'])}, {count(numbers['bound'])} decides "
        f"(a healthy release is undone in at most {percent(policy.alpha)} of rollouts)"
    )
    mean = numbers.get("mean_e")
    if mean is None:
        return text
    return f"{text}; the mean over all counted checks decides, it is {e_value(_log(mean))}"


def _good(numbers: Numbers, policy: Policy) -> str:
    goal = e_value(numbers.get("log_bound_d", -math.log(policy.beta)))
    whole, recent = numbers.get("log_m_d", 0.0), numbers.get("log_m_d_recent", 0.0)
    return (
        f"D says {e_value(whole)} over all requests and {e_value(recent)} over the newest, "
        f"both must reach {goal} to promote"
    )


def _k(numbers: Numbers, *, stated: bool) -> str:
    k = numbers["k"]
    if stated:
        why = "the policy says so"
    elif numbers.get("assumed", 1.0) > 0.0:
        why = "assumed, there is no history to tell"
    else:
        why = "from the service's history"
        seen = numbers.get("dispersion_upper", 0.0)
        if seen > 0.0:
            why += f": errors came together in bunches of up to {seen:.2g}"
    together = (
        "each error counts whole" if k <= 1 else f"{k:.0f} errors that come together count once"
    )
    return f"{k:.0f}: {together} ({why})"


def _missing(finding: Finding) -> str:
    """How many requests a verdict still takes at the present ratio and rate."""
    if finding.answer in DONE:
        return ""
    numbers = finding.numbers
    rate = numbers.get("rate", 0.0)
    ways = [_to_pass(numbers.get("missing", -1.0), rate)]
    if numbers["total"] > 0:
        ways.append(_to_fail(numbers, rate))
    return "; ".join(way for way in ways if way)


def _to_pass(missing: float, rate: float) -> str:
    if missing < 0:
        return "never good enough at this ratio"
    if missing == 0:
        return "none for all requests together; the newest must be good as well"
    return f"{count(missing)} more requests to PASS{_when(missing, rate)}"


def _to_fail(numbers: Numbers, rate: float) -> str:
    """By how much test A grows a request if the ratio stays: its best alternative decides."""
    ratio = numbers["bad"] / numbers["total"]
    terms = terms_a(numbers["p0"], int(numbers["k"]))
    growth = max((ratio * bad + all_ for bad, all_ in terms), default=0.0)
    left = math.log(numbers["bound"]) - numbers["log_e"]
    if growth <= 0.0 or left <= 0.0:
        return ""
    requests = math.ceil(left / growth)
    return f"about {count(requests)} to FAIL if the ratio stays{_when(requests, rate)}"


def _when(requests: float, rate: float) -> str:
    return f" ({duration(requests / rate)} at {rate:.3g} a second)" if rate > 0.0 else ""


def _log(value: float) -> float:
    return math.log(max(value, 1e-300))
