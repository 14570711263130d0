"""What a client sees of a journal that has grown too long, or that cannot be written."""

from __future__ import annotations

import asyncio
import itertools
import resource
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
from google.rpc.error_details_pb2 import ErrorInfo

from brokergate.v1.event_pb2 import StreamEventsRequest
from brokergate.v1.order_pb2 import (
    BatchOrder,
    BatchPlaceOrdersRequest,
    ListOrdersRequest,
    PlaceOrderRequest,
)
from tests.e2e.badinput.answers import Answer, faults
from tests.e2e.badinput.caller import Caller
from tests.e2e.badinput.contract import RPCS
from tests.e2e.badinput.house import expect_ok
from tests.e2e.badinput.valid import Scene
from tests.e2e.conftest import StartServer
from tests.e2e.process import ServerProcess

MIB = 1 << 20

RETAINED = """
server: {retention: {max_size_mib: 1}}
accounts:
  paper: {broker: paper}
"""


async def test_a_cursor_of_what_is_no_longer_kept_is_told_where_to_begin(
    start_server: StartServer, tmp_path: Path
) -> None:
    """When the journal has grown past its limit, the oldest events have gone: CURSOR_EXPIRED, with the earliest cursor,
    which works. The orders of before are all there."""
    config = tmp_path / "retained.yaml"
    config.write_text(RETAINED)
    server = start_server("--config", config)
    async with Caller(server.address) as caller:
        first: Any = (await expect_ok(caller, "ListOrders", ListOrdersRequest(account_id="paper"))).messages[
            0
        ]
        cursor = first.cursor.replace("paper:0", "paper:1")
        follow = StreamEventsRequest(account_ids=["paper"], after_cursor=cursor)
        answer = await caller.send(RPCS["StreamEvents"], follow)
        placed = 0
        while answer.code is grpc.StatusCode.OK:
            assert placed < 8000, "the journal never grew to its limit"
            orders = [
                BatchOrder(client_order_id=f"k-{placed + n}", order=_placing(0).order) for n in range(200)
            ]
            request = BatchPlaceOrdersRequest(account_id="paper", orders=orders)
            await expect_ok(caller, "BatchPlaceOrders", request)
            placed += len(orders)
            answer = await caller.send(RPCS["StreamEvents"], follow)
        for _ in range(100):
            assert (answer.code, answer.reason) == (grpc.StatusCode.OUT_OF_RANGE, "CURSOR_EXPIRED")
            assert not faults(RPCS["StreamEvents"], answer)
            info: Any = answer.detail(ErrorInfo)
            follow.after_cursor = info.metadata["earliest_cursor"]
            answer = await caller.send(RPCS["StreamEvents"], follow)
            # More may have gone meanwhile: some hundred events at a time do.
            if answer.code is grpc.StatusCode.OK:
                break
        assert answer.code is grpc.StatusCode.OK
        assert len(await _orders(caller)) == placed


def _placing(number: int) -> PlaceOrderRequest:
    spec = Scene().spec(limit_price="1", quantity="0.00001", labels={f"l{n}": "v" * 64 for n in range(16)})
    return PlaceOrderRequest(account_id="paper", client_order_id=f"j-{number}", order=spec)


async def _fill_disk(caller: Caller, server: ServerProcess) -> tuple[list[str], Answer]:
    """Places orders until the journal's files may grow no more; the orders that were acknowledged, and what the first
    one that was not got."""
    _limit_files(server, MIB)
    acknowledged: list[str] = []
    for number in itertools.count():
        assert number < 20_000, "the journal never grew to its limit"
        answer = await caller.send(RPCS["PlaceOrder"], _placing(number))
        if answer.code is not grpc.StatusCode.OK:
            return acknowledged, answer
        acknowledged += [order.client_order_id for order in answer.orders()]
    raise AssertionError


def _limit_files(server: ServerProcess, size: int) -> None:
    _, most = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (most if size < 0 else size, most))


NOT_NOW = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED)
"""Codes of a journal that fails, and of an account that is made anew from it."""


async def _until_taken(caller: Caller, request: PlaceOrderRequest) -> Answer:
    """The answer to an order that is asked for again, by its id, until the gateway takes orders."""
    for _ in range(600):
        answer = await caller.send(RPCS["PlaceOrder"], request)
        if answer.code not in NOT_NOW:
            return answer
        await asyncio.sleep(0.05)
    raise AssertionError("the journal does not work again")


async def test_a_journal_that_cannot_be_written_is_said_and_nothing_is_taken(server: ServerProcess) -> None:
    """When the disk is full the order under way is OUTCOME_UNKNOWN and later ones are JOURNAL_UNAVAILABLE; the gateway
    stays up. With room it goes on by itself: the id of the order that nobody knew of answers, and there is exactly what
    was acknowledged, after `kill -9` too."""
    async with Caller(server.address) as caller:
        acknowledged, unknown = await _fill_disk(caller, server)
        assert unknown.reason == "OUTCOME_UNKNOWN", unknown
        assert not faults(RPCS["PlaceOrder"], unknown)
        reasons = set()
        for number in range(1000):
            # Every second the gateway tries whether it can write; the order of that moment is unknown again.
            refused = await caller.send(RPCS["PlaceOrder"], _placing(1_000_000 + number))
            assert refused.code in NOT_NOW, refused
            assert not faults(RPCS["PlaceOrder"], refused)
            reasons.add(refused.reason)
            if "JOURNAL_UNAVAILABLE" in reasons:
                break
        assert "JOURNAL_UNAVAILABLE" in reasons
        assert server.running
        _limit_files(server, -1)
        for number in (len(acknowledged), 1_000_000):
            answer = await _until_taken(caller, _placing(number))
            assert answer.code is grpc.StatusCode.OK, answer
            acknowledged += [order.client_order_id for order in answer.orders()]
    server.kill9()
    server.start()
    async with Caller(server.address) as caller:
        assert await _orders(caller) == sorted(acknowledged)
        answer = await expect_ok(caller, "PlaceOrder", _placing(2_000_000))
        assert answer.orders()


async def _orders(caller: Caller) -> Sequence[str]:
    found: list[str] = []
    token = ""
    while True:
        request = ListOrdersRequest(account_id="paper", page_size=1000, page_token=token)
        answer = await expect_ok(caller, "ListOrders", request)
        found += [order.client_order_id for order in answer.orders()]
        page: Any = answer.messages[0]
        if not (token := page.next_page_token):
            return sorted(found)
