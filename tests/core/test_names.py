"""Names that leave the process, and the words of the platform, are each one's own."""

from __future__ import annotations

from guard.core import errors, names
from guard.core.workloads import WorkloadId


def test_no_two_names_are_the_same_and_all_are_ours_or_kubernetes_own() -> None:
    values = [v for k, v in vars(names).items() if k.isupper()]
    unique = [v for v in values if v != "deployment-guard"]
    assert len(unique) == len(set(unique))
    metrics = {v for k, v in vars(names).items() if k.startswith("METRIC_")}
    assert all(name.startswith("guard_") for name in metrics)


def test_a_workload_is_named_by_platform_namespace_and_name() -> None:
    assert str(WorkloadId("kubernetes", "shop", "auth")) == "kubernetes/shop/auth"


def test_every_error_of_the_guard_is_caught_as_one() -> None:
    kinds = (errors.ConfigurationError, errors.TemporaryError, errors.PermanentError)
    assert all(issubclass(kind, errors.GuardError) for kind in kinds)
