"""ClosePosition beside orders that close the same position."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from brokergate.domain.commands import ClosePosition, Placed, PlaceOrder
from brokergate.domain.errors import ErrorReason, GatewayError
from brokergate.domain.orders import Order, OrderSpec, OrderState, OrderType, Side
from brokergate.ports.broker import Outcome, Unknown
from tests.unit.engine.street import House, living, place


def close(request_id: str, quantity: str | None = None) -> ClosePosition:
    amount = None if quantity is None else Decimal(quantity)
    return ClosePosition("main", "BTC/USDT", request_id, amount, f"{quantity}".encode())


async def long_three(house: House) -> None:
    """The account holds three, bought at the venue."""
    await house.gateway.place_order(place("a", "3"))
    house.broker.fill("a", "3", ends=True)
    await house.clock.advance(31)


async def test_two_who_close_a_position_at_once_close_it_once() -> None:
    """The second finds nothing left to close, and is told which order closes it; so the position is not turned round.
    A repeat of the first is the first."""
    async with living() as house:
        await long_three(house)
        first, second, again = await asyncio.gather(
            *(house.gateway.close_position(close(name)) for name in ("c1", "c2", "c1")),
            return_exceptions=True,
        )
        assert isinstance(first, Placed)
        assert isinstance(again, Placed)
        assert again.order.order_id == first.order.order_id
        assert isinstance(second, GatewayError)
        assert second.reason is ErrorReason.POSITION_NOT_FOUND
        assert second.metadata["order_id"] == first.order.order_id
        assert [order.client_order_id for order in house.broker.placed] == ["a", "c1"]


async def test_what_is_being_closed_is_not_closed_again() -> None:
    """An order whose outcome is unknown counts in full; a limit order that may never fill does not."""
    async with living() as house:
        await long_three(house)
        limit = OrderSpec("BTC/USDT", Side.SELL, OrderType.LIMIT, Decimal(3), limit_price=Decimal("200.00"))
        await house.gateway.place_order(PlaceOrder("main", "target", limit, b"target"))

        def lost(order: Order) -> Outcome:
            house.broker.works(order)
            return Unknown("no answer")

        house.broker.place = lost
        await house.gateway.close_position(close("c1", "1"))
        assert house.order("c1").uncertain
        house.broker.place = house.broker.works
        with pytest.raises(GatewayError, match="not being closed, 2") as too_much:
            await house.gateway.close_position(close("c2", "3"))
        assert too_much.value.reason is ErrorReason.INVALID_FIELD
        assert (await house.gateway.close_position(close("c3"))).order.quantity == Decimal(2)


async def test_a_fill_while_the_broker_is_asked_is_not_closed_twice() -> None:
    """The broker's word on the position may be from before the fill that it has told since."""
    async with living() as house:
        await long_three(house)
        await house.gateway.close_position(close("c1"))
        ask = house.broker.get_positions

        async def ask_and_fill() -> object:
            told = await ask()
            house.broker.told.put_nowait([house.broker.fill("c1", "3", ends=True)])
            for _ in range(20):
                await asyncio.sleep(0)
            return told

        house.broker.get_positions = ask_and_fill  # type: ignore[method-assign,assignment]
        with pytest.raises(GatewayError) as nothing:
            await house.gateway.close_position(close("c2"))
        assert nothing.value.reason is ErrorReason.POSITION_NOT_FOUND
        assert house.order("c1").state is OrderState.FILLED
