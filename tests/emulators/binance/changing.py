"""Orders that are changed: cancel-replace and amend (rest-api.md, "Trading endpoints")."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from brokergate.domain.orders import OrderState
from tests.emulators.binance.errors import ApiError, both_missing, filter_failure
from tests.emulators.binance.exchange import Exchange
from tests.emulators.binance.parameters import Parameters
from tests.emulators.binance.showing import kept, milliseconds, quantities, status
from tests.emulators.binance.symbols import eight
from tests.emulators.clock import VenueClock
from tests.emulators.orders import Refused, VenueOrderState


class ChangingExchange(Exchange):
    """The venue with changes of orders."""

    def __init__(self, clock: VenueClock, balances: Mapping[str, Decimal] | None) -> None:
        self.amended: Callable[[VenueOrderState, str], int] = lambda _order, _before: 0
        """Is told of an amended order and its client id of before; gives the execution's number."""
        super().__init__(clock, balances)

    def cancel_replace(self, parameters: Parameters) -> dict[str, Any]:
        """POST order/cancelReplace: what of it was done is told by -2021 (half) and -2022 (nothing)."""
        parameters.need("cancelReplaceMode")
        mode = parameters.choice("cancelReplaceMode", ("STOP_ON_FAILURE", "ALLOW_FAILURE"))
        parameters.choice("orderRateLimitExceededMode", ("DO_NOTHING", "CANCEL_ONLY"))
        cancel_id = parameters.client_id("cancelNewClientOrderId")
        original = parameters.client_id("cancelOrigClientOrderId")
        order_id = parameters.integer("cancelOrderId")
        restriction = self.restriction(parameters)
        asked, response = self.read(parameters)
        parameters.finish()
        if original is None and order_id is None:
            raise both_missing("cancelOrigClientOrderId", "cancelOrderId")
        self.check(asked)
        self.limits.check_orders(1, self.now_ns, self.clock.shown_ms())
        cancel: dict[str, Any]
        try:
            cancel = self.end(asked.symbol, order_id, original, cancel_id, restriction)
            ended = True
        except ApiError as error:
            cancel, ended = {"code": error.code, "msg": error.message}, False
        placed: dict[str, Any] | None = None
        result = "NOT_ATTEMPTED"
        if ended or mode == "ALLOW_FAILURE":
            try:
                placed, result = self.enter(asked, response), "SUCCESS"
            except ApiError as error:
                placed, result = {"code": error.code, "msg": error.message}, "FAILURE"
        else:
            # What is not attempted counts all the same (rest-api.md, cancelReplace).
            self.limits.count_orders(1)
        told = {
            "cancelResult": "SUCCESS" if ended else "FAILURE",
            "newOrderResult": result,
            "cancelResponse": cancel,
            "newOrderResponse": placed,
        }
        if ended and result == "SUCCESS":
            return told
        if ended or result == "SUCCESS":
            raise ApiError(-2021, "Order cancel-replace partially failed.", 409, told)
        raise ApiError(-2022, "Order cancel-replace failed.", 400, told)

    def amend(self, parameters: Parameters) -> dict[str, Any]:
        """PUT order/amend/keepPriority: less of the same, in its place in the queue."""
        symbol = self.symbol(parameters.symbol())
        order_id = parameters.integer("orderId")
        original = parameters.client_id("origClientOrderId")
        new_id = parameters.client_id("newClientOrderId")
        quantity = parameters.need_decimal("newQty")
        parameters.finish()
        order = self.open_order(symbol, order_id, original)
        if quantity <= 0:
            raise ApiError(-1013, "Invalid quantity.")
        if quantity % symbol.step:
            raise filter_failure("LOT_SIZE")
        if quantity == order.quantity:
            raise ApiError(-2038, "The requested action would change no state; rejecting.")
        if quantity > order.quantity:
            raise ApiError(-2038, "Order amend (quantity increase) is not supported.")
        if order.extra.get("amends", 0) >= symbol.max_amends:
            raise filter_failure("MAX_NUM_ORDER_AMENDS")
        before = order.client_order_id
        if quantity <= order.cum_quantity:
            self.withdraw(order, new_id or self.new_id(), OrderState.EXPIRED)
        else:
            try:
                self.core.replace(order, order.spec, quantity, self.now_ns)
            except Refused as refused:
                raise ApiError(-2038, refused.message) from refused
            order.client_order_id = new_id or self.new_id()
            self.by_client.setdefault(order.client_order_id, []).append(order)
            self.by_client[before].remove(order)
        order.extra["amends"] = order.extra.get("amends", 0) + 1
        number = self.amended(order, before)
        return {
            "transactTime": milliseconds(order.updated_ns),
            "executionId": number,
            "amendedOrder": self._amended(order, before),
        }

    def _amended(self, order: VenueOrderState, before: str) -> dict[str, Any]:
        shown, extra = quantities(order), kept(order)
        return {
            "symbol": extra["symbol"],
            "orderId": order.number,
            "orderListId": extra["orderListId"],
            "origClientOrderId": before,
            "clientOrderId": order.client_order_id,
            "price": shown["price"],
            "qty": shown["origQty"],
            "executedQty": shown["executedQty"],
            "preventedQty": eight(Decimal(0)),
            "quoteOrderQty": shown["origQuoteOrderQty"],
            "cumulativeQuoteQty": shown["cummulativeQuoteQty"],
            "status": status(order),
            "timeInForce": extra["timeInForce"],
            "type": extra["type"],
            "side": extra["side"],
            "workingTime": milliseconds(order.working_ns),
            "selfTradePreventionMode": extra["stp"],
        }
