"""What was encoded comes back as it was, field by field."""

from __future__ import annotations

from hypothesis import given

from brokergate.codec import restore
from brokergate.codec.encode import account, control, fill, order
from brokergate.domain.accounts import BrokerBalance, BrokerPosition, LedgerEntry
from brokergate.domain.control import Discrepancy
from brokergate.domain.fills import Fill
from brokergate.domain.orders import Order
from brokergate.v1 import account_pb2, fill_pb2, order_pb2, position_pb2, trading_control_pb2
from tests.unit.codec.values import BALANCES, DISCREPANCIES, FILLS, LEDGER_ENTRIES, POSITIONS, placed_orders


@given(placed_orders())
def test_order(value: Order) -> None:
    """An order's bytes give the order back, to the last digit and the last label."""
    stored = order_pb2.Order.FromString(order.order_bytes(value))
    restored = restore.restore_order(stored, value.multiplier)
    assert restored == value
    assert restored.spec == value.spec
    assert format(restored.quantity, "f") == format(value.quantity, "f")


@given(FILLS)
def test_fill(value: Fill) -> None:
    """A fill's bytes give the fill back."""
    assert restore.restore_fill(fill_pb2.Fill.FromString(fill.fill_bytes(value))) == value


@given(POSITIONS)
def test_position(value: BrokerPosition) -> None:
    """A position's bytes give the position back; its multiplier is kept beside them."""
    stored = position_pb2.Position.FromString(account.encode_position("paper", value).SerializeToString())
    assert restore.restore_position(stored, value.multiplier) == value


@given(BALANCES)
def test_balance(value: BrokerBalance) -> None:
    """A balance's bytes give the balance back, and `available` is exact."""
    stored = account_pb2.Balance.FromString(account.encode_balance("paper", value).SerializeToString())
    assert restore.restore_balance(stored) == value


@given(LEDGER_ENTRIES)
def test_ledger_entry(value: LedgerEntry) -> None:
    """A ledger entry's bytes give the entry back."""
    stored = account_pb2.LedgerEntry.FromString(
        account.encode_ledger_entry("paper", value).SerializeToString()
    )
    assert restore.restore_ledger_entry(stored) == value


@given(DISCREPANCIES)
def test_discrepancy(value: Discrepancy) -> None:
    """A disagreement's bytes give it back."""
    stored = trading_control_pb2.Discrepancy.FromString(control.discrepancy_bytes(value))
    assert restore.restore_discrepancy(stored) == value
