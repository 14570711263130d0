from __future__ import annotations

import asyncio
import dataclasses
from decimal import Decimal
from typing import Any

import grpc
import pytest

from brokergate.domain.market import BookChanged, BookView, QuoteView, TradeView
from brokergate.domain.orders import Side
from brokergate.v1 import error_pb2, market_data_pb2, market_data_service_pb2_grpc
from tests.unit.transport.conftest import Served
from tests.unit.transport.desk import SYMBOL
from tests.unit.transport.errors import fields_of, reason_of
from tests.unit.transport.test_streams import until

QUOTE, TRADE, BOOK = 1, 2, 3


def quote(bid: int) -> QuoteView:
    return QuoteView(SYMBOL, Decimal(bid), Decimal(1), Decimal(bid + 1), Decimal(2), bid, bid)


def trade(number: int) -> TradeView:
    return TradeView(SYMBOL, Decimal(number), Decimal(1), Side.SELL, number, number)


def book(levels: int) -> BookView:
    bids = tuple((Decimal(1000 - level), Decimal(1)) for level in range(levels))
    asks = tuple((Decimal(1001 + level), Decimal(1)) for level in range(levels))
    return BookView(SYMBOL, bids, asks, 5, 6)


def watch(served: Served, kinds: list[int], interval_ms: int = 0, **fields: Any) -> Any:
    stub: Any = market_data_service_pb2_grpc.MarketDataServiceStub(served.channel())
    request = market_data_pb2.StreamMarketDataRequest(account_id="main", symbols=[SYMBOL], **fields)
    request.kinds.extend(kinds)  # type: ignore[arg-type]
    request.min_interval.FromMilliseconds(interval_ms)
    return stub.StreamMarketData(request, timeout=60)


async def test_the_present_comes_first_and_then_what_is_new(served: Served) -> None:
    """A stream begins with the present quote and book to the depth that was asked for; then comes what is new."""
    served.desk.quotes[SYMBOL], served.desk.books[SYMBOL] = quote(7), book(50)
    stream = watch(served, [QUOTE, TRADE, BOOK], book_depth=3)
    first = await stream.read()
    assert [update.WhichOneof("data") for update in first.updates] == ["quote", "book"]
    assert first.updates[0].quote.bid_price == "7"
    assert [level.price for level in first.updates[1].book.bids] == ["1000", "999", "998"]
    assert first.skipped_updates == 0
    for number in (1, 2, 3):
        served.desk.tell(trade(number))
    second = await stream.read()
    assert [update.trade.price for update in second.updates] == ["1", "2", "3"]


async def test_a_slow_reader_gets_the_latest_and_is_told_what_it_missed(served: Served) -> None:
    """Between two messages quotes and books are conflated, trades kept in order, and what was skipped is counted."""
    stream = watch(served, [QUOTE, TRADE, BOOK], interval_ms=100)
    await until(lambda: served.desk.listeners)
    served.desk.tell(quote(1))
    await stream.read()
    served.desk.books[SYMBOL] = book(2)
    for number in range(10):
        served.desk.tell(quote(100 + number))
        served.desk.tell(BookChanged(SYMBOL, number))
        served.desk.tell(trade(number + 1))
    message = await stream.read()
    kinds = [update.WhichOneof("data") for update in message.updates]
    assert kinds == ["quote", *["trade"] * 10, "book"]
    assert message.updates[0].quote.bid_price == "109"
    assert message.skipped_updates == 18


async def test_trades_beyond_a_thousand_are_counted(served: Served) -> None:
    """Of 1,200 trades that wait, the last 1,000 are told and 200 counted as skipped."""
    stream = watch(served, [TRADE])
    await until(lambda: served.desk.listeners)
    for number in range(1200):
        served.desk.tell(trade(number + 1))
    message = await stream.read()
    assert [update.trade.price for update in message.updates] == [str(number) for number in range(201, 1201)]
    assert message.skipped_updates == 200


async def test_a_minimal_interval_is_kept(served: Served) -> None:
    """However fast the market moves, messages are no nearer than the interval that was asked for."""
    stream = watch(served, [QUOTE], interval_ms=150)
    await until(lambda: served.desk.listeners)
    loop, times = asyncio.get_running_loop(), []
    for bid in (1, 2, 3):
        served.desk.tell(quote(bid))
        await stream.read()
        times.append(loop.time())
    assert times[2] - times[0] > 0.25


async def test_a_deep_book_is_whole(served: Served) -> None:
    """A book as deep as can be asked for arrives whole."""
    stream = watch(served, [TRADE, BOOK], book_depth=1000)
    await until(lambda: served.desk.listeners)
    deep = book(1000)
    served.desk.books[SYMBOL] = deep
    served.desk.tell(BookChanged(SYMBOL, 1))
    message = await stream.read()
    assert len(message.updates[0].book.bids) == 1000


async def test_unsubscribed_at_the_end(served: Served) -> None:
    """A client that goes away leaves no listener behind; at drain the stream says so and ends OK."""
    gone = watch(served, [QUOTE])
    stays = watch(served, [QUOTE])
    await until(lambda: len(served.desk.listeners) == 2)
    gone.cancel()
    await until(lambda: len(served.desk.listeners) == 1)
    draining = asyncio.create_task(served.server.drain(5))
    last = await stays.read()
    assert last.closing.reason == error_pb2.ERROR_REASON_SHUTTING_DOWN
    assert await stays.read() is grpc.aio.EOF
    assert await draining
    assert served.desk.listeners == []


@pytest.mark.parametrize(
    ("change", "reason", "fields"),
    [
        ({"account_id": "none"}, "ACCOUNT_NOT_FOUND", ["account_id"]),
        ({"symbols": ["ZZZ"]}, "INSTRUMENT_NOT_FOUND", None),
        ({"symbols": []}, "INVALID_FIELD", ["symbols"]),
        ({"book_depth": 1001}, "INVALID_FIELD", ["book_depth"]),
        ({"kinds": [9]}, "INVALID_FIELD", ["kinds[0]"]),
    ],
)
async def test_a_wrong_request_is_refused(
    served: Served, change: dict[str, Any], reason: str, fields: list[str] | None
) -> None:
    """Unknown accounts, instruments and kinds, and a depth out of range, are errors that name the field."""
    stub: Any = market_data_service_pb2_grpc.MarketDataServiceStub(served.channel())
    request: dict[str, Any] = {"account_id": "main", "symbols": [SYMBOL]} | change
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.StreamMarketData(market_data_pb2.StreamMarketDataRequest(**request)).read()
    assert reason_of(caught.value) == reason
    assert fields is None or fields_of(caught.value) == fields


async def test_what_the_broker_does_not_stream_is_unsupported(served: Served, monkeypatch: Any) -> None:
    """A kind that the broker's capabilities lack is UNSUPPORTED before anything is sent."""

    less = dataclasses.replace(served.desk.capabilities, streams_book=False)
    monkeypatch.setattr(served.desk, "capabilities", less, raising=False)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await watch(served, [BOOK]).read()
    assert reason_of(caught.value) == "UNSUPPORTED"


async def test_the_quote(served: Served) -> None:
    """GetQuote shows the present quote, and NO_REFERENCE_PRICE before there is one."""
    stub: Any = market_data_service_pb2_grpc.MarketDataServiceStub(served.channel())
    request = market_data_pb2.GetQuoteRequest(account_id="main", symbol=SYMBOL)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.GetQuote(request)
    assert reason_of(caught.value) == "NO_REFERENCE_PRICE"
    served.desk.quotes[SYMBOL] = quote(7)
    assert (await stub.GetQuote(request)).quote.bid_price == "7"
