"""The `guard` command. Each subcommand's module is imported only when it is asked for.

So `guard --help` answers at once, and a command does not pay for the libraries of another.
"""

from __future__ import annotations

import importlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import click

from guard import __version__

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from guard.cli.check_live import Live
    from guard.config.settings import Settings

_COMMANDS: Final = {
    "run": ("guard.cli.run", "Watch workloads, judge their rollouts, act on what is decided."),
    "check": ("guard.cli.check", "Validate SLO files, and with --live what they select."),
    "discover": ("guard.cli.discover", "Find out which request counters your workloads expose."),
    "explain": ("guard.cli.explain", "Say why a rollout was promoted, held or rolled back."),
    "demo": ("guard.cli.demo", "See a bad release stopped, on this machine, in under a minute."),
}
"""Where each command is, and its line in the help."""


class _Lazy(click.Group):
    """A group that knows its commands by name until one is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(_COMMANDS[cmd_name][0])
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in _COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            known = ", ".join(_COMMANDS)
            ctx.fail(f"no command {args[0]!r}; there are {known}")
        return super().resolve_command(ctx, args)


@asynccontextmanager
async def _live(settings: Settings) -> AsyncIterator[Live]:
    """Connect to what `check --live` asks."""
    from guard import app  # noqa: PLC0415 - only this command pays for it
    from guard.cli.check_live import Live  # noqa: PLC0415 - the same

    async with app.connected(settings) as (platform, scraper, lookup):
        yield Live(platform, scraper, lookup)


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="guard")
@click.pass_context
def main(context: click.Context) -> None:
    """Guards deployments: watches a rollout, decides promote or abort, rolls back, explains.

    Settings come from GUARD_ variables (docs/settings.md), objectives from SLO files
    (docs/slo-file.md).
    """
    context.obj = _live
