"""Whatever clients do, the books agree: orders with their executions, positions with both, cash with all of it."""

from __future__ import annotations

import random
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from tests.emulators.tws.bench import Bench
from tests.emulators.tws.orders import TwsOrder

D = Decimal
STEPS = 150
ENDED = ("Filled", "Cancelled", "Inactive")


def terms(chance: random.Random, bench: Bench) -> dict[str, Any]:
    """Any order, a few of them wrong."""
    kind = chance.choice(("MKT", "LMT", "LMT", "STP", "STP LMT", "TRAIL", "MIT", "LIT"))
    price = D(chance.randint(180, 200))
    made: dict[str, Any] = {
        "type": kind,
        "action": chance.choice(("BUY", "SELL")),
        "quantity": D(chance.randint(0, 9)),
        "tif": chance.choice(("DAY", "GTC", "IOC", "FOK") if kind in ("MKT", "LMT") else ("DAY", "GTC")),
        "limit": price if kind in ("LMT", "STP LMT", "LIT") else None,
        "aux": D(2) if kind == "TRAIL" else price if kind in ("STP", "STP LMT", "MIT", "LIT") else None,
        "account": chance.choice(("DU1", "DU2")),
        "transmit": chance.random() < 0.9,
    }
    if chance.random() < 0.2:
        made |= {"oca_group": chance.choice("ab"), "oca_type": chance.randint(1, 3)}
    parents = [order.order_id for order in bench.floor.live if not order.asked.parent_id]
    if parents and chance.random() < 0.2:
        made["parent_id"] = chance.choice(parents)
    return made


def step(chance: random.Random, bench: Bench) -> None:
    """Something that a client, the market or the clock does."""
    match chance.randint(0, 9):
        case 0 | 1 | 2 | 3:
            bench.try_to(lambda: bench.place(**terms(chance, bench)))
        case 4 if bench.floor.orders:
            order = chance.choice(bench.floor.orders)
            new = {"quantity": D(chance.randint(1, 9)), "limit": D(chance.randint(180, 200))}
            asked = {name: getattr(order.asked, name) for name in ("action", "type", "aux", "account")}
            bench.try_to(lambda: bench.place(order_id=order.order_id, **{**asked, **new}))
        case 5 if bench.floor.orders:
            bench.try_to(lambda: bench.desk.cancel(1, chance.choice(bench.floor.orders).order_id))
        case 6 | 7:
            bid = chance.randint(181, 198)
            bench.show("AAPL", str(bid), str(bid + 1), size=str(chance.randint(1, 6)))
        case 8:
            price = D(chance.randint(180, 199))
            bench.core.trade("AAPL", price, D(chance.randint(1, 6)), "", bench.now_ns)
        case _:
            bench.floor.open_now = not bench.floor.open_now
            bench.floor.begin("a market that is open") if bench.floor.open_now else None


@pytest.mark.parametrize("seed", range(12))
def test_the_books_agree(seed: int) -> None:
    chance = random.Random(seed)
    bench = Bench("DU1", "DU2")
    bench.core.parts = 1 + seed % 3
    bench.show("AAPL", "189", "191", "5")
    for _ in range(STEPS):
        step(chance, bench)
    floor = bench.floor
    assert len(floor.executions) > 5
    names = [execution.execution_id for execution in floor.executions]
    assert len(names) == len(set(names))
    for order in floor.orders:
        _check_order(order)
    for name, account in bench.accounts.items():
        held = sum(
            (each.quantity if each.order.asked.buys else -each.quantity)
            for each in floor.executions
            if each.order.account == name
        )
        paid = sum(
            (each.quantity * each.price * (1 if each.order.asked.buys else -1) + each.commission)
            for each in floor.executions
            if each.order.account == name
        )
        holding = account.holdings.get(265598)
        assert held == (holding.quantity if holding else 0)
        assert account.cash["USD"] == 1_000_000 - paid
    _check_told(bench)


def _check_order(order: TwsOrder) -> None:
    assert order.filled == sum(execution.quantity for execution in order.executions)
    assert order.notional == sum(execution.quantity * execution.price for execution in order.executions)
    assert order.filled >= 0
    assert order.filled <= order.asked.quantity or order.status != "Filled"
    assert (order.status == "Filled") == (order.left == 0)
    assert (order.part is None) or order.live
    if order.live and order.part is not None:
        assert order.part.leaves == order.left


def _check_told(bench: Bench) -> None:
    """What was told of an order grows, ends once, and is how it stands."""
    last: dict[int, tuple[str, Decimal]] = {}
    ends: Counter[int] = Counter()
    for what, order, filled in bench.told:
        before = last.get(order.number)
        if before is not None:
            assert filled >= before[1]
        if what in ENDED and (before is None or before[0] != what):
            ends[order.number] += 1
        if what not in ("execution", "commission"):
            last[order.number] = (what, filled)
    for order in bench.floor.orders:
        if order.number in last:
            assert last[order.number] == (order.status, order.filled)
    assert set(ends.values()) <= {1}
