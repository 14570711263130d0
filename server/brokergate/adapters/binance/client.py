"""Requests to Binance's REST API: within its limits, by its clock, each sent once.

A command leaves by `command`, whose errors tell what is sure; a question by `ask`, which raises a `BrokerError`. Only
what may be repeated is sent a second time, and only after Binance refused its timestamp (-1021) and the clock was
measured anew.
"""

from __future__ import annotations

from typing import Any

from brokergate.adapters.binance import parse, wire
from brokergate.adapters.binance.errors import (
    CLOCK,
    PARTLY_REPLACED,
    TOO_MANY_ORDERS,
    UNSURE,
    Meaning,
    explain,
    meaning,
)
from brokergate.adapters.binance.limits import Budget
from brokergate.adapters.binance.signing import Signer
from brokergate.adapters.binance.wire import Request
from brokergate.adapters.connection.guarded import guarded
from brokergate.adapters.connection.http import HttpClient, HttpReply
from brokergate.adapters.connection.offset import ClockOffset
from brokergate.domain.errors import BrokerError
from brokergate.ports.clock import Clock
from brokergate.resilience.breaker import CircuitBreaker
from brokergate.resilience.metrics import BrokerMetrics

NS_PER_MS = 1_000_000
SAMPLES = 3
"""Questions for the time at a connection: the shortest way of them counts."""


class Refusal(Exception):
    """Binance's answer is an error. `data` is what it gives beside."""

    def __init__(self, meant: Meaning, message: str, code: int | None, data: Any) -> None:
        super().__init__(message)
        self.meaning = meant
        self.message = message
        self.code = code
        self.data = data

    def error(self) -> BrokerError:
        """As a question's failure."""
        return self.meaning.error(self.message, code="" if self.code is None else str(self.code))


class BinanceClient:
    """One key at one host."""

    def __init__(
        self,
        http: HttpClient,
        signer: Signer,
        budget: Budget,
        offset: ClockOffset,
        clock: Clock,
        *,
        recv_window_ms: int,
        timeout_ms: int,
        breaker: CircuitBreaker,
        metrics: BrokerMetrics,
    ) -> None:
        self.signer = signer
        self.budget = budget
        self.offset = offset
        self.recv_window_ms = recv_window_ms
        self._http = http
        self._clock = clock
        self._timeout_ns = timeout_ms * NS_PER_MS
        self._breaker = breaker
        self._metrics = metrics

    def timestamp_ms(self) -> int:
        """The venue's present time."""
        return self.offset.venue_ns(self._clock.now_ns()) // NS_PER_MS

    async def ask(self, request: Request, patience_ns: int = 0) -> Any:
        """The answer to a question, which may wait so long for the limits beyond its own time. Raises a
        `BrokerError`."""
        try:
            return await self.command(request, patience_ns)
        except Refusal as refusal:
            raise refusal.error() from None

    async def command(self, request: Request, patience_ns: int = 0) -> Any:
        """The answer to a command. Raises `Refusal` for Binance's own word, `NotSent` where nothing left, `Malformed`
        and `OutcomeUnknown` where nobody knows, `RateLimitError` where the limits held it back."""
        try:
            return await self._repeated(request, patience_ns)
        except Refusal as refusal:
            self._metrics.record_error(refusal.error())
            raise
        except BrokerError as error:
            self._metrics.record_error(error)
            raise

    async def _repeated(self, request: Request, patience_ns: int) -> Any:
        try:
            return await self._send(request, patience_ns)
        except Refusal as refusal:
            if refusal.code != CLOCK:
                raise
            self.offset.distrust()
            await self.sync()
            if not request.repeatable:
                raise
        return await self._send(request, patience_ns)

    async def charge(self, weight: int) -> None:
        """Waits for the budget of something that does not go by here. Raises `RateLimitError`."""
        deadline_ns = self._clock.monotonic_ns() + self._timeout_ns
        async with self.budget.permit(Request("", "", weight=weight), deadline_ns):
            pass

    async def sync(self, samples: int = 1) -> None:
        """Measures the venue's clock. Raises a `BrokerError`."""
        for _ in range(samples):
            reply = await self._reply(wire.server_time())
            try:
                shown = self._read(reply)
            except Refusal as refusal:
                raise refusal.error() from None
            self.offset.add(reply.sent_ns, reply.received_ns, parse.server_ms(shown))

    async def _send(self, request: Request, patience_ns: int) -> Any:
        return self._read(await self._reply(request, patience_ns))

    async def _reply(self, request: Request, patience_ns: int = 0) -> HttpReply:
        deadline_ns = self._clock.monotonic_ns() + self._timeout_ns + patience_ns
        permit = self.budget.permit(request, deadline_ns)
        async with permit:
            reply = await guarded(permit, self._breaker, request.lane, lambda: self._exchange(request))
            self.budget.hear(permit, request, reply.headers)
        return reply

    async def _exchange(self, request: Request) -> HttpReply:
        headers = {"Accept": "application/json", "User-Agent": "brokergate"}
        query = wire.encode(request.params)
        if request.signed:
            headers[wire.API_KEY_HEADER] = self.signer.api_key.get_secret_value()
            query = wire.signed_query(request.params, self.timestamp_ms(), self.recv_window_ms, self.signer)
        if request.method in ("POST", "PUT"):
            headers["Content-Type"] = wire.FORM
            return await self._http.send(request.method, request.path, headers=headers, body=query.encode())
        target = f"{request.path}?{query}" if query else request.path
        return await self._http.send(request.method, target, headers=headers)

    def _read(self, reply: HttpReply) -> Any:
        """What Binance answered; raises `Refusal`, or `Malformed` for a success that is no JSON."""
        if reply.status in (418, 429):
            code, text, data = _error(reply)
            orders = code == TOO_MANY_ORDERS
            seconds = self.budget.silence(reply.headers, orders=orders)
            held = "no order" if orders else "nothing"
            message = f"{explain(reply.status, code, text)}; {held} is sent for {seconds:g} s"
            raise Refusal(meaning(reply.status, code, text), message, code, data)
        if reply.status == 200:
            return parse.load(reply.body)
        code, text, data = _error(reply)
        meant = UNSURE if code == PARTLY_REPLACED else meaning(reply.status, code, text)
        raise Refusal(meant, explain(reply.status, code, text), code, data)


def _error(reply: HttpReply) -> tuple[int | None, str, Any]:
    """Binance's code, text and data; no code where something before its API answered."""
    try:
        shown = parse.load(reply.body)
        return int(shown["code"]), str(shown["msg"]), shown.get("data")
    except (parse.Malformed, *parse.WRONG):
        return None, "", None
