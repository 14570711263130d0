"""The paper broker: the venue of `sim` behind the port.

The venue's time is the tape's while there is a tape, else the gateway's. A command first lets the market play up to
its own moment, then acts, and never suspends. When a feed breaks, the broker is in ERROR: books are no longer
trusted, orders are refused, cancels still pass.

The venue outlives the process: what it did is kept with the commit of what it told (`keeping.py`), and `connect` takes
up exactly what is durable, market and tape included. While the gateway was away the market stood still; a wall clock
did not, so that orders whose day is over expire and pushed prices are as old as they are.

With latency or faults the account is across a line (`line.py`) and not in process: a connection that is lost and made
again leaves the venue alone, which goes on meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TypeVar

from brokergate.adapters.connection.outbox import Outbox
from brokergate.adapters.paper.abilities import ACROSS_A_LINE, CAPABILITIES
from brokergate.adapters.paper.config import MAX_BALANCE, PaperTradingConfig
from brokergate.adapters.paper.follow import AccountFeed
from brokergate.adapters.paper.keeping import Keeper, PaperFeed, take_up
from brokergate.adapters.paper.line import CANCEL, PLACE, REPLACE, Act, Line, lanes_of
from brokergate.adapters.paper.link_config import DEFAULT_SEED
from brokergate.adapters.paper.listeners import Listeners
from brokergate.adapters.paper.live import PushClock
from brokergate.adapters.paper.missed import fills_after, found, missed
from brokergate.adapters.paper.opening import Ears, Opening
from brokergate.adapters.paper.player import TapePlayer
from brokergate.adapters.paper.push import parse_pushed
from brokergate.domain.accounts import (
    BrokerAccountInfo,
    BrokerBalance,
    BrokerPosition,
    ConnectionState,
    Environment,
)
from brokergate.domain.errors import (
    BrokerError,
    ErrorReason,
    FieldViolation,
    GatewayError,
    TemporaryConnectionError,
    invalid_field,
)
from brokergate.domain.faults import FaultPlan
from brokergate.domain.instruments import Instrument
from brokergate.domain.market import BookView, MarketDatum, QuoteView
from brokergate.domain.orders import Order, OrderSpec
from brokergate.ports.broker import (
    AbstractBroker,
    ConnectionReport,
    Failed,
    FillPage,
    FindResult,
    OrderGroup,
    Outcome,
    Preview,
    PushedUpdate,
    Rejected,
    ReplaceCommand,
    Report,
    RestoredState,
    SimulatedVenue,
    TapeAction,
    TapeStatus,
    VenueOrder,
    VenueSnapshot,
    VenueStep,
)
from brokergate.ports.clock import Clock
from brokergate.ports.market import MarketOf, no_markets
from brokergate.sim.feeds.tape import TapeError
from brokergate.sim.funds import Excess
from brokergate.sim.history import History
from brokergate.sim.intake import NotHere
from brokergate.sim.market import MarketUpdate
from brokergate.sim.mishaps import Mishaps
from brokergate.sim.venue import Venue

T = TypeVar("T")
_NOT_TAKEN_UP = (
    "the market begins anew, orders and holdings are the journal's, and lots and places in the queue are lost, because "
    "what was kept of the venue cannot be taken up"
)
_NOT_CONNECTED = "the paper account is not connected"


class PaperTradingBroker(AbstractBroker, SimulatedVenue):
    """One paper account."""

    name = "paper"
    environment = Environment.PAPER
    capabilities = CAPABILITIES
    in_process = True
    keeps_venue = True

    def __init__(self, config: PaperTradingConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._line: Line | None = None
        self._parked = True
        plan = FaultPlan(tuple([fault.fault() for fault in config.faults]), clock.now_ns())
        if config.link is not None or plan.faults:
            self._go_across(plan)
        self._venue: Venue | None = None
        self._feed: PaperFeed | None = None
        self._keeper: Keeper | None = None
        self._outbox = Outbox()
        self._listeners = Listeners()
        self._failure = ""
        self._connected = False
        self._market_of: MarketOf = no_markets

    def follow(self, market_of: MarketOf) -> None:
        """From now on `feed: {account: ID}` means the market of an account in `market_of`."""
        self._market_of = market_of

    # The connection

    async def connect(self, state: RestoredState) -> None:
        """Takes up the account where the journal left it and lets the market run. Where `state` has the venue's
        history, that is the venue, and nothing that was not committed; where it has none, or one that does not fit
        (another market, other terms, a feed that broke), orders, positions and balances come from the journal, the
        market begins anew, and a ConnectionReport says why. A broker whose state nobody keeps goes on with what it
        has in memory. `BrokerError` for a tape that cannot be read and for a state that does not fit the feed's
        instruments. Across a line it begins from `state` only where the venue stands still: before the first connection
        and after `park`."""
        self._outbox = Outbox()
        unkept = self._keeper is not None and not self._keeper.asked
        if self._parked and (not unkept or self._failure or state.venue is not None):
            try:
                await self._open(state)
            except (TapeError, ValueError, OSError) as error:
                self._venue = self._feed = self._keeper = None
                raise BrokerError(str(error)) from error
        assert self._feed is not None
        if self._parked:
            self._parked = False
            self._feed.start()
            if self._line is not None:
                self._line.start()
        if self._failure:
            raise BrokerError(self._failure)
        if self._line is not None:
            self._line.up(self._outbox)
        self._connected = True

    async def _open(self, state: RestoredState) -> None:
        config, clock = self._config, self._clock
        self._failure = ""
        opening = await Opening.load(config, self._market_of)
        if repairs := opening.repairs():
            self._outbox.add(
                [ConnectionReport(ConnectionState.CONNECTED, f"the tape was repaired: {repairs}")]
            )
        ears = Ears(self._play, self._push, self._advance, self._fail)
        terms, venue, feed = opening.terms(), None, opening.new_feed(clock, ears)
        line = self._line
        if line is not None:
            line.equip(await asyncio.to_thread(lanes_of, config.link))
        if state.venue is not None:
            try:
                venue = await asyncio.to_thread(
                    take_up, state.venue, state, feed, terms, self._listeners.date, line
                )
            except Exception as error:  # noqa: BLE001 - whatever is wrong with what was kept, the account opens
                feed = opening.new_feed(clock, ears)
                self._outbox.add([ConnectionReport(ConnectionState.CONNECTED, f"{_NOT_TAKEN_UP}: {error}")])
        if venue is None:
            now_ns = feed.start_ns if isinstance(feed, TapePlayer) else clock.now_ns()
            venue = Venue(feed.instruments, terms, state, now_ns, session=str(clock.now_ns()))
        self._venue, self._feed = venue, feed
        if line is not None:
            if venue.history is None:
                venue.history = History(venue.counts[1])
            line.lay(venue, feed)
        elif venue.history is not None:
            self._outbox.add(missed(venue, venue.history, state))
            venue.history = None
        self._keeper = Keeper(venue, feed, self._listeners.dates, clock, line)
        self._tell(venue.opening())

    async def close(self) -> None:
        """Ends `events()`. In process the market stops, and what is to be kept of the venue is asked for once more
        after that; across a line it goes on."""
        self._connected = False
        if self._line is None:
            await self.park()
        else:
            self._line.down()

    async def park(self) -> None:
        self._connected = False
        self._parked = True
        if self._line is not None:
            await self._line.stop()
        if self._feed is not None:
            await self._feed.stop()
        if self._keeper is not None and self._keeper.close():
            self._outbox.nudge()
        self._outbox.close()

    def events(self) -> AsyncIterator[Sequence[Report]]:
        return self._outbox.batches()

    # Commands

    async def place_orders(self, orders: Sequence[Order]) -> Sequence[Outcome]:
        refused = self._refused()
        if refused is not None:
            return [refused for _ in orders]
        return await self._done(PLACE, orders, lambda venue, now_ns: venue.place(orders, now_ns))

    async def place_group(self, group: OrderGroup) -> Sequence[Outcome]:
        refused = self._refused()
        if refused is not None:
            return [refused for _ in group.orders]
        return await self._done(PLACE, group.orders, lambda venue, now_ns: venue.place_group(group, now_ns))

    async def replace_order(self, command: ReplaceCommand) -> Outcome:
        refused = self._refused()
        if refused is not None:
            return refused
        act: Act = lambda venue, now_ns: [venue.replace(command, now_ns)]  # noqa: E731
        return (await self._done(REPLACE, [command.order], act))[0]

    async def cancel_order(self, order: Order) -> Outcome:
        if self._parked:
            return Rejected(ErrorReason.BROKER_UNAVAILABLE, _NOT_CONNECTED)
        act: Act = lambda venue, now_ns: [venue.cancel(order, now_ns)]  # noqa: E731
        return (await self._done(CANCEL, [order], act))[0]

    async def _done(self, kind: str, orders: Sequence[Order], act: Act) -> Sequence[Outcome]:
        """Has the venue do something with `orders`: at once, or when the command has come there."""
        if self._line is not None:
            names = [order.client_order_id for order in orders]
            return await self._line.command(kind, names, act, len(names))
        venue, now_ns = self._now()
        return self._answers(act(venue, now_ns))

    async def cancel_all_orders(self, orders: Sequence[Order]) -> Sequence[Outcome]:
        line = self._line
        if line is None or self._parked:
            return await super().cancel_all_orders(orders)

        def sent(order: Order) -> asyncio.Future[Sequence[Outcome]]:
            act: Act = lambda venue, now_ns: [venue.cancel(order, now_ns)]  # noqa: E731
            return line.send(CANCEL, [order.client_order_id], act, 1)

        # One behind the other on the line, and not each after the answer of the one before.
        answers = [sent(order) for order in orders]
        outcomes = [outcome for answer in answers for outcome in await answer]
        return line.heard(outcomes)

    async def preview_order(self, spec: OrderSpec) -> Preview:
        venue, now_ns = self._now()
        try:
            return venue.preview(spec, now_ns)
        except Excess as error:
            violation = FieldViolation("order.quantity", str(error))
            raise GatewayError(
                ErrorReason.QUANTITY_OUT_OF_RANGE, str(error), violations=[violation]
            ) from error
        except NotHere as error:
            violation = FieldViolation("order.time_in_force", str(error))
            raise GatewayError(ErrorReason.UNSUPPORTED, str(error), violations=[violation]) from error
        except ValueError as error:
            raise _invalid(spec, error) from error

    def quantity_for(self, spec: OrderSpec) -> Decimal:
        venue, now_ns = self._now()
        try:
            return venue.quantity_for(spec, now_ns)
        except ValueError as error:
            raise _invalid(spec, error) from error

    # Queries

    def untold(self) -> Sequence[Report]:
        if self._line is not None:
            return ()
        return [*self._outbox.take(), *(self._venue.changed_holdings() if self._venue else ())]

    def unsaved(self) -> Sequence[VenueStep | VenueSnapshot]:
        return self._keeper.unsaved() if self._keeper is not None else ()

    async def find_order(self, order: Order) -> FindResult:
        """A working order is Found, across a line one that has ended too, until the gateway is sure to know that. In
        process there is nothing to miss, and no memory of ended orders: the answer is Failed. What the venue never
        accepted is Absent."""
        try:
            return await self._asked(lambda venue: found(venue, order, self._line))
        except BrokerError as error:
            return Failed(str(error))

    async def list_open_orders(self) -> Sequence[VenueOrder]:
        return await self._asked(
            lambda venue: [venue.listings[order.symbol].shown(order) for order in venue.open_orders()]
        )

    async def list_fills(self, watermark: str) -> FillPage:
        """Across a line: what the gateway may have missed. In process it misses nothing."""

        def page(venue: Venue) -> FillPage:
            line, history = self._line, venue.history
            if line is None or history is None:
                return FillPage((), watermark, complete=True)
            known = int(watermark or 0)
            line.looked(venue, known)
            return fills_after(history, known)

        return await self._asked(page)

    async def get_positions(self) -> Sequence[BrokerPosition]:
        return await self._asked(Venue.positions)

    async def get_balances(self) -> Sequence[BrokerBalance]:
        return await self._asked(Venue.balances)

    async def _asked(self, ask: Callable[[Venue], T]) -> T:
        """What the venue says; across a line, when that has come."""
        if self._line is not None:
            return await self._line.query(ask)
        return ask(self._now()[0])

    def venue_time_ns(self) -> int | None:
        return self._feed.now_ns() if isinstance(self._feed, TapePlayer) else None

    async def get_account_info(self) -> BrokerAccountInfo:
        return self._now()[0].info()

    async def list_instruments(self) -> Sequence[Instrument]:
        return self._now()[0].instruments

    def quote(self, symbol: str) -> QuoteView | None:
        return self._listeners.dated(self._venue.quote(symbol)) if self._venue else None

    def book(self, symbol: str, depth: int) -> BookView | None:
        return self._listeners.dated(self._venue.book(symbol, depth)) if self._venue else None

    def subscribe_market_data(
        self, symbols: Sequence[str], listener: Callable[[MarketDatum], None]
    ) -> Callable[[], None]:
        return self._listeners.add(symbols, listener)

    # The simulator

    async def reset(self, initial_balances: Mapping[str, Decimal] | None) -> Sequence[Report]:
        for currency, amount in (initial_balances or {}).items():
            if not 0 < amount <= MAX_BALANCE:
                raise invalid_field(
                    "initial_balances", f"{amount:f} {currency} is not above zero and at most 10^18"
                )
        venue, now_ns = self._running()
        before = self._line.clear(venue) if self._line is not None else ()
        pending = self._outbox.take()
        return [*pending, *before, *venue.reset(initial_balances or None, now_ns)]

    async def control_tape(self, action: TapeAction) -> TapeStatus:
        if not isinstance(self._feed, TapePlayer):
            raise GatewayError(
                ErrorReason.WRONG_FEED,
                "the account's feed is no tape; configure feed: {tape: PATH} to steer one",
            )
        venue = self._running()[0]
        try:
            return await self._feed.control(action)
        finally:
            venue.diary.eventful = True
            if self._line is not None:
                self._line.progress(self._feed.now_ns())

    async def push(self, updates: Sequence[PushedUpdate]) -> None:
        if not isinstance(self._feed, PushClock):
            raise GatewayError(
                ErrorReason.WRONG_FEED,
                "the account's market is not pushed; configure feed: {push: {}} to push one",
            )
        venue, now_ns = self._running()
        parsed = parse_pushed(updates, venue.listings, now_ns)
        for update, pushed in zip(parsed, updates, strict=True):
            self._push(update, pushed.datum.event_time_ns)

    @property
    def faults(self) -> FaultPlan:
        return self._line.mishaps.plan if self._line is not None else FaultPlan()

    def set_faults(self, plan: FaultPlan) -> None:
        if self._line is not None:
            self._line.set_faults(plan)
        elif plan.faults:
            self._go_across(plan)

    # Inside

    def _go_across(self, plan: FaultPlan) -> None:
        """From the next connection on the account is across a line."""
        link = self._config.link
        mishaps = Mishaps(DEFAULT_SEED if link is None else link.seed)
        mishaps.set(plan)
        self._line = Line(mishaps, self._clock, self._now)
        self.in_process = False
        self.capabilities = ACROSS_A_LINE

    def _now(self) -> tuple[Venue, int]:
        """The venue and its time, with everything played that came before. While it is parked it stands still: it can
        be looked at."""
        if self._venue is None or self._feed is None:
            raise TemporaryConnectionError(_NOT_CONNECTED)
        if self._parked:
            return self._venue, self._venue.now_ns
        now_ns = self._feed.now_ns()
        if self._line is not None:
            self._line.progress(now_ns)
        return self._venue, now_ns

    def _running(self) -> tuple[Venue, int]:
        """As `_now`, for what changes the venue: what a parked one did, its next connection would not know."""
        if self._parked:
            raise TemporaryConnectionError(_NOT_CONNECTED)
        return self._now()

    def _refused(self) -> Rejected | None:
        if self._failure:
            return Rejected(ErrorReason.BROKER_UNAVAILABLE, f"the market broke: {self._failure}")
        if not self._connected:
            return Rejected(ErrorReason.BROKER_UNAVAILABLE, _NOT_CONNECTED)
        if isinstance(self._feed, AccountFeed) and (gone := self._feed.refusal()):
            return Rejected(ErrorReason.STALE_MARKET_DATA, gone)
        return None

    def _answers(self, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        """The outcomes, the first with what was told before and not yet taken."""
        pending = self._outbox.take()
        if not pending:
            return outcomes
        if not outcomes:
            self._outbox.add(pending)
            return outcomes
        first, *others = outcomes
        return [replace(first, reports=[*pending, *first.reports]), *others]

    def _play(self, updates: Sequence[MarketUpdate]) -> None:
        """Gives the feed's updates to the venue; what happens goes to the outbox."""
        venue, keeper = self._venue, self._keeper
        if venue is None or keeper is None or self._failure:
            return
        received_ns = self._clock.now_ns()
        line = self._line
        try:
            for part in (updates,) if line is None else line.between(updates):
                if self._listeners:
                    for update in part:
                        self._tell(venue.apply((update,), received_ns))
                        self._listeners.tell(update, venue)
                else:
                    self._tell(venue.apply(part, received_ns))
        except ValueError as error:
            self._fail(str(error))
        if line is not None:
            line.deliver(venue.now_ns)
        if keeper.restless:
            self._outbox.nudge()

    def _push(self, update: MarketUpdate, dated_ns: int) -> None:
        """Gives to the venue what others told, who say that it happened at `dated_ns`."""
        venue, keeper = self._venue, self._keeper
        if venue is None or keeper is None or self._failure:
            return
        self._listeners.date(update.symbol, dated_ns)
        try:
            self._tell(venue.push(update, self._clock.now_ns(), dated_ns))
            self._listeners.tell(update, venue)
        except ValueError as error:
            self._fail(str(error))
        if keeper.restless:
            self._outbox.nudge()

    def _advance(self, now_ns: int) -> None:
        if self._venue is not None:
            self._tell(self._venue.advance(now_ns))

    def _tell(self, reports: Sequence[Report]) -> None:
        """What the venue told goes to the gateway."""
        if self._line is None:
            self._outbox.add(reports)
        elif self._venue is not None:
            self._line.tell(reports, self._venue.now_ns)

    def _fail(self, message: str) -> None:
        """The market broke: no fill from a bad book."""
        self._failure = message
        if self._venue is not None:
            self._venue.distrust(message)
            self._venue.diary.broke(message)
        self._outbox.add([ConnectionReport(ConnectionState.ERROR, message)])


def _invalid(spec: OrderSpec, error: ValueError) -> GatewayError:
    """What the venue cannot hold, naming the field where the engine cannot have seen it before."""
    found = [FieldViolation("order.quote_quantity", str(error))] if spec.quote_quantity is not None else []
    return GatewayError(ErrorReason.INVALID_FIELD, str(error), violations=found)
