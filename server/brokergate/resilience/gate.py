"""Lets requests through a set of buckets: all their tokens or none, by lane, and in turn within a lane.

Requests wait in queues, one for each lane, set of buckets and event loop. A request that lacks a token keeps the
tokens of that bucket for itself: nobody behind it takes them, in its lane or below, so that a heavy one is not starved
by light ones. Buckets that it does not lack stay open to others.

The first of each queue sleeps until it may go, the others until they are first; every loop has its own, so a loop that
stands still holds up nobody else's. All state is behind one lock that is never held over an await.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence

from brokergate.domain.errors import RateLimitError
from brokergate.ports.clock import Clock
from brokergate.resilience.bucket import NS_PER_S, Bucket
from brokergate.resilience.lanes import Lane

Charge = tuple[Bucket, int]
"""So much of a bucket."""


class Request:
    """One request to the venue: what it is charged, and where it stands."""

    __slots__ = (
        "charges",
        "deadline_ns",
        "future",
        "lane",
        "loop",
        "marks",
        "number",
        "refused",
        "state",
        "wake_ns",
    )

    def __init__(self, charges: Sequence[Charge], lane: Lane, deadline_ns: int | None) -> None:
        self.charges = charges
        self.lane = lane
        self.deadline_ns = deadline_ns
        self.marks: dict[Bucket, int] = {}
        self.state = "new"
        """new, waiting, held (let through, its tokens are held), spent, gone."""
        self.refused = 0
        """When it could go at the earliest, for one that cannot go before its deadline; 0 otherwise."""
        self.number = 0
        self.wake_ns: int | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.future: asyncio.Future[None] | None = None


_Queue = OrderedDict[int, Request]
_Key = tuple[tuple[Bucket, ...], asyncio.AbstractEventLoop]


class Gate:
    """See the module. Safe among tasks, and among threads with loops of their own."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._lock = threading.Lock()
        self._lanes: list[dict[_Key, _Queue]] = [{} for _ in Lane]
        self._waiting = 0
        self._number = 0

    async def enter(self, request: Request, what: str) -> None:
        """Returns when the request may be sent; its tokens are held from then on. Raises `RateLimitError`, and charges
        nothing, when that cannot be before its deadline. `what` names it in the error."""
        with self._lock:
            now_ns = self.clock.monotonic_ns()
            if request.deadline_ns is not None and request.deadline_ns <= now_ns:
                raise _too_late(what, now_ns, now_ns)
            if not self._waiting and _fits(request, now_ns):
                _hold(request)
                return
            self._enqueue(request)
            self._pump(now_ns)
            self._check_deadline(request, now_ns)
        await self._wait(request, what)

    def leave(self, request: Request) -> None:
        """The request has reached the venue, or has failed on its way: its tokens come back a window from now."""
        with self._lock:
            if request.state == "held":
                now_ns = self.clock.monotonic_ns()
                for bucket, weight in request.charges:
                    bucket.spend(weight, now_ns)
                request.state = "spent"

    def refund(self, request: Request) -> None:
        """The request was not sent: its tokens are free."""
        with self._lock:
            self._drop(request)

    def hear(
        self,
        bucket: Bucket,
        request: Request | None,
        *,
        used: int | None,
        remaining: int | None,
        limit: int | None,
        reset_after_s: float | None,
    ) -> None:
        """What the venue's headers say of a bucket, in the answer to `request`."""
        with self._lock:
            now_ns = self.clock.monotonic_ns()
            if limit is not None:
                bucket.capacity = max(1, limit)
            if used is None and remaining is not None:
                used = bucket.capacity - remaining
            if used is not None:
                own = _weight(request, bucket) if request is not None and request.state == "held" else 0
                mark = None if request is None else request.marks.get(bucket)
                until_ns = None if reset_after_s is None else now_ns + round(reset_after_s * NS_PER_S)
                bucket.hear(used, now_ns, mark, own, until_ns)
            self._pump(now_ns)

    def close(self, bucket: Bucket, seconds: float) -> None:
        """Nothing that needs the bucket goes out for so long. Who cannot wait that long fails at once."""
        with self._lock:
            now_ns = self.clock.monotonic_ns()
            bucket.close(now_ns + round(seconds * NS_PER_S))
            for request in list(self._all_waiting()):
                if bucket in request.marks or any(bucket is charged for charged, _ in request.charges):
                    self._check_deadline(request, now_ns)
                    if request.refused:
                        self._wake(request)
            self._pump(now_ns)

    def utilisation(self, bucket: Bucket) -> float:
        """As `Bucket.utilisation`, now."""
        with self._lock:
            return bucket.utilisation(self.clock.monotonic_ns())

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return self._waiting

    # Waiting

    async def _wait(self, request: Request, what: str) -> None:
        try:
            while True:
                with self._lock:
                    now_ns = self.clock.monotonic_ns()
                    if request.state == "waiting" and not request.refused:
                        self._pump(now_ns)
                    if request.state == "held":
                        return
                    if request.refused or (request.deadline_ns is not None and request.deadline_ns <= now_ns):
                        raise _too_late(what, request.refused, now_ns)
                    request.future = asyncio.get_running_loop().create_future()
                    wake_ns = _earliest(request.wake_ns, request.deadline_ns)
                await self._sleep(request.future, None if wake_ns is None else wake_ns - now_ns)
        except BaseException:
            with self._lock:
                self._drop(request)
            raise

    async def _sleep(self, told: asyncio.Future[None], most_ns: int | None) -> None:
        """Returns when `told` is done, or after so many nanoseconds."""
        if most_ns is None:
            await told
            return
        timer = asyncio.ensure_future(self.clock.sleep(most_ns / NS_PER_S))
        try:
            await asyncio.wait((told, timer), return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()

    # Under the lock

    def _enqueue(self, request: Request) -> None:
        request.loop = asyncio.get_running_loop()
        request.state = "waiting"
        self._number += 1
        request.number = self._number
        self._waiting += 1
        self._lanes[request.lane].setdefault(_key(request), OrderedDict())[request.number] = request
        for bucket, weight in request.charges:
            bucket.queued[request.lane] += weight

    def _dequeue(self, request: Request) -> None:
        queues, key = self._lanes[request.lane], _key(request)
        del queues[key][request.number]
        if not queues[key]:
            del queues[key]
        self._waiting -= 1
        for bucket, weight in request.charges:
            bucket.queued[request.lane] -= weight

    def _drop(self, request: Request) -> None:
        """The request is given up, and leaves no hole."""
        if request.state == "waiting":
            self._dequeue(request)
        elif request.state == "held":
            for bucket, weight in request.charges:
                bucket.give_back(weight)
        else:
            return
        request.state = "gone"
        self._pump(self.clock.monotonic_ns())

    def _check_deadline(self, request: Request, now_ns: int) -> None:
        """Marks the request refused where all that is ahead of it cannot be through before its deadline."""
        if request.state != "waiting" or request.deadline_ns is None:
            return
        at_ns = max(
            bucket.opens_ns(max(weight, sum(bucket.queued[: request.lane + 1])), request.lane, now_ns)
            for bucket, weight in request.charges
        )
        if at_ns > request.deadline_ns:
            request.refused = at_ns

    def _pump(self, now_ns: int) -> None:
        """Lets through all that may go, and tells the first of each queue until when to sleep."""
        if not self._waiting:
            return
        lacking: dict[Bucket, int] = {}
        for queues in self._lanes:
            heads = [next(iter(queue.values())) for queue in queues.values()]
            while heads:
                head = min(heads, key=_number)
                heads.remove(head)
                if at_ns := _keeps(head, now_ns, lacking):
                    self._sleep_until(head, at_ns)
                    continue
                queue = queues[_key(head)]
                self._dequeue(head)
                _hold(head)
                if not self._wake(head):
                    self._drop_silently(head)
                if queue:
                    heads.append(next(iter(queue.values())))

    def _drop_silently(self, request: Request) -> None:
        """The request's loop is gone, and with it who waited."""
        for bucket, weight in request.charges:
            bucket.give_back(weight)
        request.state = "gone"

    def _sleep_until(self, head: Request, at_ns: int) -> None:
        earlier = head.wake_ns is None or at_ns < head.wake_ns
        head.wake_ns = at_ns
        if earlier:
            self._wake(head)

    def _wake(self, request: Request) -> bool:
        """Tells who waits to look again; False where the loop is gone."""
        future, loop = request.future, request.loop
        if loop is None or loop.is_closed():
            return False
        if future is None or future.done():
            # It has not begun to wait, or looks again anyhow.
            return True
        if loop is asyncio._get_running_loop():
            future.set_result(None)
            return True
        try:
            loop.call_soon_threadsafe(_finish, future)
        except RuntimeError:
            return False
        return True

    def _all_waiting(self) -> Iterator[Request]:
        for queues in self._lanes:
            for queue in queues.values():
                yield from queue.values()


def _keeps(request: Request, now_ns: int, lacking: dict[Bucket, int]) -> int:
    """Until when the request waits; 0 where it may go now. `lacking` says which buckets are wanted by others before it,
    and until when; what this one lacks is added."""
    at_ns = 0
    for bucket, weight in request.charges:
        until_ns = lacking.get(bucket, 0)
        if not bucket.fits(weight, request.lane, now_ns):
            until_ns = max(until_ns, bucket.opens_ns(weight, request.lane, now_ns))
        if until_ns:
            lacking[bucket] = until_ns
            at_ns = max(at_ns, until_ns)
    return at_ns


def _fits(request: Request, now_ns: int) -> bool:
    return all(bucket.fits(weight, request.lane, now_ns) for bucket, weight in request.charges)


def _hold(request: Request) -> None:
    for bucket, weight in request.charges:
        request.marks[bucket] = bucket.hold(weight)
    request.state = "held"


def _weight(request: Request, bucket: Bucket) -> int:
    return sum(weight for charged, weight in request.charges if charged is bucket)


def _key(request: Request) -> _Key:
    assert request.loop is not None
    return tuple(bucket for bucket, _ in request.charges), request.loop


def _number(request: Request) -> int:
    return request.number


def _earliest(*times_ns: int | None) -> int | None:
    return min((time_ns for time_ns in times_ns if time_ns is not None), default=None)


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _too_late(what: str, free_ns: int, now_ns: int) -> RateLimitError:
    wait_ns = max(0, free_ns - now_ns)
    when = f"; there is room in {wait_ns / NS_PER_S:.3f} s" if wait_ns else ""
    return RateLimitError(
        f"{what} cannot be sent before its deadline within the venue's limits{when}",
        retry_after_ms=-(-wait_ns // 1_000_000),
    )
