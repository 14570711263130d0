"""What can be done to paper accounts beside trading: made, reset, their tapes steered, their markets pushed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal

from brokergate.domain.commands import CreatePaperAccount, Request
from brokergate.domain.errors import ErrorReason, GatewayError, invalid_field
from brokergate.domain.events import ControlChanged, ControlEventType, EventPayload
from brokergate.domain.faults import Fault, FaultPlan
from brokergate.domain.policy import AccountPolicy
from brokergate.engine.account import Account
from brokergate.engine.fault_setting import CONFIGURED, FAULTS, said
from brokergate.engine.fault_setting import to_setting as plan_setting
from brokergate.engine.lookups import account_view, simulated_venue
from brokergate.engine.paper_setting import PAPER_SETTING, from_setting, to_setting
from brokergate.engine.tasks import OwnedTasks, to_its_end
from brokergate.ports.broker import AbstractBroker, PushedUpdate, TapeAction
from brokergate.ports.journal import Journal, Setting

AddAccount = Callable[[str, AbstractBroker, AccountPolicy], Awaitable[None]]
"""`Gateway.add_account`."""


class Simulators:
    """The paper accounts of a gateway. One command after another, each to its end."""

    def __init__(
        self,
        accounts: Mapping[str, Account],
        journal: Journal,
        log: Callable[..., object],
        tasks: OwnedTasks,
        make: Callable[[CreatePaperAccount], AbstractBroker],
        add: AddAccount,
        find: Callable[[str], Account],
        go_across: Callable[[Account, FaultPlan], Awaitable[None]],
    ) -> None:
        """`find` is `Gateway.account`; `go_across` makes an in-process account one across a line, with these faults."""
        self.tasks = tasks
        self._accounts = accounts
        self._journal = journal
        self._log = log
        self._make = make
        self._add = add
        self._find = find
        self._go_across = go_across
        self._one = asyncio.Lock()

    async def restore(self) -> None:
        """Takes in the paper accounts that were made at run time. One that the configuration names too is skipped."""
        for key, text in sorted(self._journal.settings(PAPER_SETTING).items()):
            account_id = key.removeprefix(PAPER_SETTING)
            if account_id in self._accounts:
                self._log("account of the configuration hides one made at run time", account=account_id)
                continue
            await self._add(account_id, self._make(from_setting(account_id, text)), AccountPolicy())

    @to_its_end
    async def create(self, command: CreatePaperAccount, request: Request) -> bytes:
        """Makes a paper account that is there again after a restart; ACCOUNT_EXISTS when the id is taken."""
        async with self._one:
            account_id = command.account_id
            if account_id in self._accounts:
                account = self._accounts[account_id]
                if (answer := account.answered(request)) is not None:
                    return answer
                raise GatewayError(
                    ErrorReason.ACCOUNT_EXISTS,
                    f"account {account_id!r} exists; choose another id, or reset it",
                    violations=invalid_field("account_id", f"account {account_id!r} exists").violations,
                )
            await self._add(account_id, self._make(command), AccountPolicy())
            self._journal.put_setting(PAPER_SETTING + account_id, to_setting(command))
            created = ControlChanged(
                ControlEventType.ACCOUNT_CREATED, request.request_id, "paper account", request.actor
            )
            account = self._accounts[account_id]
            return await self._answer(account, request, await account_view(account), (created,))

    @to_its_end
    async def reset(
        self, account_id: str, initial_balances: Mapping[str, Decimal] | None, request: Request
    ) -> bytes:
        """Puts a paper account back to its beginning; its journal and its used ids go on."""
        async with self._one:
            account = self._find(account_id)
            if (answer := account.answered(request)) is not None:
                return answer
            reports = await simulated_venue(account).reset(initial_balances)
            done = ControlChanged(ControlEventType.ACCOUNT_RESET, request.request_id, "", request.actor)
            payloads = [*account.tracker.apply(reports), done]
            account.begin_anew(reports)
            return await self._answer(account, request, await account_view(account), payloads)

    @to_its_end
    async def control_tape(self, account_id: str, action: TapeAction, request: Request) -> bytes:
        """Steers the tape of a paper account."""
        async with self._one:
            account = self._find(account_id)
            if (answer := account.answered(request)) is not None:
                return answer
            status = await simulated_venue(account).control_tape(action)
            moved = ControlChanged(
                ControlEventType.TAPE,
                request.request_id,
                f"{status.state} at {status.tape_time_ns}",
                request.actor,
            )
            return await self._answer(account, request, status, (moved,))

    @to_its_end
    async def set_faults(self, account_id: str, faults: Sequence[Fault], request: Request) -> bytes:
        """Has these things go wrong on a paper account, in place of those before and after a restart too. The first
        ones take an account that is in process across a line. `request.encode` gets the faults."""
        async with self._one:
            account = self._find(account_id)
            if (answer := account.answered(request)) is not None:
                return answer
            venue = simulated_venue(account)
            plan = FaultPlan(tuple(faults), account.clock.now_ns())
            if account.broker.in_process and faults:
                account.check_connected()
                await self._go_across(account, plan)
            record, body = account.done(request, plan.faults)
            changed = ControlChanged(ControlEventType.FAULTS, request.request_id, said(plan), request.actor)
            kept = Setting(FAULTS, plan_setting(plan)), Setting(CONFIGURED, account.configured_faults)
            account.stage((changed,), (record, *kept))
            await self._journal.commit()
            venue.set_faults(plan)
            return body

    async def push(self, account_id: str, updates: Sequence[PushedUpdate]) -> None:
        """Gives a paper account market data."""
        await simulated_venue(self._find(account_id)).push(updates)

    async def settle(self, account_id: str) -> None:
        """Returns when all that the market did to the account until now can be read and streamed; across a line, what
        of it has come here."""
        self._find(account_id).stage(())
        await self._journal.commit(account_id)

    async def _answer(
        self, account: Account, request: Request, result: object, payloads: Sequence[EventPayload]
    ) -> bytes:
        record, body = account.done(request, result)
        account.stage(payloads, (record,))
        await self._journal.commit()
        return body
