"""What a venue did since it was last kept, written down so that it can be done again: `sim/replay.py` reads it.

A step is lines of text. The first letter says what was done, fields are parted by tabs, numbers are ticks, lots and
nanoseconds. Only what moves the venue is written: of a refused order, that it used up an id.

    P count received     so many updates of the feed were played
    Q bid ask …          a quote was pushed; T a trade, B a book, K a bar, G a gap
    A time               time passed: what follows came at this time
    R count              so many orders were refused
    O id …               an order was accepted
    L kind;id …;id …     linked orders were accepted
    X id …               an order was changed, or its change refused
    C id                 an order was cancelled
    Z currency=amount …  the account was reset
    F text               where the feed stands now, in its own words
    ! text               the market broke
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from brokergate.domain.money import format_decimal
from brokergate.domain.orders import OrderType, TimeInForce
from brokergate.sim.market import BarUpdate, BookSnapshot, FeedGap, MarketUpdate, QuoteUpdate, TradeUpdate
from brokergate.sim.orders import WorkingOrder

COMMAND_WORK = 4
"""What doing a command again costs, in updates."""
MAX_LINES = 16_384
"""Lines that wait to be kept; beyond it they are thrown away, and only a snapshot can be kept next."""


class Diary:
    """See the module. `work` counts what was done since the last snapshot: what a replay would do again, in updates."""

    def __init__(self) -> None:
        self.work = 0
        self.overflowed = False
        """Whether lines were thrown away."""
        self.eventful = False
        """Whether there was more than a market that moved and touched nobody."""
        self._lines: list[str] = []
        self._played = 0
        self._received_ns = 0
        self._advanced_ns = 0
        self._refused = 0

    def __bool__(self) -> bool:
        return bool(self._lines or self._played or self._refused or self._advanced_ns) or self.overflowed

    def played(self, count: int, received_ns: int) -> None:
        """The feed's next `count` updates were applied."""
        if self._advanced_ns or self._refused:
            self._settle()
        self._played += count
        self._received_ns = received_ns
        self.work += count

    def pushed(self, update: MarketUpdate, received_ns: int, dated_ns: int) -> None:
        """`update` was applied, which no feed will tell again."""
        levels = len(update.bids) + len(update.asks) if isinstance(update, BookSnapshot) else 1
        self._write(pushed_line(update, received_ns, dated_ns), 1 + levels)

    def advanced(self, now_ns: int) -> None:
        """Time passed."""
        if self._played or self._refused:
            self._settle()
        self._advanced_ns = now_ns

    def placed(self, order: WorkingOrder, lots: int) -> None:
        """An order of `lots` was accepted."""
        self._write("O" + placed_line(order, lots), COMMAND_WORK)
        self.eventful = True

    def placed_group(self, orders: Sequence[WorkingOrder], lots: Sequence[int], *, bracket: bool) -> None:
        """Linked orders were accepted."""
        parts = [placed_line(order, count) for order, count in zip(orders, lots, strict=True)]
        self._write(f"L{'bracket' if bracket else 'oco'};" + ";".join(parts), COMMAND_WORK * len(parts))
        self.eventful = True

    def refused(self, count: int) -> None:
        """Orders were refused."""
        if self._played or self._advanced_ns:
            self._settle()
        self._refused += count
        self.eventful = True
        self.work += count

    def changed(self, client_order_id: str, broker_order_id: str, change: WorkingOrder) -> None:
        """An order was to be changed to what `change` is, its lots in all, under the id `broker_order_id`."""
        self._write(
            f"X{client_order_id}\t{broker_order_id}\t{change.leaves}\t{change.limit or 0}\t{change.stop or 0}"
            + _wishes(change),
            COMMAND_WORK,
        )
        self.eventful = True

    def cancelled(self, client_order_id: str) -> None:
        """An order was cancelled."""
        self._write(f"C{client_order_id}", COMMAND_WORK)
        self.eventful = True

    def reset(self, balances: Mapping[str, Decimal]) -> None:
        """The account was reset to `balances`."""
        self._write(
            "Z" + "\t".join(f"{code}={format_decimal(amount)}" for code, amount in balances.items()), 1
        )

    def fed(self, standing: str) -> None:
        """The feed now stands as `standing` says."""
        self._write(f"F{standing}", 0)

    def broke(self, reason: str) -> None:
        """The market broke."""
        self._write("!" + " ".join(reason.split()), 0)
        self.eventful = True

    def take(self) -> bytes:
        """What was written since the last call: empty when nothing happened."""
        self._settle()
        text, self._lines = "\n".join(self._lines), []
        self.eventful = False
        self.work += 1
        return text.encode()

    def clear(self) -> None:
        """A snapshot holds all that was written."""
        self._settle()
        self._lines.clear()
        self.work, self.overflowed, self.eventful = 0, False, False

    def _write(self, line: str, work: int) -> None:
        if self._played or self._refused or self._advanced_ns:
            self._settle()
        if len(self._lines) >= MAX_LINES:
            self._lines.clear()
            self.overflowed = True
        self._lines.append(line)
        self.work += work

    def _settle(self) -> None:
        """Writes the line that was kept open for more of the same. At most one of the three is open."""
        if self._played:
            self._lines.append(f"P{self._played}\t{self._received_ns}")
            self._played = 0
        if self._advanced_ns:
            self._lines.append(f"A{self._advanced_ns}")
            self._advanced_ns = 0
        if self._refused:
            self._lines.append(f"R{self._refused}")
            self._refused = 0


def placed_line(order: WorkingOrder, lots: int) -> str:
    """An order of `lots` as a line; what few orders ask for is at its end, by name."""
    stop = 0 if order.type is OrderType.TRAILING_STOP else order.stop or 0
    # `+` makes a plain integer of an enum's member, which is formatted four times as fast.
    line = (
        f"{order.client_order_id}\t{order.symbol}\t{order.side}\t{+order.type}\t{+order.time_in_force}\t{lots}\t"
        f"{order.limit or 0}\t{stop}\t{+order.source}"
    )
    if order.special is None and order.time_in_force is not TimeInForce.GTD:
        return line
    return line + _wishes(order)


def _wishes(order: WorkingOrder) -> str:
    wishes = {} if order.special is None else order.special.wishes()
    if order.time_in_force is TimeInForce.GTD and order.expire_ns is not None:
        wishes["expire_ns"] = order.expire_ns
    return "".join([f"\t{name}={number}" for name, number in wishes.items()])


def pushed_line(update: MarketUpdate, received_ns: int, dated_ns: int) -> str:
    """A pushed update as a line."""
    head = f"{update.symbol}\t{update.time_ns}\t{received_ns}\t{dated_ns}"
    if isinstance(update, QuoteUpdate):
        return f"Q{head}\t{_levels(update.bid and (update.bid,))}\t{_levels(update.ask and (update.ask,))}"
    if isinstance(update, TradeUpdate):
        return f"T{head}\t{update.price}\t{update.size}\t{update.aggressor}"
    if isinstance(update, BookSnapshot):
        return f"B{head}\t{_levels(update.bids)}\t{_levels(update.asks)}"
    if isinstance(update, FeedGap):
        return f"G{head}\t{' '.join(update.reason.split())}"
    if isinstance(update, BarUpdate):
        prices = f"{update.open}\t{update.high}\t{update.low}\t{update.close}"
        return f"K{head}\t{update.span_ns}\t{prices}\t{update.volume}"
    raise ValueError(f"nobody pushes a {type(update).__name__}")


def _levels(levels: tuple[tuple[int, int], ...] | None) -> str:
    return " ".join(f"{price}x{size}" for price, size in levels or ())
