"""StreamOrderEntry: commands in, results out, as fast as Python's gRPC goes.

One task reads and carries out, in the order in which the commands came; another writes what results there are, so that
many small messages in are a few larger ones out. Consecutive places on one account are one batch to the engine, and
one commit. What waits to be written is bounded: when the client does not read, its commands are not read either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import groupby
from typing import Final

import grpc

from brokergate.codec.decode.entry import Entry, decode_entry
from brokergate.codec.decode.order import Mutation
from brokergate.codec.decode.target import Target
from brokergate.codec.encode.response import (
    cancel_all_bytes,
    entry_cancel_all_bytes,
    entry_order_bytes,
    entry_response_bytes,
    entry_result_bytes,
    failure_of,
)
from brokergate.codec.encode.stream import encode_closing
from brokergate.domain.access import Caller, Principal
from brokergate.domain.commands import (
    CancelAllOrders,
    CancelOrder,
    OrderFailure,
    PlaceOrder,
    PlaceResult,
    ReplaceOrder,
    Request,
)
from brokergate.domain.errors import GatewayError, within
from brokergate.engine.gateway import Gateway
from brokergate.transport.auth import require_account
from brokergate.transport.calls import Stream, StreamEnded
from brokergate.transport.leases import Leases, PlacedOrders
from brokergate.transport.methods import Reporter, Requests
from brokergate.transport.targets import authorise, cancel, replace
from brokergate.v1 import order_pb2

METHOD: Final = "/brokergate.v1.OrderService/StreamOrderEntry"

MAX_UNWRITTEN: Final = 2000
"""Results that wait to be written before reading pauses."""

MAX_RESPONSE_BYTES: Final = 1 << 20
"""Of one response."""


class OrderEntry:
    """The streams of order entry."""

    def __init__(self, gateway: Gateway, leases: Leases, reporter: Reporter) -> None:
        self._gateway = gateway
        self._leases = leases
        self._reporter = reporter

    async def serve(self, requests: Requests[order_pb2.StreamOrderEntryRequest], stream: Stream) -> None:
        """Serves one stream to its end, and leaves its lease behind where the client did not close it."""
        outbox = Outbox(stream)
        session = _Session(self._gateway, self._reporter, stream.principal, stream.caller)
        closed_in_order = False
        try:
            while (request := await requests.read()) is not None:
                await session.take(request, outbox)
            await outbox.finish()
            if session.grace_s is not None:
                # gRPC ends the requests of a client that went away as it does those of one that has closed: only a
                # message tells them apart, for it cannot be sent to the former. To the latter it says that its lease
                # has been let go.
                await stream.write(b"")
            closed_in_order = True
        except StreamEnded as end:
            await outbox.finish()
            closing = encode_closing(end.error.reason, end.error.message)
            await stream.write(order_pb2.StreamOrderEntryResponse(closing=closing).SerializeToString())
            raise
        except GatewayError:
            # What was done is told before why no more is done.
            await outbox.finish()
            raise
        finally:
            outbox.discard()
            if session.grace_s is not None and not closed_in_order:
                self._leases.carry_out(session.placed, session.grace_s, stream.caller)


class _Session:
    """What one stream has asked for so far."""

    def __init__(self, gateway: Gateway, reporter: Reporter, principal: Principal, caller: Caller) -> None:
        self._gateway = gateway
        self._reporter = reporter
        self._principal = principal
        self._caller = caller
        self.placed = PlacedOrders(gateway)
        self.grace_s: float | None = None
        """The lease's; None without one."""

    async def take(self, request: order_pb2.StreamOrderEntryRequest, outbox: Outbox) -> None:
        """Carries out one message. Raises GatewayError for what is wrong with the message itself."""
        message = decode_entry(request, self._caller)
        if message.lease is not None:
            self.grace_s = message.lease.grace_s if message.lease.enabled else None
        for target, entries in groupby(message.entries, _placed_on):
            if target is None:
                for entry in entries:
                    await outbox.put([await self._change(entry)])
            else:
                await outbox.put(await self._place(target, list(entries)))

    async def _place(self, target: Target, entries: Sequence[Entry]) -> list[bytes]:
        """Places orders of one account or route."""
        orders = [entry.command for entry in entries if isinstance(entry.command, PlaceOrder)]
        # Before: a client that goes away while they are placed must find them in its lease.
        for order in orders:
            self.placed.add(target, order.client_order_id)
            for member in order.oco:
                self.placed.add(target, member.client_order_id)
        outcomes: Sequence[PlaceResult]
        try:
            if target.route_id:
                outcomes = await self._gateway.place_routed(orders, authorise(self._principal))
            else:
                require_account(self._principal, target.account_id)
                outcomes = await self._gateway.place_orders(orders)
        except Exception as error:  # noqa: BLE001 - told in each command's result, and logged where it is ours
            outcomes = [OrderFailure(self._reporter.failed_command(METHOD, orders[0], error))] * len(orders)
        for order, outcome in zip(orders, outcomes, strict=True):
            if isinstance(outcome, OrderFailure):
                for name in (order.client_order_id, *[member.client_order_id for member in order.oco]):
                    self.placed.discard(target, name)
                continue
            for placed in (outcome.order, *(outcome.linked if order.oco else ())):
                self.placed.settle(target, placed)
        return [
            entry_result_bytes(entry.request_id, _as_asked(entry, outcome))
            for entry, outcome in zip(entries, outcomes, strict=True)
        ]

    async def _change(self, entry: Entry) -> bytes:
        """Carries out what is not a place."""
        try:
            if isinstance(entry.command, Mutation):
                return await self._mutate(entry.request_id, entry.command)
            error: Exception = entry.command.error if isinstance(entry.command, OrderFailure) else TypeError()
        except GatewayError as raised:
            error = within(raised, entry.path)
        except Exception as raised:  # noqa: BLE001 - likewise
            error = raised
        told = self._reporter.failed_command(METHOD, entry.command, error)
        return entry_result_bytes(entry.request_id[:64], OrderFailure(told))

    async def _mutate(
        self,
        request_id: str,
        mutation: Mutation[ReplaceOrder] | Mutation[CancelOrder] | Mutation[CancelAllOrders],
    ) -> bytes:
        principal, caller, gateway = self._principal, self._caller, self._gateway
        match mutation.command:
            case ReplaceOrder():
                return entry_order_bytes(request_id, await replace(gateway, mutation, principal, caller))
            case CancelOrder():
                return entry_order_bytes(request_id, await cancel(gateway, mutation, principal, caller))
            case CancelAllOrders() as command:
                require_account(principal, command.account_id)
                # As the RPC names itself: a command that is repeated by its RPC gets the same answer.
                request = Request(
                    mutation.request_id, "CancelAllOrders", mutation.fingerprint, cancel_all_bytes, caller
                )
                return entry_cancel_all_bytes(request_id, await gateway.cancel_all_orders(command, request))


def _as_asked(entry: Entry, outcome: PlaceResult) -> PlaceResult:
    """The outcome, its error naming fields by their paths in the message."""
    if isinstance(outcome, OrderFailure):
        return OrderFailure(within(failure_of(outcome.error), entry.path))
    return outcome


def _placed_on(entry: Entry) -> Target | None:
    """Where the entry places an order; None for every other one."""
    command = entry.command
    return Target(command.account_id, command.route_id) if isinstance(command, PlaceOrder) else None


class Outbox:
    """Results on their way to the client."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._results: list[bytes] = []
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._done = False
        self._error: GatewayError | None = None
        self._task = asyncio.create_task(self._run(), name="results of an order entry stream")

    async def put(self, results: Sequence[bytes]) -> None:
        """Takes results; waits while too many are unwritten."""
        self._results.extend(results)
        self._news.set()
        if len(self._results) > MAX_UNWRITTEN:
            self._room.clear()
            await self._stream.wait(self._room.wait())

    async def finish(self) -> None:
        """Returns when everything is written. Raises GatewayError SLOW_CONSUMER."""
        self._done = True
        self._news.set()
        await self._task
        if self._error is not None:
            raise self._error

    def discard(self) -> None:
        """Writes no more."""
        self._task.cancel()

    async def _run(self) -> None:
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                while self._results:
                    await self._stream.write(self._take())
                    if len(self._results) <= MAX_UNWRITTEN:
                        self._room.set()
                if self._done:
                    return
        except GatewayError as error:
            self._error = error
            # The reader waits for commands, or for room, and would not notice.
            self._stream.end(error)
        except grpc.aio.BaseError:
            # The client went away, which ends the reader too, or the call was ended beside it.
            return

    def _take(self) -> bytes:
        """One response of bounded size."""
        count = length = 0
        while count < len(self._results) and length < MAX_RESPONSE_BYTES:
            length += len(self._results[count])
            count += 1
        taken = self._results[:count]
        del self._results[:count]
        return entry_response_bytes(taken)
