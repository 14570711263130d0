"""What a trading account journals, made by the domain's own rules: orders, their fills, positions, balances."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from brokergate.domain import lifecycle
from brokergate.domain.accounts import BrokerBalance, BrokerPosition
from brokergate.domain.events import (
    BalanceChanged,
    EventPayload,
    FillBooked,
    OrderChanged,
    OrderEventType,
    PositionChanged,
)
from brokergate.domain.fills import Fill, Liquidity, Money
from brokergate.domain.money import ONE
from brokergate.domain.orders import Order, OrderSpec, OrderType, Side, TimeInForce
from brokergate.ports.journal import Journal, NewOrder

START_NS = 1_700_000_000_000_000_000
PRINT = b"0123456789abcdef"


@dataclass
class Trader:
    """Places orders on one account of a journal, one microsecond apart."""

    journal: Journal
    account_id: str = "paper"
    now_ns: int = START_NS

    def intend(self, client_order_id: str, symbol: str = "BTC/USDT", multiplier: Decimal = ONE) -> Order:
        """A new order, not yet journalled."""
        self.now_ns += 1000
        spec = OrderSpec(
            symbol,
            Side.BUY,
            OrderType.LIMIT,
            Decimal("2.50"),
            limit_price=Decimal("10"),
            time_in_force=TimeInForce.GTC,
        )
        return lifecycle.intend(
            order_id=self.journal.next_order_id(self.account_id),
            client_order_id=client_order_id,
            account_id=self.account_id,
            spec=spec,
            quantity=Decimal("2.50"),
            multiplier=multiplier,
            now_ns=self.now_ns,
        )

    def stage(self, *payloads: EventPayload, new: str = "") -> None:
        """Stages events, and registers a new order's id."""
        records = [NewOrder(new, PRINT)] if new else []
        self.journal.stage(self.account_id, self.now_ns, payloads, records)

    def place(self, client_order_id: str, symbol: str = "BTC/USDT", broker_order_id: str = "") -> Order:
        """Stages an order that works at the venue."""
        order = self.intend(client_order_id, symbol)
        working = lifecycle.acknowledge(order, broker_order_id or f"B-{client_order_id}", self.now_ns)
        self.stage(
            OrderChanged(OrderEventType.INTENT, order),
            OrderChanged(OrderEventType.ACKNOWLEDGED, working),
            new=client_order_id,
        )
        return working

    def execution(self, order: Order, execution_id: str) -> Fill:
        """A fill of all of `order`, not yet journalled."""
        return Fill(
            fill_id=self.journal.next_fill_id(self.account_id),
            account_id=self.account_id,
            order_id=order.order_id,
            client_order_id=order.client_order_id,
            broker_order_id=order.broker_order_id,
            broker_execution_id=execution_id,
            symbol=order.spec.symbol,
            side=Side.BUY,
            quantity=order.quantity,
            price=Decimal("10"),
            fees=(Money(Decimal("0.01"), "USDT"),),
            liquidity=Liquidity.TAKER,
            event_time_ns=self.now_ns,
            receive_time_ns=self.now_ns,
        )

    def fill(self, order: Order, execution_id: str = "") -> Order:
        """Stages a fill of all of `order`, with the position and the balance after it."""
        self.now_ns += 1000
        execution = self.execution(order, execution_id or f"X-{order.client_order_id}")
        filled, event = lifecycle.fill(order, execution, self.now_ns)
        position = BrokerPosition(order.spec.symbol, order.quantity, Decimal(25), "USDT", self.now_ns)
        self.stage(
            FillBooked(execution),
            OrderChanged(event, filled),
            PositionChanged(position),
            BalanceChanged(BrokerBalance("USDT", Decimal("99.99"), Decimal(0), self.now_ns)),
        )
        return filled
