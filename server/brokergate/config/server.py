"""The settings of the server: where it listens, where it keeps its data, what it allows."""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from brokergate.config.section import Count, Flag, Section, Text
from brokergate.domain.access import Scope

MIB = 1 << 20

MAX_LISTENERS = 16
"""Addresses that a server listens on."""

_UNIX = "unix:"
_address = re.compile(
    r"(?:\[([0-9A-Fa-f:.]+(?:%[\w.]+)?)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})", re.ASCII
).fullmatch


def split_address(address: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT` or `[IPV6]:PORT`, for `unix:/PATH` the whole of it and 0; `ValueError` otherwise."""
    if address.startswith(_UNIX):
        if len(address) == len(_UNIX):
            raise ValueError("names no socket; write unix:/PATH")
        return address, 0
    match = _address(address)
    if match is None:
        raise ValueError("is not HOST:PORT; write an address such as 127.0.0.1:50051 or [::1]:50051")
    port = int(match[3])
    if port > 65535:
        raise ValueError("has a port above 65535; write a port from 0 (any free one) to 65535")
    return match[1] or match[2], port


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`, as `split_address` gives it."""
    if host.startswith(_UNIX):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _checked_address(address: str) -> str:
    split_address(address)
    return address


class TlsConfig(Section):
    """The certificate of a listener, and of those who may connect to it. Paths of PEM files."""

    certificate: Path
    """The server's certificate, followed by the ones that it is signed by."""
    key: Path
    """The certificate's private key, without a passphrase."""
    client_ca: Path | None = None
    """The certificates that sign clients' certificates: with it a client must show one (mTLS). Default: none is
    asked for."""

    @model_validator(mode="after")
    def _usable(self) -> TlsConfig:
        """A listener that cannot come up is found now, not at the start."""
        for name, path in (
            ("certificate", self.certificate),
            ("key", self.key),
            ("client_ca", self.client_ca),
        ):
            if path is not None and not path.is_file():
                raise ValueError(
                    f"names as its {name} a file that does not exist; give the path of a PEM file"
                )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.certificate, self.key, password=lambda: "")
        except (OSError, ValueError):
            raise ValueError(
                "has a certificate and a key that cannot be used together; give PEM files that this user may "
                "read, the key without a passphrase and made for the certificate"
            ) from None
        if self.client_ca is not None:
            try:
                context.load_verify_locations(self.client_ca)
            except OSError:
                raise ValueError(
                    "has a client_ca that holds no certificate; give a PEM file of certificates"
                ) from None
        return self


class ListenerConfig(Section):
    """One address that the server listens on. Written as `HOST:PORT` where nothing else is set."""

    address: Annotated[Text, AfterValidator(_checked_address)]
    """`HOST:PORT`, `[IPV6]:PORT` or `unix:/PATH`. Port 0 takes a free one; `data_dir/address` tells which."""
    tls: TlsConfig | None = None
    """TLS. Default: none, which is allowed on loopback alone unless `insecure` says otherwise."""
    insecure: Flag = False
    """Whether to listen off loopback without TLS, for instance behind a proxy that ends TLS. Tokens are asked for all
    the same, and pass in clear text. Default false."""

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(split_address(self.address)[0])

    @model_validator(mode="after")
    def _protected(self) -> ListenerConfig:
        if not (self.loopback or self.tls or self.insecure):
            raise ValueError(
                "can be reached from other machines and has no TLS; "
                "set 'tls', listen on 127.0.0.1, or accept clear text with 'insecure: true' or --insecure"
            )
        return self


def _listeners(value: object) -> object:
    """One address, one listener or several of either."""
    if isinstance(value, str | Mapping | ListenerConfig):
        value = [value]
    if not isinstance(value, list | tuple):
        raise ValueError("is not an address; write HOST:PORT, or a list of listeners")
    return tuple({"address": item} if isinstance(item, str) else item for item in value)


class LogFormat(StrEnum):
    """How the log is written."""

    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


class LogLevel(StrEnum):
    """The least that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogConfig(Section):
    """The log, which goes to standard error."""

    level: LogLevel = LogLevel.INFO
    """The least that is logged: `debug`, `info`, `warning` or `error`. Default `info`."""
    format: LogFormat = LogFormat.AUTO
    """`console` is for people, `json` one object a line; `auto` is `console` on a terminal and `json` elsewhere.
    Default `auto`."""


def _scope(value: object) -> object:
    if isinstance(value, str) and value.isascii() and value.upper() in Scope.__members__ and value.islower():
        return Scope[value.upper()]
    if isinstance(value, Scope):
        return value
    raise ValueError("is not a scope; write read, trade or admin")


ScopeName = Annotated[Scope, BeforeValidator(_scope)]


class ClientCertificates(Section):
    """What clients may do that show a certificate and no token. Their name is the certificate's common name."""

    default_scope: ScopeName = Scope.TRADE
    """What a client may do that `scopes` does not name: `read`, `trade` or `admin`. Default `trade`."""
    scopes: dict[Text, ScopeName] = Field(default_factory=dict, max_length=1024)
    """What the client of this common name may do. Default: nobody is named."""


class LimitsConfig(Section):
    """How much of everything. The defaults are chosen for one gateway on one machine; few need to change one."""

    max_message_bytes: Annotated[Count, Field(ge=64 * 1024, le=256 * MIB)] = 4 * MIB
    """Bytes of one message, either way. gRPC's clients refuse more than 4194304 unless told otherwise. Default
    4194304."""
    max_concurrent_streams: Annotated[Count, Field(ge=1, le=1_000_000)] = 1000
    """Calls under way on one connection; further ones wait in the client. Default 1000."""
    max_metadata_bytes: Annotated[Count, Field(ge=8 * 1024, le=MIB)] = 16 * 1024
    """Bytes of a call's headers. Default 16384."""
    max_subscribers: Annotated[Count, Field(ge=1, le=100_000)] = 1000
    """Streams of all kinds open at once; one more is refused with TOO_MANY_STREAMS. Default 1000."""
    stall_timeout_ms: Annotated[Count, Field(ge=1, le=600_000)] = 10_000
    """Milliseconds that one write to a stream may stay blocked by a client that does not read, before it is cut off
    with SLOW_CONSUMER. Default 10000."""
    abort_timeout_ms: Annotated[Count, Field(ge=1, le=600_000)] = 1000
    """Milliseconds that cutting off such a stream may take. Default 1000."""
    token_poll_ms: Annotated[Count, Field(ge=10, le=60_000)] = 500
    """Milliseconds between two looks for revoked tokens. Default 500."""
    keepalive_time_ms: Annotated[Count, Field(ge=1000, le=7_200_000)] = 30_000
    """Milliseconds of silence after which a connection is pinged. Default 30000."""
    keepalive_timeout_ms: Annotated[Count, Field(ge=100, le=600_000)] = 10_000
    """Milliseconds after which a connection that does not answer the ping is closed. Default 10000."""
    min_ping_interval_ms: Annotated[Count, Field(ge=0, le=7_200_000)] = 10_000
    """Milliseconds between a client's pings; one that pings more often is sent away. Default 10000."""
    max_trades_waiting: Annotated[Count, Field(ge=1, le=1_000_000)] = 1000
    """Trades that a market data stream keeps for a client that is slow; further ones are counted as skipped. Default
    1000."""


class RetentionConfig(Section):
    """How long events are kept for streams to begin at. Orders, fills, the ledger, ids, answers and the audit are kept
    for ever. A cursor of before gets CURSOR_EXPIRED, with the earliest one that works."""

    max_age_days: Annotated[Count, Field(ge=0, le=36_500)] = 30
    """Days after which an event goes, counted from the newest one; 0 for never. Default 30."""
    max_size_mib: Annotated[Count, Field(ge=0, le=1 << 30)] = 10_240
    """MiB of the journal's file above which the oldest events go, what is kept for ever counted in; 0 for no limit.
    An order that is filled takes about 1.5 KiB. Default 10240."""


class ServerConfig(Section):
    """Where the server listens, where it keeps its data, and what it allows."""

    listen: Annotated[
        tuple[ListenerConfig, ...], BeforeValidator(_listeners), Field(min_length=1, max_length=MAX_LISTENERS)
    ] = (ListenerConfig(address="127.0.0.1:50051"),)
    """An address, a listener, or a list of them. Default `127.0.0.1:50051`, which only this machine can reach."""
    data_dir: Path = Path("data")
    """The folder of the journal, made where it is missing and locked while the server runs. Relative to the current
    folder, as every path here. Default `./data`."""
    tokens: Path | None = None
    """The file of the access tokens, which `brokergate token` writes. Default `tokens.json` in `data_dir`."""
    drain_grace_s: Annotated[Count, Field(ge=0, le=3600)] = 10
    """Seconds that calls under way have to finish once the server was told to end. Default 10."""
    reflection: Flag | None = None
    """Whether clients such as grpcurl may ask for the contract (reflection) and for the connections (channelz). They
    need a token like everybody else. Default: true where every listener is on loopback."""
    client_certificates: ClientCertificates = ClientCertificates()
    """What clients may do that show a certificate and no token (mTLS)."""
    limits: LimitsConfig = LimitsConfig()
    """How much of everything."""
    retention: RetentionConfig = RetentionConfig()
    """How long events are kept for streams to begin at."""
    log: LogConfig = LogConfig()
    """The log."""

    @property
    def tokens_path(self) -> Path:
        """The file of the access tokens."""
        return self.tokens if self.tokens is not None else self.data_dir / "tokens.json"
