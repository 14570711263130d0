"""The conditions that a paper account trades under."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from brokergate.domain.instruments import InstrumentKind
from brokergate.sim.clearing import FundingTerms
from brokergate.sim.fees import FeeSchedule
from brokergate.sim.filling import DEFAULT_FILLS, FillTerms
from brokergate.sim.ledger import MoneyRules
from brokergate.sim.margin import MarginTerms
from brokergate.sim.sessions import Hours
from brokergate.sim.shorting import FREELY, ShortTerms

SHORTABLE = frozenset({InstrumentKind.FOREX, InstrumentKind.EQUITY})
"""Kinds whose positions may go short unless the terms say otherwise."""
NO_FEES = FeeSchedule()
USUAL_HOURS = Hours()


@dataclass(frozen=True, slots=True)
class AccountTerms:
    """What an account is given: the conditions that it trades under."""

    initial_balances: Mapping[str, Decimal]
    fees: FeeSchedule = NO_FEES
    shortable: frozenset[InstrumentKind] = SHORTABLE
    base_currency: str = "USDT"
    """What the account as a whole is valued in."""
    fills: FillTerms = DEFAULT_FILLS
    """How its orders fill."""
    margin: MarginTerms | None = None
    """None for a cash account."""
    short: ShortTerms = FREELY
    funding: FundingTerms | None = None
    """Of perpetuals whose feed tells none."""
    stale_after_ns: int | None = None
    """The age of an instrument's latest update beyond which orders are refused; None for no limit."""
    hours: Hours = USUAL_HOURS
    """When its instruments trade."""

    def money(self) -> MoneyRules:
        """What the account's money goes by."""
        return MoneyRules(self.fees, self.shortable, self.base_currency, self.margin, self.short)
