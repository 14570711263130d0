"""An emulated venue: what every one of them has, whatever its wire is."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from aiohttp import web

from brokergate.domain.instruments import Instrument
from tests.emulators.channel import Channel
from tests.emulators.clock import VenueClock
from tests.emulators.core import VenueCore
from tests.emulators.faults import REQUEST, Fault, Faults
from tests.emulators.log import RequestLog
from tests.emulators.orders import VenueOrderState

DELAY = frozenset({"delay"})
HANG_S = 30.0
"""How long a lost answer leaves the connection open where the fault says how='hang'."""
DRIP_S = 0.2
"""Between two bytes of a slow answer."""


@dataclass(slots=True)
class Reply:
    """An HTTP answer."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    code: int | None = None
    """The venue's own code, for the log."""


class VenueEmulator(ABC):
    """See the module. A venue overrides what is abstract; `server.py` serves it, `control.py` steers it."""

    name: str

    def __init__(self, key: str, secret: str) -> None:
        self.key = key
        self.secret = secret
        self.clock = VenueClock()
        self.faults = self.new_faults()
        self.log = RequestLog()
        self.channels: set[Channel] = set()
        self._coming: set[asyncio.Task[None]] = set()
        """Requests that arrive late."""
        self.core = self._new_core(None)

    # What a venue says of itself

    @abstractmethod
    def instruments(self) -> Sequence[Instrument]:
        """What it trades."""

    @abstractmethod
    def new_core(self, balances: Mapping[str, Decimal] | None) -> VenueCore:
        """A new account with these balances, the usual ones for None, that listens to nobody yet."""

    @abstractmethod
    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answers any request that is not the control plane's."""

    @abstractmethod
    def shown(self, order: VenueOrderState) -> dict[str, Any]:
        """An order as the venue's wire shows it."""

    @abstractmethod
    def failure(self, status: int, arguments: Mapping[str, Any]) -> Reply:
        """The venue's answer with this status (429, 418, 403, 500, 503 …) where a fault with these arguments asks for
        it."""

    @abstractmethod
    def listen(self) -> None:
        """Is called with every new core: subscribe to `self.core.listeners` here."""

    @abstractmethod
    def began_anew(self) -> None:
        """Is called when a test starts anew: limits, bans and whatever else the venue remembers are gone."""

    @abstractmethod
    def fault_began(self, fault: Fault) -> None:
        """Is called when a standing fault begins or one that is done at once."""

    def new_faults(self) -> Faults:
        """None that wait yet. A venue with faults of its own knows more of them."""
        return Faults()

    async def tell(self, action: str, arguments: Mapping[str, Any]) -> Any:
        """What only this venue can be told. `ValueError` for what there is not."""
        raise ValueError(f"{self.name} cannot {action!r}")

    def _new_core(self, balances: Mapping[str, Decimal] | None) -> VenueCore:
        return self.new_core(balances)

    def reset(self, balances: Mapping[str, Decimal] | None) -> None:
        """A new, empty account and market; streams are cut, faults and the log are cleared."""
        self.drop_streams("*")
        for task in self._coming:
            task.cancel()
        self.faults = self.new_faults()
        self.log = RequestLog()
        self.clock.reset()
        self.core = self._new_core(balances)
        self.listen()
        self.began_anew()

    def drop_streams(self, on: str) -> int:
        """Cuts WebSocket connections of a kind, of all for '*'; how many."""
        cut = [channel for channel in self.channels if on in ("*", channel.kind)]
        for channel in cut:
            channel.abort()
        return len(cut)

    # Answers, and what befalls them

    async def answer(
        self, request: web.Request, entry: dict[str, Any], work: Callable[[], Reply | Awaitable[Reply]]
    ) -> web.StreamResponse:
        """Does `work` and answers with what it gives, unless a fault that waits for this request befalls it."""
        began_ns = time.monotonic_ns()
        late = self.faults.take(DELAY, entry["kind"], entry["name"])
        fault = self.faults.take(REQUEST, entry["kind"], entry["name"])
        if fault is None:
            reply = await _done(work)
            entry["took_ns"] = time.monotonic_ns() - began_ns
            if late is not None:
                await asyncio.sleep(float(late.arguments["seconds"]))
            return self._told(entry, reply)
        entry["fault"] = fault.kind
        accept = bool(fault.arguments.get("accept", fault.kind not in ("status", "html")))
        if fault.kind == "answer_lost_before_accept":
            return await self._lose(request, fault)
        if fault.kind == "arrives_late":
            self.after(float(fault.arguments["seconds"]), entry, work)
            return await self._lose(request, fault)
        reply = await _done(work) if accept else self.failure(503, {})
        if fault.kind == "answer_lost_after_accept":
            self._note(entry, reply)
            return await self._lose(request, fault)
        if fault.kind == "status":
            reply = self.failure(int(fault.arguments.get("code", 500)), fault.arguments)
            retry_after = fault.arguments.get("retry_after")
            if retry_after is not None:
                reply.headers["Retry-After"] = str(retry_after)
        elif fault.kind == "html":
            body = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
            reply = Reply(int(fault.arguments.get("code", 200)), body, {"Content-Type": "text/html"})
        elif fault.kind == "partial_json":
            reply = Reply(reply.status, reply.body[: max(1, len(reply.body) // 2)], reply.headers, reply.code)
        elif fault.kind == "slow_loris":
            self._note(entry, reply)
            return await self._drip(request, reply, float(fault.arguments.get("seconds", 60)))
        return self._told(entry, reply)

    def after(
        self, seconds: float, entry: dict[str, Any], work: Callable[[], Reply | Awaitable[Reply]]
    ) -> None:
        """Does `work` so much later, unless the test has started anew by then. Nobody hears of it."""

        async def run() -> None:
            await asyncio.sleep(seconds)
            self._note(entry, await _done(work))

        task = asyncio.ensure_future(run())
        self._coming.add(task)
        task.add_done_callback(self._coming.discard)

    def _told(self, entry: dict[str, Any], reply: Reply) -> web.Response:
        self._note(entry, reply)
        headers = {"Content-Type": "application/json;charset=UTF-8"} | reply.headers
        return web.Response(status=reply.status, body=reply.body, headers=headers)

    def _note(self, entry: dict[str, Any], reply: Reply) -> None:
        entry["status"], entry["code"] = reply.status, reply.code

    async def _lose(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        if fault.arguments.get("how", "cut") == "hang":
            await asyncio.sleep(float(fault.arguments.get("seconds", HANG_S)))
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)

    async def _drip(self, request: web.Request, reply: Reply, seconds: float) -> web.StreamResponse:
        """Sends the answer a byte at a time until `seconds` are over, then cuts it off."""
        headers = {"Content-Type": "application/json;charset=UTF-8"} | reply.headers
        response = web.StreamResponse(status=reply.status, headers=headers)
        response.content_length = len(reply.body)
        await response.prepare(request)
        waited = 0.0
        for place in range(len(reply.body)):
            await response.write(reply.body[place : place + 1])
            await asyncio.sleep(DRIP_S)
            waited += DRIP_S
            if waited >= seconds:
                break
        if request.transport is not None:
            request.transport.abort()
        return response


async def _done(work: Callable[[], Reply | Awaitable[Reply]]) -> Reply:
    reply = work()
    return reply if isinstance(reply, Reply) else await reply
