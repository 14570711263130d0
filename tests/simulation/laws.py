"""The judge: what is known of a run from outside the gateway, and the first law that was seen to be broken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from tests.simulation.disk import Disk
from tests.simulation.truth import Truth
from tests.venue.core import Held, JudgedVenue

DURABLE_BEFORE_SENT = "1 durable before sent"
ONE_ORDER = "2 at most one broker order"
UNKNOWN_IS_A_STATE = "3 unknown is a state"
NOT_EMPTY = "4 a failed query is not an empty answer"
ORDERED = "5 one ordered journal"
RESUMES = "6 a stream resumes"
BOOKED_ONCE = "7 fills are booked once"
NOTHING_DROPPED = "8 nothing is dropped silently"
EXACT = "9 money is exact"
STOPPED = "11 emergency stop"
RISK = "risk limits"
ALIVE = "liveness"


class LawBroken(BaseException):
    """A law does not hold. No `Exception`: code under test must not be able to swallow it."""

    def __init__(self, law: str, message: str) -> None:
        super().__init__(f"law {law}: {message}")
        self.law = law
        self.message = message


@dataclass(frozen=True, slots=True)
class AccountTerms:
    """What the judge must know of an account's configuration."""

    account_id: str
    durable: bool
    venue: JudgedVenue | None
    """None for the account in process."""
    absence_provable: bool = True
    most_held: Mapping[str, Decimal] = field(default_factory=dict)
    """The largest position of either side, by symbol."""


@dataclass(slots=True)
class Judge:
    """See the module. `broke` is called when a law is seen broken."""

    truth: Truth
    disk: Disk
    accounts: dict[str, AccountTerms]
    now_ns: Callable[[], int]
    broke: Callable[[LawBroken], None]
    acknowledged: dict[tuple[str, str], str] = field(default_factory=dict)
    """The order id that was answered for (account, client_order_id)."""
    answers: dict[tuple[str, str], bytes] = field(default_factory=dict)
    """What was answered for (account, request_id)."""
    latched: dict[str, str] = field(default_factory=dict)
    """The stop that was acknowledged and not resumed, by account."""
    never_there: dict[tuple[str, str], str] = field(default_factory=dict)
    """Why the journal says that the venue never has the order (account, client_order_id)."""
    last: LawBroken | None = None

    def fail(self, law: str, message: str) -> None:
        """Raises `LawBroken`, and remembers it, whatever becomes of the exception."""
        error = LawBroken(law, message)
        if self.last is None:
            self.last = error
            self.broke(error)
        raise error

    def require(self, law: str, holds: object, message: str) -> None:
        """`fail` unless it holds. For messages that cost nothing."""
        if not holds:
            self.fail(law, message)

    def durable(self, account_id: str, commit: int) -> bool:
        """Whether what that commit brought is as durable as the account promises."""
        return commit <= (self.disk.synced if self.accounts[account_id].durable else self.disk.commits)

    def held(self, account_id: str, client_order_id: str) -> Held | None:
        """The venue's own record of an order; the latest where it was asked more than once."""
        venue = self.accounts[account_id].venue
        if venue is None or not client_order_id:
            return None
        return next(reversed(venue._by_client.get(client_order_id, [])), None)
