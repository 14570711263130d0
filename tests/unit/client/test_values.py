"""What goes between the wire and Python: whole, exact, and with room for what is newer."""

from __future__ import annotations

import dataclasses
import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from brokergate.v1 import (
    account_pb2,
    broker_pb2,
    enums_pb2,
    error_pb2,
    event_pb2,
    fill_pb2,
    instrument_pb2,
    market_data_pb2,
    order_pb2,
    position_pb2,
    simulator_pb2,
    trading_control_pb2,
)
from brokergate_client import (
    ErrorReason,
    Gateway,
    GatewayError,
    LinkedOrder,
    OrderSpec,
    OrderType,
    ProtectiveLeg,
    Side,
    TimeInForce,
    Tls,
    bracket,
    decode,
    encode,
    enums,
    limit_order,
    market_order,
    name_of,
    stop_limit_order,
    stop_order,
)
from brokergate_client.connection import Token, is_loopback
from brokergate_client.details import parse_details
from brokergate_client.errors import InvalidNumberError, from_message
from brokergate_client.exact import decimal_text, exact, nanoseconds, time_of, timestamp_of
from brokergate_client.ids import new_id

CONTRACT_FILES = (
    account_pb2,
    broker_pb2,
    enums_pb2,
    error_pb2,
    event_pb2,
    instrument_pb2,
    order_pb2,
    simulator_pb2,
    trading_control_pb2,
)
OURS = {
    name: kind
    for name, kind in vars(enums).items()
    if isinstance(kind, type) and issubclass(kind, IntEnum) and kind is not IntEnum
}
CONTRACT = {
    enum.name: enum for module in CONTRACT_FILES for enum in module.DESCRIPTOR.enum_types_by_name.values()
}


@pytest.mark.parametrize("name", sorted(OURS.keys() - {"ServingStatus"}))
def test_enums_have_the_contracts_names_and_numbers(name: str) -> None:
    """Every value, and no other."""
    prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper() + "_"
    contract = {value.name.removeprefix(prefix): value.number for value in CONTRACT[name].values}
    assert {member.name: member.value for member in OURS[name]} == contract


def test_a_number_of_a_newer_gateway_is_carried_through() -> None:
    """It stays the int that it is, and has a name to print."""
    fill = decode.fill(fill_pb2.Fill(quantity="1", price="1", side=99))  # type: ignore[arg-type]
    assert fill.side == 99
    assert (name_of(fill.side), name_of(Side.BUY)) == ("99", "BUY")


DECIMALS = st.decimals(
    allow_nan=False, allow_infinity=False, places=18, max_value=10**19, min_value=-(10**19)
)


@given(DECIMALS)
def test_decimals_survive_the_wire_to_the_last_digit(value: Decimal) -> None:
    """Plain notation, and the same value again, at all of the contract's 38 digits."""
    text = decimal_text(value)
    assert re.fullmatch(r"-?[0-9]{1,20}(\.[0-9]{1,18})?", text)
    assert Decimal(text) == value


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (5, "5"),
        ("0.10", "0.10"),
        (Decimal("1E+3"), "1000"),
        (Decimal("0.1000000000") * Decimal("60000.5000000000"), "6000.050000000000000000"),
        (Decimal("0E-25"), "0.000000000000000000"),
    ],
)
def test_exact_numbers_are_taken(number: Any, text: str) -> None:
    """Ints, text and Decimals, written without an exponent."""
    assert decimal_text(number) == text


@pytest.mark.parametrize("number", [0.1, True, None])
def test_what_is_not_exact_is_refused(number: Any) -> None:
    """A float would silently be another number; the error says what to write."""
    with pytest.raises(TypeError, match="Decimal"):
        exact(number)


@pytest.mark.parametrize(
    "text", ["", "abc", "NaN", "Infinity", "1,5", "1e5", "+1", ".5", "1.", "1_0", "١", "1\n", "9" * 21]
)
def test_what_is_no_number_is_refused(text: str) -> None:
    """Before it goes anywhere."""
    with pytest.raises(ValueError, match="number"):
        exact(text)


@pytest.mark.parametrize(
    "number", [Decimal("1E-19"), Decimal("1E+20"), Decimal("1E+999999"), Decimal("-1E-999999")]
)
def test_a_number_that_the_contract_has_no_room_for_is_refused(number: Decimal) -> None:
    """Shown as it was given: written out it might fill the memory."""
    with pytest.raises(InvalidNumberError) as caught:
        decimal_text(number, "price")
    assert len(str(caught.value)) < 200


@given(st.integers(0, 7_000_000_000_000_000), st.integers(-14, 14))
def test_times_survive_the_wire(microseconds: int, hours: int) -> None:
    """To the microsecond, whatever zone they were given in."""
    time = time_of(microseconds * 1000).astimezone(timezone(timedelta(hours=hours)))
    again = time_of(nanoseconds(timestamp_of(time)))
    assert again == time
    assert again.tzinfo is UTC


def test_a_naive_time_is_refused() -> None:
    """It could be any time of a day."""
    with pytest.raises(ValueError, match="no time zone"):
        timestamp_of(datetime(2026, 1, 1))  # noqa: DTZ001, that is the point


def filled(message: Message, depth: int = 0) -> Message:
    """The message with every field set to something that is not its default."""
    fields: Any = message.DESCRIPTOR.fields
    for number, field in enumerate(fields, start=1):
        oneof = field.containing_oneof
        if oneof is not None and oneof.fields[0] is not field:
            continue
        entry = field.message_type is not None and field.message_type.GetOptions().map_entry
        if entry:
            getattr(message, field.name)["key"] = f"{field.name}-value"
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            if depth < 3:
                child = getattr(message, field.name)
                filled(child.add() if field.is_repeated else child, depth + 1)
        elif field.is_repeated:
            getattr(message, field.name).append(f"{field.name}-1")
        elif field.type == FieldDescriptor.TYPE_STRING:
            words = ("_id", "symbol", "message", "currency", "description", "broker", "expected", "actual")
            text = any(word in field.name for word in words)
            setattr(message, field.name, f"{field.name}-{number}" if text else f"{number}.5")
        elif field.type == FieldDescriptor.TYPE_ENUM:
            setattr(message, field.name, 2 if field.enum_type.values_by_number.get(2) else 1)
        else:
            setattr(message, field.name, number)
    return message


DEFAULTS: tuple[Any, ...] = (None, "", 0, (), {}, False, Decimal(0))


@pytest.mark.parametrize(
    ("message", "decoder", "absent"),
    [
        (fill_pb2.Fill(), decode.fill, {"event_id", "sequence", "cursor"}),
        (order_pb2.Order(), decode.order, set()),
        (order_pb2.OrderSpec(), decode.order_spec, {"quote_quantity"}),
        (order_pb2.PreviewOrderResponse(), decode.preview, set()),
        (order_pb2.OrderResult(), decode.order_result, {"error"}),
        (account_pb2.Account(), decode.account, set()),
        (account_pb2.Balance(), decode.balance, set()),
        (account_pb2.LedgerEntry(), decode.ledger_entry, set()),
        (position_pb2.Position(), decode.position, set()),
        (instrument_pb2.Instrument(), decode.instrument, set()),
        (market_data_pb2.Quote(), decode.quote, {"stale"}),  # of the answer
        (trading_control_pb2.Discrepancy(), decode.discrepancy, set()),
        (trading_control_pb2.StopProgress(), decode.stop_progress, set()),
        (trading_control_pb2.AccountTradingState(), decode.trading_state, set()),
        (trading_control_pb2.AuditRecord(), decode.audit_record, set()),
    ],
)
def test_every_field_of_a_value_is_read(message: Message, decoder: Any, absent: set[str]) -> None:
    """No field of a value is left at its default when every field of the message is set."""
    value = decoder(filled(message))
    for field in dataclasses.fields(value):
        read = getattr(value, field.name)
        assert (read in DEFAULTS) == (field.name in absent), f"{field.name} = {read!r}"


SPECS = [
    market_order("BTC/USDT", Side.BUY, "0.1"),
    limit_order("BTC/USDT", Side.SELL, 1, Decimal("60000.5"), time_in_force=TimeInForce.GTC, post_only=True),
    stop_order("AAPL", Side.SELL, 10, "180"),
    stop_limit_order("AAPL", Side.SELL, 10, "180", "179.5", time_in_force=TimeInForce.DAY),
    OrderSpec(
        symbol="X",
        side=Side.BUY,
        type=OrderType.TRAILING_STOP,
        quote_quantity=Decimal(100),
        trail_percent=Decimal("1.5"),
        time_in_force=TimeInForce.GTD,
        expire_time=datetime(2027, 1, 1, tzinfo=UTC),
        take_profit=ProtectiveLeg("tp", limit_price=Decimal(9)),
        stop_loss=ProtectiveLeg("sl", stop_price=Decimal(7)),
        labels={"why": "test"},
        broker_options={"k": "v"},
    ),
]


@pytest.mark.parametrize("spec", SPECS)
def test_an_order_survives_the_wire(spec: OrderSpec) -> None:
    """What was asked for is what is sent; what was not stays absent."""
    assert decode.order_spec(encode.order_spec(spec)) == spec


def test_legs_are_named_after_their_entry() -> None:
    """So that the same call, made again under the same id after a crash, asks for the same."""
    spec = bracket(SPECS[1], take_profit="50000", stop_loss="70000", stop_loss_limit="70100")
    assert spec.take_profit == ProtectiveLeg("", limit_price=Decimal(50000))
    named = encode.named(spec, "e7")
    assert named.take_profit == ProtectiveLeg("e7-tp", limit_price=Decimal(50000))
    assert named.stop_loss == ProtectiveLeg("e7-sl", Decimal(70100), Decimal(70000))
    own = dataclasses.replace(spec, take_profit=ProtectiveLeg("mine", Decimal(50000)))
    assert encode.named(own, "e7").take_profit == ProtectiveLeg("mine", Decimal(50000))
    assert encode.named(SPECS[1], "e7") is SPECS[1]


def test_a_bracket_needs_a_leg() -> None:
    with pytest.raises(ValueError, match="take_profit or stop_loss"):
        bracket(SPECS[1])
    with pytest.raises(ValueError, match="belongs to"):
        bracket(SPECS[1], stop_loss="1", take_profit_trigger="2")
    with pytest.raises(TypeError):
        bracket(SPECS[1], take_profit=1.5)  # type: ignore[arg-type]


def test_members_of_a_group_are_named_after_the_first() -> None:
    others = encode.linked_orders([LinkedOrder(SPECS[2]), LinkedOrder(SPECS[3], "own")], "e7")
    assert [other.client_order_id for other in others] == ["e7-2", "own"]
    assert decode.order_spec(others[0].order) == SPECS[2]


def test_two_sizes_are_refused() -> None:
    """On the wire the second would silently replace the first."""
    spec = dataclasses.replace(SPECS[0], quote_quantity=Decimal(5))
    with pytest.raises(ValueError, match="both set"):
        encode.order_spec(spec)


@pytest.mark.parametrize("ids", [(None, None), ("o", "c")])
def test_an_order_is_named_by_one_id(ids: tuple[str | None, str | None]) -> None:
    """None or both would leave it to chance."""
    with pytest.raises(ValueError, match="one of the two"):
        encode.order_ref(*ids)


def test_ids_are_new_and_fit_the_contract() -> None:
    """80 random bits behind the time, in the charset that every broker's id allows."""
    ids = [new_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all(re.fullmatch(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", made) for made in ids)
    times = [made[:10] for made in ids]
    assert times == sorted(times)


@given(st.binary(max_size=200))
def test_garbage_for_details_is_passed_over(status: bytes) -> None:
    """A broken trailer never hides the error that it came with."""
    assert parse_details(status).reason == ""


def test_an_error_of_an_item_is_the_error_of_its_call() -> None:
    """Reason, code, violations and metadata; a reason of a newer gateway stays a number."""
    error = from_message(
        error_pb2.Error(
            reason=error_pb2.ERROR_REASON_PRICE_OFF_TICK,
            code=3,
            message="off",
            field_violations=[error_pb2.FieldViolation(field="f", description="d")],
            metadata={"k": "v"},
        )
    )
    assert isinstance(error, GatewayError)
    assert (type(error).__name__, error.reason, str(error)) == (
        "InvalidRequestError",
        ErrorReason.PRICE_OFF_TICK,
        "PRICE_OFF_TICK: off",
    )
    assert (error.violations[0].field, error.metadata) == ("f", {"k": "v"})
    newer = from_message(error_pb2.Error(reason=999, code=99, message="m"))  # type: ignore[arg-type]
    assert str(newer) == "999: m"


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1:50051", True),
        ("127.8.9.1:1", True),
        ("localhost:50051", True),
        ("[::1]:50051", True),
        ("dns:///localhost:50051", True),
        ("unix:/run/brokergate.sock", True),
        ("0.0.0.0:50051", False),
        ("10.0.0.1:50051", False),
        ("localhost.example.com:50051", False),
        ("127.0.0.1.example.com:50051", False),
        ("dns://127.0.0.1/example.com:50051", False),
        ("dns://127.0.0.1/127.0.0.1.example.com", False),
        ("ipv4:127.0.0.1:1,10.0.0.1:1", False),
        ("[2001:db8::1]:50051", False),
        ("", False),
    ],
)
def test_loopback_is_told_from_what_looks_like_it(address: str, loopback: bool) -> None:
    """Only what surely stays on this machine counts."""
    assert is_loopback(address) is loopback


def test_a_token_does_not_leave_the_machine_unencrypted() -> None:
    """Unless it is said that something else encrypts."""
    with pytest.raises(ValueError, match="unencrypted") as caught:
        Gateway.connect("10.0.0.1:50051", token="bg_secret")
    assert "bg_secret" not in str(caught.value)
    Gateway.connect("10.0.0.1:50051", token="bg_secret", allow_plaintext_token=True)
    Gateway.connect("10.0.0.1:50051", token="bg_secret", tls=Tls())


@pytest.mark.parametrize("text", ["", "two words", "line\n", "ünïcode"])
def test_a_token_that_no_header_can_carry_is_refused_unseen(text: str) -> None:
    """The error does not repeat it."""
    with pytest.raises(ValueError, match="token") as caught:
        Token(text)
    assert not text or text not in str(caught.value)


def test_half_of_a_certificate_pair_is_refused() -> None:
    """mTLS needs both files."""
    with pytest.raises(ValueError, match="go together"):
        Tls(certificate_file="cert.pem").credentials()
