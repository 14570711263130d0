"""What can be set about the server. Every limit has a default, a unit and a reason."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from brokergate.domain.access import Scope

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """PEM files of one listener. With `client_ca` every client must show a certificate that it signed (mTLS)."""

    certificate: Path
    private_key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """One address to listen on: `host:port` (port 0 takes a free one), `[::1]:50051` or `unix:/path`.

    `insecure` lets an address off loopback go without TLS: everybody on the way reads the tokens and the orders.
    """

    address: str
    tls: TlsSettings | None = None
    insecure: bool = False

    @property
    def loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return is_loopback(self.address)


@dataclass(frozen=True, slots=True)
class TransportSettings:
    """The server's settings; `config` fills them in, and the defaults are what a server without a file has."""

    listeners: tuple[ListenerSettings, ...] = (ListenerSettings("127.0.0.1:50051"),)
    client_scopes: Mapping[str, Scope] = field(default_factory=dict)
    """mTLS: what the client whose certificate has this common name may do."""
    default_client_scope: Scope = Scope.TRADE
    """mTLS: what a client not named in `client_scopes` may do."""
    reflection: bool | None = None
    """Reflection and channelz; None has them where every listener is on loopback."""
    max_message_bytes: int = 4 * MIB
    """Of one message, either way; gRPC's own default, which clients have too."""
    max_concurrent_streams: int = 1000
    """Calls under way on one connection; further ones wait in the client."""
    max_metadata_bytes: int = 16 * 1024
    """Of a call's headers."""
    max_subscribers: int = 1000
    """Streams of all kinds open at once; one more is TOO_MANY_STREAMS."""
    stall_timeout_ms: int = 10_000
    """How long one write to a stream may stay blocked by a client that does not read, before SLOW_CONSUMER."""
    abort_timeout_ms: int = 1_000
    """How long ending such a stream may take: its status waits behind what the client has not read."""
    token_poll_ms: int = 500
    """How often revocations are looked for."""
    keepalive_time_ms: int = 30_000
    """A connection that is silent for so long is pinged."""
    keepalive_timeout_ms: int = 10_000
    """A connection that does not answer the ping for so long is closed, its streams with it."""
    min_ping_interval_ms: int = 10_000
    """Clients that ping more often are sent away (`too_many_pings`)."""
    drain_grace_ms: int = 10_000
    """How long calls under way may take to end when the server goes down."""
    max_trades_waiting: int = 1_000
    """Trades a market data stream keeps between two messages; further ones are counted as skipped."""


def is_loopback(address: str) -> bool:
    """Whether `address` can be reached from this machine alone."""
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
