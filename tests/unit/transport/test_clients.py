"""Who sends a command reaches the engine with it, and the journal keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokergate.domain.access import Principal, Scope
from brokergate.domain.commands import OrderRef
from brokergate.tokens import TokenStore
from brokergate.transport import clients
from brokergate.transport.clients import MAX_CLIENT_LENGTH, printable
from brokergate.v1 import order_pb2, order_service_pb2_grpc, position_pb2, position_service_pb2_grpc
from brokergate.v1 import trading_control_pb2 as control_pb2
from brokergate.v1 import trading_control_service_pb2_grpc as control_grpc
from tests.unit.transport.conftest import Serve, Served
from tests.unit.transport.desk import SYMBOL
from tests.unit.transport.orders import limit, market
from tests.unit.transport.test_auth import bearer, make_token
from tests.unit.transport.test_order_entry import Command, ask, lease
from tests.unit.transport.test_streams import until


def channel_of(served: Served, agent: str) -> grpc.aio.Channel:
    """A connection whose client calls itself `agent`."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.primary_user_agent", agent)]
    channel = grpc.aio.insecure_channel(served.address, options=options)
    served.channels.append(channel)
    return channel


async def audit_of(served: Served, metadata: Any = None, **filters: Any) -> list[control_pb2.AuditRecord]:
    """The commands on `main`, oldest first."""
    stub: Any = control_grpc.TradingControlServiceStub(served.channel())
    request = control_pb2.ListAuditRecordsRequest(account_id="main", **filters)
    answer: control_pb2.ListAuditRecordsResponse = await stub.ListAuditRecords(request, metadata=metadata)
    return list(reversed(answer.records))


async def test_every_command_is_kept_with_who_sent_it(serve: Serve, tokens: TokenStore) -> None:
    """Placed, cancelled, closed, alone or in a stream: the audit says which token, from where, by which client, which
    RPC and under which id."""
    served = await serve(authenticator=tokens)
    token = bearer(make_token(tokens, "robot", Scope.ADMIN))
    channel = channel_of(served, "my-strategy/3")
    orders: Any = order_service_pb2_grpc.OrderServiceStub(channel)
    positions: Any = position_service_pb2_grpc.PositionServiceStub(channel)
    await orders.PlaceOrder(limit("c1"), metadata=token)
    await orders.BatchPlaceOrders(
        order_pb2.BatchPlaceOrdersRequest(
            account_id="main", orders=[order_pb2.BatchOrder(client_order_id="c2", order=market("c2").order)]
        ),
        metadata=token,
    )
    cancel = order_pb2.CancelOrderRequest(
        account_id="main", order=order_pb2.OrderRef(client_order_id="c1"), request_id="r1"
    )
    await orders.CancelOrder(cancel, metadata=token)
    await positions.ClosePosition(
        position_pb2.ClosePositionRequest(account_id="main", symbol=SYMBOL, request_id="r2", quantity="1"),
        metadata=token,
    )
    stream = orders.StreamOrderEntry(metadata=token, timeout=60)
    await ask(stream, [Command(request_id="x", place=limit("c3"))])
    cancel.order.client_order_id, cancel.request_id = "c3", "r3"
    await ask(stream, [Command(request_id="y", cancel=cancel)])
    await stream.done_writing()
    records = await audit_of(served, token)
    shown = [(record.method, record.client_order_id or record.request_id) for record in records]
    assert shown == [
        ("PlaceOrder", "c1"),
        ("BatchPlaceOrders", "c2"),
        ("CancelOrder", "r1"),
        ("ClosePosition", "r2"),
        ("StreamOrderEntry", "c3"),
        ("CancelOrder", "r3"),
    ]
    assert {record.actor for record in records} == {"robot"}
    assert all(record.client_name.startswith("my-strategy/3 grpc-python") for record in records)
    (peer,) = {record.peer for record in records}
    assert peer.startswith("ipv4:127.0.0.1:")


async def test_a_lease_cancels_in_the_name_of_who_took_it(served: Served) -> None:
    """The client is gone when its orders are cancelled: the audit has its name, its address and its program as they
    were."""
    channel = channel_of(served, "leaver/1")
    orders: Any = order_service_pb2_grpc.OrderServiceStub(channel)
    stream = orders.StreamOrderEntry(timeout=60)
    await ask(stream, [Command(request_id="1", place=limit("c1"))], cancel_on_disconnect=lease(0))
    stream.cancel()
    await until(lambda: served.desk.cancelled == ["c1"])
    await until(lambda: served.gateway.account("main").get(OrderRef(client_order_id="c1")).ended)
    placed, cancelled = await audit_of(served)
    assert cancelled.method == "CancelOnDisconnect"
    assert (cancelled.actor, cancelled.peer, cancelled.client_name) == (
        placed.actor,
        placed.peer,
        placed.client_name,
    )
    assert cancelled.client_name.startswith("leaver/1 ")


class Call:
    """A call's context, as far as it tells where the call comes from."""

    def __init__(self, peer: str) -> None:
        self._peer = peer

    def peer(self) -> str:
        return self._peer


@pytest.fixture
def sent_by(monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    """Whose call is served; the test changes it."""
    who = {"name": "robot", "agent": "grpc/1"}
    monkeypatch.setattr(clients, "current_principal", lambda: Principal(who["name"], Scope.TRADE))
    monkeypatch.setattr(clients, "current_user_agent", lambda: who["agent"])
    return who


def test_calls_of_one_connection_share_a_caller(sent_by: dict[str, str]) -> None:
    """One object for equal callers, so that the journal finds its entry at once; another token, address or program
    makes another one."""
    known = clients.Clients()
    first = known.of(Call("ipv4:127.0.0.1:1")).caller
    assert known.of(Call("ipv4:127.0.0.1:1")).caller is first
    assert known.of(Call("ipv4:127.0.0.1:2")).caller != first
    for key in ("name", "agent"):
        sent_by[key] += "2"
        assert known.of(Call("ipv4:127.0.0.1:1")).caller != first


def test_what_is_kept_of_callers_is_bounded(sent_by: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """However many connections come and go, no more than so many callers are remembered; one that was forgotten is
    equal to what it was."""
    monkeypatch.setattr(clients, "MAX_CALLERS", 3)
    known = clients.Clients()
    first = known.of(Call("p0")).caller
    for number in range(10):
        known.of(Call(f"p{number}"))
        assert len(known._callers) <= 3
    assert known.of(Call("p0")).caller == first


def test_a_client_name_is_cut_and_has_no_control_characters(sent_by: dict[str, str]) -> None:
    """Whatever a client calls itself: one line of at most 128 characters that can be seen."""
    sent_by["agent"] = "evil\r\n\x1b[31m\u202eagent\x00" + "x" * 200
    caller = clients.Clients().of(Call("unix:/tmp/\nx")).caller
    assert caller.client_name.startswith("evil   [31m agent xxx")
    assert len(caller.client_name) == MAX_CLIENT_LENGTH
    assert caller.peer == "unix:/tmp/ x"


@given(st.text(max_size=400), st.integers(0, 300))
def test_what_is_kept_can_be_seen_and_stored(text: str, most: int) -> None:
    """Text of any characters comes out printable, no longer than asked for, and as UTF-8."""
    kept = printable(text, most)
    assert len(kept) == min(len(text), most)
    assert kept.isprintable()
    assert kept.encode("utf-8").decode() == kept
