"""The venue's state and what can be done with orders (rest-api.md, trading-endpoints)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from random import Random
from typing import Any

from brokergate.domain.errors import ErrorReason
from brokergate.domain.orders import OrderState
from tests.emulators.binance import errors
from tests.emulators.binance.asking import TRIGGERED, Asked, read_order
from tests.emulators.binance.errors import ApiError, both_missing, rejected
from tests.emulators.binance.filters import AveragePrice, check_filters
from tests.emulators.binance.limits import Limits
from tests.emulators.binance.parameters import Parameters
from tests.emulators.binance.showing import (
    acknowledged,
    cancelled,
    kept,
    queried,
    status,
)
from tests.emulators.binance.symbols import Symbol, eight, symbols
from tests.emulators.binance.trailing import Trailing
from tests.emulators.clock import VenueClock
from tests.emulators.core import VenueCore
from tests.emulators.orders import BookMoved, Filled, Happening, Placed, Refused, Triggered, VenueOrderState

TAKER_RATE = MAKER_RATE = Decimal("0.001")
USUAL_BALANCES = {"BTC": Decimal(10), "ETH": Decimal(100), "USDT": Decimal(1_000_000)}
RESPONSES = ("ACK", "RESULT", "FULL")
_REFUSALS = {
    ErrorReason.INSUFFICIENT_FUNDS: errors.NO_BALANCE,
    ErrorReason.WOULD_TAKE: errors.WOULD_TAKE,
    ErrorReason.MARKET_CLOSED: errors.MARKET_CLOSED,
}
_ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


class Exchange(ABC):
    """Commands and state, for REST and the WebSocket API alike. A command reads its parameters, and raises ApiError."""

    def __init__(self, clock: VenueClock, balances: Mapping[str, Decimal] | None) -> None:
        self.clock = clock
        self.symbols = {symbol.name: symbol for symbol in symbols()}
        self.limits = Limits()
        self.core = VenueCore(
            [symbol.instrument() for symbol in self.symbols.values()],
            USUAL_BALANCES if balances is None else balances,
            clock.now_ns(),
            taker_rate=TAKER_RATE,
            maker_rate=MAKER_RATE,
        )
        self.lag_ns: Callable[[], int] = lambda: 0
        """How old an order or a fill is before questions find it."""
        self.disabled = ""
        """Why the account may not trade; empty where it may."""
        self.by_client: dict[str, list[VenueOrderState]] = {}
        """Every order by its client id, the latest last."""
        self.cancel_ids: dict[int, str] = {}
        """The client id that the cancel of an order had, by the order's number."""
        self._random = Random(1)
        self._trailing = Trailing(self.core)
        self.average = AveragePrice(self.core)
        self._at_once: list[VenueOrderState] = []
        self.core.listeners.append(self._happened)

    @property
    def now_ns(self) -> int:
        """The venue's time."""
        return self.clock.now_ns()

    def symbol(self, name: str) -> Symbol:
        """The symbol of this name, or -1121."""
        found = self.symbols.get(name)
        if found is None:
            raise ApiError(-1121, "Invalid symbol.")
        return found

    def new_id(self) -> str:
        """A client id that the venue gives."""
        return "".join(self._random.choices(_ALPHABET, k=22))

    # Placing

    def place(self, parameters: Parameters) -> dict[str, Any]:
        """POST order."""
        asked, response = self.read(parameters)
        parameters.finish()
        self.check(asked)
        self.limits.check_orders(1, self.now_ns, self.clock.shown_ms())
        return self.enter(asked, response)

    def test(self, parameters: Parameters) -> dict[str, Any]:
        """POST order/test: everything but the matching engine."""
        rates = parameters.flag("computeCommissionRates")
        asked, _ = self.read(parameters)
        parameters.finish()
        self.check(asked)
        if not rates:
            return {}
        rate = {"maker": eight(MAKER_RATE), "taker": eight(TAKER_RATE)}
        zero = {"maker": eight(Decimal(0)), "taker": eight(Decimal(0))}
        discount = {
            "enabledForAccount": False,
            "enabledForSymbol": False,
            "discountAsset": "BNB",
            "discount": eight(Decimal(0)),
        }
        return {
            "standardCommissionForOrder": rate,
            "specialCommissionForOrder": zero,
            "taxCommissionForOrder": zero,
            "discount": discount,
        }

    def check(self, asked: Asked) -> None:
        """What is looked at before the matching engine sees an order: the symbol's state, its filters."""
        if asked.symbol.status != "TRADING":
            raise rejected(errors.MARKET_CLOSED)
        if self.disabled:
            raise rejected(self.disabled)
        check_filters(asked, self.average, self.open_orders(asked.symbol.name))

    def enter(self, asked: Asked, response: str) -> dict[str, Any]:
        """Gives an order to the matching engine."""
        self.limits.count_orders(1)
        order = self.engine(asked)
        return acknowledged(order, response, order.executions)

    def engine(
        self, asked: Asked, *, asleep: bool = False, lock_group: int | None = None, **more: Any
    ) -> VenueOrderState:
        """The matching engine takes an order, or -2010. `more` is kept with it."""
        client_id = asked.client_id or self.new_id()
        if any(order.client_order_id == client_id for order in self.core.open.values()):
            raise rejected(errors.DUPLICATE)
        stop = self._trailing.first_stop(asked) if asked.type in TRIGGERED else None
        if asked.type in TRIGGERED and asked.trailing_delta is None and not asleep:
            self._check_trigger(asked)
        try:
            order = self.core.place(
                asked.spec(stop),
                asked.quantity or Decimal(0),
                self.now_ns,
                client_order_id=client_id,
                asleep=asleep,
                lock_group=lock_group,
                lock_price=self._trailing.lock_price(asked),
                extra=asked.kept() | more,
            )
        except Refused as refused:
            raise rejected(_REFUSALS.get(refused.reason, refused.message)) from refused
        if asked.trailing_delta is not None:
            self._trailing.follow(order, asked)
        return order

    # Cancelling

    def cancel(self, parameters: Parameters) -> dict[str, Any]:
        """DELETE order."""
        symbol = self.symbol(parameters.symbol())
        order_id = parameters.integer("orderId")
        original = parameters.client_id("origClientOrderId")
        cancel_id = parameters.client_id("newClientOrderId")
        restriction = self.restriction(parameters)
        parameters.finish()
        return self.end(symbol, order_id, original, cancel_id, restriction)

    def end(
        self,
        symbol: Symbol,
        order_id: int | None,
        original: str | None,
        cancel_id: str | None,
        restriction: str | None,
    ) -> dict[str, Any]:
        """Cancels one order, and with it the list that it belongs to."""
        order = self.open_order(symbol, order_id, original)
        if restriction is not None:
            wanted = "NEW" if restriction == "ONLY_NEW" else "PARTIALLY_FILLED"
            if status(order) != wanted:
                raise ApiError(-2011, "Order was not canceled due to cancel restrictions.")
        order_list = self.list_of(order)
        cancel_id = cancel_id or self.new_id()
        if order_list is not None:
            return self.end_list(order_list, cancel_id)
        self.withdraw(order, cancel_id)
        return cancelled(order, cancel_id)

    def cancel_all(self, parameters: Parameters) -> list[dict[str, Any]]:
        """DELETE openOrders: all of one symbol."""
        symbol = self.symbol(parameters.symbol())
        parameters.finish()
        orders = self.open_orders(symbol.name)
        if not orders:
            raise ApiError(-2011, errors.UNKNOWN_ORDER)
        shown: list[dict[str, Any]] = []
        for order in orders:
            if not order.open:
                continue
            order_list = self.list_of(order)
            if order_list is not None:
                shown.append(self.end_list(order_list, self.new_id()))
            else:
                cancel_id = self.new_id()
                self.withdraw(order, cancel_id)
                shown.append(cancelled(order, cancel_id))
        return shown

    def withdraw(
        self, order: VenueOrderState, cancel_id: str, state: OrderState = OrderState.CANCELED
    ) -> None:
        """Takes one order out of the book."""
        self.cancel_ids[order.number] = cancel_id
        try:
            self.core.cancel(order, self.now_ns, state=state)
        except Refused as refused:
            raise ApiError(-2011, errors.UNKNOWN_ORDER) from refused

    # Lists are in `lists`; here is what the rest has to know of them

    @abstractmethod
    def list_of(self, order: VenueOrderState) -> Any:
        """The list at work that an order belongs to; None for none."""

    @abstractmethod
    def end_list(self, order_list: Any, cancel_id: str) -> dict[str, Any]:
        """Cancels a whole list."""

    @abstractmethod
    def leg_happened(self, happening: Happening) -> None:
        """Something happened, perhaps to a leg of a list."""

    @abstractmethod
    def settle_lists(self) -> None:
        """Does what the legs of lists have brought about."""

    # Finding

    def open_orders(self, symbol: str | None = None) -> Sequence[VenueOrderState]:
        """The orders that work, oldest first."""
        found = self.core.open.values()
        return [order for order in found if symbol is None or kept(order)["symbol"] == symbol]

    def find(self, symbol: Symbol, order_id: int | None, original: str | None) -> VenueOrderState | None:
        """An order by its id, else the latest with the client id."""
        if order_id is None and original is None:
            raise both_missing("origClientOrderId", "orderId")
        if order_id is not None:
            orders = self.core.orders[order_id - 1 : order_id] if order_id else []
            if orders and original is not None and orders[0].client_order_id != original:
                raise ApiError(-2039, "Client order ID is not correct for this order ID.")
        else:
            orders = self.by_client.get(original or "", [])
        return next((order for order in reversed(orders) if kept(order)["symbol"] == symbol.name), None)

    def query(self, parameters: Parameters) -> dict[str, Any]:
        """GET order."""
        symbol = self.symbol(parameters.symbol())
        order_id, original = parameters.integer("orderId"), parameters.client_id("origClientOrderId")
        parameters.finish()
        order = self.find(symbol, order_id, original)
        if order is None or not self.visible(order.created_ns):
            raise ApiError(-2013, "Order does not exist.")
        return queried(order)

    def visible(self, time_ns: int) -> bool:
        """Whether questions find what came into being then."""
        return time_ns <= self.now_ns - self.lag_ns()

    # Inside

    def read(self, parameters: Parameters) -> tuple[Asked, str]:
        asked = read_order(parameters, self.symbol)
        usual = "FULL" if asked.type in ("MARKET", "LIMIT") else "ACK"
        response = parameters.choice("newOrderRespType", RESPONSES) or usual
        return asked, response

    def restriction(self, parameters: Parameters) -> str | None:
        words = ("ONLY_NEW", "ONLY_PARTIALLY_FILLED")
        refusal = ApiError(-1145, "cancelRestrictions has to be either ONLY_NEW or ONLY_PARTIALLY_FILLED.")
        return parameters.choice("cancelRestrictions", words, refusal)

    def open_order(self, symbol: Symbol, order_id: int | None, original: str | None) -> VenueOrderState:
        if order_id is None and original is None:
            raise both_missing("origClientOrderId", "orderId")
        for order in self.open_orders(symbol.name):
            if order_id is not None and order.number != order_id:
                continue
            if original is not None and order.client_order_id != original:
                if order_id is not None:
                    break
                continue
            return order
        raise ApiError(-2011, errors.UNKNOWN_ORDER)

    def _check_trigger(self, asked: Asked) -> None:
        last = self.core.last(asked.symbol.name)
        if last is None or asked.stop_price is None:
            return
        reached = asked.stop_price <= last if asked.rises else asked.stop_price >= last
        if reached:
            raise rejected(errors.WOULD_TRIGGER)

    def _happened(self, happening: Happening) -> None:
        if isinstance(happening, Placed) and not happening.woken:
            order = happening.order
            self.by_client.setdefault(order.client_order_id, []).append(order)
        if isinstance(happening, Filled) and len(happening.execution.order.executions) == 1:
            self.limits.order_filled()
        if isinstance(happening, Triggered):
            order = happening.order
            order.working_ns = order.updated_ns
            if kept(order)["timeInForce"] in ("IOC", "FOK"):
                self._at_once.append(order)
        self.leg_happened(happening)
        if isinstance(happening, BookMoved):
            self._settle(happening.symbol)

    def _settle(self, symbol: str) -> None:
        """Everything of one step has been told: what it brings about is done now."""
        self._trailing.moved(symbol, self.now_ns)
        while self._at_once:
            order = self._at_once.pop()
            if order.open:
                self.core.cancel(order, self.now_ns, ErrorReason.NOT_FILLABLE, OrderState.EXPIRED)
        self.settle_lists()
