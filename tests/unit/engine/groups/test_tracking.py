"""What a venue does to an order by itself, because of another one: a new total, an end with its reason."""

from __future__ import annotations

from decimal import Decimal

from brokergate.domain.commands import OrderRef, ReplaceOrder
from brokergate.domain.errors import ErrorReason
from brokergate.domain.events import OrderEventType
from brokergate.domain.orders import OrderState, PendingActionKind
from brokergate.ports.broker import FillReport, OrderReport, Unknown
from tests.unit.adapters.paper.hand_clock import settle
from tests.unit.engine.street import House, living, place, request


async def tell(house: House, *reports: OrderReport | FillReport) -> None:
    house.broker.told.put_nowait(reports)
    await settle()


def restated(quantity: str, name: str = "B1") -> OrderReport:
    return OrderReport(
        OrderEventType.REPLACED, "a", name, 1, message="the other filled", quantity=Decimal(quantity)
    )


async def test_a_total_that_the_venue_changes_is_a_generation() -> None:
    async with living() as house:
        await house.gateway.place_order(place("a", "5"))
        await tell(house, restated("3"))
        now = house.order("a")
        assert (now.generation, now.quantity, now.leaves_quantity) == (2, Decimal(3), Decimal(3))
        assert now.spec.quantity == Decimal(3)
        last = house.events()[-1]
        assert OrderEventType(last.order.type) is OrderEventType.REPLACED
        assert last.order.message == "the other filled"


async def test_a_total_told_twice_is_one_generation() -> None:
    async with living() as house:
        await house.gateway.place_order(place("a", "5"))
        await tell(house, restated("3"), restated("3"))
        await tell(house, restated("3"))
        assert house.order("a").generation == 2


async def test_a_total_that_has_filled_already_ends_the_order() -> None:
    """The fill came before the word of the smaller total."""
    async with living() as house:
        await house.gateway.place_order(place("a", "5"))
        await tell(house, house.broker.fill("a", "3"), restated("3"))
        now = house.order("a")
        assert (now.state, now.cum_quantity, now.leaves_quantity) == (
            OrderState.FILLED,
            Decimal(3),
            Decimal(0),
        )


async def test_a_replace_under_way_keeps_the_total_that_the_venue_made() -> None:
    """The replace asks for another price alone: the total that it names is the one of before."""
    async with living() as house:
        house.broker.answers.put_nowait(Unknown("no answer"))
        await house.gateway.place_order(place("a", "5"))
        change = ReplaceOrder("main", OrderRef(client_order_id="a"), 1, limit_price=Decimal("99.00"))
        await house.gateway.replace_order(change, request("r1"))
        await tell(house, restated("3"))
        now = house.order("a")
        assert now.action(PendingActionKind.REPLACE) is not None
        assert now.quantity == Decimal(3)
        await tell(house, OrderReport(OrderEventType.REPLACED, "a", "B1", 2))
        now = house.order("a")
        assert (now.quantity, now.spec.limit_price, now.generation) == (Decimal(3), Decimal("99.00"), 3)


async def test_an_order_that_the_other_one_took_the_place_of_says_so() -> None:
    async with living() as house:
        await house.gateway.place_order(place("a", "5"))
        words = "take-profit 'tp' of its group filled"
        await tell(house, OrderReport(OrderEventType.CANCELED, "a", "B1", 1, ErrorReason.LINKED_ORDER, words))
        now = house.order("a")
        assert now.state is OrderState.CANCELED
        assert (now.reject_reason, now.reject_message) == (ErrorReason.LINKED_ORDER, words)
