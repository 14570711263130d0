"""Order lists: OCO, OTO and OTOCO (rest-api.md "Order lists").

One leg of an OCO that fills, even in part, or is set off ends the other (EXPIRED). The pending legs of an OTO come to
the market when its working leg is filled in full, and end with it when it ends otherwise. Whoever cancels a leg cancels
the list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from brokergate.domain.orders import OrderState
from tests.emulators.binance import errors
from tests.emulators.binance.asking import Asked, Names, read_order
from tests.emulators.binance.changing import ChangingExchange
from tests.emulators.binance.errors import ApiError, both_missing, filter_failure, rejected
from tests.emulators.binance.exchange import RESPONSES
from tests.emulators.binance.parameters import Parameters
from tests.emulators.binance.showing import acknowledged, cancelled, kept, milliseconds
from tests.emulators.clock import VenueClock
from tests.emulators.orders import ZERO, Ended, Filled, Happening, Placed, Triggered, VenueOrderState

LIMIT_LIKE = frozenset({"LIMIT_MAKER", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"})
_ABOVE, _BELOW = Names("above", of_group="above"), Names("below", of_group="below")
_WORKING, _PENDING = Names("working"), Names("pending")
_PENDING_ABOVE, _PENDING_BELOW = Names("pendingAbove"), Names("pendingBelow")
_PRICES = "The relationship of the prices for the orders is not correct."


@dataclass(slots=True, eq=False)
class OrderList:
    """One list. `working` is the first leg of an OTO; `either` are legs of which one ends the others."""

    number: int
    client_id: str
    contingency: str
    symbol: str
    time_ns: int
    working: VenueOrderState | None = None
    either: list[VenueOrderState] = field(default_factory=list)
    done: bool = False
    ending: bool = False
    """Whether somebody is cancelling it."""
    response: str = "RESULT"

    @property
    def legs(self) -> list[VenueOrderState]:
        """All orders, the working one first."""
        return [self.working, *self.either] if self.working else list(self.either)

    def shown(self) -> dict[str, Any]:
        """As queries show it."""
        return {
            "orderListId": self.number,
            "contingencyType": self.contingency,
            "listStatusType": "ALL_DONE" if self.done else "EXEC_STARTED",
            "listOrderStatus": "ALL_DONE" if self.done else "EXECUTING",
            "listClientOrderId": self.client_id,
            "transactionTime": milliseconds(self.time_ns),
            "symbol": self.symbol,
            "orders": [
                {"symbol": self.symbol, "orderId": leg.number, "clientOrderId": leg.client_order_id}
                for leg in self.legs
            ],
        }


class ListExchange(ChangingExchange):
    """The venue with its lists."""

    def __init__(self, clock: VenueClock, balances: Mapping[str, Decimal] | None) -> None:
        self.lists: list[OrderList] = []
        self.list_changed: Callable[[OrderList], None] = lambda _: None
        """Is told when a list begins and when it is done."""
        self._due: list[tuple[OrderList, VenueOrderState, bool]] = []
        super().__init__(clock, balances)

    # Placing

    def place_oco(self, parameters: Parameters) -> dict[str, Any]:
        """POST orderList/oco."""
        given = self._shared(parameters, "side", "quantity")
        legs = [read_order(parameters, self.symbol, names, given=given) for names in (_ABOVE, _BELOW)]
        client_id, response = self._list_words(parameters)
        parameters.finish()
        self._check_pair(*legs)
        self._admit(legs)
        order_list = self._new(client_id, "OCO", legs[0], response)
        self._enter_either(order_list, legs, asleep=False)
        return self._placed(order_list)

    def place_oto(self, parameters: Parameters) -> dict[str, Any]:
        """POST orderList/oto."""
        working = self._read_working(parameters)
        pending = read_order(parameters, self.symbol, _PENDING)
        return self._place_oto(parameters, working, [pending])

    def place_otoco(self, parameters: Parameters) -> dict[str, Any]:
        """POST orderList/otoco."""
        working = self._read_working(parameters)
        given = self._shared(parameters, "pendingSide", "pendingQuantity")
        pending = [
            read_order(parameters, self.symbol, names, given=given)
            for names in (_PENDING_ABOVE, _PENDING_BELOW)
        ]
        self._check_pair(*pending, market=False)
        return self._place_oto(parameters, working, pending)

    def _place_oto(self, parameters: Parameters, working: Asked, pending: list[Asked]) -> dict[str, Any]:
        client_id, response = self._list_words(parameters)
        parameters.finish()
        self._admit([working, *pending])
        order_list = self._new(client_id, "OTO", working, response)
        self._enter_either(order_list, pending, asleep=True)
        try:
            self.engine(working, orderListId=order_list.number)
        except ApiError:
            for leg in list(order_list.either):
                leg.state = OrderState.REJECTED
                del self.core.open[leg.number]
            self.lists.remove(order_list)
            raise
        return self._placed(order_list)

    # Cancelling and finding

    def cancel_list(self, parameters: Parameters) -> dict[str, Any]:
        """DELETE orderList."""
        symbol = self.symbol(parameters.symbol())
        number = parameters.integer("orderListId")
        client_id = parameters.client_id("listClientOrderId")
        cancel_id = parameters.client_id("newClientOrderId")
        parameters.finish()
        found = self._find(number, client_id, "listClientOrderId")
        if found is None or found.done or found.symbol != symbol.name:
            raise ApiError(-2011, "Unknown order list sent.")
        return self.end_list(found, cancel_id or self.new_id())

    def query_list(self, parameters: Parameters) -> dict[str, Any]:
        """GET orderList."""
        number = parameters.integer("orderListId")
        client_id = parameters.client_id("origClientOrderId")
        parameters.finish()
        found = self._find(number, client_id, "origClientOrderId")
        if found is None:
            raise ApiError(-2013, "Order list does not exist.")
        return found.shown()

    def open_lists(self, parameters: Parameters) -> list[dict[str, Any]]:
        """GET openOrderList."""
        parameters.finish()
        return [each.shown() for each in self.lists if not each.done]

    def all_lists(self, parameters: Parameters) -> list[dict[str, Any]]:
        """GET allOrderList: from an id on, else the latest."""
        first = parameters.integer("fromId")
        limit = parameters.limit()
        parameters.finish()
        found = [each for each in self.lists if first is None or each.number >= first]
        return [each.shown() for each in (found[:limit] if first is not None else found[-limit:])]

    def list_of(self, order: VenueOrderState) -> OrderList | None:
        number = kept(order)["orderListId"]
        found = next((each for each in self.lists if each.number == number), None)
        return None if found is None or found.done else found

    def end_list(self, order_list: Any, cancel_id: str) -> dict[str, Any]:
        assert isinstance(order_list, OrderList)
        order_list.ending = True
        reports = []
        for leg in order_list.legs:
            if leg.open:
                self.withdraw(leg, cancel_id)
                reports.append(cancelled(leg, cancel_id))
        self.settle_lists()
        return order_list.shown() | {"orderReports": reports}

    # What legs bring about

    def leg_happened(self, happening: Happening) -> None:
        order = _order_of(happening)
        if order is None or order.extra.get("orderListId", -1) < 0:
            return
        order_list = self.list_of(order)
        if order_list is None:
            return
        if isinstance(happening, Placed):
            if order_list.contingency == "OTO" and order not in order_list.either:
                order_list.working = order
            return
        if order is order_list.working:
            if isinstance(happening, Ended):
                self._due += [(order_list, leg, False) for leg in order_list.either]
            elif order.state is OrderState.FILLED:
                self._due += [(order_list, leg, True) for leg in order_list.either]
        else:
            self._due += [(order_list, leg, False) for leg in order_list.either if leg is not order]
        # Looked at once more when the step is over, for whether it is done.
        self._due.append((order_list, order, False))

    def settle_lists(self) -> None:
        while self._due:
            order_list, leg, wake = self._due.pop(0)
            if wake and leg.open and leg.asleep:
                self.core.wake(leg, self.now_ns)
            elif not wake and leg.open and self._is_over(order_list, leg):
                self.withdraw(leg, self.new_id(), OrderState.EXPIRED)
            if not order_list.done and order_list.legs and not any(each.open for each in order_list.legs):
                order_list.done = True
                order_list.time_ns = self.now_ns
                self.list_changed(order_list)

    def _is_over(self, order_list: OrderList, leg: VenueOrderState) -> bool:
        """Whether an open leg has to end because of another one."""
        working = order_list.working
        if working is leg or order_list.ending:
            return False
        if working is not None and not working.open and working.state is not OrderState.FILLED:
            return True
        if leg.executions or leg.triggered:
            # The one that ends the others.
            return False
        others = [each for each in order_list.either if each is not leg]
        return any(each.triggered or each.executions or not each.open for each in others)

    # Inside

    def _shared(self, parameters: Parameters, side: str, quantity: str) -> dict[str, Any]:
        parameters.need(side)
        chosen = parameters.choice(side, ("BUY", "SELL"), ApiError(-1117, "Invalid side."))
        return {"side": chosen, "quantity": parameters.need_decimal(quantity)}

    def _read_working(self, parameters: Parameters) -> Asked:
        working = read_order(parameters, self.symbol, _WORKING)
        if working.type not in ("LIMIT", "LIMIT_MAKER"):
            raise ApiError(-1116, "Invalid orderType.")
        return working

    def _list_words(self, parameters: Parameters) -> tuple[str, str]:
        client_id = parameters.client_id("listClientOrderId") or self.new_id()
        return client_id, parameters.choice("newOrderRespType", RESPONSES) or "RESULT"

    def _check_pair(self, above: Asked, below: Asked, *, market: bool = True) -> None:
        """One leg takes a profit, the other stops a loss, and they stand on their sides of the market."""
        kinds = {above.type in LIMIT_LIKE, below.type in LIMIT_LIKE}
        if (
            kinds != {True, False}
            or "LIMIT" in (above.type, below.type)
            or "MARKET" in (above.type, below.type)
        ):
            raise ApiError(-1128, "Combination of optional parameters invalid.")
        high, low = _reference(above), _reference(below)
        last = self.core.last(above.symbol.name) if market else None
        wrong = high is not None and low is not None and high <= low
        if last is not None:
            wrong |= (high is not None and high <= last) or (low is not None and low >= last)
        if wrong:
            raise rejected(_PRICES)

    def _admit(self, legs: list[Asked]) -> None:
        for leg in legs:
            self.check(leg)
        symbol = legs[0].symbol
        if sum(not each.done and each.symbol == symbol.name for each in self.lists) >= symbol.max_lists:
            raise filter_failure("MAX_NUM_ORDER_LISTS")
        names = [leg.client_id for leg in legs if leg.client_id]
        taken = {order.client_order_id for order in self.core.open.values()}
        if len(set(names)) < len(names) or taken & set(names):
            raise rejected(errors.DUPLICATE)
        self.limits.check_orders(len(legs), self.now_ns, self.clock.shown_ms())

    def _new(self, client_id: str, contingency: str, asked: Asked, response: str) -> OrderList:
        if any(not each.done and each.client_id == client_id for each in self.lists):
            raise rejected(errors.DUPLICATE)
        order_list = OrderList(
            len(self.lists) + 1, client_id, contingency, asked.symbol.name, self.now_ns, response=response
        )
        self.lists.append(order_list)
        return order_list

    def _enter_either(self, order_list: OrderList, legs: list[Asked], *, asleep: bool) -> None:
        # What may be refused for the market comes first: nothing has to be taken back then.
        ordered = sorted(legs, key=lambda leg: leg.type != "LIMIT_MAKER")
        entered: dict[int, VenueOrderState] = {}
        for leg in ordered:
            try:
                entered[id(leg)] = self.engine(
                    leg, asleep=asleep, lock_group=order_list.number, orderListId=order_list.number
                )
            except ApiError:
                for other in entered.values():
                    self.withdraw(other, self.new_id(), OrderState.EXPIRED)
                self.lists.remove(order_list)
                raise
        order_list.either = [entered[id(leg)] for leg in legs]

    def _placed(self, order_list: OrderList) -> dict[str, Any]:
        self.limits.count_orders(len(order_list.legs))
        self.list_changed(order_list)
        reports = [acknowledged(leg, order_list.response, leg.executions) for leg in order_list.legs]
        return order_list.shown() | {"orderReports": reports}

    def _find(self, number: int | None, client_id: str | None, name: str) -> OrderList | None:
        if number is None and client_id is None:
            raise both_missing("orderListId", name)
        for each in reversed(self.lists):
            if number in (None, each.number) and client_id in (None, each.client_id):
                return each
        return None


def _order_of(happening: Happening) -> VenueOrderState | None:
    match happening:
        case Triggered(order) | Ended(order):
            return order
        case Placed(order, _):
            return None if order.asleep else order
        case Filled(execution):
            return execution.order
        case _:
            return None


def _reference(asked: Asked) -> Decimal | None:
    """Where a leg stands: its trigger, else its limit; nowhere yet where it trails."""
    if asked.trailing_delta is not None and asked.stop_price is None:
        return None
    return asked.stop_price or asked.price or ZERO
