"""One account's venue: its markets, its orders, its money. Pure: time comes with every call.

What happens comes out as the port's reports, in the order in which it happened; positions and balances that changed
are told once at the end of a call, absolute. Ids are counters: orders `P1`, their later generations `P1-2`,
executions `X1`; they go on after a restart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from brokergate.domain.accounts import (
    BrokerAccountInfo,
    BrokerBalance,
    BrokerPosition,
    LedgerEntry,
    LedgerEntryKind,
)
from brokergate.domain.errors import ErrorReason
from brokergate.domain.fills import Money
from brokergate.domain.instruments import Instrument
from brokergate.domain.market import BookView, QuoteView
from brokergate.domain.money import ZERO
from brokergate.domain.orders import Order, OrderSpec, TimeInForce
from brokergate.ports.broker import (
    Accepted,
    GroupKind,
    OrderGroup,
    Outcome,
    Preview,
    Rejected,
    ReplaceCommand,
    Report,
    RestoredState,
)
from brokergate.sim.clearing import CLEARED, Clearing
from brokergate.sim.diary import Diary
from brokergate.sim.groups import misfits, outcomes
from brokergate.sim.history import History
from brokergate.sim.intake import NotHere, working_order
from brokergate.sim.ledger import Ledger
from brokergate.sim.listing import Listing
from brokergate.sim.market import MarketUpdate
from brokergate.sim.matching import Market
from brokergate.sim.open_orders import OpenOrders
from brokergate.sim.orders import (
    Happening,
    Refusal,
    WorkingOrder,
)
from brokergate.sim.packing import Packer, Unpacker
from brokergate.sim.positions import load_positions, save_positions
from brokergate.sim.restoring import Restoring
from brokergate.sim.special import Special
from brokergate.sim.telling import Telling
from brokergate.sim.terms import AccountTerms
from brokergate.sim.valuation import account_info


class Venue:
    """See the module. `now_ns` never goes back: a time before the latest one counts as that one.

    `session` makes the ids of ledger entries unique over restarts.
    """

    def __init__(
        self,
        instruments: Sequence[Instrument],
        terms: AccountTerms,
        state: RestoredState,
        now_ns: int,
        session: str = "0",
    ) -> None:
        self.now_ns = now_ns
        self.terms = terms
        self.instruments = tuple(sorted(instruments, key=lambda instrument: instrument.symbol))
        self.diary = Diary()
        self.history: History | None = None
        """What it remembers for a gateway across a line; None where the gateway misses nothing."""
        self._orders = state.orders
        self._happenings: list[Happening] = []
        self._open = OpenOrders()
        symbols = {instrument.symbol for instrument in instruments}
        self._foreign = tuple(position for position in state.positions if position.symbol not in symbols)
        known = state.orders or state.balances
        balances = {balance.currency: balance.total for balance in state.balances}
        self._ledger = self._new_ledger(balances if known else terms.initial_balances, state.positions)
        self.listings = {
            instrument.symbol: Listing(
                instrument,
                Market(
                    instrument.symbol, self._ledger.funds[instrument.symbol], self._happenings, terms.fills
                ),
                terms.hours,
            )
            for instrument in self.instruments
        }
        self._telling = Telling(self._happenings, self.listings, self._open, session, state.fills)
        self._clearing = Clearing(
            self.listings, self._open.by_name, self._happenings, self._ledger_entry, terms.funding, session
        )
        self._clearing.begin(now_ns)
        if not known:
            self._telling.deposit(self._ledger, LedgerEntryKind.DEPOSIT, 1, "initial balance", self.now_ns)
        self._restore(state.open_orders)
        self._restored = [*self._happened(), *self.changed_holdings()]

    def opening(self) -> list[Report]:
        """What there is to tell after the start: deposits of a new account, orders that could not be taken up."""
        reports, self._restored = self._restored, []
        return reports

    # The market

    def apply(self, updates: Iterable[MarketUpdate], received_ns: int) -> list[Report]:
        """The market moved, as the gateway learned at `received_ns` by its own clock. `ValueError` for an instrument
        that there is not, and for levels and trades that cannot be."""
        count = 0
        for update in updates:
            self._apply(update, received_ns)
            count += 1
        self.diary.played(count, received_ns)
        return self._happened() if self._happenings else []

    def push(self, update: MarketUpdate, received_ns: int, dated_ns: int) -> list[Report]:
        """As `apply`, of an update that no feed will tell again; `dated_ns` is its pusher's time of it."""
        self._apply(update, received_ns)
        self.diary.pushed(update, received_ns, dated_ns)
        return self._happened() if self._happenings else []

    def advance(self, now_ns: int) -> list[Report]:
        """Time passes without the market moving."""
        self._arrive(now_ns)
        return self._happened() if self._happenings else []

    def distrust(self, reason: str) -> None:
        """The feed broke: nothing matches any more."""
        for listing in self.listings.values():
            listing.market.book.distrust = reason

    # Commands

    def place(self, orders: Sequence[Order], now_ns: int) -> list[Outcome]:
        """Takes orders one after another; `outcomes[i]` belongs to `orders[i]`."""
        self._arrive(now_ns)
        outcomes: list[Outcome] = []
        happenings = self._happenings
        for order in orders:
            answer = self._place(order)
            reports = self._happened() if happenings else ()
            if isinstance(answer, Refusal):
                outcomes.append(Rejected(answer.reason, answer.message, reports))
            else:
                outcomes.append(Accepted(answer, reports))
        return outcomes

    def place_group(self, group: OrderGroup, now_ns: int) -> list[Outcome]:
        """Takes linked orders, all or none (`links` says what links them); `outcomes[i]` belongs to `group.orders[i]`,
        and the first has the reports of all."""
        self._arrive(now_ns)
        understood = [self._understood(order) for order in group.orders]
        bracket = group.kind is GroupKind.BRACKET
        refusals = [part if isinstance(part, Refusal) else None for part in understood]
        orders = [part for part in understood if isinstance(part, WorkingOrder)]
        if len(orders) == len(understood):
            refusals = misfits(orders, bracket=bracket)
        if any(refusals):
            self.refuse(len(group.orders))
        else:
            refused = self.enter_group(orders, bracket=bracket)
            if refused is not None:
                refusals = [refused[1] if order is refused[0] else None for order in orders]
        return outcomes(orders, refusals, self._happened())

    def replace(self, command: ReplaceCommand, now_ns: int) -> Outcome:
        """Changes a working order in one step; see `Market.replace`."""
        self._arrive(now_ns)
        order = self._open.by_name.get(command.order.client_order_id)
        if order is None or not order.left:
            return self._unknown(command.order)
        listing = self.listings[order.symbol]
        shut = listing.shut(command.spec.time_in_force, self.now_ns, self.terms.stale_after_ns)
        if shut is not None:
            return Rejected(shut.reason, shut.message, self._happened())
        try:
            change = working_order(listing, command.order, command.spec, command.quantity, "", self.now_ns)
        except ValueError as error:
            return Rejected(ErrorReason.INVALID_FIELD, str(error), self._happened())
        if change.stop is None or not order.waiting:
            change.stop = order.stop
        refusal = self.change(order, f"{order.placed}-{command.order.generation + 1}", change)
        if refusal is not None:
            return Rejected(refusal.reason, refusal.message, self._happened())
        return Accepted(order.broker_order_id, self._happened())

    def cancel(self, order: Order, now_ns: int) -> Outcome:
        """Cancels a working order."""
        self._arrive(now_ns)
        working = self._open.by_name.get(order.client_order_id)
        if working is None or not working.left:
            return self._unknown(order)
        self.withdraw(working)
        return Accepted(working.broker_order_id, self._happened())

    def preview(self, spec: OrderSpec, now_ns: int) -> Preview:
        """What an order would do now. Changes nothing."""
        listing = self.listings.get(spec.symbol)
        if listing is None:
            raise ValueError(f"the venue has no instrument {spec.symbol!r}")
        now_ns = max(now_ns, self.now_ns)
        return listing.preview(
            spec, listing.shut(spec.time_in_force, now_ns, self.terms.stale_after_ns), now_ns
        )

    def quantity_for(self, spec: OrderSpec, now_ns: int) -> Decimal:
        """What an amount of quote currency comes to now. Changes nothing. `ValueError` for what the venue cannot
        hold."""
        return self.listings[spec.symbol].quantity_for(spec, max(now_ns, self.now_ns))

    def reset(self, balances: Mapping[str, Decimal] | None, now_ns: int) -> list[Report]:
        """Cancels what is open and starts anew with `balances`, the first ones when None. Ids go on."""
        self._arrive(now_ns)
        balances = self.terms.initial_balances if balances is None else balances
        self.diary.reset(balances)
        for order in list(self._open.by_name.values()):
            if order.left:
                self.listings[order.symbol].market.cancel(order, self.now_ns)
        self._open.clear()
        reports = self._happened()
        self._telling.deposit(
            self._ledger, LedgerEntryKind.RESET, -1, "reset of the paper account", self.now_ns
        )
        held = [funds.instrument.symbol for funds in self._ledger.funds.values() if funds.position.traded]
        currencies = set(self._ledger.currencies)
        flat = [
            replace(position, quantity=ZERO, cost=ZERO, realized_pnl=ZERO, fees=(), as_of_ns=self.now_ns)
            for position in self._foreign
        ]
        self._foreign = ()
        self._clearing.reset()
        self._ledger = self._new_ledger(balances, ())
        for symbol, listing in self.listings.items():
            listing.move(self._ledger.funds[symbol])
            listing.funds.position.traded = listing.funds.changed = symbol in held
        self._telling.deposit(self._ledger, LedgerEntryKind.DEPOSIT, 1, "initial balance", self.now_ns)
        gone = sorted(currencies - set(self._ledger.currencies))
        zeros = [BrokerBalance(currency, ZERO, ZERO, self.now_ns) for currency in gone]
        return [*reports, *self._happened(), *self.changed_holdings(), *flat, *zeros]

    # Commands in ticks and lots: what a diary can do again

    def enter(self, working: WorkingOrder) -> Refusal | None:
        """Takes an order under the next id, or says why not."""
        lots, market = working.leaves, self.listings[working.symbol].market
        working.broker_order_id = working.placed = f"P{self._orders + 1}"
        refusal = market.place(working, self.now_ns)
        if refusal is not None:
            self.refuse(1)
            return refusal
        self._orders += 1
        self.diary.placed(working, lots)
        if working.left:
            self._open.keep(working, self.listings[working.symbol], self.now_ns)
        return None

    def enter_group(
        self, orders: list[WorkingOrder], *, bracket: bool
    ) -> tuple[WorkingOrder, Refusal] | None:
        """Takes the orders of a group under the next ids, or says which one cannot be taken, and why."""
        lots, market = [order.leaves for order in orders], self.listings[orders[0].symbol].market
        for number, order in enumerate(orders, self._orders + 1):
            order.broker_order_id = order.placed = f"P{number}"
            order.special = order.special or Special()
        refused = market.place_group(orders, self.now_ns, bracket=bracket)
        if refused is not None:
            self.refuse(len(orders))
            return refused
        self._orders += len(orders)
        self.diary.placed_group(orders, lots, bracket=bracket)
        for order in orders:
            if order.left:
                self._open.keep(order, self.listings[order.symbol], self.now_ns)
        return None

    def refuse(self, count: int) -> None:
        """Uses up the ids of orders that are refused."""
        self._orders += count
        self.diary.refused(count)

    def change(self, order: WorkingOrder, broker_order_id: str, change: WorkingOrder) -> Refusal | None:
        """Makes an order like `change`, whose lots are all in all, under a new id, or says why not."""
        self.diary.changed(order.client_order_id, broker_order_id, change)
        before, order.broker_order_id = order.broker_order_id, broker_order_id
        expire_ns = order.expire_ns
        refusal = self.listings[order.symbol].market.replace(order, change, self.now_ns)
        if refusal is None:
            self._open.settle(order)
            if order.left and order.expire_ns is not None and order.expire_ns != expire_ns:
                self._open.end_at(order, order.expire_ns)
        else:
            order.broker_order_id = before
        return refusal

    def withdraw(self, order: WorkingOrder) -> None:
        """Cancels an order."""
        self.diary.cancelled(order.client_order_id)
        del self._open.by_name[order.client_order_id]
        self.listings[order.symbol].market.cancel(order, self.now_ns)

    def working(self, client_order_id: str) -> WorkingOrder | None:
        """The working order; None where there is none."""
        return self._open.by_name.get(client_order_id)

    # Keeping

    def save(self, pack: Packer) -> None:
        """Writes down all that the venue is, between two calls and after `changed_holdings`."""
        telling = self._telling
        pack.put(self.now_ns, telling.session, telling.entries, self._orders, telling.fills)
        save_positions(pack, self._foreign)
        self._ledger.save(pack)
        for listing in self.listings.values():
            listing.market.save(pack)
        self._clearing.save(pack)
        self._open.save(pack, list(self.listings))

    def load(self, kept: Unpacker) -> None:
        """Becomes what `save` wrote: of the venue as it was made, only instruments and terms stay."""
        telling = self._telling
        self.now_ns, telling.session = kept.integer(), kept.text()
        telling.entries, self._orders, telling.fills = [kept.integer() for _ in range(3)]
        self._foreign = load_positions(kept)
        self._ledger = Ledger.kept(kept, self.instruments, self.terms.money())
        for symbol, listing in self.listings.items():
            listing.move(self._ledger.funds[symbol])
            listing.market.load(kept)
            if listing.strict:
                listing.keep_hours(listing.market.updated_ns)
        self._clearing.session = telling.session
        self._clearing.load(kept, self.now_ns)
        self._open.load(kept, self.listings)
        self._restored = []
        self._telling.forget()

    def take_terms(self, terms: AccountTerms) -> None:
        """From now on the account trades under `terms`."""
        self.terms = terms
        self._ledger.charge(terms.fees)

    def forget(self) -> None:
        """Tells nobody what happened until now: it was told before."""
        self._happened()
        self._ledger.told()

    @property
    def counts(self) -> tuple[int, int]:
        """How many orders and executions had an id of the venue."""
        return self._orders, self._telling.fills

    @property
    def size(self) -> int:
        """About how many numbers `save` writes: what a snapshot costs."""
        books = sum(listing.market.size for listing in self.listings.values())
        lots = sum(len(funds.position.entries) for funds in self._ledger.funds.values())
        return 2 * books + 3 * lots + 17 * len(self._open.by_name)

    # Queries

    def open_orders(self) -> list[WorkingOrder]:
        """The orders that work, oldest first."""
        return list(self._open.by_name.values())

    def positions(self) -> list[BrokerPosition]:
        """Positions that are or were, at the present marks, by symbol."""
        ours = [funds.report(self.now_ns) for funds in self._ledger.funds.values() if funds.position.traded]
        return sorted([*ours, *self._foreign], key=lambda position: position.symbol)

    def changed_holdings(self) -> list[BrokerPosition | BrokerBalance]:
        """Positions and balances that changed since the last call, as they now stand. They are not among the reports:
        however often they change between two looks, they are worked out once."""
        return self._ledger.changes(self.now_ns)

    def balances(self) -> list[BrokerBalance]:
        """Every currency, by its code."""
        return [account.report(self.now_ns) for account in self._ledger.currencies.values()]

    def info(self) -> BrokerAccountInfo:
        """The account as a whole, at the present marks."""
        return account_info(self._ledger, self.terms.base_currency, self.now_ns)

    def quote(self, symbol: str) -> QuoteView | None:
        """The latest quote; None before the market told anything, and while its book is not trusted."""
        listing = self.listings.get(symbol)
        return listing.quote() if listing else None

    def book(self, symbol: str, depth: int) -> BookView | None:
        """What can still be taken, `depth` levels a side; None while the book is not trusted."""
        listing = self.listings.get(symbol)
        return listing.book(depth) if listing else None

    # Inside

    def _apply(self, update: MarketUpdate, received_ns: int) -> None:
        listing = self.listings.get(update.symbol)
        if listing is None:
            raise ValueError(f"the venue has no instrument {update.symbol!r}")
        if update.time_ns > self.now_ns:
            self.now_ns = update.time_ns
            if self._open.next_ns <= self.now_ns:
                self._expire()
            if self._clearing.due_ns <= self.now_ns:
                self._pay_funding()
        if listing.strict:
            listing.keep_hours(self.now_ns)
        listing.market.received_ns = received_ns
        if type(update) in CLEARED:
            self._clearing.settle(update, self.now_ns)
        listing.market.apply(update)
        margin = self._ledger.margin
        if margin is not None:
            if margin.positions:
                self._clearing.watch(margin, listing, self.now_ns)
            else:
                self._clearing.forget()

    def _place(self, order: Order) -> str | Refusal:
        working = self._understood(order)
        if isinstance(working, Refusal):
            self.refuse(1)
            return working
        return self.enter(working) or working.broker_order_id

    def _understood(self, order: Order) -> WorkingOrder | Refusal:
        spec = order.spec
        listing = self.listings.get(spec.symbol)
        if listing is None:
            return Refusal(ErrorReason.INSTRUMENT_NOT_FOUND, f"the venue has no instrument {spec.symbol!r}")
        if order.client_order_id in self._open.by_name:
            return Refusal(
                ErrorReason.CLIENT_ORDER_ID_REUSED, f"an order {order.client_order_id!r} is open already"
            )
        shut = listing.shut(spec.time_in_force, self.now_ns, self.terms.stale_after_ns)
        if shut is not None:
            return shut
        try:
            return working_order(listing, order, spec, order.quantity, "", self.now_ns)
        except NotHere as error:
            return Refusal(ErrorReason.UNSUPPORTED, str(error))
        except ValueError as error:
            return Refusal(ErrorReason.INVALID_FIELD, str(error))

    def _unknown(self, order: Order) -> Rejected:
        message = f"the venue has no working order {order.client_order_id!r}; it has ended"
        return Rejected(ErrorReason.ORDER_ENDED, message, self._happened())

    def _arrive(self, now_ns: int) -> None:
        if now_ns > self.now_ns:
            self.now_ns = now_ns
            self.diary.advanced(now_ns)
        if self._open.next_ns <= self.now_ns:
            self._expire()
        if self._clearing.due_ns <= self.now_ns:
            self._pay_funding()

    def _pay_funding(self) -> None:
        self._clearing.pay_funding(self.now_ns)
        margin = self._ledger.margin
        if margin is not None and margin.positions:
            self._clearing.judge(margin, self.now_ns)

    def _expire(self) -> None:
        """Ends the orders whose time is over, and matches those whose close has come: before anything else of the same
        instant."""
        for order in self._open.due(self.now_ns):
            market = self.listings[order.symbol].market
            if order.time_in_force is TimeInForce.AT_CLOSE:
                market.match(order, self.now_ns)
            else:
                market.expire(order, self.now_ns)

    def _restore(self, orders: Iterable[Order]) -> None:
        """Takes up what the journal says of open orders."""
        restoring = Restoring(orders, self.listings, self.now_ns)
        for report in restoring.reports:
            self._telling.tell(report)
        for working, order in restoring.orders.items():
            listing = self.listings[working.symbol]
            listing.market.restore(working)
            self._open.keep(working, listing, min(order.create_time_ns, self.now_ns))

    def _new_ledger(self, balances: Mapping[str, Decimal], positions: Sequence[BrokerPosition]) -> Ledger:
        return Ledger(self.instruments, self.terms.money(), balances, positions)

    def _ledger_entry(
        self, kind: LedgerEntryKind, money: Money, symbol: str, description: str
    ) -> LedgerEntry:
        return self._telling.entry(kind, money, self.now_ns, symbol, description)

    def _happened(self) -> list[Report]:
        """What happened since the last call, as reports."""
        self.diary.eventful = True
        return self._telling.take(self.history)
