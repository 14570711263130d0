"""What a broker under test is: its adapter, connected, and the market that it trades in, moved by hand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Coroutine, Sequence
from decimal import Decimal
from enum import Enum
from typing import Any, TypeVar

from brokergate.domain.capabilities import Capabilities
from brokergate.domain.orders import Side
from brokergate.ports.broker import AbstractBroker

Result = TypeVar("Result")
Levels = Sequence[tuple[Decimal, Decimal]]


class Mishap(Enum):
    """What happens on the wire until it is mended."""

    LOSE_PLACED = "the answer to a new order is lost"
    LOSE_CANCELLED = "the answer to a cancel is lost"
    LOSE_REPLACED = "the answer to a replace is lost"
    LOSE_FRAMES = "what is told by itself is lost"
    REPEAT_FRAMES = "what is told by itself is told twice"


class Subject(ABC):
    """One adapter with an account that has plenty of both currencies and holds nothing, in a market that stands still
    but for `show` and `trade`. Made anew for each case.

    Cases count prices in `price_unit` (about 100 of them are a price) and quantities in `quantity_unit` (1 to 100).
    """

    name: str
    """As the table calls it."""
    symbol: str
    """An instrument that trades round the clock."""
    base_currency: str
    quote_currency: str
    price_unit: Decimal
    quantity_unit: Decimal
    day_s: float
    """Seconds after which the trading day in which it opens is over, and the next one is not: above 700."""
    capabilities: Capabilities
    """Those that the adapter declares."""
    unaffordable: int = 10**9
    """Units of quantity that the account cannot buy at 95, and that the instrument's own rules allow."""
    price_step: Decimal | None = None
    """The smallest step of a price about 95, where that is more than the instrument's increment."""
    tells_liquidity: bool = True
    """Whether the venue says of a fill that it took or gave."""
    tells_triggers: bool = True
    """Whether the venue says that a stop was set off."""
    tells_expiry: bool = True
    """Whether the venue tells an order whose time is over from a cancelled one, and when that was."""
    sets_aside: bool = True
    """Whether an open order takes from what there is free of its currency; not where margin alone is reckoned."""
    previews_market: bool = True
    """Whether a preview knows what the market has; not where the venue alone is asked, and has only margin to tell."""

    @abstractmethod
    async def open(self) -> AbstractBroker:
        """Connects the adapter to its empty account."""

    @abstractmethod
    async def close(self) -> None:
        """Ends everything."""

    @abstractmethod
    async def show(self, bids: Levels, asks: Levels) -> None:
        """The market of others shows this book and nothing else, best first. A level that is told anew with the size
        that it had may count as the same offer: cases change sizes where they want a new one."""

    @abstractmethod
    async def trade(self, price: Decimal, quantity: Decimal, taker: Side) -> None:
        """Others trade with each other."""

    async def watch(self) -> None:  # noqa: B027 - a broker that always has market data has nothing to do
        """Market data of the symbol comes from now on, and `settle` waits for it, too."""

    async def connected(self) -> None:  # noqa: B027 - most have nothing to do
        """The broker connected again: what others did meanwhile is in no stream of market data."""

    async def befall(self, mishap: Mishap) -> None:
        """From now on this happens to a broker outside the process (`replays_fills`)."""
        raise NotImplementedError(f"{self.name} is not told how {mishap.value}")

    async def mend(self) -> None:
        """Nothing happens any more that `befall` began."""
        raise NotImplementedError(f"{self.name} is not told how to mend")

    @abstractmethod
    async def finish(self, command: Coroutine[Any, Any, Result]) -> Result:
        """Runs a command to its end; time passes as far as it must."""

    @abstractmethod
    async def settle(self) -> None:
        """Waits until what the venue did has been told."""

    @abstractmethod
    def now_ns(self) -> int:
        """The venue's time."""

    @abstractmethod
    async def pass_time(self, seconds: float) -> None:
        """Time passes at the venue, and what is due happens."""
