"""A client of the TWS API of nothing but a socket, for tests that look at each message."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Self

from tests.emulators.client import Emulator
from tests.emulators.tws.wire import Field, fields_of, frame, read_frame

WAIT_S = 20.0
AAPL, MSFT, TWIN, EUR_USD, ES, BTC = 265598, 272093, 900001, 12087792, 495512563, 479624278
Message = Sequence[str]


class Raw:
    """One connection. `heard` is every message but those of the farms (2104 …), its id first."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.version = 0
        self.next_id = 0
        self.heard: list[Message] = []
        self.ended = False
        self._read = 0
        self._reader = reader
        self._writer = writer
        self._more = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, venue: Emulator, versions: str = "v157..178") -> Self:
        """A connection that has been greeted and has not introduced itself."""
        reader, writer = await asyncio.open_connection("127.0.0.1", venue.port)
        raw = cls(reader, writer)
        body = versions.encode()
        writer.write(b"API\0" + len(body).to_bytes(4, "big") + body)
        raw.version = int(fields_of(await read_frame(reader))[0])
        raw._task = asyncio.ensure_future(raw._listen())
        return raw

    @classmethod
    async def start(cls, venue: Emulator, client_id: int = 1, versions: str = "v157..178") -> Self:
        """A connection that knows its next order id."""
        raw = await cls.open(venue, versions)
        raw.send(71, 2, client_id, "")
        raw.next_id = int((await raw.until(9))[2])
        return raw

    async def _listen(self) -> None:
        try:
            while True:
                message = fields_of(await read_frame(self._reader))
                if message[0] == "4" and message[3] in ("2104", "2106", "2158"):
                    continue
                async with self._more:
                    self.heard.append(message)
                    self._more.notify_all()
        except (asyncio.IncompleteReadError, ConnectionError):
            async with self._more:
                self.ended = True
                self._more.notify_all()

    def send(self, *fields: Field) -> None:
        """A message."""
        self._writer.write(frame(fields))

    async def until(self, kind: int, wanted: Callable[[Message], bool] = lambda _: True) -> Message:
        """The next message of a kind that is wanted; what comes before it is passed over."""
        async with asyncio.timeout(WAIT_S), self._more:
            while True:
                while self._read < len(self.heard):
                    message = self.heard[self._read]
                    self._read += 1
                    if message[0] == str(kind) and wanted(message):
                        return message
                assert not self.ended, f"the connection has ended before a message {kind}"
                await self._more.wait()

    async def status(self, order_id: int, status: str) -> Message:
        """How an order stands, once it stands so."""
        return await self.until(3, lambda told: told[1:3] == [str(order_id), status])

    async def error(self, code: int) -> Message:
        """The next message with a code."""
        return await self.until(4, lambda told: told[3] == str(code))

    async def over(self) -> None:
        """Returns when the connection has ended."""
        async with asyncio.timeout(WAIT_S), self._more:
            await self._more.wait_for(lambda: self.ended)

    async def here(self) -> None:
        """Returns when everything that was sent has been done, and what it told was heard."""
        self.send(49, 1)
        await self.until(49)

    def since(self, mark: int) -> list[int]:
        """The kinds of what was heard after so many messages."""
        return [int(message[0]) for message in self.heard[mark:]]

    def place(self, con_id: int = AAPL, order_id: int | None = None, **terms: Field) -> int:
        """An order; see `order_fields`. Its id."""
        if order_id is None:
            order_id, self.next_id = self.next_id, self.next_id + 1
        self.send(*order_fields(self.version, order_id, con_id, **terms))
        return order_id

    def cancel(self, order_id: int) -> None:
        """A cancel."""
        self.send(4, 1, order_id, *([""] if self.version >= 169 else []))

    async def close(self) -> None:
        """Goes."""
        if self._task is not None:
            self._task.cancel()
        self._writer.close()


def order_fields(version: int, order_id: int, con_id: int, **terms: Field) -> list[Field]:
    """`placeOrder`: by default a limit order to buy 10 at 180 for the day. Terms are `action`, `quantity`, `type`,
    `limit`, `aux`, `tif`, `oca`, `account`, `ref`, `transmit`, `parent`, `outside_rth`, `good_till`, `oca_type`,
    `trail_percent`, `what_if`."""
    usual: dict[str, Field] = {"action": "BUY", "quantity": 10, "type": "LMT", "limit": 180, "transmit": True}
    unknown = set(terms) - {
        *usual, "aux", "tif", "oca", "account", "ref", "parent", "outside_rth", "good_till", "oca_type",
        "trail_percent", "what_if",
    }  # fmt: skip
    assert not unknown, unknown
    said = usual | terms
    get = said.get
    fields: list[Field] = [
        3, order_id, con_id, "", "", "", 0, "", "", "SMART" if con_id in (AAPL, MSFT) else "", "", "", "", "", "", "",
        get("action"), get("quantity"), get("type"), get("limit"), get("aux"), get("tif"), get("oca"),
        get("account"), "", 0, get("ref"), get("transmit"), get("parent", 0), 0, 0, 0, 0, get("outside_rth", 0), 0,
        "", 0, "", get("good_till"), "", "", "", *([""] if version < 177 else []), "", 0, "", -1, get("oca_type", 0),
        "", "", 0, "", "", 0, 0, "", 0, "", "", "", "", "", 0, "", "", "", "", 0, "", "", get("trail_percent"),
        "", "", "", "", "", "", "", 0, "", "", 0, 0, "", "", get("what_if", 0), "", 0, 0, 0, 0,
        "", "", "", "", "", "", 0, "", "", "", "", "", "", "", "", 0, 0, 0, "",
    ]  # fmt: skip
    return fields + [""] * sum(version >= since for since in (158, 160, 162, 166, 169))
