"""Pods that answer: real servers in this process, and the pods that stand for them."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pytest

from guard.core.workloads import Container, Pod, Probe

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp.test_utils import TestServer


class MakePod(Protocol):
    """Makes a pod of one container `app`, whose metrics and probes are at a port."""

    def __call__(self, port: int, *probes: Probe, uid: str = "u", ready: bool = True) -> Pod: ...


@pytest.fixture
def pod_at() -> MakePod:
    def make(port: int, *probes: Probe, uid: str = "u", ready: bool = True) -> Pod:
        app = Container("app", ready=ready, started_at=1.0, ports=(("metrics", port),))
        return Pod(
            uid=uid,
            name=f"shop-{uid}",
            namespace="shop",
            revision="new",
            created_at=1.0,
            address="127.0.0.1",
            ready=ready,
            ready_at=1.0 if ready else None,
            containers=(app,),
            probes=probes,
        )

    return make


@dataclass(frozen=True)
class Certificates:
    """A certificate authority, and a server that it certifies for another name than its address."""

    ca_file: Path
    server: ssl.SSLContext


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    here = tmp_path_factory.mktemp("certificates")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=here, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=team")
    openssl("req", *key, "-keyout", "tls.key", "-out", "tls.csr", "-subj", "/CN=auth.shop.svc")
    authority = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial")
    openssl("x509", "-req", "-in", "tls.csr", *authority, "-out", "tls.crt")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(here / "tls.crt", here / "tls.key")
    return Certificates(here / "ca.crt", context)


def port_of(server: TestServer) -> int:
    assert server.port is not None
    return server.port
