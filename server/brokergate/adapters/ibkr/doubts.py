"""Orders of which TWS has said something that does not say how they stand: it is asked, at once and in passing. What is
not found out here the engine finds out, which asks for everything now and then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from brokergate.adapters.ibkr.desk import Desk
from brokergate.adapters.ibkr.known import Known
from brokergate.adapters.ibkr.lookups import Lookups
from brokergate.domain.errors import BrokerError
from brokergate.domain.orders import ENDED, OrderState


class Doubts:
    """Asks for one account, until `close`."""

    def __init__(self, desk: Desk, lookups: Lookups, log: Callable[..., object]) -> None:
        self._desk = desk
        self._lookups = lookups
        self._log = log
        self._tasks: set[asyncio.Task[None]] = set()
        desk.on_doubt = lambda known: self._start(self._look(known))
        desk.on_end = lambda known: self._start(self._how(known))

    def _start(self, asking: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(asking, name="how an order stands")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look(self, known: Known) -> None:
        """How an order stands of which something was said that nobody understands."""
        try:
            shown = await self._lookups.shown(known.perm_id)
        except BrokerError as error:
            self._log("an order that was doubted is not known", reason=str(error))
            return
        if shown is not None and shown.state in ENDED:
            self._desk.ended(known, shown.state, shown.reason, shown.message)

    async def _how(self, known: Known) -> None:
        """Whether an order that nobody here cancelled has run out."""
        state, message = OrderState.CANCELED, ""
        try:
            shown = await self._lookups.completed(known.perm_id)
        except BrokerError as error:
            self._log("how an order ended is not known", reason=str(error))
        else:
            if shown is not None:
                ran_out = shown.state is OrderState.EXPIRED or self._lookups.ran_out(known.shown)
                state = OrderState.EXPIRED if ran_out else state
                message = shown.message
        self._desk.tell_end(known, state, message)

    async def close(self) -> None:
        """Ends all of it."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
