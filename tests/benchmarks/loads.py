"""What a load process is given to do: it makes its requests ready, waits for the common start, and calls."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod

import grpc

CONNECT_TIMEOUT_S = 20.0

_OWN_CONNECTION = ("grpc.use_local_subchannel_pool", 1)
_ANY_SIZE = ("grpc.max_receive_message_length", -1)


async def connect(address: str) -> grpc.aio.Channel:
    """A channel with a connection of its own, once it stands."""
    channel = grpc.aio.insecure_channel(address, options=(_OWN_CONNECTION, _ANY_SIZE))
    async with asyncio.timeout(CONNECT_TIMEOUT_S):
        await channel.channel_ready()
    return channel


async def sleep_until(moment_ns: int) -> None:
    """Sleeps until the monotonic clock, which all processes of a machine share, shows `moment_ns`."""
    await asyncio.sleep(max(0, moment_ns - time.monotonic_ns()) / 1e9)


class Load(ABC):
    """A piece of work for one process. It is sent there before `prepare`, so until then it holds plain values."""

    @abstractmethod
    async def prepare(self) -> None:
        """Connects and serialises."""

    @abstractmethod
    async def run(self, start_ns: int) -> object:
        """Waits until `start_ns` and does the work; what it returns goes back to the harness."""
