"""Orders, changes and cancels on their way to TWS. Each ends Accepted, Rejected or Unknown and raises nothing: only the
venue's definite word, or that nothing was sent, is a rejection (laws 2 and 3). A frame is sent once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from brokergate.adapters.context import BrokerContext
from brokergate.adapters.ibkr.abilities import refusal
from brokergate.adapters.ibkr.contracts import Contracts, Listed
from brokergate.adapters.ibkr.desk import Desk
from brokergate.adapters.ibkr.errors import Meaning, Means
from brokergate.adapters.ibkr.frames import WhatIf
from brokergate.adapters.ibkr.known import Known, Verdict
from brokergate.adapters.ibkr.line import Line
from brokergate.adapters.ibkr.lookups import Lookups
from brokergate.adapters.ibkr.orders import IbOrder, attributes, linked, written
from brokergate.domain.errors import (
    BrokerError,
    DuplicateOrderError,
    ErrorReason,
    GatewayError,
    NotSent,
    RateLimitError,
)
from brokergate.domain.instruments import Instrument
from brokergate.domain.money import ZERO, add, is_multiple, subtract
from brokergate.domain.orders import ENDED, Order, OrderOrigin, OrderSpec
from brokergate.domain.values import changed
from brokergate.ports.broker import (
    Absent,
    Accepted,
    Failed,
    Found,
    OrderGroup,
    Outcome,
    Rejected,
    ReplaceCommand,
    Unknown,
)
from brokergate.resilience.lanes import Lane

MANY = 10
"""Cancels from which on all of them are asked for at once, where nothing else is open."""
SKIPS = (1, 10, 100, 1_000, 10_000)
"""How far the next order id is put forward where TWS says that one was used before: it forgets which it gave out, and
says so of one after the other."""


class Commands:
    """Commands on the orders of one account."""

    def __init__(
        self, line: Line, desk: Desk, lookups: Lookups, contracts: Contracts, context: BrokerContext
    ) -> None:
        self._line = line
        self._desk = desk
        self._lookups = lookups
        self._contracts = contracts
        self._context = context
        self._timeout_s = line.settings.timeout_s

    # Placing

    def refusal(self, spec: OrderSpec, *, linked: bool = False) -> Rejected | None:
        """What the rules have against an order, as far as they are known here."""
        listed = self._contracts.get(spec.symbol)
        if listed is None:
            problem = f"{spec.symbol!r} is not among the account's instruments; add it to ibkr.instruments"
            return Rejected(ErrorReason.INSTRUMENT_NOT_FOUND, problem)
        against = _off_lot(spec, listed.instrument)
        if against is None and (found := refusal(spec, listed, linked=linked)) is not None:
            against = Rejected(*found)
        return against

    async def place_all(self, orders: Sequence[Order]) -> Sequence[Outcome]:
        """Places several, in their order."""
        # Each waits for its turn in the first step of its task.
        return await asyncio.gather(*(self.place(order) for order in orders))

    async def place(self, order: Order) -> Outcome:
        """Places one order."""
        if (against := self.refusal(order.spec)) is not None:
            return against
        listed = self._contracts.get(order.spec.symbol)
        assert listed is not None
        try:
            wanted = self._written(order, listed)
        except ValueError as error:
            return Rejected(ErrorReason.INVALID_FIELD, str(error))
        lane = Lane.CLOSE if order.spec.reduce_only else Lane.NEW
        for skip in SKIPS:
            verdict = await self._place(order, listed, wanted, lane)
            if not isinstance(verdict, Meaning) or not isinstance(verdict.error, DuplicateOrderError):
                return verdict if not isinstance(verdict, Meaning) else _refused(verdict)
            # The order that has the id may be this very one: only where it is not is it sent under another.
            found = await self._lookups.find(order)
            if isinstance(found, Found):
                return Accepted(found.order.broker_order_id)
            if not isinstance(found, Absent):
                return Unknown(f"{verdict.error}; and what has it is not known: {found.message}")
            self._line.skip_ids(self._line.take_id() + skip)
        return Rejected(ErrorReason.BROKER_REJECTED, "TWS says of every order id that it was used before")

    async def _place(self, order: Order, listed: Listed, wanted: IbOrder, lane: Lane) -> Outcome | Meaning:
        try:
            await self._turn(lane, "an order")
            known = self._desk.placed(order, self._line.take_id())
            self._line.place(known.order_id, listed.contract, wanted)
        except (NotSent, RateLimitError) as error:
            return self._not_sent(error)
        answer = await self._outcome(known, known.placing)
        if isinstance(answer, Meaning) and answer.means is Means.ASK:
            # The id is another order's.
            self._desk.forget(known)
        return answer

    async def _turn(self, lane: Lane, what: str) -> None:
        """As the line's; and nothing is sent that TWS would keep back until nobody knows when. Raises `NotSent`, and
        `RateLimitError`."""
        await self._line.turn(lane, what)
        if away := self._line.away:
            raise NotSent(f"TWS has lost its connection to its venue, and nothing was sent ({away})")

    def _written(self, order: Order, listed: Listed) -> IbOrder:
        """The order as TWS takes it. `ValueError` for a number that its protocol cannot carry."""
        reference = self._desk.reference(order)
        wanted = written(order.spec, order.quantity, listed, reference, self._desk.account)
        attributes(wanted)
        return wanted

    async def _outcome(self, known: Known, waiting: asyncio.Future[Verdict] | None) -> Outcome | Meaning:
        """What becomes of a command that was sent."""
        assert waiting is not None
        try:
            async with asyncio.timeout(self._timeout_s):
                verdict = await waiting
        except TimeoutError:
            return Unknown(f"TWS did not answer in {self._timeout_s:g} s")
        except BrokerError as error:
            return Unknown(str(error))
        if verdict is None:
            return Accepted(str(known.perm_id or ""))
        self._context.metrics.record_error(verdict.error)
        return verdict

    def _not_sent(self, error: BrokerError) -> Rejected:
        self._context.metrics.record_error(error)
        return Rejected(ErrorReason.NOT_SENT, str(error))

    async def what_if(self, spec: OrderSpec, quantity: Decimal, listed: Listed) -> WhatIf:
        """What an order would do, by TWS's word. Raises a `BrokerError`, and a GatewayError for one that its protocol
        cannot carry."""
        wanted = written(spec, quantity, listed, "", self._desk.account)
        try:
            attributes(wanted)
        except ValueError as error:
            raise GatewayError(ErrorReason.INVALID_FIELD, str(error)) from None
        return await self._line.ask.what_if(listed.contract, replace(wanted, what_if=True))

    # Groups

    async def place_group(self, group: OrderGroup) -> Sequence[Outcome]:
        """Places linked orders in one step. Where TWS refuses one of them the others are cancelled."""
        orders = group.orders
        for order in orders:
            if (against := self.refusal(order.spec, linked=True)) is not None:
                return [against for _ in orders]
        listed = self._contracts.get(orders[0].spec.symbol)
        assert listed is not None
        try:
            wanted = [self._written(order, listed) for order in orders]
            for _ in orders:
                await self._turn(Lane.NEW, "a group of orders")
        except ValueError as error:
            return [Rejected(ErrorReason.INVALID_FIELD, str(error)) for _ in orders]
        except (NotSent, RateLimitError) as error:
            return [self._not_sent(error) for _ in orders]
        known = [self._desk.placed(order, self._line.take_id()) for order in orders]
        legs = linked(group.kind, wanted, [each.order_id for each in known])
        for index, leg in enumerate(legs):
            try:
                self._line.place(leg.order_id, listed.contract, leg)
            except NotSent as error:
                if not index:
                    return [self._not_sent(error) for _ in orders]
                break
        outcomes = [asyncio.create_task(self._leg(each)) for each in known]
        for first in asyncio.as_completed(outcomes):
            if isinstance(await first, Rejected):
                # The others wait at TWS for the one that is not there.
                await self._undo(known)
                break
        return await asyncio.gather(*outcomes)

    async def _leg(self, known: Known) -> Outcome:
        """What becomes of one order of a group."""
        answer = await self._outcome(known, known.placing)
        return _refused(answer) if isinstance(answer, Meaning) else answer

    async def _undo(self, legs: Sequence[Known]) -> None:
        """Takes back what TWS took of a group that it did not take whole."""
        await asyncio.gather(*(self._cancel(known, Lane.CANCEL) for known in legs if not known.ended))

    # Changes

    async def replace(self, command: ReplaceCommand) -> Outcome:
        """Asks for a change: the order again, under its id. It came about when TWS shows the order so."""
        order = command.order
        spec = changed(command.spec, quantity=command.quantity)
        if (against := self.refusal(spec)) is not None:
            return against
        if command.quantity <= order.cum_quantity:
            return Rejected(ErrorReason.REPLACE_BELOW_FILLED, f"{order.cum_quantity} is filled already")
        known = await self._known(order, shown=True)
        if not isinstance(known, Known):
            return known
        # What shows an earlier one from here on would be taken for this one.
        known.given_up = None
        listed = self._contracts.get(spec.symbol)
        assert listed is not None
        try:
            total = add(command.quantity, _unseen(order, known))
            wanted = self._written(changed(order, spec=spec, quantity=total), listed)
            await self._turn(Lane.NEW, "a change of an order")
            # Meanwhile it may have filled, or ended: its id is then nobody's, or another's.
            if not self._desk.works(known):
                return await self._missing(order)
            shown = known.shown
            assert shown is not None
            if total <= shown.filled:
                return Rejected(ErrorReason.REPLACE_BELOW_FILLED, f"{shown.filled} is filled already")
            if known.changing is not None:
                return Rejected(ErrorReason.REPLACE_PENDING, "another change of the order is under way")
            wanted = _relinked(wanted, shown.order)
            waiting: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
            self._line.place(known.order_id, listed.contract, wanted)
        except ValueError as error:
            return Rejected(ErrorReason.INVALID_FIELD, str(error))
        except (NotSent, RateLimitError) as error:
            return self._not_sent(error)
        known.changing = wanted, waiting
        answer = await self._outcome(known, waiting)
        known.changing = None
        if isinstance(answer, Unknown):
            known.given_up = wanted
        if not isinstance(answer, Meaning):
            return answer
        return _refused(answer) if answer.means is Means.KEPT else await self._looked_at(order, answer)

    async def _known(self, order: Order, *, shown: bool = False) -> Known | Outcome:
        """The order as this connection knows it; `shown`: with all that TWS shows of it. One that another client placed
        is not this one's to change: TWS knows it by an id that is the other's."""
        known = self._desk.find(order)
        if known is None or (shown and known.shown is None):
            try:
                await self._line.ask.open_orders()
            except (NotSent, RateLimitError) as error:
                return self._not_sent(error)
            except BrokerError as error:
                return Rejected(
                    ErrorReason.NOT_SENT, f"nothing was sent, since the order was not found: {error}"
                )
            known = self._desk.find(order)
        if known is None or (shown and known.shown is None):
            return await self._missing(order)
        if self._desk.is_own(known):
            return known
        where = (
            f"by the client id {known.client_id}, and TWS lets no other change it"
            if known.order_id
            else "in TWS itself, which lets no program change it"
        )
        return Rejected(
            ErrorReason.UNSUPPORTED, f"the order was placed {where}; cancel it there, or all orders at once"
        )

    async def _missing(self, order: Order) -> Outcome:
        """Why an order is not among those that work."""
        found = await self._lookups.find(order)
        if isinstance(found, Found) and found.order.state in ENDED:
            return Rejected(ErrorReason.ORDER_ENDED, f"the order has ended: {found.order.state.name}")
        if isinstance(found, Absent):
            return Rejected(ErrorReason.ORDER_NOT_FOUND, "TWS does not have the order")
        message = found.message if isinstance(found, Failed) else "TWS shows the order only now"
        return Rejected(ErrorReason.NOT_SENT, f"nothing was sent, since the order was not found: {message}")

    # Cancels

    async def cancel(self, order: Order, lane: Lane = Lane.CANCEL) -> Outcome:
        """Asks for a cancel. TWS's yes says that it is under way; the order's status tells the end."""
        known = await self._known(order)
        if not isinstance(known, Known):
            return known
        answer = await self._cancel(known, lane)
        if answer is None:
            return await self._missing(order)
        if not isinstance(answer, Meaning):
            return answer
        return _refused(answer) if answer.means is Means.KEPT else await self._looked_at(order, answer)

    async def _cancel(self, known: Known, lane: Lane) -> Outcome | Meaning | None:
        """None where it ended while the cancel waited for its turn, and nothing was sent."""
        try:
            await self._line.turn(lane, "a cancel")
            if not self._desk.works(known):
                return None
            self._line.send("cancelOrder", known.order_id)
        except (NotSent, RateLimitError) as error:
            return self._not_sent(error)
        known.cancelling = asyncio.get_running_loop().create_future()
        return await self._outcome(known, known.cancelling)

    async def _looked_at(self, order: Order, said: Meaning) -> Outcome:
        """What a doubtful answer to a change or a cancel comes to: the order is looked at."""
        found = await self._lookups.find(order)
        if isinstance(found, Absent):
            return Rejected(ErrorReason.ORDER_NOT_FOUND, str(said.error))
        if not isinstance(found, Found):
            return Unknown(f"{said.error}; and the order cannot be looked at: {found.message}")
        if found.order.state in ENDED:
            return Rejected(ErrorReason.ORDER_ENDED, f"the order has ended: {found.order.state.name}")
        if said.means is Means.UNLISTED:
            return Unknown(str(said.error))
        return Rejected(ErrorReason.BROKER_REJECTED, str(said.error))

    async def cancel_all(self, orders: Sequence[Order]) -> Sequence[Outcome]:
        """Cancels several: one by one; or, where they are many or others placed some, and they are all that is open for
        the login, in one message."""
        lane = Lane.CANCEL_EMERGENCY
        known = [self._desk.find(order) for order in orders]
        foreign = any(each is not None and not self._desk.is_own(each) for each in known)
        working: frozenset[str] = frozenset()
        if len(orders) >= MANY or foreign:
            working = await self._cancel_everything(orders, lane)

        async def each(order: Order) -> Outcome:
            if order.broker_order_id in working:
                return Accepted(order.broker_order_id)
            return await self.cancel(order, lane)

        return await asyncio.gather(*(each(order) for order in orders))

    async def _cancel_everything(self, orders: Sequence[Order], lane: Lane) -> frozenset[str]:
        """Cancels all that is open for the login, and gives the numbers of that; nothing, where something else is open,
        or may be: also by what an account that shares the connection has sent meanwhile."""
        before = self._line.orders_sent
        try:
            shown = await self._line.ask.open_orders(lane)
            working = frozenset(str(each.shown.order.perm_id) for each in shown)
            if not working <= {order.broker_order_id for order in orders}:
                return frozenset()
            await self._line.turn(lane, "a cancel of everything")
            if self._line.orders_sent != before:
                return frozenset()
            self._line.send("reqGlobalCancel")
        except BrokerError:
            return frozenset()
        return working


def _off_lot(spec: OrderSpec, instrument: Instrument) -> Rejected | None:
    lot, quantity = instrument.quantity_increment, spec.quantity
    if quantity is None:
        return Rejected(ErrorReason.UNSUPPORTED, "Interactive Brokers takes quantities, no amounts of money")
    if not is_multiple(quantity, lot):
        problem = f"{quantity} is not a multiple of {spec.symbol}'s quantity_increment {lot}"
        return Rejected(ErrorReason.QUANTITY_OFF_LOT, problem)
    if quantity < instrument.min_quantity:
        problem = f"{quantity} is below {spec.symbol}'s min_quantity {instrument.min_quantity}"
        return Rejected(ErrorReason.QUANTITY_OUT_OF_RANGE, problem)
    return None


def _refused(verdict: Meaning) -> Outcome:
    """Of a command that TWS said something to."""
    if verdict.means in (Means.REFUSED, Means.KEPT):
        return Rejected(verdict.reason, str(verdict.error))
    return Unknown(str(verdict.error))


def _unseen(order: Order, known: Known) -> Decimal:
    """What TWS counts of an order of others and the gateway does not: what had filled before it was seen."""
    if order.origin is not OrderOrigin.EXTERNAL or known.shown is None:
        return ZERO
    return max(subtract(known.shown.order.quantity, order.quantity), ZERO)


def _relinked(wanted: IbOrder, order: IbOrder) -> IbOrder:
    """The order with what links it to others, as TWS shows it: what is left out it takes as taken away."""
    return replace(wanted, oca_group=order.oca_group, oca_type=order.oca_type, parent_id=order.parent_id)
