"""The port to a broker: what an adapter, the paper venue among them, does for the engine.

A command returns Accepted, Rejected or Unknown and raises for none of them. A query returns a
complete answer or raises a `BrokerError`: a failed query is not an empty answer (law 4).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from brokergate.domain.accounts import (
    BrokerAccountInfo,
    BrokerBalance,
    BrokerPosition,
    ConnectionState,
    Environment,
    LedgerEntry,
)
from brokergate.domain.capabilities import Capabilities
from brokergate.domain.errors import ErrorReason, GatewayError
from brokergate.domain.events import OrderEventType
from brokergate.domain.faults import FaultPlan
from brokergate.domain.fills import FillKind, FillOrigin, Liquidity, Money
from brokergate.domain.instruments import Instrument
from brokergate.domain.market import BarView, BookView, MarketDatum, QuoteView
from brokergate.domain.orders import Order, OrderSpec, OrderState, OrderType, Side, TimeInForce
from brokergate.domain.values import value


@value
class OrderReport:
    """What the venue says of one of its orders other than a fill.

    `event` is ACKNOWLEDGED, REJECTED, TRIGGERED, CANCELED, EXPIRED, CANCEL_REJECTED, REPLACED or REPLACE_REJECTED.
    `client_order_id` is the gateway's client's; empty where the venue does not know it.
    """

    event: OrderEventType
    client_order_id: str
    broker_order_id: str
    event_time_ns: int
    reason: ErrorReason = ErrorReason.UNSPECIFIED
    message: str = ""
    quantity: Decimal | None = None
    """For REPLACED: the new total, filled ones included, where the venue changed it by itself (one leg of a group fills
    and the other shrinks; a split of the shares); None where a replace was asked for."""


@value
class FillReport:
    """One execution as the venue tells it; fees positive are a cost. One that was told with `fees_final` false is told
    again, under its execution id, when its fees are known."""

    client_order_id: str
    broker_order_id: str
    execution_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    fees: tuple[Money, ...]
    liquidity: Liquidity
    event_time_ns: int
    fees_final: bool = True
    origin: FillOrigin = FillOrigin.LIVE
    kind: FillKind = FillKind.NORMAL
    corrects: tuple[str, ...] = ()
    """For CORRECTION and BUST: the execution ids under which it may have been told before, the latest first. The first
    that was booked is what it replaces or takes back; where none was, a correction is an execution like any other, and
    a bust nothing."""


@dataclass(frozen=True, slots=True)
class MarginReport:
    """A margin account is called for margin, or is being liquidated."""

    liquidation: bool
    message: str


@dataclass(frozen=True, slots=True)
class ConnectionReport:
    """The connection changed."""

    state: ConnectionState
    message: str = ""


@value
class VenueOrder:
    """One order as the venue shows it. `client_order_id` is the gateway's client's, empty for an order of others."""

    client_order_id: str
    broker_order_id: str
    symbol: str
    side: Side
    type: OrderType
    quantity: Decimal
    cum_quantity: Decimal
    state: OrderState
    """NEW, PARTIALLY_FILLED or an ended one."""
    update_time_ns: int
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.UNSPECIFIED
    reason: ErrorReason = ErrorReason.UNSPECIFIED
    """Why it ended, for REJECTED."""
    message: str = ""


Report = (
    OrderReport
    | FillReport
    | VenueOrder
    | BrokerPosition
    | BrokerBalance
    | LedgerEntry
    | MarginReport
    | ConnectionReport
)
"""What a broker tells, in the order in which it happened there. Positions and balances are absolute; a VenueOrder is
one that came into being at the venue without the gateway, such as a liquidation's."""


@value
class Accepted:
    """The venue took the command. `reports` is what it told with its answer, and everything before that which
    `events()` has not yet given, in order: the engine applies them first."""

    broker_order_id: str = ""
    reports: Sequence[Report] = ()


@value
class Rejected:
    """The venue, by its word, refused the command."""

    reason: ErrorReason
    message: str
    reports: Sequence[Report] = ()


@value
class Unknown:
    """Nobody knows whether the venue took the command (law 3)."""

    message: str
    reports: Sequence[Report] = ()


Outcome = Accepted | Rejected | Unknown


@dataclass(frozen=True, slots=True)
class ReplaceCommand:
    """A change of a working order: `spec` as it shall be, `quantity` the new total including fills."""

    order: Order
    spec: OrderSpec
    quantity: Decimal


class GroupKind(Enum):
    """What links the orders of a group."""

    OCO = "oco"
    """Orders in one instrument, of one quantity. One that fills takes as much from the others, in one step with the
    fill: REPLACED with their new total; one that is full cancels them (CANCELED, LINKED_ORDER). One that ends otherwise
    leaves the others as they are. Some venues cancel the others at the first fill, and with any one of them."""
    BRACKET = "bracket"
    """The first is the entry. The others, an OCO among themselves, close what it fills and sleep until it does: they
    never sell more than has been bought. An entry that ends early leaves them what it filled (REPLACED), or takes them
    with it where that is nothing (CANCELED, LINKED_ORDER). At some venues they sleep until the entry is full, and end
    with it whatever it filled."""


@dataclass(frozen=True, slots=True)
class OrderGroup:
    """Orders that stand and fall together. They share a `group_id`, the first one's order id."""

    kind: GroupKind
    orders: tuple[Order, ...]


@value
class Found:
    """The venue shows the order."""

    order: VenueOrder


@value
class Absent:
    """The venue answered completely, for all the time since the order was sent, and does not have it."""


@value
class Failed:
    """Nobody knows: the query failed, or its answer does not cover the time of sending (law 4)."""

    message: str
    for_good: bool = False
    """Whether no later answer would know either: then evidence of another kind ends the order, or a person."""


FindResult = Found | Absent | Failed


@dataclass(frozen=True, slots=True)
class FillPage:
    """Executions after a watermark, oldest first. `watermark` goes into the next query; until `complete` there are
    more. A watermark is the adapter's own text; '' asks for all that the venue still has."""

    fills: Sequence[FillReport]
    watermark: str
    complete: bool


@dataclass(frozen=True, slots=True)
class Preview:
    """What an order would do now. Notional, fees and funds as `PreviewOrderResponse` documents them."""

    estimated_price: Decimal | None
    estimated_fill_quantity: Decimal
    estimated_notional: Money
    estimated_fees: tuple[Money, ...]
    required_funds: Money
    rejection: tuple[ErrorReason, str] | None = None


@dataclass(frozen=True, slots=True)
class AccessReport:
    """What the credentials of an account may do at the venue, in its own words."""

    may_trade: bool | None = None
    """Whether the venue takes orders with them; None where it does not say."""
    permissions: Sequence[str] = ()
    """What the venue calls them: `SPOT`, `crypto: ACTIVE`."""
    warnings: Sequence[str] = ()
    """What a person should know before trading: that they could withdraw, that the account is blocked in part."""
    clock_offset_ns: int | None = None
    """The venue's clock less ours; None where it is not measured."""


@dataclass(frozen=True, slots=True)
class VenueHistory:
    """An in-process venue's state as of a snapshot, and the steps that were committed after it, in order."""

    snapshot: bytes | None
    steps: Sequence[bytes]


@value
class VenueStep:
    """What the venue did since it was asked last: in the commit of its effects, after those of before."""

    body: bytes


@value
class VenueSnapshot:
    """The venue's whole state: takes the place of the snapshot and the steps of before."""

    body: bytes


@dataclass(frozen=True, slots=True)
class RestoredState:
    """What the journal knows of an account at start: what the paper venue takes up again."""

    open_orders: Sequence[Order]
    positions: Sequence[BrokerPosition]
    balances: Sequence[BrokerBalance]
    fills: int
    """Executions ever booked: the venue's execution ids go on from here."""
    orders: int
    """Orders ever placed: the venue's order ids go on from here."""
    venue: VenueHistory | None = None
    """What a venue had the journal keep of its own state; None where there is nothing."""


class AbstractBroker(ABC):
    """One account at one broker."""

    name: str
    """The adapter's name: `paper`, `binance`."""
    environment: Environment
    capabilities: Capabilities
    in_process: bool = False
    """Whether no byte of a command leaves the process and no command suspends: then an order's intent and outcome
    share one commit (law 1)."""
    tells_of_others: bool = True
    """Whether `events()` tells what becomes of orders that others placed; where not, only queries show it."""
    keeps_venue: bool = False
    """Whether the journal keeps the state of its venue: it is asked for it with each commit, and given it back. All
    that such a venue ever did it did for this gateway."""

    @abstractmethod
    async def connect(self, state: RestoredState) -> None:
        """Connects: when it returns, `events()` gives what happens from now on, and queries are answered. Raises a
        `BrokerError` otherwise. May be called again after `close`, and after `events()` has ended; an in-process
        venue then begins from `state`, which is what is durable."""

    @abstractmethod
    async def close(self) -> None:
        """Ends the connection; `events()` and `market_data()` end."""

    @abstractmethod
    async def place_orders(self, orders: Sequence[Order]) -> Sequence[Outcome]:
        """Places `orders` one after another; `outcomes[i]` belongs to `orders[i]`. Reports that concern several
        (positions, balances) may come once, with the last."""

    async def place_group(self, group: OrderGroup) -> Sequence[Outcome]:
        """Places linked orders, all or none; `outcomes[i]` belongs to `group.orders[i]`. Asked only of a broker whose
        capabilities say that it links such a group itself."""
        refused = Rejected(ErrorReason.UNSUPPORTED, f"{self.name} does not link orders")
        return [refused for _ in group.orders]

    async def place_order(self, order: Order) -> Outcome:
        """Places one order."""
        return (await self.place_orders((order,)))[0]

    @abstractmethod
    async def replace_order(self, command: ReplaceCommand) -> Outcome:
        """Changes a working order."""

    @abstractmethod
    async def cancel_order(self, order: Order) -> Outcome:
        """Cancels a working order."""

    async def cancel_all_orders(self, orders: Sequence[Order]) -> Sequence[Outcome]:
        """Cancels `orders`; `outcomes[i]` belongs to `orders[i]`."""
        return [await self.cancel_order(order) for order in orders]

    @abstractmethod
    async def preview_order(self, spec: OrderSpec) -> Preview:
        """What an order would do now."""

    def quantity_for(self, spec: OrderSpec) -> Decimal:
        """What the `quote_quantity` of `spec` comes to now, in units of the instrument, rounded down to its lot, at
        least one lot: the quantity that the order is sent with. The venue counts the amount again when the order is
        there; it fills no more than that and no more than it was sent with, and tells the new total (REPLACED) where
        that is less. Asked only of a connected broker whose capabilities know `quote_quantity`; raises a
        GatewayError."""
        raise GatewayError(ErrorReason.UNSUPPORTED, f"{self.name} does not take quote_quantity")

    async def find_order(self, order: Order) -> FindResult:
        """What the venue knows of `order`, asked by its client id, and by the broker's where it has one. Raises for
        nothing."""
        return Failed(f"{self.name} cannot be asked for single orders")

    async def list_open_orders(self) -> Sequence[VenueOrder]:
        """Every order that works at the venue, those of others too: complete, or it raises a `BrokerError`."""
        return ()

    async def list_fills(self, watermark: str) -> FillPage:
        """The executions after `watermark`, those of others too. Raises a `BrokerError`."""
        return FillPage((), watermark, complete=True)

    @abstractmethod
    async def get_positions(self) -> Sequence[BrokerPosition]:
        """All positions, flat ones that were held before too, at the present marks."""

    @abstractmethod
    async def get_balances(self) -> Sequence[BrokerBalance]:
        """All balances."""

    def untold(self) -> Sequence[Report]:
        """What happened and has been told neither by `events()` nor with an answer, and then the positions and
        balances that changed since the last call. An in-process broker is asked just before each commit, so that no
        commit holds a position without the fills that made it; others tell everything by themselves."""
        return ()

    def unsaved(self) -> Sequence[VenueStep | VenueSnapshot]:
        """What a venue that the journal keeps wants kept with the commit that is to be made, asked after `untold`."""
        return ()

    def venue_time_ns(self) -> int | None:
        """The venue's present time in nanoseconds since the epoch, where it is another than the gateway's: a recorded
        market's. None: by the gateway's clock."""
        return None

    @abstractmethod
    async def get_account_info(self) -> BrokerAccountInfo:
        """The account as a whole, at the present marks."""

    async def check_access(self) -> AccessReport:
        """What the venue says of the credentials: what they may do, and how far its clock is from ours. Asked of a
        connected broker. Raises a `BrokerError`."""
        return AccessReport()

    @abstractmethod
    async def list_instruments(self) -> Sequence[Instrument]:
        """All instruments, by symbol."""

    @abstractmethod
    def events(self) -> AsyncIterator[Sequence[Report]]:
        """What happens, in batches, until `close` or until the connection is lost. One reader. A broker outside the
        process ends it when the connection is lost, by itself or with a `BrokerError`: the engine connects again and
        fills the gap."""

    @abstractmethod
    def quote(self, symbol: str) -> QuoteView | None:
        """The latest quote; None where there is none yet, and where its market is away."""

    def last_quote(self, symbol: str) -> QuoteView | None:
        """The latest quote that there was, while `quote` gives none because the market is away: to be shown, as stale,
        and never to be traded by."""
        return None

    def problem_with(self, symbol: str) -> str:
        """Why there is no quote of `symbol`, or no such instrument, and the way out, where the venue said so (an
        account that does not subscribe to the data, a symbol that stands for several contracts); '' otherwise."""
        return ""

    @abstractmethod
    def book(self, symbol: str, depth: int) -> BookView | None:
        """The present book, `depth` levels a side; None where there is none."""

    @abstractmethod
    def subscribe_market_data(
        self, symbols: Sequence[str], listener: Callable[[MarketDatum], None]
    ) -> Callable[[], None]:
        """Calls `listener` for every market datum of `symbols`, at once and in order; it must not block and must
        not call back. Returns what ends the subscription."""


class SimulatedVenue(ABC):
    """What a paper account can do beside trading. The engine asks for it with `isinstance`."""

    @abstractmethod
    async def reset(self, initial_balances: Mapping[str, Decimal] | None) -> Sequence[Report]:
        """Cancels what is open and starts anew with `initial_balances`, or the first ones when None. The reports
        say all of it: cancelled orders, flat positions, balances, ledger entries."""

    @abstractmethod
    async def control_tape(self, action: TapeAction) -> TapeStatus:
        """Steers the tape. Raises GatewayError WRONG_FEED where there is none, INVALID_FIELD for a time that lies
        before the present one."""

    @abstractmethod
    async def push(self, updates: Sequence[PushedUpdate]) -> None:
        """Takes market data. Raises GatewayError (WRONG_FEED, INSTRUMENT_NOT_FOUND, INVALID_FIELD, PRICE_OFF_TICK,
        QUANTITY_OFF_LOT) naming `updates[i]`; then none of `updates` was taken."""

    @property
    @abstractmethod
    def faults(self) -> FaultPlan:
        """What goes wrong on purpose now."""

    @abstractmethod
    def set_faults(self, plan: FaultPlan) -> None:
        """These faults take the place of those before. The first ones of an account that is in process take it across a
        line: it must be parked then, and connected anew."""

    @abstractmethod
    async def park(self) -> None:
        """Ends the connection and has the venue stand still; what is under way to it is lost. What is to be kept of it
        can be asked for once more, and the next `connect` begins from what was."""


@dataclass(frozen=True, slots=True)
class TapeAction:
    """One of: pause, resume, seek to a time, set a speed. Exactly one field is set."""

    pause: bool = False
    resume: bool = False
    seek_time_ns: int | None = None
    speed: str | None = None
    """A positive decimal or `max`."""


@dataclass(frozen=True, slots=True)
class TapeStatus:
    """Where the tape is; `state` is PLAYING, PAUSED or ENDED."""

    state: str
    tape_time_ns: int
    start_time_ns: int
    speed: str
    played_updates: int


@dataclass(frozen=True, slots=True)
class PushedUpdate:
    """One pushed piece of market data, in decimals."""

    datum: MarketDatum | BarView
