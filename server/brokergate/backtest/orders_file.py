"""A file of commands: CSV with a heading, or JSON lines. docs/replay.md lists the columns.

time,command,client_order_id,symbol,side,type,quantity,limit_price
+20s,place,first,BTC/USDT,buy,limit,0.5,61000.00
+35s,cancel,first,,,,,
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from difflib import get_close_matches
from enum import IntEnum
from pathlib import Path
from typing import TypeVar

from brokergate.backtest.commands import Cancel, Command, Given, Place, Replace
from brokergate.backtest.times import moment_ns
from brokergate.domain.money import parse_decimal
from brokergate.domain.orders import (
    OrderSpec,
    OrderType,
    SelfTradePrevention,
    Side,
    TimeInForce,
    TriggerSource,
)

MAX_COMMANDS = 1_000_000
MAX_ID = 64
COMMANDS = ("place", "cancel", "replace")
COLUMNS = (
    "time", "command", "client_order_id", "symbol", "side", "type", "quantity", "limit_price", "stop_price",
    "trail_amount", "trail_percent", "trigger_source", "time_in_force", "expire_time", "post_only", "reduce_only",
    "display_quantity", "self_trade_prevention",
)  # fmt: skip
_NEEDED = ("time", "client_order_id")
_OF_REPLACE = ("quantity", "limit_price", "stop_price")
_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}

EnumT = TypeVar("EnumT", bound=IntEnum)


class OrdersFileError(Exception):
    """A file of commands that cannot be used: names file, line, column, value and the way out."""


def read_orders(path: Path, symbols: tuple[str, ...], start_ns: int) -> list[Given]:
    """The commands of `path` in the order of their times, of one time in the file's order. `symbols` are the market's;
    where there is one alone, the column may be left out. Offsets count from `start_ns`. `OrdersFileError`."""
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise OrdersFileError(f"{path}: is not UTF-8 ({error.reason}); save it as UTF-8 text") from None
    except OSError as error:
        raise OrdersFileError(
            f"{path}: cannot be read ({error.strerror}); give the path of a file of orders"
        ) from None
    rows = _json_rows(path, text) if path.suffix in (".jsonl", ".ndjson", ".json") else _csv_rows(path, text)
    given: list[Given] = []
    placed: dict[str, int] = {}
    for line, values in rows:
        row = _Row(path, line, values, symbols, start_ns)
        item = row.given()
        if isinstance(item.command, Place):
            first = placed.setdefault(item.command.client_order_id, line)
            if first != line:
                raise row.error(
                    "client_order_id", f"was placed in line {first} already; give each order its own"
                )
        given.append(item)
        if len(given) > MAX_COMMANDS:
            raise OrdersFileError(f"{path}: more than {MAX_COMMANDS} commands; split the file")
    if not given:
        raise OrdersFileError(f"{path}: holds no command; write one a line under {','.join(COLUMNS[:8])}")
    return sorted(given, key=lambda item: item.time_ns)


def _csv_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.reader(text.splitlines(), strict=True)
    heading: list[str] | None = None
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if not any(cells) or cells[0].startswith("#"):
                continue
            if heading is None:
                heading = cells
                _check_columns(path, reader.line_num, heading)
                continue
            if len(cells) > len(heading):
                raise OrdersFileError(
                    f"{path}, line {reader.line_num}: has {len(cells)} cells, and the heading {len(heading)}; quote a "
                    "cell that holds a comma, or remove one"
                )
            yield reader.line_num, dict(zip(heading, cells, strict=False))
    except csv.Error as error:
        raise OrdersFileError(
            f'{path}, line {reader.line_num}: is no CSV ({error}); quote cells with ""'
        ) from None


def _json_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            # Numbers stay as they are written: 0.1 has no exact float.
            found = json.loads(line, parse_float=str, parse_int=str, parse_constant=str)
        except ValueError as error:
            raise OrdersFileError(
                f"{path}, line {number}: is no JSON ({error}); write an object a line"
            ) from None
        if not isinstance(found, dict):
            raise OrdersFileError(
                f'{path}, line {number}: is no object; write {{"time": …, "client_order_id": …}}'
            )
        _check_columns(path, number, list(found))
        row: dict[str, str] = {}
        for key, value in found.items():
            if isinstance(value, bool):
                value = str(value).lower()
            if not isinstance(value, str | None):
                raise OrdersFileError(
                    f"{path}, line {number}, {key}: is a list or an object; write a text or a number"
                )
            row[key] = value or ""
        yield number, row


def _check_columns(path: Path, line: int, names: list[str]) -> None:
    for name in names:
        if name not in COLUMNS:
            close = get_close_matches(name, COLUMNS, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(COLUMNS)}"
            raise OrdersFileError(f"{path}, line {line}: there is no column {name[:64]!r}; {hint}")
    if len(set(names)) != len(names):
        raise OrdersFileError(f"{path}, line {line}: names a column twice; keep one")
    for name in _NEEDED:
        if name not in names:
            raise OrdersFileError(f"{path}, line {line}: lacks the column {name}; add it")


class _Row:
    """One line of the file."""

    def __init__(
        self, path: Path, line: int, values: Mapping[str, str], symbols: tuple[str, ...], start_ns: int
    ) -> None:
        self._path, self._line, self._values = path, line, values
        self._symbols, self._start_ns = symbols, start_ns

    def error(self, column: str, problem: str) -> OrdersFileError:
        """What is wrong with a cell."""
        value = self._values.get(column, "")
        shown = f" {value[:64]!r}" if value else ""
        return OrdersFileError(f"{self._path}, line {self._line}, {column}:{shown} {problem}")

    def given(self) -> Given:
        """The command with its time."""
        command = self._values.get("command") or "place"
        if command not in COMMANDS:
            raise self.error("command", "is no command; write place, cancel or replace")
        time_ns = self._moment("time")
        if time_ns is None:
            raise self.error(
                "time", "is empty; write an ISO time, nanoseconds since 1970, or an offset such as +90s"
            )
        if time_ns < self._start_ns:
            raise self.error(
                "time",
                f"lies before the market's start, {self._start_ns} ns since 1970; write a later one, or +0s",
            )
        name = self._values.get("client_order_id", "")
        if not name or len(name) > MAX_ID or not name.isprintable():
            raise self.error("client_order_id", f"is no name; write 1 to {MAX_ID} printable characters")
        return Given(time_ns, self._command(command, name))

    def _command(self, command: str, name: str) -> Command:
        if command == "place":
            return Place(name, self._spec())
        allowed = _OF_REPLACE if command == "replace" else ()
        kept = ("time", "command", "client_order_id", "symbol", *allowed)
        for column, value in self._values.items():
            if value and column not in kept:
                raise self.error(column, f"does not belong to a {command}; leave it empty")
        if command == "cancel":
            return Cancel(name)
        quantity, limit, stop = [self._number(column) for column in _OF_REPLACE]
        if quantity is None and limit is None and stop is None:
            raise self.error("command", "changes nothing; write quantity, limit_price or stop_price")
        return Replace(name, quantity, limit, stop)

    def _spec(self) -> OrderSpec:
        side = self._one_of("side", Side)
        kind = self._one_of("type", OrderType)
        quantity = self._number("quantity")
        if side is None:
            raise self.error("side", "is empty; write buy or sell")
        if kind is None:
            raise self.error("type", f"is empty; write {_names(OrderType)}")
        if quantity is None:
            raise self.error("quantity", "is empty; write how much")
        return OrderSpec(
            symbol=self._symbol(),
            side=side,
            type=kind,
            quantity=quantity,
            limit_price=self._number("limit_price"),
            stop_price=self._number("stop_price"),
            trail_amount=self._number("trail_amount"),
            trail_percent=self._number("trail_percent"),
            trigger_source=self._one_of("trigger_source", TriggerSource) or TriggerSource.UNSPECIFIED,
            time_in_force=self._one_of("time_in_force", TimeInForce) or TimeInForce.UNSPECIFIED,
            expire_time_ns=self._moment("expire_time"),
            post_only=self._flag("post_only"),
            reduce_only=self._flag("reduce_only"),
            display_quantity=self._number("display_quantity"),
            self_trade_prevention=self._one_of("self_trade_prevention", SelfTradePrevention)
            or SelfTradePrevention.UNSPECIFIED,
        )

    def _symbol(self) -> str:
        symbol = self._values.get("symbol", "")
        if not symbol and len(self._symbols) == 1:
            return self._symbols[0]
        if symbol not in self._symbols:
            problem = "is not in this market" if symbol else "is empty"
            raise self.error("symbol", f"{problem}; write {' or '.join(self._symbols)}")
        return symbol

    def _moment(self, column: str) -> int | None:
        text = self._values.get(column, "")
        if not text:
            return None
        try:
            return moment_ns(text, self._start_ns)
        except ValueError as error:
            raise self.error(
                column, str(error).partition(" ")[2] if text in str(error) else str(error)
            ) from None

    def _number(self, column: str) -> Decimal | None:
        text = self._values.get(column, "")
        if not text:
            return None
        try:
            value = parse_decimal(text)
        except ValueError:
            raise self.error(column, "is no number; write plain digits such as 12.5") from None
        if value <= 0:
            raise self.error(column, "is not above zero; write a number above zero")
        return value

    def _one_of(self, column: str, kinds: type[EnumT]) -> EnumT | None:
        text = self._values.get(column, "")
        if not text:
            return None
        found = kinds.__members__.get(text.upper().replace("-", "_"))
        if not found:
            raise self.error(column, f"is none of {_names(kinds)}; write one of them")
        return found

    def _flag(self, column: str) -> bool:
        text = self._values.get(column, "")
        if not text:
            return False
        if text.lower() not in _FLAGS:
            raise self.error(column, "is neither true nor false; write one of them")
        return _FLAGS[text.lower()]


def _names(kinds: type[IntEnum]) -> str:
    return ", ".join(name.lower() for name, member in kinds.__members__.items() if member)
