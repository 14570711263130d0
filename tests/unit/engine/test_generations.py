"""Generations of an order: each counts once, and what proves one is believed, in whatever order it comes."""

from __future__ import annotations

from decimal import Decimal

import pytest

from brokergate.domain.commands import CancelOrder, OrderRef, ReplaceOrder
from brokergate.domain.events import OrderEventType
from brokergate.domain.orders import Order, OrderState, PendingActionKind
from brokergate.domain.values import changed
from brokergate.ports.broker import Accepted, FillReport, OrderReport, Outcome, ReplaceCommand, Unknown
from tests.unit.adapters.paper.hand_clock import settle
from tests.unit.engine.street import House, living, place, request

A = OrderRef(client_order_id="a")


def larger(quantity: str, generation: int = 1) -> ReplaceOrder:
    return ReplaceOrder("main", A, generation, quantity=Decimal(quantity))


def renews(house: House, outcome: Outcome | None = None) -> None:
    """The street replaces what it is asked to, under a new id, and tells nobody by itself."""

    async def replace(command: ReplaceCommand) -> Outcome:
        name = command.order.client_order_id
        shown = house.broker.orders[name]
        number = int(shown.broker_order_id.partition("-")[2] or 1) + 1
        new = f"{shown.broker_order_id.partition('-')[0]}-{number}"
        house.broker.orders[name] = changed(
            shown, broker_order_id=new, quantity=command.quantity, limit_price=command.spec.limit_price
        )
        return outcome or Accepted(new)

    house.broker.replace_order = replace  # type: ignore[method-assign]


async def tell(house: House, *reports: OrderReport | FillReport) -> None:
    house.broker.told.put_nowait(reports)
    await settle()


def replaced(name: str) -> OrderReport:
    return OrderReport(OrderEventType.REPLACED, "a", name, 1)


async def test_a_replace_that_is_told_twice_is_one_generation() -> None:
    async with living() as house:
        renews(house)
        await house.gateway.place_order(place("a"))
        await house.gateway.replace_order(larger("2"), request("r1"))
        await tell(house, replaced("B1-2"))
        await tell(house, replaced("B1-2"))
        assert (house.order("a").generation, house.order("a").quantity) == (2, Decimal(2))


async def test_the_last_generation_told_again_is_no_proof_of_the_next_one() -> None:
    async with living() as house:
        renews(house)
        await house.gateway.place_order(place("a"))
        await house.gateway.replace_order(larger("2"), request("r1"))
        await tell(house, replaced("B1-2"))
        await house.gateway.replace_order(larger("3", 2), request("r2"))
        await tell(house, replaced("B1-2"))
        now = house.order("a")
        assert (now.generation, now.quantity) == (2, Decimal(2))
        assert now.action(PendingActionKind.REPLACE) is not None
        await tell(house, replaced("B1-3"))
        assert (house.order("a").generation, house.order("a").quantity) == (3, Decimal(3))


async def test_a_fill_of_the_new_generation_proves_the_replace_whose_report_was_lost() -> None:
    """2 of 3 are filled: with the replace unproven that would be 2 of 1."""
    async with living() as house:
        renews(house)
        await house.gateway.place_order(place("a"))
        await house.gateway.replace_order(larger("3"), request("r1"))
        await tell(house, house.broker.fill("a", "2"))
        now = house.order("a")
        assert (now.generation, now.quantity, now.leaves_quantity) == (2, Decimal(3), Decimal(1))
        assert now.state is OrderState.PARTIALLY_FILLED


@pytest.mark.parametrize("end", [OrderEventType.CANCELED, OrderEventType.EXPIRED])
@pytest.mark.parametrize(("name", "generation", "quantity"), [("B1-2", 2, "3"), ("B1", 1, "1"), ("", 1, "1")])
async def test_the_end_of_the_new_generation_proves_the_replace_whose_report_comes_late(
    end: OrderEventType, name: str, generation: int, quantity: str
) -> None:
    """The venue names what ended: what it replaced before that, or what was to be replaced. Where it names nothing, the
    replace is not proven."""
    async with living() as house:
        renews(house)
        await house.gateway.place_order(place("a"))
        await house.gateway.replace_order(larger("3"), request("r1"))
        await tell(house, OrderReport(end, "a", name, 1))
        await tell(house, replaced("B1-2"))
        now = house.order("a")
        assert now.ended
        assert (now.generation, now.quantity, now.pending) == (generation, Decimal(quantity), ())
        assert house.order_events().count("REPLACED") == generation - 1


@pytest.mark.parametrize("end", [OrderState.PARTIALLY_FILLED, OrderState.FILLED, OrderState.CANCELED])
async def test_a_replace_under_way_at_a_crash_is_proven_by_what_the_venue_shows_later(
    end: OrderState,
) -> None:
    """Replaced to 3, 2 of them filled (or all), perhaps cancelled then; the gateway was dead all the while."""
    async with living(absence_after_ms=0) as house:
        renews(house, Unknown("no answer"))
        await house.gateway.place_order(place("a"))
        await house.gateway.replace_order(larger("3"), request("r1"))
        house.broker.fill("a", "2")
        if end is OrderState.FILLED:
            house.broker.fill("a", "1", ends=True)
        elif end is OrderState.CANCELED:
            house.broker.orders["a"] = changed(house.broker.orders["a"], state=end)
        await house.again(5)
        now = house.order("a")
        assert (now.state, now.generation, now.quantity) == (end, 2, Decimal(3))
        assert now.cum_quantity == (3 if end is OrderState.FILLED else 2)


async def test_a_late_fill_of_an_earlier_generation_is_no_proof_of_the_next() -> None:
    """Told by asking, after a start that has forgotten the earlier generation's id."""
    async with living(absence_after_ms=0) as house:
        renews(house)
        await house.gateway.place_order(place("a", "4"))
        late = house.broker.fill("a", "1")
        await house.gateway.replace_order(larger("5"), request("r1"))
        await tell(house, replaced("B1-2"))

        async def lose(command: ReplaceCommand) -> Outcome:
            return Unknown("no answer")

        house.broker.replace_order = lose  # type: ignore[method-assign]
        await house.gateway.replace_order(larger("6", 2), request("r2"))
        assert late.broker_order_id == "B1"
        await house.again(5)
        now = house.order("a")
        assert (now.generation, now.quantity, now.cum_quantity) == (2, Decimal(5), Decimal(1))
        assert not now.pending


async def test_a_late_fill_of_an_earlier_generation_of_an_ended_order_is_booked() -> None:
    async with living() as house:
        renews(house)
        await house.gateway.place_order(place("a", "4"))
        late = house.broker.fill("a", "1")
        await house.gateway.replace_order(larger("5"), request("r1"))
        await tell(house, replaced("B1-2"))
        await tell(house, OrderReport(OrderEventType.CANCELED, "a", "B1-2", 1))
        await tell(house, late)
        assert (house.order("a").state, house.order("a").cum_quantity) == (OrderState.CANCELED, Decimal(1))


async def test_what_the_broker_took_and_never_told_the_end_of_is_asked_for_by_the_polls() -> None:
    """The frame that said CANCELED was lost on a healthy connection."""
    async with living() as house:
        await house.gateway.place_order(place("a"))

        async def cancel(order: Order) -> Outcome:
            shown = house.broker.orders[order.client_order_id]
            house.broker.orders[order.client_order_id] = changed(shown, state=OrderState.CANCELED)
            return Accepted(shown.broker_order_id)

        house.broker.cancel_order = cancel  # type: ignore[method-assign]
        await house.gateway.cancel_order(CancelOrder("main", A), request("r1"))
        assert house.order("a").state is OrderState.NEW
        await house.clock.advance(65)
        assert house.order("a").state is OrderState.CANCELED


async def test_what_the_broker_took_is_asked_for_at_once_when_the_connection_was_lost() -> None:
    async with living() as house:
        renews(house)
        await house.gateway.place_order(place("a"))
        await house.gateway.replace_order(larger("3"), request("r1"))
        house.broker.lose()
        await settle()
        await house.clock.advance(3)
        assert (house.order("a").generation, house.order("a").pending) == (2, ())
