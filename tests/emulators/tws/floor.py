"""The life of orders at the emulated TWS: into the market, by fills, by the orders of their group, out of it.

- A stop waits as PreSubmitted and is Submitted when it is set off. What waits for something else (the market's opening,
  its parent, the rest of its group to be transmitted) is PreSubmitted as well.
- The orders of a parent come to the market when it has filled in whole, and end when it ends. What one of them fills
  is taken from the others; one that has filled ends them. So for an OCA group of type 2 and 3; of type 1 any fill ends
  the others (tws-api, "One-Cancels All", "Bracket Orders").
- What a market order cannot get now, it gets when there is something to be had.

Who hears of it is the session's business (`Hearing`).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from functools import partial
from itertools import count
from typing import Protocol

from brokergate.domain.errors import ErrorReason
from tests.emulators.orders import (
    BookMoved,
    Ended,
    Execution,
    Filled,
    Happening,
    Placed,
    Refused,
    Replaced,
    Triggered,
    VenueOrderState,
)
from tests.emulators.tws.accounts import Account
from tests.emulators.tws.core import TwsCore
from tests.emulators.tws.orders import TwsExecution, TwsOrder
from tests.emulators.tws.translating import AT_ONCE, AUCTIONS, is_stop, spec_of

_UNFILLABLE = frozenset({ErrorReason.NOT_FILLABLE, ErrorReason.NO_REFERENCE_PRICE})
CANCELLED_BY_TRADER = "Cancelled by Trader"
OPENING, CLOSING, CLOSED, PARENT, UNTRANSMITTED, NOTHING_THERE = (
    "the opening", "the close", "a market that is open", "its parent", "transmission", "something to be had",
)  # fmt: skip


class Hearing(Protocol):
    """What is told of orders."""

    def changed(self, order: TwsOrder) -> None:
        """An order and its status are to be shown."""

    def executed(self, execution: TwsExecution) -> None:
        """An execution; its order has not been shown yet as it is now."""

    def cancelled(self, order: TwsOrder) -> None:
        """An order was cancelled."""

    def refused(self, order: TwsOrder, code: int, text: str) -> None:
        """An order that had been taken is refused."""

    def settled(self, execution: TwsExecution) -> None:
        """What an execution cost is known; its order has been shown."""


class Floor:
    """See the module."""

    def __init__(self, core: TwsCore, accounts: dict[str, Account], hearing: Hearing) -> None:
        self.core = core
        self.accounts = accounts
        self.orders: list[TwsOrder] = []
        """Every order that TWS took, in that order."""
        self.by_id: dict[tuple[int, int], TwsOrder] = {}
        """By client and the client's id; of several (ids can begin anew) the latest."""
        self._open: dict[int, TwsOrder] = {}
        self.executions: list[TwsExecution] = []
        """Every execution and every correction, in that order."""
        self.adopting: TwsOrder | None = None
        """What the next order of the matching venue belongs to, where nobody placed it there."""
        self.open_now = True
        """Whether regular trading hours are on."""
        self._hearing = hearing
        self._numbers = count(1)
        self._permanent = count(1_700_000_001)
        self._thirsty: list[TwsOrder] = []
        self._quenching = False
        core.listeners.append(self._heard)

    @property
    def live(self) -> list[TwsOrder]:
        """The orders that can still fill and are in the market or on their way to it."""
        for number in [number for number, order in self._open.items() if not order.live]:
            del self._open[number]
        return list(self._open.values())

    def number(self) -> int:
        """For the next order."""
        return next(self._numbers)

    def permanent_id(self) -> int:
        """For the next order; unique for ever."""
        return next(self._permanent)

    # Into the market

    def take(self, order: TwsOrder) -> None:
        """A new order that was found good."""
        self.keep(order)
        if not order.transmitted:
            order.asleep = UNTRANSMITTED
            return
        self._transmit_family(order)
        self.route(order)

    def keep(self, order: TwsOrder) -> None:
        """An order is remembered for ever, whatever becomes of it."""
        self.orders.append(order)
        self._open[order.number] = order
        if order.order_id:
            self.by_id[order.client_id, order.order_id] = order

    def _transmit_family(self, order: TwsOrder) -> None:
        """An order that is transmitted takes those with it that were waiting for it."""
        for other in self.family(order):
            if other is not order and not other.transmitted and other.live:
                other.transmitted = True
                self.route(other)

    def route(self, order: TwsOrder) -> None:
        """Brings an order to the market, or says what it waits for, unless it has ended meanwhile."""
        if not order.live:
            return
        order.asleep = self._waits_for(order)
        if order.asleep:
            order.status = "PreSubmitted"
            self._hearing.changed(order)
        else:
            self._bring(order)

    def _waits_for(self, order: TwsOrder) -> str:
        if not order.transmitted:
            return UNTRANSMITTED
        parent = self.parent_of(order)
        if parent is not None and parent.status != "Filled":
            return PARENT
        if order.asked.tif == "OPG":
            return OPENING
        if order.asked.type in AUCTIONS:
            return CLOSING
        if not self.open_now and not order.asked.outside_rth and order.listed.security in ("STK", "OPT"):
            return CLOSED
        return ""

    def _bring(self, order: TwsOrder, *, asleep: bool = False) -> None:
        now_ns, left = self.core.now_ns, order.left
        try:
            self.core.place(
                spec_of(order, left), left, now_ns, client_order_id=str(order.number), asleep=asleep,
                extra={"tws": order},
            )  # fmt: skip
        except Refused as refused:
            self.reject(order, 201, f"Order rejected - reason:{refused.message}")

    def reject(self, order: TwsOrder, code: int, text: str) -> None:
        """Ends an order that had been taken."""
        order.status, order.why, order.ended_ns = "Inactive", f"Rejected by System:{text}", self.core.now_ns
        self._hearing.refused(order, code, text)

    def begin(self, *reasons: str) -> None:
        """What orders were waiting for has come."""
        for order in self.live:
            # One that comes may fill and end another.
            if order.live and order.asleep in reasons:
                order.asleep = ""
                self._bring(order)

    def end_day(self) -> None:
        """DAY orders that are left are cancelled."""
        for order in self.live:
            if order.asked.tif == "DAY":
                self.end(order, "Cancelled by System: end of day")

    # Out of it

    def end(self, order: TwsOrder, why: str = CANCELLED_BY_TRADER) -> None:
        """Cancels an open order, and the orders that wait for it."""
        if not order.live:
            return
        self._leave(order)
        order.status, order.why, order.ended_ns = "Cancelled", why, self.core.now_ns
        self._hearing.cancelled(order)
        for child in self.children_of(order):
            self.end(child, why)

    def _leave(self, order: TwsOrder) -> None:
        if order in self._thirsty:
            self._thirsty.remove(order)
        part, order.part = order.part, None
        if part is not None and part.open:
            self.core.cancel(part, self.core.now_ns)

    def change(self, order: TwsOrder, quantity: Decimal) -> None:
        """`order.asked` is another one now; brings that to the market. Raises Refused, and leaves the market then."""
        order.generation += 1
        part = order.part
        if part is None or not part.open:
            if order.transmitted:
                self._transmit_family(order)
            self.route(order)
            return
        total = quantity - order.filled + part.cum_quantity
        spec = spec_of(order, total)
        if spec.type is part.spec.type and not part.triggered:
            self.core.replace(part, spec, total, self.core.now_ns)
        else:
            self._leave(order)
            order.triggered = False
            self.route(order)

    # What the market says

    def _heard(self, happening: Happening) -> None:
        match happening:
            case Placed(part):
                self._placed(part)
            case Triggered(part):
                self._triggered(part)
            case Filled(execution):
                self._filled(execution)
            case Replaced(part):
                self._hearing.changed(part.extra["tws"])
            case Ended(part):
                self._ended(part)
            case BookMoved(symbol):
                self._quench(symbol)
            case _:
                pass

    def _placed(self, part: VenueOrderState) -> None:
        if self.adopting is not None:
            part.extra["tws"], self.adopting = self.adopting, None
        order: TwsOrder = part.extra["tws"]
        order.part = part
        if part.asleep:
            return
        waits = is_stop(order) and not order.triggered
        status = "PreSubmitted" if waits else "Submitted"
        if status != order.status or not order.filled:
            order.status = status
            self._hearing.changed(order)

    def _triggered(self, part: VenueOrderState) -> None:
        order: TwsOrder = part.extra["tws"]
        order.triggered = True
        order.status = "Submitted"
        self._hearing.changed(order)

    def _filled(self, execution: Execution) -> None:
        order: TwsOrder = execution.order.extra["tws"]
        order.filled += execution.quantity
        order.notional += execution.quantity * execution.price
        order.last_price = execution.price
        order.commission += execution.fee
        done = order.left <= 0
        if done:
            order.status, order.part = "Filled", None
            order.ended_ns = self.core.now_ns
            order.why = f"Filled Size: {order.filled:f}"
        told = TwsExecution(
            f"0000e0d5.{len(self.executions) + 1:08x}.01.01", order, execution.quantity, execution.price,
            order.filled, order.average, execution.fee, execution.liquidity, execution.time_ns,
        )  # fmt: skip
        order.executions.append(told)
        self.executions.append(told)
        self.accounts[order.account].book(told)
        self._hearing.executed(told)
        self._hearing.changed(order)
        self._hearing.settled(told)
        self.core.later(lambda: self._for_group(order, execution.quantity))
        if order.part is not None and not order.part.open:
            order.part = None
            self.core.later(lambda: self._wait_for_more(order))

    def _ended(self, part: VenueOrderState) -> None:
        order: TwsOrder = part.extra["tws"]
        if order.part is not part:
            return  # it left the market by our own doing
        order.part = None
        if part.reason in _UNFILLABLE and order.asked.tif not in AT_ONCE:
            self.core.later(lambda: self._wait_for_more(order))
            return
        self.core.later(lambda: self.end(order, "Cancelled by System"))

    def _wait_for_more(self, order: TwsOrder) -> None:
        """What could not be had now may be had when the book is another one."""
        if order.live and order.part is None:
            self._thirsty.append(order)
            self._bring(order, asleep=True)

    def _quench(self, symbol: str) -> None:
        if self._quenching or not self._thirsty:
            return
        self._quenching = True
        try:
            for order in list(self._thirsty):
                book = self.core.book(symbol, 1)
                there = book is not None and (book.asks if order.asked.buys else book.bids)
                if order.listed.name == symbol and there and order.part is not None:
                    self._thirsty.remove(order)
                    self.core.wake(order.part, self.core.now_ns)
        finally:
            self._quenching = False

    # Groups

    def parent_of(self, order: TwsOrder) -> TwsOrder | None:
        """The order that this one waits for."""
        return self.by_id.get((order.client_id, order.asked.parent_id)) if order.asked.parent_id else None

    def children_of(self, order: TwsOrder) -> list[TwsOrder]:
        """The open orders that wait for this one or came with it."""
        return [other for other in self.live if self.parent_of(other) is order]

    def family(self, order: TwsOrder) -> list[TwsOrder]:
        """An order's parent, its siblings and its children."""
        parent = self.parent_of(order) or order
        return [parent, *self.children_of(parent)]

    def _for_group(self, order: TwsOrder, quantity: Decimal) -> None:
        """What a fill does to other orders."""
        if order.status == "Filled":
            for child in self.children_of(order):
                if child.asleep == PARENT:
                    self.core.later(partial(self.route, child))
        for other in self._rivals(order):
            whole = order.status == "Filled" or (order.asked.oca_group and order.asked.oca_type in (0, 1))
            if whole or other.left <= quantity:
                self.end(other, "Cancelled by System: the other order of its group has filled")
            else:
                self._shrink(other, quantity)

    def _rivals(self, order: TwsOrder) -> list[TwsOrder]:
        """The open orders of which one order's fill takes."""
        parent = self.parent_of(order)
        found = [] if parent is None else self.children_of(parent)
        group = order.asked.oca_group
        if group:
            found += [
                other
                for other in self.live
                if other.asked.oca_group == group and other.account == order.account
            ]
        return [other for other in dict.fromkeys(found) if other is not order]

    def _shrink(self, order: TwsOrder, quantity: Decimal) -> None:
        order.asked = replace(order.asked, quantity=order.asked.quantity - quantity)
        part = order.part
        if part is None or not part.open:
            self._hearing.changed(order)
            return
        total = order.left + part.cum_quantity
        # One that has filled in the same moment will say so.
        with suppress(Refused):
            self.core.replace(part, spec_of(order, total), total, self.core.now_ns)

    # What comes of itself

    def correct(self, execution_id: str, quantity: Decimal, price: Decimal) -> TwsExecution:
        """The exchange corrects an execution: its id's last part rises (tws-api, "Executions and Commissions")."""
        before = self.find_execution(execution_id)
        stem, _, version = before.execution_id.rpartition(".")
        new = replace(
            before, execution_id=f"{stem}.{int(version) + 1:02d}", quantity=quantity, price=price,
            cumulated=before.cumulated + quantity - before.quantity,
        )  # fmt: skip
        order = before.order
        order.filled += quantity - before.quantity
        order.notional += quantity * price - before.quantity * before.price
        new.average = order.average
        account, units = self.accounts[order.account], order.listed.units
        sign = 1 if order.asked.buys else -1
        holding = account.holdings[order.listed.con_id]
        value = (quantity * price - before.quantity * before.price) * units
        holding.quantity += sign * (quantity - before.quantity)
        holding.cost += value
        if order.listed.security != "FUT":
            account.deposit(order.listed.currency, -sign * value)
        self.executions.append(new)
        order.executions.append(new)
        return new

    def find_execution(self, execution_id: str) -> TwsExecution:
        """The latest version of an execution. `KeyError` where there is none."""
        stem = execution_id.rpartition(".")[0]
        found = [each for each in self.executions if each.execution_id.rpartition(".")[0] == stem]
        if not found:
            raise KeyError(f"no execution {execution_id!r}")
        return found[-1]
