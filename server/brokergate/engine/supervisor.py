"""The connection of one account to a broker outside the process, for as long as the gateway runs.

    connect → fill the gap → send what was held back → CONNECTED → follow the broker's events, and poll

Whatever ends that leads back to its beginning, after 1, 2, 4 … 60 seconds, up to half of it by chance, so that many
gateways do not come back in the same moment. The waits begin anew after a connection that held: a venue that takes
every connection and drops it is not stormed (pain 5). Nothing is traded between a loss and the end of the next gap
fill; what was known is shown, as stale.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress

from brokergate.domain.accounts import ConnectionState
from brokergate.domain.errors import (
    AccountSuspendedError,
    BrokerError,
    ErrorReason,
    ExchangeMaintenanceError,
    FinalError,
    RateLimitError,
    RecoverableError,
    TemporaryConnectionError,
)
from brokergate.domain.events import EventPayload, GapFound
from brokergate.domain.orders import Order
from brokergate.engine.account import Account
from brokergate.engine.placing import Placing
from brokergate.engine.recovery import NS_PER_S, GapFill
from brokergate.engine.silence import REST_NS
from brokergate.ports.broker import ConnectionReport, Report
from brokergate.ports.journal import JournalError

FIRST_WAIT_S = 1.0
STEADY_S = 60.0
"""A connection that was CONNECTED for so long held."""
HELD_TICK_S = 1.0
"""How often what is held back is looked at for its age."""


class Supervisor:
    """Keeps one account connected. `journal_works` returns when the journal can be written."""

    def __init__(
        self,
        account: Account,
        placing: Placing,
        rng: random.Random,
        journal_works: Callable[[], Awaitable[None]],
        suspended: Callable[[Account, str], None],
    ) -> None:
        self.gap = GapFill(account)
        self.tried = asyncio.Event()
        """Set when the first attempt to connect has ended, however it did, and when there will be none."""
        self._account = account
        self._placing = placing
        self._rng = rng
        self._journal_works = journal_works
        self._suspended = suspended
        self._hurry = asyncio.Event()
        self._lost = asyncio.Event()
        self._asked = ""
        self._refused = False
        self._gave_up_ns: int | None = None
        """When a stream was last given up for being mute: monotonic."""
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begins."""
        self.tried.clear()
        self.gap.resolver.load()
        name = self._account.account_id
        self._tasks = [
            asyncio.create_task(self._run(), name=f"connection of {name}"),
            asyncio.create_task(self._expire_held(), name=f"held orders of {name}"),
        ]

    async def stop(self) -> None:
        """Ends the connection, for good."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        with suppress(Exception):
            await self._account.broker.close()
        if self._account.connection.state is not ConnectionState.DISCONNECTED:
            with suppress(JournalError):
                self._account.enter(ConnectionState.DISCONNECTED, "the gateway ended the connection")
        # Nobody waits for an attempt that does not come.
        self.tried.set()

    async def reconnect(self, message: str) -> None:
        """Drops the connection and returns when another attempt has ended."""
        self.tried.clear()
        self._asked = message
        self._lost.set()
        self._hurry.set()
        await self.tried.wait()

    async def _run(self) -> None:
        account = self._account
        wait_s = FIRST_WAIT_S
        while True:
            await self._journal_works()
            self._hurry.clear()
            try:
                held_s = await self._session()
                if held_s is None:
                    self.tried.set()
                elif held_s >= STEADY_S:
                    wait_s = FIRST_WAIT_S
            except JournalError:
                account.connection.enter(ConnectionState.RECONNECTING, "the journal cannot be written")
                self.tried.set()
                continue
            finally:
                account.connection.recovering = False
            most_s = account.policy.reconnect_max_ns / NS_PER_S
            if self._refused:
                # The next attempt is refused as well, and some venues count them.
                wait_s = most_s
            await self._pause(min(wait_s, most_s))
            wait_s = min(2 * wait_s, most_s)

    async def _pause(self, wait_s: float) -> None:
        """Waits for the next attempt; less when somebody asks for it."""
        wait_s *= 0.5 + self._rng.random() / 2
        sleep = asyncio.ensure_future(self._account.clock.sleep(wait_s))
        hurry = asyncio.ensure_future(self._hurry.wait())
        try:
            await asyncio.wait((sleep, hurry), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()
            hurry.cancel()
            await asyncio.gather(sleep, hurry, return_exceptions=True)

    async def _session(self) -> float | None:
        """One connection, from its making to its loss; for how many seconds it was CONNECTED, None for never."""
        account, connection = self._account, self._account.connection
        self._lost.clear()
        self._refused = False
        connected_ns: int | None = None
        helpers: list[asyncio.Task[None]] = []
        try:
            first = connection.state is ConnectionState.DISCONNECTED
            state = ConnectionState.CONNECTING if first else ConnectionState.RECONNECTING
            account.enter(state, self._asked)
            self._asked = ""
            await account.open()
            connection.recovering = True
            follow = asyncio.create_task(self._follow(), name=f"events of {account.account_id}")
            helpers.append(follow)
            await self._or_lost(self.gap.run(), follow)
            await self._release_held()
            connection.recovering = connection.maintenance = False
            account.enter(ConnectionState.CONNECTED, "")
            connected_ns = account.clock.monotonic_ns()
            self.tried.set()
            helpers.append(asyncio.create_task(self._poll(), name=f"polls of {account.account_id}"))
            helpers.append(asyncio.create_task(self._doubts(), name=f"doubts of {account.account_id}"))
            # Placed while the last of the held ones went out.
            await self._release_held()
            await self._first_end(helpers)
        except (BrokerError, OSError) as error:
            self._failed(error, was_connected=connected_ns is not None)
        except JournalError:
            raise
        except Exception as error:  # noqa: BLE001 - one broker that fails, however it does, leaves the others alone
            account.log("connection failed", account=account.account_id, error=repr(error))
            self._failed(error, was_connected=False)
        else:
            account.enter(ConnectionState.RECONNECTING, self._asked or "the connection was lost")
        finally:
            for task in helpers:
                task.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            with suppress(Exception):
                await account.broker.close()
        return None if connected_ns is None else (account.clock.monotonic_ns() - connected_ns) / NS_PER_S

    def _failed(self, error: Exception, *, was_connected: bool) -> None:
        """What was there and is lost is RECONNECTING; what could not be made, or will not be there again by itself, is
        an ERROR."""
        account, connection = self._account, self._account.connection
        connection.maintenance = isinstance(error, ExchangeMaintenanceError)
        self._refused = isinstance(error, FinalError)
        message = str(error) or type(error).__name__
        lost = was_connected and isinstance(error, RecoverableError | OSError)
        account.enter(ConnectionState.RECONNECTING if lost else ConnectionState.ERROR, message)
        account.metrics.record_error(error)
        if isinstance(error, AccountSuspendedError):
            self._suspended(account, message)

    async def _or_lost(self, work: Coroutine[object, object, None], follow: asyncio.Task[None]) -> None:
        """Does `work`, unless the connection is lost meanwhile."""
        task = asyncio.create_task(work)
        try:
            await self._first_end([task, follow])
            if not task.done():
                raise BrokerError("the connection was lost while the gap was filled")
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _first_end(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        """Returns when one of `tasks` ends or somebody asks for another connection; raises what the task raised."""
        lost = asyncio.create_task(self._until_lost())
        try:
            await asyncio.wait((*tasks, lost), return_when=asyncio.FIRST_COMPLETED)
        finally:
            lost.cancel()
            await asyncio.gather(lost, return_exceptions=True)
        for task in tasks:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def _until_lost(self) -> None:
        await self._lost.wait()

    async def _follow(self) -> None:
        account = self._account
        async for reports in account.broker.events():
            self.gap.silence.told(reports)
            with suppress(JournalError):
                # While the journal fails fills stay unbooked; they are fetched again when it works.
                account.take(reports)
            if _loses(reports):
                return

    async def _poll(self) -> None:
        account = self._account
        while True:
            await account.clock.sleep(account.policy.poll_interval_ns / NS_PER_S)
            await self._journal_works()
            with suppress(JournalError):
                try:
                    await self._ask()
                except RateLimitError as error:
                    # The budget is needed elsewhere, and the connection is as it was: the next poll asks for it all.
                    account.log("poll put off", account=account.account_id, reason=str(error))
                    continue
                await self._until_told()

    async def _ask(self) -> None:
        """One poll. A question that fails now and then is no lost connection; one that fails twice in a row is."""
        account = self._account
        try:
            await self.gap.poll()
        except RateLimitError:
            raise
        except RecoverableError as error:
            account.metrics.record_error(error)
            account.log("poll failed", account=account.account_id, reason=str(error))
        else:
            return
        await account.clock.sleep(FIRST_WAIT_S)
        await self.gap.poll()

    async def _until_told(self) -> None:
        """What the poll found the stream has to tell as well. Raises `TemporaryConnectionError` for one that is mute,
        after a Gap: it kept this back, and nobody knows what else."""
        account, silence = self._account, self.gap.silence
        if not silence.left_ns:
            return
        await account.clock.sleep(silence.left_ns / NS_PER_S)
        now_ns = account.clock.monotonic_ns()
        message = silence.overdue(now_ns)
        if not message:
            return
        if self._gave_up_ns is not None and now_ns - self._gave_up_ns < REST_NS:
            account.log("mute stream kept", account=account.account_id, reason=message)
            silence.forget()
            return
        self._gave_up_ns = now_ns
        connection = account.connection
        heard_ns = max(connection.last_data_ns, connection.since_ns)
        account.stage((GapFound(heard_ns, account.clock.now_ns(), message),))
        raise TemporaryConnectionError(message)

    async def _doubts(self) -> None:
        while True:
            with suppress(JournalError):
                await self.gap.resolver.run()
            await self._journal_works()

    # What is held back

    async def _release_held(self) -> None:
        """Sends what waited, oldest first, until nothing waits."""
        while held := [order for order in self._account.tracker.open.values() if order.held]:
            expired = [order for order in held if self._too_old(order)]
            self._drop(expired)
            await self._placing.release([order for order in held if order not in expired])

    async def _expire_held(self) -> None:
        account = self._account
        while True:
            await account.clock.sleep(HELD_TICK_S)
            if account.journal.failed is None:
                self._drop(
                    [order for order in account.tracker.open.values() if order.held and self._too_old(order)]
                )

    def _too_old(self, order: Order) -> bool:
        most_ns = self._account.policy.queue_max_age_ns
        return most_ns is None or self._account.clock.now_ns() - order.create_time_ns >= most_ns

    def _drop(self, orders: Sequence[Order]) -> None:
        if not orders:
            return
        account = self._account
        payloads: list[EventPayload] = []
        for order in orders:
            message = "the broker was away for longer than an order waits (queue_max_age); nothing was sent"
            account.tracker.rejected(order, ErrorReason.NOT_SENT, message, payloads)
        account.stage(payloads)


def _loses(reports: Sequence[Report]) -> bool:
    """Whether the broker says that the connection is gone."""
    return any(
        isinstance(report, ConnectionReport) and report.state is not ConnectionState.CONNECTED
        for report in reports
    )
