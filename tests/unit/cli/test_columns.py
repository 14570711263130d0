"""What a cell of a table says of an order, a stop and a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
import typer

from brokergate.cli.control import UPDATES, _time
from brokergate.cli.output import plain
from brokergate.cli.trade import ORDERS
from brokergate_client import (
    ErrorReason,
    Order,
    OrderOrigin,
    OrderState,
    PendingAction,
    PendingActionKind,
    Side,
    StopPhase,
    StopProgress,
    StopUpdate,
    market_order,
)

ORDER = Order(
    order_id="a-1-o1",
    client_order_id="c1",
    account_id="a",
    route_id="",
    broker_order_id="",
    origin=OrderOrigin.GATEWAY,
    generation=1,
    spec=market_order("BTC/USDT", Side.BUY, 1),
    state=OrderState.PENDING_NEW,
    pending=(),
    quantity=Decimal(1),
    cum_quantity=Decimal(0),
    leaves_quantity=Decimal(1),
    cum_notional=Decimal(0),
    average_price=None,
    reject_reason=ErrorReason.UNSPECIFIED,
    reject_message="",
    create_time_ns=1,
    update_time_ns=1,
    triggered=False,
    group_id="",
)


@pytest.mark.parametrize(
    ("pending", "says"),
    [
        ((), "PENDING_NEW"),
        ((PendingAction(PendingActionKind.NEW, "", 1, False),), "PENDING_NEW (NEW pending)"),
        ((PendingAction(PendingActionKind.NEW, "", 1, True),), "PENDING_NEW (NEW? pending)"),
        (
            (PendingAction(PendingActionKind.NEW, "", 1, False, held=True),),
            "PENDING_NEW (held until the broker is there)",
        ),
    ],
)
def test_what_is_under_way_on_an_order_stands_beside_its_state(
    pending: tuple[PendingAction, ...], says: str
) -> None:
    """Also that nobody knows its outcome, and that the gateway holds it back."""
    assert plain(ORDERS["STATE"](replace(ORDER, pending=pending))) == says


def test_a_line_of_a_stop() -> None:
    """Its figures while it is at work; that somebody ended it when that is what happened."""
    update = StopUpdate(
        "a", 1, "stop-1", StopProgress(StopPhase.FLATTENING, 3, 2, 1, 0, 0, ("AAPL", "BTC/USDT"))
    )
    cells = {heading: plain(take(update)) for heading, take in UPDATES.items()}
    assert cells["PHASE"] == "FLATTENING"
    assert (cells["OPEN"], cells["ENDED"], cells["REMAINING"], cells["UNCERTAIN"]) == ("3", "2", "1", "0")
    assert cells["POSITIONS"] == "AAPL, BTC/USDT"
    ended = {
        heading: plain(take(StopUpdate("a", 1, "stop-1", None, resumed=True)))
        for heading, take in UPDATES.items()
    }
    assert ended["PHASE"] == "RESUMED"
    assert ended["OPEN"] == ""


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-11-21", datetime(2026, 11, 21, tzinfo=UTC)),
        ("2026-11-21T14:30", datetime(2026, 11, 21, 14, 30, tzinfo=UTC)),
        ("2026-11-21T14:30:00Z", datetime(2026, 11, 21, 14, 30, tzinfo=UTC)),
        ("2026-11-21T14:30:00+02:00", datetime(2026, 11, 21, 12, 30, tzinfo=UTC)),
    ],
)
def test_times_are_utc_unless_they_say_otherwise(text: str, time: datetime) -> None:
    """As people write them."""
    assert _time(text) == time


@pytest.mark.parametrize("text", ["", "now", "21.11.2026", "2026-13-01"])
def test_what_is_no_time_is_told_how_to_be_one(text: str) -> None:
    """With the value, and an example."""
    with pytest.raises(typer.BadParameter, match="is no time; write 2026-11-21"):
        _time(text)
