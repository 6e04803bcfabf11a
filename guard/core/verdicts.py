"""The judge: many findings, one verdict.

Counted checks carry α together: FAIL when the mean of their E over the number of counted checks
at the start reaches 1/α, which is valid under any dependence between them (decisions.md, Blame).
Rules and the blame table fail by themselves. Blindness of any check outweighs PASS, never FAIL.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from guard.core.findings import Finding, Judgement, Reason, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guard.core.ticks import Frame

E_TOO_HIGH_TO_PROMOTE = 3.0
"""No counted check may stand at or over this E when a rollout is promoted (decisions.md, D)."""
BY_E = (Reason.OVER_BOUND, Reason.YOUTH_OVER_BOUND, Reason.WORSE_THAN_STABLE)
"""Reasons of a FAIL that rests on E alone; the blame table's own FAIL stands without the mean."""


def mean_e(findings: Sequence[Finding], frame: Frame) -> float:
    """Mean of E over the counted checks; 0 without any. A blind check keeps its last E."""
    total = sum(finding.numbers.get("e_value", 0.0) for finding in findings if finding.counted)
    return total / frame.counted if frame.counted else 0.0


def judge(findings: Sequence[Finding], frame: Frame, *, at_a_step: bool = False) -> Judgement:
    """Make one verdict of all findings of a tick.

    An empty sequence is WAIT: nothing was asked, so nothing is known (law 2).

    Args:
        findings: what each check says.
        frame: the rollout's.
        at_a_step: the rollout is held at a step's pods. What can be judged only once all pods
            are the release's is not required there, beside another check that says PASS; it is
            required again when the rollout has gone on.
    """
    judgement = _judge(findings, frame)
    if not at_a_step or judgement.verdict is not Verdict.WAIT or judgement.hold:
        return judgement
    others = [one for one in findings if one.reason is not Reason.OTHER_PODS]
    if len(others) == len(findings):
        return judgement
    without = _judge(others, frame)
    if without.verdict is not Verdict.PASS:
        return judgement
    left = next(one for one in judgement.findings if one.reason is Reason.OTHER_PODS)
    text = f"{without.text}; {left.check} is asked once all pods are the release's: {left.text}"
    return replace(without, findings=judgement.findings, text=text)


def _judge(findings: Sequence[Finding], frame: Frame) -> Judgement:
    judged = tuple(_by_mean(findings, frame))
    for answer in (Verdict.FAIL, Verdict.BLIND):
        first = _first(judged, answer)
        if first is not None:
            held = answer is Verdict.BLIND and any(finding.hold for finding in judged)
            return Judgement(answer, judged, hold=held, text=first.text)
    holding = next((finding for finding in judged if finding.hold), None)
    if holding is not None:
        return Judgement(Verdict.WAIT, judged, hold=True, text=holding.text)
    waiting = _first(judged, Verdict.WAIT)
    if waiting is not None or not judged:
        return Judgement(Verdict.WAIT, judged, text=waiting.text if waiting else "no check asked")
    suspicious = next((f for f in judged if _suspicious(f)), None)
    if suspicious is not None:
        return Judgement(Verdict.WAIT, judged, text=suspicious.text)
    return Judgement(Verdict.PASS, judged, text="; ".join(finding.text for finding in judged))


def _by_mean(findings: Sequence[Finding], frame: Frame) -> list[Finding]:
    """Turn counted findings into FAIL, or not, by the mean of E over all of them."""
    if frame.counted <= 1:
        return list(findings)
    mean = mean_e(findings, frame)
    bound = 1.0 / frame.alpha
    return [_with_mean(finding, mean, bound) for finding in findings]


def _with_mean(finding: Finding, mean: float, bound: float) -> Finding:
    if not finding.counted:
        return finding
    numbers = {**finding.numbers, "mean_e": mean}
    own = finding.numbers.get("e_value", 0.0)
    if mean >= bound and own >= bound and finding.answer is not Verdict.FAIL:
        return replace(finding, answer=Verdict.FAIL, reason=Reason.OVER_BOUND, numbers=numbers)
    if mean < bound and finding.answer is Verdict.FAIL and finding.reason in BY_E:
        return replace(finding, answer=Verdict.WAIT, reason=Reason.COLLECTING, numbers=numbers)
    return replace(finding, numbers=numbers)


def _first(findings: Sequence[Finding], answer: Verdict) -> Finding | None:
    return next((finding for finding in findings if finding.answer is answer), None)


def _suspicious(finding: Finding) -> bool:
    return finding.counted and finding.numbers.get("e_value", 0.0) >= E_TOO_HIGH_TO_PROMOTE
