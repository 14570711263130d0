"""Market streams: `/ws/<name>` and `/stream?streams=<name>/<name>` (web-socket-streams.md)."""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import orjson

from tests.emulators.binance.exchange import Exchange
from tests.emulators.binance.market import INTERVALS_S, PublicMarket, agg_trade, rows
from tests.emulators.binance.showing import milliseconds
from tests.emulators.binance.socket import Pings, VenueSocket
from tests.emulators.clock import VenueClock
from tests.emulators.faults import Faults
from tests.emulators.orders import BookMoved, Happening, MarketTraded

MAX_MESSAGES_A_SECOND = 5
MAX_STREAMS = 1024
SPEEDS_S = {"": 1.0, "@100ms": 0.1}
"""How often depth is told, by the end of the stream's name."""
_NAME = re.compile(
    r"([a-z0-9]+)@(trade|aggTrade|bookTicker|kline_[0-9]{1,2}[smhdwM]|depth(5|10|20)?(@100ms)?)"
)


class MarketStreams:
    """What the market does, told to those who listen. One for all connections."""

    def __init__(self, exchange: Exchange, market: PublicMarket) -> None:
        self._exchange = exchange
        self._market = market
        self._names = {exchange.core.instrument(name).symbol: name for name in exchange.symbols}
        self.sockets: set[StreamSocket] = set()
        self._changed: dict[tuple[str, str], tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]]] = {}
        """Levels that changed since depth was told, by symbol and speed."""
        self._told: dict[tuple[str, str], int] = {}
        """The last update id that was told, by symbol and speed."""
        self._tops: dict[str, dict[str, str]] = {}
        self._timers: dict[tuple[str, str], asyncio.TimerHandle] = {}
        exchange.core.listeners.append(self._happened)

    def end(self) -> None:
        """Tells nothing any more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _happened(self, happening: Happening) -> None:
        if isinstance(happening, BookMoved):
            self._moved(self._names[happening.symbol], milliseconds(happening.time_ns))
        elif isinstance(happening, MarketTraded):
            self._traded(self._names[happening.symbol], happening)

    def _moved(self, name: str, time_ms: int) -> None:
        book = self._market.books[name]
        before = book.update_id
        bids, asks = self._market.refresh(name)
        if not bids and not asks:
            return
        top = book.ticker()
        if top != self._tops.get(name):
            self._tops[name] = top
            self.tell(f"{name.lower()}@bookTicker", lambda: {"u": book.update_id, "s": name} | top)
        for speed in SPEEDS_S:
            place = (name, speed)
            self._told.setdefault(place, before)
            changed = self._changed.setdefault(place, ({}, {}))
            changed[0].update(bids)
            changed[1].update(asks)
            if place not in self._timers and self.sockets:
                loop = asyncio.get_running_loop()
                self._timers[place] = loop.call_later(SPEEDS_S[speed], self._tell_depth, place)
            elif not self.sockets:
                self._forget(place)

    def _forget(self, place: tuple[str, str]) -> None:
        self._changed.pop(place, None)
        self._told[place] = self._market.books[place[0]].update_id

    def _tell_depth(self, place: tuple[str, str]) -> None:
        name, speed = place
        self._timers.pop(place, None)
        bids, asks = self._changed.pop(place, ({}, {}))
        book = self._market.books[name]
        first, self._told[place] = self._told.get(place, 0) + 1, book.update_id
        self.tell(
            f"{name.lower()}@depth{speed}",
            lambda: {
                "e": "depthUpdate",
                "E": self._exchange.clock.shown_ms(),
                "s": name,
                "U": first,
                "u": book.update_id,
                "b": rows(bids.items()),
                "a": rows(asks.items()),
            },
        )
        for levels in (5, 10, 20):
            self.tell(f"{name.lower()}@depth{levels}{speed}", partial(book.levels, levels))

    def _traded(self, name: str, trade: MarketTraded) -> None:
        row = agg_trade(trade)
        common = {"E": self._exchange.clock.shown_ms(), "s": name}
        lower = name.lower()
        self.tell(
            f"{lower}@trade",
            lambda: (
                {"e": "trade"}
                | common
                | {"t": row["a"], "p": row["p"], "q": row["q"], "T": row["T"], "m": row["m"], "M": True}
            ),
        )
        self.tell(f"{lower}@aggTrade", lambda: {"e": "aggTrade"} | common | row)
        for interval in INTERVALS_S:
            self.tell(f"{lower}@kline_{interval}", partial(self._kline, name, interval, trade, common))

    def _kline(self, name: str, interval: str, trade: MarketTraded, common: dict[str, Any]) -> dict[str, Any]:
        candle = self._market.candle(name, interval, trade.time_ns)
        names = ["t", "o", "h", "l", "c", "v", "T", "q", "n", "V", "Q", "B"]
        first = trade.trade - candle[8] + 1
        told = dict(zip(names, candle, strict=True))
        told |= {"s": name, "i": interval, "f": first, "L": trade.trade, "x": False}
        return {"e": "kline"} | common | {"k": told}

    def tell(self, stream: str, make: Callable[[], dict[str, Any]]) -> None:
        """Tells an event to those who listen to a stream; it is made only where somebody does."""
        body: dict[str, Any] | None = None
        for socket in list(self.sockets):
            if stream in socket.streams:
                body = body or make()
                socket.tell(stream, body)

    def shutdown(self) -> None:
        """Everybody is told that the server goes away."""
        for socket in list(self.sockets):
            body = {"e": "serverShutdown", "E": self._exchange.clock.shown_ms()}
            socket.channel.answer(orjson.dumps(body).decode())


class StreamSocket(VenueSocket):
    """One connection to the streams."""

    kind = "market"

    def __init__(
        self,
        streams: MarketStreams,
        clock: VenueClock,
        faults: Faults,
        pings: Pings,
        names: list[str],
        *,
        combined: bool,
    ) -> None:
        super().__init__(clock, faults, pings)
        self.streams = set(names)
        self._combined = combined
        self._market = streams
        self._heard: deque[float] = deque()

    def tell(self, stream: str, body: dict[str, Any]) -> None:
        """An event of a stream."""
        told = {"stream": stream, "data": body} if self._combined else body
        self.channel.tell(orjson.dumps(told).decode(), stream, stream.partition("@")[2])

    def heard(self) -> bool:
        now_s = time.monotonic()
        self._heard.append(now_s)
        while self._heard[0] < now_s - 1:
            self._heard.popleft()
        return len(self._heard) <= MAX_MESSAGES_A_SECOND

    def opened(self) -> None:
        self._market.sockets.add(self)

    def ended(self) -> None:
        self._market.sockets.discard(self)

    async def received(self, text: str) -> None:
        number: Any = None
        try:
            message = orjson.loads(text)
            number = message.get("id")
            answer = self._do(message)
        except (orjson.JSONDecodeError, AttributeError, TypeError, KeyError) as error:
            self._answer({"error": {"code": 3, "msg": f"Invalid JSON: {error}"}})
        except ValueError as error:
            self._answer({"error": {"code": 2, "msg": f"Invalid request: {error}"}, "id": number})
        else:
            self._answer({"result": answer, "id": number})

    def _do(self, message: dict[str, Any]) -> Any:
        parameters = message.get("params", [])
        match message.get("method"):
            case "SUBSCRIBE":
                wrong = [name for name in parameters if not known(name)]
                if wrong or not parameters:
                    raise ValueError(f"unknown stream {wrong}")
                if len(self.streams | set(parameters)) > MAX_STREAMS:
                    raise ValueError("too many streams")
                self.streams.update(parameters)
            case "UNSUBSCRIBE":
                self.streams.difference_update(parameters)
            case "LIST_SUBSCRIPTIONS":
                return sorted(self.streams)
            case "SET_PROPERTY":
                self._combined = bool(dict([parameters])["combined"])
            case "GET_PROPERTY":
                return self._combined
            case other:
                raise ValueError(f"unknown variant {other}")
        return None

    def _answer(self, body: dict[str, Any]) -> None:
        self.channel.answer(orjson.dumps(body).decode())


def known(name: str) -> bool:
    """Whether there is a stream of this name, whatever its symbol."""
    found = _NAME.fullmatch(name)
    return found is not None and (
        not found[2].startswith("kline_") or found[2].removeprefix("kline_") in INTERVALS_S
    )


def named(path: str, query: dict[str, str]) -> tuple[list[str], bool]:
    """The streams that a connection asks for by its address, and whether they come combined."""
    if path.startswith("/stream"):
        return [name for name in query.get("streams", "").split("/") if name], True
    return [name for name in path.removeprefix("/ws").split("/") if name], False
