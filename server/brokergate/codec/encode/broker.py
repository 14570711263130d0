"""Brokers, their connections and their capabilities as messages, from whatever has these properties: the engine's
views have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from brokergate.codec.encode.values import Fields, timestamp_fields
from brokergate.domain.accounts import ConnectionState, Environment
from brokergate.domain.capabilities import Capabilities
from brokergate.v1 import broker_pb2

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000


def _duration(duration_ns: int) -> Fields:
    return {"seconds": duration_ns // NS_PER_S, "nanos": duration_ns % NS_PER_S}


def _signed_duration(duration_ns: int) -> Fields:
    """Both parts have the sign of the whole."""
    sign = -1 if duration_ns < 0 else 1
    return {name: sign * part for name, part in _duration(abs(duration_ns)).items()}


class ClockLike(Protocol):
    """How the broker's clock goes."""

    @property
    def offset_ns(self) -> int: ...
    @property
    def drift_ns(self) -> int: ...


class HealthLike(Protocol):
    """How a connection does."""

    @property
    def level(self) -> int: ...
    @property
    def problems(self) -> Sequence[str]: ...


class ConnectionLike(Protocol):
    """What a BrokerConnection shows."""

    @property
    def account_id(self) -> str: ...
    @property
    def environment(self) -> Environment: ...
    @property
    def state(self) -> ConnectionState: ...
    @property
    def since_ns(self) -> int: ...
    @property
    def message(self) -> str: ...
    @property
    def last_data_ns(self) -> int: ...
    @property
    def health(self) -> HealthLike: ...
    @property
    def clock(self) -> ClockLike | None: ...


class MetricsLike(Protocol):
    """What a BrokerMetrics shows."""

    @property
    def orders_sent(self) -> int: ...
    @property
    def orders_rejected(self) -> int: ...
    @property
    def fills(self) -> int: ...
    @property
    def order_latency_mean_ns(self) -> int: ...
    @property
    def order_latency_p99_ns(self) -> int: ...
    @property
    def orders_ended(self) -> int: ...
    @property
    def orders_filled(self) -> int: ...
    @property
    def fill_rate(self) -> float | None: ...
    @property
    def uptime(self) -> float | None: ...
    @property
    def reconnects(self) -> int: ...
    @property
    def errors(self) -> Mapping[str, int]: ...
    @property
    def limits(self) -> Mapping[str, float]: ...


def connection_fields(connection: ConnectionLike) -> Fields:
    """The fields of a BrokerConnection."""
    clock = connection.clock
    return {
        "clock_offset": None if clock is None else _signed_duration(clock.offset_ns),
        "clock_drift": None if clock is None else _signed_duration(clock.drift_ns),
        "account_id": connection.account_id,
        "environment": connection.environment,
        "state": connection.state,
        "since_time": timestamp_fields(connection.since_ns),
        "message": connection.message,
        "last_data_time": timestamp_fields(connection.last_data_ns),
        "health": connection.health.level,
        "health_problems": connection.health.problems,
    }


def encode_connection(connection: ConnectionLike) -> broker_pb2.BrokerConnection:
    """A BrokerConnection."""
    return broker_pb2.BrokerConnection(**connection_fields(connection))


def capabilities_fields(capabilities: Capabilities) -> Fields:
    """The fields of a Capabilities; order types and times in force by number."""
    fields: Fields = {
        "order_types": [
            {"type": kind, "times_in_force": sorted(times)}
            for kind, times in sorted(capabilities.order_types.items())
        ],
        "replace": capabilities.replace,
        "trigger_sources": capabilities.trigger_sources,
        "self_trade_prevention": capabilities.self_trade_prevention,
    }
    for name in (
        "native_oco",
        "native_bracket",
        "native_idempotency",
        "post_only",
        "reduce_only",
        "quote_quantity",
        "display_quantity",
        "extended_hours",
        "replays_fills",
        "streams_quotes",
        "streams_trades",
        "streams_book",
        "short_selling",
        "trails_by_amount",
    ):
        fields[name] = getattr(capabilities, name)
    if capabilities.absence_after_ms is not None:
        fields["absence_after"] = _duration(capabilities.absence_after_ms * NS_PER_MS)
    return fields


def _metrics_fields(metrics: MetricsLike) -> Fields:
    return {
        "orders_sent": metrics.orders_sent,
        "orders_rejected": metrics.orders_rejected,
        "fills": metrics.fills,
        "order_latency_mean": _duration(metrics.order_latency_mean_ns),
        "order_latency_p99": _duration(metrics.order_latency_p99_ns),
        "orders_ended": metrics.orders_ended,
        "orders_filled": metrics.orders_filled,
        "fill_rate": metrics.fill_rate,
        "uptime": metrics.uptime,
        "reconnects": metrics.reconnects,
        "errors": metrics.errors,
        "limit_utilisation": metrics.limits,
    }


def encode_broker(
    name: str,
    capabilities: Capabilities,
    connections: Sequence[ConnectionLike],
    healthy: bool,
    metrics: MetricsLike,
) -> broker_pb2.Broker:
    """A Broker, with those of its connections that the caller may see."""
    fields: Fields = {
        "name": name,
        "capabilities": capabilities_fields(capabilities),
        "connections": [connection_fields(connection) for connection in connections],
        "healthy": healthy,
        "metrics": _metrics_fields(metrics),
    }
    return broker_pb2.Broker(**fields)
