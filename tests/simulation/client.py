"""Simulated clients: they place, change, cancel and close, and repeat by the rules what they got no answer to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from decimal import Decimal
from random import Random
from typing import Any, TypeVar

from brokergate.codec.decode.fingerprint import fingerprint, fingerprint_of
from brokergate.domain.access import Caller
from brokergate.domain.commands import (
    CancelAllOrders,
    CancelOrder,
    ClosePosition,
    IfUnknown,
    OrderFailure,
    OrderRef,
    Placed,
    PlaceOrder,
    PlaceResult,
    ReplaceOrder,
    Request,
)
from brokergate.domain.errors import ErrorReason, GatewayError, StatusCode
from brokergate.domain.money import add, multiply
from brokergate.domain.orders import Order, OrderSpec, OrderType, Side, TimeInForce
from brokergate.engine.gateway import Gateway
from tests.simulation.answer_laws import AnswerLaws, summary
from tests.simulation.faults import Stand, stand_of
from tests.simulation.house import Door, Gone
from tests.simulation.market import BY_SYMBOL, Market
from tests.simulation.truth import Truth

T = TypeVar("T")

TRIES = 8
_AGAIN = frozenset({StatusCode.UNAVAILABLE, StatusCode.ABORTED, StatusCode.DEADLINE_EXCEEDED})
"""What invites the client to ask again with the same id."""


def encode(result: object) -> bytes:
    """An answer as bytes: an order, or several."""
    if result is None:
        return b"nothing"
    if isinstance(result, Order):
        return summary(result).encode()
    if isinstance(result, OrderFailure):
        reason = result.error.reason.name if isinstance(result.error, GatewayError) else repr(result.error)
        return f"!{reason}".encode()
    if isinstance(result, (list, tuple)):
        return b"\n".join(map(encode, result))
    return repr(result).encode()


class Client:
    """One client with its own ids."""

    def __init__(
        self,
        name: str,
        accounts: Sequence[str],
        door: Door,
        laws: AnswerLaws,
        truth: Truth,
        market: Market,
        random: Random,
    ) -> None:
        self.name = name
        self.commands = 0
        """How many it has given; a repetition does not count."""
        self.caller = Caller(name, f"sim:{name}", "simulated")
        self._accounts = accounts
        self._door = door
        self._laws = laws
        self._truth = truth
        self._market = market
        self._random = random
        self._count = 0
        self._ids: list[tuple[str, str]] = []
        """The orders that it has asked for: (account, client_order_id)."""
        self._asked: dict[tuple[str, str], PlaceOrder] = {}

    async def run(self, commands: int, pause_s: float) -> None:
        """Gives `commands` commands, some of them side by side."""
        doings: list[tuple[int, Callable[[], Coroutine[Any, Any, None]]]] = [
            (36, self.place),
            (5, self.again),
            (4, self.twins),
            (3, self.other_body),
            (5, self.batch),
            (14, self.cancel),
            (4, self.cancel_first),
            (15, self.replace),
            (3, self.cancel_many),
            (2, self.cancel_all),
            (4, self.close),
            (3, self.look),
        ]
        weights = [weight for weight, _ in doings]
        under_way: list[asyncio.Task[None]] = []
        while self.commands < commands:
            (_, doing) = self._random.choices(doings, weights)[0]
            under_way = [task for task in under_way if not task.done()]
            if self._random.random() < 0.4 and len(under_way) < 6:
                under_way.append(asyncio.create_task(doing()))
            else:
                await doing()
            await asyncio.sleep(self._random.expovariate(1 / pause_s))
        await asyncio.gather(*under_way)

    # Drawing

    def draw_id(self) -> str:
        self._count += 1
        return f"{self.name}-{self._count}"

    def _draw_spec(self) -> OrderSpec:
        random = self._random
        symbol = random.choice(("AAPL", "BTC/USDT"))
        side = random.choice((Side.BUY, Side.SELL))
        kind = random.choices(
            (OrderType.LIMIT, OrderType.MARKET, OrderType.STOP, OrderType.STOP_LIMIT), (70, 15, 8, 7)
        )[0]
        step = self._market.step[symbol]
        away = random.randint(-6, 12) * step * (-1 if side is Side.BUY else 1)
        lot = BY_SYMBOL[symbol].quantity_increment
        limit = stop = None
        if kind in (OrderType.LIMIT, OrderType.STOP_LIMIT):
            limit = self._market.price(symbol, away)
        if kind in (OrderType.STOP, OrderType.STOP_LIMIT):
            stop = self._market.price(symbol, random.randint(1, 5) * step * (1 if side is Side.BUY else -1))
        resting = kind is not OrderType.MARKET
        tifs: tuple[TimeInForce, ...] = (TimeInForce.UNSPECIFIED, TimeInForce.GTC, TimeInForce.DAY)
        if kind in (OrderType.LIMIT, OrderType.MARKET):
            tifs += (TimeInForce.IOC, TimeInForce.FOK)
        return OrderSpec(
            symbol=symbol,
            side=side,
            type=kind,
            quantity=multiply(lot, Decimal(random.choice((1, 2, 5, 10, 30, 80)))),
            limit_price=limit,
            stop_price=stop,
            time_in_force=random.choices(tifs, (4, 3, 2, 1, 1)[: len(tifs)])[0]
            if resting
            else TimeInForce.IOC,
        )

    def _draw_place(self, account_id: str, client_order_id: str = "") -> PlaceOrder:
        spec = self._draw_spec()
        name = client_order_id or self.draw_id()
        command = PlaceOrder(account_id, name, spec, fingerprint(f"account:{account_id}", spec), self.caller)
        self._asked.setdefault((account_id, name), command)
        return command

    def _draw_account(self) -> str:
        return self._random.choices(self._accounts, (4, 1)[: len(self._accounts)])[0]

    def _draw_known(self) -> tuple[str, str] | None:
        """One of its orders, rather a young one; one that works, if there is."""
        young = self._ids[-12:]
        working = [key for key in young if self._works(*key)]
        if working and self._random.random() < 0.8:
            return self._random.choice(working)
        return self._random.choice(young) if young else None

    def _works(self, account_id: str, name: str) -> bool:
        story = self._truth.account(account_id).story(name)
        return story is None or not story.latest.ended

    def _stand(self, account_id: str, name: str) -> Stand:
        story = self._truth.account(account_id).story(name)
        return stand_of(None if story is None else story.latest)

    # Asking

    async def _insist(self, what: str, ask: Callable[[], Coroutine[Any, Any, T]]) -> T | None:
        """Asks until there is an answer, or patience is at its end."""
        self.commands += 1
        for attempt in range(TRIES):
            try:
                return await ask()
            except Gone:
                pass
            except GatewayError as error:
                if error.code not in _AGAIN:
                    return None
            if self._random.random() < 0.03:
                return None
            await asyncio.sleep(self._random.uniform(0.02, 0.4) * (1 + attempt))
        return None

    async def _place(self, command: PlaceOrder) -> Placed | None:
        key = (command.account_id, command.client_order_id)

        async def ask() -> Placed:
            alone = key not in self._laws.under_way
            self._laws.under_way[key] = self._laws.under_way.get(key, 0) + 1

            def judged(result: object) -> None:
                self._laws.placed(command, result, alone=alone and self._laws.under_way[key] == 1)

            return await self._door.call(
                f"place {key[1]}",
                lambda gateway: gateway.place_order(command),
                judged,
                (self._stand(*key),),
            )

        if key not in self._ids:
            self._ids.append(key)
        return await self._insist("place", ask)

    def _request(self, method: str, body: object) -> Request:
        return Request(
            f"{self.name}-r{self.draw_id()}", method, fingerprint_of(method, body), encode, self.caller
        )

    async def change(
        self,
        account_id: str,
        request: Request,
        work: Callable[[Gateway], Coroutine[Any, Any, bytes]],
        stands: tuple[Stand, ...],
        judged: Callable[[bytes], None] = lambda _: None,
    ) -> bytes | None:
        """Asks for a mutation with a request id."""

        def judge(result: object) -> None:
            self._laws.changed(account_id, request.request_id, result)
            if isinstance(result, bytes):
                judged(result)

        async def ask() -> bytes:
            return await self._door.call(f"{request.method} {request.request_id}", work, judge, stands)

        return await self._insist(request.method, ask)

    def _orders_shown(self, account_id: str, where: str) -> Callable[[bytes], None]:
        def judged(body: bytes) -> None:
            texts = [
                text for text in body.decode().split("\n") if text and text[0] != "!" and text != "nothing"
            ]
            self._laws.orders(account_id, texts, where)

        return judged

    def _refused_if(self, wrong: bool, account_id: str, where: str) -> Callable[[bytes], None]:
        """As `_orders_shown`; a replace of a generation that never was must not be answered so."""
        if not wrong:
            return self._orders_shown(account_id, where)
        return lambda _: self._laws.not_done(f"{account_id} {where}: of a generation that never was")

    # Doing

    async def place(self) -> None:
        """Places a new order."""
        await self._place(self._draw_place(self._draw_account()))

    async def again(self) -> None:
        """Places an order that it has placed already."""
        key = self._draw_known()
        if key is not None and key in self._asked:
            await self._place(self._asked[key])

    async def twins(self) -> None:
        """Places the same order several times at once."""
        command = self._draw_place(self._draw_account())
        await asyncio.gather(*(self._place(command) for _ in range(self._random.randint(2, 3))))

    async def other_body(self) -> None:
        """Uses an id again for another order."""
        key = self._draw_known()
        if key is not None:
            await self._place(self._draw_place(*key))

    async def batch(self) -> None:
        """Places several orders in one call."""
        account_id = self._draw_account()
        commands = [self._draw_place(account_id) for _ in range(self._random.randint(2, 6))]
        if self._random.random() < 0.3:
            commands.append(commands[0])
        keys = [(account_id, command.client_order_id) for command in commands]
        self._ids.extend(dict.fromkeys(keys))
        calls = self._laws.under_way

        async def ask() -> Sequence[PlaceResult]:
            for key in keys:
                calls[key] = calls.get(key, 0) + 1

            def judged(results: object) -> None:
                if isinstance(results, Exception):
                    return
                assert isinstance(results, (list, tuple))
                for command, result in zip(commands, results, strict=True):
                    self._laws.placed(command, result, alone=False)

            return await self._door.call(
                "batch", lambda gateway: gateway.place_orders(commands), judged, (Stand.NEW,)
            )

        await self._insist("batch", ask)

    async def cancel(self) -> None:
        """Cancels an order."""
        key = self._draw_known()
        if key is not None:
            await self._cancel(*key, IfUnknown.ERROR)

    async def cancel_first(self) -> None:
        """Cancels an order before it is placed, or as it is, and places it then."""
        key = (self._draw_account(), self.draw_id())
        command = self._draw_place(*key)
        cancel = self._cancel(*key, IfUnknown.TOMBSTONE)
        if self._random.random() < 0.5:
            await cancel
            if self._random.random() < 0.7:
                await self._place(command)
        else:
            await asyncio.gather(cancel, self._place(command))

    async def _cancel(self, account_id: str, name: str, if_unknown: IfUnknown) -> None:
        command = CancelOrder(account_id, OrderRef(client_order_id=name), if_unknown)
        request = self._request("CancelOrder", command)
        await self.change(
            account_id,
            request,
            lambda gateway: gateway.cancel_order(command, request),
            (self._stand(account_id, name),),
            self._orders_shown(account_id, f"cancel of {name}"),
        )

    async def replace(self) -> None:
        """Changes an order's price or quantity."""
        key = self._draw_known()
        story = None if key is None else self._truth.account(key[0]).story(key[1])
        if key is None or story is None:
            return
        order = story.latest
        away = self._random.randint(-4, 8) * self._market.step[order.spec.symbol]
        price = None
        if order.spec.limit_price is not None:
            price = self._market.price(order.spec.symbol, -away if order.spec.side is Side.BUY else away)
        lot = BY_SYMBOL[order.spec.symbol].quantity_increment
        quantity = add(order.cum_quantity, multiply(lot, Decimal(self._random.randint(1, 20))))
        wrong = 7 * (self._random.random() < 0.1)
        command = ReplaceOrder(
            key[0],
            OrderRef(client_order_id=key[1]),
            order.generation + wrong,
            quantity=quantity if price is None or self._random.random() < 0.5 else None,
            limit_price=price,
        )
        request = self._request("ReplaceOrder", command)
        replacing = self.change(
            key[0],
            request,
            lambda gateway: gateway.replace_order(command, request),
            (stand_of(order),),
            self._refused_if(bool(wrong), key[0], f"replace of {key[1]}"),
        )
        if self._random.random() < 0.7:
            await replacing
        else:
            await asyncio.gather(replacing, self._cancel_meanwhile(*key))

    async def _cancel_meanwhile(self, account_id: str, name: str) -> None:
        """Cancels while something else is under way on the order, or its outcome is unknown."""
        await asyncio.sleep(self._random.choice((0.01, 0.02, 0.6)))
        await self._cancel(account_id, name, IfUnknown.ERROR)

    async def cancel_many(self) -> None:
        """Cancels several orders in one call."""
        account_id = self._draw_account()
        names = [name for account, name in self._ids[-8:] if account == account_id]
        if not names:
            return
        refs = [OrderRef(client_order_id=name) for name in self._random.sample(names, min(3, len(names)))]
        request = self._request("BatchCancelOrders", (account_id, tuple(refs)))
        stands = tuple(self._stand(account_id, ref.client_order_id) for ref in refs)
        await self.change(
            account_id,
            request,
            lambda gateway: gateway.cancel_orders(account_id, refs, request),
            stands,
            self._orders_shown(account_id, "cancel of several"),
        )

    async def cancel_all(self) -> None:
        """Cancels everything, or one side of one symbol."""
        account_id = self._draw_account()
        command = CancelAllOrders(account_id)
        if self._random.random() < 0.7:
            side = self._random.choice((Side.BUY, Side.SELL))
            command = CancelAllOrders(account_id, self._random.choice(("AAPL", "BTC/USDT")), side)
        request = self._request("CancelAllOrders", command)
        await self.change(
            account_id,
            request,
            lambda gateway: gateway.cancel_all_orders(command, request),
            (),
            self._orders_shown(account_id, "cancel of all"),
        )

    async def close(self) -> None:
        """Closes a position."""
        account_id, symbol = self._draw_account(), self._random.choice(("AAPL", "BTC/USDT"))
        name = self.draw_id()
        command = ClosePosition(
            account_id, symbol, name, None, fingerprint_of("close", account_id, symbol), self.caller
        )

        async def ask() -> Placed:
            self._laws.under_way[account_id, name] = 2

            def judged(result: object) -> None:
                if isinstance(result, Placed):
                    self._laws.shown(account_id, result.order, f"close of {symbol}")

            return await self._door.call(
                f"close {name}", lambda gateway: gateway.close_position(command), judged
            )

        await self._insist("close", ask)

    async def look(self) -> None:
        """Reads an order: what is shown is durable."""
        key = self._draw_known()
        if key is None:
            return

        async def read(gateway: Gateway) -> Order:
            return gateway.get_order(key[0], OrderRef(client_order_id=key[1]))

        def judged(result: object) -> None:
            if isinstance(result, Order):
                self._laws.shown(key[0], result, f"{key[0]} {key[1]} is read")
            elif (
                isinstance(result, GatewayError)
                and result.reason is ErrorReason.ORDER_NOT_FOUND
                and self._laws.is_acknowledged(*key)
            ):
                self._laws.not_done(f"{key[0]} {key[1]}: acknowledged, and not found")

        async def ask() -> Order:
            return await self._door.call(f"look {key[1]}", read, judged)

        await self._insist("look", ask)
