"""Executions that a venue corrects or takes back, and fees that it tells later."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from brokergate.domain.fills import FillKind, Money
from brokergate.domain.orders import OrderState
from brokergate.domain.values import changed
from brokergate.ports.broker import FillReport
from tests.unit.adapters.paper.hand_clock import settle
from tests.unit.engine.street import House, living, place

D = Decimal
FEE = (Money(D("1.25"), "USDT"),)


async def tell(house: House, *reports: FillReport) -> None:
    house.broker.told.put_nowait(reports)
    await settle()


def booked(house: House) -> list[Any]:
    return [event.fill.fill for event in house.events() if event.HasField("fill")]


def late_fees(house: House) -> list[Any]:
    return [event.fill_fees for event in house.events() if event.HasField("fill_fees")]


def held(house: House) -> tuple[Decimal, Decimal]:
    """(quantity, cost) of the position."""
    shown = house.gateway.account("main").open_positions()
    quantity = dict(shown).get("BTC/USDT", D(0))
    (position,) = (one for one in house.journal.positions("main") if one.symbol == "BTC/USDT")
    assert position.quantity == quantity
    return position.quantity, position.cost


def correction(fill: FillReport, quantity: str, price: str, number: int = 2) -> FillReport:
    """The same execution, once more, with other figures."""
    earlier = tuple(f"{fill.execution_id}.0{one}" for one in range(number - 1, 1, -1))
    return changed(
        fill,
        execution_id=f"{fill.execution_id}.0{number}",
        quantity=D(quantity),
        price=D(price),
        kind=FillKind.CORRECTION,
        corrects=(*earlier, fill.execution_id),
    )


async def test_a_correction_takes_the_place_of_its_execution() -> None:
    """The order, the position and the journal have the new figures, once, however often it is told."""
    async with living() as house:
        await house.gateway.place_order(place("a", "5"))
        fill = house.broker.fill("a", "3")
        await tell(house, fill)
        await tell(house, correction(fill, "2", "99"), correction(fill, "2", "99"), fill)
        now = house.order("a")
        assert (now.state, now.cum_quantity, now.cum_notional) == (
            OrderState.PARTIALLY_FILLED,
            D(2),
            D(198),
        )
        assert held(house) == (D(2), D(198))
        first, second = booked(house)
        assert (second.kind, second.corrects_fill_id) == (FillKind.CORRECTION, first.fill_id)


async def test_a_correction_of_a_correction() -> None:
    """It names every id that the execution had; the latest that was booked counts."""
    async with living() as house:
        await house.gateway.place_order(place("a", "5"))
        fill = house.broker.fill("a", "5", ends=True)
        await tell(house, fill, correction(fill, "5", "99"), correction(fill, "5", "98", 3))
        now = house.order("a")
        assert (now.state, now.cum_quantity, now.cum_notional) == (OrderState.FILLED, D(5), D(490))
        assert held(house) == (D(5), D(490))
        assert [one.corrects_fill_id for one in booked(house)][1:] == [
            one.fill_id for one in booked(house)[:2]
        ]


async def test_a_correction_of_what_was_never_told_is_an_execution() -> None:
    async with living() as house:
        await house.gateway.place_order(place("a", "5"))
        await tell(house, correction(house.broker.fill("a", "3"), "2", "99"))
        assert (house.order("a").cum_quantity, held(house)) == (D(2), (D(2), D(198)))
        assert [one.kind for one in booked(house)] == [FillKind.NORMAL]


async def test_a_bust_takes_back_and_never_reopens() -> None:
    async with living() as house:
        await house.gateway.place_order(place("a", "3"))
        fill = house.broker.fill("a", "3", ends=True)
        bust = changed(fill, execution_id="bust", kind=FillKind.BUST, corrects=(fill.execution_id,))
        await tell(house, fill)
        await tell(house, bust, bust)
        now = house.order("a")
        assert (now.state, now.cum_quantity, now.leaves_quantity) == (OrderState.FILLED, D(0), D(0))
        assert held(house) == (D(0), D(0))


async def test_a_bust_of_what_was_never_booked_is_nothing() -> None:
    async with living() as house:
        await house.gateway.place_order(place("a", "3"))
        fill = changed(house.broker.fill("a", "3"), kind=FillKind.BUST, corrects=("unseen",))
        await tell(house, fill)
        assert booked(house) == []


async def test_a_corrected_sale_gives_back_what_it_closed() -> None:
    """Quantity, and cost and gain together, are exact."""
    async with living() as house:
        await house.gateway.place_order(place("a", "5"))
        fill = house.broker.fill("a", "5", ends=True)
        sale = changed(
            fill, client_order_id="", broker_order_id="S", execution_id="S1", side=fill.side.opposite
        )
        await tell(house, fill, changed(sale, price=D(120)))
        await tell(house, correction(changed(sale, price=D(120)), "3", "110"))
        (position,) = house.journal.positions("main")
        assert position.quantity == D(2)
        assert position.realized_pnl - position.cost == D(3) * D(110) - D(500)


async def test_fees_that_come_later_are_told_once() -> None:
    async with living() as house:
        await house.gateway.place_order(place("a", "5"))
        fill = changed(house.broker.fill("a", "3"), fees_final=False)
        await tell(house, fill, fill)
        assert late_fees(house) == []
        await tell(house, changed(fill, fees=FEE, fees_final=True))
        await tell(house, changed(fill, fees=FEE, fees_final=True))
        (told,) = late_fees(house)
        (first,) = booked(house)
        assert not first.fees_final
        assert (told.fill_id, told.order_id, [fee.amount for fee in told.fees]) == (
            first.fill_id,
            first.order_id,
            ["1.25"],
        )
        (position,) = house.journal.positions("main")
        assert position.fees == FEE


async def test_fees_that_come_in_another_life_are_told_once() -> None:
    async with living() as house:
        await house.gateway.place_order(place("a", "5"))
        fill = changed(house.broker.fill("a", "3"), fees_final=False)
        await tell(house, fill)
        await house.again()
        await tell(house, changed(fill, fees=FEE, fees_final=True))
        await house.again()
        await tell(house, changed(fill, fees=FEE, fees_final=True))
        assert len(late_fees(house)) == 1


async def test_fees_that_were_known_are_not_told_again() -> None:
    async with living() as house:
        await house.gateway.place_order(place("a", "5"))
        fill = changed(house.broker.fill("a", "3"), fees=FEE)
        await tell(house, fill, fill)
        assert late_fees(house) == []
