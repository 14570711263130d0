"""One connection to a TWS: what is sent over it, at what pace, and who is told what. Every account of its login that
connects by the same client id shares it.

It ends, for all of them, with the socket; with a TWS that says nothing, not even what time it is; with the word that
TWS has lost its own venue, or found it again (what was missed meanwhile is told to nobody who does not ask: 1100, 1101,
1102); with a message that cannot be read; and with a question that is not answered where a late answer could be taken
for the next one's. Whoever follows it connects again and fills the gap.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from brokergate.adapters.connection.errors import reason_of
from brokergate.adapters.ibkr import frames
from brokergate.adapters.ibkr.asking import Key, Questions
from brokergate.adapters.ibkr.contracts import IbContract, IbDetails, Steps
from brokergate.adapters.ibkr.errors import Asked, Meaning, Means, meaning
from brokergate.adapters.ibkr.frames import Frame
from brokergate.adapters.ibkr.library import TwsSocket
from brokergate.adapters.ibkr.lines import MarketLines
from brokergate.adapters.ibkr.orders import IbOrder
from brokergate.domain.errors import (
    BrokerError,
    BrokerTimeoutError,
    FinalError,
    NotSent,
    RecoverableError,
    TemporaryConnectionError,
)
from brokergate.ports.clock import Clock
from brokergate.resilience.bucket import Limit
from brokergate.resilience.lanes import Lane
from brokergate.resilience.limiter import MultiEndpointRateLimiter

NS_PER_S = 1_000_000_000
MOMENTS = 10
"""Parts of a second that get an equal share of its messages: TWS counts over any second of its own clock."""
FOR_CANCELS = 5
"""Of a second's messages, for cancels alone."""
OPEN_ORDERS, COMPLETED, POSITIONS, TIME = "openOrderEnd", "completedOrdersEnd", "positionEnd", "currentTime"
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
        self._members: list[Member] = []
        self._questions = Questions()
        self._watchdog: asyncio.Task[None] | None = None
        self._next_id = 1
        self.market = MarketLines(self, settings.market_data_lines, settings.market_data_type)
        """The market data of everybody who shares the line."""
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
        self._questions.fail(TemporaryConnectionError("the connection to TWS was closed"))
        self.market.lost()
        if socket is not None:
            await socket.close()

    async def _open(self) -> TwsSocket:
        socket = TwsSocket(self._hear, self._lost, self.settings.time_zone)
        self._said = None
        settings = self.settings
        try:
            await socket.connect(settings.host, settings.port, settings.client_id, settings.timeout_s)
        except (OSError, TimeoutError) as error:
            failure = self._refusal(error, socket)
            await socket.close()
            raise failure from None
        except BaseException:
            await socket.close()
            raise
        self._socket, self._held, self._said = socket, True, None
        self._next_id = max(self._next_id, socket.next_id)
        try:
            # An order id that comes again would change the order that has it: TWS forgets which it gave out.
            await self.open_orders()
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

    def _refusal(self, error: BaseException, socket: TwsSocket) -> BrokerError:
        """Why there is no connection, and the way out."""
        place, said = self.settings.place, self._said
        if said is not None and meaning(said.code, said.text, Asked.NOTHING).means is Means.CLIENT_ID:
            problem = (
                f"TWS at {place} has another connection with client id {self.settings.client_id} (326); give every "
                "program another client_id. One that was cut off may take TWS a minute to forget"
            )
            # After a loss TWS may hold on to the connection that was: another attempt finds it gone.
            return (TemporaryConnectionError if self._held else FinalError)(problem, code="326")
        if said is not None:
            return TemporaryConnectionError(
                f"TWS at {place} ends the connection: {said.text[:200]} ({said.code})", code=str(said.code)
            )
        if isinstance(error, TimeoutError) and not socket.heard:
            return TemporaryConnectionError(
                f"TWS at {place} took the connection and says nothing in {self.settings.timeout_s:g} s; it may be "
                "waiting for a person (a dialog, a login), or have its 32 clients"
            )
        if isinstance(error, TimeoutError):
            return TemporaryConnectionError(
                f"TWS at {place} did not name its accounts in {self.settings.timeout_s:g} s; is it logged in?"
            )
        if socket.reached:
            return TemporaryConnectionError(
                f"TWS at {place} takes connections and closes them; enable its API (Settings, API, 'Enable ActiveX "
                "and Socket Clients'), and add this machine to its trusted IPs where it is another one's"
            )
        number = error.errno if isinstance(error, OSError) else None
        reason = os.strerror(number) if number is not None and number > 0 else reason_of(error)
        return TemporaryConnectionError(
            f"no TWS or IB Gateway at {place} ({reason}); start it, log in, enable its API, and see that host and port "
            "are those of its API settings"
        )

    # What is lost

    def fail(self, error: BrokerError) -> None:
        """Ends the connection for everybody."""
        socket, self._socket = self._socket, None
        if socket is None:
            return
        self._stop_watching()
        socket.abort()
        self._log("connection to TWS ended", place=self.settings.place, reason=str(error))
        self._questions.fail(error)
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
        while True:
            heard = socket.heard
            await self._clock.sleep(self.settings.quiet_s)
            if socket.heard != heard:
                continue
            try:
                await self.current_time(self.settings.probe_timeout_s)
            except BrokerError as error:
                self.fail(TemporaryConnectionError(f"TWS is connected and mute: {error}"))
                return

    # What is sent

    @property
    def accounts(self) -> tuple[str, ...]:
        """The accounts of the login. Raises `NotSent`."""
        return self._live().accounts

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self._socket is not None

    def _live(self) -> TwsSocket:
        if self._socket is None:
            raise NotSent("there is no connection to TWS; nothing was sent")
        return self._socket

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
        self._live()
        deadline_ns = self._clock.monotonic_ns() + round(self.settings.timeout_s * NS_PER_S)
        async with self.limiter.limit(
            "message", lane=lane, deadline=None if patient else deadline_ns, what=what
        ):
            pass
        self._live()

    def place(self, order_id: int, contract: IbContract, order: IbOrder) -> None:
        """Sends an order, in its turn. Raises `NotSent`."""
        self._live().place(order_id, contract, order)

    def send(self, request: str, *arguments: object) -> None:
        """Sends anything else that has no answer of its own, in its turn. Raises `NotSent`."""
        self._live().send(request, *arguments)

    def subscribe(self, request_id: int, contract: IbContract) -> None:
        """Asks for the market data of a contract, in its turn. Raises `NotSent`."""
        socket = self._live()
        socket.send("reqMktData", request_id, socket.contract(contract), "", False, False, [])

    # Questions

    async def open_orders(self, lane: Lane = Lane.QUERY) -> list[frames.OrderShown]:
        """Everything that works for the login, whoever placed it, each as it stands. Raises a `BrokerError`."""
        told = await self._unnumbered(OPEN_ORDERS, "open orders", "reqAllOpenOrders", lane=lane)
        shown: dict[int, frames.OrderShown] = {}
        for frame in told:
            if isinstance(frame, frames.OrderShown):
                shown[frame.shown.order.perm_id] = frame
            elif isinstance(frame, frames.StatusShown) and frame.perm_id in shown:
                shown[frame.perm_id] = frames.standing(shown[frame.perm_id], frame)
        return list(shown.values())

    async def completed_orders(self) -> list[frames.OrderShown]:
        """The orders that ended, as far back as TWS knows them. Raises a `BrokerError`."""
        told = await self._unnumbered(COMPLETED, "completed orders", "reqCompletedOrders", False)
        return [frame for frame in told if isinstance(frame, frames.OrderShown)]

    async def positions(self) -> list[frames.PositionShown]:
        """What every account of the login holds. Raises a `BrokerError`."""
        told = await self._unnumbered(POSITIONS, "positions", "reqPositions")
        return [frame for frame in told if isinstance(frame, frames.PositionShown)]

    async def current_time(self, timeout_s: float | None = None) -> int:
        """TWS's clock, in seconds. Raises a `BrokerError`."""
        told = await self._unnumbered(TIME, "the time", "reqCurrentTime", timeout_s=timeout_s)
        return next(frame.seconds for frame in told if isinstance(frame, frames.TimeShown))

    async def executions(
        self, account: str
    ) -> tuple[list[frames.ExecutionShown], list[frames.CommissionShown]]:
        """The day's executions of an account, by whatever client, and what they cost as far as it is known. Raises a
        `BrokerError`."""
        request_id = self.take_id()
        told = await self._numbered(
            request_id, Asked.QUERY, "executions", lambda socket: socket.executions(request_id, account)
        )
        executions = [frame for frame in told if isinstance(frame, frames.ExecutionShown)]
        return executions, [frame for frame in told if isinstance(frame, frames.CommissionShown)]

    async def account_values(self, account: str) -> list[frames.AccountValue]:
        """All figures of an account. Raises a `BrokerError`."""
        request_id = self.take_id()

        def ask(socket: TwsSocket) -> None:
            socket.send("reqAccountUpdatesMulti", request_id, account, "", False)

        told = await self._numbered(request_id, Asked.QUERY, "the account's figures", ask)
        await self.turn(Lane.QUERY, "the account's figures")
        self.send("cancelAccountUpdatesMulti", request_id)
        return [frame for frame in told if isinstance(frame, frames.AccountValue)]

    async def contract_details(self, contract: IbContract) -> list[IbDetails]:
        """Every contract that fits a description. Raises a `BrokerError`, with code 200 where there is none."""
        request_id = self.take_id()

        def ask(socket: TwsSocket) -> None:
            socket.send("reqContractDetails", request_id, socket.contract(contract))

        told = await self._numbered(request_id, Asked.CONTRACT, "contract details", ask, patient=True)
        return [frame.details for frame in told if isinstance(frame, frames.DetailsShown)]

    async def market_rule(self, rule_id: int) -> Steps:
        """From which price on a contract has which step of prices. Raises a `BrokerError`."""
        key = f"marketRule {rule_id}"
        told = await self._unnumbered(key, "a market rule", "reqMarketRule", rule_id, patient=True)
        return next(frame.steps for frame in told if isinstance(frame, frames.RuleShown))

    async def what_if(self, contract: IbContract, order: IbOrder) -> frames.WhatIf:
        """What an order would do. Raises a `BrokerError`."""
        request_id = self.take_id()
        told = await self._numbered(
            request_id, Asked.PREVIEW, "a preview", lambda socket: socket.place(request_id, contract, order)
        )
        return next(frame for frame in told if isinstance(frame, frames.WhatIf))

    async def _numbered(
        self,
        request_id: int,
        asked: Asked,
        what: str,
        ask: Callable[[TwsSocket], None],
        *,
        patient: bool = False,
    ) -> list[Frame]:
        await self.turn(Lane.QUERY, what, patient=patient)
        try:
            async with asyncio.timeout(self.settings.timeout_s):
                return await self._questions.wait(request_id, asked, lambda: ask(self._live()))
        except TimeoutError:
            raise BrokerTimeoutError(f"TWS did not answer in {self.settings.timeout_s:g} s: {what}") from None

    async def _unnumbered(
        self,
        key: str,
        what: str,
        request: str,
        *arguments: object,
        timeout_s: float | None = None,
        lane: Lane = Lane.QUERY,
        patient: bool = False,
    ) -> list[Frame]:
        timeout_s = self.settings.timeout_s if timeout_s is None else timeout_s
        async with self._questions.lock(key):
            await self.turn(lane, what, patient=patient)
            try:
                async with asyncio.timeout(timeout_s):
                    return await self._questions.wait(
                        key, Asked.QUERY, lambda: self._live().send(request, *arguments)
                    )
            except TimeoutError:
                error = BrokerTimeoutError(f"TWS did not answer in {timeout_s:g} s: {what}")
            except asyncio.CancelledError:
                self.fail(TemporaryConnectionError(f"a question was given up before its answer came: {what}"))
                raise
            # Its answer may still come, and would be taken for the next one's.
            self.fail(error)
            raise error

    # What is heard

    def _hear(self, frame: Frame) -> None:
        if isinstance(frame, frames.Unreadable):
            self.fail(RecoverableError(f"a message of TWS cannot be read: {frame.problem}"))
        elif isinstance(frame, frames.ErrorShown):
            self._error(frame)
        elif not self._answers(frame) and not self.market.hear(frame):
            self._tell(frame)

    def _tell(self, frame: Frame) -> None:
        for member in tuple(self._members):
            member.hear(frame)

    def _answers(self, frame: Frame) -> bool:
        """Takes what belongs to a question; whether it is nobody else's."""
        questions = self._questions
        if isinstance(frame, frames.ListEnded):
            questions.end(frame.of if frame.request_id < 0 else frame.request_id)
            return True
        if isinstance(frame, frames.OrderShown):
            questions.tell(COMPLETED if frame.completed else OPEN_ORDERS, frame)
            self._learn_id(frame.shown.order.client_id, frame.shown.order.order_id)
            return frame.completed
        if isinstance(frame, frames.StatusShown):
            questions.tell(OPEN_ORDERS, frame)
            return False
        if isinstance(frame, frames.ExecutionShown):
            self._learn_id(frame.client_id, frame.order_id)
            questions.tell(frame.request_id, frame)
            return frame.request_id >= 0
        if isinstance(frame, frames.CommissionShown):
            questions.tell_all(frame)
            return False
        if isinstance(frame, frames.PositionShown):
            questions.tell(POSITIONS, frame)
            return True
        if isinstance(frame, frames.WhatIf):
            return self._answer(frame.order_id, frame)
        if isinstance(frame, frames.TimeShown):
            return self._answer(TIME, frame)
        if isinstance(frame, frames.RuleShown):
            return self._answer(f"marketRule {frame.rule_id}", frame)
        if isinstance(frame, frames.AccountValue | frames.DetailsShown):
            questions.tell(frame.request_id, frame)
            return True
        return False

    def _answer(self, key: Key, frame: Frame) -> bool:
        """Takes an answer of one message."""
        self._questions.tell(key, frame)
        self._questions.end(key)
        return True

    def _learn_id(self, client_id: int, order_id: int) -> None:
        if client_id == self.settings.client_id:
            self.skip_ids(order_id + 1)

    def _error(self, shown: frames.ErrorShown) -> None:
        question = self._questions.get(shown.request_id) if shown.request_id >= 0 else None
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
            self.fail(TemporaryConnectionError(str(means.error), code=str(shown.code)))
        elif question is not None:
            if means.means is not Means.NOTICE:
                question.fail(means.error)
        elif shown.request_id < 0:
            self._about_connection(shown, means)
        elif not self.market.hear(shown):
            self._tell(shown)

    def _about_connection(self, shown: frames.ErrorShown, means: Meaning) -> None:
        if means.means is Means.THROTTLED:
            self.limiter.close_for("second", 1.0)
        refused = meaning(shown.code, shown.text, Asked.QUERY)
        if refused.means is Means.REFUSED:
            for question in self._questions.unnumbered():
                question.fail(refused.error)
