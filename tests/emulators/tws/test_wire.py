"""Frames and fields of the TWS API."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from tests.emulators.tws.asked import read_order
from tests.emulators.tws.raw import AAPL, order_fields
from tests.emulators.tws.translating import moment_ns
from tests.emulators.tws.wire import (
    UNSET,
    Field,
    Malformed,
    Reader,
    client_versions,
    fields_of,
    frame,
    moment,
    read_frame,
    shown,
)

D = Decimal


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "1"),
        (False, "0"),
        (7, "7"),
        (D("100.00"), "100"),
        (D("190.010"), "190.01"),
        (D("1E+3"), "1000"),
        (D("0.00000001"), "0.00000001"),
        (D("-0.0"), "-0"),
        ("as it is", "as it is"),
    ],
)
def test_a_field_is_written_as_tws_writes_it(value: Field, text: str) -> None:
    assert shown(value) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [("", None), (UNSET, None), ("Infinite", None), ("NaN", None), ("1e400", None), ("0.5", D("0.5"))],
)
def test_a_number_that_is_not_set_is_none(text: str, value: Decimal | None) -> None:
    assert Reader([text]).decimal() == value


def test_beyond_the_last_field_everything_is_empty() -> None:
    reader = Reader(["1", "x"])
    assert (reader.integer(), reader.left, reader.text()) == (1, 1, "x")
    assert (reader.text(), reader.integer(), reader.decimal(), reader.flag()) == ("", 0, None, False)
    assert reader.left == 0


@pytest.mark.parametrize("read", [Reader.integer, Reader.decimal])
def test_a_field_that_is_no_number_is_malformed(read: object) -> None:
    with pytest.raises(Malformed, match="'ten' is no"):
        read(Reader(["ten"]))  # type: ignore[operator]


async def _read(data: bytes) -> str:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return await read_frame(reader)


async def test_a_frame_comes_back_as_its_fields() -> None:
    assert fields_of(await _read(frame([4, 2, -1, "Auftrag für Öl", None]))) == [
        "4",
        "2",
        "-1",
        "Auftrag für Öl",
        "",
    ]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"\xff\xff\xff\xff", Malformed),
        (b"\0\0\0\x02\xff\xfe", Malformed),
        (b"\0\0\0\x05ab", asyncio.IncompleteReadError),
        (b"\0", asyncio.IncompleteReadError),
    ],
)
async def test_what_is_no_frame_is_refused(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        await _read(data)


@pytest.mark.parametrize(
    ("text", "versions"),
    [("v157..176", (157, 176)), ("v100..225 +PACEAPI", (100, 225)), ("v157", (157, 157))],
)
def test_a_client_names_its_versions(text: str, versions: tuple[int, int]) -> None:
    assert client_versions(text) == versions


@pytest.mark.parametrize("text", ["", "157..176", "v..176", "GET / HTTP/1.1", "v157..x"])
def test_what_names_no_versions_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        client_versions(text)


@pytest.mark.parametrize("version", [157, 158, 160, 162, 164, 166, 169, 170, 176, 177, 178])
def test_an_order_is_read_to_its_last_field_at_every_version(version: int) -> None:
    reader = Reader(
        [
            shown(field)
            for field in order_fields(
                version, 7, AAPL, tif="GTD", good_till="20991231-00:00:00", oca="pair", oca_type=2, account="DU1",
                ref="mine", parent=3, trail_percent=D("1.5"), what_if=True, outside_rth=True,
            )
        ]
    )  # fmt: skip
    assert reader.integer() == 3
    asked = read_order(reader, version)
    assert asked.unread == 0
    assert asked.unsupported == ""
    assert (asked.order_id, asked.contract.con_id, asked.action, asked.quantity) == (7, AAPL, "BUY", D(10))
    assert (asked.oca_group, asked.oca_type, asked.account, asked.ref) == ("pair", 2, "DU1", "mine")
    assert (asked.parent_id, asked.good_till, asked.trail_percent) == (3, "20991231-00:00:00", D("1.5"))
    assert (asked.what_if, asked.outside_rth, asked.transmit) == (True, True, True)


@pytest.mark.parametrize(
    ("text", "shown_utc"),
    [
        ("20261218-21:00:00", "20261218-21:00:00"),
        ("20261218 16:00:00 US/Eastern", "20261218-21:00:00"),
        ("20261218 16:00:00", "20261218-16:00:00"),
        ("20261218", "20261218-23:59:59"),
    ],
)
def test_a_time_is_read_in_its_zone(text: str, shown_utc: str) -> None:
    assert moment(moment_ns(text)) == shown_utc


@pytest.mark.parametrize("text", ["", "tomorrow", "20261318-00:00:00", "20261218 16:00:00 Nowhere/Else"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        moment_ns(text)
