"""What TWS is made to do: lose its line to IB, restart, tell things twice, correct itself; and the actions that only
this emulator has."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tests.emulators.faults import Fault
from tests.emulators.tws import frames
from tests.emulators.tws.floor import CLOSED, CLOSING, OPENING
from tests.emulators.tws.session import ORDERS

if TYPE_CHECKING:
    from tests.emulators.tws.orders import TwsExecution, TwsOrder
    from tests.emulators.tws.venue import Tws

Arguments = Mapping[str, Any]
_FARMS = (2103, 2105, 2104, 2106)


class Mishaps:
    """See the module."""

    def __init__(self, venue: Tws) -> None:
        self._venue = venue
        self.began_anew()

    def began_anew(self) -> None:
        """A test has started anew."""
        self.cut_off = False
        """Whether TWS has lost its line to IB: orders wait, and what happens to them is not told."""
        self.waiting: list[Callable[[], None]] = []
        """What clients have asked for meanwhile."""

    # Faults that are done at once

    def began(self, fault: Fault) -> None:
        """A fault that is done at once, or one that lasts, begins."""
        venue, arguments = self._venue, fault.arguments
        match fault.kind:
            case "maintenance":
                venue.drop_streams("*")
            case "half_open":
                for session in venue.sessions.values():
                    session.frozen = True
            case "restart":
                self._restart(arguments)
            case "connectivity":
                self._line(str(arguments["state"]))
            case "nightly_reset":
                self._line("lost")
                state = "restored_data_lost" if arguments.get("data_lost") else "restored"
                venue.later(float(arguments.get("seconds", 0.5)), lambda: self._line(state))
            case "error_storm":
                self._storm(arguments)
            case "farm_flap":
                for _ in range(int(arguments.get("times", 1))):
                    self._say(*_FARMS)
            case "replay_executions":
                self._replay()
            case _:
                pass

    def _restart(self, arguments: Arguments) -> None:
        """`roll_back`: order ids begin anew. `stuck`: so many connections are told that their id is in use still."""
        if arguments.get("roll_back"):
            self._venue.desk.next_ids.clear()
        if arguments.get("stuck"):
            self._venue.faults.add("client_id_taken", count=int(arguments["stuck"]))
        self.cut_off = False
        self.waiting = []

    def _line(self, state: str) -> None:
        """The line to IB is `lost`, `restored`, or `restored_data_lost`: then market data has to be asked for anew."""
        if state == "lost":
            self.cut_off = True
            self._say(1100)
            return
        if state not in ("restored", "restored_data_lost"):
            raise ValueError(f"no state {state!r}; there are lost, restored, restored_data_lost")
        self.cut_off = False
        if state == "restored_data_lost":
            self._venue.tape.drop_all()
        self._say(1101 if state == "restored_data_lost" else 1102)
        waiting, self.waiting = self.waiting, []
        for work in waiting:
            work()

    def _say(self, *codes: int) -> None:
        for session in list(self._venue.sessions.values()):
            for code in codes:
                session.error(-1, code, self._venue.texts.of(code))

    def _storm(self, arguments: Arguments) -> None:
        """Messages with a code: of the system, or (`orders`) one for each open order, with its own id."""
        venue, code = self._venue, int(arguments.get("code", 2110))
        text = str(arguments.get("text") or venue.texts.of(code))
        for _ in range(int(arguments.get("times", 20))):
            if not arguments.get("orders"):
                for session in list(venue.sessions.values()):
                    session.error(-1, code, text)
                continue
            for order in venue.floor.live:
                for session in venue.hears(order):
                    session.error(order.order_id, code, text)

    def _replay(self) -> None:
        for told in list(self._venue.floor.executions):
            self._tell_again(told)

    def _tell_again(self, told: TwsExecution) -> None:
        venue = self._venue
        for session in venue.hears(told.order):
            session.tell(ORDERS, "execDetails", venue.execution_fields(session, -1, told))
            session.tell(ORDERS, "commissionReport", frames.commission(told))

    # Actions

    async def tell(self, action: str, arguments: Arguments) -> Any:
        """`ValueError` for an action that there is not."""
        venue = self._venue
        match action:
            case "message":
                self._message(arguments)
            case "correct":
                return self._correct(arguments)
            case "reject":
                self._reject(arguments)
            case "limits":
                venue.pace.rate = int(arguments.get("rate", venue.pace.rate))
                venue.pace.tolerance = int(arguments.get("tolerance", venue.pace.tolerance))
                venue.tape.lines = int(arguments.get("lines", venue.tape.lines))
            case "busy":
                venue.pace.busy_until = time.monotonic() + float(arguments["seconds"])
            case "used":
                return {
                    "most": venue.pace.most,
                    "violations": venue.pace.violations,
                    "lines": venue.tape.used,
                    "clients": sorted(venue.sessions),
                }
            case "settings":
                self._settings(arguments)
            case "session":
                self._session(arguments)
            case "tick":
                venue.telling.tick()
            case "positions":
                return self._positions()
            case _:
                raise ValueError(f"{venue.name} cannot {action!r}")
        return None

    def _message(self, arguments: Arguments) -> None:
        """A message, of the system or about an order, whose state it does not change."""
        code = int(arguments["code"])
        text = str(arguments.get("text") or self._venue.texts.of(code))
        reference = str(arguments.get("client_order_id") or "")
        if not reference:
            for session in list(self._venue.sessions.values()):
                session.error(-1, code, text)
            return
        order = self.order(reference)
        for session in self._venue.hears(order):
            session.error(order.order_id, code, text)

    def order(self, reference: str) -> TwsOrder:
        """The latest order of a reference. `KeyError` where there is none."""
        for order in reversed(self._venue.floor.orders):
            if order.asked.ref == reference:
                return order
        raise KeyError(f"no order {reference!r}")

    def _correct(self, arguments: Arguments) -> str:
        told = self._venue.floor.find_execution(str(arguments["execution_id"]))
        quantity = Decimal(arguments.get("quantity", told.quantity))
        price = Decimal(arguments.get("price", told.price))
        new = self._venue.floor.correct(told.execution_id, quantity, price)
        self._tell_again(new)
        self._venue.telling.changed(new.order)
        return new.execution_id

    def _reject(self, arguments: Arguments) -> None:
        """New orders and changes of a symbol are refused, until the code is 0."""
        symbol, code = str(arguments["symbol"]), int(arguments.get("code", 201))
        self._venue.desk.rejections.pop(symbol, None)
        if code:
            text = str(arguments.get("text") or self._venue.texts.of(code))
            self._venue.desk.rejections[symbol] = (code, text)

    def _settings(self, arguments: Arguments) -> None:
        form = str(arguments.get("time_form", self._venue.time_form))
        if form not in ("zone", "utc", "naive"):
            raise ValueError(f"no time_form {form!r}; there are zone, utc, naive")
        self._venue.time_form = form
        self._venue.market.parts = int(arguments.get("parts", self._venue.market.parts))
        master = arguments.get("master_client", self._venue.master_client)
        self._venue.master_client = None if master is None else int(master)

    def _session(self, arguments: Arguments) -> None:
        """Regular hours begin (`open`) or end (`close`), or a day is over (`end`)."""
        floor, turn = self._venue.floor, str(arguments["turn"])
        self._venue.core.advance(self._venue.clock.now_ns())
        if turn == "open":
            floor.open_now = True
            floor.begin(OPENING, CLOSED)
        elif turn == "close":
            floor.begin(CLOSING)
            floor.open_now = False
        elif turn == "end":
            floor.end_day()
        else:
            raise ValueError(f"no turn {turn!r}; there are open, close, end")

    def _positions(self) -> dict[str, dict[str, dict[str, str]]]:
        return {
            name: {
                holding.listed.name: {
                    "quantity": f"{holding.quantity:f}",
                    "average_cost": f"{holding.average_cost:f}",
                }
                for holding in account.holdings.values()
            }
            for name, account in self._venue.accounts.items()
        }
