"""The forms that a field of the contract may have, and for each form the values that are wrong.

A `Form` knows nothing of an RPC: it is the same limit price in PlaceOrder, in a batch and in an order entry stream.
`rules.py` says which field has which form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp


class Absent:
    """The field is not there at all."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent()

INVALID: Final = "INVALID_FIELD"


@dataclass(frozen=True, slots=True)
class Wrong:
    """A value that is refused: with which reason, and which field the refusal names. `at` None is the field itself,
    a name is the field of that name beside it, `[1]` an item of it, `..` the message that holds it, '' no field."""

    label: str
    value: Any
    reason: str = INVALID
    at: str | None = None
    late: bool = False
    """INVALID_FIELD, and yet only the account can tell."""

    @property
    def needs_account(self) -> bool:
        """Whether it is refused only once the account is looked at, with its instruments, its orders and its clock."""
        return self.late or self.reason not in (
            INVALID,
            "PAGE_TOKEN_INVALID",
            "CURSOR_INVALID",
        )


@dataclass(frozen=True, slots=True)
class Form:
    """`wrong` values are refused wherever the field is; `right` ones have the right form. `why` says why there is
    nothing wrong to be sent."""

    wrong: Sequence[Wrong] = ()
    right: Sequence[Any] = ()
    why: str = ""

    def but(self, *more: Wrong, without: Sequence[str] = (), right: Sequence[Any] | None = None) -> Form:
        """The same, with `more` wrong values and without the ones of these labels."""
        kept = tuple(wrong for wrong in self.wrong if wrong.label not in without)
        assert len(kept) == len(self.wrong) - len(without), f"no such labels: {without}"
        return Form((*kept, *more), self.right if right is None else right, self.why)


def wrong_texts(*pairs: tuple[str, str], reason: str = INVALID) -> tuple[Wrong, ...]:
    """Wrong values from (label, value) pairs."""
    return tuple(Wrong(label, value, reason) for label, value in pairs)


MISSING: Final = Wrong("missing", ABSENT)
EMPTY: Final = Wrong("empty", "")

ID: Final = Form(
    (
        MISSING,
        *wrong_texts(
            ("65 long", "x" * 65),
            ("very long", "x" * 5000),
            ("blank", "a b"),
            ("blank before", " a"),
            ("line end after", "a\n"),
            ("slash", "a/b"),
            ("dot", "a.b"),
            ("plus", "a+b"),
            ("nul", "a\0"),
            ("accent", "é"),
            ("full width", "ａ１"),
            ("emoji", "🙂"),
        ),
    ),
    right=("a", "A-9_z", "x" * 64),
)
"""`[A-Za-z0-9_-]{1,64}`, required."""

OPTIONAL_ID: Final = Form(ID.wrong[1:], right=("", *ID.right))
"""The same, where empty is right."""

UNKNOWN_ACCOUNT: Final = "ACCOUNT_NOT_FOUND"

ACCOUNT: Final = Form(
    (
        MISSING,
        *wrong_texts(("unknown", "nobody"), ("other case", "SEALED"), reason=UNKNOWN_ACCOUNT),
        *wrong_texts(
            ("65 long", "x" * 65),
            ("very long", "x" * 5000),
            ("blank", "no one"),
            ("line end after", "sealed\n"),
            ("nul", "sealed\0"),
            ("accent", "é"),
            ("emoji", "🙂" * 30),
        ),
    ),
)
"""An account that there is, required."""

WAY: Final = "way"
"""The route of the gateway under test."""

ROUTE: Final = Form(
    (
        EMPTY,
        *wrong_texts(
            ("unknown", "nowhere"),
            ("other case", "WAY"),
            ("the id of an account", "play"),
            reason="ROUTE_NOT_FOUND",
        ),
        *ACCOUNT.wrong[3:],
    ),
    right=(WAY,),
)
"""A route that there is, in place of the account."""

OPTIONAL_ACCOUNT: Final = Form(ACCOUNT.wrong[1:], right=("",))
"""The same, where empty means every account."""

DECIMAL: Final = Form(
    wrong_texts(
        ("words", "much"),
        ("exponent", "1e2"),
        ("exponent, upper case", "1E-2"),
        ("not a number", "NaN"),
        ("signalling", "sNaN"),
        ("infinity", "Infinity"),
        ("leading plus", "+1"),
        ("two signs", "--1"),
        ("blank before", " 1"),
        ("blank after", "1 "),
        ("blank within", "1 000"),
        ("line end after", "1\n"),
        ("nul after", "1\0"),
        ("no digit after the point", "1."),
        ("no digit before the point", ".5"),
        ("a point alone", "."),
        ("two points", "1.2.3"),
        ("comma", "1,5"),
        ("thousands", "1,000.00"),
        ("underscore", "1_000"),
        ("hexadecimal", "0x10"),
        ("21 digits", "1" * 21),
        ("21 digits, leading zeros", "0" * 20 + "1"),
        ("19 decimals", "1." + "0" * 18 + "1"),
        ("very long", "1" * 5000),
        ("full width digits", "１２"),
        ("Arabic digits", "٣"),
        ("Devanagari digits", "१"),
        ("superscript", "1²"),
        ("roman numeral", "Ⅷ"),
        ("minus sign of typography", "−1"),
        ("currency", "$1"),
        ("per cent", "1%"),
    ),
)
"""`-?[0-9]{1,20}(\\.[0-9]{1,18})?`."""

ABOVE_ZERO: Final = DECIMAL.but(
    EMPTY,
    *wrong_texts(("zero", "0"), ("zero with places", "0.000"), ("minus zero", "-0"), ("negative", "-1")),
)
"""The same, above zero, and not empty where it is there."""

NOT_NEGATIVE: Final = DECIMAL.but(EMPTY, *wrong_texts(("negative", "-1"), ("a little negative", "-0.001")))
"""The same, zero or above."""


def choice(*right: int, unspecified: bool) -> Form:
    """An enum that takes the numbers `right`, and 0 where `unspecified` is right."""
    highest = max(right)
    wrong = [
        Wrong("unknown number", highest + 1),
        Wrong("far unknown number", 2_000_000_000),
        Wrong("negative number", -1),
    ]
    if not unspecified:
        wrong.append(Wrong("unspecified", 0))
    return Form(tuple(wrong), right=right)


def choices(*right: int) -> Form:
    """A list of an enum's values to filter by; empty is right."""
    highest = max(right)
    return Form(
        (
            Wrong("unspecified", [0], at="[0]"),
            Wrong("unknown number", [highest + 1], at="[0]"),
            Wrong("unknown number after a known one", [right[0], 2_000_000_000], at="[1]"),
            Wrong("negative number", [-1], at="[0]"),
        ),
        right=([], [right[0]], list(right)),
    )


def when(seconds: int, nanos: int = 0) -> Timestamp:
    """A timestamp, valid or not."""
    return Timestamp(seconds=seconds, nanos=nanos)


def span(seconds: int, nanos: int = 0) -> Duration:
    """A duration, valid or not."""
    return Duration(seconds=seconds, nanos=nanos)


TIME: Final = Form(
    (
        Wrong("nanos below zero", when(1_700_000_000, -1)),
        Wrong("a whole second of nanos", when(1_700_000_000, 1_000_000_000)),
        Wrong("nanos far out of range", when(1_700_000_000, 2_147_483_647)),
        Wrong("before the year 1", when(-62_135_596_801)),
        Wrong("after the year 9999", when(253_402_300_800)),
        Wrong("seconds far below", when(-(2**63))),
        Wrong("seconds far above", when(2**63 - 1)),
    ),
    right=(when(0), when(1_700_000_000, 999_999_999)),
)
"""A `google.protobuf.Timestamp`: the years 1 to 9999."""


def lasting(least: Duration | None, most: int) -> Form:
    """A `google.protobuf.Duration` from `least` (None: zero) to `most` seconds."""
    wrong = [
        Wrong("negative", span(-1)),
        Wrong("a nanosecond negative", span(0, -1)),
        Wrong("a nanosecond too long", span(most, 1)),
        Wrong("much too long", span(315_576_000_001)),
        Wrong("seconds far above", span(2**63 - 1)),
        Wrong("seconds far below", span(-(2**63))),
        Wrong("a whole second of nanos", span(1, 1_000_000_000)),
        Wrong("nanos far out of range", span(1, 2_147_483_647)),
        Wrong("signs that disagree", span(1, -1)),
    ]
    if least is not None:
        wrong += [Wrong("zero", span(0)), Wrong("a nanosecond too short", span(0, 999_999_999))]
    return Form(tuple(wrong), right=(least or span(0), span(most)))


PAGE_SIZE: Final = Form(
    (
        Wrong("negative", -1),
        Wrong("1001", 1001),
        Wrong("far negative", -(2**31)),
        Wrong("far above", 2**31 - 1),
    ),
    right=(0, 1, 1000),
)

PAGE_TOKEN: Final = Form(
    wrong_texts(
        ("garbage", "garbage"),
        ("a number", "1"),
        ("blank", " "),
        ("very long", "x" * 5000),
        ("accent", "é"),
        ("base64 of nothing we know", "eyJhIjoxfQ=="),
        ("a cursor", "1.deadbeef.1.sealed:1"),
        reason="PAGE_TOKEN_INVALID",
    ),
    right=("",),
)

CURSOR: Final = Form(
    (
        *wrong_texts(
            ("empty", ""),
            ("garbage", "garbage"),
            ("another version", "2.deadbeef.1.sealed:1"),
            ("no account", "1.deadbeef.1.sealed"),
            ("not a number", "1.deadbeef.1.sealed:x"),
            ("negative", "1.deadbeef.1.sealed:-1"),
            ("an account twice", "1.deadbeef.1.sealed:1,sealed:2"),
            ("19 digits", "1.deadbeef.1.sealed:" + "1" * 19),
            ("Arabic digits", "1.deadbeef.1.sealed:٣"),
            ("line end after", "1.deadbeef.1.sealed:1\n"),
            ("very long", "1.deadbeef.1." + ",".join(f"a{n}:1" for n in range(12_000))),
            reason="CURSOR_INVALID",
        ),
        Wrong("of another journal", "1.deadbeef.1.sealed:1", "CURSOR_EPOCH", at=""),
    ),
)

NOTE: Final = Form((MISSING, Wrong("257 long", "x" * 257)), right=("because",))
"""Text for people, required, up to 256 characters."""


def anything(why: str, *right: Any) -> Form:
    """A field that takes every value of its type, for the reason `why`."""
    return Form((), right, why)


SWITCH: Final = anything("both values of a bool are right", False, True)

NESTED: Final = anything("its own fields are tried one by one")
