"""The life of an order is the table, and the functions that follow it keep the quantities true."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokergate.domain import lifecycle
from brokergate.domain.errors import ErrorReason
from brokergate.domain.events import OrderEventType as E
from brokergate.domain.fills import Fill, Liquidity
from brokergate.domain.lifecycle import TRANSITIONS, IllegalTransition
from brokergate.domain.money import ZERO
from brokergate.domain.orders import (
    ENDED,
    Order,
    OrderSpec,
    OrderType,
    PendingAction,
    PendingActionKind,
    Side,
)
from brokergate.domain.orders import OrderState as S


def an_order(quantity: str = "10") -> Order:
    spec = OrderSpec("BTC/USDT", Side.BUY, OrderType.LIMIT, Decimal(quantity), limit_price=Decimal(100))
    return lifecycle.intend(
        order_id="paper-1-o1",
        client_order_id="c1",
        account_id="paper",
        spec=spec,
        quantity=Decimal(quantity),
        multiplier=Decimal(1),
        now_ns=1,
    )


def a_fill(quantity: str, price: str = "100") -> Fill:
    return Fill(
        "f", "paper", "paper-1-o1", "c1", "P1", "X1", "BTC/USDT", Side.BUY, Decimal(quantity), Decimal(price), (),
        Liquidity.TAKER, 2, 2,
    )  # fmt: skip


def test_an_ended_order_never_works_again() -> None:
    """No event leads from an ended state to another state."""
    for (state, _), to in TRANSITIONS.items():
        if state in ENDED:
            assert to is state


def test_every_working_state_can_end() -> None:
    """From every working state an order can fill, be cancelled and expire."""
    for state in (S.PENDING_NEW, S.NEW, S.PARTIALLY_FILLED):
        for event, end in ((E.FILLED, S.FILLED), (E.CANCELED, S.CANCELED), (E.EXPIRED, S.EXPIRED)):
            assert TRANSITIONS[state, event] is end


def test_a_partly_filled_order_cannot_be_rejected() -> None:
    """What has filled was taken: a rejection after a fill contradicts it and raises."""
    order, _ = lifecycle.fill(lifecycle.acknowledge(an_order(), "P1", 2), a_fill("1"), 3)
    with pytest.raises(IllegalTransition, match="REJECTED does not follow PARTIALLY_FILLED"):
        lifecycle.reject(order, ErrorReason.BROKER_REJECTED, "no", 4)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12))
def test_quantity_is_cum_plus_leaves_while_it_works(parts: list[int]) -> None:
    """Fills add up: quantity = cum + leaves while it works, leaves = 0 at the end, notional exact."""
    order = lifecycle.acknowledge(an_order("40"), "P1", 2)
    filled = 0
    for part in parts:
        if order.ended:
            break
        order, event = lifecycle.fill(order, a_fill(str(part)), 3)
        filled += part
        assert order.cum_quantity == filled
        assert order.cum_notional == filled * 100
        if filled < 40:
            assert (event, order.state) == (E.PARTIALLY_FILLED, S.PARTIALLY_FILLED)
            assert order.quantity == order.cum_quantity + order.leaves_quantity
        else:
            assert (event, order.state, order.leaves_quantity) == (E.FILLED, S.FILLED, ZERO)
    assert order.average_price == 100


def test_a_fill_after_the_end_is_booked_and_does_not_reopen() -> None:
    """A fill on a cancelled order counts, as a correction; the order stays cancelled (law 7)."""
    order = lifecycle.cancel(lifecycle.acknowledge(an_order(), "P1", 2), 3)
    order, event = lifecycle.fill(order, a_fill("4"), 4)
    assert (event, order.state, order.cum_quantity, order.leaves_quantity) == (
        E.CORRECTED,
        S.CANCELED,
        Decimal(4),
        ZERO,
    )


def test_a_cancel_may_be_under_way_while_a_replace_is() -> None:
    """Pending actions stand side by side, and each goes when its own answer comes."""
    order = lifecycle.acknowledge(an_order(), "P1", 2)
    assert order.pending == ()
    order = lifecycle.request(order, PendingAction(PendingActionKind.REPLACE, "r", 3))
    order = lifecycle.request(order, PendingAction(PendingActionKind.CANCEL, "c", 4))
    order = lifecycle.uncertain(order, PendingActionKind.CANCEL, 5)
    assert [(a.kind.name, a.uncertain) for a in order.pending] == [("REPLACE", False), ("CANCEL", True)]
    order = lifecycle.replaced(order, order.spec, Decimal(12), "P2", 6)
    assert (order.generation, order.broker_order_id, order.leaves_quantity) == (2, "P2", Decimal(12))
    assert [action.kind.name for action in order.pending] == ["CANCEL"]
    order = lifecycle.refuse(order, PendingActionKind.CANCEL, 7)
    assert (order.pending, order.state) == ((), S.NEW)


def test_the_diagram_is_the_table(project_root: Path) -> None:
    """docs/order-lifecycle.md is written by tools/lifecycle_docs.py, and is up to date."""
    done = subprocess.run(
        [sys.executable, project_root / "tools" / "lifecycle_docs.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
