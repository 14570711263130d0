"""A market maker for a paper account: it quotes one bid below the market's and one ask above it, moves them with it,
follows its fills, and on Ctrl+C, or after --seconds, cancels both and closes the position.

    python clients/python/examples/market_maker.py --seconds 30
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal

from brokergate_client import (
    ErrorReason,
    Gateway,
    GatewayError,
    NotFoundError,
    Order,
    OrderSpec,
    OrderState,
    Quote,
    Side,
    limit_order,
    name_of,
)


@dataclass
class MarketMaker:
    """Two quotes on one instrument. `away` is how far each is from the best price, `most` the largest position."""

    gateway: Gateway
    account: str
    symbol: str
    quantity: Decimal
    away: Decimal
    most: Decimal
    position: Decimal = Decimal(0)
    orders: dict[Side, Order] = field(default_factory=dict)
    unanswered: dict[Side, tuple[str | None, OrderSpec]] = field(default_factory=dict)
    """Placed, and nobody knows whether: the client_order_id, and what."""
    moving: asyncio.Lock = field(default_factory=asyncio.Lock)
    placed: int = 0
    replaced: int = 0
    fills: int = 0

    async def follow_fills(self, cursor: str) -> None:
        """Keep the position, by the fills from `cursor` on."""
        async for fill in self.gateway.fills(after=cursor, account_ids=[self.account], symbols=[self.symbol]):
            self.fills += 1
            self.position += fill.quantity if fill.side == Side.BUY else -fill.quantity
            print(
                f"{name_of(fill.side)} {fill.quantity} at {fill.price}, position {self.position}", flush=True
            )

    async def follow_market(self, min_interval_s: float) -> None:
        """Move the quotes with the market."""
        async for quote in self.gateway.quotes(self.account, self.symbol, min_interval_s=min_interval_s):
            async with self.moving:
                await self.move(quote)

    async def move(self, quote: Quote) -> None:
        """Put a quote behind each of the best prices; a side without one stays as it is."""
        room = self.most - self.quantity
        if quote.bid_price is not None:
            await self.quote(Side.BUY, quote.bid_price - self.away, self.position <= room)
        if quote.ask_price is not None:
            await self.quote(Side.SELL, quote.ask_price + self.away, self.position >= -room)

    async def quote(self, side: Side, price: Decimal, wanted: bool) -> None:
        """Have the side's order work at `price`, or not at all. Where that fails the next quote tries again."""
        order = self.orders.get(side)
        try:
            try:
                now = await self.moved(side, order, price, wanted)
            except GatewayError as error:
                if order is None:
                    raise
                if error.reason != ErrorReason.ORDER_ENDED:
                    print(f"{name_of(side)}: {error}", flush=True)
                # It filled, somebody else changed it, or the outcome is not known: what it is now decides.
                now = await self.gateway.order(self.account, order_id=order.order_id)
        except GatewayError as error:
            print(f"{name_of(side)}: {error}", flush=True)
            return
        if now is None or now.ended:
            self.orders.pop(side, None)
        else:
            self.orders[side] = now

    async def moved(self, side: Side, order: Order | None, price: Decimal, wanted: bool) -> Order | None:
        """The side's order as it is after what there was to do."""
        if order is None:
            return await self.place(side, price) if wanted or side in self.unanswered else None
        if not wanted:
            return await self.gateway.cancel(self.account, order_id=order.order_id)
        if order.spec.limit_price == price:
            # It may have filled here, or somebody else have ended it.
            return await self.gateway.order(self.account, order_id=order.order_id)
        now = await self.gateway.replace(
            self.account,
            order_id=order.order_id,
            expected_generation=order.generation,
            limit_price=price,
        )
        self.replaced += 1
        return now

    async def place(self, side: Side, price: Decimal) -> Order:
        """Place a quote, or learn what became of one whose answer never came: under its id it is placed once."""
        spec = limit_order(self.symbol, side, self.quantity, price, post_only=True)
        name, spec = self.unanswered.pop(side, (None, spec))
        try:
            order = (await self.gateway.place(self.account, spec, client_order_id=name)).order
        except GatewayError as error:
            if error.outcome_unknown:
                self.unanswered[side] = error.request_id, spec
            raise
        if order.state == OrderState.REJECTED:
            print(f"{name_of(side)}: {name_of(order.reject_reason)}: {order.reject_message}", flush=True)
        else:
            self.placed += 1
        return order

    async def flatten(self) -> None:
        """Cancel what works on the instrument, and close the position. SystemExit says what is left."""
        try:
            await self.gateway.cancel_all(self.account, symbol=self.symbol)
            with suppress(NotFoundError):
                closed = await self.gateway.close_position(self.account, self.symbol)
                print(f"closed: {name_of(closed.spec.side)} {closed.cum_quantity} at {closed.average_price}")
            left = await self.left()
        except GatewayError as error:
            left = [f"orders and a position, as far as is known ({error})"]
        print(f"placed {self.placed}, replaced {self.replaced}, fills {self.fills}", flush=True)
        if left:
            raise SystemExit(f"NOT FLAT in {self.symbol}: {', '.join(left)}")
        print("flat", flush=True)

    async def left(self) -> list[str]:
        """The orders that work still and the position."""
        orders = self.gateway.orders(self.account, symbol=self.symbol, open_only=True)
        left = [f"order {order.order_id}" async for order in orders]
        positions = await self.gateway.positions(self.account)
        if positions.stale:
            left.append("a position, as far as is known: the broker is away")
        return left + [f"position {each.quantity}" for each in positions if each.symbol == self.symbol]


async def run(options: argparse.Namespace) -> None:
    """Make a market until the time is over or somebody interrupts."""
    async with Gateway.connect(options.address, token=os.environ.get("BROKERGATE_TOKEN")) as gateway:
        account, symbol, quantity = options.account, options.symbol, Decimal(options.quantity)
        away = (await gateway.instrument(account, symbol)).price_increment * options.ticks
        maker = MarketMaker(gateway, account, symbol, quantity, away, quantity * options.most)
        held = await gateway.positions(account)
        maker.position = next((each.quantity for each in held if each.symbol == symbol), maker.position)
        over = asyncio.Event()
        # Signals are the main thread's; in a notebook this may run in another.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, over.set)
        tasks = [
            asyncio.create_task(maker.follow_fills(held.cursor)),
            asyncio.create_task(maker.follow_market(options.interval)),
            asyncio.create_task(over.wait()),
        ]
        try:
            done, _ = await asyncio.wait(
                tasks, timeout=options.seconds or None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                task.result()
        except GatewayError as error:
            # Said now: to be flat may fail as well.
            print(error, flush=True)
            raise
        finally:
            # Not in the midst of a move: an order that is on its way would be placed behind the last cancel.
            async with maker.moving:
                for task in tasks:
                    task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await maker.flatten()


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--address", default="127.0.0.1:50051", help="the gateway, host:port")
    parser.add_argument("--account", default="paper", help="the account")
    parser.add_argument("--symbol", default="BTC/USDT", help="the instrument")
    parser.add_argument("--quantity", default="0.01", help="the size of each quote")
    parser.add_argument("--ticks", type=int, default=20, help="how far each is from the best price, in ticks")
    parser.add_argument("--most", type=int, default=5, help="the largest position, long or short, in quotes")
    parser.add_argument("--interval", type=float, default=0.2, help="the least seconds between two moves")
    parser.add_argument("--seconds", type=float, default=0, help="how long; 0 is until Ctrl+C")
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
