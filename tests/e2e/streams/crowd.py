"""A process full of subscribers: `python -m tests.e2e.streams.crowd ADDRESS SUBSCRIBERS CHANNELS ACCOUNT…`.

It writes a line when all of them are live. A line on its standard input says up to which sequence of each account they
read (JSON); when they have, it writes what became of them (JSON) and ends.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

import grpc

from tests.e2e.streams.reading import EARLIEST, follow, leave, messages
from tests.e2e.streams.trading import connect

TIMEOUT_S = 90.0


def digest(event_ids: list[str]) -> str:
    """Event ids in their order, in few bytes."""
    return hashlib.sha256("\n".join(event_ids).encode()).hexdigest()


class Subscriber:
    """Follows accounts, leaves and resumes now and then, and keeps what is new to it by (account, epoch, sequence): so
    a client has every event exactly once."""

    def __init__(self, channel: grpc.aio.Channel, number: int, account_ids: list[str]) -> None:
        self._channel = channel
        self._number = number
        self._seen: dict[str, int] = dict.fromkeys(account_ids, 0)
        self._epoch = 0
        self._ids: dict[str, list[str]] = {account_id: [] for account_id in account_ids}
        self._cursor = ""
        self._messages = self._twice = self._resumed = 0
        self.live = asyncio.Event()

    async def run(self, heads: Mapping[str, int]) -> None:
        """Reads until everything up to `heads` was given, once they are known."""
        stays = self._number % 2 == 0
        while not self._done(heads):
            start: dict[str, Any] = (
                {"after_cursor": self._cursor} if self._cursor else {"start_position": EARLIEST}
            )
            call = follow(
                self._channel, account_ids=list(self._seen), heartbeat_interval={"seconds": 1}, **start
            )
            read = 0
            async for message in messages(call):
                read += 1
                self._take(message, forgets=read % 3 == 0)
                if self._done(heads) or (not stays and read == 4 + self._number % 5):
                    break
            await leave(call)
            self._resumed += 1

    def _done(self, heads: Mapping[str, int]) -> bool:
        return bool(heads) and all(self._seen[name] >= head for name, head in heads.items())

    def _take(self, message: Any, forgets: bool) -> None:
        match message.WhichOneof("payload"):
            case "opened":
                assert self._epoch in (0, message.opened.epoch), "nothing was lost: the epoch stays"
                self._epoch = message.opened.epoch
            case "caught_up":
                self.live.set()
            case _:
                pass
        self._messages += bool(message.batch.events)
        for event in message.batch.events:
            seen = self._seen[event.account_id]
            if event.sequence <= seen:
                self._twice += 1
                continue
            assert event.sequence == seen + 1, f"after {seen} came {event.sequence}"
            self._seen[event.account_id] = event.sequence
            self._ids[event.account_id].append(event.event_id)
        if not forgets:
            # Who forgets its last cursor gets again what followed the one before.
            self._cursor = message.cursor

    def told(self, heads: Mapping[str, int]) -> dict[str, Any]:
        """What became of it; of the events up to `heads`."""
        return {
            "digests": {name: digest(self._ids[name][:head]) for name, head in heads.items()},
            "events": sum(map(len, self._ids.values())),
            "messages": self._messages,
            "twice": self._twice,
            "resumed": self._resumed,
        }


async def main(address: str, subscribers: int, channels: int, account_ids: list[str]) -> None:
    """Runs them all."""
    connections = [connect(address) for _ in range(channels)]
    crowd = [Subscriber(connections[i % channels], i, account_ids) for i in range(subscribers)]
    heads: dict[str, int] = {}
    async with asyncio.timeout(TIMEOUT_S), asyncio.TaskGroup() as group:
        for subscriber in crowd:
            group.create_task(subscriber.run(heads))
        await asyncio.gather(*(subscriber.live.wait() for subscriber in crowd))
        print("live", flush=True)
        heads |= json.loads(await asyncio.to_thread(sys.stdin.readline))
    print(json.dumps([subscriber.told(heads) for subscriber in crowd]), flush=True)
    # gRPC's own shutdown waits for its thread, now and then for ever.
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]))
