"""Opens a recording by what it holds: a file, several files after one another, a folder or a pattern."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from brokergate.sim.feeds.binance import BinanceTape
from brokergate.sim.feeds.files import is_zip, magic, read_lines, read_zip_lines, zip_members
from brokergate.sim.feeds.layout import TableLayout
from brokergate.sim.feeds.quotes import QuoteTape
from brokergate.sim.feeds.table import PARQUET_MAGIC, TableTape
from brokergate.sim.feeds.tape import Tape, TapeError, TapeFormat, TapeOverrides

MAX_FILES = 10_000
"""Files that one tape may be made of: some 27 years of days."""

TapeSource = str | Path | Sequence[str | Path]
"""A path, a pattern such as `quotes/*.zip`, or several of them."""

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_binance = re.compile(rb"([0-9]+ +)?\{").match
_quotes = re.compile(rb"[0-9]+,[^,]*,[^,]*").fullmatch
_table = re.compile(rb"[^,;\t|]+([,;\t|][^,;\t|]*)+").fullmatch
_UNDERSTOOD = (
    "give raw frames of Binance's streams, a line each, CSV or Parquet with named columns of quotes, trades, bars or "
    "books, or CSV 'milliseconds,bid,ask'"
)


def open_tape(source: TapeSource, overrides: TapeOverrides | None = None) -> Tape:
    """The tape in `source`, its format found from the content.

    Looks at the beginning only; `survey()` reads it all. `TapeError` where nothing is found or understood,
    where the files are of different formats, or where frames of Binance are in more than one file.
    """
    paths = tape_paths(source)
    formats = {path: detect(path) for path in paths}
    if len(set(formats.values())) > 1:
        odd = next(path for path in paths if formats[path] is not formats[paths[0]])
        problem = f"holds {formats[odd]}, and {paths[0]} holds {formats[paths[0]]}"
        raise TapeError(str(odd), None, problem, "give files of one format")
    if formats[paths[0]] in (TapeFormat.CSV, TapeFormat.PARQUET):
        return TableTape(paths, overrides)
    if overrides is not None and overrides.layout != TableLayout():
        problem = f"is no table but holds {formats[paths[0]]}, and a layout of tables is set"
        raise TapeError(str(paths[0]), None, problem, "leave out what is of tables, such as 'columns'")
    if formats[paths[0]] is TapeFormat.QUOTES:
        return QuoteTape(paths, overrides)
    if len(paths) > 1:
        problem = "is a second file of Binance frames"
        raise TapeError(
            str(paths[1]), None, problem, "join them into one: the book's sequence runs through a file"
        )
    return BinanceTape(paths[0], overrides)


def tape_paths(source: TapeSource) -> list[Path]:
    """The files that `source` names: those of a folder or a pattern sorted by name, hidden ones left out."""
    names = [source] if isinstance(source, (str, Path)) else list(source)
    paths: list[Path] = []
    for name in names:
        path = Path(name)
        try:
            if path.is_dir():
                found = sorted(child for child in path.iterdir() if child.is_file() and child.name[0] != ".")
            elif not path.exists() and glob.has_magic(str(name)):
                found = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
            else:
                found = [path]
        except (OSError, ValueError) as error:
            raise TapeError(
                str(name)[:256], None, f"cannot be read ({error})", "give a recording's path"
            ) from error
        paths += found
    if not 1 <= len(paths) <= MAX_FILES:
        shown = ", ".join(str(name) for name in names[:4])
        raise TapeError(
            shown, None, f"there are {len(paths)} files", "give the path of at least one recording"
        )
    return paths


def detect(path: Path) -> TapeFormat:
    """The format of a file, by its first line."""
    if magic(path) == PARQUET_MAGIC:
        return TapeFormat.PARQUET
    lines = read_zip_lines(path, zip_members(path)[0]) if is_zip(path) else read_lines(path)
    for line, raw in islice(lines, 1):
        if _binance(raw) and not is_zip(path):
            return TapeFormat.BINANCE
        if _quotes(raw):
            return TapeFormat.QUOTES
        if raw.startswith(_UTF_16):
            raise TapeError(str(path), line, "the text is UTF-16", "write the file again as UTF-8")
        if _table(raw) and not raw[:1].isdigit():
            return TapeFormat.CSV
        shown = raw[:32].decode("ascii", "replace")
        raise TapeError(str(path), line, f"the format is not known (it starts with {shown!r})", _UNDERSTOOD)
    raise TapeError(str(path), None, "the file is empty", _UNDERSTOOD)
