"""Money, decimals, timestamps and durations as the contract writes them.

`*_fields` give a message's fields as a dictionary. Generated constructors take one where they take a message, and
build the nested message in place: an Order takes 1.7 µs so and 2.6 µs with messages inside.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from brokergate.codec.wire import LENGTHS, template
from brokergate.domain.fills import Money
from brokergate.domain.money import format_decimal
from brokergate.v1 import money_pb2

Fields = dict[str, Any]

NS_PER_S = 1_000_000_000


def decimal_text(value: Decimal) -> str:
    """`value` in the contract's plain notation."""
    # str() is three times as fast as format() and differs only where it takes to an exponent.
    text = str(value)
    return format_decimal(value) if "E" in text else text


def optional_text(value: Decimal | None) -> str | None:
    """The same, and None for None: an absent field."""
    return None if value is None else decimal_text(value)


def timestamp_fields(time_ns: int) -> Fields | None:
    """A Timestamp of `time_ns` nanoseconds since the epoch; 0 is a time that is not known: absent."""
    if not time_ns:
        return None
    return {"seconds": time_ns // NS_PER_S, "nanos": time_ns % NS_PER_S}


@lru_cache(maxsize=512)
def timestamp_bytes(time_ns: int) -> bytes:
    """A serialised Timestamp; one moment stands in many messages."""
    return Timestamp(seconds=time_ns // NS_PER_S, nanos=time_ns % NS_PER_S).SerializeToString()


_MONEY = template(money_pb2.Money.DESCRIPTOR, "amount", "currency_code")


def amount_bytes(amount: Decimal, currency: str) -> bytes:
    """A serialised Money. Raises `IndexError` for what is longer than the contract allows."""
    text, code = decimal_text(amount).encode(), currency.encode()
    return _MONEY % (LENGTHS[len(text)], text, LENGTHS[len(code)], code)


def money_fields(money: Money) -> Fields:
    """The fields of a Money."""
    return {"amount": decimal_text(money.amount), "currency_code": money.currency}


def amount_fields(amount: Decimal, currency: str) -> Fields:
    """The fields of a Money of `amount` in `currency`."""
    return {"amount": decimal_text(amount), "currency_code": currency}
