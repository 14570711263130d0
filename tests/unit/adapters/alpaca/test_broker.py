"""The adapter against the emulator: connections, outcomes that nobody heard, groups, amounts, orders of others."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from brokergate.adapters.alpaca.broker import AlpacaBroker
from brokergate.adapters.alpaca.values import dump, load
from brokergate.adapters.context import BrokerContext
from brokergate.domain.errors import (
    AccountSuspendedError,
    AuthenticationError,
    BrokerError,
    ErrorReason,
    ExchangeMaintenanceError,
    RateLimitError,
    RecoverableError,
    TemporaryConnectionError,
)
from brokergate.domain.events import OrderEventType
from brokergate.domain.orders import Order, OrderState, OrderType, ProtectiveLeg, Side, TimeInForce
from brokergate.ports.broker import (
    Absent,
    Accepted,
    Failed,
    FillReport,
    Found,
    GroupKind,
    OrderGroup,
    OrderReport,
    Outcome,
    Rejected,
    ReplaceCommand,
    Report,
    Unknown,
)
from tests.conformance.alpaca import EMPTY, account, context, emulator
from tests.emulators.client import Emulator
from tests.unit.adapters.alpaca.shapes import order

D = Decimal
SYMBOL = "AAPL"
PATIENCE_S = 20.0


class Desk:
    """A connected adapter, and what it told."""

    def __init__(self, venue: Emulator, *, quiet_timeout_ms: int = 30_000, **settings: object) -> None:
        self.venue = venue
        self.context: BrokerContext = context("desk")
        usual: dict[str, object] = {"instruments": [SYMBOL, "GME", "BTC/USD"], "requests_per_minute": 10_000}
        config = account(venue, **{**usual, **settings})
        bounds = {"request_timeout_ms": 1_500, "quiet_timeout_ms": quiet_timeout_ms}
        config = config.model_copy(update={"connection": config.connection.model_copy(update=bounds)})
        self.broker = AlpacaBroker(config, self.context)
        self.told: list[Report] = []
        self.ended: BaseException | None = None
        self._news = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Desk:
        await self.broker.connect(EMPTY)
        self.follow()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.broker.close()
        if self._reader is not None:
            await asyncio.gather(self._reader, return_exceptions=True)
        await self.context.connections.close()

    def follow(self) -> None:
        """Reads what the broker tells."""
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async for reports in self.broker.events():
                self.told.extend(reports)
                self._news.set()
        except BrokerError as error:
            self.ended = error
        self.ended = self.ended or EOFError()
        self._news.set()

    async def until(self, there: Callable[[], object]) -> None:
        """Waits until the broker has told it."""
        async with asyncio.timeout(PATIENCE_S):
            while not there():
                self._news.clear()
                await self._news.wait()

    def of(self, kind: OrderEventType, client_order_id: str = "c1") -> list[OrderReport]:
        """The reports of that kind on an order."""
        return [
            report
            for report in self.told
            if isinstance(report, OrderReport)
            and (report.event, report.client_order_id) == (kind, client_order_id)
        ]

    def filled(self, client_order_id: str = "c1") -> Decimal:
        """What was told of fills."""
        fills = {
            report.execution_id: report.quantity
            for report in self.told
            if isinstance(report, FillReport) and report.client_order_id == client_order_id
        }
        return sum(fills.values(), D(0))

    async def place(self, name: str = "c1", **fields: Any) -> tuple[Order, Outcome]:
        """Places an order: a bid for two at 95 unless said otherwise."""
        asked = self.order(name, **fields)
        outcome = await self.broker.place_order(asked)
        number = outcome.broker_order_id if isinstance(outcome, Accepted) else ""
        return replace(asked, broker_order_id=number), outcome

    def order(self, name: str = "c1", **fields: Any) -> Order:
        """An order of now."""
        usual: dict[str, Any] = {"limit_price": D(95), "time_in_force": TimeInForce.DAY}
        return replace(order(name, **{**usual, **fields}), create_time_ns=self.context.clock.now_ns())

    async def sent(self, kind: str = "place") -> Counter[str]:
        """How often each client order id was sent."""
        log = await self.venue.log()
        return Counter(one["parameters"].get("client_order_id", "") for one in log if one["kind"] == kind)


@pytest.fixture
async def venue() -> Emulator:
    """The emulator with an empty account, and a stock at 99 to 101."""
    venue = emulator()
    await venue.reset({"USD": "1000000"})
    await venue.ask("limits", requests=100_000)
    await venue.show(SYMBOL, [("99", "5")], [("101", "2"), ("102", "6")])
    return venue


@pytest.fixture
async def desk(venue: Emulator) -> AsyncIterator[Desk]:
    """An adapter that is connected to it."""
    async with Desk(venue) as desk:
        yield desk


# Connecting


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"account_blocked": True}, "Alpaca has blocked it"),
        ({"trading_blocked": True}, "has blocked its trading"),
        ({"trade_suspended_by_user": True}, "allow it again in the account's settings"),
        ({"status": "SUBMITTED"}, "is SUBMITTED, not ACTIVE"),
    ],
)
async def test_an_account_that_may_not_trade(venue: Emulator, flags: dict[str, Any], words: str) -> None:
    """One error that names the account, the cause and the way out."""
    await venue.ask("flags", **flags)
    desk = Desk(venue)
    with pytest.raises(AccountSuspendedError, match=f"account 'desk'.*{words}"):
        await desk.broker.connect(EMPTY)
    await desk.context.connections.close()


async def test_a_wrong_secret(venue: Emulator) -> None:
    """Says what to look at, and shows nothing of it."""
    desk = Desk(venue)
    wrong = account(venue).model_copy(deep=True)
    secret = type(wrong.credentials["api_secret"])("not-the-secret")
    wrong = wrong.model_copy(update={"credentials": {**wrong.credentials, "api_secret": secret}})
    broker = AlpacaBroker(wrong, desk.context)
    with pytest.raises(
        AuthenticationError, match=r"account 'desk'.*check api_key and api_secret.*paper"
    ) as found:
        await broker.connect(EMPTY)
    assert "not-the-secret" not in str(found.value)
    assert venue.key not in str(found.value)
    await desk.context.connections.close()


async def test_maintenance_and_nobody_there(venue: Emulator) -> None:
    """Each by its class: the engine waits differently."""
    desk = Desk(venue)
    await venue.fault("maintenance")
    with pytest.raises(ExchangeMaintenanceError):
        await desk.broker.connect(EMPTY)
    await venue.clear_faults()
    away = Desk(venue, rest_url="http://127.0.0.1:9")
    with pytest.raises(TemporaryConnectionError):
        await away.broker.connect(EMPTY)
    for each in (desk, away):
        await each.context.connections.close()


async def test_a_quiet_stream_is_asked_whether_it_lives(venue: Emulator) -> None:
    """And goes on, where it answers."""
    async with Desk(venue, quiet_timeout_ms=100) as desk:
        async with asyncio.timeout(PATIENCE_S):
            while Counter(one["kind"] for one in await venue.log())["listen"] < 3:
                pass
        assert desk.ended is None
        await desk.place()
        await desk.until(lambda: desk.of(OrderEventType.ACKNOWLEDGED))


async def test_a_mute_stream_is_found_by_its_probe(venue: Emulator) -> None:
    """One that is connected and answers nothing is given up (pain 5)."""
    asked: list[str] = []

    async def greet(socket: ServerConnection) -> None:
        async for frame in socket:
            asked.append(load(frame)["action"])
            if len(asked) == 1:
                data: dict[str, Any] = {"action": "authenticate", "status": "authorized"}
                await socket.send(dump({"stream": "authorization", "data": data}))
            elif len(asked) == 2:
                await socket.send(dump({"stream": "listening", "data": {"streams": ["trade_updates"]}}))

    async with serve(greet, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with Desk(venue, quiet_timeout_ms=100, stream_url=f"ws://127.0.0.1:{port}/stream") as desk:
            await desk.until(lambda: desk.ended)
            assert isinstance(desk.ended, TemporaryConnectionError)
    assert asked == ["authenticate", "listen", "listen"]


async def test_a_cut_stream_ends_the_events(desk: Desk) -> None:
    """So that the engine connects again and fills the gap."""
    assert await desk.venue.drop_streams("orders") == 1
    await desk.until(lambda: desk.ended)
    assert isinstance(desk.ended, TemporaryConnectionError)


async def test_two_accounts_of_one_key_share_one_stream(venue: Emulator) -> None:
    """Alpaca keeps one alive (alpaca-py issue 740)."""
    async with Desk(venue) as desk:
        other = AlpacaBroker(account(venue), replace(desk.context, account_id="other"))
        await other.connect(EMPTY)
        assert (await venue.streams()).count("orders") == 1
        await desk.place()
        await desk.until(lambda: desk.of(OrderEventType.ACKNOWLEDGED))
        await other.close()


# Outcomes


@pytest.mark.parametrize("kind", ["answer_lost_after_accept", "html", "partial_json", "slow_loris"])
async def test_an_order_whose_answer_did_not_come_is_unknown_and_found(desk: Desk, kind: str) -> None:
    """It is asked for by its client order id, and was sent once (pains 1 and 2)."""
    await desk.venue.fault(kind, on="place")
    asked, outcome = await desk.place()
    assert isinstance(outcome, Unknown)
    found = await desk.broker.find_order(asked)
    assert isinstance(found, Found | Absent)
    if kind == "answer_lost_after_accept":
        assert isinstance(found, Found)
        assert (found.order.client_order_id, found.order.state) == ("c1", OrderState.NEW)
    assert max((await desk.sent()).values()) == 1


async def test_an_order_that_never_arrived_is_absent(desk: Desk) -> None:
    """By a complete answer."""
    await desk.venue.fault("answer_lost_before_accept", on="place")
    asked, outcome = await desk.place()
    assert isinstance(outcome, Unknown)
    assert isinstance(await desk.broker.find_order(asked), Absent)
    await desk.venue.fault("status", on="find_order", code=500)
    assert isinstance(await desk.broker.find_order(asked), Failed)


@pytest.mark.parametrize(
    ("status", "accept", "expected"),
    [
        (500, True, Unknown),
        (500, False, Unknown),
        (503, True, Unknown),
        (504, True, Unknown),
        (403, False, Unknown),
        (418, False, Unknown),
        (429, False, Rejected),
    ],
)
async def test_what_a_status_says_of_an_order(
    desk: Desk, status: int, accept: bool, expected: type[Outcome]
) -> None:
    """Only the venue's definite word is a rejection; a proxy's page is not."""
    await desk.venue.fault("status", on="place", code=status, accept=accept)
    asked, outcome = await desk.place()
    assert isinstance(outcome, expected)
    assert isinstance(await desk.broker.find_order(asked), Found) == accept


async def test_without_budget_nothing_is_sent_and_cancels_pass(venue: Emulator) -> None:
    """A minute's requests are used up: an order fails at once, a cancel takes of the reserve."""
    await venue.ask("limits", requests=40)
    async with Desk(venue) as desk:
        resting, outcome = await desk.place()
        assert isinstance(outcome, Accepted)
        answers = await asyncio.gather(
            *(desk.broker.get_positions() for _ in range(60)), return_exceptions=True
        )
        assert {type(answer) for answer in answers} == {list, RateLimitError}
        before = await desk.sent()
        _, refused = await desk.place("c2")
        assert isinstance(refused, Rejected)
        assert refused.reason is ErrorReason.NOT_SENT
        assert await desk.sent() == before
        assert isinstance(await desk.broker.cancel_order(resting), Accepted)


async def test_without_budget_all_is_cancelled_at_once(venue: Emulator) -> None:
    """What has to be known for it is asked for as urgently as it is sent."""
    await venue.ask("limits", requests=60)
    async with Desk(venue) as desk:
        placed = [(await desk.place(f"c{number}"))[0] for number in range(12)]
        answers = await asyncio.gather(
            *(desk.broker.get_positions() for _ in range(60)), return_exceptions=True
        )
        assert {type(answer) for answer in answers} == {list, RateLimitError}
        outcomes = await desk.broker.cancel_all_orders(placed)
        assert all(isinstance(outcome, Accepted) for outcome in outcomes)
        kinds = Counter(one["kind"] for one in await desk.venue.log())
        assert (kinds["cancel_all"], kinds["cancel"]) == (1, 0)


async def test_a_name_that_was_used_before_this_journal(venue: Emulator) -> None:
    """The venue keeps names for ever: the order was not placed, and that is what is said."""
    async with Desk(venue) as first:
        await first.place()
    async with Desk(venue) as second:
        late = replace(second.order(), create_time_ns=second.context.clock.now_ns() + 3_600 * 10**9)
        outcome = await second.broker.place_order(late)
        assert isinstance(outcome, Rejected)
        assert outcome.reason is ErrorReason.CLIENT_ORDER_ID_REUSED
        early = replace(second.order(), create_time_ns=1)
        taken = await second.broker.place_order(early)
        assert isinstance(taken, Accepted)  # this very order arrived on a way that nobody saw
        again = await second.broker.place_order(early)
        assert isinstance(again, Rejected)


# Changes and cancels


async def test_a_replace_whose_answer_was_lost_is_found_in_its_new_generation(desk: Desk) -> None:
    """By the link that the venue keeps from one to the other."""
    asked, _ = await desk.place()
    await desk.venue.fault("answer_lost_after_accept", on="replace")
    spec = replace(asked.spec, limit_price=D(96))
    outcome = await desk.broker.replace_order(ReplaceCommand(asked, spec, D(2)))
    assert isinstance(outcome, Unknown)
    found = await desk.broker.find_order(asked)
    assert isinstance(found, Found)
    assert (found.order.limit_price, found.order.client_order_id) == (D(96), "c1")
    assert found.order.broker_order_id != asked.broker_order_id
    await desk.until(lambda: desk.of(OrderEventType.REPLACED))
    assert desk.of(OrderEventType.REPLACED)[0].broker_order_id == found.order.broker_order_id
    # A cancel under the old id means the order, and reaches the new one.
    assert isinstance(await desk.broker.cancel_order(asked), Accepted)
    await desk.until(lambda: desk.of(OrderEventType.CANCELED))


async def test_an_order_that_others_replaced_has_ended(desk: Desk) -> None:
    """Theirs is an order of others."""
    asked, _ = await desk.place()
    client = desk.broker._client
    answer: Any = await client.send(
        "PATCH", f"/v2/orders/{asked.broker_order_id}", body=b'{"limit_price":"97"}'
    )
    await desk.until(lambda: desk.of(OrderEventType.CANCELED))
    (shown,) = await desk.broker.list_open_orders()
    assert (shown.client_order_id, shown.broker_order_id) == ("", answer["id"])
    found = await desk.broker.find_order(asked)
    assert isinstance(found, Found)
    assert found.order.state is OrderState.CANCELED


async def test_many_cancels_are_one_request_where_nothing_else_is_open(desk: Desk) -> None:
    """And one each where others have an order."""
    placed = [(await desk.place(f"c{number}"))[0] for number in range(12)]
    outcomes = await desk.broker.cancel_all_orders(placed)
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    await desk.until(
        lambda: len([one for one in placed if desk.of(OrderEventType.CANCELED, one.client_order_id)]) == 12
    )
    kinds = Counter(one["kind"] for one in await desk.venue.log())
    assert (kinds["cancel_all"], kinds["cancel"]) == (1, 0)

    placed = [(await desk.place(f"d{number}"))[0] for number in range(12)]
    await desk.venue.add_order(SYMBOL, "buy", "1", "90")
    await desk.broker.cancel_all_orders(placed)
    kinds = Counter(one["kind"] for one in await desk.venue.log())
    assert (kinds["cancel_all"], kinds["cancel"]) == (1, 12)
    (left,) = await desk.broker.list_open_orders()
    assert left.client_order_id == ""


# Groups, amounts, others


def bracket(desk: Desk) -> OrderGroup:
    """A bid at 98 with its profit at 105 and its loss at 95."""
    entry = desk.order(
        "e",
        group_id="o-e",
        limit_price=D(98),
        take_profit=ProtectiveLeg("p", D(105)),
        stop_loss=ProtectiveLeg("l", None, D(95)),
    )
    profit = desk.order("p", group_id="o-e", side=Side.SELL, limit_price=D(105))
    loss = desk.order(
        "l", group_id="o-e", side=Side.SELL, type=OrderType.STOP, limit_price=None, stop_price=D(95)
    )
    return OrderGroup(GroupKind.BRACKET, (entry, profit, loss))


async def test_a_bracket_whose_answer_was_lost_is_found_leg_by_leg(desk: Desk) -> None:
    """Legs have no name of ours: they are found by their parent."""
    await desk.venue.fault("answer_lost_after_accept", on="place")
    group = bracket(desk)
    outcomes = await desk.broker.place_group(group)
    assert [type(outcome) for outcome in outcomes] == [Unknown] * 3
    found = [await desk.broker.find_order(one) for one in group.orders]
    shown = [one.order for one in found if isinstance(one, Found)]
    assert [one.client_order_id for one in shown] == ["e", "p", "l"]
    assert [one.type for one in shown] == [OrderType.LIMIT, OrderType.LIMIT, OrderType.STOP]
    await desk.venue.trade(SYMBOL, "97", "9", "sell")
    await desk.until(lambda: desk.filled("e") == 2)
    await desk.venue.trade(SYMBOL, "106", "9", "buy")
    await desk.until(lambda: desk.filled("p") == 2 and desk.of(OrderEventType.CANCELED, "l"))


async def test_a_group_that_is_refused_is_refused_whole(desk: Desk) -> None:
    """By the venue, or by its rules here."""
    group = bracket(desk)
    odd = replace(
        group,
        orders=(
            group.orders[0],
            *(replace(one, spec=replace(one.spec, limit_price=D(97))) for one in group.orders[1:2]),
            group.orders[2],
        ),
    )
    outcomes = await desk.broker.place_group(odd)
    assert [type(outcome) for outcome in outcomes] == [Rejected] * 3
    assert await desk.broker.list_open_orders() == []
    fill_or_kill = replace(
        group,
        orders=tuple(
            replace(one, spec=replace(one.spec, time_in_force=TimeInForce.FOK)) for one in group.orders
        ),
    )
    assert {type(outcome) for outcome in await desk.broker.place_group(fill_or_kill)} == {Rejected}
    assert sum((await desk.sent()).values()) == 1


async def test_an_order_by_an_amount(desk: Desk) -> None:
    """The venue counts it: the total is told before the fill that shows it."""
    spec = desk.order(type=OrderType.MARKET, limit_price=None, quantity=None, quote_quantity=D(150)).spec
    async with asyncio.timeout(PATIENCE_S):
        while desk.broker.quote(SYMBOL) is None:
            await desk.broker.get_positions()
    counted = desk.broker.quantity_for(spec)
    assert counted == D("1.485148514")
    await desk.venue.show(SYMBOL, [("99", "5")], [("100", "6")])
    asked = replace(desk.order(), spec=spec, quantity=counted, leaves_quantity=counted)
    outcome = await desk.broker.place_order(asked)
    assert isinstance(outcome, Accepted)
    await desk.until(lambda: desk.filled() == D("1.5"))
    totals = [report.quantity for report in desk.of(OrderEventType.REPLACED)]
    assert totals == [D("1.5")]


async def test_orders_and_fills_of_others(desk: Desk) -> None:
    """They are listed, under the venue's id alone."""
    await desk.venue.add_order(SYMBOL, "buy", "3", "90")
    (shown,) = await desk.broker.list_open_orders()
    assert (shown.client_order_id, shown.quantity, shown.limit_price) == ("", D(3), D(90))
    await desk.venue.add_fill(SYMBOL, "buy", "4", "100")
    page = await desk.broker.list_fills("")
    assert [(fill.client_order_id, fill.quantity) for fill in page.fills] == [("", D(4))]
    (position,) = await desk.broker.get_positions()
    assert (position.quantity, position.average_price) == (D(4), D(100))


async def test_fills_come_page_by_page(desk: Desk) -> None:
    """More than a page holds: complete at the last one, and from its watermark on only what is new or just before."""
    for _ in range(103):
        await desk.venue.add_fill(SYMBOL, "buy", "1", "100")
    first = await desk.broker.list_fills("")
    assert (len(first.fills), first.complete) == (100, False)
    second = await desk.broker.list_fills(first.watermark)
    assert (len(second.fills), second.complete) == (3, True)
    ids = [fill.execution_id for fill in (*first.fills, *second.fills)]
    assert len(set(ids)) == 103
    await desk.venue.add_fill(SYMBOL, "buy", "2", "100")
    later: Sequence[FillReport] = (await desk.broker.list_fills(second.watermark)).fills
    while later and later[-1].quantity != 2:
        later = (await desk.broker.list_fills("=" + second.watermark)).fills
    assert [fill.quantity for fill in later if fill.execution_id not in ids] == [2]


async def test_a_watermark_of_another_kind_is_an_error(desk: Desk) -> None:
    """And no empty answer."""
    with pytest.raises(BrokerError, match="watermark"):
        await desk.broker.list_fills("yesterday|1")


async def test_a_query_that_fails_is_no_empty_answer(desk: Desk) -> None:
    """Law 4, for each of them."""
    questions: list[tuple[str, Callable[[], Any]]] = [
        ("open_orders", desk.broker.list_open_orders),
        ("fills", lambda: desk.broker.list_fills("")),
        ("positions", desk.broker.get_positions),
        ("account", desk.broker.get_account_info),
        ("account", desk.broker.get_balances),
    ]
    for fault in ("status", "html", "partial_json"):
        for kind, ask in questions:
            more = {"code": 500} if fault == "status" else {}
            await desk.venue.fault(fault, on=kind, **more)
            with pytest.raises(RecoverableError):
                await ask()
            await desk.venue.clear_faults()
