"""A web application under somebody else's instrumentation: `python web_app.py KIND`.

KIND is `fastapi` (prometheus-fastapi-instrumentator) or `opentelemetry` (its SDK, ASGI middleware
and Prometheus exporter). It prints its port, and serves until it is ended.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import TYPE_CHECKING, Any

import uvicorn
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_fastapi_instrumentator import Instrumentator
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request


async def answer(request: Request) -> PlainTextResponse:
    return PlainTextResponse("", status_code=int(request.path_params["status"]))


async def metrics(_: Request) -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def instrumented(kind: str) -> Any:
    app = Starlette(
        routes=[
            Route("/answer/{status}", answer),
            Route("/metrics", metrics),
        ]
    )
    if kind == "fastapi":
        Instrumentator().instrument(app)
        return app
    provider = MeterProvider(metric_readers=[PrometheusMetricReader()])
    return OpenTelemetryMiddleware(app, meter_provider=provider)


def main() -> None:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()  # whoever asks before the server runs waits for it
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(instrumented(sys.argv[1]), log_level="error", lifespan="off")
    asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))


if __name__ == "__main__":
    main()
