"""How a channel to the gateway is opened: address, TLS, token, and the settings that find a dead peer."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

import grpc

MAX_RECEIVE_BYTES = 16 * 1024 * 1024
"""Largest answer that is taken; a page of 1000 orders is well below it."""

OPTIONS: tuple[tuple[str, int], ...] = (
    # A peer that has gone without a word is found within 30 s even where no heartbeat is due.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 0),
    # gRPC's own pauses between connections grow to two minutes, which is long for one who holds positions.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # Repeating is decided in one place, where the ids are known: calls.py.
    ("grpc.enable_retries", 0),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.max_receive_message_length", MAX_RECEIVE_BYTES),
    # Two clients in one process do not share a connection, and so not its fate.
    ("grpc.use_local_subchannel_pool", 1),
)

_HOST = re.compile(r"(?:(?:ipv4|ipv6|dns):)?(?:/+)?(?P<host>\[[^\]]*\]|[^:/]*)(?::[\w-]+)?")


@dataclass(frozen=True, slots=True)
class Tls:
    """Encrypt, and check the gateway's certificate against `ca_file` (PEM), or the usual authorities where None.

    With `certificate_file` and `key_file` (PEM) the client shows a certificate of its own (mTLS). `server_name` is the
    name to expect in the gateway's certificate where it is not the address's.
    """

    ca_file: Path | str | None = None
    certificate_file: Path | str | None = None
    key_file: Path | str | None = None
    server_name: str | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """gRPC's form. Raises `OSError` for a file that cannot be read, `ValueError` for half of a pair."""
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file go together: give both for mTLS, or neither")
        ca, certificate, key = (
            None if file is None else Path(file).read_bytes()
            for file in (self.ca_file, self.certificate_file, self.key_file)
        )
        return grpc.ssl_channel_credentials(ca, key, certificate)


class Token:
    """A bearer token that no repr, log or traceback shows."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        if not text or not text.isascii() or not text.isprintable() or " " in text:
            # The value itself stays out of the message.
            raise ValueError(
                "the token is empty or holds blanks or control characters; give it as it was printed"
            )
        self._text = text

    def __repr__(self) -> str:
        return "Token(…)"

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The call metadata that carries it."""
        return (("authorization", f"Bearer {self._text}"),)


def is_loopback(address: str) -> bool:
    """Whether what goes to `address` stays on this machine: a loopback address, `localhost`, or a Unix socket."""
    if address.startswith(("unix:", "unix-abstract:")):
        return True
    found = _HOST.fullmatch(address)
    host = found["host"].strip("[]") if found else ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def open_channel(address: str, tls: Tls | None, client_name: str) -> grpc.aio.Channel:
    """A channel to `address`, which connects when it is first used; `client_name` begins its `user-agent`."""
    options: tuple[tuple[str, int | str], ...] = (*OPTIONS, ("grpc.primary_user_agent", client_name))
    if is_loopback(address):
        # gRPC would go by way of the proxy that the environment names, and the token with it.
        options = (*options, ("grpc.enable_http_proxy", 0))
    if tls is None:
        return grpc.aio.insecure_channel(address, options)
    if tls.server_name is not None:
        named: tuple[tuple[str, str], ...] = (("grpc.ssl_target_name_override", tls.server_name),)
        return grpc.aio.secure_channel(address, tls.credentials(), (*options, *named))
    return grpc.aio.secure_channel(address, tls.credentials(), options)
