"""Orders and executions at the emulated TWS, as they stand."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from brokergate.domain.fills import Liquidity
from brokergate.domain.orders import OrderState
from tests.emulators.orders import VenueOrderState
from tests.emulators.tws.asked import Asked
from tests.emulators.tws.contracts import Listed

ZERO = Decimal(0)
LIVE = ("PendingSubmit", "PreSubmitted", "Submitted", "PendingCancel")
"""The statuses of an order that can fill (tws-api, "Possible Order States")."""
_STATES = {
    "Filled": OrderState.FILLED,
    "Cancelled": OrderState.CANCELED,
    "Inactive": OrderState.REJECTED,
}


@dataclass(slots=True, eq=False)
class TwsOrder:
    """One order. Prices are the emulator's, in the currency; those in `asked` are as the wire has them."""

    number: int
    """1, 2, 3 … in the order in which they came."""
    order_id: int
    """The client's; 0 for an order of TWS's own windows."""
    client_id: int
    perm_id: int
    listed: Listed
    asked: Asked
    account: str
    created_ns: int
    status: str = "PendingSubmit"
    external: bool = False
    """Whether somebody else placed it on the account (the control plane)."""
    transmitted: bool = True
    asleep: str = ""
    """What it waits for before it goes to the market; empty where it is there."""
    triggered: bool = False
    filled: Decimal = ZERO
    notional: Decimal = ZERO
    """Σ price × quantity."""
    last_price: Decimal = ZERO
    commission: Decimal = ZERO
    part: VenueOrderState | None = None
    """What works of it in the matching venue."""
    executions: list[TwsExecution] = field(default_factory=list)
    ended_ns: int = 0
    why: str = ""
    """How it ended, in the words of a completed order."""
    generation: int = 1

    @property
    def live(self) -> bool:
        """Whether it can still fill."""
        return self.status in LIVE

    @property
    def left(self) -> Decimal:
        """What may still fill; of an ended order what did not."""
        return self.asked.quantity - self.filled

    @property
    def average(self) -> Decimal:
        """The average price, to eight places as TWS shows it; 0 before anything has filled."""
        return (self.notional / self.filled).quantize(Decimal("1e-8")) if self.filled else ZERO

    @property
    def state(self) -> OrderState:
        """In the gateway's terms."""
        if self.live:
            return OrderState.PARTIALLY_FILLED if self.filled else OrderState.NEW
        return _STATES[self.status]


@dataclass(slots=True, eq=False)
class TwsExecution:
    """One execution, or the correction of one. `execution_id` ends with the number of its version, `.01` at first."""

    execution_id: str
    order: TwsOrder
    quantity: Decimal
    price: Decimal
    cumulated: Decimal
    average: Decimal
    commission: Decimal
    liquidity: Liquidity
    time_ns: int
    shown_ns: int = 0
    """When it was, by the clock that clients are told."""
    realized: Decimal | None = None
    """The P&L that it realised, net of its commission; None where it opened."""
