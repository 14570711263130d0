"""The control plane of an emulator: JSON over HTTP under `/_emulator/`, for tests and for people with curl.

Everything is `POST /_emulator/<action>` with a JSON object; what only looks can be had with GET as well. Numbers that
are money, prices or quantities are strings. No fault befalls it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson
from aiohttp import web

from brokergate.domain.errors import ErrorReason
from brokergate.domain.orders import OrderSpec, OrderType, Side, TimeInForce
from tests.emulators.emulator import VenueEmulator
from tests.emulators.faults import STANDING
from tests.emulators.orders import Execution, Refused, VenueOrderState

Arguments = Mapping[str, Any]
Restart = Callable[[float], Awaitable[None]]


class Control:
    """See the module. `restart` takes the server away for so many seconds."""

    def __init__(self, emulator: VenueEmulator, restart: Restart) -> None:
        self._emulator = emulator
        self._restart = restart
        self.starts = 0
        """How often the server has begun to listen."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def handle(self, request: web.Request) -> web.Response:
        """Does what is asked; 400 with the reason for what cannot be."""
        text = await request.read()
        try:
            arguments = dict(request.query) | (orjson.loads(text) if text else {})
            result = await self._do(request.match_info["action"], arguments)
        except (ValueError, KeyError, InvalidOperation, TypeError, Refused) as error:
            return _json({"error": f"{type(error).__name__}: {error}"}, status=400)
        return _json({"result": result})

    async def _do(self, action: str, arguments: Arguments) -> Any:
        method = getattr(self, f"_{action}", None) if not action.startswith("_") else None
        if action in ACTIONS and method is not None:
            return method(arguments)
        return await self._emulator.tell(action, arguments)

    # The market and time

    def _show(self, arguments: Arguments) -> None:
        sides = [
            [(Decimal(price), Decimal(quantity)) for price, quantity in arguments.get(side, ())]
            for side in ("bids", "asks")
        ]
        core = self._emulator.core
        core.show(arguments["symbol"], sides[0], sides[1], self._now_ns)

    def _trade(self, arguments: Arguments) -> None:
        price, quantity = Decimal(arguments["price"]), Decimal(arguments["quantity"])
        taker = str(arguments.get("taker") or "").lower()
        self._emulator.core.trade(arguments["symbol"], price, quantity, taker, self._now_ns)

    def _advance(self, arguments: Arguments) -> None:
        self._emulator.clock.advance(float(arguments["seconds"]))
        self._emulator.core.advance(self._now_ns)

    # Faults

    def _fault(self, arguments: Arguments) -> None:
        emulator = self._emulator
        fault = emulator.faults.add(**{str(name): value for name, value in arguments.items()})
        if fault.kind == "clock_off":
            emulator.clock.off_ns = int(fault.arguments["ms"]) * 1_000_000
        if fault.kind == "cut_stream":
            emulator.drop_streams(fault.on)
        if fault.kind in STANDING or fault not in emulator.faults.waiting:
            if fault.kind in ("cut_stream", "restart", "clock_off", "key_revoked", "query_lag"):
                emulator.faults.count(fault.kind)
            emulator.fault_began(fault)
        if fault.kind == "restart":
            self._later(self._restart(float(fault.arguments.get("seconds", 0.5))))

    def _clear_faults(self, arguments: Arguments) -> None:
        self._emulator.faults.clear()
        self._emulator.clock.off_ns = 0

    def _injected(self, arguments: Arguments) -> dict[str, int]:
        return self._emulator.faults.injected

    def _drop_streams(self, arguments: Arguments) -> int:
        return self._emulator.drop_streams(str(arguments.get("on", "*")))

    # The account

    def _reset(self, arguments: Arguments) -> None:
        balances = arguments.get("balances")
        self._emulator.reset(
            None if balances is None else {currency: Decimal(amount) for currency, amount in balances.items()}
        )

    def _order(self, arguments: Arguments) -> dict[str, Any]:
        core, quantity = self._emulator.core, Decimal(arguments["quantity"])
        price, stop = arguments.get("price"), arguments.get("stop_price")
        spec = OrderSpec(
            symbol=core.instrument(arguments["symbol"]).symbol,
            side=Side[str(arguments["side"]).upper()],
            type=OrderType[str(arguments.get("type", "LIMIT")).upper()],
            quantity=quantity,
            limit_price=None if price is None else Decimal(price),
            stop_price=None if stop is None else Decimal(stop),
            time_in_force=TimeInForce[str(arguments.get("time_in_force", "GTC")).upper()],
        )
        client_order_id = str(arguments.get("client_order_id") or f"web_{len(core.orders) + 1}")
        order = core.place(spec, quantity, self._now_ns, client_order_id=client_order_id, external=True)
        return self._order_shown(order)

    def _fill(self, arguments: Arguments) -> dict[str, Any]:
        core = self._emulator.core
        order = core.add_fill(
            arguments["symbol"],
            Side[str(arguments["side"]).upper()],
            Decimal(arguments["quantity"]),
            Decimal(arguments["price"]),
            self._now_ns,
        )
        return self._order_shown(order)

    def _cancel(self, arguments: Arguments) -> dict[str, Any]:
        wanted = str(arguments["client_order_id"])
        for order in self._emulator.core.open.values():
            if order.client_order_id == wanted:
                self._emulator.core.cancel(order, self._now_ns, ErrorReason.UNSPECIFIED)
                return self._order_shown(order)
        raise ValueError(f"no open order {wanted!r}")

    def _deposit(self, arguments: Arguments) -> None:
        self._emulator.core.deposit(arguments["currency"], Decimal(arguments["amount"]), self._now_ns)

    # What it says

    def _log(self, arguments: Arguments) -> list[dict[str, Any]]:
        return self._emulator.log.entries[int(arguments.get("after", 0)) :]

    def _orders(self, arguments: Arguments) -> list[dict[str, Any]]:
        return [self._order_shown(order) for order in self._emulator.core.orders]

    def _fills(self, arguments: Arguments) -> list[dict[str, Any]]:
        return [_fill_shown(execution) for execution in self._emulator.core.executions]

    def _balances(self, arguments: Arguments) -> dict[str, dict[str, str]]:
        core = self._emulator.core
        return {
            currency: {"total": f"{total:f}", "locked": f"{core.locked(currency):f}"}
            for currency, total in core.totals.items()
        }

    def _starts(self, arguments: Arguments) -> int:
        return self.starts

    def _streams(self, arguments: Arguments) -> list[str]:
        return [channel.kind for channel in self._emulator.channels]

    # Inside

    @property
    def _now_ns(self) -> int:
        return self._emulator.clock.now_ns()

    def _order_shown(self, order: VenueOrderState) -> dict[str, Any]:
        return {
            "number": order.number,
            "client_order_id": order.client_order_id,
            "symbol": order.spec.symbol,
            "side": order.spec.side.name,
            "type": order.spec.type.name,
            "quantity": f"{order.quantity:f}",
            "cum_quantity": f"{order.cum_quantity:f}",
            "state": order.state.name,
            "external": order.external,
            "native": self._emulator.shown(order),
        }

    def _later(self, work: Awaitable[None]) -> None:
        async def run() -> None:
            # The answer to whoever asked goes out first.
            await asyncio.sleep(0.02)
            await work

        task = asyncio.ensure_future(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


ACTIONS = frozenset(
    {
        "show", "trade", "advance", "fault", "clear_faults", "injected", "drop_streams", "reset", "order", "fill",
        "cancel", "deposit", "log", "orders", "fills", "balances", "streams", "starts",
    }
)  # fmt: skip


def _fill_shown(execution: Execution) -> dict[str, Any]:
    return {
        "number": execution.number,
        "trade": execution.trade,
        "client_order_id": execution.order.client_order_id,
        "symbol": execution.order.spec.symbol,
        "side": execution.order.spec.side.name,
        "quantity": f"{execution.quantity:f}",
        "price": f"{execution.price:f}",
        "fee": f"{execution.fee:f}",
        "fee_currency": execution.fee_currency,
        "liquidity": execution.liquidity.name,
        "external": execution.order.external,
    }


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body) + b"\n", content_type="application/json")
