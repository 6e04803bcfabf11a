"""The catalogue: which policy speaks for which workload, from the SLO files now in force."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from guard.core.policy import Policy, Service
    from guard.core.workloads import Snapshot, WorkloadId


class Catalogue:
    """SLO files by workload, and the default for those that opt in by label alone."""

    def __init__(
        self,
        services: Iterable[Service],
        defaults: Callable[[WorkloadId], tuple[Policy, ...]],
    ) -> None:
        """Take the services in force.

        Args:
            services: the SLO files.
            defaults: the default policies of a workload, one for each request counter that it
                may expose, the last one without any.
        """
        self._services: dict[WorkloadId, Service] = {}
        self._defaults = defaults
        self._chosen: dict[WorkloadId, Policy] = {}
        self.replace(services)

    def replace(self, services: Iterable[Service]) -> None:
        """Take other services in force from now on; rollouts under way keep their policy."""
        self._services = {
            workload: service for service in services for workload in service.workloads
        }

    @property
    def workloads(self) -> frozenset[WorkloadId]:
        """Every workload that an SLO file names."""
        return frozenset(self._services)

    def policy(self, snapshot: Snapshot) -> Policy | None:
        """The policy of a workload; None where nobody asked for it to be guarded."""
        service = self._services.get(snapshot.workload)
        if service is not None:
            return service.policy
        if not snapshot.opted_in:
            return None
        return self._chosen.get(snapshot.workload) or self._defaults(snapshot.workload)[-1]

    def undecided(self, snapshot: Snapshot) -> tuple[Policy, ...]:
        """The default policies to choose from; empty where nothing is to be chosen."""
        workload = snapshot.workload
        if workload in self._services or workload in self._chosen or not snapshot.opted_in:
            return ()
        return self._defaults(workload)

    def choose(self, workload: WorkloadId, policy: Policy) -> None:
        """Settle the default policy of a workload."""
        self._chosen[workload] = policy

    def forget(self, workload: WorkloadId) -> None:
        """A workload that is gone, or no longer opts in, chooses anew when it comes again."""
        self._chosen.pop(workload, None)
