"""Interactive Brokers' messages and what each means.

TWS has one kind of message for everything, from "your data farm is fine" to "your order is refused". What one means is
decided by its code, by what its id was asked for, by whether the venue has acknowledged the order, and for few codes by
its text, which may be in the user's language: no text ever turns a doubt into a refusal. A message never ends an order
that was acknowledged (the library says Cancelled for most of them, while the order lives on): what ends one is an
order's status. What no row holds for is unlisted: the order stays as it was, and the venue is asked.
(Codes: interactivebrokers.github.io/tws-api/message_codes.html; reports of what they do: the adapter's page in docs/.)
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from brokergate.domain.errors import (
    AuthenticationError,
    BrokerError,
    DuplicateOrderError,
    ErrorReason,
    FinalError,
    InsufficientFundsError,
    InvalidOrderError,
    MarketClosedError,
    RateLimitError,
    RecoverableError,
    TemporaryConnectionError,
    UnknownOrderError,
    shorten,
)

R = ErrorReason
SAID = 400
"""Characters of the venue's text that an error repeats."""


class Asked(Enum):
    """What a message's id was used for."""

    NOTHING = "nothing"
    """It has none (-1): it is about the connection."""
    ORDER = "order"
    """Placing an order."""
    CHANGE = "change"
    """Changing an order that works."""
    CANCEL = "cancel"
    PREVIEW = "preview"
    """What an order would do."""
    CONTRACT = "contract"
    """What a contract is."""
    MARKET_DATA = "market data"
    QUERY = "query"
    """Any other question."""


class Means(Enum):
    """What is to be done."""

    REFUSED = "refused"
    """The venue refused what was asked for, and did nothing: an order that was never acknowledged is rejected."""
    KEPT = "kept"
    """A change, or a cancel, was refused: the order stays as it was."""
    ASK = "ask"
    """The order's state stays; the venue is to be asked for it."""
    CANCELLED = "cancelled"
    """The order is said to be cancelled; its status has the word."""
    NOTICE = "notice"
    """For the log."""
    LOST = "lost"
    """The venue is away: outcomes are unknown, nothing is sent again."""
    RESTORED = "restored"
    """It is back, and what was subscribed to still is. What was missed has to be asked for."""
    RESTORED_ANEW = "restored anew"
    """It is back, and market data has to be subscribed to again. What was missed has to be asked for."""
    CLIENT_ID = "client id"
    """Another connection has this client id."""
    THROTTLED = "throttled"
    """Too much was asked for; what was asked for last may not have arrived."""
    DELAYED = "delayed"
    """Market data comes, and is delayed."""
    UNLISTED = "unlisted"
    """Nobody knows; as ASK, with a warning."""


_NEW = frozenset({Asked.ORDER, Asked.PREVIEW})
_CHANGED = frozenset({Asked.CHANGE, Asked.CANCEL})
_WORKING = frozenset({Asked.ORDER, *_CHANGED})
_DATA = frozenset({Asked.MARKET_DATA})
_QUESTIONS = frozenset({Asked.CONTRACT, Asked.MARKET_DATA, Asked.QUERY})
_ANY = frozenset(Asked)


@dataclass(frozen=True, slots=True)
class Row:
    """A signal and its meaning. `acknowledged` None stands for either; `words`, of which one has to be in the text, for
    any where there are none."""

    codes: frozenset[int]
    asked: frozenset[Asked]
    means: Means
    error: type[BrokerError]
    reason: ErrorReason
    acknowledged: bool | None = None
    words: tuple[str, ...] = ()


def _row(
    codes: int | tuple[int, ...],
    asked: frozenset[Asked],
    means: Means,
    error: type[BrokerError],
    reason: ErrorReason,
    acknowledged: bool | None = None,
    words: tuple[str, ...] = (),
) -> Row:
    listed = (codes,) if isinstance(codes, int) else codes
    return Row(frozenset(listed), asked, means, error, reason, acknowledged, words)


_INVALID = (106, 107, 109, 111, 113, 201, 320, 321, 387, 434, 10289, 10293)
_NOTICES = (404, 10167, 10311, 10349, *(code for code in range(2100, 2170) if code not in (2102, 2110)))
_NO_DATA = (354, 10089, 10090, 10168, 10186, 10197)
_READ_ONLY = ("read-only", "read only")
_FUNDS = ("margin", "available funds", "equity", "insufficient", "buying power")
_CLOSED = ("exchange is closed",)
_SHORT = ("short sale", "short stock", "for short", "borrow")

TABLE: tuple[Row, ...] = (
    # The connection.
    _row((1100, 1300, 2110, 502, 504), _ANY, Means.LOST, TemporaryConnectionError, R.BROKER_UNAVAILABLE),
    _row(1101, _ANY, Means.RESTORED_ANEW, RecoverableError, R.BROKER_UNAVAILABLE),
    _row(1102, _ANY, Means.RESTORED, RecoverableError, R.BROKER_UNAVAILABLE),
    _row(326, _ANY, Means.CLIENT_ID, AuthenticationError, R.BROKER_AUTHENTICATION),
    _row((100, 101), _ANY, Means.THROTTLED, RateLimitError, R.RATE_LIMITED),
    _row((162, 420), _ANY, Means.THROTTLED, RateLimitError, R.RATE_LIMITED, words=("pacing",)),
    # A new order: what is said holds while the venue has not acknowledged it. 321: an API that only reads.
    _row(321, _NEW, Means.REFUSED, AuthenticationError, R.BROKER_AUTHENTICATION, False, _READ_ONLY),
    _row(201, _NEW, Means.REFUSED, InsufficientFundsError, R.INSUFFICIENT_FUNDS, False, _FUNDS),
    _row(201, _NEW, Means.REFUSED, MarketClosedError, R.MARKET_CLOSED, False, _CLOSED),
    _row(201, _NEW, Means.REFUSED, InvalidOrderError, R.NOT_SHORTABLE, False, _SHORT),
    _row(110, _NEW, Means.REFUSED, InvalidOrderError, R.PRICE_OFF_TICK, False),
    _row(10243, _NEW, Means.REFUSED, InvalidOrderError, R.QUANTITY_OFF_LOT, False),
    _row(200, _NEW, Means.REFUSED, InvalidOrderError, R.INSTRUMENT_NOT_FOUND, False),
    _row((203, 460), _NEW, Means.REFUSED, AuthenticationError, R.BROKER_REJECTED, False),
    _row(_INVALID, _NEW, Means.REFUSED, InvalidOrderError, R.BROKER_REJECTED, False),
    _row((110, 200, 203, 460, 10243, *_INVALID), _NEW, Means.ASK, InvalidOrderError, R.BROKER_REJECTED, True),
    # A change. 104: the order is filled already. 2102: the last change is still under way.
    _row(104, _CHANGED, Means.KEPT, UnknownOrderError, R.ORDER_ENDED),
    _row(2102, _CHANGED, Means.KEPT, InvalidOrderError, R.REPLACE_PENDING),
    _row(321, _CHANGED, Means.KEPT, AuthenticationError, R.BROKER_AUTHENTICATION, words=_READ_ONLY),
    _row(201, _CHANGED, Means.KEPT, InsufficientFundsError, R.INSUFFICIENT_FUNDS, words=_FUNDS),
    _row(201, _CHANGED, Means.KEPT, MarketClosedError, R.MARKET_CLOSED, words=_CLOSED),
    _row(110, _CHANGED, Means.KEPT, InvalidOrderError, R.PRICE_OFF_TICK),
    _row((105, 329, *_INVALID), _CHANGED, Means.KEPT, InvalidOrderError, R.BROKER_REJECTED),
    # A cancel: none of these says how the order stands.
    _row(202, _WORKING, Means.CANCELLED, UnknownOrderError, R.ORDER_ENDED),
    _row((161, 10148), _WORKING, Means.ASK, UnknownOrderError, R.ORDER_ENDED),
    _row((10147, 135), _WORKING, Means.ASK, UnknownOrderError, R.ORDER_NOT_FOUND),
    # An order id that was used before: by whom, the venue's list of orders shows.
    _row(103, _WORKING, Means.ASK, DuplicateOrderError, R.OUTCOME_UNKNOWN),
    # Questions.
    _row(10167, _DATA, Means.DELAYED, FinalError, R.UNSPECIFIED),
    _row(_NO_DATA, _DATA, Means.REFUSED, AuthenticationError, R.BROKER_AUTHENTICATION),
    _row(200, _QUESTIONS, Means.REFUSED, FinalError, R.INSTRUMENT_NOT_FOUND),
    _row(321, _QUESTIONS, Means.REFUSED, AuthenticationError, R.BROKER_AUTHENTICATION, words=_READ_ONLY),
    _row((162, 203, 320, 321, 322, 420, 460), _QUESTIONS, Means.REFUSED, FinalError, R.BROKER_REJECTED),
    # What is only said.
    _row(
        (0, 399, *range(2170, 2200)), _ANY, Means.NOTICE, RecoverableError, R.UNSPECIFIED, words=("warning",)
    ),
    _row(_NOTICES, _ANY, Means.NOTICE, RecoverableError, R.UNSPECIFIED),
)
"""From the first row to the last: the first that holds decides."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a message means. `error` is what a question that is answered so raises; `listed` is whether the table knows
    it."""

    means: Means
    error: BrokerError
    reason: ErrorReason

    @property
    def refused(self) -> bool:
        """Whether the venue, by its word, did nothing."""
        return self.means is Means.REFUSED


def meaning(code: int, text: str, asked: Asked, *, acknowledged: bool = False) -> Meaning:
    """What a message means. `acknowledged` is whether the venue has shown the order as its own (an `orderStatus`, an
    `openOrder`, an execution)."""
    lowered = text.lower()
    for row in TABLE:
        if (
            code in row.codes
            and asked in row.asked
            and row.acknowledged in (None, acknowledged)
            and (not row.words or any(word in lowered for word in row.words))
        ):
            return Meaning(row.means, row.error(_said(code, text), code=str(code)), row.reason)
    unlisted = RecoverableError(f"{_said(code, text)} (unlisted)", code=str(code))
    return Meaning(Means.UNLISTED, unlisted, R.OUTCOME_UNKNOWN)


def _said(code: int, text: str) -> str:
    """The venue's words on one line."""
    words = " ".join(text.replace("<br>", " ").split())
    return f"Interactive Brokers says {code}: {words[:SAID] if words else shorten('nothing')}"
