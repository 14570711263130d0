"""How the venue's state is written down: values one after another, long rows of integers as columns of bytes.

A document is a line that names its kind and version, a line of JSON (the values, and how the columns are stored), and
the columns' bytes, little endian, each in 4 or 8 bytes a number, whichever holds it, or as decimal text where
neither does. What is read is read in the order in which it was written. Nothing of Python's own goes in, so that a
document says the same to every later release that knows its version.
"""

from __future__ import annotations

import json
import sys
from array import array
from collections.abc import Iterable, Sequence

Scalar = str | int | float | bool | None

_SWAP = sys.byteorder == "big"
_TYPES = ("i", "I", "q")


class Unreadable(ValueError):
    """A document, or a step of one, that this release cannot take up; the message says why."""


class Packer:
    """Writes a document of one kind and version."""

    def __init__(self, kind: str, version: int) -> None:
        self._head = f"{kind} {version}"
        self._values: list[Scalar] = []
        self._columns: list[bytes] = []
        self._shapes: list[str] = []

    def put(self, *values: Scalar) -> None:
        """Writes values; floats keep every bit."""
        self._values.extend(values)

    def column(self, integers: Iterable[int]) -> None:
        """Writes a row of integers of any size."""
        row = integers if isinstance(integers, list | tuple) else list(integers)
        for code in _TYPES:
            try:
                packed = array(code, row)
            except OverflowError:
                continue
            if _SWAP:
                packed.byteswap()
            self._columns.append(packed.tobytes())
            self._shapes.append(f"{code}{len(row) * packed.itemsize}")
            return
        text = " ".join(map(str, row)).encode()
        self._columns.append(text)
        self._shapes.append(f"t{len(text)}")

    def document(self) -> bytes:
        """What was written."""
        values = json.dumps([self._shapes, self._values], separators=(",", ":"), ensure_ascii=False)
        return b"".join((self._head.encode(), b"\n", values.encode(), b"\n", *self._columns))


class Unpacker:
    """Reads a document again. `Unreadable` for one of another kind or version, for one that is cut or damaged, and
    for a value of another type than is asked for."""

    def __init__(self, document: bytes, kind: str, version: int) -> None:
        head, _, rest = document.partition(b"\n")
        expected = f"{kind} {version}".encode()
        if head != expected:
            raise Unreadable(f"it is a {head[:64].decode('ascii', 'replace')!r}, not a {kind} {version}")
        line, _, columns = rest.partition(b"\n")
        try:
            shapes, values = json.loads(line)
            self._values = iter(list(values))
            self._columns = iter([*_columns(shapes, columns)])
        except (ValueError, TypeError) as error:
            raise Unreadable(f"it is damaged ({str(error)[:120]})") from error

    def integer(self) -> int:
        """The next value, a whole number."""
        value = self._next()
        if type(value) is not int:
            raise Unreadable(f"{value!r} stands where a whole number belongs")
        return value

    def number(self) -> float:
        """The next value, a float."""
        value = self._next()
        if type(value) is not float:
            raise Unreadable(f"{value!r} stands where a float belongs")
        return value

    def flag(self) -> bool:
        """The next value, true or false."""
        value = self._next()
        if type(value) is not bool:
            raise Unreadable(f"{value!r} stands where true or false belongs")
        return value

    def text(self) -> str:
        """The next value, a text."""
        value = self._next()
        if type(value) is not str:
            raise Unreadable(f"{value!r} stands where a text belongs")
        return value

    def optional(self) -> int | None:
        """The next value, a whole number or nothing."""
        value = self._next()
        if value is not None and type(value) is not int:
            raise Unreadable(f"{value!r} stands where a whole number or nothing belongs")
        return value

    def column(self) -> list[int]:
        """The next row of integers."""
        row = next(self._columns, None)
        if row is None:
            raise Unreadable("a column is missing")
        return row

    def columns(self, count: int) -> list[tuple[int, ...]]:
        """The next `count` rows, all of the same length, element by element."""
        rows = [self.column() for _ in range(count)]
        if len({len(row) for row in rows}) > 1:
            raise Unreadable("columns that belong together are of different lengths")
        return list(zip(*rows, strict=True))

    def end(self) -> None:
        """There is nothing more."""
        if next(self._values, self) is not self or next(self._columns, None) is not None:
            raise Unreadable("there is more in it than belongs there")

    def _next(self) -> object:
        value = next(self._values, self)
        if value is self:
            raise Unreadable("a value is missing")
        return value


def _columns(shapes: Sequence[str], columns: bytes) -> Iterable[list[int]]:
    at = 0
    for shape in shapes:
        code, size = shape[0], int(shape[1:])
        part = columns[at : at + size]
        if size < 0 or len(part) != size:
            raise ValueError("a column is cut short")
        at += size
        if code == "t":
            yield [int(text) for text in part.split()]
            continue
        if code not in _TYPES:
            raise ValueError(f"no column is of type {code!r}")
        row = array(code)
        row.frombytes(part)
        if _SWAP:
            row.byteswap()
        yield row.tolist()
    if at != len(columns):
        raise ValueError("there are bytes behind the last column")
