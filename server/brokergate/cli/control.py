"""Control of trading for people: `brokergate stop`, `resume`, `state`, `discrepancies`, `clear-freeze`, `resolve` and
`audit`. All but `state` need a token of the scope admin.

Exit status: 0 done, of `stop --wait` that all of it is proven; 1 refused, or the stop was ended before it was proven;
2 wrong usage; 3 the gateway did not answer; 130 interrupted: a stop that is latched holds all the same.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

import typer

from brokergate.cli.failure import Failure
from brokergate.cli.output import Columns, time_text
from brokergate.cli.remote import Remote, command
from brokergate.cli.trade import LIMIT, ORDERS, Limit, OptionalNumber, first
from brokergate_client import OrderResolution, Stopped, StopProgress, StopUpdate

Accounts = Annotated[
    list[str] | None,
    typer.Argument(metavar="ACCOUNT", help="The accounts; all that the token may use if none is named."),
]
OneAccount = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account.")]
Reason = Annotated[str, typer.Option(help="Why; the journal keeps it.")]
RequestId = Annotated[
    str | None,
    typer.Option(metavar="ID", help="Repeating with the same id does it once, and gives the same answer."),
]


class Outcome(StrEnum):
    """What became of an order."""

    NEVER_PLACED = "never-placed"
    ENDED = "ended"
    WORKING = "working"


def _since(time_ns: int) -> str:
    return time_text(time_ns) if time_ns else ""


def _list(items: Any) -> str:
    return ", ".join(items)


STATES: Columns = {
    "ACCOUNT": lambda s: s.account_id,
    "STATE": lambda s: s.state,
    "SINCE": lambda s: _since(s.since_time_ns),
    "STOP": lambda s: s.stop_operation_id,
    "FROZEN": lambda s: _list(s.frozen_symbols),
    "REASON": lambda s: s.reason,
}
DISCREPANCIES: Columns = {
    "FOUND": lambda d: _since(d.detect_time_ns),
    "ID": lambda d: d.discrepancy_id,
    "STATE": lambda d: d.state,
    "SYMBOL": lambda d: d.symbol,
    "ORDER": lambda d: d.order_id,
    "JOURNAL": lambda d: d.expected,
    "BROKER": lambda d: d.actual,
    "MESSAGE": lambda d: d.message,
}
AUDIT: Columns = {
    "TIME": lambda r: time_text(r.time_ns),
    "ACTOR": lambda r: r.actor,
    "METHOD": lambda r: r.method,
    "REQUEST": lambda r: r.request_id,
    "CLIENT ORDER": lambda r: r.client_order_id,
    "ORDER": lambda r: r.order_id,
    "PEER": lambda r: r.peer,
    "CLIENT": lambda r: r.client_name,
}


def _of(progress: StopProgress | None, name: str) -> object:
    return None if progress is None else getattr(progress, name)


UPDATES: Columns = {
    "TIME": lambda u: time_text(u.time_ns),
    "ACCOUNT": lambda u: u.account_id,
    "PHASE": lambda u: "RESUMED" if u.resumed else _of(u.progress, "phase"),
    "OPEN": lambda u: _of(u.progress, "open_orders"),
    "ENDED": lambda u: _of(u.progress, "ended_orders"),
    "REMAINING": lambda u: _of(u.progress, "remaining_orders"),
    "UNCERTAIN": lambda u: _of(u.progress, "uncertain_orders"),
    "KEPT": lambda u: _of(u.progress, "kept_orders"),
    "POSITIONS": lambda u: _list(_of(u.progress, "open_positions") or ()),
}


def _time(text: str) -> datetime:
    """A time as people write it, in UTC unless it says otherwise."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text[:64]!r} is no time; write 2026-11-21, or 2026-11-21T14:30:00Z"
        ) from None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


Time = Annotated[datetime | None, typer.Option(parser=_time, metavar="TIME")]


@command
async def stop(
    remote: Remote,
    reason: Reason,
    accounts: Accounts = None,
    keep_protective_stops: Annotated[
        bool,
        typer.Option("--keep-protective-stops", help="Leave orders that only close positions at a stop."),
    ] = False,
    flatten: Annotated[
        bool, typer.Option("--flatten", help="Close every position once nothing is open.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Print how it comes forward, until all of it is proven.")
    ] = False,
    request_id: RequestId = None,
) -> None:
    """Stop trading at once: no new order goes out until 'resume', and what is open is cancelled at the venue.

    Returns when the stop is on the disk. It survives a restart of the gateway, and works while a broker is away: the
    cancels follow. Stopping again adds --flatten, or what --keep-protective-stops had left.
    """
    stopped = await remote.gateway.control.stop(
        accounts or (),
        reason=reason,
        keep_protective_stops=keep_protective_stops,
        flatten=flatten,
        request_id=request_id,
    )
    remote.output.show(stopped.states, STATES)
    if wait:
        await _follow(remote, stopped)


async def _follow(remote: Remote, stopped: Stopped) -> None:
    """Prints each step of a stop to its end. Fails where somebody ended it before it was proven."""
    latest: dict[str, StopUpdate] = {}
    async for update in remote.gateway.control.progress(stopped):
        if not latest:
            remote.output.begin(UPDATES)
        latest[update.account_id] = update
        remote.output.line(update, UPDATES)
    resumed = sorted(account_id for account_id, update in latest.items() if not update.proven)
    if resumed:
        raise Failure(f"resumed before it was proven that all is cancelled: {', '.join(resumed)}")


@command
async def resume(
    remote: Remote, reason: Reason, accounts: Accounts = None, request_id: RequestId = None
) -> None:
    """End an emergency stop: new orders are taken again. What it has not cancelled stays."""
    states = await remote.gateway.control.resume(accounts or (), reason=reason, request_id=request_id)
    remote.output.show(states, STATES)


@command
async def state(
    remote: Remote,
    account: Annotated[
        str, typer.Argument(metavar="ACCOUNT", help="The account; all that may be seen if none is named.")
    ] = "",
) -> None:
    """Say which accounts take new orders, and why not: stops, frozen instruments, a broker under maintenance."""
    remote.output.show(await remote.gateway.control.states(account), STATES)


@command
async def discrepancies(
    remote: Remote,
    account: OneAccount,
    every: Annotated[bool, typer.Option("--all", help="Those that are resolved too.")] = False,
    limit: Limit = LIMIT,
) -> None:
    """List what the broker and the journal disagree on, newest first. An open one freezes its instrument."""
    found = remote.gateway.control.discrepancies(account, include_resolved=every)
    remote.output.show(await first(found, limit), DISCREPANCIES)


@command
async def clear_freeze(
    remote: Remote,
    account: OneAccount,
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL", help="The instrument.")],
    reason: Reason,
    request_id: RequestId = None,
) -> None:
    """Trade an instrument again that a discrepancy froze, taking the broker's word for what is held of it."""
    cleared = await remote.gateway.control.clear_freeze(account, symbol, reason=reason, request_id=request_id)
    remote.output.show([cleared], STATES)


@command
async def resolve(
    remote: Remote,
    account: OneAccount,
    outcome: Annotated[Outcome, typer.Option(help="What became of it.")],
    reason: Reason,
    order_id: Annotated[str | None, typer.Argument(metavar="ORDER", help="The gateway's id of it.")] = None,
    client_order_id: Annotated[
        str | None, typer.Option("--id", help="Or the id that it was placed with.")
    ] = None,
    filled: OptionalNumber = None,
    broker_order_id: Annotated[
        str, typer.Option(metavar="ID", help="The broker's id of it; with --outcome working.")
    ] = "",
    request_id: RequestId = None,
) -> None:
    """Say what became of an order whose outcome the gateway cannot prove, and print it as it then stands.

    'never-placed': the broker never had it. 'ended': it did, and --filled says how much was filled, 0 for nothing.
    'working': it works there under --broker-order-id. Ask the broker first: the gateway takes your word.
    """
    if (order_id is None) == (client_order_id is None):
        raise Failure("name the order by the gateway's id, or by --id and yours; one of the two", status=2)
    _check_evidence(outcome, filled, broker_order_id)
    resolved = await remote.gateway.control.resolve(
        account,
        OrderResolution[outcome.name],
        reason=reason,
        order_id=order_id,
        client_order_id=client_order_id,
        cum_quantity=filled,
        broker_order_id=broker_order_id,
        request_id=request_id,
    )
    remote.output.show([resolved], ORDERS)


def _check_evidence(outcome: Outcome, filled: Decimal | None, broker_order_id: str) -> None:
    """In the words of the command line; the gateway's name its fields."""
    if (filled is not None) is not (outcome is Outcome.ENDED):
        raise Failure("--filled goes with --outcome ended, and must be there: 0 for nothing", status=2)
    if bool(broker_order_id) is not (outcome is Outcome.WORKING):
        raise Failure("--broker-order-id goes with --outcome working, and must be there", status=2)


@command
async def audit(
    remote: Remote,
    account: OneAccount,
    actor: Annotated[str, typer.Option(metavar="NAME", help="Only of this token.")] = "",
    since: Time = None,
    until: Time = None,
    limit: Limit = LIMIT,
) -> None:
    """List the commands that were taken on an account, newest first: who, what, when, from where, by which request.

    Times are UTC unless they say otherwise; --since is in, --until is out. Commands that were refused before anything
    was journalled are in the gateway's log.
    """
    records = remote.gateway.control.audit(account, actor=actor, start_time=since, end_time=until)
    remote.output.show(await first(records, limit), AUDIT)
