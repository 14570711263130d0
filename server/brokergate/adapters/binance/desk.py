"""What the parts of one Binance account share while it is connected."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from brokergate.adapters.binance.client import BinanceClient
from brokergate.adapters.binance.listing import Listed, Listing
from brokergate.adapters.binance.parse import AccountView
from brokergate.adapters.binance.private import PrivateStream
from brokergate.adapters.binance.telling import Telling
from brokergate.adapters.connection.outbox import Outbox
from brokergate.domain.accounts import BrokerBalance
from brokergate.domain.money import ZERO, subtract
from brokergate.ports.broker import Report
from brokergate.ports.clock import Clock


@dataclass(slots=True)
class Desk:
    """See the module."""

    client: BinanceClient
    stream: PrivateStream
    telling: Telling
    clock: Clock
    absence_after_ms: int
    listing: Listing = field(default_factory=Listing)
    outbox: Outbox = field(default_factory=Outbox)
    balances: dict[str, BrokerBalance] = field(default_factory=dict)
    """The latest, by asset; an asset that was held once stays, with nothing."""

    def listed(self, symbol: str) -> Listed | None:
        """What Binance says of the project's symbol."""
        return self.listing.by_symbol.get(symbol)

    def told(self) -> list[Report]:
        """What the stream told and nobody took yet."""
        return self.outbox.take()

    def see(self, account: AccountView) -> None:
        """Takes the account's balances: what is not among them is nothing."""
        now_ns = self.clock.now_ns()
        gone = self.balances.keys() - {one.currency for one in account.balances}
        self.hold([BrokerBalance(asset, ZERO, ZERO, now_ns) for asset in gone])
        self.hold(account.balances)

    def hold(self, balances: Iterable[BrokerBalance]) -> None:
        """Takes balances."""
        for balance in balances:
            self.balances[balance.currency] = balance

    def free(self, asset: str) -> Decimal | None:
        """What can be used of an asset, as far as is known."""
        balance = self.balances.get(asset)
        return None if balance is None else subtract(balance.total, balance.held)
