"""Counting: cumulative counters to integer deltas, nothing twice, nothing invented.

The law of this module (decisions.md, Counting): over any polling schedule, source switches,
restarts and gaps, the deltas of an account sum to the requests its process served since it was
first seen, and to no more. What cannot be known is `NoData`, never a number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from guard.core.samples import NoData, NoDataReason, Reading
from guard.core.workloads import Container

FALLS_TO_BLIND = 3
"""Unexplained falls after which several processes answer behind one address (Counting 4)."""
CLOCK_RESOLUTION = 1.0
"""Seconds by which the platform's own times may be cut off (Kubernetes writes whole seconds)."""
DEBT_SECONDS = 10.0
"""Expected machine requests that did not come are remembered for so long at most."""


@dataclass(frozen=True, slots=True)
class Account:
    """One followed counter: (pod uid, container, check).

    Attributes:
        at: time of the last accepted sample; None while the target was only seen without it.
        total, bad: the last accepted cumulative values.
        balance: users' requests not yet emitted as whole numbers; negative while expected
            machine requests have not shown up yet.
        bad_pending: bad requests seen but not yet covered by emitted users' requests.
        falls: unexplained falls so far.
    """

    at: float | None = None
    total: float = 0.0
    bad: float = 0.0
    source: str = ""
    restarts: int = 0
    started_at: float | None = None
    process_start: float | None = None
    sent: int = 0
    sent_bad: int = 0
    balance: float = 0.0
    bad_pending: float = 0.0
    falls: int = 0


@dataclass(frozen=True, slots=True)
class Delta:
    """Users' requests between two accepted samples: `bad` of `total`, from `since` to `at`."""

    bad: int
    total: int
    since: float
    at: float


def seen_without(account: Account | None) -> Account:
    """The target answered without the series: a first value then counts from 0 (Counting 3)."""
    return Account() if account is None else account


def advance(
    account: Account | None, reading: Reading, container: Container | None, began_at: float
) -> tuple[Account | None, Delta | NoData]:
    """Take one reading into an account.

    Args:
        account: the account so far; None at first sight.
        reading: the reading, bad and total of one scrape.
        container: the container as the platform sees it now, for restarts.
        began_at: when the rollout began.

    Returns:
        The account (unchanged where the reading was not accepted) and what it added.
    """
    unusable = _unusable(reading)
    if unusable is not None:
        return account, unusable
    if account is None:
        return _first_sight(reading, container, began_at)
    if account.at is None:
        return _emit(_fresh(account, reading, container), reading, _start(reading, container))
    if reading.at <= account.at:
        return account, NoData(NoDataReason.NOT_NEWER)
    if _new_process(account, reading):
        return _emit(_restarted(account, reading, container), reading, reading.process_start)
    if reading.total < account.total or _bad(reading) < account.bad:
        return _fallen(account, reading, container)
    return _emit(_carry(account, container), reading, account.at)


def _unusable(reading: Reading) -> NoData | None:
    for value in (reading.total, _bad(reading)):
        if not math.isfinite(value) or value < 0 or value != math.floor(value):
            return NoData(NoDataReason.NOT_A_NUMBER, f"a counter reads {value}")
    if not math.isfinite(reading.at):
        return NoData(NoDataReason.NOT_A_NUMBER, f"a sample's time reads {reading.at}")
    if _bad(reading) > reading.total:
        return NoData(
            NoDataReason.AMBIGUOUS,
            f"bad {_bad(reading):.0f} exceeds total {reading.total:.0f}: not a part of it",
        )
    return None


def _bad(reading: Reading) -> float:
    """A series of errors that does not exist yet counts as 0: its total exists (Counting 5)."""
    return 0.0 if reading.bad is None else reading.bad


def _first_sight(
    reading: Reading, container: Container | None, began_at: float
) -> tuple[Account, Delta | NoData]:
    empty = _fresh(Account(), reading, container)
    started = container.started_at if container else None
    if started is not None and started + CLOCK_RESOLUTION >= began_at:
        return _emit(empty, reading, _start(reading, container))
    return _baseline(empty, reading), NoData(NoDataReason.BASELINE)


def _start(reading: Reading, container: Container | None) -> float:
    if reading.process_start is not None:
        return min(reading.process_start, reading.at)
    started = container.started_at if container else None
    return reading.at if started is None else min(started, reading.at)


def _fresh(account: Account, reading: Reading, container: Container | None) -> Account:
    """An account at 0, whose process has answered the guard's requests from the first on."""
    return _carry(
        replace(account, total=0.0, bad=0.0, sent=0, sent_bad=0, source=reading.source), container
    )


def _carry(account: Account, container: Container | None) -> Account:
    if container is None:
        return account
    return replace(account, restarts=container.restarts, started_at=container.started_at)


def _new_process(account: Account, reading: Reading) -> bool:
    """`process_start_time_seconds` is of the same scrape, so it tells a restart exactly."""
    before, now = account.process_start, reading.process_start
    return before is not None and now is not None and now != before


def _restarted(account: Account, reading: Reading, container: Container | None) -> Account:
    zero = replace(account, total=0.0, bad=0.0, balance=0.0, bad_pending=0.0)
    # The guard's requests to the process before this one are in neither counter.
    return _carry(replace(zero, sent=reading.sent, sent_bad=reading.sent_bad), container)


def _fallen(
    account: Account, reading: Reading, container: Container | None
) -> tuple[Account, Delta | NoData]:
    if container is not None and _container_moved(account, container):
        return _emit(_restarted(account, reading, container), reading, container.started_at)
    if reading.source != account.source:
        # Another source is behind in time whatever its clock says: taking its value as a new
        # baseline would count the requests between the two a second time.
        return account, NoData(NoDataReason.NOT_NEWER, "another source reads less")
    falls = account.falls + 1
    fallen = replace(_baseline(_carry(account, container), reading), falls=falls)
    detail = (
        f"the counter fell from {account.total:.0f} to {reading.total:.0f} without a restart"
        if falls < FALLS_TO_BLIND
        else "several processes answer behind one address (worker processes without a shared "
        "registry?)"
    )
    return fallen, NoData(NoDataReason.NOT_MONOTONIC, detail)


def _container_moved(account: Account, container: Container) -> bool:
    return container.restarts != account.restarts or (
        container.started_at is not None and container.started_at != account.started_at
    )


def _baseline(account: Account, reading: Reading) -> Account:
    return replace(_accepted(account, reading), balance=0.0, bad_pending=0.0)


def _accepted(account: Account, reading: Reading) -> Account:
    return replace(
        account,
        at=reading.at,
        total=reading.total,
        bad=_bad(reading),
        source=reading.source,
        process_start=reading.process_start,
        sent=reading.sent,
        sent_bad=reading.sent_bad,
    )


def _emit(account: Account, reading: Reading, since: float | None) -> tuple[Account, Delta]:
    """Emit what users did since the last value; machines' requests are set off (Counting 7)."""
    begin = reading.at if since is None else since
    seconds = max(reading.at - begin, 0.0)
    machine = 0.0
    machine_bad = 0.0
    if not reading.paths_known:
        machine = reading.machine * seconds + max(reading.sent - account.sent, 0)
        machine_bad = machine if reading.sent_bad > account.sent_bad else 0.0
    balance = account.balance + (reading.total - account.total) - machine
    balance = max(balance, -(reading.machine * DEBT_SECONDS + 1.0))
    users = max(math.floor(balance), 0)
    balance -= users
    pending = account.bad_pending + max(_bad(reading) - account.bad - machine_bad, 0.0)
    bad = min(math.floor(pending), users)
    # What is set off against machines too early shows up as users' requests a little later.
    pending = min(pending - bad, max(-math.floor(balance), 0))
    after = replace(_accepted(account, reading), balance=balance, bad_pending=float(pending))
    return after, Delta(bad=bad, total=users, since=begin, at=reading.at)
