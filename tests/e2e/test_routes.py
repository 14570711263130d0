"""Routes over real processes: where orders and reads go, and that they stay."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog
from structlog.testing import LogCapture

from brokergate.adapters.context import BrokerContext
from brokergate.adapters.registry import BrokerRegistry
from brokergate.app import StartError, _open
from brokergate.cli.options import configuration
from brokergate.config import AccountConfig, Overrides
from brokergate.domain.errors import GatewayError as EngineError
from brokergate.ports.broker import AbstractBroker
from brokergate.ports.clock import SystemClock
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
from tests.e2e.conftest import StartServer
from tests.e2e.process import ServerProcess, run_brokergate
from tests.emulators.client import Emulator

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


async def test_an_account_that_cannot_start_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its reason is told in the log and to whoever names it; the others start, and its route goes on without it. A
    gateway of which no account starts does not serve."""
    monkeypatch.setattr(BrokerRegistry, "_registered", dict(BrokerRegistry._registered))

    @BrokerRegistry.register("stillborn")
    def make(account: AccountConfig, context: BrokerContext) -> AbstractBroker:
        raise RuntimeError("its library is not installed")

    file = tmp_path / "gateway.yaml"
    broken = "accounts:\n  broken: {broker: stillborn}\n"
    near = (
        "  near: {broker: paper, paper: {feed: {synthetic: {seed: 2}}}}\nroutes: {crypto: [broken, near]}\n"
    )
    told = LogCapture()
    log = structlog.wrap_logger(None, processors=[told])
    overrides = Overrides(data_dir=str(tmp_path / "data"))
    file.write_text(broken + near)
    async with _open(configuration([file], overrides), SystemClock(), log) as (gateway, _):
        assert gateway.reader(ROUTE, [BTC]) == NEAR
        with pytest.raises(EngineError, match=r"it cannot start: .*'stillborn' cannot be made"):
            gateway.account("broken")
    said = " ".join(str(event) for event in told.entries)
    assert "account cannot start" in said
    assert "goes on without 'broken', which cannot start" in said
    file.write_text(broken)
    with pytest.raises(StartError, match="account 'broken' cannot start"):
        async with _open(configuration([file], overrides), SystemClock(), log):
            pass


STOCKS = """
accounts:
  first:
    broker: alpaca
    environment: paper
    credentials: {{api_key: {first.key}, api_secret: {first.secret}}}
    connection: {{poll_interval_ms: 300, quiet_period_ms: 200, request_timeout_ms: 1000}}
    alpaca: {{rest_url: "{first.url}", stream_url: "{first.ws_url}/stream", data_url: "{first.url}",
      data_stream_url: "{first.ws_url}", instruments: [AAPL], requests_per_minute: 10000}}
  second:
    broker: alpaca
    environment: paper
    credentials: {{api_key: {second.key}, api_secret: {second.secret}}}
    connection: {{poll_interval_ms: 300, quiet_period_ms: 200, request_timeout_ms: 1000}}
    alpaca: {{rest_url: "{second.url}", stream_url: "{second.ws_url}/stream", data_url: "{second.url}",
      data_stream_url: "{second.ws_url}", instruments: [AAPL], requests_per_minute: 10000}}
routes: {{us-equities: [first, second]}}
"""


STOCK_ORDER = limit_order("AAPL", Side.BUY, 1, 95)


async def goes_to(gateway: Gateway, account_id: str) -> None:
    """Returns when an order on the route of stocks would go to the account."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            preview = await gateway.preview(None, STOCK_ORDER, route="us-equities")
            if preview.account_id == account_id:
                return
        except UnavailableError:
            pass
        assert time.monotonic() < deadline, f"the route does not go to {account_id}"
        await asyncio.sleep(0.05)


async def test_real_brokers_fall_over(start_server: StartServer, tmp_path: Path) -> None:
    """Two accounts at a broker's emulators: an order whose answer was lost stays in doubt on the first while that is
    away, new ones go to the second, and each venue was asked once for what it has."""
    async with Emulator.start("alpaca") as first, Emulator.start("alpaca") as second:
        for emulator in (first, second):
            await emulator.ask("limits", requests=100_000)
            await emulator.show("AAPL", [("99", "100")], [("101", "100")])
        file = tmp_path / "gateway.yaml"
        file.write_text(STOCKS.format(first=first, second=second))
        server = await asyncio.to_thread(start_server, "--config", file)
        spec = STOCK_ORDER
        async with Gateway.connect(server.address) as gateway:
            await goes_to(gateway, "first")
            await first.fault("answer_lost_after_accept", on="place")
            await first.fault("lose_frame", on="orders", count=2)
            await first.fault("status", on="find_order", code=500, accept=False, count=1000)
            await first.fault("status", on="open_orders", code=500, accept=False, count=1000)
            lost = await gateway.place(None, spec, route="us-equities", client_order_id="lost")
            assert lost.order.account_id == "first"
            await first.fault("maintenance")
            await first.drop_streams()
            await goes_to(gateway, "second")
            again = await gateway.place(None, spec, route="us-equities", client_order_id="lost")
            assert (again.order.account_id, again.already_existed) == ("first", True)
            assert again.order.pending
            new = await gateway.place(None, spec, route="us-equities", client_order_id="new")
            assert new.order.account_id == "second"
            await first.clear_faults()
            await goes_to(gateway, "first")
            deadline = time.monotonic() + PATIENCE_S
            while (await gateway.order(None, route="us-equities", client_order_id="lost")).pending:
                assert time.monotonic() < deadline, "the lost order is not resolved"
                await asyncio.sleep(0.05)
            assert (
                await gateway.order(None, route="us-equities", client_order_id="lost")
            ).state == OrderState.NEW
        asked = [
            [
                entry["parameters"]["client_order_id"]
                for entry in await emulator.log()
                if entry["kind"] == "place"
            ]
            for emulator in (first, second)
        ]
        assert [len(names) for names in asked] == [1, 1]
        assert asked[0][0].endswith("-lost")
        assert asked[1][0].endswith("-new")
