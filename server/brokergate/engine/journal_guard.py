"""What happens while the journal cannot be written.

New orders are refused, nothing is acknowledged, streams end. Only cancels and stops go out to the brokers unwritten;
they are carried out again, and written, when the journal works. Then every account is made anew from what is on the
disk, as at a start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress

from brokergate.domain.errors import ErrorReason, GatewayError
from brokergate.domain.orders import Order
from brokergate.engine.account import Account
from brokergate.ports.clock import Clock
from brokergate.ports.journal import Journal, JournalError

RETRY_S = 1.0
"""Seconds between two attempts to open the journal again."""

MAX_OWED = 10_000
"""Commands that wait for the journal; further ones are refused."""


STOPS, CANCELS = "stop", "cancel"
"""What may be owed; stops are paid before anything else."""


class JournalGuard:
    """Opens the journal again and has the accounts made anew. `rebuild` is called once it is open."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        log: Callable[..., object],
        rebuild: Callable[[], Awaitable[None]],
        changed: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._log = log
        self._rebuild = rebuild
        self._changed = changed
        self._works = asyncio.Event()
        self._works.set()
        self._owed: dict[tuple[str, str], Callable[[], Coroutine[object, object, object]]] = {}
        self._task: asyncio.Task[None] | None = None
        self._stop_listening = journal.on_failure(self._failed)

    async def works(self) -> None:
        """Returns when the journal can be written and the accounts stand on it."""
        if self._journal.failed is not None:
            # It tells of its failure a turn of the loop later: whoever asks again and again would hold that turn up.
            self._works.clear()
        await self._works.wait()

    def owe(
        self, kind: str, request_id: str, command: Callable[[], Coroutine[object, object, object]]
    ) -> GatewayError:
        """Keeps a command for when the journal works. Gives what its caller is told."""
        if len(self._owed) >= MAX_OWED:
            return GatewayError(
                ErrorReason.JOURNAL_UNAVAILABLE,
                "the journal cannot be written; try again",
                retry_after_ms=1000,
            )
        self._owed[kind, request_id] = command
        return GatewayError(
            ErrorReason.OUTCOME_UNKNOWN,
            "the journal cannot be written: what was asked for went out to the broker all the same, and will be "
            "written when that is possible again; repeat with the same request_id to learn the outcome",
        )

    async def cancel_unwritten(self, account: Account, orders: Sequence[Order]) -> None:
        """Cancels at the broker while the journal fails: that much may go out unwritten. What the broker answers is
        found when the journal works."""
        sending = [order for order in orders if not order.held]
        if sending and not account.broker.in_process:
            with suppress(Exception):  # whatever it was, the cancel is carried out again
                await account.broker.cancel_all_orders(sending)

    async def pay(self, kind: str) -> None:
        """Carries out what is owed of a kind."""
        for key, command in list(self._owed.items()):
            if key[0] != kind:
                continue
            try:
                await command()
            except JournalError:
                raise
            except Exception as error:  # noqa: BLE001 - its caller repeats it and is told
                self._log("what was owed to the journal was refused", request_id=key[1], error=repr(error))
            # The same may have been carried out twice side by side: its request_id makes that one.
            self._owed.pop(key, None)

    async def close(self) -> None:
        """Ends it."""
        self._stop_listening()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _failed(self, error: JournalError) -> None:
        self._works.clear()
        self._log("the journal failed", error=str(error))
        self._changed()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._reopen(), name="journal")

    async def _reopen(self) -> None:
        while True:
            await self._clock.sleep(RETRY_S)
            try:
                self._journal.reopen()
                await self._rebuild()
            except JournalError as error:
                self._log("the journal cannot be opened again yet", error=str(error))
                continue
            except Exception as error:  # noqa: BLE001 - whatever it was, the gateway does not stay closed for it
                self._log("the accounts cannot be made anew yet", error=repr(error))
                continue
            if self._journal.failed is None:
                break
        self._works.set()
        self._log("the journal works again")
        self._changed()
