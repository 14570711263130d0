"""Binance's rate limits: weight and requests of this address, orders of each account.

Source: rest-api.md, "LIMITS", of binance/binance-spot-api-docs. `exchangeInfo` tells the figures, and the headers of
each answer what Binance counts; until it was asked the documented figures hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from brokergate.adapters.binance.listing import RateLimit
from brokergate.adapters.binance.wire import Request
from brokergate.ports.clock import Clock
from brokergate.resilience.bucket import Limit
from brokergate.resilience.limiter import MultiEndpointRateLimiter, Permit

WEIGHT, RAW = "weight", "requests"
DOCUMENTED = (RateLimit("ORDERS", 10, "10S", 50), RateLimit("ORDERS", 86_400, "1D", 160_000))
BAN_S = 60.0
"""Seconds of silence after a 429 or 418 that does not say for how long: the window of the weight."""
ORDERS_S = 10.0
"""Likewise, after too many orders: the shortest window in which they are counted."""
_CANCELS = 200
"""Weight of each minute that is kept for cancels."""


def address_limits(clock: Clock) -> MultiEndpointRateLimiter:
    """The limits of one address, for all accounts of the process."""
    limits = {WEIGHT: Limit(6000, 60.0, _CANCELS), RAW: Limit(300_000, 300.0, _CANCELS)}
    return MultiEndpointRateLimiter({"query": [WEIGHT, RAW]}, limits=limits, clock=clock)


class Budget:
    """One account's part in the limits of its address."""

    def __init__(self, limiter: MultiEndpointRateLimiter, credential: str) -> None:
        self._limiter = limiter
        self._credential = credential
        self._orders: dict[str, str] = {}
        self._suffix = "1M"
        self._add(DOCUMENTED)

    def _add(self, limits: Sequence[RateLimit]) -> None:
        for limit in limits:
            name = f"orders/{limit.suffix} {self._credential}"
            self._orders[limit.suffix] = name
            self._limiter.add({}, limits={name: Limit(limit.limit, limit.seconds)})
        charges: Mapping[str, int] = {WEIGHT: 1, RAW: 1, **dict.fromkeys(self._orders.values(), 1)}
        self._limiter.add({self._endpoint: charges})

    @property
    def _endpoint(self) -> str:
        return f"orders {'+'.join(sorted(self._orders))} {self._credential}"

    def learn(self, limits: Sequence[RateLimit]) -> None:
        """Takes the limits that `exchangeInfo` tells."""
        for limit in limits:
            if limit.kind == "REQUEST_WEIGHT":
                self._suffix = limit.suffix
                self._limiter.hear(WEIGHT, limit=limit.limit)
            elif limit.kind == "RAW_REQUESTS":
                self._limiter.hear(RAW, limit=limit.limit)
        orders = [limit for limit in limits if limit.kind == "ORDERS"]
        self._add(orders)
        for limit in orders:
            self._limiter.hear(self._orders[limit.suffix], limit=limit.limit)

    def permit(self, request: Request, deadline_ns: int) -> Permit:
        """The way of one request through the limits; `deadline_ns` is monotonic."""
        weights = {WEIGHT: request.weight}
        if not request.orders:
            return self._limiter.limit("query", weights, request.lane, deadline_ns, "the request")
        weights |= dict.fromkeys(self._orders.values(), request.orders)
        return self._limiter.limit(self._endpoint, weights, request.lane, deadline_ns, "the order")

    def hear(self, permit: Permit, request: Request, headers: Mapping[str, str]) -> None:
        """Takes what an answer says is used. Orders are told where the request was charged to them."""
        _tell(permit, WEIGHT, headers.get(f"X-MBX-USED-WEIGHT-{self._suffix}"))
        if request.orders:
            for suffix, name in self._orders.items():
                _tell(permit, name, headers.get(f"X-MBX-ORDER-COUNT-{suffix}"))

    def silence(self, headers: Mapping[str, str], *, orders: bool = False) -> float:
        """Binance wants silence: nothing goes out for the seconds that it gives back; with `orders` no new order of
        this account, and all else does."""
        text = headers.get("Retry-After", "")
        told = float(text) if text.isascii() and text.isdigit() else None
        if orders:
            seconds = ORDERS_S if told is None else told
            for name in self._orders.values():
                self._limiter.close_for(name, seconds)
            return seconds
        seconds = BAN_S if told is None else told
        self._limiter.close_for(WEIGHT, seconds)
        return seconds

    def utilisation(self) -> Mapping[str, float]:
        """The share of each limit of this account and its address that is used."""
        names = {WEIGHT: WEIGHT, RAW: RAW}
        names |= {name: f"orders/{suffix}" for suffix, name in self._orders.items()}
        used = self._limiter.utilisation
        return {shown: used[name] for name, shown in names.items()}


def _tell(permit: Permit, name: str, used: str | None) -> None:
    if used is not None and used.isascii() and used.isdigit():
        permit.hear(name, used=int(used))
