"""Findings: one check's answer with its reason, its numbers and the query behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Verdict(StrEnum):
    """What a check, or all checks of a rollout together, answer."""

    PASS = "PASS"
    WAIT = "WAIT"
    FAIL = "FAIL"
    BLIND = "BLIND"


class Reason(StrEnum):
    """Why a check answers as it does: the metric label, the log field and the test id at once."""

    # Good and waiting.
    GOOD_ENOUGH = "good_enough"
    INSIDE_BOUND = "inside_bound"
    COLLECTING = "collecting"
    NOT_READY_YET = "not_ready_yet"
    NO_TRAFFIC = "no_traffic"
    # Counted checks.
    OVER_BOUND = "over_bound"
    YOUTH_OVER_BOUND = "youth_over_bound"
    WORSE_THAN_STABLE = "worse_than_stable"
    BLAMED = "blamed"
    ATTRIBUTING = "attributing"
    SHARED = "shared"
    UNATTRIBUTED = "unattributed"
    REPAIR = "repair"
    TOO_CLUSTERED = "too_clustered"
    OTHER_PODS = "other_pods"
    # Rules.
    PRE_EXISTING = "pre_existing"
    BEYOND_BOUND = "beyond_bound"
    UNHEALTHY = "unhealthy"
    SHARED_UNHEALTHY = "shared_unhealthy"
    IMAGE_INVALID = "image_invalid"
    IMAGE_NOT_FOUND = "image_not_found"
    IMAGE_PULL = "image_pull"
    CONFIG_ERROR = "config_error"
    CRASH_LOOP = "crash_loop"
    OUT_OF_MEMORY = "out_of_memory"
    CREATING = "creating"
    NOT_READY_IN_TIME = "not_ready_in_time"
    UNSCHEDULABLE = "unschedulable"
    EVICTED = "evicted"
    REPLICA_FAILURE = "replica_failure"
    ALERT_OF_CANDIDATE = "alert_of_candidate"
    ALERT_BEGAN = "alert_began"
    # Blind.
    NO_DATA = "no_data"
    UNAVAILABLE = "unavailable"
    NOT_MONOTONIC = "not_monotonic"
    NEVER_ANSWERED = "never_answered"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's answer.

    Attributes:
        check: the check's name in the policy; `kind` its type (`error_ratio`, `health`, …).
        text: the answer in words with its numbers, one sentence for a person.
        hold: go no further and tell people, although nothing failed (shared trouble).
        numbers: what the answer rests on, by name: `bad`, `total`, `stable_bad`,
            `stable_total`, `ratio`, `low`, `high`, `e_value`, `bound`, `k`, `missing`, …
        query: the exact PromQL to paste into Prometheus; empty where there is none.
        counted: it carries α; `e_value` in `numbers` then enters the mean over such checks.
    """

    check: str
    kind: str
    answer: Verdict
    reason: Reason
    text: str
    hold: bool = False
    numbers: Mapping[str, float] = field(default_factory=dict)
    query: str = ""
    counted: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """All findings of one tick and what they come to."""

    verdict: Verdict
    findings: tuple[Finding, ...]
    hold: bool = False
    text: str = ""
