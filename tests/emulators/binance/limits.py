"""The venue's limits: request weight by address, requests, unfilled orders by account, and bans.

Windows are aligned to their interval. Who goes on asking after 429 is banned (418), every time longer: two minutes to
three days (rest-api.md, "IP Limits"; faqs/order_count_decrement.md).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.emulators.binance.errors import ApiError

SECOND_NS = 1_000_000_000
FIRST_BAN_S = 120
LONGEST_BAN_S = 3 * 86_400
_UNITS = {"SECOND": ("S", 1), "MINUTE": ("M", 60), "DAY": ("D", 86_400)}


@dataclass(slots=True)
class Window:
    """One limit."""

    kind: str
    interval: str
    count: int
    limit: int
    used: int = 0
    started: int = 0

    @property
    def seconds(self) -> int:
        """How long it lasts."""
        return _UNITS[self.interval][1] * self.count

    @property
    def label(self) -> str:
        """As a header has it: `1M`, `10S`."""
        return f"{self.count}{_UNITS[self.interval][0]}"

    def turn(self, now_ns: int) -> None:
        """Begins anew where its time is over."""
        number = now_ns // (self.seconds * SECOND_NS)
        if number != self.started:
            self.started, self.used = number, 0

    def wait_s(self, now_ns: int) -> int:
        """Seconds until it begins anew, rounded up."""
        end_ns = (self.started + 1) * self.seconds * SECOND_NS
        return max(1, -(-(end_ns - now_ns) // SECOND_NS))

    def shown(self, *, used: bool) -> dict[str, Any]:
        """As exchangeInfo shows it, with how much is used where that is asked for."""
        told: dict[str, Any] = {
            "rateLimitType": self.kind,
            "interval": self.interval,
            "intervalNum": self.count,
            "limit": self.limit,
        }
        return told | {"count": self.used} if used else told


def _weight() -> Window:
    return Window("REQUEST_WEIGHT", "MINUTE", 1, 6000)


def _raw() -> Window:
    return Window("RAW_REQUESTS", "MINUTE", 5, 300_000)


def _connections() -> Window:
    return Window("CONNECTIONS", "MINUTE", 5, 300)


def _orders() -> list[Window]:
    return [Window("ORDERS", "SECOND", 10, 100), Window("ORDERS", "DAY", 1, 200_000)]


@dataclass(slots=True)
class Limits:
    """All of them, for the one address and the one account that the emulator has."""

    weight: Window = field(default_factory=_weight)
    raw: Window = field(default_factory=_raw)
    orders: list[Window] = field(default_factory=_orders)
    connections: Window = field(default_factory=_connections)
    tolerance: int = 5
    """So many requests after 429 within one window are answered with 429 again; the next one is a ban."""
    refused: int = 0
    bans: int = 0
    banned_until_ns: int = 0
    most_used: int = 0
    """The most weight that was ever used in one window: what a test of a limiter looks at."""

    def set(self, **limits: int) -> None:
        """Other limits: weight, raw, orders_10s, orders_1d, connections, tolerance."""
        for name, limit in limits.items():
            match name:
                case "weight":
                    self.weight.limit = limit
                case "raw":
                    self.raw.limit = limit
                case "orders_10s":
                    self.orders[0].limit = limit
                case "orders_1d":
                    self.orders[1].limit = limit
                case "connections":
                    self.connections.limit = limit
                case "tolerance":
                    self.tolerance = limit
                case _:
                    raise ValueError(f"no limit {name!r}")

    def turn(self, now_ns: int) -> None:
        """Time has passed."""
        before = self.weight.started
        for window in (self.weight, self.raw, self.connections, *self.orders):
            window.turn(now_ns)
        if self.weight.started != before:
            self.refused = 0

    def check(self, now_ns: int, shown_ms: int) -> None:
        """A request has come: refused where the address is banned or has used its weight."""
        self.turn(now_ns)
        if now_ns < self.banned_until_ns:
            raise self._banned(now_ns, shown_ms)
        self.raw.used += 1
        if self.weight.used < self.weight.limit and self.raw.used <= self.raw.limit:
            return
        self.refused += 1
        if self.refused > self.tolerance:
            length_s = min(FIRST_BAN_S * 4**self.bans, LONGEST_BAN_S)
            self.bans += 1
            self.refused = 0
            self.ban(now_ns, length_s)
            raise self._banned(now_ns, shown_ms)
        wait_s = self.weight.wait_s(now_ns)
        raise ApiError(
            -1003,
            f"Too much request weight used; current limit is {self.weight.limit} request weight per 1 MINUTE. "
            "Please use WebSocket Streams for live updates to avoid polling the API.",
            429,
            {"serverTime": shown_ms, "retryAfter": shown_ms + wait_s * 1000},
        )

    def ban(self, now_ns: int, seconds: int) -> None:
        """The address is answered with 418 for so long."""
        self.banned_until_ns = now_ns + seconds * SECOND_NS

    def charge(self, weight: int) -> None:
        """A request has cost so much."""
        self.weight.used += weight
        self.most_used = max(self.most_used, self.weight.used)

    def check_orders(self, count: int, now_ns: int, shown_ms: int) -> None:
        """So many orders come: refused where the account has too many that have not filled."""
        self.turn(now_ns)
        for window in self.orders:
            if window.used + count > window.limit:
                allowed = f"{window.limit} orders per {window.count} {window.interval}"
                raise ApiError(
                    -1015,
                    f"Too many new orders; current limit is {allowed}.",
                    429,
                    {
                        "serverTime": shown_ms,
                        "retryAfter": shown_ms + window.wait_s(now_ns) * 1000,
                    },
                )

    def count_orders(self, count: int) -> None:
        """So many orders came."""
        for window in self.orders:
            window.used += count

    def order_filled(self) -> None:
        """An order got its first fill: it counts no more."""
        for window in self.orders:
            window.used = max(0, window.used - 1)

    def connect(self, now_ns: int) -> bool:
        """A WebSocket connection comes; whether it may."""
        self.turn(now_ns)
        self.connections.used += 1
        return self.connections.used <= self.connections.limit and now_ns >= self.banned_until_ns

    def _banned(self, now_ns: int, shown_ms: int) -> ApiError:
        left_ms = (self.banned_until_ns - now_ns) // 1_000_000
        until_ms = shown_ms + left_ms
        return ApiError(
            -1003,
            f"Way too much request weight used; IP banned until {until_ms}. "
            "Please use WebSocket Streams for live updates to avoid bans.",
            418,
            {"serverTime": shown_ms, "retryAfter": until_ms},
        )
