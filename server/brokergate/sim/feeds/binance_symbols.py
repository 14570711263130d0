"""Binance's symbols, which run base and quote together, in the gateway's notation."""

from __future__ import annotations

# fmt: off
QUOTE_CURRENCIES = (
    "AEUR", "ARS", "AUD", "BIDR", "BKRW", "BNB", "BRL", "BTC", "BUSD", "BVND", "COP", "CZK", "DAI",
    "DOGE", "DOT", "ETH", "EUR", "EURI", "FDUSD", "GBP", "IDRT", "JPY", "MXN", "NGN", "PAX", "PLN",
    "RON", "RUB", "SOL", "TRX", "TRY", "TUSD", "UAH", "USD", "USD1", "USDC", "USDE", "USDP", "USDS",
    "USDT", "VAI", "XRP", "XUSD", "ZAR",
)
# fmt: on
"""What Binance and Binance.US have quoted spot pairs in.

The longest that the symbol ends with is taken: `TUSD` before `USD`. A pair that this reads wrongly is named
by the tape's `symbol` setting.
"""

_LONGEST_FIRST = sorted(QUOTE_CURRENCIES, key=lambda code: (-len(code), code))


def split_symbol(broker_symbol: str) -> tuple[str, str] | None:
    """`BTCUSDT` as `("BTC", "USDT")`; `None` where the symbol ends with no known quote currency."""
    for quote in _LONGEST_FIRST:
        base = broker_symbol.removesuffix(quote)
        if base and base != broker_symbol:
            return base, quote
    return None
