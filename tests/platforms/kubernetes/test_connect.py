from __future__ import annotations

import asyncio
import json
import logging
import sys
from typing import TYPE_CHECKING, Any

import pytest

from guard.config.settings import Settings
from guard.core.errors import ConfigurationError
from guard.platforms.kubernetes import connect as module
from guard.platforms.kubernetes.connect import connect
from tests.platforms.kubernetes.apiserver import ApiServer, refuse

if TYPE_CHECKING:
    from pathlib import Path

PATH = "/api"
SECRET = "t0ken-of-a-user"
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBdDCCARugAwIBAgIURBjzDmPHZh+wp3M51lhiBDnqSDUwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjUwMTMyNThaGA8yMTI2MTEwMTAxMzI1
OFowDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABIzB
O8jS8f5G1VbmBNZHPkhr8WbnPI28besv3s0jRL8hmy9S8ToYudG/QnFRsJ1lUUO0
zuJnU/xOGponA8JJlp2jUzBRMB0GA1UdDgQWBBRuUe7tueFyZd4N0HNuD46Y/V6q
1DAfBgNVHSMEGDAWgBRuUe7tueFyZd4N0HNuD46Y/V6q1DAPBgNVHRMBAf8EBTAD
AQH/MAoGCCqGSM49BAMCA0cAMEQCIFKPSbZ9SMdm0kUuVSiSV3pzmDSVdjvV/aVb
IIwMHf4EAiBkIB2sYqXH9HhrC91SORySEAX9Ws2YYjPE8iJeHXIppw==
-----END CERTIFICATE-----
"""


def kubeconfig(url: str, user: Any, **cluster: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": url, **cluster}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "kubeconfig"


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


async def sent(server: ApiServer, file: Path, times: int = 1) -> list[str | None]:
    """What the guard says of itself in some calls."""
    server.others[PATH] = refuse(200, "")
    api = await connect(await asyncio.to_thread(lambda: Settings(kubeconfig=file)))
    try:
        for _ in range(times):
            await api.call("GET", PATH)
    finally:
        await api.close()
    return [request.headers.get("Authorization") for request in server.requests]


def write(file: Path, content: Any) -> None:
    file.write_text(content if isinstance(content, str) else json.dumps(content))


async def test_a_token_of_the_kubeconfig_is_sent(server: ApiServer, file: Path) -> None:
    write(file, kubeconfig(server.url, {"token": SECRET}))

    assert await sent(server, file) == [f"Bearer {SECRET}"]
    assert server.requests[0].headers["User-Agent"].startswith("deployment-guard/")


async def test_the_watches_of_many_namespaces_leave_connections_for_calls(file: Path) -> None:
    write(file, kubeconfig("https://api.example", {"token": "t"}))
    namespaces = tuple(f"n{number}" for number in range(40))

    api = await connect(
        await asyncio.to_thread(lambda: Settings(kubeconfig=file, namespaces=namespaces))
    )
    await api.close()

    assert api._client.rest_client.maxsize > 3 * 40


async def test_a_user_without_credentials_is_nobody(server: ApiServer, file: Path) -> None:
    write(file, kubeconfig(server.url, {}))

    assert await sent(server, file) == [None]


async def test_name_and_password_are_sent(server: ApiServer, file: Path) -> None:
    write(file, kubeconfig(server.url, {"username": "a", "password": "b"}))

    assert await sent(server, file) == ["Basic YTpi"]


async def test_a_token_file_is_read_anew_and_not_for_each_request(
    server: ApiServer, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    write(token, "first\n")
    write(file, kubeconfig(server.url, {"tokenFile": str(token)}))
    server.others[PATH] = refuse(200, "")
    api = await connect(await asyncio.to_thread(lambda: Settings(kubeconfig=file)))
    await asyncio.to_thread(write, token, "second\n")

    await api.call("GET", PATH)
    monkeypatch.setattr(module, "REFRESH_EVERY", 0.0)
    await api.call("GET", PATH)
    await asyncio.to_thread(token.unlink)
    await api.call("GET", PATH)
    await api.close()

    said = [request.headers["Authorization"] for request in server.requests]
    assert said == ["Bearer first", "Bearer second", "Bearer second"]


def plugin(tmp_path: Path, script: str) -> dict[str, Any]:
    program = tmp_path / "plugin.py"
    program.write_text(script)
    version = "client.authentication.k8s.io/v1"
    return {
        "exec": {
            "apiVersion": version,
            "command": sys.executable,
            "args": [str(program)],
            "interactiveMode": "Never",
        }
    }


async def test_a_plugin_gives_the_token(server: ApiServer, file: Path, tmp_path: Path) -> None:
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": SECRET, "expirationTimestamp": "2099-01-01T00:00:00Z"},
    }
    write(file, kubeconfig(server.url, plugin(tmp_path, f"print('''{json.dumps(credential)}''')")))

    assert await sent(server, file) == [f"Bearer {SECRET}"]


async def test_what_a_plugin_says_when_it_fails_is_not_logged(
    server: ApiServer, file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(file, kubeconfig(server.url, plugin(tmp_path, f"exit('{SECRET}')")))

    with (
        caplog.at_level(logging.DEBUG),
        pytest.raises(ConfigurationError, match="exec plugin gave no credentials") as raised,
    ):
        await sent(server, file)

    assert SECRET not in caplog.text + str(raised.value)


async def test_a_plugin_that_hangs_is_given_up(
    server: ApiServer, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOAD_WITHIN", 0.2)
    write(file, kubeconfig(server.url, plugin(tmp_path, "import time; time.sleep(60)")))

    with pytest.raises(ConfigurationError, match=r"plugin did not answer within 0\.2 s"):
        await sent(server, file)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(f"users: [{{token: {SECRET}", "it is no YAML", id="no YAML"),
        pytest.param({"users": [{"name": SECRET}]}, "missing or malformed", id="no clusters"),
        pytest.param(
            kubeconfig("https://c", {"token": SECRET}, **{"certificate-authority": "/no/ca"}),
            "missing or malformed",
            id="no such file",
        ),
        pytest.param(
            kubeconfig(
                "https://c", {"token": SECRET}, **{"certificate-authority-data": "bm8gY2E="}
            ),
            "a certificate or key cannot be read",
            id="no certificate",
        ),
        pytest.param(
            kubeconfig("https://c", {"token": SECRET}, **{"proxy-url": "socks5://p"}),
            "begins with socks5",
            id="an unknown proxy",
        ),
        pytest.param("", "missing or malformed", id="empty"),
    ],
)
async def test_a_kubeconfig_that_cannot_be_used_is_told_without_what_is_in_it(
    file: Path, content: Any, words: str
) -> None:
    write(file, content)

    with pytest.raises(ConfigurationError, match=words) as raised:
        await connect(await asyncio.to_thread(lambda: Settings(kubeconfig=file)))

    assert str(file) in str(raised.value)
    assert SECRET not in repr(raised.value)


# The pod's service account.


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    write(tmp_path / "token", "first\n")
    write(tmp_path / "ca.crt", CERTIFICATE)
    files = (str(tmp_path / "token"), str(tmp_path / "ca.crt"))
    monkeypatch.setattr(module._service_account, "__defaults__", files)
    return tmp_path


async def test_the_token_of_a_service_account_follows_its_file(
    account: Path, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.others[PATH] = refuse(200, "")
    api = await connect(await asyncio.to_thread(Settings))
    assert api._client.configuration.host == "https://127.0.0.1:1"
    api._client.configuration.host = server.url

    await api.call("GET", PATH)
    await asyncio.to_thread(write, account / "token", "second\n")
    monkeypatch.setattr(module, "REFRESH_EVERY", 0.0)
    await api.call("GET", PATH)
    await api.close()

    said = [request.headers["Authorization"].lower() for request in server.requests]
    assert said == ["bearer first", "bearer second"]


@pytest.mark.parametrize(
    ("named", "words"),
    [(None, "KUBECONFIG is not set"), ("/nowhere/admin.conf", "KUBECONFIG=/nowhere/admin.conf is")],
)
async def test_outside_a_pod_and_without_a_kubeconfig_it_is_said_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, named: str | None, words: str
) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    if named:
        monkeypatch.setenv("KUBECONFIG", named)

    with pytest.raises(ConfigurationError, match=words) as caught:
        await connect(await asyncio.to_thread(Settings))
    assert "set KUBECONFIG (or GUARD_KUBECONFIG) to a kubeconfig" in str(caught.value)


# Proxies.


@pytest.mark.parametrize(
    ("environment", "cluster", "used"),
    [
        pytest.param({}, {}, None, id="none"),
        pytest.param({"https_proxy": "http://p:1"}, {}, "http://p:1", id="environment"),
        pytest.param(
            {"https_proxy": "http://p:1", "no_proxy": "api.example"}, {}, None, id="exempted"
        ),
        pytest.param(
            {"https_proxy": "http://p:1"},
            {"proxy-url": "http://q:2"},
            "http://q:2",
            id="the kubeconfig's own",
        ),
    ],
)
async def test_proxies_are_those_that_kubectl_would_use(
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    cluster: dict[str, str],
    used: str | None,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    write(file, kubeconfig("https://api.example", {"token": "t"}, **cluster))

    api = await connect(await asyncio.to_thread(lambda: Settings(kubeconfig=file)))
    await api.close()

    assert api._client.rest_client.proxy == used
