"""Reads the alerts that fire from Alertmanager's v2 API.

The law of this module: an answer is taken whole or not at all, and of an alert only what the check
needs leaves this room: its name, its pod and since when. Annotations can hold anything.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Final

import aiohttp
import msgspec

from guard.core.policy import Matcher, MatchOp
from guard.core.samples import Alert, Alerted, Unavailable, UnavailableReason
from guard.sources import sign_in
from guard.sources.failures import TROUBLES, failure
from guard.sources.lookup import Address
from guard.sources.prometheus_queries import matcher_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from guard.config.settings import Settings
    from guard.core.policy import Alerts
    from guard.core.samples import AlertSample
    from guard.core.workloads import WorkloadId

OPT_IN: Final = Matcher("deployment_guard", MatchOp.EQUAL, "true")
"""The label by which a team's own alert counts without any SLO."""
BODY_AT_MOST: Final = 4_000_000
"""Bytes of one answer: some thousands of alerts."""
_OK: Final = 200
_REASONS: Final = {401: UnavailableReason.UNAUTHORIZED, 403: UnavailableReason.FORBIDDEN}
# Silenced and inhibited alerts are left out: a person, or a rule, has said that they tell nothing.
_STATES: Final = (("active", "true"), ("silenced", "false"), ("inhibited", "false"))


class _Row(msgspec.Struct):
    """One alert of the answer, as far as it is read."""

    fingerprint: str
    labels: dict[str, str]
    since: datetime = msgspec.field(name="startsAt")


_ROWS: Final = msgspec.json.Decoder(list[_Row])


class Alertmanager:
    """One Alertmanager, or a cluster behind one address. Implements `engine.ports.Alarms`."""

    def __init__(self, address: Address, now: Callable[[], float]) -> None:
        """Connects with the first question.

        Args:
            address: where it is and how to sign in; its URL may have a path.
            now: the wall clock, seconds since the epoch.

        Raises:
            ConfigurationError: the certificate authorities, or a secret, cannot be used.
        """
        self._url = f"{address.url.rstrip('/')}/api/v2/alerts"
        self._limit = address.timeout
        self._now = now
        self._headers = sign_in.headers(address)
        self._tls = sign_in.tls(address)
        self._session: aiohttp.ClientSession | None = None

    async def firing(self, check: Alerts, workload: WorkloadId, service: str) -> AlertSample:
        """What fires now of what the check looks at: opted in by label, or matched."""
        opted_in = (
            OPT_IN,
            Matcher("namespace", MatchOp.EQUAL, workload.namespace),
            Matcher("service", MatchOp.EQUAL, service),
        )
        selections = [one for one in (opted_in, check.matching) if one]
        answers = await asyncio.gather(*(self._ask(one) for one in selections))
        found: dict[str, Alert] = {}
        for answer in answers:
            if isinstance(answer, Unavailable):
                return answer
            found.update((alert.fingerprint, alert) for alert in answer)
        return Alerted(tuple(found.values()), self._now())

    async def close(self) -> None:
        """End every connection. Idempotent."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _ask(self, matchers: Sequence[Matcher]) -> list[Alert] | Unavailable:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._tls),
                headers=self._headers,
                # The cookies of a load balancer would tie the guard to one replica.
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=self._limit),
            )
        params = [*_STATES, *(("filter", matcher_text(matcher)) for matcher in matchers)]
        try:
            # A redirect would carry the headers, and a secret with them, to whatever it names.
            async with self._session.get(self._url, params=params, allow_redirects=False) as answer:
                return _read(answer.status, await _body(answer))
        except TROUBLES as error:
            return failure(error)


def connect(settings: Settings, now: Callable[[], float]) -> Alertmanager | None:
    """The Alertmanager that the settings describe; None where they name none.

    Raises:
        ConfigurationError: the certificate authorities, or a secret, cannot be used.
    """
    if settings.alertmanager_url is None:
        return None
    authorities = settings.alertmanager_ca_file
    where = Address(
        url=settings.alertmanager_url,
        timeout=settings.alertmanager_timeout,
        username=settings.alertmanager_username,
        password=settings.alertmanager_password,
        token=settings.alertmanager_token,
        headers=settings.alertmanager_headers,
        ca_file=str(authorities) if authorities else None,
        whose="Alertmanager",
    )
    return Alertmanager(where, now)


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    """The body, or so much of it that it is known to be too large."""
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > BODY_AT_MOST:
            break
    return bytes(body)


def _read(status: int, body: bytes) -> list[Alert] | Unavailable:
    if status != _OK:
        reason = _REASONS.get(status, UnavailableReason.HTTP_STATUS)
        return Unavailable(reason, f"Alertmanager answers {status}")
    if len(body) > BODY_AT_MOST:
        words = f"the answer is larger than {BODY_AT_MOST / 1e6:g} MB"
        return Unavailable(UnavailableReason.TOO_LARGE, words)
    try:
        rows = _ROWS.decode(body)
    except msgspec.MsgspecError:
        # Without its cause, which would show what the answer holds.
        return Unavailable(UnavailableReason.MALFORMED, "no list of alerts as of the v2 API")
    return [_alert(row) for row in rows]


def _alert(row: _Row) -> Alert:
    return Alert(
        fingerprint=row.fingerprint,
        name=row.labels.get("alertname", "(without a name)"),
        pod=row.labels.get("pod", ""),
        since=row.since.timestamp(),
    )
