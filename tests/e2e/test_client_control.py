"""The Python client's control of trading against a real server: stops, the audit, and what there is to repair."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal

import pytest

from brokergate_client import (
    ErrorReason,
    Fault,
    FaultKind,
    Gateway,
    NotFoundError,
    NotPermittedError,
    OrderResolution,
    OrderState,
    PreconditionError,
    Side,
    StopPhase,
    TradingState,
    UnavailableError,
    limit_order,
    market_order,
)
from tests.e2e.conftest import StartServer
from tests.e2e.process import ServerProcess, run_brokergate

BTC = "BTC/USDT"


@pytest.fixture
async def gateway(shared_server: ServerProcess) -> AsyncIterator[Gateway]:
    """A client of a server that this module's tests share; it trades again when the test is over."""
    async with Gateway.connect(shared_server.address, client_name="control-tests/1") as gateway:
        yield gateway
        await gateway.control.resume(reason="the test is over")


async def test_a_stop_is_latched_proven_and_ended(gateway: Gateway) -> None:
    """Orders end REJECTED while it holds, cancels pass, and what it asked for is proven by its events."""
    open_order = (await gateway.place("paper", limit_order(BTC, Side.BUY, "0.1", "1000"))).order
    await gateway.place("paper", market_order(BTC, Side.BUY, "0.1"))
    stopped = await gateway.control.stop(["paper"], reason="a test", flatten=True)
    (state,) = stopped.states
    assert (state.state, state.reason) == (TradingState.STOPPED, "a test")
    assert state.stop_operation_id == stopped.operation_id
    updates = [update async for update in gateway.control.progress(stopped)]
    last = updates[-1]
    assert last.proven
    assert last.progress is not None
    assert (last.progress.phase, last.progress.remaining_orders, last.progress.open_positions) == (
        StopPhase.DONE,
        0,
        (),
    )
    assert (await gateway.order("paper", order_id=open_order.order_id)).state == OrderState.CANCELED
    assert len(await gateway.positions("paper")) == 0
    refused = (await gateway.place("paper", market_order(BTC, Side.BUY, "0.1"))).order
    assert (refused.state, refused.reject_reason) == (OrderState.REJECTED, ErrorReason.TRADING_STOPPED)
    (again,) = [update async for update in gateway.control.progress(stopped)]
    assert again.proven
    (state,) = await gateway.control.resume(["paper"], reason="done")
    assert (state.state, state.stop_operation_id) == (TradingState.ACTIVE, "")
    (ended,) = [update async for update in gateway.control.progress(stopped)]
    assert ended.resumed
    assert (await gateway.place("paper", market_order(BTC, Side.BUY, "0.1"))).order.state == OrderState.FILLED


async def test_the_audit_names_the_program(gateway: Gateway) -> None:
    """Page by page, newest first, of one actor and of a time."""
    placed = [await gateway.place("paper", limit_order(BTC, Side.BUY, "0.1", "1000")) for _ in range(3)]
    records = [record async for record in gateway.control.audit("paper", actor="anonymous")][:3]
    assert [record.order_id for record in records] == [p.order.order_id for p in reversed(placed)]
    assert all(record.client_name.startswith("control-tests/1 ") for record in records)
    assert {record.method for record in records} == {"PlaceOrder"}
    newest = records[0].time
    later = [record async for record in gateway.control.audit("paper", start_time=newest)]
    assert later[0].order_id == records[0].order_id
    assert [record async for record in gateway.control.audit("paper", actor="nobody")] == []


async def test_what_is_in_order_cannot_be_repaired(gateway: Gateway) -> None:
    """A paper account agrees with itself: nothing to list, nothing to free, nothing to resolve."""
    assert [found async for found in gateway.control.discrepancies("paper", include_resolved=True)] == []
    with pytest.raises(PreconditionError) as frozen:
        await gateway.control.clear_freeze("paper", BTC, reason="why not")
    assert frozen.value.reason == ErrorReason.NOT_FROZEN
    placed = (await gateway.place("paper", limit_order(BTC, Side.BUY, "0.1", "1000"))).order
    for resolution, evidence in (
        (OrderResolution.NEVER_PLACED, {}),
        (OrderResolution.ENDED, {"cum_quantity": 0}),
        (OrderResolution.WORKING, {"broker_order_id": "b1"}),
    ):
        with pytest.raises(PreconditionError) as certain:
            await gateway.control.resolve(
                "paper", resolution, order_id=placed.order_id, reason="I think", **evidence
            )
        assert certain.value.reason == ErrorReason.ORDER_NOT_UNCERTAIN
    with pytest.raises(NotFoundError):
        await gateway.control.stop(["nobody"], reason="x")
    assert [state.state for state in await gateway.control.states()] == [TradingState.ACTIVE]


async def test_a_stop_outlives_the_gateway(start_server: StartServer) -> None:
    """Killed and started again it holds, and who follows it learns that it is proven."""
    server = start_server()
    async with Gateway.connect(server.address) as gateway:
        await gateway.place("paper", limit_order(BTC, Side.BUY, "0.1", "1000"))
        stopped = await gateway.control.stop(reason="before the crash")
        server.kill9()
        with pytest.raises(UnavailableError):
            await gateway.within(0.5).control.states()
        server.start()
        (state,) = await gateway.control.states("paper")
        assert (state.state, state.stop_operation_id) == (TradingState.STOPPED, stopped.operation_id)
        assert [update async for update in gateway.control.progress(stopped)][-1].proven


async def test_control_is_for_admins(start_server: StartServer) -> None:
    """A token to trade sees the state and nothing else of it."""
    server = start_server()
    made = run_brokergate(
        *("token", "new", "trader", "--scope", "trade", "--accounts", "paper"),
        *("--data-dir", str(server.data_dir)),
    )
    async with Gateway.connect(server.address, token=made.stdout.split()[-1]) as gateway:
        assert [state.account_id for state in await gateway.control.states()] == ["paper"]
        for refused in (
            gateway.control.stop(reason="x"),
            gateway.control.resume(reason="x"),
            anext(gateway.control.audit("paper")),
            anext(gateway.control.discrepancies("paper")),
        ):
            with pytest.raises(NotPermittedError):
                await refused


async def test_faults_are_set_and_ended_by_the_client(gateway: Gateway) -> None:
    """A paper account rejects on purpose, says so, and is well again; a repeat by its request_id sets nothing."""
    rejections = Fault(FaultKind.REJECTION, Decimal(100))
    late = Fault(FaultKind.DELAYED_EVENTS, Decimal("12.5"), timedelta(milliseconds=20))
    told = await gateway.simulator.set_faults("paper", [rejections, late], request_id="bad-day")
    assert told == (rejections, late)
    order = (await gateway.place("paper", limit_order(BTC, Side.BUY, "0.1", "1000"))).order
    assert (order.state, order.reject_reason) == (OrderState.REJECTED, ErrorReason.BROKER_REJECTED)
    assert await gateway.simulator.set_faults("paper") == ()
    assert await gateway.simulator.set_faults("paper", [rejections, late], request_id="bad-day") == told
    order = (await gateway.place("paper", limit_order(BTC, Side.BUY, "0.1", "1000"))).order
    assert order.state is OrderState.NEW
