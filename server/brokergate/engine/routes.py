"""Routes: which of its accounts a new order goes to, and where the orders of a route are.

The choice is committed with the intent (`Routed`) and looked up before anything is chosen, by the route's id and the
client_order_id, so that at most one of the accounts ever gets the order (law 2): also after a crash, and after the
account has left the route or the configuration. Between choosing and staging nothing suspends: two commands under one
id cannot both choose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from brokergate.domain.accounts import Environment
from brokergate.domain.commands import OrderFailure, OrderRef, PlaceOrder
from brokergate.domain.errors import (
    MAX_VIOLATIONS,
    ErrorReason,
    GatewayError,
    StatusCode,
    invalid_field,
    shorten,
)
from brokergate.domain.values import changed
from brokergate.engine.account import Account
from brokergate.engine.grouping import check_place
from brokergate.engine.placing import reused
from brokergate.engine.rules import check_tradable
from brokergate.ports.journal import Journal

Authorise = Callable[[str], None]
"""Raises a GatewayError unless the caller may use the account."""

_CANNOT_TRADE: Final = (ErrorReason.UNSUPPORTED, ErrorReason.MARKET_CLOSED, ErrorReason.INSTRUMENT_NOT_FOUND)
"""What says that another account may trade the order and this one cannot, the most telling first. Whatever else is
wrong with an order is wrong with it: the account that it goes to says so."""

_LASTING: Final = (ErrorReason.NO_REFERENCE_PRICE, *_CANNOT_TRADE, ErrorReason.TRADING_DISABLED)
"""What no connection brings back."""


class Routes:
    """The routes of the configuration over the accounts that there are. `absent` says why an account of the
    configuration is not there."""

    def __init__(
        self,
        routes: Mapping[str, Sequence[str]],
        accounts: Mapping[str, Account],
        absent: Mapping[str, str],
        journal: Journal,
    ) -> None:
        self._routes = routes
        self._accounts = accounts
        self._absent = absent
        self._journal = journal

    def gaps(self) -> Iterator[str]:
        """What is to be told at the start of the accounts that routes go on without."""
        for route_id, names in self._routes.items():
            for name, account, why in self._told(names):
                if account is None:
                    yield f"route {route_id!r} goes on without {name!r}, which {why}"

    # Placing

    def next_run(
        self, commands: Sequence[PlaceOrder], authorise: Authorise
    ) -> tuple[Account, list[PlaceOrder]] | OrderFailure:
        """The account that the first of `commands` goes to, with as many of those that follow as go there too; or why
        the first one goes nowhere. What is chosen holds until the caller suspends."""
        run: list[PlaceOrder] = []
        chosen: Account | None = None
        names: set[str] = set()
        for command in commands:
            if not names.isdisjoint(ids := (command.client_order_id, *command.linked)):
                break  # What became of its twin is looked up once that is journalled.
            try:
                account = self.choose(command)
                if chosen is None:
                    authorise(account.account_id)
            except GatewayError as error:
                if chosen is None:
                    return OrderFailure(error)
                break
            if chosen is not None and account is not chosen:
                break
            chosen = account
            names.update(ids)
            run.append(changed(command, account_id=account.account_id))
        assert chosen is not None
        return chosen, run

    def choose(self, command: PlaceOrder) -> Account:
        """The account that the order is on, or else goes to."""
        route_id = command.route_id
        names = (command.client_order_id, *command.linked)
        for name in names:
            if (bound := self._journal.find_routed(route_id, name)) is not None:
                return self._bound(route_id, name, bound)
        members = self._members(route_id)
        accounts = [account for _, account, _ in members if account is not None]
        for account in accounts:
            for name in names:
                if (known := self._journal.find_order(account.account_id, name)) is not None:
                    raise reused(name, known.order)
        for account in accounts:
            # A cancel that came before the order said that it is not to be placed: there it ends so.
            if any(self._journal.is_tombstoned(account.account_id, name) for name in names):
                return account
        return self._first(route_id, members, lambda account: _check(account, command))

    def first(self, command: PlaceOrder) -> Account:
        """The account that a new order would go to now."""
        return self._first(
            command.route_id, self._members(command.route_id), lambda account: _check(account, command)
        )

    def check(self, route_id: str) -> None:
        """Raises ROUTE_NOT_FOUND."""
        self._members(route_id)

    def tombstone(self, route_id: str, client_order_id: str) -> Account:
        """The account that keeps the tombstone of an id that the route does not know yet."""
        for _, account, _ in self._members(route_id):
            if account is not None:
                return account
        raise self._nobody(route_id, self._members(route_id), {})

    # Looking up

    def account_of(self, route_id: str, ref: OrderRef) -> str | None:
        """The account that the order of the route is on; None where the route has no such order."""
        if ref.order_id:
            account = self._accounts.get(ref.order_id.rpartition("-")[0].rpartition("-")[0])
            order = None if account is None else account.find(ref)
            bound = None if order is None or order.route_id != route_id else order.account_id
        else:
            bound = self._journal.find_routed(route_id, ref.client_order_id)
        if bound is None:
            self._members(route_id)
            return None
        return self._bound(route_id, ref.client_order_id, bound).account_id

    def order_account(self, route_id: str, ref: OrderRef, field: str = "order") -> str:
        """As `account_of`; ORDER_NOT_FOUND, naming the `ref` at the path `field`, where the route has no such order."""
        account_id = self.account_of(route_id, ref)
        if account_id is None:
            name = "order_id" if ref.order_id else "client_order_id"
            problem = f"route {route_id!r} has no order with {name} {shorten(getattr(ref, name))!r}"
            raise GatewayError(
                ErrorReason.ORDER_NOT_FOUND,
                problem,
                violations=invalid_field(f"{field}.{name}", problem).violations,
            )
        return account_id

    def reader(self, route_id: str, check: Callable[[Account], None]) -> Account:
        """The first account that is connected and that `check` raises no GatewayError for."""

        def checked(account: Account) -> None:
            account.check_connected()
            check(account)

        return self._first(route_id, self._members(route_id), checked)

    # Choosing

    def _members(self, route_id: str) -> list[tuple[str, Account | None, str]]:
        """The accounts in order, each by its id, and why it is left out where it is. ROUTE_NOT_FOUND."""
        names = self._routes.get(route_id)
        if names is None:
            known = ", ".join(sorted(self._routes)[:8]) or "none"
            raise GatewayError(
                ErrorReason.ROUTE_NOT_FOUND,
                f"no route {shorten(route_id)!r}; the configuration has {known}",
                violations=invalid_field("route_id", f"no route {shorten(route_id)!r}").violations,
            )
        return list(self._told(names))

    def _told(self, names: Sequence[str]) -> Iterator[tuple[str, Account | None, str]]:
        live: bool | None = None
        for name in names:
            account = self._accounts.get(name)
            if account is None:
                yield name, None, self._absent.get(name, "is not an account of this gateway")
                continue
            environment = account.broker.environment
            if live is None:
                live = environment is Environment.LIVE
            if live is not (environment is Environment.LIVE):
                # The configuration is checked for it; an account that is made at run time is not in there.
                yield name, None, f"is {environment.name.lower()}, unlike the accounts before it"
            else:
                yield name, account, ""

    def _first(
        self,
        route_id: str,
        members: Sequence[tuple[str, Account | None, str]],
        check: Callable[[Account], None],
    ) -> Account:
        against: dict[str, GatewayError] = {}
        for name, account, _ in members:
            if account is None:
                continue
            try:
                check(account)
            except GatewayError as error:
                against[name] = error
            else:
                return account
        raise self._nobody(route_id, members, against)

    def _nobody(
        self,
        route_id: str,
        members: Sequence[tuple[str, Account | None, str]],
        against: Mapping[str, GatewayError],
    ) -> GatewayError:
        """What the caller is told where no account will do, with the reason of each."""
        told = [
            (name, against[name].reason.name, against[name].message)
            if name in against
            else (name, ErrorReason.ACCOUNT_NOT_FOUND.name, why)
            for name, _, why in members
        ]
        shown = told[:MAX_VIOLATIONS]
        reasons = [f"{name}: {message}" for name, _, message in shown]
        if len(told) > len(shown):
            reasons.append(f"and {len(told) - len(shown)} more")
        errors = list(against.values())
        reason, violations = ErrorReason.BROKER_UNAVAILABLE, errors[:0]
        if errors and all(error.reason in _LASTING for error in errors):
            first = min(errors, key=lambda error: _LASTING.index(error.reason))
            reason, violations = first.reason, [first]
        passing = [error for error in errors if error.code is StatusCode.UNAVAILABLE]
        return GatewayError(
            reason,
            f"route {route_id!r} has no account that can take it now: {'; '.join(reasons)}",
            violations=[wrong for error in violations for wrong in error.violations],
            metadata={"route_id": route_id, **{name: reason for name, reason, _ in shown}},
            retry_after_ms=1000 if passing and reason is ErrorReason.BROKER_UNAVAILABLE else None,
        )

    def _bound(self, route_id: str, client_order_id: str, account_id: str) -> Account:
        account = self._accounts.get(account_id)
        if account is None:
            why = self._absent.get(account_id, "is not an account of this gateway any more")
            raise GatewayError(
                ErrorReason.ACCOUNT_NOT_FOUND,
                f"route {route_id!r} has {shorten(client_order_id)!r} on account {account_id!r}, which {why}; it is "
                "never placed on another one",
                metadata={"route_id": route_id, "account_id": account_id},
            )
        return account


def _check(account: Account, command: PlaceOrder) -> None:
    """Raises what keeps a new order off the account: its health, a stop, a freeze, what it cannot trade."""
    account.check_tradable()
    account.check_connected()
    symbol = command.spec.symbol
    if (refusal := account.refusal(symbol)) is not None:
        raise GatewayError(*refusal)
    instrument = account.instrument(symbol, "order.symbol")
    check_tradable(instrument, "order.")
    broker = account.broker
    try:
        check_place(command, instrument, broker.capabilities, broker.name, account.present_ns)
    except GatewayError as error:
        if error.reason in _CANNOT_TRADE:
            raise
