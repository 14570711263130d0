"""Files of commands: what is read, and what an error names."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from brokergate.backtest.commands import Cancel, Given, Place, Replace
from brokergate.backtest.orders_file import OrdersFileError, read_orders
from brokergate.domain.orders import OrderSpec, OrderType, Side, TimeInForce

START = 1_700_000_000_000_000_000
HEADING = "time,command,client_order_id,symbol,side,type,quantity,limit_price"
SECOND = 1_000_000_000


def read(
    tmp_path: Path, text: str, name: str = "orders.csv", symbols: tuple[str, ...] = ("BTC/USDT",)
) -> list[Given]:
    file = tmp_path / name
    file.write_text(text, "utf-8")
    return read_orders(file, symbols, START)


def test_commands_come_in_the_order_of_their_times(tmp_path: Path) -> None:
    given = read(
        tmp_path,
        f"{HEADING},time_in_force\n"
        "# the later one stands first\n"
        "+30s,cancel,a,,,,,,\n"
        "\n"
        "+20s,place,a,BTC/USDT,buy,limit,0.5,61000.10,day\n"
        "+20s,replace,a,,,,0.7,,\n",
    )
    spec = OrderSpec(
        "BTC/USDT",
        Side.BUY,
        OrderType.LIMIT,
        Decimal("0.5"),
        limit_price=Decimal("61000.10"),
        time_in_force=TimeInForce.DAY,
    )
    assert given == [
        Given(START + 20 * SECOND, Place("a", spec)),
        Given(START + 20 * SECOND, Replace("a", Decimal("0.7"))),
        Given(START + 30 * SECOND, Cancel("a")),
    ]


def test_json_lines_are_read_exactly(tmp_path: Path) -> None:
    (given,) = read(
        tmp_path,
        '{"time": 1700000000000000001, "client_order_id": "a", "side": "sell", "type": "market", "quantity": 0.1, '
        '"reduce_only": true}\n',
        "orders.jsonl",
    )
    assert given.time_ns == START + 1
    assert isinstance(given.command, Place)
    assert given.command.spec.quantity == Decimal("0.1")
    assert given.command.spec.reduce_only
    assert given.command.spec.symbol == "BTC/USDT"


ROW = "+1s,place,a,BTC/USDT,buy,limit,1,100"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no command"),
        (HEADING, "holds no command"),
        (f"tme,{HEADING}\n{ROW}", r"line 1: there is no column 'tme'; did you mean time\?"),
        (f"{HEADING},time\n{ROW}", "line 1: names a column twice; keep one"),
        ("time,side\n+1s,buy", "line 1: lacks the column client_order_id; add it"),
        (f"{HEADING}\n{ROW},1", "line 2: has 9 cells, and the heading 8"),
        (f'{HEADING}\n+1s,place,"a', "line 2: is no CSV"),
        (f"{HEADING}\n{ROW}\n{ROW}", "line 3, client_order_id: 'a' was placed in line 2 already"),
        (f"{HEADING}\n{ROW.replace('+1s', 'soon')}", "line 2, time: 'soon' .*no time; write an ISO time"),
        (f"{HEADING}\n{ROW.replace('+1s', '')}", "line 2, time: is empty; write an ISO time"),
        (f"{HEADING}\n{ROW.replace('+1s', '5')}", "line 2, time: '5' lies before the market's start"),
        (
            f"{HEADING}\n{ROW.replace('place', 'plaice')}",
            "line 2, command: 'plaice' is no command; write place",
        ),
        (f"{HEADING}\n{ROW.replace(',a,', ',,')}", "line 2, client_order_id: is no name"),
        (
            f"{HEADING}\n{ROW.replace('BTC', 'ETH')}",
            "line 2, symbol: 'ETH/USDT' is not in this market; write BTC",
        ),
        (f"{HEADING}\n{ROW.replace('buy', 'long')}", "line 2, side: 'long' is none of buy, sell; write one"),
        (
            f"{HEADING}\n{ROW.replace('buy', 'unspecified')}",
            "line 2, side: 'unspecified' is none of buy, sell",
        ),
        (
            f"{HEADING}\n{ROW.replace('limit', 'limmit')}",
            "line 2, type: 'limmit' is none of market, limit, stop",
        ),
        (f"{HEADING}\n{ROW.replace('limit', '')}", "line 2, type: is empty; write market, limit"),
        (
            f"{HEADING}\n{ROW.replace(',1,', ',NaN,')}",
            "line 2, quantity: 'NaN' is no number; write plain digits",
        ),
        (f"{HEADING}\n{ROW.replace(',1,', ',-1,')}", "line 2, quantity: '-1' is not above zero"),
        (f"{HEADING}\n{ROW.replace(',1,', ',,')}", "line 2, quantity: is empty"),
        (f"{HEADING}\n{ROW.replace(',100', ',1e5')}", "line 2, limit_price: '1e5' is no number"),
        (f"{HEADING}\n{ROW.replace('place', 'cancel')}", "line 2, side: 'buy' does not belong to a cancel"),
        (f"{HEADING}\n+1s,replace,a,,,,,", "line 2, command: 'replace' changes nothing; write quantity"),
        (f"{HEADING},post_only\n{ROW},maybe", "line 2, post_only: 'maybe' is neither true nor false"),
    ],
)
def test_an_error_names_line_column_value_and_way_out(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(OrdersFileError, match=rf"orders\.csv.*{says}"):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "line 1: is no JSON"),
        ("[]", "line 1: is no object"),
        ('{"time": "+1s", "client_order_id": "a", "side": ["buy"]}', "line 1, side: is a list or an object"),
        (
            '{"time": "+1s", "client_order_id": "a", "quantity": NaN, "side": "buy", "type": "market"}',
            "'NaN' is no number",
        ),
    ],
)
def test_an_error_in_json_names_its_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(OrdersFileError, match=says):
        read(tmp_path, text, "orders.jsonl")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(OrdersFileError, match=r"none\.csv: cannot be read"):
        read_orders(tmp_path / "none.csv", ("X",), START)
    latin = tmp_path / "latin.csv"
    latin.write_bytes(b"time,client_order_id\n+1s,\xe9\n")
    with pytest.raises(OrdersFileError, match=r"latin\.csv: is not UTF-8"):
        read_orders(latin, ("X",), START)


def test_of_several_instruments_each_order_names_its_own(tmp_path: Path) -> None:
    with pytest.raises(OrdersFileError, match="line 2, symbol: is empty; write A or B"):
        read(tmp_path, f"{HEADING}\n{ROW.replace('BTC/USDT', '')}", symbols=("A", "B"))
