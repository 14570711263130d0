"""What was stored, back to domain values. It was written by `encode`, so nothing is checked again.

What the contract does not carry, the multiplier of an order's or a position's instrument, is handed in.
"""

from __future__ import annotations

from decimal import Decimal

from google.protobuf.timestamp_pb2 import Timestamp

from brokergate.codec.encode.values import NS_PER_S
from brokergate.domain.accounts import (
    BrokerBalance,
    BrokerPosition,
    LedgerEntry,
    LedgerEntryKind,
    ValueSource,
)
from brokergate.domain.control import Discrepancy, DiscrepancyState
from brokergate.domain.errors import ErrorReason
from brokergate.domain.fills import Fill, FillKind, FillOrigin, Liquidity, Money
from brokergate.domain.orders import (
    Order,
    OrderOrigin,
    OrderSpec,
    OrderState,
    OrderType,
    PendingAction,
    PendingActionKind,
    ProtectiveLeg,
    SelfTradePrevention,
    Side,
    TimeInForce,
    TriggerSource,
)
from brokergate.v1 import account_pb2, fill_pb2, money_pb2, order_pb2, position_pb2, trading_control_pb2


def restore_time(time: Timestamp) -> int:
    """Nanoseconds since the epoch; 0 for a time that is absent."""
    return time.seconds * NS_PER_S + time.nanos


def restore_money(money: money_pb2.Money) -> Money:
    """A Money."""
    return Money(Decimal(money.amount), money.currency_code)


def _given(message: order_pb2.OrderSpec | order_pb2.ProtectiveLeg, name: str) -> Decimal | None:
    return Decimal(getattr(message, name)) if message.HasField(name) else None  # type: ignore[arg-type]


def _leg(spec: order_pb2.OrderSpec, name: str) -> ProtectiveLeg | None:
    if not spec.HasField(name):  # type: ignore[arg-type]
        return None
    leg = getattr(spec, name)
    return ProtectiveLeg(leg.client_order_id, _given(leg, "limit_price"), _given(leg, "stop_price"))


def restore_spec(spec: order_pb2.OrderSpec) -> OrderSpec:
    """An OrderSpec."""
    return OrderSpec(
        symbol=spec.symbol,
        side=Side(spec.side),
        type=OrderType(spec.type),
        quantity=_given(spec, "quantity"),
        quote_quantity=_given(spec, "quote_quantity"),
        limit_price=_given(spec, "limit_price"),
        stop_price=_given(spec, "stop_price"),
        trail_amount=_given(spec, "trail_amount"),
        trail_percent=_given(spec, "trail_percent"),
        trigger_source=TriggerSource(spec.trigger_source),
        time_in_force=TimeInForce(spec.time_in_force),
        expire_time_ns=restore_time(spec.expire_time) if spec.HasField("expire_time") else None,
        post_only=spec.post_only,
        reduce_only=spec.reduce_only,
        extended_hours=spec.extended_hours,
        display_quantity=_given(spec, "display_quantity"),
        self_trade_prevention=SelfTradePrevention(spec.self_trade_prevention),
        take_profit=_leg(spec, "take_profit"),
        stop_loss=_leg(spec, "stop_loss"),
        labels=tuple(sorted(spec.labels.items())),
        broker_options=tuple(sorted(spec.broker_options.items())),
    )


def restore_order(order: order_pb2.Order, multiplier: Decimal) -> Order:
    """An Order; `multiplier` is its instrument's."""
    return Order(
        order_id=order.order_id,
        client_order_id=order.client_order_id,
        account_id=order.account_id,
        spec=restore_spec(order.spec),
        quantity=Decimal(order.quantity),
        state=OrderState(order.state),
        create_time_ns=restore_time(order.create_time),
        update_time_ns=restore_time(order.update_time),
        cum_quantity=Decimal(order.cum_quantity),
        leaves_quantity=Decimal(order.leaves_quantity),
        cum_notional=Decimal(order.cum_notional),
        multiplier=multiplier,
        pending=tuple(
            PendingAction(
                PendingActionKind(action.kind),
                action.request_id,
                restore_time(action.since_time),
                action.uncertain,
                action.held,
                restore_spec(action.replacement) if action.HasField("replacement") else None,
            )
            for action in order.pending
        ),
        broker_order_id=order.broker_order_id,
        route_id=order.route_id,
        origin=OrderOrigin(order.origin),
        generation=order.generation,
        reject_reason=ErrorReason(order.reject_reason),
        reject_message=order.reject_message,
        triggered=order.triggered,
        group_id=order.group_id,
    )


def restore_fill(fill: fill_pb2.Fill) -> Fill:
    """A Fill."""
    return Fill(
        fill_id=fill.fill_id,
        account_id=fill.account_id,
        order_id=fill.order_id,
        client_order_id=fill.client_order_id,
        broker_order_id=fill.broker_order_id,
        broker_execution_id=fill.broker_execution_id,
        symbol=fill.symbol,
        side=Side(fill.side),
        quantity=Decimal(fill.quantity),
        price=Decimal(fill.price),
        fees=tuple(restore_money(fee) for fee in fill.fees),
        liquidity=Liquidity(fill.liquidity),
        event_time_ns=restore_time(fill.event_time),
        receive_time_ns=restore_time(fill.receive_time),
        fees_final=fill.fees_final,
        origin=FillOrigin(fill.origin),
        kind=FillKind(fill.kind),
        corrects_fill_id=fill.corrects_fill_id,
    )


def restore_position(position: position_pb2.Position, multiplier: Decimal) -> BrokerPosition:
    """A position; `multiplier` is its instrument's."""
    return BrokerPosition(
        symbol=position.symbol,
        quantity=Decimal(position.quantity),
        cost=Decimal(position.cost),
        quote_currency=position.realized_pnl.currency_code,
        as_of_ns=restore_time(position.as_of),
        realized_pnl=Decimal(position.realized_pnl.amount),
        fees=tuple(restore_money(fee) for fee in position.fees),
        multiplier=multiplier,
        mark_price=Decimal(position.mark_price) if position.HasField("mark_price") else None,
        unrealized_pnl=Decimal(position.unrealized_pnl.amount)
        if position.HasField("unrealized_pnl")
        else None,
        source=ValueSource(position.source),
    )


def restore_balance(balance: account_pb2.Balance) -> BrokerBalance:
    """A balance."""
    return BrokerBalance(
        currency=balance.currency_code,
        total=Decimal(balance.total),
        held=Decimal(balance.held),
        as_of_ns=restore_time(balance.as_of),
        source=ValueSource(balance.source),
    )


def restore_ledger_entry(entry: account_pb2.LedgerEntry) -> LedgerEntry:
    """A ledger entry."""
    return LedgerEntry(
        ledger_entry_id=entry.ledger_entry_id,
        kind=LedgerEntryKind(entry.kind),
        amount=restore_money(entry.amount),
        event_time_ns=restore_time(entry.event_time),
        symbol=entry.symbol,
        description=entry.description,
    )


def restore_discrepancy(discrepancy: trading_control_pb2.Discrepancy) -> Discrepancy:
    """A disagreement."""
    return Discrepancy(
        discrepancy_id=discrepancy.discrepancy_id,
        account_id=discrepancy.account_id,
        symbol=discrepancy.symbol,
        order_id=discrepancy.order_id,
        expected=discrepancy.expected,
        actual=discrepancy.actual,
        message=discrepancy.message,
        detect_time_ns=restore_time(discrepancy.detect_time),
        state=DiscrepancyState(discrepancy.state),
    )
