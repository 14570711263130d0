"""What may be traded: whether accounts take orders, emergency stops, and who asked for what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from brokergate_client.enums import StopPhase, TradingState
from brokergate_client.exact import time_of


@dataclass(frozen=True, slots=True)
class AccountTradingState:
    """Whether an account takes new orders, and why not. `stop_operation_id` names the emergency stop that holds;
    `frozen_symbols` are the instruments that take none, whatever the state."""

    account_id: str
    state: TradingState | int
    reason: str
    since_time_ns: int
    stop_operation_id: str = ""
    frozen_symbols: tuple[str, ...] = ()

    @property
    def since_time(self) -> datetime:
        """Since when."""
        return time_of(self.since_time_ns)


@dataclass(frozen=True, slots=True)
class Stopped:
    """An emergency stop that is latched: no account of `states` takes orders until it is resumed."""

    operation_id: str
    states: tuple[AccountTradingState, ...]


@dataclass(frozen=True, slots=True)
class StopProgress:
    """What an emergency stop found and did on an account up to now. `open_orders` were open when it began,
    `ended_orders` of them have ended; `uncertain_orders` are those that the gateway asks the broker about,
    `kept_orders` protective stops that are left working. `open_positions` are symbols, 64 at most."""

    phase: StopPhase | int
    open_orders: int
    ended_orders: int
    remaining_orders: int
    uncertain_orders: int
    kept_orders: int
    open_positions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StopUpdate:
    """How an emergency stop stands on an account. `resumed`: somebody ended it, whether it was proven or not."""

    account_id: str
    time_ns: int
    operation_id: str
    progress: StopProgress | None
    resumed: bool = False

    @property
    def proven(self) -> bool:
        """Whether what the stop was asked for is proven on this account."""
        return not self.resumed and self.progress is not None and self.progress.phase == StopPhase.DONE

    @property
    def time(self) -> datetime:
        """When it was journalled, by the gateway's clock."""
        return time_of(self.time_ns)


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One command that the gateway took. `actor` is the token's name, `peer` where the call came from, `client_name`
    what the client calls itself, `method` the RPC. An order has its `client_order_id` in place of a `request_id`."""

    account_id: str
    time_ns: int
    actor: str
    peer: str
    client_name: str
    method: str
    request_id: str
    client_order_id: str
    order_id: str

    @property
    def time(self) -> datetime:
        """When it was journalled, by the gateway's clock."""
        return time_of(self.time_ns)
