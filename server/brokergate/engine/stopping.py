"""An emergency stop at work on one account: cancel what is open at the venue, prove it, flatten where asked for.

The latch is durable before this begins and holds on its own; this goes on from wherever it was after a restart, waits
while the broker is away, and looks again for as long as the stop holds, since what was uncertain may still come.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Collection, Sequence
from decimal import Decimal

from brokergate.domain.access import GATEWAY
from brokergate.domain.accounts import ConnectionState
from brokergate.domain.commands import OrderFailure, PlaceOrder, Request
from brokergate.domain.control import Stop, StopPhase, StopProgress
from brokergate.domain.errors import ErrorReason
from brokergate.domain.events import ControlChanged, ControlEventType
from brokergate.domain.instruments import Instrument
from brokergate.domain.money import ZERO, add, remainder, subtract
from brokergate.domain.orders import Order, OrderSpec, OrderState, OrderType, PendingActionKind, Side
from brokergate.domain.values import changed
from brokergate.engine.account import Account
from brokergate.engine.changing import Changing
from brokergate.engine.control import stop_setting
from brokergate.engine.placing import Placing
from brokergate.engine.recovery import NS_PER_S
from brokergate.engine.tasks import OwnedTasks

PROTECTIVE = frozenset({OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP})
FIRST_WAIT_S = 0.1
LAST_WAIT_S = 5.0
AGAIN_NS = 5 * NS_PER_S
"""How long a cancel that the broker has taken may be without effect before it is sent again."""
CLOSING_NS = 30 * NS_PER_S
"""How long an order that closes a position may work before it is cancelled and another one tries."""
FIRST_CLOSING_WAIT_NS, LAST_CLOSING_WAIT_NS = 5 * NS_PER_S, 300 * NS_PER_S
MAX_TOLD = 64
"""Positions that a progress names."""


class StopOperation:
    """The work of the stop that holds on `account`."""

    def __init__(
        self,
        account: Account,
        placing: Placing,
        changing: Changing,
        look: Callable[[], Awaitable[None]],
        journal_works: Callable[[], Awaitable[None]],
        tasks: OwnedTasks,
    ) -> None:
        """`look` brings the account up to date with its broker; it raises a `BrokerError`. What is sent goes on in
        `tasks` when the stop is ended."""
        self._account = account
        self._placing = placing
        self._changing = changing
        self._look = look
        self._journal_works = journal_works
        self._tasks = tasks
        self._told: StopProgress | None = None
        self._attempts: dict[str, int] = {}
        """The last attempt to close a position that is known of, by symbol."""
        self._in_the_way: set[str] = set()
        """Symbols whose protective stops go first: the venue refused to close what they hold."""
        self._wait_ns: dict[str, int] = {}
        self._not_before_ns: dict[str, int] = {}
        self._more = asyncio.Event()

    def hurry(self) -> None:
        """More is asked for: it looks again at once."""
        self._more.set()

    async def run(self) -> None:
        """Works until it is cancelled; after DONE it looks again now and then."""
        account = self._account
        wait_s = FIRST_WAIT_S
        while (stop := account.control.stop) is not None:
            await self._journal_works()
            before = self._told
            self._more.clear()
            try:
                await self._step(stop)
            except Exception as error:  # noqa: BLE001 - whatever goes wrong, a stop does not give up
                account.log("emergency stop waits", account=account.account_id, error=repr(error))
            now = account.control.stop
            if now is not None and now.phase is StopPhase.DONE:
                wait_s = account.policy.poll_interval_ns / NS_PER_S
            elif self._told != before:
                wait_s = FIRST_WAIT_S
            else:
                wait_s = min(2 * wait_s, LAST_WAIT_S)
            await self._pause(wait_s)

    async def _pause(self, wait_s: float) -> None:
        sleep = asyncio.ensure_future(self._account.clock.sleep(wait_s))
        more = asyncio.ensure_future(self._more.wait())
        try:
            await asyncio.wait((sleep, more), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()
            more.cancel()

    async def _step(self, stop: Stop) -> None:
        account = self._account
        self._drop_held(stop)
        if account.connection.state is not ConnectionState.CONNECTED:
            self._tell(stop, self._progress(stop))
            return
        await self._look()
        await self._cancel(stop)
        await self._look()
        progress = self._progress(stop)
        if progress.remaining_orders or progress.uncertain_orders:
            self._tell(stop, changed(progress, phase=StopPhase.CANCELLING))
            if self._flattens(stop) and not progress.remaining_orders:
                # What is uncertain blocks its instrument, and not its account.
                await self._flatten(stop)
        elif self._flattens(stop) and await self._positions():
            flattening = changed(progress, phase=StopPhase.FLATTENING)
            self._tell(stop, flattening)
            await self._flatten(stop)
        elif progress.kept_orders and stop.flatten:
            # Nothing is left to protect: a stop order that stays would open a position.
            await self._cancel(changed(stop, keep_protective_stops=False))
        else:
            self._tell(stop, changed(progress, phase=StopPhase.DONE))

    def _flattens(self, stop: Stop) -> bool:
        """Whether positions are to be closed. An account that is only read cancels and places nothing: its stop is done
        with its positions named."""
        return stop.flatten and self._account.policy.trading_enabled

    # Cancelling

    def _drop_held(self, stop: Stop) -> None:
        held = [order for order in self._account.tracker.open.values() if order.held]
        if held:
            self._changing.drop_held(held, _request(stop))

    async def _cancel(self, stop: Stop) -> None:
        now_ns = self._account.clock.now_ns()
        orders = [order for order in self._unwanted(stop) if _may_be_cancelled(order, now_ns)]
        if orders:
            await self._tasks.run(self._changing.cancel_each(orders, _request(stop)))
            await self._account.journal.commit(self._account.account_id)

    def _unwanted(self, stop: Stop) -> list[Order]:
        """The open orders that the stop wants gone: not the ones it keeps, nor its own that close positions."""
        kept = self._kept(stop)
        late_ns = self._account.clock.now_ns() - CLOSING_NS
        return [
            order
            for order in self._account.tracker.open.values()
            if order.order_id not in kept and not (_closes(order, stop) and order.create_time_ns > late_ns)
        ]

    def _kept(self, stop: Stop) -> set[str]:
        return protective(self._account, self._in_the_way) if stop.keep_protective_stops else set()

    # Flattening

    async def _positions(self) -> Sequence[tuple[str, Decimal]]:
        """What can be closed: positions of at least one lot."""
        account = self._account
        found = []
        for symbol, quantity in account.open_positions():
            instrument = account.instruments.get(symbol)
            if instrument is not None and _closable(quantity.copy_abs(), instrument):
                found.append((symbol, quantity))
        return found

    async def _flatten(self, stop: Stop) -> None:
        account = self._account
        kept = self._kept(stop)
        for symbol, quantity in await self._positions():
            if symbol in account.control.frozen(account.unprovable):
                continue  # what is held of it is not known; a person says so by ClearFreeze, and it goes on
            working = (order for order in account.tracker.open.values() if order.order_id not in kept)
            if any(order.spec.symbol == symbol for order in working):
                continue
            if account.clock.monotonic_ns() < self._not_before_ns.get(symbol, 0):
                continue
            instrument = account.instruments[symbol]
            spec = OrderSpec(
                symbol=symbol,
                side=Side.SELL if quantity > ZERO else Side.BUY,
                type=OrderType.MARKET,
                quantity=_closable(quantity.copy_abs(), instrument),
                reduce_only=account.broker.capabilities.reduce_only,
            )
            name = self._name(stop, symbol)
            command = PlaceOrder(account.account_id, name, spec, name.encode(), GATEWAY, "EmergencyStop")
            (result,) = await self._tasks.run(self._placing.close_out((command,)))
            if isinstance(result, OrderFailure):
                account.log("position not closed", symbol=symbol, error=str(result.error))
                self._slow_down(symbol)
            elif result.order.state is OrderState.REJECTED and not self._learn(result.order):
                self._slow_down(symbol)

    def _slow_down(self, symbol: str) -> None:
        """A position that cannot be closed now (its market is closed) is tried again after 5, 10, 20 … seconds."""
        wait_ns = min(2 * self._wait_ns.get(symbol, FIRST_CLOSING_WAIT_NS // 2), LAST_CLOSING_WAIT_NS)
        self._wait_ns[symbol] = wait_ns
        self._not_before_ns[symbol] = self._account.clock.monotonic_ns() + wait_ns

    def _learn(self, closing: Order) -> bool:
        """A venue sets aside for a stop order what it would sell: where it has nothing left for the order that closes
        the position, the stop orders go first. Whether that is news."""
        symbol = closing.spec.symbol
        refused = closing.reject_reason in (ErrorReason.INSUFFICIENT_FUNDS, ErrorReason.BROKER_REJECTED)
        if not refused or symbol in self._in_the_way:
            return False
        self._in_the_way.add(symbol)
        return True

    def _name(self, stop: Stop, symbol: str) -> str:
        """The client_order_id of the next order that closes `symbol`, derived from the stop's: the same after a
        restart, so that nothing is closed twice."""
        account = self._account
        digest = hashlib.blake2b(symbol.encode(), digest_size=4).hexdigest()
        attempt = self._attempts.get(symbol, 1)
        while True:
            name = f"{stop.operation_id}-{digest}-{attempt}"
            stored = account.journal.find_order(account.account_id, name)
            if stored is None or not stored.order.ended:
                self._attempts[symbol] = attempt
                return name
            self._learn(stored.order)
            attempt += 1

    # Telling

    def _progress(self, stop: Stop) -> StopProgress:
        account = self._account
        kept, open_orders = self._kept(stop), self._unwanted(stop)
        uncertain = sum(order.uncertain for order in open_orders)
        return StopProgress(
            phase=StopPhase.CANCELLING if stop.phase is StopPhase.DONE and open_orders else stop.phase,
            open_orders=stop.open_orders,
            ended_orders=max(0, stop.open_orders - len(open_orders) - len(kept)),
            remaining_orders=len(open_orders) - uncertain,
            uncertain_orders=uncertain,
            kept_orders=len(kept),
            open_positions=tuple(symbol for symbol, _ in account.open_positions())[:MAX_TOLD],
        )

    def _tell(self, stop: Stop, progress: StopProgress) -> None:
        """Journals how far it is, where that is news."""
        account = self._account
        # A stop that joined this one when all was done began anew, and its end is news though nothing else is.
        known = progress == self._told and progress.phase is stop.phase
        if known or account.control.stop is not stop:
            return
        self._told = progress
        told = ControlChanged(
            ControlEventType.STOP_PROGRESS, stop.request_id, "", "", stop.operation_id, progress
        )
        after = changed(stop, phase=progress.phase)
        account.control.stop = after
        account.stage((told,), (stop_setting(after),) if after.phase is not stop.phase else ())


def protective(account: Account, but: Collection[str] = ()) -> set[str]:
    """The stop orders that only close what is held, oldest first as far as there is something to close, `but` those of
    some symbols; by order id. One that is larger stays where it is `reduce_only`, since the venue cuts it to what is
    held: the stop of a bracket whose entry has filled in part."""
    kept: set[str] = set()
    closing: dict[tuple[str, Side], Decimal] = {}
    positions = dict(account.open_positions())
    for order in account.tracker.open.values():
        spec = order.spec
        if spec.type not in PROTECTIVE or order.triggered or spec.symbol in but:
            continue
        held = positions.get(spec.symbol, ZERO)
        closable = max(ZERO, held if spec.side is Side.SELL else held.copy_negate())
        before = closing.get((spec.symbol, spec.side), ZERO)
        total = add(before, order.leaves_quantity)
        if spec.reduce_only and before < closable:
            total = min(total, closable)
        if total <= closable:
            closing[spec.symbol, spec.side] = total
            kept.add(order.order_id)
    return kept


def stop_id(request_id: str) -> str:
    """The operation's id: the same for the same request."""
    return f"stop-{hashlib.blake2b(request_id.encode(), digest_size=8).hexdigest()}"


def _request(stop: Stop) -> Request:
    return Request(stop.operation_id, "EmergencyStop", b"", lambda _: b"", GATEWAY)


def _closes(order: Order, stop: Stop) -> bool:
    """Whether it is one of the stop's own orders."""
    return order.client_order_id.startswith(f"{stop.operation_id}-")


def _may_be_cancelled(order: Order, now_ns: int) -> bool:
    """Whether a cancel is to be sent: not while one is under way."""
    action = order.action(PendingActionKind.CANCEL)
    return not order.held and (action is None or now_ns - action.since_ns >= AGAIN_NS)


def _closable(quantity: Decimal, instrument: Instrument) -> Decimal:
    """As much of `quantity` as one order may have; zero where it is below what the venue takes."""
    most = quantity if instrument.max_quantity is None else min(quantity, instrument.max_quantity)
    most = subtract(most, remainder(most, instrument.quantity_increment))
    return ZERO if most < instrument.min_quantity else most
