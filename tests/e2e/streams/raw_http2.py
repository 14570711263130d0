"""A subscriber that opens a stream over bare HTTP/2 and then never reads a byte: no library reads for it."""

from __future__ import annotations

import socket
from types import TracebackType
from typing import Self

from google.protobuf.message import Message

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS = 0x0, 0x1, 0x4
END_STREAM, END_HEADERS = 0x1, 0x4
INITIAL_WINDOW_SIZE = 0x4


def _frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return len(body).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + body


def _field(name: str, value: str) -> bytes:
    """A header field as HPACK writes one that is in no table (RFC 7541, section 6.2.2), in plain characters."""
    return b"\x00" + bytes((len(name),)) + name.encode() + bytes((len(value),)) + value.encode()


class MuteSubscriber:
    """Opens a server stream of `method` with one request, and reads nothing. `window` is what it lets the server send
    on the stream; the connection's is the protocol's 65,535 bytes."""

    def __init__(self, address: str, method: str, request: Message, window: int) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=10)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        headers = b"".join(
            _field(name, value)
            for name, value in (
                (":method", "POST"),
                (":scheme", "http"),
                (":path", method),
                (":authority", address),
                ("content-type", "application/grpc"),
                ("te", "trailers"),
            )
        )
        body = request.SerializeToString()
        self._socket.sendall(
            PREFACE
            + _frame(SETTINGS, 0, 0, INITIAL_WINDOW_SIZE.to_bytes(2) + window.to_bytes(4))
            + _frame(HEADERS, END_HEADERS, 1, headers)
            + _frame(DATA, END_STREAM, 1, b"\x00" + len(body).to_bytes(4) + body)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._socket.close()
