"""The Prometheus source: counters and free expressions, from whatever speaks Prometheus' API.

What is where: `prometheus_client.py` asks over HTTP and `prometheus_answers.py` reads what comes
back; `prometheus_queries.py` writes the queries, `prometheus_desk.py` shares them between rollouts,
`prometheus_join.py` and `prometheus_targets.py` make readings of the series.
"""

from __future__ import annotations

from guard.sources.expressions import PrometheusExpressions
from guard.sources.prometheus_client import PrometheusClient, connect
from guard.sources.prometheus_counters import PrometheusCounters

__all__ = ["PrometheusClient", "PrometheusCounters", "PrometheusExpressions", "connect"]
