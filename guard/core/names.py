"""Every name that leaves the process: labels, annotations, metrics, paths. One owner for all.

People build dashboards, alerts and scripts on these: changing one is a breaking change.
"""

from __future__ import annotations

from typing import Final

# Labels that people set on a workload, and the guard's own marks (architecture.md, State).
LABEL_GUARD: Final = "deployment-guard.io/guard"
LABEL_MODE: Final = "deployment-guard.io/mode"
LABEL_PAUSED: Final = "deployment-guard.io/paused"

# Labels of the objects in the guard's own namespace, by which people and the guard find them.
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
LABEL_HOLDS: Final = "deployment-guard.io/holds"
LABEL_WORKLOAD_NAMESPACE: Final = "deployment-guard.io/workload-namespace"

# Annotations are for words only.
ANNOTATION_CHANGE_CAUSE: Final = "kubernetes.io/change-cause"
ANNOTATION_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
ANNOTATION_REVISION: Final = "deployment.kubernetes.io/revision"
ANNOTATION_INTENT: Final = "deployment-guard.io/intent"
ANNOTATION_PAUSE: Final = "deployment-guard.io/pause"
ANNOTATION_GO_ON: Final = "deployment-guard.io/go-on"

FIELD_MANAGER: Final = "deployment-guard"
EVENT_COMPONENT: Final = "deployment-guard"

# Metrics of the guard itself.
METRIC_BUILD: Final = "guard_build_info"
METRIC_ROLLOUTS: Final = "guard_rollouts_total"
METRIC_ACTIVE: Final = "guard_rollouts_active"
METRIC_VERDICTS: Final = "guard_verdicts_total"
METRIC_FINDINGS: Final = "guard_findings_total"
METRIC_ROLLBACKS: Final = "guard_rollbacks_total"
METRIC_ROLLBACK_STARTED: Final = "guard_rollback_started_timestamp_seconds"
METRIC_SAMPLES: Final = "guard_samples_total"
METRIC_NOTICES: Final = "guard_notices_total"
METRIC_CONFIG_OK: Final = "guard_config_last_reload_successful"
METRIC_CONFIG_AT: Final = "guard_config_last_reload_success_timestamp_seconds"
METRIC_RECORD_FAILURES: Final = "guard_record_write_failures_total"
METRIC_BLIND: Final = "guard_rollouts_blind"
METRIC_CIRCUIT: Final = "guard_circuit_breaker_open"
METRIC_TICK: Final = "guard_tick_duration_seconds"
METRIC_CRASHES: Final = "guard_task_crashes_total"
METRIC_WORKLOADS: Final = "guard_workloads"
METRIC_RIGHTS: Final = "guard_workload_rights_missing"
