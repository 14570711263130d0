"""What a client asks for with an order, read and understood (rest-api.md "New order")."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from brokergate.domain.orders import (
    OrderSpec,
    OrderType,
    SelfTradePrevention,
    Side,
    TimeInForce,
    TriggerSource,
)
from tests.emulators.binance.errors import STP_NOT_ALLOWED, ApiError, invalid, missing, not_required, rejected
from tests.emulators.binance.parameters import Parameters
from tests.emulators.binance.symbols import DEFAULT_STP, ORDER_TYPES, STP_MODES, Symbol

LIMITED = frozenset({"LIMIT", "LIMIT_MAKER", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"})
TRIGGERED = frozenset({"STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"})
TIMED = frozenset({"LIMIT", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"})
ALL_STP = (*STP_MODES, "NONE", "DECREMENT", "TRANSFER")
_TYPES = {
    "LIMIT": OrderType.LIMIT,
    "LIMIT_MAKER": OrderType.LIMIT,
    "MARKET": OrderType.MARKET,
    "STOP_LOSS": OrderType.STOP,
    "STOP_LOSS_LIMIT": OrderType.STOP_LIMIT,
    "TAKE_PROFIT": OrderType.MARKET_IF_TOUCHED,
    "TAKE_PROFIT_LIMIT": OrderType.LIMIT_IF_TOUCHED,
}
_STP = {
    "EXPIRE_TAKER": SelfTradePrevention.CANCEL_TAKER,
    "EXPIRE_MAKER": SelfTradePrevention.CANCEL_MAKER,
    "EXPIRE_BOTH": SelfTradePrevention.CANCEL_BOTH,
}
MIN_STRATEGY_TYPE = 1_000_000


@dataclass(slots=True)
class Asked:
    """One order that is asked for, in the venue's words."""

    symbol: Symbol
    side: str
    type: str
    time_in_force: str = "GTC"
    quantity: Decimal | None = None
    quote_quantity: Decimal | None = None
    price: Decimal | None = None
    stop_price: Decimal | None = None
    trailing_delta: int | None = None
    iceberg: Decimal | None = None
    client_id: str | None = None
    stp: str = DEFAULT_STP
    strategy_id: int | None = None
    strategy_type: int | None = None

    @property
    def buys(self) -> bool:
        """Which way."""
        return self.side == "BUY"

    @property
    def rises(self) -> bool:
        """Whether it waits for a rise: a stop loss that buys, a take profit that sells."""
        return self.buys == self.type.startswith("STOP_LOSS")

    def spec(self, stop_price: Decimal | None) -> OrderSpec:
        """As the matching venue takes it, with the trigger that it begins with."""
        conditional = self.type in TRIGGERED
        time_in_force = TimeInForce.GTC
        if self.type == "MARKET":
            time_in_force = TimeInForce.IOC
        elif not conditional:
            time_in_force = TimeInForce[self.time_in_force]
        return OrderSpec(
            symbol=f"{self.symbol.base}/{self.symbol.quote}",
            side=Side[self.side],
            type=_TYPES[self.type],
            quantity=self.quantity,
            quote_quantity=self.quote_quantity,
            limit_price=self.price,
            stop_price=stop_price if conditional else None,
            trigger_source=TriggerSource.LAST if conditional else TriggerSource.UNSPECIFIED,
            time_in_force=time_in_force,
            post_only=self.type == "LIMIT_MAKER",
            display_quantity=self.iceberg,
            self_trade_prevention=_STP[self.stp],
        )

    def kept(self) -> dict[str, Any]:
        """What the venue keeps of it beside the matching venue's own."""
        return {
            "symbol": self.symbol.name,
            "side": self.side,
            "type": self.type,
            "timeInForce": self.time_in_force,
            "quoteOrderQty": self.quote_quantity,
            "stopPrice": self.stop_price,
            "icebergQty": self.iceberg,
            "trailingDelta": self.trailing_delta,
            "stp": self.stp,
            "strategyId": self.strategy_id,
            "strategyType": self.strategy_type,
            "orderListId": -1,
        }


@dataclass(frozen=True, slots=True)
class Names:
    """What the parameters of one order are called: those of a list's legs have prefixes."""

    prefix: str = ""
    of_group: str = ""
    """The prefix of side and quantity, where the legs share them."""

    def __call__(self, name: str) -> str:
        prefix = self.of_group if self.of_group and name in ("side", "quantity") else self.prefix
        return prefix + name[0].upper() + name[1:] if prefix else name


SINGLE = Names()


def read_order(
    parameters: Parameters,
    symbol_of: Callable[[str], Symbol],
    names: Names = SINGLE,
    *,
    given: Mapping[str, Any] | None = None,
    client_id: str = "newClientOrderId",
) -> Asked:
    """Reads the parameters of one order and refuses what does not go together. `given` is what a leg of a list has of
    the list: `side`, `quantity`."""
    given = given or {}
    symbol = symbol_of(parameters.symbol())
    side = given.get("side")
    if side is None:
        parameters.need(names("side"))
        side = parameters.choice(names("side"), ("BUY", "SELL"), ApiError(-1117, "Invalid side."))
    parameters.need(names("type"))
    kind = parameters.choice(names("type"), ORDER_TYPES, ApiError(-1116, "Invalid orderType."))
    assert side is not None
    assert kind is not None
    asked = Asked(symbol, side, kind)
    wrong_tif = ApiError(-1115, "Invalid timeInForce.")
    time_in_force = parameters.choice(names("timeInForce"), ("GTC", "IOC", "FOK"), wrong_tif)
    asked.quantity = given["quantity"] if "quantity" in given else parameters.decimal(names("quantity"))
    asked.price = parameters.decimal(names("price"))
    asked.stop_price = parameters.decimal(names("stopPrice"))
    asked.trailing_delta = parameters.integer(names("trailingDelta"))
    asked.iceberg = parameters.decimal(names("icebergQty"))
    asked.client_id = parameters.client_id(client_id if not names.prefix else names("clientOrderId"))
    asked.strategy_id = parameters.integer(names("strategyId"))
    asked.strategy_type = parameters.integer(names("strategyType"))
    if not names.prefix:
        asked.quote_quantity = parameters.decimal("quoteOrderQty")
    asked.stp = parameters.choice("selfTradePreventionMode", ALL_STP) or DEFAULT_STP
    if asked.strategy_type is not None and asked.strategy_type < MIN_STRATEGY_TYPE:
        raise ApiError(-1134, "strategyType was less than 1000000.")
    _check_together(asked, time_in_force, names)
    if asked.stp not in STP_MODES:
        raise rejected(STP_NOT_ALLOWED)
    return asked


def _check_together(asked: Asked, time_in_force: str | None, names: Names) -> None:
    kind = asked.type
    timed = kind in TIMED
    if time_in_force is None and timed:
        raise missing(names("timeInForce"))
    if time_in_force is not None and not timed:
        raise not_required(names("timeInForce"))
    asked.time_in_force = time_in_force or "GTC"
    if asked.price is None and kind in LIMITED:
        raise missing(names("price"))
    if asked.price is not None and kind not in LIMITED:
        raise not_required(names("price"))
    if kind in TRIGGERED:
        if asked.stop_price is None and asked.trailing_delta is None:
            raise ApiError(
                -1102,
                f"A mandatory parameter was not sent, was empty/null, or malformed: {names('stopPrice')} or "
                f"{names('trailingDelta')}.",
            )
    elif asked.stop_price is not None:
        raise not_required(names("stopPrice"))
    elif asked.trailing_delta is not None:
        raise not_required(names("trailingDelta"))
    if kind == "MARKET":
        if asked.quantity is None and asked.quote_quantity is None:
            raise missing("quantity")
        if asked.quantity is not None and asked.quote_quantity is not None:
            raise ApiError(-1128, "Combination of optional parameters invalid.")
    else:
        if asked.quantity is None:
            raise missing(names("quantity"))
        if asked.quote_quantity is not None:
            raise not_required("quoteOrderQty")
    if asked.iceberg is not None:
        if kind not in LIMITED or (kind == "LIMIT" and asked.time_in_force != "GTC"):
            raise not_required(names("icebergQty"))
        if asked.iceberg <= 0:
            raise invalid(names("icebergQty"))
