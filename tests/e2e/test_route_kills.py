"""`kill -9` in the middle of placing by a route, judged by the venues' own logs."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import grpc
import pytest

from brokergate.v1 import enums_pb2, order_pb2, order_service_pb2_grpc
from tests.e2e.recovery.calls import Calls
from tests.e2e.recovery.gateway import GatewayProcess
from tests.venue.log import EntryKind
from tests.venue.process import VenueProcess

ACCOUNTS = ("one", "two")
SOCKETS = """\
profile: testing
server:
  listen: {address}
  data_dir: {data_dir}
accounts:
  one:
    broker: socket
    durability: {durability}
    connection: {{request_timeout_ms: {timeout_ms}}}
    socket: {{port: {port}, absence_after_ms: {absence_after_ms}}}
  two:
    broker: socket
    durability: {durability}
    connection: {{request_timeout_ms: {timeout_ms}}}
    socket: {{port: {second_port}, absence_after_ms: {absence_after_ms}}}
routes:
  both: [one, two]
"""
RATES = {
    "lose_request": 0.02,
    "lose_answer": 0.05,
    "delay_answer": 0.05,
    "cut_after": 0.01,
    "max_delay_ms": 100,
}
CLIENTS = 4
SETTLE_S = 60.0


class Storm:
    """Clients that place by route, two of them under every id, while venues go away and the gateway is killed."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = Random(seed)
        self.calls = Calls()
        self.told: dict[str, set[str]] = {}
        """The accounts that answers named, by client order id."""
        self.stopping = False
        self.venues: list[VenueProcess] = []
        for index, name in enumerate(ACCOUNTS):
            (folder / name).mkdir()
            self.venues.append(VenueProcess(folder / name, seed + index, RATES, "--order-latency-ms", "100"))
        self._folder = folder

    async def run(self, kills: int) -> dict[str, Counter[str]]:
        """The requests to place that each venue counted, by client order id."""
        try:
            for venue in self.venues:
                venue.start()
            gateway = GatewayProcess(
                self._folder,
                self.venues[0].port,
                timeout_ms=400,
                absence_after_ms=900,
                template=SOCKETS,
                second_port=self.venues[1].port,
            )
            try:
                await self._kill(gateway, kills)
            finally:
                gateway.close()
            return {
                name: Counter(entry.client_order_id for entry in venue.log() if entry.kind is EntryKind.PLACE)
                for name, venue in zip(ACCOUNTS, self.venues, strict=True)
            }
        finally:
            for venue in self.venues:
                venue.close()

    async def _kill(self, gateway: GatewayProcess, kills: int) -> None:
        gateway.launch()
        await gateway.listening()
        options = (("grpc.max_reconnect_backoff_ms", 200), ("grpc.initial_reconnect_backoff_ms", 50))
        async with grpc.aio.insecure_channel(gateway.address, options=options) as channel:
            clients = [
                asyncio.create_task(self._trade(channel, f"c{index // 2}", Random(index), index % 2 == 1))
                for index in range(2 * CLIENTS)
            ]
            for _ in range(kills):
                await asyncio.sleep(self.random.uniform(0.3, 1.5))
                self.venues[self.random.randrange(2)].go_away(self.random.randint(100, 800))
                await asyncio.sleep(self.random.uniform(0.05, 0.6))
                gateway.kill()
                gateway.launch()
                await gateway.listening()
            await asyncio.sleep(1.0)
            self.stopping = True
            for venue in self.venues:
                venue.set_rates()
            _, late = await asyncio.wait(clients, timeout=SETTLE_S)
            assert not late, f"never answered: {self.calls.open}"
            for client in clients:
                client.result()

    async def _trade(self, channel: grpc.aio.Channel, client: str, random: Random, twin: bool) -> None:
        """Places c0-1, c0-2 …; its twin places the same at about the same time."""
        stub: Any = order_service_pb2_grpc.OrderServiceStub(channel)
        number = 0
        while not self.stopping:
            number += 1
            name = f"{client}-{number}"
            spec = order_pb2.OrderSpec(
                symbol="AAPL",
                side=enums_pb2.SIDE_BUY,
                type=enums_pb2.ORDER_TYPE_LIMIT,
                quantity="1",
                limit_price="100",
                time_in_force=enums_pb2.TIME_IN_FORCE_GTC,
            )
            request = order_pb2.PlaceOrderRequest(route_id="both", client_order_id=name, order=spec)
            answer = await self.calls(stub.PlaceOrder, request, f"{name}{'-twin' if twin else ''}")
            assert answer.order.client_order_id == name
            assert answer.order.route_id == "both"
            self.told.setdefault(name, set()).add(answer.order.account_id)
            await asyncio.sleep(random.random() * 0.03)


async def storm(folder: Path, kills: int) -> None:
    seed = int(os.environ.get("KILL_ROUNDS_SEED") or secrets.randbelow(1_000_000))
    print(f"seed {seed} (KILL_ROUNDS_SEED)")
    runs = Storm(folder, seed)
    asked = await runs.run(kills)
    everywhere = sum(asked.values(), Counter[str]())
    twice = {
        name: [asked[account][name] for account in ACCOUNTS]
        for name, times in everywhere.items()
        if times > 1
    }
    assert not twice, f"law 2: asked for more than once, by account: {twice}"
    moved = {name: accounts for name, accounts in runs.told.items() if len(accounts) > 1}
    assert not moved, f"answers named several accounts: {moved}"
    elsewhere = [name for name, (account,) in runs.told.items() if asked[account][name] < everywhere[name]]
    assert not elsewhere, f"the answer named another account than the one that was asked: {elsewhere}"
    spread = {account: sum(asked[account].values()) for account in ACCOUNTS}
    print(f"{kills} kills, {len(runs.told)} ids, placed {spread}, {runs.calls.repeated} repeats")
    assert all(spread.values()), f"no failover: {spread}"
    assert runs.calls.repeated > 0


@pytest.mark.timeout(200)
async def test_kills_in_the_middle_of_placing_never_make_two_orders(tmp_path: Path) -> None:
    """Clients repeat by route, two at once under each id, while venues go away, lose answers and the gateway is killed:
    no id ever reaches two venues, or one twice."""
    await storm(tmp_path, 5)


@pytest.mark.slow
@pytest.mark.timeout(1200)
async def test_a_hundred_kills_never_make_two_orders(tmp_path: Path) -> None:
    """The same over a hundred kills."""
    await storm(tmp_path, 100)
