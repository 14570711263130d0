"""A broker outside the process: an adapter that speaks with the judged venue over the simulated network."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from random import Random
from typing import Any

from brokergate.domain.accounts import BrokerAccountInfo, BrokerBalance, BrokerPosition, Environment
from brokergate.domain.capabilities import Capabilities, ReplaceSupport
from brokergate.domain.errors import BrokerError, ErrorReason, RateLimitError, TemporaryConnectionError
from brokergate.domain.instruments import Instrument
from brokergate.domain.market import BookView, MarketDatum, QuoteView
from brokergate.domain.orders import Order, OrderSpec, OrderType, TimeInForce
from brokergate.ports.broker import (
    Absent,
    AbstractBroker,
    Failed,
    FillPage,
    FindResult,
    Found,
    Outcome,
    Preview,
    Rejected,
    ReplaceCommand,
    Report,
    RestoredState,
    Unknown,
    VenueOrder,
)
from tests.simulation.faults import Fault, Faults, Stand
from tests.simulation.network import Network, Session
from tests.venue.core import JudgedVenue

FILLS_A_PAGE = 20
_RESTING = frozenset({TimeInForce.DAY, TimeInForce.GTC})
_ALL = frozenset({TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK})


def capabilities(
    absence_after_ms: int | None, replace: ReplaceSupport, native_idempotency: bool
) -> Capabilities:
    """What the venue can do."""
    return Capabilities(
        order_types={
            OrderType.MARKET: _ALL,
            OrderType.LIMIT: _ALL,
            OrderType.STOP: _RESTING,
            OrderType.STOP_LIMIT: _RESTING,
        },
        replace=replace,
        default_time_in_force=TimeInForce.GTC,
        native_idempotency=native_idempotency,
        absence_after_ms=absence_after_ms,
        replays_fills=True,
        short_selling=True,
    )


class History:
    """The venue's open orders as they were a little while ago, for queries that see stale state."""

    def __init__(self, venue: JudgedVenue, stale_ns: int) -> None:
        self._venue = venue
        self._stale_ns = stale_ns
        self._past: deque[tuple[int, tuple[VenueOrder, ...]]] = deque()

    def keep(self, now_ns: int) -> None:
        """Remembers how the orders stand now."""
        self._past.append((now_ns, tuple(self._venue.open_orders(now_ns))))
        while self._past and self._past[0][0] < now_ns - self._stale_ns:
            self._past.popleft()

    def oldest(self) -> tuple[VenueOrder, ...] | None:
        """The orders that were open at the beginning of what is remembered."""
        return self._past[0][1] if self._past else None


class RemoteBroker(AbstractBroker):
    """See the module. One object a life of the gateway."""

    name = "remote"
    environment = Environment.TESTNET
    in_process = False

    def __init__(
        self,
        network: Network,
        venue: JudgedVenue,
        faults: Faults,
        random: Random,
        stand: Callable[[str, str], Stand],
        stands: Callable[[], tuple[Stand, ...]],
        history: History,
        sending: Callable[[str, Order, Session], None],
        able: Capabilities,
    ) -> None:
        """`stand` says where one order stands, `stands` where all of them do. `sending` is called before the first
        byte of a command goes out."""
        self.capabilities = able
        self._network = network
        self._venue = venue
        self._faults = faults
        self._random = random
        self._stand = stand
        self._open = stands
        self._history = history
        self._sending = sending
        self._session: Session | None = None

    # The connection

    async def connect(self, state: RestoredState) -> None:
        if self._session is not None:
            self._session.close()
        self._session = None
        self._session = self._network.connect()
        await self._network.ask(self._session, "hello", lambda: None)

    async def close(self) -> None:
        if self._session is not None:
            self._session.close()

    async def events(self) -> AsyncIterator[Sequence[Report]]:
        session = self._session
        if session is None:
            return
        while (reports := await session.frames.get()) is not None:
            yield reports

    # Commands

    async def place_orders(self, orders: Sequence[Order]) -> Sequence[Outcome]:
        return [await self._place(order) for order in orders]

    async def _place(self, order: Order) -> Outcome:
        return await self._command("place", order, lambda: self._venue.place(order, self._now()))

    async def replace_order(self, command: ReplaceCommand) -> Outcome:
        return await self._command(
            "replace", command.order, lambda: self._venue.replace(command, self._now())
        )

    async def cancel_order(self, order: Order) -> Outcome:
        return await self._command("cancel", order, lambda: self._venue.cancel(order, self._now()))

    async def _command(self, what: str, order: Order, do: Callable[[], Outcome]) -> Outcome:
        session = self._session
        if session is None or not session.open:
            return Unknown("the connection is closed")
        self._sending(what, order, session)

        def arrive() -> Outcome:
            self._network.arrived(what, order)
            if self._faults.hits(Fault.REFUSED, self._stand(order.client_order_id, order.broker_order_id)):
                return Rejected(ErrorReason.BROKER_REJECTED, "the venue does not feel like it")
            return do()

        try:
            outcome: Outcome = await self._network.ask(session, what, arrive, (order,))
        except BrokerError as error:
            return Unknown(str(error))
        return outcome

    # Queries

    async def find_order(self, order: Order) -> FindResult:
        stand = self._stand(order.client_order_id, order.broker_order_id)

        def look() -> VenueOrder | None:
            now_ns = self._now()
            if self._faults.hits(Fault.QUERY_STALE, stand):
                past = self._history.oldest()
                for shown in past or ():
                    if shown.client_order_id == order.client_order_id:
                        return shown
            return self._venue.find(order.client_order_id, now_ns, order.broker_order_id)

        try:
            found: VenueOrder | None = await self._query("find order", look, (stand,))
        except BrokerError as error:
            return Failed(str(error))
        return Absent() if found is None else Found(found)

    async def list_open_orders(self) -> Sequence[VenueOrder]:
        def look() -> Sequence[VenueOrder]:
            past = self._history.oldest()
            if past is not None and self._faults.hits(Fault.QUERY_STALE, *self._open()):
                return past
            return self._venue.open_orders(self._now())

        orders: Sequence[VenueOrder] = await self._query("open orders", look, self._open())
        return orders

    async def list_fills(self, watermark: str) -> FillPage:
        limit = FILLS_A_PAGE
        if self._faults.hits(Fault.QUERY_CUT, *self._open()):
            limit = 1
        after = int(watermark or 0)
        page: FillPage = await self._query(
            "fills", lambda: self._venue.fills_after(after, limit, self._now()), self._open()
        )
        return page

    async def get_positions(self) -> Sequence[BrokerPosition]:
        positions: Sequence[BrokerPosition] = await self._query("positions", self._venue.positions)
        return positions

    async def get_balances(self) -> Sequence[BrokerBalance]:
        balances: Sequence[BrokerBalance] = await self._query("balances", self._venue.balances)
        return balances

    async def get_account_info(self) -> BrokerAccountInfo:
        info: BrokerAccountInfo = await self._query("account", self._venue.info)
        return info

    async def list_instruments(self) -> Sequence[Instrument]:
        instruments: Sequence[Instrument] = await self._query("instruments", lambda: self._venue.instruments)
        return instruments

    async def preview_order(self, spec: OrderSpec) -> Preview:
        preview: Preview = await self._query("preview", lambda: self._venue.preview(spec, self._now()))
        return preview

    async def _query(self, what: str, look: Callable[[], Any], stands: Sequence[Stand] = ()) -> Any:
        session = self._session
        if session is None:
            raise TemporaryConnectionError("the connection is closed")
        if self._faults.hits(Fault.QUERY_FAILED, *(stands or self._open())):
            raise self._random.choice(
                (RateLimitError("slow down"), TemporaryConnectionError("reset by peer"))
            )
        answer = await self._network.ask(session, what, look)
        if not isinstance(answer, FillPage) or answer.complete:
            session.read.add(what)
        return answer

    def _now(self) -> int:
        return self._network.now_ns()

    # The market

    def quote(self, symbol: str) -> QuoteView | None:
        return self._venue.quote(symbol)

    def book(self, symbol: str, depth: int) -> BookView | None:
        return self._venue.book(symbol, depth)

    def subscribe_market_data(
        self, symbols: Sequence[str], listener: Callable[[MarketDatum], None]
    ) -> Callable[[], None]:
        return lambda: None
