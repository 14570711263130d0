"""What the venue told and nobody has taken yet, in one order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from brokergate.ports.broker import Report


class Outbox:
    """Reports wait here for the reader of `batches`, or for the next command's answer, whichever comes first. It is
    emptied at every turn of the event loop while there is a reader, so that its length stays bounded by what one
    turn of the market brings."""

    def __init__(self) -> None:
        self._reports: list[Report] = []
        self._more = asyncio.Event()
        self._closed = False
        self._nudged = False
        self._error: Exception | None = None

    def add(self, reports: Sequence[Report]) -> None:
        """Puts reports behind those that wait."""
        if reports:
            self._reports.extend(reports)
            self._more.set()

    def take(self) -> list[Report]:
        """Everything that waits."""
        reports, self._reports = self._reports, []
        return reports

    def nudge(self) -> None:
        """Has the reader come, though there be nothing to read: who keeps the venue's state has cause to ask for it."""
        self._nudged = True
        self._more.set()

    def fail(self, error: Exception) -> None:
        """Has the reader end with `error` once it has taken what waits."""
        self._error = error
        self._more.set()

    def close(self) -> None:
        """Lets the reader end once it has taken what waits."""
        self._closed = True
        self._more.set()

    async def batches(self) -> AsyncIterator[Sequence[Report]]:
        """What waits, as it comes, until `close`; nothing, after a nudge."""
        while True:
            # Taken in the reader's own step: what a command took in between has left already.
            if self._reports or self._nudged:
                self._nudged = False
                yield self.take()
            elif self._error is not None:
                raise self._error
            elif self._closed:
                return
            else:
                self._more.clear()
                await self._more.wait()
