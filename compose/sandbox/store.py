"""The sandbox's store: one SQLite file in WAL mode, whose commits survive ``kill -9`` of the process.

``synchronous=NORMAL`` may lose a commit in a power cut; a sandbox may, too. Times are microseconds since 1970.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from celery_config.common.private_folders import make_private_folder

SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    side TEXT NOT NULL, key TEXT NOT NULL, request_hash BLOB NOT NULL,
    status INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (side, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS authorizations (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, created_at INTEGER NOT NULL,
    reference TEXT NOT NULL, metadata TEXT NOT NULL, amount INTEGER NOT NULL, currency TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('authorized', 'captured', 'voided')),
    captured INTEGER NOT NULL DEFAULT 0 CHECK (captured BETWEEN 0 AND amount),
    refunded INTEGER NOT NULL DEFAULT 0 CHECK (refunded BETWEEN 0 AND captured)
);
CREATE INDEX IF NOT EXISTS authorizations_reference ON authorizations (reference);
CREATE TABLE IF NOT EXISTS refunds (
    id TEXT PRIMARY KEY, created_at INTEGER NOT NULL,
    authorization TEXT NOT NULL REFERENCES authorizations (id), amount INTEGER NOT NULL CHECK (amount > 0)
);
CREATE TABLE IF NOT EXISTS shipments (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, created_at INTEGER NOT NULL,
    reference TEXT NOT NULL, tracking_number TEXT NOT NULL UNIQUE, address TEXT NOT NULL,
    weight_grams INTEGER NOT NULL, parcels INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('booked', 'cancelled', 'dispatched'))
);
CREATE INDEX IF NOT EXISTS shipments_reference ON shipments (reference);
"""


def now() -> int:
    """Return the present time, as entries keep it."""
    return time.time_ns() // 1000


class Store:
    """One connection for all threads, with a lock around each statement, which takes microseconds."""

    def __init__(self, path: Path) -> None:
        make_private_folder(path.parent)
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute("PRAGMA foreign_keys=ON")
        self._connection.executescript(SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all statements of the block together; none of them on an exception."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def run(self, sql: str, *values: object) -> None:
        """Execute one statement that returns nothing."""
        with self._lock:
            self._connection.execute(sql, values)

    def row(self, sql: str, *values: object) -> sqlite3.Row | None:
        """Return the first row of a query, or None."""
        with self._lock:
            found: sqlite3.Row | None = self._connection.execute(sql, values).fetchone()
            return found

    def rows(self, sql: str, *values: object) -> list[sqlite3.Row]:
        """Return all rows of a query."""
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def close(self) -> None:
        """Close the file; later calls fail."""
        with self._lock:
            self._connection.close()
