"""The docs speak of what is there: links lead somewhere, every notice and metric has its words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from guard.core import names
from guard.engine.troubles import Trouble

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("docs/*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md"])
OPERATE = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_every_reason_that_people_are_told_has_a_row_in_operate() -> None:
    told = {trouble.reason for trouble in Trouble} | {"Guarded"}
    for module in (ROOT / "guard").rglob("*.py"):
        text = module.read_text(encoding="utf-8")
        if "Notice" in text or "_notice(" in text:
            told |= set(re.findall(r'^\s+"([A-Z][a-z]+(?:[A-Z][a-z]+)*)",$', text, re.MULTILINE))
            told |= set(re.findall(r': "([A-Z][a-z]+(?:[A-Z][a-z]+)*)",$', text, re.MULTILINE))
    told.discard("Event")  # An Event is what carries a reason.
    assert {"RolledBack", "WouldRollBack", "Blind", "RollbackFailed"} <= told
    assert sorted(reason for reason in told if f"`{reason}`" not in OPERATE) == []


def test_every_metric_that_the_docs_name_exists_and_every_one_is_named() -> None:
    known = {v for k, v in vars(names).items() if k.startswith("METRIC_")}
    named = set(re.findall(r"`(guard_[a-z_]+)", OPERATE))
    assert named - known == set()
    assert known - named == set()
