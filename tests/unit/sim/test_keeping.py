"""A venue that dies and is taken up again from what was kept is the venue that never died."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokergate.domain import lifecycle
from brokergate.domain.instruments import InstrumentKind
from brokergate.domain.orders import (
    Order,
    OrderSpec,
    OrderType,
    SelfTradePrevention,
    Side,
    TimeInForce,
    TriggerSource,
)
from brokergate.domain.values import changed
from brokergate.ports.broker import GroupKind, OrderGroup, ReplaceCommand
from brokergate.sim.feeds.synthetic import SyntheticFeed
from brokergate.sim.fees import FeeSchedule
from brokergate.sim.filling import FillTerms
from brokergate.sim.margin import MarginTerms, Rates
from brokergate.sim.market import (
    BarUpdate,
    BookDelta,
    BookSnapshot,
    FeedGap,
    MarketUpdate,
    QuoteUpdate,
    TradeUpdate,
)
from brokergate.sim.packing import Packer, Unpacker, Unreadable
from brokergate.sim.presets import IBKR_TIERED
from brokergate.sim.queue import ProbabilisticQueue
from brokergate.sim.replay import replay
from brokergate.sim.shorting import ShortTerms
from brokergate.sim.slippage import FixedSlippage
from brokergate.sim.terms import AccountTerms
from brokergate.sim.venue import Venue
from tests.unit.sim.matching.desk import AAPL, BTC, DAY, EUR, FOK, GTC, IOC, NEW, price, quantity
from tests.unit.sim.portrait import difference

KIND = "test-venue"
KINDS = {
    (False, False): OrderType.MARKET,
    (True, False): OrderType.LIMIT,
    (False, True): OrderType.STOP,
    (True, True): OrderType.STOP_LIMIT,
}
START_NS = 1_700_000_000_000_000_000
SOURCES = (TriggerSource.UNSPECIFIED, TriggerSource.LAST, TriggerSource.BID_ASK)
DAY_NS = 86_400_000_000_000
INSTRUMENTS = (BTC, EUR, AAPL)
POOR = AccountTerms(
    {"USDT": Decimal("0.9"), "BTC": Decimal("0.5"), "USD": Decimal("1.7")},
    FeeSchedule(Decimal("0.1234"), Decimal("0.0567")),
    frozenset({InstrumentKind.FOREX, InstrumentKind.EQUITY}),
)
LEVERED = AccountTerms(
    {"USDT": Decimal("0.9"), "BTC": Decimal("0.5"), "USD": Decimal("1.7")},
    IBKR_TIERED,
    base_currency="USD",
    margin=MarginTerms(Rates(Decimal(20)), liquidation_fee_percent=Decimal("0.5")),
    short=ShortTerms(available=(("AAPL", Decimal("0.02")),)),
)
RICH = AccountTerms({"USDT": Decimal(10**9), "BTC": Decimal(10), "USD": Decimal(10**9)}, POOR.fees)


GUESSING = replace(
    RICH,
    fills=FillTerms(ProbabilisticQueue(), FixedSlippage(Decimal("0.013")), "0.013", Decimal(40)),
)
"""Terms under which everything of a fill has a state, and two of the markets have no book."""


class RoughFeed:
    """A market of every kind of update, now and then broken, the same for a seed. Where it is not `booked`, only
    BTC/USDT has a book, EUR/USD has trades, and AAPL bars."""

    def __init__(self, seed: int, booked: bool = True) -> None:
        self._random = Random(seed)
        self._booked = booked
        self._middle = dict.fromkeys([instrument.symbol for instrument in INSTRUMENTS], 100)
        self._time_ns = START_NS
        self.position = 0

    def pull(self, count: int) -> list[MarketUpdate]:
        self.position += count
        return [self._update() for _ in range(count)]

    def _update(self) -> MarketUpdate:
        random = self._random
        symbol = random.choice(list(self._middle))
        self._time_ns += random.choice((0, 1_000, 1_000_000, 1_000_000_000))
        middle = self._middle[symbol] = max(15, self._middle[symbol] + random.choice((-2, -1, 0, 0, 1, 2)))
        roll = random.random()
        if not self._booked and symbol == AAPL.symbol:
            prices = [middle + random.randint(-3, 3) for _ in range(4)]
            high, low = max(prices), min(prices)
            volume = random.randint(0, 40)
            return BarUpdate(self._time_ns, symbol, 10**9, prices[0], high, low, prices[3], volume)
        if not self._booked and symbol == EUR.symbol:
            roll = 0.0 if roll < 0.05 else 0.5
        if roll < 0.02:
            return FeedGap(self._time_ns, symbol, "lost")
        if roll < 0.2:
            return BookSnapshot(self._time_ns, symbol, self._side(middle, -1, 6), self._side(middle, 1, 6))
        if roll < 0.35:
            bid, ask = (middle - 1, random.randint(1, 9)), (middle + 1, random.randint(1, 9))
            return QuoteUpdate(self._time_ns, symbol, bid, ask, advisory=random.random() < 0.5)
        if roll < 0.7:
            lots, aggressor = random.randint(1, 9), random.choice((-1, 0, 1))
            return TradeUpdate(self._time_ns, symbol, middle + random.randint(-3, 3), lots, aggressor)
        return BookDelta(self._time_ns, symbol, self._side(middle, -1, 3), self._side(middle, 1, 3))

    def _side(self, middle: int, outward: int, count: int) -> tuple[tuple[int, int], ...]:
        random = self._random
        prices = {middle + outward * random.randint(1, 9) for _ in range(count)}
        return tuple((price, random.randint(1, 9)) for price in sorted(prices))

    def save(self, pack: Packer) -> None:
        pack.put(self.position)

    def load(self, kept: Unpacker) -> None:
        self.pull(kept.integer())


@dataclass
class Life:
    """A venue with its feed, and what of it is durable."""

    seed: int
    terms: AccountTerms
    feed: RoughFeed = field(init=False)
    venue: Venue = field(init=False)
    snapshot: bytes = b""
    steps: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.feed = RoughFeed(self.seed, self.terms is not GUESSING)
        self.venue = Venue(INSTRUMENTS, self.terms, NEW, START_NS, session="7")
        self.venue.opening()
        self.keep_whole()

    def state(self) -> bytes:
        self.venue.changed_holdings()
        pack = Packer(KIND, 1)
        self.feed.save(pack)
        self.venue.save(pack)
        return pack.document()

    def keep_whole(self) -> None:
        self.snapshot, self.steps = self.state(), []
        self.venue.diary.clear()

    def keep_step(self) -> None:
        self.venue.changed_holdings()
        body = self.venue.diary.take()
        if body:
            self.steps.append(body)

    def die(self) -> None:
        self.feed = RoughFeed(self.seed, self.terms is not GUESSING)
        self.venue = Venue(INSTRUMENTS, self.terms, NEW, 0)
        kept = Unpacker(self.snapshot, KIND, 1)
        self.feed.load(kept)
        self.venue.load(kept)
        kept.end()
        for step in self.steps:
            replay(self.venue, step, self.feed.pull, lambda _symbol, _time: None, lambda _standing: None)
        self.venue.diary.clear()
        self.keep_whole()


@dataclass(frozen=True)
class Play:
    count: int

    def do(self, life: Life, orders: list[Order]) -> object:
        return life.venue.apply(life.feed.pull(self.count), 5)


@dataclass(frozen=True)
class Push:
    instrument: int
    kind: int
    middle: int
    lots: int

    def do(self, life: Life, orders: list[Order]) -> object:
        venue, symbol, middle = life.venue, INSTRUMENTS[self.instrument].symbol, self.middle
        now_ns, lots = venue.now_ns, self.lots
        updates: tuple[MarketUpdate, ...] = (
            QuoteUpdate(now_ns, symbol, (middle - 1, lots), (middle, lots)),
            QuoteUpdate(now_ns, symbol, None, (middle, lots)),
            TradeUpdate(now_ns, symbol, middle, lots, self.lots % 3 - 1),
            BookSnapshot(now_ns, symbol, ((middle - 2, lots), (middle - 4, 3)), ((middle + 1, lots),)),
            BookSnapshot(now_ns, symbol, (), ()),
        )
        return venue.push(updates[self.kind], 5, 6)


@dataclass(frozen=True)
class Advance:
    by_ns: int

    def do(self, life: Life, orders: list[Order]) -> object:
        return life.venue.advance(life.venue.now_ns + self.by_ns)


@dataclass(frozen=True)
class Place:
    instrument: int
    side: int
    lots: int
    limit: int | None
    stop: int | None
    tif: TimeInForce
    source: TriggerSource

    def order(self, orders: list[Order]) -> Order:
        name = f"c{len(orders)}"
        spec = OrderSpec(
            INSTRUMENTS[self.instrument].symbol,
            Side.BUY if self.side > 0 else Side.SELL,
            KINDS[self.limit is not None, self.stop is not None],
            quantity(self.lots),
            limit_price=None if self.limit is None else price(self.limit),
            stop_price=None if self.stop is None else price(self.stop),
            time_in_force=self.tif,
            trigger_source=self.source,
        )
        return lifecycle.intend(
            order_id=name,
            client_order_id=name,
            account_id="paper",
            spec=spec,
            quantity=quantity(self.lots),
            multiplier=Decimal(1),
            now_ns=START_NS,
        )

    def do(self, life: Life, orders: list[Order]) -> object:
        order = self.order(orders)
        orders.append(order)
        (outcome,) = life.venue.place([order], life.venue.now_ns + 1)
        return outcome


def special_spec(spec: OrderSpec, kind: int, lots: int, now_ns: int) -> OrderSpec:
    """`spec` with something that few orders ask for."""
    trail = {"limit_price": None, "stop_price": None, "type": OrderType.TRAILING_STOP, "time_in_force": GTC}
    touch = OrderType.LIMIT_IF_TOUCHED if spec.limit_price else OrderType.MARKET_IF_TOUCHED
    open_, close = TimeInForce.AT_OPEN, TimeInForce.AT_CLOSE
    once = {"type": OrderType.LIMIT if spec.limit_price else OrderType.MARKET, "stop_price": None}
    plain = {"trigger_source": TriggerSource.UNSPECIFIED}
    changes: tuple[dict[str, Any], ...] = (
        trail | {"trail_amount": price(lots)},
        trail | {"trail_percent": Decimal(lots) / 3 + Decimal("0.5")},
        {"type": touch, "time_in_force": GTC, "stop_price": spec.stop_price or price(100)},
        {"display_quantity": quantity(1 + lots // 4)},
        {"post_only": True},
        {"reduce_only": True},
        {"self_trade_prevention": SelfTradePrevention(1 + lots % 3)},
        {"time_in_force": TimeInForce.GTD, "expire_time_ns": now_ns + lots * 10**8} | once | plain,
        {"time_in_force": open_} | once | plain,
        {"time_in_force": close} | once | plain,
        {"quantity": None, "quote_quantity": Decimal(lots) / 300, "type": OrderType.MARKET}
        | {"limit_price": None, "stop_price": None, "time_in_force": IOC}
        | plain,
        {"stop_price": spec.stop_price or price(100), "trigger_source": TriggerSource.MARK}
        | {"type": OrderType.STOP_LIMIT if spec.limit_price else OrderType.STOP, "time_in_force": GTC},
    )
    return changed(spec, **changes[kind % len(changes)])


@dataclass(frozen=True)
class Special:
    """An order that asks for something that few do."""

    place: Place
    kind: int

    def do(self, life: Life, orders: list[Order]) -> object:
        order = self.place.order(orders)
        spec = special_spec(order.spec, self.kind, self.place.lots, life.venue.now_ns)
        order = changed(order, spec=spec)
        orders.append(order)
        (outcome,) = life.venue.place([order], life.venue.now_ns + 1)
        return outcome


@dataclass(frozen=True)
class Linked:
    """A bracket, or an OCO of its legs."""

    entry: Place
    near: int
    bracket: bool

    def do(self, life: Life, orders: list[Order]) -> object:
        entry, away = self.entry, self.entry.side * self.near
        leg = replace(entry, side=-entry.side, tif=GTC, source=TriggerSource.UNSPECIFIED)
        middle = entry.limit or 100
        places = [replace(leg, limit=middle + away, stop=None), replace(leg, limit=None, stop=middle - away)]
        if self.bracket:
            places.insert(0, replace(entry, stop=None, source=TriggerSource.UNSPECIFIED, tif=GTC))
        group: list[Order] = []
        for place in places:
            group.append(place.order(orders))
            orders.append(group[-1])
        kind = GroupKind.BRACKET if self.bracket else GroupKind.OCO
        return life.venue.place_group(OrderGroup(kind, tuple(group)), life.venue.now_ns + 1)


@dataclass(frozen=True)
class Cancel:
    which: int

    def do(self, life: Life, orders: list[Order]) -> object:
        working = life.venue.open_orders()
        if not working:
            return None
        name = working[self.which % len(working)].client_order_id
        (order,) = [order for order in orders if order.client_order_id == name]
        return life.venue.cancel(order, life.venue.now_ns)


@dataclass(frozen=True)
class Replace:
    which: int
    lots: int
    limit: int

    def do(self, life: Life, orders: list[Order]) -> object:
        working = life.venue.open_orders()
        if not working:
            return None
        target = working[self.which % len(working)]
        (order,) = [order for order in orders if order.client_order_id == target.client_order_id]
        spec = order.spec
        trails = spec.type is OrderType.TRAILING_STOP
        new = changed(
            spec,
            quantity=quantity(self.lots),
            limit_price=None if target.limit is None else price(self.limit),
            stop_price=None if target.stop is None or trails else price(self.limit + 3),
            trail_amount=price(self.lots) if spec.trail_amount else None,
            display_quantity=quantity(1 + self.lots // 2) if spec.display_quantity else None,
            expire_time_ns=spec.expire_time_ns and spec.expire_time_ns + self.lots * 10**8,
        )
        lots = self.lots if self.lots % 2 else target.filled + target.left
        return life.venue.replace(ReplaceCommand(order, new, quantity(lots)), life.venue.now_ns + 2)


@dataclass(frozen=True)
class Reset:
    balance: int

    def do(self, life: Life, orders: list[Order]) -> object:
        balances = (
            None if self.balance % 2 else {"USDT": Decimal(self.balance), "CHF": Decimal("0.123456789")}
        )
        return life.venue.reset(balances, life.venue.now_ns)


Action = Play | Push | Advance | Place | Special | Linked | Cancel | Replace | Reset

_which = st.integers(0, 2)
_lots = st.integers(1, 25)
_price = st.integers(90, 112)
_orders = st.one_of(
    st.builds(
        Place,
        _which,
        st.sampled_from((1, -1)),
        _lots,
        st.none() | _price,
        st.none(),
        st.sampled_from((GTC, GTC, DAY, IOC, FOK)),
        st.just(TriggerSource.UNSPECIFIED),
    ),
    st.builds(
        Place,
        _which,
        st.sampled_from((1, -1)),
        _lots,
        st.none() | _price,
        _price,
        st.sampled_from((GTC, DAY)),
        st.sampled_from(SOURCES),
    ),
)
_orders = st.one_of(
    _orders,
    st.builds(Special, _orders, st.integers(0, 11)),
    st.builds(Linked, _orders, st.integers(1, 9), st.booleans()),
)
_changes = st.one_of(
    st.builds(Cancel, st.integers(0, 9)), st.builds(Replace, st.integers(0, 9), st.integers(1, 40), _price)
)
_market = st.one_of(
    st.builds(Play, st.integers(1, 12)),
    st.builds(Push, _which, st.integers(0, 4), _price, _lots),
    st.builds(Advance, st.sampled_from((1, 1_000_000, DAY_NS // 2))),
)
_actions = st.lists(
    st.one_of(_orders, _orders, _market, _market, _changes, st.builds(Reset, st.integers(1, 4))), max_size=8
)
_chapters = st.lists(
    st.tuples(_actions, st.sampled_from(("step", "step", "whole")), _actions, st.booleans()),
    min_size=1,
    max_size=10,
)


Chapter = tuple[list[Action], str, list[Action], bool]
"""What is done, how it is kept, what is done and not kept, and whether the venue dies of it."""


def live_on(seed: int, terms: AccountTerms, chapters: Iterable[Chapter]) -> None:
    unbroken, mortal = Life(seed, terms), Life(seed, terms)
    orders: list[list[Order]] = [[], []]
    for actions, keep, lost, dies in chapters:
        for action in actions:
            assert action.do(unbroken, orders[0]) == action.do(mortal, orders[1])
        assert unbroken.venue.changed_holdings() == mortal.venue.changed_holdings()
        if keep == "step":
            mortal.keep_step()
        else:
            mortal.keep_whole()
        if dies:
            gone = list(orders[1])
            for action in lost:
                action.do(mortal, gone)
            mortal.die()
        assert mortal.state() == unbroken.state()
        assert mortal.venue.positions() == unbroken.venue.positions()
        assert difference(mortal.venue, unbroken.venue) == ""


@given(seed=st.integers(0, 2**32), terms=st.sampled_from((POOR, RICH, GUESSING, LEVERED)), chapters=_chapters)
def test_a_venue_that_died_is_the_one_that_never_did(
    seed: int, terms: AccountTerms, chapters: list[Chapter]
) -> None:
    """Whatever is traded, however the market breaks, wherever it dies: the whole state is the same to the byte, and so
    is every later report; what was done and not kept did not happen."""
    live_on(seed, terms, chapters)


def some_actions(random: Random) -> list[Action]:
    actions: list[Action] = []
    for _ in range(random.randint(0, 25)):
        which, lots, near = random.randint(0, 2), random.randint(1, 25), random.randint(92, 108)
        limit = near if random.random() < 0.7 else None
        trigger = random.randint(92, 108) if random.random() < 0.3 else None
        forces = (GTC, DAY) if trigger else (GTC, GTC, DAY, IOC, FOK)
        source = random.choice(SOURCES) if trigger else TriggerSource.UNSPECIFIED
        place = Place(which, random.choice((1, -1)), lots, limit, trigger, random.choice(forces), source)
        special = Special(place, random.randint(0, 11))
        linked = Linked(place, random.randint(1, 9), random.random() < 0.7)
        choices: tuple[Action, ...] = (
            special,
            linked,
            Play(random.randint(1, 15)),
            Push(which, random.randint(0, 3), near, lots),
            place,
            Cancel(lots),
            Replace(lots, random.randint(1, 40), near),
            Advance(random.choice((1, 10**9, DAY_NS // 4))),
            Reset(2),
        )
        actions += random.choices(choices, (6, 2, 8, 3, 12, 2, 3, 1, 0.05))
    return actions


@pytest.mark.parametrize("seed", range(6))
def test_a_venue_survives_many_deaths(seed: int) -> None:
    """A long life with every kind of happening in it, broken off forty times, is the unbroken one."""
    random = Random(seed)
    seen: Counter[str] = Counter()

    def chapters() -> Iterable[Chapter]:
        for _ in range(60):
            actions = some_actions(random)
            seen.update(type(action).__name__ for action in actions)
            keep = random.choice(("step", "step", "step", "whole"))
            yield actions, keep, some_actions(random), random.random() < 0.6

    live_on(seed, (POOR, RICH, GUESSING, LEVERED)[seed % 4], chapters())
    kinds = ("Play", "Push", "Place", "Special", "Linked", "Cancel", "Replace", "Advance")
    assert min(seen[name] for name in kinds) > 5


def test_a_made_up_market_goes_on_with_the_same_dice() -> None:
    """Taken up in the middle it tells what the unbroken one tells; shifted, the same so much later."""
    unbroken, again = SyntheticFeed(7, START_NS), SyntheticFeed(7, START_NS)
    played = unbroken.advance(START_NS + 20 * 10**9)
    pack = Packer(KIND, 1)
    unbroken.save(pack)
    kept = Unpacker(pack.document(), KIND, 1)
    again.load(kept)
    kept.end()
    assert difference(again, unbroken) == ""
    later = unbroken.advance(START_NS + 40 * 10**9)
    assert again.advance(START_NS + 40 * 10**9) == later
    counted = SyntheticFeed(7, START_NS)
    assert counted.pull(len(played)) == played
    counted.shift(5)
    assert counted.pull(len(later)) == [replace(update, time_ns=update.time_ns + 5) for update in later]


@given(st.lists(st.one_of(st.none(), st.booleans(), st.text(), st.floats(allow_nan=False), st.integers())))
def test_what_is_packed_is_unpacked(values: list[str | int | float | bool | None]) -> None:
    """Values of every type and columns of every width come back as they were."""
    columns = [[], [1, -1], [2**31, 7], [2**32 - 1, 0], [-(2**62), 2**62], [10**30, -5]]
    pack = Packer(KIND, 1)
    pack.put(*values)
    for column in columns:
        pack.column(column)
    kept = Unpacker(pack.document(), KIND, 1)
    readers = {
        int: kept.integer,
        float: kept.number,
        bool: kept.flag,
        str: kept.text,
        type(None): kept.optional,
    }
    assert [readers[type(value)]() for value in values] == values
    assert [kept.column() for _ in columns] == columns
    kept.end()


@given(st.data())
def test_a_damaged_document_is_refused(data: st.DataObject) -> None:
    """Cut anywhere, of another version or with bytes behind it, it is Unreadable; with a bit turned it is that, or it
    is read as something else, and nothing else is raised."""
    life = Life(3, RICH)
    life.venue.apply(life.feed.pull(50), 5)
    document = life.state()
    cut = data.draw(st.integers(0, len(document) - 1))
    for bad in (document[:cut], document + b"x", document.replace(b" 1\n", b" 2\n", 1)):
        with pytest.raises(Unreadable):
            Unpacker(bad, KIND, 1)
    turned = bytearray(document)
    turned[cut] ^= 1 << data.draw(st.integers(0, 7))
    try:
        Unpacker(bytes(turned), KIND, 1)
    except Unreadable as error:
        assert str(error)  # noqa: PT017 - it may also be readable


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        (b"Cnobody", "does not"),
        (b"Xnobody\tP1-2\t5\t90\t0", "does not"),
        (b"P99\t5", "updates"),
        (b"Oc1\tNONE\t1\t2\t2\t5\t90\t0\t0", "cannot be done again"),
        (b"Oc1\tBTC/USDT\t1\t1\t2\t5\t0\t0\t0", "is refused"),
        (b"?what", "cannot be done again"),
        (b"A", "cannot be done again"),
        (b"!the feed broke", "had broken"),
    ],
)
def test_a_step_that_does_not_fit_is_refused(step: bytes, problem: str) -> None:
    """It says which line, and why."""
    venue = Venue(INSTRUMENTS, RICH, NEW, START_NS)
    with pytest.raises(Unreadable, match=problem):
        replay(venue, step, lambda _count: [], lambda _symbol, _time: None, lambda _standing: None)


@pytest.mark.parametrize(
    "update",
    [
        QuoteUpdate(START_NS + 1, BTC.symbol, (99, 5), None),
        TradeUpdate(START_NS + 1, BTC.symbol, 100, 3, -1),
        BookSnapshot(START_NS + 1, BTC.symbol, ((99, 1), (98, 2)), ((101, 3),)),
        BarUpdate(START_NS + 1, BTC.symbol, 60_000_000_000, 100, 104, 98, 101, 50),
        FeedGap(START_NS + 1, BTC.symbol, "the other account is away"),
    ],
)
def test_what_was_pushed_is_done_again(update: MarketUpdate) -> None:
    """Every kind of update that no feed tells twice leaves the same venue when it is read from the diary."""
    pushed, again = [Venue(INSTRUMENTS, RICH, NEW, START_NS, session="7") for _ in range(2)]
    for venue in (pushed, again):
        venue.opening()
        venue.apply([QuoteUpdate(START_NS, BTC.symbol, (90, 9), (110, 9))], 1)
        venue.diary.clear()
    pushed.push(update, 7, 3)
    dates: dict[str, int] = {}
    replay(again, pushed.diary.take(), lambda count: (), dates.__setitem__, lambda text: None)
    assert dates == {BTC.symbol: 3}
    documents = []
    for venue in (pushed, again):
        venue.changed_holdings()
        pack = Packer(KIND, 1)
        venue.save(pack)
        documents.append(pack.document())
    assert documents[0] == documents[1]
