"""What happened on the account, as `/v2/account/activities` tells it: fills at once, fees of crypto at the day's end.

An id is the time (in New York, to the millisecond), `::` and a UUID; so ids sort by time. A fill's UUID is the
execution id of the stream. A fee's id has the midnight of its day: it sorts before fills that were told long before it
(docs.alpaca.markets, "Account Activities" and "Crypto Fees": the examples of FILL and CFEE).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any

from tests.emulators.alpaca.held import Held
from tests.emulators.alpaca.numbers import NEW_YORK, moment_ns, nanoseconds, new_york, number, text, utc
from tests.emulators.alpaca.refusal import invalid
from tests.emulators.orders import Execution

MOST = 100
"""Entries of a page, at most and where nothing is said."""
TRADES, OTHERS = "trade_activity", "non_trade_activity"


@dataclass(frozen=True, slots=True)
class Activity:
    """One entry, shown from `told_ns` on."""

    time_ns: int
    told_ns: int
    shape: dict[str, Any]

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.shape["id"])


class Activities:
    """See the module."""

    def __init__(self) -> None:
        self.entries: list[Activity] = []
        """By time, and of one time in the order in which they happened."""
        self._times: list[int] = []
        self._time_of: dict[str, int] = {}

    def fill(self, held: Held, execution: Execution, execution_id: str) -> None:
        """An execution of an order that counts it already."""
        now_ns = execution.time_ns
        shape = {
            "id": f"{_stamp(new_york(now_ns))}::{execution_id}",
            "activity_type": "FILL",
            "transaction_time": utc(now_ns),
            "type": "fill" if held.status == "filled" else "partial_fill",
            "price": text(execution.price),
            "qty": text(execution.quantity),
            "side": "buy" if held.buys else "sell",
            "symbol": held.asset.symbol,
            "leaves_qty": text(max(Decimal(0), held.leaves)),
            "order_id": held.id,
            "cum_qty": text(held.filled_qty),
            "order_status": held.status,
        }
        self._add(Activity(now_ns, now_ns, shape))

    def fee(self, execution: Execution, symbol: str, activity_id: str) -> None:
        """What an execution of crypto cost; told when the day in New York is over."""
        midnight = new_york(execution.time_ns).replace(hour=0, minute=0, second=0, microsecond=0)
        coin = execution.fee_currency != "USD"
        shape = {
            "id": f"{_stamp(midnight)}::{activity_id}",
            "activity_type": "CFEE" if coin else "FEE",
            "date": midnight.date().isoformat(),
            "net_amount": "0" if coin else text(-execution.fee),
            "description": f"Coin Pair Transaction Fee ({'Non USD' if coin else 'USD'})",
            "status": "executed",
        }
        if coin:
            shape |= {"symbol": symbol, "qty": text(-execution.fee), "price": text(execution.price)}
        tomorrow = midnight.date() + timedelta(days=1)
        told_ns = nanoseconds(datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=NEW_YORK))
        self._add(Activity(nanoseconds(midnight), told_ns, shape))

    def cash(self, amount: Decimal, now_ns: int, activity_id: str) -> None:
        """A deposit, or a withdrawal below zero."""
        moment = new_york(now_ns)
        shape = {
            "id": f"{_stamp(moment)}::{activity_id}",
            "activity_type": "CSD" if amount > 0 else "CSW",
            "date": moment.date().isoformat(),
            "net_amount": text(amount),
            "description": "",
            "status": "executed",
        }
        self._add(Activity(now_ns, now_ns, shape))

    def page(self, query: Mapping[str, str], kinds: set[str] | None, now_ns: int) -> list[dict[str, Any]]:
        """What a request asks for. Raises `Refused` for a parameter that makes no sense."""
        size = number(query.get("page_size", str(MOST)))
        if size is None or not 1 <= size <= MOST:
            raise invalid(f"page_size must be between 1 and {MOST}")
        direction = query.get("direction", "desc")
        if direction not in ("asc", "desc"):
            raise invalid(f"invalid direction: {direction}")
        after_ns, until_ns = _bounds(query)
        first = 0 if after_ns is None else bisect_right(self._times, after_ns)
        last = len(self._times) if until_ns is None else bisect_left(self._times, until_ns)
        token = query.get("page_token")
        if token:
            place = self._place(token)
            first, last = (max(first, place + 1), last) if direction == "asc" else (first, min(last, place))
        places = range(first, last) if direction == "asc" else range(last - 1, first - 1, -1)
        found = (self.entries[place] for place in places)
        category = query.get("category", "")
        chosen = (
            entry.shape
            for entry in found
            if entry.told_ns <= now_ns
            and (kinds is None or entry.shape["activity_type"] in kinds)
            and _of_category(entry, category)
        )
        return list(islice(chosen, int(size)))

    def _add(self, entry: Activity) -> None:
        """Puts an entry behind those of its time."""
        place = bisect_right(self._times, entry.time_ns)
        self._times.insert(place, entry.time_ns)
        self.entries.insert(place, entry)
        self._time_of[entry.id] = entry.time_ns

    def _place(self, token: str) -> int:
        time_ns = self._time_of.get(token)
        if time_ns is None:
            raise invalid("page_token is invalid")
        place = bisect_left(self._times, time_ns)
        while self.entries[place].id != token:
            place += 1
        return place


def _bounds(query: Mapping[str, str]) -> tuple[int | None, int | None]:
    """(after, until), a `date` as its two midnights."""
    bounds: dict[str, int | None] = {}
    for name, end in (("after", False), ("until", False), ("date", False)):
        given = query.get(name)
        bounds[name] = moment_ns(given, end_of_day=end) if given else None
        if given and bounds[name] is None:
            raise invalid(f"invalid {name}: {given}")
    if bounds["date"] is not None:
        if bounds["after"] is not None or bounds["until"] is not None:
            raise invalid("date cannot be used with after or until")
        return bounds["date"] - 1, moment_ns(query["date"][:10], end_of_day=True)
    return bounds["after"], bounds["until"]


def _of_category(entry: Activity, category: str) -> bool:
    trade = entry.shape["activity_type"] == "FILL"
    return not category or (trade if category == TRADES else not trade)


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y%m%d%H%M%S}{moment.microsecond // 1000:03d}"
