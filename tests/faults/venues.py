"""The brokers of the matrix: an adapter at its emulator, and what is traded there."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from brokergate.adapters.alpaca import wire as alpaca_wire
from brokergate.adapters.alpaca.broker import AlpacaBroker
from brokergate.adapters.alpaca.config import AlpacaConfig
from brokergate.adapters.binance import wire as binance_wire
from brokergate.adapters.binance.broker import BinanceBroker
from brokergate.adapters.binance.config import BinanceConfig
from brokergate.adapters.connection.manager import ConnectionManager
from brokergate.adapters.context import BrokerContext
from brokergate.adapters.ibkr.broker import InteractiveBrokersBroker
from brokergate.adapters.ibkr.config import IBKR as IBKR_NAME
from brokergate.adapters.ibkr.config import InteractiveBrokersConfig
from brokergate.adapters.ibkr.orders import MAX_REF_LENGTH
from brokergate.config.accounts import AccountConfig
from brokergate.domain.accounts import Environment
from brokergate.ports.broker import AbstractBroker
from brokergate.ports.clock import Clock
from brokergate.resilience.metrics import BrokerMetrics
from tests.emulators.client import Emulator
from tests.faults.scenarios import OF_TWS, SCENARIOS, Scenario

ABSENCE_AFTER_MS = 1500
"""After which silence proves absence here: an emulator keeps nothing back, and the matrix is not to wait for what a
real venue may."""
REQUEST_TIMEOUT_MS = 700
Settings = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Venue:
    """One of them. Prices and quantities as the instrument has them: `price` is near the market."""

    name: str
    symbol: str
    base_currency: str
    quote_currency: str
    price: Decimal
    tick: Decimal
    lot: Decimal
    balances: Mapping[str, str]
    no_limits: Mapping[str, int]
    """What the emulator is told where its limits are not to be met; the adapter goes by what it then says."""
    queries: tuple[str, ...]
    """What the emulator calls the requests by which positions and orders are read."""
    id_length: int
    id_parameter: str
    """Under which a request to place carries the client's id."""
    make: Callable[[Emulator, str, BrokerContext, Settings], AbstractBroker]
    """The adapter of an account at the emulator, by this host name, with settings of its section."""
    transports: frozenset[str] = frozenset({"rest"})
    """Over which orders go out, as the emulator's log calls them."""
    scenarios: Sequence[Scenario] = SCENARIOS
    """What can befall its wire: its rows of the matrix."""
    found_by: tuple[str, ...] = ("find_order", "open_orders")
    """What the emulator calls the requests by which a lost order is found."""
    emulator: str = ""
    """What its emulator is called, where that is another name."""

    def context(self, account_id: str, clock: Clock, log: Callable[..., object]) -> BrokerContext:
        """What the house hands to the adapter."""
        return BrokerContext(
            account_id=account_id,
            clock=clock,
            random=random.Random(7),
            log=log,
            connections=ConnectionManager(clock),
            metrics=BrokerMetrics(clock),
        )


class BinanceAccount(AccountConfig):
    """An account with the section that the registry gives it otherwise."""

    binance: BinanceConfig = BinanceConfig()


class AlpacaAccount(AccountConfig):
    """Likewise."""

    alpaca: AlpacaConfig = AlpacaConfig()


class IbkrAccount(AccountConfig):
    """Likewise."""

    ibkr: InteractiveBrokersConfig


CONNECTION = {"request_timeout_ms": REQUEST_TIMEOUT_MS, "quiet_timeout_ms": 1000}


def _binance(emulator: Emulator, host: str, context: BrokerContext, settings: Settings) -> AbstractBroker:
    http, ws = f"http://{host}:{emulator.port}", f"ws://{host}:{emulator.port}"
    account = BinanceAccount.model_validate(
        {
            "broker": "binance",
            "environment": Environment.TESTNET,
            "credentials": {"api_key": emulator.key, "api_secret": emulator.secret},
            "connection": CONNECTION,
            "binance": {
                "rest_url": http,
                "websocket_api_url": f"{ws}/ws-api/v3",
                "stream_url": ws,
                "recv_window_ms": 1000,
                **settings,
            },
        }
    )
    broker = BinanceBroker(account, context)
    broker.capabilities = replace(broker.capabilities, absence_after_ms=ABSENCE_AFTER_MS)
    return broker


def _alpaca(emulator: Emulator, host: str, context: BrokerContext, settings: Settings) -> AbstractBroker:
    http, ws = f"http://{host}:{emulator.port}", f"ws://{host}:{emulator.port}"
    account = AlpacaAccount.model_validate(
        {
            "broker": "alpaca",
            "credentials": {"api_key": emulator.key, "api_secret": emulator.secret},
            "connection": CONNECTION,
            "alpaca": {
                "rest_url": http,
                "stream_url": f"{ws}/stream",
                "data_url": http,
                "data_stream_url": ws,
                "instruments": ["AAPL", "MSFT"],
                "requests_per_minute": 10_000,
                "absence_after_ms": ABSENCE_AFTER_MS,
                **settings,
            },
        }
    )
    return AlpacaBroker(account, context)


def _ibkr(emulator: Emulator, host: str, context: BrokerContext, settings: Settings) -> AbstractBroker:
    account = IbkrAccount.model_validate(
        {
            "broker": IBKR_NAME,
            "environment": Environment.PAPER,
            "connection": CONNECTION,
            "ibkr": {
                "host": host,
                "port": emulator.port,
                "instruments": ["AAPL", "MSFT"],
                "messages_per_second": 1000,
                "absence_after_ms": ABSENCE_AFTER_MS,
                **settings,
            },
        }
    )
    return InteractiveBrokersBroker(account, context)


BINANCE = Venue(
    name="binance",
    symbol="BTC/USDT",
    base_currency="BTC",
    quote_currency="USDT",
    price=Decimal(10_000),
    tick=Decimal(1),
    lot=Decimal("0.01"),
    balances={"USDT": "1000000", "BTC": "0"},
    no_limits={},
    queries=("account", "open_orders"),
    id_length=binance_wire.CLIENT_ID_LENGTH,
    id_parameter="newClientOrderId",
    make=_binance,
)
ALPACA = Venue(
    name="alpaca",
    symbol="AAPL",
    base_currency="",
    quote_currency="USD",
    price=Decimal(100),
    tick=Decimal("0.01"),
    lot=Decimal(1),
    balances={"USD": "1000000"},
    no_limits={"requests": 100_000},
    queries=("positions", "open_orders"),
    id_length=alpaca_wire.MAX_ID_LENGTH,
    id_parameter="client_order_id",
    make=_alpaca,
)
IBKR = Venue(
    name="ibkr",
    emulator="tws",
    symbol="AAPL",
    base_currency="",
    quote_currency="USD",
    price=Decimal(100),
    tick=Decimal("0.01"),
    lot=Decimal(1),
    balances={"USD": "1000000"},
    no_limits={"rate": 100_000},
    queries=("positions", "open_orders"),
    id_length=MAX_REF_LENGTH,
    id_parameter="order_ref",
    make=_ibkr,
    transports=frozenset({"tws"}),
    scenarios=OF_TWS,
    found_by=("open_orders",),
)
VENUES: Mapping[str, Venue] = {venue.name: venue for venue in (BINANCE, ALPACA, IBKR)}
