"""`guard check`: says everything that is wrong with SLO files, before a rollout depends on them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from guard.cli.check_live import Live, ask
from guard.cli.live_findings import NOTES, LiveFinding
from guard.config.codes import Code
from guard.config.environment import load_settings
from guard.config.load import Loaded, load
from guard.config.problems import ConfigurationProblems, Problem
from guard.config.settings import Settings
from guard.core.errors import GuardError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guard.core.policy import Service

EXIT_INVALID = 1
EXIT_UNREADABLE = 2
_DEFAULT_FOLDER = "slos"

OpenLive = Callable[[Settings], AbstractAsyncContextManager[Live]]
"""Connects to what the settings name, for `--live`; the composition root gives it to the CLI."""


@click.command(short_help="Validate SLO files, and with --live what they select.")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path, readable=False))
@click.option("--live", is_flag=True, help="Also ask the cluster and Prometheus; changes nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
@click.pass_context
def check(context: click.Context, paths: tuple[Path, ...], *, live: bool, as_json: bool) -> None:
    """Validate the SLO files at PATHS: files, or folders of *.yaml (default: slos).

    Prints every problem of every file at once. Exits 0 (valid), 1 (invalid) or 2 (cannot read).
    With --live, files that are valid are also held against the cluster and Prometheus that the
    GUARD_ settings name.
    """
    loaded = examine(paths or (Path(_DEFAULT_FOLDER),))
    findings: list[LiveFinding] = []
    if live and not loaded.problems:
        findings = _ask(context, loaded.services)
    click.echo(_encoded(as_document(loaded, findings) if as_json else as_text(loaded, findings)))
    context.exit(exit_status(loaded, findings))


def examine(paths: Sequence[Path]) -> Loaded:
    """Load the files; no file at all is a problem too, since nothing was checked then."""
    loaded = load(paths)
    if loaded.files or loaded.problems:
        return loaded
    words = ("no file", "at least one *.yaml", "name the folder that holds the SLO files")
    nothing = Problem(", ".join(map(str, paths)), 0, "", Code.NO_FILES, *words)
    return Loaded((), (nothing,))


def exit_status(loaded: Loaded, findings: Sequence[LiveFinding] = ()) -> int:
    """0, 1 or 2 for valid, invalid, unreadable; unreadable says the least and weighs the most."""
    if loaded.unreadable:
        return EXIT_UNREADABLE
    serious = any(finding.serious for finding in findings)
    return EXIT_INVALID if loaded.problems or serious else 0


def as_text(loaded: Loaded, findings: Sequence[LiveFinding] = ()) -> str:
    """All problems, grouped by file, what is live, and one line that sums up."""
    groups = groupby(loaded.problems, key=lambda problem: problem.file)
    blocks = ["\n".join(map(str, problems)) for _, problems in groups]
    told = ["\n".join(map(str, findings))] if findings else []
    return "\n\n".join([*blocks, *told, _summary(loaded, findings)])


def as_document(loaded: Loaded, findings: Sequence[LiveFinding] = ()) -> str:
    """The same for machines: `valid`, `problems`, `services`, `live`."""
    document: dict[str, Any] = {
        "valid": not loaded.problems,
        "files": loaded.files,
        "problems": [asdict(problem) for problem in loaded.problems],
        "services": [_described(service) for service in loaded.services],
        "live": [asdict(finding) | {"serious": finding.serious} for finding in findings],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _ask(context: click.Context, services: Sequence[Service]) -> list[LiveFinding]:
    """Connect and ask.

    Ends the command with status 1 for wrong settings, and 2 where nothing could be asked.
    """
    connect: OpenLive | None = context.obj
    if connect is None:
        message = "--live needs a platform to ask; run it as `guard check --live`"
        raise click.UsageError(message)
    try:
        return asyncio.run(_asked(services, connect(load_settings())))
    except ConfigurationProblems as error:
        click.echo(str(error), err=True)
        context.exit(EXIT_INVALID)
    except GuardError as error:
        click.echo(f"cannot ask: {error}", err=True)
        context.exit(EXIT_UNREADABLE)


async def _asked(
    services: Sequence[Service], connection: AbstractAsyncContextManager[Live]
) -> list[LiveFinding]:
    async with connection as live:
        return await ask(services, live)


def _encoded(text: str) -> str:
    """The text as UTF-8 can hold it: a file's name on Linux is any bytes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _described(service: Service) -> dict[str, Any]:
    return {
        "service": service.name,
        "file": service.path,
        "workloads": [str(workload) for workload in service.workloads],
        "checks": [item.name for item in service.policy.checks],
    }


def _summary(loaded: Loaded, findings: Sequence[LiveFinding]) -> str:
    files = _counted(loaded.files, "file")
    if loaded.problems:
        return f"{_counted(len(loaded.problems), 'problem')} in {files}"
    checks = sum(len(service.policy.checks) for service in loaded.services)
    services = _counted(len(loaded.services), "service")
    text = f"{files} valid: {services}, {_counted(checks, 'check')}"
    if not findings:
        return text
    serious = sum(finding.serious for finding in findings)
    notes = sum(finding.kind in NOTES for finding in findings)
    warnings = _counted(len(findings) - serious - notes, "warning")
    return f"{text}; live: {_counted(serious, 'problem')}, {warnings}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
