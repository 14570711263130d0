"""The life of orders: into the market and out of it, by the hours, by fills, by the orders of their group.

- What does not trade now waits as `accepted` and comes to the market when its session begins. A DAY order expires at
  the regular close, with `extended_hours` at the end of the day; a GTC order leaves the market and comes again.
- What a market order cannot get now, it gets when there is something to be had.
- The legs of a bracket or OTO are `held` until the whole entry has filled. Of an OCO, and of a bracket's legs, what one
  fills the other is less; the end of one by a fill or a cancel is the end of all that is open of the group.

What is told is an event of `trade_updates` (docs.alpaca.markets, "Websocket Streaming").
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from brokergate.domain.errors import ErrorReason
from brokergate.domain.orders import OrderState
from tests.emulators.alpaca.activities import Activities
from tests.emulators.alpaca.assets import LOT
from tests.emulators.alpaca.core import AlpacaCore
from tests.emulators.alpaca.held import Held
from tests.emulators.alpaca.holdings import Holdings
from tests.emulators.alpaca.hours import Hours, Phase, Turn
from tests.emulators.alpaca.numbers import text
from tests.emulators.alpaca.records import Records
from tests.emulators.alpaca.translating import AT_ONCE, adopted, spec_of
from tests.emulators.orders import (
    BalanceMoved,
    BookMoved,
    Ended,
    Execution,
    Filled,
    Happening,
    Placed,
    Refused,
    Replaced,
    VenueOrderState,
)

ZERO = Decimal(0)
_UNFILLABLE = frozenset({ErrorReason.NOT_FILLABLE, ErrorReason.NO_REFERENCE_PRICE})


class Floor(Records):
    """See the module, and `Records` for the arguments."""

    def __init__(
        self,
        core: AlpacaCore,
        hours: Hours,
        holdings: Holdings,
        new_id: Callable[[], str],
        tell: Callable[[dict[str, Any]], None],
    ) -> None:
        super().__init__(core, new_id, tell)
        self.hours = hours
        self.holdings = holdings
        self.activities = Activities()
        self._thirsty: list[Held] = []
        """Orders that wait for something to be had."""
        self._quenching = False
        self._held_back: list[Callable[[], None]] | None = None
        self._ticked_ns = core.now_ns
        core.tick = self.tick
        core.listeners.append(self._heard)

    # Into the market

    def eligible(self, held: Held, now_ns: int) -> bool:
        """Whether the order can be in the market now."""
        if held.asset.crypto:
            return True
        phase = self.hours.phase(now_ns)
        if phase is Phase.REGULAR:
            return held.time_in_force not in ("opg", "cls")
        return phase is Phase.EXTENDED and held.extended_hours

    def route(self, held: Held, now_ns: int) -> None:
        """Brings a new order and its legs to the market, or to where they wait for it."""
        now = self.eligible(held, now_ns)
        self._status(held, "pending_new" if now else "accepted")
        self._event(held.status, held)
        for leg in held.legs:
            self._status(leg, "held")
            self._event("held", leg)
            if held.order_class == "oco":
                self._bring(leg, now_ns, asleep=not now)
            else:
                self._bring(leg, now_ns, asleep=True)
        if held.open:
            self._bring(held, now_ns, asleep=not now)

    def _bring(self, held: Held, now_ns: int, *, asleep: bool) -> None:
        quantity = ZERO if held.notional is not None else held.leaves
        try:
            self.core.place(
                spec_of(held, quantity),
                quantity,
                now_ns,
                client_order_id=held.client_order_id,
                asleep=asleep,
                extra={"held": held},
            )
        except Refused as refused:
            self._reject(held, refused.message)
            self._end_group(held)

    def _wake(self, held: Held, now_ns: int) -> None:
        if held.part is not None and held.part.asleep and held.open:
            self.core.wake(held.part, now_ns)

    # Out of it

    def cancel(self, held: Held, now_ns: int) -> None:
        """A client cancels an open order: at once, or when `release` says so."""
        self._status(held, "pending_cancel")
        self._event("pending_cancel", held)
        self._change(lambda: self._cancel(held))

    def _cancel(self, held: Held) -> None:
        if held.open:
            self.end(held, self.core.now_ns, "canceled")
        else:
            self._event("order_cancel_rejected", held)

    def end(self, held: Held, now_ns: int, status: str) -> None:
        """Ends an open order, and with it what is open of its group."""
        self._leave(held, now_ns, status)
        for other in held.family:
            if other is not held and other.open:
                self._leave(other, now_ns, status)

    def _change(self, change: Callable[[], None]) -> None:
        if self._held_back is None:
            change()
        else:
            self._held_back.append(change)

    def hold_back(self) -> None:
        """From now on cancels and replaces stay pending, so that something can come before them."""
        self._held_back = self._held_back or []

    def release(self) -> int:
        """What was held back is done, and nothing is held back any more; how many there were."""
        changes, self._held_back = self._held_back or [], None
        for change in changes:
            change()
        return len(changes)

    def _leave(self, held: Held, now_ns: int, status: str) -> None:
        if held in self._thirsty:
            self._thirsty.remove(held)
        part, held.part = held.part, None
        if part is not None and part.open:
            self.core.cancel(part, now_ns)
        self._finish(held, status)

    def replace(self, held: Held, new: Held) -> None:
        """A client replaces an order by a new one: at once, or when `release` says so."""
        before = held.status
        self._status(held, "pending_replace")
        self._event("pending_replace", held)
        self._remember(new)
        self._change(lambda: self._replace(held, new, before))

    def _replace(self, held: Held, new: Held, before: str) -> None:
        part = held.part
        if not held.open or part is None:
            self._refuse_replace(held, new, "the order has ended")
            return
        if new.qty is not None and new.qty <= held.filled_qty:
            self._status(held, "partially_filled")
            self._refuse_replace(held, new, "qty must be greater than filled qty")
            return
        new.filled_qty, new.filled_notional = held.filled_qty, held.filled_notional
        quantity = new.leaves + part.cum_quantity
        part.extra["next"] = new
        try:
            self.core.replace(part, spec_of(new, quantity), quantity, self.core.now_ns)
        except Refused as refused:
            del part.extra["next"]
            self._status(held, "partially_filled" if held.filled_qty else before)
            self._refuse_replace(held, new, refused.message)
            return
        if new.order_class in ("bracket", "oto") and new.parent is None:
            for leg in new.legs:
                if leg.qty != new.qty and leg.open:
                    self._resize(leg, new.qty or ZERO, self.core.now_ns)

    def _refuse_replace(self, held: Held, new: Held, message: str) -> None:
        """The new order is rejected, and the old one stays what it is."""
        self._event("order_replace_rejected", held)
        new.legs, new.parent = [], None
        new.filled_qty = new.filled_notional = ZERO
        self._reject(new, message)

    def _replaced(self, part: VenueOrderState) -> None:
        new: Held | None = part.extra.pop("next", None)
        if new is None:
            return
        old: Held = part.extra["held"]
        old.replaced_by, old.replaced_ns, new.replaces = new.id, self.core.now_ns, old.id
        old.part, new.part = None, part
        part.extra["held"], part.client_order_id = new, new.client_order_id
        self._status(old, "replaced")
        del self._open[old.id]
        if old in self._thirsty:
            self._thirsty[self._thirsty.index(old)] = new
        if old.parent is not None:
            old.parent.legs[old.parent.legs.index(old)] = new
        for leg in new.legs:
            leg.parent = new
        self._event("replaced", old)
        waits = new.status == "held"
        self._status(new, "held" if waits else "partially_filled" if new.filled_qty else "new")
        self._event("held" if waits else "new", new)

    # What the market says

    def _heard(self, happening: Happening) -> None:
        match happening:
            case Placed(order):
                self._placed(order)
            case Filled(execution):
                self._filled(execution)
            case Ended(order):
                self._ended(order)
            case Replaced(order):
                self._replaced(order)
            case BalanceMoved(currency, amount, time_ns) if currency == "USD":
                self.activities.cash(amount, time_ns, self.new_id())
            case BookMoved(symbol):
                self._quench(symbol)
            case _:
                pass

    def _placed(self, order: VenueOrderState) -> None:
        held: Held | None = order.extra.get("held")
        if held is None:
            asset = self.holdings.assets.find(order.spec.symbol)
            assert asset is not None
            held = order.extra["held"] = adopted(order, asset, self.new_id())
            self.keep(held)
        held.part = order
        if held.routed or order.asleep:
            return
        held.routed = True
        if held.status == "held" and held.parent is not None and held.parent.order_class == "oco":
            return
        self._status(held, "new")
        self._event("new", held)

    def _filled(self, execution: Execution) -> None:
        held: Held = execution.order.extra["held"]
        held.filled_qty += execution.quantity
        held.filled_notional += execution.notional
        if held.notional is not None:
            done = held.notional - held.filled_notional <= execution.price * LOT
        else:
            done = held.leaves <= 0
        in_coin = execution.fee if execution.fee_currency != "USD" else ZERO
        self.holdings.fill(held.asset, held.side, execution.quantity, execution.price, in_coin)
        self._status(held, "filled" if done else "partially_filled")
        if done:
            held.filled_ns, held.part = execution.time_ns, None
            self._open.pop(held.id, None)
        execution_id = self.new_id()
        self.activities.fill(held, execution, execution_id)
        if execution.fee:
            self.activities.fee(execution, held.asset.position_symbol, self.new_id())
        self._event(
            "fill" if done else "partial_fill",
            held,
            execution_id,
            price=text(execution.price),
            qty=text(execution.quantity),
            position_qty=text(self.holdings.of(held.asset).qty),
        )
        self.core.later(lambda: self._for_group(held, execution.quantity, done=done))
        if held.part is not None and not held.part.open:
            held.part = None
            self.core.later(lambda: self._wait_for_more(held))

    def _wait_for_more(self, held: Held) -> None:
        """What could not be had now may be had when the book is another one."""
        if held.open and held.part is None:
            self._thirsty.append(held)
            self._bring(held, self.core.now_ns, asleep=True)

    def _ended(self, order: VenueOrderState) -> None:
        held: Held = order.extra["held"]
        if held.part is not order:
            return  # it left the market by our own doing
        held.part = None
        if order.state is OrderState.REJECTED:
            self._reject(held, order.message)
        elif order.reason in _UNFILLABLE and held.time_in_force not in AT_ONCE:
            self.core.later(lambda: self._wait_for_more(held))
            return
        else:
            self._finish(held, "canceled")
        self.core.later(lambda: self._end_group(held))

    def _quench(self, symbol: str) -> None:
        """Brings orders again that could not get what they asked for, where there is something now."""
        if self._quenching or not self._thirsty:
            return
        self._quenching = True
        try:
            for held in list(self._thirsty):
                book = self.core.book(symbol, 1)
                there = book is not None and (book.asks if held.buys else book.bids)
                if held.asset.symbol == symbol and there and self.eligible(held, self.core.now_ns):
                    self._thirsty.remove(held)
                    self._wake(held, self.core.now_ns)
        finally:
            self._quenching = False

    # Groups

    def _for_group(self, held: Held, quantity: Decimal, *, done: bool) -> None:
        now_ns = self.core.now_ns
        if held.parent is None and held.order_class in ("bracket", "oto"):
            if done:
                for leg in list(held.legs):
                    self._wake(leg, now_ns)
            return
        for other in held.family:
            linked = other is not held and (other.parent is not None or other.order_class == "oco")
            if not linked or not other.open:
                continue
            if done:
                self._leave(other, now_ns, "canceled")
            else:
                self._resize(other, (other.qty or ZERO) - quantity, now_ns)

    def _resize(self, held: Held, quantity: Decimal, now_ns: int) -> None:
        part = held.part
        held.qty = quantity
        if part is None or not part.open:
            return
        left = held.leaves + part.cum_quantity
        try:
            self.core.replace(part, spec_of(held, left), left, now_ns)
        except Refused:
            return  # it has filled in the same moment, and will say so
        self._event("restated", held)

    def _end_group(self, held: Held) -> None:
        for other in held.family:
            if other is not held and other.open:
                self._leave(other, self.core.now_ns, "canceled")

    # Time

    def tick(self, now_ns: int) -> None:
        """Time has come to `now_ns`: sessions began and ended."""
        for moment_ns, turn in self.hours.turns(self._ticked_ns, now_ns):
            self.core.advance(moment_ns)
            stocks = [held for held in self.open if not held.asset.crypto]
            if turn is Turn.CLOSE:
                self._begin([held for held in stocks if held.time_in_force == "cls"], moment_ns)
                self._close([held for held in stocks if not held.extended_hours], moment_ns)
            elif turn is Turn.END:
                self._close([held for held in stocks if held.extended_hours], moment_ns)
            elif turn is Turn.OPEN:
                self._begin([held for held in stocks if held.time_in_force != "cls"], moment_ns)
            else:
                self._begin([held for held in stocks if held.extended_hours], moment_ns)
        self._ticked_ns = max(self._ticked_ns, now_ns)

    def _begin(self, orders: list[Held], now_ns: int) -> None:
        for held in orders:
            entry = held.parent
            if entry is not None and entry.order_class != "oco" and entry.status != "filled":
                continue
            if held not in self._thirsty:
                self._wake(held, now_ns)
        for symbol in {held.asset.symbol for held in orders}:
            self._quench(symbol)

    def _close(self, orders: list[Held], now_ns: int) -> None:
        """DAY orders that were in the market expire, others leave it until it opens again."""
        for held in orders:
            if not held.open or not (held.routed or held.status == "held"):
                continue
            if held.time_in_force == "day":
                self.end(held, now_ns, "expired")
            elif held.part is not None and not held.part.asleep:
                part, held.part = held.part, None
                self.core.cancel(part, now_ns)
                self._bring(held, now_ns, asleep=True)
