"""Bringing an account up to date with its broker: what the gateway missed is booked once, and what nothing explains is
a disagreement (laws 3, 4 and 7).

The order of questions matters. Fills first, since they explain the states of orders; then the open orders; then, one
by one, the orders that the journal has open and the broker does not show; positions last, held against the sum of the
fills. Every question is answered completely or raises: a failed query is not an empty answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal

from brokergate.domain.accounts import BrokerPosition
from brokergate.domain.control import Discrepancy
from brokergate.domain.errors import RecoverableError
from brokergate.domain.events import EventPayload, GapFound, OrderEventType
from brokergate.domain.fills import FillOrigin
from brokergate.domain.money import ZERO, format_decimal
from brokergate.domain.orders import Order, OrderOrigin, PendingActionKind
from brokergate.domain.values import changed
from brokergate.engine.account import Account
from brokergate.engine.resolving import Resolver
from brokergate.engine.silence import Silence
from brokergate.ports.broker import FillReport, OrderReport, VenueOrder
from brokergate.ports.journal import Setting

WATERMARK = "watermark"
"""Where the journal keeps up to where the broker's fills are booked."""

OPENED = "opened"
"""Set once the account was seen."""

SEEN = "seen"
"""When an account was last up to date, at a broker that cannot tell executions again: nanoseconds."""

NS_PER_S = 1_000_000_000


class GapFill:
    """Asks the broker of one account for what the gateway may have missed."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self.resolver = Resolver(account, self.fills)
        self.silence = Silence(
            account.known, account.policy.quiet_period_ns, of_others=account.broker.tells_of_others
        )
        self._differences: dict[str, tuple[Decimal, Decimal, int]] = {}
        self._undead_ns: dict[str, int] = {}

    async def run(self) -> None:
        """After a connection was made: returns when the account is up to date. Raises a `BrokerError`."""
        account = self._account
        self._tell_gap()
        await self.begin()
        # Reports of the last connection come no more.
        self._doubt_silent(0)
        await self.fills()
        await self._orders()
        await self.resolver.until_known()
        await self.fills()
        if await self._positions():
            # Two readings, a quiet period apart, before it counts.
            await account.clock.sleep(account.policy.quiet_period_ns / NS_PER_S)
            await self.fills()
            await self._positions()
        await self._balances()
        self._seen()
        self.silence.forget()
        await account.journal.commit(account.account_id)

    async def poll(self) -> None:
        """While connected: a frame may be lost on a healthy connection. Raises a `BrokerError`."""
        self.silence.begin()
        self._doubt_silent(self._account.policy.quiet_period_ns)
        await self.fills()
        await self._orders()
        await self._positions()
        await self._balances()
        self._seen()
        await self._account.journal.commit(self._account.account_id)

    async def fills(self) -> None:
        """Books the executions after the watermark, which moves in the same commit."""
        account = self._account
        while True:
            watermark = account.journal.account_setting(account.account_id, WATERMARK) or ""
            page = await account.broker.list_fills(watermark)
            await self._generations(page.fills)
            if account.journal.account_setting(account.account_id, WATERMARK) not in (None, watermark):
                continue  # somebody else asked meanwhile, and booked
            missed = [changed(fill, origin=FillOrigin.BACKFILL) for fill in page.fills]
            payloads = account.tracker.apply(missed)
            self.silence.found(payloads, account.clock.monotonic_ns())
            moved = page.watermark != watermark
            account.stage(payloads, (Setting(WATERMARK, page.watermark),) if moved else ())
            if page.complete:
                return
            await account.journal.commit(account.account_id)

    async def _generations(self, fills: Sequence[FillReport]) -> None:
        """A missed fill under another id than its order has may be of the replace under way, or of a generation of
        long ago: the broker is asked, before the fill is counted."""
        tracker = self._account.tracker
        asked: set[str] = set()
        for fill in fills:
            order = tracker.find(fill.client_order_id, fill.broker_order_id)
            if order is None or order.ended or order.order_id in asked:
                continue
            if order.action(PendingActionKind.REPLACE) and not tracker.named(order, fill.broker_order_id):
                asked.add(order.order_id)
                await self.resolver.ask_generation(order)

    def _tell_gap(self) -> None:
        """A broker that cannot tell executions again may keep from the gateway what happened while it was away."""
        account = self._account
        seen = account.journal.account_setting(account.account_id, SEEN)
        if seen is not None and not account.broker.capabilities.replays_fills:
            message = f"{account.broker.name} does not tell executions again; its positions are compared"
            account.stage((GapFound(int(seen), account.clock.now_ns(), message),))

    def _seen(self) -> None:
        account = self._account
        if not account.broker.capabilities.replays_fills:
            account.stage((), (Setting(SEEN, str(account.clock.now_ns())),))

    async def begin(self) -> None:
        """The first time that the gateway sees the account: what it holds is its beginning, and the executions of
        before are not the gateway's to tell."""
        account = self._account
        assert account.derived is not None
        if account.journal.account_setting(account.account_id, OPENED) is not None:
            return
        if account.broker.keeps_venue:
            # It was the gateway's from its beginning: there is nothing of before.
            account.stage((), (Setting(OPENED, "yes"),))
            return
        watermark = await self._past("")
        while True:
            told = await account.broker.get_positions()
            again = await self._past(watermark)
            if again == watermark:
                break
            watermark = again
        for position in told:
            account.hold(position)
        if account.risk is not None:
            account.risk.begin_day()
        account.stage((), (Setting(OPENED, "yes"), Setting(WATERMARK, watermark)))
        await account.journal.commit(account.account_id)

    async def _past(self, watermark: str) -> str:
        """The watermark after all that there is."""
        while True:
            page = await self._account.broker.list_fills(watermark)
            watermark = page.watermark
            if page.complete:
                return watermark

    # Orders

    def _doubt_silent(self, least_ns: int) -> None:
        """What the broker took by its answer so long ago, and has not told the outcome of by now: the report was lost,
        and it is asked for."""
        account = self._account
        payloads: list[EventPayload] = []
        before_ns = account.clock.monotonic_ns() - least_ns
        for taken in [taken for taken, taken_ns in account.taken.items() if taken_ns <= before_ns]:
            del account.taken[taken]
            order_id, kind, since_ns = taken
            order = account.tracker.open.get(order_id)
            action = None if order is None else order.action(kind)
            if order is not None and action is not None and action.since_ns == since_ns:
                message = "the broker took it, and has not told what came of it"
                account.doubt(order, kind, message, payloads)
        account.stage(payloads)

    async def _orders(self) -> None:
        account = self._account
        # What is placed, or under way, after this moment may be in the answer or not.
        known = {
            order.order_id: order
            for order in account.tracker.open.values()
            if not order.held and all(action.uncertain for action in order.pending)
        }
        shown = await account.broker.list_open_orders()
        seen: set[str] = set()
        payloads: list[EventPayload] = []
        undead: set[str] = set()
        for venue_order in shown:
            order = account.tracker.find(venue_order.client_order_id, venue_order.broker_order_id)
            if order is None:
                self._stranger(venue_order, payloads)
                continue
            seen.add(order.order_id)
            if order.ended and order.origin is not OrderOrigin.EXTERNAL:
                self._undead(order, venue_order, undead)
            elif order.group_id and known.get(order.order_id) is order:
                self._restated(order, venue_order, payloads)
        self._undead_ns = {name: since for name, since in self._undead_ns.items() if name in undead}
        account.stage(payloads)
        # One that the journal has open and the broker does not show has ended, or is not there yet: it is asked for by
        # itself, as is one of which something is uncertain.
        for order_id, order in known.items():
            now = account.tracker.open.get(order_id)
            if now is not None and now.pending == order.pending and (order_id not in seen or now.uncertain):
                await self.resolver.ask(now)
                if not order.pending and (ended := account.tracker.latest(now)).ended:
                    self.silence.ended(ended, account.clock.monotonic_ns())

    def _restated(self, order: Order, shown: VenueOrder, payloads: list[EventPayload]) -> None:
        """A linked order whose total the venue changed, when another one of its group filled, and whose report was
        lost."""
        if order.pending or shown.quantity == order.quantity:
            return
        report = OrderReport(
            OrderEventType.REPLACED,
            order.client_order_id,
            shown.broker_order_id,
            shown.update_time_ns,
            message="the venue shows it with this total",
            quantity=shown.quantity,
        )
        payloads.extend(self._account.tracker.apply((report,)))

    def _stranger(self, shown: VenueOrder, payloads: list[EventPayload]) -> None:
        """An order that the journal does not know: somebody else's."""
        account = self._account
        instrument = account.instruments.get(shown.symbol)
        if instrument is None:
            account.log("order in an unknown instrument", symbol=shown.symbol, order=shown.broker_order_id)
            return
        if account.policy.exclusive:
            message = (
                f"the broker works order {shown.broker_order_id!r} of others, and the account is exclusive"
            )
            self._disagree(shown.symbol, "", "no such order", _said(shown), message)
        account.tracker.stranger(shown, instrument, payloads)

    def _undead(self, order: Order, shown: VenueOrder, seen: set[str]) -> None:
        """The journal has the end of an order that the broker works; seen twice, a quiet period apart, it counts."""
        seen.add(order.order_id)
        now_ns = self._account.clock.monotonic_ns()
        since_ns = self._undead_ns.setdefault(order.order_id, now_ns)
        if now_ns - since_ns >= self._account.policy.quiet_period_ns:
            expected = f"{order.state.name}, filled {format_decimal(order.cum_quantity)}"
            message = "the broker works an order that had ended"
            self._disagree(order.spec.symbol, order.order_id, expected, _said(shown), message)

    # Positions

    async def _positions(self) -> bool:
        """Holds the broker's positions against the journal's; whether one differs and was not told before."""
        account = self._account
        derived = account.derived
        assert derived is not None
        before = {symbol: position.quantity for symbol, position in derived.all.items()}
        told = {position.symbol: position for position in await account.broker.get_positions()}
        await self.fills()
        account.connection.last.positions = told
        account.connection.last.as_of_ns = account.clock.now_ns()
        suspicious = False
        now_ns = account.clock.monotonic_ns()
        differences: dict[str, tuple[Decimal, Decimal, int]] = {}
        for symbol in sorted({*before, *told, *derived.all}):
            expected = derived.quantity(symbol)
            actual = told[symbol].quantity if symbol in told else ZERO
            moving = before.get(symbol, ZERO) != expected
            if moving or expected == actual or self._frozen_by_position(symbol):
                continue
            earlier = self._differences.get(symbol)
            since_ns = now_ns
            if earlier is not None and earlier[:2] == (expected, actual):
                since_ns = earlier[2]
            if now_ns - since_ns >= account.policy.quiet_period_ns:
                message = "the broker's position is not the sum of the fills"
                self._disagree(symbol, "", format_decimal(expected), format_decimal(actual), message)
            else:
                differences[symbol] = expected, actual, since_ns
                suspicious = True
        self._differences = differences
        return suspicious

    async def position(self, symbol: str) -> BrokerPosition | None:
        """The broker's position, for it to be believed: of a moment when all that it was made of was booked. A fill
        that is booked after its position was believed would count twice. Raises a `BrokerError`."""
        account = self._account
        assert account.derived is not None
        await self.fills()
        while True:
            before = account.derived.all.get(symbol)
            told = {position.symbol: position for position in await account.broker.get_positions()}
            await self.fills()
            if account.derived.all.get(symbol) is before:
                return told.get(symbol)

    async def _balances(self) -> None:
        """Takes the broker's balances, which are its own to tell, and its figures of the account, to be shown while it
        is away."""
        account = self._account
        with suppress(RecoverableError):
            account.connection.last.info = await account.broker.get_account_info()
        told = await account.broker.get_balances()
        known = {balance.currency: balance for balance in account.journal.balances(account.account_id)}
        changes = [
            balance
            for balance in told
            if (before := known.get(balance.currency)) is None
            or (before.total, before.held) != (balance.total, balance.held)
        ]
        account.stage(account.tracker.apply(changes))

    def _frozen_by_position(self, symbol: str) -> bool:
        return any(
            found.symbol == symbol and not found.order_id
            for found in self._account.control.discrepancies.values()
        )

    def _disagree(self, symbol: str, order_id: str, expected: str, actual: str, message: str) -> None:
        account = self._account
        for found in account.control.discrepancies.values():
            if (found.symbol, found.order_id, found.message) == (symbol, order_id, message):
                return
        account.disagree(
            Discrepancy(
                discrepancy_id=account.journal.next_discrepancy_id(account.account_id),
                account_id=account.account_id,
                symbol=symbol,
                order_id=order_id,
                expected=expected,
                actual=actual,
                message=message,
                detect_time_ns=account.clock.now_ns(),
            )
        )


def _said(shown: VenueOrder) -> str:
    return (
        f"{shown.broker_order_id}: {shown.side.name} {format_decimal(shown.quantity)} {shown.symbol}, "
        f"filled {format_decimal(shown.cum_quantity)}"
    )
