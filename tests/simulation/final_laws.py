"""What must hold when everything was healed and had its time: the journal, the venue and the readers agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from brokergate.domain.money import ZERO
from brokergate.domain.orders import Order, OrderOrigin, OrderState
from tests.simulation.answer_laws import summary
from tests.simulation.journal_laws import JournalLaws, Sums
from tests.simulation.laws import (
    BOOKED_ONCE,
    EXACT,
    NOTHING_DROPPED,
    ONE_ORDER,
    UNKNOWN_IS_A_STATE,
    Judge,
)
from tests.simulation.reader import Reader
from tests.simulation.truth import AccountTruth
from tests.venue.core import JudgedVenue
from tests.venue.log import held


class FinalLaws:
    """Judges the end of a run."""

    def __init__(self, judge: Judge, journal: JournalLaws) -> None:
        self._judge = judge
        self._journal = journal

    def settled(self) -> bool:
        """Whether nothing is under way any more."""
        return not any(self._unsettled(account) for account in self._judge.truth.accounts.values())

    def _unsettled(self, account: AccountTruth) -> list[Order]:
        provable = self._judge.accounts[account.account_id].absence_provable
        return [
            order
            for story in account.orders.values()
            if not (order := story.latest).ended and order.pending and (provable or not order.uncertain)
        ]

    def check(self, readers: Sequence[Reader]) -> None:
        """The whole of it."""
        judge = self._judge
        for account_id, terms in judge.accounts.items():
            account = judge.truth.account(account_id)
            for order in self._unsettled(account):
                judge.fail(
                    UNKNOWN_IS_A_STATE, f"{account_id} {order.client_order_id}: never known: {summary(order)}"
                )
            for (owner, name), order_id in judge.acknowledged.items():
                if owner == account_id and account.by_client.get(name) != order_id:
                    judge.fail(ONE_ORDER, f"{account_id} {name}: acknowledged as {order_id}, and is lost")
            if terms.venue is not None:
                self._orders(account, terms.venue)
                self._fills(account, terms.venue)
        for reader in readers:
            for account_id, position in reader.after.items():
                for event in judge.truth.account(account_id).events[position:]:
                    if reader.cursor is not None and reader.wants(event.kind):
                        judge.fail(
                            NOTHING_DROPPED, f"{reader.name} {account_id}: {event.sequence} never came"
                        )

    def _orders(self, account: AccountTruth, venue: JudgedVenue) -> None:
        judge = self._judge
        twice = Counter(
            each.client_order_id for each in venue.orders if each.state is not OrderState.REJECTED
        )
        for name, count in twice.items():
            if name and count > 1:
                judge.fail(ONE_ORDER, f"{account.account_id} {name}: the venue has {count} orders of it")
            if name and name not in account.by_client:
                judge.fail(ONE_ORDER, f"{account.account_id} {name}: at the venue, and not in the journal")
        for story in account.orders.values():
            order = story.latest
            if order.origin is not OrderOrigin.GATEWAY:
                continue
            real = judge.held(account.account_id, order.client_order_id)
            where = f"{account.account_id} {order.client_order_id}: {summary(order)}"
            if real is None:
                if order.cum_quantity or order.state not in (
                    OrderState.REJECTED,
                    OrderState.CANCELED,
                    OrderState.PENDING_NEW,
                ):
                    judge.fail(UNKNOWN_IS_A_STATE, f"{where}, and the venue never had it")
                continue
            # A fill after the end corrects the figures and never reopens: CANCELED may have been filled to the end.
            # A person who says that an order has ended does not say how.
            told = not judge.accounts[account.account_id].absence_provable
            same = order.state is real.state or (
                order.ended and not real.open and (order.cum_quantity or told)
            )
            if not same or order.cum_quantity != real.cum_quantity:
                judge.fail(
                    UNKNOWN_IS_A_STATE,
                    f"{where}, the venue says {real.state.name}, filled {real.cum_quantity}",
                )
            if order.generation != real.generation and not order.ended:
                judge.fail(ONE_ORDER, f"{where}, the venue is at generation {real.generation}")

    def _fills(self, account: AccountTruth, venue: JudgedVenue) -> None:
        judge = self._judge
        real = {(each.symbol, each.broker_order_id, each.execution_id) for each in venue.fills}
        for missing in sorted(real - set(account.fills)):
            judge.fail(BOOKED_ONCE, f"{account.account_id}: {missing} was never booked")
        for symbol, quantity in held(venue.log).items():
            sums = self._journal.sums.get((account.account_id, symbol), Sums())
            position = account.positions.get(symbol)
            shown = ZERO if position is None else position.quantity
            if not sums.quantity == quantity == shown:
                judge.fail(
                    EXACT,
                    f"{account.account_id} {symbol}: {shown} held, the fills come to {sums.quantity}, "
                    f"the venue's to {quantity}",
                )
