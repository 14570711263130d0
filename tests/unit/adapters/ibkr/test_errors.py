"""What each of Interactive Brokers' messages means: by code, what was asked, whether it was acknowledged, and text."""

from __future__ import annotations

import pytest

from brokergate.adapters.ibkr.errors import TABLE, Asked, Means, meaning
from brokergate.domain.errors import (
    AuthenticationError,
    BrokerError,
    ErrorReason,
    InsufficientFundsError,
    InvalidOrderError,
    MarketClosedError,
    RateLimitError,
    RecoverableError,
    TemporaryConnectionError,
)

R = ErrorReason
FUNDS = (
    "Order rejected - reason:YOUR ORDER IS NOT ACCEPTED. MINIMUM OF 2000 USD (or equivalent) EQUITY REQUIRED"
)
CLOSED = "Order rejected - reason:Exchange is closed."
READ_ONLY = "Error validating request.-'bN' : cause - The API interface is currently in Read-Only mode."

REFUSALS: tuple[tuple[int, str, type[BrokerError], ErrorReason], ...] = (
    (201, FUNDS, InsufficientFundsError, R.INSUFFICIENT_FUNDS),
    (201, CLOSED, MarketClosedError, R.MARKET_CLOSED),
    (201, "Order rejected - reason:No such luck", InvalidOrderError, R.BROKER_REJECTED),
    (201, "Auftrag abgelehnt - Grund: unbekannt", InvalidOrderError, R.BROKER_REJECTED),
    (321, READ_ONLY, AuthenticationError, R.BROKER_AUTHENTICATION),
    (321, "Error validating request.-'b6' : cause - bad", InvalidOrderError, R.BROKER_REJECTED),
    (203, "The security is not allowed for this account", AuthenticationError, R.BROKER_REJECTED),
    (10243, "Fractional-sized order cannot be placed via API", InvalidOrderError, R.QUANTITY_OFF_LOT),
    (110, "The price does not conform to the minimum variation", InvalidOrderError, R.PRICE_OFF_TICK),
    (200, "No security definition has been found", InvalidOrderError, R.INSTRUMENT_NOT_FOUND),
    *((code, "", InvalidOrderError, R.BROKER_REJECTED) for code in (106, 107, 109, 111, 113, 320, 387, 434)),
)


@pytest.mark.parametrize(("code", "text", "error", "reason"), REFUSALS)
def test_a_refusal_of_a_new_order_holds_until_it_is_acknowledged(
    code: int, text: str, error: type[BrokerError], reason: ErrorReason
) -> None:
    found = meaning(code, text, Asked.ORDER, acknowledged=False)
    assert (found.means, type(found.error), found.reason) == (Means.REFUSED, error, reason)
    assert found.error.code == str(code)
    assert meaning(code, text, Asked.ORDER, acknowledged=True).means is Means.ASK


@pytest.mark.parametrize("code", [104, 105, 201, 110, 329, 2102])
@pytest.mark.parametrize("acknowledged", [True, False])
def test_a_refused_change_leaves_the_order_as_it_was(code: int, acknowledged: bool) -> None:
    found = meaning(code, "Order cannot be changed", Asked.CHANGE, acknowledged=acknowledged)
    assert found.means is Means.KEPT
    assert not found.refused


@pytest.mark.parametrize("asked", [Asked.ORDER, Asked.CHANGE, Asked.CANCEL])
@pytest.mark.parametrize("acknowledged", [True, False])
@pytest.mark.parametrize("code", [10349, 161, 10148, 10311, 10147, 135, 103, 399, 404, 2109])
def test_no_message_about_a_live_order_says_that_it_is_dead(
    code: int, acknowledged: bool, asked: Asked
) -> None:
    found = meaning(code, "Warning: Your order will not be placed", asked, acknowledged=acknowledged)
    assert found.means in {Means.ASK, Means.NOTICE}


@pytest.mark.parametrize("text", ["Order Canceled - reason:", "Auftrag storniert - Grund:"])
def test_a_cancellation_waits_for_the_orders_status(text: str) -> None:
    assert meaning(202, text, Asked.CANCEL, acknowledged=True).means is Means.CANCELLED


@pytest.mark.parametrize("asked", [Asked.CANCEL, Asked.CHANGE])
def test_an_api_that_only_reads_refuses_a_change_and_ends_nothing(asked: Asked) -> None:
    found = meaning(321, READ_ONLY, asked, acknowledged=True)
    assert (found.means, found.reason) == (Means.KEPT, R.BROKER_AUTHENTICATION)


@pytest.mark.parametrize(
    ("code", "means", "error"),
    [
        (1100, Means.LOST, TemporaryConnectionError),
        (1300, Means.LOST, TemporaryConnectionError),
        (2110, Means.LOST, TemporaryConnectionError),
        (502, Means.LOST, TemporaryConnectionError),
        (504, Means.LOST, TemporaryConnectionError),
        (1101, Means.RESTORED_ANEW, RecoverableError),
        (1102, Means.RESTORED, RecoverableError),
        (326, Means.CLIENT_ID, AuthenticationError),
        (100, Means.THROTTLED, RateLimitError),
        (2103, Means.NOTICE, RecoverableError),
        (2104, Means.NOTICE, RecoverableError),
        (2105, Means.NOTICE, RecoverableError),
        (2158, Means.NOTICE, RecoverableError),
        (2169, Means.NOTICE, RecoverableError),
    ],
)
def test_the_connection(code: int, means: Means, error: type[BrokerError]) -> None:
    found = meaning(code, "irgendwas", Asked.NOTHING)
    assert (found.means, type(found.error)) == (means, error)


@pytest.mark.parametrize("code", [162, 420])
def test_pacing_is_told_by_its_text_from_other_failures_of_a_query(code: int) -> None:
    assert meaning(code, "API pacing violation", Asked.QUERY).means is Means.THROTTLED
    assert meaning(code, "no data of this kind", Asked.QUERY).refused


@pytest.mark.parametrize("code", [354, 10089, 10197, 10168])
def test_market_data_that_may_not_be_had(code: int) -> None:
    found = meaning(code, "Requested market data is not subscribed.", Asked.MARKET_DATA)
    assert found.refused
    assert isinstance(found.error, AuthenticationError)
    assert meaning(code, "", Asked.ORDER).means is Means.UNLISTED


@pytest.mark.parametrize("asked", list(Asked))
def test_a_warning_fails_no_question(asked: Asked) -> None:
    text = "Warning: Your API version does not support fractional share size rules."
    assert meaning(2176, text, asked).means is Means.NOTICE
    assert meaning(2176, "something else", asked).means is Means.UNLISTED


def test_delayed_market_data_is_marked() -> None:
    text = "Requested market data is not subscribed. Displaying delayed market data."
    assert meaning(10167, text, Asked.MARKET_DATA).means is Means.DELAYED


@pytest.mark.parametrize("asked", [Asked.CONTRACT, Asked.MARKET_DATA])
def test_an_unknown_contract_by_what_was_asked(asked: Asked) -> None:
    found = meaning(200, "No security definition has been found for the request", asked)
    assert (found.refused, found.reason) == (True, R.INSTRUMENT_NOT_FOUND)


@pytest.mark.parametrize("asked", list(Asked))
@pytest.mark.parametrize("acknowledged", [True, False])
@pytest.mark.parametrize("code", [99999, 399, 0, 10, 478])
def test_what_is_unlisted_refuses_nothing(code: int, acknowledged: bool, asked: Asked) -> None:
    found = meaning(code, "etwas Neues", asked, acknowledged=acknowledged)
    assert (found.means, found.reason) == (Means.UNLISTED, R.OUTCOME_UNKNOWN)


def test_no_row_is_hidden_by_one_before_it() -> None:
    """Each row decides for a message that is made for it."""
    for row in TABLE:
        acknowledged = bool(row.acknowledged)
        text = row.words[0] if row.words else ""
        hits = {
            meaning(code, text, asked, acknowledged=acknowledged).means
            for code in row.codes
            for asked in row.asked
        }
        assert row.means in hits, row


def test_the_venues_words_are_on_one_line_and_short() -> None:
    error = meaning(201, "Order rejected\n - reason:<br>" + "x" * 2000, Asked.ORDER).error
    assert str(error).startswith("Interactive Brokers says 201: Order rejected - reason: xxx")
    assert "\n" not in str(error)
    assert len(str(error)) < 450
