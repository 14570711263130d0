"""What every section of the configuration shares, and the types of its values.

A configuration's values arrive as the text that is written (`document.py`), so each type here reads text: `Amount`
takes `0.1` to exactly `Decimal("0.1")`, `Flag` knows `true` and `false` and nothing else. All take the Python value as
well, for configurations that are made in code.

A validator says what is wrong and, after a `; `, the way out. It never repeats the value: `explain.py` adds it, as it
is written in the file, where it is no secret.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StringConstraints

from brokergate.domain.money import parse_decimal

_integer = re.compile(r"-?[0-9]{1,20}", re.ASCII).fullmatch


class Section(BaseModel):
    """A section: its settings are fields, each with a docstring that says what it does, its unit and its default.

    Keys that are not settings are refused, values do not change after loading, and errors do not hold the input.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
        validate_default=True,
    )


def _flag(value: object) -> object:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    raise ValueError("is not a switch; write true or false")


def _count(value: object) -> object:
    if isinstance(value, str) and _integer(value):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError("is not a whole number; write digits alone, such as 5000")


def _amount(value: object) -> object:
    if isinstance(value, str):
        try:
            return parse_decimal(value)
        except ValueError:
            pass
    elif isinstance(value, Decimal) and value.is_finite():
        return value
    raise ValueError(
        "is not a plain decimal; write digits and a point, such as 12.5 (at most 20 digits before, 18 after)"
    )


Flag = Annotated[bool, BeforeValidator(_flag)]
"""`true` or `false`."""

Count = Annotated[int, BeforeValidator(_count)]
"""A whole number."""

Amount = Annotated[Decimal, BeforeValidator(_amount)]
"""An exact decimal in the contract's notation."""


def within(
    low: Decimal | int, high: Decimal | int, expected: str, *, above: bool = False, below: bool = False
) -> AfterValidator:
    """For an amount from `low` to `high`; with `above` it is not `low`, with `below` not `high`. `expected` says so in
    words."""

    def check(value: Decimal) -> Decimal:
        if (low < value if above else low <= value) and (value < high if below else value <= high):
            return value
        raise ValueError(f"is out of range; write {expected}")

    return AfterValidator(check)


def _address(*schemes: str) -> AfterValidator:
    """Of a server, without user, query and fragment; a `/` at its end is dropped."""
    host = r"(\[[0-9A-Fa-f:.]+\]|[^/?#\s@:\[\]]+)(:[0-9]{1,5})?"
    pattern = re.compile(rf"({'|'.join(schemes)})://{host}(/[^?#\s]*)?")

    def check(value: str) -> str:
        if pattern.fullmatch(value) is None:
            raise ValueError(f"is no address of a server; write one such as {schemes[0]}://host")
        return value.rstrip("/")

    return AfterValidator(check)


HttpUrl = Annotated[str, StringConstraints(max_length=512), _address("https", "http")]
"""Where an HTTP API is."""

WebSocketUrl = Annotated[str, StringConstraints(max_length=512), _address("wss", "ws")]
"""Where a WebSocket is."""

ID_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"
Identifier = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
"""An id of an account, a route or a token."""

Text = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
"""A text that is not empty."""
