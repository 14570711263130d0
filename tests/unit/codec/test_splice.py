"""What is put together from bytes is, field by field, what protobuf's own constructors would have made."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokergate.codec import wire
from brokergate.codec.encode import account, error, event, fill, order, response, stream
from brokergate.domain import events
from brokergate.domain.commands import OrderFailure, Placed
from brokergate.domain.control import Discrepancy, StopProgress
from brokergate.domain.errors import ErrorReason, FieldViolation, GatewayError
from brokergate.domain.fills import Fill
from brokergate.domain.orders import Order
from brokergate.v1 import account_pb2, event_pb2, order_pb2, position_pb2
from tests.unit.codec.values import FILLS, PAYLOADS, TIMES, field_names, placed_orders

CURSOR = "1.0a1b2c3d.1.paper:7"
PREFIX = "1.0a1b2c3d.1.paper:"
ERROR = GatewayError(
    ErrorReason.INVALID_FIELD,
    "order.symbol: is required",
    violations=[FieldViolation("order.symbol", "is required")],
    metadata={"violations_omitted": "2"},
)


@given(placed_orders())
def test_order_bytes(value: Order) -> None:
    """An order's bytes are the message's, and a second call gives the same bytes."""
    body = order.order_bytes(value)
    assert order_pb2.Order.FromString(body) == order.encode_order(value)
    assert order.order_bytes(value) is body


@given(FILLS)
def test_fill_bytes(value: Fill) -> None:
    """A fill's bytes are the message's."""
    assert event_pb2.FillEvent(fill=fill.encode_fill(value)) == event_pb2.FillEvent.FromString(
        wire.delimited(wire.delimited_tag(event_pb2.FillEvent.DESCRIPTOR, "fill"), fill.fill_bytes(value))
    )


def payload_message(payload: events.EventPayload) -> dict[str, Any]:
    """The payload built by constructors alone."""
    match payload:
        case events.OrderChanged():
            inner: Any = {"type": payload.type, "request_id": payload.request_id, "message": payload.message}
            inner["reason"] = payload.reason
            return {"order": event_pb2.OrderEvent(order=order.encode_order(payload.order), **inner)}
        case events.FillBooked():
            return {"fill": event_pb2.FillEvent(fill=fill.encode_fill(payload.fill))}
        case events.FillFeesKnown():
            fees = [
                {"amount": format(fee.amount, "f"), "currency_code": fee.currency} for fee in payload.fees
            ]
            return {"fill_fees": {"fill_id": payload.fill_id, "order_id": payload.order_id, "fees": fees}}
        case events.PositionChanged():
            return {"position": {"position": account.encode_position("paper", payload.position)}}
        case events.BalanceChanged():
            return {"balance": {"balance": account.encode_balance("paper", payload.balance)}}
        case events.LedgerEntryBooked():
            return {"ledger_entry": {"entry": account.encode_ledger_entry("paper", payload.entry)}}
        case events.ConnectionChanged():
            return {"connection": {"state": payload.state, "message": payload.message}}
        case events.GapFound():
            start, end = divmod(payload.start_time_ns, 10**9), divmod(payload.end_time_ns, 10**9)
            return {
                "gap": {
                    "start_time": {"seconds": start[0], "nanos": start[1]},
                    "end_time": {"seconds": end[0], "nanos": end[1]},
                    "message": payload.message,
                }
            }
        case events.ControlChanged():
            names = ("type", "request_id", "message", "actor", "operation_id")
            inner = {name: getattr(payload, name) for name in names}
            if payload.stop is not None:
                inner["stop"] = {name: getattr(payload.stop, name) for name in field_names(StopProgress)}
            return {"control": inner}
        case events.DiscrepancyChanged(found):
            inner = {name: getattr(found, name) for name in field_names(Discrepancy) - {"detect_time_ns"}}
            seconds, nanos = divmod(found.detect_time_ns, 10**9)
            return {
                "discrepancy": {"discrepancy": {**inner, "detect_time": {"seconds": seconds, "nanos": nanos}}}
            }


ENCODER = event.EventEncoder("paper", "paper-1-e", PREFIX)


@given(PAYLOADS, st.integers(1, 2**44) | st.sampled_from([9, 10, 99, 100, 127, 128, 16383, 16384]), TIMES)
def test_event_bytes(payload: events.EventPayload, sequence: int, time_ns: int) -> None:
    """An event of any kind, with any number and time, one after another, is the message with that payload."""
    body = ENCODER(sequence, time_ns, payload)
    whole: dict[str, Any] = {
        "event_id": f"paper-1-e{sequence}",
        "account_id": "paper",
        "sequence": sequence,
        "cursor": f"{PREFIX}{sequence}",
        "time": {"seconds": time_ns // 10**9, "nanos": time_ns % 10**9},
        **payload_message(payload),
    }
    assert event_pb2.Event.FromString(body) == event_pb2.Event(**whole)


@given(placed_orders(), st.booleans())
def test_place_response(value: Order, existed: bool) -> None:
    """The answers that hold an order are the messages, those of the same shape under their other names too."""
    message = order.encode_order(value)
    body = response.place_response_bytes(value, existed)
    assert order_pb2.PlaceOrderResponse.FromString(body) == order_pb2.PlaceOrderResponse(
        order=message, already_existed=existed
    )
    assert position_pb2.ClosePositionResponse.FromString(body) == position_pb2.ClosePositionResponse(
        order=message, already_existed=existed
    )
    changed = response.order_response_bytes(value)
    assert order_pb2.ReplaceOrderResponse.FromString(changed) == order_pb2.ReplaceOrderResponse(order=message)
    assert order_pb2.CancelOrderResponse.FromString(changed) == order_pb2.CancelOrderResponse(order=message)
    shown = order_pb2.GetOrderResponse(order=message, cursor=CURSOR)
    assert order_pb2.GetOrderResponse.FromString(response.get_order_bytes(value, CURSOR)) == shown


def test_tombstone_has_no_order() -> None:
    """The answer after a tombstone holds no order."""
    assert order_pb2.CancelOrderResponse.FromString(response.order_response_bytes(None)) == (
        order_pb2.CancelOrderResponse()
    )
    entry = order_pb2.OrderCommandResult.FromString(response.entry_result_bytes("r1", None))
    assert entry == order_pb2.OrderCommandResult(request_id="r1")


@given(placed_orders())
def test_results(value: Order) -> None:
    """A batch's answer has each order or error in its place; the three batch answers are one on the wire."""
    message, failure = order.encode_order(value), error.encode_error(ERROR)
    body = response.results_bytes([Placed(value, True), OrderFailure(ERROR), value, Placed(value, False)])
    results = [
        order_pb2.OrderResult(order=message, already_existed=True),
        order_pb2.OrderResult(error=failure),
        order_pb2.OrderResult(order=message),
        order_pb2.OrderResult(order=message),
    ]
    for kind in (
        order_pb2.BatchPlaceOrdersResponse,
        order_pb2.BatchCancelOrdersResponse,
        order_pb2.CancelAllOrdersResponse,
    ):
        assert kind.FromString(body) == kind(results=results)


@given(placed_orders())
def test_entry_results(value: Order) -> None:
    """The results of an order entry stream carry their command's name and any of the outcomes."""
    message = order.encode_order(value)
    cancel_all = response.results_bytes([value])
    body = response.entry_response_bytes(
        [
            response.entry_result_bytes("a", Placed(value, True)),
            response.entry_result_bytes("b", value),
            response.entry_result_bytes("c", OrderFailure(ERROR)),
            response.entry_cancel_all_bytes("d", cancel_all),
            response.entry_order_bytes("e", response.order_response_bytes(value)),
            response.entry_order_bytes("f", response.order_response_bytes(None)),
        ]
    )
    assert order_pb2.StreamOrderEntryResponse.FromString(body) == order_pb2.StreamOrderEntryResponse(
        results=[
            order_pb2.OrderCommandResult(request_id="a", order=message, already_existed=True),
            order_pb2.OrderCommandResult(request_id="b", order=message),
            order_pb2.OrderCommandResult(request_id="c", error=error.encode_error(ERROR)),
            order_pb2.OrderCommandResult(
                request_id="d",
                cancel_all=order_pb2.CancelAllOrdersResponse(results=[order_pb2.OrderResult(order=message)]),
            ),
            order_pb2.OrderCommandResult(request_id="e", order=message),
            order_pb2.OrderCommandResult(request_id="f"),
        ]
    )


@given(st.lists(PAYLOADS, min_size=1, max_size=5))
def test_event_batch(payloads: list[events.EventPayload]) -> None:
    """A batch of stored bodies is the message with those events, for both of the streams."""
    bodies = [ENCODER(number, 1, payload) for number, payload in enumerate(payloads, 1)]
    check_batch(bodies)
    check_batch([*bodies, ENCODER(9, 1, events.GapFound(0, 1, "x" * 5000)), *bodies])


def check_batch(bodies: list[bytes]) -> None:
    body = stream.event_batch_bytes(CURSOR, bodies)
    batch = event_pb2.EventBatch(events=[event_pb2.Event.FromString(each) for each in bodies])
    assert event_pb2.StreamEventsResponse.FromString(body) == event_pb2.StreamEventsResponse(
        cursor=CURSOR, batch=batch
    )
    assert event_pb2.StreamFillsResponse.FromString(body) == event_pb2.StreamFillsResponse(
        cursor=CURSOR, batch=batch
    )


def test_streams_share_their_numbers() -> None:
    """Every field of StreamFillsResponse has its name and number in StreamEventsResponse: one encoder serves both."""
    whole = event_pb2.StreamEventsResponse.DESCRIPTOR.fields_by_name
    for field in event_pb2.StreamFillsResponse.DESCRIPTOR.fields:
        assert whole[field.name].number == field.number
        assert whole[field.name].message_type is field.message_type


@pytest.mark.parametrize(
    ("body", "payload"),
    [
        (stream.opened_bytes(CURSOR, 5, 3, "1.0"), "opened"),
        (stream.caught_up_bytes(CURSOR), "caught_up"),
        (stream.heartbeat_bytes(CURSOR, 5), "heartbeat"),
        (stream.closing_bytes(CURSOR, ErrorReason.SHUTTING_DOWN, "bye"), "closing"),
        (stream.snapshot_bytes(CURSOR, [], [], [], True), "snapshot"),
    ],
)
def test_stream_messages(body: bytes, payload: str) -> None:
    """Each of a stream's messages says which it is, an empty one too, and has its cursor."""
    message = event_pb2.StreamEventsResponse.FromString(body)
    assert message.WhichOneof("payload") == payload
    assert message.cursor == CURSOR


@given(placed_orders())
def test_pages(value: Order) -> None:
    """A page of a list is the message with its items, its token and its cursor."""
    body = response.orders_page_bytes([order.order_bytes(value)], "1.ab.7", CURSOR)
    assert order_pb2.ListOrdersResponse.FromString(body) == order_pb2.ListOrdersResponse(
        orders=[order.encode_order(value)], next_page_token="1.ab.7", cursor=CURSOR
    )
    assert order_pb2.ListFillsResponse.FromString(response.fills_page_bytes([], "", CURSOR)) == (
        order_pb2.ListFillsResponse(cursor=CURSOR)
    )
    assert account_pb2.ListLedgerEntriesResponse.FromString(
        response.ledger_page_bytes([b""], "t", CURSOR)
    ) == (
        account_pb2.ListLedgerEntriesResponse(
            entries=[account_pb2.LedgerEntry()], next_page_token="t", cursor=CURSOR
        )
    )


def test_unforeseen_failure_keeps_its_text_to_itself() -> None:
    """What nobody foresaw is INTERNAL in a batch's answer, and says nothing of what is inside."""
    result = order_pb2.OrderResult.FromString(response.order_result_bytes(OrderFailure(ValueError("secret"))))
    assert ErrorReason(result.error.reason) is ErrorReason.INTERNAL
    assert result.error.code == 13
    assert "secret" not in result.error.message


@given(st.integers(0, 2**64 - 1))
def test_varint(value: int) -> None:
    """A varint is what protobuf reads back."""
    tag = wire.varint_tag(event_pb2.Event.DESCRIPTOR, "sequence")
    assert event_pb2.Event.FromString(tag + wire.varint(value)).sequence == value


def test_template_keeps_the_order_of_the_numbers() -> None:
    """A template whose fields are not in the order of their numbers is refused."""
    with pytest.raises(ValueError, match="order of their numbers"):
        wire.template(order_pb2.Order.DESCRIPTOR, "client_order_id", "order_id")
