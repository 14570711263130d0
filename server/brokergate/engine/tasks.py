"""Work that the gateway owns: it goes on when whoever asked for it goes away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from brokergate.domain.errors import BrokerError, GatewayError
from brokergate.ports.journal import JournalError

P = ParamSpec("P")
T = TypeVar("T")


class OwnedTasks:
    """Tasks under way that no caller can cancel."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A task for `work`; await it shielded."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        """Where the caller went away there is nobody left to tell of a refusal; whatever else it is asyncio reports."""
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, (GatewayError, BrokerError, JournalError)):
            report = {"message": f"{task.get_name()} failed", "exception": error, "task": task}
            task.get_loop().call_exception_handler(report)

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`."""
        return await asyncio.shield(self.start(work))

    def cancel(self) -> None:
        """Ends all of them at once, as a crash does."""
        for task in self._tasks:
            task.cancel()

    async def finish(self) -> None:
        """Returns when all of them have ended, however they did."""
        await asyncio.gather(*self._tasks, return_exceptions=True)


class _Owner(Protocol):
    tasks: OwnedTasks


Self = TypeVar("Self", bound=_Owner)


def to_its_end(
    method: Callable[Concatenate[Self, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Self, P], Coroutine[Any, Any, T]]:
    """A method that runs to its end once it has begun: for steps of which half would be worse than all or none."""

    @wraps(method)
    async def run(self: Self, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.tasks.run(method(self, *args, **kwargs))

    return run
