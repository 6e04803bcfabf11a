"""What the guard logs holds no secret, in either form."""

from __future__ import annotations

import asyncio
import sys

import pytest

from guard.config.settings import LogFormat

FAILING = """
import sys
import structlog
from guard.cli import logs
from guard.config.settings import LogFormat, LogLevel

def connect():
    password = "hunter2"
    raise ValueError("refused")

logs.set_up(LogFormat(sys.argv[1]), LogLevel.ERROR)
try:
    connect()
except ValueError:
    structlog.get_logger("guard.test").exception("it failed")
"""


@pytest.mark.parametrize("form", [LogFormat.TEXT, LogFormat.JSON])
async def test_a_traceback_shows_where_and_why_and_no_variable_of_any_frame(
    form: LogFormat,
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FAILING, form.value, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    text = output.decode()
    assert process.returncode == 0
    assert "it failed" in text
    assert "connect" in text
    assert "refused" in text
    assert "hunter2" not in text
