"""A finding is explained: the question, what the answer rests on, what would have changed it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.core.explanations import Explanation, explain
from guard.core.findings import Finding, Reason, Verdict
from guard.core.policy import (
    Check,
    ErrorRatio,
    Health,
    Objective,
    Pods,
    Policy,
    Promql,
    Ratio,
    Selector,
)

TOTAL = Selector("http_requests_total", (), "http_requests_total")
OBJECTIVE = Objective("availability", 0.999, 2_592_000.0, Ratio(TOTAL, TOTAL))
ERRORS = ErrorRatio("errors", OBJECTIVE)
NUMBERS = {
    "bad": 9.0,
    "total": 120.0,
    "stable_bad": 1.0,
    "stable_total": 360.0,
    "e_value": 20.0,
    "log_e": math.log(20.0),
    "bound": 100.0,
    "m_a": 230.0,
    "m_b": 20.0,
    "log_m_d": math.log(0.5),
    "log_m_d_recent": math.log(2.0),
    "log_bound_d": math.log(20.0),
    "k": 2.0,
    "p0": 0.01,
    "missing": 310.0,
    "rate": 10.0,
    "compared": 1.0,
    "assumed": 1.0,
    "bad_age": 3.2,
    "age": 30.0,
}
FINDING = Finding(
    "errors", "error_ratio", Verdict.WAIT, Reason.COLLECTING, "", numbers=NUMBERS, counted=True
)


def explained(finding: Finding, *checks: Check) -> Explanation:
    return explain(finding, Policy("auth-service", "team-identity", checks or (ERRORS,)))


def lines_of(answer: Explanation) -> dict[str, str]:
    return {one.label: one.text for one in answer.lines}


def line(label: str, *, check: Check = ERRORS, finding: Finding = FINDING, **other: float) -> str:
    """What one line says where some numbers are others."""
    asked = replace(finding, numbers={**finding.numbers, **other})
    return lines_of(explained(asked, check)).get(label, "")


def undone(**numbers: float) -> str:
    finding = replace(FINDING, answer=Verdict.FAIL, numbers={**NUMBERS, **numbers})
    return explained(finding).otherwise


def test_a_counted_check_says_its_question_both_sides_the_tests_and_what_is_missing() -> None:
    answer = explained(FINDING)
    assert answer.question == (
        "Do more than 1% of the candidate's requests fail, and more of them than of the stable "
        "revision's?"
    )
    assert lines_of(answer) == {
        "Candidate": "9 of 120 requests bad: 7.5%, 95% between 4% and 13.6%",
        "Stable": "1 of 360 requests bad: 0.278%, 95% between 0.0491% and 1.56%",
        "Test": "E is the lesser of A (over 1%?), which says 230, and B (worse than stable?), "
        "which says 20",
        "Against it": "E is 20, 100 decides (a healthy release is undone in at most 1% of "
        "rollouts)",
        "For it": "D says 0.5 over all requests and 2 over the newest, both must reach 20 to "
        "promote",
        "k": "2: 2 errors that come together count once (assumed, there is no history to tell)",
        "Missing": "310 more requests to PASS (31 s at 10 a second); about 39 to FAIL if the "
        "ratio stays (3 s at 10 a second)",
    }
    assert answer.otherwise == ""


def test_without_control_a_alone_is_asked() -> None:
    finding = replace(FINDING, numbers={**NUMBERS, "compared": 0.0, "stable_total": 0.0})
    assert explained(finding).question == "Do more than 1% of the candidate's requests fail?"
    assert line("Stable", finding=finding) == "no request"
    assert line("Test", finding=finding) == (
        "A (over 1%?), which says 230, alone, no control: too little stable traffic beside it to "
        "compare with"
    )


def test_where_several_checks_share_alpha_the_mean_is_named() -> None:
    assert line("Against it", mean_e=7.0).endswith(
        "; the mean over all counted checks decides, it is 7"
    )


def test_k_says_where_it_comes_from() -> None:
    assert line("k", check=replace(ERRORS, allowance=1), k=1.0) == (
        "1: each error counts whole (the policy says so)"
    )
    assert line("k", assumed=0.0).endswith("(from the service's history)")
    assert line("k", assumed=0.0, dispersion_upper=2.6).endswith(
        "(from the service's history: errors came together in bunches of up to 2.6)"
    )


def test_a_service_over_its_own_bound_says_what_is_normal_for_it() -> None:
    assert line("Bound", p0=0.015, p0_own=0.01, history=1.0) == (
        "1.5%, what is normal for this service by its history; the policy says 1%"
    )
    assert line("Bound", p0=0.01, p0_own=0.01, history=1.0) == ""
    assert line("Bound", p0=0.002, p0_own=0.01, history=0.0) == ""


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"missing": -1.0, "bad": 0.0}, "never good enough at this ratio"),
        (
            {"missing": 0.0, "bad": 0.0},
            "none for all requests together; the newest must be good as well",
        ),
        ({"missing": 310.0, "bad": 0.0, "rate": 0.0}, "310 more requests to PASS"),
        ({"bad": 0.0, "total": 0.0}, "310 more requests to PASS (31 s at 10 a second)"),
        ({"log_e": 5.0, "missing": -1.0}, "never good enough at this ratio"),
        ({"p0": 0.9, "missing": -1.0}, "never good enough at this ratio"),
    ],
    ids=["never", "all good", "no rate", "no request", "over already", "no alternative"],
)
def test_what_is_missing(numbers: dict[str, float], words: str) -> None:
    assert line("Missing", **numbers) == words


def test_a_decided_check_misses_nothing() -> None:
    assert line("Missing", finding=replace(FINDING, answer=Verdict.PASS)) == ""


def test_after_an_undo_by_errors_of_fresh_pods_alone_settle_is_named() -> None:
    assert undone() == (
        "all 9 errors came in the first 4 s of a pod's life: `settle: 4s` would have left them out"
    )
    assert undone(bad=1.0).startswith("the only error came in the first 4 s")
    assert undone(age=3.2).endswith(", and waited: no pod had served for longer by then")


def test_a_slow_ratio_speaks_of_slow_requests() -> None:
    finding = replace(FINDING, kind="slow_ratio", answer=Verdict.FAIL)
    answer = explained(finding)
    assert answer.question.startswith("Are more than 1% of the candidate's requests too slow, and")
    assert answer.otherwise.startswith("all 9 slow requests came")
    alone = replace(finding, numbers={**NUMBERS, "compared": 0.0})
    assert explained(alone).question == "Are more than 1% of the candidate's requests too slow?"


@pytest.mark.parametrize(
    "numbers", [{"bad_age": 60.0}, {"bad_age": 0.0}, {"bad": 0.0}], ids=["old", "unknown", "none"]
)
def test_errors_of_older_pods_are_no_matter_of_settling(numbers: dict[str, float]) -> None:
    assert undone(**numbers) == ""


RULE = "a rule: it states no error probability"
HEALTH = Health(failures=3, every=2.0, expect=204)
ABOVE = Promql("queue", "sum(queue_length)", above=5.0)
BELOW = Promql("queue", "sum(consumers)", below=1.5)
RULES = [
    (
        Finding("health", "health", Verdict.FAIL, Reason.UNHEALTHY, ""),
        HEALTH,
        "Does the health endpoint of every candidate pod answer 204?",
        [("Test", f"3 bad answers in a row fail, one every 2 s; {RULE}")],
        "`failures: 4` would have asked once more",
    ),
    (
        Finding("pods", "pods", Verdict.FAIL, Reason.NOT_READY_IN_TIME, ""),
        Pods(),
        "Does the platform report trouble with the candidate's pods?",
        [("Test", RULE)],
        "a longer `ready_within` would have waited longer",
    ),
    (
        Finding("pods", "pods", Verdict.FAIL, Reason.CRASH_LOOP, ""),
        Pods(),
        "Does the platform report trouble with the candidate's pods?",
        [("Test", RULE)],
        "",
    ),
    (
        Finding("queue", "promql", Verdict.PASS, Reason.INSIDE_BOUND, ""),
        ABOVE,
        "Is the expression above 5?",
        [
            ("Test", f"3 bad answers in a row fail, one every 5 s; {RULE}"),
            ("Expression", "sum(queue_length)"),
        ],
        "",
    ),
    (
        Finding("queue", "promql", Verdict.FAIL, Reason.BEYOND_BOUND, ""),
        BELOW,
        "Is the expression below 1.5?",
        [
            ("Test", f"3 bad answers in a row fail, one every 5 s; {RULE}"),
            ("Expression", "sum(consumers)"),
        ],
        "`failures: 4` would have asked once more",
    ),
]


@pytest.mark.parametrize(("finding", "check", "question", "lines", "otherwise"), RULES)
def test_a_rule_says_its_question_and_that_it_states_no_probability(
    finding: Finding, check: Check, question: str, lines: list[tuple[str, str]], otherwise: str
) -> None:
    answer = explained(finding, check)
    assert answer.question == question
    assert [(one.label, one.text) for one in answer.lines] == lines
    assert answer.otherwise == otherwise


@pytest.mark.parametrize(
    ("kind", "question"),
    [
        ("health", "Does the health endpoint of every candidate pod answer 200?"),
        ("promql", "Does the expression stay inside its bound?"),
        ("worse_than_stable", "Is the candidate worse than the stable revision beside"),
        ("alerts", "Does an alert fire that did not fire before the release?"),
        ("another", "What does gone say?"),
    ],
)
def test_a_check_that_the_policy_does_not_name_is_explained_without_its_settings(
    kind: str, question: str
) -> None:
    finding = Finding("gone", kind, Verdict.FAIL, Reason.UNHEALTHY, "")
    answer = explained(finding)
    assert answer.question.startswith(question)
    assert answer.otherwise == ""


@given(st.dictionaries(st.sampled_from(sorted(NUMBERS)), st.sampled_from([math.nan, math.inf])))
def test_a_number_that_is_none_leaves_its_words_out_and_breaks_nothing(
    odd: dict[str, float],
) -> None:
    finding = replace(FINDING, answer=Verdict.FAIL, numbers={**NUMBERS, **odd})
    answer = explained(finding)
    assert answer.question
    assert not any(word in str(answer) for word in ("nan", "inf"))
