"""A paper account's settings: what they refuse and what they say."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from brokergate.adapters.paper.config import PaperTradingConfig
from brokergate.adapters.paper.link_config import OneWayConfig, RecordedLatencyConfig
from brokergate.domain.errors import BrokerError
from tests.unit.adapters.paper.hand_clock import NEW, HandClock, broker


def pushing(*symbols: str, increment: str = "1") -> dict[str, object]:
    """A feed that is pushed, of these instruments."""
    increments = {"price_increment": increment, "quantity_increment": increment}
    return {"feed": {"push": {"instruments": [{"symbol": symbol, **increments} for symbol in symbols]}}}


MADE_UP = {
    "symbol": "ETH/EUR", "price_increment": "0.01", "quantity_increment": "0.001", "start_price": "3000",
    "spread": "0.05", "annual_volatility_percent": "80", "level_quantity": "2.5", "trades_percent": "40",
}  # fmt: skip


def made_up(**changed: str) -> dict[str, object]:
    """A synthetic market of one instrument, with these of its settings."""
    return {"feed": {"synthetic": {"instruments": [MADE_UP | changed]}}}


GOOD: list[dict[str, object]] = [
    {},
    {"feed": {"tape": "./btcusdt.gz", "speed": "max", "paused": "true"}},
    {"feed": {"tape": ["a.zip", "b.zip"], "speed": "0.5", "symbol": "EUR/USD", "quote_size": "5"}},
    {"feed": {"tape": "a.csv", "columns": {"time": "ts"}, "kind": "quotes", "time_format": "%d.%m.%Y %H:%M"}},
    {
        "feed": {
            "tape": "b.csv",
            "timezone": "Asia/Tokyo",
            "session": "09:00-15:30",
            "bar_time": "end",
            "bar_span": "1m",
        }
    },
    {"feed": {"tape": "c.csv", "bad_lines": "drop", "rounding": "true", "symbols": {"XBT": "BTC/USD"}}},
    {"feed": {"tape": "d.parquet", "corporate_actions": "ignore", "quote_currency": "EUR", "symbol": "SAP"}},
    {"feed": {"synthetic": {"seed": "7"}}},
    {"feed": {"push": {}}},
    {"feed": {"synthetic": {"instruments": [MADE_UP]}}},
    {"feed": {"account": "binance-main", "instruments": ["BTC/USDT"]}, "stale_after_ms": "0"},
    {"commission": {"preset": "ibkr_tiered"}},
    pushing("BTC/USDT:USDT"),
    {
        "margin": {
            "leverage": "5",
            "maintenance_percent": "20",
            "kinds": {"forex": {"leverage": "30"}},
            "instruments": {"AAPL": {"initial_percent": "50"}},
        },
        "funding": {"rate_percent": "-0.01"},
        "short": {"available": {"AAPL": "10000"}, "not_shortable": ["GME"]},
    },
    {"maker_fee_percent": "-0.01", "taker_fee_percent": "0.05"},
    {
        "commission": {
            "per_unit": "0.005",
            "minimum": "1",
            "tiers_by": "quantity_month",
            "tiers": [{"above": "300000", "per_unit": "0.002"}],
        }
    },
    {"slippage": {"model": "FIXED", "amount": "0.05"}, "participation_percent": "100"},
    {"slippage": {"model": "VOLUME_SHARE"}, "queue": {"model": "probabilistic", "function": "log"}},
    {"slippage": {"model": "MARKET_IMPACT", "average_volume": "6561000", "volatility_percent": "1.57"}},
    {"initial_balance": {"JPY": "10"}, "allow_short": ["spot", "forex"], "stale_after_ms": "5000"},
    {"hours": {"equity": "XNYS_EXTENDED", "forex": "always", "spot": "week", "outside": "refuse"}},
]

BAD: list[tuple[dict[str, object], str]] = [
    ({"latency": "5"}, "latency"),
    ({"initial_balance": {}}, "at least 1"),
    ({"initial_balance": {"USD": "0"}}, "above zero"),
    ({"initial_balance": {"USD": "1000000000000000001"}}, "at most 10^18"),
    (pushing("A/B", increment="0.000000001"), "18 places"),
    ({"initial_balance": {"usd": "5"}}, "pattern"),
    ({"taker_fee_percent": "100"}, "below 100"),
    ({"taker_fee_percent": "-0.1"}, "at least 0"),
    ({"maker_fee_percent": "-100"}, "above -100"),
    ({"commission": {"preset": "robinhood"}}, "write one of alpaca, binance"),
    ({"commission": {"preset": "kraken", "fixed": "1"}}, "names a preset and sets fixed"),
    ({"commission": {"taker_percent": "-1"}}, "at least 0"),
    ({"commission": {"minimum": "2", "maximum": "1"}}, "maximum below its minimum"),
    ({"commission": {"tiers": [{"above": "2"}, {"above": "1"}]}}, "do not rise"),
    ({"commission": {"tiers_by": "moon"}}, "turnover_30_days or quantity_month"),
    ({"commission": {}, "taker_fee_percent": "1"}, "keep commission"),
    ({"slippage": {"model": "fixed"}}, "write one of NONE, FIXED"),
    ({"slippage": {"model": "FIXED"}}, "lacks amount"),
    ({"slippage": {"model": "FIXED", "amount": "-1"}}, "at least 0"),
    ({"slippage": {"model": "PERCENTAGE", "percent": "1", "amount": "1"}}, "sets amount, which PERCENTAGE does not"),
    ({"slippage": {"model": "MARKET_IMPACT", "average_volume": "5"}}, "lacks volatility_percent"),
    ({"slippage": {"model": "VOLUME_SHARE", "volume_limit_percent": "0"}}, "above 0"),
    ({"slippage": {"model": "NONE", "options": {"a": "1"}}}, "sets options"),
    ({"slippage": {"model": "no_such_package.slip:Mine"}}, "ModuleNotFoundError"),
    ({"slippage": {"model": "decimal:Mine"}}, "AttributeError"),
    ({"slippage": {"model": "decimal:Decimal"}}, "no attribute 'slip'"),
    ({"slippage": {"model": "sys:exit"}}, "cannot be used (SystemExit"),
    ({"queue": {"model": "optimistic"}}, "write conservative or probabilistic"),
    ({"queue": {"exponent": "2"}}, "which conservative does not know"),
    ({"queue": {"model": "probabilistic", "function": "log", "exponent": "2"}}, "which log does not know"),
    ({"queue": {"model": "probabilistic", "exponent": "0"}}, "above 0"),
    ({"participation_percent": "0"}, "above 0"),
    ({"participation_percent": "101"}, "at most 100"),
    ({"allow_short": ["options"]}, "write spot, equity, forex"),
    ({"hours": {"equity": "NYSE"}}, "'XNYS'"),
    ({"hours": {"outside": "maybe"}}, "'refuse', 'follow' or 'ignore'"),
    ({"hours": {"bonds": "always"}}, "bonds"),
    ({"stale_after_ms": "-1"}, "greater than or equal to 0"),
    ({"feed": {"tape": "a", "synthetic": {}}}, "names tape and synthetic; keep one"),
    ({"feed": {"tape": []}}, "names no tape"),
    ({"feed": {"tape": "a", "speed": "0"}}, "not a speed"),
    ({"feed": {"tape": "a", "speed": "-1"}}, "not a speed"),
    ({"feed": {"tape": "a", "speed": "1e3"}}, "not a speed"),
    ({"feed": {"tape": "a", "price_increment": "0"}}, "above zero"),
    ({"feed": {"tape": "a", "columns": {"bit": "b"}}}, "names a column for what is none"),
    ({"feed": {"tape": "a", "kind": "ticks"}}, "'quotes', 'trades', 'bars' or 'books'"),
    ({"feed": {"tape": "a", "time_format": "unix"}}, "is no format; write iso, epoch_s"),
    ({"feed": {"tape": "a", "time_format": "%Q"}}, "is no format"),
    ({"feed": {"tape": "a", "time_format": "%d.%d"}}, "is no format"),
    ({"feed": {"tape": "a", "timezone": "Mars/Olympus"}}, "time zone"),
    ({"feed": {"tape": "a", "session": "16:00-09:30"}}, "is not a session"),
    ({"feed": {"tape": "a", "session": "20:00-24:30"}}, "is not a session"),
    ({"feed": {"tape": "a", "bar_span": "0m"}}, "is not a span"),
    ({"feed": {"tape": "a", "bad_lines": "mend"}}, "'refuse' or 'drop'"),
    ({"feed": {"push": {}, "columns": {"time": "ts"}}}, "sets columns without a tape"),
    ({"feed": {"synthetic": {}, "paused": "true"}}, "sets paused without a tape"),
    ({"feed": {"account": "binance-main", "push": {}}}, "names push and account; keep one"),
    ({"feed": {"push": {}, "instruments": ["BTC/USDT"]}}, "names instruments without an account"),
    ({"feed": {"account": "a", "instruments": ["A/B", "A/B"]}}, "names an instrument twice"),
    ({"feed": {"synthetic": {"seed": "-1"}}}, "greater than or equal to 0"),
    (made_up(start_price="3000.001"), "start_price that is no whole number of increments"),
    (made_up(spread="0.055"), "write a multiple of 0.01"),
    (made_up(start_price="0.5"), "leaves no room for the levels; use a finer tick"),
    (made_up(annual_volatility_percent="1001"), "above 1000"),
    (made_up(annual_volatility_percent="-5"), "above zero"),
    (made_up(trades_percent="101"), "above 100"),
    (made_up(symbol="ETH"), "lacks quote_currency"),
    ({"feed": {"synthetic": {"instruments": [MADE_UP, MADE_UP]}}}, "has an instrument twice"),
    (pushing("XYZ"), "quote_currency"),
    (pushing("A/B:C"), "no linear perpetual"),
    (pushing("A/B:A"), "inverse contract"),
    (pushing("AB:B"), "no pair"),
    ({"margin": {"leverage": "0"}}, "from 1 to 1000"),
    ({"margin": {"leverage": "0.5"}}, "from 1 to 1000"),
    ({"margin": {"leverage": "2", "initial_percent": "50"}}, "keep one"),
    ({"margin": {"leverage": "10", "maintenance_percent": "11"}}, "above its initial margin"),
    ({"margin": {"leverage": "10", "kinds": {"equity": {"maintenance_percent": "11"}}}}, "above its initial margin"),
    ({"margin": {"initial_percent": "0"}}, "above zero"),
    ({"margin": {"call_percent": "90"}}, "call_percent below liquidation_percent"),
    ({"margin": {"liquidation_fee_percent": "-1"}}, "at least 0"),
    ({"margin": {"kinds": {"spot": {"leverage": "3"}}}}, "paid in full"),
    ({"short": {"available": {"AAPL": "-1"}}}, "from 0 to 10^18"),
    ({"short": {"shortable": ["AAPL"], "not_shortable": ["AAPL"]}}, "keep one"),
    ({"funding": {"interval_hours": "0", "rate_percent": "0.01"}}, "greater than or equal to 1"),
    ({"funding": {}}, "rate_percent"),
    (pushing("A/"), "no pair"),
    (pushing("A/B", "A/B"), "twice"),
]  # fmt: skip


@pytest.mark.parametrize("settings", GOOD)
def test_good_settings_are_taken(settings: dict[str, object]) -> None:
    """As a user writes them, values as text."""
    config = PaperTradingConfig.model_validate(settings)
    assert config.initial_balance
    assert sum(getattr(config.feed, name) is not None for name in ("tape", "synthetic", "push")) <= 1


@pytest.mark.parametrize(("settings", "says"), BAD)
def test_bad_settings_are_refused(settings: dict[str, object], says: str) -> None:
    """Unknown keys, values out of range and feeds that contradict each other, each with what is wrong."""
    with pytest.raises(ValidationError) as refused:
        PaperTradingConfig.model_validate(settings)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"latency_ms": "-1"}, "is out of range; write milliseconds, at least 0"),
        ({"latency": {"request": {"constant_ms": "-0.5"}}}, "at least 0"),
        ({"latency": {"request": {"mean_ms": "5", "deviation_ms": "-1"}}}, "at least 0"),
        ({"latency": {"response": {"deviation_ms": "1"}}}, "sets deviation_ms without mean_ms"),
        ({"latency": {"request": {"constant_ms": "1", "mean_ms": "1"}}}, "keep one"),
        ({"latency": {}, "latency_ms": "1"}, "sets latency_ms and latency; keep one"),
        ({"latency": {"request": {"recorded": {"file": "x", "unit": "min"}}}}, "is no unit"),
        ({"latency": {"request": {"recorded": {"file": "x", "order": "worst"}}}}, "is no order"),
        ({"faults": [{"kind": "earthquake"}]}, "is no fault; write one of lost_acknowledgement"),
        ({"faults": [{"kind": "rejection", "rate_percent": "0"}]}, "above 0 and at most 100"),
        ({"faults": [{"kind": "rejection", "delay_ms": 5}]}, "has no use for"),
        ({"faults": [{"kind": "delayed_events"}]}, "add delay_ms"),
        ({"faults": [{"kind": "disconnect", "delay_ms": -5}]}, "greater than or equal to 0"),
    ],
)
def test_a_line_that_cannot_be_is_refused(settings: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError) as refused:
        PaperTradingConfig.model_validate(settings)
    assert problem in str(refused.value)


@pytest.mark.parametrize(
    ("text", "column", "problem"),
    [
        ("1\n2.5\n-3\n", None, "line 3: the latency -3 is below 0"),
        ("1\nfast\n", None, "line 2: 'fast' is not a number"),
        ("1\nNaN\n", None, "line 2: 'NaN' is not a number"),
        ("", None, "has no latency in it"),
        ("time,delay\n1,2\n", "latency", "line 1 has no column 'latency'"),
        ("time,delay\n1,2\n2,-4\n", "delay", "line 3: the latency -4 is below 0"),
        ("60001\n", None, "above 60000 ms"),
        ("1\n\udcff\n", None, "is not UTF-8 text"),
    ],
)
async def test_a_recorded_latency_that_cannot_be_names_file_and_line(
    tmp_path: Path, text: str, column: str | None, problem: str
) -> None:
    file = tmp_path / "latency.csv"
    file.write_bytes(text.encode(errors="surrogateescape"))
    recorded = {"file": str(file), **({} if column is None else {"column": column})}
    made = broker(HandClock(), {"push": {}}, latency={"request": {"recorded": recorded}})
    with pytest.raises(BrokerError) as refused:
        await made.connect(NEW)
    assert problem in str(refused.value)
    assert str(file) in str(refused.value)


def test_a_recorded_latency_is_read_in_its_unit(tmp_path: Path) -> None:
    file = tmp_path / "latency.csv"
    file.write_text("at,delay\n1,250\n2,1000.5\n")
    config = RecordedLatencyConfig(file=str(file), column="delay", unit="us")
    assert config.read() == [250_000, 1_000_500]
    assert OneWayConfig(recorded=config).model(0, "x").next_ns() == 250_000


def test_no_latency_and_no_faults_is_in_process() -> None:
    for settings in ({}, {"latency_ms": "0"}, {"latency": {"request": {"mean_ms": "0"}}}):
        assert broker(HandClock(), {"push": {}}, **settings).in_process
    assert not broker(HandClock(), {"push": {}}, latency_ms="1").in_process
    assert not broker(HandClock(), {"push": {}}, faults=[{"kind": "rejection"}]).in_process
