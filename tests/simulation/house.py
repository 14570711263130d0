"""The gateway's process: lives, dies, is started again; and the door that clients call through."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

from brokergate.domain.errors import BrokerError, GatewayError
from brokergate.engine.gateway import Gateway
from brokergate.engine.streams import EventStreams
from brokergate.ports.journal import Journal, JournalError
from tests.simulation.faults import Fault, Faults, Stand
from tests.simulation.laws import ALIVE, Judge
from tests.simulation.loop import WORLD, Process, SimulatedLoop

T = TypeVar("T")

DEADLINE_S = 4.0
"""How long a client waits for an answer."""


class Gone(Exception):
    """The call broke: nobody knows whether anything was done."""


@dataclass(slots=True)
class Life:
    """One life of the gateway. `gateway` is set when it serves."""

    process: Process
    number: int
    journal: Journal | None = None
    gateway: Gateway | None = None
    streams: EventStreams | None = None

    def over(self) -> bool:
        """Whether it has ended."""
        return self.process.dead


Judged = Callable[[object], None]
"""Told what a call ended with, its result or its error, at the moment when the gateway gave it."""


class Door:
    """What a client reaches of the gateway, over a network that loses calls and replies."""

    def __init__(self, loop: SimulatedLoop, random: Random, faults: Faults, judge: Judge) -> None:
        self.life: Life | None = None
        self._loop = loop
        self._random = random
        self._faults = faults
        self._judge = judge
        self._calls: dict[asyncio.Future[Any], Life] = {}

    def killed(self, life: Life) -> None:
        """The process is dead: whoever waits for it hears of it."""
        for future, served in list(self._calls.items()):
            if served is life:
                self._loop.call_later(0.001, _break, future, context=WORLD)

    async def call(
        self,
        name: str,
        work: Callable[[Gateway], Coroutine[Any, Any, T]],
        judged: Judged,
        stands: tuple[Stand, ...] = (),
    ) -> T:
        """What the gateway answers. Raises GatewayError, or `Gone`."""
        loop, hits = self._loop, self._faults.hits
        await asyncio.sleep(self._random.uniform(0.000_1, 0.005))
        life = self.life
        if hits(Fault.CALL_LOST, *stands):
            await asyncio.sleep(self._random.uniform(0.01, 1.0))
            raise Gone("the call was lost")
        if life is None or life.gateway is None or life.process.dead:
            raise Gone("nobody listens")
        future: asyncio.Future[T] = loop.create_future()
        self._calls[future] = life
        task = loop.start(life.process, work(life.gateway), name)
        task.add_done_callback(lambda task: self._done(name, task, future, judged, stands), context=WORLD)
        timers = [loop.call_later(DEADLINE_S, self._leave, task, future, life, context=WORLD)]
        if hits(Fault.CALLER_GONE, *stands):
            after_s = self._random.choice((0.0, 0.001, 0.01, 0.1))
            timers.append(loop.call_later(after_s, self._leave, task, future, life, context=WORLD))
        try:
            return await future
        finally:
            for timer in timers:
                timer.cancel()
            self._calls.pop(future, None)

    @staticmethod
    def _leave(task: asyncio.Task[T], future: asyncio.Future[T], life: Life) -> None:
        """The caller goes away, and the server cancels what it was doing for it."""
        _break(future)
        if not life.process.dead:
            life.process.context.run(task.cancel)

    def _done(
        self,
        name: str,
        task: asyncio.Task[T],
        future: asyncio.Future[T],
        judged: Judged,
        stands: tuple[Stand, ...],
    ) -> None:
        if task.cancelled():
            _break(future)
            return
        error = task.exception()
        if isinstance(error, (JournalError, BrokerError)):
            error = Gone(str(error))  # the transport makes UNAVAILABLE or ABORTED of them
        elif error is not None and not isinstance(error, (GatewayError, Gone)):
            self._judge.fail(ALIVE, f"{name} raised {error!r}")
        judged(task.result() if error is None else error)
        delay = self._random.uniform(0.000_1, 0.005)
        if self._faults.hits(Fault.REPLY_LOST, *stands):
            self._loop.call_later(delay + 0.2, _break, future, context=WORLD)
        elif error is not None:
            self._loop.call_later(delay, _fail, future, error, context=WORLD)
        else:
            self._loop.call_later(delay, _answer, future, task.result(), context=WORLD)


def _break(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_exception(Gone("the connection broke"))


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


def _answer(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)
