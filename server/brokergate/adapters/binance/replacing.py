"""Changing an order, which Binance does in three ways, none of which is one step for every change.

Less of the same is amended in place: the order keeps its number and its place in the queue. An order that nothing was
filled of is cancelled and placed anew in one request, which Binance refuses as a whole where something was filled
meanwhile. Of any other the cancel goes first, and the rest is placed only when the cancel has proven what was filled:
never is more bought or sold than was asked for. Where the second half fails the order is gone, and told so.

Source: rest-api.md ("Cancel an existing order and send a new order", "Order amend keep priority") and
faqs/order_amend_keep_priority.md of binance/binance-spot-api-docs.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from brokergate.adapters.binance import parse, wire
from brokergate.adapters.binance.client import Refusal
from brokergate.adapters.binance.commands import Commands, answer_of, failed, unlisted
from brokergate.adapters.binance.desk import Desk
from brokergate.adapters.binance.errors import NOT_REPLACED, PARTLY_REPLACED, explain, meaning
from brokergate.adapters.binance.executions import Executions
from brokergate.adapters.binance.listing import Listed
from brokergate.adapters.binance.parse import ShownOrder
from brokergate.adapters.binance.telling import replace_id
from brokergate.domain.errors import BrokerError, ErrorReason
from brokergate.domain.money import ZERO, add, format_decimal, multiply, subtract
from brokergate.domain.orders import OrderSpec, OrderState, OrderType, Side
from brokergate.domain.values import changed
from brokergate.ports.broker import Accepted, Outcome, Rejected, ReplaceCommand, Report

_WORKS = (OrderState.NEW, OrderState.PARTIALLY_FILLED)
_RESTRICTED = "cancel restrictions"
"""In Binance's text where an order was filled in part and the cancel wanted none of that."""


class Replacing:
    """The replaces of one account."""

    def __init__(self, desk: Desk, executions: Executions, commands: Commands) -> None:
        self._desk = desk
        self._executions = executions
        self._commands = commands

    async def replace(self, command: ReplaceCommand) -> Outcome:
        """Changes a working order."""
        order = command.order
        listed = self._desk.listed(order.spec.symbol)
        if listed is None:
            return unlisted(order.spec.symbol)
        if order.group_id:
            return Rejected(
                ErrorReason.UNSUPPORTED, "Binance changes no order of a list; cancel it and place another one"
            )
        before = self._desk.telling.before(order)
        filled = max(
            order.cum_quantity, add(before or ZERO, self._desk.telling.filled(order.broker_order_id))
        )
        if command.quantity <= filled:
            return _below_filled(command.quantity, filled)
        if before is not None and _is_less_of_the_same(command, listed):
            return await self._amend(command, listed, subtract(command.quantity, before))
        lack = self._lack(command, filled, listed)
        if lack:
            return Rejected(ErrorReason.INSUFFICIENT_FUNDS, lack)
        try:
            wire.order_params("", command.spec, command.quantity, "")
        except (ValueError, KeyError) as error:
            return Rejected(ErrorReason.UNSUPPORTED, str(error))
        if not filled and listed.replaceable:
            outcome = await self._at_once(command, listed)
            if outcome is not None:
                return outcome
        return await self._in_two_steps(command, listed)

    def _new_id(self, command: ReplaceCommand) -> str:
        order = command.order
        return self._desk.telling.ids.venue_id(order.client_order_id, order.generation + 1)

    def _params(self, command: ReplaceCommand, listed: Listed, quantity: Decimal) -> list[tuple[str, str]]:
        spec = changed(command.spec, quote_quantity=None)
        return wire.order_params(listed.instrument.broker_symbol, spec, quantity, self._new_id(command))

    # Less of the same

    async def _amend(self, command: ReplaceCommand, listed: Listed, quantity: Decimal) -> Outcome:
        desk, order = self._desk, command.order
        name = listed.instrument.broker_symbol
        sent_ns = desk.clock.monotonic_ns()
        request = wire.amend(name, order.broker_order_id, quantity, self._new_id(command))
        self._executions.touch((name,))
        desk.telling.follows(self._new_id(command), subtract(command.quantity, quantity))
        try:
            status, filled = parse.amended(await desk.client.command(request))
        except (Refusal, BrokerError) as error:
            return failed(error)
        if status not in parse.WORKING:
            # More was filled than was known here: the order ends by it, and the stream or a poll tells how.
            refused = _below_filled(quantity, filled)
            return Rejected(refused.reason, f"{refused.message}; Binance ended the order", desk.told())
        desk.telling.named(order.broker_order_id, self._new_id(command))
        desk.stream.expect(order.broker_order_id, sent_ns)
        amended = desk.telling.amended(order.client_order_id, desk.clock.now_ns())
        return Accepted(order.broker_order_id, [*desk.told(), amended])

    # In one request

    async def _at_once(self, command: ReplaceCommand, listed: Listed) -> Outcome | None:
        """None where the order was filled meanwhile, and nothing was done."""
        desk, order = self._desk, command.order
        params = self._params(command, listed, command.quantity)
        own_id = replace_id(order.broker_order_id)
        sent_ns = desk.clock.monotonic_ns()
        self._executions.touch((listed.instrument.broker_symbol,))
        try:
            told = await desk.client.command(wire.cancel_replace(order.broker_order_id, params, own_id))
            shown = parse.order(told["newOrderResponse"])
        except Refusal as refusal:
            return self._refused(refusal)
        except BrokerError as error:
            return failed(error)
        except parse.WRONG:
            return failed(parse.Malformed("Binance's answer to a replace has not its documented form"))
        desk.telling.open.pop(order.broker_order_id, None)
        return self._commands.taken(shown, sent_ns)

    def _refused(self, refusal: Refusal) -> Outcome | None:
        told = answer_of(refusal)
        if told is None or refusal.code not in (NOT_REPLACED, PARTLY_REPLACED):
            return failed(refusal)
        if refusal.code == NOT_REPLACED:
            half = told.get("cancelResponse") or told.get("newOrderResponse")
            if half is not None and _RESTRICTED in str(half.get("msg", "")).lower():
                return None
            return _half_refused(half, refusal)
        try:
            cancelled = parse.order(told["cancelResponse"])
        except (parse.Malformed, *parse.WRONG):
            return failed(refusal)
        return self._gone(cancelled, _half_refused(told.get("newOrderResponse"), refusal))

    # In two steps

    async def _in_two_steps(self, command: ReplaceCommand, listed: Listed) -> Outcome:
        desk, order = self._desk, command.order
        name = listed.instrument.broker_symbol
        before = await self._looked_at(command, listed)
        if isinstance(before, Rejected):
            return before
        self._executions.touch((name,))
        try:
            own_id = replace_id(order.broker_order_id)
            cancelled = parse.order(
                await desk.client.command(wire.cancel(name, order.broker_order_id, "", own_id))
            )
        except (Refusal, BrokerError) as error:
            return failed(error)
        left = subtract(subtract(command.quantity, before), cancelled.filled)
        if left <= ZERO:
            return self._gone(cancelled, _below_filled(command.quantity, add(before, cancelled.filled)))
        desk.telling.follows(self._new_id(command), subtract(command.quantity, left))
        desk.telling.open.pop(order.broker_order_id, None)
        outcome = await self._commands.send_new(wire.place(self._params(command, listed, left)), name)
        return self._gone(cancelled, outcome) if isinstance(outcome, Rejected) else outcome

    async def _looked_at(self, command: ReplaceCommand, listed: Listed) -> Decimal | Rejected:
        """What earlier generations of the order filled. Rejected where its second half would be refused, as far as
        Binance can say that before the first one: nothing is done then."""
        client, order = self._desk.client, command.order
        name = listed.instrument.broker_symbol
        try:
            shown = parse.order(await client.command(wire.get_order(name, order.broker_order_id, "")))
            if shown.state not in _WORKS:
                return Rejected(ErrorReason.ORDER_ENDED, f"the order has ended: {shown.status}")
            before = subtract(order.quantity, shown.quantity) if order.generation > 1 else ZERO
            left = subtract(subtract(command.quantity, before), shown.filled)
            if left <= ZERO:
                return _below_filled(command.quantity, add(before, shown.filled))
            await client.command(wire.test(self._params(command, listed, left)))
        except (Refusal, BrokerError) as error:
            refused = failed(error)
            reason = refused.reason if isinstance(refused, Rejected) else ErrorReason.BROKER_UNAVAILABLE
            return Rejected(reason, f"the order stays as it was: {refused.message}")
        return before

    def _gone(self, cancelled: ShownOrder, refused: Outcome) -> Outcome:
        """The order was cancelled, and nothing came in its stead: it has ended. The stream keeps silent about that."""
        if not isinstance(refused, Rejected):
            return refused
        reports: list[Report] = [*self._desk.told(), *self._desk.telling.ended(cancelled)]
        message = f"the order was cancelled, and its successor was refused: {refused.message}"
        return Rejected(refused.reason, message, reports)

    # Funds

    def _lack(self, command: ReplaceCommand, filled: Decimal, listed: Listed) -> str:
        """What the account has not for the change, as far as its balances are known: found out before the cancel, so
        that the order stays as it was. Empty where nothing is known to be lacking."""
        instrument = listed.instrument
        left = subtract(command.quantity, filled)
        had = subtract(command.order.quantity, filled)
        if command.spec.side is Side.SELL:
            asset, needed = instrument.base_currency, subtract(left, had)
        else:
            new_price, old_price = _price(command.spec), _price(command.order.spec)
            if new_price is None or old_price is None:
                return ""
            asset = instrument.quote_currency
            needed = subtract(multiply(left, new_price), multiply(had, old_price))
        free = self._desk.free(asset)
        if free is None or needed <= free:
            return ""
        return (
            f"the change needs {format_decimal(needed)} {asset} more, and {format_decimal(free)} is free; "
            "the order stays as it was"
        )


def _price(spec: OrderSpec) -> Decimal | None:
    return spec.limit_price if spec.limit_price is not None else spec.stop_price


def _is_less_of_the_same(command: ReplaceCommand, listed: Listed) -> bool:
    before = command.order.spec
    return (
        listed.amendable
        and before.type is OrderType.LIMIT
        and command.quantity < command.order.quantity
        and changed(command.spec, quantity=before.quantity) == before
    )


def _below_filled(quantity: Decimal, filled: Decimal) -> Rejected:
    return Rejected(
        ErrorReason.REPLACE_BELOW_FILLED,
        f"quantity: {format_decimal(quantity)} is not above what is filled, {format_decimal(filled)}",
    )


def _half_refused(half: Any, refusal: Refusal) -> Outcome:
    """What one half of a replace was refused for."""
    try:
        code, text = int(half["code"]), str(half["msg"])
    except parse.WRONG:
        return failed(refusal)
    meant = meaning(400, code, text)
    return failed(Refusal(meant, explain(400, code, text), code, None))
