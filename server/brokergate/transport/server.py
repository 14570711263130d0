"""The gRPC server: the contract over sockets, from the first listener to the drained last call."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any, Final

import grpc

from brokergate.engine.gateway import Gateway
from brokergate.engine.streams import EventStreams
from brokergate.ports.clock import Clock
from brokergate.transport.auth import Authenticator, Gatekeeper, GuardedHandlers
from brokergate.transport.calls import Calls
from brokergate.transport.channelz import channelz_handlers
from brokergate.transport.health import Health
from brokergate.transport.leases import Leases
from brokergate.transport.listeners import bind, channel_options, check_listeners
from brokergate.transport.methods import Reporter, Wrapper, register
from brokergate.transport.order_entry import OrderEntry
from brokergate.transport.reflection import Reflection
from brokergate.transport.services.table import implementations
from brokergate.transport.settings import TransportSettings

STOP_GRACE_S: Final = 1.0
"""How long the answers of calls that have ended may take to leave."""


class GatewayServer:
    """Serves a gateway.

        server = GatewayServer(gateway, streams, settings, authenticator, clock, log, rng)
        addresses = await server.start()        # ['127.0.0.1:50051'], with the ports that were taken
        ...                                     # until SIGTERM
        await server.drain(settings.drain_grace_ms / 1000)
        ...                                     # close the gateway and the journal
        await server.stop()

    `streams` is the gateway's `EventStreams`. `authenticator` is the token store (`auth.NoTokens()` for none), `log` a
    structlog logger as `logging.configure_logging` sets it up; `rng` only makes ids for the log. `start` raises
    `listeners.ListenError` with a text for people. Everything runs on the loop that calls `start`; the server is made
    there too. After `drain` the listeners still stand and answer UNAVAILABLE (SHUTTING_DOWN), until `stop`.
    """

    def __init__(
        self,
        gateway: Gateway,
        streams: EventStreams,
        settings: TransportSettings,
        authenticator: Authenticator,
        clock: Clock,
        log: Any,
        rng: random.Random,
    ) -> None:
        self._gateway = gateway
        self._settings = settings
        self._authenticator = authenticator
        self._clock = clock
        self._log = log
        self._gatekeeper = Gatekeeper(settings, authenticator, clock)
        self._calls = Calls(settings)
        self._health = Health()
        self._reporter = Reporter(log, clock, rng)
        self._leases = Leases(gateway, clock, log)
        entry = OrderEntry(gateway, self._leases, self._reporter)
        self._implementations = implementations(gateway, streams, entry, settings, clock)
        self._server: grpc.aio.Server | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._unfollow: Callable[[], None] = lambda: None

    @property
    def streams(self) -> int:
        """Streams that are open now, of all kinds."""
        return self._calls.streams

    async def start(self) -> Sequence[str]:
        """Listens; the addresses, with the ports that were taken."""
        settings = self._settings
        check_listeners(settings, self._authenticator.required)
        introspection = settings.reflection
        if introspection is None:
            introspection = all(listener.loopback for listener in settings.listeners)
        server = grpc.aio.server(options=channel_options(settings, introspection))
        wrapper = Wrapper(self._calls, self._reporter)
        handlers = [*register(wrapper, self._implementations), self._health.handlers(wrapper)]
        if introspection:
            handlers += [*Reflection().handlers(wrapper), channelz_handlers(wrapper)]
        guarded = GuardedHandlers(self._gatekeeper, self._reporter.refused, handlers)
        server.add_generic_rpc_handlers((guarded,))
        addresses = [bind(server, listener) for listener in settings.listeners]
        self._unfollow = self._gateway.journal.on_failure(lambda _: self._health.set_journal(failed=True))
        self._follow_health_now()
        await server.start()
        self._server = server
        self._tasks = [
            asyncio.create_task(self._follow_health(), name="health of brokers and journal"),
            asyncio.create_task(self._follow_tokens(), name="revoked tokens"),
        ]
        for address, listener in zip(addresses, settings.listeners, strict=True):
            self._log.info("listening", address=address, tls=listener.tls is not None)
        return addresses

    async def drain(self, grace_s: float) -> bool:
        """Ends what is under way: health says NOT_SERVING and its watches end, streams get StreamClosing with their
        cursor and end OK, calls finish, new ones are UNAVAILABLE. Whether all of it ended within `grace_s`."""
        self._health.shut_down()
        done = await self._calls.drain(grace_s)
        await self._leases.drain()
        if not done:
            self._log.warning("calls still under way after the grace", grace_s=grace_s, streams=self.streams)
        return done

    async def stop(self) -> None:
        """Closes the listeners and every connection; calls still under way are cancelled."""
        self._unfollow()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            # Answers of calls that have ended are on their way only where calls were let end.
            await self._server.stop(STOP_GRACE_S if self._calls.draining else None)
            self._server = None

    def _follow_health_now(self) -> None:
        self._health.set_brokers((broker.name, broker.healthy) for broker in self._gateway.brokers())
        self._health.set_journal(failed=self._gateway.journal.failed is not None)

    async def _follow_health(self) -> None:
        async for _ in self._gateway.on_health():
            self._follow_health_now()

    async def _follow_tokens(self) -> None:
        """Ends the streams of tokens that were revoked or have expired."""
        while True:
            await self._clock.sleep(self._settings.token_poll_ms / 1000)
            try:
                self._gatekeeper.refresh()
                self._calls.end_streams(self._gatekeeper.ended)
            except Exception as error:  # noqa: BLE001 - revocations are looked for as long as anybody can call
                self._log.error("tokens not looked at", error_class=type(error).__name__, exc_info=error)
