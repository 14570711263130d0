"""What Binance's errors mean. Pure.

Sources: errors.md and rest-api.md ("HTTP Return Codes") of binance/binance-spot-api-docs. A code that is not listed
here says nothing for sure: a command that got it is Unknown (law 3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from brokergate.domain.errors import (
    AccountSuspendedError,
    AuthenticationError,
    BrokerError,
    BrokerTimeoutError,
    DuplicateOrderError,
    ErrorReason,
    ExchangeMaintenanceError,
    InsufficientFundsError,
    InvalidOrderError,
    MarketClosedError,
    RateLimitError,
    TemporaryConnectionError,
    UnknownOrderError,
)

R = ErrorReason


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an error means: its class, the contract's reason, and whether it is sure that nothing was done."""

    error: type[BrokerError]
    reason: ErrorReason
    sure: bool = True


BUSY = Meaning(TemporaryConnectionError, R.BROKER_UNAVAILABLE)
LIMITED = Meaning(RateLimitError, R.RATE_LIMITED)
UNSURE = Meaning(TemporaryConnectionError, R.BROKER_UNAVAILABLE, sure=False)
LATE = Meaning(BrokerTimeoutError, R.BROKER_UNAVAILABLE, sure=False)
AUTHENTICATION = Meaning(AuthenticationError, R.BROKER_AUTHENTICATION)
INVALID = Meaning(InvalidOrderError, R.BROKER_REJECTED)
FIELD = Meaning(InvalidOrderError, R.INVALID_FIELD)
UNSUPPORTED = Meaning(InvalidOrderError, R.UNSUPPORTED)
FUNDS = Meaning(InsufficientFundsError, R.INSUFFICIENT_FUNDS)
GONE = Meaning(UnknownOrderError, R.ORDER_ENDED)
ABSENT = Meaning(UnknownOrderError, R.ORDER_NOT_FOUND)
DUPLICATE = Meaning(DuplicateOrderError, R.CLIENT_ORDER_ID_REUSED)
SUSPENDED = Meaning(AccountSuspendedError, R.ACCOUNT_SUSPENDED)
CLOSED = Meaning(MarketClosedError, R.MARKET_CLOSED)
MAINTENANCE = Meaning(ExchangeMaintenanceError, R.BROKER_MAINTENANCE, sure=False)
SYMBOL = Meaning(InvalidOrderError, R.INSTRUMENT_NOT_FOUND)
TICK = Meaning(InvalidOrderError, R.PRICE_OFF_TICK)
LOT = Meaning(InvalidOrderError, R.QUANTITY_OFF_LOT)
RANGE = Meaning(InvalidOrderError, R.QUANTITY_OUT_OF_RANGE)
NOTIONAL = Meaning(InvalidOrderError, R.BELOW_MIN_NOTIONAL)
TAKES = Meaning(InvalidOrderError, R.WOULD_TAKE)
NO_BOOK = Meaning(InvalidOrderError, R.NO_REFERENCE_PRICE)

TOO_MANY_ORDERS = -1015
"""The account has too many orders that have not filled: cancels and questions are welcome."""
CLOCK = -1021
"""The code for a timestamp outside the window: the clock is to be measured anew."""
NO_SUCH_ORDER = -2013
PARTLY_REPLACED = -2021
"""A cancel-replace of which one half came about."""
NOT_REPLACED = -2022
"""A cancel-replace of which nothing came about."""
REJECTED_TEXTS = frozenset({-2010, -2011, -2038})
"""Codes whose meaning stands in their text ("Messages for -1010, -2010, -2011, -2038")."""

CODES: Mapping[int, Meaning] = {
    -1000: UNSURE,
    -1001: UNSURE,
    -1002: AUTHENTICATION,
    -1003: LIMITED,
    -1006: LATE,
    -1007: LATE,
    -1008: BUSY,
    -1013: INVALID,
    -1014: UNSUPPORTED,
    TOO_MANY_ORDERS: LIMITED,
    -1016: MAINTENANCE,
    -1020: UNSUPPORTED,
    CLOCK: AUTHENTICATION,
    -1022: AUTHENTICATION,
    -1034: LIMITED,
    -1111: TICK,
    -1112: NO_BOOK,
    -1115: UNSUPPORTED,
    -1116: UNSUPPORTED,
    -1121: SYMBOL,
    -1122: SYMBOL,
    -1220: SYMBOL,
    # What a request was wrong in. None of it reached the matching engine.
    **dict.fromkeys(
        [-1100, -1101, -1102, -1103, -1104, -1105, -1106, -1108, -1114, -1117, -1118, -1119], FIELD
    ),
    **dict.fromkeys(
        [-1120, -1125, -1127, -1128, -1130, -1134, -1135, -1139, -1145, -1151, -1152, -1153], FIELD
    ),
    **dict.fromkeys([-1155, -1161, *range(-1190, -1168), -1191, -1194, -1210, -1211, -1221], FIELD),
    **dict.fromkeys([-1224, -1225], FIELD),
    # The prices or types of linked orders do not fit.
    **dict.fromkeys([-1158, -1160, -1165, -1166, -1168, -1196, -1197, -1198, -1199, -1222, -1223], INVALID),
    -2010: INVALID,
    -2011: GONE,
    NO_SUCH_ORDER: ABSENT,
    -2014: AUTHENTICATION,
    -2015: AUTHENTICATION,
    -2016: CLOSED,
    NOT_REPLACED: INVALID,
    -2026: ABSENT,
    -2035: INVALID,
    -2036: INVALID,
    -2038: INVALID,
    -2039: ABSENT,
    -2042: LIMITED,
}
"""By code. PARTLY_REPLACED is not among them: its answer holds the outcome of each half."""

TEXTS: tuple[tuple[str, Meaning], ...] = (
    ("unknown order sent", GONE),
    ("duplicate order sent", DUPLICATE),
    ("market is closed", CLOSED),
    ("insufficient balance", FUNDS),
    ("this action is disabled on this account", SUSPENDED),
    ("this account may not place or cancel orders", SUSPENDED),
    ("trading is not enabled", Meaning(AuthenticationError, R.TRADING_DISABLED)),
    ("would immediately match and take", TAKES),
    ("would trigger immediately", INVALID),
    ("is not permitted for this account", Meaning(InvalidOrderError, R.ACCOUNT_NOT_ALLOWED)),
    ("is restricted for this account", Meaning(InvalidOrderError, R.ACCOUNT_NOT_ALLOWED)),
    ("order book liquidity is less than", NO_BOOK),
    ("order book liquidity is too low", NO_BOOK),
    ("icebergqty exceeds qty", RANGE),
    ("price * qty is zero or less", NOTIONAL),
    ("are not supported for this symbol", UNSUPPORTED),
    ("are not support for this symbol", UNSUPPORTED),
    ("is not supported for this symbol", UNSUPPORTED),
    ("unsupported order combination", UNSUPPORTED),
    ("quantity increase) is not supported", UNSUPPORTED),
    ("cancel restrictions", INVALID),
    ("origclordid and orderid", GONE),
)
"""By a part of the text, in small letters, for the codes of REJECTED_TEXTS. Any other text is BROKER_REJECTED."""

FILTERS: Mapping[str, Meaning] = {
    "PRICE_FILTER": TICK,
    "LOT_SIZE": LOT,
    "MARKET_LOT_SIZE": RANGE,
    "MIN_NOTIONAL": NOTIONAL,
    "NOTIONAL": NOTIONAL,
    "TRAILING_DELTA": FIELD,
    "ICEBERG_PARTS": RANGE,
    "MAX_POSITION": Meaning(InvalidOrderError, R.QUANTITY_OUT_OF_RANGE),
    "MAX_ASSET": Meaning(InvalidOrderError, R.QUANTITY_OUT_OF_RANGE),
    "MAX_NUM_ORDERS": LIMITED,
    "MAX_NUM_ALGO_ORDERS": LIMITED,
    "MAX_NUM_ICEBERG_ORDERS": LIMITED,
    "MAX_NUM_ORDER_LISTS": LIMITED,
    "MAX_NUM_ORDER_AMENDS": LIMITED,
    "EXCHANGE_MAX_NUM_ORDERS": LIMITED,
    "EXCHANGE_MAX_NUM_ALGO_ORDERS": LIMITED,
    "EXCHANGE_MAX_NUM_ICEBERG_ORDERS": LIMITED,
    "EXCHANGE_MAX_NUM_ORDER_LISTS": LIMITED,
    "PERCENT_PRICE": INVALID,
    "PERCENT_PRICE_BY_SIDE": INVALID,
}
"""The filters whose failure -1013 tells ("Filter failures")."""

_FILTER = "filter failure: "

WAY_OUT: Mapping[int, str] = {
    -1002: "the key may not do this; give it the permission for spot trading",
    CLOCK: "the gateway's clock is away from Binance's; it is measured anew, set the machine's clock if this recurs",
    -1022: "the secret is not that of the key, or the key is of another kind; check api_secret or private_key",
    -2014: "the key is none of Binance's; copy it again",
    -2015: (
        "the key is unknown here, expired, lacks a permission, or this machine's address is not on its list; live, "
        "testnet and demo have keys of their own"
    ),
}
"""What to do about errors that a person must mend."""


def meaning(status: int, code: int | None, text: str) -> Meaning:
    """What an answer means that is no success: its HTTP status, and Binance's code and text where it gave them."""
    if code is not None and code in CODES:
        return _told(code, text)
    if status in (418, 429):
        return LIMITED
    if status == 403:
        # The web application firewall: the request did not reach the API.
        return LIMITED
    if status == 503:
        return MAINTENANCE
    return UNSURE


def _told(code: int, text: str) -> Meaning:
    small = text.lower()
    if code == -1013:
        name = small.partition(_FILTER)[2].strip().rstrip(".").upper()
        return FILTERS.get(name, INVALID)
    if code in REJECTED_TEXTS:
        for part, meant in TEXTS:
            if part in small:
                return meant
        # A cancel is refused for an order that is not open; what else a text may say is a refusal all the same.
    return CODES[code]


def explain(status: int, code: int | None, text: str) -> str:
    """The error in words: Binance's text, its code, and the way out."""
    said = text.strip() or f"HTTP status {status}"
    known = "" if code is None else f" ({code})"
    way_out = WAY_OUT.get(code or 0, "")
    if code is None and status == 403:
        way_out = "Binance's firewall refused the request; wait some minutes"
    return f"{said}{known}" + (f": {way_out}" if way_out else "")
