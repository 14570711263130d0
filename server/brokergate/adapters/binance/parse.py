"""Answers and frames of Binance, read. Pure.

Prices and quantities are texts there, ids and times (milliseconds) numbers. What does not have its documented form
raises `Malformed`: nobody knows then what the venue did (law 3).

Sources: rest-api.md, user-data-stream.md and web-socket-streams.md of binance/binance-spot-api-docs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson

from brokergate.domain.accounts import BrokerBalance
from brokergate.domain.errors import TemporaryConnectionError
from brokergate.domain.fills import Liquidity, Money
from brokergate.domain.money import ZERO, add, parse_decimal, quotient
from brokergate.domain.orders import OrderState, OrderType, Side, TimeInForce

NS_PER_MS = 1_000_000

SIDES: Mapping[str, Side] = {"BUY": Side.BUY, "SELL": Side.SELL}
TYPES: Mapping[str, OrderType] = {
    "MARKET": OrderType.MARKET,
    "LIMIT": OrderType.LIMIT,
    "LIMIT_MAKER": OrderType.LIMIT,
    "STOP_LOSS": OrderType.STOP,
    "STOP_LOSS_LIMIT": OrderType.STOP_LIMIT,
    "TAKE_PROFIT": OrderType.MARKET_IF_TOUCHED,
    "TAKE_PROFIT_LIMIT": OrderType.LIMIT_IF_TOUCHED,
}
FORCES: Mapping[str, TimeInForce] = {
    "GTC": TimeInForce.GTC,
    "IOC": TimeInForce.IOC,
    "FOK": TimeInForce.FOK,
}
STATES: Mapping[str, OrderState] = {
    "NEW": OrderState.NEW,
    "PENDING_NEW": OrderState.NEW,
    "PARTIALLY_FILLED": OrderState.PARTIALLY_FILLED,
    "FILLED": OrderState.FILLED,
    "CANCELED": OrderState.CANCELED,
    "PENDING_CANCEL": OrderState.NEW,
    "REJECTED": OrderState.REJECTED,
    "EXPIRED": OrderState.EXPIRED,
    "EXPIRED_IN_MATCH": OrderState.EXPIRED,
}


class Malformed(TemporaryConnectionError):
    """An answer that has not its documented form: HTML, cut off, or of another version."""


WORKING = frozenset({"NEW", "PENDING_NEW", "PARTIALLY_FILLED"})
"""Statuses of orders that may still fill."""
Json = Mapping[str, Any]
WRONG = (KeyError, IndexError, TypeError, ValueError, AttributeError, ArithmeticError)
"""What comes of reading what is not as documented."""


def load(body: bytes | str) -> Any:
    """JSON. `Malformed` for anything else."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"Binance's answer is no JSON ({error.msg})") from None


@dataclass(frozen=True, slots=True)
class ShownFill:
    """A fill of an order's own answer."""

    trade_id: str
    price: Decimal
    quantity: Decimal
    fees: tuple[Money, ...]


@dataclass(frozen=True, slots=True)
class ShownOrder:
    """An order as an answer or a frame shows it. `symbol` is Binance's."""

    symbol: str
    order_id: str
    client_id: str
    side: Side
    type: OrderType
    force: TimeInForce
    quantity: Decimal
    filled: Decimal
    status: str
    list_id: int
    time_ns: int
    price: Decimal | None = None
    stop_price: Decimal | None = None
    by_amount: bool = False
    """Whether it was placed by `quoteOrderQty`."""
    fills: tuple[ShownFill, ...] = ()

    @property
    def state(self) -> OrderState:
        """In the contract's words."""
        return STATES[self.status]


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution of the account, of `myTrades`."""

    symbol: str
    trade_id: int
    order_id: str
    side: Side
    price: Decimal
    quantity: Decimal
    fees: tuple[Money, ...]
    liquidity: Liquidity
    time_ns: int


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """An `executionReport`: an order as it stands after `kind` happened to it. `cancel_id` is the id of the cancel or
    amendment, where that has one of its own."""

    order: ShownOrder
    kind: str
    works: bool
    """Whether it is on the book."""
    cancel_id: str
    trade: Execution | None
    reason: str


@dataclass(frozen=True, slots=True)
class AccountView:
    """The account: what it holds and what it may do."""

    balances: Sequence[BrokerBalance]
    can_trade: bool
    permissions: Sequence[str]
    taker_rate: Decimal


def _ns(milliseconds: Any) -> int:
    return int(milliseconds) * NS_PER_MS


def _price(text: Any) -> Decimal | None:
    value = parse_decimal(text)
    return value if value > ZERO else None


def fees_of(amount: Any, currency: Any) -> tuple[Money, ...]:
    """What an execution cost; nothing where that is zero."""
    if currency is None or amount is None:
        return ()
    value = parse_decimal(amount)
    return (Money(value, currency),) if value else ()


def order(shown: Json) -> ShownOrder:
    """An order of an answer: placed, asked for, listed, cancelled."""
    try:
        return ShownOrder(
            symbol=shown["symbol"],
            order_id=str(shown["orderId"]),
            # A cancel's answer has the cancel's id as clientOrderId.
            client_id=shown.get("origClientOrderId") or shown["clientOrderId"],
            side=SIDES[shown["side"]],
            type=OrderType.TRAILING_STOP if shown.get("trailingDelta") else _type(shown["type"]),
            force=FORCES.get(shown.get("timeInForce", ""), TimeInForce.UNSPECIFIED),
            quantity=parse_decimal(shown["origQty"]),
            filled=parse_decimal(shown["executedQty"]),
            status=_known_status(shown["status"]),
            list_id=int(shown.get("orderListId", -1)),
            time_ns=_ns(shown.get("updateTime") or shown.get("transactTime") or shown.get("time") or 0),
            price=_price(shown.get("price", "0")),
            # Where a trailing stop stands moves with the market.
            stop_price=None if shown.get("trailingDelta") else _price(shown.get("stopPrice", "0")),
            by_amount=_price(shown.get("origQuoteOrderQty", "0")) is not None,
            fills=tuple(_fill(fill) for fill in shown.get("fills", ())),
        )
    except WRONG as error:
        raise _malformed("an order", error) from None


def _type(name: str) -> OrderType:
    """The type; unspecified for one of tomorrow, which others may place."""
    return TYPES.get(name, OrderType.UNSPECIFIED)


def _known_status(status: str) -> str:
    if status not in STATES:
        raise ValueError(f"status {status!r}")
    return status


def _fill(shown: Json) -> ShownFill:
    return ShownFill(
        trade_id=str(shown["tradeId"]),
        price=parse_decimal(shown["price"]),
        quantity=parse_decimal(shown["qty"]),
        fees=fees_of(shown.get("commission"), shown.get("commissionAsset")),
    )


def orders(shown: Any) -> list[ShownOrder]:
    """A list of orders. An order list that was cancelled has its orders within."""
    if not isinstance(shown, list):
        raise Malformed("Binance's answer is no list of orders")
    found: list[ShownOrder] = []
    for one in shown:
        if isinstance(one, dict) and "orderReports" in one:
            found += listed_orders(one)
        else:
            found.append(order(one))
    return found


def amended(shown: Any) -> tuple[str, Decimal]:
    """The status of an order that was amended, and what is filled of it."""
    try:
        order = shown["amendedOrder"]
        return _known_status(order["status"]), parse_decimal(order["executedQty"])
    except WRONG as error:
        raise _malformed("an amendment", error) from None


def listed_orders(shown: Json) -> list[ShownOrder]:
    """The orders of a list that was placed."""
    try:
        return [order(report) for report in shown["orderReports"]]
    except WRONG as error:
        raise _malformed("an order list", error) from None


def executions(shown: Any) -> list[Execution]:
    """What `myTrades` answers, oldest first."""
    try:
        return [
            Execution(
                symbol=one["symbol"],
                trade_id=int(one["id"]),
                order_id=str(one["orderId"]),
                side=Side.BUY if one["isBuyer"] else Side.SELL,
                price=parse_decimal(one["price"]),
                quantity=parse_decimal(one["qty"]),
                fees=fees_of(one["commission"], one["commissionAsset"]),
                liquidity=Liquidity.MAKER if one["isMaker"] else Liquidity.TAKER,
                time_ns=_ns(one["time"]),
            )
            for one in shown
        ]
    except WRONG as error:
        raise _malformed("executions", error) from None


def account(shown: Json, now_ns: int) -> AccountView:
    """What `account` answers."""
    try:
        rates = shown.get("commissionRates") or {}
        return AccountView(
            balances=[balance(one["asset"], one["free"], one["locked"], now_ns) for one in shown["balances"]],
            can_trade=bool(shown["canTrade"]),
            permissions=tuple(shown.get("permissions", ())),
            taker_rate=parse_decimal(rates.get("taker", "0")),
        )
    except WRONG as error:
        raise _malformed("the account", error) from None


def balance(asset: str, free: str, locked: str, as_of_ns: int) -> BrokerBalance:
    """What is held of one asset."""
    held = parse_decimal(locked)
    return BrokerBalance(asset, add(parse_decimal(free), held), held, as_of_ns)


def server_ms(shown: Json) -> int:
    """The venue's time."""
    try:
        return int(shown["serverTime"])
    except WRONG as error:
        raise _malformed("the time", error) from None


Prices = Mapping[str, tuple[Decimal | None, Decimal | None]]
"""The best bid and ask by Binance's symbol; None where a side is empty."""


def middle(prices: Prices, symbol: str) -> Decimal | None:
    """The middle of the best prices; None where a side is empty."""
    bid, ask = prices.get(symbol, (None, None))
    return None if bid is None or ask is None else quotient(add(bid, ask), Decimal(2))


def book_tickers(shown: Any) -> Prices:
    """The best bid and ask by Binance's symbol."""
    try:
        return {one["symbol"]: (_price(one["bidPrice"]), _price(one["askPrice"])) for one in shown}
    except WRONG as error:
        raise _malformed("the best prices", error) from None


def levels(shown: Sequence[Sequence[str]]) -> list[tuple[Decimal, Decimal]]:
    """Prices and quantities of one side of a book."""
    return [(parse_decimal(price), parse_decimal(quantity)) for price, quantity in shown]


def depth(shown: Json) -> tuple[int, list[tuple[Decimal, Decimal]], list[tuple[Decimal, Decimal]]]:
    """A book: the number of its last update, bids, asks."""
    try:
        return int(shown["lastUpdateId"]), levels(shown["bids"]), levels(shown["asks"])
    except WRONG as error:
        raise _malformed("a book", error) from None


# The private stream


def order_event(event: Json) -> OrderEvent:
    """An `executionReport`."""
    try:
        client_id = event["C"] or event["c"]
        shown = ShownOrder(
            symbol=event["s"],
            order_id=str(event["i"]),
            client_id=client_id,
            side=SIDES[event["S"]],
            type=OrderType.TRAILING_STOP if event.get("d") else _type(event["o"]),
            force=FORCES.get(event["f"], TimeInForce.UNSPECIFIED),
            quantity=parse_decimal(event["q"]),
            filled=parse_decimal(event["z"]),
            status=_known_status(event["X"]),
            list_id=int(event["g"]),
            time_ns=_ns(event["T"]),
            price=_price(event["p"]),
            stop_price=None if event.get("d") else _price(event["P"]),
            by_amount=_price(event.get("Q", "0")) is not None,
        )
        return OrderEvent(
            order=shown,
            kind=event["x"],
            works=bool(event["w"]),
            cancel_id=event["c"] if event["C"] else "",
            trade=_trade(event, shown) if event["x"] == "TRADE" else None,
            reason="" if event["r"] == "NONE" else str(event["r"]),
        )
    except WRONG as error:
        raise _malformed("an executionReport", error) from None


def _trade(event: Json, shown: ShownOrder) -> Execution:
    return Execution(
        symbol=shown.symbol,
        trade_id=int(event["t"]),
        order_id=shown.order_id,
        side=shown.side,
        price=parse_decimal(event["L"]),
        quantity=parse_decimal(event["l"]),
        fees=fees_of(event["n"], event["N"]),
        liquidity=Liquidity.MAKER if event["m"] else Liquidity.TAKER,
        time_ns=shown.time_ns,
    )


def balances_event(event: Json) -> list[BrokerBalance]:
    """An `outboundAccountPosition`: the balances that may have changed."""
    try:
        at_ns = _ns(event["u"])
        return [balance(one["a"], one["f"], one["l"], at_ns) for one in event["B"]]
    except WRONG as error:
        raise _malformed("an outboundAccountPosition", error) from None


def balance_move(event: Json) -> tuple[str, Decimal, int]:
    """A `balanceUpdate`: which asset, how much came or went, when (nanoseconds)."""
    try:
        return event["a"], parse_decimal(event["d"]), _ns(event["T"])
    except WRONG as error:
        raise _malformed("a balanceUpdate", error) from None


def _malformed(what: str, error: Exception) -> Malformed:
    return Malformed(f"Binance's answer does not show {what} as documented ({type(error).__name__}: {error})")
