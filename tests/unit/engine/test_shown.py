"""What is shown while a broker is away is what was known last, says so, and is traded by in no case."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal

import pytest

from brokergate.domain.accounts import BrokerAccountInfo, BrokerBalance, BrokerPosition
from brokergate.domain.commands import ClosePosition
from brokergate.domain.errors import BrokerError, ErrorReason, GatewayError, TemporaryConnectionError
from brokergate.domain.market import QuoteView
from brokergate.domain.money import ZERO
from brokergate.domain.policy import AccountPolicy, RiskLimits
from brokergate.engine.gateway import Gateway
from brokergate.engine.shown import Shown
from tests.unit.adapters.paper.hand_clock import settle
from tests.unit.engine.street import House, Street, living, place, position

S = 1_000_000_000


class Told(Street):
    """Tells figures and quotes too."""

    def __init__(self) -> None:
        super().__init__()
        self.info = BrokerAccountInfo("USDT", Decimal(5), 7, Decimal(9), ZERO, ZERO, ZERO, ZERO, ZERO)
        self.balances = [BrokerBalance("USDT", Decimal(100), ZERO, 7)]
        self.last: dict[str, QuoteView] = {}

    async def get_account_info(self) -> BrokerAccountInfo:
        self._query()
        return self.info

    async def get_balances(self) -> Sequence[BrokerBalance]:
        self._query()
        return self.balances

    async def get_positions(self) -> Sequence[BrokerPosition]:
        self._query()
        return [*(await super().get_positions())]

    def last_quote(self, symbol: str) -> QuoteView | None:
        return self.last.get(symbol)


def quote(bid: str) -> QuoteView:
    return QuoteView("BTC/USDT", Decimal(bid), Decimal(1), Decimal(101), Decimal(1), 1, 2)


async def house(policy: AccountPolicy | None = None) -> tuple[House, Told]:
    broker = Told()
    made = House(broker, policy or AccountPolicy())
    await made.open()
    return made, broker


async def end(made: House) -> None:
    await made.gateway.close()
    made.journal.close()


async def away(made: House, broker: Told) -> None:
    """The broker goes, and does not come back."""
    broker.reachable = False
    broker.lose()
    await settle()
    assert not made.connected()


READS: dict[str, Callable[[Gateway], Awaitable[object]]] = {
    "positions": lambda gateway: gateway.list_positions("main", True),
    "position": lambda gateway: gateway.get_position("main", "BTC/USDT"),
    "balances": lambda gateway: gateway.list_balances("main"),
}


async def test_while_the_broker_is_there_it_is_asked() -> None:
    made, broker = await house()
    broker.positions["BTC/USDT"] = position("BTC/USDT", "3")
    broker.quotes["BTC/USDT"] = quote("100")
    shown = await made.gateway.list_positions("main", False)
    assert shown == Shown(list(broker.positions.values()), made.clock.now_ns())
    assert (await made.gateway.get_position("main", "BTC/USDT")).stale is False
    assert (await made.gateway.list_balances("main")).stale is False
    assert (await made.gateway.get_account("main")).stale is False
    assert made.gateway.list_instruments("main").stale is False
    assert made.gateway.get_quote("main", "BTC/USDT").stale is False
    await end(made)


async def test_while_it_is_away_the_last_word_is_shown_as_stale() -> None:
    """With the time that it is of; with what was booked since, and with the marks of then."""
    made, broker = await house()
    await made.gateway.place_order(place("a", "2"))
    report = broker.fill("a", "1")
    await broker.tell((report,))
    shown = await made.gateway.list_positions("main", False)
    told_ns = shown.as_of_ns
    broker.quotes["BTC/USDT"] = quote("100")
    await made.clock.advance(1)
    await away(made, broker)
    await made.clock.advance(5)
    positions = await made.gateway.list_positions("main", False)
    assert (positions.value, positions.as_of_ns, positions.stale) == (shown.value, told_ns, True)
    one = await made.gateway.get_position("main", "BTC/USDT")
    assert one == Shown(shown.value[0], told_ns, stale=True)
    balances = await made.gateway.list_balances("main")
    assert balances.stale
    assert [balance.total for balance in balances.value] == [Decimal(100)]
    account = await made.gateway.get_account("main")
    assert (account.info, account.stale) == (broker.info, True)
    instruments = made.gateway.list_instruments("main")
    assert (len(instruments.value), instruments.stale) == (2, True)
    assert 0 < instruments.as_of_ns < made.clock.now_ns()
    quoted = made.gateway.get_quote("main", "BTC/USDT")
    assert quoted == Shown(quote("100"), 2, stale=True)
    await end(made)


async def test_the_polls_keep_the_last_word_young() -> None:
    """Nobody need have asked before the broker went."""
    made, broker = await house()
    broker.info = BrokerAccountInfo("USDT", Decimal(6), 8, Decimal(10), ZERO, ZERO, ZERO, ZERO, ZERO)
    await made.clock.advance(31)
    polled_ns = made.clock.now_ns()
    await away(made, broker)
    await made.clock.advance(60)
    account = await made.gateway.get_account("main")
    assert (account.info, account.stale) == (broker.info, True)
    shown = await made.gateway.list_positions("main", True)
    assert polled_ns - 5 * S <= shown.as_of_ns <= polled_ns
    await end(made)


async def test_a_question_that_fails_on_a_connection_that_stands_is_answered_by_the_last_word() -> None:
    made, broker = await house()
    await made.gateway.place_order(place("a"))
    await broker.tell((broker.fill("a", "1", ends=True),))
    assert (await made.gateway.list_positions("main", False)).stale is False
    broker.queries_fail = True
    shown = await made.gateway.list_positions("main", False)
    assert shown.stale
    assert [held.quantity for held in shown.value] == [Decimal(1)]
    assert (await made.gateway.get_account("main")).stale is True
    await end(made)


async def test_what_was_booked_since_the_last_word_is_in_it() -> None:
    """The stream told a fill after the broker was asked last."""
    made, broker = await house()
    await made.gateway.place_order(place("a", "2"))
    await broker.tell((broker.fill("a", "1"),))
    await made.gateway.list_positions("main", False)
    await broker.tell((broker.fill("a", "0.5"),))
    await away(made, broker)
    shown = await made.gateway.list_positions("main", False)
    assert [held.quantity for held in shown.value] == [Decimal("1.5")]
    await end(made)


async def test_a_gateway_that_starts_while_the_broker_is_away_shows_what_the_journal_has() -> None:
    made, broker = await house()
    await made.gateway.place_order(place("a"))
    await broker.tell((broker.fill("a", "1", ends=True),))
    await made.clock.advance(31)
    broker.reachable = False
    await made.again()
    shown = await made.gateway.list_positions("main", False)
    assert (shown.stale, shown.as_of_ns) == (True, 0)
    assert [held.quantity for held in shown.value] == [Decimal(1)]
    assert (await made.gateway.get_position("main", "BTC/USDT")).stale is True
    assert (await made.gateway.list_balances("main")).value[0].total == 100
    account = await made.gateway.get_account("main")
    assert (account.info, account.stale) == (None, True)
    with pytest.raises(GatewayError) as caught:
        made.gateway.list_instruments("main")
    assert caught.value.reason is ErrorReason.BROKER_UNAVAILABLE
    await end(made)


@pytest.mark.parametrize("read", READS)
async def test_what_was_never_known_is_no_empty_answer(read: str) -> None:
    """Law 4: the account was never seen, and nobody knows what it holds."""
    made = House(broker := Told())
    broker.reachable = False
    await made.open()
    with pytest.raises((GatewayError, BrokerError)) as caught:
        await READS[read](made.gateway)
    assert "closed" in str(caught.value)
    assert (await made.gateway.get_account("main")).info is None
    await end(made)


async def test_law_4_nothing_is_traded_by_a_stale_word() -> None:
    """Closing a position asks the broker, and a limit has no reference, however well both are shown."""
    limits = RiskLimits(max_order_notional=None, price_collar_percent=Decimal(5))
    made, broker = await house(AccountPolicy(risk=limits))
    broker.quotes["BTC/USDT"] = QuoteView(
        "BTC/USDT", Decimal(100), Decimal(1), Decimal(101), Decimal(1), 1, made.clock.now_ns()
    )
    await made.gateway.place_order(place("a"))
    await broker.tell((broker.fill("a", "1", ends=True),))
    await made.gateway.list_positions("main", False)
    # The market goes: the quote is shown, and measures nothing.
    broker.last = {"BTC/USDT": broker.quotes.pop("BTC/USDT")}
    assert made.gateway.get_quote("main", "BTC/USDT").stale is True
    refused = (await made.gateway.place_order(place("b"))).order
    assert refused.reject_reason is ErrorReason.NO_REFERENCE_PRICE
    # The broker's answers go: the position is shown, and not closed.
    broker.queries_fail = True
    assert (await made.gateway.get_position("main", "BTC/USDT")).value.quantity == 1
    before = len(broker.placed)
    with pytest.raises((GatewayError, BrokerError)):
        await made.gateway.close_position(ClosePosition("main", "BTC/USDT", "r1", None, b"body"))
    assert len(broker.placed) == before
    await end(made)


async def test_a_quote_that_never_was_is_none() -> None:
    async with living() as home:
        with pytest.raises(GatewayError) as caught:
            home.gateway.get_quote("main", "BTC/USDT")
        assert caught.value.reason is ErrorReason.NO_REFERENCE_PRICE


async def test_what_the_venue_said_of_a_symbol_is_said_with_it() -> None:
    made, broker = await house()
    broker.quotes.clear()
    broker.problems = {"BTC/USDT": "not subscribed to; subscribe", "TWIN": "stands for 2 contracts"}
    with pytest.raises(GatewayError, match="has no quote of 'BTC/USDT': not subscribed to; subscribe"):
        made.gateway.get_quote("main", "BTC/USDT")
    with pytest.raises(GatewayError, match="has no instrument 'TWIN'; stands for 2 contracts"):
        made.gateway.get_instrument("main", "TWIN")
    await end(made)


async def test_a_symbol_that_is_not_there_is_told_even_while_the_broker_is_away() -> None:
    made, broker = await house()
    await away(made, broker)
    with pytest.raises(GatewayError) as caught:
        await made.gateway.get_position("main", "DOGE/USDT")
    assert caught.value.reason is ErrorReason.INSTRUMENT_NOT_FOUND
    with pytest.raises(GatewayError) as caught:
        await made.gateway.get_position("main", "ETH/USDT")
    assert caught.value.reason is ErrorReason.POSITION_NOT_FOUND
    await end(made)


async def test_figures_that_fail_do_not_end_a_connection() -> None:
    """They are for eyes alone: no poll fails for want of them."""
    made, broker = await house()

    async def none() -> BrokerAccountInfo:
        raise TemporaryConnectionError("no figures today")

    broker.get_account_info = none  # type: ignore[method-assign]
    await made.clock.advance(65)
    assert made.connected()
    assert (await made.gateway.get_account("main")).stale is True
    await end(made)
