"""The guard's own metrics. Every label set exists from start-up, at 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from guard.core import names
from guard.core.actions import OutcomeKind
from guard.core.findings import Reason, Verdict
from guard.core.states import ENDS, Phase

if TYPE_CHECKING:
    from guard.core.workloads import WorkloadId

ACTIVE = tuple(phase for phase in Phase if phase not in ENDS)
SOURCES = ("scrape", "prometheus", "health", "expression", "history", "alerts")
ANSWERS = ("measured", "no_data", "unavailable")
DELIVERIES = ("sent", "retried", "dropped")


class Metrics:
    """All of them, in a registry of their own."""

    def __init__(self, version: str) -> None:
        """Register every metric and every label set that can be known beforehand."""
        self.registry = CollectorRegistry()
        build = Gauge(
            names.METRIC_BUILD, "Version of this guard.", ["version"], registry=self.registry
        )
        build.labels(version).set(1)
        self._of_rollouts(self.registry)
        self._of_measuring(self.registry)
        self._of_the_guard(self.registry)
        self._every_label_set()

    def _of_rollouts(self, registry: CollectorRegistry) -> None:
        self.ended = Counter(
            names.METRIC_ROLLOUTS, "Rollouts that ended, by their end.", ["end"], registry=registry
        )
        self.active = Gauge(
            names.METRIC_ACTIVE, "Rollouts under way, by phase.", ["phase"], registry=registry
        )
        self.verdicts = Counter(
            names.METRIC_VERDICTS, "Verdicts given, one a tick.", ["verdict"], registry=registry
        )
        self.findings = Counter(
            names.METRIC_FINDINGS,
            "Findings, one a check and tick, by their reason.",
            ["reason"],
            registry=registry,
        )
        self.rollbacks = Counter(
            names.METRIC_ROLLBACKS, "Attempts to roll back.", ["outcome"], registry=registry
        )
        self.rollback_started = Gauge(
            names.METRIC_ROLLBACK_STARTED,
            "When the newest rollback of a workload was decided.",
            ["namespace", "workload", "service"],
            registry=registry,
        )
        self.blind = Gauge(names.METRIC_BLIND, "Rollouts that are blind now.", registry=registry)
        self.circuit = Gauge(
            names.METRIC_CIRCUIT,
            "1 while the circuit breaker forbids rollbacks.",
            registry=registry,
        )
        self.workloads = Gauge(names.METRIC_WORKLOADS, "Workloads guarded now.", registry=registry)
        self.rights_missing = Gauge(
            names.METRIC_RIGHTS,
            "Rights that the guard lacks on a workload.",
            ["namespace", "workload"],
            registry=registry,
        )

    def _of_measuring(self, registry: CollectorRegistry) -> None:
        self.samples = Counter(
            names.METRIC_SAMPLES,
            "Samples by source and answer.",
            ["source", "answer"],
            registry=registry,
        )
        self.tick = Histogram(
            names.METRIC_TICK,
            "Time to measure and judge one rollout once.",
            registry=registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
        )

    def _of_the_guard(self, registry: CollectorRegistry) -> None:
        self.notices = Counter(
            names.METRIC_NOTICES,
            "Notices by channel and what became of them.",
            ["channel", "result"],
            registry=registry,
        )
        self.config_ok = Gauge(
            names.METRIC_CONFIG_OK,
            "1 while the SLO files on disk are the ones in force.",
            registry=registry,
        )
        self.config_at = Gauge(
            names.METRIC_CONFIG_AT, "When SLO files were last taken in force.", registry=registry
        )
        self.record_failures = Counter(
            names.METRIC_RECORD_FAILURES, "Records that could not be written.", registry=registry
        )
        self.crashes = Counter(
            names.METRIC_CRASHES,
            "Tasks that ended by a defect and were started again.",
            registry=registry,
        )

    def _every_label_set(self) -> None:
        for end in ENDS:
            self.ended.labels(end.value)
        for phase in ACTIVE:
            self.active.labels(phase.value)
        for verdict in Verdict:
            self.verdicts.labels(verdict.value)
        for reason in Reason:
            self.findings.labels(reason.value)
        for outcome in OutcomeKind:
            self.rollbacks.labels(outcome.value)
        for source in SOURCES:
            for answer in ANSWERS:
                self.samples.labels(source, answer)

    def forget(self, workload: WorkloadId) -> None:
        """Drop the label sets that name a workload that is guarded no longer."""
        labels = {"namespace": workload.namespace, "workload": workload.name}
        self.rollback_started.remove_by_labels(labels)
        self.rights_missing.remove_by_labels(labels)

    def channel(self, name: str) -> None:
        """Make a channel's label sets exist."""
        for result in DELIVERIES:
            self.notices.labels(name, result)
