"""Control of what may be traded: stops, disagreements, resolutions, the audit. Numbers as `trading_control.proto`."""

from __future__ import annotations

from enum import IntEnum

from brokergate.domain.values import value


class StopPhase(IntEnum):
    """How far an emergency stop is on an account."""

    UNSPECIFIED = 0
    CANCELLING = 1
    FLATTENING = 2
    DONE = 3


@value
class StopProgress:
    """What a stop found and did on an account up to now; the fields are those of `StopProgress` in the contract."""

    phase: StopPhase
    open_orders: int = 0
    ended_orders: int = 0
    remaining_orders: int = 0
    uncertain_orders: int = 0
    kept_orders: int = 0
    open_positions: tuple[str, ...] = ()


@value
class Stop:
    """An emergency stop that holds on an account. `operation_id` follows from the request's id; `actor` is empty where
    the gateway stopped by itself."""

    operation_id: str
    request_id: str
    reason: str
    actor: str
    since_ns: int
    keep_protective_stops: bool = False
    flatten: bool = False
    phase: StopPhase = StopPhase.CANCELLING
    open_orders: int = 0
    """Orders that were open when it began."""


class DiscrepancyState(IntEnum):
    """Where a disagreement stands."""

    UNSPECIFIED = 0
    OPEN = 1
    RESOLVED = 2


@value
class Discrepancy:
    """The broker and the journal disagree, and nothing explains it. OPEN freezes `symbol` on the account."""

    discrepancy_id: str
    account_id: str
    symbol: str
    order_id: str
    expected: str
    actual: str
    message: str
    detect_time_ns: int
    state: DiscrepancyState = DiscrepancyState.OPEN


class OrderResolution(IntEnum):
    """What a person says of an order whose outcome cannot be proven."""

    UNSPECIFIED = 0
    NEVER_PLACED = 1
    ENDED = 2
    WORKING = 3


@value
class AuditRecord:
    """One command that the gateway took. `number` is what lists are paged by: newer is higher."""

    number: int
    account_id: str
    time_ns: int
    actor: str
    peer: str
    client_name: str
    method: str
    request_id: str
    client_order_id: str
    order_id: str
