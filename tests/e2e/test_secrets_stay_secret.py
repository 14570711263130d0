"""Law 10 on a gateway that has a bad day: whatever its processes wrote, answered and kept holds no secret.

Two venues in processes of their own, accounts whose credentials come by every way there is, right and wrong ones, the
log at debug, every fault that the venues know, `kill -9`, and the commands beside it. Then everything is looked at: the
log, the data folder with the journal row by row, every answer and error of every RPC, and what the commands printed.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
)
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import Message

from brokergate.adapters.factory import BrokerFactory
from brokergate_client import Gateway, GatewayError, Side, limit_order, market_order
from tests.e2e.console import brokergate
from tests.e2e.process import ServerProcess
from tests.emulators.client import Emulator
from tests.keyring_backend import BACKEND
from tests.secret_scan import Scan

PASSPHRASE = "Qz7-passphrase-of-the-marker"
ED25519 = Ed25519PrivateKey.generate()
PEM = ED25519.private_bytes(
    Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASE.encode())
).decode()
NAMES = (
    *("alpaca_key", "alpaca_secret", "binance_key", "binance_secret", "ed_key"),
    *("wrong_key", "wrong_secret", "file_secret", "ring_secret"),
)
MARKERS = {name: f"Qz7{name.replace('_', '')}Marker{number:02d}kJ4wT9" for number, name in enumerate(NAMES)}
CONFIG = """\
server: {log: {level: debug, format: json}}
accounts:
  alpaca-env:
    broker: alpaca
    credentials: {api_key: "${A_KEY}", api_secret: "${A_SECRET}"}
    connection: &hasty {request_timeout_ms: 1000, poll_interval_ms: 10000}
    alpaca: &alpaca
      rest_url: ALPACA
      stream_url: WS_ALPACA/stream
      data_url: ALPACA
      data_stream_url: WS_ALPACA
      instruments: [AAPL]
      requests_per_minute: 10000
  alpaca-wrong:
    broker: alpaca
    credentials: {api_key: "${A_KEY}", api_secret: "WRONG_SECRET"}
    connection: *hasty
    alpaca: *alpaca
  binance-named:
    broker: binance
    connection: *hasty
    binance: &binance {rest_url: BINANCE, websocket_api_url: WS_BINANCE/ws-api/v3, stream_url: WS_BINANCE}
  binance-ed:
    broker: binance
    connection: *hasty
    binance: *binance
  binance-file:
    broker: binance
    credentials: {api_key: "${WRONG_KEY}", api_secret: {file: "FILE"}}
    connection: *hasty
    binance: *binance
  binance-ring:
    broker: binance
    connection: *hasty
    binance: *binance
"""
FAULTS: tuple[tuple[str, Mapping[str, object]], ...] = (
    ("status", {"code": 403}),
    ("status", {"code": 500}),
    ("status", {"code": 503, "accept": True}),
    ("html", {}),
    ("partial_json", {}),
    ("answer_lost_before_accept", {}),
    ("answer_lost_after_accept", {}),
    ("slow_loris", {}),
    # The gateway sends nothing for a while after these.
    ("status", {"code": 429}),
    ("status", {"code": 418}),
)
SYMBOLS = {"alpaca-env": "AAPL", "binance-named": "BTC/USDT", "binance-ed": "BTC/USDT"}


@pytest.fixture
def alpaca() -> Iterator[Emulator]:
    emulator = Emulator.start("alpaca", key=MARKERS["alpaca_key"], secret=MARKERS["alpaca_secret"])
    emulator.do("limits", requests=100_000)
    emulator.do("show", symbol="AAPL", bids=[("99", "50")], asks=[("101", "50")])
    yield emulator
    emulator.close()


@pytest.fixture
def binance() -> Iterator[Emulator]:
    emulator = Emulator.start("binance", key=MARKERS["binance_key"], secret=MARKERS["binance_secret"])
    public = ED25519.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    emulator.do("add_key", key=MARKERS["ed_key"], public=public)
    emulator.do("show", symbol="BTCUSDT", bids=[("50000", "5")], asks=[("50010", "5")])
    yield emulator
    emulator.close()


def machine(folder: Path, alpaca: Emulator, binance: Emulator) -> dict[str, str]:
    """The configuration and all the places that secrets come from; the environment of the gateway."""
    text = CONFIG.replace("WS_ALPACA", alpaca.ws_url).replace("ALPACA", alpaca.url)
    text = text.replace("WS_BINANCE", binance.ws_url).replace("BINANCE", binance.url)
    text = text.replace("WRONG_SECRET", MARKERS["wrong_secret"]).replace("FILE", str(folder / "secret"))
    (folder / "b.yaml").write_text(text)
    (folder / "secret").write_text(MARKERS["file_secret"])
    (folder / "key.pem").write_text(PEM)
    (folder / ".env").write_text(
        f"BROKERGATE_ACCOUNTS__BINANCE_NAMED__API_KEY={MARKERS['binance_key']}\n"
        f"BROKERGATE_ACCOUNTS__BINANCE_NAMED__API_SECRET={MARKERS['binance_secret']}\n"
    )
    entry = json.dumps({"api_key": MARKERS["binance_key"], "api_secret": MARKERS["ring_secret"]})
    ring = {"brokergate/binance-ring": entry}
    (folder / "keyring.json").write_text(json.dumps(ring))
    return {
        "A_KEY": MARKERS["alpaca_key"],
        "A_SECRET": MARKERS["alpaca_secret"],
        "WRONG_KEY": MARKERS["wrong_key"],
        "BINANCE_API_KEY": MARKERS["ed_key"],
        "BINANCE_PRIVATE_KEY_FILE": str(folder / "key.pem"),
        "BINANCE_PRIVATE_KEY_PASSPHRASE": PASSPHRASE,
        "PYTHON_KEYRING_BACKEND": BACKEND,
        "TEST_KEYRING": str(folder / "keyring.json"),
        "PYTHONDEVMODE": "1",
    }


def until_connected(server: ServerProcess, account: str) -> None:
    """Returns once the log says so."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        lines = server.log.splitlines()
        if any(f'"account": "{account}"' in line and '"CONNECTED"' in line for line in lines):
            return
        time.sleep(0.05)
    raise AssertionError(f"{account} was not connected within a minute")


async def trade(gateway: Gateway, scan: Scan, name: str) -> None:
    """One of every command on every account at once; whatever comes of it is looked at."""
    await asyncio.gather(*(_trade(gateway, scan, name, account) for account in SYMBOLS))


async def _trade(gateway: Gateway, scan: Scan, name: str, account: str) -> None:
    symbol = SYMBOLS[account]
    low, quantity = ("90", "1") if symbol == "AAPL" else ("40000", "0.01")
    id_ = f"{name}-{account}"
    commands = [
        gateway.place(account, limit_order(symbol, Side.BUY, quantity, low), client_order_id=id_),
        gateway.replace(account, client_order_id=id_, expected_generation=1, limit_price=f"{low[:-1]}5"),
        gateway.cancel(account, client_order_id=id_),
        gateway.place(account, market_order(symbol, Side.BUY, quantity)),
        gateway.preview(account, limit_order(symbol, Side.BUY, quantity, low)),
        gateway.place(account, limit_order("NO/SUCH", Side.BUY, "1", "1")),
    ]
    for command in commands:
        try:
            answer: object = await command
        except GatewayError as error:
            answer = (str(error), repr(error), vars(error), repr(error.__cause__))
        scan.look(f"an answer to a command on {account}", repr(answer))


SERVICES = [
    "account",
    "broker",
    "event",
    "instrument",
    "market_data",
    "order",
    "position",
    "trading_control",
    "simulator",
]


def read_everything(server: ServerProcess, token: str, scan: Scan) -> int:
    """Calls every RPC that only reads, on every account; how many answered."""
    for service in SERVICES:
        importlib.import_module(f"brokergate.v1.{service}_service_pb2")
    pool = descriptor_pool.Default()
    answered = 0
    accounts = (
        "alpaca-env",
        "alpaca-wrong",
        "binance-named",
        "binance-ed",
        "binance-file",
        "binance-ring",
        "nobody",
    )
    with server.channel() as channel:
        for service in SERVICES:
            file = pool.FindFileByName(f"brokergate/v1/{service}_service.proto")
            for description in file.services_by_name.values():
                for method in description.methods:
                    if method.client_streaming or not method.name.startswith(("Get", "List", "Stream")):
                        continue
                    for account in accounts:
                        request = _request(message_factory.GetMessageClass(method.input_type)(), account)
                        path = f"/{description.full_name}/{method.name}"
                        answered += _call(channel, path, request, method.server_streaming, token, scan)
    return answered


def _request(message: Message, account: str) -> Message:
    values = {"account_id": account, "broker": account.split("-")[0], "symbol": SYMBOLS.get(account, "AAPL")}
    for name, value in values.items():
        if name in message.DESCRIPTOR.fields_by_name:
            setattr(message, name, value)
    if "account_ids" in message.DESCRIPTOR.fields_by_name:
        message.account_ids.append(account)  # type: ignore[attr-defined]
    return message


def _call(channel: grpc.Channel, path: str, request: Message, streams: bool, token: str, scan: Scan) -> bool:
    """Calls an RPC, and looks at its answers or its error; whether it answered."""
    options: dict[str, Any] = {
        "timeout": 0.3 if streams else 10.0,
        "metadata": (("authorization", f"Bearer {token}"),),
    }
    open_channel: Any = channel
    answered = False
    try:
        if streams:
            for answer in open_channel.unary_stream(path)(request.SerializeToString(), **options):
                scan.look(path, answer)
                answered = True
        else:
            scan.look(path, open_channel.unary_unary(path)(request.SerializeToString(), **options))
            answered = True
    except grpc.RpcError as failed:
        error: Any = failed
        scan.look(f"{path}: the error", f"{error!r} {error.details()} {error.debug_error_string()}")
        for _, value in error.trailing_metadata() or ():
            scan.look(f"{path}: the error's details", value)
    return answered


async def test_nothing_that_a_gateway_wrote_holds_a_secret(
    alpaca: Emulator, binance: Emulator, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder, kept = tmp_path_factory.mktemp("secrets"), tmp_path_factory.mktemp("server")
    env = machine(folder, alpaca, binance)
    made = brokergate(
        *("token", "new", "desk", "--scope", "admin", "--accounts", "*", "--data-dir", kept / "data"),
        cwd=tmp_path,
    )
    token = made.text.strip()
    assert token
    scan = Scan([*MARKERS.values(), PASSPHRASE, PEM, token])
    server = ServerProcess(kept, "--config", folder / "b.yaml", env=env)
    try:
        server.start()
        async with Gateway.connect(server.address, token=token, timeout_s=1.5) as gateway:
            for account in SYMBOLS:
                await asyncio.to_thread(until_connected, server, account)
            await trade(gateway, scan, "well")
            for kind, arguments in FAULTS:
                for venue in (alpaca, binance):
                    venue.do("fault", kind=kind, on="place", count=2, **arguments)
                await trade(gateway, scan, f"{kind}-{len(json.dumps(arguments))}")
                for venue in (alpaca, binance):
                    venue.do("clear_faults")
                    venue.do("advance", seconds=600)
            for venue in (alpaca, binance):
                venue.do("fault", kind="key_revoked")
                venue.do("drop_streams")
            await trade(gateway, scan, "revoked")
            for venue in (alpaca, binance):
                venue.do("clear_faults")
                venue.do("fault", kind="html", on="*", count=5)
            await trade(gateway, scan, "html")
        answered = await asyncio.to_thread(read_everything, server, token, scan)
        server.kill9()
        server.start()
        answered += await asyncio.to_thread(read_everything, server, "no-such-token", scan)
    finally:
        server.close()
    beside: tuple[tuple[str | Path, ...], ...] = (
        ("check", folder / "b.yaml"),
        (
            "brokers",
            "test",
            "alpaca-env",
            "alpaca-wrong",
            "binance-ed",
            "binance-file",
            "--config",
            folder / "b.yaml",
        ),
        ("keyring", "list"),
        ("token", "list", "--data-dir", kept / "data"),
    )
    for words in beside:
        done = brokergate(*words, cwd=tmp_path, env={**env, "PYTHONPATH": str(Path.cwd())})
        scan.look(f"brokergate {words[0]}", done.stdout + done.stderr.encode())
    scan.look("the log", server.log)
    scan.look_into(kept)
    assert scan.found == []
    # That it was looked at where something is: all accounts were there, the wrong ones were refused, RPCs answered.
    assert answered > 50
    assert scan.bytes > 500_000
    assert server.log.count("refuse") + server.log.count("-2015") + server.log.count("-1022") >= 3
    for venue, key in ((alpaca, "alpaca"), (binance, "binance")):
        assert sum(venue.do("injected").values()) > 10, key


async def test_no_repr_of_a_broker_shows_a_secret(alpaca: Emulator, binance: Emulator) -> None:
    """Nor does one of anything that it is made of: what a debugger, a traceback with variables or a log may print."""
    section = {
        "rest_url": binance.url,
        "websocket_api_url": f"{binance.ws_url}/ws-api/v3",
        "stream_url": binance.ws_url,
    }
    accounts: dict[str, Mapping[str, object]] = {
        "alpaca": {
            "broker": "alpaca",
            "credentials": {"api_key": alpaca.key, "api_secret": alpaca.secret},
            "alpaca": {
                "rest_url": alpaca.url,
                "stream_url": f"{alpaca.ws_url}/stream",
                "data_url": alpaca.url,
            },
        },
        "binance": {
            "broker": "binance",
            "credentials": {"api_key": binance.key, "api_secret": binance.secret},
            "binance": section,
        },
        "ed": {
            "broker": "binance",
            "credentials": {
                "api_key": MARKERS["ed_key"],
                "private_key": PEM,
                "private_key_passphrase": PASSPHRASE,
            },
            "binance": section,
        },
    }
    scan = Scan([*MARKERS.values(), PASSPHRASE, PEM])
    async with BrokerFactory(accounts=accounts) as factory:
        for name in accounts:
            broker = await factory.create_broker(name)
            await broker.get_balances()
            await broker.list_open_orders()
            looked = 0
            for each in reachable(broker):
                scan.look(f"{name}: {type(each).__name__}", repr(each))
                looked += 1
            assert looked > 20
    assert scan.found == []


def reachable(root: object) -> Iterator[object]:
    """Everything of ours that an object leads to."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        each = waiting.pop()
        ours = type(each).__module__.startswith("brokergate")
        if id(each) in seen or not (ours or isinstance(each, dict | list | tuple | set | frozenset)):
            continue
        seen.add(id(each))
        if ours:
            yield each
        waiting.extend(gc.get_referents(each))
