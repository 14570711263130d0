"""The account at the matching venue: fees as Alpaca takes them, funds judged by Alpaca's own rules, before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

from brokergate.domain.fills import Liquidity
from brokergate.sim.sessions import Hours, Outside
from brokergate.sim.terms import AccountTerms
from tests.emulators.alpaca.assets import OPENING, Assets
from tests.emulators.core import CUSHION, VenueCore
from tests.emulators.orders import ZERO, VenueOrderState

TAKER = Decimal("0.0025")
MAKER = Decimal("0.0015")
"""Of crypto, at the lowest turnover (docs.alpaca.markets, "Crypto Fees"). Stocks cost no commission."""
_PLACES = Decimal("1e-9")
TERMS = AccountTerms(
    initial_balances=dict.fromkeys(("USD", "BTC", "ETH"), CUSHION),
    base_currency="USD",
    hours=Hours(names={}, outside=Outside.IGNORE),
)
"""The matching venue knows no hours: what does not trade now is not in its market."""


class AlpacaCore(VenueCore):
    """See the module. `tick` is called whenever time passes, before anything else happens."""

    def __init__(self, assets: Assets, balances: Mapping[str, Decimal], now_ns: int) -> None:
        super().__init__(
            [asset.instrument() for asset in assets],
            balances,
            now_ns,
            taker_rate=TAKER,
            maker_rate=MAKER,
            terms=TERMS,
        )
        self.tick: Callable[[int], None] | None = None
        self._ticking = False
        for symbol, (bid, ask, size) in OPENING.items():
            levels = [[(Decimal(price), Decimal(size))] for price in (bid, ask)]
            self.show(symbol, levels[0], levels[1], now_ns)

    def advance(self, now_ns: int) -> None:
        if self.tick is not None and not self._ticking:
            self._ticking = True
            try:
                self.tick(now_ns)
            finally:
                self._ticking = False
        super().advance(now_ns)

    def shortfall(self, order: VenueOrderState, instead_of: VenueOrderState | None = None) -> str:
        return ""

    def fee(
        self, order: VenueOrderState, quantity: Decimal, price: Decimal, liquidity: Liquidity
    ) -> tuple[Decimal, str]:
        instrument = self.instruments[order.spec.symbol]
        if not instrument.base_currency:
            return ZERO, "USD"
        rate = self.maker_rate if liquidity is Liquidity.MAKER else self.taker_rate
        received = quantity if order.buys else quantity * price
        currency = instrument.base_currency if order.buys else instrument.quote_currency
        return (received * rate).quantize(_PLACES, "ROUND_DOWN"), currency
