"""What an order may ask for: every rule of the contract, one at a time."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokergate.codec.decode.order import decode_place
from brokergate.domain.commands import PlaceOrder
from brokergate.domain.errors import ErrorReason, GatewayError
from brokergate.domain.orders import OrderSpec, OrderType, Side, TimeInForce
from brokergate.v1 import order_pb2

MARKET: dict[str, Any] = {"symbol": "BTC/USDT", "side": 1, "type": 1, "quantity": "1.5"}
LIMIT = {**MARKET, "type": 2, "limit_price": "100"}
STOP = {**MARKET, "type": 3, "stop_price": "100"}
STOP_LIMIT = {**LIMIT, "type": 4, "stop_price": "100"}
TRAILING = {**MARKET, "type": 5, "trail_amount": "3"}
GTD = {**LIMIT, "time_in_force": 3, "expire_time": {"seconds": 1_800_000_000, "nanos": 5}}


def place(spec: dict[str, Any], **fields: Any) -> PlaceOrder:
    """A place of `spec`, decoded."""
    whole: dict[str, Any] = {"account_id": "paper", "client_order_id": "c-1", "order": spec, **fields}
    return decode_place(order_pb2.PlaceOrderRequest(**whole))


def violations(spec: dict[str, Any], **fields: Any) -> dict[str, str]:
    """What is wrong with it, by field."""
    with pytest.raises(GatewayError) as caught:
        place(spec, **fields)
    assert caught.value.reason is ErrorReason.INVALID_FIELD
    return {violation.field: violation.description for violation in caught.value.violations}


def test_market_order() -> None:
    """A plain market order is the command with its values."""
    command = place({**MARKET, "time_in_force": 4})
    assert (command.account_id, command.client_order_id) == ("paper", "c-1")
    assert command.spec == OrderSpec(
        "BTC/USDT", Side.BUY, OrderType.MARKET, Decimal("1.5"), time_in_force=TimeInForce.IOC
    )


@pytest.mark.parametrize(
    "spec",
    [
        MARKET,
        LIMIT,
        STOP,
        STOP_LIMIT,
        TRAILING,
        GTD,
        {**MARKET, "type": 6, "stop_price": "1"},
        {**LIMIT, "type": 7, "stop_price": "1"},
        {**LIMIT, "post_only": True, "display_quantity": "0.5", "reduce_only": True, "extended_hours": True},
        {**STOP, "trigger_source": 2, "self_trade_prevention": 3},
        {"symbol": "BTC/USDT", "side": 2, "type": 1, "quote_quantity": "1000"},
        {**MARKET, "labels": {"desk.one-2_3": "any words at all, ünïcode too"}, "broker_options": {"x": "y"}},
        {**MARKET, "type": 5, "trail_percent": "99.999999999999999999"},
        {**MARKET, "quantity": "12345678901234567890.123456789012345678"},
    ],
)
def test_taken(spec: dict[str, Any]) -> None:
    """What the contract allows is taken, and says what was asked for."""
    decoded = place(spec).spec
    assert decoded.symbol == spec["symbol"]
    assert int(decoded.type) == spec["type"]
    for name in ("quantity", "quote_quantity", "limit_price", "stop_price", "trail_amount", "trail_percent"):
        given_ = spec.get(name)
        assert getattr(decoded, name) == (None if given_ is None else Decimal(given_))


NUMBERS = [
    "",
    "0",
    "-1",
    "+1",
    "1e5",
    "NaN",
    "Infinity",
    "1.",
    ".5",
    " 1",
    "1 ",
    "١",
    "1" * 21,
    "0." + "1" * 19,
    "1,5",
    "0x1",
    "-0",
]


@pytest.mark.parametrize("text", NUMBERS)
@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (MARKET, "quantity"),
        ({**MARKET, "quantity": None}, "quote_quantity"),
        (LIMIT, "limit_price"),
        (STOP, "stop_price"),
        (TRAILING, "trail_amount"),
        ({**TRAILING, "trail_amount": None}, "trail_percent"),
        (LIMIT, "display_quantity"),
    ],
)
def test_bad_number(spec: dict[str, Any], field: str, text: str) -> None:
    """A price or a quantity that is no plain decimal above zero is named, with its value."""
    found = violations({**spec, field: text})
    assert list(found) == [f"order.{field}"]
    assert repr(text) in found[f"order.{field}"]


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({**MARKET, "symbol": ""}, "symbol"),
        ({**MARKET, "symbol": "B" * 65}, "symbol"),
        ({**MARKET, "symbol": "BTC\nUSDT"}, "symbol"),
        ({**MARKET, "side": 0}, "side"),
        ({**MARKET, "side": 3}, "side"),
        ({**MARKET, "side": -1}, "side"),
        ({**MARKET, "type": 0}, "type"),
        ({**MARKET, "type": 99}, "type"),
        ({**MARKET, "quantity": None}, "quantity"),
        ({**MARKET, "time_in_force": 77}, "time_in_force"),
        ({**MARKET, "limit_price": "1"}, "limit_price"),
        ({**MARKET, "stop_price": "1"}, "stop_price"),
        ({**MARKET, "trail_amount": "1"}, "trail_amount"),
        ({**MARKET, "trigger_source": 1}, "trigger_source"),
        ({**MARKET, "post_only": True}, "post_only"),
        ({**LIMIT, "limit_price": None}, "limit_price"),
        ({**LIMIT, "stop_price": "1"}, "stop_price"),
        ({**STOP, "stop_price": None}, "stop_price"),
        ({**STOP, "limit_price": "1"}, "limit_price"),
        ({**STOP, "trigger_source": 9}, "trigger_source"),
        ({**STOP_LIMIT, "limit_price": None}, "limit_price"),
        ({**STOP_LIMIT, "stop_price": None}, "stop_price"),
        ({**STOP_LIMIT, "post_only": True}, "post_only"),
        ({**TRAILING, "trail_amount": None}, "trail_amount"),
        ({**TRAILING, "trail_percent": "1"}, "trail_amount"),
        ({**TRAILING, "trail_amount": None, "trail_percent": "100"}, "trail_percent"),
        ({**LIMIT, "quantity": None, "quote_quantity": "10"}, "quote_quantity"),
        ({**LIMIT, "display_quantity": "1.50001"}, "display_quantity"),
        ({**LIMIT, "post_only": True, "time_in_force": 4}, "post_only"),
        ({**LIMIT, "post_only": True, "time_in_force": 5}, "post_only"),
        ({**LIMIT, "time_in_force": 3}, "expire_time"),
        ({**LIMIT, "expire_time": {"seconds": 1}}, "expire_time"),
        ({**GTD, "expire_time": {"seconds": -1}}, "expire_time"),
        ({**GTD, "expire_time": {"seconds": 1, "nanos": 1_000_000_000}}, "expire_time"),
        ({**GTD, "expire_time": {"seconds": 2**60}}, "expire_time"),
        ({**GTD, "expire_time": {}}, "expire_time"),
        ({**MARKET, "self_trade_prevention": 9}, "self_trade_prevention"),
        ({**MARKET, "labels": {f"k{n}": "" for n in range(17)}}, "labels"),
        ({**MARKET, "labels": {"bad key": ""}}, "labels"),
        ({**MARKET, "labels": {"k" * 33: ""}}, "labels"),
        ({**MARKET, "labels": {"k": "v" * 65}}, "labels[k]"),
        ({**MARKET, "broker_options": {f"k{n}": "" for n in range(17)}}, "broker_options"),
        ({**MARKET, "take_profit": {"client_order_id": "tp"}}, "take_profit.limit_price"),
        ({**MARKET, "stop_loss": {"client_order_id": "sl", "limit_price": "1"}}, "stop_loss.stop_price"),
        ({**MARKET, "stop_loss": {"stop_price": "1"}}, "stop_loss.client_order_id"),
    ],
)
def test_refused(spec: dict[str, Any], field: str) -> None:
    """What is missing, unknown, out of range or a contradiction is named by the path of its field."""
    assert list(violations(spec)) == [f"order.{field}"]


def test_everything_at_once() -> None:
    """Every field that is wrong is named in one answer."""
    found = violations({"type": 3, "quantity": "x"}, account_id="a b", client_order_id="")
    assert list(found) == [
        "account_id",
        "client_order_id",
        "order.symbol",
        "order.side",
        "order.quantity",
        "order.stop_price",
    ]


def test_sixteen_and_a_count() -> None:
    """Sixteen violations are listed, the others counted."""
    labels = {f"bad key {n}": "" for n in range(12)}
    spec = {
        **TRAILING,
        "symbol": "",
        "side": 0,
        "quantity": "0",
        "trail_percent": "-1",
        "labels": labels,
        "post_only": True,
    }
    with pytest.raises(GatewayError) as caught:
        place(spec, client_order_id="", account_id="")
    assert len(caught.value.violations) == 16
    assert caught.value.metadata == {"violations_omitted": "4"}


def test_long_values_are_cut() -> None:
    """A value is repeated up to 64 characters."""
    description = violations({**MARKET, "quantity": "x" * 5000})["order.quantity"]
    assert "x" * 63 + "…" in description
    assert len(description) < 250


@pytest.mark.parametrize("client_order_id", ["", "a" * 65, "a b", "ä", "a\n", "a/b", "a.b"])
def test_client_order_id(client_order_id: str) -> None:
    """A client_order_id of another form is refused."""
    assert list(violations(MARKET, client_order_id=client_order_id)) == ["client_order_id"]


def test_a_route_takes_the_place_of_the_account() -> None:
    """A place names an account or a route; each is another body, and a route that is named by nothing is no account."""
    by_route = place(MARKET, account_id=None, route_id="crypto")
    assert (by_route.account_id, by_route.route_id) == ("", "crypto")
    by_account = place(MARKET, account_id="crypto")
    assert (by_account.account_id, by_account.route_id) == ("crypto", "")
    assert by_route.fingerprint != by_account.fingerprint
    assert list(violations(MARKET, account_id=None, route_id="")) == ["route_id"]
    assert list(violations(MARKET, account_id=None, route_id="a b")) == ["route_id"]


TAKE = {"client_order_id": "tp", "limit_price": "120"}
LOSS = {"client_order_id": "sl", "stop_price": "80"}
AT_100 = {**LIMIT, "limit_price": "100"}
SELLS = {"side": 2}


def test_a_bracket_is_a_spec_with_legs() -> None:
    command = place({**AT_100, "take_profit": TAKE, "stop_loss": LOSS}, allow_emulated=True)
    assert command.linked == ("tp", "sl")
    assert (command.oco, command.allow_emulated) == ((), True)
    assert place({**AT_100, "stop_loss": LOSS}).linked == ("sl",)


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ({"take_profit": {**TAKE, "limit_price": "100"}}, ["take_profit.limit_price"]),
        ({"take_profit": {**TAKE, "limit_price": "99"}}, ["take_profit.limit_price"]),
        ({"stop_loss": {**LOSS, "stop_price": "100"}}, ["stop_loss.stop_price"]),
        ({**SELLS, "take_profit": TAKE}, ["take_profit.limit_price"]),
        ({**SELLS, "stop_loss": LOSS}, ["stop_loss.stop_price"]),
        (
            {"type": 1, "limit_price": None, "take_profit": TAKE, "stop_loss": {**LOSS, "stop_price": "120"}},
            ["stop_loss.stop_price"],
        ),
        ({"reduce_only": True, "take_profit": TAKE}, ["reduce_only"]),
        (
            {"type": 1, "limit_price": None, "quantity": None, "quote_quantity": "9", "stop_loss": LOSS},
            ["quote_quantity"],
        ),
        ({"take_profit": {**TAKE, "client_order_id": "first"}}, ["take_profit.client_order_id"]),
        (
            {"take_profit": TAKE, "stop_loss": {**LOSS, "client_order_id": "tp"}},
            ["stop_loss.client_order_id"],
        ),
    ],
)
def test_a_bracket_that_contradicts_itself(spec: dict[str, Any], fields: list[str]) -> None:
    """Legs lie on either side of what they close, and each has an id of its own."""
    whole = {name: value for name, value in {**AT_100, **spec}.items() if value is not None}
    assert list(violations(whole, client_order_id="first")) == [f"order.{field}" for field in fields]


@pytest.mark.parametrize("side", [1, 2])
def test_a_bracket_of_either_side(side: int) -> None:
    up, down = ("120", "80") if side == 1 else ("80", "120")
    legs = {"take_profit": {**TAKE, "limit_price": up}, "stop_loss": {**LOSS, "stop_price": down}}
    assert place({**AT_100, "side": side, **legs}).linked == ("tp", "sl")
    at_market = {name: value for name, value in AT_100.items() if name != "limit_price"}
    assert place({**at_market, "type": 1, "side": side, **legs}).linked == ("tp", "sl")


def test_an_oco_group_is_a_place_with_members() -> None:
    member = {"client_order_id": "o2", "order": {**AT_100, "limit_price": "120.0"}}
    command = place(AT_100, oco_orders=[member])
    assert [(other.client_order_id, other.spec.limit_price) for other in command.oco] == [
        ("o2", Decimal("120.0"))
    ]
    assert command.linked == ("o2",)
    member["order"]["limit_price"] = "120"  # type: ignore[index]
    assert place(AT_100, oco_orders=[member]).fingerprint == command.fingerprint
    member["client_order_id"] = "o3"
    assert place(AT_100, oco_orders=[member]).fingerprint != command.fingerprint


@pytest.mark.parametrize(
    ("first", "member", "field"),
    [
        ({}, {"symbol": "ETH/USDT"}, "oco_orders[0].order.symbol"),
        ({}, {"quantity": "2"}, "oco_orders[0].order.quantity"),
        ({}, {"type": 1, "limit_price": None}, "oco_orders[0].order.type"),
        ({"type": 1, "limit_price": None}, {}, "order.type"),
        ({}, {"time_in_force": 4}, "oco_orders[0].order.time_in_force"),
        ({"time_in_force": 5}, {}, "order.time_in_force"),
        ({"take_profit": TAKE}, {}, "order.take_profit"),
        ({}, {"stop_loss": LOSS}, "oco_orders[0].order.stop_loss"),
    ],
)
def test_an_oco_group_that_contradicts_itself(
    first: dict[str, Any], member: dict[str, Any], field: str
) -> None:
    """Its members are of one instrument and quantity and can all wait, and none has legs."""
    one, other = (
        {name: value for name, value in {**AT_100, **changes}.items() if value is not None}
        for changes in (first, member)
    )
    found = violations(one, oco_orders=[{"client_order_id": "o2", "order": other}])
    assert list(found) == [field]


def test_two_of_a_group_under_one_id() -> None:
    member = {"client_order_id": "first", "order": AT_100}
    assert list(violations(AT_100, client_order_id="first", oco_orders=[member])) == [
        "oco_orders[0].client_order_id"
    ]
    members = [{"client_order_id": "o2", "order": AT_100}] * 2
    assert list(violations(AT_100, oco_orders=members)) == ["oco_orders[1].client_order_id"]


def test_members_of_a_group_are_checked() -> None:
    """A member of an OCO group is checked like any order, under its own path."""
    member = {"client_order_id": "o 2", "order": {**LIMIT, "limit_price": "0"}}
    found = violations(MARKET, oco_orders=[member])
    assert list(found) == ["oco_orders[0].client_order_id", "oco_orders[0].order.limit_price"]
    assert list(violations(MARKET, oco_orders=[member] * 5)) == ["oco_orders"]


def test_missing_parts() -> None:
    """A request without an order, or without a target, says so."""
    with pytest.raises(GatewayError) as caught:
        decode_place(order_pb2.PlaceOrderRequest())
    assert [violation.field for violation in caught.value.violations] == [
        "account_id",
        "client_order_id",
        "order",
    ]


@given(st.integers(1, 10**12), st.integers(0, 6))
def test_fingerprint_by_value(units: int, zeros: int) -> None:
    """Bodies that ask for the same have one fingerprint: zeros before and behind do not count."""
    plain, padded = f"{units}.5", f"00{units}.5" + "0" * zeros
    assert (
        place({**MARKET, "quantity": plain}).fingerprint == place({**MARKET, "quantity": padded}).fingerprint
    )
    assert place({**LIMIT, "limit_price": f"{units}"}).fingerprint == (
        place({**LIMIT, "limit_price": f"{units}.0" + "0" * zeros}).fingerprint
    )


def test_fingerprint_covers_everything() -> None:
    """Bodies that differ in any one thing have different fingerprints."""
    requests: list[tuple[dict[str, Any], dict[str, Any]]] = [
        (MARKET, {}),
        (MARKET, {"account_id": "other"}),
        (MARKET, {"allow_emulated": True}),
        ({**MARKET, "symbol": "ETH/USDT"}, {}),
        ({**MARKET, "side": 2}, {}),
        ({**MARKET, "quantity": "15"}, {}),
        ({**MARKET, "quantity": None, "quote_quantity": "1.5"}, {}),
        ({**MARKET, "time_in_force": 4}, {}),
        ({**MARKET, "reduce_only": True}, {}),
        ({**MARKET, "extended_hours": True}, {}),
        ({**MARKET, "display_quantity": "1"}, {}),
        ({**MARKET, "self_trade_prevention": 1}, {}),
        ({**MARKET, "labels": {"a": "b"}}, {}),
        ({**MARKET, "labels": {"a": "b\nlinked"}}, {}),
        ({**MARKET, "broker_options": {"a": "b"}}, {}),
        (LIMIT, {}),
        ({**LIMIT, "limit_price": "1"}, {}),
        ({**LIMIT, "post_only": True}, {}),
        (STOP, {}),
        ({**STOP, "trigger_source": 1}, {}),
        (STOP_LIMIT, {}),
        (TRAILING, {}),
        ({**TRAILING, "trail_amount": None, "trail_percent": "3"}, {}),
        (GTD, {}),
        ({**GTD, "expire_time": {"seconds": 1_800_000_001}}, {}),
    ]
    bodies = [place(spec, **fields).fingerprint for spec, fields in requests]
    assert len(set(bodies)) == len(bodies)


def test_labels_have_no_order() -> None:
    """Labels are the same in whatever order they come."""
    one = place({**MARKET, "labels": {"a": "1", "b": "2"}})
    two = place({**MARKET, "labels": {"b": "2", "a": "1"}})
    assert one == two
