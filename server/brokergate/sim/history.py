"""What a venue remembers for a gateway across a line: executions, and orders that have ended.

A gateway asks for the executions after the last that it knows, and by name for orders that it believes to work. What it
is known to know is forgotten, so that the memory is as long as the gap that it may have to fill.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import islice
from typing import Protocol

from brokergate.domain.errors import ErrorReason
from brokergate.domain.fills import Liquidity, Money
from brokergate.domain.money import format_decimal
from brokergate.domain.orders import OrderState, OrderType, Side, TimeInForce
from brokergate.ports.broker import FillReport, VenueOrder
from brokergate.sim.packing import Packer, Unpacker

MOST = 100_000
"""Executions, and ended orders, that are remembered at most; the oldest are forgotten for newer ones."""


class Named(Protocol):
    """An order, or something that is told of one."""

    @property
    def client_order_id(self) -> str:
        """The client's."""
        ...

    @property
    def broker_order_id(self) -> str:
        """The venue's."""
        ...


def name_of(named: Named) -> str:
    """By which an order is remembered: its client's id, or the venue's of one that the venue made by itself."""
    return named.client_order_id or named.broker_order_id


class History:
    """See the module. Executions are numbered from 1 in the order in which they happened, over the venue's life."""

    def __init__(self, executed: int) -> None:
        """`executed` is how many executions there were before."""
        self.executed = executed
        """How many there were."""
        self.complete = True
        """Whether no ended order was forgotten that the gateway may not know of."""
        self._fills: deque[FillReport] = deque(maxlen=MOST)
        self._ended: dict[str, VenueOrder] = {}

    def execution(self, fill: FillReport) -> None:
        """One more."""
        self.executed += 1
        self._fills.append(fill)

    def end(self, order: VenueOrder) -> None:
        """An order has ended, as `order` says."""
        if len(self._ended) >= MOST:
            del self._ended[next(iter(self._ended))]
            self.complete = False
        self._ended[name_of(order)] = order

    def ended(self, name: str) -> VenueOrder | None:
        """An order that has ended, and is remembered; `name_of` says by which name."""
        return self._ended.get(name)

    @property
    def size(self) -> int:
        """About how many values `save` writes."""
        return 10 * len(self._fills) + 14 * len(self._ended)

    @property
    def fills(self) -> Sequence[FillReport]:
        """The executions that are remembered, oldest first."""
        return tuple(self._fills)

    @property
    def orders(self) -> Sequence[VenueOrder]:
        """The ended orders that are remembered, in the order in which they ended."""
        return tuple(self._ended.values())

    def after(self, number: int, most: int) -> tuple[list[FillReport], int]:
        """Up to `most` executions after the one of this number, and the number of the last of them."""
        first = self.executed - len(self._fills)
        start = max(0, number - first)
        fills = list(islice(self._fills, start, start + most))
        return fills, first + start + len(fills)

    def forget(self, number: int, names: Iterable[str]) -> None:
        """The gateway knows the executions up to this number, and how these orders ended."""
        while self._fills and self.executed - len(self._fills) < number:
            self._fills.popleft()
        for name in names:
            self._ended.pop(name, None)

    def save(self, pack: Packer) -> None:
        """Writes it down."""
        pack.put(self.executed, self.complete, len(self._fills), len(self._ended))
        for fill in self._fills:
            pack.put(
                "\t".join(
                    (
                        fill.client_order_id,
                        fill.broker_order_id,
                        fill.execution_id,
                        fill.symbol,
                        f"{+fill.side}",
                        format_decimal(fill.quantity),
                        format_decimal(fill.price),
                        f"{+fill.liquidity}",
                        f"{fill.event_time_ns}",
                        *(f"{format_decimal(fee.amount)} {fee.currency}" for fee in fill.fees),
                    )
                )
            )
        for order in self._ended.values():
            pack.put(
                "\t".join(
                    (
                        order.client_order_id,
                        order.broker_order_id,
                        order.symbol,
                        f"{+order.side}",
                        f"{+order.type}",
                        format_decimal(order.quantity),
                        format_decimal(order.cum_quantity),
                        f"{+order.state}",
                        f"{order.update_time_ns}",
                        _price(order.limit_price),
                        _price(order.stop_price),
                        f"{+order.time_in_force}",
                        order.reason.name,
                        order.message,
                    )
                )
            )

    @classmethod
    def kept(cls, kept: Unpacker) -> History:
        """What `save` wrote."""
        history = cls(kept.integer())
        history.complete = kept.flag()
        fills, ended = kept.integer(), kept.integer()
        history._fills.extend([_fill(kept.text()) for _ in range(fills)])
        for _ in range(ended):
            order = _order(kept.text())
            history._ended[name_of(order)] = order
        return history


def _price(price: Decimal | None) -> str:
    return "" if price is None else format_decimal(price)


def _fill(line: str) -> FillReport:
    client_id, broker_id, execution, symbol, side, quantity, price, liquidity, time_ns, *fees = line.split(
        "\t"
    )
    parted = [fee.split(" ") for fee in fees]
    return FillReport(
        client_id,
        broker_id,
        execution,
        symbol,
        Side(int(side)),
        Decimal(quantity),
        Decimal(price),
        tuple([Money(Decimal(amount), currency) for amount, currency in parted]),
        Liquidity(int(liquidity)),
        int(time_ns),
    )


def _order(line: str) -> VenueOrder:
    (
        name,
        broker_id,
        symbol,
        side,
        kind,
        quantity,
        filled,
        state,
        time_ns,
        limit,
        stop,
        force,
        reason,
        message,
    ) = line.split("\t", 13)
    return VenueOrder(
        name,
        broker_id,
        symbol,
        Side(int(side)),
        OrderType(int(kind)),
        Decimal(quantity),
        Decimal(filled),
        OrderState(int(state)),
        int(time_ns),
        Decimal(limit) if limit else None,
        Decimal(stop) if stop else None,
        TimeInForce(int(force)),
        ErrorReason[reason],
        message,
    )
