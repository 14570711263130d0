"""One loop for the library, gRPC and the gateway: Python's own and uvloop, made in every way that a loop is made."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.process import ROOT, environment

PROGRAM = """
import asyncio, sys, tempfile
from pathlib import Path

import grpc
import uvloop

from brokergate.domain.orders import OrderState
from tests.emulators.client import Emulator
from tests.faults.house import House
from tests.faults.venues import IBKR


async def main():
    # A server and a client of gRPC on the same loop.
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        await channel.channel_ready()
        async with Emulator.start("tws") as emulator:
            with tempfile.TemporaryDirectory() as folder:
                async with House(IBKR, emulator, Path(folder)).living() as house:
                    await house.show()
                    await house.place(house.order("takes", 2))
                    await house.place(house.order("rests", -3))
                    await house.becomes("takes", OrderState.FILLED)
                    await house.becomes("rests", OrderState.NEW)
                    await emulator.drop_streams()
                    await house.until("the loss is seen", lambda: not house.connected())
                    await house.until("connected", house.connected)
                    await house.settled()
    await server.stop(None)
    print(type(asyncio.get_running_loop()).__module__)


ways = {
    "asyncio.run": lambda: asyncio.run(main()),
    "uvloop.run": lambda: uvloop.run(main()),
    "Runner": lambda: asyncio.Runner(loop_factory=uvloop.new_event_loop).run(main()),
    "policy": lambda: (asyncio.set_event_loop_policy(uvloop.EventLoopPolicy()), asyncio.run(main())),
}
ways[sys.argv[1]]()
"""


@pytest.mark.parametrize(
    ("way", "module"),
    [("asyncio.run", "asyncio"), ("uvloop.run", "uvloop"), ("Runner", "uvloop"), ("policy", "uvloop")],
)
def test_it_trades_and_comes_back_on_any_loop(tmp_path: Path, way: str, module: str) -> None:
    """In a process of its own, whose first import of the library is on that loop."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, "utf-8")
    done = subprocess.run(
        [sys.executable, program, way],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        cwd=ROOT,
        env=environment({"PYTHONPATH": f"{ROOT}:{ROOT / 'server'}:{ROOT / 'clients' / 'python'}"}),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split()[-1].startswith(module)
