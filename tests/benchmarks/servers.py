"""The two servers that are measured, each a process: the gateway and the echo."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.benchmarks.accounts import FEE_PERCENT
from tests.benchmarks.orders import SYMBOL
from tests.e2e.process import ROOT, START_TIMEOUT_S, STOP_TIMEOUT_S, ServerProcess, environment

MIB = 1 << 20


def cpu_seconds(pid: int) -> float:
    """Processor time that the process has used, all its threads, in seconds, to the nanosecond.

    The clock of another process, as `clock_getcpuclockid(3)` makes it on Linux; `/proc/PID/stat` counts in 10 ms.
    """
    return time.clock_gettime((~pid << 3) | 2)


def machine_seconds() -> float:
    """Processor time that everything on the machine has used since it was started, in seconds (`/proc/stat`).

    Time that a hypervisor gave to others counts too: it was taken from this run as well.
    """
    fields = Path("/proc/stat").read_text("ascii").split("\n", 1)[0].split()
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    """Memory that the process holds, in MiB (`VmRSS`)."""
    for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/{pid}/status has no VmRSS")


FULL, FULL_LIVE = "full", "full-live"
"""The accounts with `durability: full`."""

ORDERS, DEEP, SHARED, LIVE = ACCOUNTS = "orders", "deep", "shared", "live"
"""One for single orders, batches and order entry; one with a long backlog; one with a backlog for many; one that is
followed live."""


def _account(name: str, durability: str) -> str:
    # The market is pushed once and stands still: it is never too old to trade on.
    return f"""\
  {name}:
    broker: paper
    durability: {durability}
    paper:
      initial_balance: {{USDT: "1000000000000", BTC: "1000000"}}
      taker_fee_percent: {FEE_PERCENT}
      stale_after_ms: 0
      feed: {{push: {{instruments: [{{symbol: {SYMBOL}, price_increment: "0.01", quantity_increment: "0.00001"}}]}}}}
"""


CONFIG = f"""\
server: {{log: {{level: warning, format: json}}}}
accounts:
  idle: {{broker: paper, paper: {{initial_balance: {{USDT: "1"}}, feed: {{push: {{}}}}}}}}
{"".join(_account(name, "process") for name in ACCOUNTS)}\
{"".join(_account(name, "full") for name in (FULL, FULL_LIVE))}"""
"""Nothing that works beside the orders: markets that stand still."""


def start_gateway(folder: Path) -> ServerProcess:
    """A gateway over an empty journal."""
    config = folder / "brokergate.yaml"
    config.write_text(CONFIG, "utf-8")
    server = ServerProcess(folder, "--config", config)
    server.start()
    return server


class EchoProcess:
    """`python -m tests.benchmarks.echo` over a folder of answers."""

    def __init__(self, folder: Path, answers: Mapping[str, bytes]) -> None:
        for name, body in answers.items():
            (folder / name).write_bytes(body)
        self._log_path = folder / "echo.log"
        self._address_path = folder / "address"
        with self._log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.benchmarks.echo", str(folder)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment(),
                start_new_session=True,
            )
        self.address = self._await_address()

    def _await_address(self) -> str:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not (self._address_path.exists() and (text := self._address_path.read_text()).endswith("\n")):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise RuntimeError(f"the echo did not start:\n{self._log_path.read_text()}")
            time.sleep(0.01)
        return text.strip()

    def close(self) -> None:
        """Ends the process."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(STOP_TIMEOUT_S)
