"""The emulator of Binance spot: one account, one address, every door."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import orjson
from aiohttp import web

from brokergate.domain.instruments import Instrument
from tests.emulators.binance.endpoints import (
    Endpoint,
    Security,
    endpoints,
    list_endpoints,
    market_endpoints,
)
from tests.emulators.binance.errors import ApiError, bad_key_format, maintenance, missing, unauthorized
from tests.emulators.binance.events import UserEvents
from tests.emulators.binance.keys import ApiKey, check_time, public_key, split_signature
from tests.emulators.binance.lists import ListExchange
from tests.emulators.binance.market import PublicMarket
from tests.emulators.binance.parameters import Parameters
from tests.emulators.binance.showing import queried
from tests.emulators.binance.socket import Pings
from tests.emulators.binance.streams import MarketStreams, StreamSocket, known, named
from tests.emulators.binance.ws_api import ApiSocket
from tests.emulators.core import VenueCore
from tests.emulators.emulator import Reply, VenueEmulator
from tests.emulators.faults import Fault
from tests.emulators.orders import VenueOrderState

KEY = re.compile(r"[A-Za-z0-9_-]{1,128}")
_INJECTION = re.compile(
    r"(?i)\bunion\s+select\b|\bselect\b.+\bfrom\b|\b(drop|truncate)\s+table\b|<script|\bor\s+1\s*=\s*1"
)
"""What the web application firewall takes for an attack (rest-api.md: HTTP 403)."""
_REMOVED = frozenset({"/api/v3/userDataStream", "/api/v3/userDataStream/isolated"})
"""Listen keys: gone since 2026-02-20 (CHANGELOG of binance-spot-api-docs)."""
_REVOKED = frozenset({"key_revoked"})
_MAINTENANCE = frozenset({"maintenance"})
_FORBIDDEN = b"<html><head><title>403 Forbidden</title></head><body>Request blocked.</body></html>"
_FAILURES = {
    418: (-1003, "Way too much request weight used; IP banned until {until}."),
    429: (-1003, "Too many requests; current limit is 6000 request weight per 1 MINUTE."),
    500: (-1006, "An unexpected response was received from the message bus. Execution status unknown."),
    504: (
        -1007,
        "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
    ),
}
"""What goes with a status (errors.md). Of any other 5xx nobody knows what became of the request."""


class Binance(VenueEmulator):
    """See the module."""

    name = "binance"

    def __init__(self, key: str, secret: str, public: str = "") -> None:
        self.keys = {key: ApiKey(key, secret)}
        if public:
            self.keys[key] = ApiKey(key, public=public_key(public))
        self._first_keys = dict(self.keys)
        self.pings = Pings()
        self.sockets: set[ApiSocket] = set()
        self._streams: MarketStreams | None = None
        super().__init__(key, secret)

    def instruments(self) -> Sequence[Instrument]:
        return [symbol.instrument() for symbol in self.exchange.symbols.values()]

    def new_core(self, balances: Mapping[str, Decimal] | None) -> VenueCore:
        self.exchange = ListExchange(self.clock, balances)
        self.exchange.lag_ns = self._lag_ns
        return self.exchange.core

    def open_market(self) -> None:
        """Gives every symbol a market, so that who knows nothing of the control plane can trade."""
        for symbol in self.exchange.symbols.values():
            now_ns = self.clock.now_ns()
            self.core.show(symbol.name, *symbol.opening_book(), now_ns)
            self.core.trade(symbol.name, symbol.opening, symbol.step * 1000, "buy", now_ns)

    def _lag_ns(self) -> int:
        lag = self.faults.standing("query_lag")
        return 0 if lag is None else round(float(lag.arguments["seconds"]) * 1e9)

    def listen(self) -> None:
        if self._streams is not None:
            self._streams.end()
        self.events = UserEvents(self.exchange)
        market = PublicMarket(self.exchange)
        self._streams = MarketStreams(self.exchange, market)
        found = [*endpoints(self.exchange), *list_endpoints(self.exchange), *market_endpoints(market)]
        self.by_rest: dict[str, Endpoint] = {each.rest: each for each in found if each.rest}
        self.by_method: dict[str, Endpoint] = {each.method: each for each in found if each.method}

    def began_anew(self) -> None:
        self.pings = Pings()
        self.keys = {name: ApiKey(name, key.secret, key.public) for name, key in self._first_keys.items()}

    def fault_began(self, fault: Fault) -> None:
        if fault.kind == "key_revoked":
            for socket in list(self.sockets):
                socket.revoke()
        elif fault.kind == "restart":
            self._announce_end()
        elif fault.kind == "maintenance" and fault.on == "*":
            self.drop_streams("*")

    def shown(self, order: VenueOrderState) -> dict[str, Any]:
        return queried(order)

    async def tell(self, action: str, arguments: Mapping[str, Any]) -> Any:
        match action:
            case "limits":
                self.exchange.limits.set(**{name: int(value) for name, value in arguments.items()})
            case "used":
                limits = self.exchange.limits
                limits.turn(self.clock.now_ns())
                return {
                    "weight": limits.weight.used,
                    "most_weight": limits.most_used,
                    "orders_10s": limits.orders[0].used,
                    "bans": limits.bans,
                    "refused": limits.refused,
                }
            case "add_key":
                self._add_key(**arguments)
            case "permissions":
                key = self.keys[str(arguments.get("key", self.key))]
                key.trade = bool(arguments.get("trade", key.trade))
                key.this_address = bool(arguments.get("this_address", key.this_address))
            case "symbol":
                symbol = self.exchange.symbols[str(arguments["symbol"])]
                symbol.status = str(arguments.get("status", symbol.status))
            case "new_minute":
                self.clock.advance(60 - self.clock.now_ns() / 1e9 % 60)
            case "ban":
                self.exchange.limits.ban(self.clock.now_ns(), int(arguments["seconds"]))
            case "pings":
                self.pings.every_s = float(arguments["every_s"])
                self.pings.deadline_s = float(arguments["deadline_s"])
            case "shutdown":
                self._announce_end()
                await asyncio.sleep(float(arguments.get("seconds", 0)))
                for channel in list(self.channels):
                    await channel.close(1001)
            case "account":
                self.exchange.disabled = str(arguments.get("disabled", ""))
            case _:
                return await super().tell(action, arguments)
        return None

    def _add_key(
        self,
        key: str,
        secret: str = "",
        public: str = "",
        trade: bool = True,
        this_address: bool = True,
    ) -> None:
        self.keys[key] = ApiKey(key, secret, public_key(public) if public else None, trade, this_address)

    # Doors

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return await self._rest(request)
        if self.faults.take(_MAINTENANCE, "connect"):
            return web.Response(status=503)
        if not self.exchange.limits.connect(self.clock.now_ns()):
            return web.Response(status=429, headers={"Retry-After": "300"})
        query = dict(request.query)
        if request.path.startswith("/ws-api/v3"):
            socket = ApiSocket(self, tell_limits=query.get("returnRateLimits", "true") == "true")
            return await socket.run(request, self.channels)
        names, combined = named(request.path, query)
        if not request.path.startswith(("/ws", "/stream")) or not all(known(name) for name in names):
            return web.Response(status=404)
        assert self._streams is not None
        stream = StreamSocket(self._streams, self.clock, self.faults, self.pings, names, combined=combined)
        return await stream.run(request, self.channels)

    def _announce_end(self) -> None:
        for socket in list(self.sockets):
            socket.shutdown()
        if self._streams is not None:
            self._streams.shutdown()

    async def _rest(self, request: web.Request) -> web.StreamResponse:
        body = (await request.read()).decode("utf-8", "surrogateescape")
        path, _, query = request.raw_path.partition("?")
        name = f"{request.method} {path}"
        endpoint = self.by_rest.get(name)
        is_form = "form" in request.headers.get("Content-Type", "application/x-www-form-urlencoded")
        sent = dict(parse_qsl(body if is_form else "", keep_blank_values=True))
        sent |= dict(parse_qsl(query, keep_blank_values=True))
        key = request.headers.get("X-MBX-APIKEY", "")
        kind = endpoint.kind if endpoint else "unknown"
        entry = self.log.add(self.clock.now_ns(), "rest", kind, name, sent, key)
        return await self.answer(
            request, entry, lambda: self._reply(endpoint, path, key, query, body, is_form)
        )

    def _reply(
        self, endpoint: Endpoint | None, path: str, key: str, query: str, body: str, is_form: bool
    ) -> Reply:
        if endpoint is None and path in _REMOVED:
            return Reply(410, orjson.dumps({"code": -1016, "msg": "This service is no longer available."}))
        if endpoint is None:
            return Reply(404, b"<html><body>404 Not found</body></html>", {"Content-Type": "text/html"})
        try:
            self.admit(endpoint.kind, endpoint.rest)
            result = self._asked(endpoint, key, query, body, is_form)
        except _Firewall:
            return self.failure(403, {})
        except ApiError as error:
            headers = self._headers(endpoint)
            if error.status in (418, 429) and error.data is not None:
                wait_ms = error.data["retryAfter"] - error.data["serverTime"]
                headers["Retry-After"] = str(max(1, -(-wait_ms // 1000)))
                error.data = None
            return Reply(error.status, orjson.dumps(error.body()), headers, error.code)
        return Reply(200, orjson.dumps(result), self._headers(endpoint))

    def admit(self, *names: str) -> None:
        """Whether a request with these names is answered now."""
        if self.faults.take(_MAINTENANCE, *names):
            raise maintenance()
        self.exchange.limits.check(self.clock.now_ns(), self.clock.shown_ms())

    def _asked(self, endpoint: Endpoint, key: str, query: str, body: str, is_form: bool) -> Any:
        if body and not is_form:
            raise ApiError(-1104, "Not all sent parameters were read; the body is not a form.")
        in_query = _pairs(query)
        parameters = Parameters(_pairs(body) | in_query)
        if any(_INJECTION.search(value) for value in parameters.sent.values()):
            raise _Firewall
        parameters.ignore("signature", "timestamp", "recvWindow")
        if endpoint.security is not Security.NONE:
            holder = self.holder(key, endpoint.security)
            payload, signature = split_signature(query, body)
            self.check_signed(holder, parameters, payload, signature)
        return self.execute(endpoint, parameters)

    def execute(self, endpoint: Endpoint, parameters: Parameters) -> Any:
        """Does what is asked, and charges for it."""
        limits = self.exchange.limits
        weight = endpoint.weight if isinstance(endpoint.weight, int) else endpoint.weight(parameters)
        try:
            result = endpoint.answer(parameters)
        except ApiError:
            limits.charge(weight)
            raise
        if not endpoint.free:
            limits.charge(weight)
        return result

    def holder(self, key: str, security: Security) -> ApiKey:
        """The key that a request comes with, which may do what it asks."""
        if not KEY.fullmatch(key):
            raise bad_key_format()
        holder = self.keys.get(key)
        if holder is None or not holder.this_address or self.faults.take(_REVOKED):
            raise unauthorized()
        if security is Security.TRADE and not holder.trade:
            raise unauthorized()
        return holder

    def check_signed(
        self, holder: ApiKey, parameters: Parameters, payload: str, signature: str | None
    ) -> None:
        """Whether a request is signed, and comes in time."""
        if not signature:
            raise missing("signature")
        parameters.need("timestamp")
        holder.check(payload, parameters.sent["signature"] if holder.public else signature)
        check_time(parameters, self.clock.shown_ms())

    def failure(self, status: int, arguments: Mapping[str, Any]) -> Reply:
        """`error` among the arguments is the venue's code, `message` its text; else what goes with the status."""
        if status == 403 and "error" not in arguments:
            return Reply(403, _FORBIDDEN, {"Content-Type": "text/html"})
        headers: dict[str, str] = {}
        wait_s = int(arguments.get("retry_after", 120 if status == 418 else 1))
        until_ms = self.clock.shown_ms() + wait_s * 1000
        if status in (418, 429):
            headers["Retry-After"] = str(wait_s)
        code, message = _FAILURES.get(status, _FAILURES[500])
        code = int(arguments.get("error", code))
        message = str(arguments.get("message", message.format(until=until_ms)))
        return Reply(status, orjson.dumps({"code": code, "msg": message}), headers, code)

    def _headers(self, endpoint: Endpoint) -> dict[str, str]:
        limits = self.exchange.limits
        headers = {
            "x-mbx-used-weight": str(limits.weight.used),
            "x-mbx-used-weight-1m": str(limits.weight.used),
        }
        if endpoint.orders:
            for window in limits.orders:
                headers[f"x-mbx-order-count-{window.label.lower()}"] = str(window.used)
        return headers


class _Firewall(Exception):
    """The request looks like an attack."""


def _pairs(text: str) -> dict[str, str]:
    """Parameters; each may be there once (-1101)."""
    pairs = parse_qsl(text, keep_blank_values=True)
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ApiError(-1101, "Duplicate values for a parameter detected.")
    return dict(pairs)
