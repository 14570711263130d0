"""A second stop in the middle of a stop, and what else comes while one is at work: against a venue in another process
that loses the cancel or goes away, so that the stop cannot end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from brokergate.v1 import enums_pb2 as enums
from brokergate.v1.event_pb2 import (
    CONTROL_EVENT_TYPE_STOPPED,
    EVENT_KIND_CONTROL,
    START_POSITION_EARLIEST,
    StreamEventsRequest,
)
from brokergate.v1.order_pb2 import (
    GetOrderRequest,
    OrderRef,
    OrderSpec,
    PlaceOrderRequest,
    ReplaceOrderRequest,
)
from brokergate.v1.trading_control_pb2 import (
    STOP_PHASE_CANCELLING,
    STOP_PHASE_DONE,
    TRADING_STATE_ACTIVE,
    TRADING_STATE_STOPPED,
    EmergencyStopRequest,
    EmergencyStopResponse,
    GetTradingStateRequest,
    ResumeTradingRequest,
)
from tests.e2e.badinput.answers import Answer, faults
from tests.e2e.badinput.caller import Caller
from tests.e2e.badinput.contract import RPCS
from tests.e2e.badinput.house import expect_ok
from tests.e2e.process import tracebacks
from tests.e2e.recovery.gateway import ACCOUNT, GatewayProcess
from tests.venue.faults import Fault
from tests.venue.process import VenueProcess

AWAY_MS = 600_000
TRIES, PAUSE_S = 1200, 0.05
SYMBOL = "BTC/USDT"


@dataclass
class Desk:
    """A gateway, a connection to it, and the venue that it trades at."""

    caller: Caller
    venue: VenueProcess

    async def send(self, rpc: str, request: Any) -> Answer:
        """The answer, which keeps every promise about errors."""
        answer = await self.caller.send(RPCS[rpc], request)
        assert not faults(RPCS[rpc], answer)
        return answer

    async def place(self, name: str) -> Any:
        """A limit order that rests."""
        spec = OrderSpec(
            symbol=SYMBOL,
            side=enums.SIDE_BUY,
            type=enums.ORDER_TYPE_LIMIT,
            quantity="0.01",
            limit_price="1000",
            time_in_force=enums.TIME_IN_FORCE_GTC,
        )
        request = PlaceOrderRequest(account_id=ACCOUNT, client_order_id=name, order=spec)
        (order,) = (await expect_ok(self.caller, "PlaceOrder", request)).orders()
        return order

    async def order(self, name: str) -> Any:
        """The order as it now stands."""
        request = GetOrderRequest(account_id=ACCOUNT, order=OrderRef(client_order_id=name))
        (order,) = (await expect_ok(self.caller, "GetOrder", request)).orders()
        return order

    async def state(self) -> Any:
        """Whether the account trades."""
        answer = await expect_ok(self.caller, "GetTradingState", GetTradingStateRequest(account_id=ACCOUNT))
        message: Any = answer.messages[0]
        return message.states[0]

    async def trades(self) -> None:
        """Returns when the account takes orders."""
        for _ in range(TRIES):
            if (await self.state()).state == TRADING_STATE_ACTIVE:
                return
            await asyncio.sleep(PAUSE_S)
        raise AssertionError("the account does not take orders")

    async def done(self) -> list[Any]:
        """Every control event, when the last one says that a stop is done."""
        for _ in range(TRIES):
            if (controls := await self.controls())[-1].stop.phase == STOP_PHASE_DONE:
                return controls
            await asyncio.sleep(PAUSE_S)
        raise AssertionError("the stop is not done")

    async def controls(self) -> list[Any]:
        """Every control event up to now."""
        stub: Any = self.caller._channel.unary_stream(RPCS["StreamEvents"].path)
        request = StreamEventsRequest(
            account_ids=[ACCOUNT], start_position=START_POSITION_EARLIEST, kinds=[EVENT_KIND_CONTROL]
        )
        call = stub(request.SerializeToString(), timeout=30)
        found: list[Any] = []
        async for body in call:
            message: Any = RPCS["StreamEvents"].response.FromString(body)
            if message.HasField("caught_up"):
                break
            found += [event.control for event in message.batch.events]
        call.cancel()
        return found

    async def stopped(self, **fields: Any) -> EmergencyStopResponse:
        """The answer to a stop that is taken."""
        request = EmergencyStopRequest(**{"account_ids": [ACCOUNT], "reason": "now"} | fields)
        (message,) = (await expect_ok(self.caller, "EmergencyStop", request)).messages
        assert isinstance(message, EmergencyStopResponse)
        return message


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """One order rests at the venue."""
    venue = VenueProcess(tmp_path, 7)
    gateway = GatewayProcess(tmp_path, 0, timeout_ms=3000, absence_after_ms=1000)
    try:
        venue.start()
        gateway._settings["port"] = venue.port
        gateway.launch()
        await gateway.listening()
        async with Caller(gateway.address) as caller:
            desk = Desk(caller, venue)
            await desk.trades()
            assert (await desk.place("open")).state == enums.ORDER_STATE_NEW
            yield desk
        assert gateway.ended() is None, gateway.log
        assert tracebacks(gateway.log) == []
    finally:
        gateway.close()
        venue.close()


async def test_a_second_stop_in_the_middle_of_a_stop_joins_it(desk: Desk) -> None:
    """One operation holds, whoever stops again: with the same id it gives the same answer, with another one it adds
    what it asks for, and its reason is journalled. Orders end REJECTED, replaces are refused, and nothing is done twice
    when the cancel has come through."""
    desk.venue.inject(Fault.LOSE_REQUEST, "cancel")
    first = await desk.stopped(request_id="one", keep_protective_stops=True)
    assert first.states[0].state == TRADING_STATE_STOPPED
    assert await desk.stopped(request_id="one", keep_protective_stops=True) == first
    stops = await asyncio.gather(
        *(desk.stopped(request_id=f"again-{n % 3}", reason="and again", flatten=True) for n in range(9))
    )
    assert {stop.operation_id for stop in stops} == {first.operation_id}
    assert {stop.states[0].stop_operation_id for stop in stops} == {first.operation_id}
    told = [control for control in await desk.controls() if control.type == CONTROL_EVENT_TYPE_STOPPED]
    assert [(control.request_id, control.message) for control in told] == [
        ("one", "now"),
        *((f"again-{n}", "and again") for n in range(3)),
    ]
    assert {control.stop.phase for control in told} == {STOP_PHASE_CANCELLING}

    refused = await desk.place("new")
    assert (refused.state, refused.reject_reason) == (enums.ORDER_STATE_REJECTED, 105)
    replace = ReplaceOrderRequest(
        account_id=ACCOUNT,
        order=OrderRef(client_order_id="open"),
        request_id="replace",
        expected_generation=1,
        quantity="0.02",
    )
    answer = await desk.send("ReplaceOrder", replace)
    assert (answer.code, answer.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TRADING_STOPPED")
    assert (await desk.order("open")).generation == 1

    controls = await desk.done()
    assert controls[-1].operation_id == first.operation_id
    assert (controls[-1].stop.open_orders, controls[-1].stop.remaining_orders) == (1, 0)
    assert (await desk.order("open")).state == enums.ORDER_STATE_CANCELED
    assert len(desk.venue.orders()) == 1


REUSED = "REQUEST_ID_REUSED"


async def test_a_wrong_second_stop_leaves_the_first_as_it_is(desk: Desk) -> None:
    """A used id with any field changed, an account that is not there, a field that is wrong: each has its code, its
    reason and its fields, and neither the stop nor its answer changes, nor is anything journalled."""
    desk.venue.go_away(AWAY_MS)
    first = await desk.stopped(request_id="one")
    state, controls = await desk.state(), await desk.controls()
    good: dict[str, Any] = {"request_id": "one", "account_ids": [ACCOUNT], "reason": "now"}
    wrong: list[tuple[dict[str, Any], str, list[str]]] = [
        ({"reason": "another"}, REUSED, []),
        ({"flatten": True}, REUSED, []),
        ({"keep_protective_stops": True}, REUSED, []),
        ({"account_ids": []}, REUSED, []),
        ({"account_ids": [ACCOUNT, "nobody"]}, "ACCOUNT_NOT_FOUND", ["account_ids[1]"]),
        ({"request_id": "two", "account_ids": ["nobody"]}, "ACCOUNT_NOT_FOUND", ["account_ids[0]"]),
        ({"request_id": "two", "account_ids": [ACCOUNT, ""]}, "INVALID_FIELD", ["account_ids[1]"]),
        ({"request_id": "two", "account_ids": [ACCOUNT] * 65}, "INVALID_FIELD", ["account_ids"]),
        ({"request_id": "", "reason": ""}, "INVALID_FIELD", ["reason", "request_id"]),
        ({"request_id": "two", "reason": "x" * 257}, "INVALID_FIELD", ["reason"]),
    ]
    for change, reason, fields in wrong:
        answer = await desk.send("EmergencyStop", EmergencyStopRequest(**{**good, **change}))
        (refusal,) = answer.refusals()
        assert (refusal.reason, list(refusal.fields)) == (reason, fields), change
    answer = await desk.send(
        "ResumeTrading", ResumeTradingRequest(request_id="one", account_ids=[ACCOUNT], reason="now")
    )
    assert (answer.code, answer.reason) == (grpc.StatusCode.ALREADY_EXISTS, REUSED)
    assert await desk.stopped(**good) == first
    assert await desk.state() == state
    assert await desk.controls() == controls


async def test_a_resume_in_the_middle_of_a_stop_ends_it(desk: Desk) -> None:
    """The account trades as soon as its venue is there; what the stop has not cancelled stays. A repeat of the stop's
    request gives its old answer and stops nothing."""
    desk.venue.go_away(AWAY_MS)
    first = await desk.stopped(request_id="one")
    resume = ResumeTradingRequest(request_id="two", account_ids=[ACCOUNT], reason="a mistake")
    await expect_ok(desk.caller, "ResumeTrading", resume)
    assert (await desk.state()).stop_operation_id == ""
    assert await desk.stopped(request_id="one") == first
    assert (await desk.state()).stop_operation_id == ""
    desk.venue.go_away(0)
    await desk.trades()
    assert (await desk.order("open")).state == enums.ORDER_STATE_NEW
    assert (await desk.place("after")).state == enums.ORDER_STATE_NEW
