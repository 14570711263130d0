"""Looks for secrets in what programs have written: in clear, and as base64, hexadecimal, percent-encoded and JSON."""

from __future__ import annotations

import base64
import json
import logging
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

DATABASES = (".db",)
SUITE = ("emulator-key", "emulator-secret")
"""What accounts at an emulator have unless a test says otherwise: no process of ours and no log shows it."""
ROW_BY_ROW = 20 << 20
"""Bytes up to which a database is looked at row by row."""


def forms(secret: str) -> Iterator[tuple[str, bytes]]:
    """How a secret may stand in a file. Of several lines each long one counts by itself."""
    for line in secret.splitlines():
        if line.startswith("-----") or len(line) < 8:
            continue
        raw, name = line.encode(), f"{line[:4]}…{line[-4:]}"
        yield f"{name} in clear", raw
        yield f"{name} in UTF-16", line.encode("utf-16-le")
        yield f"{name} in hexadecimal", raw.hex().encode()
        yield f"{name} percent-encoded", quote(line, safe="").encode()
        yield f"{name} in JSON", json.dumps(line)[1:-1].encode()
        for skipped in range(3):
            # Wherever it begins among the groups of three bytes: without the characters that its neighbours share.
            whole = raw[skipped : skipped + (len(raw) - skipped) // 3 * 3]
            yield f"{name} in base64", base64.b64encode(whole)


class Scan:
    """Everything that was written, and which secrets are in it."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._forms = [form for secret in secrets for form in forms(secret)]
        self.bytes = 0
        """How much was looked at."""
        self.found: list[str] = []
        """Where which secret was found."""

    def look(self, place: str, written: bytes | str) -> None:
        """Looks at something that was written."""
        raw = written.encode("utf-8", "surrogateescape") if isinstance(written, str) else written
        self.bytes += len(raw)
        lower = raw.lower()
        for name, form in self._forms:
            if form in raw or ("hexadecimal" in name and form in lower):
                self.found.append(f"{place}: {name}")

    def look_into(self, folder: Path) -> None:
        """Looks at every file below `folder`; at databases also row by row, since a page may cut a text in two."""
        for path in sorted(folder.rglob("*")):
            if not path.is_file():
                continue
            self.look(str(path), path.read_bytes())
            if path.suffix in DATABASES and path.stat().st_size <= ROW_BY_ROW:
                # One that a test has broken was looked at as it lies there.
                with suppress(sqlite3.DatabaseError):
                    self._look_into_database(path)

    def _look_into_database(self, path: Path) -> None:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            connection.text_factory = bytes
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for (table,) in tables:
                for row in connection.execute(f'SELECT * FROM "{table.decode()}"'):
                    cells = [cell for cell in row if isinstance(cell, bytes)]
                    self.look(f"{path} {table.decode()}", b"\n".join(cells))


class LogWatch(logging.Handler):
    """Looks at what this process logs, tracebacks too."""

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__()
        self.scan = Scan(secrets)

    def emit(self, record: logging.LogRecord) -> None:
        """Looks at one line."""
        self.scan.look(f"the log of {record.name}", self.format(record))
