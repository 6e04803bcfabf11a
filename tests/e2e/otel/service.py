"""A service that counts nothing itself: OpenTelemetry's ASGI middleware and exporter do.

ERROR_RATIO of its requests fail; REVISION is what `x-revision` says.
"""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Any

import uvicorn
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import generate_latest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ERROR_RATIO = float(os.environ.get("ERROR_RATIO", "0"))
REVISION = os.environ.get("REVISION", "").encode()


async def service(scope: dict[str, Any], _: object, send: Callable[..., Awaitable[None]]) -> None:
    """Answer one request."""
    status, body = 200, b"ok\n"
    if scope["path"] == "/metrics":
        body = generate_latest()
    elif scope["path"] != "/ready" and random.random() < ERROR_RATIO:
        status, body = 500, b"failed\n"
    headers = [(b"content-length", str(len(body)).encode()), (b"x-revision", REVISION)]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    provider = MeterProvider(metric_readers=[PrometheusMetricReader()])
    observed = OpenTelemetryMiddleware(service, meter_provider=provider)
    uvicorn.run(observed, host="0.0.0.0", port=8080, log_level="warning", lifespan="off")
