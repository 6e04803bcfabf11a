"""The local store: records and the known-good template in SQLite beside the guard.

Every write is one transaction that is on the disk when the call returns, so that a crash leaves
the documents before it or after it and never a mixture. SQLite blocks, hence one thread that
owns the connection.
"""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

from guard.core.errors import PermanentError, TemporaryError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from guard.core.workloads import WorkloadId

VERSION = 1
"""Of the tables; a store that a newer guard wrote is refused instead of guessed at."""
BUSY_WITHIN = 2.0
"""Seconds to wait for another process that writes to the same file."""
IN_MEMORY = ":memory:"

_TABLES = """
CREATE TABLE IF NOT EXISTS documents (
    workload TEXT NOT NULL, uid TEXT NOT NULL, name TEXT NOT NULL, text TEXT NOT NULL,
    PRIMARY KEY (workload, uid, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS kept (
    workload TEXT NOT NULL, uid TEXT NOT NULL, revision TEXT NOT NULL, text TEXT NOT NULL,
    newest INTEGER NOT NULL, PRIMARY KEY (workload, uid, revision)
) WITHOUT ROWID;
"""

T = TypeVar("T")


class Store:
    """Documents and templates by workload and uid.

    Every method raises TemporaryError where the disk or another process does not let it for
    now, and PermanentError where the file is no store of this guard.
    """

    def __init__(self, path: str = IN_MEMORY) -> None:
        """Take the file; it is opened by the first call that needs it."""
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="local-store")
        self._connection: sqlite3.Connection | None = None
        self._closed = False

    async def load(self, workload: WorkloadId, uid: str) -> dict[str, str]:
        """The documents of this very workload, by name."""
        query = "SELECT name, text FROM documents WHERE workload = ? AND uid = ?"
        return await self._run(lambda db: dict(db.execute(query, (_key(workload), uid)).fetchall()))

    async def save(self, workload: WorkloadId, uid: str, documents: Mapping[str, str]) -> None:
        """Replace the documents of this very workload."""
        mine = (_key(workload), uid)
        rows = [(*mine, name, text) for name, text in documents.items()]

        def write(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM documents WHERE workload = ? AND uid = ?", mine)
            db.executemany("INSERT INTO documents VALUES (?, ?, ?, ?)", rows)

        await self._run(write)

    async def keep(self, workload: WorkloadId, uid: str, revision: str, template: str) -> None:
        """Keep a revision's template, and the one that was kept before it."""
        mine = (_key(workload), uid)

        def write(db: sqlite3.Connection) -> None:
            query = "SELECT revision FROM kept WHERE workload = ? AND uid = ? AND newest"
            if db.execute(query, mine).fetchone() != (revision,):
                db.execute("DELETE FROM kept WHERE workload = ? AND uid = ? AND NOT newest", mine)
                db.execute("UPDATE kept SET newest = 0 WHERE workload = ? AND uid = ?", mine)
            db.execute("REPLACE INTO kept VALUES (?, ?, ?, ?, 1)", (*mine, revision, template))

        await self._run(write)

    async def kept(self, workload: WorkloadId, uid: str, revision: str) -> str | None:
        """The template of this very revision; None where it is not kept."""
        query = "SELECT text FROM kept WHERE workload = ? AND uid = ? AND revision = ?"
        wanted = (_key(workload), uid, revision)
        row = await self._run(lambda db: db.execute(query, wanted).fetchone())
        return None if row is None else str(row[0])

    async def forget(self, workload: WorkloadId, living: str = "") -> None:
        """Drop all that is stored under this name, but what belongs to the `living` uid."""

        def write(db: sqlite3.Connection) -> None:
            for table in ("documents", "kept"):
                db.execute(
                    f"DELETE FROM {table} WHERE workload = ? AND uid <> ?",  # noqa: S608 - the two names above
                    (_key(workload), living),
                )

        await self._run(write)

    async def close(self) -> None:
        """Close the file. Idempotent."""
        if self._closed:
            return
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._closed:
            message = "the local store is closed"
            raise TemporaryError(message)
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, self._transaction, work
        )

    def _transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            connection = self._connect()
            with connection:
                return work(connection)
        except sqlite3.OperationalError as error:
            # Locked, disk full, not writable, no such folder: what a person can mend meanwhile.
            message = f"the local store {self._path} did not answer ({error})"
            raise TemporaryError(message) from error
        except sqlite3.DatabaseError as error:
            message = f"{self._path} is no store of this guard ({error}); move it away"
            raise PermanentError(message) from error

    def _connect(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(self._path, timeout=BUSY_WITHIN)
            try:
                _prepare(connection, self._path)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    with closing(connection.execute("PRAGMA user_version")) as cursor:
        version = cursor.fetchone()[0]
    if version > VERSION:
        message = f"{path} is of version {version}, this guard reads {VERSION}; move it away"
        raise PermanentError(message)
    connection.execute("PRAGMA journal_mode = WAL").close()
    connection.execute("PRAGMA synchronous = FULL").close()
    connection.executescript(_TABLES).close()
    connection.execute(f"PRAGMA user_version = {VERSION}").close()


def _key(workload: WorkloadId) -> str:
    return f"{workload.kind}/{workload}"
