"""The port to the journal: one ordered list of events an account, and what must be found again by key.

One writer. `stage` assigns sequence numbers and puts events into the group that is committed next; nothing staged
is streamed or answered before `commit` returns. Look-ups by key (`find_*`, `get_order`, `has_fill`,
`is_tombstoned`) see what is staged too, and force no commit: they stand on the way of every order. Lists and streams
see what is committed; `flush` first where the caller has staged. Bodies are serialised contract messages and go out
as stored.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from brokergate.domain.access import GATEWAY, Caller
from brokergate.domain.accounts import BrokerBalance, BrokerPosition
from brokergate.domain.control import AuditRecord, Discrepancy
from brokergate.domain.errors import GatewayError
from brokergate.domain.events import EventKind, EventPayload
from brokergate.domain.fills import Fill
from brokergate.domain.orders import Order, OrderState
from brokergate.domain.values import value
from brokergate.ports.broker import VenueHistory, VenueSnapshot, VenueStep


@value
class StoredEvent:
    """One journalled event; `body` is a serialised `brokergate.v1.Event`, `symbol` what it is about ('' if nothing)."""

    sequence: int
    kind: EventKind
    symbol: str
    body: bytes


@value
class StoredOrder:
    """An order as last journalled, and the fingerprint of the body that it was first placed with."""

    order: Order
    fingerprint: bytes
    number: int
    """1, 2, 3 … in the order of creation on the account; what lists are paged by."""


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The answer that a mutation gave: which method, a fingerprint of its request, the serialised response."""

    method: str
    fingerprint: bytes
    body: bytes
    refusal: GatewayError | None = None
    """Set, and `body` empty, where the broker refused: the same refusal is given again."""


@value
class NewOrder:
    """Registers a client_order_id for ever, beside the OrderChanged events that bring the order itself. `method` is the
    RPC that brought it, for the audit."""

    client_order_id: str
    fingerprint: bytes
    caller: Caller = GATEWAY
    method: str = "PlaceOrder"


@dataclass(frozen=True, slots=True)
class RequestDone:
    """Registers a request_id for ever with the answer that was given. `body` is a serialised response message."""

    request_id: str
    answer: StoredAnswer
    caller: Caller = GATEWAY


@dataclass(frozen=True, slots=True)
class Tombstone:
    """Sets a client_order_id aside: placing it later ends REJECTED (TOMBSTONED)."""

    client_order_id: str


@dataclass(frozen=True, slots=True)
class Routed:
    """The route chose this account for a client_order_id: for ever, whatever becomes of the account's health or of the
    configuration. Committed with the order itself, or with its tombstone (law 2)."""

    route_id: str
    client_order_id: str


@dataclass(frozen=True, slots=True)
class Setting:
    """A named text of the account, committed with what it belongs to: `watermark`, `stop`. None takes it away."""

    key: str
    value: str | None


Record = NewOrder | RequestDone | Tombstone | Routed | Setting | VenueStep | VenueSnapshot


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """Which orders a list shows; empty fields do not filter. Times are `create_time_ns`, start in, end out."""

    symbol: str = ""
    states: frozenset[OrderState] = frozenset()
    open_only: bool = False
    start_time_ns: int | None = None
    end_time_ns: int | None = None


@dataclass(frozen=True, slots=True)
class FillFilter:
    """Which fills a list shows; times are the journal's."""

    symbol: str = ""
    order_id: str = ""
    start_time_ns: int | None = None
    end_time_ns: int | None = None


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which commands a list shows; times are the journal's, start in, end out."""

    actor: str = ""
    start_time_ns: int | None = None
    end_time_ns: int | None = None


class JournalError(Exception):
    """The journal could not be read or written; nothing of the group was acknowledged."""


class CommitUnknown(JournalError):
    """The commit under way failed: whether it is on the disk is known when the journal was opened again."""


class AlreadyJournalled(ValueError):
    """`stage` was given a client_order_id, a request_id or an execution that is registered already, or an id that its
    route chose another account for. Nothing was staged; the caller has not looked before."""


class Journal(ABC):
    """See the module. Every method but `commit` returns at once. A failed write or sync closes the journal: whoever
    waits for the commit gets `CommitUnknown`, every later call raises `JournalError`, `on_failure` is told, and so it
    stays until `reopen`, after which only what is on the disk counts."""

    journal_id: str
    """Eight hex digits, drawn when the journal was made: cursors of other journals are told by it."""
    epoch: int
    """Rises at every opening that cannot prove a clean tail (law 6)."""

    @abstractmethod
    def open_account(self, account_id: str, *, durable: bool = False) -> None:
        """Makes the account known; its events of earlier runs are found again. A commit with anything of a `durable`
        account returns, is published and can be read when it is on the disk (`fsync`); another one survives the
        death of the process, and maybe not that of the machine."""

    @property
    @abstractmethod
    def failed(self) -> JournalError | None:
        """Why the journal is closed; None while it works."""

    @abstractmethod
    def reopen(self) -> None:
        """Opens the journal again after a failure and reads what is on the disk. The epoch rises where something that
        was published is no longer there. Raises `JournalError` while that fails: try again later."""

    @abstractmethod
    def on_failure(self, listener: Callable[[JournalError], None]) -> Callable[[], None]:
        """Calls `listener` once when the journal fails, and whenever it fails again after `reopen`. Returns what ends
        that."""

    @abstractmethod
    def next_order_id(self, account_id: str) -> str:
        """A fresh order id, unique for ever over all accounts: `paper-1-o42` (account, epoch, number)."""

    @abstractmethod
    def next_fill_id(self, account_id: str) -> str:
        """A fresh fill id, likewise: `paper-1-f42`."""

    @abstractmethod
    def stage(
        self, account_id: str, time_ns: int, payloads: Sequence[EventPayload], records: Sequence[Record] = ()
    ) -> None:
        """Puts events and records into the next commit, atomically: all of one `stage` or nothing of it. Orders,
        fills, positions and balances found by the reading methods follow from the payloads."""

    @abstractmethod
    async def commit(self, account_id: str | None = None) -> None:
        """Returns when everything that is staged, or that of the account, is committed, and on the disk where it is
        durable; calls that come together share one commit."""

    @abstractmethod
    async def commit_now(self, account_id: str | None = None) -> None:
        """As `commit`, without waiting for others that might share it: for a caller who brings what is together."""

    @abstractmethod
    def flush(self) -> None:
        """Commits what is staged now, in the caller's own step, and waits there for the disk where it is durable: what
        is shown next is published."""

    @abstractmethod
    def before_commit(self, last_word: Callable[[], None]) -> None:
        """Calls `last_word` once, just before the next commit, which is due from now on: what it stages is part of
        that commit. For what is worth saying once a commit, however often it changed."""

    @abstractmethod
    def on_commit(self, listener: Callable[[frozenset[str]], None]) -> Callable[[], None]:
        """Calls `listener` with the accounts that got events after every commit. Returns what ends it."""

    @abstractmethod
    def head(self, account_id: str) -> int:
        """The last committed sequence; 0 before the first."""

    @abstractmethod
    def earliest(self, account_id: str) -> int:
        """The first sequence that is still kept; `head + 1` where none is."""

    @abstractmethod
    def read(
        self, account_id: str, after: int, limit: int, kinds: frozenset[EventKind] = frozenset()
    ) -> Sequence[StoredEvent]:
        """Up to `limit` events with a sequence above `after`, in order; of `kinds` only, if any are given."""

    @abstractmethod
    def read_bodies(
        self, account_id: str, after: int, limit: int, kinds: frozenset[EventKind] = frozenset()
    ) -> tuple[int, Sequence[bytes]]:
        """The bodies of what `read` gives, and the last one's sequence; `after` where there is none."""

    @abstractmethod
    def sequence_at(self, account_id: str, time_ns: int) -> int:
        """The sequence of the last event before `time_ns`; 0 if there is none."""

    @abstractmethod
    def find_order(self, account_id: str, client_order_id: str) -> StoredOrder | None:
        """The order with this client id, ended or not."""

    @abstractmethod
    def find_orders(self, account_id: str, client_order_ids: Sequence[str]) -> dict[str, StoredOrder]:
        """The same for many, in one query; those not known are left out."""

    @abstractmethod
    def get_order(self, account_id: str, order_id: str) -> StoredOrder | None:
        """The order with the gateway's id."""

    @abstractmethod
    def find_broker_order(self, account_id: str, broker_order_id: str) -> StoredOrder | None:
        """The order whose latest generation has the broker's id."""

    @abstractmethod
    def is_tombstoned(self, account_id: str, client_order_id: str) -> bool:
        """Whether a cancel came before the order."""

    @abstractmethod
    def find_routed(self, route_id: str, client_order_id: str) -> str | None:
        """The account that the route chose for the id; None where it has chosen none. It may be one that has left the
        configuration since."""

    @abstractmethod
    def open_orders(self, account_id: str) -> Sequence[StoredOrder]:
        """The orders that have not ended, oldest first."""

    @abstractmethod
    def list_orders(
        self, account_id: str, which: OrderFilter, before: int | None, limit: int
    ) -> Sequence[StoredOrder]:
        """Up to `limit` orders with a number below `before`, newest first."""

    @abstractmethod
    def has_fill(self, account_id: str, key: tuple[str, str, str]) -> bool:
        """Whether the execution was booked (law 7); `key` is `Fill.key`."""

    @abstractmethod
    def find_fill(self, account_id: str, key: tuple[str, str, str]) -> Fill | None:
        """The execution as it was booked, with the fees that were told of it later."""

    @abstractmethod
    def list_fills(
        self, account_id: str, which: FillFilter, before: int | None, limit: int
    ) -> Sequence[tuple[int, bytes]]:
        """Up to `limit` fills below the sequence `before`, newest first, as (sequence, serialised `Fill`)."""

    @abstractmethod
    def list_ledger_entries(
        self, account_id: str, kinds: frozenset[int], before: int | None, limit: int
    ) -> Sequence[tuple[int, bytes]]:
        """Up to `limit` ledger entries below the sequence `before`, newest first; bodies are `LedgerEntry`."""

    @abstractmethod
    def positions(self, account_id: str) -> Sequence[BrokerPosition]:
        """The latest of each symbol, flat ones too, by symbol."""

    @abstractmethod
    def balances(self, account_id: str) -> Sequence[BrokerBalance]:
        """The latest of each currency, by currency."""

    @abstractmethod
    def counts(self, account_id: str) -> tuple[int, int]:
        """How many orders and how many fills the account ever had."""

    @abstractmethod
    def find_answer(self, account_id: str, request_id: str) -> StoredAnswer | None:
        """The answer that a mutation with this request_id gave."""

    @abstractmethod
    def account_setting(self, account_id: str, key: str) -> str | None:
        """A `Setting` of the account, staged ones too."""

    @abstractmethod
    def venue_history(self, account_id: str) -> VenueHistory | None:
        """What the account's in-process venue had kept."""

    @abstractmethod
    def discrepancies(
        self, account_id: str, include_resolved: bool, before: int | None, limit: int
    ) -> Sequence[tuple[int, Discrepancy]]:
        """Up to `limit` disagreements as they now stand, each with its number, below the number `before`, newest
        first."""

    @abstractmethod
    def next_discrepancy_id(self, account_id: str) -> str:
        """A fresh id, unique for ever over all accounts: `paper-1-d3`."""

    @abstractmethod
    def audit(
        self, account_id: str, which: AuditFilter, before: int | None, limit: int
    ) -> Sequence[AuditRecord]:
        """Up to `limit` commands with a number below `before`, newest first."""

    @abstractmethod
    def put_setting(self, key: str, value: str) -> None:
        """Stages a named text, such as the definition of a paper account made at run time."""

    @abstractmethod
    def settings(self, prefix: str) -> dict[str, str]:
        """The named texts whose key begins with `prefix`."""

    @abstractmethod
    def close(self) -> None:
        """Commits what is staged, marks the tail clean and closes."""
