"""The journal's tables, and the opening of a file that has them.

`events` is the journal. Everything else about orders, fills, positions and balances follows from it and is written
behind it (`views.py`); `accounts.indexed` says up to which sequence that has been done.

A position is an account's number and a sequence (or an order's number) in one integer, so that one b-tree keyed by
integers holds all accounts and each account's rows lie together, appended at their end.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from brokergate.journal.sqlite.migrations import MIGRATIONS, SCHEMA_VERSION
from brokergate.ports.journal import JournalError

IN_MEMORY = ":memory:"
"""SQLite's name for a database that is no file."""

SEQUENCE_BITS = 44
"""Bits of a position below the account's number: 17 million million events an account, half a million accounts."""

SEQUENCE_MASK = (1 << SEQUENCE_BITS) - 1

CACHED_STATEMENTS = 256

PAGE_CACHE_KIB = 16 * 1024
"""The writer's page cache: the upper levels of every index at some ten million orders. Memory stays flat."""


def connect(path: str) -> sqlite3.Connection:
    """A connection for the writer: write-ahead log, transactions begun and ended by hand, checkpoints elsewhere.

    `synchronous=NORMAL` never waits for the disk in a commit: what was committed survives the death of the process
    (`kill -9`), and may lose its tail with the machine's power (`durability: process`).
    """
    if path != IN_MEMORY:
        # Orders and holdings are nobody else's business; the log and its index get the file's mode. A file that is
        # there is not opened by us: closing it would give up the locks of every connection to it (POSIX).
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(
        path, isolation_level=None, cached_statements=CACHED_STATEMENTS, timeout=10.0
    )
    # Before anything makes the file's first page; one that is there keeps what it has.
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute(f"PRAGMA cache_size = -{PAGE_CACHE_KIB}")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def prepare(connection: sqlite3.Connection, path: str) -> None:
    """Makes the tables in a new file, and brings up those of an older release, all or nothing. Raises `JournalError`
    for a file of a newer release or of something else."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if tables and "meta" not in tables:
        raise JournalError(
            f"{path!r} is an SQLite file but no journal of brokergate; name another --data-dir"
        )
    text = (read_meta(connection, "schema_version") or "?") if tables else "0"
    if not text.isdecimal() or int(text) > SCHEMA_VERSION:
        raise JournalError(
            f"journal {path!r} has schema version {text}, and this release reads {SCHEMA_VERSION}; "
            "run the release that wrote it, or a newer one"
        )
    version = int(text)
    if version == SCHEMA_VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in range(version + 1, SCHEMA_VERSION + 1):
            for statement in MIGRATIONS[step].split(";"):
                connection.execute(statement)
        write_meta(connection, "schema_version", str(SCHEMA_VERSION))
        connection.execute("COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def read_meta(connection: sqlite3.Connection, key: str) -> str | None:
    """A value of the `meta` table."""
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return str(row[0]) if row else None


def write_meta(connection: sqlite3.Connection, key: str, value: str) -> None:
    """Sets a value of the `meta` table."""
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))


def journal_path(data_dir: Path) -> Path:
    """Where the journal of a data directory is."""
    return data_dir / "journal.db"
