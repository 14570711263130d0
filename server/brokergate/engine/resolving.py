"""Orders whose outcome nobody knows: the broker is asked until it is known (law 3).

Only evidence ends an order. What the venue shows counts at once. That it shows nothing counts only where the query
was complete and began `absence_after_ms` after the order was sent, by the broker's own declaration of how long it may
take to show an order; a broker without one proves nothing by silence. Times here are monotonic; an order of before a
start was sent before the start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from brokergate.domain import lifecycle
from brokergate.domain.control import Discrepancy
from brokergate.domain.errors import ErrorReason, TemporaryConnectionError
from brokergate.domain.events import EventPayload, OrderEventType
from brokergate.domain.money import format_decimal
from brokergate.domain.orders import (
    Order,
    OrderOrigin,
    OrderSpec,
    OrderState,
    PendingAction,
    PendingActionKind,
)
from brokergate.engine.account import Account
from brokergate.ports.broker import Absent, Failed, FindResult, Found, OrderReport, Rejected, VenueOrder

_NEW, _REPLACE, _CANCEL = PendingActionKind.NEW, PendingActionKind.REPLACE, PendingActionKind.CANCEL

FIRST_WAIT_S = 0.25
LAST_WAIT_S = 30.0
NS_PER_MS = 1_000_000

_Doubt = tuple[str, PendingActionKind, int]
"""An action that is uncertain: its order's id, its kind, since when it is under way."""

ENDS = {
    OrderState.CANCELED: OrderEventType.CANCELED,
    OrderState.EXPIRED: OrderEventType.EXPIRED,
}


class Resolver:
    """Asks the broker of one account for what is uncertain."""

    def __init__(self, account: Account, fetch_fills: Callable[[], Awaitable[None]]) -> None:
        """`fetch_fills` brings the fills that the broker has and the journal has not."""
        self._account = account
        self._wake = asyncio.Event()
        self._doubted_ns: dict[_Doubt, int] = {}
        self._suspects: dict[str, tuple[str, int]] = {}
        self._fetch_fills = fetch_fills
        account.on_doubt = self._wake.set

    def load(self) -> None:
        """Marks everything that was under way when the journal ended, and begins its time anew."""
        account = self._account
        self._doubted_ns.clear()
        self._suspects.clear()
        payloads: list[EventPayload] = []
        for order in list(account.tracker.open.values()):
            for action in order.pending:
                if not action.held and not action.uncertain:
                    order = lifecycle.uncertain(order, action.kind, account.clock.now_ns())
                    message = "the gateway ended before the broker's answer came"
                    order = account.tracker.moved(OrderEventType.UNCERTAIN, order, payloads, message)
        account.stage(payloads)
        self._note()

    def _note(self) -> None:
        """Remembers since when each action is uncertain: it was sent before, at the latest. One that is still being
        sent, while the journal was opened again, is not."""
        account = self._account
        now_ns = account.clock.monotonic_ns()
        doubts = [
            (order.order_id, action.kind, action.since_ns)
            for order in account.tracker.uncertain.values()
            for action in order.pending
            if action.uncertain and order.order_id not in account.under_way
        ]
        self._doubted_ns = {doubt: self._doubted_ns.get(doubt, now_ns) for doubt in doubts}

    async def run(self) -> None:
        """Asks, for ever, while anything is uncertain. Runs beside a connection."""
        account = self._account
        wait_s = FIRST_WAIT_S
        while True:
            if not account.tracker.uncertain:
                self._wake.clear()
                await self._wake.wait()
                wait_s = FIRST_WAIT_S
            self._note()
            await account.clock.sleep(wait_s)
            wait_s = min(2 * wait_s, LAST_WAIT_S)
            await self.once()

    async def once(self) -> bool:
        """Asks once for every uncertain order; whether all that can be known is."""
        account = self._account
        self._note()
        for order in list(account.tracker.uncertain.values()):
            if order.order_id in account.tracker.uncertain:
                await self.ask(order)
        provable = account.broker.capabilities.absence_after_ms is not None
        return not (account.tracker.uncertain and provable)

    async def ask(self, order: Order) -> None:
        """Asks for one order, and takes the answer as the evidence that it is."""
        account = self._account
        asked_ns = account.clock.monotonic_ns()
        try:
            result: FindResult = await account.broker.find_order(order)
        except Exception as error:  # noqa: BLE001 - the port allows none; a failed query is no answer (law 4)
            result = Failed(repr(error))
        self._note_beyond(order, result)
        now = account.tracker.open.get(order.order_id)
        if isinstance(result, Found) and now is not None and _more_filled(result.order, now):
            # Fills come before the state that they made.
            await self._fetch_fills()
            now = account.tracker.open.get(order.order_id)
        if now is None or now.pending != order.pending:
            return  # it moved on meanwhile: the answer is of before
        payloads: list[EventPayload] = []
        again = None
        if isinstance(result, Found):
            again = self._found(now, result.order, asked_ns, payloads)
        elif isinstance(result, Absent):
            self._absent(now, asked_ns, payloads)
        account.stage(payloads)
        if again is not None:
            await self._cancel_again(again)

    def _note_beyond(self, order: Order, result: FindResult) -> None:
        """Remembers whether the broker can tell of it at all."""
        beyond = self._account.beyond_proof
        beyond.discard(order.order_id)
        if isinstance(result, Failed) and result.for_good:
            beyond &= set(self._account.tracker.uncertain)
            beyond.add(order.order_id)

    def _absence_counts(self, order: Order, kind: PendingActionKind, asked_ns: int) -> bool:
        """Whether a complete query that began at `asked_ns` would show what was sent of this kind."""
        after_ms = self._account.broker.capabilities.absence_after_ms
        action = order.action(kind)
        if after_ms is None or action is None:
            return False
        doubted_ns = self._doubted_ns.get((order.order_id, kind, action.since_ns))
        return doubted_ns is not None and asked_ns - doubted_ns >= after_ms * NS_PER_MS

    def _found(
        self, order: Order, shown: VenueOrder, asked_ns: int, payloads: list[EventPayload]
    ) -> Order | None:
        """Takes what the venue shows of `order`; gives the order where its cancel is to be sent again."""
        account = self._account
        if shown.symbol != order.spec.symbol or shown.side != order.spec.side:
            self._contradicts(order, shown, "the venue shows another order under its id")
            return None
        if order.origin is OrderOrigin.EXTERNAL:
            self._external(order, shown, payloads)
            return None
        order = self._renewed(order, shown, payloads)
        if _more_filled(shown, order):
            self._short(order, shown)
            return None
        self._suspects.pop(order.order_id, None)
        if shown.state in (OrderState.NEW, OrderState.PARTIALLY_FILLED):
            order = account.tracker.acknowledged(order, shown.broker_order_id, payloads)
            return self._works(order, shown, asked_ns, payloads)
        if shown.state is OrderState.FILLED and shown.quantity >= order.quantity:
            self._short(order, shown)
            return None
        if shown.state is OrderState.FILLED:
            # All of it is filled: the venue had cut its total, and the report of that was lost.
            report = OrderReport(
                OrderEventType.REPLACED,
                order.client_order_id,
                shown.broker_order_id,
                shown.update_time_ns,
                message="the venue shows it with this total",
                quantity=shown.quantity,
            )
            payloads.extend(account.tracker.apply((report,)))
            return None
        rejected = shown.state is OrderState.REJECTED and not order.cum_quantity
        report = OrderReport(
            OrderEventType.REJECTED if rejected else ENDS.get(shown.state, OrderEventType.CANCELED),
            order.client_order_id,
            shown.broker_order_id,
            shown.update_time_ns,
            shown.reason,
            shown.message,
        )
        payloads.extend(account.tracker.apply((report,)))
        return None

    async def ask_generation(self, order: Order) -> None:
        """Asks which generation of `order` the venue has. Raises a `BrokerError` where it does not answer."""
        account = self._account
        result = await account.broker.find_order(order)
        if isinstance(result, Failed):
            raise TemporaryConnectionError(result.message)
        now = account.tracker.open.get(order.order_id)
        if isinstance(result, Found) and now is not None and now.pending == order.pending:
            payloads: list[EventPayload] = []
            self._renewed(now, result.order, payloads)
            account.stage(payloads)

    def _renewed(self, order: Order, shown: VenueOrder, payloads: list[EventPayload]) -> Order:
        """The order after the replace under way, where the venue shows that it came about: whatever else it shows is
        of that generation."""
        replace = order.action(_REPLACE)
        if replace is None or not _became(shown, replace, order):
            return order
        report = OrderReport(
            OrderEventType.REPLACED, order.client_order_id, shown.broker_order_id, shown.update_time_ns
        )
        payloads.extend(self._account.tracker.apply((report,)))
        return self._account.tracker.latest(order)

    def _external(self, order: Order, shown: VenueOrder, payloads: list[EventPayload]) -> None:
        """An order of others ends by the venue's word; its fills may have been told before it was seen."""
        if shown.state not in (OrderState.NEW, OrderState.PARTIALLY_FILLED):
            order = lifecycle.cancel(order, self._account.clock.now_ns())
            message = f"the venue shows it {shown.state.name}"
            self._account.tracker.moved(OrderEventType.CANCELED, order, payloads, message)

    def _works(
        self, order: Order, shown: VenueOrder, asked_ns: int, payloads: list[EventPayload]
    ) -> Order | None:
        """The venue works it: what of its changes came about?"""
        account = self._account
        replace = order.action(_REPLACE)
        if replace is not None and replace.uncertain and self._absence_counts(order, _REPLACE, asked_ns):
            order = lifecycle.settled(order, _REPLACE, account.clock.now_ns())
            message = "the venue works the order as it was: the replace did not come about"
            order = account.tracker.moved(OrderEventType.RESOLVED, order, payloads, message)
        cancel = order.action(_CANCEL)
        return order if cancel is not None and cancel.uncertain else None

    async def _cancel_again(self, order: Order) -> None:
        """A cancel is safe to repeat, and was asked for."""
        account = self._account
        try:
            outcome = await account.broker.cancel_order(order)
        except Exception as error:  # noqa: BLE001 - unknown, as before
            account.log("broker failed while cancelling", order_id=order.order_id, error=repr(error))
            return
        payloads: list[EventPayload] = []
        payloads.extend(account.tracker.apply(outcome.reports))
        now = account.tracker.open.get(order.order_id)
        action = None if now is None else now.action(_CANCEL)
        if now is not None and action is not None and action.uncertain and isinstance(outcome, Rejected):
            now = lifecycle.refuse(now, _CANCEL, account.clock.now_ns())
            account.tracker.moved(OrderEventType.CANCEL_REJECTED, now, payloads, outcome.message)
        account.stage(payloads)

    def _absent(self, order: Order, asked_ns: int, payloads: list[EventPayload]) -> None:
        account = self._account
        if order.state is OrderState.PENDING_NEW:
            if self._absence_counts(order, _NEW, asked_ns):
                message = (
                    "the broker never had it: a complete query after the time that it needs does not show it"
                )
                account.tracker.rejected(order, ErrorReason.NOT_SENT, message, payloads)
            return
        # It was at the venue once, by the venue's own word, and how it ended is not known.
        message = "the venue no longer shows the order, and how it ended is not known"
        if self._seen_twice(order, message):
            self._contradicts(order, None, message)

    def _short(self, order: Order, shown: VenueOrder) -> None:
        """The venue says that more is filled than it has told fills of: twice the same word is a disagreement."""
        said = f"filled {format_decimal(shown.cum_quantity)} of {format_decimal(shown.quantity)}, {shown.state.name}"
        if self._seen_twice(order, said):
            self._contradicts(order, shown, "the venue shows more filled than it tells fills of")

    def _seen_twice(self, order: Order, said: str) -> bool:
        """Whether the same was seen before, a quiet period ago: a single reading may be one of a moment."""
        now_ns = self._account.clock.monotonic_ns()
        before, since_ns = self._suspects.get(order.order_id, ("", now_ns))
        if before != said:
            open_orders = self._account.tracker.open
            self._suspects = {name: seen for name, seen in self._suspects.items() if name in open_orders}
            self._suspects[order.order_id] = said, now_ns
            return False
        return now_ns - since_ns >= self._account.policy.quiet_period_ns

    def _contradicts(self, order: Order, shown: VenueOrder | None, message: str) -> None:
        account = self._account
        if any(found.order_id == order.order_id for found in account.control.discrepancies.values()):
            return
        account.disagree(
            Discrepancy(
                discrepancy_id=account.journal.next_discrepancy_id(account.account_id),
                account_id=account.account_id,
                symbol=order.spec.symbol,
                order_id=order.order_id,
                expected=f"{order.state.name}, filled {format_decimal(order.cum_quantity)}",
                actual="nothing" if shown is None else _shown(shown),
                message=message,
                detect_time_ns=account.clock.now_ns(),
            )
        )

    async def until_known(self) -> None:
        """Asks until everything that can be proven is, at the pace of `run`: before an account is served. Returns at
        once where nothing is uncertain."""
        wait_s = FIRST_WAIT_S
        while not await self.once():
            uncertain = self._account.tracker.uncertain
            if all(
                self._disputed(order) or name in self._account.beyond_proof
                for name, order in uncertain.items()
            ):
                return
            await self._account.clock.sleep(wait_s)
            wait_s = min(2 * wait_s, LAST_WAIT_S)

    def _disputed(self, order: Order) -> bool:
        return any(found.order_id == order.order_id for found in self._account.control.discrepancies.values())


def _shown(shown: VenueOrder) -> str:
    filled = format_decimal(shown.cum_quantity)
    return f"{shown.symbol} {shown.side.name} {shown.state.name}, filled {filled}"


def _more_filled(shown: VenueOrder, order: Order) -> bool:
    return order.origin is not OrderOrigin.EXTERNAL and shown.cum_quantity > order.cum_quantity


def _became(shown: VenueOrder, replace: PendingAction, order: Order) -> bool:
    """Whether the venue shows what the replace asked for."""
    spec: OrderSpec = order.spec if replace.replacement is None else replace.replacement
    quantity = order.quantity if spec.quantity is None else spec.quantity
    return (
        shown.quantity == quantity
        and shown.limit_price == spec.limit_price
        and shown.stop_price == spec.stop_price
        and (
            shown.broker_order_id != order.broker_order_id
            or (order.quantity, order.spec.limit_price, order.spec.stop_price)
            != (quantity, spec.limit_price, spec.stop_price)
        )
    )
