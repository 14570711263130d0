"""Requests to Alpaca and its private stream. What an answer means is for `errors`; here it is sent, within the budget,
at most once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

from brokergate.adapters.alpaca import wire
from brokergate.adapters.alpaca.config import ALPACA, AlpacaConfig
from brokergate.adapters.alpaca.errors import Meaning, meaning
from brokergate.adapters.alpaca.values import NS_PER_S, WireError, load, mapping, text
from brokergate.adapters.connection.errors import NotSent
from brokergate.adapters.connection.guarded import guarded
from brokergate.adapters.connection.http import HttpClient, HttpReply
from brokergate.adapters.connection.manager import credential_id
from brokergate.adapters.connection.settings import http_timeouts, stream_settings
from brokergate.adapters.connection.sharing import StreamReader
from brokergate.adapters.connection.stream import Probe, StreamClient
from brokergate.adapters.context import BrokerContext, watched_breaker
from brokergate.config.accounts import AccountConfig
from brokergate.domain.errors import (
    AuthenticationError,
    BrokerError,
    RateLimitError,
    RecoverableError,
    TemporaryConnectionError,
)
from brokergate.resilience.lanes import Lane
from brokergate.resilience.limiter import AdaptiveRateLimiter, Permit

T = TypeVar("T")

WINDOW_S = 60.0
RESERVE = 20
"""Of the requests of a minute, for cancels alone."""
HANDSHAKE_S = 10.0


class AlpacaClient:
    """One account's way to Alpaca. To be used inside one running loop."""

    def __init__(self, account: AccountConfig, settings: AlpacaConfig, context: BrokerContext) -> None:
        self._key, self._secret = account.credentials["api_key"], account.credentials["api_secret"]
        self._credential = credential_id(self._key, self._secret)
        self._rest_url = settings.rest(account.environment)
        self._stream_url = settings.stream(account.environment)
        self._settings = settings
        self._connection = account.connection
        self._timeout_s = account.connection.request_timeout_ms / 1000
        self._context = context
        limiter = context.connections.shared(
            (ALPACA, "requests", self._credential, self._rest_url),
            lambda: AdaptiveRateLimiter(
                settings.requests_per_minute,
                WINDOW_S,
                reserve=min(RESERVE, settings.requests_per_minute // 2),
                clock=context.clock,
            ),
        )
        self._limiter: AdaptiveRateLimiter = limiter
        context.metrics.watch_limits(lambda: {"alpaca requests": limiter.utilisation})
        self._breaker = watched_breaker(context)

    def headers(self, *, body: bool) -> Mapping[str, str]:
        """What a request carries; the secret is taken out here and nowhere kept."""
        headers = wire.auth_headers(self._key.get_secret_value(), self._secret.get_secret_value())
        return {**headers, **wire.JSON_HEADERS} if body else headers

    def frame(self, build: Callable[[str, str], str]) -> str:
        """A frame that carries key and secret."""
        return build(self._key.get_secret_value(), self._secret.get_secret_value())

    # Requests

    async def send(
        self, method: str, target: str, *, lane: Lane = Lane.QUERY, body: bytes | None = None
    ) -> Any | Meaning:
        """The answer's JSON, None for an empty one; or what a refusal means. Raises `NotSent`, `OutcomeUnknown`, and
        `RateLimitError` where there is no budget before the deadline and nothing was sent. An answer that does not
        parse is a `RecoverableError`: nobody knows what it said."""

        def send() -> Awaitable[HttpReply]:
            headers = self.headers(body=body is not None)
            return self._http(self._rest_url).send(method, target, headers=headers, body=body)

        deadline_ns = self._context.clock.monotonic_ns() + round(self._timeout_s * NS_PER_S)
        async with self._limiter.limit(lane=lane, deadline=deadline_ns) as permit:
            reply = await guarded(permit, self._breaker, lane, send)
            self._hear(reply, permit)
        return self._understood(reply)

    async def ask(self, target: str, parse: Callable[[Any], T], *, lane: Lane = Lane.QUERY) -> T:
        """The answer to a query, parsed. Raises a `BrokerError`: a query that fails is no empty answer (law 4)."""
        try:
            answer = await self.send("GET", target, lane=lane)
            if isinstance(answer, Meaning):
                raise answer.error
            return parsed(parse, answer)
        except BrokerError as error:
            self._context.metrics.record_error(error)
            raise

    async def ask_data(self, target: str) -> Any:
        """The answer to a query for market data, which has a budget apart. Raises a `BrokerError`."""
        reply = await self._http(self._settings.data_url).send(
            "GET", target, headers=self.headers(body=False)
        )
        answer = self._understood(reply)
        if isinstance(answer, Meaning):
            raise answer.error
        return answer

    def _http(self, url: str) -> HttpClient:
        return self._context.connections.http(ALPACA, self._credential, url, http_timeouts(self._connection))

    @staticmethod
    def _understood(reply: HttpReply) -> Any | Meaning:
        if not 200 <= reply.status < 300:
            return meaning(reply.status, reply.body, reply.headers)
        if not reply.body:
            return None
        try:
            return load(reply.body)
        except WireError as error:
            raise RecoverableError(f"Alpaca's answer does not parse: {error}") from None

    def _hear(self, reply: HttpReply, permit: Permit) -> None:
        """Takes the venue's own count (X-RateLimit-*; the reset is a time in unix seconds)."""
        limit, remaining = _count(reply, "X-RateLimit-Limit"), _count(reply, "X-RateLimit-Remaining")
        reset = _count(reply, "X-RateLimit-Reset")
        after_s = None
        if reset is not None:
            after_s = min(max(reset - reply.received_ns / NS_PER_S, 0.0), WINDOW_S)
        if limit is not None or remaining is not None:
            permit.hear(limit=limit, remaining=remaining, reset_after=after_s)
        if reply.status == 429:
            self._limiter.close_for(1.0 if after_s is None else max(after_s, 0.1))

    # The private stream

    async def trade_stream(self) -> StreamReader:
        """The account's updates from now on: one stream for all accounts with this key (alpaca-py issue 740: Alpaca
        keeps one alive). Raises a `BrokerError`."""
        key = f"{self._credential} {self._stream_url}"
        return await self._context.connections.private_stream(ALPACA, key, self._open_stream)

    async def _open_stream(self) -> StreamClient:
        stream = await self.open(self._stream_url, lambda alive: alive.send(wire.LISTEN_FRAME))
        try:
            await stream.send(self.frame(wire.authenticate_frame))
            status = text(await self._told(stream, "authorization"), "status", "")
            if status != "authorized":
                raise AuthenticationError(f"Alpaca's stream answers {status!r} to the key", code=status)
            await stream.send(wire.LISTEN_FRAME)
            if "trade_updates" not in (await self._told(stream, "listening")).get("streams", ()):
                raise AuthenticationError("Alpaca's stream does not tell this key of its orders")
        except BaseException as error:
            await stream.close()
            if isinstance(error, WireError):
                raise TemporaryConnectionError(f"Alpaca's stream is not as documented: {error}") from None
            raise
        return stream

    async def open(self, url: str, probe: Probe) -> StreamClient:
        """A WebSocket, with nothing said on it yet. `probe` asks for a sign of life."""
        settings = stream_settings(self._connection)
        return await StreamClient.connect(url, clock=self._context.clock, settings=settings, probe=probe)

    @staticmethod
    async def _told(stream: StreamClient, name: str) -> Mapping[str, Any]:
        """The `data` of the next message, which has to be of the stream `name`."""
        message = mapping(load(await stream.receive(HANDSHAKE_S)), "a message")
        if message.get("stream") != name:
            raise WireError(f"it does not begin with {name}")
        return mapping(message.get("data"), "data")

    @property
    def host(self) -> str:
        """Where orders go."""
        return urlsplit(self._rest_url).hostname or self._rest_url


def parsed(parse: Callable[[Any], T], answer: Any) -> T:
    """The answer parsed. Raises `RecoverableError` for one that is not as documented."""
    try:
        return parse(answer)
    except WireError as error:
        raise RecoverableError(f"Alpaca's answer is not as documented: {error}") from None


def never_sent(error: BrokerError) -> bool:
    """Whether `error`, raised by `AlpacaClient.send`, says that nothing left this machine."""
    return isinstance(error, NotSent | RateLimitError)


def _count(reply: HttpReply, name: str) -> int | None:
    value = reply.headers.get(name, "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 12 else None
