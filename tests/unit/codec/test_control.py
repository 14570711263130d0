"""Stops, disagreements, resolutions and the audit: from their requests to commands, and from values to answers."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import pytest

from brokergate.codec.decode.account import decode_close_position
from brokergate.codec.decode.control import (
    decode_clear_freeze,
    decode_emergency_stop,
    decode_resolve_order,
    decode_resume_trading,
)
from brokergate.codec.decode.entry import decode_entry
from brokergate.codec.decode.lists import decode_list_audit_records, decode_list_discrepancies
from brokergate.codec.decode.order import decode_batch_place, decode_place
from brokergate.codec.encode.control import (
    audit_record_bytes,
    clear_freeze_bytes,
    discrepancy_bytes,
    emergency_stop_bytes,
    resume_trading_bytes,
)
from brokergate.codec.encode.response import audit_page_bytes, discrepancies_page_bytes, order_response_bytes
from brokergate.domain.access import Caller
from brokergate.domain.accounts import TradingState
from brokergate.domain.commands import (
    ClearFreeze,
    EmergencyStop,
    OrderRef,
    PlaceOrder,
    ResolveOrder,
    ResumeTrading,
)
from brokergate.domain.control import AuditRecord, Discrepancy, DiscrepancyState, OrderResolution
from brokergate.domain.errors import ErrorReason, GatewayError
from brokergate.domain.orders import Order, OrderSpec, OrderState, OrderType, Side
from brokergate.ports.journal import AuditFilter
from brokergate.v1 import order_pb2, position_pb2
from brokergate.v1 import trading_control_pb2 as pb


@dataclass(frozen=True)
class State:
    """What the engine's view of an account's trading has."""

    account_id: str = "paper"
    state: TradingState = TradingState.STOPPED
    reason: str = "a rogue strategy"
    since_ns: int = 1_500_000_000
    stop_operation_id: str = "stop-r"
    frozen_symbols: tuple[str, ...] = ("AAPL", "MSFT")


@dataclass(frozen=True)
class StopAnswer:
    """What the engine's view of a stop has."""

    operation_id: str
    states: tuple[State, ...]


STATE = pb.AccountTradingState(
    account_id="paper",
    state=pb.TRADING_STATE_STOPPED,
    reason="a rogue strategy",
    stop_operation_id="stop-r",
    frozen_symbols=["AAPL", "MSFT"],
)
STATE.since_time.seconds, STATE.since_time.nanos = 1, 500_000_000


def test_a_stop_says_what_to_stop_and_how() -> None:
    """Accounts come once and in order, whatever the request's order: asking otherwise is the same request. What else
    is asked for makes another one."""
    request = pb.EmergencyStopRequest(
        request_id="r", account_ids=["b", "a", "b"], reason="why", keep_protective_stops=True, flatten=True
    )
    stop = decode_emergency_stop(request)
    assert stop.request_id == "r"
    assert stop.command == EmergencyStop(("a", "b"), "why", keep_protective_stops=True, flatten=True)
    same = pb.EmergencyStopRequest()
    same.CopyFrom(request)
    same.account_ids[:] = ["a", "b"]
    assert decode_emergency_stop(same).fingerprint == stop.fingerprint
    for change in ({"reason": "x"}, {"flatten": False}, {"keep_protective_stops": False}):
        other = pb.EmergencyStopRequest()
        other.CopyFrom(request)
        other.MergeFrom(pb.EmergencyStopRequest(**change))
        for name, value in change.items():
            setattr(other, name, value)
        assert decode_emergency_stop(other).fingerprint != stop.fingerprint
    everything = decode_emergency_stop(pb.EmergencyStopRequest(request_id="r", reason="why"))
    assert everything.command == EmergencyStop((), "why")


def test_a_resume_a_clearing_and_resolutions() -> None:
    """Each is the domain's command, with the quantity or the broker's id that its resolution needs."""
    resume = decode_resume_trading(
        pb.ResumeTradingRequest(request_id="r", account_ids=["a"], reason="mended")
    )
    assert resume.command == ResumeTrading(("a",), "mended")
    clear = decode_clear_freeze(
        pb.ClearFreezeRequest(account_id="a", request_id="r", symbol="BTC/USDT", reason="seen")
    )
    assert clear.command == ClearFreeze("a", "BTC/USDT", "seen")
    ref = order_pb2.OrderRef(order_id="a-1-o7")
    for resolution, quantity, broker_order_id in (
        (OrderResolution.NEVER_PLACED, None, ""),
        (OrderResolution.ENDED, "0", ""),
        (OrderResolution.ENDED, "1.50", ""),
        (OrderResolution.WORKING, None, "b-7"),
    ):
        resolve = decode_resolve_order(
            pb.ResolveOrderRequest(
                account_id="a",
                order=ref,
                request_id="r",
                resolution=pb.OrderResolution.ValueType(resolution),
                cum_quantity=quantity,
                broker_order_id=broker_order_id,
                reason="asked them",
            )
        )
        filled = None if quantity is None else Decimal(quantity)
        assert resolve.command == ResolveOrder(
            "a", OrderRef(order_id="a-1-o7"), resolution, filled, broker_order_id, "asked them"
        )


def test_lists_of_disagreements_and_commands_go_on_where_they_ended() -> None:
    """A page's token leads on with the same filters, and is refused with others."""
    asked = decode_list_discrepancies(pb.ListDiscrepanciesRequest(account_id="a", include_resolved=True))
    assert (asked.which, asked.place, asked.limit) == (True, None, 100)
    request = pb.ListDiscrepanciesRequest(
        account_id="a", include_resolved=True, page_token=asked.next_token(7)
    )
    assert decode_list_discrepancies(request).place == 7
    request.include_resolved = False
    with pytest.raises(GatewayError) as caught:
        decode_list_discrepancies(request)
    assert caught.value.reason is ErrorReason.PAGE_TOKEN_INVALID
    audit = pb.ListAuditRecordsRequest(account_id="a", actor="me", page_size=5)
    audit.start_time.seconds, audit.end_time.seconds = 1, 2
    page = decode_list_audit_records(audit)
    assert (page.which, page.limit) == (AuditFilter("me", 1_000_000_000, 2_000_000_000), 5)
    audit.page_token = page.next_token(9)
    assert decode_list_audit_records(audit).place == 9
    audit.actor = "you"
    with pytest.raises(GatewayError) as caught:
        decode_list_audit_records(audit)
    assert caught.value.reason is ErrorReason.PAGE_TOKEN_INVALID


def test_answers_about_trading() -> None:
    """A stop, a resume and a clearing answer with the accounts' states, the stop that holds and what is frozen."""
    stop = pb.EmergencyStopResponse.FromString(emergency_stop_bytes(StopAnswer("stop-r", (State(),))))
    assert stop == pb.EmergencyStopResponse(operation_id="stop-r", states=[STATE])
    resumed = pb.ResumeTradingResponse.FromString(resume_trading_bytes([State(), State("other")]))
    assert [state.account_id for state in resumed.states] == ["paper", "other"]
    cleared = pb.ClearFreezeResponse.FromString(clear_freeze_bytes(State()))
    assert cleared.state == STATE


def test_a_resolved_order_is_answered_as_other_changes_are() -> None:
    """ResolveOrderResponse is ReplaceOrderResponse on the wire: one encoder does for both."""
    spec = OrderSpec("AAPL", Side.BUY, OrderType.MARKET, Decimal(1))
    order = Order("a-1-o7", "c", "a", spec, Decimal(1), OrderState.NEW, 1, 1)
    answer = pb.ResolveOrderResponse.FromString(order_response_bytes(order))
    assert answer.order.order_id == order.order_id


def test_pages_of_disagreements_and_commands() -> None:
    """Every field of the value is in its message, and the token only where there is a next page."""
    found = Discrepancy(
        "a-1-d3",
        "a",
        "AAPL",
        "a-1-o7",
        "1",
        "2",
        "one more than we know",
        2_000_000_001,
        DiscrepancyState.RESOLVED,
    )
    page = pb.ListDiscrepanciesResponse.FromString(
        discrepancies_page_bytes([discrepancy_bytes(found)], "", "1.a.1.a:7")
    )
    (shown,) = page.discrepancies
    assert (shown.discrepancy_id, shown.account_id, shown.symbol, shown.order_id) == (
        "a-1-d3",
        "a",
        "AAPL",
        "a-1-o7",
    )
    assert (shown.expected, shown.actual, shown.message) == ("1", "2", "one more than we know")
    assert (shown.detect_time.seconds, shown.detect_time.nanos) == (2, 1)
    assert shown.state == pb.DISCREPANCY_STATE_RESOLVED
    assert (page.next_page_token, page.cursor) == ("", "1.a.1.a:7")
    record = AuditRecord(
        4, "a", 3_000_000_000, "me", "ipv4:127.0.0.1:5", "grpc/1", "PlaceOrder", "r", "c-1", "a-1-o7"
    )
    records = pb.ListAuditRecordsResponse.FromString(
        audit_page_bytes([audit_record_bytes(record)], "next", "1.a.1.a:7")
    )
    (told,) = records.records
    assert (told.account_id, told.actor, told.peer, told.client_name) == (
        "a",
        "me",
        "ipv4:127.0.0.1:5",
        "grpc/1",
    )
    assert (told.method, told.request_id, told.client_order_id, told.order_id) == (
        "PlaceOrder",
        "r",
        "c-1",
        "a-1-o7",
    )
    assert told.time.seconds == 3
    assert records.next_page_token == "next"


def test_every_order_carries_who_sent_it() -> None:
    """By whichever request it comes, an order's command has its caller, the same object for all of them."""
    me = Caller("me", "ipv4:127.0.0.1:5", "grpc/1")
    spec = order_pb2.OrderSpec(symbol="AAPL", side=1, type=1, quantity="1")  # type: ignore[arg-type]
    place = order_pb2.PlaceOrderRequest(account_id="a", client_order_id="c", order=spec)
    assert decode_place(place, me).caller is me
    batch = order_pb2.BatchPlaceOrdersRequest(
        account_id="a", orders=[order_pb2.BatchOrder(client_order_id="c", order=spec)]
    )
    (order,) = decode_batch_place(batch, me).orders
    assert isinstance(order, PlaceOrder)
    assert order.caller is me
    message = order_pb2.StreamOrderEntryRequest(
        commands=[order_pb2.OrderCommand(request_id="r", place=place)]
    )
    (entry,) = decode_entry(message, me).entries
    assert isinstance(entry.command, PlaceOrder)
    assert entry.command.caller is me
    close = position_pb2.ClosePositionRequest(account_id="a", symbol="AAPL", request_id="r")
    assert decode_close_position(close, me).caller is me
