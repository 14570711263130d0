"""The tables, release by release: a file is brought up from the version that it has, one step after the other.

A new file takes all of them, so that it and one that has grown up are the same.
"""

from __future__ import annotations

# Of ORDER, POSITION and BALANCE there are so many events that a scan finds one soon; fills are found by their own
# table and the other kinds by `rare_events`. (A partial index on `events` says the same and costs every event 1.2 µs.)
_VERSION_1 = """
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

# A caller's number holds its actor's, in the bits above 32: one index finds all that an actor did. What was journalled
# before has no caller and is not in the audit. `first` is the first event that is kept.
_VERSION_2 = """
ALTER TABLE accounts ADD COLUMN first INTEGER NOT NULL DEFAULT 1;
CREATE TABLE callers (
    number INTEGER PRIMARY KEY,
    actor TEXT NOT NULL,
    peer TEXT NOT NULL,
    client_name TEXT NOT NULL,
    method TEXT NOT NULL
);
CREATE UNIQUE INDEX callers_whole ON callers (actor, peer, client_name, method);
ALTER TABLE events ADD COLUMN caller INTEGER;
ALTER TABLE orders ADD COLUMN caller INTEGER;
CREATE INDEX orders_actor ON orders (account, caller >> 32) WHERE caller IS NOT NULL;
ALTER TABLE answers ADD COLUMN refusal TEXT;
ALTER TABLE answers ADD COLUMN number INTEGER;
ALTER TABLE answers ADD COLUMN time_ns INTEGER;
ALTER TABLE answers ADD COLUMN caller INTEGER;
CREATE INDEX answers_actor ON answers (account, caller >> 32, number) WHERE caller IS NOT NULL;
CREATE TABLE account_settings (
    account INTEGER NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (account, key)
) WITHOUT ROWID;
CREATE TABLE venue_snapshots (account INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE venue_steps (position INTEGER PRIMARY KEY, bodies BLOB NOT NULL);
CREATE TABLE discrepancies (position INTEGER PRIMARY KEY, state INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX discrepancies_open ON discrepancies (position) WHERE state = 1;
"""

# Which account a route chose for a client_order_id; for ever, also where the account has left the configuration since.
_VERSION_3 = """
CREATE TABLE routed (
    route_id TEXT NOT NULL,
    client_order_id TEXT NOT NULL,
    account INTEGER NOT NULL,
    PRIMARY KEY (route_id, client_order_id)
) WITHOUT ROWID;
"""

# The last event that told the fees of an execution that was booked without them.
_VERSION_4 = """
CREATE TABLE later_fees (
    account INTEGER NOT NULL,
    fill_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (account, fill_id)
) WITHOUT ROWID;
"""

MIGRATIONS = {1: _VERSION_1, 2: _VERSION_2, 3: _VERSION_3, 4: _VERSION_4}
"""What each version of the schema adds to the one before it."""

SCHEMA_VERSION = max(MIGRATIONS)
