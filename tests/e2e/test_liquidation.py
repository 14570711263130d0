"""A perpetual on margin that is liquidated: what its owner sees, and that a kill changes nothing of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from brokergate.v1 import (
    account_pb2,
    account_service_pb2_grpc,
    enums_pb2,
    event_pb2,
    event_service_pb2_grpc,
    market_data_pb2,
    order_pb2,
    simulator_pb2,
    simulator_service_pb2_grpc,
)
from tests.e2e.process import ServerProcess
from tests.e2e.test_paper_restart import CONFIG, Trader

PERP = "BTC/USDT:USDT"
FEED = f"""{{push: {{instruments: [{{symbol: "{PERP}", price_increment: "0.1", quantity_increment: "0.001"}}]}}}}
      base_currency: USDT
      margin: {{leverage: "10", maintenance_percent: "5", liquidation_fee_percent: "0.5"}}
"""


@pytest.fixture
def trader(tmp_path: Path) -> Iterator[Trader]:
    """A gateway with a margin account whose market is pushed; 10,000 USDT."""
    with ExitStack() as stack:
        config = tmp_path / "brokergate.yaml"
        text = CONFIG.format(feed=FEED).replace('{USDT: "10000000", BTC: "100"}', '{USDT: "10000"}')
        config.write_text(text)
        server = ServerProcess(tmp_path, "--config", config)
        stack.callback(server.close)
        server.start()
        yield Trader(server)


def push(trader: Trader, bid: int) -> None:
    """A book of 5 at the bid and 5 one tick above."""

    def pushed(channel: grpc.Channel) -> object:
        level = [market_data_pb2.BookLevel(price=f"{price}", quantity="5") for price in (bid, bid + 1)]
        now = Timestamp()
        now.GetCurrentTime()
        book = market_data_pb2.Book(symbol=PERP, bids=level[:1], asks=level[1:], event_time=now)
        request = simulator_pb2.PushMarketDataRequest(
            account_id="paper", updates=[market_data_pb2.MarketDataUpdate(book=book)]
        )
        return simulator_service_pb2_grpc.SimulatorServiceStub(channel).PushMarketData(
            iter([request]), timeout=20
        )

    trader.call(pushed)


def events(trader: Trader) -> list[event_pb2.Event]:
    def read(channel: grpc.Channel) -> list[event_pb2.Event]:
        request = event_pb2.StreamEventsRequest(
            account_ids=["paper"], start_position=event_pb2.START_POSITION_EARLIEST
        )
        found: list[event_pb2.Event] = []
        for message in event_service_pb2_grpc.EventServiceStub(channel).StreamEvents(request, timeout=20):
            if message.HasField("batch"):
                found.extend(message.batch.events)
            if message.HasField("caught_up"):
                return found
        raise AssertionError("the stream ended")

    return trader.call(read)


def account(trader: Trader) -> account_pb2.Account:
    def look(channel: grpc.Channel) -> account_pb2.Account:
        request = account_pb2.GetAccountRequest(account_id="paper")
        return account_service_pb2_grpc.AccountServiceStub(channel).GetAccount(request, timeout=20).account

    return trader.call(look)


def buy(name: str, quantity: str, limit: str = "") -> order_pb2.PlaceOrderRequest:
    spec = order_pb2.OrderSpec(
        symbol=PERP,
        side=enums_pb2.SIDE_BUY,
        type=enums_pb2.ORDER_TYPE_LIMIT if limit else enums_pb2.ORDER_TYPE_MARKET,
        quantity=quantity,
        time_in_force=enums_pb2.TIME_IN_FORCE_GTC,
    )
    if limit:
        spec.limit_price = limit
    return order_pb2.PlaceOrderRequest(account_id="paper", client_order_id=name, order=spec)


def test_a_liquidation_is_journalled_as_what_it_is(trader: Trader) -> None:
    """Margin is told; a call comes, then the liquidation: an EXTERNAL order of the venue's with fills that belong to
    it, the resting order cancelled, the fee a ledger entry. After kill -9 all of it stands, and trading goes on."""
    push(trader, 50_000)
    trader.place(buy("opens", "1.5"))
    trader.place(buy("rests", "0.1", "40000"))
    info = account(trader)
    assert info.maintenance_margin.amount.startswith("3750.0")
    push(trader, 46_500)  # equity about 4,640, maintenance 3,488: above 125 %
    push(trader, 46_100)  # about 4,040 and 3,458: a call
    push(trader, 45_400)  # about 2,990 and 3,405: liquidated
    seen = events(trader)
    control = [each.control.type for each in seen if each.HasField("control")]
    assert control[-2:] == [
        event_pb2.CONTROL_EVENT_TYPE_MARGIN_CALL,
        event_pb2.CONTROL_EVENT_TYPE_LIQUIDATION,
    ]
    own = [
        each.order.order for each in seen if each.HasField("order") and each.order.order.client_order_id == ""
    ]
    assert {each.origin for each in own} == {enums_pb2.ORDER_ORIGIN_EXTERNAL}
    assert own[-1].state == enums_pb2.ORDER_STATE_FILLED
    ids = {each.order_id for each in own}
    fills = [each.fill.fill for each in seen if each.HasField("fill")]
    assert {fill.order_id for fill in fills[1:]} == ids
    assert all(fill.side == enums_pb2.SIDE_SELL for fill in fills[1:])
    fees = [each.ledger_entry.entry for each in seen if each.HasField("ledger_entry")][1:]
    assert fees
    assert all(entry.amount.amount.startswith("-") for entry in fees)
    resting = [each.order.order for each in seen if each.order.order.client_order_id == "rests"][-1]
    assert resting.state == enums_pb2.ORDER_STATE_CANCELED
    before = trader.standing()
    trader.kill()
    assert trader.standing() == before
    assert trader.connection().message == ""
    assert float(account(trader).equity.amount) > 1.25 * float(account(trader).maintenance_margin.amount)
    refused = buy("too-much", "5")
    placed = trader.place(refused)
    assert placed.state == enums_pb2.ORDER_STATE_REJECTED
