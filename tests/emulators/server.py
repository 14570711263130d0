"""An emulator as a process: it listens, prints one JSON line, and serves until it is killed or its parent is gone."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
from collections.abc import Callable

from aiohttp import web

from tests.emulators.control import Control
from tests.emulators.emulator import VenueEmulator
from tests.venue.parent import end_with_parent

MAX_BODY = 1_000_000


class EmulatorServer:
    """Serves one emulator on one port of loopback."""

    def __init__(self, emulator: VenueEmulator) -> None:
        self.emulator = emulator
        self.port = 0
        self._control = Control(emulator, self.restart)
        self._runner: web.AppRunner | None = None

    async def start(self, port: int) -> int:
        """Listens; returns the port."""
        application = web.Application(client_max_size=MAX_BODY)
        application.router.add_route("*", "/_emulator/{action}", self._control.handle)
        application.router.add_route("*", "/{path:.*}", self.emulator.handle)
        runner = web.AppRunner(application, access_log=None, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port, shutdown_timeout=0.1, reuse_address=True)
        await site.start()
        self._runner = runner
        self._control.starts += 1
        self.port = int(runner.addresses[0][1])
        return self.port

    async def stop(self) -> None:
        """Cuts every connection and listens no more."""
        if self._runner is None:
            return
        runner, self._runner = self._runner, None
        for site in list(runner.sites):
            with contextlib.suppress(RuntimeError):
                await site.stop()
        if runner.server is not None:
            for connection in list(runner.server.connections):
                if connection.transport is not None:
                    connection.transport.abort()
        await runner.cleanup()

    async def restart(self, seconds: float) -> None:
        """Is away for a while, then there again on the same port; what it knows stays."""
        await self.stop()
        await asyncio.sleep(seconds)
        await self.start(self.port)


def run(make: Callable[[argparse.Namespace], VenueEmulator], parser: argparse.ArgumentParser) -> None:
    """The command line of an emulator."""
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1; 0 for any free one")
    parser.add_argument("--key", default="key", help="the API key that it knows")
    parser.add_argument("--secret", default="secret", help="the secret of the key")
    arguments = parser.parse_args()
    end_with_parent()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(make(arguments), arguments.port))


async def _serve(emulator: VenueEmulator, port: int) -> None:
    emulator.listen()
    server = EmulatorServer(emulator)
    await server.start(port)
    print(json.dumps({"port": server.port, "venue": emulator.name}), flush=True)
    await asyncio.Event().wait()
