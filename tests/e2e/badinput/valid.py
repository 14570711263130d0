"""A valid request for every RPC: the ground from which wrong ones differ by one field.

`Scene` names what they are about; `house.py` makes it true.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from brokergate.v1 import enums_pb2 as enums
from brokergate.v1.account_pb2 import (
    GetAccountRequest,
    ListAccountsRequest,
    ListBalancesRequest,
    ListLedgerEntriesRequest,
)
from brokergate.v1.broker_pb2 import GetBrokerRequest, ListBrokersRequest, ReconnectBrokerRequest
from brokergate.v1.event_pb2 import START_POSITION_EARLIEST, StreamEventsRequest, StreamFillsRequest
from brokergate.v1.instrument_pb2 import GetInstrumentRequest, ListInstrumentsRequest
from brokergate.v1.market_data_pb2 import (
    Bar,
    Book,
    BookLevel,
    GetQuoteRequest,
    MarketDataUpdate,
    Quote,
    StreamMarketDataRequest,
    Trade,
)
from brokergate.v1.money_pb2 import Money
from brokergate.v1.order_pb2 import (
    BatchCancelOrdersRequest,
    BatchOrder,
    BatchPlaceOrdersRequest,
    CancelAllOrdersRequest,
    CancelOrderRequest,
    GetOrderRequest,
    LinkedOrder,
    ListFillsRequest,
    ListOrdersRequest,
    OrderCommand,
    OrderRef,
    OrderSpec,
    PlaceOrderRequest,
    PreviewOrderRequest,
    ProtectiveLeg,
    ReplaceOrderRequest,
    StreamOrderEntryRequest,
)
from brokergate.v1.position_pb2 import ClosePositionRequest, GetPositionRequest, ListPositionsRequest
from brokergate.v1.simulator_pb2 import (
    FAULT_KIND_REJECTION,
    ControlTapeRequest,
    CreatePaperAccountRequest,
    Fault,
    MarketImpact,
    PauseTape,
    PushFeed,
    PushInstrument,
    PushMarketDataRequest,
    ResetPaperAccountRequest,
    SetFaultsRequest,
    SlippageModel,
)
from brokergate.v1.trading_control_pb2 import (
    ORDER_RESOLUTION_ENDED,
    ORDER_RESOLUTION_NEVER_PLACED,
    ORDER_RESOLUTION_WORKING,
    ClearFreezeRequest,
    EmergencyStopRequest,
    GetTradingStateRequest,
    ListAuditRecordsRequest,
    ListDiscrepanciesRequest,
    ResolveOrderRequest,
    ResumeTradingRequest,
)
from tests.e2e.badinput.edits import parent_path, put
from tests.e2e.badinput.forms import ABSENT, when

SYMBOL = "BTC/USDT"
OTHER_SYMBOL = "ETH/USDT"
"""Listed on the same account, and never quoted."""

FAR_FUTURE_S = 4_000_000_000


@dataclass(slots=True)
class Scene:
    """What the requests are about.

    `account` has the push feed, a working limit order `resting` (buy 1 at 50), a working stop `stopped`, an order
    `filled`, an order `partly` of which 5 are filled and 1 works, a position in SYMBOL, a request id `used`, and an id
    `aside` that a tombstone keeps from being placed. `spare` is an account that may be reset, `halted` one that may be
    stopped, `tape` has a tape.
    """

    account: str = "sealed"
    spare: str = "spare"
    tape: str = "tape"
    halted: str = "halted"
    broker: str = "paper"
    resting: str = "resting"
    prefix: str = "v"
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def fresh(self) -> str:
        """An id that was never used."""
        return f"{self.prefix}-{next(self.numbers)}"

    def spec(self, **changes: Any) -> OrderSpec:
        """A limit order that rests: it is valid as it stands."""
        base: dict[str, Any] = {
            "symbol": SYMBOL,
            "side": enums.SIDE_BUY,
            "type": enums.ORDER_TYPE_LIMIT,
            "quantity": "1",
            "limit_price": "50",
            "time_in_force": enums.TIME_IN_FORCE_GTC,
        }
        kept = {name: value for name, value in (base | changes).items() if value is not ABSENT}
        return OrderSpec(**kept)

    def ref(self) -> OrderRef:
        """The working order."""
        return OrderRef(client_order_id=self.resting)


def _orders(scene: Scene) -> dict[str, Callable[[], Message]]:
    account = scene.account

    def place() -> PlaceOrderRequest:
        return PlaceOrderRequest(account_id=account, client_order_id=scene.fresh(), order=scene.spec())

    return {
        "PlaceOrder": place,
        "PreviewOrder": lambda: PreviewOrderRequest(account_id=account, order=scene.spec()),
        "ReplaceOrder": lambda: ReplaceOrderRequest(
            account_id=account,
            order=scene.ref(),
            request_id=scene.fresh(),
            expected_generation=1,
            quantity="2",
        ),
        "CancelOrder": lambda: CancelOrderRequest(
            account_id=account, order=scene.ref(), request_id=scene.fresh()
        ),
        # Of a symbol that nobody trades: the orders of the others shall be there for the requests that follow.
        "CancelAllOrders": lambda: CancelAllOrdersRequest(
            account_id=account, request_id=scene.fresh(), symbol=OTHER_SYMBOL
        ),
        "BatchPlaceOrders": lambda: BatchPlaceOrdersRequest(
            account_id=account, orders=[BatchOrder(client_order_id=scene.fresh(), order=scene.spec())]
        ),
        "BatchCancelOrders": lambda: BatchCancelOrdersRequest(
            account_id=account, request_id=scene.fresh(), orders=[scene.ref()]
        ),
        "GetOrder": lambda: GetOrderRequest(account_id=account, order=scene.ref()),
        "ListOrders": lambda: ListOrdersRequest(account_id=account),
        "ListFills": lambda: ListFillsRequest(account_id=account),
        "StreamOrderEntry": lambda: StreamOrderEntryRequest(
            commands=[OrderCommand(request_id=scene.fresh(), place=place())]
        ),
        "ListPositions": lambda: ListPositionsRequest(account_id=account),
        "GetPosition": lambda: GetPositionRequest(account_id=account, symbol=SYMBOL),
        "ClosePosition": lambda: ClosePositionRequest(
            account_id=account, symbol=SYMBOL, request_id=scene.fresh(), quantity="0.001"
        ),
    }


def _reads(scene: Scene) -> dict[str, Callable[[], Message]]:
    account = scene.account
    return {
        "ListAccounts": ListAccountsRequest,
        "GetAccount": lambda: GetAccountRequest(account_id=account),
        "ListBalances": lambda: ListBalancesRequest(account_id=account),
        "ListLedgerEntries": lambda: ListLedgerEntriesRequest(account_id=account),
        "StreamEvents": lambda: StreamEventsRequest(
            account_ids=[account], start_position=START_POSITION_EARLIEST
        ),
        "StreamFills": lambda: StreamFillsRequest(
            account_ids=[account], start_position=START_POSITION_EARLIEST
        ),
        "ListBrokers": ListBrokersRequest,
        "GetBroker": lambda: GetBrokerRequest(name=scene.broker),
        "ListInstruments": lambda: ListInstrumentsRequest(account_id=account),
        "GetInstrument": lambda: GetInstrumentRequest(account_id=account, symbol=SYMBOL),
        "GetQuote": lambda: GetQuoteRequest(account_id=account, symbol=SYMBOL),
        "StreamMarketData": lambda: StreamMarketDataRequest(account_id=account, symbols=[SYMBOL]),
        "GetTradingState": lambda: GetTradingStateRequest(account_id=account),
    }


def _controls(scene: Scene) -> dict[str, Callable[[], Message]]:
    account = scene.account
    return {
        "ReconnectBroker": lambda: ReconnectBrokerRequest(account_id=account, request_id=scene.fresh()),
        "EmergencyStop": lambda: EmergencyStopRequest(
            request_id=scene.fresh(), account_ids=[scene.halted], reason="a test"
        ),
        "ResumeTrading": lambda: ResumeTradingRequest(
            request_id=scene.fresh(), account_ids=[scene.halted], reason="a test"
        ),
        "ListDiscrepancies": lambda: ListDiscrepanciesRequest(account_id=account),
        "ListAuditRecords": lambda: ListAuditRecordsRequest(account_id=account),
        "ClearFreeze": lambda: ClearFreezeRequest(
            account_id=account, request_id=scene.fresh(), symbol=SYMBOL, reason="a test"
        ),
        "ResolveOrder": lambda: ResolveOrderRequest(
            account_id=account,
            order=scene.ref(),
            request_id=scene.fresh(),
            resolution=ORDER_RESOLUTION_NEVER_PLACED,
            reason="a test",
        ),
        "CreatePaperAccount": lambda: CreatePaperAccountRequest(
            request_id=scene.fresh(),
            account_id=f"{scene.fresh().lower():.32}",
            initial_balances=[Money(amount="1000000", currency_code="USDT")],
            push=push_feed(),
            taker_fee_percent="0.1",
            slippage=SlippageModel(
                market_impact=MarketImpact(average_volume="6561000", volatility_percent="1.57")
            ),
            participation_percent="25",
        ),
        "ResetPaperAccount": lambda: ResetPaperAccountRequest(
            request_id=scene.fresh(), account_id=scene.spare
        ),
        "PushMarketData": lambda: PushMarketDataRequest(account_id=account, updates=[pushed_book()]),
        "ControlTape": lambda: ControlTapeRequest(
            request_id=scene.fresh(), account_id=scene.tape, pause=PauseTape()
        ),
        "SetFaults": lambda: SetFaultsRequest(
            request_id=scene.fresh(),
            account_id=scene.halted,
            faults=[Fault(kind=FAULT_KIND_REJECTION, rate_percent="1")],
        ),
    }


def makers(scene: Scene) -> Mapping[str, Callable[[], Message]]:
    """What makes a valid request, for every RPC by its name; each has ids of its own."""
    return _orders(scene) | _reads(scene) | _controls(scene)


def push_feed() -> PushFeed:
    """The market of the accounts that the requests are about."""
    return PushFeed(
        instruments=[
            PushInstrument(symbol=symbol, price_increment="0.01", quantity_increment="0.001")
            for symbol in (SYMBOL, OTHER_SYMBOL)
        ]
    )


def pushed_book() -> MarketDataUpdate:
    """A book of SYMBOL: 1000 at 99.99 against 10 at 100.01 and 1000 at 101."""
    return MarketDataUpdate(
        book=Book(
            symbol=SYMBOL,
            bids=[BookLevel(price="99.99", quantity="1000")],
            asks=[BookLevel(price="100.01", quantity="10"), BookLevel(price="101", quantity="1000")],
            event_time=when(1_700_000_000),
        )
    )


def _protected(name: str) -> Callable[[Message, str], None]:
    def apply(request: Message, at: str) -> None:
        # Of its own for each request, whose ids are its own.
        leg = ProtectiveLeg(client_order_id=f"leg-{zlib.crc32(request.SerializeToString())}")
        if name == "take_profit":
            leg.limit_price = "120"
        else:
            leg.stop_price = "30"
        put(request, f"{at}{name}", leg)

    return apply


def _changed(**changes: Any) -> Callable[[Message, str], None]:
    def apply(request: Message, at: str) -> None:
        for name, value in changes.items():
            put(request, at + name, value)

    return apply


SETTINGS: Mapping[str, Callable[[Message, str], None]] = {
    "OrderSpec.stop_price": _changed(type=enums.ORDER_TYPE_STOP_LIMIT, stop_price="110", limit_price="111"),
    "OrderSpec.trigger_source": _changed(
        type=enums.ORDER_TYPE_STOP_LIMIT, stop_price="110", limit_price="111"
    ),
    "OrderSpec.trail_amount": _changed(
        type=enums.ORDER_TYPE_TRAILING_STOP, limit_price=ABSENT, trail_amount="1"
    ),
    "OrderSpec.trail_percent": _changed(
        type=enums.ORDER_TYPE_TRAILING_STOP, limit_price=ABSENT, trail_percent="1"
    ),
    "OrderSpec.quote_quantity": _changed(
        type=enums.ORDER_TYPE_MARKET, limit_price=ABSENT, quantity=ABSENT, quote_quantity="100"
    ),
    "OrderSpec.expire_time": _changed(time_in_force=enums.TIME_IN_FORCE_GTD, expire_time=when(FAR_FUTURE_S)),
    "OrderSpec.display_quantity": _changed(display_quantity="0.5"),
    "MarketDataUpdate.bar": _changed(
        bar=Bar(
            symbol=SYMBOL,
            span=Duration(seconds=60),
            open_price="50",
            high_price="100",
            low_price="0.01",
            close_price="50",
            volume="5",
        )
    ),
    "MarketDataUpdate.quote": _changed(
        quote=Quote(symbol=SYMBOL, bid_price="99.99", bid_quantity="1", ask_price="100.01", ask_quantity="1")
    ),
    "MarketDataUpdate.trade": _changed(
        trade=Trade(symbol=SYMBOL, price="100", quantity="1", aggressor_side=enums.SIDE_BUY)
    ),
    "ResolveOrderRequest.cum_quantity": _changed(resolution=ORDER_RESOLUTION_ENDED, cum_quantity="1"),
    "ResolveOrderRequest.broker_order_id": _changed(
        resolution=ORDER_RESOLUTION_WORKING, broker_order_id="b1"
    ),
    "ResetPaperAccountRequest.initial_balances": _changed(
        initial_balances=[Money(amount="1000", currency_code="USD")]
    ),
    "OrderSpec.take_profit": _protected("take_profit"),
    "OrderSpec.stop_loss": _protected("stop_loss"),
}
"""What must be so for a field to belong to the request at all, by the field's key; the path is its message's."""

COMMANDS = ("place", "replace", "cancel", "cancel_all")
_COMMAND_OF = {"replace": "ReplaceOrder", "cancel": "CancelOrder", "cancel_all": "CancelAllOrders"}


def ground(scene: Scene, rpc: str, path: str, key: str) -> Message:
    """A request of `rpc` in which the field `path`, declared as `key`, belongs: right but for that field's value."""
    request = makers(scene)[rpc]()
    for command, single in _COMMAND_OF.items():
        if path == f"commands[0].{command}" or path.startswith(f"commands[0].{command}."):
            put(request, f"commands[0].{command}", makers(scene)[single]())
    before, group, _ = path.partition("oco_orders[0]")
    if group:
        put(
            request,
            f"{before}oco_orders",
            [LinkedOrder(client_order_id=scene.fresh(), order=scene.spec(limit_price="40"))],
        )
    for start in itertools.accumulate(path.split("."), "{}.{}".format):
        at, name = parent_path(start), start[len(parent_path(start)) :].partition("[")[0]
        if setting := SETTINGS.get(f"{_owner(request, start)}.{name}"):
            setting(request, at)
    if rpc == "CreatePaperAccount" and path.startswith("synthetic"):
        put(request, "synthetic.seed", 7)
    return request


def _owner(request: Message, path: str) -> str:
    """The message that declares the field `path`."""
    kind: Any = request.DESCRIPTOR
    for step in parent_path(path).split(".")[:-1]:
        kind = kind.fields_by_name[step.partition("[")[0]].message_type
    return str(kind.name)
