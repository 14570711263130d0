"""Every reason of the contract: how the tests reach it, or why it cannot occur in this release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Generated:
    """The run of made-up requests goes on until it has met it."""


@dataclass(frozen=True, slots=True)
class ByTest:
    """A test of its own meets it: `file` under tests/, and the test's name."""

    file: str
    name: str


@dataclass(frozen=True, slots=True)
class Impossible:
    """Nothing in this release gives it, for the reason `why`."""

    why: str


GENERATED: Final = Generated()
_LIMITS: Final = "e2e/badinput/test_limits.py"
_GARBAGE: Final = "e2e/badinput/test_garbage.py"
_JOURNAL: Final = "e2e/badinput/test_journal.py"
_REPEATS: Final = "e2e/badinput/test_repeats.py"
_STOPS: Final = "e2e/badinput/test_stops.py"
_PAPER: Final = "unit/adapters/paper/test_live.py"
_GROUPS: Final = "unit/engine/groups/test_tracking.py"
_ORDERS: Final = "unit/sim/matching/test_special.py"
_SELF: Final = "unit/sim/matching/test_self_trade.py"
_SPECIAL: Final = "unit/sim/matching/test_reduce_only.py"
_HOURS: Final = "unit/sim/matching/test_hours.py"
_LINE: Final = "unit/adapters/paper/test_line.py"
_BAD_DAYS: Final = "unit/adapters/paper/test_bad_days.py"
_RECOVERY: Final = "unit/engine/test_recovery.py"

REACHED: Final[Mapping[str, Generated | ByTest | Impossible]] = {
    "UNSPECIFIED": Impossible("is no reason"),
    "MALFORMED_MESSAGE": GENERATED,
    "INVALID_FIELD": GENERATED,
    "PRICE_OFF_TICK": GENERATED,
    "QUANTITY_OFF_LOT": GENERATED,
    "QUANTITY_OUT_OF_RANGE": ByTest(
        _PAPER, "test_a_price_near_the_end_of_the_digits_makes_no_amount_beyond_them"
    ),
    "BELOW_MIN_NOTIONAL": Impossible("no instrument of a paper account declares a least notional"),
    "CURSOR_INVALID": GENERATED,
    "PAGE_TOKEN_INVALID": GENERATED,
    "TOKEN_INVALID": GENERATED,
    "TOKEN_EXPIRED": GENERATED,
    "TOKEN_REVOKED": GENERATED,
    "SCOPE_INSUFFICIENT": GENERATED,
    "ACCOUNT_NOT_ALLOWED": GENERATED,
    "TRADING_DISABLED": GENERATED,
    "ACCOUNT_NOT_FOUND": GENERATED,
    "ORDER_NOT_FOUND": GENERATED,
    "INSTRUMENT_NOT_FOUND": GENERATED,
    "POSITION_NOT_FOUND": GENERATED,
    "BROKER_NOT_FOUND": GENERATED,
    "ROUTE_NOT_FOUND": GENERATED,
    "CLIENT_ORDER_ID_REUSED": GENERATED,
    "REQUEST_ID_REUSED": GENERATED,
    "ACCOUNT_EXISTS": GENERATED,
    "GENERATION_MISMATCH": GENERATED,
    "ORDER_ENDED": GENERATED,
    "REPLACE_BELOW_FILLED": GENERATED,
    "REPLACE_PENDING": ByTest(_LINE, "test_a_second_replace_waits_for_the_first"),
    "TOMBSTONED": GENERATED,
    "ORDER_NOT_UNCERTAIN": GENERATED,
    "NOT_FROZEN": GENERATED,
    "UNSUPPORTED": GENERATED,
    "UNIMPLEMENTED": ByTest(_GARBAGE, "test_a_caller_of_unknown_methods_is_told_so"),
    "NOT_A_PAPER_ACCOUNT": Impossible("every account of this release is a paper account"),
    "WRONG_FEED": GENERATED,
    "MARKET_CLOSED": ByTest(_HOURS, "test_a_market_that_fell_silent_at_its_close_takes_no_orders"),
    "STALE_MARKET_DATA": GENERATED,
    "NO_REFERENCE_PRICE": GENERATED,
    "INSUFFICIENT_FUNDS": GENERATED,
    "RISK_LIMIT": ByTest(_REPEATS, "test_a_refusal_is_the_answer_to_its_id_for_ever"),
    "TRADING_STOPPED": ByTest(_STOPS, "test_a_second_stop_in_the_middle_of_a_stop_joins_it"),
    "INSTRUMENT_FROZEN": ByTest(_RECOVERY, "test_a_position_that_nothing_explains_freezes_its_instrument"),
    "NOT_FILLABLE": GENERATED,
    "NOT_SHORTABLE": Impossible(
        "the accounts of the tests sell short as much as they like; tests/unit/sim tries it"
    ),
    "WOULD_TAKE": ByTest(_ORDERS, "test_post_only_is_refused_where_it_would_take_and_then_only_gives"),
    "SELF_TRADE": ByTest(_SELF, "test_a_taker_that_meets_its_own_order_is_refused_where_it_asks_for_that"),
    "NOTHING_TO_REDUCE": ByTest(_SPECIAL, "test_what_only_reduces_is_refused_without_a_position"),
    "LINKED_ORDER": ByTest(_GROUPS, "test_an_order_that_the_other_one_took_the_place_of_says_so"),
    "CURSOR_EXPIRED": ByTest(_JOURNAL, "test_a_cursor_of_what_is_no_longer_kept_is_told_where_to_begin"),
    "CURSOR_EPOCH": GENERATED,
    "SLOW_CONSUMER": ByTest(_LIMITS, "test_a_subscriber_that_does_not_read_is_cut_off_and_resumes"),
    "TOO_MANY_STREAMS": ByTest(_LIMITS, "test_one_stream_too_many_is_refused_and_the_others_go_on"),
    "BROKER_REJECTED": ByTest(_BAD_DAYS, "test_faults_are_in_force_again_after_a_death"),
    "BROKER_UNAVAILABLE": GENERATED,
    "RATE_LIMITED": Impossible("the paper venue has no rate limit"),
    "NOT_SENT": ByTest(_RECOVERY, "test_absence_counts_only_after_the_brokers_time"),
    "BROKER_AUTHENTICATION": Impossible("a paper account has no credentials"),
    "ACCOUNT_SUSPENDED": Impossible("nobody suspends a paper account"),
    "BROKER_MAINTENANCE": ByTest(_BAD_DAYS, "test_maintenance_is_said_and_over_after_its_time"),
    "SHUTTING_DOWN": ByTest(_LIMITS, "test_a_gateway_that_drains_says_so"),
    "JOURNAL_UNAVAILABLE": ByTest(
        _JOURNAL, "test_a_journal_that_cannot_be_written_is_said_and_nothing_is_taken"
    ),
    "RECOVERING": ByTest(
        _RECOVERY, "test_a_crash_between_sending_and_answer_is_resolved_before_the_account_is_served"
    ),
    "INTERNAL": Impossible("is a fault of the gateway: none was found"),
    "OUTCOME_UNKNOWN": ByTest("unit/transport/test_health.py", "test_a_journal_that_failed_is_not_serving"),
    "DEADLINE_EXCEEDED": Impossible("gRPC itself ends a call whose deadline has passed, on both sides"),
}
