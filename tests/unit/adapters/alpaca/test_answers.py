"""Documented answers, parsed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from brokergate.adapters.alpaca import answers
from brokergate.adapters.alpaca.values import ENDS, WORKING, WireError
from brokergate.domain.orders import OrderState, OrderType, Side, TimeInForce
from tests.unit.adapters.alpaca.shapes import fixture


def test_an_order() -> None:
    """Its terms, ids and times."""
    shown = answers.order(fixture("order"))
    assert (shown.symbol, shown.side, shown.type, shown.time_in_force) == (
        "AAPL",
        Side.BUY,
        OrderType.LIMIT,
        TimeInForce.DAY,
    )
    assert (shown.quantity, shown.limit_price, shown.stop_price, shown.filled) == (
        Decimal(2),
        Decimal("190.5"),
        None,
        Decimal(0),
    )
    assert (shown.state, shown.working, shown.replaces, shown.legs) == (OrderState.NEW, True, "", ())
    assert shown.submitted_ns < shown.updated_ns


def test_a_bracket_has_its_legs() -> None:
    """Each with an id of its own."""
    shown = answers.order(fixture("order_bracket"))
    assert [(leg.side, leg.type, leg.status) for leg in shown.legs] == [
        (Side.SELL, OrderType.LIMIT, "held"),
        (Side.SELL, OrderType.STOP, "held"),
    ]
    assert len({shown.id, *(leg.id for leg in shown.legs)}) == 3


def test_an_order_by_an_amount_has_no_quantity_until_it_is_filled() -> None:
    """What it came to is what is filled."""
    shown = answers.order(fixture("order_notional"))
    assert shown.quantity is None
    assert shown.notional is not None
    assert shown.total == shown.filled


def test_the_order_that_a_replace_made_names_the_one_before() -> None:
    """By its id."""
    shown = answers.order(fixture("order_replaced"))
    assert shown.replaces or shown.replaced_by


def test_every_documented_status_is_a_state() -> None:
    """Working, or an end; alpaca-py's OrderStatus has no other."""
    documented = (
        "new partially_filled filled done_for_day canceled expired replaced pending_cancel pending_replace "
        "pending_review accepted pending_new accepted_for_bidding stopped rejected suspended calculated held"
    )
    assert {*WORKING, *ENDS} == set(documented.split())
    plain = fixture("order")
    for status in documented.split():
        assert answers.order({**plain, "status": status}).state is not OrderState.UNSPECIFIED


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", None),
        ("id", 7),
        ("status", "dreaming"),
        ("side", "sideways"),
        ("qty", "many"),
        ("filled_qty", "NaN"),
        ("submitted_at", "today"),
        ("legs", "none"),
    ],
)
def test_an_order_that_is_not_as_documented_is_no_answer(field: str, value: object) -> None:
    """Law 3: nobody knows what it says."""
    with pytest.raises(WireError, match=field.removesuffix("s")):
        answers.order({**fixture("order"), field: value})


@pytest.mark.parametrize("name", ["order", "order_crypto", "order_trailing_stop", "order_replaced"])
def test_documented_orders_parse(name: str) -> None:
    """Of every kind."""
    assert answers.order(fixture(name)).id


def test_executions_have_the_id_behind_the_time() -> None:
    """Of which the stream's is the same; a sum beside the quantity."""
    first, second = answers.activities(fixture("activities_fill"))
    assert first.execution_id == "8efc7b9a-8b2b-4000-9955-d36e7db0df74"
    assert (second.symbol, second.side, second.price, second.quantity, second.cum) == (
        "BTC/USD",
        Side.SELL,
        Decimal("60010.25"),
        Decimal("0.0105"),
        Decimal("0.0105"),
    )


def test_positions_are_signed() -> None:
    """A short one below zero, with its cost; a pair without its slash."""
    (long,), (short,), (crypto,) = (
        answers.positions(shape if isinstance(shape, list) else [shape])
        for shape in (fixture("position"), fixture("position_short"), fixture("position_crypto"))
    )
    assert long.quantity > 0 < long.cost
    assert short.quantity < 0 > short.cost
    assert "/" not in crypto.symbol


def test_the_account() -> None:
    """Money as text, flags as flags."""
    account = answers.account(fixture("account"))
    assert (account.status, account.currency) == ("ACTIVE", "USD")
    assert isinstance(account.cash, Decimal)
    assert not any((account.account_blocked, account.trading_blocked, account.suspended_by_user))


def test_assets_and_the_clock() -> None:
    """Crypto has increments, a stock has none."""
    stock, crypto = answers.asset(fixture("asset")), answers.asset(fixture("asset_crypto"))
    assert (stock.asset_class, stock.price_increment) == ("us_equity", None)
    assert crypto.asset_class == "crypto"
    assert crypto.min_order_size is not None
    assert crypto.price_increment is not None
    clock = answers.market_clock(fixture("clock"))
    assert clock.now_ns < max(clock.next_close_ns, clock.next_open_ns)


def test_the_cancel_of_all_orders_has_a_status_for_each() -> None:
    """By its id."""
    assert set(answers.cancelled(fixture("cancel_all")).values()) <= {200, 500}


def _updates() -> dict[str, Any]:
    frames = fixture("stream_orders")
    return {name: frame["data"] for name, frame in frames.items() if frame["stream"] == "trade_updates"}


@pytest.mark.parametrize("name", sorted(_updates()))
def test_documented_updates_parse(name: str) -> None:
    """Each event with its order; a fill with its execution."""
    update = answers.trade_update(_updates()[name])
    assert update.order.id
    if update.event in ("fill", "partial_fill"):
        assert update.execution_id
        assert update.price
        assert update.quantity


def test_a_fill_without_its_execution_is_no_update() -> None:
    """It could not be booked once."""
    fill = {**_updates()["partial_fill"], "execution_id": None}
    with pytest.raises(WireError, match="fill"):
        answers.trade_update(fill)


def test_an_error_has_its_code_and_its_words() -> None:
    """And what is none has neither."""
    assert answers.refusal(fixture("errors")["duplicate"]["body"]) == (
        "40010001",
        "client_order_id must be unique",
    )
    assert answers.refusal(["x"]) == ("", "")
