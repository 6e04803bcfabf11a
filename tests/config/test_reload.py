"""A changed SLO file takes effect; an invalid one is refused and the old one stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from guard.config import reload
from guard.config.load import Loaded
from guard.config.reload import Watcher
from tests.config.slo_files import HEAD

if TYPE_CHECKING:
    from pathlib import Path

GOOD = (
    HEAD
    + """\
rollout:
  bake: 10s
  checks:
    - pods: {}
"""
)


def bakes(watcher: Watcher) -> list[float]:
    return [service.policy.bake for service in watcher.services]


def changed(watcher: Watcher) -> Loaded:
    loaded = watcher.poll()
    assert loaded is not None
    return loaded


def test_the_first_poll_loads_and_the_next_says_nothing_changed(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD, encoding="utf-8")
    watcher = Watcher([tmp_path])
    assert len(changed(watcher).services) == 1
    assert watcher.poll() is None
    assert bakes(watcher) == [10.0]


def test_changed_content_takes_effect_and_a_touched_file_does_not(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(GOOD, encoding="utf-8")
    watcher = Watcher([tmp_path])
    watcher.poll()
    file.touch()
    assert watcher.poll() is None
    file.write_text(GOOD.replace("10s", "20s"), encoding="utf-8")
    changed(watcher)
    assert bakes(watcher) == [20.0]


def test_an_invalid_change_is_refused_once_and_the_old_set_stays(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(GOOD, encoding="utf-8")
    watcher = Watcher([tmp_path])
    watcher.poll()
    file.write_text(GOOD.replace("10s", "soon"), encoding="utf-8")
    assert [p.code.value for p in changed(watcher).problems] == ["duration-invalid"]
    assert watcher.poll() is None
    assert bakes(watcher) == [10.0]
    assert len(watcher.problems) == 1
    file.write_text(GOOD, encoding="utf-8")
    assert changed(watcher).problems == ()
    assert watcher.problems == ()


def test_one_wrong_file_keeps_the_change_of_another_from_taking_effect(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD, encoding="utf-8")
    watcher = Watcher([tmp_path])
    watcher.poll()
    (tmp_path / "a.yaml").write_text(GOOD.replace("10s", "20s"), encoding="utf-8")
    (tmp_path / "b.yaml").write_text("nonsense", encoding="utf-8")
    assert changed(watcher).problems
    assert bakes(watcher) == [10.0]


def test_the_symlink_swap_of_a_mounted_config_map_is_noticed(tmp_path: Path) -> None:
    for version, bake in (("..one", "10s"), ("..two", "30s")):
        (tmp_path / version).mkdir()
        (tmp_path / version / "a.yaml").write_text(GOOD.replace("10s", bake), encoding="utf-8")
    (tmp_path / "..data").symlink_to("..one")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    watcher = Watcher([tmp_path])
    watcher.poll()
    assert bakes(watcher) == [10.0]
    (tmp_path / "..swap").symlink_to("..two")
    (tmp_path / "..swap").rename(tmp_path / "..data")
    changed(watcher)
    assert bakes(watcher) == [30.0]


def test_a_folder_that_vanishes_is_a_problem_and_the_old_set_stays(tmp_path: Path) -> None:
    folder = tmp_path / "slos"
    folder.mkdir()
    (folder / "a.yaml").write_text(GOOD, encoding="utf-8")
    watcher = Watcher([folder])
    watcher.poll()
    folder.rename(tmp_path / "gone")
    assert [p.code.value for p in changed(watcher).problems] == ["path-unreadable"]
    assert watcher.poll() is None
    assert bakes(watcher) == [10.0]


def test_what_could_not_be_judged_is_judged_again_at_the_next_poll(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.yaml").write_text(GOOD, encoding="utf-8")
    watcher = Watcher([tmp_path])
    with monkeypatch.context() as broken:
        broken.setattr(reload, "parse", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            watcher.poll()
    changed(watcher)
    assert bakes(watcher) == [10.0]


def test_a_folder_without_files_is_a_set_of_no_services(tmp_path: Path) -> None:
    watcher = Watcher([tmp_path])
    assert changed(watcher) == Loaded((), (), 0)
