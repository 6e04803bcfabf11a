"""Sends the patches of a rollback, again and again while others change the Deployment."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final

from guard.core.names import FIELD_MANAGER
from guard.platforms.kubernetes.in_force import path_of
from guard.platforms.kubernetes.patches import JSON_PATCH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from guard.core.workloads import WorkloadId
    from guard.platforms.kubernetes.api import Answer, Api
    from guard.platforms.kubernetes.operations import Operation

TRIES: Final = 20
"""Attempts at one patch (10 of 100 fail while an autoscaler makes 10 changes a second)."""
FIRST_PAUSE: Final = 0.02
LONGEST_PAUSE: Final = 0.1
"""Seconds before another attempt: drawn from 0 to this, which doubles up to the longest."""
PATCH_WITHIN: Final = 15.0
"""Seconds for a patch: an admission webhook may take 10 by default."""


async def attempts() -> AsyncIterator[int]:
    """Yield the number of each attempt, from 1 on, after a pause with jitter before each more."""
    yield 1
    longest = FIRST_PAUSE
    for attempt in range(2, TRIES + 1):
        await asyncio.sleep(random.uniform(0.0, longest))  # noqa: S311 - jitter
        longest = min(2 * longest, LONGEST_PAUSE)
        yield attempt


async def patch(
    api: Api,
    workload: WorkloadId,
    operations: Sequence[Operation],
    params: Mapping[str, str] | None = None,
) -> Answer:
    """Send a JSON patch of a Deployment in the guard's name.

    Raises:
        TemporaryError: no answer. It may have been carried out all the same.
    """
    return await api.call(
        "PATCH",
        path_of(workload),
        params={"fieldManager": FIELD_MANAGER, **(params or {})},
        body=list(operations),
        content_type=JSON_PATCH,
        timeout=PATCH_WITHIN,
    )
