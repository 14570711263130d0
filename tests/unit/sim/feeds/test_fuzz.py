"""Whatever bytes a tape holds, playing it ends well or with a `TapeError`."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path
from random import Random

import pytest

from brokergate.sim.feeds.info import tape_info
from brokergate.sim.feeds.opening import open_tape
from brokergate.sim.feeds.tape import TapeError
from brokergate.sim.market import BookDelta, BookSnapshot
from tests.unit.sim.feeds.recording import GOOD, text, ticker

# fmt: off
PIECES = (
    b"NaN", b"null", b"[]", b"{}", b'""', b"-1", b"1e400", b"0", b"9" * 30, b'"', b"\\ud800", b"\n", b"\r\n",
    b",", b"\xff\xfe", b"\x00", b"[" * 2_000, b'{"e":', b"true", b'"U"', b'"s"', b'"lastUpdateId"', b" ",
)
# fmt: on
QUOTE_ROWS = b"".join(b"%d,1.%05d,1.%05d\n" % (ms, ms, ms + 9) for ms in range(100, 2_000, 50))


def mutated(random: Random, content: bytes) -> bytes:
    """`content` with one to four cuts, swaps, doublings or insertions."""
    data = bytearray(content)
    for _ in range(random.randint(1, 4)):
        start = random.randrange(len(data) + 1)
        end = min(len(data), start + random.choice((1, 2, 5, 20, 200)))
        match random.randrange(5):
            case 0:
                del data[start:end]
            case 1:
                data[start:start] = random.choice(PIECES)
            case 2:
                data[start:end] = random.choice(PIECES)
            case 3:
                data[start:start] = data[start:end]
            case _:
                data[start:end] = random.randbytes(end - start)
    return bytes(data)


def plays_or_says_why(path: Path) -> bool:
    """Whether it played; no other exception than `TapeError` comes out, and times never run backwards."""
    try:
        last_ns = 0
        for update in open_tape(path).updates():
            assert update.time_ns >= last_ns
            last_ns = update.time_ns
            if isinstance(update, (BookSnapshot, BookDelta)):
                assert all(price > 0 and size >= 0 for price, size in (*update.bids, *update.asks))
        tape_info(path)
    except TapeError:
        return False
    return True


def zipped(path: Path) -> bytes:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("20140502_eurusd_tick_quote.csv", QUOTE_ROWS)
    return path.read_bytes()


@pytest.mark.parametrize("form", ["frames", "unstamped", "packed", "quotes", "zip"])
def test_mutated_tapes_only_ever_give_tape_errors(tmp_path: Path, form: str) -> None:
    """Two thousand mutations of each form of recording, by seed."""
    frames = (*GOOD, ticker(3, ("1", "1"), ("2", "1"), "ETHBTC"), {"result": None, "id": 1})
    path = tmp_path / (
        "20140502_eurusd_tick_quote.csv" if form == "quotes" else "oanda_eurusd_20140502_quote.zip"
    )
    original = {
        "frames": lambda: text(GOOD).encode(),
        "unstamped": lambda: text(frames[2:], stamped=False).encode(),
        "packed": lambda: gzip.compress(text(GOOD).encode(), mtime=0),
        "quotes": lambda: QUOTE_ROWS,
        "zip": lambda: zipped(path),
    }[form]()
    path.write_bytes(original)
    assert plays_or_says_why(path)
    played = 0
    for seed in range(2_000):
        path.write_bytes(mutated(Random(f"{form}/{seed}"), original))
        try:
            played += plays_or_says_why(path)
        except BaseException as error:
            error.add_note(f"{form}, seed {seed}")
            raise
    assert played < 2_000
