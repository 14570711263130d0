"""One connection to a TWS: what is sent over it, at what pace, and who is told what. Every account of its login that
connects by the same client id shares it.

It ends, for all of them, with the socket; with a TWS that says nothing, not even what time it is; with the word that
TWS has lost its own venue, or found it again (what was missed meanwhile is told to nobody who does not ask: 1100, 1101,
1102); with a message that cannot be read; and with a question that is not answered where a late answer could be taken
for the next one's. Whoever follows it connects again and fills the gap.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from brokergate.adapters.ibkr import frames
from brokergate.adapters.ibkr.contracts import IbContract
from brokergate.adapters.ibkr.errors import Asked, Meaning, Means, meaning
from brokergate.adapters.ibkr.frames import Frame
from brokergate.adapters.ibkr.inquiry import Inquiry
from brokergate.adapters.ibkr.library import TwsSocket
from brokergate.adapters.ibkr.lines import MarketLines
from brokergate.adapters.ibkr.orders import IbOrder
from brokergate.adapters.ibkr.refusals import why
from brokergate.domain.errors import (
    BrokerError,
    BrokerTimeoutError,
    NotSent,
    RecoverableError,
    TemporaryConnectionError,
)
from brokergate.ports.clock import Clock
from brokergate.resilience.bucket import Limit
from brokergate.resilience.lanes import Lane
from brokergate.resilience.limiter import MultiEndpointRateLimiter

NS_PER_S = 1_000_000_000
MOMENTS = 4
"""Parts of a second that get an equal share of its messages: TWS counts over any second of its own clock."""
FOR_CANCELS = 5
"""Of a second's messages, for cancels alone."""
AWAY_NS = 120 * NS_PER_S
"""How long a connection over which TWS says nothing of it is taken for one of a TWS that is away from its venue."""
SETTLES_NS = 10 * NS_PER_S
"""After it is back, or was connected to: until all that it has is in its lists."""
_ENDINGS = frozenset({Means.LOST, Means.RESTORED, Means.RESTORED_ANEW})


@dataclass(frozen=True, slots=True)
class LineSettings:
    """Where a TWS is, and how it is spoken to; seconds."""

    host: str
    port: int
    client_id: int
    messages_per_second: int
    time_zone: str
    timeout_s: float
    quiet_s: float
    probe_timeout_s: float
    market_data_type: int = 1
    market_data_lines: int = 100

    @property
    def place(self) -> str:
        """For people."""
        return f"{self.host}:{self.port}"


class Member(Protocol):
    """An account that shares the line."""

    def hear(self, frame: Frame) -> None:
        """Something was told that is no answer."""

    def lost(self, error: BrokerError) -> None:
        """The line has ended; nothing more is told over it."""


class Line:
    """See the module. To be used inside one running loop."""

    def __init__(self, settings: LineSettings, clock: Clock, log: Callable[..., object]) -> None:
        self.settings = settings
        self._clock = clock
        self._log = log
        self._socket: TwsSocket | None = None
        self._opening: asyncio.Task[TwsSocket] | None = None
        self._ending: TwsSocket | None = None
        self._members: list[Member] = []
        self.ask = Inquiry(self, settings.timeout_s)
        """What TWS is asked."""
        self._watchdog: asyncio.Task[None] | None = None
        self._next_id = 1
        self.orders_sent = 0
        """Counts them, changes too."""
        self.market = MarketLines(self, settings.market_data_lines, settings.market_data_type)
        """The market data of everybody who shares the line."""
        self._cut = ""
        """What TWS said of having lost its own venue, until it says that it has found it again."""
        self._cut_anew = False
        """Whether it said so over the connection that is being made."""
        self._opened_ns = self._restored_ns = -AWAY_NS
        self._given_up = False
        """Whether the connection that stands takes nobody more."""
        self._held = False
        """Whether TWS ever took this client id from here."""
        self._said: frames.ErrorShown | None = None
        """The last message about the connection while it is made."""
        per_second = settings.messages_per_second
        self.limiter = MultiEndpointRateLimiter(
            {"message": ["second", "moment"]},
            limits={
                "second": Limit(per_second, 1.0, min(FOR_CANCELS, per_second // 2)),
                "moment": Limit(max(1, per_second // MOMENTS), 1.0 / MOMENTS),
            },
            clock=clock,
        )

    # Coming and going

    async def join(self, member: Member) -> None:
        """Tells `member` everything from now on. The first one connects. Raises a `BrokerError`."""
        if self._given_up:
            self.fail(
                TemporaryConnectionError(
                    "another account of the login connects again, and the connection is made anew"
                )
            )
        self._members.append(member)
        try:
            if self._socket is None:
                if self._opening is None:
                    self._opening = asyncio.create_task(self._open(), name=f"TWS at {self.settings.place}")
                    self._opening.add_done_callback(self._opened)
                await asyncio.shield(self._opening)
        except BaseException:
            await self.leave(member)
            raise

    async def give_up(self, member: Member) -> None:
        """As `leave`, and nobody joins this connection any more: who connects again may have found it mute, and is to
        have another one. What is mute for one account is mute for all."""
        if member in self._members:
            self._given_up = True
        await self.leave(member)

    def _opened(self, opening: asyncio.Task[TwsSocket]) -> None:
        self._opening = None
        if not opening.cancelled():
            opening.exception()  # told to whoever waits, if anybody still does

    async def leave(self, member: Member) -> None:
        """Tells `member` nothing more. The last one closes the connection."""
        if member in self._members:
            self._members.remove(member)
        if self._members:
            return
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        socket, self._socket = self._socket, None
        self._stop_watching()
        self.ask.waiting.fail(TemporaryConnectionError("the connection to TWS was closed"))
        self.market.lost()
        if socket is not None:
            self._ending = socket
            await socket.close()

    async def _open(self) -> TwsSocket:
        if self._ending is not None:
            # TWS takes no two connections by one client id.
            await self._ending.gone.wait()
        socket = TwsSocket(self._hear, self._lost, self.settings.time_zone)
        self._said, self._cut_anew = None, False
        settings = self.settings
        try:
            await socket.connect(settings.host, settings.port, settings.client_id, settings.timeout_s)
        except (OSError, TimeoutError) as error:
            failure = why(
                error,
                settings.place,
                settings.client_id,
                settings.timeout_s,
                self._said,
                reached=socket.reached,
                heard=bool(socket.heard),
                held=self._held,
            )
            await socket.close()
            raise failure from None
        except BaseException:
            await socket.close()
            raise
        self._socket, self._held, self._said = socket, True, None
        self._given_up = False
        self._opened_ns = self._clock.monotonic_ns()
        self._next_id = max(self._next_id, socket.next_id)
        try:
            # An order id that comes again would change the order that has it: TWS forgets which it gave out.
            await self.ask.open_orders()
            if self._cut_anew:
                raise TemporaryConnectionError(f"TWS at {settings.place} is away from its venue: {self._cut}")
        except BaseException as error:
            self._socket = None
            await socket.close()
            if isinstance(error, BrokerTimeoutError):
                raise TemporaryConnectionError(
                    f"TWS at {settings.place} is connected and mute: {error}"
                ) from None
            raise
        self._watchdog = asyncio.create_task(self._watch(socket), name=f"data age of TWS at {settings.place}")
        self._log(
            "connected to TWS", place=settings.place, library=socket.name, version=socket.server_version
        )
        return socket

    # What is lost

    def fail(self, error: BrokerError) -> None:
        """Ends the connection for everybody."""
        socket, self._socket = self._socket, None
        if socket is None:
            return
        self._stop_watching()
        self._ending = socket
        socket.abort()
        self._log("connection to TWS ended", place=self.settings.place, reason=str(error))
        self.ask.waiting.fail(error)
        self.market.lost()
        members, self._members = self._members, []
        for member in members:
            member.lost(error)

    def _lost(self, why: str) -> None:
        said = "" if self._said is None else f" ({self._said.code}: {self._said.text[:200]})"
        self.fail(TemporaryConnectionError(f"{why}{said}"))

    def _stop_watching(self) -> None:
        watchdog, self._watchdog = self._watchdog, None
        if watchdog is not None and watchdog is not asyncio.current_task():
            watchdog.cancel()

    async def _watch(self, socket: TwsSocket) -> None:
        """Finds the connection that is there and mute: a peer that is gone without a word stays connected."""
        while self._socket is socket:
            heard = socket.heard
            await self._clock.sleep(self.settings.quiet_s)
            if socket.heard != heard:
                continue
            # Where that is not answered it ends the connection.
            with suppress(BrokerError):
                await self.ask.current_time(self.settings.probe_timeout_s)

    # What is sent

    @property
    def accounts(self) -> tuple[str, ...]:
        """The accounts of the login. Raises `NotSent`."""
        return self.live().accounts

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self._socket is not None

    def live(self) -> TwsSocket:
        """What is connected. Raises `NotSent`."""
        if self._socket is None:
            raise NotSent("there is no connection to TWS; nothing was sent")
        return self._socket

    @property
    def away(self) -> str:
        """What TWS said of having lost its own venue: it takes orders meanwhile, shows them to nobody, and sends them
        when it is back. Empty where it has not, or said that it is back; and after a while on a connection where it
        says neither, since the word may have come while there was none."""
        recent = self._clock.monotonic_ns() - self._opened_ns < AWAY_NS
        return self._cut if recent else ""

    @property
    def settled(self) -> bool:
        """Whether what TWS had kept back while it was away is in its lists by now."""
        return not self.away and self._clock.monotonic_ns() - self._restored_ns >= SETTLES_NS

    @property
    def steady(self) -> bool:
        """Whether TWS has had the time since it was connected to, to show all that it has."""
        return self._clock.monotonic_ns() - self._opened_ns >= SETTLES_NS

    def take_id(self) -> int:
        """An id for a request or an order: TWS tells errors of both by it, so that no two have the same."""
        taken = self._next_id
        self._next_id += 1
        return taken

    def skip_ids(self, least: int) -> None:
        """The next id is `least` at the least."""
        self._next_id = max(self._next_id, least)

    async def turn(self, lane: Lane, what: str, *, patient: bool = False) -> None:
        """Returns when a message may be sent, which is then to be done in the same step. Raises `NotSent`, and
        `RateLimitError` where there is no room before the deadline, unless it is `patient`."""
        self.live()
        deadline_ns = self._clock.monotonic_ns() + round(self.settings.timeout_s * NS_PER_S)
        async with self.limiter.limit(
            "message", lane=lane, deadline=None if patient else deadline_ns, what=what
        ):
            pass
        self.live()

    def place(self, order_id: int, contract: IbContract, order: IbOrder) -> None:
        """Sends an order, in its turn. Raises `NotSent`."""
        self.orders_sent += 1
        self.live().place(order_id, contract, order)

    def send(self, request: str, *arguments: object) -> None:
        """Sends anything else that has no answer of its own, in its turn. Raises `NotSent`."""
        self.live().send(request, *arguments)

    def subscribe(self, request_id: int, contract: IbContract) -> None:
        """Asks for the market data of a contract, in its turn. Raises `NotSent`."""
        socket = self.live()
        socket.send("reqMktData", request_id, socket.contract(contract), "", False, False, [])

    # What is heard

    def _hear(self, frame: Frame) -> None:
        if isinstance(frame, frames.Unreadable):
            self.fail(RecoverableError(f"a message of TWS cannot be read: {frame.problem}"))
        elif isinstance(frame, frames.ErrorShown):
            self._error(frame)
            return
        self._learn_id(frame)
        if not self.ask.hear(frame) and not self.market.hear(frame):
            self._tell(frame)

    def _tell(self, frame: Frame) -> None:
        for member in tuple(self._members):
            member.hear(frame)

    def _learn_id(self, frame: Frame) -> None:
        """An id that an order of this client has is no other's."""
        told = frame.shown.order if isinstance(frame, frames.OrderShown) else frame
        if isinstance(told, IbOrder | frames.ExecutionShown) and told.client_id == self.settings.client_id:
            self.skip_ids(told.order_id + 1)

    def _error(self, shown: frames.ErrorShown) -> None:
        question = self.ask.waiting.get(shown.request_id) if shown.request_id >= 0 else None
        if question is not None:
            asked = question.asked
        else:
            asked = Asked.MARKET_DATA if self.market.has(shown.request_id) else Asked.NOTHING
        means = meaning(shown.code, shown.text, asked)
        if shown.request_id < 0 and (self._socket is None or means.means is Means.THROTTLED):
            self._said = shown
        self._log(
            "TWS says", code=shown.code, text=shown.text[:400], id=shown.request_id, means=means.means.value
        )
        if means.means in _ENDINGS:
            self._note_ending(means)
            self.fail(TemporaryConnectionError(str(means.error), code=str(shown.code)))
        elif question is not None:
            if means.means is not Means.NOTICE:
                question.fail(means.error)
        elif shown.request_id < 0:
            self._about_connection(shown, means)
            self.market.hear(shown)
        elif not self.market.hear(shown):
            self._tell(shown)

    def _note_ending(self, means: Meaning) -> None:
        """TWS has lost its own venue, or found it again."""
        if means.means is Means.LOST:
            self._cut, self._cut_anew = str(means.error), True
        else:
            self._cut, self._restored_ns = "", self._clock.monotonic_ns()

    def _about_connection(self, shown: frames.ErrorShown, means: Meaning) -> None:
        if means.means is Means.THROTTLED:
            self.limiter.close_for("second", 1.0)
        refused = meaning(shown.code, shown.text, Asked.QUERY)
        if refused.means is Means.REFUSED:
            for question in self.ask.waiting.unnumbered():
                question.fail(refused.error)
