"""What the server says, as the fields of each message by version, in the order in which IB's own decoder reads them.

What stands in fields that nothing here uses is what recordings of real gateways have there (wboayue/rust-ibapi,
`src/orders`; scmhub/ibsync#11 for a filled order as a completed one: quantity 0, all of it in `filledQuantity`).
"""

from __future__ import annotations

from decimal import Decimal

from brokergate.domain.fills import Liquidity
from tests.emulators.tws.contracts import Listed
from tests.emulators.tws.orders import TwsExecution, TwsOrder
from tests.emulators.tws.wire import UNSET, UNSET_INTEGER, Field, shown

Fields = list[Field]
NO_PARENT = "9223372036854775807"
"""`parentPermId` of an order without a parent (Java's `Long.MAX_VALUE`)."""
_ADVANCED_REJECT = 166
_SIZE_RULES = 164
_FA_PROFILE_GONE = 177
_PEG_OFFSETS = 170
_LIQUIDITY = {Liquidity.MAKER: 1, Liquidity.TAKER: 2}
_HOURS = "20261123:0930-20261123:1600;20261124:0930-20261124:1600"


def error(version: int, request_id: int, code: int, text: str) -> Fields:
    """A message of the system, of a request or of an order."""
    advanced: Fields = [""] if version >= _ADVANCED_REJECT else []
    return [4, 2, request_id, code, text, *advanced]


def order_status(order: TwsOrder, order_id: int) -> Fields:
    """How far an order has filled."""
    wire = order.listed.on_wire
    return [
        3, order_id, order.status, order.filled, order.left, wire(order.average), order.perm_id,
        order.asked.parent_id, wire(order.last_price), order.client_id, "", 0,
    ]  # fmt: skip


def execution(version: int, request_id: int, told: TwsExecution, order_id: int, time: str) -> Fields:
    """One execution; `request_id` is -1 for one that happens now."""
    order, wire = told.order, told.order.listed.on_wire
    price = wire(told.price)
    fields: Fields = [
        11, request_id, order_id, *order.listed.fields(order.listed.primary), told.execution_id, time,
        order.account, order.listed.primary, "BOT" if order.asked.buys else "SLD", told.quantity, price,
        order.perm_id, order.client_id, 0, told.cumulated, wire(told.average), order.asked.ref, "", "", "",
        _LIQUIDITY.get(told.liquidity, 0),
    ]  # fmt: skip
    return [*fields, 0] if version >= 178 else fields


def commission(told: TwsExecution) -> Fields:
    """What an execution cost, and what it realised."""
    realized = UNSET if told.realized is None else told.realized
    currency = told.order.listed.currency
    return [59, 1, told.execution_id, told.commission, currency, realized, UNSET, ""]


def open_order(version: int, order: TwsOrder, order_id: int, margins: Fields, fee: Field) -> Fields:
    """An order as it stands. `margins` are the nine of a what-if, `fee` what it has cost, '' where nobody knows."""
    asked, listed = order.asked, order.listed
    allocation = f"{order.perm_id}.0/{order.account}/{asked.quantity.normalize():f}"
    head: Fields = [
        5, order_id, *listed.fields(asked.contract.exchange or listed.routed, "?"), *_terms(order),
        order.client_id, order.perm_id,
        asked.outside_rth, asked.hidden, 0, asked.good_after, allocation, "", "", "",
        *([""] if version < _FA_PROFILE_GONE else []), "", asked.good_till, "", "", "", 0, "", -1,
        0, "", "", "", "", "",  # auction, box, pegged to stock
        UNSET_INTEGER, 0, 0, asked.all_or_none, "", asked.oca_type or 3, 0, 0, "", asked.parent_id,
        asked.trigger_method,
        "", 0, "None", "", 0, "", "", "", "?", 0, 0, "",  # no delta neutral order is 'None', with eight fields
        0, 0, asked.trail_stop, asked.trail_percent, "", "", "", 0, 0, 0,  # continuous update … combinations
        UNSET_INTEGER, UNSET_INTEGER, "", "", 0, "", "IB", 0, 0, "", 0,  # scale, hedge, clearing … solicited
        asked.what_if, order.status, *margins, fee, "", "", listed.currency if fee != "" else "", "",
        0, 0, 0,  # randomise; conditions
        "None", UNSET, UNSET, UNSET, UNSET, UNSET, UNSET, 0, "", "", "", asked.cash_quantity or 0, 1, 0, 0, 0,
    ]  # fmt: skip
    tail: Fields = []
    for since in (158, 160):
        tail += [UNSET_INTEGER] if version >= since else []
    tail += [0] if version >= 162 else []
    tail += [UNSET_INTEGER, UNSET_INTEGER, "", "", ""] if version >= _PEG_OFFSETS else []
    return [*head, *tail]


def completed_order(version: int, order: TwsOrder, parent_perm_id: Field, time: str) -> Fields:
    """An order that has ended: what is left of it as its quantity, what has filled beside it."""
    asked, listed = order.asked, order.listed
    head: Fields = [
        101, *listed.fields(asked.contract.exchange or listed.routed, "?"), *_terms(order, completed=True),
        order.perm_id, asked.outside_rth, asked.hidden, 0, asked.good_after, "", "", "",
        *([""] if version < _FA_PROFILE_GONE else []), "", asked.good_till, "", "", "", 0, "", -1,
        "", "", "", "", "",  # box, pegged to stock
        UNSET_INTEGER, 0, asked.all_or_none, "", asked.oca_type or 3, asked.trigger_method,
        "", 0, "None", "", 0, 0, 0, "",  # no delta neutral order is 'None', with four fields
        0, 0, asked.trail_stop, asked.trail_percent, "", 0, 0, 0,
        UNSET_INTEGER, UNSET_INTEGER, "", "", "", "IB", 0, 0, "", 0, order.status, 0, 0, 0,
        asked.trail_stop or 0, UNSET, asked.cash_quantity or 0, 1, 0, "", order.filled, UNSET_INTEGER, 0,
        "Not an insider or substantial shareholder", 0, 0, parent_perm_id, time, order.why,
    ]  # fmt: skip
    tail: Fields = [UNSET_INTEGER, UNSET_INTEGER, "", "", ""] if version >= _PEG_OFFSETS else []
    return [*head, *tail]


def _terms(order: TwsOrder, *, completed: bool = False) -> Fields:
    asked = order.asked
    return [
        asked.action, order.left if completed else asked.quantity, asked.type, _double(asked.limit), _double(asked.aux),
        asked.tif, asked.oca_group, order.account, asked.open_close, asked.origin, asked.ref,
    ]  # fmt: skip


def _double(price: Decimal | None) -> str:
    """The prices of an order, which TWS prints as Java prints a double: `5800.0`, `0.0` where there is none."""
    text = shown(price or Decimal(0))
    return text if "." in text else f"{text}.0"


def contract_details(version: int, request_id: int, listed: Listed) -> Fields:
    """All that is known of a contract."""
    old = version < _SIZE_RULES
    exchanges = ",".join(listed.exchanges)
    return [
        10, *([8] if old else []), request_id, listed.symbol, listed.security, listed.expiry, listed.strike,
        listed.right, listed.routed, listed.currency, listed.local_symbol, listed.trading_class,
        listed.trading_class, listed.con_id, listed.min_tick, *([100] if old else []), listed.multiplier,
        "ACTIVETIM,ADJUST,COND,GTC,GTD,IOC,LIT,LMT,MIT,MKT,OCA,STP,STPLMT,TRAIL,WHATIF", exchanges,
        listed.magnifier, listed.under_con_id, listed.long_name, listed.primary, listed.expiry[:6], "", "", "",
        "US/Eastern", _HOURS, _HOURS, "", 0, 0, "", listed.under_symbol, listed.under_security,
        ",".join(str(listed.rule) for _ in listed.exchanges), listed.expiry, listed.stock_type,
        *([] if old else [listed.min_size, listed.size_increment, listed.size_increment]),
    ]  # fmt: skip


def position(account: str, listed: Listed, quantity: Field, average_cost: Field) -> Fields:
    """A position; zero tells that one is closed."""
    return [61, 3, account, *listed.fields(listed.primary), quantity, average_cost]
