"""`guard run`: the service itself."""

from __future__ import annotations

import asyncio

import click

from guard import app
from guard.cli import logs
from guard.cli.check import EXIT_INVALID, EXIT_UNREADABLE
from guard.config.environment import load_settings
from guard.config.problems import ConfigurationProblems
from guard.config.reload import Watcher
from guard.core.errors import GuardError


@click.command(short_help="Watch workloads, judge their rollouts, act on what is decided.")
@click.pass_context
def run(context: click.Context) -> None:
    """Guard the workloads that SLO files name, and those that opt in by label, until SIGTERM.

    Exits 1 where settings or SLO files are wrong (all problems at once), 2 where the cluster or a
    file cannot be reached, 0 after SIGTERM.
    """
    try:
        settings = load_settings()
    except ConfigurationProblems as error:
        click.echo(str(error), err=True)
        context.exit(EXIT_INVALID)
    watcher = Watcher([settings.slo_dir])
    watcher.poll()
    if watcher.problems:
        click.echo("\n".join(map(str, watcher.problems)), err=True)
        context.exit(EXIT_INVALID)
    logs.set_up(settings.log_format, settings.log_level)
    try:
        asyncio.run(app.run(settings, watcher))
    except GuardError as error:
        click.echo(f"cannot guard: {error}", err=True)
        context.exit(EXIT_UNREADABLE)
