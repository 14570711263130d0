"""What is shown of a broker that may be away: its present word, or the last one, marked as stale.

It is for eyes alone. What trades asks the broker itself and fails where that fails (law 4): nothing here is a
reference, a position to close or a limit's measure. What was never known is no empty answer either: then the failure is
told.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from brokergate.domain.accounts import BrokerAccountInfo, BrokerBalance, BrokerPosition, ConnectionState
from brokergate.domain.errors import BrokerError, TemporaryConnectionError
from brokergate.domain.instruments import Instrument
from brokergate.domain.market import QuoteView
from brokergate.engine.account import Account
from brokergate.engine.recovery import OPENED

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Shown(Generic[T]):
    """`value` is the broker's word as of then, nanoseconds since the epoch; 0 where nobody knows. `stale`: it is the
    last one, and the broker cannot be asked."""

    value: T
    as_of_ns: int
    stale: bool = False


async def positions_of(account: Account) -> Shown[Sequence[BrokerPosition]]:
    """All positions. Raises a `GatewayError` or `BrokerError` where they were never known."""
    told, failure = await _ask(account, account.broker.get_positions)
    last = account.connection.last
    if told is not None:
        last.positions = {position.symbol: position for position in told}
        last.as_of_ns = account.clock.now_ns()
        return Shown(told, last.as_of_ns)
    _check_ever_known(account, failure)
    return Shown(_last_positions(account), last.as_of_ns, stale=True)


async def balances_of(account: Account) -> Shown[Sequence[BrokerBalance]]:
    """All balances. Raises likewise."""
    told, failure = await _ask(account, account.broker.get_balances)
    if told is not None:
        return Shown(told, account.clock.now_ns())
    _check_ever_known(account, failure)
    # What the stream and the polls told is in the journal.
    return Shown(account.journal.balances(account.account_id), account.connection.last.as_of_ns, stale=True)


async def info_of(account: Account) -> Shown[BrokerAccountInfo | None]:
    """The account as a whole; None where it was never known, so that the other accounts of a list are there all the
    same."""
    info, _ = await _ask(account, account.broker.get_account_info)
    last = account.connection.last
    if info is None:
        return Shown(last.info, 0 if last.info is None else last.info.as_of_ns, stale=True)
    last.info = info
    return Shown(info, info.as_of_ns, stale=not _present(account))


def quote_of(account: Account, symbol: str) -> Shown[QuoteView] | None:
    """The latest quote; None where there never was one."""
    quote, live = account.broker.quote(symbol), True
    if quote is None:
        quote, live = account.broker.last_quote(symbol), False
    if quote is None:
        return None
    return Shown(quote, quote.receive_time_ns, stale=not (live and _present(account)))


def instruments_of(account: Account) -> Shown[Sequence[Instrument]]:
    """All instruments, by symbol. What `Account.check_connected` raises where the broker was never there to say."""
    instruments = account.instruments
    if not instruments:
        account.check_connected()
    listed = [instruments[symbol] for symbol in sorted(instruments)]
    return Shown(listed, account.instruments_ns, stale=not _present(account))


async def _ask(account: Account, query: Callable[[], Awaitable[T]]) -> tuple[T | None, BrokerError | None]:
    """The broker's present word; or None, and how the question failed where it was asked."""
    if not _reachable(account):
        return None, None
    try:
        told = await query()
    except BrokerError as error:
        return None, error
    account.tell()
    return told, None


def _reachable(account: Account) -> bool:
    connection = account.connection
    return account.broker.in_process or connection.recovering or connection.state is ConnectionState.CONNECTED


def _present(account: Account) -> bool:
    return account.connection.state is ConnectionState.CONNECTED


def _check_ever_known(account: Account, failure: BrokerError | None) -> None:
    """A venue in the process has no word but its present one, and an account that was never up to date none at all."""
    if account.broker.in_process or account.journal.account_setting(account.account_id, OPENED) is None:
        if failure is None:
            account.check_connected()
        raise failure or TemporaryConnectionError("the broker was never asked")


def _last_positions(account: Account) -> Sequence[BrokerPosition]:
    """By what is booked; as the broker told it, with its mark, where that is the same quantity."""
    told = account.connection.last.positions
    booked = account.journal.positions(account.account_id)
    last = [
        known if (known := told.get(held.symbol)) is not None and known.quantity == held.quantity else held
        for held in booked
    ]
    names = {held.symbol for held in booked}
    return last + [known for symbol, known in told.items() if symbol not in names]
