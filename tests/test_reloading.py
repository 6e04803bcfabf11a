"""A running guard takes changed SLO files, and shows in log and metric that it refused some."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from guard import app
from guard.config.reload import Watcher
from guard.core import names
from guard.engine.metrics import Metrics
from tests.config.test_reload import GOOD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

WITHIN = 30.0


class Running:
    """The part of a guard that follows its files."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "a.yaml"
        self.file.write_text(GOOD, encoding="utf-8")
        self.watcher = Watcher([folder])
        self.watcher.poll()
        self.metrics = Metrics("test")
        self.taken: list[Any] = []
        supervisor = SimpleNamespace(take=self.taken.append)
        self.engine: Any = SimpleNamespace(metrics=self.metrics, supervisor=supervisor)
        app._reloaded(self.engine, self.watcher)

    @property
    def ok(self) -> float | None:
        return self.metrics.registry.get_sample_value(names.METRIC_CONFIG_OK)

    @property
    def taken_at(self) -> float | None:
        return self.metrics.registry.get_sample_value(names.METRIC_CONFIG_AT)

    async def until(self, holds: Callable[[], bool]) -> None:
        following = asyncio.create_task(app._reload(self.engine, self.watcher))
        async with asyncio.timeout(WITHIN):
            while not holds():  # noqa: ASYNC110 - a gauge is watched, and nothing tells its change
                await asyncio.sleep(0.005)
        following.cancel()


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setattr(app, "RELOAD_EVERY", 0.01)
    return Running(tmp_path)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (GOOD.replace("10s", "soon"), "duration-invalid"),
        (GOOD.replace("owner: team", "owner: 2026-02-30"), "yaml-invalid"),
        (GOOD.replace("owner: team", "owner: " + "[" * 600), "yaml-invalid"),
    ],
)
async def test_a_refused_file_shows_in_log_and_metric_and_the_former_stays(
    running: Running, text: str, code: str
) -> None:
    assert running.ok == 1.0
    before = running.taken_at
    running.file.write_text(text, encoding="utf-8")
    with capture_logs() as logs:
        await running.until(lambda: running.ok == 0.0)
    assert any(f"[{code}]" in str(entry.get("problems")) for entry in logs)
    assert running.taken == []
    assert running.taken_at == before
    assert [service.policy.bake for service in running.watcher.services] == [10.0]


async def test_a_mended_file_is_in_force_and_the_metric_says_so(running: Running) -> None:
    running.file.write_text("nonsense", encoding="utf-8")
    await running.until(lambda: running.ok == 0.0)
    running.file.write_text(GOOD.replace("10s", "20s"), encoding="utf-8")
    await running.until(lambda: running.ok == 1.0)
    ((service,),) = running.taken
    assert service.policy.bake == 20.0


async def test_a_reading_that_breaks_shows_in_the_metric_too(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running.watcher, "poll", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        await app._reload(running.engine, running.watcher)
    assert running.ok == 0.0
