"""`guard check`: says everything that is wrong with SLO files, before a rollout depends on them."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from guard.config.codes import Code
from guard.config.load import Loaded, load
from guard.config.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guard.core.policy import Service

EXIT_INVALID = 1
EXIT_UNREADABLE = 2
_DEFAULT_FOLDER = "slos"


@click.command(short_help="Validate SLO files, and with --live what they select.")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
@click.pass_context
def check(context: click.Context, paths: tuple[Path, ...], *, as_json: bool) -> None:
    """Validate the SLO files at PATHS: files, or folders of *.yaml (default: slos).

    Prints every problem of every file at once. Exits 0 (valid), 1 (invalid) or 2 (cannot read).
    """
    loaded = examine(paths or (Path(_DEFAULT_FOLDER),))
    click.echo(as_document(loaded) if as_json else as_text(loaded))
    context.exit(exit_status(loaded))


def examine(paths: Sequence[Path]) -> Loaded:
    """Load the files; no file at all is a problem too, since nothing was checked then."""
    loaded = load(paths)
    if loaded.files or loaded.problems:
        return loaded
    words = ("no file", "at least one *.yaml", "name the folder that holds the SLO files")
    nothing = Problem(", ".join(map(str, paths)), 0, "", Code.NO_FILES, *words)
    return Loaded((), (nothing,))


def exit_status(loaded: Loaded) -> int:
    """0, 1 or 2 for valid, invalid, unreadable; unreadable says the least and weighs the most."""
    if loaded.unreadable:
        return EXIT_UNREADABLE
    return EXIT_INVALID if loaded.problems else 0


def as_text(loaded: Loaded) -> str:
    """All problems, grouped by file, and one line that sums up."""
    groups = groupby(loaded.problems, key=lambda problem: problem.file)
    blocks = ["\n".join(str(problem) for problem in problems) for _, problems in groups]
    return "\n\n".join([*blocks, _summary(loaded)])


def as_document(loaded: Loaded) -> str:
    """The same for machines: `valid`, `problems`, `services`."""
    document: dict[str, Any] = {
        "valid": not loaded.problems,
        "files": loaded.files,
        "problems": [asdict(problem) for problem in loaded.problems],
        "services": [_described(service) for service in loaded.services],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _described(service: Service) -> dict[str, Any]:
    return {
        "service": service.name,
        "file": service.path,
        "workloads": [str(workload) for workload in service.workloads],
        "checks": [item.name for item in service.policy.checks],
    }


def _summary(loaded: Loaded) -> str:
    files = _counted(loaded.files, "file")
    if loaded.problems:
        return f"{_counted(len(loaded.problems), 'problem')} in {files}"
    checks = sum(len(service.policy.checks) for service in loaded.services)
    services = _counted(len(loaded.services), "service")
    return f"{files} valid: {services}, {_counted(checks, 'check')}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
