"""Changes of orders, by their account or by the route that they were placed on: for the RPCs and for order entry."""

from __future__ import annotations

from dataclasses import replace as changed
from functools import partial

from brokergate.codec.decode.order import Mutation
from brokergate.codec.encode.response import order_response_bytes
from brokergate.domain.access import Caller, Principal
from brokergate.domain.commands import CancelOrder, ReplaceOrder, Request
from brokergate.engine.gateway import Gateway
from brokergate.engine.routes import Authorise
from brokergate.transport.auth import require_account


def authorise(principal: Principal) -> Authorise:
    """Raises ACCOUNT_NOT_ALLOWED for an account that a route has chosen and the principal may not use."""
    return partial(require_account, principal)


async def replace(
    gateway: Gateway, mutation: Mutation[ReplaceOrder], principal: Principal, caller: Caller
) -> bytes:
    """Carries out a replace; the answer's bytes."""
    command, request = mutation.command, _request(mutation, "ReplaceOrder", caller)
    if mutation.route_id:
        account_id = gateway.routes.order_account(mutation.route_id, command.order)
        command = changed(command, account_id=account_id)
    require_account(principal, command.account_id)
    return await gateway.replace_order(command, request)


async def cancel(
    gateway: Gateway, mutation: Mutation[CancelOrder], principal: Principal, caller: Caller
) -> bytes:
    """Carries out a cancel; the answer's bytes."""
    command, request = mutation.command, _request(mutation, "CancelOrder", caller)
    if mutation.route_id:
        return await gateway.cancel_routed(command, request, mutation.route_id, authorise(principal))
    require_account(principal, command.account_id)
    return await gateway.cancel_order(command, request)


def _request(
    mutation: Mutation[ReplaceOrder] | Mutation[CancelOrder], method: str, caller: Caller
) -> Request:
    # As the RPC names itself, also where it came by order entry: repeated either way it gets the same answer.
    return Request(mutation.request_id, method, mutation.fingerprint, order_response_bytes, caller)
