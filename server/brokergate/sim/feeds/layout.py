"""What the columns of a table are: by the names that are common, or as a configuration says.

A name counts without case and without all that is no letter or digit: `Best Bid`, `best_bid` and `bestBid` are one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class RowKind(StrEnum):
    """What a row of a table tells."""

    QUOTES = "quotes"
    """The best bid and ask."""
    TRADES = "trades"
    BARS = "bars"
    """Open, high, low and close of a span of time, and maybe its volume."""
    BOOKS = "books"
    """Some levels of both sides: each row is the whole book."""


class BarTime(StrEnum):
    """Which end of a bar its time is."""

    START = "start"
    END = "end"


class CorporateActions(StrEnum):
    """What becomes of a bar table's dividends and splits."""

    AUTO = "auto"
    """All are played, but a split that the prices before it were already adjusted to."""
    APPLY = "apply"
    """All are played."""
    IGNORE = "ignore"
    """None is played."""


class BadLines(StrEnum):
    """What becomes of a line that cannot be."""

    REFUSE = "refuse"
    """The tape is refused, and the error names the line."""
    DROP = "drop"
    """It is left out and counted. Where it was to tell the book, nothing matches until the next good line."""


_PRICE, _SIZE = "(?:price|px)", "(?:size|qty|quantity|volume|amount|vol)"
_NAMES: dict[str, str] = {
    "time": "time|timestamp|ts|datetime|date|t|localtimestamp|eventtime|opentime|starttime|timestampns|timens|timems",
    "symbol": "symbol|ticker|instrument|pair|sym|market",
    "bid": f"(?:best)?bid{_PRICE}?|b",
    "ask": f"(?:best)?(?:ask|offer){_PRICE}?|a",
    "bid_size": f"(?:best)?bid{_SIZE}",
    "ask_size": f"(?:best)?(?:ask|offer){_SIZE}",
    "price": "price|tradeprice|lastprice|last|px|p",
    "size": "size|quantity|qty|amount|tradesize|lastsize|q",
    "side": "side|aggressor|aggressorside|takerside",
    "buyer_maker": "isbuyermaker|buyermaker|buyeristhemaker|m",
    "open": "open|o|openprice",
    "high": "high|h|highprice",
    "low": "low|l|lowprice",
    "close": "close|c|closeprice",
    "volume": "volume|vol|v|basevolume",
    "dividend": "dividends?|dividendamount|exdividend",
    "split": "splits?|stocksplits?|splitratio|splitfactor",
}
_RECOGNISED = [(role, re.compile(pattern).fullmatch) for role, pattern in _NAMES.items()]
ROLES = frozenset(_NAMES)
"""What a column can be, beside a level of a book."""
_level = re.compile(rf"(bid|ask)s?(?:({_PRICE}|{_SIZE})([0-9]+)|([0-9]+)({_PRICE}|{_SIZE}))").fullmatch
_is_price = re.compile(_PRICE).fullmatch

NEEDED = {
    RowKind.QUOTES: ("time", "bid", "ask"),
    RowKind.TRADES: ("time", "price", "size"),
    RowKind.BARS: ("time", "open", "high", "low", "close"),
    RowKind.BOOKS: ("time",),
}
"""The columns that a kind cannot do without."""


@dataclass(frozen=True, slots=True)
class TableLayout:
    """What a configuration says of a tape of tables instead of having it found out."""

    columns: Mapping[str, str] = field(default_factory=dict)
    """Columns by their roles (`ROLES`): `{"time": "ts"}`."""
    kind: RowKind | None = None
    time_format: str | None = None
    """`iso`, `epoch_s`, `epoch_ms`, `epoch_us`, `epoch_ns`, or a pattern of strptime; None: found from each text."""
    timezone: str | None = None
    """Whose clock a time without an offset is by; None: New York's for shares, UTC for all else."""
    session: tuple[int, int] | None = None
    """Seconds after midnight at which the day of a bar begins and ends that bears a date alone."""
    bar_time: BarTime = BarTime.START
    bar_span_ns: int | None = None
    """None: the shortest time between two bars of an instrument."""
    corporate_actions: CorporateActions = CorporateActions.AUTO
    bad_lines: BadLines = BadLines.REFUSE
    rounding: bool = False
    """Whether what is off the increments is rounded to them: bids down, asks up, others to the nearest, sizes down."""
    symbols: Mapping[str, str] = field(default_factory=dict)
    """What a file's own names of instruments are called: `{"BTCUSDT": "BTC/USDT"}`."""
    quote_currency: str | None = None
    """What a ticker is paid in; None: USD."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Where in a row everything is."""

    kind: RowKind
    at: Mapping[str, int]
    """By role."""
    bids: tuple[tuple[int, int], ...] = ()
    """(price, size) of each level of a book, best first."""
    asks: tuple[tuple[int, int], ...] = ()
    width: int = 0

    def used(self) -> list[int]:
        """The columns that are read, in order."""
        levels = [index for pair in (*self.bids, *self.asks) for index in pair]
        return sorted({*self.at.values(), *levels})


def columns_of(header: Sequence[str], layout: TableLayout) -> Columns:
    """The columns of a header. `ValueError` for one that is missing, stands there twice, or could be two things."""
    names = [name.strip() for name in header]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"the header has the column {name[:64]!r} twice")
    at: dict[str, int] = {}
    for role, name in layout.columns.items():
        if name not in names:
            raise ValueError(f"there is no column {name[:64]!r}, which 'columns' names for {role}")
        at[role] = names.index(name)
    levels = _levels(names)
    given = set(at.values())
    for index, name in enumerate(names):
        role = role_of(name) or ""
        if not role or index in given or role in layout.columns:
            continue
        if role in at:
            # A date beside a time of day, an open time beside a close time: the fuller name does not win by itself.
            raise ValueError(
                f"the columns {names[at[role]][:64]!r} and {name[:64]!r} could both be the {role}"
            )
        at[role] = index
    kind = layout.kind or _kind(at, levels)
    if kind is None:
        raise ValueError(f"the columns {', '.join(names)[:200]!r} are neither quotes, trades, bars nor books")
    if kind is RowKind.TRADES and "size" not in at and "volume" in at:
        at["size"] = at["volume"]
    missing = [role for role in NEEDED[kind] if role not in at]
    if missing:
        raise ValueError(f"{kind} need the column {' and '.join(missing)}, which is missing")
    if kind is RowKind.BARS and "volume" not in at:
        _check_no_volume(names)
    if kind is RowKind.BOOKS and not (levels["bid"] and levels["ask"]):
        raise ValueError(
            "books need columns for levels of both sides, such as bids[0].price and bids[0].size"
        )
    return Columns(kind, at, levels["bid"], levels["ask"], len(names))


def _check_no_volume(names: Sequence[str]) -> None:
    """A volume under a name that nobody knows is not to be taken for none: of bars without one much can be had."""
    for name in names:
        if "vol" in name.lower() and "volat" not in name.lower():
            problem = f"bars need the column volume where there is one; {name[:64]!r} could be it"
            raise ValueError(f"{problem}: say so in 'columns', or leave it out of the file")


def role_of(name: str) -> str | None:
    """What a column of this name is; None where nobody knows."""
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    return next((role for role, matches in _RECOGNISED if matches(plain)), None)


def _kind(at: Mapping[str, int], levels: Mapping[str, object]) -> RowKind | None:
    if levels["bid"] and levels["ask"]:
        return RowKind.BOOKS
    for kind in (RowKind.QUOTES, RowKind.BARS, RowKind.TRADES):
        if all(role in at for role in NEEDED[kind][1:3]):
            return kind
    return None


def _levels(names: Sequence[str]) -> dict[str, tuple[tuple[int, int], ...]]:
    found: dict[str, dict[int, dict[bool, int]]] = {"bid": {}, "ask": {}}
    for index, name in enumerate(names):
        match = _level(re.sub(r"[^a-z0-9]", "", name.lower()))
        if match is not None:
            side, before, behind, ahead, after = match.groups()
            number, noun = (behind, before) if before else (ahead, after)
            found[side].setdefault(int(number), {})[_is_price(noun) is not None] = index
    sides: dict[str, tuple[tuple[int, int], ...]] = {}
    for side, numbered in found.items():
        for number, pair in numbered.items():
            if len(pair) != 2:
                raise ValueError(
                    f"level {number} of the {side}s has no {'size' if True in pair else 'price'}"
                )
        sides[side] = tuple((pair[True], pair[False]) for _, pair in sorted(numbered.items()))
    return sides
