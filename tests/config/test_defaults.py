"""The policy of a workload that opted in by label alone."""

from __future__ import annotations

from guard.config.defaults import DEFAULT_INDICATORS, default_policies, default_policy
from guard.config.presets import PER_REVISION
from guard.core.policy import ErrorRatio, Health, Pods, WorseThanStable
from guard.core.workloads import WorkloadId

WORKLOAD = WorkloadId("kubernetes", "shop", "cart")


def test_every_per_revision_preset_is_tried_in_order_and_then_none() -> None:
    policies = default_policies(WORKLOAD)
    tried = [
        check.objective.sli
        for policy in policies
        for check in policy.checks
        if isinstance(check, ErrorRatio)
    ]
    assert tried == [one.indicator for one in PER_REVISION]
    assert [sli.text for sli in tried[:3]] == [
        'http_requests_total{code=~"5.."}',
        'http_requests_total{status=~"5.."}',
        'http_requests_total{status_code=~"5.."}',
    ]
    assert policies[-1].checks == (Health(), Pods())


def test_the_default_policy_bounds_errors_at_1_percent_and_says_that_it_is_a_default() -> None:
    policy = default_policy(WORKLOAD, DEFAULT_INDICATORS[0])
    check = policy.checks[0]
    assert isinstance(check, ErrorRatio)
    assert check.above == 0.01
    worse = WorseThanStable("availability against stable", check.objective, above=0.01)
    assert policy.checks[1:] == (worse, Health(), Pods())
    assert policy.service == "cart"
    assert policy.by_default
    assert not policy.on_fail_stated
