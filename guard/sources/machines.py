"""What kubelet, Prometheus and the guard itself ask of a container, so that it can be set off.

The law of this module: where a number can be off, it is off on the side of machines. A user's
request taken for a machine's delays a verdict; the other way round a candidate that nobody uses
would be promoted (decisions.md, Counting 7).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from guard.core.samples import Reading
    from guard.core.workloads import Pod
    from guard.sources.ledger import Ledger

ANNOTATION_SCRAPE: Final = "prometheus.io/scrape"
ANNOTATION_PORT: Final = "prometheus.io/port"

USUAL_INTERVAL: Final = 15.0
"""Scrape interval taken for a Prometheus that only the pod's annotation tells of, seconds."""
UNDER_WAY: Final = 2
"""Requests of the guard to one container that may be counted there and not yet in the ledger: a
health probe under way, and one whose answer came before the server's own count of it."""
POLL: Final = 5.0
"""Seconds by which a pod can have hung before the first request that was given up, and after the
last: the slowest poll (guard/engine/rhythm.py)."""


@dataclass(frozen=True, slots=True)
class PrometheusScrapes:
    """How Prometheus scrapes pods: `interval` in seconds, by so many `replicas`."""

    interval: float = USUAL_INTERVAL
    replicas: int = 1


def machine_rate(
    pod: Pod, container: str, prometheus: PrometheusScrapes | None
) -> tuple[float, int]:
    """The HTTP requests to be expected of kubelet and Prometheus.

    Args:
        pod: the pod; its probes and annotations are read.
        container: the container whose counter is read.
        prometheus: None where the guard knows of no Prometheus.

    Returns:
        Requests per second, and how many machines ask in a rhythm of their own (so many requests
        may come at once).
    """
    probes = [p for p in pod.probes if p.handler == "http" and p.container in {container, ""}]
    # A startup probe ends before the others begin.
    startup = sum(1.0 / p.period for p in probes if p.kind == "startup")
    lasting = sum(1.0 / p.period for p in probes if p.kind != "startup")
    scrapes = _scrapes(pod, container, prometheus)
    replicas = scrapes.replicas if scrapes else 0
    scraped = replicas / scrapes.interval if scrapes else 0.0
    return max(startup, lasting) + scraped, len(probes) + replicas


def _scrapes(
    pod: Pod, container: str, prometheus: PrometheusScrapes | None
) -> PrometheusScrapes | None:
    """How Prometheus scrapes this container; None where it does not."""
    annotations = dict(pod.annotations)
    says = annotations.get(ANNOTATION_SCRAPE, "").lower()
    if says == "false" or not _may_own(pod, container, annotations.get(ANNOTATION_PORT, "")):
        return None
    return prometheus or (PrometheusScrapes() if says == "true" else None)


def _may_own(pod: Pod, container: str, port: str) -> bool:
    """Whether a port may be this container's: unless another one declares it."""
    owners = {one.name for one in pod.containers if any(str(n) == port for _, n in one.ports)}
    return not owners or container in owners


class Machines:
    """Completes readings by what machines sent. Both sources of counters use it."""

    def __init__(self, ledger: Ledger, prometheus: PrometheusScrapes | None) -> None:
        """Take the guard's own ledger, and how Prometheus scrapes."""
        self._ledger = ledger
        self._prometheus = prometheus

    def set_off(
        self, reading: Reading, pod: Pod, container: str, *, as_of: float | None = None
    ) -> Reading:
        """The same reading, with all that counting needs to tell machines' requests.

        Args:
            reading: the reading of one container.
            pod: its pod.
            container: the container's name; `""` where it is not known.
            as_of: the guard's own requests that ended up to then are in the reading; None: up
                to its own time.
        """
        at = reading.at if as_of is None else as_of
        ours = container or None
        sent, sent_bad = self._ledger.sent(pod.uid, at, ours)
        rate, askers = machine_rate(pod, container, self._prometheus)
        given_up, span = self._ledger.unanswered(pod.uid, at, ours)
        # Where the guard had no answer the kubelet had none, and a pod that comes back works off
        # what it was asked meanwhile.
        late = given_up + ceil(rate * (span + 2.0 * POLL)) if given_up else 0
        return replace(
            reading,
            machine=rate,
            sent=sent,
            sent_bad=sent_bad,
            sent_since=self._ledger.known_since(pod.uid),
            ahead=askers + UNDER_WAY + late,
        )
