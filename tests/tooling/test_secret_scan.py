"""The scan for secrets finds them, in every form and place: otherwise its silence would mean nothing."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.secret_scan import Scan

SECRET = 'Zx81/+"q7 hunter2 marker'


@pytest.mark.parametrize(
    "write",
    [
        lambda secret: f'{{"event": "x", "secret": {json.dumps(secret)}}}',
        lambda secret: f"api_secret={secret}!",
        lambda secret: f"GET /?secret={quote(secret, safe='')} HTTP/1.1",
        lambda secret: secret.encode().hex(),
        lambda secret: secret.encode().hex().upper(),
        lambda secret: base64.b64encode(secret.encode()).decode(),
        lambda secret: base64.b64encode(f"x:{secret}".encode()).decode(),
        lambda secret: base64.b64encode(f"user {secret} y".encode()).decode(),
        lambda secret: secret.encode("utf-16-le").decode("latin-1"),
    ],
)
def test_it_is_found_however_it_is_written(tmp_path: Path, write: Callable[[str], str]) -> None:
    """In a file below the folder."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "log").write_bytes(b"before\n" + write(SECRET).encode("latin-1") + b"\nafter")
    scan = Scan([SECRET])
    scan.look_into(tmp_path)
    assert scan.found
    assert scan.bytes > len(SECRET)


def test_it_is_found_in_a_database(tmp_path: Path) -> None:
    """In a text that is longer than a page."""
    with closing(sqlite3.connect(tmp_path / "journal.db")) as connection:
        connection.execute("CREATE TABLE events (body BLOB)")
        for padding in range(3900, 4100):
            connection.execute("INSERT INTO events VALUES (?)", (b"x" * padding + SECRET.encode(),))
        connection.commit()
    scan = Scan([SECRET])
    scan.look_into(tmp_path)
    assert len([place for place in scan.found if "journal.db events" in place]) >= 200


def test_a_key_in_pem_is_found_by_its_lines() -> None:
    """Its frame is no secret."""
    pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIMarker\n-----END PRIVATE KEY-----"
    scan = Scan([pem])
    scan.look("log", "-----BEGIN PRIVATE KEY----- [redacted]")
    assert scan.found == []
    scan.look("log", "key 'MC4CAQAwBQYDK2VwBCIEIMarker'")
    assert scan.found


def test_what_is_clean_is_clean(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("**********\n[redacted]\nhunter\n")
    scan = Scan([SECRET])
    scan.look_into(tmp_path)
    assert scan.found == []


def test_secrets_that_look_alike_are_told_apart() -> None:
    """Each is looked for."""
    for each in ("emulator-key", "emulator-secret"):
        scan = Scan(["emulator-key", "emulator-secret"])
        scan.look("log", f"key={each}")
        assert any("in clear" in found for found in scan.found)
