"""The WebSocket API, `/ws-api/v3`: requests, the session, and the user data stream (web-socket-api.md)."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import orjson

from tests.emulators.binance.endpoints import Endpoint, Security
from tests.emulators.binance.errors import ApiError, invalid, missing, unauthorized
from tests.emulators.binance.keys import ApiKey, check_time
from tests.emulators.binance.parameters import Parameters
from tests.emulators.binance.socket import VenueSocket
from tests.emulators.emulator import DELAY, HANG_S, Reply
from tests.emulators.faults import REQUEST, Fault

if TYPE_CHECKING:
    from tests.emulators.binance.emulator import Binance

CONNECT_WEIGHT = 2
SESSION_WEIGHT = 2
_NUMBERED = (int, str, type(None))
_UNDONE = frozenset({"status", "html", "answer_lost_before_accept", "arrives_late"})
"""Faults after which a request was not done, unless they say so."""
SESSION_METHODS = {
    "session.logon": "logon",
    "session.status": "session",
    "session.logout": "session",
    "session.subscriptions": "session",
    "userDataStream.subscribe": "subscribe",
    "userDataStream.subscribe.signature": "subscribe",
    "userDataStream.unsubscribe": "unsubscribe",
}
"""Requests that only this door has, by what faults call them."""


class ApiSocket(VenueSocket):
    """One connection, with the key that has logged on to it and the accounts that it listens to."""

    kind = "orders"

    def __init__(self, venue: Binance, *, tell_limits: bool) -> None:
        super().__init__(venue.clock, venue.faults, venue.pings)
        self._venue = venue
        self._tell_limits = tell_limits
        self._holder: ApiKey | None = None
        self._since_ms = 0
        self._connected_ms = self.clock.shown_ms()
        self._subscriptions: dict[int, str] = {}
        """Keys by subscription."""
        self._next = 0
        self._work: set[asyncio.Task[None]] = set()
        venue.exchange.limits.charge(CONNECT_WEIGHT)

    # What is told

    def tell(self, event: dict[str, Any]) -> None:
        """An event of the account."""
        for number in list(self._subscriptions):
            told = {"subscriptionId": number, "event": event}
            self.channel.tell(orjson.dumps(told).decode(), event["e"])

    def opened(self) -> None:
        self._venue.sockets.add(self)

    def ended(self) -> None:
        self._venue.sockets.discard(self)
        if self.tell in self._venue.events.sinks:
            self._venue.events.sinks.remove(self.tell)
        for task in self._work:
            task.cancel()

    def shutdown(self) -> None:
        """The client is told that the server goes away."""
        event = {"e": "serverShutdown", "E": self.clock.shown_ms()}
        self.channel.answer(orjson.dumps({"event": event}).decode())

    def revoke(self) -> None:
        """Its keys are no longer good."""
        self._holder = None
        for number in list(self._subscriptions):
            self._terminate(number)

    # What is asked

    async def received(self, text: str) -> None:
        number: Any = None
        try:
            message = orjson.loads(text)
            number = message.get("id")
            method = message["method"]
            # Numbers are kept as they were written: so they were signed.
            raw = json.loads(text, parse_float=str, parse_int=str).get("params") or {}
            if not isinstance(method, str) or not isinstance(raw, dict) or not isinstance(number, _NUMBERED):
                raise TypeError
        except (ValueError, KeyError, AttributeError, TypeError):
            error = ApiError(-1135, "Invalid JSON Request")
            self._answer(number, 400, {"error": error.body()}, limits=False)
            return
        sent = {name: _written(value) for name, value in raw.items()}
        endpoint = self._venue.by_method.get(method)
        kind = endpoint.kind if endpoint else SESSION_METHODS.get(method, "unknown")
        key = sent.get("apiKey", self._holder.name if self._holder else "")
        entry = self._venue.log.add(self.clock.now_ns(), "ws", kind, method, sent, key)
        late = self.faults.take(DELAY, kind, method)
        fault = self.faults.take(REQUEST, kind, method)
        if fault is None and late is None:
            self._do(number, method, endpoint, sent, entry)
        elif fault is None:
            told: list[str] = []
            self._do(number, method, endpoint, sent, entry, told)
            self._later(told, float(late.arguments["seconds"]) if late else 0)
        else:
            entry["fault"] = fault.kind
            self._befall(fault, number, method, endpoint, sent, entry)

    def _befall(
        self,
        fault: Fault,
        number: Any,
        method: str,
        endpoint: Endpoint | None,
        sent: dict[str, str],
        entry: dict[str, Any],
    ) -> None:
        """Does what a fault leaves of a request, and of its answer."""
        arguments = fault.arguments
        told: list[str] = []
        if bool(arguments.get("accept", fault.kind not in _UNDONE)):
            self._do(number, method, endpoint, sent, entry, told)
        if fault.kind == "arrives_late":

            def arrive() -> Reply:
                self._do(number, method, endpoint, sent, entry, told)
                return Reply(entry["status"], b"", {}, entry["code"])

            self._venue.after(float(arguments["seconds"]), entry, arrive)
        match fault.kind:
            case "answer_lost_before_accept" | "answer_lost_after_accept" | "arrives_late":
                if arguments.get("how", "hang") == "cut":
                    self.channel.abort()
            case "status":
                reply = self._venue.failure(int(arguments.get("code", 500)), arguments)
                entry["status"], entry["code"] = reply.status, reply.code
                if reply.code is None:
                    self.channel.abort()
                    return
                error = orjson.loads(reply.body)
                if "Retry-After" in reply.headers:
                    shown_ms = self.clock.shown_ms()
                    error["data"] = {
                        "serverTime": shown_ms,
                        "retryAfter": shown_ms + int(reply.headers["Retry-After"]) * 1000,
                    }
                self._answer(number, reply.status, {"error": error})
            case "html":
                self.channel.answer("<html><body>502 Bad Gateway</body></html>")
            case "partial_json":
                for text in told:
                    self.channel.answer(text[: len(text) // 2])
            case _:
                self._later(told, float(arguments.get("seconds", HANG_S)))

    def _later(self, told: list[str], seconds: float) -> None:
        task = asyncio.ensure_future(self._late(told, seconds))
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _late(self, told: list[str], seconds: float) -> None:
        await asyncio.sleep(seconds)
        for text in told:
            self.channel.answer(text)

    def _do(
        self,
        number: Any,
        method: str,
        endpoint: Endpoint | None,
        sent: dict[str, str],
        entry: dict[str, Any],
        told: list[str] | None = None,
    ) -> None:
        """Does what is asked; the answer goes to the client, or to `told` where there is one."""
        parameters = Parameters(sent)
        began_ns = time.monotonic_ns()
        try:
            self._venue.admit(entry["kind"], method)
            if endpoint is not None:
                result = self._asked(endpoint, parameters)
            else:
                self._venue.exchange.limits.charge(SESSION_WEIGHT)
                result = self._session(method, parameters)
            status, body = 200, {"result": result}
        except ApiError as error:
            status, body = error.status, {"error": error.body()}
            entry["code"] = error.code
        entry["status"] = status
        entry["took_ns"] = time.monotonic_ns() - began_ns
        self._answer(number, status, body, told)

    def _answer(
        self,
        number: Any,
        status: int,
        body: dict[str, Any],
        told: list[str] | None = None,
        *,
        limits: bool = True,
    ) -> None:
        answer: dict[str, Any] = {"id": number, "status": status} | body
        if limits and self._tell_limits:
            windows = self._venue.exchange.limits
            answer["rateLimits"] = [window.shown(used=True) for window in (windows.weight, *windows.orders)]
        text = orjson.dumps(answer).decode()
        if told is None:
            self.channel.answer(text)
        else:
            told.append(text)

    def _asked(self, endpoint: Endpoint, parameters: Parameters) -> Any:
        parameters.ignore("apiKey", "signature", "timestamp", "recvWindow", "returnRateLimits")
        if endpoint.security is not Security.NONE:
            if "apiKey" in parameters.sent or self._holder is None:
                self._signed(parameters, endpoint.security)
            else:
                self._venue.holder(self._holder.name, endpoint.security)
                check_time(parameters, self.clock.shown_ms())
        return self._venue.execute(endpoint, parameters)

    def _signed(self, parameters: Parameters, security: Security) -> ApiKey:
        """Whether a request carries a good signature of its own: parameters by name, not percent-encoded."""
        holder = self._venue.holder(parameters.need("apiKey"), security)
        signature = parameters.sent.get("signature")
        if not signature:
            raise missing("signature")
        pairs = sorted(pair for pair in parameters.sent.items() if pair[0] != "signature")
        parameters.need("timestamp")
        holder.check_bytes("&".join(f"{name}={value}" for name, value in pairs).encode(), signature)
        check_time(parameters, self.clock.shown_ms())
        return holder

    # The session

    def _session(self, method: str, parameters: Parameters) -> Any:
        match method:
            case "session.logon":
                return self._logon(parameters)
            case "session.status":
                return self._state()
            case "session.logout":
                self._holder, self._since_ms = None, 0
                return self._state()
            case "session.subscriptions":
                return [{"subscriptionId": number} for number in self._subscriptions]
            case "userDataStream.subscribe":
                if self._holder is None:
                    raise unauthorized()
                parameters.finish()
                return self._subscribe(self._holder)
            case "userDataStream.subscribe.signature":
                parameters.ignore("apiKey", "signature", "timestamp", "recvWindow")
                parameters.finish()
                return self._subscribe(self._signed(parameters, Security.USER_DATA))
            case "userDataStream.unsubscribe":
                return self._unsubscribe(parameters)
            case _:
                raise invalid("method")

    def _logon(self, parameters: Parameters) -> dict[str, Any]:
        holder = self._venue.holder(parameters.need("apiKey"), Security.USER_DATA)
        if holder.public is None:
            raise ApiError(-4056, "HMAC_SHA256 API key is not supported.")
        self._holder = self._signed(parameters, Security.USER_DATA)
        self._since_ms = self.clock.shown_ms()
        return self._state()

    def _state(self) -> dict[str, Any]:
        return {
            "apiKey": self._holder.name if self._holder else None,
            "authorizedSince": self._since_ms or None,
            "connectedSince": self._connected_ms,
            "returnRateLimits": self._tell_limits,
            "serverTime": self.clock.shown_ms(),
            "userDataStream": bool(self._subscriptions),
        }

    def _subscribe(self, holder: ApiKey) -> dict[str, int]:
        if holder.name in self._subscriptions.values():
            raise ApiError(-2035, "User Data Stream subscription already active.")
        number, self._next = self._next, self._next + 1
        self._subscriptions[number] = holder.name
        if self.tell not in self._venue.events.sinks:
            self._venue.events.sinks.append(self.tell)
        return {"subscriptionId": number}

    def _unsubscribe(self, parameters: Parameters) -> dict[str, Any]:
        wanted = parameters.integer("subscriptionId")
        parameters.finish()
        numbers = list(self._subscriptions) if wanted is None else [wanted]
        if not numbers or any(number not in self._subscriptions for number in numbers):
            raise ApiError(-2036, "User Data Stream subscription not active.")
        for number in numbers:
            self._terminate(number)
        return {}

    def _terminate(self, number: int) -> None:
        del self._subscriptions[number]
        name = "eventStreamTerminated"
        event = {"e": name, "E": self.clock.shown_ms()}
        self.channel.tell(orjson.dumps({"subscriptionId": number, "event": event}).decode(), name)


def _written(value: Any) -> str:
    """A parameter as it was written, and signed."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return ""
    if isinstance(value, list | dict):
        return json.dumps(value, separators=(",", ":"))
    return str(value)
