"""The paper broker: the venue of `sim` behind the port.

The venue's time is the tape's while there is a tape, else the gateway's. A command first lets the market play up to
its own moment, then acts, and never suspends. When a feed breaks, the broker is in ERROR: books are no longer
trusted, orders are refused, cancels still pass. A tape begins anew when the gateway does; the account goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from brokergate.adapters.paper.config import MAX_BALANCE, PaperTradingConfig
from brokergate.adapters.paper.listeners import Listeners
from brokergate.adapters.paper.live import LiveFeed, PushClock, SyntheticPlayer
from brokergate.adapters.paper.outbox import Outbox
from brokergate.adapters.paper.player import TapePlayer
from brokergate.adapters.paper.push import parse_pushed
from brokergate.domain.accounts import (
    BrokerAccountInfo,
    BrokerBalance,
    BrokerPosition,
    ConnectionState,
    Environment,
)
from brokergate.domain.capabilities import Capabilities, ReplaceSupport
from brokergate.domain.errors import (
    BrokerError,
    ErrorReason,
    GatewayError,
    TemporaryConnectionError,
    invalid_field,
)
from brokergate.domain.instruments import Instrument
from brokergate.domain.market import BookView, MarketDatum, QuoteView
from brokergate.domain.orders import Order, OrderSpec, OrderType, TimeInForce, TriggerSource
from brokergate.ports.broker import (
    AbstractBroker,
    ConnectionReport,
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
)
from brokergate.ports.clock import Clock
from brokergate.sim.feeds.opening import open_tape
from brokergate.sim.feeds.tape import Tape, TapeError
from brokergate.sim.fees import FeeSchedule
from brokergate.sim.market import MarketUpdate
from brokergate.sim.venue import AccountTerms, Venue

_AT_ONCE_TOO = frozenset({TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK})
_WAITING = frozenset({TimeInForce.DAY, TimeInForce.GTC})

CAPABILITIES = Capabilities(
    order_types={
        # A market order's rest is cancelled whatever its time in force; FOK is all or nothing.
        OrderType.MARKET: _AT_ONCE_TOO,
        OrderType.LIMIT: _AT_ONCE_TOO,
        OrderType.STOP: _WAITING,
        OrderType.STOP_LIMIT: _WAITING,
    },
    replace=ReplaceSupport.ATOMIC,
    default_time_in_force=TimeInForce.GTC,
    native_idempotency=True,
    absence_after_ms=0,
    trigger_sources=(TriggerSource.LAST, TriggerSource.BID_ASK),
    streams_quotes=True,
    streams_trades=True,
    streams_book=True,
    short_selling=True,
)
"""What the paper venue does in its first form."""


class PaperTradingBroker(AbstractBroker, SimulatedVenue):
    """One paper account."""

    name = "paper"
    environment = Environment.PAPER
    capabilities = CAPABILITIES
    in_process = True

    def __init__(self, config: PaperTradingConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._venue: Venue | None = None
        self._feed: LiveFeed | TapePlayer | None = None
        self._outbox = Outbox()
        self._listeners = Listeners()
        self._failure = ""
        self._connected = False

    # The connection

    async def connect(self, state: RestoredState) -> None:
        """Takes up the account where the journal left it and lets the market run. A broker that was closed goes on
        with the market where it stood; one whose feed broke begins its feed anew. `BrokerError` for a tape that
        cannot be read and for a state that does not fit the feed's instruments."""
        self._outbox = Outbox()
        if self._venue is None or self._feed is None or self._failure:
            try:
                await self._open(state)
            except (TapeError, ValueError) as error:
                self._venue = self._feed = None
                raise BrokerError(str(error)) from error
        assert self._feed is not None
        self._feed.start()
        if self._failure:
            raise BrokerError(self._failure)
        self._connected = True

    async def _open(self, state: RestoredState) -> None:
        config, clock = self._config, self._clock
        self._failure = ""
        if config.feed.tape:
            # Surveying a long recording takes seconds: not on the event loop.
            tape = await asyncio.to_thread(_surveyed, config.feed.tape, config)
            feed: LiveFeed | TapePlayer = TapePlayer(
                tape,
                clock,
                self._play,
                self._advance,
                self._fail,
                speed=config.feed.speed or "1",
                paused=bool(config.feed.paused),
            )
        elif config.feed.push is not None:
            feed = PushClock(config.feed.push.listed(), clock, self._advance, self._fail)
        else:
            seed = config.feed.synthetic.seed if config.feed.synthetic else 0
            feed = SyntheticPlayer(seed, clock, self._play, self._fail)
        now_ns = feed.start_ns if isinstance(feed, TapePlayer) else clock.now_ns()
        self._venue = Venue(feed.instruments, _terms(config), state, now_ns, session=str(clock.now_ns()))
        self._feed = feed
        self._outbox.add(self._venue.opening())

    async def close(self) -> None:
        """Stops the market and ends `events()`."""
        self._connected = False
        if self._feed is not None:
            await self._feed.stop()
        self._outbox.close()

    def events(self) -> AsyncIterator[Sequence[Report]]:
        return self._outbox.batches()

    # Commands

    async def place_orders(self, orders: Sequence[Order]) -> Sequence[Outcome]:
        refused = self._refused()
        if refused is not None:
            return [refused for _ in orders]
        venue, now_ns = self._now()
        return self._answers(venue.place(orders, now_ns))

    async def replace_order(self, command: ReplaceCommand) -> Outcome:
        refused = self._refused()
        if refused is not None:
            return refused
        venue, now_ns = self._now()
        return self._answers([venue.replace(command, now_ns)])[0]

    async def cancel_order(self, order: Order) -> Outcome:
        if self._venue is None:
            return Rejected(ErrorReason.BROKER_UNAVAILABLE, "the paper account is not connected")
        venue, now_ns = self._now()
        return self._answers([venue.cancel(order, now_ns)])[0]

    async def preview_order(self, spec: OrderSpec) -> Preview:
        venue, now_ns = self._now()
        try:
            return venue.preview(spec, now_ns)
        except ValueError as error:
            raise GatewayError(ErrorReason.INVALID_FIELD, str(error)) from error

    # Queries

    def untold(self) -> Sequence[Report]:
        return [*self._outbox.take(), *(self._venue.changed_holdings() if self._venue else ())]

    async def get_positions(self) -> Sequence[BrokerPosition]:
        return self._now()[0].positions()

    async def get_balances(self) -> Sequence[BrokerBalance]:
        return self._now()[0].balances()

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
        venue, now_ns = self._now()
        pending = self._outbox.take()
        return [*pending, *venue.reset(initial_balances or None, now_ns)]

    async def control_tape(self, action: TapeAction) -> TapeStatus:
        if not isinstance(self._feed, TapePlayer):
            raise GatewayError(
                ErrorReason.WRONG_FEED,
                "the account's feed is no tape; configure feed: {tape: PATH} to steer one",
            )
        return await self._feed.control(action)

    async def push(self, updates: Sequence[PushedUpdate]) -> None:
        if not isinstance(self._feed, PushClock):
            raise GatewayError(
                ErrorReason.WRONG_FEED,
                "the account's market is not pushed; configure feed: {push: {}} to push one",
            )
        venue, now_ns = self._now()
        parsed = parse_pushed(updates, venue.listings, now_ns)
        for update, pushed in zip(parsed, updates, strict=True):
            self._listeners.date(update.symbol, pushed.datum.event_time_ns)
            self._play((update,))

    # Inside

    def _now(self) -> tuple[Venue, int]:
        """The venue and its time, with everything played that came before."""
        if self._venue is None or self._feed is None:
            raise TemporaryConnectionError("the paper account is not connected")
        return self._venue, self._feed.now_ns()

    def _refused(self) -> Rejected | None:
        if self._failure:
            return Rejected(ErrorReason.BROKER_UNAVAILABLE, f"the market broke: {self._failure}")
        if not self._connected:
            return Rejected(ErrorReason.BROKER_UNAVAILABLE, "the paper account is not connected")
        return None

    def _answers(self, outcomes: list[Outcome]) -> list[Outcome]:
        """The outcomes, the first with what was told before and not yet taken."""
        pending = self._outbox.take()
        if pending and outcomes:
            outcomes[0] = replace(outcomes[0], reports=[*pending, *outcomes[0].reports])
        elif pending:
            self._outbox.add(pending)
        return outcomes

    def _play(self, updates: Sequence[MarketUpdate]) -> None:
        """Gives the market's updates to the venue; what happens goes to the outbox."""
        venue = self._venue
        if venue is None or self._failure:
            return
        received_ns = self._clock.now_ns()
        try:
            if not self._listeners:
                self._outbox.add(venue.apply(updates, received_ns))
                return
            for update in updates:
                self._outbox.add(venue.apply((update,), received_ns))
                self._listeners.tell(update, venue)
        except ValueError as error:
            self._fail(str(error))

    def _advance(self, now_ns: int) -> None:
        if self._venue is not None:
            self._outbox.add(self._venue.advance(now_ns))

    def _fail(self, message: str) -> None:
        """The market broke: no fill from a bad book."""
        self._failure = message
        if self._venue is not None:
            self._venue.distrust(message)
        self._outbox.add([ConnectionReport(ConnectionState.ERROR, message)])


def _surveyed(source: Sequence[str], config: PaperTradingConfig) -> Tape:
    tape = open_tape(source, config.feed.overrides())
    tape.survey()
    return tape


def _terms(config: PaperTradingConfig) -> AccountTerms:
    stale_ms = config.stale_after_ms
    return AccountTerms(
        initial_balances=config.initial_balance,
        fees=FeeSchedule(config.taker_fee_percent, config.maker_fee_percent),
        shortable=frozenset(config.allow_short),
        base_currency=config.base_currency or next(iter(config.initial_balance)),
        stale_after_ns=None if stale_ms is None else stale_ms * 1_000_000,
    )
