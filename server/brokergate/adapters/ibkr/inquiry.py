"""What a TWS is asked, and how its answers come together: each complete, or raised (law 4)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from brokergate.adapters.ibkr import frames
from brokergate.adapters.ibkr.asking import Key, Questions
from brokergate.adapters.ibkr.contracts import IbContract, IbDetails, Steps
from brokergate.adapters.ibkr.errors import Asked
from brokergate.adapters.ibkr.frames import Frame
from brokergate.adapters.ibkr.library import TwsSocket
from brokergate.adapters.ibkr.orders import IbOrder
from brokergate.domain.errors import BrokerError, BrokerTimeoutError, TemporaryConnectionError
from brokergate.resilience.lanes import Lane

OPEN_ORDERS, COMPLETED, POSITIONS, TIME = "openOrderEnd", "completedOrdersEnd", "positionEnd", "currentTime"
MARKS = "accountDownloadEnd"


class Way(Protocol):
    """The connection that is asked over."""

    def live(self) -> TwsSocket:
        """What is connected. Raises `NotSent`."""

    def take_id(self) -> int:
        """An id that no request of this connection had."""

    async def turn(self, lane: Lane, what: str, *, patient: bool = False) -> None:
        """Returns when one message may be sent. Raises a `BrokerError`."""

    def fail(self, error: BrokerError) -> None:
        """Ends the connection."""


class Inquiry:
    """Asks over one connection; an answer has `timeout_s` seconds."""

    def __init__(self, way: Way, timeout_s: float) -> None:
        self._way = way
        self._timeout_s = timeout_s
        self.waiting = Questions()
        self._completed: asyncio.Task[list[frames.OrderShown]] | None = None
        """The question for completed orders that waits for its turn."""

    async def open_orders(self, lane: Lane = Lane.QUERY) -> list[frames.OrderShown]:
        """Everything that works for the login, whoever placed it, each as it stands. Raises a `BrokerError`."""
        told = await self._unnumbered(OPEN_ORDERS, "open orders", "reqAllOpenOrders", lane=lane)
        shown: dict[tuple[int, int], frames.OrderShown] = {}
        numbers: dict[int, tuple[int, int]] = {}
        for frame in told:
            if isinstance(frame, frames.OrderShown):
                order = frame.shown.order
                # Orders of TWS's own windows have no id but their number, and one that was just sent no number yet.
                key = (order.client_id, order.order_id) if order.order_id > 0 else (0, -order.perm_id)
                shown[key] = frame
                numbers[order.perm_id] = key
            elif isinstance(frame, frames.StatusShown):
                key = numbers.get(frame.perm_id, (frame.client_id, frame.order_id))
                if key in shown:
                    shown[key] = frames.standing(shown[key], frame)
        return list(shown.values())

    async def completed_orders(self) -> list[frames.OrderShown]:
        """The orders that ended, as far back as TWS knows them. The list is long: all who wait for its turn get one
        answer, so that a thousand orders that end together do not ask for it a thousand times. Raises a
        `BrokerError`."""
        asking = self._completed
        if asking is None:
            asking = self._completed = asyncio.create_task(self._ask_completed(), name="completed orders")
            asking.add_done_callback(self._completed_asked)
        # Who goes away leaves it to the others.
        return await asyncio.shield(asking)

    async def _ask_completed(self) -> list[frames.OrderShown]:
        def begun() -> None:
            # Who asks from here on may want to know of what has ended since.
            self._completed = None

        told = await self._unnumbered(COMPLETED, "completed orders", "reqCompletedOrders", False, begun=begun)
        return [frame for frame in told if isinstance(frame, frames.OrderShown)]

    def _completed_asked(self, asking: asyncio.Task[list[frames.OrderShown]]) -> None:
        if self._completed is asking:
            self._completed = None
        if not asking.cancelled():
            asking.exception()  # told to whoever waits, if anybody still does

    async def positions(self) -> list[frames.PositionShown]:
        """What every account of the login holds: of what changes meanwhile, and is told beside the answer, the last
        word. Raises a `BrokerError`."""
        told = await self._unnumbered(POSITIONS, "positions", "reqPositions")
        shown = [frame for frame in told if isinstance(frame, frames.PositionShown)]
        return list({(frame.account, frame.contract.con_id): frame for frame in shown}.values())

    async def current_time(self, timeout_s: float | None = None) -> int:
        """TWS's clock, in seconds. Raises a `BrokerError`."""
        told = await self._unnumbered(TIME, "the time", "reqCurrentTime", timeout_s=timeout_s)
        return next(frame.seconds for frame in told if isinstance(frame, frames.TimeShown))

    async def executions(
        self, account: str
    ) -> tuple[list[frames.ExecutionShown], list[frames.CommissionShown]]:
        """The day's executions of an account, by whatever client, and what they cost as far as it is known. Raises a
        `BrokerError`."""
        request_id = self._way.take_id()
        told = await self._numbered(
            request_id, Asked.QUERY, "executions", lambda socket: socket.executions(request_id, account)
        )
        executions = [frame for frame in told if isinstance(frame, frames.ExecutionShown)]
        return executions, [frame for frame in told if isinstance(frame, frames.CommissionShown)]

    async def marks(self, account: str) -> dict[int, frames.MarkShown]:
        """What each position of an account is worth, by contract; those that TWS tells in time. Raises `NotSent`."""
        key = f"accountDownloadEnd {account}"
        async with self.waiting.lock(MARKS):
            # TWS tells of one account at a time.
            await self._way.turn(Lane.QUERY, "what positions are worth", patient=True)
            self._way.live().send("reqAccountUpdates", True, account)
            told: list[Frame] = []
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timeout_s):
                    told = await self.waiting.wait(key, Asked.QUERY, lambda: None)
            await self._way.turn(Lane.QUERY, "what positions are worth", patient=True)
            self._way.live().send("reqAccountUpdates", False, account)
        return {frame.con_id: frame for frame in told if isinstance(frame, frames.MarkShown)}

    async def account_values(self, account: str) -> list[frames.AccountValue]:
        """All figures of an account. Raises a `BrokerError`."""
        request_id = self._way.take_id()

        def ask(socket: TwsSocket) -> None:
            socket.send("reqAccountUpdatesMulti", request_id, account, "", False)

        told = await self._numbered(request_id, Asked.QUERY, "the account's figures", ask)
        await self._way.turn(Lane.QUERY, "the account's figures")
        self._way.live().send("cancelAccountUpdatesMulti", request_id)
        return [frame for frame in told if isinstance(frame, frames.AccountValue)]

    async def contract_details(self, contract: IbContract) -> list[IbDetails]:
        """Every contract that fits a description. Raises a `BrokerError`, with code 200 where there is none."""
        request_id = self._way.take_id()

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
        request_id = self._way.take_id()
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
        await self._way.turn(Lane.QUERY, what, patient=patient)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self.waiting.wait(request_id, asked, lambda: ask(self._way.live()))
        except TimeoutError:
            raise BrokerTimeoutError(f"TWS did not answer in {self._timeout_s:g} s: {what}") from None

    async def _unnumbered(
        self,
        key: str,
        what: str,
        request: str,
        *arguments: object,
        timeout_s: float | None = None,
        lane: Lane = Lane.QUERY,
        patient: bool = False,
        begun: Callable[[], None] = lambda: None,
    ) -> list[Frame]:
        def send() -> None:
            begun()
            self._way.live().send(request, *arguments)

        timeout_s = self._timeout_s if timeout_s is None else timeout_s
        async with self.waiting.lock(key):
            await self._way.turn(lane, what, patient=patient)
            try:
                async with asyncio.timeout(timeout_s):
                    return await self.waiting.wait(key, Asked.QUERY, send)
            except TimeoutError:
                error = BrokerTimeoutError(f"TWS did not answer in {timeout_s:g} s: {what}")
            except asyncio.CancelledError:
                self._way.fail(
                    TemporaryConnectionError(f"a question was given up before its answer came: {what}")
                )
                raise
            # Its answer may still come, and would be taken for the next one's.
            self._way.fail(TemporaryConnectionError(f"TWS is connected and mute: {error}"))
            raise error

    # What is answered

    def hear(self, frame: Frame) -> bool:
        """Takes what belongs to a question; whether it is nobody else's."""
        questions = self.waiting
        if isinstance(frame, frames.ListEnded):
            questions.end(frame.of if frame.request_id < 0 else frame.request_id)
            return True
        if isinstance(frame, frames.OrderShown):
            questions.tell(COMPLETED if frame.completed else OPEN_ORDERS, frame)
            return frame.completed
        if isinstance(frame, frames.StatusShown):
            questions.tell(OPEN_ORDERS, frame)
            return False
        if isinstance(frame, frames.ExecutionShown):
            questions.tell(frame.request_id, frame)
            return frame.request_id >= 0
        if isinstance(frame, frames.CommissionShown):
            questions.tell_all(frame)
            return False
        if isinstance(frame, frames.PositionShown):
            questions.tell(POSITIONS, frame)
            return True
        if isinstance(frame, frames.MarkShown):
            questions.tell(f"accountDownloadEnd {frame.account}", frame)
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
        self.waiting.tell(key, frame)
        self.waiting.end(key)
        return True
