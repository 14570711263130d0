"""Which object serves which service."""

from __future__ import annotations

from brokergate.engine.gateway import Gateway
from brokergate.engine.streams import EventStreams
from brokergate.ports.clock import Clock
from brokergate.transport.order_entry import OrderEntry
from brokergate.transport.services.account import AccountService
from brokergate.transport.services.broker import BrokerService
from brokergate.transport.services.event import EventService
from brokergate.transport.services.instrument import InstrumentService
from brokergate.transport.services.market_data import MarketDataService
from brokergate.transport.services.order import OrderService
from brokergate.transport.services.position import PositionService
from brokergate.transport.services.simulator import SimulatorService
from brokergate.transport.services.trading_control import TradingControlService
from brokergate.transport.settings import TransportSettings


def implementations(
    gateway: Gateway, streams: EventStreams, entry: OrderEntry, settings: TransportSettings, clock: Clock
) -> dict[str, object]:
    """By the service's short name, for `methods.register`."""
    return {
        "OrderService": OrderService(gateway, entry),
        "PositionService": PositionService(gateway),
        "AccountService": AccountService(gateway),
        "EventService": EventService(gateway, streams),
        "BrokerService": BrokerService(gateway),
        "InstrumentService": InstrumentService(gateway),
        "MarketDataService": MarketDataService(gateway, clock, settings.max_trades_waiting),
        "TradingControlService": TradingControlService(gateway),
        "SimulatorService": SimulatorService(gateway, clock),
    }
