"""The gateway's process in these rounds: launched without waiting, killed at any moment, its journal read when it is
dead."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

from tests.e2e.process import ROOT, START_TIMEOUT_S, STOP_TIMEOUT_S, environment

ACCOUNT = "main"
DURABILITIES = ("process", "full")

_CONFIG = """\
profile: testing
server:
  listen: {address}
  data_dir: {data_dir}
  log: {{level: info}}
accounts:
  {account}:
    broker: socket
    durability: {durability}
    connection: {{request_timeout_ms: {timeout_ms}}}
    socket: {{port: {port}, absence_after_ms: {absence_after_ms}}}
"""


class GatewayProcess:
    """The real command line with the broker `socket`, over one data directory, on one address for all its lives.
    `template` is its configuration, with braces for what is named here and for `more`."""

    def __init__(
        self,
        folder: Path,
        venue_port: int,
        *,
        timeout_ms: int,
        absence_after_ms: int,
        template: str = _CONFIG,
        **more: object,
    ) -> None:
        self.folder = folder
        self._template = template
        self.data_dir = folder / "data"
        self.address = "127.0.0.1:0"
        self.lives = 0
        self._settings = {
            "account": ACCOUNT,
            "data_dir": self.data_dir,
            "port": venue_port,
            "timeout_ms": timeout_ms,
            "absence_after_ms": absence_after_ms,
            **more,
        }
        self._log_path = folder / "gateway.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """All that it wrote so far."""
        return self._log_path.read_text("utf-8", "replace") if self._log_path.exists() else ""

    def launch(self) -> None:
        """Starts a life and returns at once. Durability goes turn and turn about."""
        assert self._process is None, "the gateway runs already"
        durability = DURABILITIES[self.lives % len(DURABILITIES)]
        self.lives += 1
        # Left by a life that was killed, it would name an address that nobody serves.
        self._address_file.unlink(missing_ok=True)
        config = self.folder / f"{durability}.yaml"
        config.write_text(
            self._template.format(address=self.address, durability=durability, **self._settings), "utf-8"
        )
        with self._log_path.open("a", encoding="utf-8") as log:
            log.write(f"--- life {self.lives}, durability {durability}\n")
            log.flush()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.venue.gateway", "serve", "--config", config],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env=environment(),
                start_new_session=True,
            )

    @property
    def _address_file(self) -> Path:
        return self.data_dir / "address"

    def ended(self) -> int | None:
        """The status with which it ended by itself; None while it runs."""
        return None if self._process is None else self._process.poll()

    async def listening(self) -> float:
        """Returns once it listens: the seconds that it took. Fails when it ends or hangs first."""
        started = time.monotonic()
        while not (self._address_file.exists() and (text := self._address_file.read_text()).endswith("\n")):
            assert self.ended() is None, f"the gateway ended with {self.ended()}:\n{self.log[-4000:]}"
            assert time.monotonic() < started + START_TIMEOUT_S, f"it does not listen:\n{self.log[-4000:]}"
            await asyncio.sleep(0.01)
        self.address = text.splitlines()[0]
        return time.monotonic() - started

    def kill(self) -> None:
        """`kill -9`. Fails when it had ended by itself."""
        process, self._process = self._process, None
        assert process is not None, "the gateway was not launched"
        status = process.poll()
        _end(process)
        assert status is None, f"the gateway ended by itself with {status}:\n{self.log[-4000:]}"

    async def terminate(self) -> None:
        """Asks it to end, and waits until it has, in order."""
        process, self._process = self._process, None
        assert process is not None, "the gateway was not launched"
        process.terminate()
        status = await asyncio.to_thread(process.wait, STOP_TIMEOUT_S)
        _end(process)
        assert status == 0, f"the gateway ended with {status}:\n{self.log[-4000:]}"

    def close(self) -> None:
        """Ends whatever runs."""
        if self._process is not None:
            process, self._process = self._process, None
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait(STOP_TIMEOUT_S)
    assert process.stdin is not None
    process.stdin.close()
