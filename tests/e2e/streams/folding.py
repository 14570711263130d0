"""The state of an account as its events tell it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from brokergate.v1 import account_pb2, enums_pb2, event_pb2, order_pb2, position_pb2

ENDED = frozenset(
    {
        enums_pb2.ORDER_STATE_FILLED,
        enums_pb2.ORDER_STATE_CANCELED,
        enums_pb2.ORDER_STATE_REJECTED,
        enums_pb2.ORDER_STATE_EXPIRED,
    }
)


@dataclass
class State:
    """What there is after some events; orders by id, fills by id, positions by symbol, balances by currency."""

    orders: dict[str, order_pb2.Order] = field(default_factory=dict)
    fills: dict[str, str] = field(default_factory=dict)
    positions: dict[str, position_pb2.Position] = field(default_factory=dict)
    balances: dict[str, account_pb2.Balance] = field(default_factory=dict)
    entries: set[str] = field(default_factory=set)

    def apply(self, events: Iterable[event_pb2.Event]) -> State:
        """Takes in events; itself."""
        for event in events:
            match event.WhichOneof("payload"):
                case "order":
                    self.orders[event.order.order.order_id] = event.order.order
                case "fill":
                    self.fills[event.fill.fill.fill_id] = event.fill.fill.quantity
                case "position":
                    self.positions[event.position.position.symbol] = event.position.position
                case "balance":
                    self.balances[event.balance.balance.currency_code] = event.balance.balance
                case "ledger_entry":
                    self.entries.add(event.ledger_entry.entry.ledger_entry_id)
                case _:
                    pass
        return self

    @property
    def open_orders(self) -> dict[str, order_pb2.Order]:
        """The orders that have not ended."""
        return {name: order for name, order in self.orders.items() if order.state not in ENDED}

    @property
    def held(self) -> dict[str, position_pb2.Position]:
        """The positions that are not flat."""
        return {name: each for name, each in self.positions.items() if float(each.quantity)}


def state_of_snapshot(pages: Sequence[event_pb2.Snapshot]) -> State:
    """What the pages of a snapshot say."""
    return State(
        orders={order.order_id: order for page in pages for order in page.orders},
        positions={each.symbol: each for page in pages for each in page.positions},
        balances={each.currency_code: each for page in pages for each in page.balances},
    )
