"""Rate limits of a venue: one (`AdaptiveRateLimiter`), or several that requests are charged to at once
(`MultiEndpointRateLimiter`).

    limiter = MultiEndpointRateLimiter(
        {"order": {"weight": 1, "orders": 1}, "open orders": {"weight": 80}},
        limits={"weight": Limit(6000, 60.0, reserve=100), "orders": Limit(100, 10.0)},
    )
    async with limiter.limit("order", lane=Lane.NEW, deadline=clock.monotonic_ns() + 2_000_000_000) as permit:
        reply = await send()
        permit.hear("weight", used=int(reply.headers["X-MBX-USED-WEIGHT-1M"]))

Within `async with` the tokens are held, and they come back one window after its end: when the venue counted the request
is not known, but it was not later.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from brokergate.ports.clock import Clock, SystemClock
from brokergate.resilience.bucket import Bucket, Limit
from brokergate.resilience.gate import Charge, Gate, Request
from brokergate.resilience.lanes import Lane

Endpoint = tuple[int, float] | Limit | Mapping[str, int] | list[str]
"""What a request to an endpoint is charged: a limit of its own (`(requests, seconds)`), or the shared limits by name,
each with its weight (1 where only names are given)."""


class Permit:
    """One request's way through its limits: `async with` it around the sending. Good for one request."""

    def __init__(self, gate: Gate, request: Request, buckets: Mapping[str, Bucket], what: str) -> None:
        self._gate = gate
        self._request = request
        self._buckets = buckets
        self._what = what

    async def __aenter__(self) -> Self:
        """Waits for its turn. Raises `RateLimitError` when that cannot come before the deadline."""
        await self._gate.enter(self._request, self._what)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._gate.leave(self._request)

    def hear(
        self,
        limit_name: str = "",
        *,
        used: int | None = None,
        remaining: int | None = None,
        limit: int | None = None,
        reset_after: float | None = None,
    ) -> None:
        """What the venue's answer to this request says of a limit: what it counts as used or remaining, how much it
        allows, and in how many seconds it forgets what is used."""
        self._gate.hear(
            self._buckets[limit_name], self._request,
            used=used, remaining=remaining, limit=limit, reset_after_s=reset_after,
        )  # fmt: skip

    def refund(self) -> None:
        """Nothing was sent: the tokens are free again."""
        self._gate.refund(self._request)


class AdaptiveRateLimiter:
    """`max_requests` in any `time_window` seconds; `reserve` of them only for cancels.

    `async with limiter:` waits for one token, which comes back `time_window` after that moment; `limit()` does more.
    Safe among tasks, and among threads with loops of their own.
    """

    def __init__(
        self, max_requests: int, time_window: float, *, reserve: int = 0, clock: Clock | None = None
    ) -> None:
        self._gate = Gate(clock or SystemClock())
        self._bucket = Bucket("", Limit(max_requests, time_window, reserve))
        self._buckets = {"": self._bucket}

    async def __aenter__(self) -> Self:
        """Waits for one token, in the lane of queries."""
        await self.acquire()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def acquire(self, weight: int = 1, lane: Lane = Lane.QUERY, deadline: int | None = None) -> None:
        """As `limit`, for a request that is sent and counted at once."""
        async with self.limit(weight, lane, deadline):
            pass

    def limit(self, weight: int = 1, lane: Lane = Lane.QUERY, deadline: int | None = None) -> Permit:
        """A request of `weight`. `deadline`: monotonic nanoseconds, as the clock gives them; a request that cannot be
        sent until then fails at once with `RateLimitError` and is charged nothing."""
        charges = [(self._bucket, _checked(self._bucket, weight, lane))]
        return Permit(self._gate, Request(charges, lane, _ns(deadline)), self._buckets, "the request")

    def hear(
        self,
        *,
        used: int | None = None,
        remaining: int | None = None,
        limit: int | None = None,
        reset_after: float | None = None,
    ) -> None:
        """As `Permit.hear`, where it belongs to no request of this limiter."""
        self._gate.hear(
            self._bucket, None, used=used, remaining=remaining, limit=limit, reset_after_s=reset_after
        )

    def close_for(self, seconds: float) -> None:
        """The venue wants silence for so long (Retry-After, a ban): nothing goes out, cancels neither."""
        self._gate.close(self._bucket, seconds)

    @property
    def utilisation(self) -> float:
        """The share of the limit that is used now."""
        return self._gate.utilisation(self._bucket)

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return self._gate.waiting


class MultiEndpointRateLimiter:
    """A limit for each endpoint, or several shared ones that an endpoint's requests are charged to at once: all of them
    or none. Safe among tasks, and among threads with loops of their own."""

    def __init__(
        self,
        endpoints: Mapping[str, Endpoint],
        *,
        limits: Mapping[str, Limit] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._gate = Gate(clock or SystemClock())
        self._buckets: dict[str, Bucket] = {}
        self._endpoints: dict[str, tuple[Charge, ...]] = {}
        self.add(endpoints, limits=limits)

    def add(self, endpoints: Mapping[str, Endpoint], *, limits: Mapping[str, Limit] | None = None) -> None:
        """More endpoints and limits, such as those of another account at the same address. Names that are known stay as
        they are."""
        for name, limit in (limits or {}).items():
            self._buckets.setdefault(name, Bucket(name, limit))
        for name, endpoint in endpoints.items():
            if name not in self._endpoints:
                self._endpoints[name] = self._charges(name, endpoint)

    def _charges(self, name: str, endpoint: Endpoint) -> tuple[Charge, ...]:
        if isinstance(endpoint, Limit):
            return ((self._buckets.setdefault(name, Bucket(name, endpoint)), 1),)
        if isinstance(endpoint, Mapping):
            return tuple((self._bucket(limit), weight) for limit, weight in endpoint.items())
        if isinstance(endpoint, tuple):
            return self._charges(name, Limit(*endpoint))
        return tuple((self._bucket(limit), 1) for limit in endpoint)

    def _bucket(self, name: str) -> Bucket:
        if name not in self._buckets:
            known = ", ".join(sorted(self._buckets)) or "none"
            raise LookupError(f"there is no limit {name!r}; there are: {known}")
        return self._buckets[name]

    def limit(
        self,
        endpoint: str,
        weight: int | Mapping[str, int] = 1,
        lane: Lane = Lane.QUERY,
        deadline: int | None = None,
        what: str = "",
    ) -> Permit:
        """A request to `endpoint`, which errors call `what`, or by the endpoint's name. `weight`: how many times its
        charges, or the charge of limits by name, in place of the endpoint's. `deadline` as for
        `AdaptiveRateLimiter.limit`."""
        charges = self._endpoints.get(endpoint)
        if charges is None:
            known = ", ".join(sorted(self._endpoints)) or "none"
            raise LookupError(f"there is no endpoint {endpoint!r}; there are: {known}")
        if isinstance(weight, int):
            if weight != 1:
                charges = tuple((bucket, weight * each) for bucket, each in charges)
        else:
            charges = tuple((bucket, weight.get(bucket.name, each)) for bucket, each in charges)
        for bucket, each in charges:
            _checked(bucket, each, lane)
        return Permit(self._gate, Request(charges, lane, _ns(deadline)), self._buckets, what or endpoint)

    def hear(
        self,
        limit_name: str,
        *,
        used: int | None = None,
        remaining: int | None = None,
        limit: int | None = None,
        reset_after: float | None = None,
    ) -> None:
        """As `Permit.hear`, where it belongs to no request of this limiter."""
        self._gate.hear(
            self._bucket(limit_name), None,
            used=used, remaining=remaining, limit=limit, reset_after_s=reset_after,
        )  # fmt: skip

    def close_for(self, limit_name: str, seconds: float) -> None:
        """The venue wants silence for so long (Retry-After, a ban): nothing that is charged to this limit goes out,
        cancels neither."""
        self._gate.close(self._bucket(limit_name), seconds)

    @property
    def utilisation(self) -> Mapping[str, float]:
        """The share of each limit that is used now."""
        return {name: self._gate.utilisation(bucket) for name, bucket in self._buckets.items()}

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return self._gate.waiting


def _checked(bucket: Bucket, weight: int, lane: Lane) -> int:
    if weight < 0 or weight > bucket.room(lane):
        limit = f"limit {bucket.name!r}" if bucket.name else "limit"
        raise ValueError(f"a request of weight {weight} never fits the {limit} of {bucket.room(lane)}")
    return weight


def _ns(deadline: int | None) -> int | None:
    if isinstance(deadline, float):
        raise TypeError("a deadline is an int: monotonic nanoseconds, as clock.monotonic_ns() gives them")
    return deadline
