"""What Alpaca can do, pinned; and what its rules refuse before anything is sent."""

from __future__ import annotations

from dataclasses import asdict
from decimal import Decimal
from typing import Any

import pytest

from brokergate.adapters.alpaca.abilities import CAPABILITIES, FOR_CRYPTO, FOR_STOCKS, refusal
from brokergate.adapters.alpaca.answers import Asset
from brokergate.adapters.alpaca.listing import instrument
from brokergate.domain.capabilities import Capabilities
from brokergate.domain.errors import ErrorReason
from brokergate.domain.instruments import Instrument, InstrumentKind, InstrumentTradingState
from brokergate.domain.orders import OrderType, TimeInForce
from tests.unit.adapters.alpaca.shapes import spec

D = Decimal
TABLE = {
    # order type: times in force of stocks, and of crypto
    "MARKET": ("AT_CLOSE AT_OPEN DAY FOK GTC IOC", "GTC IOC"),
    "LIMIT": ("AT_CLOSE AT_OPEN DAY FOK GTC IOC", "GTC IOC"),
    "STOP": ("DAY GTC", ""),
    "STOP_LIMIT": ("DAY GTC", "GTC IOC"),
    "TRAILING_STOP": ("DAY GTC", ""),
}
FLAGS = {
    # what: stocks, crypto
    "replace": ("ATOMIC", "ATOMIC"),
    "default_time_in_force": ("DAY", "GTC"),
    "native_oco": (True, False),
    "native_bracket": (True, False),
    "native_idempotency": (True, True),
    "absence_after_ms": (10_000, 10_000),
    "post_only": (False, False),
    "reduce_only": (False, False),
    "quote_quantity": (True, True),
    "display_quantity": (False, False),
    "extended_hours": (True, False),
    "trails_by_amount": (True, True),
    "replays_fills": (True, True),
    "streams_quotes": (True, True),
    "streams_trades": (True, True),
    "streams_book": (False, True),
    "short_selling": (True, False),
    "trigger_sources": (("LAST",), ()),
    "self_trade_prevention": ((), ()),
    "broker_options": (frozenset(), frozenset()),
}


def _table(abilities: Capabilities) -> dict[str, str]:
    return {
        kind.name: " ".join(sorted(force.name for force in forces))
        for kind, forces in abilities.order_types.items()
    }


def _flag(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(each.name for each in value)
    return getattr(value, "name", value)


@pytest.mark.parametrize("column", [0, 1])
def test_the_capabilities_are_these(column: int) -> None:
    """Every field, for stocks and for crypto."""
    abilities = (FOR_STOCKS, FOR_CRYPTO)[column]
    assert _table(abilities) == {kind: both[column] for kind, both in TABLE.items() if both[column]}
    fields = {name: _flag(getattr(abilities, name)) for name in asdict(abilities) if name != "order_types"}
    assert fields == {name: both[column] for name, both in FLAGS.items()}


def test_what_the_account_declares_holds_for_both() -> None:
    """A type or a flag of either; each order is held against its own class as well."""
    assert _table(CAPABILITIES) == {kind: both[0] for kind, both in TABLE.items()}
    assert CAPABILITIES.streams_book
    assert CAPABILITIES.default_time_in_force in FOR_CRYPTO.order_types[OrderType.LIMIT]
    assert CAPABILITIES.default_time_in_force in FOR_STOCKS.order_types[OrderType.LIMIT]


def asset(symbol: str = "AAPL", asset_class: str = "us_equity", **fields: Any) -> Asset:
    """An asset that trades."""
    usual: dict[str, Any] = {"active": True, "tradable": True, "fractionable": True, "shortable": True}
    increments = dict.fromkeys(("min_order_size", "min_trade_increment", "price_increment"))
    return Asset(symbol=symbol, asset_class=asset_class, **{**usual, **increments, **fields})


def listed(**fields: Any) -> Instrument:
    """Its instrument."""
    found = instrument(asset(**fields))
    assert found is not None
    return found


STOCK = listed()
COIN = listed(
    symbol="BTC/USD",
    asset_class="crypto",
    min_order_size=D("0.0001"),
    min_trade_increment=D("0.000000001"),
    price_increment=D("0.01"),
)


def test_instruments() -> None:
    """A stock in hundredths of a cent and, where it may be split, in nine places; a coin by its own increments."""
    assert (STOCK.kind, STOCK.price_increment, STOCK.quantity_increment) == (
        InstrumentKind.EQUITY,
        D("0.0001"),
        D("0.000000001"),
    )
    assert listed(fractionable=False).quantity_increment == 1
    assert listed(tradable=False).trading_state is InstrumentTradingState.HALTED
    assert (COIN.kind, COIN.base_currency, COIN.quote_currency) == (InstrumentKind.SPOT, "BTC", "USD")
    assert (COIN.price_increment, COIN.min_quantity) == (D("0.01"), D("0.0001"))


@pytest.mark.parametrize(
    "left_out",
    [
        {"active": False},
        {"symbol": "ETH/BTC", "asset_class": "crypto"},
        {"symbol": "AAPL260116C00200000", "asset_class": "us_option"},
    ],
)
def test_what_is_not_listed(left_out: dict[str, Any]) -> None:
    """What trades no more, coins against coins, options."""
    assert instrument(asset(**left_out)) is None


U, T = ErrorReason.UNSUPPORTED, ErrorReason.PRICE_OFF_TICK
FORCE = TimeInForce


@pytest.mark.parametrize(
    ("kind", "fields", "reason"),
    [
        (STOCK, {}, None),
        (STOCK, {"limit_price": D("190.001")}, T),
        (STOCK, {"limit_price": D("0.9123")}, None),
        (STOCK, {"limit_price": D("1.0001")}, T),
        (STOCK, {"type": OrderType.STOP, "limit_price": None, "stop_price": D("95.005")}, T),
        (STOCK, {"quantity": D("0.5")}, None),
        (STOCK, {"quantity": D("0.5"), "time_in_force": FORCE.GTC}, U),
        (
            STOCK,
            {"quantity": None, "quote_quantity": D(100), "type": OrderType.MARKET, "limit_price": None},
            None,
        ),
        (STOCK, {"extended_hours": True}, None),
        (STOCK, {"extended_hours": True, "time_in_force": FORCE.IOC}, U),
        (STOCK, {"extended_hours": True, "type": OrderType.MARKET, "limit_price": None}, U),
        (STOCK, {"type": OrderType.STOP, "stop_price": D(95), "time_in_force": FORCE.IOC}, U),
        (COIN, {"time_in_force": FORCE.GTC}, None),
        (COIN, {"time_in_force": FORCE.DAY}, U),
        (COIN, {"time_in_force": FORCE.FOK}, U),
        (COIN, {"time_in_force": FORCE.GTC, "type": OrderType.STOP, "stop_price": D(95)}, U),
        (COIN, {"time_in_force": FORCE.GTC, "extended_hours": True}, U),
        (COIN, {"time_in_force": FORCE.GTC, "quantity": D("0.0001")}, None),
    ],
)
def test_rules_of_each_class(kind: Instrument, fields: dict[str, Any], reason: ErrorReason | None) -> None:
    """What Alpaca would refuse is not sent."""
    against = refusal(spec(symbol=kind.symbol, **fields), kind)
    assert (None if against is None else against[0]) is reason


def test_what_is_linked() -> None:
    """Stocks, whole shares, DAY or GTC."""
    assert refusal(spec(), STOCK, linked=True) is None
    for instrument_, fields in (
        (STOCK, {"quantity": D("1.5")}),
        (STOCK, {"time_in_force": FORCE.FOK}),
        (COIN, {"time_in_force": FORCE.GTC}),
    ):
        against = refusal(spec(symbol=instrument_.symbol, **fields), instrument_, linked=True)
        assert against is not None
        assert against[0] is U
