"""A position by its lots, first in, first out: what closes costs what it was opened at, exactly."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from decimal import Decimal

from brokergate.domain.accounts import BrokerPosition
from brokergate.domain.fills import Money
from brokergate.sim.packing import Packer, Unpacker

MAX_ENTRIES = 10_000
"""Purchases that a position tells apart; beyond it the two oldest are pooled, so that memory stays bounded."""


class FifoPosition:
    """What is held of one instrument, in lots and in units of its quote currency (`sim/ledger.py`).

    Entries are [lots, cost, price]. What closes takes the oldest first. Part of an entry takes its part of the cost;
    for a pooled entry, and for one taken up from a journal (price 0), that part is rounded down to a unit and the
    rest stays with the entry, so that the sum of costs and profits is exact in every case.
    """

    __slots__ = ("claimed", "cost", "entries", "fees", "lots", "realized", "traded")

    def __init__(self) -> None:
        self.lots = 0
        """Below zero is short."""
        self.cost = 0
        """Signed as `lots`."""
        self.realized = 0
        self.fees = 0
        self.claimed = 0
        """Lots that open orders stand ready to close."""
        self.traded = False
        """Whether there ever was one: a flat position that was held is shown, one that was not is not."""
        self.entries: deque[list[int]] = deque()

    def restore(self, lots: int, cost: int, realized: int, fees: int) -> None:
        """Takes up what a journal knows of the position."""
        self.lots, self.cost, self.realized, self.fees, self.traded = lots, cost, realized, fees, True
        if lots:
            self.entries.append([abs(lots), abs(cost), 0])

    def save(self, pack: Packer) -> None:
        """Writes the position down, entry by entry."""
        pack.put(self.lots, self.cost, self.realized, self.fees, self.claimed, self.traded)
        for field in range(3):
            pack.column([entry[field] for entry in self.entries])

    def load(self, kept: Unpacker) -> None:
        """Takes up what `save` wrote."""
        self.lots, self.cost, self.realized, self.fees, self.claimed = [kept.integer() for _ in range(5)]
        self.traded = kept.flag()
        self.entries = deque(map(list, kept.columns(3)))

    def trade(self, side: int, lots: int, notional: int, price: int) -> None:
        """`lots` bought (+1) or sold (-1) for `notional` in all, at `price` each."""
        self.traded = True
        closing = min(lots, -side * self.lots) if side * self.lots < 0 else 0
        if closing:
            released = self._release(closing)
            proceeds = notional if closing == lots else notional * closing // lots
            # A long closes by selling at a gain when the proceeds are above the cost; a short the other way.
            self.realized += side * (released - proceeds)
            self.cost += side * released
            self.lots += side * closing
            lots -= closing
            notional -= proceeds
        if lots:
            self.lots += side * lots
            self.cost += side * notional
            entries = self.entries
            if entries and entries[-1][2] == price:
                entries[-1][0] += lots
                entries[-1][1] += notional
            else:
                entries.append([lots, notional, price])
                if len(entries) > MAX_ENTRIES:
                    oldest, second = entries.popleft(), entries.popleft()
                    entries.appendleft([oldest[0] + second[0], oldest[1] + second[1], 0])

    def split(self, numerator: int, denominator: int) -> int:
        """Makes `numerator` lots of every `denominator`; returns what is left over, in parts of `denominator` of a
        lot, signed as the position was. The cost stays; where no whole lot is left, it stays without lots."""
        lots = done = parts = 0
        for entry in self.entries:
            lots += entry[0]
            parts = lots * numerator // denominator
            entry[0], entry[2] = parts - done, 0
            done = parts
        side = -1 if self.lots < 0 else 1
        self.lots = side * parts
        costs = 0
        entries: deque[list[int]] = deque()
        for entry in self.entries:
            # An entry that is less than a lot now leaves its cost to the next one.
            costs += entry[1]
            if entry[0]:
                entries.append([entry[0], costs, 0])
                costs = 0
        if costs and entries:
            entries[-1][1] += costs
        self.entries = entries
        return side * (lots * numerator - parts * denominator)

    def repay(self, cash: int) -> None:
        """Cash for a part of a lot that a split left over: so much less has been paid for the rest (a short paid it:
        `cash` is below zero), for the latest first. Where the rest cost less than that, the difference is a profit."""
        left = abs(cash)
        for entry in reversed(self.entries):
            part = min(left, entry[1])
            entry[1] -= part
            left -= part
        cost = self.cost
        # What had no whole lot left has a cost and no entry: all of that is repaid.
        self.cost = (-1 if self.lots < 0 else 1) * sum([entry[1] for entry in self.entries])
        self.realized += cash - (cost - self.cost)

    def cost_of_first(self, lots: int) -> int:
        """What the oldest `lots` cost; at most all of them."""
        cost = 0
        for entry_lots, entry_cost, _ in self.entries:
            if lots >= entry_lots:
                cost += entry_cost
                lots -= entry_lots
            else:
                return cost + entry_cost * lots // entry_lots
        return cost

    def _release(self, lots: int) -> int:
        """Takes the oldest `lots` away; returns what they cost."""
        entries, cost = self.entries, 0
        while lots:
            entry = entries[0]
            if lots >= entry[0]:
                cost += entry[1]
                lots -= entry[0]
                entries.popleft()
            else:
                part = entry[1] * lots // entry[0]
                entry[0] -= lots
                entry[1] -= part
                return cost + part
        return cost


def save_positions(pack: Packer, positions: Sequence[BrokerPosition]) -> None:
    """Writes down positions as they were told, but for their marks: those in what the venue no longer lists."""
    pack.put(len(positions))
    for position in positions:
        pack.put(position.symbol, str(position.quantity), str(position.cost), position.quote_currency)
        pack.put(position.as_of_ns, str(position.realized_pnl), str(position.multiplier), len(position.fees))
        for fee in position.fees:
            pack.put(str(fee.amount), fee.currency)


def load_positions(kept: Unpacker) -> tuple[BrokerPosition, ...]:
    """The positions that `save_positions` wrote."""
    positions: list[BrokerPosition] = []
    for _ in range(kept.integer()):
        symbol, quantity, cost, currency = [kept.text() for _ in range(4)]
        as_of_ns, realized, multiplier = kept.integer(), kept.text(), kept.text()
        fees = tuple(Money(Decimal(kept.text()), kept.text()) for _ in range(kept.integer()))
        positions.append(
            BrokerPosition(
                symbol,
                Decimal(quantity),
                Decimal(cost),
                currency,
                as_of_ns,
                Decimal(realized),
                fees,
                Decimal(multiplier),
            )
        )
    return tuple(positions)
