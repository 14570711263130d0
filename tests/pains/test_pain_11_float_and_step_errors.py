"""Pain 11: 2.05324 becomes 2.049999, or is rounded to a step without a word."""

from __future__ import annotations

from decimal import Decimal

import pytest

from brokergate.domain.commands import PlaceOrder
from brokergate.domain.errors import ErrorReason, GatewayError
from brokergate.domain.orders import OrderState
from brokergate.domain.values import changed
from tests.faults.house import House

QUANTITIES = {"binance": "2.05324", "alpaca": "2053", "ibkr": "2053"}
PRICES = {"binance": "9700.07", "alpaca": "97.07", "ibkr": "97.07"}


def sized(house: House, name: str, quantity: Decimal, price: Decimal) -> PlaceOrder:
    order = house.order(name, -3)
    return changed(order, spec=changed(order.spec, quantity=quantity, limit_price=price))


async def test_the_venue_gets_the_very_digits(house: House) -> None:
    """Quantity and price arrive as they were written, and come back so."""
    quantity, price = Decimal(QUANTITIES[house.venue.name]), Decimal(PRICES[house.venue.name])
    await house.place(sized(house, "exact", quantity, price))
    (request,) = await house.asked("place", "exact")
    told = request["parameters"]
    fields = ("quantity", "qty", "price", "limit_price", "limit")
    assert {Decimal(told[field]) for field in fields if field in told} == {quantity, price}
    order = await house.becomes("exact", OrderState.NEW)
    assert (order.quantity, order.spec.limit_price) == (quantity, price)


async def test_what_does_not_fit_the_step_is_refused_by_name(house: House) -> None:
    """Nothing is rounded and nothing is sent."""
    instrument = house.gateway.get_instrument("main", house.venue.symbol)
    price = Decimal(PRICES[house.venue.name])
    half_tick, half_lot = instrument.price_increment / 2, instrument.quantity_increment / 2
    for name, quantity, at, reason in (
        ("tick", house.venue.lot, price + half_tick, ErrorReason.PRICE_OFF_TICK),
        ("lot", house.venue.lot + half_lot, price, ErrorReason.QUANTITY_OFF_LOT),
    ):
        with pytest.raises(GatewayError) as error:
            await house.gateway.place_order(sized(house, name, quantity, at))
        assert error.value.reason is reason
    assert not await house.asked("place")
