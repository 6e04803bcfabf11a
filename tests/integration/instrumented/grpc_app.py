"""A gRPC server under py-grpc-prometheus, and its one client: `python grpc_app.py METHOD…`.

It calls itself once for each METHOD that it is given, prints the port of its /metrics, and serves
until it is ended.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from concurrent import futures
from typing import Any

import grpc
from prometheus_client import start_http_server
from py_grpc_prometheus.prometheus_server_interceptor import PromServerInterceptor


def _aborting(code: grpc.StatusCode) -> Any:
    def answer(_: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(code, "")
        raise AssertionError

    return grpc.unary_unary_rpc_method_handler(answer)


def main() -> None:
    handlers = {code.name: _aborting(code) for code in grpc.StatusCode}
    handlers["OK"] = grpc.unary_unary_rpc_method_handler(lambda request, _: request)
    health = {"Check": handlers["OK"]}
    with futures.ThreadPoolExecutor(2) as threads:
        server = grpc.server(threads, interceptors=(PromServerInterceptor(),))
        server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler("shop.Cart", handlers),
                grpc.method_handlers_generic_handler("grpc.health.v1.Health", health),
            )
        )
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            for method in sys.argv[1:]:
                with contextlib.suppress(grpc.RpcError):
                    channel.unary_unary(f"/{method}")(b"")
        metrics, _ = start_http_server(0, addr="127.0.0.1")
        print(metrics.server_port, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
