"""What makes a mutation repeatable, put together for the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from brokergate.codec.decode.order import Mutation
from brokergate.domain.commands import Request
from brokergate.transport.clients import Client


def request_of(mutation: Mutation[Any], method: str, encode: Callable[..., bytes], client: Client) -> Request:
    """The engine's `Request`: `method` is the RPC's name, `encode` makes the answer that is journalled."""
    return Request(mutation.request_id, method, mutation.fingerprint, encode, client.caller)
