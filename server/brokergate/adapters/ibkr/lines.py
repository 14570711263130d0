"""The market data lines of one connection to a TWS: each contract that somebody wants, asked for once, and no more of
them than the login may have. Accounts that share the connection share its lines.
(tws-api/md_request.html; limits: tws-api/market_data.html.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from brokergate.adapters.ibkr.contracts import IbContract
from brokergate.adapters.ibkr.errors import Asked, Means, meaning
from brokergate.adapters.ibkr.frames import DataTypeShown, ErrorShown, Frame, TickShown
from brokergate.adapters.ibkr.ticks import LIVE, News, Ticks
from brokergate.resilience.lanes import Lane

FARM_BROKEN, FARM_OK = 2103, 2104
"""Messages about market data farms; behind their last colon is the farm's name."""
_WAYS_OUT = {
    "10197": "another session of this login has its market data; end that one",
    "101": "set `market_data_lines` to what the login has, or end what other programs subscribe to",
    "200": "it has no market data under this contract",
}
_SUBSCRIBE = (
    "subscribe to it in IB's Client Portal, and share it with the paper account; or take old data, with "
    "`market_data_type: delayed`"
)


class Requests(Protocol):
    """How a connection is asked for market data."""

    def take_id(self) -> int:
        """An id that no request of this connection had."""

    async def turn(self, lane: Lane, what: str, *, patient: bool = False) -> None:
        """Returns when one message may be sent. Raises a `BrokerError`."""

    def subscribe(self, request_id: int, contract: IbContract) -> None:
        """Sends `reqMktData`. Raises a `BrokerError`."""

    def send(self, request: str, *arguments: object) -> None:
        """Sends another request. Raises a `BrokerError`."""


Told = Callable[["MarketLine", News], None]


@dataclass(slots=True, eq=False)
class MarketLine:
    """One contract's market data."""

    contract: IbContract
    request_id: int
    told: list[Told] = field(default_factory=list)
    ticks: Ticks = field(default_factory=Ticks)
    ended: bool = False
    problem: str = ""
    """Why it has ended, in the venue's words, and the way out; empty where the connection was lost."""


class MarketLines:
    """All of a connection. Its owner hands it what is heard, and says when the connection was lost."""

    def __init__(self, requests: Requests, limit: int, data_type: int = LIVE) -> None:
        self._requests = requests
        self._allowed = self.limit = limit
        self._data_type = data_type
        self._asked_type = LIVE
        self._by_id: dict[int, MarketLine] = {}
        self._by_contract: dict[int, MarketLine] = {}
        self._broken: set[str] = set()

    def __len__(self) -> int:
        return len(self._by_contract)

    async def take(self, contract: IbContract, told: Told) -> MarketLine | None:
        """A line for who is `told`; None where all are taken. Raises a `BrokerError`."""
        while (line := self._by_contract.get(contract.con_id)) is None and len(self) >= self.limit:
            idle = next((each for each in self._by_contract.values() if not each.told), None)
            if idle is None:
                return None
            # Meanwhile others may take its place, or the very line.
            await self._cancel(idle)
        if line is not None:
            line.told.append(told)
            told(line, News.QUOTE)
            return line
        line = MarketLine(contract, self._requests.take_id(), [told], Ticks(cut=bool(self._broken)))
        self._by_contract[contract.con_id] = self._by_id[line.request_id] = line
        try:
            await self._choose_type()
            await self._requests.turn(Lane.QUERY, "market data", patient=True)
            self._requests.subscribe(line.request_id, contract)
        except BaseException:
            self._drop(line)
            self._end(line, "")
            raise
        return line

    async def _choose_type(self) -> None:
        """Says which market data is wanted, once a connection; it holds for what is asked for from then on."""
        if self._asked_type != self._data_type:
            self._asked_type = self._data_type
            await self._requests.turn(Lane.QUERY, "the market data's type", patient=True)
            self._requests.send("reqMarketDataType", self._data_type)

    @staticmethod
    def idle(line: MarketLine, told: Told) -> None:
        """Somebody wants it no more, and nothing is sent: it is ended when another one needs its place."""
        if told in line.told:
            line.told.remove(told)

    async def leave(self, line: MarketLine, told: Told) -> None:
        """Somebody wants it no more; the last one ends it. Raises a `BrokerError`."""
        self.idle(line, told)
        if line.told or self._by_contract.get(line.contract.con_id) is not line:
            return
        await self._cancel(line)

    async def _cancel(self, line: MarketLine) -> None:
        """Ends a line, unless somebody takes it before the message's turn has come."""
        await self._requests.turn(Lane.QUERY, "the end of market data", patient=True)
        if not line.told and self._by_id.get(line.request_id) is line:
            self._drop(line)
            self._requests.send("cancelMktData", line.request_id)

    def lost(self) -> None:
        """The connection is gone, and all lines with it."""
        gone = list(self._by_contract.values())
        self._by_contract.clear()
        self._by_id.clear()
        self._asked_type, self.limit = LIVE, self._allowed
        self._broken.clear()
        for line in gone:
            self._end(line, "")

    # What is heard

    def hear(self, frame: Frame) -> bool:
        """Takes what is about market data; whether it was."""
        if isinstance(frame, ErrorShown):
            return self._error(frame)
        if not isinstance(frame, TickShown | DataTypeShown):
            return False
        line = self._by_id.get(frame.request_id)
        if line is None:
            # Of one that has ended, and was on its way.
            return True
        if isinstance(frame, DataTypeShown):
            if line.ticks.data_type != frame.data_type:
                line.ticks.data_type = frame.data_type
                _tell(line, News.QUOTE)
        elif frame.text:
            line.ticks.take_time(frame.kind, frame.text)
        elif (news := line.ticks.take(frame.kind, frame.price, frame.size)) is not News.NOTHING:
            _tell(line, news)
        return True

    def has(self, request_id: int) -> bool:
        """Whether a request is one of market data."""
        return request_id in self._by_id

    def _error(self, shown: ErrorShown) -> bool:
        """A message about a line. One that is refused has ended at the venue too."""
        if shown.code in (FARM_BROKEN, FARM_OK):
            self._farm(shown)
            return False
        line = self._by_id.get(shown.request_id)
        if line is None:
            return False
        means = meaning(shown.code, shown.text, Asked.MARKET_DATA)
        if means.means in (Means.REFUSED, Means.THROTTLED):
            self._drop(line)
            if means.means is Means.THROTTLED:
                self.limit = max(len(self), 1)
            self._end(line, f"{means.error}; {_WAYS_OUT.get(means.error.code, _SUBSCRIBE)}")
        return True

    def _farm(self, shown: ErrorShown) -> None:
        """One of IB's market data farms went, or came back. Which contracts are whose nobody says: all are taken for
        old meanwhile. It is no outage of the account."""
        farm = shown.text.rpartition(":")[2].strip()
        (self._broken.add if shown.code == FARM_BROKEN else self._broken.discard)(farm)
        for line in self._by_contract.values():
            if line.ticks.cut != bool(self._broken):
                line.ticks.cut = bool(self._broken)
                _tell(line, News.QUOTE)

    def _drop(self, line: MarketLine) -> None:
        if self._by_contract.get(line.contract.con_id) is line:
            del self._by_contract[line.contract.con_id]
        self._by_id.pop(line.request_id, None)

    @staticmethod
    def _end(line: MarketLine, problem: str) -> None:
        line.ended, line.problem = True, problem
        line.ticks = Ticks()
        _tell(line, News.NOTHING)


def _tell(line: MarketLine, news: News) -> None:
    for told in tuple(line.told):
        told(line, news)
