"""Every order of the account, and what is told of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.emulators.alpaca.core import AlpacaCore
from tests.emulators.alpaca.held import Held
from tests.emulators.alpaca.numbers import utc
from tests.emulators.alpaca.translating import look

TOLD = frozenset({"stopped", "suspended", "calculated", "done_for_day"})
"""Statuses that an order has only where a test says so: the venue behind has no such thing."""


class Records:
    """See the module. `tell` gets the data of every event, `new_id` makes UUIDs."""

    def __init__(
        self, core: AlpacaCore, new_id: Callable[[], str], tell: Callable[[dict[str, Any]], None]
    ) -> None:
        self.core = core
        self.new_id = new_id
        self.orders: list[Held] = []
        """Every order, oldest first."""
        self.by_id: dict[str, Held] = {}
        self.by_client: dict[str, Held] = {}
        self._tell = tell
        self._open: dict[str, Held] = {}

    @property
    def open(self) -> list[Held]:
        """The orders that have not ended, oldest first."""
        return list(self._open.values())

    def keep(self, held: Held) -> None:
        """Remembers a new order and its legs for ever."""
        for order in (held, *held.legs):
            self._remember(order)

    def _remember(self, held: Held) -> None:
        self.orders.append(held)
        self.by_id[held.id] = self.by_client[held.client_order_id] = held
        self._open[held.id] = held

    def shape(self, held: Held, *, nested: bool = True) -> dict[str, Any]:
        """The order as it is shown now."""
        for order in held.family:
            look(self.core, order)
        return held.shape(nested=nested)

    def announce(self, held: Held, event: str) -> None:
        """Tells an event that nothing here brings about by itself (stopped, suspended, calculated, done_for_day …); the
        order has that status from then on, where it is one."""
        if event in TOLD:
            self._status(held, event)
        self._event(event, held)

    def _status(self, held: Held, status: str) -> None:
        held.status = status
        held.updated_ns = self.core.now_ns

    def _finish(self, held: Held, status: str) -> None:
        self._status(held, status)
        if status == "expired":
            held.expired_ns = self.core.now_ns
        else:
            held.canceled_ns = self.core.now_ns
        self._open.pop(held.id, None)
        self._event(status, held)

    def _reject(self, held: Held, message: str) -> None:
        held.part, held.failed_ns = None, self.core.now_ns
        self._status(held, "rejected")
        self._open.pop(held.id, None)
        self._event("rejected", held, reason=message)

    def _event(self, event: str, held: Held, execution_id: str = "", **more: Any) -> None:
        look(self.core, held)
        self._tell(
            {
                "event": event,
                "execution_id": execution_id or self.new_id(),
                "timestamp": utc(self.core.now_ns),
                **more,
                "order": held.shape(),
            }
        )
