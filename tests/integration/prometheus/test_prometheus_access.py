"""Signing in to real servers, over TLS and under a path; and answers that are not whole."""

from __future__ import annotations

import asyncio
import subprocess
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from guard.core.samples import Reading, Unavailable, UnavailableReason
from guard.sources.lookup import Address
from tests.integration.prometheus.scene import HOST, Served, Server, asker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from guard.core.samples import CounterSample

pytestmark = pytest.mark.usefixtures("only_prometheus")

# Password `right`, hashed with bcrypt at its lowest cost.
_WEB = """\
tls_server_config: {{cert_file: {folder}/cert.pem, key_file: {folder}/key.pem}}
basic_auth_users: {{guard: $2b$04$HvrpQu5rdi6f/CW1jinnhuU9IJecSHRhQ4L/s5y.unsa37AoHAFpu}}
"""


@pytest.fixture
def locked(binary: str, tmp_path: Path) -> Iterator[Server]:
    """A server with TLS, a user, and all of its pages under a path."""
    subject = ("-subj", "/CN=guard-test", "-addext", f"subjectAltName=IP:{HOST}")
    files = ("-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem"))
    command = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2")
    subprocess.run((*command, *subject, *files), check=True, capture_output=True)
    web = tmp_path / "web.yml"
    web.write_text(_WEB.format(folder=tmp_path), encoding="utf-8")
    server = Server(
        binary,
        tmp_path / "prometheus",
        [],
        flags=(f"--web.config.file={web}", "--web.route-prefix=/under/prom"),
        path="/under/prom",
    )
    server.start()
    server.ready()
    yield server
    server.kill()


async def ask(address: Address) -> CounterSample:
    """What a pod that nobody scrapes is said to have, once the server has started."""
    guard = asker(address)
    pod = Served("nobody")
    pod.leave()
    try:
        return await guard.until(pod.pod(), lambda sample: not _starting(sample))
    finally:
        await guard.close()


def _starting(sample: CounterSample) -> bool:
    return isinstance(sample, Unavailable) and "503" in sample.detail


async def test_who_signs_in_rightly_is_answered_and_who_does_not_is_told(
    locked: Server, tmp_path: Path
) -> None:
    url = locked.url.replace("http://", "https://")
    ca_file = str(tmp_path / "cert.pem")
    right, wrong = SecretStr("right"), SecretStr("seeded-secret")

    signed = await ask(Address(url, ca_file=ca_file, username="guard", password=right))
    assert not isinstance(signed, Unavailable)

    expected = UnavailableReason.UNAUTHORIZED
    for address in (
        Address(url, ca_file=ca_file),
        Address(url, ca_file=ca_file, username="guard", password=wrong),
        Address(url, ca_file=ca_file, token=wrong),
    ):
        refused = await ask(address)
        assert isinstance(refused, Unavailable)
        assert refused.reason is expected
        assert "seeded-secret" not in repr(refused)

    untrusted = await ask(Address(url, username="guard", password=right))
    assert isinstance(untrusted, Unavailable)
    assert untrusted.reason is UnavailableReason.TLS

    astray = await ask(
        Address(url.removesuffix("/prom"), ca_file=ca_file, username="guard", password=right)
    )
    assert isinstance(astray, Unavailable)
    assert astray.reason is UnavailableReason.HTTP_STATUS
    assert "404" in astray.detail


async def test_an_answer_that_came_with_a_warning_is_partial_though_it_has_data(
    binary: str, tmp_path: Path
) -> None:
    pod = Served("shop-1")
    await pod.open()
    pod.serve("200")
    # The remote half of its data cannot be had: what it answers is what it has itself.
    more = f"remote_read: [{{url: 'http://{HOST}:1/read', read_recent: true}}]\n"
    server = Server(binary, tmp_path, [pod], more=more)
    server.start()
    await asyncio.to_thread(server.ready)
    guard = asker(Address(server.url))
    try:
        sample = await guard.until(pod.pod(), lambda sample: not _starting(sample))
        assert isinstance(sample, Unavailable)
        assert sample.reason is UnavailableReason.PARTIAL
        assert "1 warning" in sample.detail
        server.more = ""
        server.configure()
        await guard.until(pod.pod(), lambda sample: isinstance(sample, Reading))
    finally:
        await guard.close()
        await pod.close()
        server.kill()
