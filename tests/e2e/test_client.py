"""The Python client against a real server: trading, and streams over its deaths."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from brokergate.v1 import simulator_pb2
from brokergate_client import (
    AlreadyExistsError,
    AuthenticationError,
    BatchOrder,
    CaughtUp,
    CursorEpochError,
    ErrorReason,
    Event,
    EventKind,
    Fill,
    Gateway,
    IfUnknown,
    InvalidRequestError,
    Liquidity,
    Listing,
    NotFoundError,
    NotPermittedError,
    OrderSpec,
    OrderState,
    OrderType,
    Position,
    PreconditionError,
    SelfTradePrevention,
    ServingStatus,
    Side,
    Snapshot,
    StartPosition,
    TimeInForce,
    TriggerSource,
    UnavailableError,
    limit_order,
    market_order,
    new_id,
)
from tests.e2e.conftest import StartServer
from tests.e2e.process import ServerProcess, run_brokergate

BTC = "BTC/USDT"


@pytest.fixture
async def gateway(shared_server: ServerProcess) -> AsyncIterator[Gateway]:
    """A client of a server that this module's tests share."""
    async with Gateway.connect(shared_server.address) as gateway:
        yield gateway


async def fill_of(gateway: Gateway, cursor: str, client_order_id: str) -> list[Fill]:
    """The fills of an order, once the stream has caught up with the order's end."""
    order = await gateway.order("paper", client_order_id=client_order_id)
    found: list[Fill] = []
    async for fill in gateway.fills(after=cursor, account_ids=["paper"]):
        if fill.client_order_id == client_order_id:
            found.append(fill)
        if sum(f.quantity for f in found) == order.cum_quantity:
            return found
    raise AssertionError("a stream does not end")


async def test_a_market_order_fills_and_is_seen_everywhere(gateway: Gateway) -> None:
    """The order, its fills, the position, the balances and the history tell the same, to the last digit."""
    before = await gateway.balances("paper")
    held = {position.symbol: position.quantity for position in await gateway.positions("paper")}
    placed = await gateway.place("paper", market_order(BTC, Side.BUY, "0.02"))
    order = placed.order
    assert (order.state, order.cum_quantity, placed.already_existed) == (
        OrderState.FILLED,
        Decimal("0.02"),
        False,
    )

    fills = await fill_of(gateway, before.cursor, order.client_order_id)
    assert sum(fill.quantity * fill.price for fill in fills) == order.cum_notional
    assert all(fill.liquidity == Liquidity.TAKER and fill.side == Side.BUY for fill in fills)

    history = [fill async for fill in gateway.fill_history("paper", order_id=order.order_id)]
    assert {fill.fill_id for fill in history} == {fill.fill_id for fill in fills}

    now = {position.symbol: position.quantity for position in await gateway.positions("paper")}
    assert now[BTC] - held.get(BTC, 0) == Decimal("0.02")

    after = {balance.currency_code: balance.total for balance in await gateway.balances("paper")}
    paid = {balance.currency_code: balance.total for balance in before}["USDT"] - after["USDT"]
    assert paid == order.cum_notional + sum(fee.amount for fill in fills for fee in fill.fees)


async def test_a_limit_order_rests_is_replaced_and_cancelled(gateway: Gateway) -> None:
    """Its generation grows; a stale one is refused; cancelled, it is no longer open."""
    placed = await gateway.place("paper", limit_order(BTC, Side.BUY, "0.01", "1000"))
    order_id = placed.order.order_id
    assert placed.order.state == OrderState.NEW
    assert order_id in {order.order_id async for order in gateway.orders("paper", open_only=True)}

    replaced = await gateway.replace("paper", order_id=order_id, expected_generation=1, limit_price="999.5")
    assert (replaced.generation, replaced.spec.limit_price) == (2, Decimal("999.5"))
    with pytest.raises(PreconditionError) as stale:
        await gateway.replace("paper", order_id=order_id, expected_generation=1, limit_price="998")
    assert stale.value.reason == ErrorReason.GENERATION_MISMATCH

    cancelled = await gateway.cancel("paper", order_id=order_id)
    assert cancelled is not None
    assert cancelled.state == OrderState.CANCELED
    assert (await gateway.order("paper", order_id=order_id)).ended
    assert order_id not in {order.order_id async for order in gateway.orders("paper", open_only=True)}


async def test_the_same_id_places_once_and_never_something_else(gateway: Gateway) -> None:
    """1.0 is 1.00; another body is refused with the first order's id."""
    first = await gateway.place("paper", limit_order(BTC, Side.BUY, "0.10", "1000"), client_order_id="once")
    again = await gateway.place("paper", limit_order(BTC, Side.BUY, "0.1", "1000.00"), client_order_id="once")
    assert again.already_existed
    assert again.order.order_id == first.order.order_id
    with pytest.raises(AlreadyExistsError) as other:
        await gateway.place("paper", limit_order(BTC, Side.BUY, "0.2", "1000"), client_order_id="once")
    assert other.value.reason == ErrorReason.CLIENT_ORDER_ID_REUSED
    assert other.value.metadata["order_id"] == first.order.order_id


async def test_a_batch_answers_index_by_index(gateway: Gateway) -> None:
    """One that is wrong stops none; what rests is cancelled in one call."""
    symbol = "EUR/USD"
    results = await gateway.batch_place(
        "paper",
        [
            BatchOrder(limit_order(symbol, Side.BUY, "1000", "0.5")),
            BatchOrder(limit_order(symbol, Side.BUY, "1000", "0.000001234"), "wrong-tick"),
            BatchOrder(limit_order(symbol, Side.BUY, "1000", "0.6")),
        ],
    )
    good = [result.order for result in results if result.order is not None]
    assert len(good) == 2
    assert results[1].error is not None
    assert results[1].error.reason == ErrorReason.PRICE_OFF_TICK
    cancelled = await gateway.cancel_all("paper", symbol=symbol)
    assert {result.order.order_id for result in cancelled if result.order} == {
        order.order_id for order in good
    }


async def test_a_tombstone_keeps_an_order_from_ever_being_placed(gateway: Gateway) -> None:
    """A cancel that overtakes its order wins."""
    client_order_id = new_id()
    gone = await gateway.cancel("paper", client_order_id=client_order_id, if_unknown=IfUnknown.TOMBSTONE)
    assert gone is None
    placed = await gateway.place(
        "paper", market_order(BTC, Side.BUY, "0.01"), client_order_id=client_order_id
    )
    assert (placed.order.state, placed.order.reject_reason) == (OrderState.REJECTED, ErrorReason.TOMBSTONED)


async def test_what_can_be_read_is_typed(gateway: Gateway) -> None:
    """Accounts, instruments, a quote, a preview, health: each with its values."""
    (account,) = [account for account in await gateway.accounts() if account.account_id == "paper"]
    assert account.trading_enabled
    instruments = {instrument.symbol: instrument async for instrument in gateway.instruments("paper")}
    quote = await gateway.quote("paper", BTC)
    assert quote.bid_price is not None
    assert quote.ask_price is not None
    assert quote.bid_price < quote.ask_price
    assert quote.ask_price % instruments[BTC].price_increment == 0
    preview = await gateway.preview("paper", market_order(BTC, Side.BUY, "0.01"))
    assert preview.rejection is None
    assert preview.estimated_fill_quantity == Decimal("0.01")
    assert await gateway.health() == ServingStatus.SERVING
    assert await gateway.health("brokergate.v1.OrderService") == ServingStatus.SERVING


async def test_errors_name_the_field_and_the_way_out(gateway: Gateway) -> None:
    """A price off the tick, an account and an instrument that are not there."""
    with pytest.raises(InvalidRequestError) as tick:
        await gateway.place("paper", limit_order(BTC, Side.BUY, "0.1", "1000.001"))
    assert tick.value.reason == ErrorReason.PRICE_OFF_TICK
    assert tick.value.violations[0].field == "order.limit_price"
    assert not tick.value.outcome_unknown
    with pytest.raises(NotFoundError) as account:
        await gateway.positions("nobody")
    assert account.value.reason == ErrorReason.ACCOUNT_NOT_FOUND
    with pytest.raises(NotFoundError) as instrument:
        await gateway.quote("paper", "NO/SUCH")
    assert instrument.value.reason == ErrorReason.INSTRUMENT_NOT_FOUND


async def test_events_begin_with_a_snapshot_and_say_when_they_are_live(gateway: Gateway) -> None:
    """The state, the notice, and then what happens, in sequence."""
    resting = await gateway.place("paper", limit_order(BTC, Side.BUY, "0.01", "900"))
    events = aiter(gateway.events(start=StartPosition.SNAPSHOT, account_ids=["paper"]))
    snapshot = await anext(events)
    assert isinstance(snapshot, Snapshot)
    assert resting.order.order_id in {order.order_id for order in snapshot.orders}
    assert isinstance(await anext(events), CaughtUp)
    placed = await gateway.place("paper", market_order(BTC, Side.BUY, "0.01"))
    sequences: list[int] = []
    async for item in events:
        assert isinstance(item, Event)
        sequences.append(item.sequence)
        if isinstance(item.payload, Fill) and item.payload.order_id == placed.order.order_id:
            break
    assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))


async def test_a_list_is_read_page_by_page(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Newest first over page boundaries, none left out, none twice; the cursor is that of the first page."""
    monkeypatch.setattr("brokergate_client.gateway.PAGE_SIZE", 3)
    for number in range(8):
        await gateway.place("paper", limit_order("AAPL", Side.BUY, 1, "1"), client_order_id=f"page-{number}")
    orders = gateway.orders("paper", symbol="AAPL")
    found = [order.client_order_id async for order in orders]
    assert found == [f"page-{number}" for number in reversed(range(8))]
    assert orders.cursor


async def test_a_stream_over_kills_and_restarts_gives_every_fill_once(server: ServerProcess) -> None:
    """The server is killed with -9, stopped in order and started again while orders go on: the stream never ends.

    Orders that were being placed when it died are placed exactly once: their ids are asked for again.
    """
    orders, deaths = 60, 3
    async with Gateway.connect(server.address) as gateway:
        cursor = await gateway.cursor("paper")
        filled: dict[str, Decimal] = {}
        fills: list[Fill] = []
        stream = gateway.fills(after=cursor, account_ids=["paper"], heartbeat_s=1)

        async def read() -> None:
            async for fill in stream:
                fills.append(fill)
                filled[fill.client_order_id] = filled.get(fill.client_order_id, Decimal(0)) + fill.quantity
                if sum(filled.values()) == orders * Decimal("0.001"):
                    return

        reader = asyncio.ensure_future(read())
        loop = asyncio.get_running_loop()
        for number in range(orders):
            placing = asyncio.ensure_future(
                gateway.place(
                    "paper", market_order(BTC, Side.BUY, "0.001"), client_order_id=f"order-{number}"
                )
            )
            if number % (orders // deaths) == orders // deaths // 2:
                await asyncio.sleep(0)
                if number % 2:
                    await loop.run_in_executor(None, server.restart)
                else:
                    await loop.run_in_executor(None, server.kill9)
                    await loop.run_in_executor(None, server.start)
            assert (await placing).order.state == OrderState.FILLED
        await asyncio.wait_for(reader, 30)

        assert len({fill.fill_id for fill in fills}) == len(fills)
        assert filled == {f"order-{number}": Decimal("0.001") for number in range(orders)}
        assert [fill.sequence for fill in fills] == sorted(fill.sequence for fill in fills)
        assert stream.reconnects >= deaths
        (position,) = await gateway.positions("paper")
        assert position.quantity == orders * Decimal("0.001")


async def test_a_kept_cursor_resumes_in_another_client(server: ServerProcess) -> None:
    """A program that stored the cursor of its last fill goes on with the next one."""
    async with Gateway.connect(server.address) as first:
        for number in range(3):
            await first.place("paper", market_order(BTC, Side.BUY, "0.001"), client_order_id=f"kept-{number}")
        stream = aiter(first.fills(start=StartPosition.EARLIEST, account_ids=["paper"]))
        kept = await anext(stream)
    async with Gateway.connect(server.address) as second:
        stream = aiter(second.fills(after=kept.cursor, account_ids=["paper"]))
        following = [await anext(stream), await anext(stream)]
        everything = [fill async for fill in second.fill_history("paper")]
    assert [kept.fill_id, *(fill.fill_id for fill in following)] == [
        fill.fill_id for fill in reversed(everything)
    ][:3]


async def test_a_cursor_of_another_gateway_is_told(start_server: StartServer) -> None:
    """Never silence, never somebody else's fills."""
    one, other = start_server(), start_server()
    async with Gateway.connect(one.address) as gateway:
        cursor = await gateway.cursor("paper")
    async with Gateway.connect(other.address) as gateway:
        with pytest.raises(CursorEpochError) as caught:
            await anext(aiter(gateway.fills(after=cursor)))
        assert caught.value.reason == ErrorReason.CURSOR_EPOCH
        with pytest.raises(InvalidRequestError):
            await anext(aiter(gateway.fills(after="not a cursor")))


async def test_a_stream_knows_when_it_is_live(gateway: Gateway) -> None:
    """`caught_up` is set once the history has been given."""
    await gateway.place("paper", market_order(BTC, Side.BUY, "0.001"))
    stream = gateway.fills(start=StartPosition.EARLIEST, account_ids=["paper"])
    history = [fill async for fill in gateway.fill_history("paper")]
    given: list[Fill] = []

    async def read() -> None:
        async for fill in stream:
            given.append(fill)  # noqa: PERF401, it is looked at while it grows

    reader = asyncio.ensure_future(read())
    await asyncio.wait_for(stream.caught_up.wait(), 10)
    assert len(given) >= len(history)
    reader.cancel()


async def test_a_gateway_that_stops_is_an_error_in_time(server: ServerProcess) -> None:
    """A call to a gateway that is gone ends with its deadline, and says that its outcome is unknown."""
    async with Gateway.connect(server.address) as gateway:
        server.kill9()
        with pytest.raises(UnavailableError) as caught:
            await gateway.within(1).place(
                "paper", market_order(BTC, Side.BUY, "0.01"), client_order_id="lost"
            )
    assert caught.value.outcome_unknown
    assert caught.value.request_id == "lost"


async def test_tokens_open_what_they_are_for(start_server: StartServer) -> None:
    """Once there are tokens, none is UNAUTHENTICATED, a reader cannot trade, and a revoked one ends its streams."""
    server = start_server()
    made = run_brokergate(
        *("token", "new", "reader", "--scope", "read", "--accounts", "paper", "--data-dir", server.data_dir)
    )
    assert made.returncode == 0, made.stderr
    (token,) = re.findall(r"^\S+$", made.stdout, re.MULTILINE)
    server.restart()
    async with Gateway.connect(server.address, token=token) as gateway:
        await gateway.balances("paper")
        with pytest.raises(NotPermittedError) as scope:
            await gateway.place("paper", market_order(BTC, Side.BUY, "0.01"))
        assert scope.value.reason == ErrorReason.SCOPE_INSUFFICIENT
        fills = gateway.fills(account_ids=["paper"])
        stream = asyncio.ensure_future(anext(aiter(fills)))
        await asyncio.wait_for(fills.caught_up.wait(), 15)
        revoked = run_brokergate("token", "revoke", "reader", "--data-dir", server.data_dir)
        assert revoked.returncode == 0, revoked.stderr
        with pytest.raises(AuthenticationError) as ended:
            await asyncio.wait_for(stream, 15)
        assert ended.value.reason in (ErrorReason.TOKEN_REVOKED, ErrorReason.TOKEN_INVALID)
        assert token not in str(ended.value)


async def test_events_can_be_filtered_without_losing_the_cursor(gateway: Gateway) -> None:
    """A cursor of a filtered stream resumes one with another filter."""
    cursor = await gateway.cursor("paper")
    placed = await gateway.place("paper", market_order(BTC, Side.BUY, "0.001"))
    balances = aiter(gateway.events(after=cursor, account_ids=["paper"], kinds=[EventKind.BALANCE]))
    first = await anext(balances)
    assert isinstance(first, Event)
    assert first.kind == EventKind.BALANCE
    orders = aiter(
        gateway.events(after=cursor, account_ids=["paper"], kinds=[EventKind.ORDER, EventKind.FILL])
    )
    item = await anext(orders)
    assert isinstance(item, Event)
    assert placed.order.order_id in str(item.payload)


async def test_every_kind_of_order_works_over_the_wire(gateway: Gateway) -> None:
    """What few orders ask for comes through whole, is kept, changed and cancelled; what a rule of theirs forbids is
    refused with its own reason."""
    quote = await gateway.quote("paper", BTC)
    assert quote.bid_price is not None
    low = (quote.bid_price / 2).quantize(Decimal("0.01"))
    high = low * 4
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)
    buy = OrderSpec(
        symbol=BTC, side=Side.BUY, type=OrderType.LIMIT, quantity=Decimal("0.01"), limit_price=low
    )
    trailing = OrderSpec(
        symbol=BTC,
        side=Side.BUY,
        type=OrderType.TRAILING_STOP,
        quantity=Decimal("0.01"),
        trail_percent=Decimal(40),
    )
    touched = OrderSpec(
        symbol=BTC, side=Side.BUY, type=OrderType.MARKET_IF_TOUCHED, quantity=Decimal("0.01"), stop_price=low
    )
    wanted = {
        "trailing": trailing,
        "by-mark": replace(trailing, trail_percent=None, trail_amount=low, trigger_source=TriggerSource.MARK),
        "touched": touched,
        "limit-touched": replace(touched, type=OrderType.LIMIT_IF_TOUCHED, limit_price=low),
        "iceberg": replace(buy, display_quantity=Decimal("0.002")),
        "maker": replace(buy, post_only=True),
        "until": replace(buy, time_in_force=TimeInForce.GTD, expire_time=until),
        "careful": replace(buy, self_trade_prevention=SelfTradePrevention.CANCEL_BOTH),
    }
    placed = {name: (await gateway.place("paper", spec)).order for name, spec in wanted.items()}
    assert {order.state for order in placed.values()} == {OrderState.NEW}
    for name, spec in wanted.items():
        kept = placed[name].spec
        assert (kept.type, kept.display_quantity, kept.expire_time) == (
            spec.type,
            spec.display_quantity,
            spec.expire_time,
        )
    changed = await gateway.replace(
        "paper", order_id=placed["trailing"].order_id, expected_generation=1, trail_percent=Decimal(45)
    )
    assert (changed.generation, changed.spec.trail_percent) == (2, Decimal(45))
    taking = await gateway.place("paper", replace(buy, limit_price=high, post_only=True))
    assert (taking.order.state, taking.order.reject_reason) == (OrderState.REJECTED, ErrorReason.WOULD_TAKE)
    auction = await gateway.place("paper", replace(buy, time_in_force=TimeInForce.AT_CLOSE))
    assert (auction.order.state, auction.order.reject_reason) == (
        OrderState.REJECTED,
        ErrorReason.UNSUPPORTED,
    )
    reducing = await gateway.place("paper", replace(buy, reduce_only=True))
    assert reducing.order.reject_reason in (ErrorReason.NOTHING_TO_REDUCE, ErrorReason.UNSPECIFIED)
    for order in placed.values():
        ended = await gateway.cancel("paper", order_id=order.order_id)
        assert ended is not None
        assert ended.state is OrderState.CANCELED


async def set_fault(client: Gateway, name: str, kind: simulator_pb2.FaultKind.ValueType) -> None:
    """What the account's venue does wrong from now on, always."""
    request = simulator_pb2.SetFaultsRequest(account_id="paper", request_id=name)
    request.faults.add(kind=kind, rate_percent="100")
    await client.call("SimulatorService/SetFaults", request, request_id=name)


async def positions_that_are(client: Gateway, *, stale: bool) -> Listing[Position]:
    """The account's, once they are."""
    async with asyncio.timeout(20):
        while True:
            with suppress(UnavailableError):
                shown = await client.positions("paper")
                if shown.stale is stale:
                    return shown
            await asyncio.sleep(0.05)


async def quote_that_is_stale(client: Gateway) -> None:
    """Returns once the market is; the connection may be known to be lost a little after a call on it failed."""
    async with asyncio.timeout(20):
        while True:
            if (await client.quote("paper", BTC)).stale:
                return
            await asyncio.sleep(0.05)


async def test_the_last_word_of_a_broker_that_is_away_is_marked(server: ServerProcess) -> None:
    """In the lists, the quote, and what the command line prints."""
    async with Gateway.connect(server.address) as client:
        # From here on the venue is a broker like any other, whose last word is kept.
        await set_fault(client, "a", simulator_pb2.FAULT_KIND_REJECTION)
        await positions_that_are(client, stale=False)
        assert not (await client.balances("paper")).stale
        assert not (await client.quote("paper", BTC)).stale

        await set_fault(client, "b", simulator_pb2.FAULT_KIND_DISCONNECT)
        assert (await positions_that_are(client, stale=True)).as_of_ns > 0
        assert (await client.balances("paper")).stale
        await quote_that_is_stale(client)
        for command in ("positions", "balances"):
            told = run_brokergate(command, "--address", server.address)
            assert "the broker is away: this is what was known last, as of 20" in told.stderr
