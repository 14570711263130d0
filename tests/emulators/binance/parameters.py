"""The parameters of one request, read one by one; what nobody read is refused, as the venue does (-1104)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal

import orjson

from tests.emulators.binance.errors import ApiError, empty, illegal, invalid, missing
from tests.emulators.binance.symbols import PRECISION

SYMBOL = r"^[A-Z0-9-_.]{1,20}$"
CLIENT_ID = r"^[a-zA-Z0-9-_]{1,36}$"
NUMBER = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
INTEGER = r"^[0-9]{1,20}$"
MAX_INTEGER = 2**63 - 1


class Parameters:
    """See the module. Values are the text that was sent."""

    def __init__(self, sent: Mapping[str, str]) -> None:
        self.sent = dict(sent)
        self._read: set[str] = set()

    def has(self, name: str) -> bool:
        """Whether it was sent. Does not read it."""
        return name in self.sent

    def text(self, name: str) -> str | None:
        """None where it was not sent. Sent empty it is refused."""
        self._read.add(name)
        value = self.sent.get(name)
        if value == "":
            raise empty(name)
        return value

    def need(self, name: str) -> str:
        """It must be there."""
        self._read.add(name)
        value = self.sent.get(name)
        if not value:
            raise missing(name)
        return value

    def matching(self, name: str, pattern: str) -> str | None:
        """Text of legal characters."""
        value = self.text(name)
        if value is not None and not re.fullmatch(pattern, value, re.ASCII):
            raise illegal(name, pattern)
        return value

    def symbol(self) -> str:
        """The mandatory symbol; whether there is one of this name is for others to say."""
        self.need("symbol")
        return self.matching("symbol", SYMBOL) or ""

    def client_id(self, name: str) -> str | None:
        """A client id."""
        return self.matching(name, CLIENT_ID)

    def integer(self, name: str) -> int | None:
        """A whole number that fits a LONG."""
        value = self.matching(name, INTEGER)
        if value is not None and int(value) > MAX_INTEGER:
            raise ApiError(-1108, f"Parameter '{name}' overflowed.")
        return None if value is None else int(value)

    def decimal(self, name: str) -> Decimal | None:
        """A plain number with at most eight decimals, zero or more."""
        value = self.matching(name, NUMBER)
        if value is None:
            return None
        if len(value.partition(".")[2].rstrip("0")) > PRECISION:
            raise ApiError(-1111, f"Parameter '{name}' has too much precision.")
        return Decimal(value)

    def need_decimal(self, name: str) -> Decimal:
        """A number that must be there."""
        self.need(name)
        number = self.decimal(name)
        assert number is not None
        return number

    def choice(self, name: str, choices: Iterable[str], refusal: ApiError | None = None) -> str | None:
        """One of some words."""
        value = self.text(name)
        if value is not None and value not in choices:
            raise refusal or invalid(name)
        return value

    def flag(self, name: str) -> bool | None:
        """`true` or `false`."""
        value = self.choice(name, ("true", "false"))
        return None if value is None else value == "true"

    def names(self, name: str) -> list[str] | None:
        """A JSON list of words."""
        value = self.text(name)
        if value is None:
            return None
        try:
            listed = orjson.loads(value)
        except orjson.JSONDecodeError:
            listed = None
        if not isinstance(listed, list) or not listed or not all(isinstance(each, str) for each in listed):
            raise illegal(name, r'^\["[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}\]$')
        if len(set(listed)) < len(listed):
            raise ApiError(-1151, "Symbol is present multiple times in the list.")
        return listed

    def limit(self, name: str = "limit", usual: int = 500, most: int = 1000) -> int:
        """How many rows; more than the most counts as the most."""
        wanted = self.integer(name)
        if wanted == 0:
            raise invalid(name)
        return usual if wanted is None else min(wanted, most)

    def ignore(self, *names: str) -> None:
        """These may be there and say nothing to the emulator."""
        self._read.update(names)

    def finish(self) -> None:
        """Everything has been read, or the request is refused."""
        unread = self.sent.keys() - self._read
        if unread:
            read = len(self.sent) - len(unread)
            raise ApiError(
                -1104,
                f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{len(self.sent)}'.",
            )
