"""Page tokens: where the next page of a list begins. Opaque to clients.

    1.<fingerprint of the list's filters, 16 hex digits>.<place>

The place is what the list's last item was found by: a number, a sequence or a symbol.
"""

from __future__ import annotations

from brokergate.domain.errors import ErrorReason, FieldViolation, GatewayError, shorten

MAX_TOKEN_LENGTH = 128
_FILTER_DIGITS = 16


def encode_page_token(filters: bytes, place: int | str) -> str:
    """The token of the page after `place`; `filters` is the fingerprint of everything else that the list asks for."""
    return f"1.{filters.hex()[:_FILTER_DIGITS]}.{place}"


def decode_page_token(token: str, filters: bytes) -> str:
    """The place that a token names. Raises GatewayError PAGE_TOKEN_INVALID for a token of a list with other filters,
    and for what `encode_page_token` never made."""
    version, _, rest = token.partition(".")
    scope, _, place = rest.partition(".")
    if (
        len(token) > MAX_TOKEN_LENGTH
        or version != "1"
        or not place
        or scope != filters.hex()[:_FILTER_DIGITS]
    ):
        raise invalid_token(token)
    return place


def decode_numbered_page_token(token: str, filters: bytes) -> int:
    """The same where the place is a number above zero."""
    place = decode_page_token(token, filters)
    if not (place.isascii() and place.isdecimal() and len(place) <= 13 and int(place)):
        raise invalid_token(token)
    return int(place)


def invalid_token(token: str) -> GatewayError:
    """The error for a token that this list never gave."""
    problem = (
        f"{shorten(token)!r} is not one that this list gave with these filters; "
        "repeat the filters of the page before, or begin without a token"
    )
    return GatewayError(
        ErrorReason.PAGE_TOKEN_INVALID,
        f"page_token: {problem}",
        violations=[FieldViolation("page_token", problem)],
    )
