"""What can be traded at the emulated Alpaca: some US stocks and two crypto pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote
from uuid import NAMESPACE_DNS, uuid5

from brokergate.domain.instruments import Instrument, InstrumentKind
from tests.emulators.alpaca.numbers import text

D = Decimal
LOT = D("0.000000001")
"""Quantities have up to nine places (docs.alpaca.markets, "Fractional Trading" and "Crypto Spot Trading")."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One asset, as `/v2/assets` shows it. Increments are those of crypto alone; stocks' prices have two places from 1
    USD on, four below."""

    symbol: str
    name: str
    exchange: str
    crypto: bool = False
    tradable: bool = True
    fractionable: bool = True
    shortable: bool = True
    active: bool = True
    min_order_size: Decimal = D(1)
    price_increment: Decimal = D("0.0001")

    @property
    def id(self) -> str:
        """Its UUID, the same in every run."""
        return str(uuid5(NAMESPACE_DNS, f"alpaca.emulator/{self.symbol}"))

    @property
    def asset_class(self) -> str:
        """`us_equity` or `crypto`."""
        return "crypto" if self.crypto else "us_equity"

    @property
    def base(self) -> str:
        """What is bought and sold; of crypto the coin."""
        return self.symbol.partition("/")[0]

    @property
    def position_symbol(self) -> str:
        """Its symbol among the positions, where crypto pairs have no slash."""
        return self.symbol.replace("/", "")

    def shape(self) -> dict[str, Any]:
        """As `/v2/assets` shows it."""
        shape: dict[str, Any] = {
            "id": self.id,
            "class": self.asset_class,
            "exchange": self.exchange,
            "symbol": self.symbol,
            "name": self.name,
            "status": "active" if self.active else "inactive",
            "tradable": self.tradable,
            "marginable": not self.crypto,
            "maintenance_margin_requirement": 100 if self.crypto else 30,
            "margin_requirement_long": "100" if self.crypto else "30",
            "margin_requirement_short": "100" if self.crypto else "30",
            "shortable": self.shortable and not self.crypto,
            "easy_to_borrow": self.shortable and not self.crypto,
            "borrow_status": "easy_to_borrow" if self.shortable and not self.crypto else "not_shortable",
            "fractionable": self.fractionable,
            "attributes": [],
        }
        if self.crypto:
            shape |= {
                "min_order_size": text(self.min_order_size),
                "min_trade_increment": text(LOT),
                "price_increment": text(self.price_increment),
            }
        return shape

    def instrument(self) -> Instrument:
        """As the matching venue takes it."""
        return Instrument(
            symbol=self.symbol,
            broker_symbol=self.symbol,
            kind=InstrumentKind.SPOT if self.crypto else InstrumentKind.EQUITY,
            base_currency=self.base if self.crypto else "",
            quote_currency="USD",
            price_increment=self.price_increment,
            quantity_increment=LOT,
        )


ASSETS = (
    Asset("AAPL", "Apple Inc. Common Stock", "NASDAQ"),
    Asset("MSFT", "Microsoft Corporation Common Stock", "NASDAQ"),
    Asset("SPY", "SPDR S&P 500 ETF Trust", "ARCA"),
    Asset("BRK.B", "Berkshire Hathaway Inc. Class B", "NYSE", fractionable=False),
    Asset("GME", "GameStop Corporation Class A", "NYSE", shortable=False),
    Asset("SIRI", "a stock below a dollar", "NASDAQ"),
    Asset("TWTR", "a stock that is no longer listed", "NYSE", tradable=False, active=False),
    Asset(
        "BTC/USD", "Bitcoin / US Dollar", "CRYPTO", crypto=True, shortable=False,
        min_order_size=D("0.0001"), price_increment=D("0.01"),
    ),
    Asset(
        "ETH/USD", "Ethereum / US Dollar", "CRYPTO", crypto=True, shortable=False,
        min_order_size=D("0.001"), price_increment=D("0.01"),
    ),
)  # fmt: skip

OPENING: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {
        "AAPL": ("190.00", "190.02", "1000"),
        "MSFT": ("420.00", "420.05", "1000"),
        "SPY": ("550.00", "550.01", "5000"),
        "BRK.B": ("450.00", "450.10", "500"),
        "GME": ("25.00", "25.02", "1000"),
        "SIRI": ("0.9500", "0.9510", "10000"),
        "BTC/USD": ("60000.00", "60010.00", "5"),
        "ETH/USD": ("3000.00", "3001.00", "50"),
    }
)
"""Bid, ask and the size of each that the market shows at first."""


class Assets:
    """All of them; a halt or another flag can be set on one."""

    def __init__(self) -> None:
        self._by_symbol = {asset.symbol: asset for asset in ASSETS}

    def __iter__(self) -> Any:
        return iter(self._by_symbol.values())

    def find(self, name: str) -> Asset | None:
        """By symbol, with or without the slash of a pair, or by id."""
        name = unquote(name)
        if name in self._by_symbol:
            return self._by_symbol[name]
        return next((asset for asset in self if name in (asset.position_symbol, asset.id)), None)

    def change(self, symbol: str, **flags: Any) -> None:
        """Sets flags of one asset, such as `tradable=False` for a halt."""
        self._by_symbol[symbol] = replace(self._by_symbol[symbol], **flags)
