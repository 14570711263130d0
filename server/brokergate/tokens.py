"""Access tokens: named, kept as hashes in one file, read again when the file has changed.

A token is `bg_` and 256 random bits, so one round of SHA-256 keeps it safe: there is nothing to guess, and nothing
that a slow hash would make dearer to guess. The file is written by `brokergate token` and read by the server.

The file is JSON, mode 0600: `{"version": 1, "tokens": [{"name", "sha256", "scope", "accounts", "created", "expires",
"revoked"}]}`, times in ISO 8601 (UTC, whole seconds), `accounts` a list of ids or `*`. It is replaced whole, under a
lock (`tokens.json.lock`), so a reader sees the old list or the new one. A revoked token stays in it, so that its user
is told the right reason and its name is never given to another.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import hmac
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import structlog
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from brokergate.domain.access import Principal, Scope
from brokergate.domain.errors import ErrorReason, GatewayError
from brokergate.ports.clock import Clock

PREFIX = "bg_"
"""What every token begins with, so that one that has leaked is found."""

TOKEN_BYTES = 32

MAX_TOKENS = 1000
"""Tokens in a file, revoked ones among them: each call's is compared with all of them."""

MAX_FILE_BYTES = 4 << 20

_NS = 1_000_000_000
_name = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII).fullmatch

_log = structlog.get_logger(__name__)


class TokenError(Exception):
    """The tokens cannot be read or changed; names the file or the token, and the way out. Holds no token."""


class Token(BaseModel):
    """One token, without itself. Its times are UTC, to the second."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", repr=False)
    scope: Literal["read", "trade", "admin"]
    accounts: Literal["*"] | tuple[str, ...]
    created: AwareDatetime
    expires: AwareDatetime | None = None
    revoked: AwareDatetime | None = None

    @property
    def expires_ns(self) -> int | None:
        """When it expires, in nanoseconds since the epoch; None for never."""
        return None if self.expires is None else int(self.expires.timestamp()) * _NS

    def principal(self) -> Principal:
        """Whom it stands for."""
        accounts = None if self.accounts == "*" else frozenset(self.accounts)
        return Principal(self.name, Scope[self.scope.upper()], accounts, self.expires_ns, revocable=True)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    version: Literal[1]
    tokens: tuple[Token, ...] = Field(max_length=MAX_TOKENS)


_Stamp = tuple[int, int, int]


class TokenStore:
    """The tokens of one file; none where there is no file. An `Authenticator` of the transport.

    Raises `TokenError` when the file is there and cannot be read. Once read, a file that is damaged or gone changes
    nothing: the tokens stay as they were, and the log says so.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._now_ns = clock.now_ns
        self._changed = False
        self._stamp = self._stat()
        self._tokens = self._read()

    @property
    def required(self) -> bool:
        """Whether a token was ever made; revoking the last one does not open the gateway again."""
        return bool(self._tokens)

    def list(self) -> Sequence[Token]:
        """All tokens, revoked ones too, in the order in which they were made."""
        return self._tokens

    def create(
        self,
        name: str,
        scope: Scope,
        accounts: Sequence[str] | None,
        expires_in_s: int | None,
        entropy: Callable[[int], bytes],
    ) -> str:
        """Make a token and return it, this one time.

        `accounts` None is every account, those made later too; `expires_in_s` None is for ever. `entropy` gives that
        many random bytes (`secrets.token_bytes`). Raises `TokenError` for a name that is or was used.
        """
        if not _name(name):
            raise TokenError(
                "the name must be of A-Z a-z 0-9 _ -, at most 64 characters, such as 'strategy-1'"
            )
        for account in accounts or ():
            if not _name(account):
                raise TokenError(
                    f"{account[:64]!r} is no account id; write ids such as 'paper', or '*' for all"
                )
        if accounts is not None and not accounts:
            raise TokenError("the token has no account; name one, or '*' for all")
        if expires_in_s is not None and expires_in_s <= 0:
            raise TokenError("the token would be expired at once; give a time such as 30d")
        secret = PREFIX + base64.urlsafe_b64encode(entropy(TOKEN_BYTES)).rstrip(b"=").decode("ascii")
        now = self._now()
        try:
            expires = (
                None
                if expires_in_s is None
                else datetime.fromtimestamp(int(now.timestamp()) + expires_in_s, UTC)
            )
        except (OverflowError, ValueError):
            raise TokenError(
                "the token would expire after the year 9999; leave the time out for a token without end"
            ) from None
        token = Token(
            name=name,
            sha256=_digest(secret),
            scope=_scope_name(scope),
            accounts="*" if accounts is None else tuple(dict.fromkeys(accounts)),
            created=now,
            expires=expires,
        )
        with self._writing():
            taken = next((other for other in self._tokens if other.name == name), None)
            if taken is not None:
                state = "was revoked" if taken.revoked else "exists"
                raise TokenError(
                    f"the token {name!r} {state}, and names are not used twice; choose another name"
                )
            if len(self._tokens) >= MAX_TOKENS:
                raise TokenError(
                    f"{self._path} holds {MAX_TOKENS} tokens, and no more are compared; use another data dir"
                )
            self._write((*self._tokens, token))
        return secret

    def revoke(self, name: str) -> None:
        """Make a token worthless; a running server notices within a second. Raises `TokenError` for an unknown name;
        one that is revoked already stays so."""
        with self._writing():
            if all(token.name != name for token in self._tokens):
                known = ", ".join(repr(token.name) for token in self._tokens if not token.revoked) or "none"
                raise TokenError(f"there is no token {name[:64]!r} in {self._path}; there are: {known}")
            now = self._now()
            self._write(
                tuple(
                    token.model_copy(update={"revoked": now})
                    if token.name == name and not token.revoked
                    else token
                    for token in self._tokens
                )
            )

    def authenticate(self, token: str) -> Principal:
        """Whose token it is. Takes the same time for every token that it does not know.

        Raises `GatewayError` TOKEN_INVALID, TOKEN_REVOKED or TOKEN_EXPIRED.
        """
        digest = _digest(token)
        found = self._find(digest)
        if found is None and self._reload():
            found = self._find(digest)
        if found is None:
            raise GatewayError(ErrorReason.TOKEN_INVALID, "the bearer token is not known to this gateway")
        if found.revoked:
            raise GatewayError(ErrorReason.TOKEN_REVOKED, f"the token {found.name!r} was revoked")
        if found.expires_ns is not None and self._now_ns() >= found.expires_ns:
            raise GatewayError(ErrorReason.TOKEN_EXPIRED, f"the token {found.name!r} has expired")
        return found.principal()

    def is_active(self, name: str) -> bool:
        """Whether the token of this name exists and is not revoked."""
        return any(token.name == name and not token.revoked for token in self._tokens)

    def refresh(self) -> bool:
        """Read the file again if it has changed; whether the tokens are others than at the last call."""
        self._reload()
        changed, self._changed = self._changed, False
        return changed

    def _find(self, digest: str) -> Token | None:
        found = None
        for token in self._tokens:
            if hmac.compare_digest(token.sha256, digest):
                found = token
        return found

    def _reload(self) -> bool:
        try:
            stamp = self._stat()
            if stamp == self._stamp:
                return False
            if stamp is None:
                self._stamp = stamp
                raise TokenError(f"{self._path} is gone")
            self._stamp = stamp
            tokens = self._read()
        except TokenError as error:
            _log.error("tokens_unreadable", error=str(error), kept=len(self._tokens))
            return False
        self._changed = self._changed or tokens != self._tokens
        self._tokens = tokens
        return True

    def _stat(self) -> _Stamp | None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise TokenError(f"{self._path} cannot be read ({error.strerror})") from None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _read(self) -> tuple[Token, ...]:
        try:
            with self._path.open("rb") as file:
                raw = file.read(MAX_FILE_BYTES + 1)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise TokenError(
                f"{self._path} cannot be read ({error.strerror}); give it to this user"
            ) from None
        try:
            if len(raw) > MAX_FILE_BYTES:
                raise ValueError("too large")
            tokens = _File.model_validate_json(raw).tokens
            if len({token.name for token in tokens}) < len(tokens):
                raise ValueError("a name twice")
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise TokenError(
                f"{self._path} is damaged ({where}); restore it, or remove it and make new tokens"
            ) from None
        except ValueError as error:
            raise TokenError(
                f"{self._path} is damaged ({error}); restore it, or remove it and make new tokens"
            ) from None
        return tokens

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """The file to ourselves, and read as it stands now."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise TokenError(
                f"{error.filename} cannot be written ({error.strerror}); choose another --data-dir"
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._tokens = self._read()
            yield
        finally:
            os.close(lock)

    def _write(self, tokens: tuple[Token, ...]) -> None:
        """Replace the file: whole or not at all, also when the power fails."""
        content = _File(version=1, tokens=tokens).model_dump_json(indent=1) + "\n"
        try:
            descriptor, name = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                Path(name).replace(self._path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise TokenError(
                f"{self._path} cannot be written ({error.strerror}); make room, or choose another --data-dir"
            ) from None
        self._tokens = tokens
        self._stamp = self._stat()

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._now_ns() // _NS, UTC)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _scope_name(scope: Scope) -> Literal["read", "trade", "admin"]:
    match scope:
        case Scope.READ:
            return "read"
        case Scope.TRADE:
            return "trade"
        case Scope.ADMIN:
            return "admin"
