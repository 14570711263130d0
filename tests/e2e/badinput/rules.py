"""Which field of a request has which form: the annotations that the descriptors lack.

Every field of every request stands here, once for all the RPCs that carry its message; `OVERRIDES` says where one RPC
reads a field otherwise. A field that the contract gains and nobody writes down here fails the tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from brokergate.v1.money_pb2 import Money
from brokergate.v1.simulator_pb2 import FAULT_KIND_REJECTION, Fault, PushInstrument, ResumeTape
from tests.e2e.badinput.contract import Leaf
from tests.e2e.badinput.forms import (
    ABOVE_ZERO,
    ACCOUNT,
    CURSOR,
    EMPTY,
    ID,
    MISSING,
    NESTED,
    NOT_NEGATIVE,
    NOTE,
    OPTIONAL_ACCOUNT,
    OPTIONAL_ID,
    PAGE_SIZE,
    PAGE_TOKEN,
    ROUTE,
    SWITCH,
    TIME,
    Form,
    Wrong,
    anything,
    choice,
    choices,
    lasting,
    span,
    wrong_texts,
)
from tests.e2e.badinput.order_rules import (
    ACCOUNTS,
    BEAT,
    BEYOND,
    CURRENCY,
    FEE,
    PRICE,
    QUANTITY,
    REF,
    REQUESTS,
    SPECS,
    SYMBOL_FORM,
    TRADED,
    UNKNOWN_SYMBOL,
    level,
)
from tests.e2e.badinput.valid import OTHER_SYMBOL, SYMBOL, pushed_book

_READS: Final[Mapping[str, Form]] = {
    "ListPositionsRequest.account_id": ACCOUNT,
    "ListPositionsRequest.include_flat": SWITCH,
    "GetPositionRequest.account_id": ACCOUNT,
    "GetPositionRequest.symbol": TRADED,
    "ClosePositionRequest.account_id": ACCOUNT,
    "ClosePositionRequest.symbol": TRADED,
    "ClosePositionRequest.request_id": ID,
    "ClosePositionRequest.quantity": QUANTITY.but(
        Wrong("more than is held", "1000"), BEYOND, without=("a little off lot",), right=("0.001",)
    ),
    "GetAccountRequest.account_id": ACCOUNT,
    "ListBalancesRequest.account_id": ACCOUNT,
    "ListLedgerEntriesRequest.account_id": ACCOUNT,
    "ListLedgerEntriesRequest.kinds": choices(1, 2, 3, 4, 5, 6, 7, 8),
    "ListLedgerEntriesRequest.page_size": PAGE_SIZE,
    "ListLedgerEntriesRequest.page_token": PAGE_TOKEN,
    "GetBrokerRequest.name": Form(
        (
            MISSING,
            *wrong_texts(
                ("unknown", "nobody"),
                ("other case", "PAPER"),
                reason="BROKER_NOT_FOUND",
            ),
            *wrong_texts(("line end after", "paper\n"), ("very long", "x" * 5000)),
        )
    ),
    "StreamEventsRequest.account_ids": ACCOUNTS,
    "StreamEventsRequest.after_cursor": CURSOR,
    "StreamEventsRequest.start_time": TIME,
    "StreamEventsRequest.start_position": choice(0, 1, 2, 3, unspecified=True),
    "StreamEventsRequest.kinds": choices(1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
    "StreamEventsRequest.heartbeat_interval": BEAT,
    "StreamFillsRequest.account_ids": ACCOUNTS,
    "StreamFillsRequest.after_cursor": CURSOR,
    "StreamFillsRequest.start_time": TIME,
    "StreamFillsRequest.start_position": choice(0, 1, 2, unspecified=True),
    "StreamFillsRequest.symbols": Form(
        (
            Wrong("an empty one", [""], at="[0]"),
            Wrong("one that is too long", ["B" * 65], at="[0]"),
            Wrong("a line end after the second", [SYMBOL, f"{SYMBOL}\n"], at="[1]"),
            Wrong("65 of them", [SYMBOL] * 65),
        ),
        right=([], [SYMBOL], ["NO/SUCH"]),
    ),
    "StreamFillsRequest.heartbeat_interval": BEAT,
    "ListInstrumentsRequest.account_id": ACCOUNT,
    "ListInstrumentsRequest.kinds": choices(1, 2, 3, 4, 5, 6),
    "ListInstrumentsRequest.symbol_prefix": Form(SYMBOL_FORM, right=("", "B", "BTC/", "no")),
    "ListInstrumentsRequest.page_size": PAGE_SIZE,
    "ListInstrumentsRequest.page_token": PAGE_TOKEN,
    "GetInstrumentRequest.account_id": ACCOUNT,
    "GetInstrumentRequest.route_id": ROUTE,
    "GetInstrumentRequest.symbol": TRADED,
    "GetQuoteRequest.account_id": ACCOUNT,
    "GetQuoteRequest.route_id": ROUTE,
    "GetQuoteRequest.symbol": TRADED,
    "StreamMarketDataRequest.account_id": ACCOUNT,
    "StreamMarketDataRequest.route_id": ROUTE,
    "StreamMarketDataRequest.symbols": Form(
        (
            Wrong("none", []),
            Wrong("an empty one", [""], at="[0]"),
            Wrong("an unknown one", ["NO/SUCH"], "INSTRUMENT_NOT_FOUND", at="[0]"),
            Wrong("an unknown one after a known one", [SYMBOL, "NO/SUCH"], "INSTRUMENT_NOT_FOUND", at="[1]"),
            Wrong("one that is too long", ["B" * 65], at="[0]"),
            Wrong("65 of them", [SYMBOL] * 65),
        ),
        right=([SYMBOL], [SYMBOL, OTHER_SYMBOL]),
    ),
    "StreamMarketDataRequest.kinds": choices(1, 2, 3),
    "StreamMarketDataRequest.book_depth": PAGE_SIZE,
    "StreamMarketDataRequest.min_interval": lasting(None, 60),
    "GetTradingStateRequest.account_id": OPTIONAL_ACCOUNT,
}

_NAMED: Final = ACCOUNT.but(without=("unknown", "other case"))
"""An account's id where nobody looks yet whether there is such an account."""
_STOPPED: Final = Form(ACCOUNTS.wrong, right=(["halted"], ["halted", "halted"]))

_CONTROLS: Final[Mapping[str, Form]] = {
    "ReconnectBrokerRequest.account_id": ACCOUNT,
    "ReconnectBrokerRequest.request_id": ID,
    "EmergencyStopRequest.request_id": ID,
    "EmergencyStopRequest.account_ids": _STOPPED,
    "EmergencyStopRequest.reason": NOTE,
    "EmergencyStopRequest.keep_protective_stops": SWITCH,
    "EmergencyStopRequest.flatten": SWITCH,
    "ResumeTradingRequest.request_id": ID,
    "ResumeTradingRequest.account_ids": _STOPPED,
    "ResumeTradingRequest.reason": NOTE,
    "ListDiscrepanciesRequest.account_id": ACCOUNT,
    "ListDiscrepanciesRequest.include_resolved": SWITCH,
    "ListDiscrepanciesRequest.page_size": PAGE_SIZE,
    "ListDiscrepanciesRequest.page_token": PAGE_TOKEN,
    "ListAuditRecordsRequest.account_id": ACCOUNT,
    "ListAuditRecordsRequest.actor": Form(
        (Wrong("257 long", "x" * 257),), right=("", "admin", "nobody", "é")
    ),
    "ListAuditRecordsRequest.start_time": TIME,
    "ListAuditRecordsRequest.end_time": TIME,
    "ListAuditRecordsRequest.page_size": PAGE_SIZE,
    "ListAuditRecordsRequest.page_token": PAGE_TOKEN,
    "ClearFreezeRequest.account_id": ACCOUNT,
    "ClearFreezeRequest.request_id": ID,
    "ClearFreezeRequest.symbol": Form(
        (
            MISSING,
            *SYMBOL_FORM,
            *UNKNOWN_SYMBOL,
            Wrong("not frozen", SYMBOL, "NOT_FROZEN"),
        )
    ),
    "ClearFreezeRequest.reason": NOTE,
    "ResolveOrderRequest.account_id": ACCOUNT,
    "ResolveOrderRequest.order": REF,
    "ResolveOrderRequest.request_id": ID,
    "ResolveOrderRequest.resolution": choice(1, 2, 3, unspecified=False),
    "ResolveOrderRequest.cum_quantity": NOT_NEGATIVE.but(MISSING),
    "ResolveOrderRequest.broker_order_id": Form((MISSING, EMPTY, Wrong("129 long", "x" * 129))),
    "ResolveOrderRequest.reason": NOTE,
    "SetFaultsRequest.request_id": ID,
    "SetFaultsRequest.account_id": _NAMED,
    "SetFaultsRequest.faults": Form(
        (Wrong("17 of them", [Fault(kind=FAULT_KIND_REJECTION, rate_percent="1")] * 17),), right=([],)
    ),
    "Fault.kind": choice(1, 2, 3, 4, 5, 6, 7, 8, unspecified=False),
    "Fault.rate_percent": NOT_NEGATIVE.but(MISSING, Wrong("above a hundred", "100.001"), without=("empty",)),
    "Fault.delay": lasting(None, 3600),
}

_VOLUME: Final = ABOVE_ZERO.but(Wrong("above 10^18", "1000000000000000001"), right=("0.5", "6561000"))
_SECONDS: Final = ABOVE_ZERO.but(Wrong("above 10^6", "1000000.1"), right=("0.075", "23400"))

_NOT_DELAYED: Final = Form((Wrong("old", True),), right=(False,))
_LATENCY: Final = NOT_NEGATIVE.but(Wrong("above a minute", "60000.001"), without=("empty",))

_SIMULATOR: Final[Mapping[str, Form]] = {
    "CreatePaperAccountRequest.request_id": ID,
    "CreatePaperAccountRequest.account_id": Form(
        (
            MISSING,
            *wrong_texts(
                ("upper case", "New"),
                ("33 long", "n" * 33),
                ("dash first", "-new"),
                ("underscore", "new_one"),
                ("dot", "new.one"),
                ("line end after", "new\n"),
                ("accent", "é"),
                ("Arabic digits", "٣"),
            ),
            Wrong("taken", "sealed", "ACCOUNT_EXISTS"),
        )
    ),
    "CreatePaperAccountRequest.initial_balances": Form(
        (
            Wrong("none", []),
            Wrong("a currency twice", [Money(amount="1", currency_code="USD")] * 2, at="[1].currency_code"),
        )
    ),
    "CreatePaperAccountRequest.synthetic": NESTED,
    "CreatePaperAccountRequest.push": NESTED,
    "CreatePaperAccountRequest.taker_fee_percent": FEE,
    "CreatePaperAccountRequest.maker_fee_percent": FEE.but(
        Wrong("a rebate of all", "-100"),
        without=("negative", "a little negative"),
        right=("0", "0.1", "-0.01"),
    ),
    "CreatePaperAccountRequest.commission_preset": Form(
        wrong_texts(("unknown", "robinhood"), ("upper case", "IBKR"), ("33 long", "k" * 33), ("accent", "é"))
    ),
    "CreatePaperAccountRequest.leverage": ABOVE_ZERO.but(
        Wrong("below one", "0.999"), Wrong("above a thousand", "1000.1"), right=("1", "5.5", "1000")
    ),
    "CreatePaperAccountRequest.slippage": NESTED,
    "CreatePaperAccountRequest.request_latency_ms": _LATENCY,
    "CreatePaperAccountRequest.response_latency_ms": _LATENCY,
    "CreatePaperAccountRequest.latency_deviation_ms": _LATENCY,
    "CreatePaperAccountRequest.participation_percent": ABOVE_ZERO.but(
        Wrong("more than all", "100.001"), right=("100", "0.1")
    ),
    "SlippageModel.fixed_amount": NOT_NEGATIVE.but(Wrong("above 10^9", "1000000001"), right=("0", "0.05")),
    "SlippageModel.percent": FEE,
    "SlippageModel.market_impact": NESTED,
    "MarketImpact.average_volume": _VOLUME.but(MISSING, without=("empty",)),
    "MarketImpact.volatility_percent": FEE.but(MISSING, without=("empty",)),
    "MarketImpact.shares_outstanding": _VOLUME,
    "MarketImpact.execution_seconds": _SECONDS,
    "MarketImpact.day_seconds": _SECONDS,
    "Money.amount": ABOVE_ZERO.but(MISSING, without=("empty",), right=("1000000", "0.01")),
    "Money.currency_code": CURRENCY,
    "SyntheticFeed.seed": anything("every number is a seed", 0, 2**64 - 1),
    "PushFeed.instruments": Form(
        (
            Wrong("none", []),
            Wrong(
                "a symbol twice",
                [PushInstrument(symbol=SYMBOL, price_increment="1", quantity_increment="1")] * 2,
                at="[1].symbol",
            ),
            Wrong(
                "65 of them",
                [
                    PushInstrument(symbol=f"A{n}/USD", price_increment="1", quantity_increment="1")
                    for n in range(65)
                ],
            ),
        )
    ),
    "PushInstrument.symbol": Form((MISSING, *SYMBOL_FORM)),
    "PushInstrument.price_increment": ABOVE_ZERO.but(MISSING, without=("empty",)),
    "PushInstrument.quantity_increment": ABOVE_ZERO.but(MISSING, without=("empty",)),
    "PushInstrument.quote_currency": Form(CURRENCY.wrong[1:], right=("", "USDT")),
    "ResetPaperAccountRequest.request_id": ID,
    "ResetPaperAccountRequest.account_id": ACCOUNT,
    "ResetPaperAccountRequest.initial_balances": Form(
        (
            Wrong(
                "more than an account may hold",
                [Money(amount="1000000000000000001", currency_code="USD")],
                late=True,
            ),
            Wrong("a currency twice", [Money(amount="1", currency_code="USD")] * 2, at="[1].currency_code"),
        ),
        right=([],),
    ),
    "PushMarketDataRequest.account_id": ACCOUNT,
    "PushMarketDataRequest.updates": Form((Wrong("1001 of them", [pushed_book()] * 1001),), right=([],)),
    "MarketDataUpdate.quote": Form((Wrong("no data", MISSING.value, at=".."),)),
    "MarketDataUpdate.trade": Form((Wrong("no data", MISSING.value, at=".."),)),
    "MarketDataUpdate.book": Form((Wrong("no data", MISSING.value, at=".."),)),
    "MarketDataUpdate.bar": Form((Wrong("no data", MISSING.value, at=".."),)),
    "Bar.symbol": TRADED,
    "Bar.span": lasting(span(1), 31 * 86_400).but(MISSING),
    "Bar.open_price": PRICE.but(MISSING, Wrong("above the high", "100.01"), without=("empty",)),
    "Bar.high_price": ABOVE_ZERO.but(
        MISSING, Wrong("off tick", "100.005", "PRICE_OFF_TICK"), without=("empty",), right=("100", "1000.5")
    ),
    "Bar.low_price": ABOVE_ZERO.but(
        MISSING,
        Wrong("off tick", "0.015", "PRICE_OFF_TICK"),
        Wrong("above the high", "101"),
        without=("empty",),
        right=("0.01", "50"),
    ),
    "Bar.close_price": PRICE.but(MISSING, Wrong("above the high", "100.01"), without=("empty",)),
    "Bar.volume": NOT_NEGATIVE.but(
        MISSING, Wrong("off lot", "1.0005", "QUANTITY_OFF_LOT"), without=("empty",), right=("0", "2.5")
    ),
    "Bar.event_time": TIME,
    "Bar.receive_time": anything("the gateway sets its own"),
    "Quote.symbol": TRADED,
    "Quote.bid_price": PRICE,
    "Quote.bid_quantity": QUANTITY,
    "Quote.ask_price": PRICE,
    "Quote.ask_quantity": QUANTITY,
    "Quote.event_time": TIME,
    "Quote.receive_time": anything("the gateway sets its own"),
    "Quote.last_price": ABOVE_ZERO,
    "Quote.delayed": _NOT_DELAYED,
    "Trade.symbol": TRADED,
    "Trade.price": PRICE.but(MISSING, without=("empty",)),
    "Trade.quantity": QUANTITY.but(MISSING, without=("empty",)),
    "Trade.aggressor_side": choice(0, 1, 2, unspecified=True),
    "Trade.event_time": TIME,
    "Trade.receive_time": anything("the gateway sets its own"),
    "Trade.delayed": _NOT_DELAYED,
    "Book.symbol": TRADED,
    "Book.bids": Form(
        (
            Wrong("worse first", [level("99"), level("99.5")]),
            Wrong("a price twice", [level("99"), level("99")]),
            Wrong("1001 of them", [level("99")] * 1001),
        ),
        right=([], [level("99.5"), level("99")]),
    ),
    "Book.asks": Form(
        (
            Wrong("worse first", [level("101"), level("100.5")]),
            Wrong("crossing the bids", [level("99")], at="bids"),
        ),
        right=([], [level("100.5"), level("101")]),
    ),
    "Book.event_time": TIME,
    "Book.receive_time": anything("the gateway sets its own"),
    "BookLevel.price": PRICE.but(MISSING, without=("empty",)),
    "BookLevel.quantity": QUANTITY.but(MISSING, without=("empty",)),
    "ControlTapeRequest.request_id": ID,
    "ControlTapeRequest.account_id": ACCOUNT,
    "ControlTapeRequest.pause": Form((Wrong("no action", MISSING.value, at="action"),)),
    "ControlTapeRequest.resume": anything("it has no value to be wrong", ResumeTape()),
    "ControlTapeRequest.seek_time": TIME,
    "ControlTapeRequest.speed": ABOVE_ZERO.but(
        Wrong("upper case", "MAX"), Wrong("with its sign", "10x"), right=("1", "max", "0.5")
    ),
}

RULES: Final[Mapping[str, Form]] = {**SPECS, **REQUESTS, **_READS, **_CONTROLS, **_SIMULATOR}
"""By `Message.field`."""

_ASK: Final = PRICE.but(
    Wrong("off tick, above the bid", "100.015", "PRICE_OFF_TICK"),
    Wrong("below the bid", "99", at="bid_price"),
    without=("off tick", "a little off tick"),
    right=("101",),
)

OVERRIDES: Final[Mapping[str, Form]] = {
    "CreatePaperAccount:initial_balances[0].amount": RULES["Money.amount"].but(
        Wrong("more than an account may hold", "1000000000000000000.000000000000000001")
    ),
    "PushMarketData:updates[0].quote.ask_price": _ASK,
    "PushMarketData:updates[0].book.asks[0].price": PRICE.but(
        Wrong("off tick, above the bids", "100.015", "PRICE_OFF_TICK"),
        MISSING,
        without=("empty", "off tick", "a little off tick"),
        right=("100.5",),
    ),
    **{
        f"StreamOrderEntry:commands[0].{command}.request_id": OPTIONAL_ID
        for command in ("replace", "cancel", "cancel_all")
    },
}
"""By `Rpc:path`, where an RPC reads a field otherwise."""


def form_of(rpc: str, leaf: Leaf) -> Form:
    """The form of a field in a request of `rpc`. KeyError where nobody wrote it down."""
    return OVERRIDES.get(f"{rpc}:{leaf.path}") or RULES[leaf.key]
