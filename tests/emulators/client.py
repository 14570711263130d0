"""An emulator's process, seen from a test: started, steered, and its log read."""

from __future__ import annotations

import asyncio
import http.client
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import IO, Any, Self

from tests.e2e.process import ROOT, environment

Number = Decimal | str | int
ANSWER_TIMEOUT_S = 30.0
KEYLESS = frozenset({"tws"})
"""Venues that know no key: whoever may connect may trade. Their control plane has a port of its own."""


class Emulator:
    """`python -m tests.emulators.<venue>` in a process of its own; it ends with this one.

    An object of this class belongs to no event loop: one process can serve a whole session of tests, each of which
    begins with `reset`. Numbers go as decimals or text, never as floats.
    """

    def __init__(
        self,
        venue: str,
        process: subprocess.Popen[str],
        errors: IO[str],
        port: int,
        key: str,
        secret: str,
        control_port: int | None = None,
    ) -> None:
        self.venue = venue
        self.port = port
        self.control_port = control_port or port
        self.key = key
        self.secret = secret
        self.url = f"http://127.0.0.1:{port}"
        self.ws_url = f"ws://127.0.0.1:{port}"
        self._process = process
        self._errors = errors

    @classmethod
    def start(
        cls,
        venue: str,
        *options: str,
        key: str = "emulator-key",
        secret: str = "emulator-secret",
        port: int = 0,
    ) -> Self:
        """Starts the process and returns once it listens. `options` go to its command line."""
        keys = () if venue in KEYLESS else ("--key", key, "--secret", secret)
        arguments = ["--port", str(port), *keys, *options]
        errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        process = subprocess.Popen(
            [sys.executable, "-m", f"tests.emulators.{venue}", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=ROOT,
            env=environment(),
            start_new_session=True,
        )
        assert process.stdout is not None
        told = process.stdout.readline()
        if not told:
            process.wait(20)
            errors.seek(0)
            raise RuntimeError(f"the emulator of {venue} did not start:\n{errors.read()}")
        ports = json.loads(told)
        return cls(venue, process, errors, int(ports["port"]), key, secret, ports.get("control_port"))

    def close(self) -> None:
        """Ends the process. Fails where it had ended by itself, and where it had an error of its own: no test may take
        that for one of the venue's."""
        ended = self._process.poll()
        self._process.kill()
        self._process.wait(20)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        told = self._told_errors()
        assert ended is None, f"the emulator of {self.venue} ended with {ended}:\n{told}"
        assert "Traceback" not in told, f"the emulator of {self.venue} had an error of its own:\n{told}"

    def _told_errors(self) -> str:
        with self._errors as errors:
            errors.seek(0)
            return errors.read()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.close)

    def do(self, action: str, **arguments: Any) -> Any:
        """A request of the control plane and its result, without a loop. `ValueError` with the reason for what cannot
        be done."""
        connection = http.client.HTTPConnection("127.0.0.1", self.control_port, timeout=ANSWER_TIMEOUT_S)
        try:
            body = json.dumps(arguments, default=_text)
            connection.request("POST", f"/_emulator/{action}", body, {"Content-Type": "application/json"})
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer["result"]

    async def ask(self, action: str, **arguments: Any) -> Any:
        """As `do`, from a loop."""
        return await asyncio.to_thread(lambda: self.do(action, **arguments))

    # The market and time

    async def show(
        self,
        symbol: str,
        bids: Iterable[tuple[Number, Number]],
        asks: Iterable[tuple[Number, Number]],
    ) -> None:
        """The market's book is now exactly this, each level (price, quantity)."""
        await self.ask("show", symbol=symbol, bids=list(bids), asks=list(asks))

    async def trade(self, symbol: str, price: Number, quantity: Number, taker: str = "") -> None:
        """Others trade; `taker` is 'buy', 'sell' or ''."""
        await self.ask("trade", symbol=symbol, price=price, quantity=quantity, taker=taker)

    async def advance(self, seconds: float) -> None:
        """Lets time pass for windows, bans, sessions and orders; see `clock.VenueClock`."""
        await self.ask("advance", seconds=seconds)

    # Faults

    async def fault(self, kind: str, *, on: str = "*", count: int | None = None, **arguments: Any) -> None:
        """Something goes wrong; see `docs/emulators.md`."""
        await self.ask("fault", kind=kind, on=on, count=count, **arguments)

    async def clear_faults(self) -> None:
        """Nothing goes wrong any more."""
        await self.ask("clear_faults")

    async def injected(self) -> dict[str, int]:
        """How often each kind of fault has befallen something since `reset`."""
        return dict(await self.ask("injected"))

    async def drop_streams(self, on: str = "*") -> int:
        """Cuts the WebSocket connections of a kind; how many there were."""
        return int(await self.ask("drop_streams", on=on))

    async def restart(self, seconds: float = 0.1, **arguments: Any) -> None:
        """The venue is away for so long, and knows everything afterwards. Returns when it is there again. `arguments`
        are the fault's."""
        before = await self.ask("starts")
        await self.fault("restart", seconds=seconds, **arguments)
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            while True:
                try:
                    if await self.ask("starts") > before:
                        return
                except (OSError, http.client.HTTPException):
                    await asyncio.sleep(0.02)

    # The account

    async def reset(self, balances: Mapping[str, Number] | None = None) -> None:
        """A new, empty account and market: streams are cut, faults, limits and the log are cleared."""
        await self.ask("reset", balances=None if balances is None else dict(balances))

    async def add_order(
        self, symbol: str, side: str, quantity: Number, price: Number | None = None, **more: Any
    ) -> dict[str, Any]:
        """Somebody else places an order on the account: a LIMIT unless `type` says otherwise."""
        return dict(await self.ask("order", symbol=symbol, side=side, quantity=quantity, price=price, **more))

    async def add_fill(self, symbol: str, side: str, quantity: Number, price: Number) -> dict[str, Any]:
        """Somebody else's order on the account, filled in full at `price` whatever the book shows."""
        return dict(await self.ask("fill", symbol=symbol, side=side, quantity=quantity, price=price))

    async def cancel(self, client_order_id: str) -> dict[str, Any]:
        """Somebody else cancels an order of the account, named as the venue names it."""
        return dict(await self.ask("cancel", client_order_id=client_order_id))

    async def deposit(self, currency: str, amount: Number) -> None:
        """Money comes, or goes where `amount` is negative."""
        await self.ask("deposit", currency=currency, amount=amount)

    # What it says

    async def log(self, after: int = 0) -> list[dict[str, Any]]:
        """The requests that it received, in order; see `log.RequestLog`."""
        return list(await self.ask("log", after=after))

    async def orders(self) -> list[dict[str, Any]]:
        """Every order that it took, ended ones and those of others too."""
        return list(await self.ask("orders"))

    async def doubled(self) -> list[str]:
        """The client ids under which the account has more than one order that nobody else placed: law 2 says none."""
        orders = await self.orders()
        names = Counter(order["client_order_id"] for order in orders if not order["external"])
        return sorted(name for name, count in names.items() if count > 1)

    async def fills(self) -> list[dict[str, Any]]:
        """Every execution."""
        return list(await self.ask("fills"))

    async def balances(self) -> dict[str, dict[str, Decimal]]:
        """{currency: {total, locked}}."""
        told: dict[str, dict[str, str]] = await self.ask("balances")
        return {
            name: {part: Decimal(amount) for part, amount in parts.items()} for name, parts in told.items()
        }

    async def streams(self) -> list[str]:
        """The kinds of the WebSocket connections that are open."""
        return list(await self.ask("streams"))


def _text(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{value:f}"
    raise TypeError(f"{type(value).__name__} does not go to an emulator")
