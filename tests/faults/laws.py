"""Laws 1 to 9, judged after a fault: by the journal, the venue's own log and orders, and what clients saw.

Each gives how much it looked at and what is wrong. A law that had nothing to look at is not held: its cell is empty.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from brokergate.domain.money import ZERO, add, multiply, normal, subtract
from brokergate.v1 import enums_pb2, event_pb2, fill_pb2, order_pb2
from tests.faults.house import Evidence
from tests.faults.scenarios import Scenario
from tests.faults.venues import Venue

STATES = {
    enums_pb2.ORDER_STATE_NEW: "NEW",
    enums_pb2.ORDER_STATE_PARTIALLY_FILLED: "PARTIALLY_FILLED",
    enums_pb2.ORDER_STATE_FILLED: "FILLED",
    enums_pb2.ORDER_STATE_CANCELED: "CANCELED",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a law came to: things looked at, and what is wrong with them."""

    looked_at: int
    wrong: Sequence[str]


@dataclass(frozen=True, slots=True)
class Case:
    """Everything that is known after a fault."""

    scenario: Scenario
    venue: Venue
    evidence: Evidence
    events: Sequence[event_pb2.Event]
    resumed: Sequence[tuple[int, Sequence[event_pb2.Event]]]
    """After which sequence a stream was resumed, and what it gave."""
    venue_ids: Mapping[str, str]
    """The venue's id of each order of ours, by the client's."""
    requests: Sequence[Mapping[str, Any]]
    orders: Sequence[Mapping[str, Any]]
    fills: Sequence[Mapping[str, Any]]
    balances: Mapping[str, Decimal]

    @property
    def last(self) -> dict[str, order_pb2.Order]:
        """Each order as its last event has it, by the client's id."""
        return {
            event.order.order.client_order_id: event.order.order
            for event in self.events
            if event.HasField("order")
        }

    @property
    def booked(self) -> list[fill_pb2.Fill]:
        """The fills of the journal."""
        return [event.fill.fill for event in self.events if event.HasField("fill")]

    def at_venue(self, name: str) -> Mapping[str, Any] | None:
        """The venue's order of this client id."""
        wanted = self.venue_ids[name]
        return next((order for order in self.orders if order["client_order_id"] == wanted), None)


def law_1(case: Case) -> Verdict:
    """Durable before sent: when the venue had a request, its DISPATCHED was in the file; where the disk was slow,
    it came after it was on the disk."""
    seen, on_disk_ns = case.evidence.journalled_before_sent, case.evidence.on_disk_ns
    wrong = [
        f"{name} reached the venue and was not in the file" for name, written in seen.items() if not written
    ]
    for entry in case.requests:
        name = str(entry["parameters"].get(case.venue.id_parameter, ""))
        if entry["kind"] == "place" and entry["time_ns"] < on_disk_ns.get(name, 0):
            wrong.append(f"{name} reached the venue before it was on the disk")
    return Verdict(len(on_disk_ns) and len(seen), wrong)


def law_2(case: Case) -> Verdict:
    """At most one broker order: the venue was asked once at most for each, and a repeat gave the same order."""
    parameter = case.venue.id_parameter
    asked = Counter(
        str(entry["parameters"].get(parameter, "")) for entry in case.requests if entry["kind"] == "place"
    )
    made = Counter(order["client_order_id"] for order in case.orders if not order["external"])
    wrong = [f"the venue was asked {times} times for {name}" for name, times in asked.items() if times > 1]
    wrong += [f"the venue has {times} orders {name}" for name, times in made.items() if times > 1]
    wrong += [
        f"{name} is {first}, and again {again}"
        for name, first, again in case.evidence.repeats
        if first != again
    ]
    return Verdict(len(asked) and len(case.evidence.repeats), wrong)


def law_3(case: Case) -> Verdict:
    """Unknown is a state: no order was told rejected that the venue has, none is unresolved at the end, and all stand
    as they do at the venue. Where outcomes are lost, some order was uncertain."""
    wrong = []
    doubts = 0
    for event in case.events:
        if event.HasField("order"):
            doubts += event.order.type == event_pb2.ORDER_EVENT_TYPE_UNCERTAIN
            name = event.order.order.client_order_id
            if event.order.type == event_pb2.ORDER_EVENT_TYPE_REJECTED and case.at_venue(name) is not None:
                wrong.append(f"{name} was told rejected, and the venue has it")
    for name, order in case.last.items():
        shown, state = case.at_venue(name), STATES.get(order.state)
        if order.pending:
            wrong.append(f"{name} is not resolved: {order.pending}")
        if shown is None and order.state != enums_pb2.ORDER_STATE_REJECTED:
            wrong.append(f"{name} is {state}, and the venue never had it")
        elif shown is not None and (shown["state"], normal(Decimal(shown["cum_quantity"]))) != (
            state,
            normal(Decimal(order.cum_quantity)),
        ):
            wrong.append(
                f"{name} is {state} {order.cum_quantity}, at the venue {shown['state']} {shown['cum_quantity']}"
            )
    if case.scenario.unknown and not doubts:
        return Verdict(0, ["no order was uncertain, though outcomes were lost"])
    return Verdict(len(case.last), wrong)


def law_4(case: Case) -> Verdict:
    """A failed query is not an empty answer: each reading showed what was held, or failed; and nothing was taken for
    different that was not."""
    held = case.evidence.held
    wrong = [
        f"{read} was read of {held}" for read in case.evidence.readings if read is not None and read != held
    ]
    wrong += [
        f"a disagreement was found: {event.discrepancy.discrepancy.message}"
        for event in case.events
        if event.HasField("discrepancy")
    ]
    return Verdict(len(case.evidence.readings), wrong)


def law_5(case: Case) -> Verdict:
    """One ordered journal: the sequences are 1, 2, 3 … over all kinds."""
    found = [event.sequence for event in case.events]
    wrong = [] if found == list(range(1, len(found) + 1)) else [f"sequences {found}"]
    return Verdict(len(found), wrong)


def law_6(case: Case) -> Verdict:
    """A stream resumes from any cursor: what it gives is what the journal has after it."""
    wrong = [
        f"after {sequence} came {[event.sequence for event in given]}"
        for sequence, given in case.resumed
        if list(given) != list(case.events[sequence:])
    ]
    return Verdict(len(case.resumed), wrong)


def law_7(case: Case) -> Verdict:
    """Fills are booked once: each execution of the venue once, with its quantity and price, on its order."""
    ours = {venue_id: name for name, venue_id in case.venue_ids.items()}
    wanted = Counter(
        (
            ours.get(fill["client_order_id"], "?"),
            normal(Decimal(fill["quantity"])),
            normal(Decimal(fill["price"])),
        )
        for fill in case.fills
    )
    booked = Counter(
        (fill.client_order_id, normal(Decimal(fill.quantity)), normal(Decimal(fill.price)))
        for fill in case.booked
    )
    keys = Counter((fill.symbol, fill.broker_order_id, fill.broker_execution_id) for fill in case.booked)
    wrong = [f"{key} is booked {times} times" for key, times in keys.items() if times > 1]
    if wanted != booked:
        wrong.append(
            f"not booked: {dict(wanted - booked)}; booked and never executed: {dict(booked - wanted)}"
        )
    return Verdict(len(case.fills), wrong)


def law_8(case: Case) -> Verdict:
    """Nothing is dropped silently: a subscriber that was there all the time has every event, once and in order."""
    given = case.evidence.streamed
    wrong = (
        [] if list(given) == list(case.events) else [f"{len(given)} events were given of {len(case.events)}"]
    )
    return Verdict(len(given), wrong)


def law_9(case: Case) -> Verdict:
    """Money is exact: what the fills come to is what the venue's balances moved by, to the last digit."""
    moved: dict[str, Decimal] = {}
    venue = case.venue
    told_later = {
        event.fill_fees.fill_id: event.fill_fees.fees for event in case.events if event.HasField("fill_fees")
    }
    for fill in case.booked:
        buys = fill.side == enums_pb2.SIDE_BUY
        notional = multiply(Decimal(fill.price), Decimal(fill.quantity))
        quote, base = venue.quote_currency, venue.base_currency
        moved[quote] = (subtract if buys else add)(moved.get(quote, ZERO), notional)
        if base:
            moved[base] = (add if buys else subtract)(moved.get(base, ZERO), Decimal(fill.quantity))
        for fee in told_later.get(fill.fill_id, fill.fees):
            moved[fee.currency_code] = subtract(moved.get(fee.currency_code, ZERO), Decimal(fee.amount))
    wrong = []
    for currency, total in case.balances.items():
        at_venue = subtract(total, case.evidence.before.get(currency, ZERO))
        if at_venue != moved.get(currency, ZERO):
            wrong.append(
                f"{currency} moved by {at_venue} at the venue, by {moved.get(currency, ZERO)} in the journal"
            )
    return Verdict(len(case.booked), wrong)


LAWS = (law_1, law_2, law_3, law_4, law_5, law_6, law_7, law_8, law_9)
