"""An order as a client asks for it: the fields of `placeOrder`, read one by one at any version from 157 to 178.

The order of the fields is that of IB's own client (`ibapi/client.py`, `placeOrder`). What nothing here trades
(combinations, scale orders, algos, conditions …) is named in `unsupported`; the venue refuses it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tests.emulators.tws.contracts import Wanted, read_wanted
from tests.emulators.tws.wire import Reader

FA_PROFILE_GONE = 177
"""From this version on a client names no FA profile."""
_SINCE = {"duration": 158, "post_to_ats": 160, "auto_cancel_parent": 162, "override": 166, "manual_time": 169}
"""Fields that came later, by the version that has them first."""


@dataclass(frozen=True, slots=True)
class Asked:
    """See the module. Prices are as the wire has them; None is not set."""

    order_id: int
    contract: Wanted
    action: str
    quantity: Decimal
    type: str
    limit: Decimal | None
    aux: Decimal | None
    tif: str
    oca_group: str
    account: str
    open_close: str
    origin: int
    ref: str
    transmit: bool
    parent_id: int
    trigger_method: int
    outside_rth: bool
    hidden: bool
    good_after: str = ""
    good_till: str = ""
    oca_type: int = 0
    all_or_none: bool = False
    trail_stop: Decimal | None = None
    trail_percent: Decimal | None = None
    what_if: bool = False
    cash_quantity: Decimal | None = None
    display: int = 0
    unsupported: str = ""
    """What of it nothing here trades; empty for nothing."""
    unread: int = 0
    """Fields that were left when all were read: none, where client and emulator agree."""

    @property
    def buys(self) -> bool:
        """Which way."""
        return self.action == "BUY"


def read_order(reader: Reader, version: int) -> Asked:
    """Reads `placeOrder` behind its message id."""
    found = _read_main(reader)
    if found["contract"].security == "BAG":
        return Asked(**found, unsupported="combinations")
    strange = _read_terms(reader, version, found)
    reader.skip(1)  # the algo's id
    found["what_if"] = reader.flag()
    reader.skip(1 + 3)  # options; solicited, randomise size and price
    if reader.integer():
        return Asked(**found, unsupported="conditions")
    reader.skip(7 + 1 + 2)  # adjustments, the operator, the soft dollar tier
    found["cash_quantity"] = reader.decimal()
    reader.skip(4 + 4)  # MiFID II; hedging price, container, discretion up to the limit, price management
    reader.skip(sum(version >= since for since in _SINCE.values()))
    return Asked(**found, unsupported=strange, unread=reader.left)


def _read_main(reader: Reader) -> dict[str, Any]:
    found: dict[str, Any] = {"order_id": reader.integer(), "contract": read_wanted(reader)}
    reader.skip(2)  # the security's other id
    found |= {
        "action": reader.text(),
        "quantity": reader.decimal() or Decimal(0),
        "type": reader.text(),
        "limit": reader.decimal(),
        "aux": reader.decimal(),
        "tif": reader.text() or "DAY",
        "oca_group": reader.text(),
        "account": reader.text(),
        "open_close": reader.text(),
        "origin": reader.integer(),
        "ref": reader.text(),
        "transmit": reader.flag(),
        "parent_id": reader.integer(),
    }
    reader.skip(2)  # block order, sweep to fill
    return found | {
        "display": reader.integer(),
        "trigger_method": reader.integer(),
        "outside_rth": reader.flag(),
        "hidden": reader.flag(),
    }


def _read_terms(reader: Reader, version: int, found: dict[str, Any]) -> str:
    """Everything from the allocation to the algo; what of it nothing here trades."""
    strange = ""
    reader.skip(2)  # allocation, discretionary amount
    found["good_after"], found["good_till"] = reader.text(), reader.text()
    reader.skip(3 + (version < FA_PROFILE_GONE))  # FA group, method, percentage, profile
    reader.skip(1 + 3)  # model; slot, location and exemption of a short sale
    found["oca_type"] = reader.integer()
    reader.skip(2)  # rule 80A, settling firm
    found["all_or_none"] = reader.flag()
    reader.skip(1 + 1)  # least quantity, percent offset
    reader.skip(3)  # electronic trade only, firm quote only, price cap
    reader.skip(1 + 3 + 2)  # auction strategy; box orders; pegged to stock
    reader.skip(1 + 2)  # percentage constraints; volatility and its type
    if reader.text():
        strange = "delta neutral orders"
        reader.skip(1 + 8)
    else:
        reader.skip(1)
    reader.skip(2)  # continuous update, reference price
    found["trail_stop"], found["trail_percent"] = reader.decimal(), reader.decimal()
    reader.skip(2)
    step = reader.decimal()
    if step is not None and step > 0:
        strange = "scale orders"
        reader.skip(7)
    reader.skip(3)  # the scale's table, active from and to
    if reader.text():
        strange = "hedge orders"
        reader.skip(1)
    reader.skip(1 + 2 + 1)  # smart routing; clearing account and intent; not held
    if reader.flag():
        strange = "delta neutral contracts"
        reader.skip(3)
    if reader.text():
        strange = "algos"
        reader.skip(2 * reader.integer())
    return strange
