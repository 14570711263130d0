"""How values are printed: tables for a terminal, aligned text or JSON lines for pipes."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from typing import Any, Self, TypeVar

from brokergate_client.exact import NANOSECONDS, time_of

T = TypeVar("T")

Columns = Mapping[str, Callable[[Any], object]]
"""What a table shows: by heading, what to take from a value."""


def plain(value: object) -> str:
    """A cell: decimals in plain digits without trailing zeros, enums by name, nothing for None."""
    match value:
        case None:
            return ""
        case Decimal():
            digits = format(value, "f")
            return digits.rstrip("0").rstrip(".") if "." in digits else digits
        case IntEnum():
            return value.name
        case _:
            return " ".join(str(value).split())


def time_text(time_ns: int) -> str:
    """Nanoseconds since 1970 in ISO 8601, to the last digit."""
    second = time_of(time_ns // NANOSECONDS * NANOSECONDS)
    return f"{second:%Y-%m-%dT%H:%M:%S}.{time_ns % NANOSECONDS:09d}Z"


def as_json(value: object) -> Any:
    """A value of the client for JSON: decimals as strings, enums by name, `*_ns` as an ISO time without the suffix."""
    match value:
        case IntEnum():
            return value.name
        case Decimal():
            return format(value, "f")
        case None | bool() | int() | str():
            return value
        case Mapping():
            return {key: as_json(item) for key, item in value.items()}
        case list() | tuple():
            return [as_json(item) for item in value]
        case _ if dataclasses.is_dataclass(value):
            return dict(_field(field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
        case _:
            return str(value)


def _field(name: str, value: object) -> tuple[str, Any]:
    if name.endswith("_ns"):
        return name.removesuffix("_ns"), time_text(value) if isinstance(value, int) and value else None
    return name, as_json(value)


@dataclass(frozen=True, slots=True)
class Output:
    """Prints lists (`show`) and what comes one by one (`line`), each in its form, to standard output."""

    _show: Callable[[Sequence[Any], Columns], None]
    _line: Callable[[Any, Columns], None]
    _begin: Callable[[Columns], None]

    @classmethod
    def json(cls) -> Self:
        """A JSON object a line, all fields of the value."""
        return cls(_json_lines, lambda value, _: _json_lines([value], {}), lambda _: None)

    @classmethod
    def text(cls) -> Self:
        """The columns: a table on a terminal, aligned text elsewhere."""
        return cls(_table if sys.stdout.isatty() else _aligned, _padded, _headings)

    def show(self, values: Iterable[T], columns: Columns) -> None:
        """Print a list that is complete."""
        self._show(list(values), columns)

    def begin(self, columns: Columns) -> None:
        """Print what stands above the lines of a list that goes on."""
        self._begin(columns)

    def line(self, value: object, columns: Columns) -> None:
        """Print one more value, at once."""
        self._line(value, columns)


def _json_lines(values: Sequence[Any], _columns: Columns) -> None:
    for value in values:
        print(json.dumps(as_json(value), ensure_ascii=False))
    sys.stdout.flush()


def _cells(values: Sequence[Any], columns: Columns) -> list[list[str]]:
    return [[plain(take(value)) for take in columns.values()] for value in values]


def _right(columns: Columns, values: Sequence[Any]) -> list[bool]:
    """Which columns hold numbers, and so end at one edge."""
    return [any(isinstance(take(value), Decimal) for value in values) for take in columns.values()]


def _aligned(values: Sequence[Any], columns: Columns) -> None:
    rows = [list(columns), *_cells(values, columns)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    right = _right(columns, values)
    for row in rows:
        cells = (
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(row, widths, right, strict=True)
        )
        print("  ".join(cells).rstrip())


def _table(values: Sequence[Any], columns: Columns) -> None:
    # Slow to import, and a pipe does without.
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading, number in zip(columns, _right(columns, values), strict=True):
        table.add_column(heading, justify="right" if number else "left", overflow="fold")
    for row in _cells(values, columns):
        # As text: what an order's owner wrote is not markup.
        table.add_row(*map(Text, row))
    Console().print(table)


LINE_WIDTH = 16
"""Characters of a column where the values to come are not known; the first, a time, has its own."""

TIME_WIDTH = 30


def _pad(cells: Iterable[str]) -> str:
    first, *others = cells
    return "  ".join([first.ljust(TIME_WIDTH), *(cell.ljust(LINE_WIDTH) for cell in others)]).rstrip()


def _headings(columns: Columns) -> None:
    print(_pad(columns), flush=True)


def _padded(value: object, columns: Columns) -> None:
    print(_pad(_cells([value], columns)[0]), flush=True)
