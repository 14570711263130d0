"""What happened at a venue, as the port's reports, in the order in which it happened."""

from __future__ import annotations

from collections.abc import Mapping

from brokergate.domain.accounts import LedgerEntry, LedgerEntryKind
from brokergate.domain.errors import ErrorReason
from brokergate.domain.events import OrderEventType
from brokergate.domain.fills import Money
from brokergate.domain.orders import OrderState
from brokergate.domain.values import changed
from brokergate.ports.broker import FillReport, Report
from brokergate.sim.history import History
from brokergate.sim.ledger import Ledger
from brokergate.sim.listing import Listing
from brokergate.sim.open_orders import OpenOrders
from brokergate.sim.orders import Changed, Executed, Happening, Told


class Telling:
    """See the module. Executions are `X1`, `X2` and so on, ledger entries unique by `session` over restarts."""

    def __init__(
        self,
        happenings: list[Happening],
        listings: Mapping[str, Listing],
        orders: OpenOrders,
        session: str,
        fills: int,
    ) -> None:
        self._happenings = happenings
        self._listings = listings
        self._orders = orders
        self._before: list[Report] = []
        self.session = session
        self.entries = 0
        """How many entries the session has made."""
        self.fills = fills
        """How many executions had an id of the venue."""

    def tell(self, report: Report) -> None:
        """Tells something that comes before everything that has not been taken."""
        self._before.append(report)

    def entry(
        self, kind: LedgerEntryKind, money: Money, now_ns: int, symbol: str, description: str
    ) -> LedgerEntry:
        """A new entry of the ledger."""
        self.entries += 1
        return LedgerEntry(f"L{self.session}-{self.entries}", kind, money, now_ns, symbol, description)

    def deposit(
        self, ledger: Ledger, kind: LedgerEntryKind, sign: int, description: str, now_ns: int
    ) -> None:
        """Tells the entries that bring in (+1) or take out (-1) what the ledger holds."""
        for account in ledger.currencies.values():
            account.changed = True
            if account.total:
                money = Money(account.amount(sign * account.total), account.currency)
                self.tell(self.entry(kind, money, now_ns, "", description))

    def take(self, history: History | None) -> list[Report]:
        """What happened since the last call; `history` remembers it."""
        reports, self._before = self._before, []
        for happening in self._happenings:
            if isinstance(happening, Told):
                reports.append(happening.report)
                continue
            order = happening.order
            if isinstance(happening, Executed):
                self.fills += 1
                reports.append(self._listings[order.symbol].fill_report(happening, f"X{self.fills}"))
            else:
                reports.append(self._listings[order.symbol].change_report(happening))
            if not order.leaves:
                self._orders.settle(order)
            if history is not None:
                self._remember(history, happening, reports[-1])
        self._happenings.clear()
        return reports

    def forget(self) -> None:
        """What has not been taken is told nobody."""
        self._before = []
        self._happenings.clear()

    def _remember(self, history: History, happening: Executed | Changed, report: Report) -> None:
        order = happening.order
        if isinstance(report, FillReport):
            history.execution(report)
        if order.left:
            return
        state, reason, message = OrderState.FILLED, ErrorReason.UNSPECIFIED, ""
        if not isinstance(happening, Executed):
            state = OrderState.EXPIRED if happening.kind is OrderEventType.EXPIRED else OrderState.CANCELED
            reason, message = happening.reason, happening.message
        shown = self._listings[order.symbol].shown(order)
        history.end(
            changed(shown, state=state, update_time_ns=happening.time_ns, reason=reason, message=message)
        )
