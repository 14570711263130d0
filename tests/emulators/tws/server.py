"""The emulator as a process: the API on one port, the control plane over HTTP on another."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json

from aiohttp import web

from tests.emulators.server import MAX_BODY
from tests.emulators.tws.control import TwsControl
from tests.emulators.tws.venue import Tws
from tests.venue.parent import end_with_parent


class TwsServer:
    """See the module. Loopback alone."""

    def __init__(self, venue: Tws) -> None:
        self.venue = venue
        self.port = 0
        self._control = TwsControl(venue, self.restart)
        self._server: asyncio.Server | None = None

    async def start(self, port: int) -> int:
        """Listens for clients; returns the port."""
        self._server = await asyncio.start_server(
            self.venue.serve, "127.0.0.1", port, reuse_address=True, limit=1 << 20
        )
        self.port = int(self._server.sockets[0].getsockname()[1])
        self._control.starts += 1
        return self.port

    async def serve_control(self, port: int) -> int:
        """Listens for the control plane; returns the port."""
        application = web.Application(client_max_size=MAX_BODY)
        application.router.add_route("*", "/_emulator/{action}", self._control.handle)
        application.router.add_route("*", "/{path:.*}", self.venue.handle)
        runner = web.AppRunner(application, access_log=None, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
        return int(runner.addresses[0][1])

    async def stop(self) -> None:
        """Cuts every connection and listens no more."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        self.venue.drop_streams("*")

    async def restart(self, seconds: float) -> None:
        """Is away for a while, then there again on the same port; what it knows stays. One that is away already comes
        back when it does."""
        if self._server is None:
            return
        await self.stop()
        await asyncio.sleep(seconds)
        await self.start(self.port)


def run() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.emulators.tws", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="of the API, on 127.0.0.1; 0 for any free one")
    parser.add_argument("--control-port", type=int, default=0, help="of the control plane")
    parser.add_argument("--server-version", type=int, default=176, help="157, 176, 178 …")
    parser.add_argument(
        "--accounts", default="DU1234567", help="the login's accounts, with commas; DU… is paper"
    )
    parser.add_argument("--master-client", type=int, help="the client id that hears of everybody's orders")
    parser.add_argument("--read-only", action="store_true", help="take no orders (321)")
    arguments = parser.parse_args()
    try:
        venue = Tws(
            arguments.accounts.split(","),
            server_version=arguments.server_version,
            read_only=arguments.read_only,
            master_client=arguments.master_client,
        )
    except ValueError as error:
        parser.error(str(error))
    end_with_parent()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(venue, arguments.port, arguments.control_port))


async def _serve(venue: Tws, port: int, control_port: int) -> None:
    venue.listen()
    server = TwsServer(venue)
    told = {
        "control_port": await server.serve_control(control_port),
        "port": await server.start(port),
        "venue": venue.name,
    }
    print(json.dumps(told), flush=True)
    await asyncio.Event().wait()
