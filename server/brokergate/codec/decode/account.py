"""Requests about accounts, positions, instruments, quotes and brokers that name one thing."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from brokergate.codec.decode.fields import Violations, identifier, positive, symbol
from brokergate.codec.decode.fingerprint import fingerprint_of
from brokergate.codec.decode.order import Mutation, mutation_at
from brokergate.codec.decode.target import Target, target_at
from brokergate.domain.access import GATEWAY, Caller
from brokergate.domain.commands import ClosePosition
from brokergate.v1 import account_pb2, broker_pb2, instrument_pb2, market_data_pb2, position_pb2


@dataclass(frozen=True, slots=True)
class Holding:
    """An instrument on an account or a route."""

    target: Target
    symbol: str


@dataclass(frozen=True, slots=True)
class ListPositions:
    """The positions of an account, with the flat ones where wanted."""

    account_id: str
    include_flat: bool


def decode_account(request: account_pb2.GetAccountRequest | account_pb2.ListBalancesRequest) -> str:
    """The account of a GetAccountRequest or a ListBalancesRequest."""
    out = Violations()
    account_id = identifier(out, "account_id", request.account_id)
    out.check()
    return account_id


def decode_list_positions(request: position_pb2.ListPositionsRequest) -> ListPositions:
    """A ListPositionsRequest."""
    out = Violations()
    account_id = identifier(out, "account_id", request.account_id)
    out.check()
    return ListPositions(account_id, request.include_flat)


def decode_holding(
    request: instrument_pb2.GetInstrumentRequest | market_data_pb2.GetQuoteRequest,
) -> Holding:
    """The target and the symbol of a GetInstrumentRequest or a GetQuoteRequest."""
    out = Violations()
    holding = Holding(target_at(out, "", request), symbol(out, "symbol", request.symbol))
    out.check()
    return holding


def decode_get_position(request: position_pb2.GetPositionRequest) -> Holding:
    """A GetPositionRequest."""
    out = Violations()
    target = Target(identifier(out, "account_id", request.account_id), "")
    holding = Holding(target, symbol(out, "symbol", request.symbol))
    out.check()
    return holding


def decode_close_position(
    request: position_pb2.ClosePositionRequest, caller: Caller = GATEWAY
) -> ClosePosition:
    """A ClosePositionRequest that `caller` sent. Its request id is the client_order_id of the closing order, and
    repeats like one."""
    out = Violations()
    account_id = identifier(out, "account_id", request.account_id)
    name = symbol(out, "symbol", request.symbol)
    request_id = identifier(out, "request_id", request.request_id)
    quantity: Decimal | None = None
    if request.HasField("quantity"):
        quantity = positive(out, "quantity", request.quantity)
    out.check()
    fingerprint = fingerprint_of("close", account_id, name, quantity)
    return ClosePosition(account_id, name, request_id, quantity, fingerprint, caller)


def decode_broker(request: broker_pb2.GetBrokerRequest) -> str:
    """The broker's name of a GetBrokerRequest."""
    out = Violations()
    name = identifier(out, "name", request.name)
    out.check()
    return name


def decode_reconnect(request: broker_pb2.ReconnectBrokerRequest) -> Mutation[str]:
    """A ReconnectBrokerRequest; the command is the account's id."""
    out = Violations()
    account_id = identifier(out, "account_id", request.account_id)
    return mutation_at(out, "", request.request_id, account_id)
