"""Hypothesis strategies for every value of the domain that is encoded."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from brokergate.domain import accounts, control, events, fills, market, orders
from brokergate.domain.errors import ErrorReason
from brokergate.domain.money import ONE, ZERO

TIMES = st.integers(1, 2**63 - 1)
TEXTS = st.text(max_size=300)
IDS = st.text("abcXYZ019_-", min_size=1, max_size=64)
CURRENCIES = st.sampled_from(["USD", "USDT", "BTC"])
SYMBOLS = st.sampled_from(["BTC/USDT", "AAPL", "BTC/USDT:USDT", "AAPL  261218C00200000"])
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, places=8) | st.decimals(
    allow_nan=False, allow_infinity=False, min_value=-(10**37), max_value=10**37
)
POSITIVE = DECIMALS.map(abs).filter(bool)
MONEY = st.builds(fills.Money, DECIMALS, CURRENCIES)
FEES = st.lists(MONEY, max_size=3).map(tuple)


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """`strategy` or None."""
    return st.none() | strategy


def members(kind: Any) -> st.SearchStrategy[Any]:
    """Every member of an enum."""
    return st.sampled_from(list(kind))


LEGS = st.builds(orders.ProtectiveLeg, IDS, optional(POSITIVE), optional(POSITIVE))
PAIRS = st.dictionaries(st.text(min_size=1, max_size=32), TEXTS, max_size=4).map(
    lambda pairs: tuple(sorted(pairs.items()))
)


@st.composite
def specs(draw: st.DrawFn) -> orders.OrderSpec:
    """Specs with every field, whether or not they go together; a size is one of two, as in the contract."""
    by_quote = draw(st.booleans())
    return orders.OrderSpec(
        symbol=draw(SYMBOLS),
        side=draw(members(orders.Side)),
        type=draw(members(orders.OrderType)),
        quantity=None if by_quote else draw(optional(POSITIVE)),
        quote_quantity=draw(POSITIVE) if by_quote else None,
        limit_price=draw(optional(POSITIVE)),
        stop_price=draw(optional(POSITIVE)),
        trail_amount=draw(optional(POSITIVE)),
        trail_percent=draw(optional(POSITIVE)),
        trigger_source=draw(members(orders.TriggerSource)),
        time_in_force=draw(members(orders.TimeInForce)),
        expire_time_ns=draw(optional(TIMES)),
        post_only=draw(st.booleans()),
        reduce_only=draw(st.booleans()),
        extended_hours=draw(st.booleans()),
        display_quantity=draw(optional(POSITIVE)),
        self_trade_prevention=draw(members(orders.SelfTradePrevention)),
        take_profit=draw(optional(LEGS)),
        stop_loss=draw(optional(LEGS)),
        labels=draw(PAIRS),
        broker_options=draw(PAIRS),
    )


ACTIONS = st.builds(
    orders.PendingAction,
    members(orders.PendingActionKind),
    IDS,
    TIMES,
    st.booleans(),
    st.booleans(),
    optional(specs()),
)


@st.composite
def placed_orders(draw: st.DrawFn) -> orders.Order:
    """Orders with every field. A message goes with a reason, as in the contract."""
    reason = draw(members(ErrorReason))
    return orders.Order(
        order_id=draw(IDS),
        client_order_id=draw(st.just("") | IDS),
        account_id=draw(IDS),
        spec=draw(specs()),
        quantity=draw(DECIMALS),
        state=draw(members(orders.OrderState)),
        create_time_ns=draw(TIMES),
        update_time_ns=draw(TIMES),
        cum_quantity=draw(st.just(ZERO) | POSITIVE),
        leaves_quantity=draw(DECIMALS),
        cum_notional=draw(DECIMALS),
        multiplier=draw(st.just(ONE) | st.sampled_from([Decimal("0.001"), Decimal(100)])),
        pending=tuple(draw(st.lists(ACTIONS, max_size=3))),
        broker_order_id=draw(TEXTS),
        route_id=draw(st.just("") | IDS),
        origin=draw(members(orders.OrderOrigin)),
        generation=draw(st.integers(1, 2**32 - 1)),
        reject_reason=reason,
        reject_message=draw(TEXTS) if reason else "",
        triggered=draw(st.booleans()),
        group_id=draw(st.just("") | IDS),
    )


FILLS = st.builds(
    fills.Fill,
    fill_id=IDS,
    account_id=IDS,
    order_id=IDS,
    client_order_id=st.just("") | IDS,
    broker_order_id=TEXTS,
    broker_execution_id=TEXTS,
    symbol=SYMBOLS,
    side=members(orders.Side),
    quantity=POSITIVE,
    price=POSITIVE,
    fees=FEES,
    liquidity=members(fills.Liquidity),
    event_time_ns=TIMES,
    receive_time_ns=TIMES,
    fees_final=st.booleans(),
    origin=members(fills.FillOrigin),
    kind=members(fills.FillKind),
    corrects_fill_id=st.just("") | IDS,
)

POSITIONS = st.builds(
    accounts.BrokerPosition,
    symbol=SYMBOLS,
    quantity=st.just(ZERO) | DECIMALS,
    cost=DECIMALS,
    quote_currency=CURRENCIES,
    as_of_ns=TIMES,
    realized_pnl=DECIMALS,
    fees=FEES,
    multiplier=st.just(ONE) | st.just(Decimal("0.001")),
    mark_price=optional(POSITIVE),
    unrealized_pnl=optional(DECIMALS),
    source=members(accounts.ValueSource),
)

BALANCES = st.builds(
    accounts.BrokerBalance,
    currency=CURRENCIES,
    total=st.decimals(places=8, min_value=-(10**20), max_value=10**20),
    held=st.decimals(places=8, min_value=0, max_value=10**20),
    as_of_ns=TIMES,
    source=members(accounts.ValueSource),
)

LEDGER_ENTRIES = st.builds(
    accounts.LedgerEntry,
    ledger_entry_id=IDS,
    kind=members(accounts.LedgerEntryKind),
    amount=MONEY,
    event_time_ns=TIMES,
    symbol=st.just("") | SYMBOLS,
    description=TEXTS,
)

COUNTS = st.integers(0, 2**31 - 1)
STOPS = st.builds(
    control.StopProgress,
    members(control.StopPhase),
    COUNTS,
    COUNTS,
    COUNTS,
    COUNTS,
    COUNTS,
    st.lists(SYMBOLS, max_size=3).map(tuple),
)
DISCREPANCIES = st.builds(
    control.Discrepancy,
    IDS,
    IDS,
    st.just("") | SYMBOLS,
    st.just("") | IDS,
    TEXTS,
    TEXTS,
    TEXTS,
    TIMES,
    members(control.DiscrepancyState),
)

PAYLOADS = st.one_of(
    st.builds(
        events.OrderChanged,
        members(events.OrderEventType),
        placed_orders(),
        st.just("") | IDS,
        members(ErrorReason),
        TEXTS,
    ),
    st.builds(events.FillBooked, FILLS),
    st.builds(events.FillFeesKnown, IDS, IDS, SYMBOLS, FEES),
    st.builds(events.PositionChanged, POSITIONS),
    st.builds(events.BalanceChanged, BALANCES),
    st.builds(events.LedgerEntryBooked, LEDGER_ENTRIES),
    st.builds(events.ConnectionChanged, members(accounts.ConnectionState), TEXTS),
    st.builds(events.GapFound, TIMES, TIMES, TEXTS),
    st.builds(
        events.ControlChanged,
        members(events.ControlEventType),
        IDS,
        TEXTS,
        IDS,
        st.just("") | IDS,
        optional(STOPS),
    ),
    st.builds(events.DiscrepancyChanged, DISCREPANCIES),
)

QUOTES = st.builds(
    market.QuoteView,
    SYMBOLS,
    optional(POSITIVE),
    optional(POSITIVE),
    optional(POSITIVE),
    optional(POSITIVE),
    TIMES,
    TIMES,
    optional(POSITIVE),
)


def field_names(kind: type) -> set[str]:
    """The names of a dataclass's fields."""
    return {field.name for field in dataclasses.fields(kind)}
