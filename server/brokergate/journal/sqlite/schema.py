"""The journal's tables, and the opening of a file that has them.

`events` is the journal. Everything else about orders, fills, positions and balances follows from it and is written
behind it (`views.py`); `accounts.indexed` says up to which sequence that has been done.

A position is an account's number and a sequence (or an order's number) in one integer, so that one b-tree keyed by
integers holds all accounts and each account's rows lie together, appended at their end.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from brokergate.ports.journal import JournalError

SCHEMA_VERSION = 1

SEQUENCE_BITS = 44
"""Bits of a position below the account's number: 17 million million events an account, half a million accounts."""

SEQUENCE_MASK = (1 << SEQUENCE_BITS) - 1

CACHED_STATEMENTS = 256

PAGE_CACHE_KIB = 16 * 1024
"""The writer's page cache: the upper levels of every index at some ten million orders. Memory stays flat."""

# Of ORDER, POSITION and BALANCE there are so many events that a scan finds one soon; fills are found by their own
# table and the other kinds by `rare_events`. (A partial index on `events` says the same and costs every event 1.2 µs.)
TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE accounts (
    number INTEGER PRIMARY KEY,
    account_id TEXT NOT NULL UNIQUE,
    indexed INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE events (
    position INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    time_ns INTEGER NOT NULL,
    symbol TEXT NOT NULL,
    fingerprint BLOB,
    multiplier TEXT,
    body BLOB NOT NULL
);
CREATE TABLE rare_events (
    kind INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (kind, position)
) WITHOUT ROWID;
CREATE TABLE orders (
    position INTEGER PRIMARY KEY,
    account INTEGER NOT NULL,
    client_order_id TEXT,
    broker_order_id TEXT,
    symbol TEXT NOT NULL,
    state INTEGER NOT NULL,
    created_ns INTEGER NOT NULL,
    multiplier TEXT,
    fingerprint BLOB,
    body BLOB NOT NULL
);
CREATE UNIQUE INDEX orders_client ON orders (account, client_order_id) WHERE client_order_id IS NOT NULL;
CREATE INDEX orders_broker ON orders (account, broker_order_id) WHERE broker_order_id IS NOT NULL;
CREATE INDEX orders_symbol ON orders (account, symbol);
CREATE INDEX orders_open ON orders (account) WHERE state < 4;
CREATE TABLE fills (
    position INTEGER PRIMARY KEY,
    account INTEGER NOT NULL,
    symbol TEXT NOT NULL,
    broker_order_id TEXT NOT NULL,
    execution_id TEXT NOT NULL,
    order_position INTEGER NOT NULL
);
CREATE UNIQUE INDEX fills_key ON fills (account, symbol, broker_order_id, execution_id);
CREATE INDEX fills_order ON fills (order_position);
CREATE INDEX fills_symbol ON fills (account, symbol);
CREATE TABLE holdings (
    account INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    name TEXT NOT NULL,
    multiplier TEXT,
    body BLOB NOT NULL,
    PRIMARY KEY (account, kind, name)
) WITHOUT ROWID;
CREATE TABLE answers (
    account INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    method TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (account, request_id)
) WITHOUT ROWID;
CREATE TABLE tombstones (
    account INTEGER NOT NULL,
    client_order_id TEXT NOT NULL,
    PRIMARY KEY (account, client_order_id)
) WITHOUT ROWID;
CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


def connect(path: str) -> sqlite3.Connection:
    """A connection for the writer: write-ahead log, transactions begun and ended by hand, checkpoints elsewhere.

    `synchronous=NORMAL` never waits for the disk in a commit: what was committed survives the death of the process
    (`kill -9`), and may lose its tail with the machine's power (`durability: process`).
    """
    if path != ":memory:":
        # Orders and holdings are nobody else's business; the log and its index get the file's mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(
        path, isolation_level=None, cached_statements=CACHED_STATEMENTS, timeout=10.0
    )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute(f"PRAGMA cache_size = -{PAGE_CACHE_KIB}")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def prepare(connection: sqlite3.Connection, path: str) -> None:
    """Makes the tables in a new file. Raises `JournalError` for a file of a newer release or of something else."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        connection.executescript(f"BEGIN IMMEDIATE;{TABLES}")
        connection.execute("INSERT INTO meta VALUES ('schema_version', ?)", (str(SCHEMA_VERSION),))
        connection.execute("COMMIT")
        return
    if "meta" not in tables:
        raise JournalError(
            f"{path!r} is an SQLite file but no journal of brokergate; name another --data-dir"
        )
    version = read_meta(connection, "schema_version")
    if version != str(SCHEMA_VERSION):
        raise JournalError(
            f"journal {path!r} has schema version {version}, and this release reads {SCHEMA_VERSION}; "
            "run the release that wrote it, or a newer one"
        )


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
