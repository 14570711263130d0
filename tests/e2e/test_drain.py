"""A gateway that goes down under load."""

from __future__ import annotations

import asyncio

import grpc

from brokergate.v1 import enums_pb2, order_pb2, order_service_pb2_grpc
from tests.e2e.process import ServerProcess

CLIENTS = 16


async def test_every_call_on_its_way_when_the_gateway_goes_down_is_answered(server: ServerProcess) -> None:
    """It is carried out, or told UNAVAILABLE (try again): never CANCELLED, which is a client's own word."""
    async with grpc.aio.insecure_channel(server.address) as channel:
        orders = order_service_pb2_grpc.OrderServiceStub(channel)
        placed = asyncio.Semaphore(0)

        async def trade(client: int) -> grpc.StatusCode:
            spec = order_pb2.OrderSpec(
                symbol="BTC/USDT",
                side=enums_pb2.SIDE_BUY,
                type=enums_pb2.ORDER_TYPE_LIMIT,
                quantity="0.001",
                limit_price="1000",
            )
            number = 0
            while True:
                number += 1
                try:
                    await orders.PlaceOrder(
                        order_pb2.PlaceOrderRequest(
                            account_id="paper", client_order_id=f"{client}-{number}", order=spec
                        )
                    )
                except grpc.aio.AioRpcError as error:
                    return error.code()
                placed.release()

        clients = [asyncio.create_task(trade(client)) for client in range(CLIENTS)]
        for _ in range(10 * CLIENTS):
            await placed.acquire()
        status = await asyncio.to_thread(server.terminate)
        answers = await asyncio.gather(*clients)
    assert (status, set(answers)) == (0, {grpc.StatusCode.UNAVAILABLE})
