"""What can be traded at the emulated IB: stocks, a currency pair, futures, options and crypto, some of them ambiguous.

Contract ids, exchanges, ticks and market rules are in the form of IB's own (interactivebrokers.github.io/tws-api,
"Contracts", "Minimum Price Increment"). Prices inside the emulator are in the currency; on the wire they are that times
the price magnifier (pence in London). Ticks and market rules are not magnified: corn, quoted as 445.25 cents, has a
`minTick` of 0.0025 dollars (as ib_insync users' logs of ZC show).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from brokergate.domain.instruments import Instrument, InstrumentKind
from tests.emulators.tws.wire import Field, Reader

D = Decimal
KINDS = {
    "STK": InstrumentKind.EQUITY,
    "CASH": InstrumentKind.FOREX,
    "FUT": InstrumentKind.FUTURE,
    "OPT": InstrumentKind.OPTION,
    "CRYPTO": InstrumentKind.SPOT,
}
RULES: dict[int, Sequence[tuple[Decimal, Decimal]]] = {
    26: [(D(0), D("0.01"))],
    32: [(D(0), D("0.01")), (D(3), D("0.05"))],
    67: [(D(0), D("0.25"))],
    239: [(D(0), D("0.00005"))],
    557: [(D(0), D("0.25"))],
    635: [(D(0), D("0.0002"))],
}
"""Market rules by number: from this price on, this increment; in the currency."""
_RIGHTS = {"C": "C", "CALL": "C", "P": "P", "PUT": "P"}


@dataclass(frozen=True, slots=True)
class Listed:
    """One contract. `symbol` is IB's; `name` is what it is called inside, the gateway's notation."""

    con_id: int
    name: str
    symbol: str
    security: str
    local_symbol: str
    trading_class: str
    primary: str
    exchanges: tuple[str, ...]
    currency: str
    min_tick: Decimal
    rule: int
    long_name: str
    multiplier: str = ""
    expiry: str = ""
    strike: Decimal = D(0)
    right: str = ""
    size_increment: Decimal = D(1)
    min_size: Decimal = D(1)
    magnifier: int = 1
    under_con_id: int = 0
    under_symbol: str = ""
    under_security: str = ""
    stock_type: str = ""

    @property
    def routed(self) -> str:
        """Where it is sent to by default."""
        return self.exchanges[0]

    @property
    def units(self) -> Decimal:
        """Units of the underlying in one contract."""
        return D(self.multiplier or 1)

    def instrument(self) -> Instrument:
        """As the matching venue takes it."""
        pair = self.security in ("CASH", "CRYPTO")
        return Instrument(
            symbol=self.name,
            broker_symbol=str(self.con_id),
            kind=KINDS[self.security],
            base_currency=self.symbol if pair else "",
            quote_currency=self.currency,
            price_increment=self.min_tick,
            quantity_increment=self.size_increment,
            min_quantity=self.min_size,
            multiplier=self.units,
        )

    def on_wire(self, price: Decimal) -> Decimal:
        """A price as the wire has it."""
        return price * self.magnifier

    def from_wire(self, price: Decimal) -> Decimal:
        """A price of the wire in the currency."""
        return price / self.magnifier

    def increment(self, price: Decimal) -> Decimal:
        """The step of prices at a price of the wire, by its market rule: of the wire too."""
        own = abs(self.from_wire(price))
        return [self.on_wire(tick) for start, tick in RULES[self.rule] if start <= own][-1]

    def fields(self, exchange: str, right: str = "") -> list[Field]:
        """Its eleven fields in orders, executions and positions; `right` stands where it is no option."""
        return [
            self.con_id,
            self.symbol,
            self.security,
            self.expiry,
            self.strike,
            self.right or right,
            self.multiplier,
            exchange,
            self.currency,
            self.local_symbol,
            self.trading_class,
        ]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A contract as a client describes it; what is empty is not said."""

    con_id: int
    symbol: str
    security: str
    expiry: str
    strike: Decimal
    right: str
    multiplier: str
    exchange: str
    primary: str
    currency: str
    local_symbol: str
    trading_class: str

    def fits(self, listed: Listed) -> bool:
        """Whether a contract is one of those that are described."""
        if self.exchange and self.exchange not in (*listed.exchanges, listed.primary):
            return False
        if self.con_id:
            return listed.con_id == self.con_id
        said = (
            (self.symbol, listed.symbol),
            (self.security, listed.security),
            (self.multiplier, listed.multiplier),
            (self.primary, listed.primary),
            (self.currency, listed.currency),
            (self.local_symbol, listed.local_symbol),
            (self.trading_class, listed.trading_class),
            (_RIGHTS.get(self.right.upper(), ""), listed.right),
        )
        if any(wish and wish != has for wish, has in said):
            return False
        return listed.expiry.startswith(self.expiry) and self.strike in (0, listed.strike)


def read_wanted(reader: Reader) -> Wanted:
    """The twelve fields of a contract in a request."""
    con_id, symbol, security, expiry = reader.integer(), reader.text(), reader.text(), reader.text()
    strike, right, multiplier = reader.decimal() or D(0), reader.text(), reader.text()
    return Wanted(
        con_id,
        symbol,
        security,
        expiry,
        strike,
        "" if right in ("?", "0") else right,
        multiplier,
        *(reader.text() for _ in range(5)),
    )


class Contracts:
    """All contracts, by id and by name."""

    def __init__(self) -> None:
        self.by_id = {listed.con_id: listed for listed in LISTED}
        self.by_name = {listed.name: listed for listed in LISTED}

    def find(self, wanted: Wanted) -> list[Listed]:
        """Those that a client may mean."""
        return [listed for listed in self.by_id.values() if wanted.fits(listed)]

    def matching(self, pattern: str) -> list[Listed]:
        """Stocks and currencies whose symbol or name begins so."""
        start = pattern.lower()
        return [
            listed
            for listed in self.by_id.values()
            if listed.security in ("STK", "CASH", "CRYPTO")
            and (listed.symbol.lower().startswith(start) or listed.long_name.lower().startswith(start))
        ]


def _stock(con_id: int, symbol: str, primary: str, long_name: str, **more: object) -> Listed:
    values: dict[str, object] = {
        "name": symbol,
        "exchanges": ("SMART", primary),
        "currency": "USD",
        "trading_class": "NMS" if primary == "NASDAQ" else symbol,
        "min_tick": D("0.01"),
        "rule": 26,
        "stock_type": "COMMON",
    }
    values |= more
    return Listed(
        con_id,
        symbol=symbol,
        security="STK",
        local_symbol=symbol,
        primary=primary,
        long_name=long_name,
        **values,  # type: ignore[arg-type]
    )


def _future(con_id: int, local: str, expiry: str, multiplier: str = "50") -> Listed:
    root = local[:-2]
    return Listed(
        con_id, local, root, "FUT", local, root, "CME", ("CME", "QBALGO"), "USD", D("0.25"), 67,
        "E-mini S&P 500", multiplier, expiry,
        under_con_id=11004968, under_symbol=root, under_security="IND",
    )  # fmt: skip


def _option(con_id: int, right: str, strike: str) -> Listed:
    local = f"AAPL  261218{right}{int(D(strike) * 1000):08d}"
    return Listed(
        con_id, local.replace(" ", ""), "AAPL", "OPT", local, "AAPL", "SMART", ("SMART", "CBOE", "AMEX"), "USD",
        D("0.01"), 32, "APPLE INC", "100", "20261218", D(strike), right,
        under_con_id=265598, under_symbol="AAPL", under_security="STK",
    )  # fmt: skip


LISTED: Sequence[Listed] = (
    _stock(265598, "AAPL", "NASDAQ", "APPLE INC"),
    _stock(272093, "MSFT", "NASDAQ", "MICROSOFT CORP"),
    _stock(8314, "IBM", "NYSE", "INTL BUSINESS MACHINES CORP"),
    # Two of one symbol and one currency: which is meant, only the primary exchange says.
    _stock(900001, "TWIN", "NASDAQ", "TWIN DISC INC"),
    _stock(
        900002, "TWIN", "ARCA", "TWIN TRUST ETF", name="TWIN.ARCA", trading_class="TWIN", stock_type="ETF"
    ),
    _stock(133797, "VOD", "NASDAQ", "VODAFONE GROUP PLC-SP ADR", stock_type="ADR"),
    _stock(
        138587301, "VOD", "LSE", "VODAFONE GROUP PLC", name="VOD.LSE", exchanges=("SMART", "LSE"), currency="GBP",
        trading_class="SET1", min_tick=D("0.0002"), rule=635, magnifier=100,
    ),
    Listed(
        12087792, "EUR/USD", "EUR", "CASH", "EUR.USD", "EUR.USD", "IDEALPRO", ("IDEALPRO",), "USD", D("0.00005"),
        239, "European Monetary Union Euro",
    ),
    Listed(
        12087797, "GBP/USD", "GBP", "CASH", "GBP.USD", "GBP.USD", "IDEALPRO", ("IDEALPRO",), "USD", D("0.00005"),
        239, "British pound",
    ),
    _future(495512563, "ESZ6", "20261218"),
    _future(515416632, "ESH7", "20270319"),
    _option(780001, "C", "200"),
    _option(780002, "P", "200"),
    Listed(
        479624278, "BTC/USD", "BTC", "CRYPTO", "BTC.USD", "BTC", "PAXOS", ("PAXOS",), "USD", D("0.25"), 557,
        "Bitcoin cryptocurrency", size_increment=D("0.00000001"), min_size=D("0.00001"),
    ),
)  # fmt: skip
OPENING: dict[str, tuple[str, str, str]] = {
    "AAPL": ("189.99", "190.01", "10000"),
    "MSFT": ("419.98", "420.02", "10000"),
    "IBM": ("249.95", "250.05", "10000"),
    "EUR/USD": ("1.08500", "1.08505", "1000000"),
    "GBP/USD": ("1.30000", "1.30005", "1000000"),
    "ESZ6": ("6000", "6000.25", "500"),
    "AAPL261218C00200000": ("4.95", "5.05", "500"),
    "BTC/USD": ("60000", "60000.25", "10"),
}
"""The market at the beginning: bid, ask and the size of each, by name."""
