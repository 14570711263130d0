"""The forms of the fields of orders, and of the requests about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from brokergate.v1.market_data_pb2 import BookLevel
from brokergate.v1.order_pb2 import BatchOrder, LinkedOrder, OrderCommand, OrderRef, ProtectiveLeg
from tests.e2e.badinput.forms import (
    ABOVE_ZERO,
    ACCOUNT,
    EMPTY,
    ID,
    MISSING,
    NESTED,
    NOT_NEGATIVE,
    PAGE_SIZE,
    PAGE_TOKEN,
    ROUTE,
    SWITCH,
    TIME,
    WAY,
    Form,
    Wrong,
    choice,
    choices,
    lasting,
    span,
    when,
    wrong_texts,
)
from tests.e2e.badinput.valid import OTHER_SYMBOL, SYMBOL

PRICE: Final = ABOVE_ZERO.but(
    Wrong("off tick", "50.005", "PRICE_OFF_TICK"),
    Wrong("a little off tick", "50.000000000000000001", "PRICE_OFF_TICK"),
    right=("50", "49.99", "50.010", "0.01"),
)
QUANTITY: Final = ABOVE_ZERO.but(
    Wrong("off lot", "1.0005", "QUANTITY_OFF_LOT"),
    Wrong("a little off lot", "1.000000000000000001", "QUANTITY_OFF_LOT"),
    right=("1", "0.001", "2.50", "1.000000000000000000", "00001"),
)
BEYOND: Final = Wrong("beyond what can be written", "9" * 20, late=True)
PER_CENT: Final = ABOVE_ZERO.but(Wrong("a hundred", "100"), right=("1", "99.999"))
FEE: Final = NOT_NEGATIVE.but(Wrong("a hundred and more", "100.001"), right=("0", "0.1"))

SYMBOL_FORM: Final = wrong_texts(
    ("65 long", "B" * 65),
    ("very long", "B" * 5000),
    ("line end after", f"{SYMBOL}\n"),
    ("blank before", f" {SYMBOL}"),
    ("nul", "BTC\0USDT"),
    ("accent", "BTC/ÉUR"),
    ("emoji", "🙂"),
)
UNKNOWN_SYMBOL: Final = wrong_texts(
    ("unknown", "NO/SUCH"),
    ("lower case", "btc/usdt"),
    ("the broker's own", "BTCUSDT"),
    reason="INSTRUMENT_NOT_FOUND",
)
TRADED: Final = Form((MISSING, *SYMBOL_FORM, *UNKNOWN_SYMBOL), right=(SYMBOL, OTHER_SYMBOL))
"""An instrument of the account, required."""
FILTER_SYMBOL: Final = Form(SYMBOL_FORM, right=("", SYMBOL, "NO/SUCH"))
"""A symbol to filter by; one that nobody trades gives an empty list."""

LABELS: Final = Form(
    (
        Wrong("17 of them", {f"k{n}": "v" for n in range(17)}),
        Wrong("an empty key", {"": "v"}),
        Wrong("a key of 33", {"k" * 33: "v"}),
        Wrong("a blank in a key", {"a b": "v"}),
        Wrong("an accent in a key", {"é": "v"}),
        Wrong("a line end after a key", {"k\n": "v"}),
        Wrong("a value of 65", {"k": "v" * 65}, at="[k]"),
        Wrong("a very long value", {"k": "v" * 100_000}, at="[k]"),
    ),
    right=({}, {"strategy": "a b ü"}, {f"k.{n}": "v" * 64 for n in range(16)}),
)

CURRENCY: Final = Form(
    (
        MISSING,
        *wrong_texts(
            ("17 long", "U" * 17),
            ("lower case", "usdt"),
            ("blank", "US D"),
            ("accent", "ÉUR"),
            ("line end after", "USD\n"),
        ),
    ),
    right=("USD", "USDT", "BTC"),
)

TARGET: Final = ACCOUNT
ROUTE_OF_ORDER: Final = ROUTE.but(
    Wrong("not the order's", WAY, "ORDER_NOT_FOUND", at="order.client_order_id"), right=()
)
REF: Final = Form((MISSING, Wrong("of neither id", OrderRef())))
UNKNOWN_ORDER: Final = Wrong("unknown", "no-such-order", "ORDER_NOT_FOUND")
SPEC: Final = Form((MISSING,))

ACCOUNTS: Final = Form(
    (
        Wrong("an unknown one", ["nobody"], "ACCOUNT_NOT_FOUND", at="[0]"),
        Wrong("an unknown one among known ones", ["sealed", "nobody"], "ACCOUNT_NOT_FOUND", at="[1]"),
        Wrong("an empty one", [""], at="[0]"),
        Wrong("65 of them", ["sealed"] * 65),
    ),
    right=([], ["sealed"]),
)
BEAT: Final = lasting(span(1), 60)


def level(price: str) -> BookLevel:
    return BookLevel(price=price, quantity="1")


def many(item: object, most: int) -> Form:
    return Form((Wrong("none", []), Wrong(f"{most + 1} of them", [item] * (most + 1))))


SPECS: Final[Mapping[str, Form]] = {
    "OrderSpec.symbol": TRADED,
    "OrderSpec.side": choice(1, 2, unspecified=False),
    "OrderSpec.type": choice(1, 2, 3, 4, 5, 6, 7, unspecified=False),
    "OrderSpec.quantity": QUANTITY.but(MISSING, BEYOND),
    "OrderSpec.quote_quantity": ABOVE_ZERO,
    "OrderSpec.limit_price": PRICE.but(Wrong("missing in a limit order", MISSING.value)),
    "OrderSpec.stop_price": PRICE.but(Wrong("missing in a stop order", MISSING.value)),
    "OrderSpec.trail_amount": ABOVE_ZERO.but(Wrong("missing in a trailing stop", MISSING.value)),
    "OrderSpec.trail_percent": PER_CENT,
    "OrderSpec.trigger_source": choice(0, 1, 2, 3, unspecified=True),
    "OrderSpec.time_in_force": choice(0, 1, 2, 3, 4, 5, 6, 7, unspecified=True),
    "OrderSpec.expire_time": TIME.but(
        Wrong("missing in a GTD order", MISSING.value),
        Wrong("past", when(1_700_000_000), late=True),
        Wrong("1970", when(0)),
        Wrong("before 1970", when(-1)),
        right=(when(4_000_000_000),),
    ),
    "OrderSpec.post_only": SWITCH,
    "OrderSpec.reduce_only": SWITCH,
    "OrderSpec.extended_hours": Form(
        (Wrong("not known to this broker", True, "UNSUPPORTED"),), right=(False,)
    ),
    "OrderSpec.display_quantity": ABOVE_ZERO.but(
        Wrong("above the quantity", "1.5"), Wrong("off lot", "0.0005", "QUANTITY_OFF_LOT"), right=("0.5",)
    ),
    "OrderSpec.self_trade_prevention": choice(0, 1, 2, 3, unspecified=True),
    "OrderSpec.take_profit": Form(
        (
            Wrong("without a price", ProtectiveLeg(client_order_id="leg"), at="take_profit.limit_price"),
            Wrong(
                "below what is bought",
                ProtectiveLeg(client_order_id="leg", limit_price="0.01"),
                at="take_profit.limit_price",
                late=True,
            ),
        )
    ),
    "OrderSpec.stop_loss": Form(
        (
            Wrong("without a trigger", ProtectiveLeg(client_order_id="leg"), at="stop_loss.stop_price"),
            Wrong(
                "above what is bought",
                ProtectiveLeg(client_order_id="leg", stop_price="5000"),
                at="stop_loss.stop_price",
                late=True,
            ),
        )
    ),
    "OrderSpec.labels": LABELS,
    "OrderSpec.broker_options": Form(
        (
            Wrong("17 of them", {f"k{n}": "v" for n in range(17)}),
            Wrong("an unknown one", {"turbo": "on"}, "UNSUPPORTED"),
            Wrong("an empty name", {"": "v"}, "UNSUPPORTED"),
        ),
        right=({},),
    ),
    "ProtectiveLeg.client_order_id": ID,
    "ProtectiveLeg.limit_price": ABOVE_ZERO.but(
        Wrong("off tick", "120.005", "PRICE_OFF_TICK"), right=("120",)
    ),
    "ProtectiveLeg.stop_price": ABOVE_ZERO.but(Wrong("off tick", "30.005", "PRICE_OFF_TICK"), right=("30",)),
    "LinkedOrder.client_order_id": ID,
    "LinkedOrder.order": SPEC,
    "OrderRef.order_id": Form(
        (
            UNKNOWN_ORDER,
            EMPTY,
            Wrong("129 long", "x" * 129),
            *wrong_texts(
                ("blank", "a b"),
                ("line end after", "a\n"),
                ("nul", "\0"),
                ("emoji", "🙂"),
                reason="ORDER_NOT_FOUND",
            ),
        )
    ),
    "OrderRef.client_order_id": Form(
        (UNKNOWN_ORDER, Wrong("missing", MISSING.value, at=".."), *ID.wrong[1:])
    ),
    "BatchOrder.client_order_id": ID,
    "BatchOrder.order": SPEC,
    "OrderCommand.request_id": ID,
    "OrderCommand.place": Form((Wrong("no command", MISSING.value, at="command"),)),
    "OrderCommand.replace": NESTED,
    "OrderCommand.cancel": NESTED,
    "OrderCommand.cancel_all": NESTED,
    "CancelOnDisconnect.enabled": SWITCH,
    "CancelOnDisconnect.grace": lasting(None, 60),
}

REQUESTS: Final[Mapping[str, Form]] = {
    "PlaceOrderRequest.account_id": TARGET,
    "PlaceOrderRequest.route_id": ROUTE,
    "PlaceOrderRequest.client_order_id": ID,
    "PlaceOrderRequest.order": SPEC,
    "PlaceOrderRequest.oco_orders": Form(
        (Wrong("5 of them", [LinkedOrder(client_order_id="oco")] * 5),), right=([],)
    ),
    "PlaceOrderRequest.allow_emulated": SWITCH,
    "PreviewOrderRequest.account_id": TARGET,
    "PreviewOrderRequest.route_id": ROUTE,
    "PreviewOrderRequest.order": SPEC,
    "ReplaceOrderRequest.account_id": ACCOUNT,
    "ReplaceOrderRequest.route_id": ROUTE_OF_ORDER,
    "ReplaceOrderRequest.order": REF,
    "ReplaceOrderRequest.request_id": ID,
    "ReplaceOrderRequest.expected_generation": Form(
        (
            MISSING,
            Wrong("not the present one", 2, "GENERATION_MISMATCH", at=""),
            Wrong("far from it", 2**32 - 1, "GENERATION_MISMATCH", at=""),
        ),
        right=(1,),
    ),
    "ReplaceOrderRequest.quantity": QUANTITY.but(BEYOND),
    "ReplaceOrderRequest.limit_price": PRICE,
    "ReplaceOrderRequest.stop_price": ABOVE_ZERO.but(Wrong("none to change", "40")),
    "ReplaceOrderRequest.trail_amount": ABOVE_ZERO.but(Wrong("none to change", "1")),
    "ReplaceOrderRequest.trail_percent": PER_CENT.but(Wrong("none to change", "1")),
    "ReplaceOrderRequest.expire_time": TIME.but(
        Wrong("none to change", when(4_000_000_000)), Wrong("past", when(1_700_000_000)), right=()
    ),
    "ReplaceOrderRequest.display_quantity": ABOVE_ZERO.but(Wrong("none to change", "0.5")),
    "CancelOrderRequest.account_id": ACCOUNT,
    "CancelOrderRequest.route_id": ROUTE_OF_ORDER,
    "CancelOrderRequest.order": REF,
    "CancelOrderRequest.request_id": ID,
    "CancelOrderRequest.if_unknown": choice(0, 1, 2, unspecified=True),
    "CancelAllOrdersRequest.account_id": ACCOUNT,
    "CancelAllOrdersRequest.request_id": ID,
    "CancelAllOrdersRequest.symbol": Form((*SYMBOL_FORM, *UNKNOWN_SYMBOL), right=("", SYMBOL)),
    "CancelAllOrdersRequest.side": choice(0, 1, 2, unspecified=True),
    "BatchPlaceOrdersRequest.account_id": TARGET,
    "BatchPlaceOrdersRequest.route_id": ROUTE,
    "BatchPlaceOrdersRequest.orders": many(BatchOrder(client_order_id="many"), 500),
    "BatchCancelOrdersRequest.account_id": ACCOUNT,
    "BatchCancelOrdersRequest.request_id": ID,
    "BatchCancelOrdersRequest.orders": many(OrderRef(client_order_id="many"), 500),
    "GetOrderRequest.account_id": ACCOUNT,
    "GetOrderRequest.route_id": ROUTE_OF_ORDER,
    "GetOrderRequest.order": REF,
    "ListOrdersRequest.account_id": ACCOUNT,
    "ListOrdersRequest.symbol": FILTER_SYMBOL,
    "ListOrdersRequest.states": choices(1, 2, 3, 4, 5, 6, 7),
    "ListOrdersRequest.open_only": SWITCH,
    "ListOrdersRequest.start_time": TIME,
    "ListOrdersRequest.end_time": TIME,
    "ListOrdersRequest.page_size": PAGE_SIZE,
    "ListOrdersRequest.page_token": PAGE_TOKEN,
    "ListFillsRequest.account_id": ACCOUNT,
    "ListFillsRequest.symbol": FILTER_SYMBOL,
    "ListFillsRequest.order_id": Form((Wrong("129 long", "x" * 129),), right=("", "no-such-order")),
    "ListFillsRequest.start_time": TIME,
    "ListFillsRequest.end_time": TIME,
    "ListFillsRequest.page_size": PAGE_SIZE,
    "ListFillsRequest.page_token": PAGE_TOKEN,
    "StreamOrderEntryRequest.commands": Form(
        (Wrong("501 of them", [OrderCommand(request_id="many")] * 501),), right=([],)
    ),
    "StreamOrderEntryRequest.cancel_on_disconnect": NESTED,
}
