"""The way between the gateway's adapter and the venue: it delays, loses, doubles and swaps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from brokergate.domain.errors import BrokerTimeoutError, TemporaryConnectionError
from brokergate.domain.orders import Order
from brokergate.ports.broker import FillReport, OrderReport, Report
from tests.simulation.clock import START_NS
from tests.simulation.faults import Fault, Faults, Stand
from tests.simulation.loop import WORLD, SimulatedLoop
from tests.venue.core import JudgedVenue

REQUEST_TIMEOUT_S = 0.5
"""How long the adapter waits for an answer."""

EVENTS_A_FRAME = 8


class Session:
    """One connection of the adapter, and where its event stream is."""

    def __init__(self, position: int) -> None:
        self.position = position
        self.open = True
        self.frames: asyncio.Queue[Sequence[Report] | None] = asyncio.Queue()
        self.waiting: dict[asyncio.Future[Any], None] = {}
        self.delivered_s = 0.0
        self.read: set[str] = set()
        """Which of its queries this connection has answered to the end: the gap is filled when all of them are here."""

    def close(self) -> None:
        """It is over: who waits for an answer learns nothing, the stream ends."""
        if self.open:
            self.open = False
            self.frames.put_nowait(None)
            for future in self.waiting:
                if not future.done():
                    future.set_exception(TemporaryConnectionError("the connection was lost"))


class Network:
    """See the module. `late_s` is the longest that a request may be on its way."""

    def __init__(
        self,
        loop: SimulatedLoop,
        random: Random,
        venue: JudgedVenue,
        faults: Faults,
        stand: Callable[[str, str], Stand],
        late_s: float,
    ) -> None:
        self.session: Session | None = None
        self.down = False
        self.arrived: Callable[[str, Order], None] = lambda *_: None
        """Called when a command arrives at the venue, before it is done."""
        self._loop = loop
        self._random = random
        self._venue = venue
        self._faults = faults
        self._stand = stand
        self._late_s = late_s
        self._telling = False
        self._seen = False

    @property
    def opened(self) -> bool:
        """Whether the gateway has seen the account whole: its fills, orders and positions."""
        self._seen = self._seen or (
            self.session is not None and {"open orders", "positions"} <= self.session.read
        )
        return self._seen

    def now_ns(self) -> int:
        """The venue's clock."""
        return START_NS + self._loop.now_ns

    # Sessions

    def connect(self) -> Session:
        """Opens the one session; the one before ends."""
        if self.session is not None:
            self.session.close()
        if self.down:
            raise TemporaryConnectionError("the broker cannot be reached")
        self.session = Session(self._venue.position)
        return self.session

    def disconnect(self) -> None:
        """The connection breaks."""
        if self.session is not None:
            self.session.close()
            self.session = None

    # Requests

    async def ask(
        self, session: Session, what: str, do: Callable[[], Any], orders: Sequence[Order] = ()
    ) -> Any:
        """The venue's answer to a request; raises TemporaryConnectionError, or BrokerTimeoutError after a while."""
        loop = self._loop
        if not session.open:
            raise TemporaryConnectionError("the connection is closed")
        future: asyncio.Future[Any] = loop.create_future()
        session.waiting[future] = None
        stands = [self._stand(order.client_order_id, order.broker_order_id) for order in orders]
        hits, delay = self._faults.hits, self._random.uniform(0.001, 0.03)
        if orders and hits(Fault.REQUEST_LOST, *stands):
            pass
        else:
            if orders and hits(Fault.REQUEST_LATE, *stands):
                delay = self._random.uniform(REQUEST_TIMEOUT_S, max(self._late_s, REQUEST_TIMEOUT_S + 0.01))
                delay = min(delay, self._late_s)
            loop.call_later(delay, self._arrive, session, future, do, orders, context=WORLD)
        timer = loop.call_later(REQUEST_TIMEOUT_S, _give_up, future, what)
        try:
            return await future
        finally:
            timer.cancel()
            session.waiting.pop(future, None)

    def _arrive(
        self,
        session: Session,
        future: asyncio.Future[Any],
        do: Callable[[], Any],
        orders: Sequence[Order],
    ) -> None:
        result, error = None, None
        try:
            result = do()
        except Exception as raised:  # noqa: BLE001 - it travels back
            error = raised
        self.tell()
        stands = [self._stand(order.client_order_id, order.broker_order_id) for order in orders]
        delay = self._random.uniform(0.001, 0.03)
        if orders and self._faults.hits(Fault.ANSWER_LOST, *stands):
            return
        if orders and self._faults.hits(Fault.ANSWER_LATE, *stands):
            delay += REQUEST_TIMEOUT_S
        self._loop.call_later(delay, _settle, future, result, error, context=WORLD)

    # Events

    def tell(self) -> None:
        """Something happened at the venue: sends it on, in a moment."""
        if not self._telling:
            self._telling = True
            self._loop.call_later(self._random.uniform(0, 0.005), self._tell, context=WORLD)

    def _tell(self) -> None:
        self._telling = False
        session = self.session
        if session is None:
            return
        while session.position < self._venue.position:
            reports, session.position = self._venue.events_after(session.position, EVENTS_A_FRAME)
            reports = self._distorted(reports)
            if reports:
                at_s = self._loop.time() + self._random.uniform(0.001, 0.03)
                session.delivered_s = at_s = max(at_s, session.delivered_s + 1e-6)
                self._loop.call_at(at_s, self._deliver, session, reports, context=WORLD)

    def _distorted(self, reports: list[Report]) -> list[Report]:
        hits, told = self._faults.hits, []
        for report in reports:
            stands = self._stands(report)
            if stands and (hits(Fault.EVENT_LOST, *stands) or hits(Fault.MUTE, *stands)):
                continue
            told.append(report)
            if stands and hits(Fault.EVENT_TWICE, *stands):
                told.append(report)
        for index in range(len(told) - 1):
            stands = self._stands(told[index])
            if stands and hits(Fault.EVENTS_SWAPPED, *stands):
                told[index], told[index + 1] = told[index + 1], told[index]
        return told

    def _stands(self, report: Report) -> tuple[Stand, ...]:
        if isinstance(report, (OrderReport, FillReport)):
            return (self._stand(report.client_order_id, report.broker_order_id),)
        return ()

    @staticmethod
    def _deliver(session: Session, reports: Sequence[Report]) -> None:
        if session.open:
            session.frames.put_nowait(reports)


def _give_up(future: asyncio.Future[Any], what: str) -> None:
    if not future.done():
        future.set_exception(BrokerTimeoutError(f"no answer to {what}"))


def _settle(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
