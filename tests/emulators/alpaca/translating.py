"""Between Alpaca's orders and those of the matching venue."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType

from brokergate.domain.orders import OrderSpec, OrderType, Side, TimeInForce
from brokergate.sim.triggers import standing_trigger
from tests.emulators.alpaca.assets import Asset
from tests.emulators.alpaca.core import AlpacaCore
from tests.emulators.alpaca.held import Held
from tests.emulators.orders import VenueOrderState

TYPES: Mapping[str, OrderType] = MappingProxyType(
    {
        "market": OrderType.MARKET,
        "limit": OrderType.LIMIT,
        "stop": OrderType.STOP,
        "stop_limit": OrderType.STOP_LIMIT,
        "trailing_stop": OrderType.TRAILING_STOP,
    }
)
AT_ONCE: Mapping[str, TimeInForce] = MappingProxyType(
    {"ioc": TimeInForce.IOC, "fok": TimeInForce.FOK, "opg": TimeInForce.IOC, "cls": TimeInForce.IOC}
)
"""What rests never; orders for an auction come at its moment and take what they get."""
_TYPE_NAMES = {kind: name for name, kind in TYPES.items()}
_TIME_NAMES = {TimeInForce.IOC: "ioc", TimeInForce.FOK: "fok"}


def spec_of(held: Held, quantity: Decimal) -> OrderSpec:
    """The order as the matching venue takes it. How long it works is the floor's to say."""
    notional = None if held.notional is None else held.notional - held.filled_notional
    return OrderSpec(
        symbol=held.asset.symbol,
        side=Side.BUY if held.buys else Side.SELL,
        type=TYPES[held.type],
        quantity=None if notional is not None else quantity,
        quote_quantity=notional,
        limit_price=held.limit_price,
        stop_price=None if held.type == "trailing_stop" else held.stop_price,
        trail_amount=held.trail_price,
        trail_percent=held.trail_percent,
        time_in_force=AT_ONCE.get(held.time_in_force, TimeInForce.GTC),
    )


def adopted(order: VenueOrderState, asset: Asset, order_id: str) -> Held:
    """An order that somebody else placed on the account, by Alpaca's own pages."""
    spec = order.spec
    return Held(
        id=order_id,
        client_order_id=order.client_order_id or order_id,
        asset=asset,
        side=1 if order.buys else -1,
        type=_TYPE_NAMES[spec.type],
        time_in_force=_TIME_NAMES.get(spec.time_in_force, "gtc"),
        qty=order.quantity,
        notional=None,
        limit_price=spec.limit_price,
        stop_price=spec.stop_price,
        trail_price=spec.trail_amount,
        trail_percent=spec.trail_percent,
        extended_hours=False,
        order_class="",
        created_ns=order.created_ns,
        updated_ns=order.created_ns,
        source="access_key",
    )


def look(core: AlpacaCore, held: Held) -> None:
    """Notes where a trailing stop stands in the market."""
    if held.type != "trailing_stop" or held.part is None or not held.open:
        return
    working = core.venue.working(held.part.key)
    if working is None or working.special is None or working.special.crest is None:
        return
    listing = core.venue.listings[held.asset.symbol]
    held.hwm = listing.price(working.special.crest.price)
    stop = standing_trigger(working)
    held.stop_price = None if stop is None else listing.price(stop)
