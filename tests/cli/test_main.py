"""The command itself: quick help, words for a wrong command, and what `guard run` refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from guard import __version__
from guard.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = ("aiohttp", "kubernetes", "pydantic", "prometheus_client", "promql_parser", "rich")


def guard(*arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GUARD_", "KUBECONFIG"))}
    command = [sys.executable, "-m", "guard", *arguments]
    return subprocess.run(
        command,
        cwd=cwd,
        env={**kept, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_names_every_command() -> None:
    told = CliRunner().invoke(main, ["--help"])
    assert told.exit_code == 0
    assert all(name in told.output for name in ("run", "check", "discover", "explain", "demo"))


def test_help_imports_none_of_the_libraries_that_take_time(tmp_path: Path) -> None:
    code = (
        "import sys; from guard.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert told.stderr.strip() == "[]"


def test_a_command_that_does_not_exist_is_told_which_do() -> None:
    told = CliRunner().invoke(main, ["guard"])
    assert told.exit_code == 2
    assert "no command 'guard'; there are run, check, discover, explain, demo" in told.output


def test_version_is_the_packages() -> None:
    assert CliRunner().invoke(main, ["--version"]).output.strip().endswith(__version__)


def test_run_names_every_wrong_setting_and_exits_with_1(tmp_path: Path) -> None:
    told = guard("run", cwd=tmp_path, GUARD_MODE="acts", GUARD_LISTEN="nowhere")
    assert told.returncode == 1
    assert "GUARD_MODE" in told.stderr
    assert "GUARD_LISTEN" in told.stderr
    assert "Traceback" not in told.stderr


def test_run_refuses_to_start_with_an_invalid_slo_file(tmp_path: Path) -> None:
    (tmp_path / "slos").mkdir()
    (tmp_path / "slos" / "a.yaml").write_text("apiVersion: guard/v1\nservice: A\n")
    told = guard("run", cwd=tmp_path)
    assert told.returncode == 1
    assert "slos/a.yaml:2: [name-invalid] service" in told.stderr


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_cluster_that_cannot_be_reached_is_said_in_one_line_and_exits_with_2(
    tmp_path: Path, form: str
) -> None:
    (tmp_path / "slos").mkdir()
    told = guard("run", cwd=tmp_path, GUARD_LOG_FORMAT=form, GUARD_LISTEN="127.0.0.1:0")
    assert told.returncode == 2
    assert told.stderr.startswith("cannot guard: ")
    assert "Traceback" not in told.stderr


def test_logs_are_one_json_object_a_line(tmp_path: Path) -> None:
    code = (
        "import logging, structlog; from guard.cli import logs\n"
        "from guard.config.settings import LogFormat, LogLevel\n"
        "logs.set_up(LogFormat.JSON, LogLevel.INFO)\n"
        "structlog.get_logger('guard.x').info('held', rollout='a@b#1', text='é\\n<&')\n"
        "logging.getLogger('asyncio').warning('slow %s', 'task')\n"
        "structlog.get_logger('guard.x').debug('hidden')\n"
        "secret = 'hunter2'\n"
        "try: 1 / 0\n"
        "except ZeroDivisionError: structlog.get_logger('guard.x').exception('failed')\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    assert [line["message"] for line in lines] == ["held", "slow task", "failed"]
    assert lines[0] == {
        "message": "held",
        "rollout": "a@b#1",
        "text": "é\n<&",
        "level": "info",
        "logger": "guard.x",
        "time": lines[0]["time"],
    }
    assert lines[2]["exception"][0]["exc_type"] == "ZeroDivisionError"
    assert "hunter2" not in told.stdout.replace("secret = 'hunter2'", "")


def test_text_logs_are_readable_lines(tmp_path: Path) -> None:
    code = (
        "import structlog; from guard.cli import logs\n"
        "from guard.config.settings import LogFormat, LogLevel\n"
        "logs.set_up(LogFormat.TEXT, LogLevel.INFO)\n"
        "structlog.get_logger('guard.x').info('held', rollout='a@b#1')\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "held" in told.stdout
    assert "rollout=a@b#1" in told.stdout
