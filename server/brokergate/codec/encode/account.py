"""Accounts, positions, balances and ledger entries as messages."""

from __future__ import annotations

from typing import Protocol

from google.protobuf.timestamp_pb2 import Timestamp

from brokergate.codec.encode.values import (
    NS_PER_S,
    Fields,
    amount_bytes,
    amount_fields,
    decimal_text,
    money_fields,
    timestamp_bytes,
    timestamp_fields,
)
from brokergate.codec.wire import LENGTHS, delimited, delimited_tag, template
from brokergate.domain.accounts import (
    BrokerAccountInfo,
    BrokerBalance,
    BrokerPosition,
    Environment,
    LedgerEntry,
)
from brokergate.domain.money import subtract
from brokergate.v1 import account_pb2, position_pb2


def position_fields(account_id: str, position: BrokerPosition) -> Fields:
    """The fields of a Position."""
    currency = position.quote_currency
    fields: Fields = {
        "account_id": account_id,
        "symbol": position.symbol,
        "quantity": decimal_text(position.quantity),
        "cost": decimal_text(position.cost),
        "realized_pnl": amount_fields(position.realized_pnl, currency),
        "fees": [money_fields(fee) for fee in position.fees],
        "source": position.source,
        "as_of": timestamp_fields(position.as_of_ns),
    }
    if (average := position.average_price) is not None:
        fields["average_price"] = decimal_text(average)
    if position.mark_price is not None:
        fields["mark_price"] = decimal_text(position.mark_price)
    if position.unrealized_pnl is not None:
        fields["unrealized_pnl"] = amount_fields(position.unrealized_pnl, currency)
    return fields


def encode_position(account_id: str, position: BrokerPosition) -> position_pb2.Position:
    """A Position."""
    return position_pb2.Position(**position_fields(account_id, position))


def balance_fields(account_id: str, balance: BrokerBalance) -> Fields:
    """The fields of a Balance; `available` is `total - held`."""
    return {
        "account_id": account_id,
        "currency_code": balance.currency,
        "total": decimal_text(balance.total),
        "available": decimal_text(subtract(balance.total, balance.held)),
        "held": decimal_text(balance.held),
        "source": balance.source,
        "as_of": timestamp_fields(balance.as_of_ns),
    }


def encode_as_of(time_ns: int) -> Timestamp | None:
    """When a broker said something; absent for 0, nobody knows."""
    return Timestamp(seconds=time_ns // NS_PER_S, nanos=time_ns % NS_PER_S) if time_ns else None


def encode_balance(account_id: str, balance: BrokerBalance) -> account_pb2.Balance:
    """A Balance."""
    return account_pb2.Balance(**balance_fields(account_id, balance))


_POSITION = position_pb2.Position.DESCRIPTOR
_POSITION_COMMON = template(
    _POSITION, "account_id", "symbol", "quantity", "cost", "realized_pnl", "source", "as_of"
)
_AVERAGE_PRICE = delimited_tag(_POSITION, "average_price")
_MARK_PRICE = delimited_tag(_POSITION, "mark_price")
_UNREALIZED = delimited_tag(_POSITION, "unrealized_pnl")
_FEES = delimited_tag(_POSITION, "fees")
_BALANCE = template(
    account_pb2.Balance.DESCRIPTOR,
    "account_id",
    "currency_code",
    "total",
    "available",
    "held",
    "source",
    "as_of",
)


def position_bytes(account_id: str, position: BrokerPosition) -> bytes:
    """A serialised Position. Raises `IndexError` for what is longer than the contract allows."""
    account, symbol = account_id.encode(), position.symbol.encode()
    quantity, cost = decimal_text(position.quantity).encode(), decimal_text(position.cost).encode()
    realized = amount_bytes(position.realized_pnl, position.quote_currency)
    as_of = timestamp_bytes(position.as_of_ns)
    body = _POSITION_COMMON % (
        LENGTHS[len(account)],
        account,
        LENGTHS[len(symbol)],
        symbol,
        LENGTHS[len(quantity)],
        quantity,
        LENGTHS[len(cost)],
        cost,
        LENGTHS[len(realized)],
        realized,
        LENGTHS[position.source],
        LENGTHS[len(as_of)],
        as_of,
    )
    if (average := position.average_price) is not None:
        body += delimited(_AVERAGE_PRICE, decimal_text(average).encode())
    if position.mark_price is not None:
        body += delimited(_MARK_PRICE, decimal_text(position.mark_price).encode())
    if position.unrealized_pnl is not None:
        body += delimited(_UNREALIZED, amount_bytes(position.unrealized_pnl, position.quote_currency))
    for fee in position.fees:
        body += delimited(_FEES, amount_bytes(fee.amount, fee.currency))
    return body


def balance_bytes(account_id: str, balance: BrokerBalance) -> bytes:
    """A serialised Balance. Raises `IndexError` for what is longer than the contract allows."""
    account, currency = account_id.encode(), balance.currency.encode()
    total, held = decimal_text(balance.total).encode(), decimal_text(balance.held).encode()
    available = decimal_text(subtract(balance.total, balance.held)).encode()
    as_of = timestamp_bytes(balance.as_of_ns)
    return _BALANCE % (
        LENGTHS[len(account)],
        account,
        LENGTHS[len(currency)],
        currency,
        LENGTHS[len(total)],
        total,
        LENGTHS[len(available)],
        available,
        LENGTHS[len(held)],
        held,
        LENGTHS[balance.source],
        LENGTHS[len(as_of)],
        as_of,
    )


def ledger_entry_fields(account_id: str, entry: LedgerEntry) -> Fields:
    """The fields of a LedgerEntry."""
    return {
        "ledger_entry_id": entry.ledger_entry_id,
        "account_id": account_id,
        "kind": entry.kind,
        "amount": money_fields(entry.amount),
        "symbol": entry.symbol,
        "description": entry.description,
        "event_time": timestamp_fields(entry.event_time_ns),
    }


def encode_ledger_entry(account_id: str, entry: LedgerEntry) -> account_pb2.LedgerEntry:
    """A LedgerEntry."""
    return account_pb2.LedgerEntry(**ledger_entry_fields(account_id, entry))


class AccountLike(Protocol):
    """What an Account shows (the engine's AccountView has it)."""

    @property
    def account_id(self) -> str: ...
    @property
    def broker(self) -> str: ...
    @property
    def environment(self) -> Environment: ...
    @property
    def trading_enabled(self) -> bool: ...
    @property
    def info(self) -> BrokerAccountInfo | None: ...
    @property
    def stale(self) -> bool: ...


def encode_account(account: AccountLike) -> account_pb2.Account:
    """An Account."""
    fields: Fields = {
        "account_id": account.account_id,
        "broker": account.broker,
        "environment": account.environment,
        "trading_enabled": account.trading_enabled,
        "stale": account.stale,
    }
    if account.info is not None:
        fields |= _figures(account.info)
    return account_pb2.Account(**fields)


def _figures(info: BrokerAccountInfo) -> Fields:
    currency = info.base_currency
    fields: Fields = {
        "base_currency": currency,
        "cash": amount_fields(info.cash, currency),
        "initial_margin": amount_fields(info.initial_margin, currency),
        "maintenance_margin": amount_fields(info.maintenance_margin, currency),
        "buying_power": amount_fields(info.buying_power, currency),
        "as_of": timestamp_fields(info.as_of_ns),
        "unvalued_currencies": info.unvalued_currencies,
    }
    for name, amount in (
        ("equity", info.equity),
        ("unrealized_pnl", info.unrealized_pnl),
        ("realized_pnl", info.realized_pnl),
    ):
        if amount is not None:
            fields[name] = amount_fields(amount, currency)
    return fields
