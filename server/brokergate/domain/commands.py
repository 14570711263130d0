"""What a client asks for, parsed: the engine's input. Made by `codec`, which has checked every field's form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from enum import IntEnum

from brokergate.domain.access import GATEWAY, Caller
from brokergate.domain.control import OrderResolution
from brokergate.domain.fills import Money
from brokergate.domain.money import ZERO
from brokergate.domain.orders import Order, OrderSpec, Side
from brokergate.domain.values import value


@value
class OrderRef:
    """Names an order by the gateway's id or the client's; the other one is empty."""

    order_id: str = ""
    client_order_id: str = ""


@value
class LinkedOrder:
    """A member of an OCO group beside the order that it comes with."""

    client_order_id: str
    spec: OrderSpec


@value
class PlaceOrder:
    """Place `spec` on `account_id`. `fingerprint` is equal for equal bodies, compared by parsed values (law 2);
    `method` is the RPC that brought it. With `oco`, or with legs in `spec`, it is a group of orders, all or none."""

    account_id: str
    client_order_id: str
    spec: OrderSpec
    fingerprint: bytes
    caller: Caller = GATEWAY
    method: str = "PlaceOrder"
    oco: tuple[LinkedOrder, ...] = ()
    allow_emulated: bool = False
    route_id: str = ""
    """The route that it comes by; `account_id` is empty until that has chosen."""

    @property
    def linked(self) -> tuple[str, ...]:
        """The client order ids of the others of its group; none where it stands alone."""
        if self.oco:
            return tuple([member.client_order_id for member in self.oco])
        legs = self.spec.take_profit, self.spec.stop_loss
        return tuple([leg.client_order_id for leg in legs if leg is not None])


class IfUnknown(IntEnum):
    """What to do with a cancel whose order is not known."""

    UNSPECIFIED = 0
    ERROR = 1
    TOMBSTONE = 2


@dataclass(frozen=True, slots=True)
class ReplaceOrder:
    """Change a working order; None leaves a field as it is. `quantity` is the total including fills."""

    account_id: str
    order: OrderRef
    expected_generation: int
    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_amount: Decimal | None = None
    trail_percent: Decimal | None = None
    expire_time_ns: int | None = None
    display_quantity: Decimal | None = None


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """Cancel a working order."""

    account_id: str
    order: OrderRef
    if_unknown: IfUnknown = IfUnknown.ERROR


@dataclass(frozen=True, slots=True)
class CancelAllOrders:
    """Cancel every working order of the account, of one symbol or side where given."""

    account_id: str
    symbol: str = ""
    side: Side = Side.UNSPECIFIED


@dataclass(frozen=True, slots=True)
class ClosePosition:
    """Close a position by a market order whose client_order_id is `request_id`; all of it when `quantity` is None."""

    account_id: str
    symbol: str
    request_id: str
    quantity: Decimal | None
    fingerprint: bytes
    caller: Caller = GATEWAY


@dataclass(frozen=True, slots=True)
class PushInstrument:
    """An instrument of a pushed market."""

    symbol: str
    price_increment: Decimal
    quantity_increment: Decimal
    quote_currency: str


@dataclass(frozen=True, slots=True)
class Slippage:
    """A slippage model by the configuration's names: of the model, and of its figures."""

    model: str
    figures: tuple[tuple[str, Decimal], ...]


@dataclass(frozen=True, slots=True)
class CreatePaperAccount:
    """Make a paper account: synthetic by `seed`, or pushed with `push_instruments`."""

    account_id: str
    initial_balances: tuple[Money, ...]
    seed: int | None
    push_instruments: tuple[PushInstrument, ...]
    taker_fee_percent: Decimal
    maker_fee_percent: Decimal
    slippage: Slippage | None = None
    participation_percent: Decimal | None = None
    commission_preset: str = ""
    """A published schedule in place of the two fees; '' for none."""
    leverage: Decimal | None = None
    """Times its equity that it may carry; None for a cash account."""
    request_latency_ms: Decimal = ZERO
    response_latency_ms: Decimal = ZERO
    latency_deviation_ms: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class EmergencyStop:
    """Stop `account_ids`, all when empty: refuse new orders, cancel what is open."""

    account_ids: tuple[str, ...]
    reason: str
    keep_protective_stops: bool = False
    flatten: bool = False


@dataclass(frozen=True, slots=True)
class ResumeTrading:
    """Take new orders again on `account_ids`, all when empty."""

    account_ids: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class ClearFreeze:
    """Trade `symbol` again, taking the broker's word."""

    account_id: str
    symbol: str
    reason: str


@dataclass(frozen=True, slots=True)
class ResolveOrder:
    """Say what became of an uncertain order. `cum_quantity` goes with ENDED, `broker_order_id` with WORKING."""

    account_id: str
    order: OrderRef
    resolution: OrderResolution
    cum_quantity: Decimal | None
    broker_order_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Request:
    """What makes a mutation repeatable: its `request_id`, its method, a fingerprint of its parsed body, who asked, and
    how its answer is stored. The engine gives the result to `encode` and journals the bytes beside the effect.
    """

    request_id: str
    method: str
    fingerprint: bytes
    encode: Callable[..., bytes] = field(repr=False)
    caller: Caller = GATEWAY

    @property
    def actor(self) -> str:
        """Who asked: the principal's name."""
        return self.caller.name


@value
class OrderFailure:
    """Why nothing was done for one order of several; `error` is a GatewayError."""

    error: Exception


@value
class Placed:
    """An order as it now stands, whether its client_order_id was known already, and the others of its group."""

    order: Order
    already_existed: bool
    linked: tuple[Order, ...] = ()


PlaceResult = Placed | OrderFailure
CancelResult = Order | OrderFailure
