"""What the clients were told, kept to be held against the journal."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from brokergate.v1 import enums_pb2, order_pb2

NEVER = frozenset(
    {
        "ACCOUNT_NOT_FOUND",
        "CLIENT_ORDER_ID_REUSED",
        "INSTRUMENT_NOT_FOUND",
        "INVALID_FIELD",
        "MALFORMED_MESSAGE",
        "ORDER_NOT_FOUND",
        "PRICE_OFF_TICK",
        "QUANTITY_OFF_LOT",
        "REQUEST_ID_REUSED",
        "UNSUPPORTED",
    }
)
"""What no client here may be told: they ask for what there is, under ids of their own."""

ENDED = frozenset(
    {
        enums_pb2.ORDER_STATE_FILLED,
        enums_pb2.ORDER_STATE_CANCELED,
        enums_pb2.ORDER_STATE_REJECTED,
        enums_pb2.ORDER_STATE_EXPIRED,
    }
)


@dataclass
class Record:
    """Orders as they were acknowledged, and what was found wrong on the way.

    `told` are orders as answers had them, in the order in which they came; `bodies` the requests that placed them, by
    client_order_id; `tombstones` the ids that were set aside by a cancel, by its answer before they were placed.
    """

    told: list[order_pb2.Order] = field(default_factory=list)
    bodies: dict[str, order_pb2.OrderSpec] = field(default_factory=dict)
    tombstones: set[str] = field(default_factory=set)
    refusals: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def order(self, order: order_pb2.Order) -> None:
        """An answer told of an order."""
        self.told.append(order)

    def refused(self, what: str, reason: str) -> None:
        """An answer refused something."""
        key = f"{what} {reason}"
        self.refusals[key] = self.refusals.get(key, 0) + 1
        if reason in NEVER:
            self.wrong.append(f"a {what} was refused as {reason}")


def contradiction(told: order_pb2.Order, journal: order_pb2.Order) -> str:
    """How an order as it was told contradicts the order as the journal has it later; empty where it does not."""
    if told.order_id != journal.order_id:
        return f"was told as {told.order_id} and is {journal.order_id}"
    if Decimal(told.cum_quantity) > Decimal(journal.cum_quantity):
        return f"was told as filled {told.cum_quantity} and is filled {journal.cum_quantity}"
    if told.generation > journal.generation:
        return f"was told in generation {told.generation} and is in {journal.generation}"
    if told.state in ENDED and told.state != journal.state:
        names = [enums_pb2.OrderState.Name(state) for state in (told.state, journal.state)]
        return f"was told as {names[0]} and is {names[1]}"
    return ""
