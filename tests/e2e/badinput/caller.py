"""Calls any RPC of the contract with bytes, as no generated stub would."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import grpc
from google.protobuf.message import Message

from tests.e2e.badinput.answers import DETAILS_KEY, Answer
from tests.e2e.badinput.contract import Rpc

CALL_TIMEOUT_S = 30.0
"""A call that takes longer has hung."""

QUIET_S = 0.25
"""A server stream that says nothing for so long was opened, and has nothing to say: where it may be."""

LOST_STATUS = "Internal error from Core"
"""What grpc.aio's client says in place of the server's status where a write failed because the server had already
ended the call (https://github.com/grpc/grpc/issues/36066; the synchronous client tells the status)."""

ATTEMPTS = 20
"""A call that the server ends at once loses its status one time in three: asking again finds it."""

Metadata = Sequence[tuple[str, str]]


class Caller:
    """A connection of this loop to the server. Bodies are sent as they are and answers kept as messages."""

    def __init__(self, address: str, *, metadata: Metadata = ()) -> None:
        # One connection each, not the process's shared one.
        self._channel = grpc.aio.insecure_channel(
            address, options=(("grpc.use_local_subchannel_pool", 1), ("grpc.max_metadata_size", 1 << 20))
        )
        self._metadata = tuple(metadata)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.close()

    async def send(self, rpc: Rpc, request: Message, *, refused: bool = False) -> Answer:
        """One valid message."""
        return await self.call(rpc, (request.SerializeToString(),), refused=refused)

    async def call(
        self,
        rpc: Rpc,
        bodies: Sequence[bytes],
        *,
        metadata: Metadata | None = None,
        timeout_s: float = CALL_TIMEOUT_S,
        refused: bool = False,
    ) -> Answer:
        """What the server answers to `bodies`; a server stream is cancelled after its first message. `refused` waits
        for the refusal that must come, however busy the machine is."""
        headers = self._metadata if metadata is None else tuple(metadata)
        method = rpc.method
        if method.client_streaming and method.server_streaming:
            answer = await self._both(rpc, bodies, headers, timeout_s)
            for _ in range(ATTEMPTS):
                if answer.code is not grpc.StatusCode.INTERNAL or answer.message != LOST_STATUS:
                    break
                answer = await self._both(rpc, bodies, headers, timeout_s)
            return answer
        if method.client_streaming:
            return await self._client_stream(rpc, bodies, headers, timeout_s)
        if method.server_streaming:
            quiet_s = QUIET_S if rpc.name == "StreamMarketData" and not refused else timeout_s
            return await self._server_stream(rpc, bodies[0], headers, timeout_s, quiet_s)
        invoke: Any = self._channel.unary_unary(rpc.path)
        call = invoke(bodies[0], metadata=headers, timeout=timeout_s)
        try:
            return Answer(grpc.StatusCode.OK, messages=[rpc.response.FromString(await call)])
        except grpc.aio.AioRpcError as error:
            return refusal_of(error)

    async def _client_stream(
        self, rpc: Rpc, bodies: Sequence[bytes], headers: Metadata, timeout_s: float
    ) -> Answer:
        call: Any = self._channel.stream_unary(rpc.path)(metadata=headers, timeout=timeout_s)
        await _write(call, bodies)
        try:
            return Answer(grpc.StatusCode.OK, messages=[rpc.response.FromString(await call)])
        except grpc.aio.AioRpcError as error:
            return refusal_of(error)

    async def _server_stream(
        self, rpc: Rpc, body: bytes, headers: Metadata, timeout_s: float, quiet_s: float
    ) -> Answer:
        invoke: Any = self._channel.unary_stream(rpc.path)
        call = invoke(body, metadata=headers, timeout=timeout_s)
        answer = Answer(grpc.StatusCode.OK)
        try:
            async with asyncio.timeout(quiet_s):
                first = await call.read()
            if first is grpc.aio.EOF:
                return await _status(call, answer)
            answer.messages.append(rpc.response.FromString(first))
        except TimeoutError:
            pass
        except grpc.aio.AioRpcError as error:
            return refusal_of(error)
        call.cancel()
        answer.cut_short = True
        return answer

    async def _both(self, rpc: Rpc, bodies: Sequence[bytes], headers: Metadata, timeout_s: float) -> Answer:
        call: Any = self._channel.stream_stream(rpc.path)(metadata=headers, timeout=timeout_s)
        answer = Answer(grpc.StatusCode.OK)
        writing = asyncio.create_task(_write(call, bodies))
        try:
            while (message := await call.read()) is not grpc.aio.EOF:
                answer.messages.append(rpc.response.FromString(message))
        except grpc.aio.AioRpcError as error:
            refused = refusal_of(error)
            refused.messages = answer.messages
            return refused
        finally:
            await writing
        return await _status(call, answer)


async def _write(call: Any, bodies: Sequence[bytes]) -> None:
    """Writes until the server has ended the call, whose status says why."""
    try:
        for body in bodies:
            await call.write(body)
        await call.done_writing()
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        return


async def _status(call: Any, answer: Answer) -> Answer:
    answer.code = await call.code()
    answer.message = await call.details() or ""
    answer.details = _details(await call.trailing_metadata())
    return answer


def refusal_of(error: grpc.aio.AioRpcError) -> Answer:
    """The answer that the error is."""
    return Answer(error.code(), error.details() or "", _details(error.trailing_metadata()))


def _details(metadata: Any) -> list[bytes]:
    return [value for key, value in metadata or () if key == DETAILS_KEY]
