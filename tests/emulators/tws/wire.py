"""The TWS API's socket: frames of NUL-terminated text fields behind a length of four bytes, big-endian.

The client opens with `API\\0` and a frame `v<lowest>..<highest>`; the server answers with its version and its time.
From then on each frame is one message whose first field says what it is (interactivebrokers.github.io/tws-api,
"EWrapper and EClient"; the fields of each are those that IB's own decoder reads).
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

GREETING = b"API\0"
MAX_FRAME = 1_000_000
"""Bytes; a client that announces more speaks something else."""
UNSET = "1.7976931348623157E308"
"""What TWS prints for a double that is not set (Java's `Double.MAX_VALUE`)."""
UNSET_INTEGER = "2147483647"
"""And for an integer (`Integer.MAX_VALUE`)."""
Field = str | int | bool | Decimal | None


class Malformed(ValueError):
    """What came is no message of this protocol."""


class Reader:
    """The fields of one message, read in order. Beyond the last one everything is empty, as TWS takes it."""

    def __init__(self, fields: Sequence[str]) -> None:
        self.fields = fields
        self._next = 0

    @property
    def left(self) -> int:
        """How many fields nobody has read."""
        return max(0, len(self.fields) - self._next)

    def text(self) -> str:
        """The next field."""
        self._next += 1
        return self.fields[self._next - 1] if self._next <= len(self.fields) else ""

    def skip(self, count: int) -> None:
        """Passes over fields that mean nothing here."""
        self._next += count

    def integer(self) -> int:
        """The next field; 0 where it is empty."""
        text = self.text()
        try:
            return int(text or 0)
        except ValueError:
            raise Malformed(f"{text!r} is no integer") from None

    def decimal(self) -> Decimal | None:
        """The next field; None where it is empty, unset or not finite."""
        text = self.text()
        try:
            value = Decimal(text) if text and text not in (UNSET, "Infinite") else None
        except InvalidOperation:
            raise Malformed(f"{text!r} is no number") from None
        if value is None or not value.is_finite() or value > Decimal("1e300"):
            return None
        return value

    def flag(self) -> bool:
        """The next field as yes or no."""
        return self.text().lower() in ("1", "true")


def shown(value: Field) -> str:
    """A value as a field: whole numbers without a point, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, Decimal):
        text = f"{value:f}"
        return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"
    return str(value)


def frame(fields: Sequence[Field]) -> bytes:
    """A message as its bytes."""
    body = "".join(shown(field) + "\0" for field in fields).encode()
    return struct.pack(">I", len(body)) + body


async def read_frame(reader: asyncio.StreamReader) -> str:
    """The text of the next frame. Raises `asyncio.IncompleteReadError` at the end, `Malformed` for no frame."""
    (size,) = struct.unpack(">I", await reader.readexactly(4))
    if size > MAX_FRAME:
        raise Malformed(f"a frame of {size} bytes")
    try:
        return (await reader.readexactly(size)).decode()
    except UnicodeDecodeError:
        raise Malformed("a frame that is no text") from None


def fields_of(text: str) -> list[str]:
    """The fields of a frame; each ends with NUL."""
    return text.removesuffix("\0").split("\0")


def client_versions(text: str) -> tuple[int, int]:
    """The lowest and the highest version of a client's first frame, `v157..176` or `v176`, options behind it."""
    lowest, _, highest = text.partition(" ")[0].removeprefix("v").partition("..")
    if not (text.startswith("v") and lowest.isdigit() and (highest.isdigit() or not highest)):
        raise Malformed(f"{text[:40]!r} names no versions")
    return int(lowest), int(highest or lowest)


def moment(time_ns: int, form: str = "%Y%m%d-%H:%M:%S") -> str:
    """A time in UTC, as executions and orders say it."""
    return datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).strftime(form)
