"""Executions."""

from __future__ import annotations

from decimal import Decimal
from enum import IntEnum

from brokergate.domain.orders import Side
from brokergate.domain.values import value


class Liquidity(IntEnum):
    """Whether a fill took liquidity or gave it."""

    UNSPECIFIED = 0
    MAKER = 1
    TAKER = 2


class FillOrigin(IntEnum):
    """How the gateway came to know a fill."""

    UNSPECIFIED = 0
    LIVE = 1
    BACKFILL = 2


class FillKind(IntEnum):
    """What a fill does to the ones before it."""

    UNSPECIFIED = 0
    NORMAL = 1
    CORRECTION = 2
    BUST = 3


@value
class Money:
    """An exact amount of one currency."""

    amount: Decimal
    currency: str


@value
class Fill:
    """One execution; the fields are those of `Fill` in `fill.proto`. Times are nanoseconds since the epoch."""

    fill_id: str
    account_id: str
    order_id: str
    client_order_id: str
    broker_order_id: str
    broker_execution_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    fees: tuple[Money, ...]
    liquidity: Liquidity
    event_time_ns: int
    receive_time_ns: int
    fees_final: bool = True
    origin: FillOrigin = FillOrigin.LIVE
    kind: FillKind = FillKind.NORMAL
    corrects_fill_id: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it one execution on its account (law 7): symbol, broker order id, execution id."""
        return (self.symbol, self.broker_order_id, self.broker_execution_id)
