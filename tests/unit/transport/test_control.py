"""TradingControlService over the wire: whose accounts a stop means, and what is refused before anything is done."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from brokergate.domain.access import Scope
from brokergate.tokens import TokenStore
from brokergate.v1 import order_pb2
from brokergate.v1 import trading_control_pb2 as pb
from brokergate.v1 import trading_control_service_pb2_grpc as pb_grpc
from tests.unit.transport.conftest import Serve, Served
from tests.unit.transport.errors import fields_of, reason_of
from tests.unit.transport.orders import limit, place
from tests.unit.transport.test_auth import bearer, make_token


def control(served: Served) -> Any:
    return pb_grpc.TradingControlServiceStub(served.channel())


async def states(served: Served, metadata: Any = None) -> dict[str, int]:
    """How every account stands."""
    answer = await control(served).GetTradingState(pb.GetTradingStateRequest(), metadata=metadata)
    return {state.account_id: state.state for state in answer.states}


ACTIVE, STOPPED = pb.TRADING_STATE_ACTIVE, pb.TRADING_STATE_STOPPED


def stop_of(*account_ids: str, request_id: str = "r", reason: str = "why") -> pb.EmergencyStopRequest:
    return pb.EmergencyStopRequest(request_id=request_id, account_ids=account_ids, reason=reason)


async def test_no_accounts_are_all_of_the_callers(serve: Serve, tokens: TokenStore) -> None:
    """A stop that names none stops every account; a resume by somebody who may use one resumes that one."""
    served = await serve(authenticator=tokens)
    everybody = bearer(make_token(tokens, "all", Scope.ADMIN))
    owner = bearer(make_token(tokens, "owner", Scope.ADMIN, ["main"]))
    answer = await control(served).EmergencyStop(stop_of(), metadata=everybody)
    assert [(state.account_id, state.state) for state in answer.states] == [
        ("main", STOPPED),
        ("other", STOPPED),
    ]
    assert {state.stop_operation_id for state in answer.states} == {answer.operation_id}
    resume = pb.ResumeTradingRequest(request_id="r2", reason="mended")
    resumed = await control(served).ResumeTrading(resume, metadata=owner)
    assert [(state.account_id, state.state) for state in resumed.states] == [("main", ACTIVE)]
    assert await states(served, everybody) == {"main": ACTIVE, "other": STOPPED}


async def test_who_may_use_no_account_stops_none(serve: Serve, tokens: TokenStore) -> None:
    """An empty list of such a caller's accounts does not mean all of them."""
    served = await serve(authenticator=tokens)
    stranger = bearer(make_token(tokens, "stranger", Scope.ADMIN, ["elsewhere"]))
    for request in (stop_of(), stop_of("main"), stop_of("elsewhere", "main")):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await control(served).EmergencyStop(request, metadata=stranger)
        assert reason_of(caught.value) in ("ACCOUNT_NOT_ALLOWED", "ACCOUNT_NOT_FOUND")
    everybody = bearer(make_token(tokens, "all", Scope.ADMIN))
    assert await states(served, everybody) == {"main": ACTIVE, "other": ACTIVE}


async def test_an_account_that_is_not_there_stops_no_other_one(served: Served) -> None:
    """It is named by its place in the list, and the ones before it go on trading."""
    for call, request in (
        ("EmergencyStop", stop_of("main", "nobody")),
        (
            "ResumeTrading",
            pb.ResumeTradingRequest(request_id="r", account_ids=["main", "nobody"], reason="x"),
        ),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await getattr(control(served), call)(request)
        assert reason_of(caught.value) == "ACCOUNT_NOT_FOUND"
        assert fields_of(caught.value) == ["account_ids[1]"]
    assert await states(served) == {"main": ACTIVE, "other": ACTIVE}


async def test_the_same_id_for_other_accounts_is_another_request(serve: Serve, tokens: TokenStore) -> None:
    """What a caller may use is part of what it asks for by naming none: nobody gets the answer of somebody else, which
    shows accounts that it may not see."""
    served = await serve(authenticator=tokens)
    everybody = bearer(make_token(tokens, "all", Scope.ADMIN))
    owner = bearer(make_token(tokens, "owner", Scope.ADMIN, ["main"]))
    first = await control(served).EmergencyStop(stop_of(), metadata=everybody)
    again = await control(served).EmergencyStop(stop_of(), metadata=everybody)
    assert again == first
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await control(served).EmergencyStop(stop_of(), metadata=owner)
    assert reason_of(caught.value) == "REQUEST_ID_REUSED"


async def test_a_stopped_account_refuses_orders_and_answers_known_ones(served: Served) -> None:
    """A new order ends REJECTED; the id of one from before still answers with its order."""
    before = await place(served, limit("before"))
    await control(served).EmergencyStop(stop_of("main"))
    refused = await place(served, limit("after"))
    assert refused.order.state == 6
    assert refused.order.reject_reason == 105
    known = await place(served, limit("before"))
    assert known.already_existed
    assert known.order.order_id == before.order.order_id
    assert (await place(served, limit("elsewhere", "other"))).order.reject_reason == 0


async def test_what_is_certain_is_not_resolved_and_what_trades_not_freed(served: Served) -> None:
    """ORDER_NOT_UNCERTAIN, NOT_FROZEN and ORDER_NOT_FOUND are FAILED_PRECONDITION and NOT_FOUND."""
    await place(served, limit("c1"))
    resolve = pb.ResolveOrderRequest(
        account_id="main",
        order=order_pb2.OrderRef(client_order_id="c1"),
        request_id="r1",
        resolution=pb.ORDER_RESOLUTION_NEVER_PLACED,
        reason="x",
    )
    clear = pb.ClearFreezeRequest(account_id="main", request_id="r2", symbol="BTC/USDT", reason="x")
    for call, request, reason, code in (
        ("ResolveOrder", resolve, "ORDER_NOT_UNCERTAIN", grpc.StatusCode.FAILED_PRECONDITION),
        ("ClearFreeze", clear, "NOT_FROZEN", grpc.StatusCode.FAILED_PRECONDITION),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await getattr(control(served), call)(request)
        assert (reason_of(caught.value), caught.value.code()) == (reason, code)
    resolve.order.client_order_id = "nobody"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await control(served).ResolveOrder(resolve)
    assert reason_of(caught.value) == "ORDER_NOT_FOUND"


async def test_the_audit_comes_in_pages(served: Served) -> None:
    """Newest first, each once, and the token of another filter is refused."""
    for number in range(5):
        await place(served, limit(f"c{number}"))
    request = pb.ListAuditRecordsRequest(account_id="main", page_size=2)
    seen: list[str] = []
    while True:
        page = await control(served).ListAuditRecords(request)
        seen += [record.client_order_id for record in page.records]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert seen == ["c4", "c3", "c2", "c1", "c0"]
    request.actor = "somebody"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await control(served).ListAuditRecords(request)
    assert reason_of(caught.value) == "PAGE_TOKEN_INVALID"
