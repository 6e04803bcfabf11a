"""The check *alerts*, from the file to what the core reads."""

from __future__ import annotations

import pytest

from guard.config.load import SourceFile, parse
from guard.core.policy import Alerts, Matcher, MatchOp, WithoutPod
from tests.config.slo_files import HEAD

FILE = (
    HEAD
    + """\
rollout:
  checks:
    - alerts: CHECK
"""
)


def check(keys: str) -> object:
    parsed = parse([SourceFile("auth.yaml", FILE.replace("CHECK", keys).encode())])
    assert parsed.problems == ()
    return parsed.services[0].policy.checks[0]


def test_without_keys_only_the_label_opts_in_and_nothing_is_undone_for_want_of_a_pod() -> None:
    assert check("{}") == Alerts("alerts", (), WithoutPod.HOLD, 5.0)


@pytest.mark.parametrize("text", ['{severity="page", team=~"a|b"}', 'severity="page", team=~"a|b"'])
def test_matchers_are_written_with_braces_or_without(text: str) -> None:
    found = check(f"{{name: pages, matching: '{text}', without_pod: rollback, every: 10s}}")
    matchers = (
        Matcher("severity", MatchOp.EQUAL, "page"),
        Matcher("team", MatchOp.REGEX, "a|b"),
    )
    assert found == Alerts("pages", matchers, WithoutPod.ROLLBACK, 10.0)


@pytest.mark.parametrize(
    "text", ["HighErrors", 'up{a="b"}', 'a="b" or c="d"', "a=", "rate(x[1m])", "7", "''"]
)
def test_what_is_no_list_of_matchers_is_refused(text: str) -> None:
    content = FILE.replace("CHECK", f"{{matching: {text!r}}}" if text != "7" else "{matching: 7}")
    (problem,) = parse([SourceFile("auth.yaml", content.encode())]).problems
    assert problem.code.value == "matchers-invalid"


def test_it_needs_no_name_of_its_own_until_there_are_two() -> None:
    text = FILE.replace("CHECK", "{}") + "    - alerts: {}\n"
    (problem,) = parse([SourceFile("auth.yaml", text.encode())]).problems
    assert problem.code.value == "name-duplicate"
