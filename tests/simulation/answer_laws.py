"""What must hold of every answer that the gateway gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from brokergate.domain.commands import OrderFailure, Placed, PlaceOrder
from brokergate.domain.errors import ErrorReason, GatewayError, StatusCode
from brokergate.domain.orders import Order
from brokergate.domain.values import changed
from tests.simulation.laws import DURABLE_BEFORE_SENT, ONE_ORDER, STOPPED, Judge
from tests.simulation.truth import Version

NOTHING_JOURNALLED = frozenset(
    {
        StatusCode.INVALID_ARGUMENT,
        StatusCode.NOT_FOUND,
        StatusCode.FAILED_PRECONDITION,
        StatusCode.PERMISSION_DENIED,
        StatusCode.RESOURCE_EXHAUSTED,
        StatusCode.UNAVAILABLE,
    }
)
"""Codes that promise that the call journalled nothing."""


def summary(order: Order) -> str:
    """An order as an answer of ours shows it."""
    pending = "+".join(f"{action.kind.name}{'?' * action.uncertain}" for action in order.pending)
    return f"{order.order_id} {order.state.name} {order.generation} {order.cum_quantity} [{pending}]"


INVITES = (b"!BROKER_UNAVAILABLE", b"!BROKER_MAINTENANCE", b"!RECOVERING", b"!RATE_LIMITED")
"""Items of a batch's answer that say UNAVAILABLE."""


class AnswerLaws:
    """Judges answers."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self.under_way: dict[tuple[str, str], int] = {}
        """How many calls for (account, client_order_id) are under way or were lost."""
        self.bodies: dict[tuple[str, str], bytes] = {}
        """The fingerprint that the first order answered for (account, client_order_id) had."""

    def version(self, account_id: str, order: Order) -> Version | None:
        """The event that brought the order as it is shown."""
        story = self._judge.truth.account(account_id).orders.get(order.order_id)
        for version in reversed(story.versions if story else ()):
            if version.order == order:
                return version
        return None

    def shown(self, account_id: str, order: Order, where: str) -> None:
        """An order is shown to a client: as a durable event has it."""
        version = self.version(account_id, order)
        if version is None:
            self._judge.fail(
                DURABLE_BEFORE_SENT, f"{where}: answers {summary(order)}, which is not journalled"
            )
        elif not self._judge.durable(account_id, version.commit):
            self._judge.fail(DURABLE_BEFORE_SENT, f"{where}: answers {summary(order)}, which is not durable")

    def placed(self, command: PlaceOrder, result: object, *, alone: bool) -> None:
        """`result` is what PlaceOrder ended with. `alone`: no other call for the id was ever made."""
        judge, key = self._judge, (command.account_id, command.client_order_id)
        where = f"{key[0]} {key[1]}"
        if isinstance(result, OrderFailure):
            result = result.error
        story = judge.truth.account(command.account_id).story(command.client_order_id)
        if isinstance(result, Placed):
            order = result.order
            self.shown(command.account_id, order, where)
            if judge.acknowledged.setdefault(key, order.order_id) != order.order_id:
                judge.fail(ONE_ORDER, f"{where}: was {judge.acknowledged[key]}, now {order.order_id}")
            if self.bodies.setdefault(key, command.fingerprint) != command.fingerprint:
                judge.fail(ONE_ORDER, f"{where}: another body is taken for the same order")
            asked = changed(command.spec, time_in_force=order.spec.time_in_force)
            if order.generation == 1 and order.spec != asked:
                judge.fail(ONE_ORDER, f"{where}: asked for {asked}, got {order.spec}")
            if alone and result.already_existed:
                judge.fail(ONE_ORDER, f"{where}: is said to have existed")
            return
        if not isinstance(result, GatewayError):
            return
        if result.reason is ErrorReason.CLIENT_ORDER_ID_REUSED:
            known = self.bodies.get(key)
            if known is None and story is None:
                judge.fail(ONE_ORDER, f"{where}: is said to be used, and is not")
            if known == command.fingerprint:
                judge.fail(ONE_ORDER, f"{where}: the same body is refused as another")
            if story is not None and result.metadata.get("order_id") != story.latest.order_id:
                judge.fail(ONE_ORDER, f"{where}: names {result.metadata}, it is {story.latest.order_id}")
        elif key in judge.acknowledged and result.code in NOTHING_JOURNALLED - {StatusCode.UNAVAILABLE}:
            judge.fail(ONE_ORDER, f"{where}: known, and answered with {result.reason.name}: {result}")
        elif alone and result.code in NOTHING_JOURNALLED and story is not None:
            judge.fail(
                DURABLE_BEFORE_SENT, f"{where}: {result.reason.name} says nothing was journalled, and it was"
            )

    def changed(self, account_id: str, request_id: str, result: object) -> None:
        """`result` is what a mutation with a request id ended with."""
        judge, key = self._judge, (account_id, request_id)
        if isinstance(result, bytes) and any(word in result for word in INVITES):
            return  # some orders of a batch were not reached: the answer invites to a repeat, and is not kept
        if isinstance(result, bytes) and judge.answers.setdefault(key, result) != result:
            judge.fail(
                ONE_ORDER, f"{account_id} {request_id}: answered {judge.answers[key]!r}, and now {result!r}"
            )

    def orders(self, account_id: str, summaries: Sequence[str], where: str) -> None:
        """Orders in an answer that was stored as bytes: each as some durable event has it."""
        account = self._judge.truth.account(account_id)
        for text in summaries:
            story = account.orders.get(text.split(" ", 1)[0])
            found = [each for each in (story.versions if story else ()) if summary(each.order) == text]
            if not found:
                self._judge.fail(DURABLE_BEFORE_SENT, f"{where}: answers {text}, which is not journalled")
            if not self._judge.durable(account_id, found[0].commit):
                self._judge.fail(DURABLE_BEFORE_SENT, f"{where}: answers {text}, which is not durable")

    def is_acknowledged(self, account_id: str, client_order_id: str) -> bool:
        """Whether an order was answered for the id."""
        return (account_id, client_order_id) in self._judge.acknowledged

    def not_done(self, message: str) -> None:
        """Something was answered that must not be."""
        self._judge.fail(ONE_ORDER, message)

    def stopped(self, operations: Mapping[str, str]) -> None:
        """Emergency stops were acknowledged: which operation holds on each account."""
        for account_id, operation_id in operations.items():
            account = self._judge.truth.account(account_id)
            if not any(each.operation_id == operation_id for each in account.controls):
                self._judge.fail(STOPPED, f"{account_id}: {operation_id} is acknowledged and not journalled")
            self._judge.latched[account_id] = operation_id
