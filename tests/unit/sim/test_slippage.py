"""Slippage models: worked numbers from their sources, and how an order pays."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokergate.adapters.paper.config import PaperTradingConfig
from brokergate.ports.broker import Accepted, Rejected
from brokergate.sim.filling import FillTerms
from brokergate.sim.slippage import (
    FixedSlippage,
    MarketImpactSlippage,
    PercentageSlippage,
    SlippageModel,
    Taking,
    VolumeShareSlippage,
    slipped_ticks,
)
from brokergate.sim.terms import AccountTerms
from tests.unit.sim.matching.desk import BTC, FOK, IOC, RICH, Desk

D = Decimal
IBM = {"average_volume": D(6_561_000), "shares_outstanding": D(1_728_000_000), "volatility": 0.0157}
DRI = {"average_volume": D(1_929_000), "shares_outstanding": D(168_000_000), "volatility": 0.0226}
MODELS = [
    FixedSlippage(D("0.013")),
    PercentageSlippage(D("0.5")),
    VolumeShareSlippage(D(10), D("0.5")),
    MarketImpactSlippage(D(1), 0.02, 0.01),
]


def taking(price: str, quantity: str, volume: str | None = None, side: int = 1) -> Taking:
    return Taking(BTC, side, D(price), D(quantity), None if volume is None else D(volume))


def desk_of(model: SlippageModel, balances: dict[str, Decimal] | None = None) -> Desk:
    return Desk(terms=AccountTerms(balances or RICH, fills=FillTerms(slippage=model)))


@pytest.mark.parametrize(
    ("figures", "days", "permanent", "temporary", "cost"),
    [
        (IBM, 0.1, 20, 22, 32),
        (IBM, 0.2, 20, 15, 25),
        (IBM, 0.5, 20, 8, 18),
        (DRI, 0.1, 22, 32, 43),
        (DRI, 0.2, 22, 21, 32),
        (DRI, 0.5, 22, 12, 23),
    ],
)
def test_market_impact_is_the_papers_table(
    figures: dict[str, object], days: float, permanent: int, temporary: int, cost: int
) -> None:
    """Almgren et al. 2005, table 3: a tenth of a day's volume of IBM and of DRI, in basis points. The table rounds
    alpha to 1 and delta to 1/4."""
    model = MarketImpactSlippage(execution_days=days, alpha=1.0, delta=0.25, **figures)  # type: ignore[arg-type]
    tenth = model.average_volume / 10
    k, i = model.impact(tenth)
    assert (round(i * 1e4), round(k * 1e4)) == (permanent, temporary)
    assert round(model.slip(taking("100", str(tenth))) * 100) == cost


def test_market_impact_with_leans_own_exponents() -> None:
    """X 1000, V̄ 10^6, T 1/1000 of a day: ν is 1, so temporary 0.142·σ and permanent σ·0.001·0.314; σ 2 %, at 50."""
    model = MarketImpactSlippage(D(10**6), 0.02, 0.001)
    assert model.slip(taking("50", "1000")) == pytest.approx(50 * 0.02 * (0.142 + 0.001 * 0.314 / 2))


def test_market_impact_is_at_most_the_price() -> None:
    assert MarketImpactSlippage(D(1), 1.0, 0.0001).slip(taking("50", "1000000")) == 50


@pytest.mark.parametrize(
    ("quantity", "volume", "slip"),
    [
        ("1", "100", "0.001"),  # 100 × 0.1 × 0.01²
        ("2.5", "100", "0.00625"),  # 100 × 0.1 × 0.025²: zipline's example of 2.5 % of a bar
        ("60", "100", "0.00625"),  # no more than the limit
        ("1", None, "0.00625"),
        ("1", "0", "0.00625"),
    ],
)
def test_volume_share_is_ziplines_and_leans(quantity: str, volume: str | None, slip: str) -> None:
    """zipline/finance/slippage.py, LEAN VolumeShareSlippageModel: price × 0.1 × min(q/V, 0.025)²."""
    assert VolumeShareSlippage().slip(taking("100", quantity, volume)) == D(slip)


def test_a_percentage_is_ziplines_basis_points() -> None:
    """FixedBasisPointsSlippage of 5 basis points at 100 is 0.05."""
    assert PercentageSlippage(D("0.05")).slip(taking("100", "1")) == D("0.05")


@given(
    st.sampled_from(MODELS),
    st.integers(1, 10**6),
    st.integers(1, 10**6),
    st.integers(1, 10**5),
    st.integers(1, 10**6),
)
def test_every_model_is_adverse_symmetric_and_monotone(
    model: SlippageModel, first: int, second: int, ticks: int, lots: int
) -> None:
    """Buyer and seller slip alike, nobody to his gain, and more slips no less."""
    small, large = sorted((D(first) / 1000, D(second) / 1000))
    price, volume = D(ticks) / 100, D(lots) / 1000
    slips = [slipped_ticks(model, Taking(BTC, side, price, small, volume)) for side in (1, -1)]
    assert slips[0] == slips[1] >= 0
    assert slipped_ticks(model, Taking(BTC, 1, price, large, volume)) >= slips[0]


def test_it_is_rounded_up_to_the_tick() -> None:
    """0.013 are two ticks of 0.01, both ways."""
    desk = desk_of(FixedSlippage(D("0.013")))
    desk.snapshot([(99, 5)], [(101, 4), (102, 3)])
    assert desk.fills(desk.buy(6)) == [("c1", 103, 4), ("c1", 104, 2)]
    assert desk.fills(desk.sell(2)) == [("c2", 97, 2)]
    book = desk.venue.book("BTC/USDT", 9)
    assert book is not None
    assert book.asks == ((D("1.02"), D("0.001")),)


def test_what_it_puts_beyond_the_limit_is_not_taken() -> None:
    """The limit is never passed: an IOC leaves the rest, an FOK all of it, and what rests gives at its limit."""
    desk = desk_of(FixedSlippage(D("0.02")))
    desk.snapshot([(99, 5)], [(101, 4), (102, 3)])
    assert desk.fills(desk.buy(6, 103, IOC)) == [("c1", 103, 4)]
    assert isinstance(desk.buy(3, 103, FOK), Rejected)
    assert desk.fills(desk.buy(3, 103)) == []
    desk.delta([], [(101, 2), (102, 0)])
    desk.snapshot([(99, 5)], [(103, 1), (105, 9)])
    assert desk.fills()[1:] == [("c3", 103, 1)]


def test_what_rests_never_slips() -> None:
    desk = desk_of(PercentageSlippage(D(50)))
    desk.snapshot([(99, 5)], [(101, 4)])
    desk.buy(3, 100)
    desk.trade(99, 2, -1)
    assert desk.fills() == [("c1", 100, 2)]


def test_a_sale_never_falls_below_a_tick() -> None:
    desk = desk_of(FixedSlippage(D(1000)))
    desk.snapshot([(99, 5)], [(101, 4)])
    assert desk.fills(desk.sell(2)) == [("c1", 1, 2)]


def test_funds_are_checked_at_the_slipped_price() -> None:
    """4 lots at 1.01 cost 0.00404; with half as much again 0.00608 (1.52 by the tick)."""
    for cash, taken in (("0.00607", False), ("0.00608", True)):
        desk = desk_of(PercentageSlippage(D(50)), {"USDT": D(cash)})
        desk.snapshot([(99, 5)], [(101, 4)])
        assert isinstance(desk.buy(4), Accepted) is taken
        assert desk.balance("USDT").total == (D(0) if taken else D(cash))


def test_an_amount_that_is_none_is_not_taken_for_one() -> None:
    class Broken:
        def slip(self, taking: Taking) -> float:
            return float("nan")

    with pytest.raises(ValueError, match="Broken slips by nan"):
        slipped_ticks(Broken(), taking("1", "1"))


OWN = '''
from decimal import Decimal

from brokergate.sim.slippage import Taking


class HalfSpread:
    """A fixed part, and as much again for whole units."""

    def __init__(self, ticks: str, per_unit: str = "0") -> None:
        self.ticks, self.per_unit = Decimal(ticks), Decimal(per_unit)

    def slip(self, taking: Taking) -> Decimal:
        return self.ticks * taking.instrument.price_increment + self.per_unit * taking.quantity


class Wrong:
    def slip(self) -> int:
        return 1
'''


def test_a_model_from_a_users_own_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Named in the configuration, made with its options, used by the venue; a bad one is refused and says why."""
    package = tmp_path / "their_models"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "slips.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    settings = {"model": "their_models.slips:HalfSpread", "options": {"ticks": "3", "per_unit": "10"}}
    fills = PaperTradingConfig.model_validate({"slippage": settings}).fills()
    assert fills.slippage is not None
    desk = desk_of(fills.slippage)
    desk.snapshot([(99, 50)], [(101, 40)])
    assert desk.fills(desk.buy(2)) == [("c1", 106, 2)]  # 3 ticks, and 10 × 0.002
    assert "ticks='3'" in str(fills)
    for bad, says in (
        ({"model": "their_models.slips:HalfSpread"}, "missing 1 required positional argument: 'ticks'"),
        ({"model": "their_models.slips:HalfSpread", "options": {"ticks": "many"}}, "InvalidOperation"),
        ({"model": "their_models.slips:Wrong"}, "takes 1 positional argument but 2 were given"),
    ):
        with pytest.raises(ValueError, match=says):
            PaperTradingConfig.model_validate({"slippage": bad})
