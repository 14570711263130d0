"""What is wrong with a TWS, or with what the configuration says of it: one clear error with the way out, and the rest
of the gateway goes on. One real gateway, with an account for each."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from decimal import Decimal

import pytest

from brokergate.v1 import broker_pb2, broker_service_pb2_grpc
from brokergate_client import ErrorReason, Gateway, GatewayError, OrderState, Side, limit_order
from tests.e2e.process import ServerProcess
from tests.emulators.client import Emulator

PATIENCE_S = 30.0
STEP_S = 0.05
SYMBOL, UNSUBSCRIBED = "AAPL", "MSFT"
ACCOUNT = """\
  {name}:
    broker: ibkr
    environment: {environment}
    connection: {{poll_interval_ms: 300, quiet_period_ms: 200, request_timeout_ms: 1500, reconnect_max_ms: 1000}}
    ibkr: {{port: {port}, client_id: {client_id}, instruments: [AAPL, MSFT]{more}}}
"""
PAPER = """\
accounts:
  paper:
    broker: paper
    paper:
      initial_balance: {USDT: "1000000"}
      feed: {synthetic: {seed: 7}}
"""
WRONG: dict[str, tuple[str, ...]] = {
    "nobody-there": ("no TWS or IB Gateway at 127.0.0.1:", "start it, log in, enable its API"),
    "api-off": ("takes connections and closes them", "enable its API"),
    "read-only": ("account 'read-only'", "is read-only", "321", "clear 'Read-Only API'"),
    "id-taken": ("has another connection with the client id 77 (326)", "give every program a client_id"),
    "not-of-the-login": (
        "account 'not-of-the-login'",
        "TWS is logged in to DU1234567 and not to DU7654321",
        "correct `ibkr.account`",
    ),
    "not-live": ("DU1234567 is a paper account, and its environment is live", "write environment: paper"),
}
"""The accounts that cannot work, and what is said of them."""

REFUSALS = (
    ErrorReason.BROKER_UNAVAILABLE,
    ErrorReason.INSTRUMENT_NOT_FOUND,
    ErrorReason.BROKER_AUTHENTICATION,
    ErrorReason.TRADING_DISABLED,
)


@dataclass(frozen=True)
class Gate:
    """The gateway, and the TWS that is as it should be."""

    server: ServerProcess
    good: Emulator


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    """Everything at once."""
    with ExitStack() as stack:
        good, off, read_only = (
            stack.enter_context(_running(*options)) for options in ((), (), ("--read-only",))
        )
        off.do("fault", kind="accept_then_close")
        good.do("show", symbol=SYMBOL, bids=[("99.98", "500")], asks=[("100.02", "500")])
        good.do("fault", kind="no_market_data", on=UNSUBSCRIBED)
        stack.enter_context(_holding(good.port, 77))
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            ports = {
                "nobody-there": unused.getsockname()[1],
                "api-off": off.port,
                "read-only": read_only.port,
            }
            text = PAPER
            for client_id, name in enumerate(("good", *WRONG), 1):
                text += ACCOUNT.format(
                    name=name,
                    environment="live" if name == "not-live" else "paper",
                    port=ports.get(name, good.port),
                    client_id=77 if name == "id-taken" else client_id,
                    more=", account: DU7654321" if name == "not-of-the-login" else "",
                )
            folder = tmp_path_factory.mktemp("bad-input")
            file = folder / "brokergate.yaml"
            file.write_text(text, "utf-8")
            server = ServerProcess(folder, "--config", file)
            stack.callback(server.close)
            server.start()
            yield Gate(server, good)


@contextmanager
def _running(*options: str) -> Iterator[Emulator]:
    """A TWS."""
    emulator = Emulator.start("tws", *options)
    try:
        yield emulator
    finally:
        emulator.close()


@contextmanager
def _holding(port: int, client_id: int) -> Iterator[None]:
    """Another program, connected with a client id: its greeting, and that it starts."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"API\0" + _frame("v157..176"))
        assert connection.recv(1000)
        connection.sendall(_frame(f"71\x002\x00{client_id}\x00\x00"))
        assert connection.recv(1000)
        yield


def _frame(text: str) -> bytes:
    body = text.encode()
    return len(body).to_bytes(4, "big") + body


async def until(what: str, asked: Callable[[], Awaitable[bool]]) -> None:
    """Returns when it is so."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    if await asked():
                        return
                except GatewayError as error:
                    what = f"{what} ({error})"[:400]
                await asyncio.sleep(STEP_S)
    except TimeoutError:
        raise AssertionError(f"not within {PATIENCE_S:g} s: {what}") from None


def message(server: ServerProcess, account: str) -> str:
    """What the gateway says of an account's connection."""
    with server.channel() as channel:
        stub = broker_service_pb2_grpc.BrokerServiceStub(channel)
        shown = stub.GetBroker(broker_pb2.GetBrokerRequest(name="ibkr"), timeout=PATIENCE_S).broker
    (connection,) = (each for each in shown.connections if each.account_id == account)
    return str(connection.message)


async def trades(gateway: Gateway, account: str, symbol: str, name: str, price: Decimal) -> None:
    """An order fills."""
    order = limit_order(symbol, Side.BUY, "1", price)
    await gateway.place(account, order, client_order_id=name)

    async def filled() -> bool:
        return (await gateway.order(account, client_order_id=name)).state == OrderState.FILLED

    await until(f"{name} of {account} is filled", filled)


@pytest.mark.parametrize("account", WRONG)
async def test_the_error_says_what_is_wrong_and_the_way_out(gate: Gate, account: str) -> None:
    """And says it of that account alone; what is asked of it is refused, and nothing hangs."""

    async def told() -> bool:
        text = await asyncio.to_thread(message, gate.server, account)
        return all(part in text for part in WRONG[account])

    await until(f"{account} says {WRONG[account]}", told)
    async with Gateway.connect(gate.server.address) as gateway:
        order = limit_order(SYMBOL, Side.BUY, "1", "100")
        with pytest.raises(GatewayError) as refused:
            await gateway.within(10).place(account, order, client_order_id=f"at-{account}")
        assert refused.value.reason in REFUSALS
        await trades(gateway, "good", SYMBOL, f"beside-{account}", Decimal("100.02"))
        await trades(gateway, "paper", "BTC/USDT", f"beside-{account}", Decimal(1_000_000))


async def test_one_connection_attempt_after_another_is_no_storm(gate: Gate) -> None:
    """A TWS that refuses is tried again, further and further apart."""
    before = sum(entry["kind"] == "logon" for entry in await gate.good.log())
    await asyncio.sleep(2.0)
    after = sum(entry["kind"] == "logon" for entry in await gate.good.log())
    # Three accounts are wrong at this one, each tried once a second at the most, less up to a half.
    assert after - before <= 3 * 4


async def test_a_localised_refusal_is_a_refusal_by_its_code(gate: Gate) -> None:
    """Its text tells nothing here; the order is rejected by TWS's own words, and no doubt is left."""
    await gate.good.fault("localised")
    await gate.good.ask("reject", symbol=SYMBOL, code=201)
    try:
        async with Gateway.connect(gate.server.address) as gateway:
            order = limit_order(SYMBOL, Side.BUY, "1", "100.02")
            placed = (await gateway.place("good", order, client_order_id="localised")).order
            assert placed.state == OrderState.REJECTED
            assert "201: Auftrag abgelehnt" in placed.reject_message
    finally:
        await gate.good.ask("reject", symbol=SYMBOL, code=0)
        await gate.good.clear_faults()
        await gate.good.fault("no_market_data", on=UNSUBSCRIBED)
    async with Gateway.connect(gate.server.address) as gateway:
        await trades(gateway, "good", SYMBOL, "after-localised", Decimal("100.02"))


async def test_market_data_that_is_not_subscribed_is_said_where_it_is_asked_for(gate: Gate) -> None:
    """The symbol can still be traded, and the others have their quotes."""
    async with Gateway.connect(gate.server.address) as gateway:

        async def told() -> bool:
            with pytest.raises(GatewayError) as refused:
                await gateway.quote("good", UNSUBSCRIBED)
            return "354" in str(refused.value) and "subscribe to it" in str(refused.value)

        await until("the error says 354 and the way out", told)

        async def quoted() -> bool:
            return (await gateway.quote("good", SYMBOL)).bid_price == Decimal("99.98")

        await until("the other one is quoted", quoted)
