"""Every kind of asset, traded through the adapter at an emulated TWS: its prices, lots and sizes are the gateway's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal

import pytest

from brokergate.domain.errors import ErrorReason
from brokergate.domain.events import OrderEventType
from brokergate.domain.orders import OrderState, Side
from brokergate.ports.broker import Accepted, Found, Rejected, ReplaceCommand
from tests.emulators.client import Emulator
from tests.unit.adapters.ibkr.house import Account

D = Decimal
OPTION = "AAPL261218C00200000"
LONDON = {"VOD.L": {"symbol": "VOD", "primary_exchange": "LSE", "currency": "GBP"}}

ASSETS = [
    # symbol, the venue's name, resting bid, the same on the wire, bid and ask of the market, quantity, multiplier
    ("AAPL", "AAPL", "189.5", "189.5", ("190", "190.02"), "3", 1),
    ("VOD.L", "VOD.LSE", "0.6998", "69.98", ("0.7", "0.7002"), "200", 1),
    ("EUR/USD", "EUR/USD", "1.08005", "1.08005", ("1.085", "1.08505"), "25000", 1),
    ("ESZ6", "ESZ6", "5990.25", "5990.25", ("6000", "6000.25"), "2", 50),
    (OPTION, OPTION, "4.9", "4.9", ("4.95", "5.05"), "1", 100),
    ("BTC/USD", "BTC/USD", "59990.25", "59990.25", ("60000", "60000.25"), "0.00125", 1),
]


@pytest.fixture
async def account(venue: Emulator) -> AsyncIterator[Account]:
    """An adapter that has one of each."""
    listed = [symbol for symbol, *_ in ASSETS if symbol != "VOD.L"]
    async with Account(venue.port, instruments=listed, contracts=LONDON) as account:
        yield account


@pytest.mark.parametrize(
    ("symbol", "name", "bid", "on_wire", "market", "quantity", "multiplier"), ASSETS, ids=lambda each: None
)
async def test_an_asset_from_the_order_to_the_position(
    venue: Emulator,
    account: Account,
    symbol: str,
    name: str,
    bid: str,
    on_wire: str,
    market: tuple[str, str],
    quantity: str,
    multiplier: int,
) -> None:
    await venue.show(name, [(market[0], "1000000")], [(market[1], "1000000")])
    resting, outcome = await account.place(symbol=symbol, quantity=D(quantity), limit_price=D(bid))
    assert isinstance(outcome, Accepted), outcome
    (shown,) = await venue.orders()
    assert D(shown["native"]["limit"]) == D(on_wire)
    found = await account.broker.find_order(resting)
    assert isinstance(found, Found)
    assert (found.order.symbol, found.order.limit_price) == (symbol, D(bid))
    assert (found.order.quantity, found.order.state) == (D(quantity), OrderState.NEW)
    dearer = replace(resting.spec, limit_price=D(market[1]))
    changed = await account.broker.replace_order(ReplaceCommand(resting, dearer, D(quantity)))
    assert isinstance(changed, Accepted), changed
    await account.until(lambda: account.filled() == D(quantity))
    await account.until(lambda: all(fill.fees_final for fill in account.fills().values()))
    assert {fill.price for fill in account.fills().values()} == {D(market[1])}
    assert {fill.symbol for fill in account.fills().values()} == {symbol}
    (held,) = [each for each in await account.broker.get_positions() if each.symbol == symbol]
    assert (held.quantity, held.multiplier) == (D(quantity), D(multiplier))
    paid = D(market[1]) * D(quantity) * multiplier
    assert paid <= held.cost <= paid + sum(fee.amount for f in account.fills().values() for fee in f.fees)


@pytest.mark.parametrize(
    ("symbol", "price", "quantity", "reason"),
    [
        ("AAPL", "189.505", "1", ErrorReason.PRICE_OFF_TICK),
        ("VOD.L", "0.6999", "1", ErrorReason.PRICE_OFF_TICK),
        ("ESZ6", "6000.1", "1", ErrorReason.PRICE_OFF_TICK),
        (OPTION, "3.01", "1", ErrorReason.PRICE_OFF_TICK),
        ("AAPL", "189.5", "0.5", ErrorReason.QUANTITY_OFF_LOT),
        ("BTC/USD", "60000", "0.000000001", ErrorReason.QUANTITY_OFF_LOT),
        ("BTC/USD", "60000", "0.000001", ErrorReason.QUANTITY_OUT_OF_RANGE),
        ("MSFT", "1", "1", ErrorReason.INSTRUMENT_NOT_FOUND),
    ],
)
async def test_what_an_asset_does_not_have_is_not_sent(
    venue: Emulator, account: Account, symbol: str, price: str, quantity: str, reason: ErrorReason
) -> None:
    _, outcome = await account.place(symbol=symbol, quantity=D(quantity), limit_price=D(price))
    assert isinstance(outcome, Rejected)
    assert outcome.reason is reason
    assert await venue.orders() == []


async def test_a_short_position_is_below_zero(venue: Emulator, account: Account) -> None:
    await venue.show("ESZ6", [("6000", "100")], [("6000.25", "100")])
    _, outcome = await account.place(symbol="ESZ6", side=Side.SELL, quantity=D(2), limit_price=D(6000))
    assert isinstance(outcome, Accepted), outcome
    await account.until(lambda: account.filled() == 2)
    (held,) = [each for each in await account.broker.get_positions() if each.symbol == "ESZ6"]
    assert held.quantity == D(-2)
    assert D(-600_000) <= held.cost <= D(-599_900)
    assert not account.of(OrderEventType.CANCELED)
