"""One bad release at the same moment to a guarded shop, to a hand that knows, and to nobody."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tests.e2e.images import SHOP, UNGUARDED
from tests.e2e.stage import GOOD
from tests.e2e.table import ALONE_FOR, Row

if TYPE_CHECKING:
    from tests.e2e.records import Rollout
    from tests.e2e.shop import Spec
    from tests.e2e.stage import Open, Stage
    from tests.e2e.users import Users

QUIET = 4.0
"""Seconds without a failure after which the trouble is over: more than a user's patience."""
NOBODY_SEES = 60.0
"""Seconds after which a hand that has seen no failed request goes home."""


@dataclass(frozen=True, slots=True)
class Bad:
    """What is wrong with a release.

    Attributes:
        answers: it answers badly, so that time runs from its first bad response; else time runs
            from the release on, and a hand that knows waits for any failed request.
    """

    fault: dict[str, str]
    revision: str = "bad"
    image: str = SHOP
    answers: bool = True

    @property
    def env(self) -> dict[str, str]:
        """The environment of its pods."""
        return {**GOOD, **self.fault, "REVISION": self.revision}

    def first(self, users: Users, since: float) -> float | None:
        """When its users first saw that it is bad."""
        seen = users.failures(since)
        return next((f.at for f in seen if not self.answers or f.revision == self.revision), None)


@dataclass(slots=True)
class Trio:
    """The same shop up to three times.

    Attributes:
        releases: how many releases the guarded one has seen.
        good: the revision that a rollback brings back.
    """

    guarded: Open
    hand: Open | None = None
    alone: Open | None = None
    releases: int = 0
    good: str = "good"

    @property
    def all(self) -> list[Open]:
        """Those that there are."""
        return [shop for shop in (self.guarded, self.hand, self.alone) if shop is not None]


@dataclass(frozen=True, slots=True)
class Loss:
    """What users lost: failed requests, and when the last was, epoch seconds."""

    failed: int | None = None
    last: float | None = None


async def trio(
    stage: Stage, spec: Spec, *, hand: bool = True, alone: bool = True, rate: float = 50.0
) -> Trio:
    """Open a shop under the guard, one for the hand and one for nobody, all alike."""
    async with asyncio.TaskGroup() as group:

        def free(kind: str) -> asyncio.Task[Open]:
            copy = replace(spec, namespace=UNGUARDED, name=f"{spec.name}-{kind}")
            return group.create_task(stage.open(copy, GOOD, rate=rate))

        guarded = group.create_task(stage.guarded(spec, rate=rate))
        by_hand = free("hand") if hand else None
        by_nobody = free("alone") if alone else None
    return Trio(
        guarded.result(),
        by_hand.result() if by_hand else None,
        by_nobody.result() if by_nobody else None,
    )


async def release(
    stage: Stage, shops: Trio, bad: Bad, *, kind: str = "", note: str = "", within: float = 180.0
) -> tuple[Rollout, Row]:
    """Release it everywhere at once, wait for every end, measure, and add the row."""
    shops.releases += 1
    began = time.time()
    await asyncio.gather(*(shop.shop.release(bad.env, bad.image) for shop in shops.all))
    async with asyncio.TaskGroup() as group:
        end = group.create_task(stage.end(shops.guarded.name, number=shops.releases, within=within))
        hand = group.create_task(_by_hand(shops.hand, began, bad))
        alone = group.create_task(_alone(shops.alone, began))
    lost, first = hand.result()
    row = await _measured(stage, shops, end.result(), began, bad)
    row = replace(
        row,
        kind=kind,
        note=", ".join(word for word in (note, row.note) if word),
        alone=alone.result().failed,
        by_hand=lost.failed,
        hand_last_bad=None if lost.last is None or first is None else lost.last - first,
    )
    stage.row(row)
    return end.result(), row


async def _measured(stage: Stage, shops: Trio, rollout: Rollout, began: float, bad: Bad) -> Row:
    """The row of the guarded shop, once its users are served again."""
    users = shops.guarded.users
    if users is not None:
        await users.quiet(QUIET)
    first = bad.first(users, began) if users and bad.answers else None
    zero = began if first is None else first
    patched = shops.guarded.shop.in_force_since(shops.good, began)
    loss = _loss(users, began)
    return Row(
        scenario=stage.entry.name,
        outcome=rollout.where,
        decided=None if rollout.decided_at is None else rollout.decided_at - zero,
        patched=None if patched is None else patched - zero,
        last_bad=None if loss.last is None else loss.last - zero,
        failed=loss.failed,
        requests=_counted(rollout),
        note=", ".join(_words(users, began, from_release=zero == began)),
    )


def _counted(rollout: Rollout) -> int | None:
    """The candidate's requests in the evidence of the decision."""
    totals = [f["numbers"]["total"] for f in rollout.findings if f["kind"] == "error_ratio"]
    return int(totals[0]) if totals else None


def _words(users: Users | None, began: float, *, from_release: bool) -> list[str]:
    """What a reader of the row must know."""
    words = ["from the release on"] if from_release else []
    kinds = Counter(failure.kind for failure in users.failures(began)) if users else Counter()
    others = [f"{count} {kind}" for kind, count in sorted(kinds.items()) if kind != "5xx"]
    return [*words, *others]


def _loss(users: Users | None, since: float, until: float | None = None) -> Loss:
    if users is None:
        return Loss()
    times = [f.at for f in users.failures(since, until)]
    return Loss(len(times), max(times, default=None))


async def _by_hand(opened: Open | None, began: float, bad: Bad) -> tuple[Loss, float | None]:
    """`kubectl rollout undo` at the first bad response; when that was."""
    if opened is None:
        return Loss(), None
    users = opened.seen
    with contextlib.suppress(AssertionError):
        await users.until(lambda: bad.first(users, began) is not None, NOBODY_SEES)
    await opened.shop.undo()
    await opened.shop.complete()
    await users.quiet(QUIET)
    return _loss(users, began), bad.first(users, began)


async def _alone(opened: Open | None, began: float) -> Loss:
    """Nobody does anything; afterwards it is put back for a next round."""
    if opened is None:
        return Loss()
    await asyncio.sleep(began + ALONE_FOR - time.time())
    await opened.shop.undo()
    return _loss(opened.users, began, began + ALONE_FOR)
