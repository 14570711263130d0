"""Each language's market maker on the paper account of a gateway without a configuration."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from brokergate_client import contract_method
from tests.clients import wire
from tests.clients.test_conformance import BUILD_TIMEOUT_S
from tests.e2e.process import ServerProcess, environment
from tools.clients import LANGUAGES, ROOT, Language

WORK_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 30.0
GONE_TIMEOUT_S = 60.0
"""Longer than the deadlines, one after the other, of the calls that it may be at."""

PAPER = {"account_id": "paper"}


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


def has_worked(server: ServerProcess) -> bool:
    """Whether it has placed two quotes, replaced one, and filled."""
    orders = ask(server, "OrderService/ListOrders").get("orders", [])
    sides = {order["spec"]["side"] for order in orders}
    replaced = any(order["generation"] > 1 for order in orders)
    return len(sides) == 2 and replaced and "fills" in ask(server, "OrderService/ListFills")


def market_maker(language: Language, server: ServerProcess, output: Path) -> subprocess.Popen[bytes]:
    """One that runs, and writes to `output`."""
    with output.open("wb") as log:
        return subprocess.Popen(
            [*language.market_maker, "--address", server.address],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment(),
        )


@pytest.mark.timeout(BUILD_TIMEOUT_S)
@pytest.mark.parametrize("language", LANGUAGES, ids=lambda each: each.name)
def test_a_market_maker_quotes_follows_its_fills_and_leaves_nothing_behind(
    language: Language, tmp_path: Path
) -> None:
    """Interrupted as by Ctrl+C once it has placed, replaced and filled: no order works, no position is open."""
    if language.left_out:
        pytest.skip(f"{language.name} left out: {language.left_out}")
    language.build()
    server = ServerProcess(tmp_path)
    output = tmp_path / "market_maker.log"
    try:
        server.start()
        process = market_maker(language, server, output)
        try:
            deadline = time.monotonic() + WORK_TIMEOUT_S
            while not has_worked(server):
                assert process.poll() is None, output.read_text("utf-8")
                assert time.monotonic() < deadline, output.read_text("utf-8")
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            assert process.wait(STOP_TIMEOUT_S) == 0, output.read_text("utf-8")
        finally:
            process.kill()
            process.wait()
        assert "orders" not in ask(server, "OrderService/ListOrders", open_only=True)
        assert "positions" not in ask(server, "PositionService/ListPositions")
        assert "fill" in output.read_text("utf-8").lower()
    finally:
        server.close()


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
