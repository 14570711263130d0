"""Requests over HTTP, each sent at most once.

Nothing here repeats, redirects, keeps cookies or asks the environment for a proxy. What a status means is for the
adapter to say; here a request has an answer, was `NotSent`, or its outcome is unknown.

aiohttp repeats GET, PUT and DELETE by itself where a kept connection turns out to be dropped (`ClientSession._request`,
"retrying requests"). It does so for its own errors alone: `_once`, a middleware, turns them into ours beneath that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from brokergate.adapters.connection.errors import NotSent, OutcomeUnknown, reason_of
from brokergate.domain.errors import BrokerError
from brokergate.ports.clock import Clock
from brokergate.resilience.timeouts import Timeouts

MAX_BODY_BYTES = 32 * 1024 * 1024
"""Of an answer, unpacked. A venue's whole list of instruments is some 15 MiB."""
_CHUNK_BYTES = 64 * 1024
_AUTOMATIC = ("User-Agent", "Content-Type", "Accept")
"""Headers that aiohttp would add by itself: a signature may cover them, and the adapter writes what it needs."""


@dataclass(frozen=True, slots=True)
class HttpReply:
    """A whole answer. `sent_ns` and `received_ns` are the gateway's wall time: when there was a connection to send on,
    and when the head of the answer was there. Names of `headers` are found however they are written."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    received_ns: int
    sent_ns: int = 0


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Sends one request, one time."""
    failure = ""
    try:
        return await handler(request)
    except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError):
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        failure = _kind(error)
    raise OutcomeUnknown(f"the connection was lost before the answer was whole ({failure})")


def _kind(error: BaseException) -> str:
    return reason_of(error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error)


def new_session() -> aiohttp.ClientSession:
    """A session for one credential; to be made inside a running loop."""
    return aiohttp.ClientSession(
        # Venues drop what idles for a minute; a request that meets the drop has an unknown outcome.
        connector=aiohttp.TCPConnector(limit=64, keepalive_timeout=20.0),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        raise_for_status=False,
        skip_auto_headers=_AUTOMATIC,
        middlewares=(_once,),
        trace_configs=[_tracing()],
    )


def _tracing() -> aiohttp.TraceConfig:
    """Notes, for one request, that it had a connection: before that nothing of it can have left."""
    tracing = aiohttp.TraceConfig()

    async def connected(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        context.trace_request_ctx.note()

    tracing.on_connection_create_end.append(connected)
    tracing.on_connection_reuseconn.append(connected)
    return tracing


class _Connected:
    """When a request had a connection; 0 where it had none."""

    __slots__ = ("_clock", "at_ns")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.at_ns = 0

    def note(self) -> None:
        """It has one now."""
        self.at_ns = self._clock.now_ns()


class HttpClient:
    """Sends to one base URL. Made by `ConnectionManager.http`."""

    def __init__(
        self,
        session: Callable[[], aiohttp.ClientSession],
        base_url: str,
        timeouts: Timeouts,
        clock: Clock,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._host = URL(self.base_url).host or self.base_url
        self._session = session
        self._clock = clock
        self._max_body_bytes = max_body_bytes
        self._timeout = aiohttp.ClientTimeout(
            total=timeouts.total_s,
            connect=timeouts.connect_s,
            sock_read=timeouts.read_s,
            # Otherwise longer ones are rounded up to whole seconds.
            ceil_threshold=float("inf"),
        )

    async def send(
        self, method: str, target: str, *, headers: Mapping[str, str], body: bytes | None = None
    ) -> HttpReply:
        """The answer to one request. `target` is path and query, percent-encoded: it leaves as it is given. Raises
        `NotSent` or `OutcomeUnknown`."""
        connected = _Connected(self._clock)
        try:
            return await self._exchange(method, target, headers, body, connected)
        except BrokerError:
            raise
        except (TimeoutError, aiohttp.ClientError, OSError, RuntimeError, ValueError) as error:
            failure = _kind(error)
        # Outside of the handler, so that no traceback leads to an error that holds the request.
        if connected.at_ns:
            raise OutcomeUnknown(f"{self._host}: no whole answer to {method} ({failure})")
        raise NotSent(f"{self._host}: no connection ({failure}); nothing was sent")

    async def _exchange(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None, connected: _Connected
    ) -> HttpReply:
        async with self._session().request(
            method,
            URL(self.base_url + target, encoded=True),
            headers=headers,
            data=body,
            allow_redirects=False,
            timeout=self._timeout,
            trace_request_ctx=connected,
        ) as response:
            received_ns = self._clock.now_ns()
            answer = await self._read(response)
            headers_told = CIMultiDictProxy(response.headers.copy())
            return HttpReply(response.status, headers_told, answer, received_ns, connected.at_ns)

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        chunks = bytearray()
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            chunks += chunk
            if len(chunks) > self._max_body_bytes:
                response.close()
                raise OutcomeUnknown(
                    f"{self._host}: the answer is longer than {self._max_body_bytes} bytes and was not read"
                )
        return bytes(chunks)
