"""Counting: cumulative counters to integer deltas, nothing twice, nothing invented.

The law of this module (decisions.md, Counting): over any polling schedule, source switches,
restarts and gaps, the deltas of an account sum to the requests its process served since it was
first seen, and to no more. What cannot be known is `NoData`, never a number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum

from guard.core.samples import NoData, NoDataReason, Reading
from guard.core.workloads import Container

FALLS_TO_BLIND = 3
"""Unexplained falls after which several processes answer behind one address (Counting 4)."""
CLOCK_RESOLUTION = 1.0
"""Seconds by which the platform's own times may be cut off (Kubernetes writes whole seconds)."""
DEBT_SECONDS = 10.0
"""Expected machine requests that did not come are remembered for so long at most, where the
source does not say how many may come at once."""
CLOCK_SKEW = 5.0
"""Seconds by which the clock of a node may differ from that of a sample."""
SOURCE_LAG = 60.0
"""Seconds after which another source that reads less is not merely behind in time."""


@dataclass(frozen=True, slots=True)
class Account:
    """One followed counter: (pod uid, container, check).

    Attributes:
        at: time of the last accepted sample; None while the target was only seen without it.
        without_at: when the target was last seen without the series, before its first value.
        total, bad: the last accepted cumulative values.
        restarts, started_at: the platform's words on the process that gave them; None unknown.
        ready: the container was ready then: a probe of one that is not is answered with an
            error, which is no user's.
        ready_at: when the pod first became ready, for its youth.
        balance: users' requests not yet emitted as whole numbers; negative while expected
            machine requests have not shown up yet.
        bad_pending: bad requests seen but not yet covered by emitted users' requests; negative
            while failed requests of machines are expected.
        falls: unexplained falls so far.
    """

    at: float | None = None
    without_at: float | None = None
    total: float = 0.0
    bad: float = 0.0
    source: str = ""
    restarts: int | None = None
    started_at: float | None = None
    process_start: float | None = None
    sent: int = 0
    sent_bad: int = 0
    ready: bool = False
    ready_at: float | None = None
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


Advanced = tuple[Account, Delta | NoData]


class _Process(Enum):
    """Which process answered, compared with the one that answered before."""

    SAME = "same"
    NEXT = "next"
    ANOTHER = "another"


def seen_without(account: Account | None, at: float) -> Account:
    """The target answered without the series: a first value then counts from 0 (Counting 3)."""
    return Account(without_at=at) if account is None else account


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
    broken = unusable(reading)
    if broken is not None:
        return account, broken
    if account is None:
        return _first_sight(reading, container, began_at)
    last_at = account.without_at if account.at is None else account.at
    if last_at is not None and reading.at <= last_at:
        return account, NoData(NoDataReason.NOT_NEWER)
    if account.at is None:
        begin = max(_start(reading, container), last_at or 0.0)
        return _emit(_fresh(account, reading, container), reading, container, begin)
    return _follow(account, reading, container, account.at)


def _follow(
    account: Account, reading: Reading, container: Container | None, last_at: float
) -> Advanced:
    process = _process(account, reading, container, last_at)
    if process is _Process.NEXT:
        begin = max(_start(reading, container), last_at)
        return _emit(_restarted(account, reading, container), reading, container, begin)
    if account.falls >= FALLS_TO_BLIND:
        return account, _SEVERAL_PROCESSES
    fell = reading.total < account.total or _bad(reading) < account.bad
    if process is _Process.ANOTHER or fell:
        return _fallen(account, reading, container, last_at)
    return _emit(_identified(account, reading, container), reading, container, last_at)


def unusable(reading: Reading) -> NoData | None:
    """Why a reading cannot be counted; None where it can."""
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


def _first_sight(reading: Reading, container: Container | None, began_at: float) -> Advanced:
    empty = _fresh(Account(), reading, container)
    if _began_with_rollout(reading, container, began_at):
        return _emit(empty, reading, container, _start(reading, container))
    if container is not None and reading.at < (container.started_at or 0.0):
        empty = replace(empty, restarts=container.restarts - 1)
    return _baseline(empty, reading, container), NoData(NoDataReason.BASELINE)


def _began_with_rollout(reading: Reading, container: Container | None, began_at: float) -> bool:
    """Whether this value was counted by a process that started during this rollout.

    A container that has just restarted is not enough: a sample can be older than the restart
    that the platform already shows, and then holds all that the process before it served.
    """
    started = container.started_at if container else None
    if started is None or started + CLOCK_RESOLUTION < began_at or reading.at < started:
        return False
    return reading.process_start is None or reading.process_start + CLOCK_SKEW >= started


def _start(reading: Reading, container: Container | None) -> float:
    if reading.process_start is not None:
        return min(reading.process_start, reading.at)
    started = container.started_at if container else None
    return reading.at if started is None else min(started, reading.at)


def _slack(reading: Reading) -> float:
    """Requests of machines that may come before their mean rate says so: they come in step."""
    if reading.paths_known:
        return 0.0
    if reading.ahead is not None:
        # A machine that asks every P seconds is at most one request ahead of 1/P, over any time.
        return float(reading.ahead)
    return reading.machine * DEBT_SECONDS + 1.0 if reading.machine or reading.sent else 0.0


def _fresh(account: Account, reading: Reading, container: Container | None) -> Account:
    """An account at 0, whose process has answered the guard's requests from the first on."""
    zero = Account(
        source=reading.source,
        ready_at=account.ready_at,
        balance=-_slack(reading),
        bad_pending=-_slack(reading),
    )
    return _carry(zero, container)


def _carry(account: Account, container: Container | None) -> Account:
    if container is None:
        return account
    return replace(account, restarts=container.restarts, started_at=container.started_at)


def _identified(account: Account, reading: Reading, container: Container | None) -> Account:
    """Note which process answered, unless the platform may speak of the one after it.

    A sample from Prometheus may be older than a restart that the platform already shows: were
    that noted now, the fall that follows would look unexplained.
    """
    if container is None or not _container_moved(account, container):
        return account
    started = container.started_at
    if account.restarts is not None and (
        started is None or reading.at < started + CLOCK_RESOLUTION
    ):
        return account
    return _carry(account, container)


def _process(
    account: Account, reading: Reading, container: Container | None, last_at: float
) -> _Process:
    before, now = account.process_start, reading.process_start
    if before is not None and now is not None:
        # It is of the same scrape, so it tells a restart exactly. A process that lived already
        # when the one before it answered is no successor: both live behind one address.
        if now == before:
            return _Process.SAME
        later = now > before and now + CLOCK_SKEW >= last_at
        return _Process.NEXT if later else _Process.ANOTHER
    if container is None or not _container_moved(account, container):
        return _Process.SAME
    if reading.total < account.total or _bad(reading) < account.bad:
        return _Process.NEXT
    started = container.started_at
    between = started is not None and last_at < started <= reading.at - CLOCK_RESOLUTION
    return _Process.NEXT if between else _Process.SAME


def _container_moved(account: Account, container: Container) -> bool:
    if account.restarts is None:
        return False
    return container.restarts != account.restarts or (
        container.started_at is not None and container.started_at != account.started_at
    )


def _restarted(account: Account, reading: Reading, container: Container | None) -> Account:
    # What the guard sent to the process before this one is set off as well: too many requests
    # taken for machines' only delay a verdict, too few would be users that never were.
    return replace(
        _fresh(account, reading, container), sent=account.sent, sent_bad=account.sent_bad
    )


_SEVERAL_PROCESSES = NoData(
    NoDataReason.NOT_MONOTONIC,
    "several processes answer behind one address (worker processes without a shared registry?)",
)


def _fallen(
    account: Account, reading: Reading, container: Container | None, last_at: float
) -> Advanced:
    if reading.source != account.source and reading.at - last_at <= SOURCE_LAG:
        # Another source is behind in time whatever its clock says: taking its value as a new
        # baseline would count the requests between the two a second time.
        return account, NoData(NoDataReason.NOT_NEWER, "another source reads less")
    falls = account.falls + 1
    after = _baseline(_identified(account, reading, container), reading, container)
    after = replace(after, falls=falls)
    if falls >= FALLS_TO_BLIND:
        return after, _SEVERAL_PROCESSES
    words = f"from {account.total:.0f} to {reading.total:.0f} without a restart"
    return after, NoData(NoDataReason.NOT_MONOTONIC, f"the counter went {words}")


def _baseline(account: Account, reading: Reading, container: Container | None) -> Account:
    # Machines may come right after the baseline as well as at any other time.
    slack = _slack(reading)
    pending = 0.0 if _ready(container) else -slack
    return replace(_accepted(account, reading, container), balance=-slack, bad_pending=pending)


def _accepted(account: Account, reading: Reading, container: Container | None) -> Account:
    return replace(
        account,
        at=reading.at,
        total=reading.total,
        bad=_bad(reading),
        source=reading.source,
        process_start=reading.process_start,
        sent=reading.sent,
        sent_bad=reading.sent_bad,
        ready=_ready(container),
    )


def _ready(container: Container | None) -> bool:
    return container is None or container.ready


def _emit(
    account: Account, reading: Reading, container: Container | None, begin: float
) -> Advanced:
    """Emit what users did since the last value; machines' requests are set off (Counting 7)."""
    if not reading.paths_known and begin < reading.sent_since:
        # A guard before this one asked too, and nobody knows how often.
        words = "what was asked before the guard was started cannot be told from users' requests"
        return _baseline(account, reading, container), NoData(NoDataReason.BASELINE, words)
    slack = _slack(reading)
    if not (reading.paths_known or account.ready or _ready(container)):
        # The kubelet asks a container that is not ready more often than its period says (a quarter
        # more, measured on Kubernetes 1.34), and gets errors; users are not sent to it.
        after = _accepted(account, reading, container)
        after = replace(after, balance=-slack, bad_pending=-slack)
        return after, Delta(bad=0, total=0, since=begin, at=reading.at)
    machine, machine_bad = _machines(account, reading, container, begin)
    balance = account.balance + (reading.total - account.total) - machine
    balance = max(balance, -slack)
    users = max(math.floor(balance), 0)
    balance -= users
    pending = account.bad_pending + _bad(reading) - account.bad - machine_bad
    pending = max(pending, 0.0 if _ready(container) else -slack)
    bad = min(max(math.floor(pending), 0), users)
    # What is set off against machines too early shows up as users' requests a little later.
    pending = min(pending - bad, float(max(-math.floor(balance), 0)))
    after = replace(_accepted(account, reading, container), balance=balance, bad_pending=pending)
    return after, Delta(bad=bad, total=users, since=begin, at=reading.at)


def _machines(
    account: Account, reading: Reading, container: Container | None, begin: float
) -> tuple[float, float]:
    """The requests of machines since the last value, and the failed ones among them."""
    if reading.paths_known:
        return 0.0, 0.0
    expected = reading.machine * max(reading.at - begin, 0.0)
    sent = max(reading.sent - account.sent, 0)
    sent_bad = max(reading.sent_bad - account.sent_bad, 0)
    healthy = account.ready and _ready(container)
    failing = sent_bad > 0 or not healthy
    return expected + sent, sent_bad + (expected if failing else 0.0)
