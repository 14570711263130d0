"""Orders on an in-process broker that come together: one commit, and nothing else changes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from brokergate.domain.commands import CancelOrder, OrderRef, Placed, PlaceOrder, Request
from brokergate.domain.errors import ErrorReason, GatewayError
from brokergate.domain.orders import OrderSpec, OrderState, OrderType, Side
from brokergate.domain.policy import AccountPolicy
from brokergate.engine.gateway import Gateway
from brokergate.engine.gathering import LONE_ORDERS, MAX_TOGETHER, UNWAITED_ORDERS
from brokergate.journal.memory import MemoryJournal
from tests.unit.adapters.paper.hand_clock import HandClock, broker
from tests.unit.engine.conftest import no_paper

PUSHED: dict[str, object] = {
    "push": {"instruments": [{"symbol": "BTC/USDT", "price_increment": "0.5", "quantity_increment": "0.1"}]}
}


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    """A gateway with the accounts `paper` and `other`, whose markets nobody moves."""
    clock, journal = HandClock(), MemoryJournal(random.Random(1).getrandbits)
    gateway = Gateway(journal, clock, lambda *_, **__: None, no_paper)
    for account_id in ("paper", "other"):
        paper = broker(clock, PUSHED, initial_balance={"USDT": "1000"})
        await gateway.add_account(account_id, paper, AccountPolicy())
    journal.flush()
    yield gateway
    await gateway.close()
    journal.close()


def bid(name: str, body: bytes = b"body", account_id: str = "paper", price: str = "1") -> PlaceOrder:
    spec = OrderSpec("BTC/USDT", Side.BUY, OrderType.LIMIT, Decimal(1), limit_price=Decimal(price))
    return PlaceOrder(account_id, name, spec, body)


async def commits_of(gateway: Gateway, placing: list[PlaceOrder]) -> list[frozenset[str]]:
    """What `placing` all at once commits."""
    commits: list[frozenset[str]] = []
    stop = gateway.journal.on_commit(commits.append)
    await asyncio.gather(*[gateway.place_order(command) for command in placing])
    stop()
    return commits


async def test_orders_that_come_together_share_a_commit(gateway: Gateway) -> None:
    """Over all accounts; and they have their ids in the order in which they came."""
    commands = [bid(f"c{number}", account_id=("paper", "other")[number % 2]) for number in range(8)]
    assert await commits_of(gateway, commands) == [frozenset({"paper", "other"})]
    assert [gateway.get_order("paper", OrderRef("", f"c{n}")).order_id for n in (0, 2, 4, 6)] == [
        f"paper-1-o{number}" for number in (1, 2, 3, 4)
    ]


async def test_so_many_and_no_more_wait_for_each_other(gateway: Gateway) -> None:
    """However many keep coming, a commit holds a bounded number."""

    async def late(number: int) -> Placed:
        for _ in range(number):
            await asyncio.sleep(0)
        return await gateway.place_order(bid(f"c{number}"))

    placing = [asyncio.create_task(late(number)) for number in range(2 * MAX_TOGETHER)]
    await asyncio.wait(placing, return_when=asyncio.FIRST_COMPLETED)
    assert sum([task.done() for task in placing]) <= MAX_TOGETHER + 1
    await asyncio.gather(*placing)


async def test_company_is_found_again_after_lone_orders(gateway: Gateway) -> None:
    """Orders that come one by one stop waiting; when they come together again, so are their commits."""
    for number in range(LONE_ORDERS + 1):
        await gateway.place_order(bid(f"lone{number}"))
    unwaited = [bid(f"u{number}") for number in range(UNWAITED_ORDERS - 1)]
    assert len(await commits_of(gateway, unwaited)) == len(unwaited)
    assert len(await commits_of(gateway, [bid(f"c{number}") for number in range(8)])) == 1


async def test_what_comes_later_finds_the_orders_placed(gateway: Gateway) -> None:
    """A cancel that comes while its order waits for company cancels it."""
    placing = asyncio.create_task(gateway.place_order(bid("a")))
    await asyncio.sleep(0)
    cancel = Request("r1", "CancelOrder", b"", lambda _: b"answer")
    assert await gateway.cancel_order(CancelOrder("paper", OrderRef("", "a")), cancel) == b"answer"
    assert (await placing).order.state is OrderState.NEW
    assert gateway.get_order("paper", OrderRef("", "a")).state is OrderState.CANCELED


async def test_a_caller_that_goes_away_while_its_order_waits(gateway: Gateway) -> None:
    """The order is placed all the same, and so are those beside it."""
    gone = asyncio.create_task(gateway.place_order(bid("gone")))
    stays = asyncio.create_task(gateway.place_order(bid("stays")))
    await asyncio.sleep(0)
    gone.cancel()
    assert (await stays).order.state is OrderState.NEW
    assert (await gateway.place_order(bid("gone"))).already_existed


async def test_each_is_answered_for_itself(gateway: Gateway) -> None:
    """A repeat gets the first one's order, another body the first one's id, a wrong order its own error."""
    first, repeat, other, wrong = await asyncio.gather(
        gateway.place_order(bid("a")),
        gateway.place_order(bid("a")),
        gateway.place_order(bid("a", b"another")),
        gateway.place_order(bid("b", price="0.3")),
        return_exceptions=True,
    )
    assert isinstance(first, Placed)
    assert repeat == Placed(first.order, True)
    assert isinstance(other, GatewayError)
    assert (other.reason, other.metadata) == (
        ErrorReason.CLIENT_ORDER_ID_REUSED,
        {"order_id": first.order.order_id},
    )
    assert isinstance(wrong, GatewayError)
    assert wrong.reason is ErrorReason.PRICE_OFF_TICK
