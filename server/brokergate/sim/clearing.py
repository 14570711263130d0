"""What happens to an account without an order of its owner: margin calls, liquidation, funding, dividends, splits.

**Margin** is looked at after every update that moved a mark, or the cash, of a position on margin; an account without
such positions does not pay for it. Equity below `call_percent` of the maintenance margin is a margin call, told once
until it is above again. At `liquidation_percent` or below, the venue closes positions until equity is above the call:

1. open orders that set margin aside are cancelled, and all orders in what is then reduced;
2. the worst loser is reduced first (LEAN, `Common/Securities/DefaultMarginCallModel.cs`), by as many lots as the
   shortfall needs at the mark, in a market order of the venue's own, `M…`, that walks the book, pays commission and the
   liquidation fee, and never takes more than closes the position;
3. again, until equity is above the call or all positions on margin are flat. Where the book has no more, the rest waits
   for the next update.

What was owed beyond the account's equity stays as a balance below zero.

**Funding** of a perpetual: longs pay rate × mark × quantity × multiplier, shorts are paid it, at the mark of the
moment, rounded half to even to the currency's scale. It comes from the feed, or by a schedule, every so many hours from
midnight UTC on.

**A dividend** is paid to longs and by shorts, on what is held when it comes.

**A split** makes new lots of old ones, exactly. What is left over below a lot is paid in cash at the mark, and lowers
the cost by as much. All open orders in the instrument are cancelled; the book is empty until the feed tells it anew,
and the mark is the old one, divided.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from brokergate.domain.accounts import LedgerEntry, LedgerEntryKind
from brokergate.domain.errors import ErrorReason
from brokergate.domain.fills import Money
from brokergate.domain.instruments import InstrumentKind
from brokergate.domain.money import format_decimal, half_even, multiply, normal
from brokergate.domain.orders import OrderState, OrderType, Side, TimeInForce, TriggerSource
from brokergate.ports.broker import MarginReport, VenueOrder
from brokergate.sim.currency import CurrencyAccount
from brokergate.sim.fees import currency_places
from brokergate.sim.funds import InstrumentFunds
from brokergate.sim.listing import Listing
from brokergate.sim.margin import MarginAccount, Standing, less
from brokergate.sim.market import CorporateAction, CorporateActionKind, FundingUpdate, MarketUpdate
from brokergate.sim.orders import Happening, Told, WorkingOrder
from brokergate.sim.packing import Packer, Unpacker

CLEARED = frozenset({CorporateAction, FundingUpdate})
"""The kinds of update that are settled here."""
NEVER_NS = 1 << 63
"""When nothing is due."""
_HOUR_NS = 3_600_000_000_000
_ROUNDS = 8
"""How often a liquidation tries for as few lots as will do, in one update; then it doubles them."""
_BY_MARGIN = "the account is being liquidated"


@dataclass(frozen=True, slots=True)
class FundingTerms:
    """Funding by a schedule: for feeds that tell none."""

    interval_hours: int
    """Counted from midnight UTC of 1 January 1970."""
    rate_percent: Decimal
    """Each time: 0.01 is 0.01 %."""

    def text(self) -> str:
        """All of it in one line."""
        return f"{self.interval_hours} h {format_decimal(self.rate_percent)} %"


@dataclass(slots=True)
class _Judged:
    """What the account was judged with last: only remembered to be quick."""

    marks: dict[str, int | None] = field(default_factory=dict)
    holdings: tuple[object, ...] = ()


class Clearing:
    """See the module. `entry` makes a ledger entry of a kind, amount, symbol and description."""

    def __init__(
        self,
        listings: Mapping[str, Listing],
        orders: Mapping[str, WorkingOrder],
        happenings: list[Happening],
        entry: Callable[[LedgerEntryKind, Money, str, str], LedgerEntry],
        funding: FundingTerms | None,
        session: str,
    ) -> None:
        self._listings = listings
        self._orders = orders
        self._happenings = happenings
        self._entry = entry
        self._funding = funding
        self.session = session
        """Makes the ids of liquidations unique over restarts."""
        self._perpetuals = [
            listing for listing in listings.values() if listing.instrument.kind is InstrumentKind.PERPETUAL
        ]
        self.due_ns = NEVER_NS
        """When funding is due by the schedule."""
        self._called = False
        self._liquidating = False
        self._liquidations = 0
        self._judged = _Judged()

    def begin(self, now_ns: int) -> None:
        """Nothing is owed from before `now_ns`."""
        if self._funding is not None and self._perpetuals:
            interval_ns = self._funding.interval_hours * _HOUR_NS
            self.due_ns = (now_ns // interval_ns + 1) * interval_ns

    def reset(self) -> None:
        """The account begins anew."""
        self._called = self._liquidating = False
        self.forget()

    def save(self, pack: Packer) -> None:
        """Writes down what is going on."""
        pack.put(self._called, self._liquidating, self._liquidations)

    def load(self, kept: Unpacker, now_ns: int) -> None:
        """Takes up what `save` wrote, at the time of then."""
        self._called, self._liquidating, self._liquidations = kept.flag(), kept.flag(), kept.integer()
        self.forget()
        self.begin(now_ns)

    # What the feed or the calendar brings

    def settle(self, update: MarketUpdate, now_ns: int) -> None:
        """A corporate action takes hold, or funding falls due, before anything else of the update's moment."""
        listing = self._listings[update.symbol]
        if isinstance(update, FundingUpdate):
            if listing.instrument.kind is not InstrumentKind.PERPETUAL:
                raise ValueError(f"funding of {update.symbol}, which is no perpetual")
            self._fund(listing.funds, update.rate)
        elif isinstance(update, CorporateAction):
            if update.kind is CorporateActionKind.DIVIDEND:
                self._dividend(listing.funds, update.amount)
            else:
                self._split(listing, *update.ratio, now_ns)

    def pay_funding(self, now_ns: int) -> None:
        """What fell due by the schedule until `now_ns`, as often as it did, at the present mark."""
        assert self._funding is not None
        interval_ns = self._funding.interval_hours * _HOUR_NS
        times = (now_ns - self.due_ns) // interval_ns + 1
        self.due_ns += times * interval_ns
        rate = multiply(self._funding.rate_percent, Decimal("0.01"))
        held = [listing.funds for listing in self._perpetuals if listing.funds.position.lots]
        for _ in range(times if held else 0):
            for funds in held:
                self._fund(funds, rate)

    def _fund(self, funds: InstrumentFunds, rate: Decimal) -> None:
        mark, lots = funds.mark, funds.position.lots
        if mark is None or not lots:
            return
        numerator, denominator = rate.as_integer_ratio()
        owed = mark * lots * funds.unit * numerator
        amount = -_rounded(owed, 2 * denominator, funds.quote)
        price = funds.mark_price()
        assert price is not None
        percent = format_decimal(normal(multiply(rate, Decimal(100))))
        text = f"funding at {percent} % of the mark {format_decimal(normal(price))}"
        self._pay(funds, LedgerEntryKind.FUNDING, amount, text)

    def _dividend(self, funds: InstrumentFunds, amount: Decimal) -> None:
        numerator, denominator = multiply(amount, funds.instrument.quantity_increment).as_integer_ratio()
        paid = int(10**funds.quote.places) * numerator * funds.position.lots
        text = f"dividend of {format_decimal(amount)} a share"
        self._pay(funds, LedgerEntryKind.DIVIDEND, _rounded(paid, denominator, funds.quote), text)

    def _split(self, listing: Listing, numerator: int, denominator: int, now_ns: int) -> None:
        if numerator <= 0 or denominator <= 0:
            raise ValueError(f"a split of {numerator} for {denominator} of {listing.instrument.symbol}")
        funds, position, ratio = listing.funds, listing.funds.position, f"{numerator} for {denominator}"
        self._cancel(listing.instrument.symbol, now_ns, f"a split of {ratio}: enter it anew")
        mark, cost, lots = funds.mark, position.cost, position.lots
        listing.market.split(numerator, denominator, now_ns)
        if not lots:
            return
        left = position.split(numerator, denominator)
        if left and mark is not None:
            cash = _rounded(mark * left * funds.unit, 2 * numerator, funds.quote)
        else:
            # Nobody knows a price: what is left over is given back at its cost.
            cash = _rounded(cost * abs(left), abs(lots) * numerator, funds.quote)
        funds.repay(cash)
        self._pay(
            funds, LedgerEntryKind.SPLIT, cash, f"cash for what a split of {ratio} left over", always=True
        )

    def _pay(
        self, funds: InstrumentFunds, kind: LedgerEntryKind, amount: int, text: str, *, always: bool = False
    ) -> None:
        """`amount` units go to the account, or from it."""
        if not amount and not always:
            return
        quote = funds.quote
        quote.total += amount
        quote.changed = True
        money = Money(quote.amount(amount), quote.currency)
        self._happenings.append(Told(self._entry(kind, money, funds.instrument.symbol, text)))

    # Margin

    def watch(self, margin: MarginAccount, listing: Listing, now_ns: int) -> None:
        """The market of `listing` moved while there are positions on margin. Where that changed nothing of the standing
        it is not judged again: a venue that was taken up, and judges anew, comes to the same."""
        symbol, mark, holdings = listing.instrument.symbol, listing.market.mark(), margin.holdings()
        judged = self._judged
        known = judged.holdings == holdings and symbol in judged.marks and judged.marks[symbol] == mark
        if known and not self._liquidating:
            return
        self.judge(margin, now_ns)
        judged.marks[symbol], judged.holdings = mark, holdings

    def forget(self) -> None:
        """Nothing was judged yet, or not while the market moved on."""
        self._judged.marks.clear()
        self._judged.holdings = ()

    def judge(self, margin: MarginAccount, now_ns: int) -> None:
        """Calls for margin, or liquidates, where the account stands so."""
        standing, terms = margin.standing(), margin.terms
        if standing.unvalued:
            return
        if self._liquidating and less(standing, terms.call_percent) < 0:
            # The market came back, or the owner closed the position himself.
            self._liquidating = self._called = False
        if self._liquidating or less(standing, terms.liquidation_percent) >= 0:
            self._liquidate(margin, standing, now_ns)
        elif less(standing, terms.call_percent) <= 0:
            self._called = False
        elif not self._called:
            self._called = True
            text = f"margin call at {format_decimal(terms.call_percent)} %: {_figures(standing, margin)}"
            self._happenings.append(Told(MarginReport(liquidation=False, message=text)))

    def _liquidate(self, margin: MarginAccount, standing: Standing, now_ns: int) -> None:
        target = margin.terms.call_percent
        if not self._liquidating:
            self._liquidating = self._called = True
            text = f"liquidation: {_figures(standing, margin)}"
            self._happenings.append(Told(MarginReport(liquidation=True, message=text)))
        self._cancel("", now_ns, _BY_MARGIN)
        least = rounds = 0
        stuck: set[str] = set()
        while margin.positions and not standing.unvalued and less(standing, target) >= 0:
            symbol = min(
                (each for each in margin.positions if each not in stuck),
                key=lambda each: (_profit(margin, each), each),
                default="",
            )
            if not symbol:
                return  # the books have no more: the rest at the next update
            funds = margin.positions[symbol]
            lots = max(self._needed(margin, funds, less(standing, target)), least)
            if self._reduce(self._listings[symbol], lots, margin, now_ns):
                # Each round's costs call for another, smaller one; where they eat up what it frees, it ends by this.
                rounds += 1
                least = 2 * lots if rounds > _ROUNDS else 0
            else:
                stuck.add(symbol)
            standing = margin.standing()
        if not standing.unvalued:
            self._liquidating = self._called = False

    @staticmethod
    def _needed(margin: MarginAccount, funds: InstrumentFunds, shortfall: Decimal) -> int:
        """How many lots to close so that the maintenance margin is less by `shortfall`, in the base currency."""
        rate = margin.rate(funds.quote.currency)
        relief = funds.quote.amount(funds.maintenance_margin(1))
        if not rate or not relief:
            return abs(funds.position.lots)
        freed = multiply(multiply(relief, rate), multiply(margin.terms.call_percent, Decimal("0.005")))
        return min(abs(funds.position.lots), int(shortfall // freed) + 1)

    def _reduce(self, listing: Listing, lots: int, margin: MarginAccount, now_ns: int) -> bool:
        """Closes up to `lots` with what the book has; whether it had any."""
        funds, market, symbol = listing.funds, listing.market, listing.instrument.symbol
        side = -1 if funds.position.lots > 0 else 1
        self._cancel(symbol, now_ns, _BY_MARGIN)
        lots = min(lots, abs(funds.position.lots))
        order = WorkingOrder(
            "",
            f"M{self.session}-{self._liquidations + 1}",
            symbol,
            side,
            OrderType.MARKET,
            TimeInForce.IOC,
            lots,
            None,
            None,
            TriggerSource.UNSPECIFIED,
        )
        told = len(self._happenings)
        notional = market.force(order, now_ns)
        if not order.filled:
            return False
        self._liquidations += 1
        lots = order.filled
        shown = VenueOrder(
            client_order_id="",
            broker_order_id=order.broker_order_id,
            symbol=symbol,
            side=Side.BUY if side > 0 else Side.SELL,
            type=OrderType.MARKET,
            quantity=listing.quantity(lots),
            cum_quantity=listing.quantity(0),
            state=OrderState.NEW,
            update_time_ns=now_ns,
            time_in_force=TimeInForce.IOC,
            message=_BY_MARGIN,
        )
        self._happenings.insert(told, Told(shown))
        numerator, denominator = margin.terms.liquidation_fee_percent.as_integer_ratio()
        if numerator:
            fee = _rounded(notional * numerator, 100 * denominator, funds.quote)
            self._pay(funds, LedgerEntryKind.ADJUSTMENT, -fee, f"liquidation fee of {order.broker_order_id}")
        return True

    def _cancel(self, symbol: str, now_ns: int, why: str) -> None:
        """Cancels the open orders of `symbol`, or all that have set margin aside."""
        for order in list(self._orders.values()):
            if not order.left:
                continue
            listing = self._listings[order.symbol]
            if order.symbol == symbol or (not symbol and listing.funds.margined and order.hold):
                listing.market.cancel(order, now_ns, ErrorReason.UNSPECIFIED, why)


def _profit(margin: MarginAccount, symbol: str) -> Decimal:
    """What closing would bring, in the base currency: the least is the worst loser."""
    funds = margin.positions[symbol]
    profit, rate = funds.unrealized(), margin.rate(funds.quote.currency)
    return Decimal(0) if profit is None or rate is None else multiply(profit, rate)


def _figures(standing: Standing, margin: MarginAccount) -> str:
    return (
        f"equity {format_decimal(standing.equity)} {margin.base_currency}, maintenance margin "
        f"{format_decimal(standing.maintenance)}"
    )


def _rounded(numerator: int, denominator: int, account: CurrencyAccount) -> int:
    """A quotient in units, half to even to the currency's own scale."""
    step = int(10 ** (account.places - currency_places(account.currency)))
    return half_even(numerator, denominator * step) * step
