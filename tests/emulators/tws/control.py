"""The control plane of this emulator: that of every emulator, on orders and accounts as TWS has them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from brokergate.domain.orders import Side
from tests.emulators.control import Arguments, Control, Restart
from tests.emulators.tws.asked import Asked
from tests.emulators.tws.contracts import Listed, Wanted
from tests.emulators.tws.desk import Refusal
from tests.emulators.tws.faults import COUNTED_AT_ONCE
from tests.emulators.tws.orders import TwsExecution, TwsOrder
from tests.emulators.tws.venue import Tws

_TYPES = {
    "MARKET": "MKT",
    "LIMIT": "LMT",
    "STOP": "STP",
    "STOP_LIMIT": "STP LMT",
    "MARKET_IF_TOUCHED": "MIT",
    "LIMIT_IF_TOUCHED": "LIT",
}
_FORCES = {"AT_OPEN": "OPG"}
_WANTS_AUX = ("STP", "STP LMT", "MIT", "LIT")


class TwsControl(Control):
    """See the module."""

    def __init__(self, venue: Tws, restart: Restart) -> None:
        super().__init__(venue, restart)
        self._venue = venue

    async def _do(self, action: str, arguments: Arguments) -> Any:
        try:
            return await super()._do(action, arguments)
        except Refusal as refusal:
            raise ValueError(str(refusal)) from None

    def _fault(self, arguments: Arguments) -> None:
        venue = self._venue
        fault = venue.faults.add(**{str(name): value for name, value in arguments.items()})
        if fault.kind == "clock_off":
            venue.clock.off_ns = int(fault.arguments["ms"]) * 1_000_000
        if fault.kind == "cut_stream":
            venue.drop_streams(fault.on)
        venue.fault_began(fault)
        if fault.kind in COUNTED_AT_ONCE:
            venue.faults.count(fault.kind)
        if fault.kind == "restart":
            self._later(self._restart(float(fault.arguments.get("seconds", 0.5))))

    def _order(self, arguments: Arguments) -> dict[str, Any]:
        price, stop = arguments.get("price"), arguments.get("stop_price")
        kind = str(arguments.get("type", "LIMIT")).upper()
        force = str(arguments.get("time_in_force", "GTC")).upper()
        listed = self._listed(str(arguments["symbol"]))
        asked = self._asked(
            listed,
            arguments,
            type=_TYPES[kind],
            limit=None if price is None else listed.on_wire(Decimal(price)),
            aux=None if stop is None else listed.on_wire(Decimal(stop)),
            tif=_FORCES.get(force, force),
            ref=str(arguments.get("client_order_id") or ""),
        )
        return _order_shown(self._venue.desk.place(0, asked, external=True))

    def _fill(self, arguments: Arguments) -> dict[str, Any]:
        listed = self._listed(str(arguments["symbol"]))
        quantity, price = Decimal(arguments["quantity"]), Decimal(arguments["price"])
        asked = self._asked(
            listed, arguments, type="LMT", limit=listed.on_wire(price), aux=None, tif="DAY", ref=""
        )
        order = self._venue.desk.adopt(asked, listed)
        side = Side[str(arguments["side"]).upper()]
        self._venue.core.add_fill(listed.name, side, quantity, price, self._now_ns)
        return _order_shown(order)

    def _cancel(self, arguments: Arguments) -> dict[str, Any]:
        order = self._venue.mishaps.order(str(arguments["client_order_id"]))
        if not order.live:
            raise ValueError(f"order {order.asked.ref!r} is {order.status}")
        self._venue.floor.end(order)
        return _order_shown(order)

    def _deposit(self, arguments: Arguments) -> None:
        name = str(arguments.get("account") or next(iter(self._venue.accounts)))
        self._venue.accounts[name].deposit(arguments["currency"], Decimal(arguments["amount"]))
        self._venue.telling.tick()

    def _orders(self, arguments: Arguments) -> list[dict[str, Any]]:
        return [_order_shown(order) for order in self._venue.floor.orders]

    def _fills(self, arguments: Arguments) -> list[dict[str, Any]]:
        return [_fill_shown(number, told) for number, told in enumerate(self._venue.floor.executions, 1)]

    def _balances(self, arguments: Arguments) -> dict[str, dict[str, str]]:
        name = str(arguments.get("account") or next(iter(self._venue.accounts)))
        cash: Mapping[str, Decimal] = self._venue.accounts[name].cash
        return {currency: {"total": f"{amount:f}", "locked": "0"} for currency, amount in cash.items()}

    def _streams(self, arguments: Arguments) -> list[str]:
        return [session.kind for session in self._venue.sessions.values()]

    def _asked(self, listed: Listed, arguments: Arguments, **more: Any) -> Asked:
        wanted = Wanted(listed.con_id, "", "", "", Decimal(0), "", "", "", "", "", "", "")
        return Asked(
            order_id=0,
            contract=wanted,
            action=str(arguments["side"]).upper(),
            quantity=Decimal(arguments["quantity"]),
            oca_group="",
            account=str(arguments.get("account") or next(iter(self._venue.accounts))),
            open_close="",
            origin=0,
            transmit=True,
            parent_id=0,
            trigger_method=0,
            outside_rth=False,
            hidden=False,
            **more,
        )

    def _listed(self, symbol: str) -> Listed:
        contracts = self._venue.contracts
        found = contracts.by_name.get(symbol)
        if found is None and symbol.isdigit():
            found = contracts.by_id.get(int(symbol))
        if found is None:
            raise ValueError(f"no contract {symbol!r}; there are {', '.join(contracts.by_name)}")
        return found


def _order_shown(order: TwsOrder) -> dict[str, Any]:
    return {
        "number": order.number,
        "client_order_id": order.asked.ref,
        "symbol": order.listed.name,
        "side": order.asked.action,
        "type": order.asked.type,
        "quantity": f"{order.asked.quantity:f}",
        "cum_quantity": f"{order.filled:f}",
        "state": order.state.name,
        "external": order.external,
        "native": {
            "order_id": order.order_id,
            "client_id": order.client_id,
            "perm_id": order.perm_id,
            "account": order.account,
            "status": order.status,
            "limit": None if order.asked.limit is None else f"{order.asked.limit:f}",
            "aux": None if order.asked.aux is None else f"{order.asked.aux:f}",
            "waits_for": order.asleep,
            "generation": order.generation,
        },
    }


def _fill_shown(number: int, told: TwsExecution) -> dict[str, Any]:
    order = told.order
    return {
        "number": number,
        "trade": number,
        "execution_id": told.execution_id,
        "perm_id": order.perm_id,
        "account": order.account,
        "client_order_id": order.asked.ref,
        "symbol": order.listed.name,
        "side": order.asked.action,
        "quantity": f"{told.quantity:f}",
        "price": f"{told.price:f}",
        "fee": f"{told.commission:f}",
        "fee_currency": order.listed.currency,
        "liquidity": told.liquidity.name,
        "external": order.external,
    }
