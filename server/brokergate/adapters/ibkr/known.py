"""One order of an account, as TWS has told of it, and who waits for word of it."""

from __future__ import annotations

import asyncio

from brokergate.adapters.ibkr.errors import Asked, Meaning
from brokergate.adapters.ibkr.orders import IbOrder, IbShown

_CANCELS = frozenset({161, 202, 10147, 10148})
"""Messages about a cancel."""
Verdict = Meaning | None
"""What became of a command: None for taken, else what TWS said."""


class Known:
    """One order of the account."""

    __slots__ = (
        "acknowledged",
        "cancelling",
        "changing",
        "client_id",
        "client_order_id",
        "ended",
        "given_up",
        "order_id",
        "perm_id",
        "placing",
        "refused",
        "shown",
        "told",
    )

    def __init__(self, client_id: int, order_id: int, client_order_id: str) -> None:
        self.client_id = client_id
        self.order_id = order_id
        self.client_order_id = client_order_id
        self.perm_id = 0
        self.shown: IbShown | None = None
        self.acknowledged = False
        self.ended = False
        self.refused: Meaning | None = None
        """The last refusal that came with its id."""
        self.told: IbOrder | None = None
        """As the gateway last heard of it."""
        self.placing: asyncio.Future[Verdict] | None = None
        self.changing: tuple[IbOrder, asyncio.Future[Verdict]] | None = None
        self.given_up: IbOrder | None = None
        """A change whose answer did not come in time, and which may yet be shown."""
        self.cancelling: asyncio.Future[Verdict] | None = None

    def settle(self, of: asyncio.Future[Verdict] | None, verdict: Verdict) -> None:
        """Tells who waits."""
        if of is not None and not of.done():
            of.set_result(verdict)

    def asked(self, code: int) -> Asked:
        """What a message with the order's id may be about."""
        cancels = self.cancelling is not None and not self.cancelling.done()
        if cancels and code in _CANCELS:
            return Asked.CANCEL
        if self.changing is not None:
            return Asked.CHANGE
        return Asked.CANCEL if cancels else Asked.ORDER
