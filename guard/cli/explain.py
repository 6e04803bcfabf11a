"""`guard explain`: why a rollout ended as it did, from a guard that runs or from what it wrote."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import click

from guard import app
from guard.cli.check import EXIT_INVALID, EXIT_UNREADABLE
from guard.cli.explain_text import as_text
from guard.config.environment import load_settings
from guard.config.problems import ConfigurationProblems
from guard.core.errors import GuardError, PermanentError, TemporaryError
from guard.engine import codec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guard.config.settings import Settings

    Head = dict[str, Any]

ANSWER_WITHIN = 10.0
"""Seconds for the guard's answer; it may come through a port-forward."""
NAMED_AT_MOST = 20
"""Rollouts that are named where none is meant, or several are."""


@click.command(short_help="Say why a rollout was promoted, held or rolled back.")
@click.argument("rollout")
@click.option("--server", metavar="URL", help="A guard's address; without it, what it wrote.")
@click.option("--json", "as_json", is_flag=True, help="Print the record as JSON instead of text.")
@click.pass_context
def explain(context: click.Context, rollout: str, server: str | None, *, as_json: bool) -> None:
    """Explain ROLLOUT: every finding, with its numbers, its tests and its query.

    ROLLOUT is `namespace/name` for a workload's newest one, a rollout's whole name, or the
    beginning of either or of the release's hash. It is read from the guard at --server (for
    example http://127.0.0.1:8080 behind `kubectl port-forward`), and without it from the
    ConfigMaps of the guard's namespace, in the cluster that the GUARD_ settings name.

    Exits 0, 1 where no such rollout is known, 2 where nothing could be asked.
    """
    try:
        heads = asyncio.run(_served(server) if server else _stored(load_settings()))
    except ConfigurationProblems as error:
        click.echo(str(error), err=True)
        context.exit(EXIT_UNREADABLE)
    except GuardError as error:
        click.echo(f"cannot ask: {error}", err=True)
        context.exit(EXIT_UNREADABLE)
    try:
        head = chosen(rollout, heads)
    except PermanentError as error:
        click.echo(str(error), err=True)
        context.exit(EXIT_INVALID)
    click.echo(json.dumps(head, indent=2, ensure_ascii=False) if as_json else as_text(head))


# Which one.


def chosen(name: str, heads: Sequence[Head]) -> Head:
    """The rollout that a name means: of one workload's the newest.

    Args:
        name: as a person types it.
        heads: all that are known, in any order.

    Raises:
        PermanentError: none is meant, or several workloads are; the text names them.
    """
    newest = sorted(heads, key=lambda head: -head["began_at"])
    exact = [head for head in newest if name in (head["rollout"], _workload(head))]
    meant = exact or [head for head in newest if _begins(head, name)]
    if not meant:
        known = _named(newest) if newest else "\n  none at all"
        msg = f"no rollout is named {name!r}; known are{known}"
        raise PermanentError(msg)
    if len({_workload(head) for head in meant}) > 1:
        msg = f"{name!r} may be rollouts of several workloads:{_named(meant)}"
        raise PermanentError(msg)
    return meant[0]


def _workload(head: Head) -> str:
    workload = head["workload"]
    return f"{workload['namespace']}/{workload['name']}"


def _begins(head: Head, name: str) -> bool:
    rollout = head["rollout"]
    whole = (rollout, rollout.partition("/")[2], head["candidate"]["hash"])
    return any(one.startswith(name) for one in whole)


def _named(heads: Sequence[Head]) -> str:
    lines = [f"\n  {head['rollout']}" for head in heads[:NAMED_AT_MOST]]
    more = len(heads) - len(lines)
    return "".join(lines) + (f"\n  and {more} older ones" if more > 0 else "")


# Where from.


async def _served(server: str) -> list[Head]:
    """What a guard that runs knows.

    Raises:
        TemporaryError: it does not answer.
        PermanentError: what answers is no guard.
    """
    url = f"{server.rstrip('/')}/api/v1/rollouts"
    limit = aiohttp.ClientTimeout(total=ANSWER_WITHIN)
    try:
        async with aiohttp.ClientSession(timeout=limit) as session, session.get(url) as answer:
            answer.raise_for_status()
            document = await answer.json()
            heads: list[Head] = document["rollouts"]
    except aiohttp.ClientResponseError as error:
        msg = f"{server}: status {error.status}, expected a guard's API there"
        raise PermanentError(msg) from None
    except aiohttp.InvalidURL:
        msg = f"{server}: no URL, expected one like http://127.0.0.1:8080"
        raise PermanentError(msg) from None
    except (aiohttp.ClientError, TimeoutError) as error:
        msg = f"{server}: no answer ({type(error).__name__}); is the port-forward up?"
        raise TemporaryError(msg) from None
    except (ValueError, KeyError, TypeError):
        msg = f"{server}: what answers is no guard"
        raise PermanentError(msg) from None
    return heads


async def _stored(settings: Settings) -> list[Head]:
    """What a guard wrote into its namespace.

    Raises:
        ConfigurationError: the cluster cannot be used.
        TemporaryError: the cluster does not answer.
        PermanentError: it refuses.
    """
    heads: list[Head] = []
    for documents in await app.stored(settings):
        try:
            _, records = codec.decode(documents)
        except PermanentError as error:
            click.echo(f"passed over: {error}", err=True)
            continue
        heads += [codec.head(record) for record in records]
    return heads
