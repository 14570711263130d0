"""MarketDataService: the market as an account's broker sees it, conflated for whoever is slow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final

from brokergate.codec.decode.account import decode_holding
from brokergate.codec.decode.stream import MarketDataKind, MarketDataRequest, decode_stream_market_data
from brokergate.codec.encode.market import encode_quote, encode_update
from brokergate.codec.encode.stream import encode_closing
from brokergate.domain.capabilities import Capabilities
from brokergate.domain.errors import ErrorReason, GatewayError, StatusCode
from brokergate.domain.market import BookChanged, BookView, MarketDatum, QuoteView, TradeView
from brokergate.engine.gateway import Gateway
from brokergate.ports.broker import AbstractBroker
from brokergate.ports.clock import Clock
from brokergate.transport.auth import require_account
from brokergate.transport.calls import Stream, StreamEnded
from brokergate.transport.clients import Client
from brokergate.transport.conflation import Conflation
from brokergate.v1 import market_data_pb2

MAX_UPDATES_BYTES: Final = 1 << 20
"""Of one message: sixty-four books a thousand levels deep go out in several."""

Response: Final = market_data_pb2.StreamMarketDataResponse


class MarketDataService:
    """See `market_data_service.proto`."""

    def __init__(self, gateway: Gateway, clock: Clock, max_trades: int) -> None:
        self._gateway = gateway
        self._clock = clock
        self._max_trades = max_trades

    async def get_quote(
        self, request: market_data_pb2.GetQuoteRequest, client: Client
    ) -> market_data_pb2.GetQuoteResponse:
        wanted = decode_holding(request)
        account_id, route_id = wanted.target
        if route_id:
            account_id = self._gateway.reader(
                route_id, (wanted.symbol,), lambda broker: _check_quoted(broker, wanted.symbol)
            )
        require_account(client.principal, account_id)
        shown = self._gateway.get_quote(account_id, wanted.symbol)
        return market_data_pb2.GetQuoteResponse(
            quote=encode_quote(shown.value), account_id=account_id, stale=shown.stale
        )

    async def stream_market_data(
        self, request: market_data_pb2.StreamMarketDataRequest, stream: Stream
    ) -> None:
        wanted = decode_stream_market_data(request)
        account_id, route_id = wanted.target
        if not route_id:
            require_account(stream.principal, account_id)
            broker = self._gateway.broker_of(account_id)
            for symbol in wanted.symbols:
                place = list(request.symbols).index(symbol)
                self._gateway.get_instrument(account_id, symbol, f"symbols[{place}]")
            _check_supported(wanted.kinds, broker.capabilities, broker.name)
            await self._tell(account_id, wanted, stream, asyncio.Event(), lambda: True)
            return
        news = asyncio.Event()
        with self._gateway.health_sets(news):
            account_id = self._reader(wanted)
            while True:
                require_account(stream.principal, account_id)
                goes_on = partial(self._gateway.is_connected, account_id)
                await self._tell(account_id, wanted, stream, news, goes_on)
                account_id = await self._next(wanted, stream, news)

    def _reader(self, wanted: MarketDataRequest) -> str:
        return self._gateway.reader(
            wanted.target.route_id,
            wanted.symbols,
            lambda broker: _check_supported(wanted.kinds, broker.capabilities, broker.name),
        )

    async def _next(self, wanted: MarketDataRequest, stream: Stream, news: asyncio.Event) -> str:
        """The account that the stream of a route goes on with, once there is one."""
        while True:
            news.clear()
            try:
                return self._reader(wanted)
            except GatewayError as error:
                if error.code is not StatusCode.UNAVAILABLE:
                    raise
            await stream.wait(news.wait())

    async def _tell(
        self,
        account_id: str,
        wanted: MarketDataRequest,
        stream: Stream,
        news: asyncio.Event,
        goes_on: Callable[[], bool],
    ) -> None:
        """Tells an account's market from now on. Returns when `goes_on`, asked whenever there is news, says no."""
        broker = self._gateway.broker_of(account_id)
        conflation = Conflation(
            wanted.kinds, self._max_trades, lambda symbol: broker.book(symbol, wanted.depth)
        )
        for datum in _present(broker, wanted.symbols):
            conflation.add(datum)
        news.set()
        source = account_id

        def listen(datum: MarketDatum) -> None:
            if conflation.add(datum):
                news.set()

        unsubscribe = broker.subscribe_market_data(wanted.symbols, listen)
        try:
            while True:
                await stream.wait(news.wait())
                news.clear()
                if not goes_on():
                    return
                told_ns = self._clock.monotonic_ns()
                for message in _messages(source, *conflation.take()):
                    await stream.write(message)
                    source = ""
                left_s = wanted.min_interval_s - (self._clock.monotonic_ns() - told_ns) / 1e9
                if left_s > 0:
                    await stream.wait(self._clock.sleep(left_s))
        except StreamEnded as end:
            closing = encode_closing(end.error.reason, end.error.message)
            await stream.write(Response(closing=closing).SerializeToString())
            raise
        finally:
            unsubscribe()


def _present(broker: AbstractBroker, symbols: Sequence[str]) -> Iterator[QuoteView | BookChanged]:
    for symbol in symbols:
        quote = broker.quote(symbol)
        if quote is None and (last := broker.last_quote(symbol)) is not None and last.delayed:
            # Nothing is traded by it, and it says of itself that it is old; another may be long in coming.
            quote = last
        if quote is not None:
            yield quote
        yield BookChanged(symbol, 0)


def _messages(
    source: str, updates: Sequence[QuoteView | TradeView | BookView], skipped: int
) -> Iterator[bytes]:
    """Serialised responses of bounded size, the first with their source, where that is to be told, and with what was
    skipped; none where there is nothing to say."""
    message, length = Response(account_id=source, skipped_updates=skipped), 0
    for update in updates:
        encoded = encode_update(update)
        length += encoded.ByteSize()
        if message.updates and length > MAX_UPDATES_BYTES:
            yield message.SerializeToString()
            message, length = Response(), encoded.ByteSize()
        message.updates.append(encoded)
    if message.updates or skipped:
        yield message.SerializeToString()


def _check_supported(kinds: frozenset[MarketDataKind], capabilities: Capabilities, broker: str) -> None:
    streams: Mapping[MarketDataKind, bool] = {
        MarketDataKind.QUOTE: capabilities.streams_quotes,
        MarketDataKind.TRADE: capabilities.streams_trades,
        MarketDataKind.BOOK: capabilities.streams_book,
    }
    for kind in sorted(kinds):
        if not streams[kind]:
            raise GatewayError(
                ErrorReason.UNSUPPORTED,
                f"broker {broker!r} streams no {kind.name}; GetBroker shows what it does",
            )


def _check_quoted(broker: AbstractBroker, symbol: str) -> None:
    if broker.quote(symbol) is None:
        raise GatewayError(
            ErrorReason.NO_REFERENCE_PRICE, f"broker {broker.name!r} has no quote of {symbol!r} yet"
        )
