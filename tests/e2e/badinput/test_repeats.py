"""Ids that come again: with the same body they give the same answer, with any single field changed they are refused,
and nothing is half done. Cursors that are none of this journal's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest

from brokergate.v1 import enums_pb2 as enums
from brokergate.v1.event_pb2 import StreamEventsRequest, StreamFillsRequest
from brokergate.v1.order_pb2 import (
    BatchOrder,
    BatchPlaceOrdersRequest,
    CancelOrderRequest,
    GetOrderRequest,
    Order,
    OrderCommand,
    OrderRef,
    OrderSpec,
    PlaceOrderRequest,
    ProtectiveLeg,
    ReplaceOrderRequest,
    StreamOrderEntryRequest,
)
from tests.e2e.badinput.answers import Answer, faults
from tests.e2e.badinput.caller import Caller
from tests.e2e.badinput.contract import RPCS
from tests.e2e.badinput.edits import put
from tests.e2e.badinput.forms import ABSENT, when
from tests.e2e.badinput.house import PLAY, SEALED, expect_ok, state_of
from tests.e2e.badinput.valid import FAR_FUTURE_S, OTHER_SYMBOL, SYMBOL, Scene
from tests.e2e.conftest import StartServer

STOP_LIMIT: Mapping[str, Any] = {
    "type": enums.ORDER_TYPE_STOP_LIMIT,
    "stop_price": "110",
    "limit_price": "111",
}
"""A stop limit order that waits."""

CHANGES: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any], str]] = {
    "symbol": ({}, {"symbol": OTHER_SYMBOL}, ""),
    "side": (STOP_LIMIT, {"side": enums.SIDE_SELL}, ""),
    "type": ({}, {"type": enums.ORDER_TYPE_LIMIT_IF_TOUCHED, "stop_price": "60"}, ""),
    "quantity": ({}, {"quantity": "1.001"}, ""),
    "quote_quantity": ({}, {"type": enums.ORDER_TYPE_MARKET, "limit_price": ABSENT, "quote_quantity": "5"}, ""),
    "limit_price": ({}, {"limit_price": "50.01"}, ""),
    "stop_price": (STOP_LIMIT, {"stop_price": "110.01"}, ""),
    "trail_amount": (
        {}, {"type": enums.ORDER_TYPE_TRAILING_STOP, "limit_price": ABSENT, "trail_amount": "1"}, "",
    ),
    "trail_percent": (
        {}, {"type": enums.ORDER_TYPE_TRAILING_STOP, "limit_price": ABSENT, "trail_percent": "1"}, "",
    ),
    "trigger_source": (STOP_LIMIT, {"trigger_source": enums.TRIGGER_SOURCE_BID_ASK}, ""),
    "time_in_force": ({}, {"time_in_force": enums.TIME_IN_FORCE_DAY}, ""),
    "expire_time": ({}, {"time_in_force": enums.TIME_IN_FORCE_GTD, "expire_time": when(FAR_FUTURE_S)}, ""),
    "post_only": ({}, {"post_only": True}, ""),
    "reduce_only": ({}, {"reduce_only": True}, ""),
    "extended_hours": ({}, {"extended_hours": True}, ""),
    "display_quantity": ({}, {"display_quantity": "0.5"}, ""),
    "self_trade_prevention": ({}, {"self_trade_prevention": 1}, ""),
    "take_profit": ({}, {"take_profit": ProtectiveLeg(client_order_id="leg", limit_price="120")}, ""),
    "stop_loss": ({}, {"stop_loss": ProtectiveLeg(client_order_id="leg", stop_price="40")}, ""),
    "labels": ({}, {"labels": {"strategy": "other"}}, ""),
    "broker_options": ({}, {"broker_options": {"turbo": "on"}}, ""),
}  # fmt: skip
"""By the field of OrderSpec: what the first order differs in from a plain one, what the second one changes (and what
must change with it), and why it is refused where not for the id. Whether the broker could do it comes later: the id is
looked up first."""

REUSED = "CLIENT_ORDER_ID_REUSED"


def test_every_field_of_an_order_is_changed() -> None:
    """A field that orders gain and nobody changes here fails."""
    assert set(CHANGES) == {field.name for field in OrderSpec.DESCRIPTOR.fields}


def spec_of(changes: Mapping[str, Any]) -> OrderSpec:
    """A limit order that rests, with changes."""
    spec = Scene().spec()
    for name, value in changes.items():
        if name == "quote_quantity":
            spec.ClearField("quantity")
        put(spec, name, value)
    return spec


def requests(account: str, client_order_id: str, spec: OrderSpec) -> Mapping[str, Any]:
    """The order by each RPC that places."""
    place = PlaceOrderRequest(account_id=account, client_order_id=client_order_id, order=spec)
    return {
        "PlaceOrder": place,
        "BatchPlaceOrders": BatchPlaceOrdersRequest(
            account_id=account, orders=[BatchOrder(client_order_id=client_order_id, order=spec)]
        ),
        "StreamOrderEntry": StreamOrderEntryRequest(
            commands=[OrderCommand(request_id=client_order_id, place=place)]
        ),
    }


async def order_of(caller: Caller, account: str, client_order_id: str) -> Order:
    """The order as it now stands."""
    request = GetOrderRequest(account_id=account, order=OrderRef(client_order_id=client_order_id))
    (order,) = (await expect_ok(caller, "GetOrder", request)).orders()
    return order


@pytest.mark.parametrize("field", CHANGES)
async def test_an_id_with_any_field_changed_is_refused_and_names_its_order(
    caller: Caller, field: str
) -> None:
    """By whichever RPC it comes: ALREADY_EXISTS with the first order's id, which stands as it stood; the same body
    again answers with it."""
    first, changes, otherwise = CHANGES[field]
    client_order_id = f"reused-{field}"
    (placed,) = (
        await expect_ok(caller, "PlaceOrder", requests(PLAY, client_order_id, spec_of(first))["PlaceOrder"])
    ).orders()
    before = await state_of(caller, (PLAY,))
    for rpc, request in requests(PLAY, client_order_id, spec_of({**first, **changes})).items():
        answer = await caller.send(RPCS[rpc], request)
        assert not faults(RPCS[rpc], answer)
        (refusal,) = answer.refusals()
        assert refusal.reason == (otherwise or REUSED), f"{rpc}: {refusal}"
        if not otherwise:
            assert refusal.code is grpc.StatusCode.ALREADY_EXISTS
            assert placed.order_id in refusal.message + str(answer.status()) + str(answer.messages)
    for rpc, request in requests(PLAY, client_order_id, spec_of(first)).items():
        (again,) = (await expect_ok(caller, rpc, request)).orders()
        assert again.order_id == placed.order_id
    assert await state_of(caller, (PLAY,)) == before


async def test_an_id_is_compared_by_values_and_belongs_to_one_account(caller: Caller) -> None:
    """1.0 is 1.00, an absent flag is a false one, labels have no order; on another account the id is free."""
    spec = spec_of({"labels": {"a": "1", "b": "2"}})
    (placed,) = (
        await expect_ok(caller, "PlaceOrder", requests(PLAY, "by-value", spec)["PlaceOrder"])
    ).orders()
    same = spec_of(
        {"labels": {"b": "2", "a": "1"}, "quantity": "1.000", "limit_price": "050.0", "post_only": False}
    )
    for rpc, request in requests(PLAY, "by-value", same).items():
        (again,) = (await expect_ok(caller, rpc, request)).orders()
        assert again.order_id == placed.order_id, rpc
    changed = PlaceOrderRequest(account_id=PLAY, client_order_id="by-value", order=same, allow_emulated=True)
    assert (await caller.send(RPCS["PlaceOrder"], changed)).reason == REUSED
    elsewhere = requests("spare", "by-value", spec)["PlaceOrder"]
    (other,) = (await expect_ok(caller, "PlaceOrder", elsewhere)).orders()
    assert other.order_id != placed.order_id


async def refused(caller: Caller, rpc: str, request: Any, reason: str, *fields: str) -> Answer:
    """The refusal of a request, with exactly this reason and these fields."""
    answer = await caller.send(RPCS[rpc], request)
    assert not faults(RPCS[rpc], answer)
    (refusal,) = answer.refusals()
    assert (refusal.reason, set(refusal.fields)) == (reason, set(fields)), refusal.message
    return answer


async def test_a_replace_of_what_was_or_below_what_is_filled_changes_nothing(caller: Caller) -> None:
    """An old generation, one to come, a quantity at or below what is filled: each has its reason, and the order, its
    generation and what is pending on it stand as they stood."""
    resting = requests(PLAY, "replaced-2", spec_of({"quantity": "3"}))["PlaceOrder"]
    await expect_ok(caller, "PlaceOrder", resting)

    def replace(name: str, generation: int, quantity: str, request_id: str) -> ReplaceOrderRequest:
        return ReplaceOrderRequest(
            account_id=PLAY,
            order=OrderRef(client_order_id=name),
            request_id=request_id,
            expected_generation=generation,
            quantity=quantity,
        )

    await expect_ok(caller, "ReplaceOrder", replace("replaced-2", 1, "4", "replace-1"))
    before = await order_of(caller, PLAY, "replaced-2")
    assert before.generation == 2
    await refused(caller, "ReplaceOrder", replace("replaced-2", 1, "5", "replace-2"), "GENERATION_MISMATCH")
    await refused(caller, "ReplaceOrder", replace("replaced-2", 3, "5", "replace-3"), "GENERATION_MISMATCH")
    await refused(caller, "ReplaceOrder", replace("replaced-2", 1, "5", "replace-1"), "REQUEST_ID_REUSED")
    assert await order_of(caller, PLAY, "replaced-2") == before
    # The answer to the first one, though its generation is gone.
    (again,) = (await expect_ok(caller, "ReplaceOrder", replace("replaced-2", 1, "4", "replace-1"))).orders()
    assert again.generation == 2
    partly = await order_of(caller, SEALED, "partly")
    for number, quantity in enumerate(("5", "4.999", "0.001")):
        request = replace("partly", partly.generation, quantity, f"below-{number}")
        request.account_id = SEALED
        await refused(caller, "ReplaceOrder", request, "REPLACE_BELOW_FILLED", "quantity")
    assert await order_of(caller, SEALED, "partly") == partly


async def test_a_cancel_of_what_has_ended_says_so_and_its_id_stays_free(caller: Caller) -> None:
    """By either id, alone or with a tombstone to set: ORDER_ENDED, and the order stands."""
    filled = await order_of(caller, SEALED, "filled")
    before = await state_of(caller, (SEALED,))
    for number, (ref, if_unknown) in enumerate(
        (
            (OrderRef(client_order_id="filled"), 0),
            (OrderRef(order_id=filled.order_id), 1),
            (OrderRef(client_order_id="filled"), 2),
        )
    ):
        request = CancelOrderRequest(
            account_id=SEALED,
            order=ref,
            request_id=f"too-late-{number}",
            if_unknown=if_unknown,  # type: ignore[arg-type]
        )
        answer = await refused(caller, "CancelOrder", request, "ORDER_ENDED")
        assert answer.code is grpc.StatusCode.FAILED_PRECONDITION
    assert await state_of(caller, (SEALED,)) == before


LIMITED = """
accounts:
  paper:
    broker: paper
    risk_limits: {instruments: [AAPL]}
"""


async def test_a_refusal_is_the_answer_to_its_id_for_ever(start_server: StartServer, tmp_path: Path) -> None:
    """An order that a risk limit refuses is journalled as REJECTED, named in full; the same id answers with it, also
    after a restart, and with another body it is reused."""
    config = tmp_path / "limited.yaml"
    config.write_text(LIMITED)
    server = start_server("--config", config)
    request = requests("paper", "too-much", spec_of({"limit_price": "1000"}))["PlaceOrder"]
    seen = []
    for _ in range(2):
        async with Caller(server.address) as caller:
            (order,) = (await expect_ok(caller, "PlaceOrder", request)).orders()
            assert (order.state, order.reject_reason) == (enums.ORDER_STATE_REJECTED, 104)
            assert SYMBOL in order.reject_message
            seen.append(order.order_id)
            changed = requests("paper", "too-much", spec_of({"limit_price": "1001"}))["PlaceOrder"]
            assert (await caller.send(RPCS["PlaceOrder"], changed)).reason == REUSED
        server.restart()
    assert seen[0] == seen[1]


async def test_cursors_of_other_times_and_places_are_refused(
    caller: Caller, start_server: StartServer
) -> None:
    """Garbage is CURSOR_INVALID and names its field; a cursor of another journal, of another epoch, or past the end
    is CURSOR_EPOCH, never silence. None of them opens a stream."""
    answer = await expect_ok(
        caller, "GetOrder", GetOrderRequest(account_id=SEALED, order=OrderRef(client_order_id="resting"))
    )
    message: Any = answer.messages[0]
    version, journal, epoch, place = message.cursor.split(".")
    account, _, sequence = place.partition(":")
    other = start_server()
    async with Caller(other.address) as stranger:
        request = RPCS["ListBalances"].request(account_id="paper")
        listed: Any = (await expect_ok(stranger, "ListBalances", request)).messages[0]
    wrong = {
        "nonsense": ("nonsense", "CURSOR_INVALID"),
        "a page token": ("1.0123456789abcdef.7", "CURSOR_INVALID"),
        "cut off": (message.cursor[: len(message.cursor) // 2], "CURSOR_INVALID"),
        "lengthened": (message.cursor + "x", "CURSOR_INVALID"),
        "another version": (f"9.{journal}.{epoch}.{place}", "CURSOR_INVALID"),
        "below zero": (f"{version}.{journal}.{epoch}.{account}:-1", "CURSOR_INVALID"),
        "another journal's": (listed.cursor, "CURSOR_EPOCH"),
        "another journal's, with our account": (
            f"{version}.{listed.cursor.split('.')[1]}.{epoch}.{place}",
            "CURSOR_EPOCH",
        ),
        "an epoch to come": (f"{version}.{journal}.{int(epoch) + 1}.{place}", "CURSOR_EPOCH"),
        "one past the end": (f"{version}.{journal}.{epoch}.{account}:{10**9}", "CURSOR_EPOCH"),
        "the far future": (f"{version}.{journal}.{epoch}.{account}:{10**17}", "CURSOR_EPOCH"),
    }
    for label, (cursor, reason) in wrong.items():
        for rpc, kind in (("StreamEvents", StreamEventsRequest), ("StreamFills", StreamFillsRequest)):
            refusal = await caller.send(RPCS[rpc], kind(account_ids=[SEALED], after_cursor=cursor))
            assert not faults(RPCS[rpc], refusal), label
            assert (refusal.reason, refusal.messages) == (reason, []), label
            fields = [violation.field for violation in refusal.violations]
            assert fields == (["after_cursor"] if reason == "CURSOR_INVALID" else []), label
    # The last place that there is does open one.
    request = StreamEventsRequest(account_ids=[SEALED], after_cursor=f"{version}.{journal}.{epoch}.{place}")
    assert (await caller.send(RPCS["StreamEvents"], request)).code is grpc.StatusCode.OK
    assert int(sequence) > 0
