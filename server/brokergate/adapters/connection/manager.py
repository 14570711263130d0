"""Who owns what accounts share: HTTP sessions, private streams, rate budgets.

Two accounts with one key are one customer at the venue: one session, one stream that is told on to both, one budget.
All accounts of the process are one address: one budget for that, too.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pydantic import SecretStr

from brokergate.adapters.connection.errors import NotSent
from brokergate.ports.clock import Clock, SystemClock
from brokergate.resilience.timeouts import Timeouts

if TYPE_CHECKING:
    # aiohttp and websockets are loaded with the first connection: a gateway of paper accounts starts without them.
    import aiohttp

    from brokergate.adapters.connection.http import HttpClient
    from brokergate.adapters.connection.sharing import SharedStream, StreamReader
    from brokergate.adapters.connection.stream import StreamClient

T = TypeVar("T")


def credential_id(*parts: SecretStr | str) -> str:
    """What tells one credential from another and shows nothing of it: 16 hex digits."""
    digest = hashlib.sha256()
    for part in parts:
        text = part.get_secret_value() if isinstance(part, SecretStr) else part
        digest.update(f"{len(text)}:{text}".encode())
    return digest.hexdigest()[:16]


class ConnectionManager:
    """Owns every connection of the process to brokers. It is used inside one running loop; `close` ends all."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock: Clock = clock or SystemClock()
        self._sessions: dict[tuple[str, str], aiohttp.ClientSession] = {}
        self._streams: dict[tuple[str, str], SharedStream] = {}
        self._shared: dict[tuple[str, ...], object] = {}
        self._closed = False

    async def __aenter__(self) -> ConnectionManager:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def http(
        self,
        broker: str,
        credential: str,
        base_url: str,
        timeouts: Timeouts | None = None,
        *,
        max_body_bytes: int | None = None,
    ) -> HttpClient:
        """A client to `base_url` over the one session of (broker, credential); `credential` is a `credential_id`, or
        empty for what needs none."""
        from brokergate.adapters.connection.http import MAX_BODY_BYTES, HttpClient

        def session() -> aiohttp.ClientSession:
            return self._session(broker, credential)

        return HttpClient(
            session, base_url, timeouts or Timeouts(), self._clock, max_body_bytes or MAX_BODY_BYTES
        )

    def _session(self, broker: str, credential: str) -> aiohttp.ClientSession:
        if self._closed:
            raise NotSent(f"{broker}: the gateway has closed its connections; nothing was sent")
        from brokergate.adapters.connection.http import new_session

        session = self._sessions.get((broker, credential))
        if session is None:
            session = self._sessions[broker, credential] = new_session()
        return session

    async def private_stream(
        self, broker: str, credential: str, open_stream: Callable[[], Awaitable[StreamClient]]
    ) -> StreamReader:
        """A reader of the one private stream of (broker, credential), from now on. The first one opens it:
        `open_stream` connects, authenticates and subscribes, and raises a `BrokerError` where it cannot. The last one
        that closes its reader closes it. Once somebody has given it up the next one to come opens another, and those
        who still read the old one lose it and come after: what is mute for one account is mute for all."""
        from brokergate.adapters.connection.sharing import SharedStream

        if self._closed:
            raise NotSent(f"{broker}: the gateway has closed its connections")
        key = (broker, credential)
        while (stream := self._streams.get(key)) is not None and stream.ended:
            # Some venues allow one at a time: the old one is gone before a new one comes.
            await stream.close(
                "another account with the same key connects again, and the stream is made anew"
            )
            if self._streams.get(key) is stream:
                del self._streams[key]
        if stream is None:
            stream = self._streams[key] = SharedStream(open_stream)
        return await stream.join()

    def shared(self, key: tuple[str, ...], make: Callable[[], T]) -> T:
        """The one thing of this process for `key`, made at the first call: a rate budget of a credential
        `("binance", "orders", credential)` or of this address `("binance", "weight", host)`, the venue's clock, a
        circuit breaker."""
        if key not in self._shared:
            self._shared[key] = make()
        return cast(T, self._shared[key])

    async def close(self) -> None:
        """Ends every stream and session, for good."""
        self._closed = True
        ending: list[Awaitable[Any]] = [stream.close() for stream in self._streams.values()]
        ending += [session.close() for session in self._sessions.values()]
        self._streams.clear()
        self._sessions.clear()
        self._shared.clear()
        await asyncio.gather(*ending, return_exceptions=True)
