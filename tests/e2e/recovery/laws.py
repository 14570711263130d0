"""The laws, as functions of what the journal, the venue's own log, the clients and the readers have.

Each returns what is wrong, in words; nothing where the law holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from brokergate.domain.instruments import InstrumentKind
from brokergate.domain.money import ZERO, add, multiply, normal, subtract
from brokergate.sim.feeds.profiles import PROFILES
from brokergate.v1 import enums_pb2, error_pb2, event_pb2, fill_pb2, order_pb2
from tests.e2e.recovery.record import Record, contradiction
from tests.venue import log
from tests.venue.log import Entry, EntryKind

_SENT = frozenset({EntryKind.PLACE, EntryKind.REPLACE})


class Books:
    """What the journal says, kept up event by event: the orders as they stand, all fills, and what was sent."""

    def __init__(self) -> None:
        self.orders: dict[str, order_pb2.Order] = {}
        """By the gateway's id."""
        self.by_client: dict[str, str] = {}
        self.dispatched: set[tuple[str, int]] = set()
        """The (client_order_id, generation) that the journal has as about to be sent."""
        self.fills: list[fill_pb2.Fill] = []
        self.disagreements: dict[str, event_pb2.DiscrepancyEvent] = {}
        self.positions: dict[str, Decimal] = {}
        """As the events have them."""
        self.twice: list[str] = []
        """Law 7: executions that were booked again."""
        self._keys: set[tuple[str, str, str]] = set()

    def take(self, events: Iterable[event_pb2.Event]) -> None:
        """What was journalled next."""
        for event in events:
            if event.HasField("fill"):
                self._fill(event.fill.fill)
            elif event.HasField("order"):
                self._order(event.order)
            elif event.HasField("position"):
                self.positions[event.position.position.symbol] = Decimal(event.position.position.quantity)
            elif event.HasField("discrepancy"):
                self.disagreements[event.discrepancy.discrepancy.discrepancy_id] = event.discrepancy

    def _fill(self, fill: fill_pb2.Fill) -> None:
        key = (fill.symbol, fill.broker_order_id, fill.broker_execution_id)
        if key in self._keys:
            self.twice.append(f"law 7: the fill {key} is booked again as {fill.fill_id}")
        self._keys.add(key)
        self.fills.append(fill)

    def _order(self, change: event_pb2.OrderEvent) -> None:
        order = change.order
        self.orders[order.order_id] = order
        if order.client_order_id:
            self.by_client[order.client_order_id] = order.order_id
        if change.type == event_pb2.ORDER_EVENT_TYPE_DISPATCHED:
            self.dispatched.add((order.client_order_id, order.generation))
        elif change.type == event_pb2.ORDER_EVENT_TYPE_REPLACE_REQUESTED:
            self.dispatched.add((order.client_order_id, order.generation + 1))

    def find(self, client_order_id: str) -> order_pb2.Order | None:
        """The order with this client id."""
        order_id = self.by_client.get(client_order_id)
        return None if order_id is None else self.orders[order_id]


# After every kill


def sent_once(watch: log.SentTwice, entries: Iterable[Entry]) -> list[str]:
    """Law 2: the venue was asked at most once for each client_order_id and generation; of what is new in its log."""
    return [
        f"law 2: the venue was asked again for {name} in generation {generation}"
        for name, generation in watch.take(entries)
    ]


def durable_before_sent(entries: Iterable[Entry], books: Books) -> list[str]:
    """Law 1: what the venue was asked for is in the journal of a gateway that was killed."""
    return [
        f"law 1: the venue was asked to {entry.kind} {entry.client_order_id}, generation {entry.generation}, and the "
        "journal has not DISPATCHED it"
        for entry in entries
        if entry.kind in _SENT
        and entry.client_order_id
        and (entry.client_order_id, entry.generation) not in books.dispatched
    ]


def acknowledged(answers: Iterable[order_pb2.Order], books: Books) -> list[str]:
    """No acknowledged order is missing, and none is less than what was acknowledged."""
    wrong = []
    for told in answers:
        order = books.find(told.client_order_id)
        if order is None:
            wrong.append(f"{told.client_order_id} was acknowledged, and the journal does not have it")
        elif problem := contradiction(told, order):
            wrong.append(f"{told.client_order_id} {problem}")
    return wrong


def streamed(name: str, seen: Sequence[event_pb2.Event], journal: Sequence[event_pb2.Event]) -> list[str]:
    """Law 6: what a reader was given is in the journal, as it was given."""
    wrong = []
    for event in seen:
        if event.sequence > len(journal):
            wrong.append(
                f"law 6: {name} was given event {event.sequence}, and the journal ends at {len(journal)}"
            )
        elif event != journal[event.sequence - 1]:
            wrong.append(f"law 6: {name} was given another event {event.sequence} than the journal has")
    return wrong[:5]


# At the end, when the venue is quiet and the gateway has had time


def all_fills(entries: Iterable[Entry], books: Books) -> list[str]:
    """Every fill of the venue is booked, as it happened, and nothing else."""
    venue = {entry.fill_key: _venue_fill(entry) for entry in log.fills(entries)}
    journal = {
        (fill.symbol, fill.broker_order_id, fill.broker_execution_id): _journal_fill(fill)
        for fill in books.fills
    }
    wrong = [f"the venue's fill {key} is not booked" for key in venue.keys() - journal.keys()]
    wrong += [
        f"the fill {key} is booked, and the venue never made it" for key in journal.keys() - venue.keys()
    ]
    wrong += [
        f"the fill {key} is booked as {journal[key]} and was {venue[key]}"
        for key in venue.keys() & journal.keys()
        if venue[key] != journal[key]
    ]
    return wrong


def _venue_fill(entry: Entry) -> tuple[object, ...]:
    fees = tuple((fee.currency, normal(fee.amount)) for fee in entry.fees)
    return (entry.client_order_id, int(entry.side), normal(entry.quantity), normal(entry.price), fees)


def _journal_fill(fill: fill_pb2.Fill) -> tuple[object, ...]:
    fees = tuple((fee.currency_code, normal(Decimal(fee.amount))) for fee in fill.fees)
    quantity, price = normal(Decimal(fill.quantity)), normal(Decimal(fill.price))
    return (fill.client_order_id, int(fill.side), quantity, price, fees)


def nothing_uncertain(books: Books) -> list[str]:
    """The venue answers: no order stays uncertain, nothing stays under way, nothing is in dispute."""
    wrong = [
        f"{order.client_order_id} still has {action} under way"
        for order in books.orders.values()
        for action in order.pending
    ]
    wrong += [
        f"disputed: {found.discrepancy.symbol} {found.discrepancy.message}: expected {found.discrepancy.expected}, "
        f"found {found.discrepancy.actual}"
        for found in books.disagreements.values()
    ]
    return wrong


class VenueView:
    """One order as the venue shows it at the end."""

    def __init__(self, generation: int, state: int, cum_quantity: Decimal, broker_order_id: str) -> None:
        self.generation = generation
        self.state = state
        self.cum_quantity = cum_quantity
        self.broker_order_id = broker_order_id


def same_orders(venue: Mapping[str, VenueView], books: Books) -> list[str]:
    """Each order stands in the journal as it does at the venue; what the venue never had ended REJECTED."""
    wrong = []
    for order in books.orders.values():
        name = order.client_order_id
        if not name:
            continue
        state = enums_pb2.OrderState.Name(order.state)
        shown = venue.get(name)
        if shown is None:
            if order.state != enums_pb2.ORDER_STATE_REJECTED:
                wrong.append(f"{name} is {state} in the journal, and the venue never had it")
            continue
        at_venue = (shown.state, normal(shown.cum_quantity), shown.generation)
        here = (int(order.state), normal(Decimal(order.cum_quantity)), order.generation)
        if here != at_venue:
            wrong.append(
                f"{name} is {here} (state, filled, generation) in the journal and {at_venue} at the venue"
            )
    known = set(books.by_client)
    wrong += [f"the venue has {name}, and the journal does not" for name in venue.keys() - known]
    return wrong


def positions(books: Books) -> dict[str, Decimal]:
    """Σ of the journal's fills, by symbol."""
    held: dict[str, Decimal] = {}
    for fill in books.fills:
        combine = add if fill.side == enums_pb2.SIDE_BUY else subtract
        held[fill.symbol] = combine(held.get(fill.symbol, ZERO), Decimal(fill.quantity))
    return held


def cash(books: Books, start: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """What `start` has become by the journal's fills: − Σ side × price × quantity × multiplier − fees of the quote
    currency, and of a spot's base currency + Σ side × quantity."""
    held = dict(start)
    instruments = {profile.symbol: profile for profile in (each.instrument for each in PROFILES.values())}
    for fill in books.fills:
        instrument = instruments[fill.symbol]
        buys = fill.side == enums_pb2.SIDE_BUY
        notional = multiply(multiply(Decimal(fill.price), Decimal(fill.quantity)), instrument.multiplier)
        quote = instrument.quote_currency
        held[quote] = (subtract if buys else add)(held.get(quote, ZERO), notional)
        if instrument.kind is InstrumentKind.SPOT:
            base = instrument.base_currency
            held[base] = (add if buys else subtract)(held.get(base, ZERO), Decimal(fill.quantity))
        for fee in fill.fees:
            held[fee.currency_code] = subtract(held.get(fee.currency_code, ZERO), Decimal(fee.amount))
    return held


def equal(what: str, left: Mapping[str, Decimal], right: Mapping[str, Decimal]) -> list[str]:
    """Two tables of amounts are the same, exactly; what is missing is zero."""
    return [
        f"{what}: {name} is {left.get(name, ZERO)} and {right.get(name, ZERO)}"
        for name in sorted({*left, *right})
        if left.get(name, ZERO) != right.get(name, ZERO)
    ]


def tombstones_hold(record: Record, entries: Iterable[Entry], books: Books) -> list[str]:
    """What was set aside first was never sent, and its placing ended REJECTED."""
    reached = {entry.client_order_id for entry in entries if entry.kind is EntryKind.PLACE}
    wrong = [f"{name} was set aside, and the venue was asked for it" for name in record.tombstones & reached]
    for name in record.tombstones:
        order = books.find(name)
        if order is not None and order.reject_reason != error_pb2.ERROR_REASON_TOMBSTONED:
            wrong.append(f"{name} was set aside, and is {enums_pb2.OrderState.Name(order.state)}")
    return wrong


def listed_orders(listed: Iterable[order_pb2.Order], books: Books) -> list[str]:
    """ListOrders and the events tell the same."""
    shown = {order.order_id: order for order in listed}
    wrong = [f"ListOrders shows {name}, which no event told" for name in shown.keys() - books.orders.keys()]
    wrong += [f"ListOrders lacks {name}" for name in books.orders.keys() - shown.keys()]
    wrong += [
        f"ListOrders shows {name} otherwise than its last event:\n{shown[name]}\n{books.orders[name]}"
        for name in shown.keys() & books.orders.keys()
        if shown[name] != books.orders[name]
    ]
    return wrong


def listed_fills(listed: Iterable[fill_pb2.Fill], books: Books) -> list[str]:
    """ListFills and the events tell the same, each fill once."""
    shown = [fill.fill_id for fill in listed]
    booked = [fill.fill_id for fill in books.fills]
    return [] if sorted(shown) == sorted(booked) else [f"ListFills shows {len(shown)} fills of {len(booked)}"]
