"""Cancel on disconnect: the orders of a stream whose client went away are cancelled after its grace.

A lease outlives its stream in a task of its own. When the gateway goes down, leases that wait are carried out at once:
nobody would be there later. They do not survive `kill -9`; nothing that only the process knows does.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from brokergate.codec.decode.target import Target
from brokergate.codec.encode.response import cancel_all_bytes
from brokergate.domain.access import Caller
from brokergate.domain.commands import CancelResult, OrderFailure, OrderRef, Request
from brokergate.domain.errors import ErrorReason, GatewayError, StatusCode, invites_repeat
from brokergate.domain.orders import Order
from brokergate.engine.gateway import Gateway
from brokergate.ports.clock import Clock
from brokergate.ports.journal import JournalError
from brokergate.transport.failures import translate

CHUNK: Final = 500
"""Orders that one cancel names."""

FIRST_PRUNING: Final = 1000

FIRST_RETRY_S: Final = 1.0
LAST_RETRY_S: Final = 30.0
"""Between two tries to cancel while the broker or the journal is away."""

_AGAIN: Final = frozenset({StatusCode.UNAVAILABLE, StatusCode.ABORTED})
"""What may be done later, or was done and not told: a cancel is repeated by its id."""


_GONE: Final = frozenset({ErrorReason.ORDER_NOT_FOUND, ErrorReason.ACCOUNT_NOT_FOUND})


class PlacedOrders:
    """The orders placed through one stream that may still work, by where they were placed; ended ones are forgotten in
    time."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._open: dict[tuple[Target, str], None] = {}
        self._prune_at = FIRST_PRUNING

    def __len__(self) -> int:
        return len(self._open)

    def add(self, target: Target, client_order_id: str) -> None:
        """An order is about to be placed. Looks for ended ones whenever twice as many are kept as were left open."""
        self._open[target, client_order_id] = None
        if len(self._open) >= self._prune_at:
            for place, order in list(self._open):
                account_id = self._account(place, order)
                if account_id is None or not self._works(account_id, order):
                    self.discard(place, order)
            self._prune_at = max(FIRST_PRUNING, 2 * len(self._open))

    def discard(self, target: Target, client_order_id: str) -> None:
        """The order has ended, or was not placed."""
        self._open.pop((target, client_order_id), None)

    def settle(self, target: Target, order: Order) -> None:
        """What became of an order that was placed."""
        on = Target(order.account_id, "")
        if order.ended or target != on:
            self.discard(target, order.client_order_id)
        if not order.ended:
            self._open[on, order.client_order_id] = None

    def working(self) -> dict[str, list[str]]:
        """By account, the client ids of those that still work."""
        found: dict[str, list[str]] = {}
        for target, client_order_id in self._open:
            account_id = self._account(target, client_order_id)
            if account_id is not None and self._works(account_id, client_order_id):
                found.setdefault(account_id, []).append(client_order_id)
        return found

    def _account(self, target: Target, client_order_id: str) -> str | None:
        """The account that the order is on; None where its route never placed it."""
        if not target.route_id:
            return target.account_id
        try:
            return self._gateway.routes.account_of(target.route_id, OrderRef(client_order_id=client_order_id))
        except (GatewayError, JournalError):
            return None

    def _works(self, account_id: str, client_order_id: str) -> bool:
        try:
            return not self._gateway.get_order(account_id, OrderRef(client_order_id=client_order_id)).ended
        except GatewayError as error:
            return error.reason not in _GONE
        except JournalError:
            # Whether it works is not known now: it is cancelled all the same.
            return True


class Leases:
    """The leases of streams that have ended."""

    def __init__(self, gateway: Gateway, clock: Clock, log: Any) -> None:
        self._gateway = gateway
        self._clock = clock
        self._log = log
        self._cancels = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._draining = asyncio.Event()

    def carry_out(self, orders: PlacedOrders, grace_s: float, caller: Caller) -> None:
        """Cancels, after `grace_s`, those of `orders` that then still work. Returns at once."""
        task = asyncio.create_task(self._carry_out(orders, grace_s, caller), name="cancel on disconnect")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self) -> None:
        """Ends all graces and waits for the cancels."""
        self._draining.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _carry_out(self, orders: PlacedOrders, grace_s: float, caller: Caller) -> None:
        waits = {
            asyncio.ensure_future(self._clock.sleep(grace_s)),
            asyncio.ensure_future(self._draining.wait()),
        }
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        for account_id, client_order_ids in _chunks(orders.working()):
            await self._cancel(account_id, client_order_ids, caller)

    async def _cancel(self, account_id: str, client_order_ids: Sequence[str], caller: Caller) -> None:
        """Until it is done: the request is the same each time. Gives up when the gateway goes down."""
        refs = [OrderRef(client_order_id=name) for name in client_order_ids]
        self._cancels += 1
        away: list[Exception] = []

        def encode(results: Sequence[CancelResult]) -> bytes:
            failures = [result.error for result in results if isinstance(result, OrderFailure)]
            away.extend(filter(invites_repeat, failures))
            return cancel_all_bytes(results)

        number = f"{self._clock.now_ns()}-{self._cancels}"
        request = _request(account_id, client_order_ids, caller, number, encode)
        facts = {"account_id": account_id, "orders": len(refs)}
        wait_s = FIRST_RETRY_S
        while True:
            away.clear()
            try:
                await self._gateway.cancel_orders(account_id, refs, request)
                if away:
                    raise away[0]
                self._log.info("cancelled on disconnect", **facts)
                return
            except (GatewayError, JournalError) as error:
                again = translate(error, "").code in _AGAIN and not self._draining.is_set()
                failed = {**facts, "error_class": type(error).__name__, "message": str(error)}
                self._log.error("cancel on disconnect failed", **failed, retry_s=wait_s if again else None)
                if not again:
                    return
            await self._clock.sleep(wait_s)
            wait_s = min(2 * wait_s, LAST_RETRY_S)


def _chunks(by_account: Mapping[str, Sequence[str]]) -> list[tuple[str, Sequence[str]]]:
    return [
        (account_id, names[start : start + CHUNK])
        for account_id, names in by_account.items()
        for start in range(0, len(names), CHUNK)
    ]


def _request(
    account_id: str,
    client_order_ids: Sequence[str],
    caller: Caller,
    number: str,
    encode: Callable[[Sequence[CancelResult]], bytes],
) -> Request:
    """Named after what it cancels and its number: a later lease of the same orders, whose cancels the broker refused
    the first time, is another request."""
    digest = hashlib.sha256("\n".join((number, account_id, *client_order_ids)).encode()).digest()
    return Request(
        request_id=f"lease-{digest[:16].hex()}",
        method="CancelOnDisconnect",
        fingerprint=digest,
        encode=encode,
        caller=caller,
    )
