"""The local store is durable, whole, and apart for each object."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from guard.core.errors import PermanentError, TemporaryError
from guard.core.workloads import WorkloadId
from guard.platforms.local import store as rooms
from guard.platforms.local.store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SHOP = WorkloadId("local", "shop", "checkout")

WRITER = """
import asyncio, sys
from guard.core.workloads import WorkloadId
from guard.platforms.local.store import Store

async def main():
    store = Store(sys.argv[1])
    number = 0
    while True:
        number += 1
        documents = {name: str(number) for name in "abc"} | {f"only-{number}": str(number)}
        await store.save(WorkloadId("local", "shop", "checkout"), "uid", documents)
        print(number, flush=True)

asyncio.run(main())
"""


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = Store(str(tmp_path / "guard.db"))
    yield opened
    await opened.close()


async def test_what_was_saved_is_there_for_the_next_process(store: Store, tmp_path: Path) -> None:
    await store.save(SHOP, "uid", {"memory.json": "{}", "rollout-1.json": "one"})
    await store.keep(SHOP, "uid", "abc", "template")
    await store.close()

    after = Store(str(tmp_path / "guard.db"))
    assert await after.load(SHOP, "uid") == {"memory.json": "{}", "rollout-1.json": "one"}
    assert await after.kept(SHOP, "uid", "abc") == "template"
    await after.close()


async def test_a_save_replaces_every_document_of_the_one_before(store: Store) -> None:
    await store.save(SHOP, "uid", {"old": "1", "both": "1"})
    await store.save(SHOP, "uid", {"both": "2"})
    assert await store.load(SHOP, "uid") == {"both": "2"}


async def test_a_new_object_under_an_old_name_finds_nothing_of_the_old_one(store: Store) -> None:
    await store.save(SHOP, "old", {"memory.json": "{}"})
    await store.keep(SHOP, "old", "abc", "template")
    assert await store.load(SHOP, "new") == {}
    assert await store.kept(SHOP, "new", "abc") is None


async def test_the_newest_template_and_the_one_before_are_kept_each_for_its_revision(
    store: Store,
) -> None:
    for revision in ("abc", "def", "ghi", "ghi"):
        await store.keep(SHOP, "uid", revision, f"template of {revision}")
    assert await store.kept(SHOP, "uid", "ghi") == "template of ghi"
    assert await store.kept(SHOP, "uid", "def") == "template of def"
    assert await store.kept(SHOP, "uid", "abc") is None
    assert await store.kept(SHOP, "other", "ghi") is None


async def test_forgetting_spares_the_living_object_and_other_workloads(store: Store) -> None:
    other = WorkloadId("local", "shop", "checkout", kind="StatefulSet")
    for workload, uid in ((SHOP, "gone"), (SHOP, "living"), (other, "uid")):
        await store.save(workload, uid, {"a": uid})
        await store.keep(workload, uid, "abc", uid)

    await store.forget(SHOP, living="living")

    assert await store.load(SHOP, "gone") == {}
    assert await store.kept(SHOP, "gone", "abc") is None
    assert await store.load(SHOP, "living") == {"a": "living"}
    assert await store.kept(SHOP, "living", "abc") == "living"
    assert await store.load(other, "uid") == {"a": "uid"}


async def test_a_store_without_a_file_ends_with_its_process() -> None:
    first, second = Store(), Store()
    await first.save(SHOP, "uid", {"a": "1"})
    assert await first.load(SHOP, "uid") == {"a": "1"}
    assert await second.load(SHOP, "uid") == {}
    await first.close()
    await second.close()


async def test_a_kill_at_any_moment_leaves_the_newest_answered_save_or_a_later_one_whole(
    tmp_path: Path,
) -> None:
    path = str(tmp_path / "guard.db")
    seen = 0
    for lines in (1, 7, 40):
        writer = await asyncio.create_subprocess_exec(
            sys.executable, "-c", WRITER, path, stdout=asyncio.subprocess.PIPE
        )
        assert writer.stdout is not None
        for _ in range(lines):
            seen = int(await writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        assert await writer.wait() == -signal.SIGKILL
        # What was printed but not read yet was answered too.
        rest = (await writer.stdout.read()).split()
        seen = int(rest[-1]) if rest else seen

        store = Store(path)
        found = await store.load(SHOP, "uid")
        await store.close()
        number = int(found["a"])
        assert number in {seen, seen + 1}
        assert found == {name: str(number) for name in "abc"} | {f"only-{number}": str(number)}


async def test_a_file_that_another_process_holds_is_a_temporary_trouble(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.save(SHOP, "uid", {"a": "1"})
    await store.close()
    monkeypatch.setattr(rooms, "BUSY_WITHIN", 0.05)
    waiting = Store(str(tmp_path / "guard.db"))

    def hold() -> sqlite3.Connection:
        other = sqlite3.connect(tmp_path / "guard.db", check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        return other

    other = await asyncio.to_thread(hold)
    with pytest.raises(TemporaryError, match="locked"):
        await waiting.save(SHOP, "uid", {"a": "2"})
    await asyncio.to_thread(other.close)

    await waiting.save(SHOP, "uid", {"a": "3"})
    assert await waiting.load(SHOP, "uid") == {"a": "3"}
    await waiting.close()


async def test_a_folder_that_does_not_exist_is_a_temporary_trouble_until_it_does(
    tmp_path: Path,
) -> None:
    store = Store(str(tmp_path / "later" / "guard.db"))
    with pytest.raises(TemporaryError, match="later"):
        await store.load(SHOP, "uid")
    (tmp_path / "later").mkdir()
    assert await store.load(SHOP, "uid") == {}
    await store.close()


async def test_a_file_that_is_no_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "guard.db"
    path.write_text("a person's notes, longer than a header of SQLite's would be" * 40)
    before = path.read_bytes()
    store = Store(str(path))
    with pytest.raises(PermanentError, match="move it away"):
        await store.load(SHOP, "uid")
    await store.close()
    assert path.read_bytes() == before


async def test_a_store_of_a_newer_guard_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "guard.db"

    def newer() -> None:
        with closing(sqlite3.connect(path)) as database:
            database.execute("PRAGMA user_version = 99")

    await asyncio.to_thread(newer)
    store = Store(str(path))
    with pytest.raises(PermanentError, match="version 99"):
        await store.load(SHOP, "uid")
    await store.close()


async def test_a_closed_store_says_so_and_closes_twice() -> None:
    store = Store()
    await store.save(SHOP, "uid", {})
    await store.close()
    await store.close()
    with pytest.raises(TemporaryError, match="closed"):
        await store.load(SHOP, "uid")


async def test_a_file_that_may_not_be_written_is_a_temporary_trouble(
    store: Store, tmp_path: Path
) -> None:
    if os.geteuid() == 0:
        # Root may write anything: a folder in the file's place is as unwritable for everybody.
        path = tmp_path / "folder"
        path.mkdir()
    else:
        path = tmp_path / "guard.db"
        await store.save(SHOP, "uid", {})
        path.chmod(0o400)
    closed = Store(str(path))
    with pytest.raises(TemporaryError):
        await closed.save(SHOP, "uid", {"a": "1"})
    await closed.close()
