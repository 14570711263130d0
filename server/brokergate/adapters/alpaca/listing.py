"""What can be traded at Alpaca, as instruments. The lists are some 6 MiB of JSON and change once a day at most, so they
are kept for an hour over reconnects."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from brokergate.adapters.alpaca import answers, wire
from brokergate.adapters.alpaca.answers import Asset
from brokergate.adapters.alpaca.client import AlpacaClient
from brokergate.adapters.alpaca.values import NS_PER_S
from brokergate.domain.errors import UnknownOrderError
from brokergate.domain.instruments import Instrument, InstrumentKind, InstrumentTradingState
from brokergate.domain.money import ONE
from brokergate.ports.clock import Clock

KEPT_NS = 3600 * NS_PER_S
FEW = 50
"""Named instruments that are asked for one by one."""
CRYPTO, STOCKS = "crypto", "us_equity"
USD = "USD"
STOCK_TICK = Decimal("0.0001")
"""Of prices below a dollar; `abilities` holds those above to cents."""
FRACTION = Decimal("0.000000001")
"""The smallest part of a share and, where Alpaca does not say otherwise, of a coin."""


class Listing:
    """The instruments of one account."""

    def __init__(self, client: AlpacaClient, clock: Clock, wanted: Sequence[str] | None) -> None:
        self._client = client
        self._clock = clock
        self._wanted = None if wanted is None else frozenset(wanted)
        self._loaded_ns: int | None = None
        self._symbols: dict[str, str] = {}
        self.instruments: Mapping[str, Instrument] = {}

    async def load(self) -> None:
        """Asks for them, unless they are still fresh. Raises a `BrokerError`."""
        now_ns = self._clock.monotonic_ns()
        if self._loaded_ns is not None and now_ns - self._loaded_ns < KEPT_NS:
            return
        found = (instrument(asset) for asset in await self._assets())
        listed = sorted((each for each in found if each is not None), key=lambda each: each.symbol)
        self.instruments = {
            each.symbol: each for each in listed if self._wanted is None or each.symbol in self._wanted
        }
        self._symbols = {
            each.symbol.replace("/", ""): each.symbol for each in listed if each.kind is InstrumentKind.SPOT
        }
        self._loaded_ns = now_ns

    async def _assets(self) -> Iterable[Asset]:
        wanted = self._wanted
        if wanted is not None and len(wanted) <= FEW:
            several = await asyncio.gather(*(self._asset(symbol) for symbol in sorted(wanted)))
            return [asset for asset in several if asset is not None]
        stocks, crypto = await asyncio.gather(
            *(self._client.ask(wire.assets_target(name), answers.assets) for name in (STOCKS, CRYPTO))
        )
        return [*stocks, *crypto]

    async def _asset(self, symbol: str) -> Asset | None:
        try:
            return await self._client.ask(wire.asset_target(symbol), answers.asset)
        except UnknownOrderError:
            return None

    def get(self, symbol: str) -> Instrument | None:
        """The instrument; None for one that is not listed."""
        return self.instruments.get(symbol)

    def symbol_of(self, told: str) -> str:
        """A symbol as Alpaca tells it: positions and executions of crypto may come without the slash."""
        return self._symbols.get(told, told)


def instrument(asset: Asset) -> Instrument | None:
    """The instrument that an asset is; None for what the gateway does not trade there.

    Crypto is traded against USD alone: Alpaca keeps a coin as a position against USD whatever it was bought with, so
    that a fill in ETH/BTC would be in no position of that name.
    """
    if not asset.active:
        return None
    state = InstrumentTradingState.TRADING if asset.tradable else InstrumentTradingState.HALTED
    if asset.asset_class == STOCKS:
        increment = FRACTION if asset.fractionable else ONE
        return Instrument(
            symbol=asset.symbol,
            broker_symbol=asset.symbol,
            kind=InstrumentKind.EQUITY,
            base_currency="",
            quote_currency=USD,
            price_increment=STOCK_TICK,
            quantity_increment=increment,
            min_quantity=increment,
            trading_state=state,
        )
    base, _, quote = asset.symbol.partition("/")
    if asset.asset_class != CRYPTO or quote != USD:
        return None
    lot = asset.min_trade_increment or FRACTION
    return Instrument(
        symbol=asset.symbol,
        broker_symbol=asset.symbol,
        kind=InstrumentKind.SPOT,
        base_currency=base,
        quote_currency=USD,
        price_increment=asset.price_increment or FRACTION,
        quantity_increment=lot,
        min_quantity=asset.min_order_size or lot,
        trading_state=state,
    )
