"""Positions and balances in the journal: never ahead of the fills that made them, and never behind for good."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from brokergate.adapters.paper.broker import PaperTradingBroker
from brokergate.domain.commands import CancelOrder, OrderRef, PlaceOrder, Request
from brokergate.domain.market import QuoteView
from brokergate.domain.orders import OrderSpec, OrderType, Side
from brokergate.domain.policy import AccountPolicy
from brokergate.engine.gateway import Gateway
from brokergate.journal.memory import MemoryJournal
from brokergate.ports.broker import PushedUpdate
from brokergate.ports.journal import Journal
from brokergate.v1 import event_pb2
from tests.unit.adapters.paper.hand_clock import HandClock, broker, settle
from tests.unit.engine.conftest import no_paper

PUSHED: dict[str, object] = {
    "push": {
        "instruments": [{"symbol": "BTC/USDT", "price_increment": "0.5", "quantity_increment": "0.1"}],
    }
}
CROSSING = PushedUpdate(
    QuoteView("BTC/USDT", Decimal("98"), Decimal("5"), Decimal("99.5"), Decimal("5"), 5, 0),
)


@pytest.fixture
async def journal() -> AsyncIterator[Journal]:
    journal = MemoryJournal(random.Random(1).getrandbits)
    yield journal
    journal.close()


async def opened(journal: Journal) -> tuple[Gateway, PaperTradingBroker]:
    """A gateway with one paper account on a pushed market; nothing has run since the account was taken in."""
    clock = HandClock()
    paper = broker(
        clock, PUSHED, initial_balance={"USDT": "1000"}, taker_fee_percent="0", maker_fee_percent="0"
    )
    gateway = Gateway(journal, clock, lambda *_, **__: None, no_paper)
    await gateway.add_account("paper", paper, AccountPolicy())
    return gateway, paper


def bid(name: str, price: str) -> PlaceOrder:
    spec = OrderSpec("BTC/USDT", Side.BUY, OrderType.LIMIT, Decimal(1), limit_price=Decimal(price))
    return PlaceOrder("paper", name, spec, b"body")


def balances_and_cash(journal: Journal) -> list[tuple[Decimal, Decimal]]:
    """Every balance that was journalled, beside the cash that the events before it make."""
    cash, found = Decimal(0), []
    for stored in journal.read("paper", 0, 1000):
        event = event_pb2.Event.FromString(stored.body)
        match event.WhichOneof("payload"):
            case "ledger_entry":
                cash += Decimal(event.ledger_entry.entry.amount.amount)
            case "fill":
                cash -= Decimal(event.fill.fill.quantity) * Decimal(event.fill.fill.price)
            case "balance" if event.balance.balance.currency_code == "USDT":
                found.append((Decimal(event.balance.balance.total), cash))
            case _:
                pass
    return found


async def test_a_commit_never_holds_a_balance_without_the_fills_that_made_it(journal: Journal) -> None:
    """A resting order fills after a command was staged and before its commit: the commit has the fill too."""
    gateway, paper = await opened(journal)
    await gateway.place_orders([bid("resting", "100"), bid("far", "10")])
    cancel = Request("r1", "CancelOrder", b"", lambda _: b"answer")
    command = asyncio.create_task(gateway.cancel_order(CancelOrder("paper", OrderRef("", "far")), cancel))
    await asyncio.sleep(0)

    await paper.push([CROSSING])
    journal.flush()

    pairs = balances_and_cash(journal)
    assert pairs[-1] == (Decimal(900), Decimal(900))
    assert all(balance == cash for balance, cash in pairs)
    await command
    await gateway.close()


async def test_what_fills_while_an_account_is_taken_up_leaves_the_right_balance(journal: Journal) -> None:
    """What the account had when it was taken up is told before what fills then, and does not overwrite it."""
    before, _ = await opened(journal)
    await before.place_order(bid("resting", "100"))
    await before.close()

    gateway, paper = await opened(journal)
    await paper.push([CROSSING])
    journal.flush()
    await settle()
    journal.flush()

    assert all(balance == cash for balance, cash in balances_and_cash(journal))
    assert {balance.currency: balance.total for balance in journal.balances("paper")}["USDT"] == Decimal(900)
    await gateway.close()


async def test_a_balance_that_is_shown_is_durable_with_its_fills(journal: Journal) -> None:
    """What the market has just filled is in the journal before the balance that it made is answered."""
    gateway, paper = await opened(journal)
    await gateway.place_order(bid("resting", "100"))

    await paper.push([CROSSING])
    shown = {balance.currency: balance.total for balance in (await gateway.list_balances("paper")).value}

    assert shown["USDT"] == Decimal(900)
    assert balances_and_cash(journal)[-1] == (Decimal(900), Decimal(900))
    await gateway.close()
