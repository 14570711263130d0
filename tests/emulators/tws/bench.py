"""A desk of TWS's without a socket, by a clock of the test's own."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tests.emulators.tws.accounts import CASH, Account
from tests.emulators.tws.asked import Asked
from tests.emulators.tws.contracts import Contracts, Listed, Wanted
from tests.emulators.tws.core import TwsCore
from tests.emulators.tws.desk import Desk, Refusal
from tests.emulators.tws.floor import Floor
from tests.emulators.tws.orders import TwsExecution, TwsOrder

D = Decimal
NOW = 1_800_000_000_000_000_000
USUAL: Mapping[str, Any] = {
    "action": "BUY",
    "quantity": D(10),
    "type": "LMT",
    "limit": None,
    "aux": None,
    "tif": "DAY",
    "oca_group": "",
    "account": "DU1",
    "open_close": "",
    "origin": 0,
    "ref": "",
    "transmit": True,
    "parent_id": 0,
    "trigger_method": 0,
    "outside_rth": False,
    "hidden": False,
}


class Bench:
    """A desk, its accounts, and what it told: (what, order, how far it had filled)."""

    def __init__(self, *accounts: str) -> None:
        self.now_ns = NOW
        self.told: list[tuple[str, TwsOrder, Decimal]] = []
        self.contracts = Contracts()
        self.core = TwsCore(self.contracts, NOW)
        self.accounts = {name: Account(name, {"USD": CASH}, self.price) for name in accounts or ("DU1",)}
        self.floor = Floor(self.core, self.accounts, self)
        self.desk = Desk(self.floor, self.contracts)

    # What is told: the desk's hearing

    def changed(self, order: TwsOrder) -> None:
        self.told.append((order.status, order, order.filled))

    def executed(self, execution: TwsExecution) -> None:
        self.told.append(("execution", execution.order, execution.cumulated))

    def cancelled(self, order: TwsOrder) -> None:
        self.told.append((order.status, order, order.filled))

    def refused(self, order: TwsOrder, code: int, text: str) -> None:
        self.told.append((order.status, order, order.filled))

    def settled(self, execution: TwsExecution) -> None:
        self.told.append(("commission", execution.order, execution.cumulated))

    # What is done

    def price(self, listed: Listed) -> Decimal | None:
        """Between the best prices."""
        quote = self.core.quote(listed.name)
        if quote is None or quote.bid_price is None or quote.ask_price is None:
            return None
        return (quote.bid_price + quote.ask_price) / 2

    def show(self, name: str, bid: str, ask: str, size: str = "1000") -> None:
        """The market's best prices."""
        self.core.show(name, [(D(bid), D(size))], [(D(ask), D(size))], self.now_ns)

    def place(self, name: str = "AAPL", order_id: int | None = None, **terms: Any) -> TwsOrder:
        """An order, as client 1."""
        listed = self.contracts.by_name[name]
        wanted = Wanted(listed.con_id, "", "", "", D(0), "", "", "", "", "", "", "")
        said = {
            name: D(value) if name in _DECIMALS and value is not None else value
            for name, value in terms.items()
        }
        number = self.desk.next_id(1) if order_id is None else order_id
        return self.desk.place(1, Asked(order_id=number, contract=wanted, **{**USUAL, **said}))

    def try_to(self, work: Any) -> int:
        """Does something that may be refused; the code, 0 where it was done."""
        try:
            work()
        except Refusal as refusal:
            return refusal.code
        return 0


_DECIMALS = frozenset({"quantity", "limit", "aux", "trail_percent"})
