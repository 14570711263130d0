"""Trading for people: `brokergate order`, `fills`, `positions`, `balances` and `health`.

Exit status: 0 done; 1 refused, or the order was rejected; 2 wrong usage; 3 the gateway did not answer; 130 interrupted.
"""

from __future__ import annotations

import sys
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

import typer

from brokergate.cli.failure import Failure
from brokergate.cli.output import Columns, plain, time_text
from brokergate.cli.remote import Remote, command
from brokergate_client import (
    CaughtUp,
    Event,
    EventKind,
    Fill,
    Listing,
    Order,
    OrderSpec,
    OrderState,
    OrderType,
    Pages,
    ServingStatus,
    Side,
    StartPosition,
    TimeInForce,
    bracket,
    name_of,
)
from brokergate_client.exact import exact

order = typer.Typer(no_args_is_help=True)

LIMIT = 100
"""Values that a list shows unless more are asked for."""


class SideName(StrEnum):
    """Which way."""

    BUY = "buy"
    SELL = "sell"


class TypeName(StrEnum):
    """How an order finds its price."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop-limit"


class TimeInForceName(StrEnum):
    """How long an order works."""

    DAY = "day"
    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"


def _number(text: str) -> Decimal:
    try:
        return exact(text)
    except ValueError:
        raise typer.BadParameter(f"{text[:64]!r} is not a number such as 0.1") from None


Account = Annotated[str, typer.Option(envvar="BROKERGATE_ACCOUNT", metavar="ID", help="The account.")]
Route = Annotated[
    str | None,
    typer.Option(metavar="ID", help="A route, in place of the account: its order is wherever it put it."),
]
Number = Annotated[Decimal, typer.Option(parser=_number, metavar="NUMBER")]
OptionalNumber = Annotated[Decimal | None, typer.Option(parser=_number, metavar="NUMBER")]
Symbol = Annotated[str, typer.Option(help="Only this instrument.")]
Limit = Annotated[int, typer.Option(min=1, help="At most so many, the newest.")]


def _moneys(amounts: Any) -> str:
    return ", ".join(map(str, amounts))


def _state(value: Order) -> str:
    """The state, and what is under way."""
    pending = [
        "(held until the broker is there)"
        if action.held
        else f"({name_of(action.kind)}{'?' if action.uncertain else ''} pending)"
        for action in value.pending
    ]
    return " ".join([plain(value.state), *pending])


ORDERS: Columns = {
    "CREATED": lambda o: time_text(o.create_time_ns),
    "ORDER": lambda o: o.order_id,
    "CLIENT ORDER": lambda o: o.client_order_id,
    "SYMBOL": lambda o: o.spec.symbol,
    "SIDE": lambda o: o.spec.side,
    "TYPE": lambda o: o.spec.type,
    "QUANTITY": lambda o: o.quantity,
    "PRICE": lambda o: o.spec.limit_price if o.spec.limit_price is not None else o.spec.stop_price,
    "FILLED": lambda o: o.cum_quantity,
    "AVERAGE": lambda o: o.average_price,
    "STATE": _state,
}
FILLS: Columns = {
    "TIME": lambda f: time_text(f.event_time_ns),
    "ACCOUNT": lambda f: f.account_id,
    "SYMBOL": lambda f: f.symbol,
    "SIDE": lambda f: f.side,
    "QUANTITY": lambda f: f.quantity,
    "PRICE": lambda f: f.price,
    "FEES": lambda f: _moneys(f.fees),
    "LIQUIDITY": lambda f: f.liquidity,
    "CLIENT ORDER": lambda f: f.client_order_id,
}
POSITIONS: Columns = {
    "SYMBOL": lambda p: p.symbol,
    "QUANTITY": lambda p: p.quantity,
    "AVERAGE": lambda p: p.average_price,
    "MARK": lambda p: p.mark_price,
    "UNREALIZED": lambda p: p.unrealized_pnl,
    "REALIZED": lambda p: p.realized_pnl,
    "FEES": lambda p: _moneys(p.fees),
}
BALANCES: Columns = {
    "CURRENCY": lambda b: b.currency_code,
    "TOTAL": lambda b: b.total,
    "AVAILABLE": lambda b: b.available,
    "HELD": lambda b: b.held,
}


async def first(pages: Pages[Any], limit: int) -> list[Any]:
    """The first `limit` of a long list."""
    found: list[Any] = []
    async for value in pages:
        found.append(value)
        if len(found) == limit:
            break
    return found


@order.command("place")
@command
async def place(
    remote: Remote,
    symbol: Annotated[str, typer.Option(help="The instrument: BTC/USDT, EUR/USD, AAPL.")],
    side: Annotated[SideName, typer.Option(help="Which way.")],
    quantity: Number,
    kind: Annotated[TypeName, typer.Option("--type", help="How it finds its price.")] = TypeName.MARKET,
    price: OptionalNumber = None,
    stop_price: OptionalNumber = None,
    tif: Annotated[
        TimeInForceName | None, typer.Option(help="How long it works; the venue's default if absent.")
    ] = None,
    client_order_id: Annotated[
        str | None, typer.Option("--id", help="Repeating with the same id places nothing twice.")
    ] = None,
    take_profit: Annotated[
        Decimal | None,
        typer.Option(parser=_number, metavar="NUMBER", help="Close what fills at this price or better."),
    ] = None,
    stop_loss: Annotated[
        Decimal | None,
        typer.Option(parser=_number, metavar="NUMBER", help="Close what fills once the market is here."),
    ] = None,
    account: Account = "paper",
    route: Route = None,
) -> None:
    """Place an order and print it as it then stands. Exit status 1 when it was rejected.

    With --route it goes to the first account of that route that can take it.
    With --take-profit or --stop-loss it is a bracket: the orders that close it are placed with it, all or none, under
    its id with -tp and -sl behind it.
    """
    spec = OrderSpec(
        symbol=symbol,
        side=Side[side.name],
        type=OrderType[kind.name],
        quantity=quantity,
        limit_price=price,
        stop_price=stop_price,
        time_in_force=TimeInForce.UNSPECIFIED if tif is None else TimeInForce[tif.name],
    )
    if take_profit is not None or stop_loss is not None:
        spec = bracket(spec, take_profit=take_profit, stop_loss=stop_loss)
    placed = await remote.gateway.place(
        None if route else account, spec, route=route, client_order_id=client_order_id
    )
    columns = {"ACCOUNT": lambda o: o.account_id, **ORDERS} if route else ORDERS
    remote.output.show([placed.order, *placed.linked_orders], columns)
    if placed.order.state == OrderState.REJECTED:
        raise Failure(f"rejected, {name_of(placed.order.reject_reason)}: {placed.order.reject_message}")


@order.command("cancel")
@command
async def cancel(
    remote: Remote,
    order_id: Annotated[str | None, typer.Argument(metavar="[ORDER]", help="The gateway's id of it.")] = None,
    client_order_id: Annotated[
        str | None, typer.Option("--id", help="Or the id that it was placed with.")
    ] = None,
    account: Account = "paper",
    route: Route = None,
) -> None:
    """Cancel a working order and print it as it then stands: it may have filled first."""
    if (order_id is None) == (client_order_id is None):
        raise Failure("name the order by the gateway's id, or by --id and yours; one of the two", status=2)
    cancelled = await remote.gateway.cancel(
        None if route else account, route=route, order_id=order_id, client_order_id=client_order_id
    )
    remote.output.show([] if cancelled is None else [cancelled], ORDERS)


@order.command("list")
@command
async def list_(
    remote: Remote,
    symbol: Symbol = "",
    open_only: Annotated[bool, typer.Option("--open", help="Only those that have not ended.")] = False,
    limit: Limit = LIMIT,
    account: Account = "paper",
) -> None:
    """List orders, newest first."""
    orders = remote.gateway.orders(account, symbol=symbol, open_only=open_only)
    remote.output.show(await first(orders, limit), ORDERS)


@command
async def fills(
    remote: Remote,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on, with each fill as it is booked.")
    ] = False,
    after: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="Begin after this cursor, of a fill's JSON.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Begin with the oldest that is kept.")] = False,
    symbol: Symbol = "",
    limit: Limit = LIMIT,
    account: Account = "paper",
) -> None:
    """List fills, newest first; with --follow, --after or --all in the order in which they were booked.

    Those that are streamed have a cursor (--json). A stream goes on by itself after a lost connection, and gives no
    fill twice.
    """
    gateway, output = remote.gateway, remote.output
    if not (follow or every or after is not None):
        output.show(await first(gateway.fill_history(account, symbol=symbol), limit), FILLS)
        return
    start = StartPosition.EARLIEST if every else StartPosition.LIVE
    begun = False
    async for item in gateway.events(after=after, start=start, account_ids=[account], kinds=[EventKind.FILL]):
        if not begun:
            # Only now is it known that the gateway takes the cursor.
            output.begin(FILLS)
            begun = True
        if isinstance(item, CaughtUp) and not follow:
            break
        if isinstance(item, Event) and isinstance(item.payload, Fill) and symbol in ("", item.payload.symbol):
            output.line(item.payload, FILLS)


@command
async def positions(
    remote: Remote,
    flat: Annotated[bool, typer.Option("--flat", help="Show those that are flat too.")] = False,
    account: Account = "paper",
) -> None:
    """Show positions, with their average price, value at the mark, and profit."""
    held = await remote.gateway.positions(account, include_flat=flat)
    remote.output.show(held, POSITIONS)
    _warn_of_stale(held)


@command
async def balances(remote: Remote, account: Account = "paper") -> None:
    """Show what the account holds of each currency."""
    held = await remote.gateway.balances(account)
    remote.output.show(held, BALANCES)
    _warn_of_stale(held)


def _warn_of_stale(held: Listing[Any]) -> None:
    if held.stale:
        since = f", as of {time_text(held.as_of_ns)}" if held.as_of_ns else ""
        print(f"brokergate: the broker is away: this is what was known last{since}", file=sys.stderr)


@command
async def health(
    remote: Remote,
    service: Annotated[
        str,
        typer.Option(help="One service (brokergate.v1.OrderService, brokergate.broker.paper) and not all."),
    ] = "",
) -> None:
    """Ask whether the gateway serves: exit status 0 when it does, another when it does not or cannot be asked."""
    status = await remote.gateway.health(service)
    if status != ServingStatus.SERVING:
        raise Failure(f"gateway {remote.gateway.address}: {name_of(status)}")
    print(name_of(status))
