"""Orders as Interactive Brokers writes them, and as it shows them."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from brokergate.adapters.ibkr.orders import (
    IbOrder,
    IbShown,
    attributes,
    linked,
    state,
    type_of,
    venue_order,
    written,
)
from brokergate.adapters.ibkr.values import WireError
from brokergate.domain.orders import OrderState, OrderType, Side, TimeInForce, TriggerSource
from brokergate.ports.broker import GroupKind
from tests.unit.adapters.ibkr.shapes import AAPL, CORN, corn, share, spec

D = Decimal
T, F = OrderType, TimeInForce


def made(kind: OrderType, **changes: Any) -> dict[str, object]:
    """The library's fields of an order."""
    return attributes(written(spec(kind, **changes), D(10), share(), "b1-x", "DU1"))


@pytest.mark.parametrize(
    ("kind", "terms", "fields"),
    [
        (T.MARKET, {}, {"orderType": "MKT"}),
        (T.LIMIT, {"limit_price": D("100.05")}, {"orderType": "LMT", "lmtPrice": 100.05}),
        (T.STOP, {"stop_price": D(99)}, {"orderType": "STP", "auxPrice": 99.0}),
        (
            T.STOP_LIMIT,
            {"stop_price": D(99), "limit_price": D(98)},
            {"orderType": "STP LMT", "auxPrice": 99.0, "lmtPrice": 98.0},
        ),
        (T.TRAILING_STOP, {"trail_amount": D("1.5")}, {"orderType": "TRAIL", "auxPrice": 1.5}),
        (T.TRAILING_STOP, {"trail_percent": D(2)}, {"orderType": "TRAIL", "trailingPercent": 2.0}),
        (T.MARKET_IF_TOUCHED, {"stop_price": D(99)}, {"orderType": "MIT", "auxPrice": 99.0}),
        (
            T.LIMIT_IF_TOUCHED,
            {"stop_price": D(99), "limit_price": D(98)},
            {"orderType": "LIT", "auxPrice": 99.0, "lmtPrice": 98.0},
        ),
    ],
)
def test_the_types(kind: OrderType, terms: dict[str, Any], fields: dict[str, object]) -> None:
    found = made(kind, **terms)
    prices = {"lmtPrice", "auxPrice", "trailingPercent"}
    assert {name: found.get(name) for name in fields} == fields
    assert prices & set(found) == prices & set(fields)
    assert (found["action"], found["totalQuantity"]) == ("BUY", 10.0)
    assert (found["orderRef"], found["account"], found["transmit"]) == ("b1-x", "DU1", True)


@pytest.mark.parametrize(
    ("force", "tif"),
    [(F.DAY, "DAY"), (F.GTC, "GTC"), (F.IOC, "IOC"), (F.FOK, "FOK"), (F.AT_OPEN, "OPG")],
)
def test_the_times_in_force(force: TimeInForce, tif: str) -> None:
    found = made(T.LIMIT, limit_price=D(1), time_in_force=force)
    assert (found["tif"], found["goodTillDate"]) == (tif, "")


def test_a_time_to_end_at_has_its_zone() -> None:
    found = made(T.LIMIT, limit_price=D(1), time_in_force=F.GTD, expire_time_ns=1_795_293_000_250_000_000)
    assert (found["tif"], found["goodTillDate"]) == ("GTD", "20261121 20:30:00 UTC")


@pytest.mark.parametrize(("kind", "word"), [(T.MARKET, "MOC"), (T.LIMIT, "LOC")])
def test_at_the_close_is_a_type(kind: OrderType, word: str) -> None:
    found = made(kind, limit_price=D(1) if kind is T.LIMIT else None, time_in_force=F.AT_CLOSE)
    assert (found["orderType"], found["tif"]) == (word, "DAY")


def test_the_flags() -> None:
    found = made(
        T.STOP, stop_price=D(1), side=Side.SELL, extended_hours=True, trigger_source=TriggerSource.BID_ASK
    )
    assert (found["action"], found["outsideRth"], found["triggerMethod"]) == ("SELL", True, 4)
    assert made(T.LIMIT, limit_price=D(1), display_quantity=D(5))["displaySize"] == 5


def test_prices_go_in_the_venues_units() -> None:
    order = written(spec(limit_price=D("4.4525")), D(1), corn(), "r", "DU1")
    assert attributes(order)["lmtPrice"] == 445.25


def test_a_bracket_waits_for_its_last_order() -> None:
    orders = [
        written(spec(T.LIMIT, limit_price=D(100)), D(10), share(), "entry", "DU1"),
        written(spec(T.LIMIT, side=Side.SELL, limit_price=D(110)), D(10), share(), "profit", "DU1"),
        written(spec(T.STOP, side=Side.SELL, stop_price=D(90)), D(10), share(), "loss", "DU1"),
    ]
    entry, profit, loss = linked(GroupKind.BRACKET, orders, [7, 8, 9])
    assert [each.transmit for each in (entry, profit, loss)] == [False, False, True]
    assert [each.order_id for each in (entry, profit, loss)] == [7, 8, 9]
    assert [each.parent_id for each in (entry, profit, loss)] == [0, 7, 7]
    assert [each.oca_group for each in (entry, profit, loss)] == ["", "entry", "entry"]
    one, other = linked(GroupKind.BRACKET, orders[:2], [7, 8])
    assert (one.transmit, other.transmit, other.parent_id, other.oca_group) == (False, True, 7, "")


def test_an_oco_shares_a_group() -> None:
    orders = [
        written(spec(T.LIMIT, limit_price=D(110)), D(10), share(), name, "DU1") for name in ("one", "other")
    ]
    found = linked(GroupKind.OCO, orders, [1, 2])
    assert {(each.oca_group, each.oca_type, each.transmit) for each in found} == {("one", 2, True)}


@pytest.mark.parametrize(
    ("status", "filled", "proven"),
    [
        ("PendingSubmit", 0, OrderState.NEW),
        ("PreSubmitted", 0, OrderState.NEW),
        ("Submitted", 0, OrderState.NEW),
        ("Submitted", 3, OrderState.PARTIALLY_FILLED),
        ("PendingCancel", 3, OrderState.PARTIALLY_FILLED),
        ("Cancelled", 3, OrderState.CANCELED),
        ("ApiCancelled", 0, OrderState.CANCELED),
        ("Filled", 10, OrderState.FILLED),
        ("Inactive", 0, None),
        ("ValidationError", 0, None),
    ],
)
def test_what_a_status_proves(status: str, filled: int, proven: OrderState | None) -> None:
    assert state(status, D(filled)) is proven


@pytest.mark.parametrize("kind", [kind for kind in OrderType if kind])
def test_an_order_reads_back(kind: OrderType) -> None:
    terms = {
        T.LIMIT: {"limit_price": D("4.45")},
        T.STOP: {"stop_price": D("4.40")},
        T.STOP_LIMIT: {"limit_price": D("4.45"), "stop_price": D("4.40")},
        T.TRAILING_STOP: {"trail_amount": D("0.05")},
        T.MARKET_IF_TOUCHED: {"stop_price": D("4.40")},
        T.LIMIT_IF_TOUCHED: {"limit_price": D("4.45"), "stop_price": D("4.40")},
    }.get(kind, {})
    asked = spec(kind, symbol="ZCZ6", time_in_force=F.GTC, **terms)
    order = replace(written(asked, D(10), corn(), "r", "DU1"), perm_id=12345)
    shown = IbShown(CORN, order, "Submitted", D(4))
    found = venue_order(shown, OrderState.PARTIALLY_FILLED, "x", "ZCZ6", corn(), 99)
    assert (found.type, found.side, found.time_in_force) == (kind, Side.BUY, F.GTC)
    assert (found.limit_price, found.stop_price) == (asked.limit_price, asked.stop_price)
    assert (found.quantity, found.cum_quantity, found.broker_order_id) == (D(10), D(4), "12345")


@pytest.mark.parametrize(("word", "kind"), [("MOC", T.MARKET), ("LOC", T.LIMIT), ("REL", T.UNSPECIFIED)])
def test_types_of_others(word: str, kind: OrderType) -> None:
    force = F.AT_CLOSE if kind else F.DAY
    assert type_of(IbOrder("BUY", D(1), word)) == (kind, force)


def test_an_action_that_nobody_knows() -> None:
    shown = IbShown(AAPL, IbOrder("SWAP", D(1), "MKT"), "Submitted")
    with pytest.raises(WireError, match="SWAP"):
        venue_order(shown, OrderState.NEW, "", "AAPL", None, 0)
