"""Trades on several brokers in one process, without the gateway's server.

    python docs/examples/several_brokers.py brokergate.yaml binance-main=BTC/USDT:0.001 alpaca-main=AAPL:1

Buys so much of one instrument on each account, all at once, for what is asked for it now, follows each order to its
end, and says what the account then has. A broker that cannot be reached, or refuses, holds up no other. The accounts
and their keys stand in the configuration (docs/configuration.md); one that may trade has `trading: {enabled: true}`.

What the gateway adds is not here: no journal, so nothing is known of an order after the program has ended; no limits;
no emergency stop.
"""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from brokergate.adapters.factory import BrokerFactory
from brokergate.domain import lifecycle
from brokergate.domain.errors import BrokerError, TemporaryConnectionError
from brokergate.domain.events import OrderEventType
from brokergate.domain.instruments import Instrument
from brokergate.domain.orders import Order, OrderSpec, OrderType, Side, TimeInForce
from brokergate.ports.broker import (
    Absent,
    AbstractBroker,
    Accepted,
    FillReport,
    Found,
    OrderReport,
    Rejected,
    Report,
    Unknown,
)
from brokergate.ports.clock import SystemClock

PATIENCE_S = 30.0
ENDS = (OrderEventType.CANCELED, OrderEventType.EXPIRED, OrderEventType.REJECTED)
CLOCK = SystemClock()


async def asked(broker: AbstractBroker, symbol: str) -> Decimal:
    """The lowest price that somebody asks. The first question subscribes to the market."""
    while (quote := broker.quote(symbol)) is None or quote.ask_price is None:
        await CLOCK.sleep(0.05)
    return quote.ask_price


def new_order(
    broker: AbstractBroker, account_id: str, instrument: Instrument, quantity: Decimal, price: Decimal
) -> Order:
    """An order under an id of its own: by it the venue can be asked for it, whatever becomes of its answer."""
    times = broker.capabilities.order_types[OrderType.LIMIT]
    name = f"example-{uuid.uuid4().hex[:12]}"
    spec = OrderSpec(
        instrument.symbol,
        Side.BUY,
        OrderType.LIMIT,
        quantity,
        limit_price=price,
        # Alpaca takes fractions of a share for the day alone; Binance knows no day.
        time_in_force=TimeInForce.DAY if TimeInForce.DAY in times else TimeInForce.GTC,
    )
    return lifecycle.intend(
        order_id=name,
        client_order_id=name,
        account_id=account_id,
        spec=spec,
        quantity=quantity,
        multiplier=instrument.multiplier,
        now_ns=CLOCK.now_ns(),
    )


async def place(broker: AbstractBroker, order: Order) -> Sequence[Report]:
    """Sends the order, once. What the venue told with its answer; `BrokerError` where it does not have it."""
    match await broker.place_order(order):
        case Accepted(reports=reports):
            return reports
        case Rejected(message=message):
            raise BrokerError(f"refused: {message}")
        case Unknown(message=message):
            # It may be there: it is asked for, and never sent again.
            print(f"{order.account_id}: {message}; asking for the order")
    for _ in range(10):
        found = await broker.find_order(order)
        if isinstance(found, Found):
            return ()
        if isinstance(found, Absent):
            raise BrokerError("the order did not arrive")
        await CLOCK.sleep(0.5)
    raise BrokerError(f"nobody knows whether {order.client_order_id} is at the venue: look there")


async def follow(broker: AbstractBroker, batches: asyncio.Queue[Sequence[Report]]) -> None:
    """Takes in what the broker tells, from the connection on: it is alive as long as somebody listens."""
    async for batch in broker.events():
        batches.put_nowait(batch)
    raise TemporaryConnectionError("the connection was lost")


async def filled(order: Order, told: Sequence[Report], batches: asyncio.Queue[Sequence[Report]]) -> Decimal:
    """How much of the order was bought when it had ended. Executions count once, however often they are told."""
    executions: dict[str, Decimal] = {}
    batch: Sequence[Report] = told
    while True:
        for report in batch:
            match report:
                case FillReport(client_order_id=name) if name == order.client_order_id:
                    if report.execution_id not in executions:
                        executions[report.execution_id] = report.quantity
                        print(f"{order.account_id}: bought {report.quantity:f} at {report.price:f}")
                case OrderReport(client_order_id=name, event=event) if name == order.client_order_id:
                    if event in ENDS:
                        return sum(executions.values(), Decimal(0))
        if sum(executions.values()) >= order.quantity:
            return order.quantity
        batch = await batches.get()


async def trade(factory: BrokerFactory, account_id: str, symbol: str, quantity: Decimal) -> bool:
    """Buys on one account; whether that went well."""
    listening = None
    try:
        async with asyncio.timeout(PATIENCE_S):
            broker = await factory.create_broker(account_id)
            batches: asyncio.Queue[Sequence[Report]] = asyncio.Queue()
            listening = asyncio.create_task(follow(broker, batches))
            instruments = {instrument.symbol: instrument for instrument in await broker.list_instruments()}
            if symbol not in instruments:
                print(f"{account_id}: {broker.name} has no {symbol}")
                return False
            price = await asked(broker, symbol)
            order = new_order(broker, account_id, instruments[symbol], quantity, price)
            bought = await filled(order, await place(broker, order), batches)
            account = await broker.get_account_info()
            print(
                f"{account_id}: {bought:f} {symbol} at {broker.name}; equity {account.equity:f} {account.base_currency}"
            )
            return bought == order.quantity
    except (BrokerError, TimeoutError, ValueError) as error:
        print(f"{account_id}: {str(error) or 'took too long'}")
        return False
    finally:
        if listening is not None:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


async def main(file: Path, wanted: Sequence[str]) -> int:
    """On all accounts at once; 0 where it went well on each."""
    async with BrokerFactory.of_files(file) as factory:
        trades = []
        for part in wanted:
            account_id, _, what = part.partition("=")
            symbol, _, quantity = what.rpartition(":")
            trades.append(trade(factory, account_id, symbol, Decimal(quantity)))
        done = await asyncio.gather(*trades)
    return 0 if all(done) else 1


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(f"usage: {sys.argv[0]} CONFIGURATION ACCOUNT=SYMBOL:QUANTITY …")
    sys.exit(asyncio.run(main(Path(sys.argv[1]), sys.argv[2:])))
