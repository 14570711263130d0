"""A venue's life: restarts, resets, previews, what it refuses, and the same bytes every time."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from random import Random

import pytest

from brokergate.domain.accounts import BrokerBalance, BrokerPosition, LedgerEntry
from brokergate.domain.errors import ErrorReason
from brokergate.domain.orders import Order, OrderState, OrderType, TimeInForce, TriggerSource
from brokergate.ports.broker import Accepted, Rejected, RestoredState
from brokergate.sim.fees import FeeSchedule
from brokergate.sim.terms import AccountTerms
from tests.unit.sim.matching.desk import AAPL, BTC, DAY, EUR, IOC, Desk, price, quantity


def state_of(desk: Desk, *open_orders: Order) -> RestoredState:
    """What a journal would know of a desk's account."""
    return RestoredState(
        open_orders,
        desk.venue.positions(),
        desk.venue.balances(),
        fills=len(desk.fills()),
        orders=len(desk.orders),
    )


def working(desk: Desk, name: str, filled: int = 0) -> Order:
    """An order as the journal has it while it works."""
    order = desk.orders[name]
    return replace(
        order,
        state=OrderState.PARTIALLY_FILLED if filled else OrderState.NEW,
        broker_order_id=f"P{name[1:]}",
        cum_quantity=quantity(filled),
    )


def test_an_account_goes_on_after_a_restart() -> None:
    """Orders, balances, position and holds are there again, ids go on, and nothing is deposited twice."""
    desk = Desk(balances={"USDT": Decimal(100)})
    desk.snapshot([(99, 500)], [(100, 500)])
    desk.buy(300)
    desk.buy(50, 98)
    desk.send(-1, 40, stop=90, source=TriggerSource.BID_ASK)
    desk.trade(97, 10, -1)
    again = Desk(state=state_of(desk, working(desk, "c2", 10), working(desk, "c3")))
    assert again.venue.balances() == [replace(b, as_of_ns=1_000) for b in desk.venue.balances()]
    before, after = desk.position(), again.position()
    assert (after.quantity, after.cost, after.realized_pnl) == (
        before.quantity,
        before.cost,
        before.realized_pnl,
    )
    assert not [report for report in again.log if isinstance(report, LedgerEntry)]
    again.snapshot([(97, 5)], [(98, 3)])
    assert again.fills() == [("c2", 98, 3)]
    again.snapshot([(89, 100)], [(99, 3)])
    assert again.changes() == [("c3", "TRIGGERED"), ("c2", "CANCELED")]
    outcome = again.buy(1)
    assert isinstance(outcome, Accepted)
    assert outcome.broker_order_id == "P4"
    assert [report.execution_id for report in again.log if hasattr(report, "execution_id")] == [
        "X3",
        "X4",
        "X5",
    ]


def test_an_order_that_cannot_be_taken_up_is_cancelled() -> None:
    """A feed with other instruments: the order ends with a word, the position stays as it was told."""
    desk = Desk(balances={"USDT": Decimal(100)})
    desk.snapshot([(99, 500)], [(100, 500)])
    desk.buy(300)
    desk.buy(50, 98)
    again = Desk(AAPL, state=state_of(desk, working(desk, "c2")))
    assert again.changes() == [("c2", "CANCELED")]
    assert [p.symbol for p in again.venue.positions()] == ["BTC/USDT"]
    assert {b.currency: b.held for b in again.venue.balances()}["USDT"] == 0


def test_a_reset_starts_anew_and_says_so() -> None:
    """Orders are cancelled, positions flat, what was there is taken out and what begins is put in; ids go on."""
    desk = Desk(balances={"USDT": Decimal(100)})
    desk.snapshot([(99, 500)], [(100, 500)])
    desk.buy(300)
    desk.buy(50, 98)
    reports = desk.venue.reset({"USDT": Decimal(7), "EUR": Decimal(5)}, desk.tick())
    assert desk.changes(reports) == [("c2", "CANCELED")]
    entries = [
        (r.kind.name, r.amount.amount, r.amount.currency) for r in reports if isinstance(r, LedgerEntry)
    ]
    assert entries == [
        ("RESET", Decimal("-0.3"), "BTC"),
        ("RESET", Decimal("-99.7"), "USDT"),
        ("DEPOSIT", Decimal(5), "EUR"),
        ("DEPOSIT", Decimal(7), "USDT"),
    ]
    (flat,) = [r for r in reports if isinstance(r, BrokerPosition)]
    assert (flat.quantity, flat.realized_pnl, flat.fees) == (Decimal(0), Decimal(0), ())
    assert {r.currency: (r.total, r.held) for r in reports if isinstance(r, BrokerBalance)} == {
        "BTC": (Decimal(0), Decimal(0)),
        "EUR": (Decimal(5), Decimal(0)),
        "USDT": (Decimal(7), Decimal(0)),
    }
    assert desk.fills(desk.trade(97, 10, -1)) == []
    outcome = desk.buy(1)
    assert isinstance(outcome, Accepted)
    assert outcome.broker_order_id == "P3"
    first = {r.currency: r.total for r in desk.venue.reset(None, desk.tick()) if isinstance(r, BrokerBalance)}
    assert first == {"BTC": 0, "USDT": 100, "EUR": 0}


def test_a_preview_is_what_then_happens_and_changes_nothing() -> None:
    """Average price, size, notional, fees and funds of an order that is then placed; twice the same."""
    terms = AccountTerms({"USDT": Decimal(100)}, FeeSchedule(Decimal("0.1")))
    desk = Desk(terms=terms)
    desk.snapshot([(99, 500)], [(100, 300), (101, 300)])
    order = desk.order(1, 400)
    preview = desk.venue.preview(order.spec, desk.now_ns)
    assert preview == desk.venue.preview(order.spec, desk.now_ns)
    assert (preview.estimated_price, preview.estimated_fill_quantity) == (Decimal("1.0025"), Decimal("0.4"))
    assert preview.estimated_notional.amount == Decimal("0.401")
    assert preview.required_funds.amount == Decimal("0.401401")
    desk.place([order])
    assert Decimal(100) - desk.balance("USDT").total == preview.required_funds.amount
    dear = desk.venue.preview(desk.order(1, 10**7, 100).spec, desk.now_ns)
    assert dear.rejection is not None
    assert dear.rejection[0] is ErrorReason.INSUFFICIENT_FUNDS
    waiting = desk.venue.preview(desk.order(1, 10, stop=200).spec, desk.now_ns)
    assert (waiting.estimated_price, waiting.rejection) == (None, None)
    assert waiting.required_funds.amount == Decimal("0.02002")


def test_a_stale_market_refuses_orders_and_says_since_when() -> None:
    """Older than the limit is too old; cancels pass."""
    start = 1_723_100_000_000_000_000
    desk = Desk(terms=AccountTerms({"USDT": Decimal(100)}, stale_after_ns=10**9), start_ns=start)
    desk.snapshot([(99, 500)], [(100, 500)])
    assert isinstance(desk.buy(5, 90), Accepted)
    desk.now_ns += 10**9
    outcome = desk.buy(1)
    assert isinstance(outcome, Rejected)
    assert outcome.reason is ErrorReason.STALE_MARKET_DATA
    assert "no market data since 2024-08-08T06:53:20.000+00:00" in outcome.message
    assert isinstance(desk.cancel("c1"), Accepted)
    desk.trade(100, 1)
    assert isinstance(desk.buy(1), Accepted)


def bad_specs(desk: Desk) -> list[Order]:
    """Orders that no gateway would let through."""
    order = desk.order(1, 5, 100)

    changed: list[dict[str, object]] = [
        {"type": OrderType.TRAILING_STOP},
        {"type": OrderType.UNSPECIFIED},
        {"side": 0},
        {"time_in_force": TimeInForce.AT_OPEN},
        {"limit_price": None},
        {"limit_price": Decimal("1.005")},
        {"limit_price": Decimal(0)},
        {"limit_price": Decimal(-1)},
        {"stop_price": Decimal(1)},
        {"type": OrderType.STOP, "limit_price": None, "stop_price": price(120), "time_in_force": IOC},
        {
            "trail_amount": price(1),
            "type": OrderType.TRAILING_STOP,
            "limit_price": None,
            "trail_percent": Decimal(1),
        },
        {"trail_percent": Decimal(100), "type": OrderType.TRAILING_STOP, "limit_price": None},
        {"display_quantity": Decimal("0.0005")},
        {"quote_quantity": Decimal(5)},
        {"time_in_force": TimeInForce.GTD, "expire_time_ns": 1},
    ]
    specs = [replace(order.spec, **changes) for changes in changed]  # type: ignore[arg-type]
    sizes = [Decimal("0.0005"), Decimal(0), Decimal(-1)]
    orders = [replace(order, spec=spec) for spec in specs] + [replace(order, quantity=size) for size in sizes]
    return [replace(bad, client_order_id=f"bad{number}") for number, bad in enumerate(orders)]


def test_bad_orders_are_rejected_and_corrupt_nothing() -> None:
    """Whatever comes, the answer is a rejection, and book, money and ids stand as before."""
    desk = Desk()
    desk.snapshot([(99, 500)], [(100, 500)])
    balances = desk.venue.balances()
    for order in bad_specs(desk):
        (outcome,) = desk.place([order])
        assert isinstance(outcome, Rejected)
        without = order.spec.time_in_force is TimeInForce.AT_OPEN
        assert outcome.reason is (ErrorReason.UNSUPPORTED if without else ErrorReason.INVALID_FIELD)
    (unknown,) = desk.place([desk.order(1, 1, symbol="X/Y")])
    assert isinstance(unknown, Rejected)
    assert unknown.reason is ErrorReason.INSTRUMENT_NOT_FOUND
    assert [replace(b, as_of_ns=0) for b in desk.venue.balances()] == [
        replace(b, as_of_ns=0) for b in balances
    ]
    assert desk.fills(desk.buy(500)) == [(list(desk.orders)[-1], 100, 500)]


def test_an_id_that_is_open_is_refused() -> None:
    """Two working orders never share a client id."""
    desk = Desk()
    order = desk.order(1, 5, 100)
    outcomes = desk.place([order, order])
    assert [type(outcome) for outcome in outcomes] == [Accepted, Rejected]


def test_an_unknown_instrument_of_a_feed_is_an_error() -> None:
    """A feed that tells of something else is wired wrongly."""
    with pytest.raises(ValueError, match="no instrument 'X'"):
        Desk().snapshot([], [], "X")


def busy_day(seed: int) -> str:
    """A digest of everything that a venue told in a busy day: three markets, orders of all kinds, reset midway."""
    random = Random(seed)
    terms = AccountTerms(
        {"USDT": Decimal(900), "USD": Decimal(900), "BTC": Decimal(3)},
        FeeSchedule(Decimal("0.1"), Decimal("0.02")),
    )
    desk = Desk(BTC, EUR, AAPL, terms=terms)
    symbols = ["BTC/USDT", "EUR/USD", "AAPL"]
    for step in range(600):
        desk.symbol = random.choice(symbols)
        middle = 1000 + random.randint(-30, 30)
        desk.snapshot(
            [(middle - n, 40 + n) for n in range(1, 9)], [(middle + n, 40 + n) for n in range(1, 9)]
        )
        limit, stop = random.choice((None, middle + 3, middle - 3)), random.choice((None, None, middle + 5))
        tif = DAY if stop else random.choice((DAY, IOC))
        desk.send(random.choice((1, -1)), random.randint(1, 90), limit, stop, tif)
        desk.trade(middle, random.randint(1, 50), random.choice((-1, 0, 1)))
        if step % 3 == 0:
            desk.cancel(random.choice(list(desk.orders)))
        if step == 400:
            desk.log += desk.venue.reset(None, desk.tick())
    told = repr((desk.log, desk.venue.positions(), desk.venue.balances(), desk.venue.info()))
    assert len(desk.fills()) > 300
    return hashlib.sha256(told.encode()).hexdigest()


def test_the_same_commands_give_the_same_bytes_in_every_process() -> None:
    """Law 12: two processes whose hashes differ tell the same story to the byte, another seed another one."""
    program = "from tests.unit.sim.matching.test_lives import busy_day; print(busy_day(1), busy_day(2))"
    digests = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for seed in ("1", "77")
    ]
    assert digests[0] == digests[1] == [busy_day(1), busy_day(2)]
    assert digests[0][0] != digests[0][1]
