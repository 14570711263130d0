"""The load processes, and how the harness has them work from the same moment on."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import time
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any, TypeVar

import uvloop

from tests.benchmarks.loads import Load

WORK_TIMEOUT_S = 300.0
STOP_TIMEOUT_S = 10.0
LEAD_NS = 20_000_000
"""How far ahead the common start lies: what it takes to tell every process."""

T = TypeVar("T")


class LoadFailed(Exception):
    """A load process failed; the message is its traceback."""


def _work(connection: Connection) -> None:
    """What a load process runs: one load after another, until the harness hangs up."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        while True:
            try:
                load: Load = connection.recv()
            except EOFError:
                return
            try:
                runner.run(load.prepare())
                # The requests stay: the collector must not walk them while the clock runs.
                gc.collect()
                gc.freeze()
                connection.send("")
                result = runner.run(load.run(connection.recv()))
                connection.send("")
                connection.send(result)
            except Exception:  # noqa: BLE001 - the harness raises it
                connection.send(traceback.format_exc())
            gc.unfreeze()


class Workers:
    """A fixed number of load processes."""

    def __init__(self, count: int) -> None:
        # gRPC does not survive a fork.
        context = multiprocessing.get_context("spawn")
        self._connections: list[Any] = []
        self._processes = []
        for i in range(count):
            here, there = context.Pipe()
            process = context.Process(target=_work, args=(there,), name=f"load-{i}", daemon=True)
            process.start()
            there.close()
            self._connections.append(here)
            self._processes.append(process)

    @property
    def pids(self) -> list[int]:
        """The processes' ids."""
        return [process.pid for process in self._processes if process.pid is not None]

    def prepare(self, loads: Sequence[Load]) -> None:
        """Gives each load to a process of its own; returns when all of them are ready. Raises LoadFailed."""
        if len(loads) > len(self._connections):
            raise ValueError(f"{len(loads)} loads for {len(self._connections)} processes")
        for connection, load in zip(self._connections, loads, strict=False):
            connection.send(load)
        for connection in self._connections[: len(loads)]:
            self._expect_success(connection)

    def run(self, loads: Sequence[Load], results: type[T]) -> tuple[int, list[T]]:
        """Starts what was prepared at one moment, by the monotonic clock; that moment and the results, in the order
        of `loads`. Raises LoadFailed."""
        used = self._connections[: len(loads)]
        start_ns = time.monotonic_ns() + LEAD_NS
        for connection in used:
            connection.send(start_ns)
        outcomes: list[T] = []
        for connection in used:
            self._expect_success(connection)
            outcome = connection.recv()
            assert isinstance(outcome, results)
            outcomes.append(outcome)
        return start_ns, outcomes

    @staticmethod
    def _expect_success(connection: Any) -> None:
        try:
            failure = connection.recv() if connection.poll(WORK_TIMEOUT_S) else "it does not answer"
        except EOFError:
            failure = "it ended"
        if failure:
            raise LoadFailed(f"a load process failed: {failure}")

    def close(self) -> None:
        """Ends the processes."""
        for connection in self._connections:
            connection.close()
        for process in self._processes:
            process.join(STOP_TIMEOUT_S)
            if process.is_alive():
                process.kill()
                process.join()
