"""Orders and executions as the venue's wire shows them (rest-api.md, user-data-stream.md)."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from brokergate.domain.errors import ErrorReason
from brokergate.domain.fills import Liquidity
from brokergate.domain.orders import OrderState
from tests.emulators.binance.asking import TRIGGERED
from tests.emulators.binance.symbols import DEFAULT_STP, eight
from tests.emulators.orders import ZERO, Execution, VenueOrderState

_PLAIN_TYPES = {"STOP": "STOP_LOSS", "STOP_LIMIT": "STOP_LOSS_LIMIT"}


def status(order: VenueOrderState) -> str:
    """The venue's word for where an order stands."""
    if order.asleep and order.open:
        return "PENDING_NEW"
    if order.reason is ErrorReason.SELF_TRADE and order.state in (OrderState.CANCELED, OrderState.EXPIRED):
        return "EXPIRED_IN_MATCH"
    return order.state.name


def kept(order: VenueOrderState) -> dict[str, Any]:
    """What the venue keeps of an order (`Asked.kept`); an order of others came without."""
    if "symbol" not in order.extra:
        base, _, quote = order.spec.symbol.partition("/")
        kind = order.spec.type.name
        order.extra |= {
            "symbol": base + quote,
            "side": order.spec.side.name,
            "type": _PLAIN_TYPES.get(kind, kind),
            "timeInForce": order.spec.time_in_force.name or "GTC",
            "stopPrice": order.spec.stop_price,
            "stp": DEFAULT_STP,
            "orderListId": -1,
        }
        if order.extra["timeInForce"] == "UNSPECIFIED":
            order.extra["timeInForce"] = "GTC"
    return order.extra


def milliseconds(time_ns: int) -> int:
    """Nanoseconds as the venue tells times."""
    return time_ns // 1_000_000


def quantities(order: VenueOrderState) -> dict[str, str]:
    """Price and quantities, as all answers have them."""
    return {
        "price": eight(order.spec.limit_price or ZERO),
        "origQty": eight(order.quantity),
        "executedQty": eight(order.cum_quantity),
        "origQuoteOrderQty": eight(kept(order).get("quoteOrderQty") or ZERO),
        "cummulativeQuoteQty": eight(order.cum_notional),
    }


def conditional(order: VenueOrderState) -> dict[str, Any]:
    """Fields that only some orders have."""
    extra = kept(order)
    shown: dict[str, Any] = {}
    if extra.get("stopPrice") is not None:
        shown["stopPrice"] = eight(extra["stopPrice"])
    if extra.get("icebergQty") is not None:
        shown["icebergQty"] = eight(extra["icebergQty"])
    for name in ("trailingDelta", "strategyId", "strategyType"):
        if extra.get(name) is not None:
            shown[name] = extra[name]
    if extra.get("trailing_since_ns"):
        shown["trailingTime"] = milliseconds(extra["trailing_since_ns"])
    return shown


def ids(order: VenueOrderState) -> dict[str, Any]:
    """Which order it is."""
    return {
        "symbol": kept(order)["symbol"],
        "orderId": order.number,
        "orderListId": kept(order)["orderListId"],
        "clientOrderId": order.client_order_id,
    }


def acknowledged(order: VenueOrderState, kind: str, executions: Iterable[Execution]) -> dict[str, Any]:
    """The answer to a new order: `kind` is ACK, RESULT or FULL."""
    told = ids(order) | {"transactTime": milliseconds(order.created_ns)}
    if kind == "ACK":
        return told
    told |= quantities(order) | _described(order) | conditional(order)
    if order.working_ns:
        told["workingTime"] = milliseconds(order.working_ns)
    if kind == "FULL":
        told["fills"] = [
            {
                "price": eight(execution.price),
                "qty": eight(execution.quantity),
                "commission": eight(execution.fee),
                "commissionAsset": execution.fee_currency,
                "tradeId": execution.trade,
            }
            for execution in executions
        ]
    return told


def queried(order: VenueOrderState) -> dict[str, Any]:
    """One order of GET order, openOrders and allOrders."""
    extra = kept(order)
    told = ids(order) | quantities(order) | _described(order)
    told |= {"stopPrice": eight(ZERO), "icebergQty": eight(ZERO)} | conditional(order)
    waits = extra["type"] in TRIGGERED and not order.triggered
    return told | {
        "time": milliseconds(order.created_ns),
        "updateTime": milliseconds(order.updated_ns),
        "isWorking": not waits and not order.asleep,
        "workingTime": milliseconds(order.working_ns) if order.working_ns and not waits else -1,
    }


def cancelled(order: VenueOrderState, cancel_id: str) -> dict[str, Any]:
    """The answer to a cancel: it has an id of its own."""
    told = ids(order) | {
        "origClientOrderId": order.client_order_id,
        "clientOrderId": cancel_id,
        "transactTime": milliseconds(order.updated_ns),
    }
    return told | quantities(order) | _described(order) | conditional(order)


def trade_row(execution: Execution) -> dict[str, Any]:
    """One row of myTrades."""
    order = execution.order
    return {
        "symbol": kept(order)["symbol"],
        "id": execution.trade,
        "orderId": order.number,
        "orderListId": kept(order)["orderListId"],
        "price": eight(execution.price),
        "qty": eight(execution.quantity),
        "quoteQty": eight(execution.notional),
        "commission": eight(execution.fee),
        "commissionAsset": execution.fee_currency,
        "time": milliseconds(execution.time_ns),
        "isBuyer": order.buys,
        "isMaker": execution.liquidity is Liquidity.MAKER,
        "isBestMatch": True,
    }


def execution_report(
    order: VenueOrderState,
    what: str,
    event_ms: int,
    *,
    execution: Execution | None = None,
    cancel_id: str = "",
    number: int = 0,
    original_id: str = "",
) -> dict[str, Any]:
    """The event of something that happened to an order; `what` is NEW, TRADE, CANCELED, EXPIRED, REPLACED, REJECTED or
    TRADE_PREVENTION."""
    extra = kept(order)
    traded = execution.quantity if execution else ZERO
    cumulated = [each for each in order.executions if execution is None or each.number <= execution.number]
    filled = sum((each.quantity for each in cumulated), ZERO)
    notional = sum((each.notional for each in cumulated), ZERO)
    standing = status(order)
    if execution is not None:
        standing = "FILLED" if filled >= order.quantity else "PARTIALLY_FILLED"
    time_ns = execution.time_ns if execution else order.updated_ns
    waits = extra["type"] in TRIGGERED and not order.triggered
    told: dict[str, Any] = {
        "e": "executionReport",
        "E": event_ms,
        "s": extra["symbol"],
        "c": cancel_id or order.client_order_id,
        "S": extra["side"],
        "o": extra["type"],
        "f": extra["timeInForce"],
        "q": eight(order.quantity),
        "p": eight(order.spec.limit_price or ZERO),
        "P": eight(extra.get("stopPrice") or ZERO),
        "F": eight(extra.get("icebergQty") or ZERO),
        "g": extra["orderListId"],
        "C": original_id or (order.client_order_id if cancel_id else ""),
        "x": what,
        "X": standing,
        "r": "INSUFFICIENT_BALANCES" if standing == "REJECTED" else "NONE",
        "i": order.number,
        "l": eight(traded),
        "z": eight(filled),
        "L": eight(execution.price if execution else ZERO),
        "n": eight(execution.fee) if execution else "0",
        "N": execution.fee_currency if execution else None,
        "T": milliseconds(time_ns),
        "t": execution.trade if execution else -1,
        "I": number,
        "w": order.open and not waits and not order.asleep and standing in ("NEW", "PARTIALLY_FILLED"),
        "m": execution is not None and execution.liquidity is Liquidity.MAKER,
        "M": False,
        "O": milliseconds(order.created_ns),
        "Z": eight(notional),
        "Y": eight(execution.notional if execution else ZERO),
        "Q": eight(extra.get("quoteOrderQty") or ZERO),
        "V": extra["stp"],
    }
    if order.working_ns:
        told["W"] = milliseconds(order.working_ns)
    if extra.get("trailingDelta") is not None:
        told["d"] = extra["trailingDelta"]
    if extra.get("trailing_since_ns"):
        told["D"] = milliseconds(extra["trailing_since_ns"])
    if extra.get("strategyId") is not None:
        told["j"] = extra["strategyId"]
    if extra.get("strategyType") is not None:
        told["J"] = extra["strategyType"]
    return told


def commission(rate: Decimal) -> dict[str, str]:
    """A rate for makers and takers, as account/commission shows it."""
    return {name: eight(rate) for name in ("maker", "taker", "buyer", "seller")}


def _described(order: VenueOrderState) -> dict[str, Any]:
    extra = kept(order)
    return {
        "status": status(order),
        "timeInForce": extra["timeInForce"],
        "type": extra["type"],
        "side": extra["side"],
        "selfTradePreventionMode": extra["stp"],
    }
