"""Whatever is asked of it in whatever order, the emulator's books agree with each other."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from tests.emulators.alpaca.bench import Bench, at
from tests.emulators.alpaca.held import OPEN, Held
from tests.emulators.alpaca.hours import Mode
from tests.emulators.alpaca.refusal import Refused

D = Decimal
SEEDS = 60
STEPS = 120
MIDDLE = {"AAPL": D(190), "MSFT": D(420), "BTC/USD": D(60000)}


def asked(dice: Random) -> dict[str, Any]:
    """An order of any kind, often one that is refused."""
    symbol = dice.choice(list(MIDDLE))
    crypto = "/" in symbol
    price = (MIDDLE[symbol] * D(dice.randint(97, 103)) / 100).quantize(D("0.01"))
    further = (price * D("1.02")).quantize(D("0.01"))
    nearer = (price * D("0.98")).quantize(D("0.01"))
    side = dice.choice(["buy", "sell"])
    order: dict[str, Any] = {
        "symbol": symbol,
        "side": side,
        "qty": dice.choice(["0.01", "0.1", "0.25"]) if crypto else dice.choice(["1", "3", "10"]),
        "type": dice.choice(["market", "limit", "stop", "stop_limit", "trailing_stop"]),
        "time_in_force": dice.choice(["gtc", "gtc", "day", "ioc", "fok", "opg", "cls"]),
    }
    if order["type"] in ("limit", "stop_limit"):
        order["limit_price"] = str(price)
    if order["type"] in ("stop", "stop_limit"):
        order["stop_price"] = str(price)
    if order["type"] == "trailing_stop":
        order["trail_percent"] = "1"
    if dice.random() < 0.3:
        up, down = ({"limit_price": str(further)}, {"stop_price": str(nearer)})
        if side == "sell":
            up, down = {"limit_price": str(nearer)}, {"stop_price": str(further)}
        order |= {"order_class": dice.choice(["bracket", "oco", "oto"]), "take_profit": up, "stop_loss": down}
        if order["order_class"] == "oto":
            del order["take_profit"]
        if order["order_class"] == "oco":
            order |= {"take_profit": {"limit_price": str(further if side == "sell" else nearer)}}
            order |= {"stop_loss": {"stop_price": str(nearer if side == "sell" else further)}}
    if dice.random() < 0.1:
        order |= {"qty": None, "notional": str(dice.randint(10, 2000))}
    if dice.random() < 0.1:
        order["extended_hours"] = True
    return order


def step(bench: Bench, dice: Random) -> None:
    floor = bench.desk.floor
    some = dice.choice(floor.open) if floor.open else None
    match dice.randint(0, 11):
        case 0 | 1 | 2 | 3:
            bench.desk.place(asked(dice), bench.now_ns)
        case 4 | 5 | 6:
            symbol = dice.choice(list(MIDDLE))
            bid = (MIDDLE[symbol] * D(dice.randint(970, 1030)) / 1000).quantize(D("0.01"))
            move = bench.show if dice.random() < 0.5 else bench.trade
            move(symbol, str(bid), str(bid + D("0.02")), dice.choice(["0.05", "2", "1000"]))
        case 7 if some is not None:
            bench.desk.cancel(some.id, bench.now_ns)
        case 8 if some is not None:
            change = {"qty": dice.randint(1, 12)} if dice.random() < 0.5 else {"limit_price": "189.5"}
            bench.desk.replace(some.id, change, bench.now_ns)
        case 9:
            bench.now_ns += dice.choice([1, 3_600, 40_000]) * 1_000_000_000
            bench.core.advance(bench.now_ns)
        case 10:
            if dice.random() < 0.5:
                floor.hold_back()
            else:
                floor.release()
        case _:
            for symbol in list(bench.desk.holdings.positions)[:1]:
                bench.desk.close(symbol, {}, bench.now_ns)


def pending(bench: Bench, order: Held) -> bool:
    """Whether it is to replace another, and has not yet."""
    old = bench.desk.floor.by_id.get(order.replaces or "")
    return old is not None and old.replaced_by is None


def check(bench: Bench) -> None:
    floor, cash = bench.desk.floor, D(1_000_000)
    held: defaultdict[str, Decimal] = defaultdict(D)
    for execution in bench.core.executions:
        order: Held = execution.order.extra["held"]
        held[order.asset.symbol] += order.side * execution.quantity
        cash -= order.side * execution.notional
        if execution.fee_currency == "USD":
            cash -= execution.fee
        elif execution.fee:
            held[order.asset.symbol] -= execution.fee
    assert bench.core.totals["USD"] == cash
    positions = bench.desk.holdings.positions
    assert {symbol: position.qty for symbol, position in positions.items()} == {
        symbol: qty for symbol, qty in held.items() if qty
    }
    assert all(position.qty > 0 for position in positions.values() if position.asset.crypto)
    for order in floor.orders:
        assert order.qty is None or order.filled_qty <= order.qty
        assert order.notional is None or order.filled_notional <= order.notional
        assert (order.status in OPEN) == (order in floor.open), order.status
        assert order.status != "filled" or order.filled_qty
        assert not order.legs or order.status != "replaced" or order.replaced_by
        if order.open and not pending(bench, order):
            assert order.part is not None, f"{order.status} {order.type} {order.order_class} is nowhere"
            assert order.part.open
    for core_order in bench.core.open.values():
        assert core_order.extra["held"].open, "nothing works in the market that is over at Alpaca's"
    for head in floor.orders:
        legs = [leg for leg in head.legs if leg.parent is head and head.order_class != "oco"]
        assert sum((leg.filled_qty for leg in legs), D(0)) <= head.filled_qty or not legs
    fills = floor.activities.page({"direction": "asc"}, {"FILL"}, bench.now_ns)
    assert len(fills) == min(100, len(bench.core.executions))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_books_agree(seed: int) -> None:
    dice = Random(seed)
    bench = Bench(at("2026-06-15T13:00:00Z"), dice.choice(list(Mode)), cash="1000000")
    refused = 0
    for _ in range(STEPS):
        try:
            step(bench, dice)
        except Refused:
            refused += 1
        check(bench)
    assert refused < STEPS
    told = [each["execution_id"] for each in bench.told]
    assert len(set(told)) == len(told)
