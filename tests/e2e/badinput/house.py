"""The gateway under test: its accounts, its tokens, and what stands on its accounts before the bad input comes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import Message

from brokergate.v1 import enums_pb2 as enums
from brokergate.v1.order_pb2 import IF_UNKNOWN_TOMBSTONE, CancelOrderRequest, OrderRef, PlaceOrderRequest
from brokergate.v1.simulator_pb2 import PushMarketDataRequest
from tests.e2e.badinput.answers import Answer
from tests.e2e.badinput.caller import Caller
from tests.e2e.badinput.contract import RPCS
from tests.e2e.badinput.forms import ABSENT, WAY
from tests.e2e.badinput.valid import OTHER_SYMBOL, SYMBOL, Scene, pushed_book
from tests.e2e.process import ServerProcess, run_brokergate

SEALED = "sealed"
"""Gets nothing but what must be refused; its market stands still."""
PLAY = "play"
"""The same, where requests may do what they ask for."""
SPARE = "spare"
"""The same, for requests that reset it."""
TAPE = "tape"
"""Replays a tape that stands still until it is told to play."""
SYNTHETIC = "synthetic"
"""The embedded market: neither pushed nor a tape."""
READ_ONLY = "closed"
"""Takes no orders."""
STALE = "stale"
"""Whose market data is always too old."""
HALTED = "halted"
"""The only one that requests stop and resume."""
STANDING = (SEALED, PLAY, SPARE, TAPE, SYNTHETIC, READ_ONLY, STALE, HALTED)

ADMIN, EXPIRED, REVOKED, READER, STRANGER = "admin", "expired", "revoked", "reader", "stranger"
"""Tokens: one with every right, two that are worthless, one that may only read, one for another account."""
STOPPER = "stopper"
"""A token for HALTED alone: a made-up stop of all accounts must not be one of those that others trade on."""

_PUSHED = f"""
        push:
          instruments:
            - {{symbol: {SYMBOL}, price_increment: "0.01", quantity_increment: "0.001"}}
            - {{symbol: {OTHER_SYMBOL}, price_increment: "0.01", quantity_increment: "0.001"}}"""


def _account(name: str, feed: str, *more: str) -> str:
    lines = [f"  {name}:", "    broker: paper", *(f"    {line}" for line in more if not line.startswith(" "))]
    lines += ["    paper:", '      initial_balance: {USDT: "1000000", USD: "1000000"}']
    lines += [f"     {line}" for line in more if line.startswith(" ")]
    return "\n".join(lines) + f"\n      feed:{feed}\n"


def configuration(tape: Path) -> str:
    """The configuration of the gateway under test."""
    return "accounts:\n" + "".join(
        (
            _account(SEALED, _PUSHED),
            _account(PLAY, _PUSHED),
            _account(SPARE, _PUSHED),
            _account(TAPE, f" {{tape: {tape}, paused: true}}"),
            _account(SYNTHETIC, " {synthetic: {seed: 7}}"),
            _account(READ_ONLY, _PUSHED, "trading: {enabled: false}"),
            _account(STALE, _PUSHED, " stale_after_ms: 1"),
            _account(HALTED, _PUSHED),
            f"routes: {{{WAY}: [{PLAY}]}}\n",
        )
    )


def write_tape(folder: Path) -> Path:
    """A tape of EUR/USD: a quote a second for a day."""
    path = folder / "20140502_eurusd_tick_quote.csv"
    path.write_text(
        "".join(
            f"{ms},1.38{ms // 1000 % 10}00,1.38{ms // 1000 % 10}10\n" for ms in range(0, 86_400_000, 1000)
        )
    )
    return path


class House:
    """A running gateway and the bearer tokens to it, by name."""

    def __init__(self, folder: Path) -> None:
        config = folder / "gateway.yaml"
        config.write_text(configuration(write_tape(folder)))
        self.server = ServerProcess(folder, "--config", config)
        self.tokens = {
            ADMIN: self._token(ADMIN, "admin", "*"),
            EXPIRED: self._token(EXPIRED, "admin", "*", "--expires-in", "1s"),
            REVOKED: self._token(REVOKED, "admin", "*"),
            READER: self._token(READER, "read", "*"),
            STRANGER: self._token(STRANGER, "admin", "elsewhere"),
            STOPPER: self._token(STOPPER, "admin", HALTED),
        }
        self._run("token", "revoke", REVOKED)
        self.server.start()

    def _run(self, *arguments: str) -> str:
        done = run_brokergate(*arguments, "--data-dir", str(self.server.data_dir))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _token(self, name: str, scope: str, accounts: str, *more: str) -> str:
        return self._run("token", "new", name, "--scope", scope, "--accounts", accounts, *more).split()[-1]

    def metadata(self, token: str = ADMIN) -> tuple[tuple[str, str], ...]:
        """The headers of a caller with this token."""
        return (("authorization", f"Bearer {self.tokens[token]}"),)

    def memory_mib(self) -> int:
        """What the gateway holds in memory now."""
        status = Path(f"/proc/{self.server.process.pid}/status").read_text()
        return next(int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("VmRSS:"))

    def caller(self) -> Caller:
        """A connection with every right."""
        return Caller(self.server.address, metadata=self.metadata())


async def expect_ok(caller: Caller, rpc: str, request: Message) -> Answer:
    """What the server answers to a request that it must take."""
    answer = await caller.send(RPCS[rpc], request)
    assert answer.code is grpc.StatusCode.OK, f"{rpc}: {answer.code} {answer.message}"
    assert not answer.item_errors(), f"{rpc}: {answer.item_errors()}"
    return answer


async def furnish(caller: Caller, scene: Scene) -> None:
    """Makes true on `scene.account` what `Scene` says of it."""
    account = scene.account
    await expect_ok(
        caller, "PushMarketData", PushMarketDataRequest(account_id=account, updates=[pushed_book()])
    )
    market = {
        "type": enums.ORDER_TYPE_MARKET,
        "limit_price": ABSENT,
        "time_in_force": enums.TIME_IN_FORCE_IOC,
    }
    stop: dict[str, Any] = {
        "type": enums.ORDER_TYPE_STOP,
        "side": enums.SIDE_SELL,
        "limit_price": ABSENT,
        "stop_price": "40",
    }
    changes: Mapping[str, dict[str, Any]] = {
        "filled": market | {"quantity": "5"},
        "partly": {"quantity": "6", "limit_price": "100.01"},
        "resting": {},
        "stopped": stop,
        "withdrawn": {},
    }
    for client_order_id, change in changes.items():
        request = PlaceOrderRequest(
            account_id=account, client_order_id=client_order_id, order=scene.spec(**change)
        )
        answer = await expect_ok(caller, "PlaceOrder", request)
        (order,) = answer.orders()
        assert not order.reject_reason, f"{client_order_id}: {order.reject_message}"
    for client_order_id, request_id in (("withdrawn", "used"), ("aside", "set-aside")):
        cancel = CancelOrderRequest(
            account_id=account,
            order=OrderRef(client_order_id=client_order_id),
            request_id=request_id,
            if_unknown=IF_UNKNOWN_TOMBSTONE,
        )
        await expect_ok(caller, "CancelOrder", cancel)


async def state_of(caller: Caller, accounts: tuple[str, ...]) -> Mapping[str, Mapping[str, str]]:
    """Everything that a request could have changed: orders, fills, positions, balances, and the journal's head."""
    return {account: await _account_state(caller, account) for account in accounts}


async def _account_state(caller: Caller, account: str) -> Mapping[str, str]:
    state: dict[str, str] = {}
    for name in ("ListOrders", "ListFills", "ListPositions", "ListBalances", "ListLedgerEntries"):
        rpc = RPCS[name]
        request: Any = rpc.request(account_id=account)
        if "page_size" in request.DESCRIPTOR.fields_by_name:
            request.page_size = 1000
        (message,) = (await expect_ok(caller, name, request)).messages
        answer: Any = message
        # Marks are as of now; what is held is not.
        for item in (*getattr(answer, "positions", ()), *getattr(answer, "balances", ())):
            item.ClearField("as_of")
        if "as_of" in answer.DESCRIPTOR.fields_by_name:
            answer.ClearField("as_of")
        state[name] = str(answer)
    return state
