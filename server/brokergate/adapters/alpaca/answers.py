"""What Alpaca answers and streams, parsed. Pure; every function raises `WireError` for what is not documented."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from brokergate.adapters.alpaca.values import (
    ENDS,
    FORCES,
    SIDES,
    TYPES,
    WORKING,
    WireError,
    flag,
    mapping,
    number,
    number_or_none,
    sequence,
    text,
    time_ns,
    word,
)
from brokergate.domain.money import ZERO
from brokergate.domain.orders import OrderState, OrderType, Side, TimeInForce
from brokergate.domain.values import value


@value
class AlpacaOrder:
    """One order as Alpaca shows it; prices and quantities None where it has none."""

    id: str
    client_order_id: str
    symbol: str
    asset_class: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    status: str
    quantity: Decimal | None
    notional: Decimal | None
    filled: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None
    replaces: str
    replaced_by: str
    submitted_ns: int
    updated_ns: int
    legs: tuple[AlpacaOrder, ...] = ()

    @property
    def working(self) -> bool:
        """Whether it can still fill."""
        return self.status in WORKING

    @property
    def state(self) -> OrderState:
        """What it is in the gateway's words."""
        if self.working:
            return OrderState.PARTIALLY_FILLED if self.filled else OrderState.NEW
        return ENDS[self.status]

    @property
    def total(self) -> Decimal:
        """Units that it is for. One that was given as an amount of money has no number of units before its end: then
        it is what is filled."""
        return self.filled if self.quantity is None else self.quantity


def order(answer: object) -> AlpacaOrder:
    """An order (alpaca-py alpaca/trading/models.py, `Order`). Of a multi-leg option order, which others may have
    placed, what it has not is unspecified."""
    fields = mapping(answer, "an order")
    status = text(fields, "status")
    if status not in WORKING and status not in ENDS:
        raise WireError("status has a word that is not documented")
    kind, side = fields.get("type") or fields.get("order_type"), fields.get("side")
    filled = number_or_none(fields, "filled_qty")
    updated = fields.get("updated_at") or fields.get("submitted_at") or fields.get("created_at")
    submitted = fields.get("submitted_at") or fields.get("created_at")
    return AlpacaOrder(
        id=text(fields, "id"),
        client_order_id=text(fields, "client_order_id", ""),
        symbol=text(fields, "symbol", ""),
        asset_class=text(fields, "asset_class", ""),
        side=word(SIDES, side, "side") if isinstance(side, str) and side else Side.UNSPECIFIED,
        type=TYPES.get(kind, OrderType.UNSPECIFIED) if isinstance(kind, str) else OrderType.UNSPECIFIED,
        time_in_force=FORCES.get(text(fields, "time_in_force", ""), TimeInForce.UNSPECIFIED),
        status=status,
        quantity=number_or_none(fields, "qty"),
        notional=number_or_none(fields, "notional"),
        filled=ZERO if filled is None else filled,
        limit_price=number_or_none(fields, "limit_price"),
        stop_price=number_or_none(fields, "stop_price"),
        replaces=text(fields, "replaces", ""),
        replaced_by=text(fields, "replaced_by", ""),
        submitted_ns=time_ns(submitted, "submitted_at"),
        updated_ns=time_ns(updated, "updated_at"),
        legs=tuple([order(leg) for leg in sequence(fields.get("legs") or [], "legs")]),
    )


def orders(answer: object) -> list[AlpacaOrder]:
    """A list of orders."""
    return [order(each) for each in sequence(answer, "the orders")]


@value
class Activity:
    """One execution as the account's activities have it. `execution_id` is the part of its id behind the time; `cum`
    is what its order had filled with it."""

    id: str
    execution_id: str
    order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    cum: Decimal | None
    time_ns: int


def activities(answer: object) -> list[Activity]:
    """A page of `/v2/account/activities/FILL` (alpaca-py `TradeActivity`)."""
    found: list[Activity] = []
    for each in sequence(answer, "the activities"):
        fields = mapping(each, "an activity")
        name = text(fields, "id")
        found.append(
            Activity(
                id=name,
                execution_id=name.rpartition("::")[2],
                order_id=text(fields, "order_id"),
                symbol=text(fields, "symbol"),
                side=word(SIDES, text(fields, "side"), "side"),
                quantity=number(fields, "qty"),
                price=number(fields, "price"),
                cum=number_or_none(fields, "cum_qty"),
                time_ns=time_ns(fields.get("transaction_time"), "transaction_time"),
            )
        )
    return found


@value
class TradeUpdate:
    """One message of the stream `trade_updates`. Execution, price and quantity are there for fills alone; quantity is
    that of the fill, and `order.filled` the sum with it."""

    event: str
    order: AlpacaOrder
    execution_id: str
    price: Decimal | None
    quantity: Decimal | None
    position: Decimal | None
    time_ns: int


def trade_update(data: object) -> TradeUpdate:
    """The `data` of a `trade_updates` message (docs.alpaca.markets/docs/websocket-streaming)."""
    fields = mapping(data, "a trade update")
    event, shown = text(fields, "event"), order(fields.get("order"))
    moment = fields.get("timestamp") or fields.get("at")
    update = TradeUpdate(
        event=event,
        order=shown,
        execution_id=text(fields, "execution_id", ""),
        price=number_or_none(fields, "price"),
        quantity=number_or_none(fields, "qty"),
        position=number_or_none(fields, "position_qty"),
        time_ns=shown.updated_ns if moment is None else time_ns(moment, "timestamp"),
    )
    if event in ("fill", "partial_fill") and (
        not update.execution_id or update.price is None or update.quantity is None
    ):
        raise WireError("a fill without its execution, price or quantity")
    return update


@value
class Account:
    """What the account is and has."""

    status: str
    currency: str
    cash: Decimal
    equity: Decimal | None
    buying_power: Decimal
    initial_margin: Decimal
    maintenance_margin: Decimal
    account_blocked: bool
    trading_blocked: bool
    suspended_by_user: bool
    shorting: bool


def account(answer: object) -> Account:
    """`/v2/account` (alpaca-py `TradeAccount`)."""
    fields = mapping(answer, "the account")
    return Account(
        status=text(fields, "status"),
        currency=text(fields, "currency", "USD"),
        cash=number(fields, "cash"),
        equity=number_or_none(fields, "equity"),
        buying_power=number_or_none(fields, "buying_power") or ZERO,
        initial_margin=number_or_none(fields, "initial_margin") or ZERO,
        maintenance_margin=number_or_none(fields, "maintenance_margin") or ZERO,
        account_blocked=flag(fields, "account_blocked"),
        trading_blocked=flag(fields, "trading_blocked"),
        suspended_by_user=flag(fields, "trade_suspended_by_user"),
        shorting=flag(fields, "shorting_enabled"),
    )


@value
class Position:
    """What is held of one asset; below zero is short. Crypto comes without its slash: BTCUSD."""

    symbol: str
    asset_class: str
    quantity: Decimal
    cost: Decimal
    mark_price: Decimal | None
    unrealized: Decimal | None


def positions(answer: object) -> list[Position]:
    """`/v2/positions` (alpaca-py `Position`)."""
    found: list[Position] = []
    for each in sequence(answer, "the positions"):
        fields = mapping(each, "a position")
        quantity, cost = number(fields, "qty"), number(fields, "cost_basis")
        if text(fields, "side", "") == "short" and quantity > ZERO:
            quantity = quantity.copy_negate()
        found.append(
            Position(
                symbol=text(fields, "symbol"),
                asset_class=text(fields, "asset_class", ""),
                quantity=quantity,
                cost=cost.copy_abs().copy_sign(quantity),
                mark_price=number_or_none(fields, "current_price"),
                unrealized=number_or_none(fields, "unrealized_pl"),
            )
        )
    return found


@value
class Asset:
    """What can be traded. Crypto alone has increments."""

    symbol: str
    asset_class: str
    active: bool
    tradable: bool
    fractionable: bool
    shortable: bool
    min_order_size: Decimal | None
    min_trade_increment: Decimal | None
    price_increment: Decimal | None


def asset(answer: object) -> Asset:
    """One of `/v2/assets` (alpaca-py `Asset`)."""
    fields = mapping(answer, "an asset")
    return Asset(
        symbol=text(fields, "symbol"),
        asset_class=text(fields, "class", text(fields, "asset_class", "")),
        active=text(fields, "status", "") == "active",
        tradable=flag(fields, "tradable"),
        fractionable=flag(fields, "fractionable"),
        shortable=flag(fields, "shortable"),
        min_order_size=number_or_none(fields, "min_order_size"),
        min_trade_increment=number_or_none(fields, "min_trade_increment"),
        price_increment=number_or_none(fields, "price_increment"),
    )


def assets(answer: object) -> list[Asset]:
    """`/v2/assets`."""
    return [asset(each) for each in sequence(answer, "the assets")]


@value
class MarketClock:
    """Whether the stock market is open, and when that changes; nanoseconds since the epoch."""

    now_ns: int
    open: bool
    next_open_ns: int
    next_close_ns: int


def market_clock(answer: object) -> MarketClock:
    """`/v2/clock` (alpaca-py `Clock`)."""
    fields = mapping(answer, "the clock")
    return MarketClock(
        now_ns=time_ns(fields.get("timestamp"), "timestamp"),
        open=flag(fields, "is_open"),
        next_open_ns=time_ns(fields.get("next_open"), "next_open"),
        next_close_ns=time_ns(fields.get("next_close"), "next_close"),
    )


def cancelled(answer: object) -> Mapping[str, int]:
    """What DELETE of all orders says, with status 207: the HTTP status of each, by its id."""
    found: dict[str, int] = {}
    for each in sequence(answer, "the cancels"):
        fields = mapping(each, "a cancel")
        found[text(fields, "id")] = int(number(fields, "status"))
    return found


def refusal(body: Any) -> tuple[str, str]:
    """The code and the message of an error's body; empty where it is none."""
    if not isinstance(body, dict):
        return "", ""
    code, message = body.get("code"), body.get("message")
    return ("" if code is None else str(code)), (message if isinstance(message, str) else "")
