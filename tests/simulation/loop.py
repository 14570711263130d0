"""An event loop without a world: no sockets, no threads, and time that jumps to whatever comes next.

What runs in it belongs to a `Process` or to the world around it. A process can be killed between two callbacks: from
then on nothing of it runs, no `except`, no `finally`, as when a real one is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import sys
import warnings
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

T = TypeVar("T")

MAX_TURNS_AN_INSTANT = 5_000
"""Turns of the loop without time going on, after which it is taken to run in a circle."""

NS_PER_S = 1_000_000_000


class Stuck(Exception):
    """Nothing is left that could happen, or things happen without end and without time passing."""


class Process:
    """One life of a process: all that was started in its context."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.context = contextvars.copy_context()
        self.context.run(_owner.set, self)
        self.tasks: list[asyncio.Task[Any]] = []

    def __repr__(self) -> str:
        return f"<{self.name}{' (dead)' if self.dead else ''}>"


_owner: contextvars.ContextVar[Process | None] = contextvars.ContextVar("owner", default=None)


class SimulatedLoop(asyncio.BaseEventLoop):
    """See the module."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 0
        self.turns = 0
        self._idle_turns = 0
        self._clock_resolution = 1e-9
        self._selector = self
        self._nothing = asyncio.Handle(lambda: None, (), self)
        self._nothing.cancel()
        self.buried: list[Process] = []
        """Processes that were killed: what they left is kept until the end, so that no `finally` of it ever runs."""

    # The selector that BaseEventLoop asks once a turn

    def select(self, timeout: float | None) -> list[Any]:
        """Goes on to the next timer when nothing is ready."""
        self.turns += 1
        if timeout is None:
            raise Stuck("nothing is ready and no timer is set: every task waits for another")
        if timeout <= 0:
            self._idle_turns += 1
            if self._idle_turns > MAX_TURNS_AN_INSTANT:
                raise Stuck(f"{MAX_TURNS_AN_INSTANT} turns of the loop at one instant")
            return []
        self._idle_turns = 0
        self.now_ns += max(1, round(timeout * NS_PER_S))
        return []

    def _process_events(self, event_list: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass

    def time(self) -> float:
        return self.now_ns / NS_PER_S

    def _asyncgen_firstiter_hook(self, agen: Any) -> None:
        pass

    def _asyncgen_finalizer_hook(self, agen: Any) -> None:
        pass

    # What runs in which process

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        if context is None:
            context = contextvars.copy_context()
        owner = context.get(_owner)
        if owner is not None and owner.dead:
            return self._nothing
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)  # type: ignore[attr-defined]
        return handle

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """There are no threads here: `func` runs a moment later, in the loop's own."""
        future: asyncio.Future[T] = self.create_future()

        def run() -> None:
            if future.cancelled():
                return
            try:
                future.set_result(func(*args))
            except Exception as error:  # noqa: BLE001 - handed on to who waits
                future.set_exception(error)

        self.call_later(0.000_1, run)
        return future

    def start(self, process: Process, work: Coroutine[Any, Any, T], name: str = "") -> asyncio.Task[T]:
        """A task of `process`."""
        task: asyncio.Task[T] = process.context.run(asyncio.Task, work, loop=self, name=name)
        process.tasks.append(task)
        return task

    def kill(self, process: Process) -> None:
        """Ends a process where it stands."""
        process.dead = True
        self.buried.append(process)
        # Whatever is referred to is not collected, and what is not collected runs no `finally`.
        process.tasks.extend(asyncio.all_tasks(self))
        for handle in [*self._ready, *self._scheduled]:  # type: ignore[attr-defined]
            context = handle._context
            if not handle.cancelled() and context is not None and context.get(_owner) is process:
                handle.cancel()

    def end(self) -> None:
        """Forgets everything. Python ends coroutines that nobody refers to by running their `finally` blocks; whatever
        these do in a world that is gone is of no interest."""
        for task in asyncio.all_tasks(self):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        for process in self.buried:
            process.tasks.clear()
        self._ready.clear()  # type: ignore[attr-defined]
        self._scheduled.clear()  # type: ignore[attr-defined]
        self._closed = True

    def __del__(self) -> None:
        pass


WORLD = contextvars.Context()
"""Where the venue, the network, the disk and the clients live: in no process."""


def owner() -> Process | None:
    """The process whose code runs now."""
    return _owner.get()


@contextlib.contextmanager
def forgotten() -> Iterator[None]:
    """What is dropped inside is gone at the end, and nothing of what its `finally` blocks raise is heard."""
    before = sys.unraisablehook
    sys.unraisablehook = lambda _: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
            gc.collect()
    finally:
        sys.unraisablehook = before
