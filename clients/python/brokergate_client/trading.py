"""Control of what may be traded, by somebody whose token has the scope admin."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

from brokergate.v1 import trading_control_pb2
from brokergate_client import decode, encode
from brokergate_client.control import AccountTradingState, AuditRecord, Stopped, StopUpdate
from brokergate_client.enums import ControlEventType, OrderResolution, StartPosition
from brokergate_client.events import CaughtUp, ControlChanged, Discrepancy, Event
from brokergate_client.exact import Number, decimal_text, exact, timestamp_of
from brokergate_client.ids import new_id
from brokergate_client.orders import Order
from brokergate_client.pages import Page, Pages
from brokergate_client.streams import EventStream, Start

PAGE_SIZE = 500

_OF_STOPS = (ControlEventType.STOPPED, ControlEventType.STOP_PROGRESS, ControlEventType.RESUMED)


class TradingControl:
    """`Gateway.control`: stops, resumes and repairs trading. All but `states` needs a token of the scope admin.

    Every method raises `GatewayError`. What changes something takes a `request_id`, under which it may be repeated: it
    is done once, and the answer is the same. One is made where none is given. `reason` is kept in the journal, up to
    256 characters.
    """

    def __init__(
        self,
        call: Callable[..., Awaitable[Any]],
        stub: Any,
        events: Callable[[Start, Sequence[str]], EventStream],
    ) -> None:
        self._call = call
        self._stub = stub
        self._events = events

    async def states(self, account_id: str = "") -> list[AccountTradingState]:
        """Whether the account takes new orders; of every account that the caller may see where none is named."""
        answer: trading_control_pb2.GetTradingStateResponse = await self._call(
            self._stub.GetTradingState, trading_control_pb2.GetTradingStateRequest(account_id=account_id)
        )
        return [decode.trading_state(state) for state in answer.states]

    async def stop(
        self,
        account_ids: Sequence[str] = (),
        *,
        reason: str,
        keep_protective_stops: bool = False,
        flatten: bool = False,
        request_id: str | None = None,
    ) -> Stopped:
        """Stop the accounts, or all that this token may use: no new order goes out from now on, also after a restart
        of the gateway, until `resume`. What is open is then cancelled at the venue, `keep_protective_stops` aside, and
        with `flatten` positions are closed: `progress` tells how that comes forward. Answers when the stop is on the
        disk."""
        request_id = request_id or new_id()
        answer: trading_control_pb2.EmergencyStopResponse = await self._call(
            self._stub.EmergencyStop,
            trading_control_pb2.EmergencyStopRequest(
                request_id=request_id,
                account_ids=account_ids,
                reason=reason,
                keep_protective_stops=keep_protective_stops,
                flatten=flatten,
            ),
            request_id,
        )
        return Stopped(answer.operation_id, tuple(decode.trading_state(state) for state in answer.states))

    async def progress(self, stopped: Stopped) -> AsyncIterator[StopUpdate]:
        """How a stop stands on each of its accounts, and then each step that it takes, until every account is proven
        or was resumed. It ends for none whose broker is away: the latch holds, and the cancels follow."""
        waiting = {state.account_id for state in stopped.states}
        operations = {stopped.operation_id, *(state.stop_operation_id for state in stopped.states)}
        latest: dict[str, StopUpdate] = {}
        live = False
        if not waiting:
            return
        async for item in self._events(_start_of(stopped), sorted(waiting)):
            if isinstance(item, CaughtUp):
                news = [] if live else [latest[account_id] for account_id in sorted(latest)]
                live = True
            elif isinstance(item, Event) and (update := _update(item, operations)) is not None:
                # A stop that joins an older one finds the older one's end among its events: the last word counts.
                latest[update.account_id] = update
                news = [update] if live else []
            else:
                continue
            for update in news:
                yield update
                if update.proven or update.resumed:
                    waiting.discard(update.account_id)
            if not waiting:
                return

    async def resume(
        self, account_ids: Sequence[str] = (), *, reason: str, request_id: str | None = None
    ) -> list[AccountTradingState]:
        """Take new orders again on the accounts, or on all that this token may use. An account that is not stopped
        stays as it is."""
        request_id = request_id or new_id()
        answer: trading_control_pb2.ResumeTradingResponse = await self._call(
            self._stub.ResumeTrading,
            trading_control_pb2.ResumeTradingRequest(
                request_id=request_id, account_ids=account_ids, reason=reason
            ),
            request_id,
        )
        return [decode.trading_state(state) for state in answer.states]

    def discrepancies(self, account_id: str, *, include_resolved: bool = False) -> Pages[Discrepancy]:
        """What the broker and the journal disagree on, newest first; those that are resolved too where wanted."""
        request = trading_control_pb2.ListDiscrepanciesRequest(
            account_id=account_id, include_resolved=include_resolved, page_size=PAGE_SIZE
        )

        async def read(page_token: str) -> Page[Discrepancy]:
            request.page_token = page_token
            answer: trading_control_pb2.ListDiscrepanciesResponse = await self._call(
                self._stub.ListDiscrepancies, request
            )
            return Page(map(decode.discrepancy, answer.discrepancies), answer.next_page_token)

        return Pages(read)

    async def clear_freeze(
        self, account_id: str, symbol: str, *, reason: str, request_id: str | None = None
    ) -> AccountTradingState:
        """Trade an instrument again that a discrepancy froze, taking the broker's word for what is held of it. Raises
        `PreconditionError` (NOT_FROZEN) where nothing froze it."""
        request_id = request_id or new_id()
        answer: trading_control_pb2.ClearFreezeResponse = await self._call(
            self._stub.ClearFreeze,
            trading_control_pb2.ClearFreezeRequest(
                account_id=account_id, request_id=request_id, symbol=symbol, reason=reason
            ),
            request_id,
        )
        return decode.trading_state(answer.state)

    async def resolve(
        self,
        account_id: str,
        resolution: OrderResolution,
        *,
        reason: str,
        order_id: str | None = None,
        client_order_id: str | None = None,
        cum_quantity: Number | None = None,
        broker_order_id: str = "",
        request_id: str | None = None,
    ) -> Order:
        """Say what became of an order whose outcome cannot be proven, and return it as it then stands. `cum_quantity`,
        what was filled, goes with ENDED, `broker_order_id` with WORKING. Raises `PreconditionError`
        (ORDER_NOT_UNCERTAIN) where the gateway knows better."""
        request_id = request_id or new_id()
        quantity: Decimal | None = None if cum_quantity is None else exact(cum_quantity)
        answer: trading_control_pb2.ResolveOrderResponse = await self._call(
            self._stub.ResolveOrder,
            trading_control_pb2.ResolveOrderRequest(
                account_id=account_id,
                order=encode.order_ref(order_id, client_order_id),
                request_id=request_id,
                resolution=cast(trading_control_pb2.OrderResolution.ValueType, resolution),
                cum_quantity=None if quantity is None else decimal_text(quantity),
                broker_order_id=broker_order_id,
                reason=reason,
            ),
            request_id,
        )
        return decode.order(answer.order)

    def audit(
        self,
        account_id: str,
        *,
        actor: str = "",
        start_time: datetime | None = None,
        end_time: datetime | None = None,
    ) -> Pages[AuditRecord]:
        """The commands that were taken on an account, newest first: of one `actor` (a token's name) where given,
        journalled at or after `start_time` and before `end_time`."""
        request = trading_control_pb2.ListAuditRecordsRequest(
            account_id=account_id,
            actor=actor,
            start_time=None if start_time is None else timestamp_of(start_time),
            end_time=None if end_time is None else timestamp_of(end_time),
            page_size=PAGE_SIZE,
        )

        async def read(page_token: str) -> Page[AuditRecord]:
            request.page_token = page_token
            answer: trading_control_pb2.ListAuditRecordsResponse = await self._call(
                self._stub.ListAuditRecords, request
            )
            return Page(map(decode.audit_record, answer.records), answer.next_page_token)

        return Pages(read)


def _start_of(stopped: Stopped) -> Start:
    """Where the events of a stop begin: no later than its accounts were stopped."""
    begun_ns = min(state.since_time_ns for state in stopped.states)
    if not begun_ns:
        return StartPosition.EARLIEST
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=begun_ns // 1000)


def _update(event: Event, operations: set[str]) -> StopUpdate | None:
    changed = event.payload
    if not isinstance(changed, ControlChanged) or changed.type not in _OF_STOPS:
        return None
    if changed.operation_id not in operations:
        return None
    resumed = changed.type == ControlEventType.RESUMED
    return StopUpdate(event.account_id, event.time_ns, changed.operation_id, changed.stop, resumed)
