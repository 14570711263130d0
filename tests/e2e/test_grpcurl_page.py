"""docs/grpcurl.md, run as it is written: with the real grpcurl, by reflection and by the compiled contract."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from brokergate.codec.descriptors import descriptor_set
from tests.e2e.conftest import StartServer
from tests.e2e.process import ROOT, environment

PAGE = ROOT / "docs" / "grpcurl.md"
ADDRESS = "127.0.0.1:50051"
OK, INVALID, DEADLINE, PRECONDITION = 0, 64 + 3, 64 + 4, 64 + 9
"""grpcurl's exit status is 64 and the gRPC code."""

EXPECTED: list[tuple[str, int, str]] = [
    ("AccountService/ListAccounts", OK, r'"account_id": "paper"'),
    ("AccountService/GetAccount", OK, r'"equity":'),
    ("AccountService/ListBalances", OK, r'"currency_code": "USDT",\s+"total": "1000000"'),
    ("AccountService/ListLedgerEntries", OK, r'"kind": "LEDGER_ENTRY_KIND_DEPOSIT"'),
    ("BrokerService/ListBrokers", OK, r'"name": "paper"'),
    ("BrokerService/GetBroker", OK, r'"health": "BROKER_HEALTH_HEALTHY"'),
    ("BrokerService/ReconnectBroker", OK, r'"state": "CONNECTION_STATE_CONNECTED"'),
    ("InstrumentService/ListInstruments", OK, r'"symbol": "BTC/USDT"'),
    ("InstrumentService/GetInstrument", OK, r'"price_increment": "0.01"'),
    ("MarketDataService/GetQuote", OK, r'"bid_price": "\d+\.\d+"'),
    ("MarketDataService/StreamMarketData", DEADLINE, r'"quote":'),
    ("OrderService/PreviewOrder", OK, r'"estimated_fill_quantity": "0.10*"'),
    ("OrderService/PlaceOrder", OK, r'"client_order_id": "market-1"[^}]+}[^}]+"ORDER_STATE_FILLED"'),
    ("OrderService/PlaceOrder", OK, r'"client_order_id": "limit-1"[^}]+}[^}]+"ORDER_STATE_NEW"'),
    ("OrderService/ReplaceOrder", OK, r'"generation": 2[^}]+"limit_price": "999"'),
    ("OrderService/CancelOrder", OK, r'"client_order_id": "limit-1"[^}]+}[^}]+"ORDER_STATE_CANCELED"'),
    ("OrderService/GetOrder", OK, r'"client_order_id": "limit-1"[^}]+}[^}]+"ORDER_STATE_CANCELED"'),
    (
        "OrderService/PlaceOrder",
        OK,
        r'(?s)"linked_orders".+"client_order_id": "bracket-1-tp".+"client_order_id": "bracket-1-sl"',
    ),
    ("OrderService/BatchPlaceOrders", OK, r'(?s)"client_order_id": "batch-1".+"ERROR_REASON_PRICE_OFF_TICK"'),
    ("OrderService/BatchCancelOrders", OK, r'"client_order_id": "batch-1"[^}]+}[^}]+"ORDER_STATE_CANCELED"'),
    ("OrderService/CancelAllOrders", OK, r'"client_order_id": "bracket-1"'),
    ("OrderService/ListOrders", OK, r'(?s)"batch-1".+"bracket-1".+"limit-1"'),
    ("OrderService/ListFills", OK, r'"client_order_id": "market-1"'),
    ("OrderService/StreamOrderEntry", OK, r'(?s)"c1".+"ORDER_STATE_NEW".+"c2".+"ORDER_STATE_CANCELED"'),
    ("OrderService/PlaceOrder", INVALID, r'"reason": "PRICE_OFF_TICK"'),
    ("PositionService/ListPositions", OK, r'"symbol": "BTC/USDT",\s+"quantity": "0.10*"'),
    ("PositionService/GetPosition", OK, r'"quantity": "0.10*"'),
    ("PositionService/ClosePosition", OK, r'"side": "SIDE_SELL"[^}]+}[^}]+"ORDER_STATE_FILLED"'),
    ("EventService/StreamFills", DEADLINE, r'(?s)"opened".+"client_order_id": "market-1".+"caught_up"'),
    ("EventService/StreamEvents", DEADLINE, r'(?s)"snapshot".+"last": true.+"caught_up"'),
    ("TradingControlService/EmergencyStop", OK, r'"state": "TRADING_STATE_STOPPED"'),
    ("TradingControlService/GetTradingState", OK, r'"reason": "a drill"'),
    ("TradingControlService/ResumeTrading", OK, r'"state": "TRADING_STATE_ACTIVE"'),
    ("TradingControlService/ListDiscrepancies", OK, r'"cursor"'),
    ("TradingControlService/ListAuditRecords", OK, r'"request_id": "resume-1"'),
    ("TradingControlService/ClearFreeze", PRECONDITION, r'"reason": "NOT_FROZEN"'),
    ("TradingControlService/ResolveOrder", PRECONDITION, r'"reason": "ORDER_NOT_UNCERTAIN"'),
    ("SimulatorService/ControlTape", PRECONDITION, r'"reason": "WRONG_FEED"'),
    ("SimulatorService/CreatePaperAccount", OK, r'"account_id": "pushed"'),
    ("SimulatorService/PushMarketData", OK, r'"accepted_updates": "2"'),
    ("SimulatorService/SetFaults", OK, r'"rate_percent": "50"'),
    ("SimulatorService/SetFaults", OK, r"^{}$"),
    ("SimulatorService/ResetPaperAccount", OK, r'"amount": "50000"'),
    ("Health/Check", OK, r'"SERVING"'),
    ("Health/Check", OK, r'"SERVING"'),
    ("Health/Watch", DEADLINE, r'"SERVING"'),
]
"""What becomes of each line of the page, in its order: the method, the exit status, and what the output has in it."""

Bash = Callable[[str], subprocess.CompletedProcess[str]]


def lines() -> list[str]:
    """The page's lines of shell."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def calls() -> list[str]:
    """Those that call a method."""
    return [line for line in lines() if ADDRESS in line]


@pytest.fixture
def bash(grpcurl: Path, tmp_path: Path) -> Bash:
    """Runs a line in an empty folder, with grpcurl and brokergate at hand."""
    path = os.pathsep.join((str(grpcurl.parent), str(Path(sys.executable).parent), os.environ["PATH"]))

    def run(line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", line],
            cwd=tmp_path,
            env=environment({"PATH": path}),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
        )

    return run


def check_calls(bash: Bash, address: str, change: Callable[[str], str]) -> None:
    """Each line of the page, changed, ends as the page promises."""
    found = calls()
    assert [line.rpartition(".")[2] for line in found] == [method for method, _, _ in EXPECTED]
    for line, (method, status, output) in zip(found, EXPECTED, strict=True):
        changed = change(line)
        done = bash(changed.replace(ADDRESS, address))
        assert done.returncode == status, f"{changed}\n{done.stdout}"
        assert re.search(output, done.stdout), f"{method}: {changed}\n{done.stdout}"


def test_the_page_has_every_rpc() -> None:
    """One that is added to the contract is missed here."""
    contract = FileDescriptorSet.FromString(descriptor_set())
    methods = {
        f"{file.package}.{service.name}/{method.name}"
        for file in contract.file
        if file.package == "brokergate.v1"
        for service in file.service
        for method in service.method
    }
    named = {line.split()[-1] for line in calls()}
    assert {name for name in named if name.startswith("brokergate.")} == methods


def test_every_line_works_by_reflection(bash: Bash, start_server: StartServer) -> None:
    """As pasted, from top to bottom."""
    check_calls(bash, start_server().address, lambda line: line)


def test_every_line_works_by_the_compiled_contract(
    bash: Bash, start_server: StartServer, tmp_path: Path
) -> None:
    """Beside a gateway that has reflection off, with the file that the page has made."""
    config = tmp_path / "config" / "brokergate.yaml"
    config.parent.mkdir()
    config.write_text(
        "server: {reflection: false}\n"
        "accounts: {paper: {broker: paper, trading: {enabled: true}, paper: {feed: {synthetic: {seed: 7}}}}}\n",
        "utf-8",
    )
    address = start_server("--config", config).address
    refused = bash(f"grpcurl -plaintext {address} list")
    assert "server does not support the reflection API" in refused.stdout
    prepared = [line for line in lines() if ADDRESS not in line]
    assert prepared[0] == "brokergate descriptor > brokergate.binpb"
    for line in prepared:
        assert bash(line).returncode == 0, line
    check_calls(
        bash,
        address,
        lambda line: line.replace("grpcurl ", "grpcurl -protoset brokergate.binpb ", 1),
    )
