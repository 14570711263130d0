"""OrderService: orders, on real and paper accounts alike."""

from __future__ import annotations

from brokergate.codec.decode.lists import decode_list_fills, decode_list_orders
from brokergate.codec.decode.order import (
    decode_batch_cancel,
    decode_batch_place,
    decode_cancel,
    decode_cancel_all,
    decode_get_order,
    decode_place,
    decode_preview,
    decode_replace,
)
from brokergate.codec.encode.order import order_bytes
from brokergate.codec.encode.response import (
    cancel_all_bytes,
    failure_of,
    fills_page_bytes,
    get_order_bytes,
    orders_page_bytes,
    place_response_bytes,
    results_bytes,
)
from brokergate.codec.encode.venue import encode_preview
from brokergate.domain.commands import OrderFailure, PlaceOrder, PlaceResult
from brokergate.domain.errors import within
from brokergate.engine.gateway import Gateway
from brokergate.transport.auth import require_account
from brokergate.transport.calls import Stream
from brokergate.transport.clients import Client
from brokergate.transport.methods import Requests
from brokergate.transport.order_entry import OrderEntry
from brokergate.transport.pages import fit
from brokergate.transport.services.mutations import request_of
from brokergate.transport.targets import authorise, cancel, replace
from brokergate.v1 import order_pb2


class OrderService:
    """See `order_service.proto`."""

    def __init__(self, gateway: Gateway, entry: OrderEntry) -> None:
        self._gateway = gateway
        self._entry = entry

    async def place_order(self, request: order_pb2.PlaceOrderRequest, client: Client) -> bytes:
        command = decode_place(request, client.caller)
        if command.route_id:
            placed = await self._gateway.place_routed_order(command, authorise(client.principal))
        else:
            require_account(client.principal, command.account_id)
            placed = await self._gateway.place_order(command)
        return place_response_bytes(placed.order, placed.already_existed, placed.linked)

    async def preview_order(
        self, request: order_pb2.PreviewOrderRequest, client: Client
    ) -> order_pb2.PreviewOrderResponse:
        wanted = decode_preview(request)
        account_id, route_id = wanted.target
        if route_id:
            account_id = self._gateway.route_of_new(route_id, wanted.spec)
        require_account(client.principal, account_id)
        preview = await self._gateway.preview_order(account_id, wanted.spec)
        return encode_preview(account_id, preview)

    async def replace_order(self, request: order_pb2.ReplaceOrderRequest, client: Client) -> bytes:
        mutation = decode_replace(request)
        return await replace(self._gateway, mutation, client.principal, client.caller)

    async def cancel_order(self, request: order_pb2.CancelOrderRequest, client: Client) -> bytes:
        mutation = decode_cancel(request)
        return await cancel(self._gateway, mutation, client.principal, client.caller)

    async def cancel_all_orders(self, request: order_pb2.CancelAllOrdersRequest, client: Client) -> bytes:
        mutation = decode_cancel_all(request)
        require_account(client.principal, mutation.command.account_id)
        return await self._gateway.cancel_all_orders(
            mutation.command, request_of(mutation, "CancelAllOrders", cancel_all_bytes, client)
        )

    async def batch_place_orders(self, request: order_pb2.BatchPlaceOrdersRequest, client: Client) -> bytes:
        batch = decode_batch_place(request, client.caller)
        account_id, route_id = batch.target
        orders = [order for order in batch.orders if isinstance(order, PlaceOrder)]
        if route_id:
            self._gateway.routes.check(route_id)
            placed = iter(await self._gateway.place_routed(orders, authorise(client.principal)))
        else:
            require_account(client.principal, account_id)
            if not orders:
                self._gateway.account(account_id)
            placed = iter(await self._gateway.place_orders(orders) if orders else ())
        results: list[PlaceResult] = []
        for index, order in enumerate(batch.orders):
            result = order if isinstance(order, OrderFailure) else next(placed)
            if isinstance(result, OrderFailure) and result is not order:
                result = OrderFailure(within(failure_of(result.error), f"orders[{index}]."))
            results.append(result)
        return results_bytes(results)

    async def batch_cancel_orders(self, request: order_pb2.BatchCancelOrdersRequest, client: Client) -> bytes:
        mutation = decode_batch_cancel(request)
        batch = mutation.command
        require_account(client.principal, batch.account_id)
        return await self._gateway.cancel_orders(
            batch.account_id,
            batch.orders,
            request_of(mutation, "BatchCancelOrders", results_bytes, client),
        )

    async def get_order(self, request: order_pb2.GetOrderRequest, client: Client) -> bytes:
        wanted = decode_get_order(request)
        account_id, route_id = wanted.target
        if route_id:
            account_id = self._gateway.routes.order_account(route_id, wanted.order)
        require_account(client.principal, account_id)
        order = self._gateway.get_order(account_id, wanted.order)
        return get_order_bytes(order, self._gateway.cursor(account_id))

    async def list_orders(self, request: order_pb2.ListOrdersRequest, client: Client) -> bytes:
        page = decode_list_orders(request)
        require_account(client.principal, page.account_id)
        rows = self._gateway.list_orders(page.account_id, page.which, page.place, page.limit + 1)
        bodies, token = fit(
            rows, page.limit, lambda row: order_bytes(row.order), lambda row: page.next_token(row.number)
        )
        return orders_page_bytes(bodies, token, self._gateway.cursor(page.account_id))

    async def list_fills(self, request: order_pb2.ListFillsRequest, client: Client) -> bytes:
        page = decode_list_fills(request)
        require_account(client.principal, page.account_id)
        rows = self._gateway.list_fills(page.account_id, page.which, page.place, page.limit + 1)
        bodies, token = fit(rows, page.limit, lambda row: row[1], lambda row: page.next_token(row[0]))
        return fills_page_bytes(bodies, token, self._gateway.cursor(page.account_id))

    async def stream_order_entry(
        self, requests: Requests[order_pb2.StreamOrderEntryRequest], stream: Stream
    ) -> None:
        await self._entry.serve(requests, stream)
