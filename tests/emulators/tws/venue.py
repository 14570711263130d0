"""The emulator of TWS (or IB Gateway): one login with its accounts, its clients, and what it does on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web

from brokergate.domain.instruments import Instrument
from tests.emulators.core import VenueCore
from tests.emulators.emulator import Reply, VenueEmulator
from tests.emulators.faults import Fault, Faults
from tests.emulators.orders import VenueOrderState
from tests.emulators.tws import frames
from tests.emulators.tws.accounts import BASE, CASH, Account
from tests.emulators.tws.asked import Asked
from tests.emulators.tws.contracts import Contracts, Listed
from tests.emulators.tws.core import TwsCore
from tests.emulators.tws.desk import Desk, Refusal
from tests.emulators.tws.faults import CONNECTION, LATE_COMMISSION, TwsFaults
from tests.emulators.tws.floor import Floor
from tests.emulators.tws.market import Tape
from tests.emulators.tws.mishaps import Mishaps
from tests.emulators.tws.orders import TwsExecution, TwsOrder
from tests.emulators.tws.requests import IN_USE, Requests
from tests.emulators.tws.session import ORDERS, Session
from tests.emulators.tws.telling import Telling
from tests.emulators.tws.texts import Texts
from tests.emulators.tws.translating import moment_ns
from tests.emulators.tws.wire import UNSET, Field, Malformed, moment

SERVER_VERSIONS = range(157, 179)
EXECUTIONS_KEPT_NS = 86_400 * 1_000_000_000
"""Executions and completed orders are told of a day (tws-api, "Executions and Commissions")."""
NEW_YORK = ZoneInfo("US/Eastern")
_MAINTENANCE = frozenset({"maintenance"})
_GREETING = (
    (2104, "Market data farm connection is OK:usfarm"),
    (2106, "HMDS data farm connection is OK:ushmds"),
    (2158, "Sec-def data farm connection is OK:secdefil"),
)


@dataclass(slots=True)
class Pace:
    """How fast clients may be, and how fast they were."""

    rate: int = 50
    """Messages in any second."""
    tolerance: int = 3
    """How many messages too many end a connection."""
    most: int = 0
    violations: int = 0
    busy_until: float = 0.0
    """When TWS reads on, by `time.monotonic`: it collects garbage, say. What came meanwhile is counted then."""


class Tws(VenueEmulator):
    """See the module."""

    name = "tws"

    def __init__(
        self,
        accounts: Sequence[str] = ("DU1234567",),
        *,
        server_version: int = 176,
        read_only: bool = False,
        master_client: int | None = None,
    ) -> None:
        if server_version not in SERVER_VERSIONS or server_version == 163:
            raise ValueError(f"no server version {server_version}; there are 157 to 178, without 163")
        self.server_version = server_version
        self.master_client = master_client
        self.sessions: dict[int, Session] = {}
        """Those that have introduced themselves, by client id."""
        self.connections: set[Session] = set()
        self.texts = Texts(self)
        self.requests = Requests(self)
        self.mishaps = Mishaps(self)
        self._names = tuple(accounts)
        self._always_read_only = read_only
        self._late: set[asyncio.TimerHandle] = set()
        self.began_anew()
        super().__init__("", "")

    # What every venue says of itself

    def instruments(self) -> Sequence[Instrument]:
        return [listed.instrument() for listed in self.contracts.by_id.values()]

    def new_core(self, balances: Mapping[str, Decimal] | None) -> VenueCore:
        self.contracts = Contracts()
        self.market = TwsCore(self.contracts, self.clock.now_ns())
        cash = {BASE: CASH} if balances is None else balances
        self.accounts = {name: Account(name, cash, self.price) for name in self._names}
        self.floor = Floor(self.market, self.accounts, self)
        self.desk = Desk(self.floor, self.contracts)
        self.tape = Tape(self)
        self.telling = Telling(self)
        return self.market

    def new_faults(self) -> Faults:
        return TwsFaults()

    def listen(self) -> None:
        self.core.listeners.append(self.tape.heard)

    def began_anew(self) -> None:
        self.pace = Pace()
        self.time_form = "zone"
        for handle in self._late:
            handle.cancel()
        self._late.clear()
        self.mishaps.began_anew()

    def fault_began(self, fault: Fault) -> None:
        self.mishaps.began(fault)

    def drop_streams(self, on: str) -> int:
        cut = [session for session in self.connections if on in ("*", session.kind, str(session.client_id))]
        for session in cut:
            self._forget(session)
            session.abort()
        return len(cut)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The second port is the control plane's alone."""
        return web.Response(status=404, text="the API is on the other port")

    def failure(self, status: int, arguments: Mapping[str, Any]) -> Reply:
        raise ValueError(f"{self.name} speaks no HTTP")

    def shown(self, order: VenueOrderState) -> dict[str, Any]:
        told: TwsOrder = order.extra["tws"]
        return {"order_id": told.order_id, "perm_id": told.perm_id, "status": told.status}

    # Connections

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, from its first byte to its last."""
        session = Session(self, reader, writer)
        self.connections.add(session)
        try:
            fault = self.faults.take(CONNECTION - {"client_id_taken"})
            if self.faults.take(_MAINTENANCE) or (fault is not None and fault.kind == "accept_then_close"):
                return
            if fault is not None:
                while await reader.read(65_536):
                    pass
                return
            await session.run()
        except (asyncio.IncompleteReadError, ConnectionError, Malformed):
            pass  # it has gone, or speaks something else
        finally:
            self._forget(session)
            session.close()

    def _forget(self, session: Session) -> None:
        """A connection is over: its client id is free at once."""
        self.connections.discard(session)
        if session.client_id is not None and self.sessions.get(session.client_id) is session:
            del self.sessions[session.client_id]
        self.tape.gone(session)
        self.telling.gone(session)

    def logon(self, session: Session, client_id: int) -> None:
        """A client introduces itself: it is told the accounts and its next order id, or that its id is taken."""
        if client_id in self.sessions or self.faults.take({"client_id_taken"}, str(client_id)):
            session.error(-1, 326, IN_USE)
            session.dismiss()
            return
        session.client_id = client_id
        self.sessions[client_id] = session
        session.write([15, 1, ",".join(self.accounts)])
        session.write([9, 1, self.desk.next_id(client_id)])
        for code, text in _GREETING:
            session.error(-1, code, text)

    def is_read_only(self) -> bool:
        """Whether the API takes no orders."""
        return self._always_read_only or self.faults.take({"read_only"}) is not None

    def later(self, seconds: float, work: Callable[[], None]) -> None:
        """Does something so much later, unless the test has started anew by then."""

        def run() -> None:
            self._late.discard(handle)
            work()

        handle = asyncio.get_running_loop().call_later(seconds, run)
        self._late.add(handle)

    # Times and prices

    def connection_time(self) -> str:
        """As the first message says it."""
        return moment(self.clock.shown_ns(), "%Y%m%d %H:%M:%S") + " UTC"

    def time_of(self, shown_ns: int) -> str:
        """A moment, by the clock that clients are told, in the form that was chosen: New York's with its zone, UTC, or
        New York's without a word of it."""
        if self.time_form == "utc":
            return moment(shown_ns)
        local = datetime.fromtimestamp(shown_ns // 1_000_000_000, NEW_YORK)
        text = local.strftime("%Y%m%d %H:%M:%S")
        return text.replace(" ", "  ") if self.time_form == "naive" else f"{text} US/Eastern"

    def price(self, listed: Listed) -> Decimal | None:
        """What a contract is worth now: between the best prices, at the last one where a side is empty."""
        quote = self.core.quote(listed.name)
        if quote is not None and quote.bid_price is not None and quote.ask_price is not None:
            return (quote.bid_price + quote.ask_price) / 2
        return self.core.last(listed.name)

    # Orders, as clients ask for them

    def place(self, session: Session, asked: Asked) -> None:
        """A new order, or one that is changed; both wait while there is no line to IB. Raises Refusal."""
        client_id = session.client_id or 0
        if self.mishaps.cut_off:
            self.mishaps.waiting.append(lambda: self._place_late(client_id, asked))
        else:
            self.desk.place(client_id, asked)

    def _place_late(self, client_id: int, asked: Asked) -> None:
        try:
            self.desk.place(client_id, asked)
        except Refusal as refusal:
            if client_id in self.sessions:
                self.sessions[client_id].error(asked.order_id, refusal.code, refusal.text)

    def cancel(self, session: Session, order_id: int) -> None:
        """A client cancels, as `place`."""
        client_id = session.client_id or 0
        if self.mishaps.cut_off:
            self.mishaps.waiting.append(lambda: self._cancel_late(client_id, order_id))
        else:
            self.desk.cancel(client_id, order_id)

    def _cancel_late(self, client_id: int, order_id: int) -> None:
        try:
            self.desk.cancel(client_id, order_id)
        except Refusal as refusal:
            if client_id in self.sessions:
                self.sessions[client_id].error(order_id, refusal.code, refusal.text)

    def show_margins(self, session: Session, asked: Asked) -> None:
        """A what-if."""
        order, told = self.desk.margins(session.client_id or 0, asked)
        before, after, equity = told["before"], told["after"], told["equity"]
        margins: list[Field] = [
            before, before, equity, after - before, after - before, Decimal(0), after, after, equity,
        ]  # fmt: skip
        session.write(frames.open_order(session.version, order, order.order_id, margins, told["commission"]))

    def show_open(self, session: Session, *, everybody: bool) -> None:
        """The open orders: a client's own, or all of the login."""
        before_ns = self._lag_ns()
        for order in self.floor.live:
            mine = order.client_id == session.client_id
            if order.transmitted and (everybody or mine) and order.created_ns <= before_ns:
                if order.external and session.binds_orders and order.order_id == 0:
                    order.order_id = -order.number
                for _, fields in self._order_fields(session, order):
                    session.write(fields)
        session.write([53, 1])

    def show_completed(self, session: Session, *, api_only: bool) -> None:
        """The orders that have ended within a day."""
        before_ns, since_ns = self._lag_ns(), self.clock.now_ns() - EXECUTIONS_KEPT_NS
        for order in self.floor.orders:
            if order.live or not since_ns <= order.ended_ns <= before_ns or (api_only and order.external):
                continue
            parent = self.floor.parent_of(order)
            perm_id = frames.NO_PARENT if parent is None else parent.perm_id
            time = self.time_of(order.ended_ns + self.clock.shown_ns() - self.clock.now_ns())
            session.write(frames.completed_order(session.version, order, perm_id, time))
        session.write([102])

    def show_executions(self, session: Session, request_id: int, wanted: Mapping[str, Any]) -> None:
        """The executions of a day that a filter leaves, with the commissions that this client may know."""
        before_ns, since_ns = self._lag_ns(), self.clock.now_ns() - EXECUTIONS_KEPT_NS
        try:
            shown_since_ns = moment_ns(str(wanted["time"])) if wanted["time"] else 0
        except ValueError:
            raise Refusal(321, "Error validating request.-'bM' : cause - Invalid time") from None
        for told in self.floor.executions:
            order = told.order
            fits = (
                wanted["client_id"] in (0, order.client_id)
                and wanted["account"] in ("", order.account)
                and wanted["symbol"] in ("", order.listed.symbol)
                and wanted["security"] in ("", order.listed.security)
                and wanted["side"] in ("", order.asked.action)
            )
            if fits and since_ns <= told.time_ns <= before_ns and told.shown_ns >= shown_since_ns:
                session.write(self.execution_fields(session, request_id, told))
                if session in self._hearers(order):
                    session.write(frames.commission(told))
        session.write([55, 1, request_id])

    def show_contracts(self, session: Session, request_id: int, found: Iterable[Listed]) -> None:
        """Contracts that a client may have meant."""
        for listed in found:
            session.write(frames.contract_details(session.version, request_id, listed))
        session.write([52, 1, request_id])

    def _lag_ns(self) -> int:
        """What is younger is not found."""
        lag = self.faults.standing("query_lag")
        return self.clock.now_ns() - (int(float(lag.arguments["seconds"]) * 1e9) if lag else 0)

    # Orders, as they are told: the hearing of the floor

    def changed(self, order: TwsOrder) -> None:
        for session in self._hearers(order):
            for name, fields in self._order_fields(session, order):
                session.tell(ORDERS, name, fields)

    def executed(self, execution: TwsExecution) -> None:
        execution.shown_ns = self.clock.shown_ns()
        for session in self._hearers(execution.order):
            session.tell(ORDERS, "execDetails", self.execution_fields(session, -1, execution))

    def settled(self, execution: TwsExecution) -> None:
        late = self.faults.take(LATE_COMMISSION)
        if late is None:
            self._tell_commission(execution)
        elif late.arguments.get("seconds") is not None:
            self.later(float(late.arguments["seconds"]), lambda: self._tell_commission(execution))
        self.telling.changed(execution.order)

    def _tell_commission(self, execution: TwsExecution) -> None:
        order = execution.order
        for session in self._hearers(order):
            fields = frames.open_order(session.version, order, order.order_id, _NO_MARGINS, order.commission)
            session.tell(ORDERS, "openOrder", fields)
            session.tell(ORDERS, "commissionReport", frames.commission(execution))

    def cancelled(self, order: TwsOrder) -> None:
        for session in self._hearers(order):
            session.tell(ORDERS, "orderStatus", frames.order_status(order, order.order_id))
            session.error(order.order_id, 202, "Order Canceled - reason:")

    def refused(self, order: TwsOrder, code: int, text: str) -> None:
        for session in self._hearers(order):
            session.error(order.order_id, code, text)
        self.changed(order)

    def hears(self, order: TwsOrder) -> list[Session]:
        """Those who hear of an order: who placed it, and the master client."""
        return self._hearers(order)

    def _hearers(self, order: TwsOrder) -> list[Session]:
        if self.mishaps.cut_off:
            return []
        names = dict.fromkeys((order.client_id, self.master_client))
        return [self.sessions[name] for name in names if name is not None and name in self.sessions]

    def _order_fields(self, session: Session, order: TwsOrder) -> list[tuple[str, list[Field]]]:
        """The two messages that show an order, with their names."""
        opened = frames.open_order(session.version, order, order.order_id, _NO_MARGINS, "")
        return [("openOrder", opened), ("orderStatus", frames.order_status(order, order.order_id))]

    def execution_fields(self, session: Session, request_id: int, told: TwsExecution) -> list[Field]:
        """An execution as a client is told of it; -1 for one that happens now."""
        time = self.time_of(told.shown_ns)
        return frames.execution(session.version, request_id, told, told.order.order_id, time)

    # What only this venue can be told

    async def tell(self, action: str, arguments: Mapping[str, Any]) -> Any:
        return await self.mishaps.tell(action, arguments)


_NO_MARGINS: list[Field] = [UNSET] * 9
