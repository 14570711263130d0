"""The opening of a file: is it ours, is it whole, and is everything there that was published?"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from brokergate.journal.sqlite.heads import Heads, heads_path, published_by_any
from brokergate.journal.sqlite.queries import LAST_EVENT
from brokergate.journal.sqlite.schema import (
    IN_MEMORY,
    SEQUENCE_BITS,
    SEQUENCE_MASK,
    prepare,
    read_meta,
    write_meta,
)
from brokergate.journal.sqlite.store import way_out
from brokergate.journal.sqlite.sync import Syncer
from brokergate.ports.journal import JournalError

UNKNOWN_BOOT = "unknown"
"""A machine that does not say when it was started: every unclean end may have been a loss of power."""

CHECKED_BYTES = 64 * 1024 * 1024
"""Up to this size a file's structure is checked whole, in some 50 ms; a longer one is checked for its length."""

OpenConnection = Callable[[str], sqlite3.Connection]


@dataclass(frozen=True, slots=True)
class Opening:
    """How a file is opened; the fields are those of `SqliteJournal`."""

    path: str
    draw: Callable[[int], int]
    boot_id: str
    open_connection: OpenConnection
    sync_file: Callable[[int], None]


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A file that is open and whole."""

    connection: sqlite3.Connection
    journal_id: str
    epoch: int
    heads: Heads | None
    syncer: Syncer


def open_file(opening: Opening, published: Mapping[int, int] | None = None) -> OpenedFile:
    """Opens the file. `published` is what this process has published of each account, when it opens the file again
    after a failure; None at the start. Raises `JournalError`, and then nothing is left open."""
    try:
        with ExitStack() as undo:
            opened = _open(opening, published, undo)
            undo.pop_all()
            return opened
    except (sqlite3.Error, OSError) as error:
        raise JournalError(f"journal {opening.path!r} cannot be opened: {error}; {way_out(error)}") from error


def _open(opening: Opening, published: Mapping[int, int] | None, undo: ExitStack) -> OpenedFile:
    path = opening.path
    is_file = path != IN_MEMORY
    is_new = is_file and not Path(path).exists()
    connection = undo.enter_context(closing(opening.open_connection(path)))
    if is_file:
        _rewrite(connection, path)
        _check(connection, path)
        _check_not_emptied(connection, path)
        if is_new:
            _sync_directory(path)
    prepare(connection, path)
    clean = read_meta(connection, "clean") == "yes"
    journal_id = read_meta(connection, "journal_id") or f"{opening.draw(32):08x}"
    heads = undo.enter_context(closing(Heads(heads_path(path), journal_id))) if is_file else None
    present = {
        number: _head(connection, number)
        for (number,) in connection.execute("SELECT number FROM accounts").fetchall()
    }
    epoch = int(read_meta(connection, "epoch") or 0)
    if published is not None:
        proven = _has_all(present, published)
    else:
        recorded = heads.read() if heads is not None else {}
        boot_id = opening.boot_id
        same_boot = boot_id != UNKNOWN_BOOT and read_meta(connection, "boot_id") == boot_id
        # Without the record of what was published only a close proves anything.
        proven = clean if recorded is None else (clean or same_boot) and _has_all(present, recorded)
    if not proven:
        epoch += 1
    connection.execute("BEGIN IMMEDIATE")
    write_meta(connection, "journal_id", journal_id)
    write_meta(connection, "epoch", str(epoch))
    write_meta(connection, "clean", "no")
    write_meta(connection, "boot_id", opening.boot_id)
    connection.execute("COMMIT")
    syncer = undo.enter_context(closing(Syncer(f"{path}-wal" if is_file else None, opening.sync_file)))
    # The mark must be on the disk before anything follows it: a file that says that its tail is clean, and has
    # lost it with the power, would break the promise of the epoch (law 6).
    syncer.sync()
    if heads is not None:
        heads.begin(present)
    return OpenedFile(connection, journal_id, epoch, heads, syncer)


def _rewrite(connection: sqlite3.Connection, path: str) -> None:
    """Copies all of the log into the file, and waits for the disk. After a sync that failed, of this process or of one
    before, the system shows what it has and the disk may have not: what was read is written once more, and only then
    counts. After a close there is no log."""
    busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise JournalError(f"journal {path!r} is held by another program; end that program")


def _check(connection: sqlite3.Connection, path: str) -> None:
    """Raises `JournalError` for a file that is damaged or was cut short."""
    size = Path(path).stat().st_size
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    problem = "ok"
    if pages * page_bytes > size:
        problem = f"it has {size} of {pages * page_bytes} bytes"
    elif size <= CHECKED_BYTES:
        (problem,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if problem != "ok":
        raise JournalError(f"journal {path!r} is damaged: {problem}; restore it from a copy")


def _check_not_emptied(connection: sqlite3.Connection, path: str) -> None:
    """Raises `JournalError` for a file without anything in it where a journal was: beginning anew would forget every
    client_order_id (law 2)."""
    empty = connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None
    if empty and published_by_any(heads_path(path)):
        raise JournalError(
            f"journal {path!r} is empty or gone, and {heads_path(path)!r} says that it was not; restore it from a "
            "copy, or remove that file, too, to begin anew"
        )


def _sync_directory(path: str) -> None:
    folder = os.open(Path(path).parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _head(connection: sqlite3.Connection, number: int) -> int:
    base = number << SEQUENCE_BITS
    row = connection.execute(LAST_EVENT, (base, base | SEQUENCE_MASK)).fetchone()
    return row[0] & SEQUENCE_MASK if row else 0


def _has_all(present: Mapping[int, int], published: Mapping[int, int]) -> bool:
    """Whether everything that was published is there."""
    return all(present.get(number, 0) >= head for number, head in published.items())
