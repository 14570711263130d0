"""The orders of one account, as TWS tells of them: which of the gateway's each is, where it stands, and what waits for
word of it. No I/O.

What an order is comes from its own messages alone, `openOrder`, `orderStatus` and `execDetails`. A message with an
order's id says why something was refused; it never ends an order that TWS has shown.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal

from brokergate.adapters.connection.ids import VenueIds
from brokergate.adapters.connection.outbox import Outbox
from brokergate.adapters.ibkr import frames
from brokergate.adapters.ibkr.contracts import Contracts
from brokergate.adapters.ibkr.errors import Asked, Meaning, Means, meaning
from brokergate.adapters.ibkr.executions import Executions
from brokergate.adapters.ibkr.frames import Frame
from brokergate.adapters.ibkr.known import Known
from brokergate.adapters.ibkr.orders import INACTIVE, MAX_REF_LENGTH, IbOrder, IbShown, state
from brokergate.domain.errors import BrokerError, ErrorReason, UnknownOrderError
from brokergate.domain.events import OrderEventType
from brokergate.domain.orders import ENDED, Order, OrderState
from brokergate.ports.broker import OrderReport
from brokergate.ports.clock import Clock

REMEMBERED = 65_536
"""Ended orders whose names are kept for what may still come of them."""
TAKEN = frozenset({"PreSubmitted", "Submitted", "Filled", "PendingCancel", "Cancelled", "ApiCancelled"})
"""Statuses by which TWS, or who it sends to, has the order. (`PendingSubmit` and `ApiPending`: it is on its way.)"""
LEAVING = frozenset({"PendingCancel", "Cancelled", "ApiCancelled"})
GROUPS = 4_096
"""Orders and groups that have ended, of which it is kept that they have."""
RUN_OUT = frozenset({"DAY", "GTD"})
"""Times in force that end by themselves."""
_ENDS = {
    OrderState.CANCELED: OrderEventType.CANCELED,
    OrderState.EXPIRED: OrderEventType.EXPIRED,
    OrderState.REJECTED: OrderEventType.REJECTED,
}
R = ErrorReason


class Desk:
    """See the module. `doubted` is called for an order that TWS has to be asked for."""

    def __init__(
        self,
        account_id: str,
        client_id: int,
        contracts: Contracts,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self.ids = VenueIds(account_id, MAX_REF_LENGTH)
        self.account = ""
        """TWS's name of the account, once it is known."""
        self.outbox = Outbox()
        self.executions = Executions(contracts, self.client_id_of, rng)
        self.on_doubt: Callable[[Known], None] = lambda known: None
        """Called for an order of which something was said that does not say how it stands."""
        self.on_end: Callable[[Known], None] = lambda known: self.tell_end(known, OrderState.CANCELED)
        """Called for one that TWS says is cancelled, and that nobody cancelled here; it calls `tell_end`."""
        self._client_id = client_id
        self._clock = clock
        self._by_id: dict[tuple[int, int], Known] = {}
        self._by_perm: dict[int, Known] = {}
        self._by_name: dict[str, Known] = {}
        self._names: dict[int, str] = {}
        self._over: dict[str | int, None] = {}
        """Groups (OCA), and entries of brackets by their order id, of which an order has ended."""

    # Names

    def load(self, orders: Sequence[Order]) -> None:
        """Learns what the journal has open, and forgets what an earlier connection called by ids of its own."""
        self.outbox = Outbox()
        self._by_id.clear()
        self._by_perm.clear()
        self._by_name.clear()
        self._over.clear()
        self.ids.load(orders)
        for order in orders:
            if order.client_order_id and order.broker_order_id.isdecimal():
                self._name(int(order.broker_order_id), order.client_order_id)

    def reference(self, order: Order) -> str:
        """What the order is called at TWS, in every generation."""
        return self.ids.venue_id(order.client_order_id, 1)

    def client_id_of(self, reference: str, perm_id: int) -> str:
        """The gateway's client order id; empty for an order of others."""
        own = self.ids.client_id(reference)
        return own[0] if own is not None else self._names.get(perm_id, "")

    def _name(self, perm_id: int, client_order_id: str) -> None:
        self._names[perm_id] = client_order_id
        if len(self._names) > REMEMBERED:
            del self._names[next(iter(self._names))]

    # What is sent

    def placed(self, order: Order, order_id: int) -> Known:
        """An order that is about to be sent under this id."""
        known = self._add(self._client_id, order_id, order.client_order_id)
        known.placing = asyncio.get_running_loop().create_future()
        return known

    def find(self, order: Order) -> Known | None:
        """The order, where this connection has seen it."""
        if order.broker_order_id.isdecimal() and (found := self._by_perm.get(int(order.broker_order_id))):
            return found
        return self._by_name.get(order.client_order_id)

    def works(self, known: Known) -> bool:
        """Whether it is one that this connection has, and has not ended: what was found before a wait may not be."""
        return not known.ended and self._by_id.get((known.client_id, known.order_id)) is known

    def is_own(self, known: Known) -> bool:
        """Whether this client id placed it: TWS lets no other change it. One of TWS's own windows has no id."""
        return known.client_id == self._client_id and bool(known.order_id)

    def _told_of(self, client_id: int, order_id: int, perm_id: int) -> Known | None:
        """The order that a message is about: by TWS's own number, and by a client's id only where the number is not
        known yet. Ids come again, and orders of TWS's own windows have none."""
        if perm_id and (found := self._by_perm.get(perm_id)) is not None:
            return found
        found = self._by_id.get((client_id, order_id))
        return found if found is not None and (not perm_id or not found.perm_id) else None

    def _add(self, client_id: int, order_id: int, client_order_id: str) -> Known:
        known = Known(client_id, order_id, client_order_id)
        if order_id:
            self._by_id[client_id, order_id] = known
        if client_order_id:
            self._by_name[client_order_id] = known
        return known

    # What is heard

    def hear(self, frame: Frame) -> None:
        """Takes a message of TWS."""
        if isinstance(frame, frames.OrderShown):
            self._order(frame.shown)
        elif isinstance(frame, frames.StatusShown):
            self._status(frame)
        elif isinstance(frame, frames.ExecutionShown):
            self._execution(frame)
        elif isinstance(frame, frames.CommissionShown):
            if (fill := self.executions.paid(frame)) is not None:
                self.outbox.add((fill,))
        elif isinstance(frame, frames.ErrorShown):
            self._error(frame)

    def lost(self, error: BrokerError) -> None:
        """The connection has ended: nobody knows what became of what is under way."""
        for known in self._by_id.values():
            for waiting in (known.placing, known.cancelling, known.changing and known.changing[1]):
                if waiting is not None and not waiting.done():
                    waiting.set_exception(error)
        self.outbox.fail(error)

    def _order(self, shown: IbShown) -> None:
        order = shown.order
        if order.account != self.account:
            return
        known = self._told_of(order.client_id, order.order_id, order.perm_id)
        if known is None:
            if state(shown.status, shown.filled) in ENDED:
                return
            client_order_id = self.client_id_of(order.order_ref, order.perm_id)
            known = self._add(order.client_id, order.order_id, client_order_id)
        self._number(known, order.perm_id)
        filled = known.shown.filled if known.shown is not None else shown.filled
        known.shown = replace(shown, filled=filled)
        self._changed(known, order)
        self._stands(known, shown.status)

    def _changed(self, known: Known, order: IbOrder) -> None:
        """What is new about an order that was told before: the change that was asked for, or the venue's own."""
        asked, waiting = known.changing or (known.given_up, None)
        if asked is not None and _same(asked, order):
            known.changing = known.given_up = None
            self._report(known, OrderEventType.REPLACED)
            known.settle(waiting, None)
            if waiting is None:
                # The gateway may have taken it for one that did not come about.
                self._report(
                    known, OrderEventType.REPLACED, "TWS shows it with this total", quantity=order.quantity
                )
        elif known.told is not None and known.changing is None and known.told.quantity != order.quantity:
            message = "TWS changed its quantity: one of its group filled"
            self._report(known, OrderEventType.REPLACED, message, quantity=order.quantity)
        known.told = order

    def _status(self, frame: frames.StatusShown) -> None:
        known = self._told_of(frame.client_id, frame.order_id, frame.perm_id)
        if known is None:
            return
        self._number(known, frame.perm_id)
        if known.shown is not None:
            known.shown = replace(known.shown, status=frame.status, filled=frame.filled)
        self._stands(known, frame.status)

    def _number(self, known: Known, perm_id: int) -> None:
        if perm_id and known.perm_id != perm_id:
            known.perm_id = perm_id
            self._by_perm[perm_id] = known
            if known.client_order_id:
                self._name(perm_id, known.client_order_id)

    def _stands(self, known: Known, status: str) -> None:
        """What a status proves."""
        if status in TAKEN and known.perm_id and not known.acknowledged:
            known.acknowledged = True
            self._report(known, OrderEventType.ACKNOWLEDGED)
            known.settle(known.placing, None)
        if status in LEAVING:
            known.settle(known.cancelling, None)
        if status == INACTIVE and known.refused is not None and not known.ended:
            self._reject(known, known.refused)
        filled = known.shown.filled if known.shown is not None else None
        proven = None if filled is None else state(status, filled)
        if proven is OrderState.FILLED:
            known.ended = True
            self.forget(known)
        elif proven is OrderState.CANCELED and not known.ended:
            known.ended = True
            self._canceled(known)
            self.forget(known)

    def _canceled(self, known: Known) -> None:
        """TWS has one word for an order that was cancelled, that could not be filled at once, and that ran out."""
        shown = known.shown
        assert shown is not None
        if shown.order.tif == "FOK" and not shown.filled:
            self.tell_end(known, OrderState.CANCELED, "not all of it could be filled at once", R.NOT_FILLABLE)
        elif known.cancelling is None and self._left_behind(known, shown.order):
            self.tell_end(known, OrderState.CANCELED, "another order of its group has ended", R.LINKED_ORDER)
        elif known.cancelling is None and known.refused is None and shown.order.tif in RUN_OUT:
            self.on_end(known)
        else:
            why = known.refused
            message = "" if why is None else str(why.error)
            self.tell_end(known, OrderState.CANCELED, message, R.UNSPECIFIED if why is None else why.reason)

    def _left_behind(self, known: Known, order: IbOrder) -> bool:
        """Whether an order of its group has ended before it."""
        entry = order.parent_id if known.client_id == self._client_id else 0
        return order.oca_group in self._over or entry in self._over

    def ended(self, known: Known, proven: OrderState, reason: ErrorReason, message: str) -> None:
        """TWS, when it was asked, shows that an order has ended: FILLED its executions tell."""
        if known.ended:
            return
        known.ended = True
        if proven is not OrderState.FILLED:
            self.tell_end(known, proven, message, reason)
        self.forget(known)

    def tell_end(
        self,
        known: Known,
        proven: OrderState,
        message: str = "",
        reason: ErrorReason = ErrorReason.UNSPECIFIED,
    ) -> None:
        """Tells how an order ended."""
        self._report(known, _ENDS[proven], message, reason)

    def _reject(self, known: Known, refused: Meaning) -> None:
        """The venue refused an order that TWS had shown already, or is being placed."""
        known.ended = True
        if known.placing is not None and not known.placing.done():
            known.settle(known.placing, refused)
        else:
            filled = known.shown is not None and bool(known.shown.filled)
            proven = OrderState.CANCELED if filled else OrderState.REJECTED
            self.tell_end(known, proven, str(refused.error), refused.reason)
        self.forget(known)

    def forget(self, known: Known) -> None:
        """An order that has ended is known by its number and its name alone."""
        if known.shown is not None:
            group = known.shown.order.oca_group
            entry = [known.order_id] if self.is_own(known) else []
            self._remember_end(*entry, *([group] if group else []))
        if self._by_id.get((known.client_id, known.order_id)) is known:
            del self._by_id[known.client_id, known.order_id]
        self._by_perm.pop(known.perm_id, None)
        if self._by_name.get(known.client_order_id) is known:
            del self._by_name[known.client_order_id]
        over = Meaning(Means.ASK, UnknownOrderError("the order has ended"), ErrorReason.ORDER_ENDED)
        known.settle(known.cancelling, over)
        if known.changing is not None:
            known.settle(known.changing[1], over)

    def _remember_end(self, *names: str | int) -> None:
        for name in names:
            self._over[name] = None
        while len(self._over) > GROUPS:
            del self._over[next(iter(self._over))]

    def _report(
        self,
        known: Known,
        event: OrderEventType,
        message: str = "",
        reason: ErrorReason = R.UNSPECIFIED,
        quantity: Decimal | None = None,
    ) -> None:
        if not known.client_order_id and event is OrderEventType.ACKNOWLEDGED:
            return
        number, now_ns = str(known.perm_id or ""), self._clock.now_ns()
        self.outbox.add(
            (OrderReport(event, known.client_order_id, number, now_ns, reason, message, quantity),)
        )

    def _execution(self, shown: frames.ExecutionShown) -> None:
        if shown.account != self.account:
            return
        known = self._told_of(shown.client_id, shown.order_id, shown.perm_id)
        if known is not None:
            self._number(known, shown.perm_id)
            if not known.acknowledged:
                known.acknowledged = True
                known.settle(known.placing, None)
        if (fill := self.executions.told(shown)) is not None:
            self.outbox.add((fill,))

    # What is refused

    def _error(self, frame: frames.ErrorShown) -> None:
        known = self._by_id.get((self._client_id, frame.request_id))
        if known is None:
            return
        asked = known.asked(frame.code)
        means = meaning(frame.code, frame.text, asked, acknowledged=known.acknowledged)
        if means.means is Means.REFUSED:
            known.refused = means
            if known.placing is not None:
                self._reject(known, means)
        elif means.means is Means.KEPT and known.changing is not None:
            waiting, known.changing = known.changing[1], None
            known.settle(waiting, means)
        elif means.means is Means.KEPT:
            known.settle(known.cancelling, means)
        elif means.means is Means.CANCELLED:
            known.settle(known.cancelling, None)
        elif means.means in (Means.ASK, Means.UNLISTED, Means.THROTTLED):
            self._doubt(known, frame, means, asked)

    def _doubt(self, known: Known, frame: frames.ErrorShown, means: Meaning, asked: Asked) -> None:
        """Nobody knows what it means for the order, which stays as it is; whoever waits is told so, and TWS asked."""
        if asked is Asked.CANCEL:
            known.settle(known.cancelling, means)
        elif asked is Asked.CHANGE and known.changing is not None:
            waiting, known.changing = known.changing[1], None
            known.settle(waiting, means)
        elif known.placing is not None and not known.placing.done():
            known.settle(known.placing, means)
        else:
            late = meaning(frame.code, frame.text, Asked.ORDER, acknowledged=False)
            if late.refused:
                # TWS refuses an order that it had shown; its status says whether that ends it.
                known.refused = late
            self.on_doubt(known)


def _same(wanted: IbOrder, shown: IbOrder) -> bool:
    """Whether TWS shows what was asked for."""
    return (wanted.quantity, wanted.limit_price, wanted.trailing_percent) == (
        shown.quantity,
        shown.limit_price if wanted.limit_price is not None else None,
        shown.trailing_percent if wanted.trailing_percent is not None else None,
    ) and (wanted.aux_price is None or wanted.aux_price == shown.aux_price)
