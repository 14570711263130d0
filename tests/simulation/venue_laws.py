"""What must hold when a command leaves the gateway, and when it reaches the venue."""

from __future__ import annotations

from collections import Counter

from brokergate.domain.events import OrderEventType as E
from brokergate.domain.orders import Order, OrderState
from tests.simulation.laws import (
    DURABLE_BEFORE_SENT,
    NOT_EMPTY,
    ONE_ORDER,
    STOPPED,
    UNKNOWN_IS_A_STATE,
    Judge,
)
from tests.simulation.network import Session

GAP_QUERIES = frozenset({"open orders", "fills", "positions"})
"""What a connection must have been asked for before an order that waited goes out on it."""


class VenueLaws:
    """Judges one account's way to its venue."""

    def __init__(self, judge: Judge, account_id: str) -> None:
        self._judge = judge
        self._account_id = account_id
        self.sent: Counter[tuple[str, int]] = Counter()
        """How often each (client_order_id, generation) was sent."""

    def sending(self, what: str, order: Order, session: Session) -> None:
        """The first byte of a command is about to go out."""
        if what == "place":
            self._placing(order, session)
        elif what == "replace":
            self._replacing(order)

    def _placing(self, order: Order, session: Session) -> None:
        judge, account_id, name = self._judge, self._account_id, order.client_order_id
        account = judge.truth.account(account_id)
        story = account.story(name)
        where = f"{account_id} {name} is sent"
        dispatched = None if story is None else story.commit_of(E.DISPATCHED)
        if story is None or dispatched is None or not judge.durable(account_id, dispatched):
            judge.fail(DURABLE_BEFORE_SENT, f"{where}, and the journal does not have it DISPATCHED")
            return
        self._once(name, 1, where)
        if name in account.tombstones:
            judge.fail(ONE_ORDER, f"{where}, and its id was set aside")
        if story.latest.state is not OrderState.PENDING_NEW:
            judge.fail(ONE_ORDER, f"{where}, and it is {story.latest.state.name}")
        if story.was_held and not session.read >= GAP_QUERIES:
            missing = ", ".join(sorted(GAP_QUERIES - session.read))
            judge.fail(NOT_EMPTY, f"{where}: it was held, and its connection has not answered {missing}")
        stop = judge.latched.get(account_id)
        if stop is not None and not name.startswith(stop[:40]):
            judge.fail(STOPPED, f"{where}, and {stop} holds")

    def _replacing(self, order: Order) -> None:
        judge, account_id, name = self._judge, self._account_id, order.client_order_id
        story = judge.truth.account(account_id).story_of(name, order.broker_order_id)
        where = f"{account_id} {name} is replaced"
        versions = [] if story is None else story.versions
        asked = [version for version in versions if version.event is E.REPLACE_REQUESTED]
        if not asked or not judge.durable(account_id, asked[-1].commit):
            judge.fail(DURABLE_BEFORE_SENT, f"{where}, and the journal does not have it")
        if asked[-1].order.generation != order.generation:
            judge.fail(
                ONE_ORDER,
                f"{where} from generation {order.generation}, journalled was {asked[-1].order.generation}",
            )
        self._once(name, order.generation + 1, where)
        stop = judge.latched.get(account_id)
        if stop is not None:
            judge.fail(STOPPED, f"{where}, and {stop} holds")

    def _once(self, name: str, generation: int, where: str) -> None:
        self.sent[name, generation] += 1
        # A replace that was refused, or proven not to have come about, may be asked for anew.
        if generation == 1 and self.sent[name, 1] > 1:
            self._judge.fail(ONE_ORDER, f"{where} twice")

    def arrived(self, what: str, order: Order) -> None:
        """A command has reached the venue."""
        judge, name = self._judge, order.client_order_id
        if what == "place" and (reason := judge.never_there.get((self._account_id, name))) is not None:
            judge.fail(
                UNKNOWN_IS_A_STATE,
                f"{self._account_id} {name} reaches the venue after it was REJECTED ({reason})",
            )
