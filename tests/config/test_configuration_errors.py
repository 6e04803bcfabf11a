"""Every way that configuration can be wrong: codes, documentation and fixtures are one set."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from guard.cli.check import check, examine
from guard.config.codes import UNREADABLE, Code
from guard.config.environment import load_settings
from guard.config.problems import ConfigurationProblems, Problem

ROOT = Path(__file__).parents[2]
REJECTED = ROOT / "tests" / "config" / "rejected"
TABLE = ROOT / "docs" / "configuration-errors.md"
FIXTURES = sorted(REJECTED.iterdir())
SLO_FIXTURES = [path for path in FIXTURES if path.suffix != ".env"]
SETTING_FIXTURES = [path for path in FIXTURES if path.suffix == ".env"]


def rows() -> list[str]:
    return re.findall(r"^\| `([a-z-]+)` \|", TABLE.read_text(encoding="utf-8"), re.MULTILINE)


def marked(path: Path) -> tuple[str, int]:
    """The file and line that a fixture marks with HERE; line 0 where nothing can be read."""
    members = sorted(path.iterdir()) if path.is_dir() else [path]
    for member in members:
        lines = member.read_text(encoding="utf-8").splitlines() if member.exists() else []
        for number, line in enumerate(lines, 1):
            if line.endswith("# HERE"):
                return str(member), number
    return str(path), 0


def outcome(path: Path) -> tuple[Problem, ...]:
    if path.suffix != ".env":
        return examine([path]).problems
    with pytest.raises(ConfigurationProblems) as caught:
        load_settings(path)
    return caught.value.problems


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("GUARD_"):
            monkeypatch.delenv(name)


def test_codes_table_rows_and_fixtures_are_the_same_set() -> None:
    codes = [code.value for code in Code]
    assert sorted(rows()) == sorted(codes)
    assert sorted(path.stem for path in FIXTURES) == sorted(codes)


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_each_fixture_yields_exactly_its_code_at_its_line(path: Path) -> None:
    problems = outcome(path)
    assert [problem.code.value for problem in problems] == [path.stem], problems
    file, line = marked(path)
    if line or problems[0].code in UNREADABLE:
        assert (problems[0].file, problems[0].line) == (file, line)
    else:
        pytest.fail("the fixture marks no line")


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_each_message_says_what_was_found_what_was_expected_and_what_to_do(path: Path) -> None:
    (problem,) = outcome(path)
    assert problem.found
    assert problem.expected
    assert problem.action
    assert re.fullmatch(r"\S+?(:\d+)?: \[[a-z-]+\] (.+: )?found .+, expected .+ — .+", str(problem))


@pytest.mark.parametrize("path", SLO_FIXTURES, ids=lambda path: path.stem)
def test_check_exits_with_1_for_invalid_and_2_for_unreadable(path: Path) -> None:
    result = CliRunner().invoke(check, [str(path)])
    assert result.exit_code == (2 if Code(path.stem) in UNREADABLE else 1)
    assert f"[{path.stem}]" in result.output


@pytest.mark.parametrize("path", SETTING_FIXTURES, ids=lambda path: path.stem)
def test_no_message_about_settings_shows_a_secret(path: Path) -> None:
    assert "seeded-secret" not in "".join(map(str, outcome(path)))
