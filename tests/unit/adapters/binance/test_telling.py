"""What frames and answers tell, in the gateway's words: each thing once, whichever comes first."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from brokergate.adapters.binance import parse
from brokergate.adapters.binance.listing import listing
from brokergate.adapters.binance.telling import REMEMBERED, Telling, how_it_stands, keep, replace_id
from brokergate.adapters.connection.ids import VenueIds
from brokergate.domain.errors import ErrorReason
from brokergate.domain.orders import OrderState
from brokergate.ports.broker import FillReport, OrderReport, Report, VenueOrder
from tests.unit.adapters.binance.fixtures import fixture

D = Decimal
IDS = VenueIds("telling", 36)
OWN, SECOND = IDS.venue_id("mine", 1), IDS.venue_id("mine", 2)
LISTING = listing(fixture("exchange_info"))


def telling() -> Telling:
    return Telling(IDS, lambda: LISTING)


def frame(**changes: Any) -> parse.OrderEvent:
    event: dict[str, Any] = {**fixture("execution_report_new")["event"], "c": OWN, "i": 7, **changes}
    return parse.order_event(event)


NEW = frame()
TRADE = frame(x="TRADE", X="PARTIALLY_FILLED", l="0.4", L="0.1", z="0.4", t=5, n="0")
CANCELED = frame(x="CANCELED", X="CANCELED", C=OWN, c="of-the-cancel", w=False)


def words(reports: list[Report]) -> list[str]:
    said = []
    for report in reports:
        if isinstance(report, OrderReport):
            said.append(report.event.name)
        else:
            said.append("fill" if isinstance(report, FillReport) else "order of others")
    return said


def test_an_order_from_its_beginning_to_its_end() -> None:
    told = telling()
    reports = [*told.event(NEW), *told.event(TRADE), *told.event(CANCELED)]
    assert words(reports) == ["ACKNOWLEDGED", "fill", "CANCELED"]
    assert {report.client_order_id for report in reports if isinstance(report, OrderReport | FillReport)} == {
        "mine"
    }
    assert told.filled("7") == D("0.4")
    assert told.open == {}


def test_an_end_is_told_once_by_the_stream_and_the_answer() -> None:
    told = telling()
    told.event(NEW)
    answer = parse.order({**fixture("cancel"), "orderId": 7, "origClientOrderId": OWN})
    assert words(told.ended(answer)) == ["CANCELED"]
    assert told.event(CANCELED) == []
    assert told.event(CANCELED) == []


def test_a_fill_that_is_told_twice_is_counted_once() -> None:
    told = telling()
    for _ in range(2):
        assert words(told.event(TRADE)) == ["fill"]
    assert told.filled("7") == D("0.4")


def test_the_cancel_of_a_replace_is_no_end_and_its_successor_is_the_replacement() -> None:
    told = telling()
    told.event(NEW)
    assert told.event(frame(x="CANCELED", X="CANCELED", C=OWN, c=replace_id("7"), w=False)) == []
    (report,) = told.event(frame(c=SECOND, i=8))
    assert isinstance(report, OrderReport)
    assert (report.event.name, report.client_order_id, report.broker_order_id) == ("REPLACED", "mine", "8")


def test_the_same_cancel_of_an_order_of_others_is_its_end() -> None:
    told = telling()
    told.event(frame(c="theirs"))
    ended = frame(x="CANCELED", X="CANCELED", C="theirs", c=replace_id("7"), w=False)
    assert words(told.event(ended)) == ["CANCELED"]


def test_an_amendment_is_a_replacement_under_the_same_number() -> None:
    told = telling()
    told.event(NEW)
    (report,) = told.event(frame(x="REPLACED", X="NEW", C=OWN, c=SECOND, q="0.5"))
    assert isinstance(report, OrderReport)
    assert (report.event.name, report.client_order_id, report.broker_order_id) == ("REPLACED", "mine", "")
    assert told.name("7") == SECOND


def test_a_stop_is_triggered_once_when_it_works_or_trades() -> None:
    told = telling()
    stop = {"o": "STOP_LOSS_LIMIT", "P": "0.09"}
    assert words(told.event(frame(**stop, w=False))) == ["ACKNOWLEDGED"]
    assert words(told.event(frame(**stop, w=True))) == ["TRIGGERED"]
    assert told.event(frame(**stop, w=True)) == []
    other = {**stop, "i": 9}
    told.event(frame(**other, w=False))
    trade = frame(**other, x="TRADE", X="FILLED", l="1", L="0.1", z="1", t=6, n="0")
    assert words(told.event(trade)) == ["TRIGGERED", "fill"]


def test_orders_of_others_are_told_once() -> None:
    told = telling()
    (shown,) = told.event(frame(c="theirs"))
    assert isinstance(shown, VenueOrder)
    assert (shown.client_order_id, shown.symbol) == ("", "ETH/BTC")
    assert told.event(frame(c="theirs")) == []


def test_an_order_by_amount_that_is_filled_has_that_as_its_total() -> None:
    told = telling()
    shown = {**fixture("order_full"), "clientOrderId": OWN, "origQuoteOrderQty": "40000.0", "origQty": "9"}
    reports = told.placed(parse.order(shown))
    assert words(reports) == ["ACKNOWLEDGED", "REPLACED", "fill", "fill", "fill"]
    changed = reports[1]
    assert isinstance(changed, OrderReport)
    assert changed.quantity == D(10)


@pytest.mark.parametrize(
    ("status", "changes", "state", "reason"),
    [
        ("CANCELED", {}, "CANCELED", "UNSPECIFIED"),
        ("REJECTED", {}, "REJECTED", "BROKER_REJECTED"),
        ("EXPIRED_IN_MATCH", {}, "CANCELED", "SELF_TRADE"),
        ("EXPIRED", {}, "EXPIRED", "UNSPECIFIED"),
        ("EXPIRED", {"timeInForce": "FOK"}, "CANCELED", "NOT_FILLABLE"),
        ("EXPIRED", {"timeInForce": "IOC"}, "CANCELED", "NOT_FILLABLE"),
        ("EXPIRED", {"type": "MARKET"}, "CANCELED", "NOT_FILLABLE"),
        ("EXPIRED", {"orderListId": 3}, "CANCELED", "LINKED_ORDER"),
        ("PENDING_NEW", {}, "NEW", "UNSPECIFIED"),
    ],
)
def test_how_an_order_ended(status: str, changes: dict[str, Any], state: str, reason: str) -> None:
    shown = parse.order({**fixture("order"), "status": status, **changes})
    assert how_it_stands(shown)[:2] == (OrderState[state], ErrorReason[reason])


def test_what_is_remembered_is_bounded() -> None:
    memory: dict[int, int] = {}
    for number in range(REMEMBERED + 10):
        keep(memory, number, number)
    assert len(memory) == REMEMBERED
    assert 9 not in memory
    assert 10 in memory
