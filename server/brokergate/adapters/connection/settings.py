"""The bounds of an account's connections, as its `connection:` settings have them."""

from __future__ import annotations

from brokergate.adapters.connection.stream import StreamSettings
from brokergate.config.accounts import ConnectionConfig
from brokergate.resilience.timeouts import Timeouts

LONGEST_PROBE_S = 10.0
"""For the answer to a probe, however long the stream may be quiet."""


def http_timeouts(connection: ConnectionConfig) -> Timeouts:
    """A request is over, whatever it waits for, when `request_timeout_ms` is."""
    seconds = connection.request_timeout_ms / 1000
    return Timeouts(connect_s=seconds, read_s=seconds, total_s=seconds)


def stream_settings(connection: ConnectionConfig) -> StreamSettings:
    """A stream opens within `request_timeout_ms`, and is asked for a sign of life after `quiet_timeout_ms`."""
    quiet_s = connection.quiet_timeout_ms / 1000
    return StreamSettings(
        connect_timeout_s=connection.request_timeout_ms / 1000,
        quiet_s=quiet_s,
        probe_timeout_s=min(quiet_s, LONGEST_PROBE_S),
    )
