"""One connection to the venue: requests with their answers, and what it tells by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from brokergate.domain.errors import (
    BrokerTimeoutError,
    InvalidOrderError,
    RecoverableError,
    TemporaryConnectionError,
)
from brokergate.domain.market import QuoteView
from brokergate.ports.broker import Report
from tests.venue.wire import MAX_LINE, WireError, line, load, load_any, parse


class Link:
    """See the module. When the connection breaks, whoever waits gets `TemporaryConnectionError`, and `events` ends."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        timeout_s: float,
        quoted: Callable[[QuoteView], None],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._timeout_s = timeout_s
        self._quoted = quoted
        self._number = 0
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._told: asyncio.Queue[Sequence[Report] | None] = asyncio.Queue()
        self._broken = ""
        self._task = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, host: str, port: int, timeout_s: float, quoted: Callable[[QuoteView], None]) -> Link:
        """Connects. Raises `TemporaryConnectionError`."""
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await asyncio.open_connection(host, port, limit=MAX_LINE)
        except (OSError, TimeoutError) as error:
            raise TemporaryConnectionError(f"cannot connect to {host}:{port}: {error}") from error
        return cls(reader, writer, timeout_s, quoted)

    @property
    def alive(self) -> bool:
        """Whether the connection stands, as far as is known."""
        return not self._broken

    async def ask(self, op: str, fields: Mapping[str, Any] | None = None) -> Any:
        """Sends a request, before it suspends, and gives its result. `BrokerTimeoutError` and
        `TemporaryConnectionError` say no more than that no answer came, another `BrokerError` that the answer is an
        error: what became of the request none of them says."""
        if self._broken:
            raise TemporaryConnectionError(self._broken)
        self._number += 1
        number = self._number
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        self._writer.write(line({"id": number, "op": op, **(fields or {})}))
        try:
            async with asyncio.timeout(self._timeout_s):
                return await answer
        except TimeoutError as error:
            raise BrokerTimeoutError(f"no answer to {op!r} within {self._timeout_s} s") from error
        finally:
            del self._waiting[number]

    async def events(self) -> AsyncIterator[Sequence[Report]]:
        """What the venue tells, until the connection ends."""
        while (reports := await self._told.get()) is not None:
            yield reports

    async def close(self) -> None:
        """Ends the connection."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._break("closed")

    async def _read(self) -> None:
        try:
            while text := await self._reader.readline():
                self._take(parse(text))
            self._break("the venue closed the connection")
        except (OSError, WireError, ValueError) as error:
            self._break(f"the connection broke: {error}")

    def _take(self, message: Mapping[str, Any]) -> None:
        if "reports" in message:
            # Whatever stands there is a report: the wire knows no other value that comes in a frame.
            self._told.put_nowait([load_any(each) for each in message["reports"]])  # type: ignore[misc]
        elif "quotes" in message:
            for quote in message["quotes"]:
                self._quoted(load(QuoteView, quote))
        elif (answer := self._waiting.get(message["id"])) is not None and not answer.done():
            if "error" in message:
                said = str(message["error"])
                kind = RecoverableError if said.startswith("5") else InvalidOrderError
                answer.set_exception(kind(said))
            else:
                answer.set_result(message["result"])

    def _break(self, why: str) -> None:
        if self._broken:
            return
        self._broken = why
        self._writer.close()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(TemporaryConnectionError(why))
        self._told.put_nowait(None)
