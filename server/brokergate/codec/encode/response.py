"""Answers as bytes, with the orders and fills in them as they were encoded before.

The server's serialisers pass bytes on, so that an order which was journalled is not encoded a second time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from google.protobuf.descriptor import Descriptor

from brokergate.codec.encode.error import encode_error
from brokergate.codec.encode.order import order_bytes
from brokergate.codec.wire import delimited, delimited_tag, varint, varint_tag
from brokergate.domain.commands import OrderFailure, Placed
from brokergate.domain.errors import ErrorReason, GatewayError
from brokergate.domain.orders import Order
from brokergate.v1 import account_pb2, order_pb2, trading_control_pb2

_TRUE = b"\x01"

MAX_CANCELLED = 500
"""Results of one CancelAllOrders: so many of the largest orders stay below the 4 MiB that a client takes."""

_PLACED = delimited_tag(order_pb2.PlaceOrderResponse.DESCRIPTOR, "order")
_PLACED_EXISTED = varint_tag(order_pb2.PlaceOrderResponse.DESCRIPTOR, "already_existed") + _TRUE
_PLACED_LINKED = delimited_tag(order_pb2.PlaceOrderResponse.DESCRIPTOR, "linked_orders")
_CHANGED = delimited_tag(order_pb2.ReplaceOrderResponse.DESCRIPTOR, "order")
_SHOWN = delimited_tag(order_pb2.GetOrderResponse.DESCRIPTOR, "order")
_SHOWN_CURSOR = delimited_tag(order_pb2.GetOrderResponse.DESCRIPTOR, "cursor")
_RESULTS = delimited_tag(order_pb2.BatchPlaceOrdersResponse.DESCRIPTOR, "results")
_RESULT_ORDER = delimited_tag(order_pb2.OrderResult.DESCRIPTOR, "order")
_RESULT_ERROR = delimited_tag(order_pb2.OrderResult.DESCRIPTOR, "error")
_RESULT_EXISTED = varint_tag(order_pb2.OrderResult.DESCRIPTOR, "already_existed") + _TRUE
_OMITTED = varint_tag(order_pb2.CancelAllOrdersResponse.DESCRIPTOR, "omitted_results")
_ENTRIES = delimited_tag(order_pb2.StreamOrderEntryResponse.DESCRIPTOR, "results")
_ENTRY = order_pb2.OrderCommandResult.DESCRIPTOR
_ENTRY_ID = delimited_tag(_ENTRY, "request_id")
_ENTRY_ORDER = delimited_tag(_ENTRY, "order")
_ENTRY_ERROR = delimited_tag(_ENTRY, "error")
_ENTRY_CANCEL_ALL = delimited_tag(_ENTRY, "cancel_all")
_ENTRY_EXISTED = varint_tag(_ENTRY, "already_existed") + _TRUE
_PAGE = order_pb2.ListOrdersResponse.DESCRIPTOR
_FILLS = order_pb2.ListFillsResponse.DESCRIPTOR
_LEDGER = account_pb2.ListLedgerEntriesResponse.DESCRIPTOR
_DISCREPANCIES = trading_control_pb2.ListDiscrepanciesResponse.DESCRIPTOR
_AUDIT = trading_control_pb2.ListAuditRecordsResponse.DESCRIPTOR

OrderOutcome = Order | Placed | OrderFailure


def place_response_bytes(order: Order, already_existed: bool, linked: Sequence[Order] = ()) -> bytes:
    """A serialised PlaceOrderResponse; ClosePositionResponse is the same on the wire but for `linked`."""
    body = delimited(_PLACED, order_bytes(order))
    if already_existed:
        body += _PLACED_EXISTED
    return body + b"".join([delimited(_PLACED_LINKED, order_bytes(other)) for other in linked])


def order_response_bytes(order: Order | None) -> bytes:
    """A serialised ReplaceOrderResponse, or CancelOrderResponse: without an order after a tombstone.
    ResolveOrderResponse is the same on the wire."""
    return b"" if order is None else delimited(_CHANGED, order_bytes(order))


def get_order_bytes(order: Order, cursor: str) -> bytes:
    """A serialised GetOrderResponse."""
    return delimited(_SHOWN, order_bytes(order)) + delimited(_SHOWN_CURSOR, cursor.encode())


def failure_of(error: Exception) -> GatewayError:
    """What the caller is told of a failure within an answer. What nobody foresaw is INTERNAL, without its text."""
    if isinstance(error, GatewayError):
        return error
    return GatewayError(ErrorReason.INTERNAL, "a fault of the gateway; its log has the request id")


def order_result_bytes(result: OrderOutcome) -> bytes:
    """A serialised OrderResult."""
    if isinstance(result, OrderFailure):
        return delimited(_RESULT_ERROR, encode_error(failure_of(result.error)).SerializeToString())
    if isinstance(result, Placed):
        body = delimited(_RESULT_ORDER, order_bytes(result.order))
        return body + _RESULT_EXISTED if result.already_existed else body
    return delimited(_RESULT_ORDER, order_bytes(result))


def results_bytes(results: Iterable[OrderOutcome]) -> bytes:
    """A serialised BatchPlaceOrdersResponse; BatchCancelOrdersResponse is the same on the wire."""
    tag = _RESULTS
    return b"".join([delimited(tag, order_result_bytes(result)) for result in results])


def cancel_all_bytes(results: Sequence[OrderOutcome]) -> bytes:
    """A serialised CancelAllOrdersResponse: as many results as surely fit into a message, and how many more there
    were."""
    body = results_bytes(results[:MAX_CANCELLED])
    omitted = len(results) - MAX_CANCELLED
    return body + _OMITTED + varint(omitted) if omitted > 0 else body


def entry_result_bytes(request_id: str, result: OrderOutcome | None) -> bytes:
    """A serialised OrderCommandResult; None after a tombstone."""
    head = delimited(_ENTRY_ID, request_id.encode())
    if result is None:
        return head
    if isinstance(result, OrderFailure):
        return head + delimited(_ENTRY_ERROR, encode_error(failure_of(result.error)).SerializeToString())
    if isinstance(result, Placed):
        body = head + delimited(_ENTRY_ORDER, order_bytes(result.order))
        return body + _ENTRY_EXISTED if result.already_existed else body
    return head + delimited(_ENTRY_ORDER, order_bytes(result))


def entry_cancel_all_bytes(request_id: str, answer: bytes) -> bytes:
    """A serialised OrderCommandResult with a CancelAllOrdersResponse, itself serialised."""
    return delimited(_ENTRY_ID, request_id.encode()) + delimited(_ENTRY_CANCEL_ALL, answer)


def entry_order_bytes(request_id: str, answer: bytes) -> bytes:
    """A serialised OrderCommandResult with the order of a ReplaceOrderResponse or CancelOrderResponse that was
    journalled: the answer to a command that was answered before."""
    stored = order_pb2.ReplaceOrderResponse.FromString(answer)
    head = delimited(_ENTRY_ID, request_id.encode())
    return (
        head + delimited(_ENTRY_ORDER, stored.order.SerializeToString()) if stored.HasField("order") else head
    )


def entry_response_bytes(results: Iterable[bytes]) -> bytes:
    """A serialised StreamOrderEntryResponse of serialised results."""
    tag = _ENTRIES
    return b"".join([delimited(tag, result) for result in results])


class _Page:
    """A list's answer: the items as bytes, the next page's token, and the cursor that it was read at."""

    def __init__(self, message: Descriptor, items: str) -> None:
        self._items = delimited_tag(message, items)
        self._token = delimited_tag(message, "next_page_token")
        self._cursor = delimited_tag(message, "cursor")

    def __call__(self, items: Iterable[bytes], next_page_token: str, cursor: str) -> bytes:
        tag = self._items
        body = b"".join([delimited(tag, item) for item in items])
        if next_page_token:
            body += delimited(self._token, next_page_token.encode())
        return body + delimited(self._cursor, cursor.encode())


orders_page_bytes = _Page(_PAGE, "orders")
"""A serialised ListOrdersResponse of `order_bytes`, with a token ('' on the last page) and the cursor."""

fills_page_bytes = _Page(_FILLS, "fills")
"""A serialised ListFillsResponse of serialised fills, likewise."""

ledger_page_bytes = _Page(_LEDGER, "entries")
"""A serialised ListLedgerEntriesResponse of serialised entries, likewise."""

discrepancies_page_bytes = _Page(_DISCREPANCIES, "discrepancies")
"""A serialised ListDiscrepanciesResponse of serialised disagreements, likewise."""

audit_page_bytes = _Page(_AUDIT, "records")
"""A serialised ListAuditRecordsResponse of serialised records, likewise."""
