"""Lines out of recordings: plain, gzip or zip, recognised by their first bytes, every fault a `TapeError`."""

from __future__ import annotations

import gzip
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from brokergate.sim.feeds.tape import TapeError

MAX_LINE_BYTES = 16 * 1024 * 1024
"""The longest line that is read. A depth snapshot of 5,000 levels a side is about 0.4 MB."""

MAX_ZIP_MEMBERS = 10_000
"""The most files that one zip may hold."""

_GZIP_MAGIC = b"\x1f\x8b"
_ZIP_MAGIC = b"PK\x03\x04"
_READ_FAULTS = (
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
    LookupError,
    lzma.LZMAError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
"""What the standard library raises on damaged or unsupported archives.

By fuzzing: zipfile lets IndexError and struct.error through on a damaged directory, and RuntimeError says
that a member is encrypted or packed in a way that it does not know.
"""


def is_zip(path: Path) -> bool:
    """Whether the file's content is a zip archive."""
    return magic(path).startswith(_ZIP_MAGIC)


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """`(line number from 1, line without its end)` of a plain or gzip file; blank lines are left out."""
    if magic(path).startswith(_GZIP_MAGIC):
        yield from _lines(str(path), io.BufferedReader(gzip.GzipFile(path)))
    else:
        yield from _lines(str(path), path.open("rb"))


def zip_members(path: Path) -> list[str]:
    """The names of the files in a zip, sorted."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(info.filename for info in archive.infolist() if not info.is_dir())
    except _READ_FAULTS as error:
        raise _damaged(str(path), None, error) from error
    if not 1 <= len(names) <= MAX_ZIP_MEMBERS:
        raise TapeError(
            str(path), None, f"the zip holds {len(names)} files", "put the CSV of one day into each zip"
        )
    return names


def read_zip_lines(path: Path, member: str) -> Iterator[tuple[int, bytes]]:
    """As `read_lines`, of one file in a zip."""
    name = f"{path}:{member}"
    try:
        archive = zipfile.ZipFile(path)
    except _READ_FAULTS as error:
        raise _damaged(name, None, error) from error
    with archive:
        try:
            stream = archive.open(member)
        except _READ_FAULTS as error:
            raise _damaged(name, None, error) from error
        yield from _lines(name, cast(BinaryIO, stream))


def magic(path: Path) -> bytes:
    """The first four bytes of a file; `TapeError` where it cannot be read."""
    try:
        with path.open("rb") as stream:
            return stream.read(4)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise TapeError(
            str(path), None, f"cannot be read ({reason})", "give the path of a recording"
        ) from error


def _lines(name: str, stream: BinaryIO | io.BufferedReader) -> Iterator[tuple[int, bytes]]:
    line = 0
    with stream:
        while True:
            try:
                raw = stream.readline(MAX_LINE_BYTES)
            except _READ_FAULTS as error:
                raise _damaged(name, line + 1, error) from error
            if not raw:
                return
            line += 1
            if len(raw) >= MAX_LINE_BYTES:
                problem = f"the line is longer than {MAX_LINE_BYTES} bytes"
                raise TapeError(name, line, problem, "record one frame a line")
            text = raw.strip()
            if text:
                yield line, text


def _damaged(name: str, line: int | None, error: BaseException) -> TapeError:
    if isinstance(error, EOFError):
        problem = "the compressed file is truncated"
    else:
        problem = f"the compressed file is damaged ({str(error)[:120] or type(error).__name__})"
    return TapeError(
        name, line, problem, "record it again, or unpack what is whole ('zcat FILE') and cut the last line"
    )
