"""Whether a broker's stream tells what happens (pains 4 and 5).

Polls find out by themselves what is true, so that a lost frame costs no more than a poll's interval. What a poll finds
first is held against the stream as well: it has the quiet period to tell it too. One that does not is connected and
mute, and is given up for another one. The time that counts is the gateway's own, since it was found: whose clock dates
the fill does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from brokergate.domain.errors import shorten
from brokergate.domain.events import EventPayload, FillBooked, OrderEventType
from brokergate.domain.orders import Order, OrderState
from brokergate.ports.broker import FillReport, OrderReport, Report

MAX_OWED = 1000
"""What is remembered of it: the first ones are enough to know."""
LEAST_NS = 1_000_000_000
"""Of a quiet period, for this: a frame needs its way, too."""
REST_NS = 600 * 1_000_000_000
"""Between two streams that are given up for being mute. Where another stream does not help, as at a broker that names
an execution one way in its answers and another way on its stream, trading is not stopped at every poll."""

_ENDED_BY_ITSELF = (OrderState.CANCELED, OrderState.EXPIRED)
_ENDS = (OrderEventType.CANCELED, OrderEventType.EXPIRED)

_What = tuple[str, ...]
"""What is to be told, in words."""


class Silence:
    """What one account's stream has still to tell. Times are monotonic."""

    def __init__(
        self, find: Callable[[str, str], Order | None], quiet_ns: int, *, of_others: bool = True
    ) -> None:
        """`find` gives the order with the client's id, else the broker's. `of_others` is whether the stream tells of
        orders that others placed."""
        self._find = find
        self._of_others = of_others
        self._quiet_ns = max(quiet_ns, LEAST_NS)
        self._owed: dict[_What, int] = {}
        self._ends_told: set[str] = set()

    def begin(self) -> None:
        """A poll begins: what the stream tells from now on, the poll does not find first."""
        self._ends_told.clear()

    def told(self, reports: Iterable[Report]) -> None:
        """The stream told this: to be called before it is booked."""
        for report in reports:
            if isinstance(report, FillReport):
                self._owed.pop(_fill(report.symbol, report.execution_id), None)
            elif isinstance(report, OrderReport) and report.event in _ENDS:
                order = self._find(report.client_order_id, report.broker_order_id)
                if order is not None:
                    self._ends_told.add(order.order_id)
                    self._owed.pop(_end(order), None)

    def found(self, payloads: Iterable[EventPayload], now_ns: int) -> None:
        """A poll booked this."""
        for payload in payloads:
            if isinstance(payload, FillBooked) and (self._of_others or payload.fill.client_order_id):
                self._owe(_fill(payload.fill.symbol, payload.fill.broker_execution_id), now_ns)

    def ended(self, order: Order, now_ns: int) -> None:
        """A poll asked for this order, and it has ended."""
        to_be_told = self._of_others or bool(order.client_order_id)
        if to_be_told and order.state in _ENDED_BY_ITSELF and order.order_id not in self._ends_told:
            self._owe(_end(order), now_ns)

    def _owe(self, what: _What, now_ns: int) -> None:
        if len(self._owed) < MAX_OWED:
            self._owed[what] = now_ns

    @property
    def left_ns(self) -> int:
        """How long the stream has for what it has still to tell; 0 where there is nothing."""
        return self._quiet_ns if self._owed else 0

    def overdue(self, now_ns: int) -> str:
        """What the stream has not told in the quiet period, for a person; empty where there is nothing."""
        late = [what for what, since_ns in self._owed.items() if now_ns - since_ns >= self._quiet_ns]
        if not late:
            return ""
        more = f" and {len(late) - 1} more" if len(late) > 1 else ""
        first = " ".join(shorten(word) for word in late[0])
        return f"the stream is connected and mute: it did not tell {first}{more}, which the broker has"

    def forget(self) -> None:
        """Another connection: its gap is filled apart."""
        self._owed.clear()
        self._ends_told.clear()


def _fill(symbol: str, execution_id: str) -> _What:
    return "fill", symbol, execution_id


def _end(order: Order) -> _What:
    return "the end of order", order.order_id
