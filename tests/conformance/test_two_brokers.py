"""Two brokers at once: what goes wrong with one is nothing to the other."""

from __future__ import annotations

import asyncio

import pytest

from brokergate.domain.errors import ErrorReason
from brokergate.domain.orders import Side
from brokergate.ports.broker import Accepted, Rejected, Unknown
from tests.conformance.alpaca import AlpacaCrypto
from tests.conformance.bench import Bench
from tests.conformance.binance import Binance
from tests.conformance.cases_placing import SELL, book
from tests.conformance.subject import Mishap, Subject

PAIRS: list[tuple[type[Subject], type[Subject]]] = [(Binance, AlpacaCrypto), (AlpacaCrypto, Binance)]
pairs = pytest.mark.parametrize(("bad", "good"), PAIRS, ids=lambda kind: str(kind.name))


async def trade(bench: Bench) -> None:
    """An order rests, another one takes, the first one is cancelled."""
    await book(bench)
    rests, takes = await bench.buy(2, 95), await bench.buy(1, 101)
    assert (rests.state, takes.state) == ("NEW", "FILLED")
    assert isinstance(await bench.cancel(rests), Accepted)


async def test_both_trade_at_once() -> None:
    """Each tells of its own orders alone."""
    async with Bench(Binance()) as binance, Bench(AlpacaCrypto()) as alpaca:

        async def thrice(bench: Bench) -> None:
            for _ in range(3):
                await trade(bench)

        await asyncio.gather(thrice(binance), thrice(alpaca))
        for bench in (binance, alpaca):
            assert await bench.ask(bench.broker.list_open_orders()) == []
            assert sum(told.state == "FILLED" for told in bench.orders.values()) == 3


@pairs
async def test_lost_answers_of_one_leave_the_other_untouched(bad: type[Subject], good: type[Subject]) -> None:
    async with Bench(bad()) as one, Bench(good()) as other:
        await book(one)
        await one.subject.befall(Mishap.LOSE_PLACED)
        lost, _ = await asyncio.gather(one.buy(2, 95), trade(other))
        assert isinstance(lost.outcome, Unknown)
        await one.subject.mend()


@pairs
async def test_a_lost_connection_of_one_leaves_the_other_untouched(
    bad: type[Subject], good: type[Subject]
) -> None:
    async with Bench(bad()) as one, Bench(good()) as other:
        await book(one)
        await book(other)
        rests = await other.buy(2, 95)
        await one.disconnect()
        await other.trade(94, 9, SELL)
        assert rests.state == "FILLED"
        await one.connect()


async def test_a_ban_at_one_is_kept_by_its_accounts_alone() -> None:
    """Binance wants silence: nothing goes there any more, and Alpaca's limits are as they were."""
    async with Bench(Binance()) as binance, Bench(AlpacaCrypto()) as alpaca:
        subject = binance.subject
        assert isinstance(subject, Binance)
        await book(binance)
        await subject._venue.fault("status", on="place", code=418, retry_after=60)
        refused = [await binance.buy(1, 95), await binance.buy(1, 95)]
        assert [told.reason for told in refused] == [ErrorReason.RATE_LIMITED] * 2
        assert all(isinstance(told.outcome, Rejected) for told in refused)
        await trade(alpaca)
        assert (await alpaca.sell(1, 99)).order.spec.side is Side.SELL
