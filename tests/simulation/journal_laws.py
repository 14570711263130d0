"""What must hold of every commit of the journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from brokergate.domain.accounts import BrokerBalance, BrokerPosition, LedgerEntry
from brokergate.domain.events import ControlEventType
from brokergate.domain.events import OrderEventType as E
from brokergate.domain.fills import Fill, FillKind
from brokergate.domain.instruments import Instrument
from brokergate.domain.lifecycle import TRANSITIONS
from brokergate.domain.money import ZERO, add, multiply, subtract
from brokergate.domain.orders import Order, OrderOrigin, OrderState, Side
from brokergate.v1 import event_pb2
from tests.simulation.laws import (
    BOOKED_ONCE,
    EXACT,
    ONE_ORDER,
    ORDERED,
    RISK,
    UNKNOWN_IS_A_STATE,
    AccountTerms,
    Judge,
)
from tests.simulation.truth import AccountTruth, Told, Version, count

_PROVES_THERE = (E.ACKNOWLEDGED, E.TRIGGERED, E.PARTIALLY_FILLED, E.FILLED, E.REPLACED, E.EXPIRED)
_PROVES_ENDED = (OrderState.CANCELED, OrderState.EXPIRED, OrderState.FILLED)


class Sums:
    """What some fills come to."""

    __slots__ = ("notional", "quantity")

    def __init__(self) -> None:
        self.quantity = ZERO
        self.notional = ZERO
        """Of an order what it paid or got; of an instrument what was sold less what was bought."""


class JournalLaws:
    """Judges every commit, and counts it into the truth."""

    def __init__(self, judge: Judge, instruments: Mapping[str, Instrument]) -> None:
        self._judge = judge
        self._instruments = instruments
        self.sums: dict[tuple[str, str], Sums] = {}
        """By account and symbol."""
        self.cash: dict[tuple[str, str], Decimal] = {}
        """By account and currency: what fills, fees and ledger entries come to."""
        self._of_order: dict[tuple[str, str], Sums] = {}
        self._fill_ids: set[str] = set()

    def reset(self) -> None:
        """The journal lost its tail: all of it is counted anew."""
        self.sums.clear()
        self.cash.clear()
        self._of_order.clear()
        self._fill_ids.clear()

    def check(self, account: AccountTruth, events: Sequence[Told]) -> None:
        """A commit brought `events` to an account."""
        judge, touched = self._judge, dict[str, None]()
        terms = judge.accounts[account.account_id]
        for event in events:
            if event.sequence != account.head + 1:
                judge.fail(ORDERED, f"{account.account_id}: {event.sequence} follows {account.head}")
            if account.events and event.stored_ns < account.events[-1].stored_ns:
                judge.fail(ORDERED, f"{account.account_id}: the time of {event.sequence} goes back")
            payload = event.payload
            if isinstance(payload, Version):
                self._order(account, terms, payload)
                touched[payload.order.order_id] = None
            elif isinstance(payload, Fill):
                self._fill(account, terms, payload)
                touched[payload.order_id] = None
            elif isinstance(payload, LedgerEntry):
                self._pay(account, payload.amount.currency, payload.amount.amount)
            count(account, event)
        for order_id in touched:
            self._sums_of(account, order_id)
        rebased = any(
            isinstance(event.payload, event_pb2.ControlEvent)
            and int(event.payload.type) == ControlEventType.FREEZE_CLEARED
            for event in events
        )
        for event in events:
            if isinstance(event.payload, BrokerPosition):
                if rebased:
                    self._rebase(account, event.payload)
                self._position(account, event.payload)
            elif isinstance(event.payload, BrokerBalance) and terms.venue is None:
                self._balance(account, event.payload)

    # Orders

    def _order(self, account: AccountTruth, terms: AccountTerms, version: Version) -> None:
        judge, order, name = self._judge, version.order, version.event.name
        story = account.orders.get(order.order_id)
        where = f"{account.account_id} {order.client_order_id or order.order_id} {name}"
        first = account.by_client.get(order.client_order_id) if order.client_order_id else None
        if first is not None and first != order.order_id:
            judge.fail(ONE_ORDER, f"{where}: the id is {first}'s, and now {order.order_id}'s too")
        before = story.latest if story else None
        state = before.state if before else OrderState.UNSPECIFIED
        if before is None and version.event not in (E.INTENT, E.EXTERNAL):
            state = OrderState.PENDING_NEW  # intent and outcome share a commit
        if TRANSITIONS.get((state, version.event)) is not order.state:
            judge.fail(ORDERED, f"{where}: {state.name} becomes {order.state.name}")
        leaves = ZERO if order.ended else subtract(order.quantity, order.cum_quantity)
        if order.leaves_quantity != leaves:
            judge.fail(
                EXACT, f"{where}: {order.quantity} - {order.cum_quantity} leaves {order.leaves_quantity}"
            )
        if before is not None:
            kept = ("client_order_id", "account_id", "origin", "create_time_ns")
            for field in kept:
                if getattr(before, field) != getattr(order, field):
                    judge.fail(ONE_ORDER, f"{where}: its {field} changed")
            if order.generation != before.generation + (version.event is E.REPLACED):
                judge.fail(ONE_ORDER, f"{where}: generation {before.generation} becomes {order.generation}")
            if order.cum_quantity < before.cum_quantity:
                judge.fail(BOOKED_ONCE, f"{where}: filled {before.cum_quantity}, then {order.cum_quantity}")
        if order.client_order_id in account.tombstones and order.state is not OrderState.REJECTED:
            judge.fail(ONE_ORDER, f"{where}: the id was set aside, and is {order.state.name}")
        if terms.venue is not None and order.origin is OrderOrigin.GATEWAY:
            self._evidence(account, version, where)
            if version.event is E.INTENT and not order.client_order_id.startswith("stop-"):
                self._risk(account, terms, order, where)

    def _risk(self, account: AccountTruth, terms: AccountTerms, order: Order, where: str) -> None:
        """With every order of its side that has not ended filled to the end, the position stays within its limit."""
        most = terms.most_held.get(order.spec.symbol)
        if most is None:
            return
        sums = self.sums.get((account.account_id, order.spec.symbol), Sums())
        worst = sums.quantity if order.spec.side is Side.BUY else sums.quantity.copy_negate()
        for story in account.orders.values():
            other = story.latest
            if (
                not other.ended
                and other.spec.symbol == order.spec.symbol
                and other.spec.side is order.spec.side
            ):
                worst = add(worst, other.leaves_quantity)
        if add(worst, order.leaves_quantity) > most:
            self._judge.fail(RISK, f"{where}: {order.quantity} more than {worst}, and {most} are the most")

    def _evidence(self, account: AccountTruth, version: Version, where: str) -> None:
        """Only evidence moves an order, and the venue is the evidence."""
        judge, order = self._judge, version.order
        held = judge.held(account.account_id, order.client_order_id)
        there = held is not None and held.state is not OrderState.REJECTED
        story = account.orders.get(order.order_id)
        dispatched = story is not None and story.commit_of(E.DISPATCHED) is not None
        if version.event is E.REJECTED:
            if there:
                judge.fail(UNKNOWN_IS_A_STATE, f"{where} ({version.reason.name}), and the venue has it")
            judge.never_there[account.account_id, order.client_order_id] = version.reason.name
        elif version.event in _PROVES_THERE and not there:
            judge.fail(UNKNOWN_IS_A_STATE, f"{where}, and the venue does not have it")
        if order.state in _PROVES_ENDED and dispatched:
            if held is None:
                judge.fail(UNKNOWN_IS_A_STATE, f"{where}: {order.state.name}, and the venue never had it")
            elif held.open:
                judge.fail(UNKNOWN_IS_A_STATE, f"{where}: {order.state.name}, and it works at the venue")
        if held is not None and order.generation > held.generation:
            judge.fail(
                UNKNOWN_IS_A_STATE, f"{where}: generation {order.generation}, the venue's {held.generation}"
            )

    # Fills and what they come to

    def _fill(self, account: AccountTruth, terms: AccountTerms, fill: Fill) -> None:
        judge = self._judge
        where = f"{account.account_id} {fill.client_order_id or fill.order_id} execution {fill.broker_execution_id}"
        if fill.key in account.fills:
            judge.fail(BOOKED_ONCE, f"{where} is booked twice")
        if fill.fill_id in self._fill_ids:
            judge.fail(BOOKED_ONCE, f"{where}: fill id {fill.fill_id} was used before")
        self._fill_ids.add(fill.fill_id)
        if fill.kind is not FillKind.NORMAL:
            judge.fail(BOOKED_ONCE, f"{where}: is a {fill.kind.name}")
        if terms.venue is not None:
            real = next(
                (
                    each
                    for each in reversed(terms.venue.fills)
                    if each.execution_id == fill.broker_execution_id
                ),
                None,
            )
            if real is None or (real.quantity, real.price, real.side) != (
                fill.quantity,
                fill.price,
                fill.side,
            ):
                judge.fail(BOOKED_ONCE, f"{where} is not what the venue did: {real}")
        notional = multiply(fill.price, fill.quantity)
        if fill.order_id:
            of_order = self._of_order.setdefault((account.account_id, fill.order_id), Sums())
            of_order.quantity = add(of_order.quantity, fill.quantity)
            of_order.notional = add(of_order.notional, notional)
        sums = self.sums.setdefault((account.account_id, fill.symbol), Sums())
        sign = Decimal(1) if fill.side is Side.BUY else Decimal(-1)
        sums.quantity = add(sums.quantity, multiply(sign, fill.quantity))
        sums.notional = subtract(sums.notional, multiply(sign, notional))
        instrument = self._instruments[fill.symbol]
        self._pay(account, instrument.quote_currency, multiply(notional, sign).copy_negate())
        if instrument.base_currency:
            self._pay(account, instrument.base_currency, multiply(sign, fill.quantity))
        for fee in fill.fees:
            self._pay(account, fee.currency, fee.amount.copy_negate())

    def _pay(self, account: AccountTruth, currency: str, amount: Decimal) -> None:
        key = (account.account_id, currency)
        self.cash[key] = add(self.cash.get(key, ZERO), amount)

    def _sums_of(self, account: AccountTruth, order_id: str) -> None:
        story = account.orders.get(order_id)
        if story is None:
            return
        order, fills = story.latest, self._of_order.get((account.account_id, order_id), Sums())
        where = f"{account.account_id} {order.client_order_id or order_id}"
        if order.cum_quantity != fills.quantity:
            self._judge.fail(
                BOOKED_ONCE, f"{where}: filled {order.cum_quantity}, its fills come to {fills.quantity}"
            )
        if order.cum_notional != fills.notional:
            self._judge.fail(EXACT, f"{where}: notional {order.cum_notional}, its fills' {fills.notional}")

    def _position(self, account: AccountTruth, position: BrokerPosition) -> None:
        sums = self.sums.get((account.account_id, position.symbol), Sums())
        where = f"{account.account_id} {position.symbol}"
        if position.quantity != sums.quantity:
            self._judge.fail(EXACT, f"{where}: {position.quantity} held, the fills come to {sums.quantity}")
        if subtract(position.realized_pnl, position.cost) != sums.notional:
            self._judge.fail(EXACT, f"{where}: cost and P&L are not the fills'")

    def _rebase(self, account: AccountTruth, position: BrokerPosition) -> None:
        """A person took the broker's word for what is held: the fills count from there."""
        sums = self.sums.setdefault((account.account_id, position.symbol), Sums())
        sums.quantity = position.quantity
        sums.notional = subtract(position.realized_pnl, position.cost)

    def _balance(self, account: AccountTruth, balance: BrokerBalance) -> None:
        """In process, no commit holds a balance that its fills and ledger entries do not explain."""
        cash = self.cash.get((account.account_id, balance.currency), ZERO)
        if balance.total != cash:
            self._judge.fail(
                EXACT,
                f"{account.account_id} {balance.currency}: {balance.total}, the journal comes to {cash}",
            )
