"""A trading desk at a venue: orders and market in whole ticks and lots, what happened as plain tuples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import count
from typing import Any

from brokergate.domain import lifecycle
from brokergate.domain.accounts import BrokerBalance, BrokerPosition
from brokergate.domain.instruments import Instrument, InstrumentKind
from brokergate.domain.orders import Order, OrderSpec, OrderType, Side, TimeInForce, TriggerSource
from brokergate.domain.values import changed
from brokergate.ports.broker import (
    Accepted,
    FillReport,
    OrderReport,
    Outcome,
    Rejected,
    ReplaceCommand,
    Report,
    RestoredState,
)
from brokergate.sim.market import BookDelta, BookSnapshot, FeedGap, MarketUpdate, QuoteUpdate, TradeUpdate
from brokergate.sim.terms import AccountTerms
from brokergate.sim.venue import Venue

TICK, LOT = Decimal("0.01"), Decimal("0.001")
BTC = Instrument("BTC/USDT", "BTCUSDT", InstrumentKind.SPOT, "BTC", "USDT", TICK, LOT)
EUR = Instrument("EUR/USD", "EURUSD", InstrumentKind.FOREX, "EUR", "USD", TICK, LOT)
AAPL = Instrument("AAPL", "AAPL", InstrumentKind.EQUITY, "", "USD", TICK, LOT)
RICH = {"USDT": Decimal(10**9), "BTC": Decimal(10**6), "USD": Decimal(10**9)}
NEW = RestoredState((), (), (), 0, 0)
Levels = Iterable[tuple[int, int]]
GTC, IOC, FOK, DAY = TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK, TimeInForce.DAY


def price(ticks: int) -> Decimal:
    return Decimal(ticks).scaleb(-2)


def quantity(lots: int) -> Decimal:
    return Decimal(lots).scaleb(-3)


def _told(name: str, asked: Any) -> Any:
    if name in ("trail_amount", "limit_price", "stop_price"):
        return price(asked)
    return quantity(asked) if name == "display_quantity" else asked


class Desk:
    """One venue, mostly with one instrument. Time goes on by one microsecond with everything that is done."""

    def __init__(
        self,
        *instruments: Instrument,
        terms: AccountTerms | None = None,
        balances: Mapping[str, Decimal] = RICH,
        state: RestoredState = NEW,
        start_ns: int = 1_000,
    ) -> None:
        self.instruments = instruments or (BTC,)
        self.symbol = self.instruments[0].symbol
        self.terms = terms or AccountTerms(balances)
        self.venue = Venue(self.instruments, self.terms, state, start_ns)
        self.now_ns = start_ns
        self.log: list[Report] = list(self.venue.opening())
        self.orders: dict[str, Order] = {}
        self._ids = count(1)

    # The market

    def tick(self) -> int:
        self.now_ns += 1_000
        return self.now_ns

    def market(self, *updates: MarketUpdate) -> list[Report]:
        return self._keep(self.venue.apply(updates, self.now_ns))

    def snapshot(self, bids: Levels, asks: Levels, symbol: str = "") -> list[Report]:
        return self.market(BookSnapshot(self.tick(), symbol or self.symbol, tuple(bids), tuple(asks)))

    def delta(self, bids: Levels = (), asks: Levels = ()) -> list[Report]:
        return self.market(BookDelta(self.tick(), self.symbol, tuple(bids), tuple(asks)))

    def quote(
        self, bid: tuple[int, int] | None, ask: tuple[int, int] | None, advisory: bool = False
    ) -> list[Report]:
        return self.market(QuoteUpdate(self.tick(), self.symbol, bid, ask, advisory))

    def trade(self, ticks: int, lots: int, aggressor: int = 0) -> list[Report]:
        return self.market(TradeUpdate(self.tick(), self.symbol, ticks, lots, aggressor))

    def gap(self) -> list[Report]:
        return self.market(FeedGap(self.tick(), self.symbol, "lost"))

    # Orders

    def order(
        self,
        side: int,
        lots: int,
        limit: int | None = None,
        stop: int | None = None,
        tif: TimeInForce = GTC,
        source: TriggerSource = TriggerSource.UNSPECIFIED,
        symbol: str = "",
        **special: Any,
    ) -> Order:
        """`special` are fields of the spec; those of quantities in lots, of prices in ticks."""
        kinds = {
            (False, False): OrderType.MARKET,
            (True, False): OrderType.LIMIT,
            (False, True): OrderType.STOP,
            (True, True): OrderType.STOP_LIMIT,
        }
        number = next(self._ids)
        spec = OrderSpec(
            symbol=symbol or self.symbol,
            side=Side.BUY if side > 0 else Side.SELL,
            type=kinds[limit is not None, stop is not None],
            quantity=quantity(lots),
            limit_price=None if limit is None else price(limit),
            stop_price=None if stop is None else price(stop),
            time_in_force=tif,
            trigger_source=source,
        )
        if special:
            spec = changed(spec, **{name: _told(name, asked) for name, asked in special.items()})
        order = lifecycle.intend(
            order_id=f"o{number}",
            client_order_id=f"c{number}",
            account_id="paper",
            spec=spec,
            quantity=quantity(lots),
            multiplier=Decimal(1),
            now_ns=self.now_ns,
        )
        self.orders[order.client_order_id] = order
        return order

    def place(self, orders: Sequence[Order]) -> list[Outcome]:
        outcomes = self.venue.place(orders, self.tick())
        for outcome in outcomes:
            self._keep(outcome.reports)
        return outcomes

    def send(
        self,
        side: int,
        lots: int,
        limit: int | None = None,
        stop: int | None = None,
        tif: TimeInForce = GTC,
        source: TriggerSource = TriggerSource.UNSPECIFIED,
        symbol: str = "",
        **special: Any,
    ) -> Outcome:
        return self.place([self.order(side, lots, limit, stop, tif, source, symbol, **special)])[0]

    def buy(self, lots: int, limit: int | None = None, tif: TimeInForce = GTC) -> Outcome:
        return self.send(1, lots, limit, tif=tif)

    def sell(self, lots: int, limit: int | None = None, tif: TimeInForce = GTC) -> Outcome:
        return self.send(-1, lots, limit, tif=tif)

    def cancel(self, client_order_id: str) -> Outcome:
        outcome = self.venue.cancel(self.orders[client_order_id], self.tick())
        self._keep(outcome.reports)
        return outcome

    def replace(
        self,
        client_order_id: str,
        lots: int,
        limit: int | None = None,
        stop: int | None = None,
        **special: Any,
    ) -> Outcome:
        before = self.orders[client_order_id]
        told = {name: _told(name, asked) for name, asked in special.items()}
        spec = changed(
            before.spec,
            limit_price=None if limit is None else price(limit),
            stop_price=None if stop is None else price(stop),
            **told,
        )
        outcome = self.venue.replace(ReplaceCommand(before, spec, quantity(lots)), self.tick())
        self._keep(outcome.reports)
        return outcome

    # What happened

    def _keep(self, reports: Sequence[Report]) -> list[Report]:
        self.log.extend(reports)
        return list(reports)

    def fills(self, reports: Iterable[Report] | Outcome | None = None) -> list[tuple[str, int, int]]:
        """(client order id, price in ticks, lots) of the fills in `reports`, or of all there ever were."""
        if reports is None:
            reports = self.log
        elif isinstance(reports, Accepted | Rejected):
            reports = reports.reports
        assert not isinstance(reports, Outcome)
        return [
            (report.client_order_id, int(report.price.scaleb(2)), int(report.quantity.scaleb(3)))
            for report in reports
            if isinstance(report, FillReport)
        ]

    def changes(self, reports: Iterable[Report] | None = None) -> list[tuple[str, str]]:
        """(client order id, what happened) of everything but fills."""
        return [
            (report.client_order_id, report.event.name)
            for report in (self.log if reports is None else reports)
            if isinstance(report, OrderReport)
        ]

    def balance(self, currency: str) -> BrokerBalance:
        return {balance.currency: balance for balance in self.venue.balances()}[currency]

    def position(self, symbol: str = "") -> BrokerPosition:
        return {position.symbol: position for position in self.venue.positions()}[symbol or self.symbol]
