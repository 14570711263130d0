"""The connections of all accounts: in-process venues are there once asked for, the others have a supervisor each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

from brokergate.domain.accounts import ConnectionState
from brokergate.domain.errors import TemporaryConnectionError
from brokergate.engine.account import Account
from brokergate.engine.supervisor import Supervisor
from brokergate.ports.broker import SimulatedVenue
from brokergate.ports.journal import JournalError

RETRY_S = 1.0
"""How long a venue in the process waits for what it follows before it is tried again."""


class Connections:
    """Connects, follows and ends. `accounts` are all that there are."""

    def __init__(self, accounts: Mapping[str, Account], log: Callable[..., object]) -> None:
        self.supervisors: dict[str, Supervisor] = {}
        """Of the accounts whose broker is outside the process."""
        self._accounts = accounts
        self._log = log
        self._pumps: dict[str, asyncio.Task[None]] = {}
        self._retries: dict[str, asyncio.Task[None]] = {}

    def supervise(self, account_id: str, supervisor: Supervisor) -> None:
        """Connects an account to its broker from now on, in the background."""
        self.supervisors[account_id] = supervisor
        supervisor.start()

    async def tried(self, account_id: str) -> None:
        """Returns when the first attempt to connect the account has ended. An in-process venue is connected here."""
        supervisor = self.supervisors.get(account_id)
        if supervisor is not None:
            await supervisor.tried.wait()
        elif account_id not in self._pumps:
            await self._connect(self._accounts[account_id])

    async def again(self, account: Account, message: str) -> None:
        """Drops the connection and makes another one; returns when the attempt has ended."""
        supervisor = self.supervisors.get(account.account_id)
        if supervisor is not None:
            await supervisor.reconnect(message)
            return
        await self._disconnect(account)
        account.enter(ConnectionState.RECONNECTING, message)
        await self._connect(account)

    async def anew(self, account: Account) -> None:
        """Connects an account that was made anew from the journal."""
        supervisor = self.supervisors.get(account.account_id)
        if supervisor is not None:
            await supervisor.stop()
            await _park(account)
            supervisor.start()
        else:
            await self._disconnect(account)
            await self._connect(account)

    async def close(self) -> None:
        """Ends all of them."""
        retries = list(self._retries.values())
        self._retries.clear()
        for retry in retries:
            retry.cancel()
        await asyncio.gather(*retries, return_exceptions=True)
        for supervisor in self.supervisors.values():
            await supervisor.stop()
        for account in self._accounts.values():
            await _park(account)

    async def told(self) -> None:
        """After `close`: returns when what the venues told is staged."""
        await asyncio.gather(*self._pumps.values(), return_exceptions=True)

    async def _connect(self, account: Account) -> None:
        account.connection.enter(ConnectionState.CONNECTING)
        try:
            await account.open()
        except TemporaryConnectionError as error:
            # What it follows is away, and comes back.
            account.enter(ConnectionState.RECONNECTING, str(error))
            if account.account_id not in self._retries:
                retry = asyncio.create_task(self._retry(account), name=f"connection of {account.account_id}")
                self._retries[account.account_id] = retry
            return
        except Exception as error:  # noqa: BLE001 - one broker that fails, however it does, leaves the others alone
            account.metrics.record_error(error)
            account.enter(ConnectionState.ERROR, str(error))
            return
        account.enter(ConnectionState.CONNECTED, "")
        task = asyncio.create_task(self._pump(account), name=f"events of {account.account_id}")
        self._pumps[account.account_id] = task

    async def leave(self, account: Account, message: str) -> None:
        """Ends the connection to an in-process venue, for a connection of another kind: returns when all that it told
        is staged."""
        account.enter(ConnectionState.RECONNECTING, message)
        await self._disconnect(account)

    async def _retry(self, account: Account) -> None:
        try:
            while account.account_id not in self._pumps:
                await account.clock.sleep(RETRY_S)
                await self._connect(account)
        finally:
            self._retries.pop(account.account_id, None)

    async def _disconnect(self, account: Account) -> None:
        if (retry := self._retries.pop(account.account_id, None)) is not None:
            retry.cancel()
            await asyncio.gather(retry, return_exceptions=True)
        await account.broker.close()
        if (pump := self._pumps.pop(account.account_id, None)) is not None:
            await pump

    async def _pump(self, account: Account) -> None:
        try:
            async for reports in account.broker.events():
                with suppress(JournalError):
                    # While the journal fails the venue goes on for itself, and is then put back to what is durable.
                    account.take(reports)
        except Exception as error:  # noqa: BLE001 - likewise
            with suppress(JournalError):
                account.enter(ConnectionState.ERROR, str(error))
            self._log("broker's events ended", account=account.account_id, error=repr(error))


async def _park(account: Account) -> None:
    """Ends the connection; a simulated venue stands still from then on."""
    if isinstance(account.broker, SimulatedVenue):
        await account.broker.park()
    elif account.broker.in_process:
        await account.broker.close()
