"""Routes over real processes: failover, and `kill -9` in the middle of placing, judged by the venues' own logs."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import Random
from typing import Any

import grpc
import pytest

from brokergate.v1 import (
    enums_pb2,
    market_data_pb2,
    market_data_service_pb2_grpc,
    order_pb2,
    order_service_pb2_grpc,
)
from brokergate_client import (
    AlreadyExistsError,
    BatchOrder,
    Fault,
    FaultKind,
    Gateway,
    IfUnknown,
    NotFoundError,
    NotPermittedError,
    OrderSpec,
    OrderState,
    Side,
    UnavailableError,
    bracket,
    limit_order,
)
from tests.e2e.process import ServerProcess, run_brokergate
from tests.e2e.recovery.calls import Calls
from tests.e2e.recovery.gateway import GatewayProcess
from tests.venue.log import EntryKind
from tests.venue.process import VenueProcess

BTC = "BTC/USDT"
FAR, NEAR, ROUTE = "far", "near", "crypto"
CONFIG = """
accounts:
  far:
    broker: paper
    connection: {request_timeout_ms: 1000, poll_interval_ms: 200}
    paper:
      feed: {synthetic: {seed: 1}}
      latency: {request: {constant_ms: 1}, response: {constant_ms: 1}}
  near:
    broker: paper
    paper: {feed: {synthetic: {seed: 2}}}
routes:
  crypto: [ghost, far, near]
"""
PATIENCE_S = 20.0


@pytest.fixture(scope="module")
def routed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A gateway with one account across a line, one in process, and a route over both and one that is missing."""
    folder = tmp_path_factory.mktemp("routes")
    (folder / "gateway.yaml").write_text(CONFIG)
    server = ServerProcess(folder, "--config", folder / "gateway.yaml")
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
async def gateway(routed: ServerProcess) -> AsyncIterator[Gateway]:
    async with Gateway.connect(routed.address) as gateway:
        await back(gateway)
        yield gateway
        await gateway.simulator.set_faults(FAR, [])


async def chosen(gateway: Gateway) -> str:
    """The account that an order would go to now."""
    return (await gateway.preview(None, resting(), route=ROUTE)).account_id


async def away(gateway: Gateway) -> None:
    """The venue of the first account is under maintenance from now on."""
    await gateway.simulator.set_faults(FAR, [Fault(FaultKind.MAINTENANCE)])
    deadline = time.monotonic() + PATIENCE_S
    while await chosen(gateway) != NEAR:
        assert time.monotonic() < deadline, (
            "the route does not leave an account whose venue is under maintenance"
        )
        await asyncio.sleep(0.02)


async def back(gateway: Gateway) -> None:
    """It is there again."""
    await gateway.simulator.set_faults(FAR, [])
    deadline = time.monotonic() + PATIENCE_S
    while await chosen(gateway) != FAR:
        assert time.monotonic() < deadline, "the account does not come back"
        await asyncio.sleep(0.02)


def resting(price: str = "100") -> OrderSpec:
    return limit_order(BTC, Side.BUY, "0.01", price)


async def test_orders_fall_over_and_never_move(gateway: Gateway) -> None:
    """A new order goes to the first account that is there; a repeat, a change and a look find it where it was put."""
    first = await gateway.place(None, resting(), route=ROUTE)
    assert (first.order.account_id, first.order.route_id, first.already_existed) == (FAR, ROUTE, False)
    await away(gateway)
    name = first.order.client_order_id
    again = await gateway.place(None, resting(), route=ROUTE, client_order_id=name)
    assert (again.order.order_id, again.already_existed) == (first.order.order_id, True)
    second = await gateway.place(None, resting(), route=ROUTE)
    assert second.order.account_id == NEAR
    with pytest.raises(AlreadyExistsError) as taken:
        await gateway.place(None, resting("99"), route=ROUTE, client_order_id=name)
    assert taken.value.metadata["order_id"] == first.order.order_id
    await back(gateway)
    assert (await gateway.order(None, route=ROUTE, order_id=second.order.order_id)).account_id == NEAR
    replaced = await gateway.replace(
        None,
        route=ROUTE,
        client_order_id=second.order.client_order_id,
        expected_generation=1,
        limit_price="101",
    )
    assert (replaced.account_id, replaced.generation) == (NEAR, 2)
    for placed in (first, second):
        cancelled = await gateway.cancel(None, route=ROUTE, client_order_id=placed.order.client_order_id)
        assert cancelled is not None
        assert cancelled.account_id == placed.order.account_id
    assert (await gateway.place(None, resting(), route=ROUTE)).order.account_id == FAR


async def test_batches_and_groups_fall_over_whole(gateway: Gateway) -> None:
    """All orders of a batch and all legs of a bracket go to the account that is there."""
    await away(gateway)
    entry = bracket(resting(), take_profit="200", stop_loss="50")
    placed = await gateway.place(None, entry, route=ROUTE)
    orders = (placed.order, *placed.linked_orders)
    assert {(order.account_id, order.route_id) for order in orders} == {(NEAR, ROUTE)}
    assert len(orders) == 3
    batch = [BatchOrder(resting()) for _ in range(20)]
    for _ in range(2):
        results = await gateway.batch_place(None, batch, route=ROUTE)
        found = [result.order for result in results if result.order is not None]
        assert [order.account_id for order in found] == [NEAR] * 20
        await back(gateway)


async def test_a_tombstone_of_a_route_holds_on_every_account(gateway: Gateway) -> None:
    """An id that was set aside on the route is placed nowhere."""
    name = f"aside-{secrets.token_hex(4)}"
    for _ in range(2):
        assert await gateway.cancel(
            None, route=ROUTE, client_order_id=name, if_unknown=IfUnknown.TOMBSTONE, request_id=f"{name}-r"
        ) is None  # fmt: skip
    placed = await gateway.place(None, resting(), route=ROUTE, client_order_id=name)
    assert placed.order.state == OrderState.REJECTED


async def test_a_route_that_nobody_serves_says_why(gateway: Gateway, routed: ServerProcess) -> None:
    """A stopped account beside one under maintenance: UNAVAILABLE, with the reason of each account; nothing was
    journalled, so that the same id is placed as soon as one is back. An unknown route is told by its name."""
    await away(gateway)
    await gateway.control.stop([NEAR], reason="test")
    try:
        name = f"nobody-{secrets.token_hex(4)}"
        with pytest.raises(UnavailableError) as error:
            await gateway.within(0.5).place(None, resting(), route=ROUTE, client_order_id=name)
        assert error.value.metadata["route_id"] == ROUTE
        assert error.value.metadata[NEAR] == "TRADING_STOPPED"
        assert error.value.metadata[FAR] in ("BROKER_MAINTENANCE", "BROKER_UNAVAILABLE")
        assert error.value.metadata["ghost"] == "ACCOUNT_NOT_FOUND"
    finally:
        await gateway.control.resume([NEAR], reason="test")
    assert (await gateway.place(None, resting(), route=ROUTE, client_order_id=name)).order.account_id == NEAR
    with pytest.raises(NotFoundError, match="nowhere"):
        await gateway.place(None, resting(), route="nowhere")
    assert "goes on without 'ghost', which is not an account" in routed.log


async def test_reads_and_market_data_fall_over(gateway: Gateway, routed: ServerProcess) -> None:
    """Quotes, instruments and a stream that is open come from the next account when the first one is lost, and say
    whose they are."""
    async with grpc.aio.insecure_channel(routed.address) as channel:
        stub: Any = market_data_service_pb2_grpc.MarketDataServiceStub(channel)
        ask = market_data_pb2.GetQuoteRequest(route_id=ROUTE, symbol=BTC)
        assert (await stub.GetQuote(ask)).account_id == FAR
        stream = stub.StreamMarketData(
            market_data_pb2.StreamMarketDataRequest(route_id=ROUTE, symbols=[BTC]), timeout=PATIENCE_S
        )
        assert (await stream.read()).account_id == FAR
        await away(gateway)
        assert (await stub.GetQuote(ask)).account_id == NEAR
        while not (message := await stream.read()).account_id:
            assert message.updates or message.skipped_updates
        assert message.account_id == NEAR
        assert message.updates
        stream.cancel()
    assert (await gateway.quote(None, BTC, route=ROUTE)).symbol == BTC


async def test_order_entry_by_route(gateway: Gateway, routed: ServerProcess) -> None:
    """Commands of a stream name routes too, and a lease takes the orders that it placed wherever they went."""
    await away(gateway)
    name = f"entry-{secrets.token_hex(4)}"
    spec = order_pb2.OrderSpec(
        symbol=BTC,
        side=enums_pb2.SIDE_BUY,
        type=enums_pb2.ORDER_TYPE_LIMIT,
        quantity="0.01",
        limit_price="100",
    )
    async with grpc.aio.insecure_channel(routed.address) as channel:
        stub: Any = order_service_pb2_grpc.OrderServiceStub(channel)
        stream = stub.StreamOrderEntry()
        request = order_pb2.StreamOrderEntryRequest(
            cancel_on_disconnect=order_pb2.CancelOnDisconnect(enabled=True)
        )
        request.commands.add(request_id="p").place.MergeFrom(
            order_pb2.PlaceOrderRequest(route_id=ROUTE, client_order_id=name, order=spec)
        )
        change = request.commands.add(request_id=f"{name}-r").replace
        change.route_id, change.expected_generation, change.limit_price = ROUTE, 1, "101"
        change.order.client_order_id = name
        await stream.write(request)
        found: list[order_pb2.OrderCommandResult] = []
        while len(found) < 2:
            found += (await stream.read()).results
        assert [result.order.account_id for result in found] == [NEAR, NEAR]
        assert found[1].order.generation == 2
        stream.cancel()
    deadline = time.monotonic() + PATIENCE_S
    while (await gateway.order(None, route=ROUTE, client_order_id=name)).state != OrderState.CANCELED:
        assert time.monotonic() < deadline, "the lease did not take the order"
        await asyncio.sleep(0.02)


async def test_a_token_must_be_allowed_for_the_account_that_is_chosen(tmp_path: Path) -> None:
    """The choice is the same for everybody: a token for the second account alone is refused while the first is chosen,
    and served when the route has fallen over."""
    (tmp_path / "gateway.yaml").write_text(CONFIG)
    server = ServerProcess(tmp_path, "--config", tmp_path / "gateway.yaml")

    def token(name: str, scope: str, accounts: str) -> str:
        made = run_brokergate(
            "token", "new", name, "--scope", scope, "--accounts", accounts, "--data-dir", server.data_dir
        )
        assert made.returncode == 0, made.stderr
        return made.stdout.split()[-1]

    admin, second = token("admin", "admin", "*"), token("second", "trade", NEAR)
    try:
        server.start()
        async with (
            Gateway.connect(server.address, token=admin) as everywhere,
            Gateway.connect(server.address, token=second) as gateway,
        ):
            await back(everywhere)
            name = "limited"
            with pytest.raises(NotPermittedError, match=FAR):
                await gateway.place(None, resting(), route=ROUTE, client_order_id=name)
            await away(everywhere)
            placed = await gateway.place(None, resting(), route=ROUTE, client_order_id=name)
            assert placed.order.account_id == NEAR
            await back(everywhere)
            assert (await gateway.place(None, resting(), route=ROUTE, client_order_id=name)).already_existed
    finally:
        server.close()


async def test_the_command_line_places_by_route(routed: ServerProcess, gateway: Gateway) -> None:
    """`brokergate order place --route` shows the account that was chosen; `order cancel --route` finds the order."""
    name = f"cli-{secrets.token_hex(4)}"
    env = {"BROKERGATE_ADDRESS": routed.address}
    options = ("--symbol", BTC, "--side", "buy", "--type", "limit", "--quantity", "0.01", "--price", "100")
    placed = await asyncio.to_thread(
        run_brokergate, "order", "place", *options, "--route", ROUTE, "--id", name, env=env
    )
    assert placed.returncode == 0, placed.stderr
    heading, row = placed.stdout.splitlines()
    assert (heading.split()[0], row.split()[0]) == ("ACCOUNT", FAR)
    cancelled = await asyncio.to_thread(
        run_brokergate, "order", "cancel", "--route", ROUTE, "--id", name, env=env
    )
    assert cancelled.returncode == 0, cancelled.stderr
    assert "CANCELED" in cancelled.stdout


def test_check_tells_of_an_account_that_a_route_goes_on_without(tmp_path: Path) -> None:
    """A missing account of a route is a warning, with the name that was perhaps meant; a route of nobody is refused."""
    file = tmp_path / "gateway.yaml"
    file.write_text(CONFIG.replace("ghost", "nearr"))
    done = run_brokergate("check", file)
    assert done.returncode == 0, done.stderr
    assert "route     crypto: nearr, far, near" in done.stdout
    assert "warning   routes.crypto[0]: 'nearr' is not an account" in done.stdout
    assert "did you mean near?" in done.stdout
    file.write_text(CONFIG.replace("[ghost, far, near]", "[ghost]"))
    done = run_brokergate("check", file)
    assert done.returncode == 1
    assert "routes.crypto names no account that there is" in done.stderr


# Kills

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
