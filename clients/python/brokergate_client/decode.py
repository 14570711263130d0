"""From the contract's messages to this client's values. Fields that this client does not know are passed over."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from google.protobuf.message import Message

from brokergate.v1 import (
    account_pb2,
    event_pb2,
    fill_pb2,
    instrument_pb2,
    market_data_pb2,
    money_pb2,
    order_pb2,
    position_pb2,
    trading_control_pb2,
)
from brokergate_client import enums, errors
from brokergate_client.control import AccountTradingState, AuditRecord, StopProgress
from brokergate_client.enums import known
from brokergate_client.events import (
    ConnectionChanged,
    ControlChanged,
    Discrepancy,
    Event,
    EventPayload,
    Fill,
    FillFees,
    Gap,
    OrderChanged,
    UnknownPayload,
)
from brokergate_client.exact import NANOSECONDS, nanoseconds, time_of
from brokergate_client.instruments import Instrument, Quote
from brokergate_client.money import Account, Balance, LedgerEntry, Money, Position
from brokergate_client.orders import (
    Order,
    OrderResult,
    OrderSpec,
    PendingAction,
    Preview,
    ProtectiveLeg,
)
from brokergate_client.pages import Listing

T = TypeVar("T")


def optional_decimal(message: Message, field: str) -> Decimal | None:
    """A decimal field with presence."""
    return Decimal(getattr(message, field)) if message.HasField(field) else None


def money(message: money_pb2.Money) -> Money:
    """An amount."""
    return Money(Decimal(message.amount), message.currency_code)


def moneys(messages: Iterable[money_pb2.Money]) -> tuple[Money, ...]:
    """Amounts."""
    return tuple([Money(Decimal(m.amount), m.currency_code) for m in messages])


def optional_money(message: Message, field: str) -> Money | None:
    """An amount that may be absent."""
    return money(getattr(message, field)) if message.HasField(field) else None


def _optional_time(message: Message, field: str) -> datetime | None:
    return time_of(nanoseconds(getattr(message, field))) if message.HasField(field) else None


def fill(message: fill_pb2.Fill, event_id: str = "", sequence: int = 0, cursor: str = "") -> Fill:
    """An execution; of a stream with its place in it. The hot path of this client: every field is read once."""
    event_time = message.event_time
    receive_time = message.receive_time
    return Fill(
        fill_id=message.fill_id,
        order_id=message.order_id,
        client_order_id=message.client_order_id,
        broker_order_id=message.broker_order_id,
        broker_execution_id=message.broker_execution_id,
        account_id=message.account_id,
        symbol=message.symbol,
        side=known(enums.Side, message.side),
        quantity=Decimal(message.quantity),
        price=Decimal(message.price),
        fees=moneys(message.fees),
        fees_final=message.fees_final,
        liquidity=known(enums.Liquidity, message.liquidity),
        event_time_ns=event_time.seconds * NANOSECONDS + event_time.nanos,
        receive_time_ns=receive_time.seconds * NANOSECONDS + receive_time.nanos,
        origin=known(enums.FillOrigin, message.origin),
        kind=known(enums.FillKind, message.kind),
        corrects_fill_id=message.corrects_fill_id,
        event_id=event_id,
        sequence=sequence,
        cursor=cursor,
    )


def _leg(message: order_pb2.OrderSpec, field: str) -> ProtectiveLeg | None:
    if not message.HasField(field):  # type: ignore[arg-type]
        return None
    leg: order_pb2.ProtectiveLeg = getattr(message, field)
    return ProtectiveLeg(
        leg.client_order_id, optional_decimal(leg, "limit_price"), optional_decimal(leg, "stop_price")
    )


def order_spec(message: order_pb2.OrderSpec) -> OrderSpec:
    """What an order asks for."""
    return OrderSpec(
        symbol=message.symbol,
        side=known(enums.Side, message.side),
        type=known(enums.OrderType, message.type),
        quantity=optional_decimal(message, "quantity"),
        quote_quantity=optional_decimal(message, "quote_quantity"),
        limit_price=optional_decimal(message, "limit_price"),
        stop_price=optional_decimal(message, "stop_price"),
        trail_amount=optional_decimal(message, "trail_amount"),
        trail_percent=optional_decimal(message, "trail_percent"),
        trigger_source=known(enums.TriggerSource, message.trigger_source),
        time_in_force=known(enums.TimeInForce, message.time_in_force),
        expire_time=_optional_time(message, "expire_time"),
        post_only=message.post_only,
        reduce_only=message.reduce_only,
        extended_hours=message.extended_hours,
        display_quantity=optional_decimal(message, "display_quantity"),
        self_trade_prevention=known(enums.SelfTradePrevention, message.self_trade_prevention),
        take_profit=_leg(message, "take_profit"),
        stop_loss=_leg(message, "stop_loss"),
        labels=dict(message.labels),
        broker_options=dict(message.broker_options),
    )


def order(message: order_pb2.Order) -> Order:
    """An order as it stands."""
    return Order(
        order_id=message.order_id,
        client_order_id=message.client_order_id,
        account_id=message.account_id,
        route_id=message.route_id,
        broker_order_id=message.broker_order_id,
        origin=known(enums.OrderOrigin, message.origin),
        generation=message.generation,
        spec=order_spec(message.spec),
        state=known(enums.OrderState, message.state),
        pending=tuple(
            PendingAction(
                known(enums.PendingActionKind, p.kind),
                p.request_id,
                nanoseconds(p.since_time),
                p.uncertain,
                p.held,
                order_spec(p.replacement) if p.HasField("replacement") else None,
            )
            for p in message.pending
        ),
        quantity=Decimal(message.quantity or 0),
        cum_quantity=Decimal(message.cum_quantity or 0),
        leaves_quantity=Decimal(message.leaves_quantity or 0),
        cum_notional=Decimal(message.cum_notional or 0),
        average_price=optional_decimal(message, "average_price"),
        reject_reason=known(enums.ErrorReason, message.reject_reason),
        reject_message=message.reject_message,
        create_time_ns=nanoseconds(message.create_time),
        update_time_ns=nanoseconds(message.update_time),
        triggered=message.triggered,
        group_id=message.group_id,
    )


def order_result(message: order_pb2.OrderResult) -> OrderResult:
    """The outcome for one order of many."""
    return OrderResult(
        order=order(message.order) if message.HasField("order") else None,
        error=errors.from_message(message.error) if message.HasField("error") else None,
        already_existed=message.already_existed,
    )


def preview(message: order_pb2.PreviewOrderResponse) -> Preview:
    """What an order would do."""
    return Preview(
        account_id=message.account_id,
        estimated_price=optional_decimal(message, "estimated_price"),
        estimated_fill_quantity=Decimal(message.estimated_fill_quantity or 0),
        estimated_notional=optional_money(message, "estimated_notional"),
        estimated_fees=moneys(message.estimated_fees),
        required_funds=optional_money(message, "required_funds"),
        rejection=errors.from_message(message.rejection) if message.HasField("rejection") else None,
    )


def account(message: account_pb2.Account) -> Account:
    """An account."""
    return Account(
        account_id=message.account_id,
        broker=message.broker,
        environment=known(enums.Environment, message.environment),
        trading_enabled=message.trading_enabled,
        base_currency=message.base_currency,
        equity=optional_money(message, "equity"),
        cash=optional_money(message, "cash"),
        initial_margin=optional_money(message, "initial_margin"),
        maintenance_margin=optional_money(message, "maintenance_margin"),
        buying_power=optional_money(message, "buying_power"),
        unrealized_pnl=optional_money(message, "unrealized_pnl"),
        realized_pnl=optional_money(message, "realized_pnl"),
        as_of_ns=nanoseconds(message.as_of),
        stale=message.stale,
        unvalued_currencies=tuple(message.unvalued_currencies),
    )


def balance(message: account_pb2.Balance) -> Balance:
    """What an account holds of a currency."""
    return Balance(
        account_id=message.account_id,
        currency_code=message.currency_code,
        total=Decimal(message.total),
        available=Decimal(message.available),
        held=Decimal(message.held),
        source=known(enums.ValueSource, message.source),
        as_of_ns=nanoseconds(message.as_of),
    )


def position(message: position_pb2.Position) -> Position:
    """What an account holds of an instrument."""
    return Position(
        account_id=message.account_id,
        symbol=message.symbol,
        quantity=Decimal(message.quantity),
        cost=Decimal(message.cost),
        average_price=optional_decimal(message, "average_price"),
        mark_price=optional_decimal(message, "mark_price"),
        unrealized_pnl=optional_money(message, "unrealized_pnl"),
        realized_pnl=optional_money(message, "realized_pnl"),
        fees=moneys(message.fees),
        source=known(enums.ValueSource, message.source),
        as_of_ns=nanoseconds(message.as_of),
    )


def ledger_entry(message: account_pb2.LedgerEntry) -> LedgerEntry:
    """A movement of cash."""
    return LedgerEntry(
        ledger_entry_id=message.ledger_entry_id,
        account_id=message.account_id,
        kind=known(enums.LedgerEntryKind, message.kind),
        amount=money(message.amount),
        symbol=message.symbol,
        description=message.description,
        event_time_ns=nanoseconds(message.event_time),
    )


def instrument(message: instrument_pb2.Instrument) -> Instrument:
    """What can be traded."""
    return Instrument(
        symbol=message.symbol,
        broker_symbol=message.broker_symbol,
        kind=known(enums.InstrumentKind, message.kind),
        base_currency=message.base_currency,
        quote_currency=message.quote_currency,
        price_increment=Decimal(message.price_increment),
        quantity_increment=Decimal(message.quantity_increment),
        min_quantity=Decimal(message.min_quantity or 0),
        max_quantity=optional_decimal(message, "max_quantity"),
        min_notional=Decimal(message.min_notional or 0),
        multiplier=Decimal(message.multiplier or 1),
        trading_state=known(enums.InstrumentTradingState, message.trading_state),
        expiry_time_ns=nanoseconds(message.expiry_time) if message.HasField("expiry_time") else None,
    )


def listing(
    items: Iterable[T], answer: account_pb2.ListBalancesResponse | position_pb2.ListPositionsResponse
) -> Listing[T]:
    """The items of an answer that is a whole list."""
    return Listing(tuple(items), answer.cursor, answer.stale, nanoseconds(answer.as_of))


def quote(message: market_data_pb2.Quote, *, stale: bool = False) -> Quote:
    """The best bid and ask."""
    return Quote(
        symbol=message.symbol,
        bid_price=optional_decimal(message, "bid_price"),
        bid_quantity=optional_decimal(message, "bid_quantity"),
        ask_price=optional_decimal(message, "ask_price"),
        ask_quantity=optional_decimal(message, "ask_quantity"),
        last_price=optional_decimal(message, "last_price"),
        event_time_ns=nanoseconds(message.event_time),
        receive_time_ns=nanoseconds(message.receive_time),
        delayed=message.delayed,
        stale=stale,
    )


def discrepancy(message: trading_control_pb2.Discrepancy) -> Discrepancy:
    """A disagreement."""
    return Discrepancy(
        discrepancy_id=message.discrepancy_id,
        symbol=message.symbol,
        order_id=message.order_id,
        expected=message.expected,
        actual=message.actual,
        message=message.message,
        state=known(enums.DiscrepancyState, message.state),
        account_id=message.account_id,
        detect_time_ns=nanoseconds(message.detect_time),
    )


def stop_progress(message: trading_control_pb2.StopProgress) -> StopProgress:
    """How far a stop is."""
    return StopProgress(
        phase=known(enums.StopPhase, message.phase),
        open_orders=message.open_orders,
        ended_orders=message.ended_orders,
        remaining_orders=message.remaining_orders,
        uncertain_orders=message.uncertain_orders,
        kept_orders=message.kept_orders,
        open_positions=tuple(message.open_positions),
    )


def trading_state(message: trading_control_pb2.AccountTradingState) -> AccountTradingState:
    """Whether an account takes orders."""
    return AccountTradingState(
        account_id=message.account_id,
        state=known(enums.TradingState, message.state),
        reason=message.reason,
        since_time_ns=nanoseconds(message.since_time),
        stop_operation_id=message.stop_operation_id,
        frozen_symbols=tuple(message.frozen_symbols),
    )


def audit_record(message: trading_control_pb2.AuditRecord) -> AuditRecord:
    """A command that was taken."""
    return AuditRecord(
        account_id=message.account_id,
        time_ns=nanoseconds(message.time),
        actor=message.actor,
        peer=message.peer,
        client_name=message.client_name,
        method=message.method,
        request_id=message.request_id,
        client_order_id=message.client_order_id,
        order_id=message.order_id,
    )


def _order_changed(message: event_pb2.OrderEvent) -> OrderChanged:
    return OrderChanged(
        known(enums.OrderEventType, message.type),
        order(message.order),
        message.request_id,
        known(enums.ErrorReason, message.reason),
        message.message,
    )


# By the oneof's field: the kind and the decoder. What stands here is what this client knows.
_PAYLOADS: dict[str, tuple[enums.EventKind, Any]] = {
    "order": (enums.EventKind.ORDER, _order_changed),
    "fill_fees": (enums.EventKind.FILL_FEES, lambda m: FillFees(m.fill_id, m.order_id, moneys(m.fees))),
    "position": (enums.EventKind.POSITION, lambda m: position(m.position)),
    "balance": (enums.EventKind.BALANCE, lambda m: balance(m.balance)),
    "ledger_entry": (enums.EventKind.LEDGER_ENTRY, lambda m: ledger_entry(m.entry)),
    "connection": (
        enums.EventKind.CONNECTION,
        lambda m: ConnectionChanged(known(enums.ConnectionState, m.state), m.message),
    ),
    "gap": (
        enums.EventKind.GAP,
        lambda m: Gap(nanoseconds(m.start_time), nanoseconds(m.end_time), m.message),
    ),
    "discrepancy": (enums.EventKind.DISCREPANCY, lambda m: discrepancy(m.discrepancy)),
    "control": (
        enums.EventKind.CONTROL,
        lambda m: ControlChanged(
            known(enums.ControlEventType, m.type),
            m.request_id,
            m.message,
            m.actor,
            m.operation_id,
            stop_progress(m.stop) if m.HasField("stop") else None,
        ),
    ),
}


def event(message: event_pb2.Event, cursor: str) -> Event:
    """An entry of the journal, with the cursor to keep once it has been dealt with."""
    field = message.WhichOneof("payload")
    kind: enums.EventKind = enums.EventKind.UNSPECIFIED
    payload: EventPayload = UnknownPayload()
    if field == "fill":
        kind = enums.EventKind.FILL
        payload = fill(message.fill.fill, message.event_id, message.sequence, cursor)
    elif field is not None:
        kind, decode = _PAYLOADS[field]
        payload = decode(getattr(message, field))
    return Event(
        message.event_id,
        message.account_id,
        message.sequence,
        cursor,
        nanoseconds(message.time),
        kind,
        payload,
    )
