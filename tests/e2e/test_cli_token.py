"""`brokergate token`, as a user runs it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from brokergate.domain.access import Scope
from brokergate.ports.clock import SystemClock
from brokergate.tokens import TokenStore
from tests.e2e.console import brokergate


def new(folder: Path, name: str = "bot", *more: str) -> str:
    """Make a token and give it back."""
    done = brokergate("token", "new", name, "--scope", "trade", "--accounts", "paper", *more, cwd=folder)
    assert done.status == 0, done.stderr
    return done.text.strip()


def test_a_token_is_printed_once_and_alone(tmp_path: Path) -> None:
    """On standard output, so that a script can take it; the words are on standard error."""
    done = brokergate("token", "new", "bot", "--scope", "read", "--accounts", "a, b", cwd=tmp_path)
    assert done.status == 0
    assert re.fullmatch(r"bg_[A-Za-z0-9_-]{43}\n", done.text)
    assert "it is not shown again" in done.stderr
    token = done.text.strip()
    assert token not in done.stderr
    principal = TokenStore(tmp_path / "data" / "tokens.json", SystemClock()).authenticate(token)
    assert (principal.name, principal.scope, principal.accounts) == ("bot", Scope.READ, frozenset({"a", "b"}))


def test_two_tokens_differ(tmp_path: Path) -> None:
    """The entropy is the machine's."""
    assert new(tmp_path, "one") != new(tmp_path, "two")


def test_the_list_shows_no_token(tmp_path: Path) -> None:
    """Neither the tokens nor their hashes, for people and for pipes."""
    tokens = [new(tmp_path, "one", "--expires-in", "30d"), new(tmp_path, "two")]
    assert brokergate("token", "revoke", "two", cwd=tmp_path).text == "two is revoked\n"
    table = brokergate("token", "list", cwd=tmp_path).text
    lines = brokergate("token", "list", "--json", cwd=tmp_path).text
    kept = json.loads((tmp_path / "data" / "tokens.json").read_text())["tokens"]
    for hidden in [*tokens, *(entry["sha256"] for entry in kept)]:
        assert hidden not in table + lines
    header, first, second = table.splitlines()
    assert header.split() == ["NAME", "SCOPE", "ACCOUNTS", "CREATED", "EXPIRES", "STATE"]
    assert (first.split()[0], first.split()[-1]) == ("one", "active")
    assert second.split()[-2:] == ["never", "revoked"]
    one, two = (json.loads(line) for line in lines.splitlines())
    assert (one["name"], one["scope"], one["accounts"], one["state"]) == ("one", "trade", ["paper"], "active")
    assert (two["state"], two["expires"]) == ("revoked", None)


def test_all_accounts(tmp_path: Path) -> None:
    """`*` is those made later too."""
    token = brokergate(
        "token", "new", "bot", "--scope", "admin", "--accounts", "*", cwd=tmp_path
    ).text.strip()
    principal = TokenStore(tmp_path / "data" / "tokens.json", SystemClock()).authenticate(token)
    assert (principal.scope, principal.accounts) == (Scope.ADMIN, None)


def test_the_tokens_lie_where_the_gateway_looks(tmp_path: Path) -> None:
    """By --data-dir and by --config alike."""
    new(tmp_path, "one", "--data-dir", "elsewhere")
    assert (tmp_path / "elsewhere" / "tokens.json").exists()
    (tmp_path / "c.yaml").write_text("accounts: {paper: {broker: paper}}\nserver: {tokens: keys/t.json}\n")
    new(tmp_path, "two", "--config", "c.yaml")
    assert "two" in (tmp_path / "keys" / "t.json").read_text()
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["new", "a b", "--scope", "read", "--accounts", "paper"], 1, "the name must be of A-Z a-z 0-9 _ -"),
        (["new", "b", "--scope", "root", "--accounts", "paper"], 2, "root"),
        (["new", "b", "--scope", "read", "--accounts", "a/b"], 1, "'a/b' is no account id"),
        (["new", "b", "--scope", "read", "--accounts", " , "], 1, "has no account"),
        (["new", "b", "--scope", "read"], 2, "--accounts"),
        (["new", "b", "--accounts", "paper"], 2, "--scope"),
        (["new", "b", "--scope", "read", "--accounts", "p", "--expires-in", "1y"], 2, "such as 30d"),
        (["new", "b", "--scope", "read", "--accounts", "p", "--expires-in", "0d"], 1, "expired at once"),
        (["new", "b", "--scope", "read", "--accounts", "p", "--expires-in", "999999999w"], 1, "year 9999"),
        (["revoke", "nobody"], 1, "there is no token 'nobody'"),
        (["list", "--config", "nowhere.yaml"], 2, "nowhere.yaml: cannot be read"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path: Path, arguments: list[str], status: int, says: str) -> None:
    """In a line, without a traceback, and no token is made."""
    done = brokergate("token", *arguments, cwd=tmp_path)
    assert (done.status, done.text) == (status, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data" / "tokens.json").exists()


def test_a_damaged_file_is_not_written_over(tmp_path: Path) -> None:
    """What is in it may be worth saving."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "tokens.json").write_text("{")
    done = brokergate("token", "new", "bot", "--scope", "read", "--accounts", "paper", cwd=tmp_path)
    assert (done.status, done.text) == (1, "")
    assert "tokens.json is damaged" in done.stderr
    assert (tmp_path / "data" / "tokens.json").read_text() == "{"
