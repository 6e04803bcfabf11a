"""A rollout as `lifecycle.step` sees it, told event by event."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from guard.core import lifecycle
from guard.core.actions import KnownGood, Outcome, OutcomeKind
from guard.core.findings import Finding, Judgement, Reason, Verdict
from guard.core.notices import Notice
from guard.core.policy import Pods, Policy
from guard.core.states import (
    Act,
    Acted,
    Case,
    Command,
    Event,
    Facts,
    Judged,
    Note,
    Phase,
    Settling,
    State,
    Tell,
)
from guard.core.workloads import Mode, Revision, WorkloadId

BEGAN = 1000.0
GOOD = KnownGood(Revision("old", "c-old", 1, "rs-old", 0.0), 0.0, "was promoted")
BAD = Revision("new", "c-new", 2, "rs-new", BEGAN, images=("registry.example/team/auth:2",))
POLICY = Policy(
    "auth-service",
    "team-identity",
    (Pods(),),
    bake=10.0,
    deadline=60.0,
    patience=20.0,
    watch=0.0,
)
FACTS = Facts(mode=Mode.ACT, known_good=GOOD)


def case(**policy: Any) -> Case:
    return Case(
        rollout="kubernetes/shop/auth@new#2",
        workload=WorkloadId("kubernetes", "shop", "auth"),
        uid="u",
        service="auth-service",
        owner="team-identity",
        candidate=BAD,
        stable=GOOD,
        began_at=BEGAN,
        policy=replace(POLICY, **policy),
    )


def judged(verdict: Verdict, text: str = "", **more: Any) -> Judged:
    """A judgement; `more` may hold facts, hold, findings, pods_ready, complete, replicas."""
    finding = Finding("pods", "pods", verdict, Reason.COLLECTING, text or verdict.value)
    findings = more.pop("findings", (finding,))
    hold = more.pop("hold", False)
    judgement = Judgement(verdict, findings, hold=hold, text=text or f"it is {verdict.value}")
    given: dict[str, Any] = {"facts": FACTS, "pods_ready": True, "complete": True, "replicas": 4}
    given["beside"] = (4, 0)
    return Judged(judgement, **{**given, **more})


@dataclass
class Story:
    """A rollout's state and everything that followed so far."""

    state: State
    now: float = BEGAN
    commands: list[Command] = field(default_factory=list)
    last: tuple[Command, ...] = ()

    def take(self, event: Event, after: float = 1.0) -> tuple[Command, ...]:
        """Let an event happen so many seconds later."""
        self.now += after
        self.state, self.last = lifecycle.step(self.state, event, self.now)
        self.commands += self.last
        return self.last

    def judge(self, verdict: Verdict, *, times: int = 1, after: float = 1.0, **more: Any) -> None:
        """Let the same judgement come so many times."""
        for _ in range(times):
            self.take(judged(verdict, **more), after)

    def acted(self, kind: OutcomeKind, detail: str = "", *, by_guard: bool = False) -> None:
        """Let the rollback have this outcome."""
        self.take(Acted(Outcome(kind, self.now, detail, by_guard=by_guard)))

    def settle(self, *, complete: bool, recovered: bool | None = True, after: float = 1.0) -> None:
        """Let the guard look at the patched rollback."""
        self.take(Settling(complete, "4 of 4 pods ready", recovered), after)

    @property
    def phase(self) -> Phase:
        """Where it stands."""
        return self.state.phase

    @property
    def acts(self) -> list[Act]:
        """Every rollback that was commanded."""
        return [command for command in self.commands if isinstance(command, Act)]

    @property
    def notices(self) -> list[Notice]:
        """Everything people were told."""
        return [command.notice for command in self.commands if isinstance(command, Tell)]

    @property
    def told(self) -> list[str]:
        """The same, as `stage reason`."""
        return [f"{notice.stage} {notice.reason}" for notice in self.notices]

    @property
    def notes(self) -> list[str]:
        """The kinds of the timeline's lines."""
        return [command.kind for command in self.commands if isinstance(command, Note)]


@pytest.fixture
def story() -> Story:
    return Story(State(case=case(), phase=Phase.PROGRESSING, since=BEGAN))
