"""Quotes: a stream that breaks is opened anew, and one that cannot be is an error."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import grpc
import pytest

from brokergate.v1 import market_data_pb2, stream_pb2
from brokergate_client import ErrorReason, GatewayError, NotFoundError, UnavailableError
from brokergate_client.calls import Backoff
from brokergate_client.quotes import follow_quotes

End = GatewayError | None


def message(*bids: str, closing: bool = False) -> market_data_pb2.StreamMarketDataResponse:
    """Quotes with these bids, and a trade between them."""
    updates = [market_data_pb2.MarketDataUpdate(trade=market_data_pb2.Trade(price="1", quantity="1"))]
    updates += [
        market_data_pb2.MarketDataUpdate(quote=market_data_pb2.Quote(symbol="BTC/USDT", bid_price=bid))
        for bid in bids
    ]
    said = market_data_pb2.StreamMarketDataResponse(updates=updates)
    if closing:
        said.closing.CopyFrom(stream_pb2.StreamClosing(message="going down"))
    return said


async def bids_of(*streams: tuple[list[Any], End]) -> list[str]:
    """The bids of one stream after another, until a `NotFoundError` ends them."""
    waiting = list(streams)

    async def open_stream() -> AsyncGenerator[Any, None]:
        messages, end = waiting.pop(0)
        for said in messages:
            yield said
        if end is not None:
            raise end

    bids = []
    quotes = follow_quotes(open_stream, lambda: Backoff(0.0, 0.0))
    with pytest.raises(NotFoundError):  # noqa: PT012 - what came before the end counts
        async with aclosing(quotes):
            async for quote in quotes:
                bids.append(str(quote.bid_price))  # noqa: PERF401
    return bids


GONE = NotFoundError(grpc.StatusCode.NOT_FOUND, "no such account", reason=ErrorReason.ACCOUNT_NOT_FOUND)


@pytest.mark.parametrize(
    "end",
    [
        None,
        UnavailableError(grpc.StatusCode.UNAVAILABLE, "lost"),
        GatewayError(grpc.StatusCode.RESOURCE_EXHAUSTED, "slow", reason=ErrorReason.SLOW_CONSUMER),
    ],
)
async def test_a_stream_that_ends_is_opened_again(end: End) -> None:
    """Whether without a word, lost, or cut off; nothing but quotes comes."""
    assert await bids_of(([message("1", "2")], end), ([message("3")], GONE)) == ["1", "2", "3"]


async def test_a_gateway_that_goes_down_is_asked_again() -> None:
    """It says so in its last message, whose quotes count."""
    assert await bids_of(([message("1", closing=True)], None), ([message("2")], GONE)) == ["1", "2"]
