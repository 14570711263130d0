"""What leaves for Alpaca, to the byte."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from brokergate.adapters.alpaca import wire
from brokergate.adapters.alpaca.values import load
from brokergate.domain.orders import OrderType, ProtectiveLeg, Side, TimeInForce
from brokergate.domain.values import changed
from brokergate.ports.broker import GroupKind, OrderGroup
from tests.unit.adapters.alpaca.shapes import order, spec

D = Decimal


def test_an_order_leaves_with_its_numbers_as_text() -> None:
    """No float, no exponent, no needless zero."""
    assert wire.place_body(spec(quantity=D("2.00"), limit_price=D("190.50")), "n1") == (
        b'{"symbol":"AAPL","side":"buy","type":"limit","time_in_force":"day","qty":"2","limit_price":"190.5",'
        b'"client_order_id":"n1"}'
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"type": OrderType.MARKET, "limit_price": None}, {"type": "market"}),
        (
            {"type": OrderType.STOP, "limit_price": None, "stop_price": D("95")},
            {"type": "stop", "stop_price": "95"},
        ),
        (
            {"type": OrderType.STOP_LIMIT, "limit_price": D("94.5"), "stop_price": D("95")},
            {"type": "stop_limit", "stop_price": "95", "limit_price": "94.5"},
        ),
        (
            {"type": OrderType.TRAILING_STOP, "limit_price": None, "trail_amount": D("1.5")},
            {"type": "trailing_stop", "trail_price": "1.5"},
        ),
        (
            {"type": OrderType.TRAILING_STOP, "limit_price": None, "trail_percent": D("2")},
            {"type": "trailing_stop", "trail_percent": "2"},
        ),
        ({"time_in_force": TimeInForce.AT_OPEN}, {"time_in_force": "opg", "limit_price": "190.5"}),
        ({"time_in_force": TimeInForce.AT_CLOSE}, {"time_in_force": "cls", "limit_price": "190.5"}),
        ({"side": Side.SELL, "extended_hours": True}, {"side": "sell", "extended_hours": True}),
        ({"symbol": "BRK.B"}, {"symbol": "BRK.B"}),
        (
            {"symbol": "BTC/USD", "time_in_force": TimeInForce.GTC},
            {"symbol": "BTC/USD", "time_in_force": "gtc"},
        ),
    ],
)
def test_every_type_and_time_in_force(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """In Alpaca's words."""
    body = load(wire.place_body(spec(**fields), "n1"))
    assert {name: body.get(name) for name in expected} == expected
    assert ("limit_price" in body) == (fields.get("limit_price", 1) is not None)


def test_an_amount_leaves_as_notional_alone() -> None:
    """Never beside a quantity, which Alpaca refuses."""
    terms = spec(type=OrderType.MARKET, quantity=None, limit_price=None, quote_quantity=D("250.00"))
    body = load(wire.place_body(terms, "n1"))
    assert (body["notional"], body.get("qty")) == ("250", None)


def test_a_bracket_is_one_request() -> None:
    """Its entry, with the legs inside."""
    legs = (
        order("p", "o-e", side=Side.SELL, limit_price=D("200")),
        order(
            "l", "o-e", side=Side.SELL, type=OrderType.STOP_LIMIT, stop_price=D("180"), limit_price=D("179")
        ),
    )
    entry = order("e", "o-e", take_profit=ProtectiveLeg("p", D("200")), stop_loss=ProtectiveLeg("l"))
    group = OrderGroup(GroupKind.BRACKET, (entry, *legs))
    body = load(wire.group_body(group, "n1"))
    assert wire.parent_of(group) is entry
    assert (body["order_class"], body["limit_price"], body["client_order_id"]) == ("bracket", "190.5", "n1")
    assert body["take_profit"] == {"limit_price": "200"}
    assert body["stop_loss"] == {"stop_price": "180", "limit_price": "179"}
    alone = OrderGroup(GroupKind.BRACKET, (entry, legs[1]))
    assert load(wire.group_body(alone, "n1"))["order_class"] == "oto"


def test_an_oco_is_sent_as_its_limit_order() -> None:
    """Whichever of the two comes first."""
    profit = order("p", "g", side=Side.SELL, limit_price=D("200"))
    loss = order("l", "g", side=Side.SELL, type=OrderType.STOP, limit_price=None, stop_price=D("180"))
    for members in ((profit, loss), (loss, profit)):
        group = OrderGroup(GroupKind.OCO, members)
        body = load(wire.group_body(group, "n1"))
        assert wire.parent_of(group) is profit
        assert (body["order_class"], body["type"], body["side"]) == ("oco", "limit", "sell")
        assert (body["take_profit"], body["stop_loss"]) == ({"limit_price": "200"}, {"stop_price": "180"})


def test_a_change_names_what_changes() -> None:
    """The total where it is another one; prices as they shall be."""
    before = order()
    body = load(wire.replace_body(before, changed(before.spec, limit_price=D("191")), "n2"))
    assert body == {"client_order_id": "n2", "limit_price": "191"}
    body = load(wire.replace_body(before, changed(before.spec, quantity=D(5)), "n2"))
    assert body == {"client_order_id": "n2", "qty": "5", "limit_price": "190.5"}
    trailing = order(type=OrderType.TRAILING_STOP, limit_price=None, trail_percent=D(2))
    body = load(wire.replace_body(trailing, changed(trailing.spec, trail_percent=D(3)), "n2"))
    assert body == {"client_order_id": "n2", "trail": "3"}


def test_targets_are_escaped() -> None:
    """Ids and symbols come from outside."""
    assert wire.order_target("a/b?c") == "/v2/orders/a%2Fb%3Fc"
    assert wire.by_client_id_target("b a&x=1") == "/v2/orders:by_client_order_id?client_order_id=b+a%26x%3D1"
    assert wire.asset_target("BTC/USD") == "/v2/assets/BTC%2FUSD"
    assert wire.fills_target(after="2026-03-16T18:38:02.1Z").endswith("after=2026-03-16T18%3A38%3A02.1Z")
    assert wire.latest_target(["BTC/USD"], crypto=True, feed="iex", what="quotes") == (
        "/v1beta3/crypto/us/latest/quotes?symbols=BTC%2FUSD"
    )


def test_lists_ask_for_whole_pages_oldest_first() -> None:
    """So that a page that is not full is the last one."""
    assert wire.open_orders_target("x") == (
        "/v2/orders?status=open&limit=500&direction=asc&nested=false&after_order_id=x"
    )
    assert wire.fills_target(page_token="t") == (
        "/v2/account/activities/FILL?direction=asc&page_size=100&page_token=t"
    )


def test_frames() -> None:
    """Of both kinds of stream."""
    assert load(wire.authenticate_frame("k", "s")) == {
        "action": "authenticate",
        "data": {"key_id": "k", "secret_key": "s"},
    }
    assert load(wire.data_auth_frame("k", "s")) == {"action": "auth", "key": "k", "secret": "s"}
    assert load(wire.data_subscribe_frame("subscribe", {"B", "A"}, crypto=False)) == {
        "action": "subscribe",
        "trades": ["A", "B"],
        "quotes": ["A", "B"],
    }
    assert load(wire.data_subscribe_frame("unsubscribe", {"A"}, crypto=True))["orderbooks"] == ["A"]
