"""Routes: which account a new order goes to, and that it never goes to a second one (law 2)."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from brokergate.domain.accounts import Environment
from brokergate.domain.capabilities import Capabilities
from brokergate.domain.commands import (
    CancelOrder,
    CreatePaperAccount,
    IfUnknown,
    OrderFailure,
    OrderRef,
    Placed,
    PlaceOrder,
    PlaceResult,
)
from brokergate.domain.errors import ErrorReason, GatewayError
from brokergate.domain.orders import Order, OrderSpec, OrderState, OrderType, PendingActionKind, Side
from brokergate.domain.policy import AccountPolicy, RiskLimits
from brokergate.domain.values import changed
from brokergate.engine.gateway import Gateway
from brokergate.journal.memory import MemoryJournal
from brokergate.ports.broker import AbstractBroker, Unknown
from brokergate.ports.journal import Journal
from tests.unit.adapters.paper.hand_clock import HandClock
from tests.unit.engine.scripted import BTC
from tests.unit.engine.street import Street, request

ROUTE = "us"
FIRST, SECOND = "alpha", "beta"


def no_paper(command: CreatePaperAccount) -> AbstractBroker:
    raise AssertionError("no paper account is made here")


def anybody(account_id: str) -> None:
    """Every caller may use every account."""


@dataclass
class Exchange:
    """A gateway with two accounts, each on a street of its own, and a route over both."""

    streets: dict[str, Street] = field(default_factory=lambda: {FIRST: Street(), SECOND: Street()})
    policies: dict[str, AccountPolicy] = field(default_factory=dict)
    members: tuple[str, ...] = (FIRST, SECOND)
    clock: HandClock = field(default_factory=HandClock)
    journal: Journal = field(default_factory=lambda: MemoryJournal(random.Random(1).getrandbits))
    gateway: Gateway = field(init=False)

    async def open(self) -> None:
        self.gateway = Gateway(
            self.journal, self.clock, lambda *_, **__: None, no_paper, routes={ROUTE: self.members}
        )
        for name, street in self.streets.items():
            self.gateway.open_account(name, street, self.policies.get(name, AccountPolicy()))
        await self.clock.advance(0)

    async def again(self) -> None:
        """The gateway dies, and another one starts on the same journal."""
        await self.gateway.close()
        await self.open()

    async def lose(self, name: str) -> None:
        """The connection of an account is lost, and does not come back."""
        self.streets[name].reachable = False
        self.streets[name].lose()
        await self.clock.advance(0)

    async def find(self, name: str) -> None:
        """It comes back."""
        self.streets[name].reachable = True
        await self.clock.advance(61)

    async def place(self, *commands: PlaceOrder) -> Sequence[PlaceResult]:
        return await self.gateway.place_routed(commands, anybody)

    def sent(self) -> dict[str, list[str]]:
        """The client order ids that each street was asked to place."""
        return {
            name: [order.client_order_id for order in street.placed] for name, street in self.streets.items()
        }


@pytest.fixture
async def exchange() -> AsyncIterator[Exchange]:
    found = Exchange()
    await found.open()
    yield found
    await found.gateway.close()
    found.journal.close()


def order(name: str, symbol: str = "BTC/USDT", price: str = "100.00", body: bytes = b"body") -> PlaceOrder:
    spec = OrderSpec(symbol, Side.BUY, OrderType.LIMIT, Decimal(1), limit_price=Decimal(price))
    return PlaceOrder("", name, spec, body, route_id=ROUTE)


def placed(result: PlaceResult) -> Order:
    assert isinstance(result, Placed), result
    return result.order


def refused(result: PlaceResult) -> GatewayError:
    assert isinstance(result, OrderFailure)
    assert isinstance(result.error, GatewayError)
    return result.error


def by(name: str) -> OrderRef:
    return OrderRef(client_order_id=name)


async def test_an_order_goes_to_the_first_account_and_says_so(exchange: Exchange) -> None:
    """A new order goes to the first account of its route; the answer names the account and the route."""
    (result,) = await exchange.place(order("a"))
    assert (placed(result).account_id, placed(result).route_id) == (FIRST, ROUTE)
    assert exchange.sent() == {FIRST: ["a"], SECOND: []}


async def test_where_the_first_is_away_the_second_gets_it(exchange: Exchange) -> None:
    """An account whose broker is away is passed over; when it is back it gets new orders, and the old ones stay."""
    await exchange.lose(FIRST)
    (result,) = await exchange.place(order("a"))
    assert placed(result).account_id == SECOND
    await exchange.find(FIRST)
    (repeat,) = await exchange.place(order("a"))
    assert isinstance(repeat, Placed)
    assert (repeat.already_existed, repeat.order.account_id) == (True, SECOND)
    (new,) = await exchange.place(order("b"))
    assert placed(new).account_id == FIRST
    assert exchange.sent() == {FIRST: ["b"], SECOND: ["a"]}


async def test_an_order_stays_where_it_is_when_its_account_goes_away(exchange: Exchange) -> None:
    """A repeat is answered by the account that has the order, also while that is away, and nothing moves."""
    await exchange.place(order("a"))
    await exchange.lose(FIRST)
    (repeat,) = await exchange.place(order("a"))
    assert isinstance(repeat, Placed)
    assert (repeat.already_existed, repeat.order.account_id) == (True, FIRST)
    assert exchange.sent() == {FIRST: ["a"], SECOND: []}


async def test_an_order_in_doubt_stays_in_doubt_on_its_account(exchange: Exchange) -> None:
    """An order whose answer did not come is uncertain on its account; a repeat sends it to nobody else."""
    street = exchange.streets[FIRST]
    street.place = lambda _: Unknown("no answer")
    street.queries_fail = True
    (first,) = await exchange.place(order("a"))
    await exchange.lose(FIRST)
    (repeat,) = await exchange.place(order("a"))
    for result in (first, repeat):
        action = placed(result).action(PendingActionKind.NEW)
        assert action is not None
        assert action.uncertain
    assert exchange.sent() == {FIRST: ["a"], SECOND: []}


async def test_two_at_once_make_one_order(exchange: Exchange) -> None:
    """Two places of one id that come at once, while the first account goes away, land on one account."""
    calls = [asyncio.create_task(exchange.place(order("a"))) for _ in range(5)]
    exchange.streets[FIRST].lose()
    results = [(await call)[0] for call in calls]
    accounts = {placed(result).account_id for result in results}
    assert len(accounts) == 1
    assert sum(map(len, exchange.sent().values())) == 1
    assert [result.already_existed for result in results if isinstance(result, Placed)].count(False) == 1


async def test_the_choice_outlives_a_crash_and_the_configuration(exchange: Exchange) -> None:
    """After a crash the journal knows which account was chosen, whatever the route has become since."""
    await exchange.lose(FIRST)
    await exchange.place(order("a"))
    exchange.streets[FIRST].reachable = True
    exchange.members = (FIRST,)
    await exchange.again()
    (repeat,) = await exchange.place(order("a"))
    assert isinstance(repeat, Placed)
    assert (repeat.already_existed, repeat.order.account_id) == (True, SECOND)
    del exchange.streets[SECOND]
    await exchange.again()
    (gone,) = await exchange.place(order("a"))
    assert refused(gone).reason is ErrorReason.ACCOUNT_NOT_FOUND
    assert "never placed on another one" in refused(gone).message
    assert exchange.sent() == {FIRST: []}


async def test_another_body_under_the_same_id_is_refused(exchange: Exchange) -> None:
    """The same id with another body is refused with the first order's id, whatever account would take it now."""
    (first,) = await exchange.place(order("a"))
    await exchange.lose(FIRST)
    (other,) = await exchange.place(order("a", price="99.00", body=b"other"))
    assert refused(other).reason is ErrorReason.CLIENT_ORDER_ID_REUSED
    assert refused(other).metadata == {"order_id": placed(first).order_id}
    assert exchange.sent() == {FIRST: ["a"], SECOND: []}


async def test_an_id_that_an_account_of_the_route_has_used_is_taken(exchange: Exchange) -> None:
    """An id that was used directly on any account of the route is not used by the route, and one that the route used
    is taken on the account that has it."""
    await exchange.gateway.place_order(changed(order("a"), account_id=SECOND, route_id=""))
    (result,) = await exchange.place(order("a"))
    assert refused(result).reason is ErrorReason.CLIENT_ORDER_ID_REUSED
    await exchange.place(order("b"))
    with pytest.raises(GatewayError) as error:
        await exchange.gateway.place_order(
            changed(order("b"), account_id=FIRST, route_id="", fingerprint=b"direct")
        )
    assert error.value.reason is ErrorReason.CLIENT_ORDER_ID_REUSED
    assert exchange.sent() == {FIRST: ["b"], SECOND: ["a"]}


async def test_a_batch_goes_where_each_order_can_be_traded(exchange: Exchange) -> None:
    """Orders of a batch are placed in turn, each on the account that trades it; a twin finds the first one."""
    exchange.streets[FIRST].capabilities = changed_types(exchange.streets[FIRST], OrderType.LIMIT)
    stop = OrderSpec("BTC/USDT", Side.BUY, OrderType.STOP, Decimal(1), stop_price=Decimal(120))
    commands = [
        order("a"),
        order("b"),
        changed(order("c"), spec=stop),
        order("d", symbol="NO/SUCH"),
        order("a"),
        order("e"),
    ]
    results = await exchange.place(*commands)
    assert [placed(results[index]).account_id for index in (0, 1, 2, 4, 5)] == [
        FIRST,
        FIRST,
        SECOND,
        FIRST,
        FIRST,
    ]
    assert refused(results[3]).reason is ErrorReason.INSTRUMENT_NOT_FOUND
    twin = results[4]
    assert isinstance(twin, Placed)
    assert twin.already_existed
    assert exchange.sent() == {FIRST: ["a", "b", "e"], SECOND: ["c"]}


def changed_types(street: Street, *kinds: OrderType) -> Capabilities:
    types = {kind: street.capabilities.order_types[kind] for kind in kinds}
    return dataclasses.replace(street.capabilities, order_types=types)


async def test_what_is_wrong_with_the_order_itself_does_not_move_it(exchange: Exchange) -> None:
    """A price between two ticks is the order's fault: the first account refuses it, and no other one is asked."""
    (result,) = await exchange.place(order("a", price="100.005"))
    assert refused(result).reason is ErrorReason.PRICE_OFF_TICK
    assert exchange.journal.find_routed(ROUTE, "a") is None
    assert exchange.sent() == {FIRST: [], SECOND: []}


async def test_limits_are_the_accounts_own() -> None:
    """What an account's limits refuse is REJECTED there, and does not go to the next one."""
    limits = RiskLimits(max_order_quantity={"BTC/USDT": Decimal("0.5")})
    exchange = Exchange(policies={FIRST: AccountPolicy(risk=limits)})
    await exchange.open()
    for _ in range(2):
        (result,) = await exchange.place(order("a"))
        assert (placed(result).state, placed(result).account_id) == (OrderState.REJECTED, FIRST)
        assert placed(result).reject_reason is ErrorReason.RISK_LIMIT
    assert exchange.sent() == {FIRST: [], SECOND: []}
    await exchange.gateway.close()


async def test_a_read_only_account_is_passed_over() -> None:
    """An account that takes no orders is passed over; where none takes any the caller is told that."""
    exchange = Exchange(policies={FIRST: AccountPolicy(trading_enabled=False)})
    await exchange.open()
    (result,) = await exchange.place(order("a"))
    assert placed(result).account_id == SECOND
    exchange.policies[SECOND] = AccountPolicy(trading_enabled=False)
    await exchange.again()
    (result,) = await exchange.place(order("b"))
    assert refused(result).reason is ErrorReason.TRADING_DISABLED
    await exchange.gateway.close()


async def test_nobody_is_healthy(exchange: Exchange) -> None:
    """Where no account can take it the call is UNAVAILABLE with the reason of each, journals nothing, and the id is
    free."""
    await exchange.lose(FIRST)
    await exchange.lose(SECOND)
    (result,) = await exchange.place(order("a"))
    error = refused(result)
    assert error.reason is ErrorReason.BROKER_UNAVAILABLE
    assert error.metadata == {
        "route_id": ROUTE,
        FIRST: "BROKER_UNAVAILABLE",
        SECOND: "BROKER_UNAVAILABLE",
    }
    assert error.retry_after_ms is not None
    assert f"{FIRST}: account '{FIRST}': the broker is" in error.message
    await exchange.find(SECOND)
    (result,) = await exchange.place(order("a"))
    assert placed(result).account_id == SECOND


async def test_a_route_goes_on_without_an_account_that_is_not_there() -> None:
    """Accounts that are missing, or could not start, are passed over and named where nobody else is left."""
    exchange = Exchange(members=("ghost", "broken", SECOND))
    await exchange.open()
    exchange.gateway.absent["broken"] = "cannot start: no key"
    (result,) = await exchange.place(order("a"))
    assert placed(result).account_id == SECOND
    await exchange.lose(SECOND)
    (result,) = await exchange.place(order("b"))
    assert "ghost: is not an account of this gateway; broken: cannot start: no key" in refused(result).message
    await exchange.gateway.close()


async def test_a_live_route_never_falls_back_to_paper() -> None:
    """An account that is not live is no member of a route whose first account is, however it came to be there."""
    exchange = Exchange()
    exchange.streets[FIRST].environment = Environment.LIVE
    await exchange.open()
    await exchange.lose(FIRST)
    (result,) = await exchange.place(order("a"))
    assert refused(result).reason is ErrorReason.BROKER_UNAVAILABLE
    assert f"{SECOND}: is testnet, unlike" in refused(result).message
    assert exchange.sent() == {FIRST: [], SECOND: []}
    await exchange.gateway.close()


async def test_the_caller_must_be_allowed_on_the_account_that_is_chosen(exchange: Exchange) -> None:
    """The choice is the same for everybody; a caller who may not use the chosen account is refused, and nothing is
    bound."""

    def only_the_second(account_id: str) -> None:
        if account_id != SECOND:
            raise GatewayError(ErrorReason.ACCOUNT_NOT_ALLOWED, "no")

    (result,) = await exchange.gateway.place_routed([order("a")], only_the_second)
    assert refused(result).reason is ErrorReason.ACCOUNT_NOT_ALLOWED
    assert exchange.journal.find_routed(ROUTE, "a") is None
    await exchange.lose(FIRST)
    (result,) = await exchange.gateway.place_routed([order("a")], only_the_second)
    assert placed(result).account_id == SECOND


async def test_an_order_is_changed_and_found_by_its_route(exchange: Exchange) -> None:
    """Cancels, replaces and look-ups by the route find the order wherever it is, by either of its ids."""
    await exchange.lose(FIRST)
    (result,) = await exchange.place(order("a"))
    routes = exchange.gateway.routes
    for ref in (by("a"), OrderRef(order_id=placed(result).order_id)):
        assert routes.order_account(ROUTE, ref) == SECOND
    with pytest.raises(GatewayError) as error:
        routes.order_account(ROUTE, by("b"))
    assert error.value.reason is ErrorReason.ORDER_NOT_FOUND
    with pytest.raises(GatewayError) as error:
        routes.order_account("nowhere", by("b"))
    assert error.value.reason is ErrorReason.ROUTE_NOT_FOUND
    await exchange.find(FIRST)
    await exchange.gateway.cancel_routed(CancelOrder("", by("a")), request("r"), ROUTE, anybody)
    assert [each.client_order_id for each in exchange.streets[SECOND].cancelled] == ["a"]


async def test_a_cancel_that_comes_first_binds_the_id(exchange: Exchange) -> None:
    """An id that was set aside on a route is placed nowhere, also when the account that keeps it is away, and the
    cancel may be repeated."""
    aside = CancelOrder("", by("a"), IfUnknown.TOMBSTONE)
    answers = [
        await exchange.gateway.cancel_routed(aside, request("r"), ROUTE, anybody),
        await exchange.gateway.cancel_routed(aside, request("r"), ROUTE, anybody),
    ]
    assert answers[0] == answers[1]
    await exchange.lose(FIRST)
    (result,) = await exchange.place(order("a"))
    assert refused(result).reason is ErrorReason.BROKER_UNAVAILABLE
    await exchange.find(FIRST)
    (result,) = await exchange.place(order("a"))
    assert placed(result).reject_reason is ErrorReason.TOMBSTONED
    assert exchange.sent() == {FIRST: [], SECOND: []}


async def test_a_tombstone_of_an_account_holds_for_its_route(exchange: Exchange) -> None:
    """An id that was set aside on one account of the route is placed on no other one."""
    aside = CancelOrder(SECOND, by("a"), IfUnknown.TOMBSTONE)
    await exchange.gateway.cancel_order(aside, request("r"))
    (result,) = await exchange.place(order("a"))
    assert (placed(result).account_id, placed(result).reject_reason) == (SECOND, ErrorReason.TOMBSTONED)
    assert exchange.sent() == {FIRST: [], SECOND: []}


async def test_a_frozen_instrument_and_a_stop_pass_it_on(exchange: Exchange) -> None:
    """An account that is stopped, or frozen in the instrument, is passed over; its other instruments are not."""
    street = exchange.streets[FIRST]
    street.capabilities = Street(absence_after_ms=None).capabilities
    street.place = lambda _: Unknown("no answer")
    street.queries_fail = True
    await exchange.place(order("doubt"))
    street.place = street.works
    (result,) = await exchange.place(order("a"))
    assert placed(result).account_id == SECOND
    (other,) = await exchange.place(order("b", symbol="ETH/USDT"))
    assert placed(other).account_id == FIRST


async def test_the_market_of_a_route_is_that_of_the_first_that_is_there(exchange: Exchange) -> None:
    """Reads go to the first connected account that has the instrument, and to the next when it is lost."""
    assert exchange.gateway.reader(ROUTE, [BTC.symbol]) == FIRST
    await exchange.lose(FIRST)
    assert exchange.gateway.reader(ROUTE, [BTC.symbol]) == SECOND
    with pytest.raises(GatewayError) as error:
        exchange.gateway.reader(ROUTE, ["NO/SUCH"])
    assert error.value.reason is ErrorReason.BROKER_UNAVAILABLE
