"""What Interactive Brokers takes, by kind of instrument: refused here, before it is sent."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from brokergate.adapters.ibkr.abilities import CAPABILITIES, refusal
from brokergate.adapters.ibkr.contracts import IbContract, Listed, listed
from brokergate.domain.errors import ErrorReason
from brokergate.domain.orders import OrderType, TimeInForce
from tests.unit.adapters.ibkr.shapes import details, share, spec

D = Decimal
T, F, R = OrderType, TimeInForce, ErrorReason


def other(sec_type: str) -> Listed:
    """An instrument of another kind."""
    contract = IbContract(con_id=2, symbol="X", sec_type=sec_type, currency="USD")
    return listed("X", details(contract, min_tick=D("0.05"), size_increment=D("0.001")))


@pytest.mark.parametrize("kind", list(CAPABILITIES.order_types))
def test_a_share_takes_what_is_declared(kind: OrderType) -> None:
    for force in CAPABILITIES.order_types[kind]:
        assert refusal(spec(kind, time_in_force=force, limit_price=D(1), stop_price=D(1)), share()) is None


@pytest.mark.parametrize(
    ("sec_type", "kind", "terms"),
    [
        ("CASH", T.LIMIT, {"time_in_force": F.AT_OPEN}),
        ("FUT", T.MARKET, {"time_in_force": F.AT_CLOSE}),
        ("OPT", T.LIMIT, {"time_in_force": F.AT_CLOSE}),
        ("CRYPTO", T.STOP, {"stop_price": D(1)}),
        ("CRYPTO", T.TRAILING_STOP, {"trail_amount": D(1)}),
        ("STK", T.MARKET, {"extended_hours": True}),
        ("STK", T.LIMIT, {"extended_hours": True, "time_in_force": F.AT_OPEN, "limit_price": D(1)}),
    ],
)
def test_what_a_kind_does_not_have_is_refused(sec_type: str, kind: OrderType, terms: dict[str, Any]) -> None:
    instrument = share() if sec_type == "STK" else other(sec_type)
    against = refusal(spec(kind, **terms), instrument)
    assert against is not None
    assert against[0] is R.UNSUPPORTED


def test_what_is_gone_at_once_is_not_linked() -> None:
    at_once = spec(T.LIMIT, limit_price=D(1), time_in_force=F.IOC)
    assert refusal(at_once, share()) is None
    against = refusal(at_once, share(), linked=True)
    assert against == (R.UNSUPPORTED, "Interactive Brokers links DAY, GTC and GTD orders alone")


def test_part_of_a_unit_is_not_shown() -> None:
    against = refusal(spec(limit_price=D(1), display_quantity=D("0.5")), other("CRYPTO"))
    assert against is not None
    assert against[0] is R.QUANTITY_OFF_LOT


def test_the_tick_is_the_one_at_the_price() -> None:
    contract = IbContract(con_id=9, symbol="SPX", sec_type="OPT", multiplier="100", currency="USD")
    option = listed("SPXW261218C05000000", details(contract), ((D(0), D("0.05")), (D(3), D("0.1"))))
    assert refusal(spec(limit_price=D("2.95")), option) is None
    assert refusal(spec(limit_price=D("3.1")), option) is None
    for off in ({"limit_price": D("3.15")}, {"stop_price": D("3.15"), "kind": T.STOP}):
        against = refusal(spec(**off), option)
        assert against is not None
        assert against[0] is R.PRICE_OFF_TICK
        assert "3.15 is not a multiple of 0.1, the tick of AAPL at that price" in against[1]
