"""`guard demo`: a good release promoted and a bad one stopped, on this machine."""

from __future__ import annotations

import asyncio

import click

from guard.core.errors import GuardError

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130
"""What a shell expects of a command that Ctrl-C ended."""


@click.command(short_help="See a bad release stopped, on this machine, in under a minute.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Port of the page on 127.0.0.1; 0 (the default) takes a free one.",
)
@click.option("--no-page", is_flag=True, help="Serve no page.")
@click.option("--stay", is_flag=True, help="At the end keep the page until Ctrl-C.")
@click.pass_context
def demo(context: click.Context, *, port: int, no_page: bool, stay: bool) -> None:
    """Run two copies of one shop, release to both, and guard only one of them.

    Everything is real and on this machine: HTTP servers, users' requests, and the same engine that
    `guard run` runs. Needs no cluster, no Prometheus and no rights. Exits 0 if the good release was
    promoted and the bad one rolled back, 1 if not.
    """
    try:
        from guard.cli import logs  # noqa: PLC0415 - `guard --help` does not pay for it
        from guard.cli.demo_story import tell  # noqa: PLC0415 - the same
        from guard.config.settings import LogFormat, LogLevel  # noqa: PLC0415 - the same

        # The story tells what the engine does; only defects of the guard's own come beside it.
        logs.set_up(LogFormat.TEXT, LogLevel.ERROR)
        status = asyncio.run(tell(None if no_page else port, stay=stay))
    except GuardError as error:
        click.echo(f"cannot show it: {error}", err=True)
        status = EXIT_FAILED
    except KeyboardInterrupt:
        click.echo("stopped")
        status = EXIT_INTERRUPTED
    context.exit(status)
