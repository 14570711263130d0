"""The published fee schedules of seven brokers, by name, for an account that has no special agreement.

Each is a reading of what the broker published, from the page and of the date that stand with it. Brokers change these
without notice and by country: what matters is to be compared with the broker's own page. Levels that go by more than
volume (assets held, coins of the venue, market maker programmes) are left out; so are discounts for paying in the
venue's own coin, exchange and clearing fees that are passed through, financing, and the cost of borrowing.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from brokergate.domain.instruments import InstrumentKind
from brokergate.sim.fees import FeeSchedule, Tier, TierBasis

D = Decimal
_EQUITY, _FOREX, _SPOT = InstrumentKind.EQUITY, InstrumentKind.FOREX, InstrumentKind.SPOT
_PERPETUAL = InstrumentKind.PERPETUAL


def _tiers(*rows: tuple[str, str, str]) -> tuple[Tier, ...]:
    """Rows of volume, maker and taker in per cent."""
    return tuple(Tier(D(above), D(taker), D(maker)) for above, maker, taker in rows)


_ALPACA_STOCKS = FeeSchedule(
    levy_per_unit=D("0.0000265"), sell_levy_per_unit=D("0.000166"), sell_levy_maximum=D("8.30")
)
ALPACA = FeeSchedule(
    kinds=(
        (_EQUITY, _ALPACA_STOCKS),
        (
            _SPOT,
            FeeSchedule(
                D("0.25"),
                D("0.15"),
                tiers=_tiers(
                    ("100000", "0.12", "0.22"),
                    ("500000", "0.10", "0.20"),
                    ("1000000", "0.08", "0.18"),
                    ("10000000", "0.05", "0.15"),
                    ("25000000", "0.02", "0.13"),
                    ("50000000", "0.02", "0.12"),
                    ("100000000", "0", "0.10"),
                ),
            ),
        ),
    )
)
"""Alpaca. Stocks: no commission; FINRA's trading activity fee of 0.000166 a share sold, at most 8.30, and the audit
trail's 0.0000265 a share (alpaca.markets/support/regulatory-fees, 2025; the SEC's fee was 0 from 14 May 2025 on).
Alpaca adds these up over a day before it rounds up to a cent; here an order is rounded. Crypto: by the turnover of 30
days, 0.15 maker and 0.25 taker at first (docs.alpaca.markets/docs/crypto-fees, as remembered of 2025, not looked up
again). Alpaca takes crypto fees out of what is bought; here they are paid in the quote currency."""

BINANCE = FeeSchedule(D("0.1"), D("0.1"), kinds=((_PERPETUAL, FeeSchedule(D("0.05"), D("0.02"))),))
"""Binance, regular user (binance.com/en/fee/schedule, as remembered of 2025): spot 0.1 and 0.1, USDⓈ-M futures 0.02
maker and 0.05 taker. VIP levels need BNB beside volume and are left out, and so are 25 per cent off for paying in BNB,
pairs without fees, and that spot fees of a buy are taken out of what is bought."""

BYBIT = FeeSchedule(
    D("0.1"),
    D("0.1"),
    tiers=_tiers(
        ("1000000", "0.0675", "0.08"),
        ("5000000", "0.065", "0.0775"),
        ("10000000", "0.0625", "0.075"),
        ("25000000", "0.05", "0.06"),
        ("50000000", "0.04", "0.05"),
    ),
    kinds=(
        (
            _PERPETUAL,
            FeeSchedule(
                D("0.055"),
                D("0.02"),
                tiers=_tiers(
                    ("10000000", "0.018", "0.04"),
                    ("25000000", "0.016", "0.0375"),
                    ("50000000", "0.014", "0.035"),
                    ("100000000", "0.012", "0.032"),
                    ("250000000", "0.01", "0.032"),
                ),
            ),
        ),
    ),
)
"""Bybit (help centre, article 000001634, "Trading Fee Structure", read in 2026): spot 0.1 and 0.1 down to 0.04 maker
and 0.05 taker (VIP 5), perpetuals 0.02 maker and 0.055 taker down to 0.01 and 0.032. The rates are the page's; the
volumes from which a level begins are as remembered of 2025. Bybit looks at levels at 07:00 UTC and counts spot and
derivatives apart; here every execution counts at once and together. Levels by assets held are left out."""

IBKR_FIXED = FeeSchedule(
    kinds=(
        (
            _EQUITY,
            FeeSchedule(
                per_unit=D("0.005"),
                minimum=D("1"),
                maximum_percent=D("1"),
                levy_per_unit=D("0.0000265"),
                sell_levy_per_unit=D("0.000166"),
                sell_levy_maximum=D("8.30"),
            ),
        ),
        (_FOREX, FeeSchedule(D("0.002"), D("0.002"), minimum=D("2"))),
        (_SPOT, FeeSchedule(D("0.18"), D("0.18"), minimum=D("1.75"), maximum_percent=D("1"))),
    )
)
"""Interactive Brokers, fixed (interactivebrokers.co.uk/en/pricing/commissions-stocks.php, read in 2026): US stocks
0.005 a share, at least 1.00 and at most 1 % of an order; 100 shares at 25 cost 1.00, 1,000 shares 5.00, 1,000 shares at
0.25 cost 2.50, levies apart. FINRA's and the audit trail's levies at Alpaca's figures. Foreign exchange 0.2 basis
points, at least 2.00, and crypto 0.18 %, at least 1.75 and at most 1 %, as remembered of 2025. The minimum is of the
quote currency, whichever that is. Fractions of a share have a lower minimum, which is left out."""

IBKR_TIERED = FeeSchedule(
    kinds=(
        (
            _EQUITY,
            FeeSchedule(
                per_unit=D("0.0035"),
                minimum=D("0.35"),
                maximum_percent=D("1"),
                levy_per_unit=D("0.0000265"),
                sell_levy_per_unit=D("0.000166"),
                sell_levy_maximum=D("8.30"),
                tiers=tuple(
                    Tier(D(above), per_unit=D(per_unit))
                    for above, per_unit in (
                        ("300000", "0.002"),
                        ("3000000", "0.0015"),
                        ("20000000", "0.001"),
                        ("100000000", "0.0005"),
                    )
                ),
                basis=TierBasis.QUANTITY_MONTH,
            ),
        ),
        *((kind, schedule) for kind, schedule in IBKR_FIXED.kinds if kind is not _EQUITY),
    )
)
"""Interactive Brokers, tiered (the same page): US stocks 0.0035 a share down to 0.0005 by the shares of the month, at
least 0.35 and at most 1 % of an order. Exchange and clearing fees and rebates, which come on top there, are left out:
they depend on where an order is routed. An execution that crosses into the next tier is charged as it began."""

KRAKEN = FeeSchedule(
    D("0.40"),
    D("0.25"),
    tiers=_tiers(
        ("10000", "0.20", "0.35"),
        ("50000", "0.14", "0.24"),
        ("100000", "0.12", "0.22"),
        ("250000", "0.10", "0.20"),
        ("500000", "0.08", "0.18"),
        ("1000000", "0.06", "0.16"),
        ("2500000", "0.04", "0.14"),
        ("5000000", "0.02", "0.12"),
        ("10000000", "0", "0.10"),
        ("100000000", "0", "0.08"),
    ),
    kinds=((_PERPETUAL, FeeSchedule(D("0.05"), D("0.02"))),),
)
"""Kraken Pro (kraken.com/features/fee-schedule, as remembered of 2025): spot by the turnover of 30 days, 0.25 maker and
0.40 taker at first, evaluated after each trade as here. Pairs of stable coins and of currencies are cheaper there,
which is left out. Perpetuals 0.02 and 0.05, their levels left out."""

OANDA = FeeSchedule()
"""OANDA, spread-only pricing: no commission; the spread is the price, and a feed of its quotes has it. Financing is
left out."""

TRADIER = FeeSchedule(kinds=((_EQUITY, _ALPACA_STOCKS),))
"""Tradier, equities without commission (tradier.com pricing, as remembered of 2025); FINRA's and the audit trail's
levies at Alpaca's figures. The monthly subscription is left out."""

PRESETS: Mapping[str, FeeSchedule] = {
    "alpaca": ALPACA,
    "binance": BINANCE,
    "bybit": BYBIT,
    "ibkr_fixed": IBKR_FIXED,
    "ibkr_tiered": IBKR_TIERED,
    "kraken": KRAKEN,
    "oanda": OANDA,
    "tradier": TRADIER,
}
"""By the name that a configuration gives."""
