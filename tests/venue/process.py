"""The venue's process, seen from a test: started, steered, and its log read."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from brokergate.domain.accounts import BrokerBalance, BrokerPosition
from brokergate.domain.orders import OrderSpec
from brokergate.ports.broker import FillPage, FillReport, VenueOrder
from tests.e2e.process import ROOT, environment
from tests.venue.faults import Fault
from tests.venue.log import Entry
from tests.venue.wire import dump, line, load, parse


class VenueProcess:
    """`python -m tests.venue` with its log in `folder`. `rates` are those of `FaultRates`; `options` go to the command
    line."""

    def __init__(
        self, folder: Path, seed: int, rates: Mapping[str, float] | None = None, *options: str
    ) -> None:
        self.log_path = folder / "venue.log"
        self.port = 0
        self._output = folder / "venue.out"
        self._arguments = ["--log", str(self.log_path), "--seed", str(seed), *options]
        self._arguments += ["--faults", json.dumps(dict(rates or {}))]
        self._process: subprocess.Popen[str] | None = None
        self._socket: socket.socket | None = None

    def start(self) -> None:
        """Starts it and returns once it listens."""
        with self._output.open("a") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.venue", "--port", "0", *self._arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
                cwd=ROOT,
                env=environment(),
                start_new_session=True,
            )
        assert self._process.stdout is not None
        told = self._process.stdout.readline()
        assert told, f"the venue did not start:\n{self._output.read_text()}"
        self.port = int(told)
        self._socket = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        self._lines = self._socket.makefile("rb")

    def close(self) -> None:
        """Ends it. Fails when it had ended by itself."""
        if self._socket is not None:
            self._lines.close()
            self._socket.close()
        if self._process is None:
            return
        ended = self._process.poll()
        self._process.kill()
        self._process.wait(20)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        assert ended is None, f"the venue ended with {ended}:\n{self._output.read_text()}"

    def ask(self, op: str, **fields: Any) -> Any:
        """A request and its result; for `control` as `VenueServer.control` has it."""
        assert self._socket is not None
        self._socket.sendall(line({"id": 1, "op": op, **fields}))
        text = self._lines.readline()
        assert text, f"the venue does not answer {op!r}:\n{self._output.read_text()}"
        answer = parse(text)
        assert "error" not in answer, answer
        return answer["result"]

    # What it is told

    def inject(self, fault: Fault, op: str, count: int = 1) -> None:
        """`fault` befalls the next `count` requests of `op`."""
        self.ask("control", do="inject", fault=fault, on=op, count=count)

    def set_rates(self, **rates: float) -> None:
        """The faults' rates from now on; none for no faults."""
        self.ask("control", do="rates", rates=rates)

    def drop(self) -> int:
        """Cuts the subscribers' connections; how many there were."""
        return int(self.ask("control", do="drop"))

    def go_away(self, milliseconds: int) -> None:
        """Cuts them, and answers nobody for a while."""
        self.ask("control", do="away", ms=milliseconds)

    def freeze(self) -> None:
        """The market stands still."""
        self.ask("control", do="freeze")

    def thaw(self) -> None:
        """It goes on."""
        self.ask("control", do="thaw")

    def place_external(self, spec: OrderSpec) -> None:
        """Somebody else places an order."""
        self.ask("control", do="external", order=dump(spec))

    # What it says

    def log(self) -> list[Entry]:
        """Its own account of everything, to the end."""
        return self.log_after(0)[0]

    def log_after(self, offset: int) -> tuple[list[Entry], int]:
        """What it wrote after `offset` bytes, and the offset after that."""
        with self.log_path.open("rb") as log:
            log.seek(offset)
            whole, _, rest = log.read().rpartition(b"\n")
            return [load(Entry, parse(text)) for text in whole.splitlines()], log.tell() - len(rest)

    def injected(self) -> dict[str, int]:
        """How often each fault has been done."""
        return dict(self.ask("control", do="injected"))

    def orders(self) -> list[tuple[int, VenueOrder]]:
        """Every order that it was ever asked for, with its generation there."""
        told = self.ask("control", do="orders")
        return [(each["generation"], load(VenueOrder, each["order"])) for each in told]

    def fills(self) -> list[FillReport]:
        """Every execution."""
        found: list[FillReport] = []
        page = FillPage((), "0", complete=False)
        while not page.complete:
            page = load(FillPage, self.ask("fills", after=page.watermark))
            found += page.fills
        return found

    def positions(self) -> list[BrokerPosition]:
        """As it shows them."""
        return [load(BrokerPosition, each) for each in self.ask("positions")]

    def balances(self) -> list[BrokerBalance]:
        """As it shows them."""
        return [load(BrokerBalance, each) for each in self.ask("balances")]
