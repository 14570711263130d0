"""BrokerService: brokers and their connections. A caller sees the brokers that its accounts are at."""

from __future__ import annotations

from collections.abc import Sequence

from brokergate.codec.decode.account import decode_broker, decode_reconnect
from brokergate.codec.encode.broker import encode_broker, encode_connection
from brokergate.domain.access import Principal
from brokergate.domain.errors import ErrorReason, FieldViolation, GatewayError, shorten
from brokergate.engine.gateway import Gateway
from brokergate.engine.views import BrokerView, ConnectionView
from brokergate.transport.auth import require_account
from brokergate.transport.clients import Client
from brokergate.transport.services.mutations import request_of
from brokergate.v1 import broker_pb2


class BrokerService:
    """See `broker_service.proto`."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def list_brokers(
        self, request: broker_pb2.ListBrokersRequest, client: Client
    ) -> broker_pb2.ListBrokersResponse:
        brokers = [_encode(broker, client.principal) for broker in self._visible(client.principal)]
        return broker_pb2.ListBrokersResponse(brokers=brokers)

    async def get_broker(
        self, request: broker_pb2.GetBrokerRequest, client: Client
    ) -> broker_pb2.GetBrokerResponse:
        name = decode_broker(request)
        for broker in self._visible(client.principal):
            if broker.name == name:
                return broker_pb2.GetBrokerResponse(broker=_encode(broker, client.principal))
        problem = f"no broker {shorten(name)!r} has an account here; ListBrokers shows those that do"
        raise GatewayError(
            ErrorReason.BROKER_NOT_FOUND, problem, violations=[FieldViolation("name", problem)]
        )

    async def reconnect_broker(self, request: broker_pb2.ReconnectBrokerRequest, client: Client) -> bytes:
        mutation = decode_reconnect(request)
        require_account(client.principal, mutation.command)
        return await self._gateway.reconnect(
            mutation.command, request_of(mutation, "ReconnectBroker", _reconnected, client)
        )

    def _visible(self, principal: Principal) -> Sequence[BrokerView]:
        return [
            broker
            for broker in self._gateway.brokers()
            if any(principal.allows(connection.account_id) for connection in broker.connections)
        ]


def _encode(broker: BrokerView, principal: Principal) -> broker_pb2.Broker:
    connections = [connection for connection in broker.connections if principal.allows(connection.account_id)]
    return encode_broker(broker.name, broker.capabilities, connections, broker.healthy, broker.metrics)


def _reconnected(connection: ConnectionView) -> bytes:
    answer = broker_pb2.ReconnectBrokerResponse(connection=encode_connection(connection))
    return answer.SerializeToString()
