"""Parquet as tables, by pyarrow (the extra `brokergate[parquet]`), which is loaded only when such a tape is opened.

A row group is read at a time, and of it only the columns that are used, in batches: memory does not grow with the
file. Numbers become the shortest decimal text that says the same, so that 0.1 is 0.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

from brokergate.sim.feeds.rows import Row
from brokergate.sim.feeds.tape import TapeError

BATCH_ROWS = 8_192
"""Rows that are turned to text at a time."""
MISSING = "Parquet needs pyarrow, which is not installed"
_INSTALL = "install it with: pip install 'brokergate[parquet]'"
_PER_UNIT_NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_DAMAGED = "write the file again"


class ParquetTable:
    """One Parquet file."""

    unit = "row"
    header_line = 0

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self.time_format: str | None = None
        self._path = path
        try:
            self._parquet: Any = import_module("pyarrow.parquet")
            self._arrow: Any = import_module("pyarrow")
        except ImportError as error:
            raise TapeError(self.name, None, MISSING, _INSTALL) from error
        with self._open() as file:
            self.header: Sequence[str] = list(file.schema_arrow.names)

    def rows(self, used: Sequence[int]) -> Iterator[Row | TapeError]:
        """The rows, numbered from 1. A cell without a value is an empty text."""
        names = [self.header[index] for index in used]
        width, number = len(self.header), 0
        with self._open() as file:
            try:
                for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=names):
                    told = {name: self._texts(batch.column(name)) for name in names}
                    blank: list[str] = [""] * batch.num_rows
                    columns = [told.get(name, blank) for name in self.header]
                    assert len(columns) == width
                    for fields in zip(*columns, strict=True):
                        number += 1
                        yield number, fields
            except (self._arrow.ArrowException, OSError) as error:
                raise self._damaged(error, number + 1) from error

    def _open(self) -> Any:
        try:
            return self._parquet.ParquetFile(self._path)
        except (self._arrow.ArrowException, OSError) as error:
            raise self._damaged(error, None) from error

    def _damaged(self, error: Exception, row: int | None) -> TapeError:
        problem = f"the Parquet file is damaged ({' '.join(str(error).split())[:120]})"
        return TapeError(self.name, row, problem, _DAMAGED, unit=self.unit)

    def _texts(self, column: Any) -> list[str]:
        """A column as texts; moments and dates as ISO 8601."""
        arrow, kind = self._arrow, column.type
        if arrow.types.is_timestamp(kind):
            # Without a zone it stays what the clock on the wall said: the reader's zone counts.
            unit, mark = _PER_UNIT_NS[kind.unit], "" if kind.tz is None else "Z"
            counts = column.cast(arrow.int64()).to_pylist()
            return ["" if count is None else _moment(count * unit) + mark for count in counts]
        return [_text(value) for value in column.to_pylist()]


def _moment(time_ns: int) -> str:
    """ISO 8601 to the nanosecond; what is beyond the calendar is told as a number, which no reader takes."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}"
    except (ValueError, OverflowError, OSError):
        return f"{time_ns} ns"


def _text(value: object) -> str:
    """A cell as CSV has it."""
    if value is None:
        return ""
    if isinstance(value, float):
        text = repr(value)
        if "e" in text:
            text = f"{Decimal(text):f}"
        return text[:-2] if text.endswith(".0") else text
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)
