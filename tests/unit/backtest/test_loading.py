"""Strategies by their import path: what is loaded, and what an error says."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from brokergate.backtest.examples import MarketMaker, TimeSlices
from brokergate.backtest.loading import StrategyError, load_strategy, parse_settings

EXAMPLES = "brokergate.backtest.examples"


def test_settings_are_whole_numbers_decimals_or_texts() -> None:
    assert parse_settings(["a=3", "b=0.5", "c=BTC/USDT", "d=", "e=x=y"]) == {
        "a": 3,
        "b": Decimal("0.5"),
        "c": "BTC/USDT",
        "d": "",
        "e": "x=y",
    }


@pytest.mark.parametrize("texts", [["a"], ["=1"], ["a b=1"], ["a=1", "a=2"]])
def test_what_is_no_setting_is_told(texts: list[str]) -> None:
    with pytest.raises(StrategyError, match="--set"):
        parse_settings(texts)


def test_the_examples_load() -> None:
    assert isinstance(load_strategy(f"{EXAMPLES}:MarketMaker", {"quantity": Decimal("0.1")}), MarketMaker)
    assert isinstance(load_strategy(f"{EXAMPLES}:TimeSlices", {"side": "sell", "slices": 3}), TimeSlices)


@pytest.mark.parametrize(
    ("path", "settings", "says"),
    [
        ("MarketMaker", {}, "is no import path; write package.module:Class"),
        (f"{EXAMPLES}:", {}, "is no import path"),
        ("no_such_package.thing:Class", {}, "there is no module 'no_such_package'"),
        (f"{EXAMPLES}:MarketMakr", {}, "has no class 'MarketMakr'; there is MarketMaker"),
        ("decimal:Decimal", {}, "lacks on_start, on_update, on_time, on_order, on_fill; inherit from"),
        (f"{EXAMPLES}:MarketMaker", {"quantty": 1}, "has no setting 'quantty'; it has symbol, quantity"),
        (
            f"{EXAMPLES}:MarketMaker",
            {"quantity": 0},
            r"does not take its settings \(quantity is 0; write a number",
        ),
        (f"{EXAMPLES}:TimeSlices", {"side": "long"}, "side is 'long'; write buy or sell"),
    ],
)
def test_an_error_names_what_is_wrong_and_the_way_out(
    path: str, settings: dict[str, int | str], says: str
) -> None:
    with pytest.raises(StrategyError, match=says):
        load_strategy(path, settings)


def test_a_module_that_fails_and_a_setting_that_is_missing_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken_strategy.py").write_text("1 / 0\n")
    (tmp_path / "needing_strategy.py").write_text("import not_installed_library\n")
    (tmp_path / "wanting_strategy.py").write_text(
        "from brokergate.backtest.strategy import Strategy\n"
        "class Wanting(Strategy):\n"
        "    def __init__(self, symbol): self.symbol = symbol\n"
    )
    with pytest.raises(StrategyError, match="its module fails with ZeroDivisionError"):
        load_strategy("broken_strategy:Any", {})
    with pytest.raises(StrategyError, match="its module needs 'not_installed_library'; install that"):
        load_strategy("needing_strategy:Any", {})
    with pytest.raises(StrategyError, match="needs its setting 'symbol'; add --set symbol=VALUE"):
        load_strategy("wanting_strategy:Wanting", {})
