"""What there is to tell: orders that fill, rest and are cancelled, on accounts whose market stands still."""

from __future__ import annotations

from typing import Any

import grpc

from brokergate.v1 import (
    enums_pb2,
    market_data_pb2,
    money_pb2,
    order_pb2,
    order_service_pb2_grpc,
    simulator_pb2,
    simulator_service_pb2_grpc,
)

SYMBOLS = ("BTC/USDT", "ETH/USDT")
BID, ASK = "99.99", "100.00"
TIMEOUT_S = 60.0

OWN_CONNECTION = (("grpc.use_local_subchannel_pool", 1),)


def connect(address: str, *options: tuple[str, Any]) -> grpc.aio.Channel:
    """A channel with a connection of its own."""
    return grpc.aio.insecure_channel(address, options=(*OWN_CONNECTION, *options))


async def create_account(channel: grpc.aio.Channel, account_id: str) -> None:
    """Makes a paper account with a deep book of each of `SYMBOLS` that does not move."""
    simulator: Any = simulator_service_pb2_grpc.SimulatorServiceStub(channel)
    instruments = [
        simulator_pb2.PushInstrument(symbol=symbol, price_increment="0.01", quantity_increment="0.001")
        for symbol in SYMBOLS
    ]
    await simulator.CreatePaperAccount(
        simulator_pb2.CreatePaperAccountRequest(
            request_id=f"create-{account_id}",
            account_id=account_id,
            initial_balances=[money_pb2.Money(amount="1000000000", currency_code="USDT")],
            push=simulator_pb2.PushFeed(instruments=instruments),
            taker_fee_percent="0.1",
        ),
        timeout=TIMEOUT_S,
    )
    await simulator.PushMarketData(
        iter(
            [
                simulator_pb2.PushMarketDataRequest(
                    account_id=account_id, updates=[market_data_pb2.MarketDataUpdate(book=_book(symbol))]
                )
                for symbol in SYMBOLS
            ]
        ),
        timeout=TIMEOUT_S,
    )


def _book(symbol: str) -> market_data_pb2.Book:
    book = market_data_pb2.Book(
        symbol=symbol,
        bids=[market_data_pb2.BookLevel(price=BID, quantity="1000000")],
        asks=[market_data_pb2.BookLevel(price=ASK, quantity="1000000")],
    )
    book.event_time.GetCurrentTime()
    return book


def buy(symbol: str, limit_price: str = "", labels: dict[str, str] | None = None) -> order_pb2.OrderSpec:
    """A market order, which fills at once; with a limit far below the market one that rests."""
    kind = enums_pb2.ORDER_TYPE_LIMIT if limit_price else enums_pb2.ORDER_TYPE_MARKET
    spec = order_pb2.OrderSpec(
        symbol=symbol, side=enums_pb2.SIDE_BUY, type=kind, quantity="0.1", labels=labels or {}
    )
    if limit_price:
        spec.limit_price = limit_price
    return spec


class Trader:
    """Places orders on one account; `prefix` makes its ids its own."""

    def __init__(self, channel: grpc.aio.Channel, account_id: str, prefix: str) -> None:
        self._orders: Any = order_service_pb2_grpc.OrderServiceStub(channel)
        self._account_id = account_id
        self._prefix = prefix
        self._placed = 0

    async def place(self, *specs: order_pb2.OrderSpec) -> list[order_pb2.Order]:
        """Places orders in one batch; they as they stand then."""
        batch = order_pb2.BatchPlaceOrdersRequest(account_id=self._account_id)
        for spec in specs:
            self._placed += 1
            batch.orders.add(client_order_id=f"{self._prefix}-{self._placed}", order=spec)
        answer = await self._orders.BatchPlaceOrders(batch, timeout=TIMEOUT_S)
        assert not any(result.HasField("error") for result in answer.results), answer
        return [result.order for result in answer.results]

    async def some_of_each(self) -> None:
        """One that fills, one that rests and one that is cancelled, of each symbol."""
        for symbol in SYMBOLS:
            _, rests, _ = await self.place(buy(symbol), buy(symbol, "50"), buy(symbol, "60"))
            await self.cancel(rests)

    async def fills(self, batches: int, size: int) -> None:
        """Orders of the first symbol that fill, `size` at a time."""
        for _ in range(batches):
            await self.place(*[buy(SYMBOLS[0])] * size)

    async def cancel(self, order: order_pb2.Order) -> None:
        """Cancels an order."""
        await self._orders.CancelOrder(
            order_pb2.CancelOrderRequest(
                account_id=self._account_id,
                order=order_pb2.OrderRef(order_id=order.order_id),
                request_id=f"cancel-{order.order_id}",
            ),
            timeout=TIMEOUT_S,
        )
