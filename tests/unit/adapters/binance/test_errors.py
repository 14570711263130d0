"""What Binance's errors mean: the table of its documentation, and nothing guessed."""

from __future__ import annotations

import pytest

from brokergate.adapters.binance.errors import CLOCK, CODES, FILTERS, PARTLY_REPLACED, TEXTS, explain, meaning
from brokergate.domain import errors as domain
from brokergate.domain.errors import BrokerError, ErrorReason

R = ErrorReason

DOCUMENTED = [
    *[
        -1000,
        -1001,
        -1002,
        -1003,
        -1006,
        -1007,
        -1008,
        -1013,
        -1014,
        -1015,
        -1016,
        -1020,
        -1021,
        -1022,
        -1034,
    ],
    *[
        -1100,
        -1101,
        -1102,
        -1103,
        -1104,
        -1105,
        -1106,
        -1108,
        -1111,
        -1112,
        -1114,
        -1115,
        -1116,
        -1117,
        -1118,
    ],
    *[
        -1119,
        -1120,
        -1121,
        -1122,
        -1125,
        -1127,
        -1128,
        -1130,
        -1134,
        -1135,
        -1139,
        -1145,
        -1151,
        -1152,
        -1153,
    ],
    *[
        -1155,
        -1158,
        -1160,
        -1161,
        -1165,
        -1166,
        -1168,
        *range(-1190, -1168),
        -1191,
        -1194,
        -1196,
        -1197,
        -1198,
    ],
    *[-1199, -1210, -1211, -1220, -1221, -1222, -1223, -1224, -1225],
    *[-2010, -2011, -2013, -2014, -2015, -2016, -2022, -2026, -2035, -2036, -2038, -2039, -2042],
]
"""errors.md."""


def test_every_documented_code_is_in_the_table() -> None:
    assert set(CODES) == set(DOCUMENTED)
    assert PARTLY_REPLACED not in CODES


@pytest.mark.parametrize(
    ("status", "code", "text", "error", "reason", "sure"),
    [
        (429, -1003, "Too many requests", "RateLimitError", R.RATE_LIMITED, True),
        (418, None, "", "RateLimitError", R.RATE_LIMITED, True),
        (429, None, "<html>", "RateLimitError", R.RATE_LIMITED, True),
        (403, None, "<html>", "RateLimitError", R.RATE_LIMITED, True),
        (400, -1015, "Too many new orders", "RateLimitError", R.RATE_LIMITED, True),
        (400, -1034, "", "RateLimitError", R.RATE_LIMITED, True),
        (400, -1000, "An unknown error", "TemporaryConnectionError", R.BROKER_UNAVAILABLE, False),
        (500, -1001, "Internal error", "TemporaryConnectionError", R.BROKER_UNAVAILABLE, False),
        (503, -1008, "Server is overloaded", "TemporaryConnectionError", R.BROKER_UNAVAILABLE, True),
        (500, -1006, "Execution status unknown", "BrokerTimeoutError", R.BROKER_UNAVAILABLE, False),
        (408, -1007, "Send status unknown", "BrokerTimeoutError", R.BROKER_UNAVAILABLE, False),
        (502, None, "<html>", "TemporaryConnectionError", R.BROKER_UNAVAILABLE, False),
        (503, None, "", "ExchangeMaintenanceError", R.BROKER_MAINTENANCE, False),
        (
            400,
            -1016,
            "This service is no longer available.",
            "ExchangeMaintenanceError",
            R.BROKER_MAINTENANCE,
            False,
        ),
        (401, -1002, "", "AuthenticationError", R.BROKER_AUTHENTICATION, True),
        (400, CLOCK, "outside of the recvWindow", "AuthenticationError", R.BROKER_AUTHENTICATION, True),
        (400, -1022, "Signature not valid", "AuthenticationError", R.BROKER_AUTHENTICATION, True),
        (401, -2014, "", "AuthenticationError", R.BROKER_AUTHENTICATION, True),
        (401, -2015, "", "AuthenticationError", R.BROKER_AUTHENTICATION, True),
        (400, -1013, "Filter failure: PRICE_FILTER", "InvalidOrderError", R.PRICE_OFF_TICK, True),
        (400, -1013, "Filter failure: LOT_SIZE", "InvalidOrderError", R.QUANTITY_OFF_LOT, True),
        (400, -1013, "Filter failure: NOTIONAL", "InvalidOrderError", R.BELOW_MIN_NOTIONAL, True),
        (400, -1013, "Filter failure: MAX_NUM_ORDERS", "RateLimitError", R.RATE_LIMITED, True),
        (400, -1013, "Filter failure: SOMETHING_NEW", "InvalidOrderError", R.BROKER_REJECTED, True),
        (400, -1013, "Invalid quantity.", "InvalidOrderError", R.BROKER_REJECTED, True),
        (400, -1121, "Invalid symbol.", "InvalidOrderError", R.INSTRUMENT_NOT_FOUND, True),
        (400, -1102, "Mandatory parameter", "InvalidOrderError", R.INVALID_FIELD, True),
        (400, -2010, "Duplicate order sent.", "DuplicateOrderError", R.CLIENT_ORDER_ID_REUSED, True),
        (400, -2010, "Market is closed.", "MarketClosedError", R.MARKET_CLOSED, True),
        (400, -2016, "No trading window", "MarketClosedError", R.MARKET_CLOSED, True),
        (
            400,
            -2010,
            "Account has insufficient balance for requested action.",
            "InsufficientFundsError",
            R.INSUFFICIENT_FUNDS,
            True,
        ),
        (
            400,
            -2010,
            "This action is disabled on this account.",
            "AccountSuspendedError",
            R.ACCOUNT_SUSPENDED,
            True,
        ),
        (
            400,
            -2010,
            "This account may not place or cancel orders.",
            "AccountSuspendedError",
            R.ACCOUNT_SUSPENDED,
            True,
        ),
        (400, -2010, "Order would immediately match and take.", "InvalidOrderError", R.WOULD_TAKE, True),
        (400, -2010, "Order would trigger immediately.", "InvalidOrderError", R.BROKER_REJECTED, True),
        (400, -2010, "A text of tomorrow.", "InvalidOrderError", R.BROKER_REJECTED, True),
        (400, -2011, "Unknown order sent.", "UnknownOrderError", R.ORDER_ENDED, True),
        (
            400,
            -2011,
            "Order was not canceled due to cancel restrictions.",
            "InvalidOrderError",
            R.BROKER_REJECTED,
            True,
        ),
        (400, -2013, "Order does not exist.", "UnknownOrderError", R.ORDER_NOT_FOUND, True),
        (400, -2026, "", "UnknownOrderError", R.ORDER_NOT_FOUND, True),
        (400, -2039, "", "UnknownOrderError", R.ORDER_NOT_FOUND, True),
        (400, -9999, "Of tomorrow", "TemporaryConnectionError", R.BROKER_UNAVAILABLE, False),
        (404, None, "", "TemporaryConnectionError", R.BROKER_UNAVAILABLE, False),
        (200, None, "<html>", "TemporaryConnectionError", R.BROKER_UNAVAILABLE, False),
    ],
)
def test_what_an_error_means(
    status: int, code: int | None, text: str, error: str, reason: ErrorReason, sure: bool
) -> None:
    meant = meaning(status, code, text)
    assert (meant.error, meant.reason, meant.sure) == (getattr(domain, error), reason, sure)


def test_whatever_it_is_has_a_class_and_a_reason() -> None:
    meanings = [*CODES.values(), *FILTERS.values(), *(meant for _, meant in TEXTS)]
    assert all(BrokerError in meant.error.__mro__ for meant in meanings)
    assert all(meant.reason for meant in meanings)


def test_texts_are_compared_in_small_letters() -> None:
    assert all(part == part.lower() for part, _ in TEXTS)


def test_an_error_is_explained_with_its_way_out() -> None:
    said = explain(401, -2015, "Invalid API-key, IP, or permissions for action.")
    assert said.startswith("Invalid API-key, IP, or permissions for action. (-2015): the key is unknown here")
    assert explain(502, None, "") == "HTTP status 502"
    assert "firewall" in explain(403, None, "")
