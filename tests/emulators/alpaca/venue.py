"""The emulator of Alpaca's paper trading: the trading host and the data host on one address."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from random import Random
from typing import Any
from urllib.parse import parse_qsl

import orjson
from aiohttp import web

from brokergate.domain.instruments import Instrument
from tests.emulators.alpaca.assets import Assets
from tests.emulators.alpaca.core import AlpacaCore
from tests.emulators.alpaca.desk import Desk
from tests.emulators.alpaca.hours import Hours, Mode
from tests.emulators.alpaca.limits import REQUESTS, Minute
from tests.emulators.alpaca.market import json_body
from tests.emulators.alpaca.refusal import Refused, malformed, too_many, unauthorized
from tests.emulators.alpaca.rest import ENDPOINTS, Call, Endpoint, Rest
from tests.emulators.alpaca.streams import MARKET, ORDERS, DataStream, Tape, TradeStream
from tests.emulators.channel import Channel
from tests.emulators.core import VenueCore
from tests.emulators.emulator import Reply, VenueEmulator
from tests.emulators.faults import Fault
from tests.emulators.orders import BookMoved, Happening, MarketTraded, VenueOrderState

CASH = Decimal(100_000)
TICK_S = 0.25
"""How often the emulator looks whether a session began or ended while nobody asked it anything."""
HEARTBEAT_S = 20.0
"""Between two pings; a client that answers none for half as long is cut off."""
_REVOKED = frozenset({"key_revoked"})
_MAINTENANCE = frozenset({"maintenance"})
_FAILURES = {
    401: (40110000, "request is not authorized"),
    403: (40310000, "forbidden."),
    418: (41810000, "blocked"),
    429: (42910000, "rate limit exceeded"),
    500: (50010000, "internal server error occurred"),
    503: (50310000, "service unavailable"),
    504: (50410000, "upstream request timeout"),
}


class Alpaca(VenueEmulator):
    """See the module. `paper` is which host it is: paper sends its frames binary, and knows no live keys."""

    name = "alpaca"

    def __init__(
        self, key: str, secret: str, *, paper: bool = True, hours: Mode = Mode.ALWAYS, seed: int = 0
    ) -> None:
        self.binary = paper
        self.trade_streams: set[TradeStream] = set()
        self.data_streams: set[DataStream] = set()
        self._random = Random(seed)
        self._mode = hours
        self._rest = Rest(self)
        self._ticker: asyncio.Task[None] | None = None
        self.began_anew()
        super().__init__(key, secret)

    # The account

    def instruments(self) -> Sequence[Instrument]:
        return [asset.instrument() for asset in self.assets]

    def new_core(self, balances: Mapping[str, Decimal] | None) -> VenueCore:
        self.assets = Assets()
        self.hours = Hours(self._mode)
        core = AlpacaCore(self.assets, {"USD": CASH} if balances is None else balances, self.clock.now_ns())
        self.desk = Desk(core, self.assets, self.hours, self._random, self._tell_update)
        self.tape = Tape(self)
        return core

    def listen(self) -> None:
        self.core.listeners.append(self._heard)
        if self._ticker is None:
            self._ticker = asyncio.ensure_future(self._tick())

    def began_anew(self) -> None:
        self.requests = {False: Minute(REQUESTS), True: Minute(REQUESTS)}
        """Of the trading host and of the data host."""
        self.most_streams = 1
        """Connections that an account may have to one stream."""

    def fault_began(self, fault: Fault) -> None:
        """Nothing more than what requests and streams look at."""

    def shown(self, order: VenueOrderState) -> dict[str, Any]:
        return self.desk.floor.shape(order.extra["held"])

    async def tell(self, action: str, arguments: Mapping[str, Any]) -> Any:
        match action:
            case "flags":
                self.desk.flags.change(arguments)
            case "asset":
                self.assets.change(**arguments)
            case "hours":
                self.hours.mode = Mode(arguments["mode"])
            case "limits":
                for minute in self.requests.values():
                    minute.limit = int(arguments.get("requests", minute.limit))
                self.most_streams = int(arguments.get("streams", self.most_streams))
            case "used":
                trading = self.requests[False]
                return {"requests": trading.used, "limit": trading.limit, "refused": trading.refused}
            case "multiplier":
                self.desk.holdings.multiplier = int(arguments["multiplier"])
            case "hold_back":
                self.desk.floor.hold_back()
            case "release":
                return self.desk.floor.release()
            case "event":
                self.desk.floor.announce(self.desk.order(str(arguments["order_id"])), str(arguments["event"]))
            case _:
                return await super().tell(action, arguments)
        return None

    # Requests

    def knows(self, key: Any, secret: Any) -> bool:
        """Whether this is the account's key."""
        if self.faults.take(_REVOKED):
            return False
        return hmac.compare_digest(str(key), self.key) and hmac.compare_digest(str(secret), self.secret)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._stream(request, path)
        body = await request.read()
        parameters = dict(parse_qsl(query, keep_blank_values=True))
        found = _endpoint(request.method, path)
        kind, name = "unknown", f"{request.method} {path}"
        if found is not None:
            kind, name = found[0].kind, found[0].name
            if name == "GET /v2/orders" and parameters.get("status", "open") != "open":
                kind = "all_orders"
        key = request.headers.get("APCA-API-KEY-ID", "")
        sent = _loaded(body)
        told = {**parameters, **(_plain(sent) if isinstance(sent, dict) else {})}
        if found is not None and found[1]:
            told["path"] = path
        entry = self.log.add(self.clock.now_ns(), "rest", kind, name, told, key)
        return await self.answer(request, entry, lambda: self._reply(request, found, parameters, sent, kind))

    def _reply(
        self,
        request: web.Request,
        found: tuple[Endpoint, tuple[str, ...]] | None,
        query: Mapping[str, str],
        sent: Any,
        kind: str,
    ) -> Reply:
        now_ns = self.clock.now_ns()
        minute = self.requests[found is not None and found[0].data]
        request_id = {"X-Request-ID": f"{self._random.getrandbits(128):032x}"}
        try:
            if self.faults.take(_MAINTENANCE, kind):
                return self.failure(503, {})
            self._check_key(request)
            minute.count(now_ns)
            if found is None:
                raise Refused(404, 40410000, "endpoint not found.")
            if sent is _UNREADABLE:
                raise malformed()
            self.core.advance(now_ns)
            endpoint, parts = found
            status, shape = endpoint.do(self._rest, Call(parts, query, sent, now_ns))
        except Refused as refused:
            shape = refused.body()
            return Reply(
                refused.status, orjson.dumps(shape), request_id | minute.headers(now_ns), refused.code
            )
        return Reply(status, b"" if shape is None else json_body(shape), request_id | minute.headers(now_ns))

    def _check_key(self, request: web.Request) -> None:
        key = request.headers.get("APCA-API-KEY-ID")
        secret = request.headers.get("APCA-API-SECRET-KEY")
        if not key or not secret:
            raise unauthorized(wrong=False)
        if not self.knows(key, secret):
            raise unauthorized(wrong=True)

    def failure(self, status: int, arguments: Mapping[str, Any]) -> Reply:
        code, message = _FAILURES.get(status, (status * 100_000, "error"))
        headers = self.requests[False].headers(self.clock.now_ns())
        if status == 429:
            headers["X-RateLimit-Remaining"] = "0"
        if status in (403, 418):
            body = b"<html><head><title>403 Forbidden</title></head><body>nginx</body></html>"
            return Reply(status, body, {"Content-Type": "text/html"})
        return Reply(status, orjson.dumps({"code": code, "message": message}), headers, code)

    # Streams

    def note_frame(self, name: str, data: Mapping[str, Any]) -> None:
        """A frame of a client goes to the log, without its secret."""
        told = {name: value for name, value in data.items() if name not in ("secret", "secret_key")}
        key = str(told.pop("key_id", told.pop("key", "")))
        self.log.add(self.clock.now_ns(), "ws", name.partition(" ")[2], name, told, key)

    async def _stream(self, request: web.Request, path: str) -> web.StreamResponse:
        if self.faults.take(_MAINTENANCE, "stream"):
            return _response(self.failure(503, {}))
        pack = "msgpack" in request.headers.get("Content-Type", "")
        parts = path.strip("/").split("/")
        if parts == ["stream"]:
            if len(self.trade_streams) >= self.most_streams:
                refused = too_many()
                return _response(Reply(429, orjson.dumps(refused.body()), {}, refused.code))
            socket, channel = await self._open(request, ORDERS)
            trade_stream = TradeStream(self, channel, message_pack=pack)
            return await self._serve(trade_stream, self.trade_streams, socket)
        crypto = parts[:2] == ["v1beta3", "crypto"] and len(parts) == 3
        if not crypto and parts not in (["v2", "iex"], ["v2", "sip"], ["v2", "delayed_sip"]):
            return _response(self.failure(404, {}))
        socket, channel = await self._open(request, MARKET)
        data_stream = DataStream(self, channel, parts[-1], crypto=crypto, message_pack=pack)
        return await self._serve(data_stream, self.data_streams, socket)

    async def _open(self, request: web.Request, kind: str) -> tuple[web.WebSocketResponse, Channel]:
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=1 << 20)
        await socket.prepare(request)
        channel = Channel(request, socket, kind, self.faults)
        self.channels.add(channel)
        return socket, channel

    async def _serve(
        self, stream: Any, streams: set[Any], socket: web.WebSocketResponse
    ) -> web.StreamResponse:
        streams.add(stream)
        try:
            await stream.run(socket)
        finally:
            streams.discard(stream)
            self.channels.discard(stream.channel)
            stream.channel.abort()
        return socket

    def _tell_update(self, data: dict[str, Any]) -> None:
        for stream in list(self.trade_streams):
            stream.tell(data)

    def _heard(self, happening: Happening) -> None:
        if isinstance(happening, MarketTraded | BookMoved):
            self.tape.heard(happening)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.core.advance(self.clock.now_ns())


_UNREADABLE = object()


def _loaded(body: bytes) -> Any:
    """A body's JSON, its numbers exact; None for an empty one."""
    if not body:
        return None
    try:
        return json.loads(body, parse_float=Decimal)
    except ValueError:
        return _UNREADABLE


def _plain(sent: dict[str, Any]) -> dict[str, Any]:
    """As the log can keep it."""
    loaded: dict[str, Any] = orjson.loads(orjson.dumps(sent, default=str))
    return loaded


def _endpoint(method: str, path: str) -> tuple[Endpoint, tuple[str, ...]] | None:
    """The endpoint of a path, and its parts. What is named outright comes before what varies."""
    segments = path.split("/")
    found = [(each, parts) for each in ENDPOINTS if (parts := each.match(method, segments)) is not None]
    return min(found, key=lambda pair: len(pair[1])) if found else None


def _response(reply: Reply) -> web.Response:
    return web.Response(status=reply.status, body=reply.body, headers=reply.headers)
