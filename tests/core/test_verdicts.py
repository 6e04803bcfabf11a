"""The judge: laws 1 and 2 over any findings, and the mean of E over counted checks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.core.findings import Finding, Reason, Verdict
from guard.core.ticks import Frame
from guard.core.verdicts import E_TOO_HIGH_TO_PROMOTE, judge, mean_e

ONE = Frame(0.0)
TWO = Frame(0.0, counted=2)


def rule(answer: Verdict, name: str = "rule", *, hold: bool = False) -> Finding:
    return Finding(name, "pods", answer, Reason.COLLECTING, f"{name} says {answer}", hold=hold)


def counted(answer: Verdict, e_value: float, reason: Reason = Reason.COLLECTING) -> Finding:
    name = f"ratio {e_value:g}"
    return Finding(
        name, "error_ratio", answer, reason, name, numbers={"e_value": e_value}, counted=True
    )


def test_nothing_asked_is_nothing_known() -> None:
    judged = judge([], ONE)
    assert (judged.verdict, judged.text) == (Verdict.WAIT, "no check asked")


def test_all_pass_is_pass_and_its_text_says_all() -> None:
    judged = judge([rule(Verdict.PASS, "a"), rule(Verdict.PASS, "b")], ONE)
    assert (judged.verdict, judged.text) == (Verdict.PASS, "a says PASS; b says PASS")


def test_one_that_waits_keeps_all_waiting() -> None:
    judged = judge([rule(Verdict.PASS, "a"), rule(Verdict.WAIT, "b")], ONE)
    assert (judged.verdict, judged.text) == (Verdict.WAIT, "b says WAIT")


def test_one_fail_is_enough_whatever_the_others_say() -> None:
    judged = judge([rule(Verdict.BLIND), rule(Verdict.WAIT, hold=True), rule(Verdict.FAIL)], ONE)
    assert (judged.verdict, judged.hold) == (Verdict.FAIL, False)


def test_blindness_outweighs_pass_and_keeps_a_hold() -> None:
    assert judge([rule(Verdict.PASS), rule(Verdict.BLIND)], ONE).verdict is Verdict.BLIND
    assert judge([rule(Verdict.WAIT, hold=True), rule(Verdict.BLIND)], ONE).hold
    assert not judge([rule(Verdict.WAIT), rule(Verdict.BLIND)], ONE).hold


def test_a_hold_is_kept_although_nothing_failed() -> None:
    judged = judge([rule(Verdict.WAIT, "a"), rule(Verdict.WAIT, "b", hold=True)], ONE)
    assert (judged.verdict, judged.hold, judged.text) == (Verdict.WAIT, True, "b says WAIT")


def test_nothing_is_promoted_while_a_counted_check_is_suspicious() -> None:
    assert judge([counted(Verdict.PASS, E_TOO_HIGH_TO_PROMOTE)], ONE).verdict is Verdict.WAIT
    assert judge([counted(Verdict.PASS, 2.9)], ONE).verdict is Verdict.PASS


def test_with_two_counted_checks_their_mean_decides() -> None:
    findings = [counted(Verdict.FAIL, 150.0, Reason.OVER_BOUND), counted(Verdict.PASS, 1.0)]
    assert mean_e(findings, TWO) == pytest.approx(75.5)
    judged = judge(findings, TWO)
    assert judged.verdict is Verdict.WAIT
    assert judged.findings[0].reason is Reason.COLLECTING
    assert judged.findings[0].numbers["mean_e"] == pytest.approx(75.5)


def test_a_mean_over_the_bound_fails_the_check_that_carries_it() -> None:
    findings = [counted(Verdict.WAIT, 199.0), counted(Verdict.PASS, 1.0), rule(Verdict.PASS)]
    judged = judge(findings, TWO)
    assert judged.verdict is Verdict.FAIL
    assert judged.findings[0].reason is Reason.OVER_BOUND
    assert judged.findings[1].answer is Verdict.PASS


def test_the_blame_tables_own_fail_stands_without_the_mean() -> None:
    findings = [counted(Verdict.FAIL, 0.5, Reason.BLAMED), counted(Verdict.PASS, 0.5)]
    assert judge(findings, TWO).verdict is Verdict.FAIL


def test_a_blind_check_keeps_its_last_e_in_the_mean() -> None:
    findings = [counted(Verdict.BLIND, 150.0), counted(Verdict.WAIT, 60.0)]
    assert mean_e(findings, TWO) == pytest.approx(105.0)


def test_without_counted_checks_there_is_no_mean() -> None:
    assert mean_e([rule(Verdict.PASS)], Frame(0.0, counted=0)) == 0.0


ANSWERS = st.lists(st.builds(rule, st.sampled_from(list(Verdict)), hold=st.booleans()), max_size=6)


@given(ANSWERS)
def test_law_1_and_2_pass_only_where_every_check_passes(findings: list[Finding]) -> None:
    judged = judge(findings, Frame(0.0, counted=0))
    answers = [finding.answer for finding in findings]
    everyone = bool(answers) and set(answers) == {Verdict.PASS}
    held = any(finding.hold for finding in findings)
    assert (judged.verdict is Verdict.PASS) == (everyone and not held)
    assert (judged.verdict is Verdict.FAIL) == (Verdict.FAIL in answers)


@given(ANSWERS, st.sampled_from([Verdict.BLIND, Verdict.WAIT]))
def test_law_1_becoming_blind_never_makes_a_pass_or_a_fail(
    findings: list[Finding], answer: Verdict
) -> None:
    """Replace any one finding by blindness: the verdict gets no nearer to PASS or FAIL."""
    before = judge(findings, ONE).verdict
    for index in range(len(findings)):
        blind = [*findings[:index], rule(answer), *findings[index + 1 :]]
        after = judge(blind, ONE).verdict
        assert after is not Verdict.PASS
        assert after is not Verdict.FAIL or before is Verdict.FAIL


@given(st.lists(st.floats(0.0, 1e6), min_size=1, max_size=4))
def test_counted_checks_together_fail_only_where_their_mean_reaches_the_bound(
    values: list[float],
) -> None:
    frame = Frame(0.0, counted=len(values))
    reason = Reason.OVER_BOUND
    findings = [counted(Verdict.FAIL if e >= 100 else Verdict.WAIT, e, reason) for e in values]
    failed = judge(findings, frame).verdict is Verdict.FAIL
    assert failed == (sum(values) / len(values) >= 100.0)


def whole(answer: Verdict = Verdict.WAIT, reason: Reason = Reason.OTHER_PODS) -> Finding:
    return Finding("edge", "error_ratio", answer, reason, "judged later", counted=True)


def test_at_the_first_pods_a_whole_service_is_not_required_and_the_text_says_so() -> None:
    judged = judge([rule(Verdict.PASS, "a"), whole()], ONE, at_a_step=True)
    assert judged.verdict is Verdict.PASS
    assert judged.text == "a says PASS; edge is asked once all pods are the release's: judged later"
    assert whole() in judged.findings


def test_when_the_rollout_has_gone_on_a_whole_service_is_required_again() -> None:
    assert judge([rule(Verdict.PASS), whole()], ONE).verdict is Verdict.WAIT


def test_at_the_first_pods_a_whole_service_alone_promotes_nothing() -> None:
    assert judge([whole()], ONE, at_a_step=True).verdict is Verdict.WAIT


@pytest.mark.parametrize("answer", [Verdict.WAIT, Verdict.BLIND, Verdict.FAIL])
def test_at_the_first_pods_the_others_are_required_as_ever(answer: Verdict) -> None:
    assert judge([rule(answer), whole()], ONE, at_a_step=True).verdict is answer
    assert judge([rule(answer), rule(Verdict.PASS)], ONE, at_a_step=True).verdict is answer
    assert judge([rule(Verdict.WAIT, hold=True), whole()], ONE, at_a_step=True).hold
