"""The server's settings, out of the configuration."""

from __future__ import annotations

from brokergate.config import ListenerConfig, ServerConfig
from brokergate.transport.settings import ListenerSettings, TlsSettings, TransportSettings


def transport_settings(server: ServerConfig) -> TransportSettings:
    """What `server` says, as the transport wants it; the limits have the same names in both."""
    return TransportSettings(
        listeners=tuple(_listener(listener) for listener in server.listen),
        client_scopes=server.client_certificates.scopes,
        default_client_scope=server.client_certificates.default_scope,
        reflection=server.reflection,
        drain_grace_ms=server.drain_grace_s * 1000,
        **server.limits.model_dump(),
    )


def _listener(listener: ListenerConfig) -> ListenerSettings:
    tls = listener.tls and TlsSettings(listener.tls.certificate, listener.tls.key, listener.tls.client_ca)
    return ListenerSettings(listener.address, tls, listener.insecure)
