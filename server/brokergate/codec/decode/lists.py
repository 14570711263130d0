"""Requests for pages of something: filters, page size, page token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from brokergate.codec.decode.fields import (
    Violations,
    choices,
    identifier,
    matches_symbol,
    members,
    optional_symbol,
    page_size,
    time_ns,
)
from brokergate.codec.decode.fingerprint import fingerprint_of
from brokergate.codec.page_token import (
    decode_numbered_page_token,
    decode_page_token,
    encode_page_token,
    invalid_token,
)
from brokergate.domain.accounts import LedgerEntryKind
from brokergate.domain.instruments import InstrumentKind
from brokergate.domain.orders import OrderState
from brokergate.ports.journal import AuditFilter, FillFilter, OrderFilter
from brokergate.v1 import account_pb2, instrument_pb2, order_pb2, trading_control_pb2

MAX_ACTOR_LENGTH = 256
"""Characters of a token's or a certificate's name to filter by."""

_STATES = members(OrderState)
_LEDGER_KINDS = members(LedgerEntryKind)
_INSTRUMENT_KINDS = members(InstrumentKind)

F = TypeVar("F")
P = TypeVar("P", int, str)


@dataclass(frozen=True, slots=True)
class Page(Generic[F, P]):
    """A page of a list of `account_id`: up to `limit` items that `which` lets through, from `place` on (None: from
    the beginning). Numbers count down, symbols up; the place itself is not on the page."""

    account_id: str
    which: F
    place: P | None
    limit: int
    filters: bytes
    """Tells the list's tokens from those of others."""

    def next_token(self, place: P) -> str:
        """The token of the page after the item at `place`."""
        return encode_page_token(self.filters, place)


@dataclass(frozen=True, slots=True)
class InstrumentFilter:
    """Which instruments a list shows; what is empty does not filter."""

    kinds: frozenset[InstrumentKind] = frozenset()
    symbol_prefix: str = ""


def _time(out: Violations, field: str, given: bool, time: Timestamp) -> int | None:
    return time_ns(out, field, time) if given else None


def _check_times(out: Violations, start_ns: int | None, end_ns: int | None) -> None:
    if start_ns is not None and end_ns is not None and end_ns < start_ns:
        out.add("end_time", "lies before start_time")


def decode_list_orders(request: order_pb2.ListOrdersRequest) -> Page[OrderFilter, int]:
    """A ListOrdersRequest; the place is `StoredOrder.number`."""
    out = Violations()
    account_id = identifier(out, "account_id", request.account_id)
    which = OrderFilter(
        symbol=optional_symbol(out, "symbol", request.symbol),
        states=choices(out, "states", request.states, _STATES),
        open_only=request.open_only,
        start_time_ns=_time(out, "start_time", request.HasField("start_time"), request.start_time),
        end_time_ns=_time(out, "end_time", request.HasField("end_time"), request.end_time),
    )
    _check_times(out, which.start_time_ns, which.end_time_ns)
    return _numbered(out, "orders", account_id, which, request.page_size, request.page_token)


def decode_list_fills(request: order_pb2.ListFillsRequest) -> Page[FillFilter, int]:
    """A ListFillsRequest; the place is the fill's sequence."""
    out = Violations()
    account_id = identifier(out, "account_id", request.account_id)
    if len(request.order_id) > 128:
        out.add("order_id", "must have at most 128 characters", request.order_id)
    which = FillFilter(
        symbol=optional_symbol(out, "symbol", request.symbol),
        order_id=request.order_id,
        start_time_ns=_time(out, "start_time", request.HasField("start_time"), request.start_time),
        end_time_ns=_time(out, "end_time", request.HasField("end_time"), request.end_time),
    )
    _check_times(out, which.start_time_ns, which.end_time_ns)
    return _numbered(out, "fills", account_id, which, request.page_size, request.page_token)


def decode_list_ledger_entries(
    request: account_pb2.ListLedgerEntriesRequest,
) -> Page[frozenset[LedgerEntryKind], int]:
    """A ListLedgerEntriesRequest; the place is the entry's sequence."""
    out = Violations()
    account_id = identifier(out, "account_id", request.account_id)
    kinds = choices(out, "kinds", request.kinds, _LEDGER_KINDS)
    return _numbered(out, "ledger", account_id, kinds, request.page_size, request.page_token)


def decode_list_discrepancies(request: trading_control_pb2.ListDiscrepanciesRequest) -> Page[bool, int]:
    """A ListDiscrepanciesRequest: whether resolved ones are shown too; the place is the disagreement's number."""
    out = Violations()
    account_id = identifier(out, "account_id", request.account_id)
    resolved = request.include_resolved
    return _numbered(out, "discrepancies", account_id, resolved, request.page_size, request.page_token)


def decode_list_audit_records(
    request: trading_control_pb2.ListAuditRecordsRequest,
) -> Page[AuditFilter, int]:
    """A ListAuditRecordsRequest; the place is `AuditRecord.number`."""
    out = Violations()
    account_id = identifier(out, "account_id", request.account_id)
    if len(request.actor) > MAX_ACTOR_LENGTH:
        out.add("actor", f"must have at most {MAX_ACTOR_LENGTH} characters", request.actor)
    which = AuditFilter(
        actor=request.actor,
        start_time_ns=_time(out, "start_time", request.HasField("start_time"), request.start_time),
        end_time_ns=_time(out, "end_time", request.HasField("end_time"), request.end_time),
    )
    _check_times(out, which.start_time_ns, which.end_time_ns)
    return _numbered(out, "audit", account_id, which, request.page_size, request.page_token)


def _numbered(out: Violations, name: str, account_id: str, which: F, size: int, token: str) -> Page[F, int]:
    limit = page_size(out, "page_size", size)
    out.check()
    filters = fingerprint_of(name, account_id, which)
    return Page(
        account_id, which, decode_numbered_page_token(token, filters) if token else None, limit, filters
    )


def decode_list_instruments(request: instrument_pb2.ListInstrumentsRequest) -> Page[InstrumentFilter, str]:
    """A ListInstrumentsRequest; the place is the last symbol."""
    out = Violations()
    account_id = identifier(out, "account_id", request.account_id)
    which = InstrumentFilter(
        choices(out, "kinds", request.kinds, _INSTRUMENT_KINDS),
        optional_symbol(out, "symbol_prefix", request.symbol_prefix),
    )
    limit = page_size(out, "page_size", request.page_size)
    out.check()
    filters = fingerprint_of("instruments", account_id, which)
    place: str | None = None
    if request.page_token:
        place = decode_page_token(request.page_token, filters)
        if matches_symbol(place) is None:
            raise invalid_token(request.page_token)
    return Page(account_id, which, place, limit, filters)
