"""Each language's market maker on the paper account of a gateway without a configuration."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import pytest

from brokergate.v1 import market_data_pb2, simulator_pb2, simulator_service_pb2_grpc
from brokergate_client import contract_method
from tests.clients import wire
from tests.clients.test_conformance import BUILD_TIMEOUT_S
from tests.e2e.process import ServerProcess, environment
from tools.clients import LANGUAGES, ROOT, Language

WORK_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 30.0
LONGER_THAN_A_CALL_S = 12.0
"""A client gives a call 10 s."""
ANSWER_DELAY_S = 0.5
GONE_TIMEOUT_S = 90.0
"""Longer than the deadlines, one after the other, of the calls that it may be at."""

PUSHED = """
accounts:
  paper:
    broker: paper
    trading: {enabled: true}
    paper:
      initial_balance: {USDT: "100000", BTC: "10"}
      feed: {push: {instruments: [{symbol: BTC/USDT, price_increment: "0.5", quantity_increment: "0.1"}]}}
"""


def ask(server: ServerProcess, rpc: str, **request: Any) -> dict[str, Any]:
    """A call of this test's own about the account `paper`."""
    method = contract_method(rpc)
    with server.channel() as channel:
        stub: Any = channel.unary_unary(
            method.path,
            request_serializer=method.request_type.SerializeToString,
            response_deserializer=method.response_type.FromString,
        )
        return wire.content(stub(method.request_type(account_id="paper", **request), timeout=10))


def push(server: ServerProcess, bid: str, ask: str) -> None:
    """The account's market is now 5 at each of these prices."""
    quote = market_data_pb2.Quote(
        symbol="BTC/USDT", bid_price=bid, bid_quantity="5", ask_price=ask, ask_quantity="5"
    )
    request = simulator_pb2.PushMarketDataRequest(
        account_id="paper", updates=[market_data_pb2.MarketDataUpdate(quote=quote)]
    )
    with server.channel() as channel:
        simulator_service_pb2_grpc.SimulatorServiceStub(channel).PushMarketData(iter([request]), timeout=10)


Resting = tuple[str, Decimal, Decimal, bool]
"""Side, price, quantity, and whether it may not take."""


def resting(server: ServerProcess) -> list[Resting]:
    """The open orders, bids first."""
    orders = ask(server, "OrderService/ListOrders", open_only=True).get("orders", [])
    specs = [order["spec"] for order in orders]
    return sorted(
        (each["side"], Decimal(each["limit_price"]), Decimal(each["quantity"]), each.get("post_only", False))
        for each in specs
    )


def bid(price: str) -> Resting:
    return "SIDE_BUY", Decimal(price), Decimal("0.1"), True


def offer(price: str) -> Resting:
    return "SIDE_SELL", Decimal(price), Decimal("0.1"), True


class SlowAnswers:
    """A line to a gateway on which answers take their time, or do not come until they are let through."""

    def __init__(self, gateway: str) -> None:
        host, port = gateway.rsplit(":", 1)
        self._gateway = host, int(port)
        self._open = threading.Event()
        self._open.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def hold(self) -> None:
        """From now on no answer comes."""
        self._open.clear()

    def release(self) -> None:
        """All that was held comes, and what follows."""
        self._open.set()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                gateway = socket.create_connection(self._gateway)
                for source, sink, delay_s in ((client, gateway, 0.0), (gateway, client, ANSWER_DELAY_S)):
                    threading.Thread(target=self._pass, args=(source, sink, delay_s), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, delay_s: float) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if delay_s:
                    time.sleep(delay_s)
                    self._open.wait()
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@contextlib.contextmanager
def running(
    language: Language, server: ServerProcess | SlowAnswers, output: Path, *more: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A market maker, which is ended at the latest here."""
    process = market_maker(language, server, output, *more)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def interrupt(process: subprocess.Popen[bytes], output: Path, status: int) -> None:
    """Press Ctrl+C, and wait until it ends with that status."""
    process.send_signal(signal.SIGINT)
    assert process.wait(STOP_TIMEOUT_S) == status, output.read_text("utf-8")


def quoted(server: ServerProcess, market: tuple[str, str], output: Path, *quotes: Resting) -> None:
    """Push this market until these orders rest, and no others."""
    deadline = time.monotonic() + WORK_TIMEOUT_S
    while True:
        push(server, *market)
        if (found := resting(server)) == list(quotes):
            return
        assert time.monotonic() < deadline, (market, found, output.read_text("utf-8"))
        time.sleep(0.05)


def has_worked(server: ServerProcess) -> bool:
    """Whether it has placed two quotes, replaced one, and filled."""
    orders = ask(server, "OrderService/ListOrders").get("orders", [])
    sides = {order["spec"]["side"] for order in orders}
    replaced = any(order["generation"] > 1 for order in orders)
    return len(sides) == 2 and replaced and "fills" in ask(server, "OrderService/ListFills")


def market_maker(
    language: Language, server: ServerProcess | SlowAnswers, output: Path, *more: str
) -> subprocess.Popen[bytes]:
    """One that runs, and writes to `output`."""
    with output.open("wb") as log:
        return subprocess.Popen(
            [*language.market_maker, "--address", server.address, *more],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment(),
        )


@pytest.fixture(params=LANGUAGES, ids=lambda each: each.name)
def language(request: pytest.FixtureRequest) -> Language:
    """Each that is not left out, built."""
    found: Language = request.param
    if found.left_out:
        pytest.skip(f"{found.name} left out: {found.left_out}")
    found.build()
    return found


@pytest.mark.timeout(BUILD_TIMEOUT_S)
def test_a_market_maker_quotes_follows_its_fills_and_leaves_nothing_behind(
    language: Language, tmp_path: Path
) -> None:
    """Interrupted as by Ctrl+C once it has placed, replaced and filled: no order works, no position is open."""
    server = ServerProcess(tmp_path)
    output = tmp_path / "market_maker.log"
    try:
        server.start()
        with running(language, server, output) as process:
            deadline = time.monotonic() + WORK_TIMEOUT_S
            while not has_worked(server):
                assert process.poll() is None, output.read_text("utf-8")
                assert time.monotonic() < deadline, output.read_text("utf-8")
                time.sleep(0.05)
            interrupt(process, output, 0)
        assert "orders" not in ask(server, "OrderService/ListOrders", open_only=True)
        assert "positions" not in ask(server, "PositionService/ListPositions")
        assert "fill" in output.read_text("utf-8").lower()
    finally:
        server.close()


@pytest.fixture
def pushed(tmp_path: Path) -> Iterator[ServerProcess]:
    """A gateway whose paper account's market is what the test says."""
    config = tmp_path / "brokergate.yaml"
    config.write_text(PUSHED)
    server = ServerProcess(tmp_path, "--config", config)
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.mark.timeout(BUILD_TIMEOUT_S)
def test_each_language_makes_the_same_market(
    language: Language, pushed: ServerProcess, tmp_path: Path
) -> None:
    """Quotes so many ticks behind the best prices, which follow them; a side that has filled is quoted anew, until the
    position is as large as may be: then it is taken away, and the other one stays."""
    output = tmp_path / "market_maker.log"

    options = ("--quantity", "0.1", "--ticks", "4", "--most", "2", "--interval", "0.05")
    with running(language, pushed, output, *options) as process:
        quoted(pushed, ("100", "101"), output, bid("98"), offer("103"))
        quoted(pushed, ("101", "102"), output, bid("99"), offer("104"))
        quoted(pushed, ("98.5", "99"), output, bid("96.5"), offer("101"))
        quoted(pushed, ("96", "96.5"), output, offer("98.5"))
        (position,) = ask(pushed, "PositionService/ListPositions")["positions"]
        assert Decimal(position["quantity"]) == Decimal("0.2")
        interrupt(process, output, 0)
    said = output.read_text("utf-8")
    assert resting(pushed) == []
    assert "positions" not in ask(pushed, "PositionService/ListPositions")
    assert "flat" in said.splitlines(), said
    # Each side once, and the bid again after its first fill; the fill that closes the position may come too late.
    assert re.search(r"^placed [3-9], replaced [1-9]\d*, fills [23]$", said, re.MULTILINE), said


@pytest.mark.timeout(BUILD_TIMEOUT_S)
def test_a_market_maker_asks_again_for_an_order_whose_answer_never_came(
    language: Language, pushed: ServerProcess, tmp_path: Path
) -> None:
    """The gateway places it and falls silent for longer than the client waits: it is not placed a second time."""
    output = tmp_path / "market_maker.log"
    with (
        SlowAnswers(pushed.address) as line,
        running(language, line, output, "--quantity", "0.1", "--ticks", "4") as process,
    ):
        deadline = time.monotonic() + WORK_TIMEOUT_S
        while not resting(pushed):
            push(pushed, "100", "101")
            assert time.monotonic() < deadline, output.read_text("utf-8")
            time.sleep(0.01)
        line.hold()
        time.sleep(LONGER_THAN_A_CALL_S)
        line.release()
        quoted(pushed, ("100.5", "101.5"), output, bid("98.5"), offer("103.5"))
        interrupt(process, output, 0)
    orders = ask(pushed, "OrderService/ListOrders")["orders"]
    assert len(orders) == 2, output.read_text("utf-8")


@pytest.mark.timeout(BUILD_TIMEOUT_S)
def test_a_market_maker_whose_broker_is_away_does_not_say_that_it_is_flat(
    language: Language, pushed: ServerProcess, tmp_path: Path
) -> None:
    """Though nothing is open as far as the gateway knows."""
    output = tmp_path / "market_maker.log"
    away = [{"kind": "FAULT_KIND_DISCONNECT", "rate_percent": "100"}]
    with running(language, pushed, output, "--quantity", "0.1") as process:
        quoted(pushed, ("100", "101"), output, bid("90"), offer("111"))
        # The market stands still from here on: it quotes no more.
        ask(pushed, "OrderService/CancelAllOrders", request_id="c1")
        ask(pushed, "SimulatorService/SetFaults", request_id="f1", faults=away)
        interrupt(process, output, 1)
    said = output.read_text("utf-8")
    assert re.search("NOT FLAT in BTC/USDT:.* as far as is known", said), said
    assert "flat" not in said.splitlines(), said


@pytest.mark.timeout(BUILD_TIMEOUT_S)
def test_a_market_maker_whose_gateway_has_gone_ends_and_says_that_it_may_not_be_flat(tmp_path: Path) -> None:
    """All languages on one account: each follows its fills; the gateway is killed, and then Ctrl+C is pressed."""
    languages = [each for each in LANGUAGES if not each.left_out]
    for each in languages:
        each.build()
    server = ServerProcess(tmp_path)
    makers: dict[Path, subprocess.Popen[bytes]] = {}
    try:
        server.start()
        for each in languages:
            output = tmp_path / f"{each.name}.log"
            makers[output] = market_maker(each, server, output)
        deadline = time.monotonic() + WORK_TIMEOUT_S
        while not all(re.search("buy|sell", output.read_text("utf-8"), re.IGNORECASE) for output in makers):
            assert time.monotonic() < deadline, [output.read_text("utf-8") for output in makers]
            time.sleep(0.05)
        server.kill9()
        for process in makers.values():
            process.send_signal(signal.SIGINT)
        for output, process in makers.items():
            assert process.wait(GONE_TIMEOUT_S) == 1, output.read_text("utf-8")
            assert "NOT FLAT in BTC/USDT" in output.read_text("utf-8")
    finally:
        for process in makers.values():
            process.kill()
            process.wait()
        server.close()


def test_the_notebook_trades_and_tells_what_came_of_it(tmp_path: Path) -> None:
    """As a script, from its first cell to its last; what it shows is flat, whatever the account held before."""
    server = ServerProcess(tmp_path)
    try:
        server.start()
        held = {"symbol": "BTC/USDT", "side": "SIDE_BUY", "type": "ORDER_TYPE_MARKET", "quantity": "0.1"}
        ask(server, "OrderService/PlaceOrder", client_order_id="before", order=held)
        told = subprocess.run(
            [sys.executable, ROOT / "clients" / "python" / "examples" / "market_maker_notebook.py"],
            cwd=tmp_path,
            env=environment({"BROKERGATE_ADDRESS": server.address, "BROKERGATE_SECONDS": "2"}),
            capture_output=True,
            text=True,
            timeout=WORK_TIMEOUT_S,
            check=False,
        )
        assert told.returncode == 0, told.stderr
        said = re.fullmatch(r"(\d+) fills, result (\S+) USDT, flat", told.stdout.splitlines()[-1])
        assert said is not None, told.stdout
        # What was held before is worth 6,000.
        assert abs(Decimal(said[2])) < 100
    finally:
        server.close()
