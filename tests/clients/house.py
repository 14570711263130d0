"""The gateways that runners talk to, and what the harness does at them by itself."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import json_format

from brokergate.domain.access import Scope
from brokergate.domain.cursor import Cursor, decode_cursor, encode_cursor
from brokergate.ports.clock import SystemClock
from brokergate.tokens import TokenStore
from brokergate_client import contract_method
from tests.clients import wire
from tests.clients.fake import FakeGateway
from tests.e2e.process import ServerProcess
from tests.unit.transport.certificates import Authority

SYMBOLS = ("BTC/USDT", "ETH/USDT")
TIMEOUT_S = 60.0
MAX_SUBSCRIBERS = 16

_CONFIG = """
server:
  listen:
    - 127.0.0.1:{plain}
    - {{address: "127.0.0.1:{tls}", tls: {{certificate: {certificate}, key: {key}}}}}
    - {{address: "127.0.0.1:{mtls}", tls: {{certificate: {certificate}, key: {key}, client_ca: {authority}}}}}
  limits: {{stall_timeout_ms: 500, abort_timeout_ms: 200, token_poll_ms: 50, max_subscribers: {subscribers}}}
accounts:
  pushed:
    broker: paper
    trading: {{enabled: true}}
    paper:
      initial_balance: {{USDT: "1000000"}}
      feed: {{push: {{instruments: [{{symbol: BTC/USDT, price_increment: "0.01", quantity_increment: "0.001"}}]}}}}
  closed:
    broker: paper
    trading: {{enabled: false}}
    paper:
      initial_balance: {{USDT: "1000"}}
      feed: {{push: {{instruments: [{{symbol: BTC/USDT, price_increment: "0.01", quantity_increment: "0.001"}}]}}}}
  tape:
    broker: paper
    trading: {{enabled: true}}
    paper:
      initial_balance: {{USDT: "1000"}}
      feed: {{tape: {tape}, paused: true, symbol: BTC/USDT}}
"""

_TAPE = """\
time,bid_price,bid_quantity,ask_price,ask_quantity
2026-01-05T00:00:00Z,99.99,5,100.00,5
2026-01-05T00:00:01Z,99.98,5,100.01,5
2026-01-05T00:00:02Z,99.97,5,100.02,5
"""


def free_port() -> int:
    """A port of this machine that nobody serves."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class House:
    """A gateway of a runner's own, over plaintext, TLS and mTLS, with tokens; and a fake one. `close` ends both."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        authority = Authority(folder)
        own, client = authority.sign("gateway"), authority.sign("strategy")
        (folder / "others").mkdir()
        self.files = {
            "ca": str(authority.certificate),
            "other_ca": str(Authority(folder / "others").certificate),
            "certificate": str(client.certificate),
            "key": str(client.key),
        }
        plain, tls, mtls = free_port(), free_port(), free_port()
        tape = folder / "tape.csv"
        tape.write_text(_TAPE, "ascii")
        config = folder / "gateway.yaml"
        config.write_text(
            _CONFIG.format(
                subscribers=MAX_SUBSCRIBERS,
                plain=plain,
                tls=tls,
                mtls=mtls,
                certificate=own.certificate,
                key=own.key,
                authority=authority.certificate,
                tape=tape,
            ),
            "utf-8",
        )
        self.server = ServerProcess(folder, "--config", config, listen=None)
        self.server.data_dir.mkdir()
        self.fake = FakeGateway()
        self._tls, self._mtls = f"127.0.0.1:{tls}", f"127.0.0.1:{mtls}"
        self.tokens = {
            "admin": self.token("admin", Scope.ADMIN),
            "reader": self.token("reader", Scope.READ),
            "stranger": self.token("stranger", Scope.TRADE, ["closed"]),
            "expired": self.token("expired", Scope.ADMIN, expires_in_s=1),
            "revoked": self.token("revoked", Scope.ADMIN),
            "unknown": "bg_" + "x" * 43,
        }
        self._store.revoke("revoked")
        self.server.start()

    @cached_property
    def _store(self) -> TokenStore:
        return TokenStore(self.server.data_dir / "tokens.json", SystemClock())

    def token(
        self, name: str, scope: Scope, accounts: list[str] | None = None, expires_in_s: int | None = None
    ) -> str:
        """A new token."""
        return self._store.create(name, scope, accounts, expires_in_s, secrets.token_bytes)

    def revoke(self, name: str) -> None:
        """Make a token worthless."""
        self._store.revoke(name)

    def address(self, of: str) -> str:
        """Where `gateway`, `tls`, `mtls` or `fake` serves; `nowhere` nobody does."""
        match of:
            case "gateway":
                return self.server.address
            case "tls":
                return self._tls
            case "mtls":
                return self._mtls
            case "fake":
                return self.fake.address
            case "nowhere":
                return f"127.0.0.1:{free_port()}"
            case _:
                return of

    def call(self, rpc: str, request: dict[str, Any], token: str | None = None) -> dict[str, Any]:
        """One call of the harness's own, by the admin where no token is given."""
        return next(self._calls(rpc, [request], token))

    def _calls(
        self, rpc: str, requests: list[dict[str, Any]], token: str | None = None
    ) -> Iterator[dict[str, Any]]:
        method = contract_method(rpc)
        messages = [json_format.ParseDict(request, method.request_type()) for request in requests]
        metadata = (("authorization", f"Bearer {token or self.tokens['admin']}"),)
        with grpc.insecure_channel(self.server.address) as channel:
            make: Callable[..., Any] = (
                channel.stream_unary if method.client_streaming else channel.unary_unary
            )
            stub = make(
                method.path,
                request_serializer=method.request_type.SerializeToString,
                response_deserializer=method.response_type.FromString,
            )
            if method.client_streaming:
                yield wire.content(stub(iter(messages), timeout=TIMEOUT_S, metadata=metadata))
                return
            for message in messages:
                yield wire.content(stub(message, timeout=TIMEOUT_S, metadata=metadata, wait_for_ready=True))

    def create_account(self, account_id: str) -> None:
        """A paper account with a deep book of each of `SYMBOLS`, at 99.99 and 100.00, that does not move."""
        instruments = [
            {"symbol": symbol, "price_increment": "0.01", "quantity_increment": "0.001"} for symbol in SYMBOLS
        ]
        self.call(
            "SimulatorService/CreatePaperAccount",
            {
                "request_id": f"create-{account_id}",
                "account_id": account_id,
                "initial_balances": [{"amount": "1000000000", "currency_code": "USDT"}],
                "push": {"instruments": instruments},
                "taker_fee_percent": "0.1",
            },
        )
        self.push(account_id)

    def push(self, account_id: str, bid: str = "99.99", ask: str = "100.00") -> None:
        """Give the account's market a book."""
        books = [self.book(bid, ask, symbol) for symbol in SYMBOLS]
        list(
            self._calls(
                "SimulatorService/PushMarketData",
                [{"account_id": account_id, "updates": [book]} for book in books],
            )
        )

    def fill(self, account_id: str, count: int, prefix: str) -> None:
        """Buy 0.1 BTC at the market `count` times, under the ids `prefix-0`, `prefix-1` …"""
        spec = {"symbol": "BTC/USDT", "side": "SIDE_BUY", "type": "ORDER_TYPE_MARKET", "quantity": "0.1"}
        self._batches(account_id, count, prefix, spec)

    def rest(self, account_id: str, count: int, prefix: str) -> None:
        """Place `count` orders that rest, each some 2 KiB of events."""
        labels = {f"{number:032}": "x" * 64 for number in range(16)}
        spec = {
            "symbol": "BTC/USDT",
            "side": "SIDE_BUY",
            "type": "ORDER_TYPE_LIMIT",
            "quantity": "0.1",
            "limit_price": "50",
            "labels": labels,
        }
        self._batches(account_id, count, prefix, spec)

    def _batches(self, account_id: str, count: int, prefix: str, spec: dict[str, Any]) -> None:
        requests = [
            {
                "account_id": account_id,
                "orders": [
                    {"client_order_id": f"{prefix}-{number}", "order": spec}
                    for number in range(first, min(first + 250, count))
                ],
            }
            for first in range(0, count, 250)
        ]
        for answer in self._calls("OrderService/BatchPlaceOrders", requests):
            assert all("order" in result for result in answer["results"]), answer["results"][0]

    @staticmethod
    def book(bid: str, ask: str, symbol: str = SYMBOLS[0]) -> dict[str, Any]:
        """A deep book of one level, of now, as an update of a pushed market."""
        return {
            "book": {
                "symbol": symbol,
                "bids": [{"price": bid, "quantity": "1000000"}],
                "asks": [{"price": ask, "quantity": "1000000"}],
                "event_time": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            }
        }

    def foreign_cursor(self, cursor: str, what: str) -> str:
        """`cursor` as it would be of another `journal`, another `epoch`, or past the `tail`."""
        own: Cursor = decode_cursor(cursor)
        match what:
            case "journal":
                return encode_cursor("abc123", own.epoch, own.positions)
            case "epoch":
                return encode_cursor(own.journal_id, own.epoch + 7, own.positions)
            case _:
                return encode_cursor(
                    own.journal_id, own.epoch, {name: place + 1000 for name, place in own.positions.items()}
                )

    def wait_for_room(self) -> None:
        """Return once the gateway has ended a stream: takes all places but one, and waits until that is free too."""
        method = contract_method("EventService/StreamFills")
        metadata = (("authorization", f"Bearer {self.tokens['admin']}"),)
        deadline = time.monotonic() + TIMEOUT_S
        with grpc.insecure_channel(self.server.address) as channel:
            stub: Any = channel.unary_stream(
                method.path,
                request_serializer=method.request_type.SerializeToString,
                response_deserializer=method.response_type.FromString,
            )
            taken = [
                stub(method.request_type(account_ids=["pushed"]), metadata=metadata)
                for _ in range(MAX_SUBSCRIBERS - 1)
            ]
            for stream in taken:
                next(stream)
            # Its cursor is refused where there is room for it, so it never takes the place itself.
            probe = method.request_type(account_ids=["pushed"], after_cursor="none")
            while True:
                try:
                    next(stub(probe, metadata=metadata))
                except grpc.RpcError as error:
                    if error.code() != grpc.StatusCode.RESOURCE_EXHAUSTED:
                        break
                assert time.monotonic() < deadline, "the gateway never ended a stream"
                time.sleep(0.02)
            for stream in taken:
                stream.cancel()

    def close(self) -> None:
        """End both gateways."""
        self.fake.stop()
        self.server.close()
