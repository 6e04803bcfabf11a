"""What `guard check --live` finds, and how each finding is worded."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class LiveKind(StrEnum):
    """What was found. The value is what people see in brackets."""

    WORKLOAD_MISSING = "workload-missing"
    RIGHT_MISSING = "right-missing"
    TARGET_UNSCRAPED = "target-unscraped"
    PROMETHEUS_UNAVAILABLE = "prometheus-unavailable"
    SELECTOR_EMPTY = "selector-empty"
    BUCKET_MISSING = "bucket-missing"
    LABEL_UNKNOWN = "label-unknown"
    SERIES_UNJOINED = "series-unjoined"
    TRAFFIC_LOW = "traffic-low"
    EXPRESSION_EMPTY = "expression-empty"
    EXPRESSION_MANY = "expression-many"
    FIRST_STEP = "first-step"
    NOT_PACED = "not-paced"
    PAUSE_UNDONE = "pause-undone"


# What may well be so in good order: a rollout is still judged, later or with fewer sources.
WARNINGS: Final = frozenset(
    {
        LiveKind.TRAFFIC_LOW,
        LiveKind.EXPRESSION_EMPTY,
        LiveKind.NOT_PACED,
        LiveKind.PAUSE_UNDONE,
    }
)
NOTES: Final = frozenset({LiveKind.FIRST_STEP})
"""What is only said, and asks for nothing."""


@dataclass(frozen=True, slots=True)
class LiveFinding:
    """One thing that the cluster or Prometheus told.

    Attributes:
        subject: the workload, selector, expression or pod it is about.
        action: what to do, one imperative clause.
    """

    kind: LiveKind
    service: str
    subject: str
    found: str
    action: str

    @property
    def serious(self) -> bool:
        """Whether a rollout could not be judged, or not be undone, because of it."""
        return self.kind not in WARNINGS | NOTES

    def __str__(self) -> str:
        level = "note" if self.kind in NOTES else "warning"
        level = "problem" if self.serious else level
        words = " — ".join(filter(None, (f"{self.subject}: {self.found}", self.action)))
        return f"{self.service}: {level} [{self.kind}] {words}"
