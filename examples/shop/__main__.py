"""Sends load from the command line: `python -m examples.shop --rate 50 URL…`.

Prints one line a second, then one line a target; exits 1 if a user saw a failure.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from examples.shop.load import DEADLINE, Target, drive

if TYPE_CHECKING:
    from examples.shop.load import Tally


def main() -> int:
    """Read the arguments, load the targets, print what their users saw."""
    parser = argparse.ArgumentParser(prog="python -m examples.shop", description=__doc__)
    parser.add_argument("urls", nargs="+", metavar="URL")
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second to each")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--deadline", type=float, default=DEADLINE, help="seconds a user waits")
    parser.add_argument("--keepalive", action="store_true", help="reuse connections")
    given = parser.parse_args()
    targets = [_target(url, given) for url in given.urls]
    tallies = asyncio.run(drive(targets, given.seconds, _print_second))
    for tally in tallies:
        print(
            f"{tally.target.name}: {tally.sent} sent, {tally.ok} answered, {tally.failed} failed "
            f"{tally.by_kind()}, by revision {tally.answered}"
        )
    return int(any(tally.failed for tally in tallies))


def _target(url: str, given: argparse.Namespace) -> Target:
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname is None:
        sys.exit(f"expected http://HOST:PORT/PATH, found {url}")
    return Target(
        name=url,
        host=parts.hostname,
        port=parts.port or 80,
        path=parts.path or "/",
        rate=given.rate,
        deadline=given.deadline,
        keepalive=given.keepalive,
    )


def _print_second(tallies: list[Tally]) -> None:
    print(" ".join(f"{tally.ok} ok {tally.failed} failed" for tally in tallies), flush=True)


if __name__ == "__main__":
    sys.exit(main())
