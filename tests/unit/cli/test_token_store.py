"""The access tokens: made once, kept as hashes, read again, told apart by why they are refused."""

from __future__ import annotations

import hashlib
import hmac
import json
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from brokergate.domain.access import Principal, Scope
from brokergate.domain.errors import ErrorReason, GatewayError
from brokergate.tokens import MAX_TOKENS, TokenError, TokenStore

START_NS = 1_800_000_000_000_000_000


class SteppedClock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.time_ns = START_NS

    def now_ns(self) -> int:
        return self.time_ns

    def monotonic_ns(self) -> int:
        return self.time_ns

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("tokens do not sleep")


def counted() -> Callable[[int], bytes]:
    """Entropy that is none: 32 bytes that count up."""
    state = iter(range(1_000_000))
    return lambda size: next(state).to_bytes(size, "big")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of the tokens, in a folder that is not there yet."""
    return tmp_path / "data" / "tokens.json"


@pytest.fixture
def clock() -> SteppedClock:
    """The clock."""
    return SteppedClock()


@pytest.fixture
def store(path: Path, clock: SteppedClock) -> TokenStore:
    """The tokens as a server has them."""
    return TokenStore(path, clock)


@pytest.fixture
def beside(path: Path, clock: SteppedClock) -> TokenStore:
    """The tokens as the command line has them, in another process."""
    return TokenStore(path, clock)


def make(store: TokenStore, name: str = "bot", scope: Scope = Scope.TRADE, **more: Any) -> str:
    entropy = more.pop("entropy", counted())
    return store.create(name, scope, more.pop("accounts", ["paper"]), more.pop("expires_in_s", None), entropy)


def reason(store: TokenStore, token: str) -> ErrorReason:
    with pytest.raises(GatewayError) as caught:
        store.authenticate(token)
    assert token not in str(caught.value)
    return caught.value.reason


def test_a_token_is_a_prefix_and_256_bits(store: TokenStore) -> None:
    """The bits are those of the entropy that is handed in, in base64url."""
    token = make(store, entropy=lambda size: b"\xff" * size)
    assert token == "bg_" + "_" * 42 + "8"


def test_it_stands_for_its_principal(store: TokenStore) -> None:
    """Name, scope and accounts, without end, revocable."""
    token = make(store, "bot", Scope.READ, accounts=["b", "a", "b"])
    assert store.authenticate(token) == Principal(
        "bot", Scope.READ, frozenset({"a", "b"}), None, revocable=True
    )


def test_a_token_for_all_accounts(store: TokenStore) -> None:
    """Those made later too."""
    assert store.authenticate(make(store, accounts=None)).accounts is None


def test_only_its_hash_is_kept(store: TokenStore, path: Path) -> None:
    """In a file that nobody else may read."""
    token = make(store)
    content = path.read_text()
    assert token not in content
    assert token.removeprefix("bg_") not in content
    assert hashlib.sha256(token.encode()).hexdigest() in content
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert token not in repr(store.list())
    assert store.list()[0].sha256 not in repr(store.list())


def test_the_file_is_as_documented(store: TokenStore, path: Path) -> None:
    """What another program may rely on."""
    token = make(store, "bot", Scope.ADMIN, accounts=None, expires_in_s=3600)
    assert json.loads(path.read_text()) == {
        "version": 1,
        "tokens": [
            {
                "name": "bot",
                "sha256": hashlib.sha256(token.encode()).hexdigest(),
                "scope": "admin",
                "accounts": "*",
                "created": "2027-01-15T08:00:00Z",
                "expires": "2027-01-15T09:00:00Z",
                "revoked": None,
            }
        ],
    }


def test_a_token_that_nobody_made_is_invalid(store: TokenStore) -> None:
    """With tokens and without."""
    assert reason(store, "bg_" + "A" * 43) is ErrorReason.TOKEN_INVALID
    token = make(store)
    assert reason(store, token[:-1]) is ErrorReason.TOKEN_INVALID
    assert reason(store, token + "A") is ErrorReason.TOKEN_INVALID
    assert reason(store, "bg_") is ErrorReason.TOKEN_INVALID


@given(token=st.text(max_size=80))
def test_no_text_is_a_token_by_chance(tmp_path_factory: pytest.TempPathFactory, token: str) -> None:
    """Lone surrogates among them: refused, and no crash."""
    path = tmp_path_factory.getbasetemp() / "chance.json"
    store = TokenStore(path, SteppedClock())
    if not store.required:
        make(store)
    assert reason(store, "x" + token) is ErrorReason.TOKEN_INVALID


def test_a_token_expires_on_the_second(store: TokenStore, clock: SteppedClock) -> None:
    """Valid to the last nanosecond before."""
    token = make(store, expires_in_s=60)
    clock.time_ns = START_NS + 60_000_000_000 - 1
    assert store.authenticate(token).expires_ns == START_NS + 60_000_000_000
    clock.time_ns += 1
    assert reason(store, token) is ErrorReason.TOKEN_EXPIRED


def test_a_revoked_token_is_told_so(store: TokenStore, clock: SteppedClock) -> None:
    """Also when it has expired meanwhile; revoking it again changes nothing."""
    token = make(store, expires_in_s=60)
    store.revoke("bot")
    assert reason(store, token) is ErrorReason.TOKEN_REVOKED
    assert not store.is_active("bot")
    first = store.list()[0].revoked
    clock.time_ns += 3600 * 10**9
    store.revoke("bot")
    assert store.list()[0].revoked == first
    assert reason(store, token) is ErrorReason.TOKEN_REVOKED


def test_a_name_is_used_once(store: TokenStore) -> None:
    """Nobody takes over the name, and with it the streams, of a token that was revoked."""
    make(store, "bot")
    with pytest.raises(TokenError, match="'bot' exists"):
        make(store, "bot")
    store.revoke("bot")
    with pytest.raises(TokenError, match="'bot' was revoked, and names are not used twice; choose another"):
        make(store, "bot")


def test_revoking_what_is_not_there_names_what_is(store: TokenStore) -> None:
    """The way out of a slip of the pen."""
    make(store, "bot")
    with pytest.raises(TokenError, match=r"there is no token 'bto' in .*; there are: 'bot'"):
        store.revoke("bto")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"name": ""}, "the name must be of"),
        ({"name": "a b"}, "the name must be of"),
        ({"name": "a" * 65}, "at most 64"),
        ({"name": "bot\n"}, "the name must be of"),
        ({"accounts": []}, "has no account"),
        ({"accounts": ["a/b"]}, "'a/b' is no account id"),
        ({"expires_in_s": 0}, "expired at once"),
        ({"expires_in_s": 10**12}, "after the year 9999"),
        ({"expires_in_s": 10**30}, "after the year 9999"),
    ],
)
def test_what_a_token_cannot_be(store: TokenStore, path: Path, wrong: dict[str, Any], says: str) -> None:
    """Refused before anything is written."""
    with pytest.raises(TokenError, match=says):
        make(store, **wrong)
    assert not path.exists()


def test_there_are_at_most_so_many(store: TokenStore, path: Path) -> None:
    """Each call is compared with all of them, so their number is bounded."""
    make(store)
    (token,) = json.loads(path.read_text())["tokens"]
    tokens = [token | {"name": f"t{number}"} for number in range(MAX_TOKENS)]
    path.write_text(json.dumps({"version": 1, "tokens": tokens}))
    with pytest.raises(TokenError, match=f"holds {MAX_TOKENS} tokens"):
        make(store, "one-more")


def test_without_tokens_none_is_required(store: TokenStore) -> None:
    """And once there was one, it stays so."""
    assert not store.required
    make(store)
    store.revoke("bot")
    assert store.required


def test_every_token_is_compared_in_constant_time(store: TokenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all of them, wherever the right one stands, so that time tells nothing."""
    tokens = [
        make(store, f"t{number}", entropy=lambda size, n=number: bytes([n]) * size) for number in range(5)
    ]
    compared: list[str] = []
    compare = hmac.compare_digest

    def counting(one: str, other: str) -> bool:
        compared.append(one)
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", counting)
    for token in (tokens[0], tokens[-1]):
        compared.clear()
        store.authenticate(token)
        assert len(compared) == len(tokens)


class TestReading:
    """The server reads what the command line has written."""

    def test_a_new_token_is_known_at_once(self, store: TokenStore, beside: TokenStore) -> None:
        """Its first use does not wait for the next look at the file."""
        token = make(beside)
        assert store.authenticate(token).name == "bot"

    def test_a_change_is_told_once(self, store: TokenStore, beside: TokenStore) -> None:
        """So that whoever keeps principals drops them."""
        assert not store.refresh()
        token = make(beside)
        assert store.refresh()
        assert not store.refresh()
        beside.revoke("bot")
        assert store.refresh()
        assert not store.is_active("bot")
        assert reason(store, token) is ErrorReason.TOKEN_REVOKED

    def test_a_change_that_authenticate_saw_first_is_told_too(
        self, store: TokenStore, beside: TokenStore
    ) -> None:
        """A revocation that came with a new token reaches those who keep principals."""
        make(beside, "old")
        store.refresh()
        beside.revoke("old")
        store.authenticate(make(beside, "new", entropy=lambda size: b"n" * size))
        assert not store.is_active("old")
        assert store.refresh()

    def test_what_was_touched_and_not_changed_is_no_change(
        self, store: TokenStore, beside: TokenStore, path: Path
    ) -> None:
        """The file is read again, and says the same."""
        make(beside)
        store.refresh()
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
        assert not store.refresh()

    @pytest.mark.parametrize(
        "damage",
        [
            pytest.param(lambda text: b"", id="empty"),
            pytest.param(lambda text: text[: len(text) // 2], id="half"),
            pytest.param(lambda text: b"[]", id="a list"),
            pytest.param(lambda text: b"\xff" + text, id="not UTF-8"),
            pytest.param(lambda text: text.replace(b'"version": 1', b'"version": 2'), id="another version"),
            pytest.param(lambda text: text.replace(b"trade", b"root"), id="another scope"),
            pytest.param(lambda text: text.replace(b"sha256", b"md5"), id="another key"),
            pytest.param(lambda text: text.replace(b"00Z", b"00"), id="no time zone"),
            pytest.param(lambda text: text + b" " * (5 << 20), id="too large"),
            pytest.param(lambda text: None, id="gone"),
        ],
    )  # fmt: skip
    def test_a_damaged_file_changes_nothing(
        self, store: TokenStore, path: Path, clock: SteppedClock, damage: Callable[[bytes], bytes | None]
    ) -> None:
        """The tokens stay as they were, the log says so once, and a new start refuses (but where it is gone)."""
        token = make(store)
        store.refresh()
        damaged = damage(path.read_bytes())
        if damaged is None:
            path.unlink()
        else:
            path.write_bytes(damaged)
        with capture_logs() as logs:
            assert not store.refresh()
            assert not store.refresh()
        assert store.authenticate(token).name == "bot"
        assert [line["event"] for line in logs] == ["tokens_unreadable"]
        assert str(path) in logs[0]["error"]
        if damaged is not None:
            with pytest.raises(TokenError, match=r"tokens\.json is damaged .*; restore it"):
                TokenStore(path, clock)

    def test_it_recovers(self, store: TokenStore, beside: TokenStore, path: Path) -> None:
        """Once the file is whole again it counts again."""
        token = make(store)
        content = path.read_bytes()
        path.write_bytes(b"{")
        with capture_logs():
            store.refresh()
        path.write_bytes(content)
        beside.revoke("bot")
        assert store.refresh()
        assert reason(store, token) is ErrorReason.TOKEN_REVOKED

    def test_two_tokens_of_one_name_are_damage(
        self, store: TokenStore, path: Path, clock: SteppedClock
    ) -> None:
        """A name is one token's."""
        make(store)
        file = json.loads(path.read_text())
        path.write_text(json.dumps(file | {"tokens": file["tokens"] * 2}))
        with pytest.raises(TokenError, match="a name twice"):
            TokenStore(path, clock)


class TestWriting:
    """Whole or not at all."""

    def test_writers_at_once_lose_nothing(self, path: Path, clock: SteppedClock) -> None:
        """Each reads what the others wrote, under the lock."""

        def write(number: int) -> str:
            return make(
                TokenStore(path, clock), f"t{number}", entropy=lambda size: number.to_bytes(size, "big")
            )

        with ThreadPoolExecutor(8) as pool:
            tokens = list(pool.map(write, range(40)))
        store = TokenStore(path, clock)
        assert {token.name for token in store.list()} == {f"t{number}" for number in range(40)}
        assert [store.authenticate(token).name for token in tokens] == [f"t{number}" for number in range(40)]

    def test_a_failed_write_leaves_the_old_file(
        self, store: TokenStore, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And nothing beside it."""
        make(store)
        before = path.read_bytes()

        def full(self: Path, target: Path) -> Path:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", full)
            with pytest.raises(TokenError, match=r"cannot be written .No space left on device.; make room"):
                store.revoke("bot")
        assert path.read_bytes() == before
        assert sorted(file.name for file in path.parent.iterdir()) == ["tokens.json", "tokens.json.lock"]
        assert store.is_active("bot")

    def test_a_folder_that_cannot_be(self, tmp_path: Path, clock: SteppedClock) -> None:
        """A file stands where the data should go."""
        (tmp_path / "data").write_text("")
        with pytest.raises(TokenError, match=r"tokens\.json cannot be read"):
            TokenStore(tmp_path / "data" / "tokens.json", clock)
