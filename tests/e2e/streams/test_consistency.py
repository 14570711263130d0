"""State and events fit together: a snapshot or a list, and what a stream gives after its cursor, have neither a hole
nor an overlap that matters, while orders come, fill and are cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from brokergate.domain.cursor import decode_cursor
from brokergate.v1 import (
    account_pb2,
    account_service_pb2_grpc,
    order_pb2,
    order_service_pb2_grpc,
    position_pb2,
    position_service_pb2_grpc,
)
from tests.e2e.process import ServerProcess
from tests.e2e.streams.folding import State, state_of_snapshot
from tests.e2e.streams.reading import SNAPSHOT, events_of, follow, read_history, until_caught_up
from tests.e2e.streams.trading import SYMBOLS, Trader, buy, connect, create_account

ACCOUNT = "one"
RESTING = 700
"""Open orders that a snapshot holds beside those that come and go."""

SNAPSHOTS = 8


@asynccontextmanager
async def trading(channel: grpc.aio.Channel, account_id: str) -> AsyncIterator[Callable[[], int]]:
    """Orders come, rest, fill and are cancelled until the block ends; how many rounds there were so far."""
    trader = Trader(channel, account_id, "load")
    rounds = 0
    ended = False

    async def trade() -> None:
        nonlocal rounds
        while not ended:
            await trader.some_of_each()
            rounds += 1

    task = asyncio.create_task(trade())
    try:
        yield lambda: rounds
    finally:
        ended = True
        await task


async def furnish(channel: grpc.aio.Channel, resting: int) -> None:
    """The account with open orders."""
    await create_account(channel, ACCOUNT)
    trader = Trader(channel, ACCOUNT, "rests")
    for _ in range(0, resting, 100):
        await trader.place(*[buy(SYMBOLS[0], "40", {"note": "n" * 64})] * 100)


async def test_a_snapshot_is_the_state_at_its_cursor(still_server: ServerProcess) -> None:
    """However many pages it has, and whatever goes on meanwhile, a snapshot is exactly what the events up to its
    cursor make; pages before the last carry no cursor, nor does StreamOpened; what follows begins right after it."""
    async with connect(still_server.address) as channel, connect(still_server.address) as other:
        await furnish(channel, RESTING)
        taken: list[list[Any]] = []
        async with trading(other, ACCOUNT) as rounds:
            for _ in range(SNAPSHOTS):
                before = rounds()
                call = follow(channel, account_ids=[ACCOUNT], start_position=SNAPSHOT)
                taken.append(await until_caught_up(call))
                while rounds() < before + 2:  # noqa: ASYNC110 - a moment in which more happened
                    await asyncio.sleep(0.01)
        history = (await read_history(channel, ACCOUNT))[ACCOUNT]
        for found in taken:
            snapshots = [message for message in found if message.HasField("snapshot")]
            assert len(snapshots) >= RESTING / 100 + 2
            assert not any(message.cursor for message in (found[0], *snapshots[:-1]))
            assert [message.snapshot.last for message in snapshots] == [False] * (len(snapshots) - 1) + [True]
            position = decode_cursor(snapshots[-1].cursor).positions[ACCOUNT]
            state = state_of_snapshot([message.snapshot for message in snapshots])
            expected = State().apply(history[:position])
            assert state.orders == expected.open_orders
            assert state.positions == expected.held
            assert state.balances == expected.balances
            assert [event.sequence for event in events_of(found)[:1]] in ([], [position + 1])
        assert len({found[-1].cursor for found in taken}) == SNAPSHOTS


Listing = Callable[[grpc.aio.Channel], Awaitable[tuple[str, State]]]
"""Reads a whole list: the cursor of its first page, and what it says."""


async def _pages(call: Any, request: Any) -> list[Any]:
    """All pages of a list."""
    pages = [await call(request)]
    while pages[-1].next_page_token:
        request.page_token = pages[-1].next_page_token
        pages.append(await call(request))
    return pages


async def _list_orders(channel: grpc.aio.Channel) -> tuple[str, State]:
    stub: Any = order_service_pb2_grpc.OrderServiceStub(channel)
    pages = await _pages(stub.ListOrders, order_pb2.ListOrdersRequest(account_id=ACCOUNT, page_size=60))
    return pages[0].cursor, State(orders={each.order_id: each for page in pages for each in page.orders})


async def _list_fills(channel: grpc.aio.Channel) -> tuple[str, State]:
    stub: Any = order_service_pb2_grpc.OrderServiceStub(channel)
    pages = await _pages(stub.ListFills, order_pb2.ListFillsRequest(account_id=ACCOUNT, page_size=5))
    return pages[0].cursor, State(
        fills={each.fill_id: each.quantity for page in pages for each in page.fills}
    )


async def _list_positions(channel: grpc.aio.Channel) -> tuple[str, State]:
    stub: Any = position_service_pb2_grpc.PositionServiceStub(channel)
    page = await stub.ListPositions(position_pb2.ListPositionsRequest(account_id=ACCOUNT, include_flat=True))
    return page.cursor, State(positions={each.symbol: each for each in page.positions})


async def _list_balances(channel: grpc.aio.Channel) -> tuple[str, State]:
    stub: Any = account_service_pb2_grpc.AccountServiceStub(channel)
    page = await stub.ListBalances(account_pb2.ListBalancesRequest(account_id=ACCOUNT))
    return page.cursor, State(balances={each.currency_code: each for each in page.balances})


async def _list_entries(channel: grpc.aio.Channel) -> tuple[str, State]:
    stub: Any = account_service_pb2_grpc.AccountServiceStub(channel)
    request = account_pb2.ListLedgerEntriesRequest(account_id=ACCOUNT, page_size=1)
    pages = await _pages(stub.ListLedgerEntries, request)
    return pages[0].cursor, State(entries={each.ledger_entry_id for page in pages for each in page.entries})


def _figures(state: State) -> dict[str, Any]:
    """What must agree: figures that move with time or the market by themselves are left out."""
    return {
        "orders": state.orders,
        "fills": state.fills,
        "positions": {name: each.quantity for name, each in state.positions.items()},
        "balances": {name: (each.total, each.held) for name, each in state.balances.items()},
        "entries": state.entries,
    }


@pytest.mark.parametrize(
    ("listing", "part"),
    [
        (_list_orders, "orders"),
        (_list_fills, "fills"),
        (_list_positions, "positions"),
        (_list_balances, "balances"),
        (_list_entries, "entries"),
    ],
)
async def test_list_then_stream_has_no_hole(still_server: ServerProcess, listing: Listing, part: str) -> None:
    """A list that is read page by page while orders come, and then the events after the cursor of its first page,
    make the state that there is in the end; before the cursor, the list alone makes it."""
    async with connect(still_server.address) as channel, connect(still_server.address) as other:
        await furnish(channel, 100)
        lists: list[tuple[str, State]] = []
        async with trading(other, ACCOUNT) as rounds:
            for _ in range(4):
                lists.append(await listing(channel))
                before = rounds()
                while rounds() < before + 2:  # noqa: ASYNC110 - a moment in which more happened
                    await asyncio.sleep(0.01)
        lists.append(await listing(channel))
        history = (await read_history(channel, ACCOUNT))[ACCOUNT]
        whole = _figures(State().apply(history))[part]
        assert whole or part == "entries"
        for cursor, state in lists:
            position = decode_cursor(cursor).positions[ACCOUNT]
            then = _figures(State().apply(history[:position]))[part]
            shown = _figures(state)[part]
            if part in ("positions", "balances"):
                assert shown == then
            rest = events_of(
                await until_caught_up(follow(channel, account_ids=[ACCOUNT], after_cursor=cursor))
            )
            assert [event.sequence for event in rest] == [event.sequence for event in history[position:]]
            assert _figures(state.apply(rest))[part] == whole
