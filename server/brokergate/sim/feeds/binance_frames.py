"""Lines of a Binance recording to frames: what kind each is, whose, and when. Bytes in, dicts out.

A line is `<time> <json>` or `<json>` alone, and every line is as the first. The leading time is the
recorder's own clock since the epoch, in s, ms, us or ns by its number of digits (10, 13, 16, 19). It is the
tape's clock where it is there: it is the order in which a strategy could have seen the frames, and it also
stamps `bookTicker` and REST answers, which bear no time. Without it the clock is the exchange's event time
`E` (ms or us), and a frame that has none takes its predecessor's time, or at the head of the file the first
one found.

The JSON is a combined-stream envelope `{"stream", "data"}`, a bare event, or a depth snapshot
`{"lastUpdateId", "bids", "asks"}` (bare, in an envelope, or as the `result` of the WebSocket API's `depth`),
maybe with a `symbol` beside it. Formats: binance-spot-api-docs, web-socket-streams.md and rest-api.md, "Order
book".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from brokergate.sim.feeds.files import read_lines
from brokergate.sim.feeds.tape import ForwardClock, TapeError, listed

MAX_UNTIMED_FRAMES = 10_000
"""Frames without a time that are held at the head of a file until the first time is found."""

_STAMP_UNIT_NS = {10: 1_000_000_000, 13: 1_000_000, 16: 1_000, 19: 1}
_MICROSECONDS_FROM = 10**14
"""Event times at or above this are microseconds (`timeUnit=MICROSECOND`); as milliseconds it is the year
5138.
"""
_LATEST_EVENT = 10**17
_is_symbol = re.compile(r"[A-Z0-9]{2,40}", re.ASCII).fullmatch


class FrameKind(StrEnum):
    """What a frame is; the values are the names of Binance's streams."""

    DEPTH = "depth"
    SNAPSHOT = "snapshot"
    """The REST depth snapshot, or one that looks like it."""
    PARTIAL = "partial"
    """A frame of `@depth5`, `@depth10` or `@depth20`: a snapshot of the top."""
    TICKER = "bookTicker"
    TRADE = "trade"
    AGG_TRADE = "aggTrade"
    OTHER = "other"
    """Answers to subscriptions, and streams that say nothing about book or trades."""


class Frame(NamedTuple):
    """One line, parsed. `symbol` is Binance's, empty where the frame does not say. `event_ns` is 0 where it
    has none.
    """

    line: int
    time_ns: int
    kind: FrameKind
    symbol: str
    data: dict[str, Any]
    event_ns: int


_EVENTS = {
    "depthUpdate": FrameKind.DEPTH,
    "bookTicker": FrameKind.TICKER,
    "trade": FrameKind.TRADE,
    "aggTrade": FrameKind.AGG_TRADE,
}
_STREAMS = {
    "depth": FrameKind.DEPTH,
    "depth5": FrameKind.PARTIAL,
    "depth10": FrameKind.PARTIAL,
    "depth20": FrameKind.PARTIAL,
    "bookTicker": FrameKind.TICKER,
    "trade": FrameKind.TRADE,
    "aggTrade": FrameKind.AGG_TRADE,
}
_NAMELESS = (FrameKind.SNAPSHOT, FrameKind.OTHER)
_WAY_OUT = "a line must be '<local time> <frame>' or '<frame>', as Binance's public streams send them"


class FrameReader:
    """One pass over a recording. `stamped` and `clock` are of use when it has ended."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = ForwardClock()
        self.stamped: bool | None = None

    def frames(self) -> Iterator[Frame]:
        """The frames in the file's order. `TapeError` at the first line that is not one."""
        waiting: list[Frame] = []
        for line, raw in read_lines(self.path):
            try:
                frame = self._frame(line, raw)
            except (ValueError, TypeError, AttributeError) as error:
                raise TapeError(str(self.path), line, str(error), _WAY_OUT) from error
            except KeyError as error:
                raise missing_field(str(self.path), line, error) from error
            if not frame.time_ns:
                waiting.append(frame)
                if len(waiting) > MAX_UNTIMED_FRAMES:
                    break
                continue
            if waiting:
                yield from (early._replace(time_ns=frame.time_ns) for early in waiting)
                waiting.clear()
            yield frame
        if waiting:
            raise TapeError(str(self.path), waiting[-1].line, "no line so far bears a time", _WAY_OUT)

    def _frame(self, line: int, raw: bytes) -> Frame:
        stamped = raw[0] != 0x7B  # an opening brace
        if self.stamped is not stamped:
            if self.stamped is not None:
                raise ValueError("some lines start with a time and some do not")
            self.stamped = stamped
        stamp = 0
        if stamped:
            head, _, raw = raw.partition(b" ")
            unit = _STAMP_UNIT_NS.get(len(head)) if head.isdigit() else None
            if unit is None:
                shown = head[:32].decode("ascii", "replace")
                raise ValueError(
                    f"the line starts with {shown!r}, neither a time since the epoch nor a JSON object"
                )
            stamp = int(head) * unit
        try:
            envelope = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise ValueError(f"bad JSON ({error})") from error
        if not isinstance(envelope, dict):
            raise ValueError("the frame is not a JSON object")
        kind, symbol, data = _classify(envelope)
        event_ns = _event_ns(data)
        time_ns = stamp or event_ns
        if time_ns:
            time_ns = self.clock.advance(time_ns)
        return Frame(line, time_ns or self.clock.now_ns, kind, symbol, data, event_ns)


def _classify(envelope: dict[str, Any]) -> tuple[FrameKind, str, dict[str, Any]]:
    """Kind, Binance's symbol and payload of a frame."""
    stream = envelope.get("stream")
    if stream is None:
        data, streamed, symbol = envelope, None, ""
        if isinstance(envelope.get("result"), dict):
            data = envelope["result"]
    else:
        data = envelope["data"]
        if not isinstance(data, dict):
            return FrameKind.OTHER, "", {}  # the all-market streams send arrays
        streamed, symbol = _stream(stream)
    event = data.get("e")
    if event is not None:
        kind = _EVENTS.get(event, FrameKind.OTHER)
    elif "lastUpdateId" in data:
        kind = FrameKind.PARTIAL if streamed is FrameKind.PARTIAL else FrameKind.SNAPSHOT
    elif streamed is not None:
        kind = streamed
    else:
        kind = _by_shape(envelope)
    if kind is not FrameKind.OTHER:
        symbol = data.get("s") or symbol or data.get("symbol") or envelope.get("symbol") or ""
        if not symbol and kind not in _NAMELESS:
            raise KeyError("s")
        if symbol and not _is_symbol(symbol):
            raise ValueError(f"symbol {str(symbol)[:64]!r} is not one of Binance's, such as 'BTCUSDT'")
    return kind, symbol, data


def _by_shape(data: dict[str, Any]) -> FrameKind:
    """The kind of a bare frame without `e`: a bookTicker, or an answer of the server."""
    if "B" in data or "A" in data:
        return FrameKind.TICKER
    if "result" in data or "error" in data or "id" in data:
        return FrameKind.OTHER
    raise ValueError(f"the frame is of no known kind (fields: {listed(data) or 'none'})")


@lru_cache(maxsize=1024)
def _stream(stream: str) -> tuple[FrameKind, str]:
    """Kind and symbol by a stream's name, such as `btcusdt@depth@100ms`."""
    symbol, _, rest = stream.partition("@")
    symbol = symbol.upper()
    return _STREAMS.get(rest.partition("@")[0], FrameKind.OTHER), symbol if _is_symbol(symbol) else ""


def _event_ns(data: dict[str, Any]) -> int:
    """The exchange's event time; 0 where the frame has none."""
    event = data.get("E", 0)
    if type(event) is not int or not 0 <= event < _LATEST_EVENT:
        raise ValueError(
            f"event time E is {str(event)[:64]!r}, not milliseconds or microseconds since the epoch"
        )
    return event * (1_000 if event >= _MICROSECONDS_FROM else 1_000_000)


def missing_field(file: str, line: int, error: KeyError) -> TapeError:
    """The error of a frame that lacks a field."""
    return TapeError(file, line, f"the frame has no field {str(error.args[0])[:64]!r}", _WAY_OUT)
