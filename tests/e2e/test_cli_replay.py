"""`brokergate replay` over the recorded markets, as a user runs it; figures against a computation of the test's own."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.console import brokergate

BALANCE = Decimal(2_000_000)
ORDERS = """time,command,client_order_id,symbol,side,type,quantity,limit_price,stop_price,time_in_force
+10s,place,take,BTC/USDT,buy,market,5,,,
+20s,place,rest,,buy,limit,0.5,61820.00,,
+40s,place,stop,,sell,stop,0.5,,61650.00,
+60s,place,quote,,sell,limit,0.8,61720.00,,
+61s,cancel,nobody,,,,,,,
+70s,replace,rest,,,,0.7,61800.00,,
+90s,place,off-tick,,sell,limit,0.8,61720.001,,
+200s,place,sell,,sell,market,3.1,,,ioc
+300s,place,far,,buy,limit,0.3,50000,,
+320s,cancel,far,,,,,,,
"""
FEES = ("--paper", "taker_fee_percent=0.1", "--paper", "maker_fee_percent=0.02")


@pytest.fixture(scope="module")
def btc(shared_data: Path) -> Path:
    return shared_data / "crypto_l2" / "binance_spot_btcusdt_20240808.gz"


@dataclass
class Run:
    """A run's results and its market."""

    results: dict[str, Any]
    folder: Path
    text: str
    fills: list[dict[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        self.fills = self.results["fills"]


@pytest.fixture(scope="module")
def ran(btc: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("replay")
    (folder / "orders.csv").write_text(ORDERS)
    balance = f"initial_balance={{USDT: {BALANCE}}}"
    done = brokergate(
        *("replay", "--tape", btc, "--orders", "orders.csv", "--json", "out.json", "--report", "out.html"),
        *("--paper", balance, *FEES),
        cwd=folder,
    )
    assert (done.status, done.stderr) == (0, "")
    return Run(json.loads((folder / "out.json").read_text("utf-8")), folder, done.text)


def mids(tape: Path) -> Iterator[tuple[int, Decimal]]:
    """The middle of the recorded book after each of its frames, by dictionaries alone."""
    sides: tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]] = ({}, {})
    held: list[dict[str, Any]] = []
    last_id = None
    with gzip.open(tape, "rt") as lines:
        for line in lines:
            time_text, _, text = line.partition(" ")
            frame = json.loads(text)
            if "lastUpdateId" in frame:
                last_id = frame["lastUpdateId"]
                for side, name in zip(sides, ("bids", "asks"), strict=True):
                    side.update({Decimal(price): Decimal(size) for price, size in frame[name]})
                frames = [each for each in held if each["u"] > last_id]
            elif frame["stream"].endswith("@depth@100ms"):
                if last_id is None:
                    held.append(frame["data"])
                    continue
                frames = [frame["data"]]
            else:
                continue
            for diff in frames:
                for side, name in zip(sides, ("b", "a"), strict=True):
                    for price, size in diff[name]:
                        side[Decimal(price)] = Decimal(size)
            best_bid = max(price for price, size in sides[0].items() if size)
            best_ask = min(price for price, size in sides[1].items() if size)
            yield int(time_text), (best_bid + best_ask) / 2


def nanoseconds(iso: str) -> int:
    """What the results write as a time."""
    seconds = int(datetime.fromisoformat(f"{iso[:19]}+00:00").timestamp())
    return seconds * 10**9 + int(iso[20:29])


def test_cash_position_and_fees_follow_from_the_fills(ran: Run) -> None:
    """Summed by hand: fees to 8 places by liquidity, the account to the last digit."""
    cash, held, fees = BALANCE, Decimal(0), Decimal(0)
    for fill in ran.fills:
        notional = Decimal(fill["price"]) * Decimal(fill["quantity"])
        rate = Decimal("0.001") if fill["liquidity"] == "TAKER" else Decimal("0.0002")
        (fee,) = fill["fees"]
        assert Decimal(fee["amount"]) == (notional * rate).quantize(Decimal("1e-8"))
        sign = 1 if fill["side"] == "BUY" else -1
        cash -= sign * notional + Decimal(fee["amount"])
        held += sign * Decimal(fill["quantity"])
        fees += Decimal(fee["amount"])
    assert len(ran.fills) > 50
    summary = ran.results["summary"]
    assert Decimal(summary["fees"]["USDT"]) == fees
    balances = {each["currency"]: Decimal(each["total"]) for each in ran.results["balances"]}
    assert (balances["USDT"], balances["BTC"]) == (cash, held)
    (position,) = ran.results["positions"]
    assert Decimal(position["quantity"]) == held
    assert Decimal(ran.results["position_steps"]["BTC/USDT"][-1][1]) == held
    assert Decimal(summary["end_equity"]) == cash + held * Decimal(position["mark_price"])
    assert Decimal(summary["realized_pnl"]) + Decimal(summary["unrealized_pnl"]) == (
        Decimal(summary["end_equity"]) - BALANCE + fees
    )


def test_arrival_mids_and_slippage_are_the_recorded_books(ran: Run, btc: Path) -> None:
    """The book of each order's moment is built anew from the file, before anything of the run was taken from it."""
    series = list(mids(btc))
    start_ns = nanoseconds(ran.results["start"])
    first = {order["client_order_id"]: order for order in ran.results["orders"]}
    # By then the market has renewed what the run took at ten seconds.
    for name, at_s in (("take", 10), ("rest", 20), ("stop", 40), ("quote", 60), ("sell", 200), ("far", 300)):
        moment = start_ns + at_s * 10**9
        expected = [mid for time_ns, mid in series if time_ns <= moment][-1]
        assert Decimal(first[name]["arrival_mid"]) == expected, name
    cost = at_mid = Decimal(0)
    for fill in ran.fills:
        mid = Decimal(first[fill["client_order_id"]]["arrival_mid"])
        sign = 1 if fill["side"] == "BUY" else -1
        one = sign * (Decimal(fill["price"]) - mid) * Decimal(fill["quantity"])
        assert Decimal(fill["slippage"]) == one
        assert abs(
            Decimal(fill["slippage_bps"]) - sign * (Decimal(fill["price"]) / mid - 1) * 10_000
        ) < Decimal("1e-15")
        cost, at_mid = cost + one, at_mid + mid * Decimal(fill["quantity"])
    slippage = ran.results["summary"]["slippage"]["USDT"]
    assert Decimal(slippage["execution"]) == cost
    assert abs(Decimal(slippage["execution_bps"]) - cost / at_mid * 10_000) < Decimal("1e-15")


def test_filling_waiting_and_falling_are_what_orders_and_equity_say(ran: Run) -> None:
    orders, summary = ran.results["orders"], ran.results["summary"]
    taken = [order for order in orders if order["outcome"] != "refused"]
    ordered, filled = (
        sum(Decimal(order[name]) for order in taken) for name in ("quantity", "filled_quantity")
    )
    ratio = summary["fill_ratio"]["BTC/USDT"]
    assert (Decimal(ratio["ordered"]), Decimal(ratio["filled"])) == (ordered, filled)
    assert filled == sum(Decimal(fill["quantity"]) for fill in ran.fills)
    assert summary["outcomes"] == {"filled": 5, "partly filled": 0, "not filled": 1, "refused": 1}
    assert summary["refusals"] == {"PRICE_OFF_TICK": 1}
    assert [refused["client_order_id"] for refused in ran.results["refused_commands"]] == ["nobody"]
    waits = []
    for order in orders:
        made = [
            f
            for f in ran.fills
            if f["client_order_id"] == order["client_order_id"] and f["liquidity"] == "MAKER"
        ]
        if made:
            waits.append(nanoseconds(made[0]["time"]) - nanoseconds(order["rested"]))
            assert order["queue_wait_ns"] == waits[-1]
    assert summary["queue_waits"]["count"] == len(waits) > 0
    assert summary["queue_waits"]["longest_ns"] == max(waits)
    equity = [Decimal(point[1]) for point in ran.results["equity"]]
    falls = [max(equity[: i + 1]) - value for i, value in enumerate(equity)]
    assert Decimal(summary["drawdown"]["amount"]) == max(falls)
    assert len(equity) > 1000
    assert f"{summary['end_equity']} USDT" in ran.text


def test_an_order_of_an_account_with_latency_fills_so_much_later(btc: Path, tmp_path: Path) -> None:
    """A market order meets the book of its arrival; each of its fills is of that moment."""
    (tmp_path / "orders.csv").write_text(
        "time,command,client_order_id,symbol,side,type,quantity\n+10s,place,take,BTC/USDT,buy,market,5\n"
    )
    moments = {}
    for latency in ("0", "20", "700"):
        done = brokergate(
            *("replay", "--tape", btc, "--orders", "orders.csv", "--json", "out.json"),
            *("--paper", f"latency_ms={latency}", "--paper", "initial_balance={USDT: 2000000}"),
            cwd=tmp_path,
        )
        assert (done.status, done.stderr) == (0, "")
        results = json.loads((tmp_path / "out.json").read_text("utf-8"))
        (moments[latency],) = {nanoseconds(fill["time"]) for fill in results["fills"]}
    assert moments["20"] - moments["0"] == 20_000_000
    assert moments["700"] - moments["0"] == 700_000_000


def test_two_processes_give_the_same_bytes(btc: Path, tmp_path: Path) -> None:
    """Also in folders of other names, and with another order of hashes."""
    made = []
    for seed in ("1", "2"):
        folder = tmp_path / f"folder-{seed}"
        folder.mkdir()
        done = brokergate(
            *("replay", "--demo", "--tape", btc, *FEES, "--json", "out.json", "--report", "out.html"),
            *("--seed", "7", "--until", "+120s"),
            cwd=folder,
            env={"PYTHONHASHSEED": seed, "TZ": "Asia/Tokyo" if seed == "2" else "UTC"},
        )
        assert (done.status, done.stderr) == (0, "")
        made.append((done.stdout, (folder / "out.json").read_bytes(), (folder / "out.html").read_bytes()))
    assert made[0] == made[1]
    assert str(tmp_path).encode() not in made[0][2]
    assert json.loads(made[0][1])["summary"]["fills"] > 100


def test_a_stop_through_the_payrolls_print_fills_at_the_market_and_not_at_its_trigger(
    shared_data: Path, tmp_path: Path
) -> None:
    """2 May 2014, 12:30:01.5 UTC: the bid falls from 1.38467 to 1.38258 within 14 ms."""
    tape = shared_data / "fx_quotes" / "oanda_eurusd_20140502_quote.zip"
    orders: list[dict[str, object]] = [
        {"time": "2014-05-02T12:29:00Z", "client_order_id": "long", "side": "buy", "type": "market"},
        {"time": "2014-05-02T12:29:30Z", "client_order_id": "stop", "side": "sell", "type": "stop"},
    ]
    orders[1] |= {"stop_price": "1.38400", "trigger_source": "bid_ask"}
    lines = [json.dumps(order | {"quantity": 100_000}) + "\n" for order in orders]
    (tmp_path / "orders.jsonl").write_text("".join(lines))
    done = brokergate(
        *("replay", "--tape", tape, "--orders", "orders.jsonl", "--until", "2014-05-02T12:35:00Z"),
        *("--paper", "initial_balance={USD: 200000}", "--json", "out.json"),
        cwd=tmp_path,
    )
    assert (done.status, done.stderr) == (0, "")
    results = json.loads((tmp_path / "out.json").read_text("utf-8"))
    with zipfile.ZipFile(tape) as archive:
        (name,) = archive.namelist()
        rows = [
            (int(row[0]), Decimal(row[1]), Decimal(row[2]))
            for row in csv.reader(io.TextIOWrapper(archive.open(name), "ascii"))
        ]
    after = (12 * 3600 + 29 * 60 + 30) * 1000
    time_ms, bid, _ = next(row for row in rows if row[0] > after and row[1] <= Decimal("1.38400"))
    sold = [fill for fill in results["fills"] if fill["client_order_id"] == "stop"]
    assert [Decimal(fill["price"]) for fill in sold] == [bid]
    assert bid < Decimal("1.38400")
    midnight = nanoseconds("2014-05-02T00:00:00.000000000Z")
    assert nanoseconds(sold[0]["time"]) == midnight + time_ms * 1_000_000
    _, bid, ask = [row for row in rows if row[0] <= after][-1]
    assert Decimal(sold[0]["slippage"]) == ((bid + ask) / 2 - Decimal(sold[0]["price"])) * 100_000


def test_the_demo_needs_no_file_at_all(tmp_path: Path) -> None:
    done = brokergate("replay", "--demo", "--duration", "60s", "--report", "out.html", cwd=tmp_path)
    assert (done.status, done.stderr) == (0, "")
    assert "synthetic market, seed 0, 2026-01-05T14:30:00.000000000Z to 2026-01-05T14:31:00" in done.text
    assert (tmp_path / "out.html").read_text("utf-8").startswith("<!doctype html>")


def test_a_strategy_of_ones_own_is_found_in_the_present_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from decimal import Decimal\n"
        "from brokergate.backtest.strategy import Strategy\n"
        "from brokergate.domain.orders import OrderSpec, OrderType, Side\n"
        "class Once(Strategy):\n"
        "    def __init__(self, quantity=Decimal(1)): self.quantity = quantity\n"
        "    def on_start(self, trader):\n"
        "        trader.place(OrderSpec('AAPL', Side.BUY, OrderType.MARKET, Decimal(self.quantity)))\n"
    )
    done = brokergate(
        *(
            "replay",
            "--strategy",
            "mine:Once",
            "--set",
            "quantity=7",
            "--duration",
            "5s",
            "--json",
            "out.json",
        ),
        cwd=tmp_path,
    )
    assert (done.status, done.stderr) == (0, "")
    (order,) = json.loads((tmp_path / "out.json").read_text("utf-8"))["orders"]
    assert (order["symbol"], order["filled_quantity"], order["state"]) == ("AAPL", "7", "FILLED")


def test_the_examples_of_the_documentation_run(project_root: Path, tmp_path: Path) -> None:
    """Its strategy trades, its orders are read, and the example that takes liquidity buys all that it was told to."""
    text = (project_root / "docs" / "replay.md").read_text("utf-8")
    (tmp_path / "mine.py").write_text(text.split("```python\n")[1].split("```")[0])
    asked = ("replay", "--duration", "60s", "--json", "out.json")
    done = brokergate(*asked, "--strategy", "mine:Bidder", "--set", "quantity=0.05", cwd=tmp_path)
    assert (done.status, done.stderr) == (0, "")
    assert json.loads((tmp_path / "out.json").read_text("utf-8"))["summary"]["maker_fills"] > 0
    lines = text.split("```\ntime,")[1].split("```")[0].replace("2024-08-08T23:58:00.5Z", "+200s")
    (tmp_path / "orders.csv").write_text(f"time,{lines}")
    done = brokergate("replay", "--orders", "orders.csv", cwd=tmp_path)
    assert (done.status, done.stderr) == (0, "")
    assert "orders    2" in done.text
    slices = "brokergate.backtest.examples:TimeSlices"
    settings = ("--set", "symbol=EUR/USD", "--set", "quantity=500003", "--set", "every_s=5")
    done = brokergate(*asked, "--strategy", slices, *settings, cwd=tmp_path)
    assert (done.status, done.stderr) == (0, "")
    results = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert len(results["orders"]) == 10
    assert results["position_steps"]["EUR/USD"][-1][1] == "500003"


@pytest.fixture
def example(project_root: Path, tmp_path: Path) -> str:
    """The example of docs/paper-venue.md, its files written; gives the text."""
    text = (project_root / "docs" / "paper-venue.md").read_text("utf-8")
    (tmp_path / "market").mkdir()
    for name, heading in (
        ("market/books.csv", "time,symbol,bid_price_0"),
        ("market/trades.csv", "time,symbol,price"),
        ("orders.csv", "time,client_order_id"),
    ):
        (tmp_path / name).write_text(heading + text.split(f"```\n{heading}")[1].split("```")[0])
    return text


def play(folder: Path, *options: str) -> tuple[str, dict[str, Any]]:
    """What a replay of the files in `folder` prints, and its results."""
    asked = ("replay", "--tape", "market", "--orders", "orders.csv", "--json", "out.json")
    done = brokergate(*asked, *options, cwd=folder)
    assert (done.status, done.stderr) == (0, "")
    return done.text, json.loads((folder / "out.json").read_text("utf-8"))


def shown(fill: dict[str, Any]) -> tuple[str, ...]:
    """A fill as the table of docs/paper-venue.md has it."""
    seconds = f"+{int(fill['time'][17:19])} s"
    price = f"{fill['quantity']} at {fill['price']}, {fill['liquidity'].lower()}"
    return seconds, f"`{fill['client_order_id']}`", price, fill["fees"][0]["amount"]


def test_the_example_of_the_paper_venue_fills_as_its_table_says(example: str, tmp_path: Path) -> None:
    rows = [tuple(cell.strip() for cell in f"+{row}".split("|")[:4]) for row in example.split("\n| +")[1:]]
    _, results = play(tmp_path, *FEES)
    assert [shown(fill) for fill in results["fills"]] == rows
    assert len(rows) == 6


def test_an_order_acts_a_latency_after_it_was_given(example: str, tmp_path: Path) -> None:
    """The market is that of the example: `walks`, given at 1 s, comes to the book of 3 s."""
    _, results = play(tmp_path, "--paper", "latency_ms=2500")
    fills = {fill["client_order_id"]: fill["time"][17:21] for fill in results["fills"]}
    assert fills == {"walks": "03.5", "again": "06.5", "rests": "07.0", "grown": "11.5"}
    _, later = play(tmp_path, "--paper", "latency={response: {constant_ms: 2500}}")
    assert [fill["time"][17:21] for fill in later["fills"]] == [
        "01.0",
        "01.0",
        "04.0",
        "06.0",
        "07.0",
        "09.0",
    ]


def test_slippage_of_the_example(example: str, tmp_path: Path) -> None:
    options = ("slippage.model=PERCENTAGE", "slippage.percent=0.05")
    _, results = play(tmp_path, *(part for option in options for part in ("--paper", option)))
    first, *_ = results["fills"]
    assert (first["client_order_id"], first["quantity"], first["price"]) == ("walks", "1", "100.2")
    assert [fill["time"][17:19] for fill in results["fills"]].count("01") == 1


def test_commands_after_the_end_are_told(example: str, tmp_path: Path) -> None:
    text, results = play(tmp_path, "--until", "+3s")
    said = "2 of 4 commands were not given: their time is after the end of the run"
    assert results["notices"] == [["2024-05-01T10:00:03.000000000Z", said]]
    assert f"{said}\n" in text


def test_an_account_of_a_configuration_is_what_is_run(tmp_path: Path) -> None:
    (tmp_path / "brokergate.yaml").write_text(
        "accounts:\n"
        "  one: {broker: paper, paper: {initial_balance: {USDT: '5000'}, feed: {synthetic: {seed: 4}}}}\n"
        "  two: {broker: paper}\n"
    )
    asked = ("replay", "--config", "brokergate.yaml", "--demo", "--duration", "5s", "--json", "out.json")
    done = brokergate(*asked, cwd=tmp_path)
    assert (done.status, done.text) == (2, "")
    assert "there are 2 paper accounts (one, two); give --account ID" in done.stderr
    done = brokergate(*asked, "--account", "one", cwd=tmp_path)
    assert (done.status, done.stderr) == (0, "")
    results = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert results["summary"]["start_equity"] == "5000"
    assert results["inputs"]["market"] == "synthetic market, seed 4"


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        ((), 2, "there is nothing to run; give one of --orders FILE, --strategy MODULE:CLASS, --demo"),
        (("--demo", "--orders", "x.csv"), 2, "--orders and --demo are given; give one"),
        (("--orders", "x.csv", "--set", "a=1"), 2, "--set is for a strategy"),
        (("--orders", "none.csv"), 1, "none.csv: cannot be read (No such file or directory)"),
        (("--orders", "bad.csv"), 1, "bad.csv, line 2, side: 'long' is none of buy, sell; write one of them"),
        (("--strategy", "nowhere.at:All"), 1, "there is no module 'nowhere'"),
        (
            ("--strategy", "failing:Failing"),
            1,
            "the strategy failed in on_start at 2026-01-05T14:30:00.000000000Z",
        ),
        (("--demo", "--set", "quantty=1"), 1, "has no setting 'quantty'; it has symbol, quantity"),
        (("--demo", "--set", "symbol=XXX"), 1, "there is no instrument 'XXX'"),
        (("--demo", "--tape", "none.gz"), 1, "none.gz"),
        (("--demo", "--until", "tomorrow"), 2, "--until: 'tomorrow' is no time; write an ISO time"),
        (("--demo", "--until", "2020-01-01T00:00:00Z"), 2, "is not after the market's start"),
        (("--demo", "--duration", "5"), 2, "--duration: '5' is no span of time"),
        (("--demo", "--duration", "5s", "--until", "+5s"), 2, "keep one"),
        (("--demo", "--paper", "latncy=3"), 2, "latncy"),
        (("--demo", "--paper", "taker_fee_percent=-1"), 2, "--paper taker_fee_percent=-1"),
        (("--demo", "--paper", "taker_fee_percent"), 2, "is no setting; write KEY=VALUE"),
        (("--demo", "--paper", "feed.push={}"), 1, "feed: push has no market of its own to play"),
        (
            ("--demo", "--account", "mine"),
            2,
            "--account 'mine': there is no such paper account; there are paper",
        ),
        (
            ("--demo", "--duration", "1s", "--report", "no/such/folder.html"),
            1,
            "folder.html: cannot be written",
        ),
    ],
)
def test_what_cannot_be_run_says_why_and_the_way_out(
    tmp_path: Path, arguments: tuple[str, ...], status: int, says: str
) -> None:
    (tmp_path / "bad.csv").write_text(
        "time,client_order_id,symbol,side,type,quantity\n+1s,a,AAPL,long,market,1\n"
    )
    (tmp_path / "failing.py").write_text(
        "from brokergate.backtest.strategy import Strategy\n"
        "class Failing(Strategy):\n"
        "    def on_start(self, trader): raise LookupError('mine')\n"
    )
    done = brokergate("replay", *arguments, cwd=tmp_path)
    assert done.status == status, done.stderr
    assert says in done.stderr
    assert ("Traceback" in done.stderr) == ("the strategy failed" in done.stderr)
