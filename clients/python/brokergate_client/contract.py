"""The contract's methods by name, for the RPCs that this client has no method of its own for."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cache
from typing import Any

from google.protobuf import descriptor_pool, message_factory

from brokergate import v1

_SERVICES = ("account", "broker", "event", "instrument", "market_data", "order", "position", "simulator")


@dataclass(frozen=True, slots=True)
class ContractMethod:
    """One RPC: its path on the wire, the generated types of its messages, and whether either side is a stream."""

    path: str
    request_type: Any
    response_type: Any
    client_streaming: bool
    server_streaming: bool


@cache
def contract_method(rpc: str) -> ContractMethod:
    """The RPC `Service/Method` of `brokergate.v1`. Raises `KeyError` where the contract has none of that name."""
    for name in (*_SERVICES, "trading_control"):
        importlib.import_module(f"{v1.__name__}.{name}_service_pb2")
    service, _, method = rpc.partition("/")
    pool: Any = descriptor_pool.Default()
    found = pool.FindServiceByName(f"brokergate.v1.{service}").methods_by_name[method]
    return ContractMethod(
        f"/brokergate.v1.{service}/{method}",
        message_factory.GetMessageClass(found.input_type),
        message_factory.GetMessageClass(found.output_type),
        found.client_streaming,
        found.server_streaming,
    )
