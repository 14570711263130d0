"""Requests for streams of events and of market data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from brokergate.codec.decode.fields import (
    NS_PER_S,
    Violations,
    all_members,
    choice,
    choices,
    count,
    duration_ns,
    identifier,
    members,
    symbol,
    time_ns,
)
from brokergate.codec.decode.target import Target, target_at
from brokergate.domain.events import EventKind
from brokergate.domain.streams import StartPosition, StreamRequest
from brokergate.v1 import event_pb2, market_data_pb2

MAX_ACCOUNTS = 64
MAX_SYMBOLS = 64
MIN_HEARTBEAT_S = 1
MAX_HEARTBEAT_S = 60
DEFAULT_HEARTBEAT_S = 10.0
MAX_DEPTH = 1000
DEFAULT_DEPTH = 20
MAX_INTERVAL_S = 60


class MarketDataKind(IntEnum):
    """The kinds of market data; the numbers are the contract's."""

    UNSPECIFIED = 0
    QUOTE = 1
    TRADE = 2
    BOOK = 3


@dataclass(frozen=True, slots=True)
class MarketDataRequest:
    """Market data of `symbols` on the market of an account or a route: `depth` levels a side of books, no oftener than
    `min_interval_s`."""

    target: Target
    symbols: tuple[str, ...]
    kinds: frozenset[MarketDataKind]
    depth: int
    min_interval_s: float


_STARTS = all_members(StartPosition)
_FILL_STARTS = {number: start for number, start in _STARTS.items() if start is not StartPosition.SNAPSHOT}
_KINDS = members(EventKind)
_DATA_KINDS = members(MarketDataKind)
FILL_KINDS = frozenset({EventKind.FILL, EventKind.FILL_FEES})


def decode_stream_events(request: event_pb2.StreamEventsRequest) -> StreamRequest:
    """A StreamEventsRequest. No account ids means all that the caller may see; no start means live."""
    out = Violations()
    kinds = choices(out, "kinds", request.kinds, _KINDS)
    return _stream(out, request, _STARTS, kinds, frozenset())


def decode_stream_fills(request: event_pb2.StreamFillsRequest) -> StreamRequest:
    """A StreamFillsRequest: the kinds are FILL and FILL_FEES, and a snapshot is refused."""
    out = Violations()
    symbols = _symbols(out, request.symbols, 0)
    return _stream(out, request, _FILL_STARTS, FILL_KINDS, frozenset(symbols))


def _stream(
    out: Violations,
    request: event_pb2.StreamEventsRequest | event_pb2.StreamFillsRequest,
    starts: Mapping[int, StartPosition],
    kinds: frozenset[EventKind],
    symbols: frozenset[str],
) -> StreamRequest:
    account_ids: dict[str, None] = {}
    if count(out, "account_ids", request.account_ids, 0, MAX_ACCOUNTS):
        for index, account_id in enumerate(request.account_ids):
            account_ids[identifier(out, f"account_ids[{index}]", account_id)] = None
    heartbeat_s = DEFAULT_HEARTBEAT_S
    if request.HasField("heartbeat_interval"):
        interval = request.heartbeat_interval
        heartbeat_s = (
            duration_ns(out, "heartbeat_interval", interval, MIN_HEARTBEAT_S, MAX_HEARTBEAT_S) / NS_PER_S
        )
    after_cursor: str | None = None
    start_ns: int | None = None
    position: StartPosition | None = None
    match request.WhichOneof("start"):
        case "after_cursor":
            after_cursor = request.after_cursor
        case "start_time":
            start_ns = time_ns(out, "start_time", request.start_time)
        case "start_position":
            found = choice(out, "start_position", request.start_position, starts)
            position = found or StartPosition.LIVE
        case _:
            pass
    out.check()
    return StreamRequest(tuple(account_ids), after_cursor, start_ns, position, kinds, symbols, heartbeat_s)


def _symbols(out: Violations, names: Sequence[str], low: int) -> tuple[str, ...]:
    if not count(out, "symbols", names, low, MAX_SYMBOLS):
        return ()
    return tuple(dict.fromkeys(symbol(out, f"symbols[{index}]", name) for index, name in enumerate(names)))


def decode_stream_market_data(request: market_data_pb2.StreamMarketDataRequest) -> MarketDataRequest:
    """A StreamMarketDataRequest."""
    out = Violations()
    target = target_at(out, "", request)
    symbols = _symbols(out, request.symbols, 1)
    kinds = choices(out, "kinds", request.kinds, _DATA_KINDS) or frozenset({MarketDataKind.QUOTE})
    if not 0 <= request.book_depth <= MAX_DEPTH:
        out.add("book_depth", f"must be 1 to {MAX_DEPTH}, or 0 for {DEFAULT_DEPTH}", str(request.book_depth))
    interval_ns = duration_ns(out, "min_interval", request.min_interval, 0, MAX_INTERVAL_S)
    out.check()
    return MarketDataRequest(
        target, symbols, kinds, request.book_depth or DEFAULT_DEPTH, interval_ns / NS_PER_S
    )
