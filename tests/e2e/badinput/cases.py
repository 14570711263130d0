"""The cases: a request that is wrong in one way, and what must come back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import Message

from brokergate.v1 import enums_pb2 as enums
from brokergate.v1.money_pb2 import Money
from brokergate.v1.order_pb2 import ProtectiveLeg
from brokergate.v1.simulator_pb2 import PushInstrument
from tests.e2e.badinput.contract import RPCS, Leaf, documented_reasons, leaves
from tests.e2e.badinput.edits import parent_path, put
from tests.e2e.badinput.forms import ABSENT, INVALID, Wrong, when
from tests.e2e.badinput.rules import form_of
from tests.e2e.badinput.valid import FAR_FUTURE_S, OTHER_SYMBOL, Scene, ground, makers


@dataclass(frozen=True, slots=True)
class Case:
    """`request` goes to `rpc` and comes back with `reason`, its code, and violations of exactly `fields`."""

    rpc: str
    label: str
    request: Message
    reason: str
    fields: frozenset[str]

    @property
    def code(self) -> grpc.StatusCode:
        """The code that the contract documents for the reason."""
        code = documented_reasons()[self.reason].code
        assert code is not None, f"no call fails for {self.reason}"
        return code

    def __str__(self) -> str:
        return f"{self.rpc} {self.label}"


def violated(leaf: Leaf, wrong: Wrong) -> frozenset[str]:
    """The fields that the refusal names."""
    if wrong.at is None:
        return frozenset({leaf.path})
    if not wrong.at:
        return frozenset()
    if wrong.at == "..":
        return frozenset({parent_path(leaf.path).removesuffix(".")})
    if wrong.at.startswith("["):
        return frozenset({leaf.path + wrong.at})
    return frozenset({parent_path(leaf.path) + wrong.at})


def field_cases(scene: Scene, rpc: str) -> Iterator[Case]:
    """Every field of the requests of `rpc`, wrong in every way of its form."""
    for leaf in leaves(RPCS[rpc].fields):
        for wrong in form_of(rpc, leaf).wrong:
            request = ground(scene, rpc, leaf.path, leaf.key)
            put(request, leaf.path, wrong.value)
            if "oco_orders[0]" in leaf.path and wrong.needs_account:
                reason, fields = _of_a_member(leaf) or (wrong.reason, violated(leaf, wrong))
                yield Case(rpc, f"{leaf.path}: {wrong.label}", request, reason, fields)
                continue
            yield Case(rpc, f"{leaf.path}: {wrong.label}", request, wrong.reason, violated(leaf, wrong))


def _of_a_member(leaf: Leaf) -> tuple[str, frozenset[str]] | None:
    """What comes back for a field of a member that is wrong beside the others of its group, before its account is
    asked; None for what that finds."""
    before, leg, _ = leaf.path.partition("take_profit" if "take_profit" in leaf.path else "stop_loss")
    if leg:
        return INVALID, frozenset({before + leg})
    name = leaf.path.rpartition(".")[2]
    if name in ("symbol", "quantity", "take_profit", "stop_loss"):
        return INVALID, frozenset({leaf.path})
    if name == "quote_quantity":
        return INVALID, frozenset({parent_path(leaf.path) + "type"})
    return None


SPEC_AT: Mapping[str, str] = {
    "PlaceOrder": "order.",
    "PreviewOrder": "order.",
    "BatchPlaceOrders": "orders[0].order.",
    "StreamOrderEntry": "commands[0].place.order.",
}
"""Where the RPCs that take an order have its spec."""

MARKET: dict[str, Any] = {
    "type": enums.ORDER_TYPE_MARKET,
    "limit_price": ABSENT,
    "time_in_force": enums.TIME_IN_FORCE_IOC,
}
STOP: dict[str, Any] = {"type": enums.ORDER_TYPE_STOP, "limit_price": ABSENT, "stop_price": "110"}
STOP_LIMIT: dict[str, Any] = {"type": enums.ORDER_TYPE_STOP_LIMIT, "stop_price": "110"}
TRAILING: dict[str, Any] = {
    "type": enums.ORDER_TYPE_TRAILING_STOP,
    "limit_price": ABSENT,
    "trail_amount": "1",
}
GTD: dict[str, Any] = {"time_in_force": enums.TIME_IN_FORCE_GTD, "expire_time": when(FAR_FUTURE_S)}

Contradiction = tuple[str, dict[str, Any], str, set[str]]

CONTRADICTIONS: Sequence[Contradiction] = (
    ("a limit on a market order", MARKET | {"limit_price": "50"}, INVALID, {"limit_price"}),
    ("a trigger on a market order", MARKET | {"stop_price": "50"}, INVALID, {"stop_price"}),
    ("a distance on a market order", MARKET | {"trail_percent": "1"}, INVALID, {"trail_percent"}),
    ("post-only on a market order", MARKET | {"post_only": True}, INVALID, {"post_only"}),
    ("a trigger's source on a market order", MARKET | {"trigger_source": 1}, INVALID, {"trigger_source"}),
    ("a trigger on a limit order", {"stop_price": "50"}, INVALID, {"stop_price"}),
    ("a distance on a limit order", {"trail_amount": "1"}, INVALID, {"trail_amount"}),
    ("a trigger's source on a limit order", {"trigger_source": 2}, INVALID, {"trigger_source"}),
    ("a quote quantity on a limit order", {"quote_quantity": "100"}, INVALID, {"quote_quantity"}),
    ("a limit on a stop order", STOP | {"limit_price": "50"}, INVALID, {"limit_price"}),
    ("post-only on a stop order", STOP | {"post_only": True}, INVALID, {"post_only"}),
    ("a stop without a trigger", STOP | {"stop_price": ABSENT}, INVALID, {"stop_price"}),
    (
        "a stop limit without either price",
        STOP_LIMIT | {"stop_price": ABSENT, "limit_price": ABSENT},
        INVALID,
        {"stop_price", "limit_price"},
    ),
    ("a trailing stop without a distance", TRAILING | {"trail_amount": ABSENT}, INVALID, {"trail_amount"}),
    ("a trailing stop with two distances", TRAILING | {"trail_percent": "1"}, INVALID, {"trail_amount"}),
    ("a trailing stop with a trigger", TRAILING | {"stop_price": "1"}, INVALID, {"stop_price"}),
    ("no size", {"quantity": ABSENT}, INVALID, {"quantity"}),
    ("GTD without its end", {"time_in_force": enums.TIME_IN_FORCE_GTD}, INVALID, {"expire_time"}),
    ("an end without GTD", {"expire_time": when(FAR_FUTURE_S)}, INVALID, {"expire_time"}),
    ("an end in the past", GTD | {"expire_time": when(1_600_000_000)}, INVALID, {"expire_time"}),
    (
        "post-only at once",
        {"post_only": True, "time_in_force": enums.TIME_IN_FORCE_IOC},
        INVALID,
        {"post_only"},
    ),
    (
        "post-only or nothing",
        {"post_only": True, "time_in_force": enums.TIME_IN_FORCE_FOK},
        INVALID,
        {"post_only"},
    ),
    ("more shown than there is", {"display_quantity": "1.001"}, INVALID, {"display_quantity"}),
    (
        "a bracket's profit without its limit",
        {"take_profit": ProtectiveLeg(client_order_id="a")},
        INVALID,
        {"take_profit.limit_price"},
    ),
    (
        "a bracket's loss without its trigger",
        {"stop_loss": ProtectiveLeg(client_order_id="a")},
        INVALID,
        {"stop_loss.stop_price"},
    ),
    (
        "four things wrong at once",
        {"symbol": "", "side": 9, "quantity": "x", "limit_price": "-1"},
        INVALID,
        {"symbol", "side", "quantity", "limit_price"},
    ),
    (
        "a stop at once, which this broker lacks",
        STOP | {"time_in_force": enums.TIME_IN_FORCE_IOC},
        "UNSUPPORTED",
        {"time_in_force"},
    ),
    ("other hours, likewise", {"extended_hours": True}, "UNSUPPORTED", {"extended_hours"}),
    (
        "a bracket to the wrong side",
        {"stop_loss": ProtectiveLeg(client_order_id="wrong", stop_price="60")},
        INVALID,
        {"stop_loss.stop_price"},
    ),
    (
        "a bracket that only reduces",
        {"reduce_only": True, "stop_loss": ProtectiveLeg(client_order_id="wrong", stop_price="40")},
        INVALID,
        {"reduce_only"},
    ),
    (
        "a bracket whose legs have one id",
        {
            "take_profit": ProtectiveLeg(client_order_id="wrong", limit_price="60"),
            "stop_loss": ProtectiveLeg(client_order_id="wrong", stop_price="40"),
        },
        INVALID,
        {"stop_loss.client_order_id"},
    ),
    ("worth more than can be written", {"quantity": "9" * 18, "limit_price": "1000"}, INVALID, {"quantity"}),
)
"""Fields that are right alone and wrong together: what is changed on a limit order, the reason, the fields named."""


def contradiction_cases(scene: Scene, rpc: str) -> Iterator[Case]:
    """Every contradiction in the order that `rpc` takes."""
    at = SPEC_AT[rpc]
    for label, changes, reason, fields in CONTRADICTIONS:
        request = makers(scene)[rpc]()
        for name, value in changes.items():
            put(request, at + name, value)
        yield Case(rpc, label, request, reason, frozenset(at + name for name in fields))


Situation = tuple[str, str, dict[str, Any], str, set[str]]

SITUATIONS: Sequence[Situation] = (
    (
        "PlaceOrder",
        "an id that another order has",
        {"client_order_id": "resting", "order.quantity": "7"},
        "CLIENT_ORDER_ID_REUSED",
        set(),
    ),
    (
        "BatchPlaceOrders",
        "an id that another order has",
        {"orders[0].client_order_id": "resting", "orders[0].order.quantity": "7"},
        "CLIENT_ORDER_ID_REUSED",
        set(),
    ),
    ("PlaceOrder", "an account that takes no orders", {"account_id": "closed"}, "TRADING_DISABLED", set()),
    ("ReplaceOrder", "nothing to change", {"quantity": ABSENT}, INVALID, {"quantity"}),
    ("ReplaceOrder", "an order that has ended", {"order.client_order_id": "filled"}, "ORDER_ENDED", set()),
    (
        "ReplaceOrder",
        "no more than is filled",
        {"order.client_order_id": "partly", "quantity": "5"},
        "REPLACE_BELOW_FILLED",
        {"quantity"},
    ),
    (
        "ReplaceOrder",
        "two distances",
        {"trail_amount": "1", "trail_percent": "1"},
        INVALID,
        {"trail_percent"},
    ),
    (
        "ReplaceOrder",
        "a limit on a stop",
        {"order.client_order_id": "stopped", "limit_price": "50"},
        INVALID,
        {"limit_price"},
    ),
    ("ReplaceOrder", "a request id that was used", {"request_id": "used"}, "REQUEST_ID_REUSED", set()),
    ("CancelOrder", "an order that has ended", {"order.client_order_id": "filled"}, "ORDER_ENDED", set()),
    (
        "CancelOrder",
        "an id to set aside that is not the client's",
        {"order.order_id": "sealed-1-o9999", "if_unknown": 2},
        INVALID,
        {"order.client_order_id"},
    ),
    ("CancelOrder", "a request id that was used", {"request_id": "used"}, "REQUEST_ID_REUSED", set()),
    ("CancelAllOrders", "a request id that was used", {"request_id": "used"}, "REQUEST_ID_REUSED", set()),
    ("BatchCancelOrders", "a request id that was used", {"request_id": "used"}, "REQUEST_ID_REUSED", set()),
    ("ReconnectBroker", "a request id that was used", {"request_id": "used"}, "REQUEST_ID_REUSED", set()),
    ("ClearFreeze", "a request id that was used", {"request_id": "used"}, "REQUEST_ID_REUSED", set()),
    ("ResolveOrder", "a request id that was used", {"request_id": "used"}, "REQUEST_ID_REUSED", set()),
    (
        "EmergencyStop",
        "a request id that was used",
        {"request_id": "used", "account_ids": ["sealed"]},
        "REQUEST_ID_REUSED",
        set(),
    ),
    (
        "ResumeTrading",
        "a request id that was used",
        {"request_id": "used", "account_ids": ["sealed"]},
        "REQUEST_ID_REUSED",
        set(),
    ),
    ("ClearFreeze", "an instrument that nothing froze", {}, "NOT_FROZEN", {"symbol"}),
    ("ResolveOrder", "an order that is certain", {}, "ORDER_NOT_UNCERTAIN", set()),
    (
        "ResolveOrder",
        "an order that has ended",
        {"order.client_order_id": "filled"},
        "ORDER_NOT_UNCERTAIN",
        set(),
    ),
    ("ResolveOrder", "an end without its quantity", {"resolution": 2}, INVALID, {"cum_quantity"}),
    (
        "ResolveOrder",
        "a broker's id of an order that it never had",
        {"broker_order_id": "b1"},
        INVALID,
        {"broker_order_id"},
    ),
    (
        "ListAuditRecords",
        "an end before the beginning",
        {"start_time": when(2), "end_time": when(1)},
        INVALID,
        {"end_time"},
    ),
    (
        "ResetPaperAccount",
        "a request id that was used",
        {"request_id": "used", "account_id": "sealed"},
        "REQUEST_ID_REUSED",
        set(),
    ),
    (
        "ClosePosition",
        "a request id that an order has",
        {"request_id": "resting"},
        "REQUEST_ID_REUSED",
        set(),
    ),
    ("ClosePosition", "nothing held", {"symbol": OTHER_SYMBOL}, "POSITION_NOT_FOUND", set()),
    ("GetPosition", "nothing ever held", {"symbol": OTHER_SYMBOL}, "POSITION_NOT_FOUND", set()),
    ("GetQuote", "nobody quotes", {"symbol": OTHER_SYMBOL}, "NO_REFERENCE_PRICE", set()),
    ("StreamFills", "a snapshot", {"start_position": 3}, INVALID, {"start_position"}),
    ("ControlTape", "no tape", {"account_id": "sealed"}, "WRONG_FEED", set()),
    ("ControlTape", "a synthetic market", {"account_id": "synthetic"}, "WRONG_FEED", set()),
    (
        "ControlTape",
        "a time before the tape's present one",
        {"seek_time": when(1_000_000_000)},
        INVALID,
        {"seek_time"},
    ),
    ("PushMarketData", "a synthetic market", {"account_id": "synthetic"}, "WRONG_FEED", set()),
    ("PushMarketData", "a tape", {"account_id": "tape"}, "WRONG_FEED", set()),
    ("PushMarketData", "an update of nothing", {"updates[0].book": ABSENT}, INVALID, {"updates[0]"}),
    (
        "CreatePaperAccount",
        "a ticker that is paid in nothing",
        {"push.instruments": [PushInstrument(symbol="AAPL", price_increment="1", quantity_increment="1")]},
        INVALID,
        {"push.instruments[0].quote_currency"},
    ),
    (
        "CreatePaperAccount",
        "a pair that is paid in something else",
        {"push.instruments[0].quote_currency": "EUR"},
        INVALID,
        {"push.instruments[0].quote_currency"},
    ),
    (
        "CreatePaperAccount",
        "an inverse perpetual",
        {"push.instruments[0].symbol": "BTC/USD:BTC"},
        INVALID,
        {"push.instruments[0].symbol"},
    ),
    (
        "ResetPaperAccount",
        "an amount of nothing",
        {"initial_balances": [Money(amount="0", currency_code="USD")]},
        INVALID,
        {"initial_balances[0].amount"},
    ),
)
"""Requests that are right by themselves and wrong as things stand: the RPC, what is changed, the reason, the fields."""


def situation_cases(scene: Scene) -> Iterator[Case]:
    """Every situation."""
    for rpc, label, changes, reason, fields in SITUATIONS:
        request = makers(scene)[rpc]()
        for path, value in changes.items():
            put(request, path, value)
        yield Case(rpc, label, request, reason, frozenset(fields))
