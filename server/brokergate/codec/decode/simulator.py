"""Requests to make, reset, feed and steer paper accounts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Literal

from brokergate.codec.decode.fields import (
    Violations,
    all_members,
    choice,
    count,
    currency,
    duration_ns,
    identifier,
    matches_symbol,
    members,
    money,
    number,
    percent,
    positive,
    symbol,
    time_ns,
)
from brokergate.codec.decode.order import Mutation, mutation_at
from brokergate.domain.commands import CreatePaperAccount, PushInstrument, Slippage
from brokergate.domain.faults import Fault, FaultKind
from brokergate.domain.fills import Money
from brokergate.domain.market import BarView, BookView, MarketDatum, QuoteView, TradeView
from brokergate.domain.money import ZERO
from brokergate.domain.orders import Side
from brokergate.ports.broker import PushedUpdate, TapeAction
from brokergate.v1 import market_data_pb2, money_pb2, simulator_pb2

Latencies = Literal["request_latency_ms", "response_latency_ms", "latency_deviation_ms"]

MAX_INSTRUMENTS = 64
MAX_UPDATES = 1000
MAX_LEVELS = 1000
MAX_CURRENCIES = 64
MAX_LEVERAGE = 1000
MAX_BAR_S = 31 * 86_400
MAX_FAULTS = 16
MAX_DELAY_S = 3600
MAX_LATENCY_MS = Decimal(60_000)
LATENCIES: tuple[Latencies, ...] = ("request_latency_ms", "response_latency_ms", "latency_deviation_ms")
MAX_SLIPPAGE_AMOUNT = Decimal(10) ** 9
MAX_VOLUME = Decimal(10) ** 18
MAX_SECONDS = Decimal(10) ** 6

_HUNDRED = Decimal(100)
_ABOVE_HUNDRED = Decimal("100.000000000000000001")
_FAULTS = members(FaultKind)
_SIDES = all_members(Side)
_matches_preset = re.compile(r"[a-z0-9_]{1,32}", re.ASCII).fullmatch
_matches_new_account = re.compile(r"[a-z0-9][a-z0-9-]{0,31}", re.ASCII).fullmatch


@dataclass(frozen=True, slots=True)
class ResetPaperAccount:
    """Back to the beginning, with `initial_balances` by currency, or the first ones where None."""

    account_id: str
    initial_balances: tuple[Money, ...] | None


@dataclass(frozen=True, slots=True)
class ControlTape:
    """What a paper account's tape shall do."""

    account_id: str
    action: TapeAction


@dataclass(frozen=True, slots=True)
class SetFaults:
    """What shall go wrong on purpose, in place of what did."""

    account_id: str
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class PushedData:
    """Updates of one message; `account_id` is '' where the message leaves it to the first one."""

    account_id: str
    updates: tuple[PushedUpdate, ...]


def _balances(out: Violations, given: Sequence[money_pb2.Money], low: int) -> tuple[Money, ...]:
    if not count(out, "initial_balances", given, low, MAX_CURRENCIES):
        return ()
    balances = tuple(money(out, f"initial_balances[{index}]", amount) for index, amount in enumerate(given))
    seen: set[str] = set()
    for index, balance in enumerate(balances):
        if balance.currency in seen:
            out.add(f"initial_balances[{index}].currency_code", "is given twice", balance.currency)
        seen.add(balance.currency)
    return balances


def decode_create(request: simulator_pb2.CreatePaperAccountRequest) -> Mutation[CreatePaperAccount]:
    """A CreatePaperAccountRequest; a synthetic market without a seed has the seed 0."""
    out = Violations()
    account_id = request.account_id
    if _matches_new_account(account_id) is None:
        out.add("account_id", "must be a letter or digit, then up to 31 of a-z, 0-9 and -", account_id)
    balances = _balances(out, request.initial_balances, 1)
    instruments: tuple[PushInstrument, ...] = ()
    seed: int | None = None
    if request.HasField("push"):
        if count(out, "push.instruments", request.push.instruments, 1, MAX_INSTRUMENTS):
            instruments = _instruments(out, request.push.instruments)
    else:
        seed = request.synthetic.seed
    command = CreatePaperAccount(
        account_id,
        balances,
        seed,
        instruments,
        _fee(out, "taker_fee_percent", request.HasField("taker_fee_percent"), request.taker_fee_percent),
        _fee(out, "maker_fee_percent", request.HasField("maker_fee_percent"), request.maker_fee_percent),
        _slippage(out, request.slippage) if request.HasField("slippage") else None,
        _up_to(out, "participation_percent", request.participation_percent, _HUNDRED)
        if request.HasField("participation_percent")
        else None,
        _preset(out, request) if request.commission_preset else "",
        _leverage(out, request.leverage) if request.HasField("leverage") else None,
        *(
            _latency(out, field, getattr(request, field)) if request.HasField(field) else ZERO
            for field in LATENCIES
        ),
    )
    return mutation_at(out, "", request.request_id, command)


def _preset(out: Violations, request: simulator_pb2.CreatePaperAccountRequest) -> str:
    name = request.commission_preset
    if _matches_preset(name) is None:
        out.add("commission_preset", "must be up to 32 of a-z, 0-9 and _, such as ibkr_fixed", name)
    for field in ("taker_fee_percent", "maker_fee_percent"):
        if request.HasField(field):
            out.add("commission_preset", f"and {field} are given; keep one", name)
    return name


def _leverage(out: Violations, text: str) -> Decimal:
    leverage = positive(out, "leverage", text)
    if leverage < 1 or leverage > MAX_LEVERAGE:
        out.add("leverage", f"must be from 1 to {MAX_LEVERAGE}", text)
    return leverage


def _latency(out: Violations, field: str, text: str) -> Decimal:
    value = number(out, field, text)
    if value is not None and not 0 <= value <= MAX_LATENCY_MS:
        out.add(field, f"must be at least 0 and at most {MAX_LATENCY_MS} milliseconds", text)
    return value or ZERO


def _fee(out: Violations, field: str, given: bool, text: str) -> Decimal:
    # A rebate is a fee below zero.
    return percent(out, field, text, _HUNDRED.copy_negate(), _HUNDRED) if given else ZERO


def _slippage(out: Violations, given: simulator_pb2.SlippageModel) -> Slippage | None:
    match given.WhichOneof("model"):
        case "fixed_amount":
            amount = number(out, "slippage.fixed_amount", given.fixed_amount)
            if amount is not None and not 0 <= amount <= MAX_SLIPPAGE_AMOUNT:
                out.add(
                    "slippage.fixed_amount",
                    f"must be at least 0 and at most {MAX_SLIPPAGE_AMOUNT:f}",
                    str(amount),
                )
            return Slippage("FIXED", (("amount", amount or ZERO),))
        case "percent":
            share = percent(out, "slippage.percent", given.percent, ZERO, _HUNDRED)
            return Slippage("PERCENTAGE", (("percent", share),))
        case "market_impact":
            return Slippage("MARKET_IMPACT", tuple(_impact(out, given.market_impact)))
        case _:
            out.add("slippage.model", "is required; give fixed_amount, percent or market_impact")
            return None


def _impact(out: Violations, given: simulator_pb2.MarketImpact) -> Iterator[tuple[str, Decimal]]:
    path = "slippage.market_impact"
    yield "average_volume", _up_to(out, f"{path}.average_volume", given.average_volume, MAX_VOLUME)
    yield (
        "volatility_percent",
        percent(out, f"{path}.volatility_percent", given.volatility_percent, ZERO, _HUNDRED),
    )
    if given.HasField("shares_outstanding"):
        shares = _up_to(out, f"{path}.shares_outstanding", given.shares_outstanding, MAX_VOLUME)
        yield "shares_outstanding", shares
    if given.HasField("execution_seconds"):
        seconds = _up_to(out, f"{path}.execution_seconds", given.execution_seconds, MAX_SECONDS)
        yield "execution_seconds", seconds
    if given.HasField("day_seconds"):
        yield "day_seconds", _up_to(out, f"{path}.day_seconds", given.day_seconds, MAX_SECONDS)


def _up_to(out: Violations, field: str, text: str, high: Decimal) -> Decimal:
    """A decimal above zero and at most `high`."""
    value = positive(out, field, text)
    if value > high:
        out.add(field, f"must be at most {high:f}", text)
    return value


def _instruments(
    out: Violations, given: Sequence[simulator_pb2.PushInstrument]
) -> tuple[PushInstrument, ...]:
    instruments: dict[str, PushInstrument] = {}
    for index, instrument in enumerate(given):
        path = f"push.instruments[{index}]"
        name = symbol(out, f"{path}.symbol", instrument.symbol)
        if name in instruments:
            out.add(f"{path}.symbol", "is given twice", name)
        if matches_symbol(name) is None:
            continue
        pair, colon, settled = name.partition(":")
        base, slash, quote = pair.partition("/")
        if "/" in quote or (slash and not (base and quote)) or (colon and not (slash and settled == quote)):
            wrong = "is no pair such as BTC/USDT, no ticker such as AAPL and no linear perpetual such as BTC/USDT:USDT"
            out.add(f"{path}.symbol", wrong, name)
            continue
        if slash and instrument.quote_currency and instrument.quote_currency != quote:
            out.add(f"{path}.quote_currency", f"contradicts the symbol {name}", instrument.quote_currency)
        instruments[name] = PushInstrument(
            name,
            positive(out, f"{path}.price_increment", instrument.price_increment),
            positive(out, f"{path}.quantity_increment", instrument.quantity_increment),
            currency(out, f"{path}.quote_currency", quote if slash else instrument.quote_currency),
        )
    return tuple(instruments.values())


def decode_reset(request: simulator_pb2.ResetPaperAccountRequest) -> Mutation[ResetPaperAccount]:
    """A ResetPaperAccountRequest."""
    out = Violations()
    account_id = identifier(out, "account_id", request.account_id)
    balances = _balances(out, request.initial_balances, 0)
    return mutation_at(out, "", request.request_id, ResetPaperAccount(account_id, balances or None))


def decode_control_tape(request: simulator_pb2.ControlTapeRequest) -> Mutation[ControlTape]:
    """A ControlTapeRequest."""
    out = Violations()
    account_id = identifier(out, "account_id", request.account_id)
    action = TapeAction(pause=True)
    match request.WhichOneof("action"):
        case "pause":
            pass
        case "resume":
            action = TapeAction(resume=True)
        case "seek_time":
            action = TapeAction(seek_time_ns=time_ns(out, "seek_time", request.seek_time))
        case "speed":
            if request.speed != "max":
                positive(out, "speed", request.speed)
            action = TapeAction(speed=request.speed)
        case _:
            out.add("action", "is required; give pause, resume, seek_time or speed")
    return mutation_at(out, "", request.request_id, ControlTape(account_id, action))


def decode_set_faults(request: simulator_pb2.SetFaultsRequest) -> Mutation[SetFaults]:
    """A SetFaultsRequest."""
    out = Violations()
    account_id = identifier(out, "account_id", request.account_id)
    faults: tuple[Fault, ...] = ()
    if count(out, "faults", request.faults, 0, MAX_FAULTS):
        faults = tuple(
            Fault(
                choice(out, f"faults[{index}].kind", fault.kind, _FAULTS),
                percent(out, f"faults[{index}].rate_percent", fault.rate_percent, ZERO, _ABOVE_HUNDRED),
                duration_ns(out, f"faults[{index}].delay", fault.delay, 0, MAX_DELAY_S),
            )
            for index, fault in enumerate(request.faults)
        )
    return mutation_at(out, "", request.request_id, SetFaults(account_id, faults))


def decode_push(request: simulator_pb2.PushMarketDataRequest, receive_time_ns: int) -> PushedData:
    """A PushMarketDataRequest that came at `receive_time_ns`, by the gateway's clock. Whether the account is named
    once, and the same throughout, the stream that holds the messages knows."""
    out = Violations()
    if request.account_id:
        identifier(out, "account_id", request.account_id)
    updates: tuple[PushedUpdate, ...] = ()
    if count(out, "updates", request.updates, 0, MAX_UPDATES):
        updates = tuple(
            PushedUpdate(_datum(out, f"updates[{index}]", update, receive_time_ns))
            for index, update in enumerate(request.updates)
        )
    out.check()
    return PushedData(request.account_id, updates)


def _datum(
    out: Violations, path: str, update: market_data_pb2.MarketDataUpdate, receive_time_ns: int
) -> MarketDatum | BarView:
    match update.WhichOneof("data"):
        case "trade":
            return _trade(out, f"{path}.trade", update.trade, receive_time_ns)
        case "book":
            return _book(out, f"{path}.book", update.book, receive_time_ns)
        case "bar":
            return _bar(out, f"{path}.bar", update.bar, receive_time_ns)
        case "quote":
            pass
        case _:
            out.add(path, "is empty; give a quote, a trade, a book or a bar")
            return TradeView("", ZERO, ZERO, Side.UNSPECIFIED, 0, receive_time_ns)
    return _quote(out, f"{path}.quote", update.quote, receive_time_ns)


def _quote(out: Violations, path: str, quote: market_data_pb2.Quote, receive_time_ns: int) -> QuoteView:
    given = {field.name: value for field, value in quote.ListFields()}
    sides: dict[str, Decimal | None] = dict.fromkeys(
        ("bid_price", "bid_quantity", "ask_price", "ask_quantity", "last_price")
    )
    for name in sides:
        if name in given:
            sides[name] = positive(out, f"{path}.{name}", given[name])
    for side in ("bid", "ask"):
        if (f"{side}_price" in given) is not (f"{side}_quantity" in given):
            out.add(f"{path}.{side}_price", f"and {side}_quantity come together, or neither")
    bid, ask = sides["bid_price"], sides["ask_price"]
    if bid is not None and ask is not None and bid >= ask > ZERO:
        out.add(f"{path}.bid_price", f"must be below ask_price, {quote.ask_price}", quote.bid_price)
    _present(out, path, quote)
    return QuoteView(
        symbol(out, f"{path}.symbol", quote.symbol),
        bid,
        sides["bid_quantity"],
        ask,
        sides["ask_quantity"],
        time_ns(out, f"{path}.event_time", quote.event_time),
        receive_time_ns,
        sides["last_price"],
    )


def _present(out: Violations, path: str, datum: market_data_pb2.Quote | market_data_pb2.Trade) -> None:
    """What is said not to be traded by would be traded by."""
    if datum.delayed:
        out.add(
            f"{path}.delayed",
            "would be traded by as if it were of the present; leave it out if that is meant",
            "true",
        )


def _trade(out: Violations, path: str, trade: market_data_pb2.Trade, receive_time_ns: int) -> TradeView:
    _present(out, path, trade)
    return TradeView(
        symbol(out, f"{path}.symbol", trade.symbol),
        positive(out, f"{path}.price", trade.price),
        positive(out, f"{path}.quantity", trade.quantity),
        choice(out, f"{path}.aggressor_side", trade.aggressor_side, _SIDES),
        time_ns(out, f"{path}.event_time", trade.event_time),
        receive_time_ns,
    )


def _book(out: Violations, path: str, book: market_data_pb2.Book, receive_time_ns: int) -> BookView:
    bids, asks = _levels(out, f"{path}.bids", book.bids), _levels(out, f"{path}.asks", book.asks)
    if any(later[0] >= earlier[0] > ZERO for earlier, later in pairwise(bids)):
        out.add(f"{path}.bids", "must fall in price, best first")
    if any(ZERO < later[0] <= earlier[0] for earlier, later in pairwise(asks)):
        out.add(f"{path}.asks", "must rise in price, best first")
    if bids and asks and bids[0][0] >= asks[0][0] > ZERO:
        out.add(f"{path}.bids", f"must begin below the best ask, {asks[0][0]:f}", f"{bids[0][0]:f}")
    return BookView(
        symbol(out, f"{path}.symbol", book.symbol),
        bids,
        asks,
        time_ns(out, f"{path}.event_time", book.event_time),
        receive_time_ns,
    )


def _bar(out: Violations, path: str, bar: market_data_pb2.Bar, receive_time_ns: int) -> BarView:
    prices = {
        name: positive(out, f"{path}.{name}", getattr(bar, name))
        for name in ("open_price", "high_price", "low_price", "close_price")
    }
    low, high = prices["low_price"], prices["high_price"]
    if low > high > ZERO:
        out.add(f"{path}.low_price", f"must not be above high_price, {bar.high_price}", bar.low_price)
    for name in ("open_price", "close_price"):
        if ZERO < low <= high and prices[name] > ZERO and not low <= prices[name] <= high:
            out.add(f"{path}.{name}", "must not be outside low_price and high_price", getattr(bar, name))
    span_ns = duration_ns(out, f"{path}.span", bar.span, 1, MAX_BAR_S)
    volume = number(out, f"{path}.volume", bar.volume)
    if volume is not None and volume < ZERO:
        out.add(f"{path}.volume", "is below zero", bar.volume)
    return BarView(
        symbol(out, f"{path}.symbol", bar.symbol),
        span_ns,
        prices["open_price"],
        high,
        low,
        prices["close_price"],
        volume or ZERO,
        time_ns(out, f"{path}.event_time", bar.event_time),
        receive_time_ns,
    )


def _levels(
    out: Violations, field: str, levels: Sequence[market_data_pb2.BookLevel]
) -> tuple[tuple[Decimal, Decimal], ...]:
    if not count(out, field, levels, 0, MAX_LEVELS):
        return ()
    return tuple(
        (
            positive(out, f"{field}[{index}].price", level.price),
            positive(out, f"{field}[{index}].quantity", level.quantity),
        )
        for index, level in enumerate(levels)
    )
