"""An account's orders as the engine keeps them, with its limits told of every change; the clock and the quotes are the
test's."""

from __future__ import annotations

from decimal import Decimal

from brokergate.domain import lifecycle
from brokergate.domain.accounts import BrokerPosition
from brokergate.domain.fills import Fill, Liquidity, Money
from brokergate.domain.instruments import Instrument, InstrumentKind
from brokergate.domain.market import QuoteView
from brokergate.domain.orders import Order, OrderSpec, OrderType, PendingAction, PendingActionKind, Side
from brokergate.domain.policy import RiskLimits
from brokergate.domain.values import changed
from brokergate.engine.risk.breach import Breach
from brokergate.engine.risk.limits import Risk
from tests.unit.engine.scripted import StillClock

SECOND_NS = 1_000_000_000


def listed(
    symbol: str, kind: InstrumentKind, base: str, quote: str, tick: str, lot: str, multiplier: str = "1"
) -> Instrument:
    """An instrument."""
    return Instrument(
        symbol, symbol, kind, base, quote, Decimal(tick), Decimal(lot), multiplier=Decimal(multiplier)
    )


BTC = listed("BTC/USDT", InstrumentKind.SPOT, "BTC", "USDT", "0.01", "0.001")
ETH = listed("ETH/BTC", InstrumentKind.SPOT, "ETH", "BTC", "0.0001", "0.01")
EUR = listed("EUR/USD", InstrumentKind.FOREX, "EUR", "USD", "0.0001", "1")
ES = listed("ESZ6", InstrumentKind.FUTURE, "", "USD", "0.25", "1", "50")
SAP = listed("SAP", InstrumentKind.EQUITY, "", "EUR", "0.01", "1")
PERPETUAL = listed("BTC/USD:USD", InstrumentKind.PERPETUAL, "BTC", "USD", "0.5", "1", "0.001")
INSTRUMENTS = {instrument.symbol: instrument for instrument in (BTC, ETH, EUR, ES, SAP, PERPETUAL)}


def usdt(amount: str) -> Money:
    """An amount of USDT."""
    return Money(Decimal(amount), "USDT")


def usd(amount: str) -> Money:
    """An amount of USD."""
    return Money(Decimal(amount), "USD")


def spec(
    side: Side,
    quantity: str | int | Decimal,
    limit: str | Decimal | None = None,
    stop: str | Decimal | None = None,
    *,
    symbol: str = "BTC/USDT",
    trail_amount: str | None = None,
    trail_percent: str | None = None,
) -> OrderSpec:
    """What an order asks for; its type follows from its prices."""
    kinds = {
        (False, False): OrderType.MARKET,
        (True, False): OrderType.LIMIT,
        (False, True): OrderType.STOP,
        (True, True): OrderType.STOP_LIMIT,
    }
    kind = kinds[limit is not None, stop is not None]
    if trail_amount or trail_percent:
        kind = OrderType.TRAILING_STOP
    return OrderSpec(
        symbol,
        side,
        kind,
        Decimal(quantity),
        limit_price=None if limit is None else Decimal(limit),
        stop_price=None if stop is None else Decimal(stop),
        trail_amount=Decimal(trail_amount) if trail_amount else None,
        trail_percent=Decimal(trail_percent) if trail_percent else None,
    )


class Desk:
    """The orders of one account. `quotes` are by symbol."""

    def __init__(self, limits: RiskLimits, day: str | None = None, clock: StillClock | None = None) -> None:
        self.limits = limits
        self.clock = clock or StillClock()
        self.quotes: dict[str, QuoteView] = {}
        self.orders: dict[str, Order] = {}
        self.problems: dict[str, str] = {}
        self.risk = Risk(
            limits,
            self.quotes.get,
            lambda: INSTRUMENTS,
            self.clock,
            day,
            lambda of: self.problems.get(of, ""),
        )
        self._made = 0

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.clock.ns += int(seconds * SECOND_NS)

    def quote(self, bid: str | None, ask: str | None, symbol: str = "BTC/USDT") -> None:
        """The market tells a quote, now."""
        self.quotes[symbol] = QuoteView(
            symbol,
            Decimal(bid) if bid else None,
            Decimal(1) if bid else None,
            Decimal(ask) if ask else None,
            Decimal(1) if ask else None,
            0,
            self.clock.ns,
        )

    def place(self, asked: OrderSpec) -> Order | Breach:
        """As the engine does: asks, and has the order counted at once when it passes."""
        assert asked.quantity is not None
        breach = self.risk.check(asked, asked.quantity, INSTRUMENTS[asked.symbol])
        return breach or self.intend(asked)

    def intend(self, asked: OrderSpec, *, external: bool = False) -> Order:
        """The order is there, without being asked about: one of others, or of before a start."""
        self._made += 1
        name = f"o{self._made}"
        assert asked.quantity is not None
        instrument = INSTRUMENTS[asked.symbol]
        if external:
            order = lifecycle.external(
                order_id=name,
                account_id="main",
                spec=asked,
                quantity=asked.quantity,
                multiplier=instrument.multiplier,
                broker_order_id=f"b{name}",
                now_ns=self.clock.ns,
            )
        else:
            order = lifecycle.intend(
                order_id=name,
                client_order_id=name,
                account_id="main",
                spec=asked,
                quantity=asked.quantity,
                multiplier=instrument.multiplier,
                now_ns=self.clock.ns,
            )
        return self.hold(order)

    def hold(self, order: Order) -> Order:
        """The order is now this."""
        self.risk.hold(self.orders.get(order.order_id), order)
        if order.ended:
            self.orders.pop(order.order_id, None)
        else:
            self.orders[order.order_id] = order
        return order

    def fill(self, order: Order, quantity: str | int | Decimal, price: str | Decimal = "100") -> Order:
        """An execution of the order is booked."""
        execution = Fill(
            "f", "main", order.order_id, "", "b", "e", order.spec.symbol, order.spec.side, Decimal(quantity),
            Decimal(price), (), Liquidity.TAKER, self.clock.ns, self.clock.ns,
        )  # fmt: skip
        self.risk.filled(execution.symbol, execution.side, execution.quantity)
        return self.hold(lifecycle.fill(order, execution, self.clock.ns)[0])

    def cancel(self, order: Order) -> Order:
        """The venue cancelled it."""
        return self.hold(lifecycle.cancel(order, self.clock.ns))

    def acknowledge(self, order: Order) -> Order:
        """The venue took it."""
        return self.hold(lifecycle.acknowledge(order, f"b{order.order_id}", self.clock.ns))

    def doubt(self, order: Order, kind: PendingActionKind) -> Order:
        """Nobody knows what came of it."""
        return self.hold(lifecycle.uncertain(order, kind, self.clock.ns))

    def replace(self, order: Order, shall: OrderSpec) -> Order | Breach:
        """Asks for the order to become `shall`; the replace is then under way."""
        assert shall.quantity is not None
        breach = self.risk.check(shall, shall.quantity, INSTRUMENTS[shall.symbol], order)
        if breach is not None:
            return breach
        action = PendingAction(PendingActionKind.REPLACE, "r", self.clock.ns, replacement=shall)
        return self.hold(lifecycle.request(order, action))

    def replaced(self, order: Order) -> Order:
        """The venue did what was asked."""
        action = order.action(PendingActionKind.REPLACE)
        assert action is not None
        shall = action.replacement
        assert shall is not None
        assert shall.quantity is not None
        return self.hold(lifecycle.replaced(order, shall, shall.quantity, "", self.clock.ns))

    def refused(self, order: Order) -> Order:
        """The venue refused the replace."""
        return self.hold(lifecycle.refuse(order, PendingActionKind.REPLACE, self.clock.ns))

    def position(
        self,
        quantity: str,
        cost: str = "0",
        realized: str = "0",
        fees: tuple[Money, ...] = (),
        symbol: str = "BTC/USDT",
        mark: str | None = None,
    ) -> None:
        """The absolute word on a position."""
        instrument = INSTRUMENTS[symbol]
        self.risk.position(
            BrokerPosition(
                symbol,
                Decimal(quantity),
                Decimal(cost),
                instrument.quote_currency,
                self.clock.ns,
                realized_pnl=Decimal(realized),
                fees=fees,
                multiplier=instrument.multiplier,
                mark_price=Decimal(mark) if mark else None,
            )
        )


def smaller(asked: OrderSpec, quantity: str | int | Decimal) -> OrderSpec:
    """The same with another quantity."""
    return changed(asked, quantity=Decimal(quantity))


def passed(answer: Order | Breach) -> Order:
    """The order, which passed."""
    assert isinstance(answer, Order), answer.message
    return answer


def refusal(answer: Order | Breach | None) -> Breach:
    """Why it did not pass."""
    assert isinstance(answer, Breach), "it passed"
    return answer
