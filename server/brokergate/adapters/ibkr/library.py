"""The one place that knows ib_insync, or its successor ib_async where that is installed instead.

Of the library its client and decoder are used: the connection, the writing and the reading of messages. Its `IB` and
`Wrapper` are not: they take an error for the end of an order that lives, an unanswered question for an empty list, and
forget at a loss what happened (erdewit/ib_insync 0.9.86, `wrapper.py` and `ib.py`). What is heard is handed on as plain
values (`frames.py`), in the order in which it came.

ib_insync and its eventkit ask the policy for an event loop, not for the one that runs (`util.getLoop`), so that they
come together with another's loop, such as uvloop's; therefore the running one is set before they are imported and
before they connect.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from brokergate.adapters.ibkr.contracts import IbContract
from brokergate.adapters.ibkr.ears import Ears
from brokergate.adapters.ibkr.frames import Frame, Unreadable
from brokergate.adapters.ibkr.orders import IbOrder, attributes
from brokergate.adapters.ibkr.values import exact_float
from brokergate.domain.errors import FinalError, NotSent

LIBRARIES = ("ib_insync", "ib_async")
_EXECUTION, _EXECUTION_TIME = 11, 15
"""The message of an execution, and where in it its time stands (server versions from 136 on)."""


class LibraryMissing(FinalError):
    """Neither library is installed."""


def load() -> ModuleType:
    """The library. Called inside the running loop. Raises `LibraryMissing`."""
    asyncio.set_event_loop(asyncio.get_running_loop())
    failures = []
    for name in LIBRARIES:
        try:
            module = importlib.import_module(name)
        except (ImportError, RuntimeError) as error:
            failures.append(f"{name}: {error}")
            continue
        # It logs what is sent and received, accounts and all, and tells as an error what is told here (law 10).
        log = logging.getLogger(name)
        log.addHandler(logging.NullHandler())
        log.propagate = False
        return module
    raise LibraryMissing(
        "Interactive Brokers needs ib_insync, which is not installed or cannot be loaded "
        f"({'; '.join(failures)}); install it with pip install 'brokergate[ib]', from "
        "Python 3.14 on with pip install ib_async"
    )


class TwsSocket:
    """One connection to a TWS. `hear` is called with everything that it tells, `lost` once when the connection ends
    otherwise than by `close`, with what is known of the cause."""

    def __init__(self, hear: Callable[[Frame], None], lost: Callable[[str], None], time_zone: str) -> None:
        self._library = load()
        self.name: str = self._library.__name__
        self._tell = hear
        self._lost = lost
        self._closing = False
        self.gone = asyncio.Event()
        """Set when the connection has ended, however it did."""
        self._ears = Ears(self._heard, self._ended, time_zone)
        self._client: Any = self._library.client.Client(self._ears)
        # It is paced elsewhere: the library's own throttle lets more than TWS allows through at its window's edge.
        self._client.MaxRequests = 0
        decoder = self._client.decoder
        decoder.logger = _Unread(self._heard)
        decoder.handlers = _Handlers(decoder.handlers)
        read_execution = decoder.handlers[_EXECUTION]
        decoder.handlers[_EXECUTION] = lambda fields: read_execution(
            self._ears.zoned(fields, _EXECUTION_TIME)
        )

    async def connect(self, host: str, port: int, client_id: int, timeout_s: float) -> None:
        """Connects, and returns when TWS has said which accounts there are and which order id comes next. Raises
        `OSError`, `TimeoutError`, and `ConnectionError` where TWS ended it first."""
        asyncio.set_event_loop(asyncio.get_running_loop())
        connecting = asyncio.ensure_future(self._client.connectAsync(host, port, client_id, timeout_s))
        ending = asyncio.ensure_future(self.gone.wait())
        try:
            await asyncio.wait((connecting, ending), return_when=asyncio.FIRST_COMPLETED)
            if not connecting.done():
                raise ConnectionError("TWS closed the connection")
            connecting.result()
        finally:
            for task in (connecting, ending):
                task.cancel()
            await asyncio.gather(connecting, ending, return_exceptions=True)

    @property
    def accounts(self) -> tuple[str, ...]:
        """The accounts of the login."""
        return tuple(self._client.getAccounts())

    @property
    def next_id(self) -> int:
        """The id that TWS says an order may have next."""
        following: int = self._client.getReqId()
        return following

    @property
    def heard(self) -> int:
        """Counts the pieces that have arrived."""
        return self._ears.heard

    @property
    def reached(self) -> bool:
        """Whether somebody took the connection."""
        return bool(self._client.conn.numMsgSent)

    @property
    def server_version(self) -> int:
        """Of the protocol that is spoken."""
        version: int = self._client.serverVersion()
        return version

    async def close(self) -> None:
        """Ends the connection; returns when it has ended, so that the client id is free."""
        self._closing = True
        transport = self._client.conn.transport
        if transport is None:
            return
        if transport.is_closing() or transport.get_write_buffer_size():
            # Nobody reads: it would wait for that for ever.
            transport.abort()
        else:
            self._client.disconnect()
        await self.gone.wait()

    def abort(self) -> None:
        """Ends the connection at once, and tells nothing more."""
        self._closing = True
        if (transport := self._client.conn.transport) is not None:
            transport.abort()

    def _heard(self, frame: Frame) -> None:
        """What has arrived already when the connection is ended is not told any more."""
        if not self._closing:
            self._tell(frame)

    def _ended(self) -> None:
        self.gone.set()
        if not self._closing:
            self._closing = True
            self._lost("TWS closed the connection")

    # What is sent

    def send(self, request: str, *arguments: object) -> None:
        """Sends a request of the library's client, by its name: `reqPositions`. Raises `NotSent`."""
        transport = self._client.conn.transport
        if transport is None or transport.is_closing() or not self._client.isReady():
            raise NotSent("there is no connection to TWS; nothing was sent")
        getattr(self._client, request)(*arguments)

    def place(self, order_id: int, contract: IbContract, order: IbOrder) -> None:
        """Places or changes an order. Raises `NotSent`."""
        self.send("placeOrder", order_id, self.contract(contract), self._library.Order(**attributes(order)))

    def executions(self, request_id: int, account: str) -> None:
        """Asks for the day's executions of an account, by whatever client. Raises `NotSent`."""
        self.send("reqExecutions", request_id, self._library.ExecutionFilter(acctCode=account))

    def contract(self, contract: IbContract) -> Any:
        """The library's contract."""
        return self._library.Contract(
            conId=contract.con_id,
            symbol=contract.symbol,
            secType=contract.sec_type,
            lastTradeDateOrContractMonth=contract.expiry,
            strike=0.0 if contract.strike is None else exact_float(contract.strike, "strike"),
            right=contract.right,
            multiplier=contract.multiplier,
            exchange=contract.exchange,
            primaryExchange=contract.primary_exchange,
            currency=contract.currency,
            localSymbol=contract.local_symbol,
            tradingClass=contract.trading_class,
        )


class _Unread:
    """Stands where the decoder has its log: it catches what it cannot read, logs it, and goes on as if nothing had been
    said."""

    def __init__(self, hear: Callable[[Frame], None]) -> None:
        self._hear = hear

    def exception(self, message: str) -> None:
        """A message could not be read, or not be taken."""
        error = sys.exc_info()[1]
        self._hear(Unreadable(f"{message.partition(':')[0]} ({error!r})"))


class _Handlers(dict[int, Callable[[list[str]], None]]):
    """The decoder's, by the message's number. A message of which it has none is of nothing that was asked for."""

    def __missing__(self, number: int) -> Callable[[list[str]], None]:
        return _pass_over


def _pass_over(_fields: list[str]) -> None:
    return None
