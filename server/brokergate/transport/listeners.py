"""Sockets: each listener with its own TLS, and none that lets strangers in by mistake."""

from __future__ import annotations

import ssl

import grpc

from brokergate.transport.settings import ListenerSettings, TlsSettings, TransportSettings


class ListenError(Exception):
    """The server cannot listen so; the text names the listener, what is wrong and the way out."""


def check_listeners(settings: TransportSettings, tokens: bool) -> None:
    """Raises ListenError for a listener that would let strangers in: off loopback it needs TLS, and tokens or
    clients' certificates. `tokens` says whether any token was made."""
    if not settings.listeners:
        raise ListenError("server.listen names no address; give one such as 127.0.0.1:50051")
    for listener in settings.listeners:
        if listener.loopback:
            continue
        if listener.tls is None and not listener.insecure:
            raise ListenError(
                f"{listener.address} can be reached from other machines and has no TLS: set a certificate and its "
                "key for this listener, listen on 127.0.0.1, or accept clear text with --insecure"
            )
        if not tokens and not (listener.tls and listener.tls.client_ca):
            raise ListenError(
                f"{listener.address} can be reached from other machines and nobody would be asked who they are: make "
                "a token with 'brokergate token new NAME --scope trade', or set client_ca (mTLS) for this listener"
            )


def bind(server: grpc.aio.Server, listener: ListenerSettings) -> str:
    """Adds the listener to the server; the address with the port that was taken. Raises ListenError."""
    try:
        if listener.tls is None:
            port = server.add_insecure_port(listener.address)
        else:
            port = server.add_secure_port(listener.address, credentials(listener.tls))
    except RuntimeError as error:
        raise ListenError(
            f"{listener.address} cannot be listened on: {error}; is another server there?"
        ) from None
    if listener.address.startswith("unix:"):
        return listener.address
    if not port:
        raise ListenError(f"{listener.address} cannot be listened on; is another server there?")
    return f"{listener.address.rpartition(':')[0]}:{port}"


def credentials(tls: TlsSettings) -> grpc.ServerCredentials:
    """gRPC's credentials of a listener. Raises ListenError where the files are missing or do not go together."""
    files = {"certificate": tls.certificate, "key": tls.private_key, "client_ca": tls.client_ca}
    contents: dict[str, bytes] = {}
    for name, path in files.items():
        try:
            contents[name] = path.read_bytes() if path else b""
        except OSError as error:
            raise ListenError(f"tls.{name} {str(path)!r} cannot be read: {error.strerror}") from None
    try:
        # gRPC takes anything and then fails every handshake.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.certificate, tls.private_key, password=lambda: "")
        if tls.client_ca:
            context.load_verify_locations(tls.client_ca)
    except (OSError, ValueError) as error:
        raise ListenError(
            f"tls.certificate {str(tls.certificate)!r} and its key cannot be used: {error}; give PEM files that belong "
            "together, the key without a passphrase"
        ) from None
    return grpc.ssl_server_credentials(
        [(contents["key"], contents["certificate"])],
        root_certificates=contents["client_ca"] or None,
        require_client_auth=tls.client_ca is not None,
    )


def channel_options(settings: TransportSettings, introspection: bool) -> list[tuple[str, int]]:
    """gRPC's options (grpc/impl/channel_arg_names.h)."""
    return [
        # One process owns a port: without this a second server would take every other connection.
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        ("grpc.max_concurrent_streams", settings.max_concurrent_streams),
        ("grpc.max_metadata_size", settings.max_metadata_bytes),
        ("grpc.absolute_max_metadata_size", settings.max_metadata_bytes),
        ("grpc.keepalive_time_ms", settings.keepalive_time_ms),
        ("grpc.keepalive_timeout_ms", settings.keepalive_timeout_ms),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", settings.min_ping_interval_ms),
        ("grpc.enable_channelz", int(introspection)),
    ]
