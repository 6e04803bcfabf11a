"""The demo's story with a hurried stage: how it goes when things go otherwise, and its picture."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from guard.cli import demo_stage, demo_story
from guard.cli.demo_figures import WITH, WITHOUT, Figures, Release, Seen
from guard.cli.demo_screen import Screen
from guard.cli.demo_story import tell
from guard.platforms.local.template import Template
from guard.platforms.local.users import Answer, Users

if TYPE_CHECKING:
    from collections.abc import Callable

COLUMNS = 80


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """More users, pods that start at once, and a short bake."""
    monkeypatch.setattr(demo_stage, "RATE", 150.0)
    monkeypatch.setattr(demo_stage, "POLICY", replace(demo_stage.POLICY, bake=1.0))
    monkeypatch.setattr(demo_story, "BEFORE", 0.2)
    for name in ("GOOD", "BAD"):
        release: Release = getattr(demo_story, name)
        quick = replace(release, template=replace(release.template, starts_in=0.3))
        monkeypatch.setattr(demo_story, name, quick)
        monkeypatch.setitem(demo_story.VERSIONS, quick.template.hash, quick.version)


@pytest.fixture
def paper() -> Screen:
    return Screen(Console(file=io.StringIO(), markup=False, highlight=False))


def printed(screen: Screen) -> str:
    assert isinstance(screen.console.file, io.StringIO)
    return screen.console.file.getvalue()


@pytest.mark.usefixtures("hurried")
async def test_on_a_terminal_the_picture_shows_pods_users_and_evidence_of_both_copies() -> None:
    terminal = Screen(Console(file=io.StringIO(), force_terminal=True, width=COLUMNS, markup=False))
    assert await tell(None, screen=terminal) == 0
    text = printed(terminal)
    for words in (WITH, WITHOUT, "bad beyond doubt", "good beyond doubt", "ROLLING BACK"):
        assert words in text
    assert "page" not in text


@pytest.mark.usefixtures("hurried")
async def test_a_good_release_that_is_not_promoted_is_a_failure_that_says_so(
    monkeypatch: pytest.MonkeyPatch, paper: Screen
) -> None:
    worse = replace(demo_story.GOOD.template, error_ratio=0.5)
    monkeypatch.setattr(demo_story, "GOOD", replace(demo_story.GOOD, template=worse))
    monkeypatch.setitem(demo_story.VERSIONS, worse.hash, "version 2")
    assert await tell(None, screen=paper) == 1
    assert "UNEXPECTED: the good release ended rolled_back" in printed(paper)
    assert "Next:" not in printed(paper)


@pytest.mark.usefixtures("hurried")
async def test_a_bad_release_that_is_not_undone_is_a_failure_that_says_so(
    monkeypatch: pytest.MonkeyPatch, paper: Screen
) -> None:
    better = replace(demo_story.BAD.template, error_ratio=0.0)
    monkeypatch.setattr(demo_story, "BAD", replace(demo_story.BAD, template=better))
    monkeypatch.setitem(demo_story.VERSIONS, better.hash, "version 3")
    assert await tell(None, screen=paper) == 1
    assert "UNEXPECTED: the bad release ended promoted" in printed(paper)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(
    ("constant", "words"),
    [
        ("STORY_AT_MOST", "version 2 did not end in time"),
        ("TRUST_WITHIN", "the guard did not take version 1 as known good in 0 s"),
    ],
)
async def test_what_does_not_come_in_time_is_a_failure_that_says_so(
    constant: str, words: str, monkeypatch: pytest.MonkeyPatch, paper: Screen
) -> None:
    monkeypatch.setattr(demo_story, constant, 0.0)
    assert await tell(None, screen=paper) == 1
    assert words in printed(paper)


# Figures.

RELEASE = Release("version 3", Template("shop:3"), "bad")
NEXT = Release("version 4", Template("shop:4"), "good")


def users(*answers: Answer) -> Users:
    made = Users(list, rate=1.0)
    made.answers = list(answers)
    return made


def bad(at: float, revision: str = RELEASE.template.hash) -> Answer:
    return Answer(at, at + 0.5, failed=True, revision=revision)


def good(at: float) -> Answer:
    return Answer(at, at + 0.5, failed=False, revision=RELEASE.template.hash)


@pytest.fixture
def figures() -> Figures:
    made = Figures(
        users(good(1.0), bad(2.0, "other"), bad(3.0), good(4.0), bad(5.0), bad(11.0)),
        users(good(2.0)),
    )
    made.begin(RELEASE, 1.5)
    return made


def test_a_release_has_the_answers_from_its_beginning_to_that_of_the_next(figures: Figures) -> None:
    assert figures.seen(-1, WITH) == Seen(sent=5, failed=4)
    figures.begin(NEXT, 10.0)
    assert figures.seen(0, WITH) == Seen(sent=4, failed=3)
    assert figures.seen(-1, WITH) == Seen(sent=1, failed=1)
    assert figures.seen(0, WITHOUT) == Seen(sent=1, failed=0)


def test_only_what_the_release_itself_answered_is_its_first_and_last_failure(
    figures: Figures,
) -> None:
    figures.ended_at = 10.0
    assert figures.failures(0, WITH) == (3.5, 5.5)
    assert figures.failures(0, WITHOUT) is None


def test_the_last_seconds_are_those_before_now(figures: Figures) -> None:
    assert figures.recent(WITH, 12.0) == Seen(sent=1, failed=1)
    assert figures.recent(WITHOUT, 12.0) == Seen(sent=0, failed=0)


def test_the_page_has_a_row_for_each_release_and_copy(figures: Figures) -> None:
    assert figures.rows() == [
        {"case": "version 3, with the guard", "sent": 5, "failed": 4, "note": "bad"},
        {"case": "version 3, without a guard", "sent": 1, "failed": 0, "note": "bad"},
    ]


def test_on_paper_the_same_evidence_is_printed_once_and_not_too_often() -> None:
    now = 0.0
    paper = Screen(Console(file=io.StringIO(), markup=False), clock=lambda: now)
    for second, text in enumerate(["a", "b", "c", "c", "c", "", "d", "d", "e"], start=10):
        now = float(second)
        paper.paint("picture", text)
    lines = [line.split() for line in printed(paper).splitlines()]
    assert lines == [["10.0", "s", "a"], ["12.0", "s", "c"], ["16.0", "s", "d"], ["18.0", "s", "e"]]


def test_closing_the_screen_may_be_repeated(paper: Screen) -> None:
    closing: list[Callable[[], None]] = [paper.open, paper.close, paper.close]
    for step in closing:
        step()
    assert printed(paper) == ""
