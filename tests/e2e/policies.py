"""SLO files of the shops: policies in seconds, so that a run ends."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

BAD = 'http_requests_total{code=~"5.."}'
TOTAL = "http_requests_total"
SECONDS = "http_request_duration_seconds"
ERRORS = {"error_ratio": {"objective": "availability", "above": "1%"}}
HEALTH = {
    # Long enough for an answer where a whole cluster shares a few cores with its users.
    "health": {"path": "/health", "port": 8080, "expect": 200, "every": "2s", "timeout": "5s"}
}
PODS: dict[str, Any] = {"pods": {}}


@dataclass(frozen=True, slots=True)
class Rules:
    """What one shop's policy says; `rollout` holds its keys beside `checks`, as in the file."""

    checks: tuple[dict[str, Any], ...] = (ERRORS, HEALTH, PODS)
    rollout: dict[str, Any] = field(default_factory=dict)

    def text(self, namespace: str, shop: str) -> str:
        """The SLO file of this shop, which is the service's name and the Deployment's."""
        document = {
            "apiVersion": "guard/v1",
            "service": shop,
            "owner": "team-e2e",
            "workloads": [{"kubernetes": {"namespace": namespace, "deployment": shop}}],
            "objectives": [
                {
                    "name": "availability",
                    "target": 99.5,
                    "window": "30d",
                    "sli": {"ratio": {"bad": BAD, "total": TOTAL}},
                },
                {
                    "name": "fast",
                    "target": 95,
                    "window": "30d",
                    "sli": {"latency": {"histogram": SECONDS, "slower_than": "300ms"}},
                },
            ],
            "rollout": {
                "bake": "10s",
                "deadline": "2m",
                "pace": [],
                "on_blind": {"patience": "10s", "then": "hold"},
                "checks": list(self.checks),
                **self.rollout,
            },
        }
        return json.dumps(document, indent=1)


USUAL = Rules()
