"""A venue for one account that keeps its own account of what it did: `sim/` with what a venue outside has around it.

It gives its own order ids, remembers every order that it ever saw, numbers its fills so that "the fills after this one"
is exact, keeps what it told so that a subscriber goes on where it was, and writes down every request and every fill
before anybody is answered. Pure: time comes with every call, the market by `apply`. Same calls, same answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from brokergate.domain.accounts import BrokerAccountInfo, BrokerBalance, BrokerPosition
from brokergate.domain.errors import ErrorReason
from brokergate.domain.events import OrderEventType
from brokergate.domain.instruments import Instrument
from brokergate.domain.market import BookView, QuoteView
from brokergate.domain.money import ZERO, add
from brokergate.domain.orders import ENDED, Order, OrderSpec, OrderState
from brokergate.domain.values import changed
from brokergate.ports.broker import (
    Accepted,
    FillPage,
    FillReport,
    OrderReport,
    Outcome,
    Preview,
    Rejected,
    ReplaceCommand,
    Report,
    RestoredState,
    VenueOrder,
)
from brokergate.sim.fees import FeeSchedule
from brokergate.sim.market import MarketUpdate
from brokergate.sim.terms import AccountTerms
from brokergate.sim.venue import Venue
from tests.venue.log import Entry, EntryKind

EMPTY = RestoredState(open_orders=(), positions=(), balances=(), fills=0, orders=0)
FEES = FeeSchedule(taker_percent=Decimal("0.05"), maker_percent=Decimal("0.01"))
_END_STATES = {OrderEventType.CANCELED: OrderState.CANCELED, OrderEventType.EXPIRED: OrderState.EXPIRED}


@dataclass(frozen=True, slots=True)
class VenueRules:
    """How the venue treats its account."""

    initial_balances: Mapping[str, Decimal] = field(
        default_factory=lambda: {
            "USDT": Decimal("100000000"),
            "BTC": Decimal("1000"),
            "USD": Decimal("100000000"),
        }
    )
    fees: FeeSchedule = FEES
    refuse_duplicates: bool = False
    """Whether it refuses a client_order_id that it has seen. By default it does not, so that what is sent twice really
    is done twice, and the log shows it."""
    absence_after_ms: int | None = 0
    """What it declares: how long after sending its "no such order" is to be believed; None for never."""
    order_latency_ns: int = 0
    """How long a placed order stays invisible to queries. An honest venue declares an absence above it."""
    fill_latency_ns: int = 0
    """How long a fill stays invisible to queries."""


@dataclass(slots=True)
class Held:
    """One order that the venue was ever asked for. `key` is its name inside."""

    key: str
    client_order_id: str
    spec: OrderSpec
    quantity: Decimal
    placed_ns: int
    update_ns: int
    broker_order_id: str = ""
    generation: int = 1
    state: OrderState = OrderState.NEW
    cum_quantity: Decimal = ZERO
    reason: ErrorReason = ErrorReason.UNSPECIFIED
    message: str = ""

    @property
    def open(self) -> bool:
        """Whether it works."""
        return self.state not in ENDED

    def order(self) -> Order:
        """As the venue inside takes it."""
        return Order(
            order_id=self.key,
            client_order_id=self.key,
            account_id="venue",
            spec=self.spec,
            quantity=self.quantity,
            state=OrderState.PENDING_NEW,
            create_time_ns=self.placed_ns,
            update_time_ns=self.placed_ns,
            broker_order_id=self.broker_order_id,
            generation=self.generation,
        )

    def shown(self) -> VenueOrder:
        """As the venue shows it."""
        return VenueOrder(
            client_order_id=self.client_order_id,
            broker_order_id=self.broker_order_id,
            symbol=self.spec.symbol,
            side=self.spec.side,
            type=self.spec.type,
            quantity=self.quantity,
            cum_quantity=self.cum_quantity,
            state=self.state,
            update_time_ns=self.update_ns,
            limit_price=self.spec.limit_price,
            stop_price=self.spec.stop_price,
            time_in_force=self.spec.time_in_force,
            reason=self.reason,
            message=self.message,
        )


class JudgedVenue:
    """See the module. `now_ns` never goes back: a time before the latest one counts as that one.

    `write` is called with every entry of the log as it is made, before the answer.
    """

    def __init__(
        self,
        instruments: Sequence[Instrument],
        now_ns: int,
        rules: VenueRules | None = None,
        write: Callable[[Entry], None] | None = None,
    ) -> None:
        self.rules = rules or VenueRules()
        self.log: list[Entry] = []
        self.orders: list[Held] = []
        """Every order that it was ever asked for, refused ones too, in that order."""
        self.fills: list[FillReport] = []
        """Every execution; the sequence number of `fills[i]` is i + 1, and `log` has it too."""
        self._fill_times: list[int] = []
        self._write = write or (lambda _: None)
        self._events: list[Report] = []
        self._by_key: dict[str, Held] = {}
        self._by_client: dict[str, list[Held]] = {}
        self._by_broker: dict[str, Held] = {}
        terms = AccountTerms(
            initial_balances=self.rules.initial_balances, fees=self.rules.fees, base_currency="USD"
        )
        self._venue = Venue(instruments, terms, EMPTY, now_ns)
        self._events += self._venue.opening()

    @property
    def now_ns(self) -> int:
        """The latest time that it was told."""
        return self._venue.now_ns

    @property
    def instruments(self) -> Sequence[Instrument]:
        """What it trades, by symbol."""
        return self._venue.instruments

    # Time and the market

    def advance(self, now_ns: int) -> None:
        """Time passes without the market moving."""
        self._take(self._venue.advance(now_ns))

    def apply(self, updates: Iterable[MarketUpdate], received_ns: int | None = None) -> None:
        """The market moved: resting orders fill, stops are set off."""
        self._take(self._venue.apply(updates, self.now_ns if received_ns is None else received_ns))

    # Commands

    def place(self, order: Order, now_ns: int) -> Outcome:
        """Takes an order, under a client_order_id that it may have seen before. What it brings about is told by
        `events_after` alone, its acknowledgement first."""
        self.advance(now_ns)
        return self._place(order.client_order_id, order.spec, order.quantity)

    def place_external(self, spec: OrderSpec, now_ns: int) -> Outcome:
        """An order that somebody else places on the account."""
        self.advance(now_ns)
        assert spec.quantity is not None, "an order of others has a quantity"
        return self._place("", spec, spec.quantity)

    def replace(self, command: ReplaceCommand, now_ns: int) -> Outcome:
        """Changes a working order: the one with the broker's id that the command has, in whatever generation it is by
        now, else the latest with its client id."""
        self.advance(now_ns)
        order, spec = command.order, command.spec
        self._note(
            EntryKind.REPLACE,
            client_order_id=order.client_order_id,
            broker_order_id=order.broker_order_id,
            generation=order.generation + 1,
            symbol=spec.symbol,
            side=spec.side,
            quantity=command.quantity,
        )
        held = self._named(order)
        if held is None or not held.open:
            return self._refuse(order.client_order_id, ErrorReason.ORDER_ENDED, "no such working order")
        outcome = self._venue.replace(ReplaceCommand(held.order(), spec, command.quantity), self.now_ns)
        if isinstance(outcome, Accepted):
            held.generation += 1
            held.broker_order_id = outcome.broker_order_id
            held.spec, held.quantity = spec, command.quantity
            self._by_broker[outcome.broker_order_id] = held
            self._accept(held)
        self._take(outcome.reports)
        if isinstance(outcome, Rejected):
            return self._refuse(order.client_order_id, outcome.reason, outcome.message)
        return Accepted(held.broker_order_id)

    def cancel(self, order: Order, now_ns: int) -> Outcome:
        """Cancels a working order, found as `replace` finds it."""
        self.advance(now_ns)
        self._note(
            EntryKind.CANCEL, client_order_id=order.client_order_id, broker_order_id=order.broker_order_id
        )
        held = self._named(order)
        if held is None or not held.open:
            return self._refuse(order.client_order_id, ErrorReason.ORDER_ENDED, "no such working order")
        outcome = self._venue.cancel(held.order(), self.now_ns)
        self._accept(held)
        self._take(outcome.reports)
        return Accepted(held.broker_order_id)

    def preview(self, spec: OrderSpec, now_ns: int) -> Preview:
        """What an order would do now. Changes nothing."""
        return self._venue.preview(spec, now_ns)

    # Queries

    def find(self, client_order_id: str, now_ns: int, broker_order_id: str = "") -> VenueOrder | None:
        """The order, by the broker's id where one is given, else the latest with the client's; ended ones too. None for
        one that is not there, or not visible yet."""
        self.advance(now_ns)
        held = self._by_broker.get(broker_order_id) if broker_order_id else None
        if held is None and client_order_id:
            held = next(reversed(self._by_client.get(client_order_id, [])), None)
        return held.shown() if held is not None and self._visible(held) else None

    def open_orders(self, now_ns: int) -> list[VenueOrder]:
        """Every order that works and is visible, those of others too, the oldest first."""
        self.advance(now_ns)
        return [held.shown() for held in self.orders if held.open and self._visible(held)]

    def fills_after(self, watermark: int, limit: int, now_ns: int) -> FillPage:
        """Up to `limit` executions with a sequence number above `watermark`. One that is not visible yet, and all after
        it, are left for the next query."""
        self.advance(now_ns)
        visible = watermark
        latest_ns = self.now_ns - self.rules.fill_latency_ns
        while visible < len(self.fills) and self._fill_times[visible] <= latest_ns:
            visible += 1
        end = min(watermark + limit, visible)
        return FillPage(self.fills[watermark:end], str(end), complete=end == visible)

    def events_after(self, position: int, limit: int) -> tuple[list[Report], int]:
        """Up to `limit` of what happened after a subscriber's position, in order, and the position after it: orders
        and fills, then the positions and balances that they changed."""
        reports = self._events[position : position + limit]
        return reports, position + len(reports)

    @property
    def position(self) -> int:
        """Where a subscriber stands who wants to hear what happens from now on."""
        return len(self._events)

    def positions(self) -> list[BrokerPosition]:
        """Positions that are or were, by symbol."""
        return self._venue.positions()

    def balances(self) -> list[BrokerBalance]:
        """Every currency, by its code."""
        return self._venue.balances()

    def info(self) -> BrokerAccountInfo:
        """The account as a whole."""
        return self._venue.info()

    def quote(self, symbol: str) -> QuoteView | None:
        """The latest quote."""
        return self._venue.quote(symbol)

    def book(self, symbol: str, depth: int) -> BookView | None:
        """The present book, `depth` levels a side."""
        return self._venue.book(symbol, depth)

    # Inside

    def _place(self, client_order_id: str, spec: OrderSpec, quantity: Decimal) -> Outcome:
        self._note(
            EntryKind.PLACE,
            client_order_id=client_order_id,
            generation=1,
            symbol=spec.symbol,
            side=spec.side,
            quantity=quantity,
        )
        seen = self._by_client.get(client_order_id, [])
        if client_order_id and seen and self.rules.refuse_duplicates:
            reason = ErrorReason.CLIENT_ORDER_ID_REUSED
            return self._refuse(client_order_id, reason, f"client order id {client_order_id} was used before")
        held = Held(f"V{len(self.orders) + 1}", client_order_id, spec, quantity, self.now_ns, self.now_ns)
        self.orders.append(held)
        self._by_key[held.key] = held
        if client_order_id:
            self._by_client.setdefault(client_order_id, []).append(held)
        (outcome,) = self._venue.place([held.order()], self.now_ns)
        if isinstance(outcome, Rejected):
            held.state, held.reason, held.message = OrderState.REJECTED, outcome.reason, outcome.message
            held.broker_order_id = f"R{held.key}"
            self._by_broker[held.broker_order_id] = held
            self._tell(held, OrderEventType.REJECTED)
            return self._refuse(client_order_id, outcome.reason, outcome.message)
        assert isinstance(outcome, Accepted)
        held.broker_order_id = outcome.broker_order_id
        self._by_broker[held.broker_order_id] = held
        self._accept(held)
        self._tell(held, OrderEventType.ACKNOWLEDGED)
        self._take(outcome.reports)
        return Accepted(held.broker_order_id)

    def _named(self, order: Order) -> Held | None:
        if order.broker_order_id:
            return self._by_broker.get(order.broker_order_id)
        return next(reversed(self._by_client.get(order.client_order_id, [])), None)

    def _visible(self, held: Held) -> bool:
        return held.placed_ns + self.rules.order_latency_ns <= self.now_ns

    def _take(self, reports: Sequence[Report]) -> None:
        """Makes the orders what the venue inside says of them, and tells it on under the client's ids."""
        for report in reports:
            if isinstance(report, FillReport):
                self._fill(report)
            elif isinstance(report, OrderReport):
                held = self._by_key[report.client_order_id]
                held.update_ns = report.event_time_ns
                if report.event in _END_STATES:
                    held.state = _END_STATES[report.event]
                    held.reason, held.message = report.reason, report.message
                    self._note(
                        EntryKind.ENDED,
                        client_order_id=held.client_order_id,
                        broker_order_id=held.broker_order_id,
                        message=report.event.name,
                    )
                self._events.append(changed(report, client_order_id=held.client_order_id))
            else:
                self._events.append(report)
        self._events += self._venue.changed_holdings()

    def _fill(self, report: FillReport) -> None:
        held = self._by_key[report.client_order_id]
        held.cum_quantity = add(held.cum_quantity, report.quantity)
        filled = held.cum_quantity >= held.quantity
        held.state = OrderState.FILLED if filled else OrderState.PARTIALLY_FILLED
        held.update_ns = report.event_time_ns
        told = changed(report, client_order_id=held.client_order_id)
        self.fills.append(told)
        self._fill_times.append(self.now_ns)
        instrument = self._venue.listings[report.symbol].instrument
        self._note(
            EntryKind.FILL,
            client_order_id=held.client_order_id,
            broker_order_id=report.broker_order_id,
            generation=held.generation,
            symbol=report.symbol,
            side=report.side,
            quantity=report.quantity,
            price=report.price,
            multiplier=instrument.multiplier,
            sequence=len(self.fills),
            execution_id=report.execution_id,
            quote_currency=instrument.quote_currency,
            fees=report.fees,
        )
        self._events.append(told)

    def _tell(self, held: Held, event: OrderEventType) -> None:
        self._events.append(
            OrderReport(
                event, held.client_order_id, held.broker_order_id, self.now_ns, held.reason, held.message
            )
        )

    def _accept(self, held: Held) -> None:
        self._note(
            EntryKind.ACCEPTED,
            client_order_id=held.client_order_id,
            broker_order_id=held.broker_order_id,
            generation=held.generation,
        )

    def _refuse(self, client_order_id: str, reason: ErrorReason, message: str) -> Rejected:
        self._note(EntryKind.REFUSED, client_order_id=client_order_id, message=f"{reason.name}: {message}")
        return Rejected(reason, message)

    def _note(self, kind: EntryKind, **fields: Any) -> None:
        entry = Entry(len(self.log) + 1, self.now_ns, kind, **fields)
        self.log.append(entry)
        self._write(entry)
