"""Symbols and contracts: the notation, the one contract that a symbol stands for, and the instrument that it is."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from brokergate.adapters.ibkr.contracts import (
    Contracts,
    IbContract,
    UnresolvedContract,
    choose,
    listed,
    symbol_of,
    wanted,
)
from brokergate.domain.instruments import InstrumentKind
from tests.unit.adapters.ibkr.shapes import AAPL, CORN, corn, details, share

D = Decimal


@pytest.mark.parametrize(
    ("symbol", "contract"),
    [
        ("AAPL", IbContract(sec_type="STK", symbol="AAPL", exchange="SMART", currency="USD")),
        ("BRK.B", IbContract(sec_type="STK", symbol="BRK B", exchange="SMART", currency="USD")),
        ("EUR/USD", IbContract(sec_type="CASH", symbol="EUR", exchange="IDEALPRO", currency="USD")),
        ("USD/JPY", IbContract(sec_type="CASH", symbol="USD", exchange="IDEALPRO", currency="JPY")),
        ("BTC/USD", IbContract(sec_type="CRYPTO", symbol="BTC", exchange="PAXOS", currency="USD")),
        ("ESZ6", IbContract(sec_type="FUT", local_symbol="ESZ6")),
        ("6EH27", IbContract(sec_type="FUT", local_symbol="6EH27")),
        (
            "AAPL261218C00202500",
            IbContract(
                sec_type="OPT",
                exchange="SMART",
                currency="USD",
                expiry="20261218",
                strike=D("202.5"),
                right="C",
                local_symbol="AAPL  261218C00202500",
            ),
        ),
    ],
)
def test_the_notation(symbol: str, contract: IbContract) -> None:
    assert wanted(symbol) == contract


def test_the_configuration_has_the_first_word() -> None:
    london = IbContract(
        sec_type="STK", symbol="VOD", exchange="SMART", primary_exchange="LSE", currency="GBP"
    )
    assert wanted("VOD.L", {"VOD.L": london}) == london


def test_one_contract_at_several_exchanges_is_one() -> None:
    found = [
        details(replace(CORN, exchange="QBALGO")),
        details(CORN),
        details(replace(AAPL, con_id=7, sec_type="WAR")),
    ]
    assert choose("ZCZ6", wanted("ZCZ6"), found).contract == CORN, "orders do not go to an algorithm unasked"
    asked = replace(wanted("ZCZ6"), exchange="CBOT")
    assert choose("ZCZ6", asked, found).contract.exchange == "CBOT"


def test_an_unknown_contract_says_what_was_asked_for() -> None:
    with pytest.raises(UnresolvedContract, match=r"knows no contract for 'APPL' \(STK APPL SMART USD\)"):
        choose("APPL", wanted("APPL"), [])


def test_an_ambiguous_contract_names_its_candidates_and_the_way_out() -> None:
    found = [
        details(replace(AAPL, con_id=con_id, primary_exchange=home))
        for con_id, home in enumerate(["NASDAQ", "LSE", "IBIS", "EBS", "MEXI", "BVME", "AEB", "SBF"], 1)
    ]
    with pytest.raises(UnresolvedContract) as problem:
        choose("AAPL", wanted("AAPL"), found)
    text = str(problem.value)
    assert "stands for 8 contracts" in text
    assert "STK AAPL NASDAQ USD conId 1; STK AAPL LSE USD conId 2;" in text
    assert "and 2 more" in text
    assert "under `contracts`, such as AAPL: {con_id: 1}" in text


def test_a_share() -> None:
    found = share()
    instrument = found.instrument
    assert (instrument.kind, instrument.quote_currency) == (InstrumentKind.EQUITY, "USD")
    assert (instrument.price_increment, instrument.quantity_increment) == (D("0.01"), D(1))
    assert found.to_venue(D("100.01")) == found.from_venue(D("100.01")) == D("100.01")


def test_a_pair_has_its_own_lot() -> None:
    eur = IbContract(con_id=12087792, symbol="EUR", sec_type="CASH", currency="USD", local_symbol="EUR.USD")
    tick = D("0.00005")
    found = listed("EUR/USD", details(eur, min_tick=tick, min_size=D(1), size_increment=D("0.01")))
    assert found.instrument.base_currency == "EUR"
    assert found.instrument.quantity_increment == D("0.01")
    assert found.instrument.min_quantity == D(1)
    assert found.instrument.price_increment == tick


def test_the_magnifier_stands_between_our_prices_and_the_venues() -> None:
    """A bushel of corn at 4.4525 dollars is quoted, and ordered, as 445.25 cents; IB's tick is in dollars."""
    found = corn()
    assert found.instrument.price_increment == D("0.0025")
    assert found.instrument.multiplier == D(5000)
    assert found.to_venue(D("4.4525")) == D("445.25")
    assert found.from_venue(D("445.25")) == D("4.4525")


def test_a_market_rule_has_the_ticks_by_price() -> None:
    rule = ((D(0), D("0.05")), (D(3), D("0.1")))
    option = IbContract(con_id=9, symbol="SPX", sec_type="OPT", multiplier="100", currency="USD")
    found = listed("SPXW261218C05000000", details(option), rule)
    assert found.instrument.price_increment == D("0.05")
    assert [found.tick_at(D(price)) for price in ("0.05", "2.95", "3", "40")] == [
        D("0.05"),
        D("0.05"),
        D("0.1"),
        D("0.1"),
    ]


def test_the_rule_of_the_exchange_that_orders_go_to() -> None:
    several = details(AAPL, valid_exchanges=("NASDAQ", "SMART", "IEX"), market_rule_ids=(1, 26, 3))
    assert several.market_rule_id == 26
    assert details(AAPL, valid_exchanges=("NASDAQ",), market_rule_ids=(1, 26)).market_rule_id == 1
    assert details(AAPL).market_rule_id is None


@pytest.mark.parametrize("symbol", ["AAPL", "BRK.B", "EUR/USD", "BTC/USD", "ESZ6", "AAPL261218C00202500"])
def test_a_contract_reads_back_as_its_symbol(symbol: str) -> None:
    assert symbol_of(wanted(symbol)) == symbol


def test_a_share_elsewhere_is_not_taken_for_one_in_dollars() -> None:
    assert symbol_of(replace(AAPL, symbol="VOD", currency="GBP")) == "VOD:GBP"


def test_contracts_are_known_by_their_id() -> None:
    known = Contracts()
    known.put([share("APPLE")])
    assert known.symbol(replace(AAPL, exchange="NASDAQ")) == "APPLE"
    assert known.symbol(replace(AAPL, con_id=1)) == "AAPL"
    assert known.by_id(AAPL.con_id) is known.get("APPLE")
    assert [each.symbol for each in known.instruments()] == ["APPLE"]
