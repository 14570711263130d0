"""One client's connection: greeting, requests with what befalls them, frames with what befalls those."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.emulators.emulator import DELAY
from tests.emulators.faults import FRAME, Fault
from tests.emulators.tws import frames
from tests.emulators.tws.desk import Refusal
from tests.emulators.tws.faults import MUTE, REQUESTS, STREAM_MUTE
from tests.emulators.tws.wire import (
    GREETING,
    Field,
    Malformed,
    Reader,
    client_versions,
    fields_of,
    frame,
    read_frame,
)

if TYPE_CHECKING:
    from tests.emulators.tws.venue import Tws

ORDERS = "orders"
"""What faults call the frames that tell of orders without being asked."""
LINGER_S = 5.0
"""How long a client that was sent away may stay."""
MAX_UNREAD = 10_000_000
"""Bytes that wait for a client that does not read; one more and it is cut off."""


@dataclass(slots=True)
class Request:
    """One message of a client, understood. `id` is what an error about it carries: its request's or order's, or -1."""

    kind: str
    name: str
    parameters: dict[str, Any]
    id: int
    work: Callable[[], None]


class Session:
    """See the module. `kind` is what the control plane calls it among the connections that are open."""

    kind = ORDERS

    def __init__(self, venue: Tws, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.venue = venue
        self.version = 0
        self.client_id: int | None = None
        """None until it has introduced itself."""
        self.binds_orders = False
        """Whether it hears of orders of TWS's own windows (`reqAutoOpenOrders`)."""
        self.silent = False
        """Whether what is sent now is lost."""
        self.frozen = False
        """Whether the connection is half open: nothing is read or written, and nobody says so."""
        self._dismissed = False
        self._reader = reader
        self._writer = writer
        self._free_at = 0.0
        self._times: deque[float] = deque()
        self._too_fast = 0
        self._held: list[bytes] = []
        self._late: list[bytes] = []
        """What waits for the end of a delay."""

    # The connection

    async def run(self) -> None:
        """Serves the client until it goes, or is sent away."""
        if await self._reader.readexactly(len(GREETING)) != GREETING:
            raise Malformed("no greeting")
        _, highest = client_versions(await read_frame(self._reader))
        self.version = min(highest, self.venue.server_version)
        self.write([self.version, self.venue.connection_time()])
        while not self._writer.is_closing():
            text = await read_frame(self._reader)
            if (busy_s := self.venue.pace.busy_until - time.monotonic()) > 0:
                await asyncio.sleep(busy_s)
            if self.frozen or self._dismissed:
                continue
            self._receive(fields_of(text))

    def abort(self) -> None:
        """Cuts the connection without a word."""
        self._writer.transport.abort()

    def dismiss(self) -> None:
        """Sends a client away: nothing more is told, nothing more is done. What was told before reaches it, since what
        it still sends is taken in."""
        if not self._dismissed and not self._writer.is_closing():
            self._dismissed = True
            self._writer.write_eof()
            asyncio.get_running_loop().call_later(LINGER_S, self.abort)

    def close(self) -> None:
        """The connection is over."""
        self._writer.close()

    # What comes

    def _receive(self, fields: list[str]) -> None:
        self._judge_pace()
        request = self.venue.requests.read(self, Reader(fields))
        entry = self.venue.log.add(
            self.venue.clock.now_ns(),
            "tws",
            request.kind,
            request.name,
            request.parameters,
            "" if self.client_id is None else str(self.client_id),
        )
        if self.client_id is None and request.kind != "logon":
            entry["fault"] = "not introduced"
            return
        late = self.venue.faults.take(DELAY, request.kind, request.name)
        if late is not None:
            self._free_at = asyncio.get_running_loop().time() + float(late.arguments["seconds"])
        fault = self.venue.faults.take(REQUESTS, request.kind, request.name)
        if fault is None:
            self._do(request, entry)
        else:
            entry["fault"] = fault.kind
            self._befall(fault, request, entry)

    def _do(self, request: Request, entry: dict[str, Any]) -> None:
        began_ns = time.monotonic_ns()
        self.venue.core.advance(self.venue.clock.now_ns())
        try:
            request.work()
        except Refusal as refusal:
            entry["code"] = refusal.code
            self.error(request.id, refusal.code, refusal.text)
        entry["status"] = "done"
        entry["took_ns"] = time.monotonic_ns() - began_ns

    def _befall(self, fault: Fault, request: Request, entry: dict[str, Any]) -> None:
        arguments = fault.arguments
        if fault.kind == "error":
            if arguments.get("accept"):
                self._do(request, entry)
            code = int(arguments["code"])
            entry["code"] = code
            self.error(request.id, code, str(arguments.get("text") or self.venue.texts.of(code)))
            return
        if fault.kind == "answer_lost_after_accept":
            self.silent = True
            self._do(request, entry)
            self.silent = False
        elif fault.kind == "arrives_late":
            self.venue.later(float(arguments["seconds"]), lambda: self._do(request, entry))
        if arguments.get("how", "cut") == "cut":
            self.abort()

    def _judge_pace(self) -> None:
        """No more than `rate` messages in any second; who does it too often is sent away (tws-api, "Pacing
        Limitations")."""
        pace, now = self.venue.pace, time.monotonic()
        self._times.append(now)
        while now - self._times[0] >= 1.0:
            self._times.popleft()
        pace.most = max(pace.most, len(self._times))
        if len(self._times) <= pace.rate:
            return
        pace.violations += 1
        self._too_fast += 1
        text = f"Max rate of messages per second has been exceeded:max={pace.rate} rec={len(self._times)}"
        self.error(-1, 100, text)
        if self._too_fast >= pace.tolerance:
            self.dismiss()

    # What goes

    def error(self, request_id: int, code: int, text: str) -> None:
        """A message about a request or an order, or of the system (-1)."""
        self.write(frames.error(self.version, request_id, code, self.venue.texts.shown(code, text)))

    def tell(self, kind: str, name: str, fields: list[Field]) -> None:
        """Sends what nobody asked for; the frame faults for `kind`, `name` and `*` may befall it."""
        faults = self.venue.faults
        if faults.take(STREAM_MUTE, kind, name):
            return
        fault = faults.take(FRAME, kind, name)
        if fault is None:
            self.write(fields)
            held, self._held = self._held, []
            for body in held:
                self._send(body)
        elif fault.kind == "duplicate_frames":
            self.write(fields)
            self.write(fields)
        elif fault.kind == "reorder_frames":
            # It goes out behind the next one.
            self._held.append(frame(fields))

    def write(self, fields: list[Field]) -> None:
        """Sends a message, unless the connection or the whole of TWS is mute."""
        if self.silent or self.frozen or self.venue.faults.take(MUTE):
            return
        self._send(frame(fields))

    def _send(self, body: bytes) -> None:
        if self._dismissed or self._writer.is_closing():
            return
        loop = asyncio.get_running_loop()
        if self._late:
            self._late.append(body)
        elif self._free_at > loop.time():
            self._late.append(body)
            loop.call_at(self._free_at, self._send_late)
        else:
            self._send_now(body)

    def _send_late(self) -> None:
        late, self._late = self._late, []
        for body in late:
            self._send_now(body)

    def _send_now(self, body: bytes) -> None:
        if self._writer.transport.get_write_buffer_size() > MAX_UNREAD:
            self.abort()
        elif not (self._dismissed or self._writer.is_closing()):
            self._writer.write(body)
