"""What is traded at Interactive Brokers: the gateway's symbols, and the contracts that they stand for. Pure.

A contract is known by its `con_id` alone; everything else describes it, and a description may fit several. Therefore a
symbol is resolved once, by the venue's own list of what fits, and must come to one `con_id`.

    AAPL                   a share, smart-routed, in dollars; BRK.B is IB's `BRK B`
    EUR/USD                currencies, at IDEALPRO; what is no currency is crypto: BTC/USD, at PAXOS
    ESZ6                   a future, by its exchange's name of it
    AAPL261218C00200000    an option, by its OCC code without blanks

What this cannot say (a share in London, another crypto venue) is described in the account's configuration.
(Contracts: interactivebrokers.github.io/tws-api/basic_contracts.html.)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from brokergate.domain.instruments import Instrument, InstrumentKind
from brokergate.domain.money import ONE, multiply, normal, quotient

STOCK, FOREX, FUTURE, OPTION, CRYPTO = "STK", "CASH", "FUT", "OPT", "CRYPTO"
KINDS: Mapping[str, InstrumentKind] = {
    STOCK: InstrumentKind.EQUITY,
    FOREX: InstrumentKind.FOREX,
    FUTURE: InstrumentKind.FUTURE,
    OPTION: InstrumentKind.OPTION,
    CRYPTO: InstrumentKind.SPOT,
}
"""IB's security types that the gateway trades."""
_CODES = """
    AED AUD BGN BRL CAD CHF CNH CNY CZK DKK EUR GBP HKD HUF IDR ILS INR ISK JPY
    KRW MXN MYR NOK NZD PHP PLN RON RUB SAR SEK SGD THB TRY TWD USD XAG XAU ZAR
"""
CURRENCIES = frozenset(_CODES.split())
"""What a pair's base is where the pair is forex (and metals, which IB trades as pairs): IB's list of currencies."""
LOTS = {CRYPTO: Decimal("0.00000001")}
"""Steps of quantities where the venue does not say (servers below version 164); of all others it is 1."""
CANDIDATES_SHOWN = 6
_NOT_CHOSEN = frozenset({"QBALGO"})
"""Where IB lists futures once more, for algorithms; orders that did not ask for one go to their exchange."""

_option = re.compile(r"([A-Z0-9]{1,6}) *(\d{2})(\d{2})(\d{2})([CP])(\d{8})", re.ASCII).fullmatch
_future = re.compile(r"[A-Z0-9]{1,5}[FGHJKMNQUVXZ]\d{1,2}", re.ASCII).fullmatch
_pair = re.compile(r"([A-Za-z0-9.]{1,12})/([A-Z]{3,5})", re.ASCII).fullmatch


@dataclass(frozen=True, slots=True)
class IbContract:
    """A contract, or a description that is to be resolved; empty where nothing is said."""

    con_id: int = 0
    symbol: str = ""
    sec_type: str = ""
    expiry: str = ""
    """YYYYMMDD or YYYYMM (`lastTradeDateOrContractMonth`)."""
    strike: Decimal | None = None
    right: str = ""
    """C or P."""
    multiplier: str = ""
    exchange: str = ""
    primary_exchange: str = ""
    currency: str = ""
    local_symbol: str = ""
    trading_class: str = ""

    def described(self) -> str:
        """For people: what tells it from others of its kind."""
        parts = [self.sec_type, self.local_symbol or self.symbol, self.expiry, self.right]
        parts.append("" if self.strike is None else str(self.strike))
        parts += [self.primary_exchange or self.exchange, self.currency]
        parts.append(f"conId {self.con_id}" if self.con_id else "")
        return " ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class IbDetails:
    """What the venue says of a contract (`ContractDetails`)."""

    contract: IbContract
    min_tick: Decimal
    """The smallest step of its prices anywhere, in `currency`, before the magnifier."""
    price_magnifier: int = 1
    """Quotes and orders are in `currency` times this: 100 where they are in pence or cents."""
    valid_exchanges: tuple[str, ...] = ()
    market_rule_ids: tuple[int, ...] = ()
    """By position, of `valid_exchanges`."""
    min_size: Decimal | None = None
    size_increment: Decimal | None = None

    @property
    def market_rule_id(self) -> int | None:
        """The rule of the exchange that orders go to."""
        exchange = self.contract.exchange
        if exchange in self.valid_exchanges and len(self.market_rule_ids) == len(self.valid_exchanges):
            return self.market_rule_ids[self.valid_exchanges.index(exchange)]
        return self.market_rule_ids[0] if self.market_rule_ids else None


Steps = Sequence[tuple[Decimal, Decimal]]
"""A market rule: (from this price on, the step of prices), upwards; before the magnifier, as `min_tick` is."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A contract that was resolved, and what it is as an instrument."""

    contract: IbContract
    instrument: Instrument
    magnifier: Decimal = ONE
    steps: Steps = field(default=())

    @property
    def symbol(self) -> str:
        """The gateway's."""
        return self.instrument.symbol

    def to_venue(self, price: Decimal) -> Decimal:
        """A price of ours in the venue's units."""
        return multiply(price, self.magnifier)

    def from_venue(self, price: Decimal) -> Decimal:
        """A price of the venue's in units of the currency."""
        return price if self.magnifier == ONE else quotient(price, self.magnifier)

    def tick_at(self, price: Decimal) -> Decimal:
        """The step of prices where `price` is."""
        tick = self.instrument.price_increment
        for low_edge, increment in self.steps:
            if abs(price) < low_edge:
                break
            tick = increment
        return tick


class UnresolvedContract(Exception):
    """A symbol that stands for no contract, or for several; the text names them, and the way out."""


def wanted(symbol: str, described: Mapping[str, IbContract] | None = None) -> IbContract:
    """What to ask the venue for: what the configuration says of `symbol`, else what its notation says."""
    if described is not None and (contract := described.get(symbol)) is not None:
        return contract
    if (found := _option(symbol)) is not None:
        root, year, month, day, right, strike = found.groups()
        return IbContract(
            sec_type=OPTION,
            exchange="SMART",
            currency="USD",
            expiry=f"20{year}{month}{day}",
            strike=normal(Decimal(strike).scaleb(-3)),
            right=right,
            local_symbol=f"{root:<6}{year}{month}{day}{right}{strike}",
        )
    if (found := _pair(symbol)) is not None:
        base, quote = found.groups()
        if base in CURRENCIES:
            return IbContract(sec_type=FOREX, symbol=base, currency=quote, exchange="IDEALPRO")
        return IbContract(sec_type=CRYPTO, symbol=base, currency=quote, exchange="PAXOS")
    if _future(symbol) is not None:
        return IbContract(sec_type=FUTURE, local_symbol=symbol)
    return IbContract(sec_type=STOCK, symbol=symbol.replace(".", " "), exchange="SMART", currency="USD")


def choose(symbol: str, asked: IbContract, found: Iterable[IbDetails]) -> IbDetails:
    """The one contract that `symbol` stands for. One contract may be listed once for each of its exchanges: the first
    of those that was asked for, or the first that is no algorithm's. Raises `UnresolvedContract`."""

    def suits(details: IbDetails) -> tuple[bool, bool]:
        exchange = details.contract.exchange
        return exchange == asked.exchange, exchange not in _NOT_CHOSEN

    by_id: dict[int, IbDetails] = {}
    for each in found:
        known = by_id.get(each.contract.con_id)
        if each.contract.sec_type in KINDS and (known is None or suits(each) > suits(known)):
            by_id[each.contract.con_id] = each
    if len(by_id) == 1:
        return next(iter(by_id.values()))
    if not by_id:
        raise UnresolvedContract(
            f"Interactive Brokers knows no contract for {symbol!r} ({asked.described()}); correct it, or describe it "
            "under `contracts`"
        )
    candidates = [each.contract.described() for each in by_id.values()]
    shown = "; ".join(candidates[:CANDIDATES_SHOWN])
    more = f"; and {len(candidates) - CANDIDATES_SHOWN} more" if len(candidates) > CANDIDATES_SHOWN else ""
    raise UnresolvedContract(
        f"{symbol!r} ({asked.described()}) stands for {len(candidates)} contracts at Interactive Brokers: "
        f"{shown}{more}; "
        f"say which under `contracts`, such as {symbol}: {{con_id: {next(iter(by_id))}}}"
    )


def listed(symbol: str, details: IbDetails, steps: Steps = ()) -> Listed:
    """The instrument. `steps` is its market rule; without one its `min_tick` holds for every price."""
    contract = details.contract
    lot = details.size_increment or LOTS.get(contract.sec_type, ONE)
    smallest = min((increment for _, increment in steps), default=details.min_tick)
    pair = contract.sec_type in (FOREX, CRYPTO)
    instrument = Instrument(
        symbol=symbol,
        broker_symbol=contract.local_symbol or contract.symbol,
        kind=KINDS[contract.sec_type],
        base_currency=contract.symbol if pair else "",
        quote_currency=contract.currency,
        price_increment=smallest,
        quantity_increment=lot,
        min_quantity=max(details.min_size or lot, lot),
        multiplier=Decimal(contract.multiplier or "1"),
    )
    return Listed(contract, instrument, Decimal(max(details.price_magnifier, 1)), tuple(steps))


def symbol_of(contract: IbContract) -> str:
    """The gateway's notation of a contract that nobody listed, such as that of a position of others."""
    local, kind = contract.local_symbol, contract.sec_type
    if kind in (FOREX, CRYPTO):
        return f"{contract.symbol}/{contract.currency}"
    if kind == OPTION and _option(local) is not None:
        return local.replace(" ", "")
    if kind == STOCK:
        name = contract.symbol.replace(" ", ".")
        home = contract.currency == "USD" and not _pair(name) and not _future(name)
        return name if home else f"{name}:{contract.currency}"
    return (local or contract.symbol).strip() or f"conId:{contract.con_id}"


class Contracts:
    """The contracts of one account that were resolved, by symbol and by `con_id`."""

    def __init__(self) -> None:
        self._by_symbol: dict[str, Listed] = {}
        self._by_id: dict[int, Listed] = {}

    def put(self, found: Iterable[Listed]) -> None:
        """These are listed from now on. One that was and is no more is still known by its id: it may be held."""
        self._by_symbol = {each.symbol: each for each in found}
        self._by_id |= {each.contract.con_id: each for each in self._by_symbol.values()}

    def get(self, symbol: str) -> Listed | None:
        """By the gateway's symbol."""
        return self._by_symbol.get(symbol)

    def by_id(self, con_id: int) -> Listed | None:
        """By the venue's id."""
        return self._by_id.get(con_id)

    def symbol(self, contract: IbContract) -> str:
        """The symbol of any contract that the venue tells of."""
        found = self._by_id.get(contract.con_id)
        return found.symbol if found is not None else symbol_of(contract)

    def instruments(self) -> list[Instrument]:
        """All of them, by symbol."""
        return [self._by_symbol[symbol].instrument for symbol in sorted(self._by_symbol)]
