"""Tables of text as rows: CSV with a header, plain, gzip or zip, separated by commas, semicolons, tabs or bars."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from brokergate.sim.feeds.files import is_zip, read_lines, read_zip_lines, zip_members
from brokergate.sim.feeds.tape import TapeError

Row = tuple[int, Sequence[str]]
"""Number in the file, from 1, and fields."""

_SEPARATORS = ",;\t|"
_BOM = b"\xef\xbb\xbf"


class Table(Protocol):
    """One file, or one file in a zip."""

    name: str
    """What to call it in a message."""
    unit: str
    """What its numbers count: `line` or `row`."""
    header: Sequence[str]
    header_line: int
    """Where the header stands; 0 where it is no line."""
    time_format: str | None
    """The format of its times where the file itself says so."""

    def rows(self, used: Sequence[int]) -> Iterator[Row | TapeError]:
        """The rows, of which only the columns `used` need be told, the others may be empty; and instead of one that
        cannot be read but could be left out, the error. Raises `TapeError` where the file cannot be read on."""
        ...


@dataclass(slots=True)
class CsvTable:
    """See the module."""

    path: Path
    member: str | None
    name: str = ""
    unit: str = "line"
    header: Sequence[str] = ()
    header_line: int = 0
    time_format: str | None = None
    separator: str = ","

    def __post_init__(self) -> None:
        self.name = str(self.path) if self.member is None else f"{self.path}:{self.member}"
        for line, raw in self._lines():
            text = self._text(line, raw.removeprefix(_BOM))
            self.separator = max(_SEPARATORS, key=text.count)
            try:
                self.header, self.header_line = self._split(text), line
            except csv.Error as error:
                raise TapeError(self.name, line, f"the header is no CSV ({error})", "mend it") from error
            return
        raise TapeError(self.name, None, "the file is empty", "give a table with a header and rows")

    def rows(self, used: Sequence[int]) -> Iterator[Row | TapeError]:
        """The rows after the header."""
        separator, width = self.separator, len(self.header)
        first = self.header_line
        for line, raw in self._lines():
            if line <= first:
                continue
            try:
                text = raw.decode("utf-8")
            except UnicodeDecodeError:
                yield self._undecodable(line)
                continue
            try:
                fields = text.split(separator) if '"' not in text else self._split(text)
            except csv.Error as error:
                yield TapeError(self.name, line, f"the line is no CSV ({error})", "mend the line")
                continue
            if len(fields) != width:
                problem = f"the line has {len(fields)} columns, and the header has {width}"
                yield TapeError(self.name, line, problem, "mend it, or set 'bad_lines: drop'")
                continue
            yield line, fields

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        return read_lines(self.path) if self.member is None else read_zip_lines(self.path, self.member)

    def _text(self, line: int, raw: bytes) -> str:
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            raise self._undecodable(line) from None

    def _undecodable(self, line: int) -> TapeError:
        return TapeError(self.name, line, "the text is not UTF-8", "write the file again as UTF-8")

    def _split(self, text: str) -> list[str]:
        return next(csv.reader([text], delimiter=self.separator), [])


def csv_tables(path: Path) -> list[CsvTable]:
    """The tables in a file: one, or for a zip as many as it holds."""
    if not is_zip(path):
        return [CsvTable(path, None)]
    return [CsvTable(path, member) for member in zip_members(path)]
