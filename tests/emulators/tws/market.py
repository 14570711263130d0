"""Market data: quotes and trades by subscription, live or delayed, as ticks (tws-api, "Top of Book Market Data")."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from tests.emulators.orders import BookMoved, Happening, MarketTraded
from tests.emulators.tws.contracts import Listed, Wanted
from tests.emulators.tws.desk import NO_CONTRACT, Refusal
from tests.emulators.tws.wire import Field

if TYPE_CHECKING:
    from tests.emulators.tws.session import Session
    from tests.emulators.tws.venue import Tws

MARKET = "market"
LIVE, FROZEN, DELAYED, DELAYED_FROZEN = 1, 2, 3, 4
"""Market data types."""
_TICKS = {"bid": (1, 66), "ask": (2, 67), "last": (4, 68)}
"""Of prices, live and delayed; sizes come with them."""
_SIZES = {1: 0, 2: 3, 4: 5, 66: 69, 67: 70, 68: 71}
"""The tick of the size beside each price."""
_LAST_TIME = {LIVE: 45, DELAYED: 88}
MAX_LINES = 100
_NOT_SUBSCRIBED = "Requested market data is not subscribed."
_COMPETING = "No market data during competing live session"
_DELAYED = "Requested market data is not subscribed. Displaying delayed market data."
NO_LINES = "Max number of tickers has been reached"


class Tape:
    """See the module. `lines` is how many subscriptions there may be."""

    def __init__(self, venue: Tws) -> None:
        self._venue = venue
        self._lines: dict[tuple[Session, int], tuple[Listed, bool]] = {}
        self._types: dict[Session, int] = {}
        self._shown: dict[tuple[Session, int], dict[int, tuple[Decimal, Decimal]]] = {}
        self.lines = MAX_LINES

    @property
    def used(self) -> int:
        """How many subscriptions there are."""
        return len(self._lines)

    def gone(self, session: Session) -> None:
        """A connection has ended."""
        for key in [key for key in self._lines if key[0] is session]:
            del self._lines[key]
            self._shown.pop(key, None)
        self._types.pop(session, None)

    def drop_all(self) -> None:
        """All subscriptions are lost, and nobody says so (1101)."""
        self._lines.clear()
        self._shown.clear()

    def choose(self, session: Session, kind: int) -> None:
        """Which data a client wants where it may not have live ones."""
        self._types[session] = kind

    def subscribe(self, session: Session, request_id: int, wanted: Wanted, *, snapshot: bool) -> None:
        """Begins to tell of a contract. Raises Refusal: 200 unknown, 101 too many, 354 or 10197 not to be had."""
        found = self._venue.contracts.find(wanted)
        if len(found) != 1:
            raise Refusal(
                200, NO_CONTRACT if not found else f"The contract description {wanted.symbol} is ambiguous."
            )
        if len(self._lines) >= self.lines:
            raise Refusal(101, NO_LINES)
        (listed,) = found
        delayed = self._delayed(session, request_id, listed)
        session.write([81, request_id, listed.min_tick, "9c0001", 3])
        session.write([58, 1, request_id, DELAYED if delayed else LIVE])
        self._lines[session, request_id] = (listed, delayed)
        self._tell_quote(session, request_id, asked=True)
        last = self._venue.core.trades[listed.name]
        if last:
            self._tell_trade(session, request_id, last[-1], asked=True)
        if snapshot:
            session.write([57, 1, request_id])
            self.unsubscribe(session, request_id)

    def _delayed(self, session: Session, request_id: int, listed: Listed) -> bool:
        fault = self._venue.faults.standing("no_market_data")
        if fault is None or not fault.befalls(listed.name, listed.symbol, str(listed.con_id)):
            return False
        self._venue.faults.count(fault.kind)
        code = int(fault.arguments.get("code", 354))
        if code == 10197:
            raise Refusal(10197, _COMPETING)
        if self._types.get(session, LIVE) in (DELAYED, DELAYED_FROZEN):
            session.error(request_id, 10167, _DELAYED)
            return True
        raise Refusal(code, _NOT_SUBSCRIBED)

    def unsubscribe(self, session: Session, request_id: int) -> None:
        """Nothing more of it. Raises Refusal (300) where there is no such subscription."""
        self._shown.pop((session, request_id), None)
        if self._lines.pop((session, request_id), None) is None:
            raise Refusal(300, f"Can't find EId with tickerId:{request_id}")

    def heard(self, happening: Happening) -> None:
        """The market moved, or others traded."""
        match happening:
            case BookMoved(symbol):
                for (session, request_id), (listed, _) in list(self._lines.items()):
                    if listed.name == symbol:
                        self._tell_quote(session, request_id)
            case MarketTraded():
                for (session, request_id), (listed, _) in list(self._lines.items()):
                    if listed.name == happening.symbol:
                        self._tell_trade(session, request_id, happening)
            case _:
                pass

    def _tell_quote(self, session: Session, request_id: int, *, asked: bool = False) -> None:
        """What changed of the best prices; a side that is empty is -1, with size 0."""
        listed, delayed = self._lines[session, request_id]
        quote = self._venue.core.quote(listed.name)
        sides = {
            "bid": (quote.bid_price, quote.bid_quantity) if quote else (None, None),
            "ask": (quote.ask_price, quote.ask_quantity) if quote else (None, None),
        }
        for name, (price, size) in sides.items():
            tick = _TICKS[name][delayed]
            told = (Decimal(-1), Decimal(0)) if price is None else (listed.on_wire(price), size or Decimal(0))
            self._tell_price(session, request_id, tick, told, asked=asked)

    def _tell_trade(
        self, session: Session, request_id: int, traded: MarketTraded, *, asked: bool = False
    ) -> None:
        listed, delayed = self._lines[session, request_id]
        tick = _TICKS["last"][delayed]
        fields: list[Field] = [
            46, 6, request_id, _LAST_TIME[DELAYED if delayed else LIVE], str(traded.time_ns // 1_000_000_000),
        ]  # fmt: skip
        self._send(session, "tickString", fields, asked=asked)
        told = (listed.on_wire(traded.price), traded.quantity)
        self._shown.setdefault((session, request_id), {}).pop(tick, None)
        self._tell_price(session, request_id, tick, told, asked=asked)

    def _tell_price(
        self, session: Session, request_id: int, tick: int, told: tuple[Decimal, Decimal], *, asked: bool
    ) -> None:
        shown = self._shown.setdefault((session, request_id), {})
        if shown.get(tick) == told:
            return
        shown[tick] = told
        self._send(session, "tickPrice", [1, 6, request_id, tick, *told, 1], asked=asked)
        self._send(session, "tickSize", [2, 6, request_id, _SIZES[tick], told[1]], asked=asked)

    def _send(self, session: Session, name: str, fields: list[Field], *, asked: bool) -> None:
        if asked:
            session.write(fields)
        else:
            session.tell(MARKET, name, fields)
