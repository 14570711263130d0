"""What one account holds: currencies, counted in whole units of 10^-places, and a position an instrument.

The places of a currency are as many as its exact amounts can need: of tick × lot × multiplier where it is paid, of
the lot where it is bought, of fees, and of what was put in. So all bookkeeping is in integers and nothing rounds
but fees.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from brokergate.domain.accounts import BrokerBalance, BrokerPosition
from brokergate.domain.instruments import Instrument, InstrumentKind
from brokergate.domain.money import CONTEXT, multiply
from brokergate.sim.commission import Volumes
from brokergate.sim.currency import CurrencyAccount
from brokergate.sim.fees import FeeSchedule, currency_places
from brokergate.sim.funds import Borrowing, InstrumentFunds
from brokergate.sim.margin import MarginAccount, MarginTerms, Share
from brokergate.sim.packing import Packer, Unpacker, Unreadable
from brokergate.sim.shorting import FREELY, ShortTerms

_MARGINED = frozenset({InstrumentKind.FOREX, InstrumentKind.EQUITY, InstrumentKind.PERPETUAL})
MAX_UNIT_PLACES = 17
"""Places of tick × lot × multiplier: a profit at the mid price has one more, and 18 can be told."""


def places_of(value: Decimal) -> int:
    """Places after the point that `value` needs."""
    exponent = CONTEXT.normalize(value).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


@dataclass(frozen=True, slots=True)
class MoneyRules:
    """What an account's money goes by."""

    fees: FeeSchedule
    shortable: frozenset[InstrumentKind]
    """The kinds whose positions may go short; the others sell what is held. A perpetual always may."""
    base_currency: str
    margin: MarginTerms | None = None
    """None for a cash account. Foreign exchange, stocks and perpetuals are on margin; perpetuals always are, at one
    times without it. Spot is paid in full."""
    short: ShortTerms = FREELY

    def borrowing(self, instrument: Instrument) -> Borrowing:
        """What of `instrument` may be sold that is not held."""
        if instrument.kind is InstrumentKind.PERPETUAL:
            return Borrowing()
        if instrument.kind not in self.shortable:
            kind = instrument.kind.name.lower()
            return Borrowing(f"the account does not sell {kind} short")
        return self.short.borrowing(instrument)

    def shares(self, instrument: Instrument) -> tuple[Share, Share] | None:
        """Its initial and maintenance margin; None where it is not on margin."""
        if instrument.kind in _MARGINED and self.margin is not None:
            return self.margin.shares(instrument)
        if instrument.kind is InstrumentKind.PERPETUAL:
            return MarginTerms().shares(instrument)
        return None


class Ledger:
    """The currencies and positions of an account.

    `least_places` are what a kept ledger counted in.
    """

    def __init__(
        self,
        instruments: Iterable[Instrument],
        rules: MoneyRules,
        balances: Mapping[str, Decimal],
        positions: Sequence[BrokerPosition] = (),
        least_places: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        instruments = list(instruments)
        self.currencies: dict[str, CurrencyAccount] = {}
        self.funds: dict[str, InstrumentFunds] = {}
        self.volumes = Volumes()
        places = self._places(instruments, balances, positions, least_places)
        for currency in sorted(places):
            account = self.currencies[currency] = CurrencyAccount(currency, places[currency])
            account.total = account.units(balances.get(currency, Decimal(0)))
        for instrument in instruments:
            quote = self.currencies[instrument.quote_currency]
            spot = instrument.kind is InstrumentKind.SPOT and instrument.base_currency
            base = self.currencies[instrument.base_currency] if spot else None
            self.funds[instrument.symbol] = InstrumentFunds(
                instrument,
                quote,
                base,
                rules.fees,
                rules.borrowing(instrument),
                base is None or instrument.kind in rules.shortable,
                self.volumes,
                rules.shares(instrument),
            )
        self.margin = self._on_margin(rules)
        for position in positions:
            if position.symbol in self.funds:
                self.funds[position.symbol].restore(position)

    def _on_margin(self, rules: MoneyRules) -> MarginAccount | None:
        """The account's margin; None where nothing in it can be on margin."""
        margined = [funds for funds in self.funds.values() if funds.margined]
        if not margined and rules.margin is None:
            return None
        margin = MarginAccount(
            rules.margin or MarginTerms(), rules.base_currency, self.currencies, self.funds
        )
        for funds in margined:
            funds.margin = margin
        return margin

    @staticmethod
    def _places(
        instruments: Sequence[Instrument],
        balances: Mapping[str, Decimal],
        positions: Sequence[BrokerPosition],
        least: Mapping[str, int],
    ) -> dict[str, int]:
        places = dict(least)

        def need(currency: str, count: int) -> None:
            places[currency] = max(places.get(currency, currency_places(currency)), count)

        for instrument in instruments:
            unit = multiply(
                multiply(instrument.price_increment, instrument.quantity_increment), instrument.multiplier
            )
            if places_of(unit) > MAX_UNIT_PLACES:
                raise ValueError(
                    f"{instrument.symbol}: price_increment × quantity_increment × multiplier has {places_of(unit)} "
                    f"places; {MAX_UNIT_PLACES} are the most: take coarser increments"
                )
            need(instrument.quote_currency, places_of(unit))
            if instrument.kind is InstrumentKind.SPOT and instrument.base_currency:
                need(instrument.base_currency, places_of(instrument.quantity_increment))
        for currency, amount in balances.items():
            need(currency, places_of(amount))
        for position in positions:
            need(position.quote_currency, max(places_of(position.cost), places_of(position.realized_pnl)))
        return places

    def save(self, pack: Packer) -> None:
        """Writes the ledger down."""
        pack.put(len(self.currencies))
        for account in self.currencies.values():
            pack.put(account.currency, account.places, account.total, account.held, account.pledged)
        for funds in self.funds.values():
            funds.position.save(pack)
        self.volumes.save(pack)

    @classmethod
    def kept(
        cls,
        kept: Unpacker,
        instruments: Sequence[Instrument],
        rules: MoneyRules,
    ) -> Ledger:
        """The ledger that `save` wrote."""
        amounts: dict[str, tuple[int, int, int]] = {}
        places: dict[str, int] = {}
        for _ in range(kept.integer()):
            currency = kept.text()
            places[currency] = kept.integer()
            amounts[currency] = kept.integer(), kept.integer(), kept.integer()
        ledger = cls(instruments, rules, {}, (), places)
        for currency, account in ledger.currencies.items():
            if account.places != places.get(currency):
                raise Unreadable(f"{currency} is counted to {account.places} places now")
            account.total, account.held, account.pledged = amounts[currency]
        for funds in ledger.funds.values():
            funds.position.load(kept)
            if funds.margin is not None:
                funds.margin.held(funds)
        ledger.volumes.load(kept)
        return ledger

    def charge(self, fees: FeeSchedule) -> None:
        """From now on executions cost what `fees` say."""
        for funds in self.funds.values():
            funds.charge(fees)

    def told(self) -> None:
        """What changed until now is known."""
        for funds in self.funds.values():
            funds.changed = False
        for account in self.currencies.values():
            account.changed = False

    def changes(self, now_ns: int) -> list[BrokerPosition | BrokerBalance]:
        """Positions and balances that changed since the last call, as they now stand."""
        reports: list[BrokerPosition | BrokerBalance] = []
        for funds in self.funds.values():
            if funds.changed:
                funds.changed = False
                reports.append(funds.report(now_ns))
        for account in self.currencies.values():
            if account.changed:
                account.changed = False
                reports.append(account.report(now_ns))
        return reports
