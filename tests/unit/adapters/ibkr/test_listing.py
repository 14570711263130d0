"""The account's symbols, resolved: once, all that can be, and with a word for each that cannot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from brokergate.adapters.ibkr.contracts import IbContract, IbDetails, Steps, wanted
from brokergate.adapters.ibkr.listing import KEPT_NS, Listing
from brokergate.domain.errors import BrokerError, FinalError, TemporaryConnectionError
from tests.unit.adapters.ibkr.shapes import AAPL, details
from tests.unit.adapters.paper.hand_clock import HandClock

D = Decimal
MSFT = replace(AAPL, con_id=272093, symbol="MSFT", local_symbol="MSFT")
UNKNOWN = FinalError("No security definition has been found for the request", code="200")


class Book:
    """A venue's reference, in memory."""

    def __init__(self, answers: Mapping[str, Sequence[IbDetails] | BrokerError]) -> None:
        self.answers = dict(answers)
        self.asked: list[str] = []
        self.rules: list[int] = []

    async def contract_details(self, contract: IbContract) -> Sequence[IbDetails]:
        name = contract.symbol or contract.local_symbol
        self.asked.append(name)
        answer = self.answers[name]
        if isinstance(answer, BrokerError):
            raise answer
        return answer

    async def market_rule(self, rule_id: int) -> Steps:
        self.rules.append(rule_id)
        return ((D(0), D("0.005")),)


def listing(
    book: Book, clock: HandClock, *symbols: str, **described: IbContract
) -> tuple[Listing, list[Any]]:
    """A listing, and its log."""
    log: list[Any] = []
    made = Listing(book, clock, symbols, described, lambda event, **more: log.append((event, more)))
    return made, log


async def test_symbols_become_instruments_with_the_ticks_of_their_rule() -> None:
    shares = {
        name: [details(contract, valid_exchanges=("SMART",), market_rule_ids=(26,))]
        for name, contract in (("AAPL", AAPL), ("MSFT", MSFT))
    }
    book = Book(shares)
    found, log = listing(book, HandClock(), "AAPL", "MSFT")
    await found.load()
    assert [each.symbol for each in found.contracts.instruments()] == ["AAPL", "MSFT"]
    assert {each.price_increment for each in found.contracts.instruments()} == {D("0.005")}
    assert found.unresolved == {}
    assert log == []
    assert set(book.rules) == {26}


async def test_what_is_described_is_listed_without_being_named_again() -> None:
    london = replace(wanted("VOD"), currency="GBP", primary_exchange="LSE")
    contract = replace(london, con_id=5, symbol="VOD")
    book = Book({"VOD": [details(contract)]})
    found, _ = listing(book, HandClock(), **{"VOD.L": london})
    await found.load()
    listed = found.contracts.get("VOD.L")
    assert listed is not None
    assert listed.instrument.quote_currency == "GBP"


async def test_one_that_is_unknown_keeps_nobody_from_the_others() -> None:
    twice = [details(AAPL), details(replace(AAPL, con_id=1, primary_exchange="ARCA"))]
    book = Book({"AAPL": twice, "MSFT": [details(MSFT)], "ESZ5": UNKNOWN})
    found, log = listing(book, HandClock(), "AAPL", "MSFT", "ESZ5")
    await found.load()
    assert [each.symbol for each in found.contracts.instruments()] == ["MSFT"]
    assert "stands for 2 contracts" in found.unresolved["AAPL"]
    assert "knows no contract for 'ESZ5'" in found.unresolved["ESZ5"]
    assert [more["symbol"] for _, more in log] == ["AAPL", "ESZ5"]


async def test_two_names_of_one_contract_are_one_too_many() -> None:
    book = Book({"AAPL": [details(AAPL)]})
    found, _ = listing(book, HandClock(), "AAPL", APPLE=wanted("AAPL"))
    await found.load()
    assert [each.symbol for each in found.contracts.instruments()] == ["AAPL"]
    assert "'APPLE' is the same contract as 'AAPL' (STK AAPL NASDAQ USD conId" in found.unresolved["APPLE"]


async def test_one_that_has_expired_is_no_longer_listed_and_still_known() -> None:
    book, clock = Book({"AAPL": [details(AAPL)], "MSFT": [details(MSFT)]}), HandClock()
    found, _ = listing(book, clock, "AAPL", "MSFT")
    await found.load()
    book.answers["MSFT"] = UNKNOWN
    await clock.advance(KEPT_NS / 1e9)
    await found.load()
    assert [each.symbol for each in found.contracts.instruments()] == ["AAPL"]
    assert list(found.unresolved) == ["MSFT"]
    assert found.contracts.symbol(MSFT) == "MSFT"


async def test_an_account_with_nothing_to_trade_says_so() -> None:
    found, _ = listing(Book({"ESZ5": UNKNOWN}), HandClock(), "ESZ5")
    with pytest.raises(FinalError, match=r"none of the account's instruments can be traded: .*ESZ5"):
        await found.load()


async def test_a_question_that_fails_is_no_unknown_contract() -> None:
    book = Book({"AAPL": [details(AAPL)], "MSFT": TemporaryConnectionError("gone")})
    found, _ = listing(book, HandClock(), "AAPL", "MSFT")
    with pytest.raises(TemporaryConnectionError):
        await found.load()
    assert found.unresolved == {}
    book.answers["MSFT"] = [details(MSFT)]
    await found.load()
    assert len(found.contracts.instruments()) == 2


async def test_what_was_resolved_is_kept_over_reconnects_for_half_a_day() -> None:
    book, clock = Book({"AAPL": [details(AAPL)]}), HandClock()
    found, _ = listing(book, clock, "AAPL")
    await found.load()
    await found.load()
    assert book.asked == ["AAPL"]
    await clock.advance(KEPT_NS / 1e9)
    await found.load()
    assert book.asked == ["AAPL", "AAPL"]
