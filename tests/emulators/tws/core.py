"""The market of the emulated IB: the matching venue, commissions in the form of IB's, funds judged by the accounts."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from brokergate.domain.fills import Liquidity
from brokergate.domain.instruments import Instrument, InstrumentKind
from brokergate.sim.sessions import Hours, Outside
from brokergate.sim.terms import AccountTerms
from tests.emulators.core import CUSHION, VenueCore
from tests.emulators.orders import VenueOrderState
from tests.emulators.tws.contracts import OPENING, Contracts

D = Decimal
_CURRENCIES = ("USD", "GBP", "EUR", "BTC")
TERMS = AccountTerms(
    initial_balances=dict.fromkeys(_CURRENCIES, CUSHION),
    base_currency="USD",
    shortable=frozenset(InstrumentKind),
    hours=Hours(names={}, outside=Outside.IGNORE),
)
"""The matching venue knows no hours: what does not trade now is not in its market."""
_COMMISSIONS: Mapping[InstrumentKind, tuple[Decimal, Decimal]] = {
    InstrumentKind.EQUITY: (D("0.005"), D(1)),
    InstrumentKind.FUTURE: (D("2.25"), D(0)),
    InstrumentKind.OPTION: (D("0.65"), D(1)),
}
"""Of a share or contract, and the least of an order (IB's fixed prices)."""
_SHARES: Mapping[InstrumentKind, tuple[Decimal, Decimal]] = {
    InstrumentKind.FOREX: (D("0.00002"), D(2)),
    InstrumentKind.SPOT: (D("0.0018"), D("1.75")),
}
"""Of the value, and the least of an order."""
_PLACES = D("0.0001")


class TwsCore(VenueCore):
    """See the module. `parts` is how many executions each fill comes in."""

    def __init__(self, contracts: Contracts, now_ns: int) -> None:
        self.parts = 1
        instruments = [listed.instrument() for listed in contracts.by_id.values()]
        super().__init__(instruments, {}, now_ns, terms=TERMS)
        for symbol, (bid, ask, size) in OPENING.items():
            sides = [[(D(price), D(size))] for price in (bid, ask)]
            self.show(symbol, sides[0], sides[1], now_ns)

    def _execute(
        self, order: VenueOrderState, quantity: Decimal, price: Decimal, liquidity: Liquidity, time_ns: int
    ) -> None:
        for part in split(quantity, self.parts, self.instruments[order.spec.symbol].quantity_increment):
            super()._execute(order, part, price, liquidity, time_ns)

    def shortfall(self, order: VenueOrderState, instead_of: VenueOrderState | None = None) -> str:
        return ""

    def fee(
        self, order: VenueOrderState, quantity: Decimal, price: Decimal, liquidity: Liquidity
    ) -> tuple[Decimal, str]:
        instrument = self.instruments[order.spec.symbol]
        by_value = instrument.kind in _SHARES
        before = order.cum_notional if by_value else order.cum_quantity
        return self.commission(instrument, before, quantity, price), instrument.quote_currency

    def commission(
        self, instrument: Instrument, before: Decimal, quantity: Decimal, price: Decimal
    ) -> Decimal:
        """What an execution costs of an order that has filled so much `before` (for pairs its value). The least is
        taken with the first execution, and nothing more until it is used up."""
        by_value = instrument.kind in _SHARES
        rate, least = _SHARES[instrument.kind] if by_value else _COMMISSIONS[instrument.kind]
        more = quantity * price if by_value else quantity
        fee = max(rate * (before + more), least) - (max(rate * before, least) if before else 0)
        return fee.quantize(_PLACES)


def split(quantity: Decimal, parts: int, increment: Decimal) -> list[Decimal]:
    """A quantity in so many parts that are whole increments, as far as it has so many."""
    lots = int(quantity / increment)
    count = max(1, min(parts, lots))
    sizes = [lots // count + (1 if number < lots % count else 0) for number in range(count)]
    return [size * increment for size in sizes]
