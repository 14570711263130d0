"""The venue behind a socket: one account, a market that moves by itself, and faults.

A connection is one client's; its requests are done in the order in which they come, but for those that a fault delays.
`control` requests are a test's own: no fault befalls them, and they pass while the venue is away.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from decimal import Decimal
from typing import Any

from brokergate.domain.orders import OrderSpec
from brokergate.ports.broker import ReplaceCommand, Report
from tests.venue.core import JudgedVenue
from tests.venue.faults import Fault, FaultRates, Faults
from tests.venue.market import LivelyMarket
from tests.venue.wire import MAX_LINE, WireError, dump, line, load, named_order, parse

TICK_S = 0.01
"""How often the market is played on."""
QUOTE_TICKS = 10
"""Ticks between two words on where the quotes are."""
MAX_FRAME = 200
"""Reports in a frame."""

_LOSE = frozenset({Fault.LOSE_REQUEST, Fault.CUT_BEFORE, Fault.FAIL})


class VenueServer:
    """See the module. `page` is how many fills a query gives."""

    def __init__(self, venue: JudgedVenue, market: LivelyMarket, faults: Faults, page: int = 50) -> None:
        self.venue = venue
        self.faults = faults
        self.page = page
        self._market = market
        self._frozen_ns: int | None = None
        """When the market was stopped; None while it moves."""
        self._lag_ns = 0
        """How long it was stopped in all: the market's time runs behind by it."""
        self._away_until_s = 0.0
        self._sessions: set[Session] = set()
        self._server: asyncio.Server | None = None

    async def start(self, port: int) -> int:
        """Listens on loopback; returns the port."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", port, limit=MAX_LINE)
        return int(self._server.sockets[0].getsockname()[1])

    async def run(self) -> None:
        """Plays the market, for ever."""
        ticks = 0
        while True:
            self.play()
            ticks += 1
            if ticks % QUOTE_TICKS == 0:
                for session in self._sessions:
                    session.quote()
            await asyncio.sleep(TICK_S)

    def play(self) -> None:
        """Brings the venue to the present, and its subscribers with it."""
        now_ns = time.time_ns()
        if self._frozen_ns is None:
            self.venue.apply(self._market.advance(now_ns - self._lag_ns), now_ns)
        self.venue.advance(now_ns)
        for session in self._sessions:
            session.wake()

    @property
    def away(self) -> bool:
        """Whether it answers nobody."""
        return time.monotonic() < self._away_until_s

    def drop(self) -> int:
        """Cuts every connection of a subscriber; how many."""
        cut = [session for session in self._sessions if session.subscribed]
        for session in cut:
            session.cut()
        return len(cut)

    def control(self, message: Mapping[str, Any]) -> object:
        """What a test asks for. `ValueError` for what there is not."""
        match message["do"]:
            case "inject":
                self.faults.order(Fault(message["fault"]), message["on"], int(message.get("count", 1)))
            case "rates":
                self.faults.rates = FaultRates(**message["rates"])
            case "drop":
                return self.drop()
            case "away":
                self._away_until_s = time.monotonic() + message["ms"] / 1000
                return self.drop()
            case "freeze":
                self._frozen_ns = self._frozen_ns or time.time_ns()
            case "thaw":
                if self._frozen_ns is not None:
                    self._lag_ns += time.time_ns() - self._frozen_ns
                    self._frozen_ns = None
            case "external":
                spec = load(OrderSpec, message["order"])
                return dump(self.venue.place_external(spec, time.time_ns()))
            case "injected":
                return self.faults.injected
            case "orders":
                return [
                    {"generation": held.generation, "order": dump(held.shown())} for held in self.venue.orders
                ]
            case other:
                raise ValueError(f"the venue cannot {other!r}")
        return None

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = Session(self, writer)
        self._sessions.add(session)
        try:
            await session.serve(reader)
        finally:
            self._sessions.discard(session)
            session.cut()


class Session:
    """One connection."""

    def __init__(self, server: VenueServer, writer: asyncio.StreamWriter) -> None:
        self._server = server
        self._writer = writer
        self._position = 0
        self._more = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.subscribed = False

    async def serve(self, reader: asyncio.StreamReader) -> None:
        """Reads and answers until the connection ends."""
        with contextlib.suppress(ConnectionError, WireError, ValueError):
            while text := await reader.readline():
                message = parse(text)
                if message.get("op") == "control":
                    self._send({"id": message.get("id"), "result": self._server.control(message)})
                elif self._server.away:
                    return
                else:
                    self._request(message)
                await self._writer.drain()

    def cut(self) -> None:
        """Breaks the connection; what is under way is not answered any more, and still done."""
        self.subscribed = False
        self._more.set()
        self._writer.transport.abort()

    def wake(self) -> None:
        """Something may have happened."""
        if self.subscribed:
            self._more.set()

    def quote(self) -> None:
        """Tells where the market is."""
        if not self.subscribed:
            return
        venue = self._server.venue
        quotes = [venue.quote(instrument.symbol) for instrument in venue.instruments]
        self._send({"quotes": [dump(each) for each in quotes if each is not None]})

    # Requests

    def _request(self, message: Mapping[str, Any]) -> None:
        faults = self._server.faults
        fault = faults.on_request(str(message.get("op")))
        if fault is Fault.DELAY_REQUEST:
            self._later(faults.delay_s(), lambda: self._send(self._done(message)))
            return
        answer = {} if fault in _LOSE else self._done(message)
        match fault:
            case None:
                self._send(answer)
            case Fault.DELAY_ANSWER:
                self._later(faults.delay_s(), lambda: self._send(answer))
            case Fault.CUT_BEFORE | Fault.CUT_AFTER:
                self.cut()
            case Fault.GARBLE_ANSWER:
                self._send({"id": message.get("id"), "result": {"is": "?"}})
            case Fault.FAIL:
                self._send({"id": message.get("id"), "error": "503 the venue is busy"})
            case Fault.LOSE_ANSWER | Fault.LOSE_REQUEST:
                pass

    def _done(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Does what is asked, and gives the answer."""
        try:
            return {"id": message.get("id"), "result": self._do(message)}
        except (KeyError, ValueError) as error:
            return {"id": message.get("id"), "error": f"400 {error!r}"}

    def _do(self, message: Mapping[str, Any]) -> object:
        self._server.play()
        venue, now_ns = self._server.venue, time.time_ns()
        match message["op"]:
            case "subscribe":
                self._subscribe()
                result: object = None
            case "place":
                spec, quantity = load(OrderSpec, message["order"]), Decimal(message["quantity"])
                result = dump(venue.place(named_order(message, spec, quantity, now_ns), now_ns))
            case "replace":
                spec, quantity = load(OrderSpec, message["order"]), Decimal(message["quantity"])
                order = named_order(message, spec, quantity, now_ns)
                result = dump(venue.replace(ReplaceCommand(order, spec, quantity), now_ns))
            case "cancel":
                spec = load(OrderSpec, message["order"])
                result = dump(venue.cancel(named_order(message, spec, Decimal(0), now_ns), now_ns))
            case "find":
                found = venue.find(message["client_order_id"], now_ns, message["broker_order_id"])
                result = None if found is None else dump(found)
            case "open_orders":
                result = [dump(order) for order in venue.open_orders(now_ns)]
            case "fills":
                result = dump(venue.fills_after(int(message["after"]), self._server.page, now_ns))
            case "positions":
                result = [dump(position) for position in venue.positions()]
            case "balances":
                result = [dump(balance) for balance in venue.balances()]
            case "info":
                result = dump(venue.info())
            case "instruments":
                result = [dump(instrument) for instrument in venue.instruments]
            case "preview":
                result = dump(venue.preview(load(OrderSpec, message["order"]), now_ns))
            case "book":
                book = venue.book(message["symbol"], int(message["depth"]))
                result = None if book is None else dump(book)
            case other:
                raise WireError(f"no request {other!r}")
        self._server.play()
        return result

    def _later(self, delay_s: float, what: Callable[[], None]) -> None:
        """Does `what` after a while, also when the connection has broken by then: the network has it already."""

        async def wait() -> None:
            await asyncio.sleep(delay_s)
            what()

        self._run(wait())

    # Events

    def _subscribe(self) -> None:
        if not self.subscribed:
            self.subscribed = True
            self._position = self._server.venue.position
            self._run(self._pump())

    async def _pump(self) -> None:
        venue, faults = self._server.venue, self._server.faults
        while True:
            await self._more.wait()
            if not self.subscribed:
                return
            reports, self._position = venue.events_after(self._position, MAX_FRAME)
            if not reports:
                self._more.clear()
                continue
            if faults.events_delayed():
                await asyncio.sleep(faults.delay_s())
            for frame in faults.frames(reports):
                self._tell(frame)
            # A turn of the loop, so that frames are as many as there were occasions.
            await asyncio.sleep(0)

    def _tell(self, reports: Sequence[Report]) -> None:
        self._send({"reports": [dump(report) for report in reports]})

    def _send(self, message: Mapping[str, Any]) -> None:
        if not self._writer.is_closing():
            self._writer.write(line(message))

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
