"""Reaching the API server: a kubeconfig or the pod's service account, and tokens that change.

The client library reads both. Whatever of it touches files runs in a thread, so that the loop
never waits for a disk, and nothing it says is shown: its errors can hold a whole user entry.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from ssl import SSLError
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import structlog
from aiohttp import ClientError
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException, incluster_config, kube_config
from yaml import YAMLError

from guard import __version__
from guard.core.errors import ConfigurationError
from guard.core.names import FIELD_MANAGER
from guard.platforms.kubernetes.api import Api

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from guard.config.settings import Settings

    Load = Callable[[Any], Coroutine[None, None, None]]

REFRESH_EVERY: Final = 60.0
"""Seconds that a token is used before its source is asked again. A kubelet renews tokens at 80% of
their life of at least 10 minutes, so that the old one is good for 2 minutes more."""
LOAD_WITHIN: Final = 30.0
"""Seconds that a kubeconfig's exec plugin may take."""
CALLS_AT_ONCE: Final = 50
"""Connections for calls, beside the three that the watches of each namespace hold for ever."""
END_EVERY: Final = 0.01
"""Seconds between two looks whether a killed plugin is gone."""
NO_CREDENTIALS: Final = "its exec plugin gave no credentials"
TOKEN: Final = "BearerToken"

_MALFORMED = (ConfigException, ValueError, KeyError, TypeError, AttributeError)
"""What the library raises for a file that is not what it expects, a missing key among them."""
_FAILURES = (*_MALFORMED, YAMLError, ClientError, OSError)

# The library says that it is typed, and its loaders are not.
_files: Any = kube_config
_pods: Any = incluster_config

log = structlog.get_logger("guard.kubernetes")


async def connect(settings: Settings) -> Api:
    """Build the client for the cluster of the settings; nothing is sent yet.

    Raises:
        ConfigurationError: the kubeconfig or the service account cannot be used.
    """
    # The library logs what a credential plugin wrote to its stderr.
    logging.getLogger(kube_config.__name__).disabled = True
    load = _kubeconfig(settings.kubeconfig) if settings.kubeconfig else _service_account()
    try:
        configuration = await _loaded(load)
        configuration.connection_pool_maxsize = CALLS_AT_ONCE + 3 * max(len(settings.namespaces), 1)
        client = await asyncio.to_thread(_client, configuration)
    except (_Unusable, *_FAILURES) as error:
        raise ConfigurationError(_no_cluster(settings.kubeconfig, error)) from None
    configuration.refresh_api_key_hook = _Refresh(load)
    return Api(client)


def _kubeconfig(path: Path) -> Load:
    """Load a kubeconfig; later calls ask its token file or plugin anew, where it has one."""
    loader: Any = None

    async def load(configuration: Any) -> None:
        nonlocal loader
        if loader is None:
            loader = await _files.load_kube_config(
                str(path), client_configuration=configuration, persist_config=False
            )
            user = loader._user  # noqa: SLF001 - a failed plugin shows in no other way
            if user and "exec" in user and not (configuration.api_key or configuration.cert_file):
                raise _Unusable(NO_CREDENTIALS)
        else:
            await loader.load_and_set(configuration)

    return load


def _service_account(
    token: str = incluster_config.SERVICE_TOKEN_FILENAME,
    authority: str = incluster_config.SERVICE_CERT_FILENAME,
) -> Load:
    """Read what the kubelet mounts; later calls read the token anew."""

    async def load(configuration: Any) -> None:
        _pods.InClusterConfigLoader(
            token_filename=token, cert_filename=authority, try_refresh_token=False
        ).load_and_set(configuration)

    return load


async def _loaded(load: Load) -> Any:
    """Run a loader in a thread, on a loop of its own: it reads files and waits for plugins."""
    configuration: Any = Configuration()
    await asyncio.to_thread(_run, load, configuration)
    # A line's end, which most files have, cannot be sent.
    configuration.api_key = {key: text.strip() for key, text in configuration.api_key.items()}
    return configuration


class _PluginLoop(asyncio.SelectorEventLoop):
    """Knows the plugins that were started on it: the library leaves one that hangs behind."""

    def __init__(self) -> None:
        super().__init__()
        self.plugins: list[asyncio.SubprocessTransport] = []

    async def subprocess_exec(self, *args: Any, **options: Any) -> Any:
        transport, protocol = await super().subprocess_exec(*args, **options)
        self.plugins.append(transport)
        return transport, protocol

    async def end_plugins(self) -> None:
        """Kill those that still run, and wait until they are gone."""
        for transport in self.plugins:
            transport.close()
        while any(one.get_returncode() is None for one in self.plugins):  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(END_EVERY)


def _run(load: Load, configuration: Any) -> None:
    with asyncio.Runner(loop_factory=_PluginLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, _PluginLoop)
        try:
            runner.run(asyncio.wait_for(load(configuration), LOAD_WITHIN))
        finally:
            runner.run(loop.end_plugins())


def _client(configuration: Any) -> ApiClient:
    if configuration.proxy is None:
        configuration.proxy = _proxy(configuration.host)
    scheme = urlsplit(configuration.proxy or "http:").scheme
    if scheme not in {"http", "https"}:
        text = f"its proxy-url begins with {scheme}, http and https are known"
        raise _Unusable(text)
    # Else each request would look for a .netrc, whose password is not for this server.
    configuration.client_session_kwargs = {"trust_env": False, "read_bufsize": 2**16}
    configuration.retries = None
    client = ApiClient(configuration)
    client.user_agent = f"{FIELD_MANAGER}/{__version__}"
    return client


def _proxy(host: str) -> str | None:
    """The proxy that the environment names for the API server, as kubectl reads it."""
    parts = urlsplit(host)
    if proxy_bypass(parts.hostname or ""):
        return None
    return getproxies().get(parts.scheme)


class _Unusable(Exception):
    """What is wrong with a kubeconfig, in words that are safe to show."""


class _Refresh:
    """Asks the token's source anew at most every `REFRESH_EVERY` seconds."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._at = time.monotonic()

    async def __call__(self, configuration: Any) -> None:
        """Called by the client before each request; others go on with the old token meanwhile."""
        if time.monotonic() - self._at < REFRESH_EVERY:
            return
        self._at = time.monotonic()
        try:
            configuration.api_key = (await _loaded(self._load)).api_key
        except _FAILURES as error:
            log.warning("token not renewed, the old one stays", why=_words(error))


def _no_cluster(kubeconfig: Path | None, error: BaseException) -> str:
    if kubeconfig:
        return f"{kubeconfig}: cannot be used: {_words(error)}"
    named = os.environ.get("KUBECONFIG")
    why = f"KUBECONFIG={named} is no file" if named else "KUBECONFIG is not set"
    return (
        f"no cluster to reach: {why}, and the pod's service account cannot be used:"
        f" {_words(error)} — set KUBECONFIG (or GUARD_KUBECONFIG) to a kubeconfig,"
        " or run it in a pod"
    )


def _words(error: BaseException) -> str:
    """What is wrong, without what the library says: that can hold a user's whole entry."""
    if isinstance(error, _Unusable):
        return str(error)
    if isinstance(error, SSLError):
        return "a certificate or key cannot be read"
    if isinstance(error, TimeoutError):
        return f"its plugin did not answer within {LOAD_WITHIN:g} s"
    if isinstance(error, YAMLError):
        return "it is no YAML"
    if isinstance(error, OSError):
        return error.strerror or "a file cannot be read"
    return "a key, or a file that it names, is missing or malformed"
