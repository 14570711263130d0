"""The WebSocket streams: `trade_updates` of the trading host, quotes, trades and order books of the data host.

By docs.alpaca.markets, "Websocket Streaming" and "Streaming Market Data" (messages, error codes), and alpaca-py
0.44.0, alpaca/trading/stream.py and alpaca/data/live/websocket.py (MessagePack where the handshake's Content-Type asks
for it; one connection an account: a further one is turned away).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web

from tests.emulators.alpaca.assets import Asset
from tests.emulators.alpaca.market import Sides, changes, orderbook, packed, quote, sides, trade, unpacked
from tests.emulators.channel import Channel
from tests.emulators.orders import BookMoved, MarketTraded

if TYPE_CHECKING:
    from tests.emulators.alpaca.venue import Alpaca

ORDERS, MARKET = "orders", "market"
"""What faults call the two kinds of stream."""
AUTHENTICATION_S = 10.0
"""How long the data host waits for a client to say who it is."""
STOCK_CHANNELS = (
    "trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "lulds", "corrections", "cancelErrors",
)  # fmt: skip
CRYPTO_CHANNELS = ("trades", "quotes", "orderbooks", "bars", "updatedBars", "dailyBars")
_MAX_SYMBOLS = 30
"""Channels and symbols together that a free account may subscribe to on a stock feed."""


class TradeStream:
    """One connection of `/stream`. The paper host sends its JSON in binary frames."""

    def __init__(self, emulator: Alpaca, channel: Channel, *, message_pack: bool) -> None:
        self.channel = channel
        self.listening = False
        self._emulator = emulator
        self._message_pack = message_pack
        self._authorized = False

    def tell(self, data: Mapping[str, Any]) -> None:
        """An event of `trade_updates`."""
        if self.listening:
            frame = packed({"stream": "trade_updates", "data": data}, message_pack=self._message_pack)
            self.channel.tell(frame, "trade_updates", str(data["event"]), binary=self._emulator.binary)

    async def run(self, socket: web.WebSocketResponse) -> None:
        """Serves the connection until it ends."""
        async for message in socket:
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                return
            if not self._take(unpacked(message.data)):
                await self.channel.close()
                return

    def _take(self, asked: Any) -> bool:
        action = asked.get("action") if isinstance(asked, dict) else None
        data = asked.get("data") if isinstance(asked, dict) else None
        data = data if isinstance(data, dict) else {}
        self._emulator.note_frame(f"{ORDERS} {action}", data)
        if action in ("authenticate", "auth"):
            key = data.get("key_id", asked.get("key"))
            self._authorized = self._emulator.knows(key, data.get("secret_key", asked.get("secret")))
            self._say_authorization("authenticate")
            return self._authorized
        if not self._authorized:
            self._say_authorization(str(action))
            return False
        if action == "listen":
            streams = [each for each in data.get("streams", ()) if each == "trade_updates"]
            self.listening = bool(streams)
            self._answer({"stream": "listening", "data": {"streams": streams}})
        return True

    def _say_authorization(self, action: str) -> None:
        status = "authorized" if self._authorized else "unauthorized"
        self._answer({"stream": "authorization", "data": {"action": action, "status": status}})

    def _answer(self, frame: Mapping[str, Any]) -> None:
        body = packed(frame, message_pack=self._message_pack)
        self.channel.answer(body, binary=self._emulator.binary)


class DataStream:
    """One connection of a feed of the data host."""

    def __init__(
        self, emulator: Alpaca, channel: Channel, feed: str, *, crypto: bool, message_pack: bool
    ) -> None:
        self.channel = channel
        self.feed = feed
        self.crypto = crypto
        self.authenticated = False
        self._emulator = emulator
        self._message_pack = message_pack
        names = CRYPTO_CHANNELS if crypto else STOCK_CHANNELS
        self._subscribed: dict[str, dict[str, None]] = {name: {} for name in names}

    def wants(self, channel: str, symbol: str) -> bool:
        """Whether it subscribed to that."""
        wanted = self._subscribed.get(channel, {})
        return symbol in wanted or "*" in wanted

    def tell(self, channel: str, message: Mapping[str, Any]) -> None:
        """A message of a channel."""
        frame = packed([message], message_pack=self._message_pack)
        self.channel.tell(frame, channel, str(message["S"]), binary=self._message_pack)

    async def run(self, socket: web.WebSocketResponse) -> None:
        """Serves the connection until it ends."""
        self._answer({"T": "success", "msg": "connected"})
        until = asyncio.get_running_loop().time() + AUTHENTICATION_S
        while True:
            try:
                async with asyncio.timeout_at(None if self.authenticated else until):
                    message = await socket.receive()
            except TimeoutError:
                self._error(404, "auth timeout")
                return await self.channel.close()
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                return None
            if not self._take(unpacked(message.data)):
                return await self.channel.close()

    def _take(self, asked: Any) -> bool:
        action = asked.get("action") if isinstance(asked, dict) else None
        self._emulator.note_frame(f"{MARKET} {action}", asked if isinstance(asked, dict) else {})
        if action == "auth":
            return self._authenticate(asked)
        if action not in ("subscribe", "unsubscribe"):
            self._error(400, "invalid syntax")
            return True
        if not self.authenticated:
            self._error(401, "not authenticated")
            return True
        self._subscribe(asked, add=action == "subscribe")
        return True

    def _authenticate(self, asked: Mapping[str, Any]) -> bool:
        if self.authenticated:
            self._error(403, "already authenticated")
            return True
        if not self._emulator.knows(asked.get("key"), asked.get("secret")):
            self._error(402, "auth failed")
            return False
        others = [
            each for each in self._emulator.data_streams if each.authenticated and each.feed == self.feed
        ]
        if len(others) >= self._emulator.most_streams:
            self._error(406, "connection limit exceeded")
            return False
        self.authenticated = True
        self._answer({"T": "success", "msg": "authenticated"})
        return True

    def _subscribe(self, asked: Mapping[str, Any], *, add: bool) -> None:
        wanted: dict[str, list[str]] = {}
        for name, symbols in asked.items():
            if name == "action":
                continue
            if name not in self._subscribed or not isinstance(symbols, list):
                return self._error(
                    410 if isinstance(symbols, list) else 400, "invalid subscribe action for this feed"
                )
            wanted[name] = [str(symbol) for symbol in symbols]
        new = {
            name: [each for each in symbols if each not in self._subscribed[name]]
            for name, symbols in wanted.items()
        }
        if add and not self.crypto and self.feed == "iex":
            count = sum(map(len, self._subscribed.values())) + sum(map(len, new.values()))
            if count > _MAX_SYMBOLS:
                return self._error(405, "symbol limit exceeded")
        for name, symbols in wanted.items():
            for symbol in symbols:
                if add:
                    self._subscribed[name][symbol] = None
                else:
                    self._subscribed[name].pop(symbol, None)
        told = {name: list(symbols) for name, symbols in self._subscribed.items()}
        self._answer({"T": "subscription", **told})
        if add:
            for asset in self._emulator.assets:
                if asset.crypto and {asset.symbol, "*"} & set(new.get("orderbooks", ())):
                    self._emulator.tape.whole_book(self, asset)
        return None

    def _error(self, code: int, message: str) -> None:
        self._answer({"T": "error", "code": code, "msg": message})

    def _answer(self, message: Mapping[str, Any]) -> None:
        body = packed([message], message_pack=self._message_pack)
        self.channel.answer(body, binary=self._message_pack)


class Tape:
    """Tells the subscribers what the market does."""

    def __init__(self, emulator: Alpaca) -> None:
        self._emulator = emulator
        self._quotes: dict[str, tuple[Any, ...]] = {}
        self._books: dict[str, Sides] = {}

    def heard(self, happening: MarketTraded | BookMoved) -> None:
        """A trade, or a book that may be another one now."""
        asset = self._emulator.assets.find(happening.symbol)
        assert asset is not None
        if isinstance(happening, MarketTraded):
            self._tell("trades", asset, {"T": "t", "S": asset.symbol, **trade(asset, happening)})
            return
        self._quote(asset)
        if asset.crypto:
            self._book(asset, happening.time_ns)

    def whole_book(self, stream: DataStream, asset: Asset) -> None:
        """What a new subscriber of order books is told first."""
        core = self._emulator.core
        book = self._books[asset.symbol] = sides(core.book(asset.symbol, 1000))
        stream.tell("orderbooks", {"T": "o", "S": asset.symbol, **orderbook(book, core.now_ns), "r": True})

    def _quote(self, asset: Asset) -> None:
        view = self._emulator.core.quote(asset.symbol)
        if view is None:
            return
        best = (view.bid_price, view.bid_quantity, view.ask_price, view.ask_quantity)
        if self._quotes.get(asset.symbol) != best:
            self._quotes[asset.symbol] = best
            self._tell("quotes", asset, {"T": "q", "S": asset.symbol, **quote(asset, view)})

    def _book(self, asset: Asset, time_ns: int) -> None:
        now = sides(self._emulator.core.book(asset.symbol, 1000))
        changed = changes(self._books.get(asset.symbol, ({}, {})), now)
        self._books[asset.symbol] = now
        if changed[0] or changed[1]:
            self._tell("orderbooks", asset, {"T": "o", "S": asset.symbol, **orderbook(changed, time_ns)})

    def _tell(self, channel: str, asset: Asset, message: Mapping[str, Any]) -> None:
        for stream in list(self._emulator.data_streams):
            if stream.crypto == asset.crypto and stream.wants(channel, asset.symbol):
                stream.tell(channel, message)
