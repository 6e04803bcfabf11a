"""Looks series up in Prometheus for `guard check --live`: what exists, and under which labels.

Not for the live path of a rollout: the client underneath is synchronous. So it runs in two
threads of its own, without retries, and every question has one time limit.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import requests
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from urllib3.util.retry import Retry

from guard.core.errors import PermanentError, TemporaryError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import SecretStr

    from guard.config.settings import Settings

_Answer = TypeVar("_Answer")
_THREADS = 2
_NAME = "prometheus-lookup"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a monitoring server is, and how to sign in.

    Attributes:
        timeout: for one question, seconds.
        ca_file: certificate authorities to trust; None: the system's.
        whose: the server's name in messages.
    """

    url: str
    timeout: float = 5.0
    username: str | None = None
    password: SecretStr | None = None
    token: SecretStr | None = None
    headers: Mapping[str, SecretStr] = field(default_factory=dict)
    ca_file: str | None = None
    whose: str = "Prometheus"


def address(settings: Settings) -> Address | None:
    """Where the settings say that Prometheus is; None where they name none."""
    if settings.prometheus_url is None:
        return None
    authorities = settings.prometheus_ca_file
    return Address(
        url=settings.prometheus_url,
        timeout=settings.prometheus_timeout,
        username=settings.prometheus_username,
        password=settings.prometheus_password,
        token=settings.prometheus_token,
        headers=settings.prometheus_headers,
        ca_file=str(authorities) if authorities else None,
    )


@dataclass(frozen=True, slots=True)
class Series:
    """One series of an instant query: its labels, and its value now."""

    labels: Mapping[str, str]
    value: float


class Lookup:
    """Asks one Prometheus about its series."""

    def __init__(self, address: Address) -> None:
        """Connects with the first question."""
        self._limit = address.timeout
        self._url = address.url
        self._session = requests.Session()
        self._session.verify = address.ca_file or True
        self._client = PrometheusConnect(
            url=address.url,
            headers=_headers(address),
            auth=_basic(address),
            session=self._session,
            retry=Retry(total=0),
            timeout=address.timeout,
        )
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix=_NAME)

    async def labels(self, metric: str) -> frozenset[str]:
        """The names of all labels that series of a metric have.

        Raises:
            TemporaryError: no answer within the time limit.
            PermanentError: Prometheus refused.
        """
        params = {"match[]": f'{{__name__="{metric}"}}'}
        names = await self._ask(lambda: self._client.get_label_names(params=params))
        return frozenset(names) - {"__name__"}

    async def vector(self, query: str) -> list[Series]:
        """The series of an instant query; a scalar is one without labels.

        Raises:
            TemporaryError: no answer within the time limit.
            PermanentError: Prometheus refused.
        """
        rows = await self._ask(lambda: self._client.custom_query(query))
        if rows and not isinstance(rows[0], dict):
            return [Series({}, float(rows[1]))]
        return [Series(row["metric"], float(row["value"][1])) for row in rows]

    async def close(self) -> None:
        """End threads and connections. Idempotent."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._session.close()

    async def _ask(self, question: Callable[[], _Answer]) -> _Answer:
        loop = asyncio.get_running_loop()
        answer = loop.run_in_executor(self._threads, question)
        try:
            return await asyncio.wait_for(answer, self._limit)
        except PrometheusApiClientException as error:
            raise _refused(error) from None
        except (TimeoutError, requests.Timeout):
            message = f"Prometheus at {self._url} did not answer within {self._limit:g} s"
            raise TemporaryError(message) from None
        except requests.ConnectionError as error:
            message = f"Prometheus at {self._url} cannot be reached: {_unreached(error)}"
            raise TemporaryError(message) from None
        except (requests.RequestException, ValueError, KeyError) as error:
            message = f"Prometheus at {self._url} gave no usable answer ({type(error).__name__})"
            raise TemporaryError(message) from None


def _unreached(error: requests.ConnectionError) -> str:
    """What the system said, without the library's words around it."""
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not trusted (GUARD_PROMETHEUS_CA_FILE), or it speaks no TLS"
    below: BaseException | None = error
    while below is not None:
        if isinstance(below, OSError) and below.strerror:
            return below.strerror
        reason = getattr(below.args[0], "reason", None) if below.args else None
        below = reason or below.__cause__ or below.__context__
    return "no connection"


def _refused(error: Exception) -> PermanentError | TemporaryError:
    """The status alone: the body of an error may echo what was sent."""
    words = str(error).split("(")[0].strip()
    kind = TemporaryError if " 5" in words else PermanentError
    return kind(f"Prometheus answered: {words}")


def _headers(address: Address) -> dict[str, str]:
    headers = {name: value.get_secret_value() for name, value in address.headers.items()}
    if address.token:
        headers["Authorization"] = f"Bearer {address.token.get_secret_value()}"
    return headers


def _basic(address: Address) -> Any:
    if address.username is None or address.password is None:
        return None
    return address.username, address.password.get_secret_value()
