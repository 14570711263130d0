"""Cash, positions with their cost, what is realised, margin, and the values that are told of them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.emulators.client import Emulator
from tests.emulators.tws.bench import Bench
from tests.emulators.tws.raw import AAPL, Raw

D = Decimal


def trade(bench: Bench, name: str, action: str, quantity: str, price: str) -> None:
    """A market order that fills at this price."""
    best, tick = D(price), bench.contracts.by_name[name].instrument().price_increment
    bid, ask = (best - tick, best) if action == "BUY" else (best, best + tick)
    bench.core.show(name, [(bid, D(10**6))], [(ask, D(10**6))], bench.now_ns)
    order = bench.place(name, action=action, quantity=quantity, type="MKT")
    assert order.status == "Filled"


def test_a_position_costs_its_commission_and_realises_what_it_gains() -> None:
    bench = Bench()
    account = bench.accounts["DU1"]
    trade(bench, "AAPL", "BUY", "100", "190")
    holding = account.holdings[AAPL]
    assert (holding.quantity, holding.average_cost) == (D(100), D("190.01"))
    trade(bench, "AAPL", "SELL", "50", "200")
    # 50 × (200 − 190.01) less a commission of 1
    assert account.realized == D("498.50")
    assert bench.floor.executions[-1].realized == D("498.50")
    trade(bench, "AAPL", "SELL", "150", "200")
    assert holding.quantity == -100
    assert account.cash["USD"] == 1_000_000 - 19_000 - 1 + 40_000 - 2
    trade(bench, "AAPL", "BUY", "100", "195")
    assert holding.quantity == 0
    assert holding.cost == 0
    assert account.equity() == account.cash["USD"]


@pytest.mark.parametrize(
    ("name", "quantity", "price", "cash"),
    [
        ("ESZ6", "2", "6000", {"USD": D("999995.50")}),
        ("AAPL261218C00200000", "2", "5", {"USD": D("998998.70")}),
        ("EUR/USD", "1000", "1.08500", {"USD": D("998913.00"), "EUR": D(1000)}),
        ("BTC/USD", "0.5", "60000", {"USD": D("969946.00")}),
        ("VOD.LSE", "100", "0.75", {"USD": D(1_000_000), "GBP": D(-76)}),
    ],
)
def test_each_kind_moves_cash_in_its_own_way(
    name: str, quantity: str, price: str, cash: dict[str, Decimal]
) -> None:
    bench = Bench()
    trade(bench, name, "BUY", quantity, price)
    assert bench.accounts["DU1"].cash == cash


def test_a_future_pays_when_it_is_closed() -> None:
    bench = Bench()
    account = bench.accounts["DU1"]
    trade(bench, "ESZ6", "BUY", "1", "6000")
    trade(bench, "ESZ6", "SELL", "1", "6010")
    assert account.cash["USD"] == 1_000_000 + 500 - D("4.50")
    assert account.equity() == account.cash["USD"]


def test_margin_grows_with_a_position_and_not_with_its_close() -> None:
    bench = Bench()
    account = bench.accounts["DU1"]
    trade(bench, "AAPL", "BUY", "20000", "190")
    bench.show("AAPL", "189.99", "190.01")
    assert account.margin() == 950_000
    listed = bench.contracts.by_name["AAPL"]
    assert account.lacks(listed, D(2000), D(190)) == 95_000
    assert account.lacks(listed, D(-40_000), D(190)) is None
    assert account.lacks(listed, D(-45_000), D(190)) == 237_500


def test_accounts_of_one_login_are_apart() -> None:
    bench = Bench("DU1", "DU2")
    bench.place(type="MKT", account="DU2")
    assert not bench.accounts["DU1"].holdings
    assert bench.accounts["DU2"].holdings[AAPL].quantity == 10


async def test_values_positions_and_pnl_are_told_as_they_change(venue: Emulator, raw: Raw) -> None:
    raw.send(6, 2, True, "DU1")
    await raw.until(54)
    raw.send(61, 1)
    await raw.until(62)
    raw.send(92, 500, "DU1", "")
    await raw.until(94)
    raw.send(62, 1, 501, "All", "NetLiquidation,$LEDGER:ALL")
    accounts = {(await raw.until(63, lambda told: told[4] == "NetLiquidation"))[3] for _ in range(2)}
    assert accounts == {"DU1", "DU2"}
    await raw.until(64)
    raw.place(account="DU1", limit="190.01")
    assert (await raw.until(61))[2:4] == ["DU1", str(AAPL)]
    value = await raw.until(6, lambda told: told[2:3] == ["CashBalance"] and told[4] == "USD")
    assert value[3] == "998098.90"
    assert (await raw.until(94))[2] != "0"
    raw.send(64, 1)
    raw.send(6, 2, False, "DU1")
    raw.send(93, 500)
    raw.send(63, 1, 501)
    await raw.here()
    mark = len(raw.heard)
    await venue.add_fill("AAPL", "sell", 1, 191)
    await raw.here()
    assert raw.since(mark) == [49]


async def test_an_account_that_there_is_not_is_refused(raw: Raw) -> None:
    raw.send(6, 2, True, "DU9")
    assert "Invalid account code" in (await raw.error(321))[4]
    raw.send(76, 1, 502, "DU9", "", False)
    assert (await raw.error(321))[2] == "502"
