"""HTTP/2 by hand (RFC 9113, RFC 7541), for what no library would send."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
ACK = END_STREAM = 0x1
END_HEADERS: Final = 0x4

TIMEOUT_S: Final = 10.0


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _text(value: bytes) -> bytes:
    """A string literal, not Huffman-coded; its length with a prefix of 7 bits."""
    if len(value) < 127:
        return bytes((len(value),)) + value
    left, coded = len(value) - 127, bytearray((127,))
    while left >= 128:
        coded.append(left % 128 + 128)
        left //= 128
    coded.append(left)
    return bytes(coded) + value


def block(fields: Sequence[tuple[bytes, bytes]]) -> bytes:
    """A header block of literals that nobody shall index."""
    return b"".join(b"\x00" + _text(name) + _text(value) for name, value in fields)


def call_fields(path: str, *more: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    """The headers of a gRPC call."""
    return [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path.encode()),
        (b":authority", b"localhost"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        *more,
    ]


def headers(stream: int, fields: Sequence[tuple[bytes, bytes]], flags: int = END_HEADERS) -> bytes:
    """A HEADERS frame."""
    return frame(HEADERS, flags, stream, block(fields))


def message(body: bytes, *, compressed: bool = False, claimed: int | None = None) -> bytes:
    """A gRPC message with its prefix; `claimed` is the length that the prefix tells."""
    return struct.pack(">BI", compressed, len(body) if claimed is None else claimed) + body


class Wire:
    """One raw connection."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def open(self) -> Self:
        """Begins HTTP/2 as a client does."""
        return self.send(PREFACE + frame(SETTINGS, 0, 0))

    def send(self, *parts: bytes) -> Self:
        """Sends bytes; those that the server no longer takes are lost."""
        with suppress(ConnectionError, TimeoutError):
            self.socket.sendall(b"".join(parts))
        return self

    def read_until_closed(self, timeout_s: float) -> bytes:
        """Everything that the server says until it closes the connection or falls silent for `timeout_s`."""
        self.socket.settimeout(timeout_s)
        said = bytearray()
        with suppress(ConnectionError, TimeoutError):
            while part := self.socket.recv(65536):
                said += part
        return bytes(said)
