"""What TWS tells of accounts: values, portfolio, positions, summaries, P&L, at once and as they change.

tws-api, "Account & Portfolio Data". A subscription is told of a position as soon as it changes, of the values a little
later, those of many fills together, and once more with each `tick` (the real one: every three minutes).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.emulators.tws import frames
from tests.emulators.tws.accounts import Account, shown_money
from tests.emulators.tws.wire import UNSET, moment

if TYPE_CHECKING:
    from tests.emulators.tws.orders import TwsOrder
    from tests.emulators.tws.session import Session
    from tests.emulators.tws.venue import Tws

ACCOUNT = "account"
"""What faults call these frames."""
VALUES_AFTER_S = 0.1
"""Values follow an execution so much later."""


class Telling:
    """See the module."""

    def __init__(self, venue: Tws) -> None:
        self._venue = venue
        self._following: dict[Session, str] = {}
        self._positions: set[Session] = set()
        self._summaries: dict[tuple[Session, int], list[str]] = {}
        self._pnl: dict[tuple[Session, int], tuple[str, int | None]] = {}
        self._shown: dict[Session, dict[tuple[str, str], str]] = {}
        """What followers were told last, by tag and currency."""
        self._soon = False

    def gone(self, session: Session) -> None:
        """A connection has ended."""
        self._following.pop(session, None)
        self._shown.pop(session, None)
        self._positions.discard(session)
        for table in (self._summaries, self._pnl):
            for key in [key for key in table if key[0] is session]:
                del table[key]

    def forget(self, session: Session, request_id: int) -> None:
        """A subscription by request ends."""
        self._summaries.pop((session, request_id), None)
        self._pnl.pop((session, request_id), None)

    # Values and portfolio

    def follow(self, session: Session, account: str) -> None:
        """Tells all of an account, and from then on what changes; nothing more for ''."""
        if not account:
            self._following.pop(session, None)
            return
        self._following[session] = account
        self._shown[session] = {}
        self._values(session, self._venue.accounts[account])
        for con_id in self._venue.accounts[account].holdings:
            self._portfolio(session, self._venue.accounts[account], con_id)
        session.write([8, 1, moment(self._venue.clock.shown_ns(), "%H:%M")])
        session.write([54, 1, account])

    def values_multi(self, session: Session, request_id: int, name: str) -> None:
        """Tells an account's values to a request."""
        account = self._venue.accounts[name]
        for tag, value, currency in [*account.summary(), *account.ledger()]:
            session.write([73, 1, request_id, name, "", tag, value, currency])
        session.write([74, 1, request_id])

    def _values(self, session: Session, account: Account) -> None:
        """What of them was not told yet."""
        shown = self._shown[session]
        for tag, value, currency in [*account.summary(), *account.ledger()]:
            if shown.get((tag, currency)) == value:
                continue
            shown[tag, currency] = value
            session.write([6, 2, tag, value, currency, account.name])

    def _portfolio(self, session: Session, account: Account, con_id: int) -> None:
        holding, price = next(pair for pair in account.held() if pair[0].listed.con_id == con_id)
        listed = holding.listed
        session.write(
            [
                7, 8, listed.con_id, listed.symbol, listed.security, listed.expiry, listed.strike,
                listed.right or "0", listed.multiplier, listed.primary, listed.currency, listed.local_symbol,
                listed.trading_class, holding.quantity, listed.on_wire(price), shown_money(holding.value(price)),
                holding.average_cost, shown_money(holding.gained(price)), shown_money(account.realized),
                account.name,
            ]
        )  # fmt: skip

    # Positions

    def positions(self, session: Session) -> None:
        """Tells all positions of all accounts, and from then on those that change."""
        for account in self._venue.accounts.values():
            for holding in account.holdings.values():
                if holding.quantity:
                    session.write(
                        frames.position(account.name, holding.listed, holding.quantity, holding.average_cost)
                    )
        session.write([62, 1])
        self._positions.add(session)

    def forget_positions(self, session: Session) -> None:
        """Nothing more of positions."""
        self._positions.discard(session)

    # Summaries and P&L

    def summary(self, session: Session, request_id: int, tags: list[str]) -> None:
        """Tells tags of all accounts, and from then on as they change. `$LEDGER`, `$LEDGER:ALL` and
        `$LEDGER:<currency>` ask for the cash of the base currency, of all, of one."""
        self._summaries[session, request_id] = tags
        self._summarise(session, request_id, tags)
        session.write([64, 1, request_id])

    def _summarise(self, session: Session, request_id: int, tags: list[str]) -> None:
        for account in self._venue.accounts.values():
            for tag, value, currency in account.summary():
                if tag in tags:
                    session.write([63, 1, request_id, account.name, tag, value, currency])
            for wish in tags:
                if not wish.startswith("$LEDGER"):
                    continue
                wanted = wish.partition(":")[2] or "BASE"
                for tag, value, currency in account.ledger():
                    if wanted in ("ALL", currency):
                        session.write([63, 1, request_id, account.name, tag, value, currency])

    def pnl(self, session: Session, request_id: int, account: str) -> None:
        """Tells an account's P&L, and from then on as it changes."""
        self._pnl[session, request_id] = (account, None)
        self._tell_pnl(session, request_id)

    def pnl_single(self, session: Session, request_id: int, account: str, con_id: int) -> None:
        """The same of one position."""
        self._pnl[session, request_id] = (account, con_id)
        self._tell_pnl(session, request_id)

    def _tell_pnl(self, session: Session, request_id: int) -> None:
        name, con_id = self._pnl[session, request_id]
        account = self._venue.accounts[name]
        if con_id is None:
            daily = account.realized + account.unrealized()
            session.write([94, request_id, daily, account.unrealized(), account.realized])
            return
        for holding, price in account.held():
            if holding.listed.con_id == con_id:
                gained = holding.gained(price)
                value = holding.value(price)
                session.write([95, request_id, holding.quantity, gained, gained, UNSET, value])

    # What changes

    def changed(self, order: TwsOrder) -> None:
        """An execution has moved the account of an order."""
        account = self._venue.accounts[order.account]
        holding = account.holdings[order.listed.con_id]
        for session in list(self._positions):
            fields = frames.position(account.name, holding.listed, holding.quantity, holding.average_cost)
            session.tell(ACCOUNT, "position", fields)
        for session, name in list(self._following.items()):
            if name == account.name:
                self._portfolio(session, account, order.listed.con_id)
        if not self._soon:
            self._soon = True
            self._venue.later(VALUES_AFTER_S, self.tick)

    def tick(self) -> None:
        """Values that have changed are told to whoever follows them."""
        self._soon = False
        for session, name in list(self._following.items()):
            self._values(session, self._venue.accounts[name])
        for (session, request_id), tags in list(self._summaries.items()):
            self._summarise(session, request_id, tags)
        for session, request_id in list(self._pnl):
            self._tell_pnl(session, request_id)
