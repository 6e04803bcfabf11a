"""`guard check` says everything that is wrong, and exits with 0, 1 or 2."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from click.testing import CliRunner, Result

from guard.cli.check import check

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

ROOT = Path(__file__).parents[2]
REJECTED = ROOT / "tests" / "config" / "rejected"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(check, [str(argument) for argument in arguments])


def test_valid_files_exit_with_0_and_are_counted() -> None:
    result = run(ROOT / "slos" / "auth-service.yaml")
    assert result.exit_code == 0
    assert result.output == "1 file valid: 1 service, 3 checks\n"


def test_without_paths_the_folder_slos_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert run().exit_code == 0


def test_an_invalid_file_exits_with_1_and_names_line_and_code() -> None:
    file = REJECTED / "duration-invalid.yaml"
    result = run(file)
    assert result.exit_code == 1
    assert f"{file}:15: [duration-invalid] rollout.bake: found '2 minutes'" in result.output
    assert result.output.endswith("1 problem in 1 file\n")


def test_problems_are_grouped_by_file() -> None:
    result = run(REJECTED / "duration-invalid.yaml", REJECTED / "key-missing.yaml")
    first, second, summary = result.output.split("\n\n")
    assert "duration-invalid.yaml" in first
    assert "key-missing.yaml" in second
    assert summary.endswith("in 2 files\n")


def test_what_cannot_be_read_exits_with_2_even_beside_invalid_files() -> None:
    assert run(ROOT / "no-such-folder").exit_code == 2
    assert run(REJECTED / "no-files").exit_code == 2
    assert run(REJECTED / "key-unknown.yaml", ROOT / "no-such-folder").exit_code == 2


def test_json_holds_the_same_for_machines() -> None:
    result = run("--json", ROOT / "slos" / "auth-service.yaml", REJECTED / "bound-missing.yaml")
    document = json.loads(result.output)
    assert result.exit_code == 1
    assert document["valid"] is False
    assert document["files"] == 2
    assert [(p["code"], p["line"]) for p in document["problems"]] == [("bound-missing", 20)]
    (service,) = document["services"]
    assert service["workloads"] == ["kubernetes/shop/auth-service"]
    assert service["checks"] == ["availability", "health", "pods"]


def test_a_pipe_in_a_folder_is_told_and_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    result = run(tmp_path)
    assert result.exit_code == 2
    assert "[path-unreadable] found no regular file" in result.output


def test_a_file_without_the_right_to_read_it_hides_no_other_files_mistakes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = tmp_path / "locked.yaml"
    locked.write_text("a: 1", encoding="utf-8")
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    monkeypatch.setattr(Path, "read_bytes", refusing(locked, Path.read_bytes))
    result = run(locked, REJECTED / "key-missing.yaml")
    assert result.exit_code == 2
    assert f"{locked}: [path-unreadable] found Permission denied" in result.output
    assert "[key-missing]" in result.output


def refusing(locked: Path, read: Callable[[Path], bytes]) -> Callable[[Path], bytes]:
    """Rights stop nobody who runs as root, as these tests may."""

    def reading(path: Path) -> bytes:
        if path == locked:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return read(path)

    return reading


def test_a_name_that_is_no_utf_8_is_shown_all_the_same(tmp_path: Path) -> None:
    file = tmp_path / os.fsdecode(b"\xff.yaml")
    file.write_text("a: 1", encoding="utf-8")
    for arguments in ([file], ["--json", file]):
        result = run(*arguments)
        assert result.exit_code == 1
        assert "\\udcff.yaml" in result.output
