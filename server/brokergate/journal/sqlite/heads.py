"""How far each account was published, beside the journal.

SQLite takes a log that ends early, or whose end is damaged, for one that was never longer, and says nothing. So each
account's last published sequence stands in a small file of its own: at the next opening a journal that has less is
known to have lost something, and the epoch rises (law 6). It is written at every publication, some microsecond, and
not synced: it outlives the process, and after a loss of power the epoch rises anyway.

The file is a line of text, filled up with zeros to a block, then eight bytes for each account's number. A block is
written full before it is used, so that a disk that is full later does not matter.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Mapping
from pathlib import Path

_BLOCK = 4096
_ENTRY = struct.Struct(">Q")
_TITLE = "brokergate journal heads"


def heads_path(path: str) -> str:
    """Where the heads of the journal at `path` are."""
    return f"{path}-heads"


def published_by_any(path: str) -> bool:
    """Whether the file at `path` tells of anything published, by whichever journal."""
    file = Path(path)
    return file.exists() and bool(_entries(file.read_bytes()))


def _entries(text: bytes) -> dict[int, int]:
    heads = {}
    for place in range(_BLOCK, len(text) - _ENTRY.size + 1, _ENTRY.size):
        (head,) = _ENTRY.unpack_from(text, place)
        if head:
            heads[(place - _BLOCK) // _ENTRY.size] = head
    return heads


class Heads:
    """The file beside one journal."""

    def __init__(self, path: str, journal_id: str) -> None:
        """Opens `path` or makes it. Raises `OSError`."""
        self._path = path
        self._title = f"{_TITLE} {journal_id}\n".encode().ljust(_BLOCK, b"\0")
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._fd).st_size

    def read(self) -> Mapping[int, int] | None:
        """The published heads by the accounts' numbers; None where the file does not belong to this journal."""
        text = os.pread(self._fd, self._size, 0)
        return _entries(text) if text[:_BLOCK] == self._title else None

    def begin(self, heads: Mapping[int, int]) -> None:
        """Writes the file anew, all of it at once: a part of it would prove too much."""
        entries = bytearray((max(heads, default=0) * _ENTRY.size // _BLOCK + 1) * _BLOCK)
        for number, head in heads.items():
            _ENTRY.pack_into(entries, number * _ENTRY.size, head)
        text = self._title + bytes(entries)
        self._write(text, 0)
        os.ftruncate(self._fd, len(text))
        self._size = len(text)

    def publish(self, number: int, head: int) -> None:
        """The account was published up to `head`. Raises `OSError`."""
        place = _BLOCK + number * _ENTRY.size
        while place >= self._size:
            self._write(bytes(_BLOCK), self._size)
            self._size += _BLOCK
        self._write(_ENTRY.pack(head), place)

    def _write(self, text: bytes, place: int) -> None:
        if os.pwrite(self._fd, text, place) != len(text):
            raise OSError(errno.ENOSPC, f"{self._path!r} could not be written whole")

    def close(self) -> None:
        """Closes the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
