"""A whole run by its seed: the gateway, its disk, its venues, its clients, and everything that goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from itertools import groupby
from random import Random
from typing import Any

from brokergate.adapters.paper.broker import PaperTradingBroker
from brokergate.adapters.paper.config import PaperTradingConfig
from brokergate.domain.accounts import ConnectionState
from brokergate.domain.capabilities import ReplaceSupport
from brokergate.domain.commands import CreatePaperAccount
from brokergate.domain.fills import Fill
from brokergate.domain.orders import OrderSpec, OrderType, Side, TimeInForce
from brokergate.domain.policy import AccountPolicy, RiskLimits
from brokergate.engine.gateway import Gateway
from brokergate.engine.streams import EventStreams
from brokergate.journal.sqlite.journal import SqliteJournal
from brokergate.ports.broker import AbstractBroker
from brokergate.ports.journal import Journal, JournalError
from brokergate.v1 import event_pb2
from tests.simulation.answer_laws import AnswerLaws
from tests.simulation.broker import History, RemoteBroker, capabilities
from tests.simulation.client import Client
from tests.simulation.clock import START_NS, SimulatedClock
from tests.simulation.disk import IN_MEMORY, Disk, DiskFault
from tests.simulation.faults import STRIKES, Episode, Fault, Faults, Stand, draw_episodes, stand_of
from tests.simulation.final_laws import FinalLaws
from tests.simulation.house import Door, Life
from tests.simulation.journal_laws import JournalLaws
from tests.simulation.laws import ALIVE, DURABLE_BEFORE_SENT, ORDERED, RESUMES, AccountTerms, Judge, LawBroken
from tests.simulation.loop import WORLD, Process, SimulatedLoop, Stuck, forgotten
from tests.simulation.market import BY_SYMBOL, INSTRUMENTS, Market, pushed
from tests.simulation.network import Network
from tests.simulation.officer import Officer
from tests.simulation.reader import Reader, draw_request
from tests.simulation.truth import AccountTruth, Told, Truth, Version
from tests.simulation.venue_laws import VenueLaws
from tests.venue.core import JudgedVenue, VenueRules

REMOTE, PAPER = "remote", "paper"
COMMANDS = 200
"""Commands that the clients of a run give at the least."""
FAULTS = 5
"""Faults that strike in a run at the least."""
QUIET_S = 200
"""Seconds that everything that is uncertain gets to become known, once nothing is broken any more."""
NS = 1_000_000_000

_DISK_FAULTS = {
    Fault.DISK_FULL: DiskFault.FULL,
    Fault.COMMIT_LOST: DiskFault.COMMIT_LOST,
    Fault.COMMIT_TORN: DiskFault.COMMIT_TORN,
    Fault.SYNC_FAILED: DiskFault.SYNC_FAILED,
    Fault.READ_FAILED: DiskFault.READ_FAILED,
}


@dataclass(frozen=True, slots=True)
class Setup:
    """What kind of world it is, drawn from the seed."""

    durable: bool
    absence_after_ms: int | None
    replace: ReplaceSupport
    refuse_duplicates: bool
    policy: AccountPolicy
    late_s: float
    """The longest that a command is on its way to the venue."""
    stale_ns: int


def draw_setup(random: Random) -> Setup:
    """A setup whose venue is honest: what it declares of absence is true."""
    durable = random.random() < 0.6
    absence_after_ms = random.choice((None, 800, 2_000, 5_000))
    queue = random.choice((None, None, 10 * NS, 60 * NS))
    order_latency_s = random.choice((0.0, 0.05, 0.3))
    late_s = 3.0 if absence_after_ms is None else absence_after_ms / 1000 - order_latency_s - 0.05
    # What reduces a position is always possible; two orders that fit one by one and not together are not.
    limits = RiskLimits(max_position_quantity={"AAPL": Decimal(100), "BTC/USDT": Decimal("0.100")})
    return Setup(
        durable=durable,
        absence_after_ms=absence_after_ms,
        replace=random.choice((ReplaceSupport.ATOMIC, ReplaceSupport.ATOMIC, ReplaceSupport.NONE)),
        refuse_duplicates=random.random() < 0.3,
        policy=AccountPolicy(
            queue_max_age_ns=queue,
            durable=durable,
            poll_interval_ns=random.choice((2, 5)) * NS,
            quiet_period_ns=NS // 2,
            reconnect_max_ns=4 * NS,
            risk=limits if random.random() < 0.5 else RiskLimits(),
        ),
        late_s=late_s,
        stale_ns=round(order_latency_s * NS),
    )


@dataclass(slots=True)
class Outcome:
    """How a run went."""

    seed: int
    broken: LawBroken | None
    commands: int
    strikes: Counter[Fault]
    coverage: Counter[tuple[str, str]]
    events: int
    venue_orders: int
    read: int
    lives: int
    digest: str
    told: Counter[str]
    """How often each kind of word was journalled."""


class World:
    """See the module."""

    def __init__(self, seed: int, trace: Callable[[str], None] | None = None) -> None:
        self.seed = seed
        self.trace = trace
        self.loop = SimulatedLoop()
        self._digest = hashlib.blake2b(digest_size=8)
        self.setup = draw_setup(self._random("setup"))
        self.clock = SimulatedClock(self.loop)
        self.truth = Truth(self._committed, 2)
        self.disk = Disk(
            self._random("disk"), lambda connection: self.truth.read(connection, self.disk.commits)
        )
        setup = self.setup
        rules = VenueRules(
            refuse_duplicates=setup.refuse_duplicates,
            absence_after_ms=setup.absence_after_ms,
            order_latency_ns=setup.stale_ns,
            fill_latency_ns=setup.stale_ns,
        )
        self.venue = JudgedVenue(INSTRUMENTS, START_NS, rules)
        terms = {
            PAPER: AccountTerms(PAPER, False, None),
            REMOTE: AccountTerms(
                REMOTE,
                setup.durable,
                self.venue,
                setup.absence_after_ms is not None,
                setup.policy.risk.max_position_quantity,
            ),
        }
        self.judge = Judge(self.truth, self.disk, terms, self.clock.now_ns, self._broke)
        self.journal_laws = JournalLaws(self.judge, BY_SYMBOL)
        self.answer_laws = AnswerLaws(self.judge)
        self.venue_laws = VenueLaws(self.judge, REMOTE)
        self.market = Market(self._random("market"))
        length_ns = 45 * NS
        # Without syncs the loss of power may lose orders that the venue has: nobody may promise anything then.
        episodes = draw_episodes(self._random("episodes"), length_ns, power=setup.durable)
        self.faults = Faults(self._random("faults"), episodes)
        self.network = Network(
            self.loop, self._random("network"), self.venue, self.faults, self._stand, setup.late_s
        )
        self.network.arrived = self.venue_laws.arrived
        self.history = History(self.venue, max(setup.stale_ns, NS // 20))
        self.door = Door(self.loop, self._random("door"), self.faults, self.judge)
        self.clients: list[Client] = []
        self.readers: list[Reader] = []
        self.lives = 0
        self.boot = 1
        self._main: asyncio.Task[None] | None = None
        self._awaited = frozenset[str]()
        self._wake: Callable[[], None] = lambda: None

    def _random(self, name: str) -> Random:
        return Random(f"{self.seed} {name}")

    def say(self, text: str) -> None:
        """Notes what happens, for the trace and for comparing runs."""
        line = f"{self.loop.now_ns / NS:10.6f} {text}"
        self._digest.update(line.encode())
        if self.trace is not None:
            self.trace(line)

    # What the judge is told

    def _committed(self, account: AccountTruth, events: Sequence[Told]) -> None:
        for event in events:
            self._digest.update(event.body)
            if isinstance(event.payload, Version) and event.payload.event.name in self._awaited:
                self._wake()
            if self.trace is not None:
                self.trace(
                    f"{self.loop.now_ns / NS:10.6f}   {account.account_id} {event.sequence} {shown(event)}"
                )
        self.journal_laws.check(account, events)

    def _broke(self, broken: LawBroken) -> None:
        self.say(f"BROKEN {broken}")
        self.loop.stop()

    def _stand(self, client_order_id: str, broker_order_id: str) -> Stand:
        story = self.truth.account(REMOTE).story_of(client_order_id, broker_order_id)
        return stand_of(None if story is None else story.latest)

    def stands(self) -> tuple[Stand, ...]:
        """Where the orders stand that a fault of everything meets: those that work, and the youngest."""
        found: dict[Stand, None] = {}
        for account in self.truth.accounts.values():
            stories = list(account.orders.values())
            for story in stories:
                if not story.latest.ended:
                    found[stand_of(story.latest)] = None
            for story in stories[-1:]:
                found[stand_of(story.latest)] = None
        return tuple(found)

    # The gateway's lives

    async def start(self) -> None:
        """Starts the gateway, and again until it starts."""
        while True:
            self.lives += 1
            life = Life(Process(f"gateway {self.lives}"), self.lives)
            self.door.life = life
            task = self.loop.start(life.process, self._serve(life), "serve")
            done: asyncio.Future[Exception | None] = self.loop.create_future()
            task.add_done_callback(partial(_tell, done), context=WORLD)
            while not done.done() and not life.process.dead:  # noqa: ASYNC110 - a dead process sets nothing
                await asyncio.sleep(0.01)
            if life.process.dead:
                return
            error = done.result()
            if error is None:
                self.say(f"life {self.lives} serves")
                return
            self.say(f"life {self.lives} does not start: {error}")
            if not isinstance(error, JournalError):
                self.judge.fail(ALIVE, f"the gateway does not start: {error!r}")
            self._bury(life)
            await asyncio.sleep(0.5)

    async def _serve(self, life: Life) -> None:
        epoch_before, heads = self._known
        journal = open_journal(self.disk, self._random(f"draw {life.number}"), f"boot {self.boot}")
        life.journal = journal
        self.say(f"epoch {journal.epoch}")
        lost = any(self.truth.account(name).head < head for name, head in heads.items())
        if journal.epoch < epoch_before or (lost and journal.epoch == epoch_before):
            self.judge.fail(
                RESUMES, f"epoch {journal.epoch} follows {epoch_before}, and events were lost: {lost}"
            )
        self._known = (journal.epoch, {})
        gateway = Gateway(journal, self.clock, self._log, _no_paper, self._random(f"gateway {life.number}"))
        await gateway.add_account(REMOTE, self._remote(life), self.setup.policy)
        await gateway.add_account(PAPER, self._paper(), AccountPolicy())
        life.streams = EventStreams(journal, gateway.accounts, self.clock)
        life.gateway = gateway

    _known: tuple[int, dict[str, int]] = (0, {})
    """The epoch of before, and what was published in it."""

    def _remote(self, life: Life) -> AbstractBroker:
        setup = self.setup
        return RemoteBroker(
            self.network,
            self.venue,
            self.faults,
            self._random(f"broker {life.number}"),
            self._stand,
            self.stands,
            self.history,
            self.venue_laws.sending,
            capabilities(setup.absence_after_ms, setup.replace, setup.refuse_duplicates),
        )

    def _paper(self) -> AbstractBroker:
        config = PaperTradingConfig.model_validate(PAPER_CONFIG)
        return PaperTradingBroker(config, self.clock)

    def _log(self, event: str, **fields: Any) -> None:
        if self.trace is not None:
            self.trace(f"{self.loop.now_ns / NS:10.6f}   log: {event} {fields}")

    def _bury(self, life: Life) -> None:
        self.loop.kill(life.process)
        self.door.killed(life)
        self.network.disconnect()

    async def _die(self, *, power: bool) -> None:
        """The process dies, or the whole machine, and is started again."""
        life = self.door.life
        if life is None or life.process.dead:
            return
        self._bury(life)
        heads = {name: account.head for name, account in self.truth.accounts.items()}
        if life.journal is not None:
            self._known = (life.journal.epoch, heads)
        if power:
            self.boot += 1
            left = self.disk.lose_power()
            self._forget(left)
        else:
            self.disk.keep()
        await asyncio.sleep(self._random(f"down {life.number}").uniform(0.05, 3.0))
        await self.start()

    def _forget(self, left: int) -> None:
        """The journal's tail is gone: what was known by it is forgotten, and what is left is judged anew."""
        self.say(f"the disk has {left} commits")
        judge, truth = self.judge, self.truth
        self.journal_laws.reset()
        with contextlib.closing(self.disk.left()) as connection:
            for account, kept in truth.rewind(connection):
                if kept is None:
                    judge.fail(
                        ORDERED, f"{account.account_id}: the disk holds other events than were committed"
                    )
                    return
                for _, events in groupby(kept, key=lambda event: event.commit):
                    self.journal_laws.check(account, list(events))
        for key, order_id in list(judge.acknowledged.items()):
            account_id, name = key
            if truth.account(account_id).by_client.get(name) != order_id:
                if judge.accounts[account_id].durable:
                    judge.fail(
                        DURABLE_BEFORE_SENT, f"{account_id} {name}: acknowledged, and lost with the power"
                    )
                del judge.acknowledged[key]
                self.answer_laws.bodies.pop(key, None)
        for account_id in [name for name in judge.latched if not judge.accounts[name].durable]:
            del judge.latched[account_id]
        for key in [key for key in judge.answers if not self._is_durable(key[0])]:
            del judge.answers[key]

    def _is_durable(self, account_id: str) -> bool:
        terms = self.judge.accounts.get(account_id)
        return terms is not None and terms.durable

    # The run

    async def main(self) -> None:
        """The whole of it."""
        random = self._random("main")
        await self.start()
        moving = [asyncio.create_task(self._market()), asyncio.create_task(self._others())]
        tasks: list[asyncio.Task[None]] = []
        for number in range(random.randint(3, 5)):
            client = Client(
                f"c{number}",
                (REMOTE, PAPER),
                self.door,
                self.answer_laws,
                self.truth,
                self.market,
                self._random(f"client {number}"),
            )
            self.clients.append(client)
        for number in range(random.randint(2, 4)):
            draw = self._random(f"reader {number}")
            request = draw_request(draw, (REMOTE, PAPER))
            reader = Reader(
                f"reader {number}", self.loop, self.door, self.faults, self.judge, self.stands, draw, request
            )
            self.readers.append(reader)
            tasks.append(asyncio.create_task(reader.run()))
        each = -(-COMMANDS // len(self.clients))
        hand = Client(
            "officer", (REMOTE, PAPER), self.door, self.answer_laws, self.truth, self.market, random
        )
        officer = Officer(hand, self.judge, self.answer_laws, self._random("officer"))
        stopping = asyncio.create_task(officer.run())
        working = [asyncio.create_task(client.run(each, 0.4)) for client in self.clients]
        breaking = asyncio.create_task(self._break())
        await asyncio.gather(*working, breaking)
        self.say("quiet")
        self.faults.heal()
        self.disk.armed.clear()
        self.network.down = False
        stopping.cancel()
        await asyncio.gather(stopping, return_exceptions=True)
        while not await officer.resume():
            pass
        final = FinalLaws(self.judge, self.journal_laws)
        for _ in range(QUIET_S):
            await asyncio.sleep(1)
            await officer.repair()
            if final.settled() and self._connected():
                break
        for task in moving:
            task.cancel()
        await asyncio.sleep(2 * self.setup.policy.poll_interval_ns / NS + 2)
        final.check(self.readers)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *moving, return_exceptions=True)

    def _connected(self) -> bool:
        life = self.door.life
        if life is None or life.gateway is None or life.process.dead:
            return False
        return life.gateway.accounts[REMOTE].connection.state is ConnectionState.CONNECTED

    async def _break(self) -> None:
        """Has the episodes come and go, and sees to it that enough has struck."""
        random = self._random("more")
        for episode in self.faults.episodes:
            delay_ns = episode.start_ns - self.loop.now_ns
            if delay_ns > 0:
                await asyncio.sleep(delay_ns / NS)
            if episode.moment is not None and episode.fault in STRIKES:
                await self._moment(episode.moment)
            self.say(f"fault: {episode.fault} at {episode.rate}")
            await self._strike(episode)
        while sum(self.faults.strikes.values()) < FAULTS:
            now_ns = self.loop.now_ns
            fault = random.choice((Fault.KILLED, Fault.DISCONNECTED))
            await self._strike(Episode(fault, now_ns, now_ns + NS, 1.0))
            await asyncio.sleep(1)

    async def _moment(self, moment: str) -> None:
        """Waits until the journal says this of some order, for a while: a fault between two words of an order's life
        finds more than one at any time."""
        awaited = asyncio.Event()
        self._awaited, self._wake = frozenset({moment}), awaited.set
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(awaited.wait(), 4.0)
        self._awaited = frozenset()

    async def _strike(self, episode: Episode) -> None:
        fault, lasts_s = episode.fault, (episode.end_ns - episode.start_ns) / NS
        if fault in _DISK_FAULTS:
            self.disk.arm(_DISK_FAULTS[fault], partial(self._disk_struck, fault))
            if fault is Fault.DISK_FULL:
                self.loop.call_later(lasts_s, self.disk.armed.discard, DiskFault.FULL)
            return
        elif fault is Fault.KILLED or fault is Fault.POWER_LOST:
            self.faults.struck(fault, *self.stands())
            await self._die(power=fault is Fault.POWER_LOST)
            return
        elif fault is Fault.CLOCK_SET:
            self.clock.skew_ns += round((episode.rate - 0.5) * 4 * NS)
        elif fault is Fault.DISCONNECTED:
            self.network.down = True
            self.network.disconnect()
            self.loop.call_later(lasts_s, self._reachable)
        else:
            self.faults.begin(episode)
            self.loop.call_later(lasts_s, self.faults.end, episode)
            return
        self.faults.struck(fault, *self.stands())

    def _disk_struck(self, fault: Fault) -> None:
        self.faults.struck(fault, *self.stands())

    def _reachable(self) -> None:
        self.network.down = False

    async def _market(self) -> None:
        """Prices move, and the venue tells what that does."""
        random = self._random("ticks")
        while True:
            await asyncio.sleep(random.uniform(0.02, 0.3))
            now_ns = self.network.now_ns()
            updates = self.market.move(now_ns)
            self.venue.apply(updates)
            self.history.keep(now_ns)
            self.network.tell()
            life = self.door.life
            if life is not None and life.gateway is not None and not life.process.dead:
                gateway, now = life.gateway, self.clock.now_ns()
                if PAPER in gateway.accounts:
                    self.loop.start(life.process, _push(gateway, updates, now), "push")

    async def _others(self) -> None:
        """Others trade on the account, and the venue ends orders by itself."""
        random = self._random("others")
        while not self.network.opened:  # noqa: ASYNC110 - it is only looked at
            await asyncio.sleep(0.5)
        while True:
            await asyncio.sleep(random.expovariate(0.4))
            working = [held for held in self.venue.orders if held.open]
            if random.random() < 0.5 and working:
                held = random.choice(working)
                self.venue.cancel(held.order(), self.network.now_ns())
                self.say(f"the venue cancels {held.client_order_id}")
            else:
                symbol = random.choice(("AAPL", "BTC/USDT"))
                side = random.choice((Side.BUY, Side.SELL))
                away = random.randint(-3, 8) * self.market.step[symbol] * (-1 if side is Side.BUY else 1)
                spec = OrderSpec(
                    symbol,
                    side,
                    OrderType.LIMIT,
                    quantity=BY_SYMBOL[symbol].quantity_increment,
                    limit_price=self.market.price(symbol, away),
                    time_in_force=TimeInForce.GTC,
                )
                self.venue.place_external(spec, self.network.now_ns())
                self.say(f"others place {symbol}")
            self.network.tell()

    def run(self) -> Outcome:
        """Runs it to its end, or to the first law that is broken."""
        asyncio.set_event_loop(None)
        loop = self.loop
        loop.set_exception_handler(self._unhandled)
        broken: LawBroken | None = None
        try:
            self._main = loop.create_task(self.main())
            self._main.add_done_callback(lambda _: loop.stop())
            loop.run_forever()
            if self.judge.last is None and self._main.done():
                self._main.result()
        except (LawBroken, Stuck) as error:
            broken = error if isinstance(error, LawBroken) else LawBroken(ALIVE, str(error))
        finally:
            loop.end()
        broken = self.judge.last or broken
        if broken is not None:
            broken.__traceback__ = None  # it would hold the whole world
        return Outcome(
            seed=self.seed,
            broken=broken,
            commands=sum(client.commands for client in self.clients),
            strikes=self.faults.strikes,
            coverage=self.faults.coverage.met,
            events=sum(account.head for account in self.truth.accounts.values()),
            venue_orders=len(self.venue.orders),
            read=sum(reader.read for reader in self.readers),
            lives=self.lives,
            digest=self._digest.hexdigest(),
            told=Counter(map(word, (each for one in self.truth.accounts.values() for each in one.events))),
        )

    def _unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, LawBroken) or self.judge.last is not None:
            return
        try:
            self.judge.fail(
                ALIVE,
                f"nobody handles {context.get('message')} in {context.get('task') or context.get('future')}: {error!r}",
            )
        except LawBroken:
            loop.stop()


PAPER_CONFIG = {
    "initial_balance": {"USDT": "100000000", "USD": "100000000", "BTC": "1000"},
    "taker_fee_percent": "0.05",
    "maker_fee_percent": "0.01",
    "feed": {
        "push": {
            "instruments": [
                {"symbol": "BTC/USDT", "price_increment": "0.01", "quantity_increment": "0.001"},
                {
                    "symbol": "AAPL",
                    "price_increment": "0.01",
                    "quantity_increment": "1",
                    "quote_currency": "USD",
                },
            ]
        }
    },
}


async def _push(gateway: Gateway, updates: Any, now_ns: int) -> None:
    try:
        await gateway.simulators.push(PAPER, pushed(updates, now_ns))
    except Exception:  # noqa: BLE001 - a client's trouble, not the gateway's
        return


def open_journal(disk: Disk, random: Random, boot_id: str) -> Journal:
    """The real journal over the simulated disk."""
    return SqliteJournal(
        IN_MEMORY,
        random.getrandbits,
        boot_id,
        open_connection=lambda path: connect(path, disk),
        sync_file=lambda _: disk.sync(),
    )


def connect(path: str, disk: Disk) -> sqlite3.Connection:
    """As the journal's own, without what only a file has."""
    return disk.open(path)


def run_seed(seed: int, trace: Callable[[str], None] | None = None) -> Outcome:
    """The run of a seed. The same seed is the same run."""
    with forgotten():
        return World(seed, trace).run()


def word(event: Told) -> str:
    """What kind of thing an event says."""
    payload = event.payload
    if isinstance(payload, Version):
        reason = f" {payload.reason.name}" if payload.reason else ""
        return f"{event.account_id} {payload.event.name}{reason}{' held' * payload.order.held}"
    if isinstance(payload, Fill):
        return f"{event.account_id} FILL {payload.origin.name}{' unknown' * (not payload.order_id)}"
    if isinstance(payload, event_pb2.ControlEvent):
        return f"{event.account_id} {event_pb2.ControlEventType.Name(payload.type)}"
    return f"{event.account_id} {event.kind.name}"


def shown(event: Told) -> str:
    """An event in a line."""
    return f"{event.kind.name} {event.payload}"[:400]


def _tell(done: asyncio.Future[Exception | None], task: asyncio.Task[None]) -> None:
    if done.done():
        return
    error = None if task.cancelled() else task.exception()
    done.set_result(error if isinstance(error, Exception) else None)


def _no_paper(command: CreatePaperAccount) -> AbstractBroker:
    raise AssertionError("no paper account is made at run time here")
