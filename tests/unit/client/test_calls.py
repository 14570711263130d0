"""One call and its repeats: what is asked again, how long, and what is said of the outcome."""

from __future__ import annotations

import asyncio
import random
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokergate.v1 import order_pb2
from brokergate_client import (
    AlreadyExistsError,
    AuthenticationError,
    ClosedError,
    DeadlineError,
    ErrorReason,
    Gateway,
    GatewayError,
    InvalidRequestError,
    ServingStatus,
    Side,
    UnavailableError,
    market_order,
)
from brokergate_client.calls import Backoff, Caller
from brokergate_client.connection import Token
from tests.unit.client.conftest import impatient
from tests.unit.client.fake import FakeGateway, refuse

UNAVAILABLE, DEADLINE = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED


@dataclass
class Script:
    """A method that answers what it is told to, on a clock that moves when somebody sleeps or waits for an answer."""

    answers: list[GatewayError | str]
    attempt_s: float = 0.0
    now_s: float = 1000.0
    requests: list[Any] = field(default_factory=list)
    timeouts: list[float] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    async def method(self, request: Any, *, metadata: Any, **options: float) -> str:
        """One attempt."""
        self.requests.append(request)
        self.timeouts.append(options["timeout"])
        answer = self.answers.pop(0) if self.answers else GatewayError(UNAVAILABLE, "still down")
        self.now_s += options["timeout"] if isinstance(answer, DeadlineError) else self.attempt_s
        if isinstance(answer, GatewayError):
            raise answer
        return answer

    async def sleep(self, pause_s: float) -> None:
        """Time passes."""
        self.pauses.append(pause_s)
        self.now_s += pause_s

    async def call(self, timeout_s: float = 30.0, request_id: str = "id") -> str:
        """Ask, with a client whose jitter is none."""
        caller = Caller(
            monotonic=lambda: self.now_s,
            sleep=self.sleep,
            new_backoff=lambda: Backoff(uniform=lambda _, longest: longest),
        )
        return await caller.call(self.method, "request", timeout_s=timeout_s, request_id=request_id)


def refused(code: grpc.StatusCode, reason: ErrorReason, retry_after_s: float | None = None) -> GatewayError:
    """An error in the gateway's own words."""
    kind = {grpc.StatusCode.UNAUTHENTICATED: AuthenticationError}.get(code, GatewayError)
    return kind(code, "no", reason=reason, retry_after_s=retry_after_s)


def lost(code: grpc.StatusCode = UNAVAILABLE) -> GatewayError:
    """An error of gRPC itself."""
    return DeadlineError(code, "late") if code == DEADLINE else UnavailableError(code, "lost")


@pytest.mark.parametrize(
    "code",
    [UNAVAILABLE, DEADLINE, grpc.StatusCode.CANCELLED, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN],
)
async def test_a_lost_answer_is_asked_for_again(code: grpc.StatusCode) -> None:
    """Whatever gRPC calls a broken connection, the same request goes out again and its answer is returned."""
    script = Script([lost(code), lost(code), "answer"])
    assert await script.call() == "answer"
    assert script.requests == ["request"] * 3


async def test_the_gateways_unavailable_invites_a_repeat_after_its_time() -> None:
    """RetryInfo is a floor under the pause."""
    script = Script([refused(UNAVAILABLE, ErrorReason.RECOVERING, retry_after_s=3.0), "answer"])
    assert await script.call() == "answer"
    assert script.pauses == [3.0]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, ErrorReason.INVALID_FIELD),
        (grpc.StatusCode.NOT_FOUND, ErrorReason.ACCOUNT_NOT_FOUND),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, ErrorReason.TOO_MANY_STREAMS),
        (grpc.StatusCode.INTERNAL, ErrorReason.INTERNAL),
        (grpc.StatusCode.UNIMPLEMENTED, ErrorReason.UNSPECIFIED),
    ],
)
async def test_a_final_word_is_not_asked_again(code: grpc.StatusCode, reason: ErrorReason) -> None:
    """The error is raised at once, and its outcome is known: nothing was done."""
    script = Script([refused(code, reason)])
    with pytest.raises(GatewayError) as caught:
        await script.call()
    assert len(script.requests) == 1
    assert not caught.value.outcome_unknown
    assert caught.value.request_id == "id"


async def test_repeats_end_with_the_callers_time() -> None:
    """Attempts and pauses together stay within it; the error says that the outcome is unknown, and under which id."""
    script = Script([], attempt_s=0.5)
    with pytest.raises(GatewayError) as caught:
        await script.call(timeout_s=30)
    assert script.now_s - 1000 <= 30
    assert len(script.requests) > 5
    assert caught.value.outcome_unknown
    assert "'id'" in str(caught.value)


async def test_a_mute_gateway_is_asked_several_times_within_the_deadline() -> None:
    """One attempt takes 10 s at most, and the last one only what is left."""
    script = Script([lost(DEADLINE) for _ in range(9)])
    with pytest.raises(DeadlineError):
        await script.call(timeout_s=25)
    assert script.timeouts[:2] == [10.0, 10.0]
    assert script.timeouts[2] < 5.0
    assert script.now_s - 1000 <= 25


async def test_a_deadline_that_passes_in_a_repeat_tells_what_went_wrong_before() -> None:
    """Not that time ran out, which says nothing; and what the late attempt did stays unknown."""
    script = Script([refused(UNAVAILABLE, ErrorReason.RECOVERING), *(lost(DEADLINE) for _ in range(9))])
    with pytest.raises(
        GatewayError, match=r"RECOVERING: .*; asked again, and no answer came before the deadline"
    ) as caught:
        await script.call(timeout_s=25)
    assert caught.value.outcome_unknown
    assert len(script.requests) > 2


async def test_a_read_has_no_unknown_outcome() -> None:
    """Nothing was to be done, so nothing can have been."""
    with pytest.raises(GatewayError) as caught:
        await Script([], attempt_s=1).call(timeout_s=5, request_id="")
    assert not caught.value.outcome_unknown


async def test_journalled_nothing_is_known_unless_an_earlier_answer_was_lost() -> None:
    """UNAVAILABLE in the gateway's own words says that this attempt did nothing; of one before it says nothing."""
    recovering = [refused(UNAVAILABLE, ErrorReason.RECOVERING) for _ in range(99)]
    with pytest.raises(GatewayError) as known:
        await Script([*recovering], attempt_s=1).call(timeout_s=5)
    with pytest.raises(GatewayError) as unknown:
        await Script([lost(), *recovering], attempt_s=1).call(timeout_s=5)
    assert (known.value.outcome_unknown, unknown.value.outcome_unknown) == (False, True)


async def test_a_refusal_before_the_lookup_leaves_a_lost_answer_open() -> None:
    """A token revoked between two attempts hides what the first one did; a reused id tells it."""
    with pytest.raises(AuthenticationError) as hidden:
        await Script([lost(), refused(grpc.StatusCode.UNAUTHENTICATED, ErrorReason.TOKEN_REVOKED)]).call()
    with pytest.raises(GatewayError) as told:
        await Script(
            [lost(), refused(grpc.StatusCode.ALREADY_EXISTS, ErrorReason.CLIENT_ORDER_ID_REUSED)]
        ).call()
    assert (hidden.value.outcome_unknown, told.value.outcome_unknown) == (True, False)


@given(st.randoms(use_true_random=False), st.integers(1, 40))
def test_pauses_double_up_to_their_bound_with_jitter(rng: random.Random, count: int) -> None:
    """Each lies between nothing and its span; after `reset` they begin anew."""
    backoff = Backoff(first_s=0.1, longest_s=2.0, uniform=rng.uniform)
    for number in range(count):
        span_s = min(2.0, 0.1 * 2**number)
        assert 0 <= backoff.next_s() <= span_s
    backoff.reset()
    assert backoff.next_s() <= 0.1


def answer(already_existed: bool) -> order_pb2.PlaceOrderResponse:
    """An order that was taken."""
    return order_pb2.PlaceOrderResponse(
        order=order_pb2.Order(order_id="o1", cum_notional="0"), already_existed=already_existed
    )


def then(*steps: Callable[[Any, Any], Awaitable[Any]]) -> Callable[[Any, Any], Awaitable[Any]]:
    """One step a call."""
    left = list(steps)

    async def place(request: Any, context: Any) -> Any:
        return await left.pop(0)(request, context)

    return place


async def test_an_order_that_was_taken_and_not_heard_of_is_placed_once(
    fake: FakeGateway, gateway: Gateway
) -> None:
    """The gateway dies after it took the order; the repeat carries the same id and body, whatever was made for it."""

    async def die_and_live_again() -> None:
        await fake.kill()
        await fake.start()

    async def taken_then_killed(_request: Any, _context: Any) -> Any:
        lives.append(asyncio.ensure_future(die_and_live_again()))
        await asyncio.Event().wait()

    async def known(_request: Any, _context: Any) -> Any:
        return answer(True)

    lives: list[asyncio.Future[None]] = []
    fake.place = then(taken_then_killed, known)
    placed = await gateway.place("paper", market_order("BTC/USDT", Side.BUY, "0.1"))
    await lives[0]
    assert placed.already_existed
    first, second = fake.placed
    assert first == second
    assert len(first.client_order_id) == 26


async def test_errors_arrive_as_the_gateway_meant_them(fake: FakeGateway, gateway: Gateway) -> None:
    """Class, code, reason and metadata of `grpc-status-details-bin`, over a real channel."""

    async def reused(_request: Any, context: Any) -> Any:
        await refuse(
            context, grpc.StatusCode.ALREADY_EXISTS, "CLIENT_ORDER_ID_REUSED", "used before", order_id="o7"
        )

    fake.place = reused
    with pytest.raises(AlreadyExistsError, match="CLIENT_ORDER_ID_REUSED: used before") as caught:
        await gateway.place("paper", market_order("BTC/USDT", Side.BUY, 1), client_order_id="mine")
    assert caught.value.metadata == {"order_id": "o7"}
    assert caught.value.request_id == "mine"


async def test_a_reason_of_a_newer_gateway_is_kept_by_name(fake: FakeGateway, gateway: Gateway) -> None:
    """It is final like any other INVALID_ARGUMENT, and its name is there to read."""

    async def newer(_request: Any, context: Any) -> Any:
        await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "MOON_PHASE")

    fake.place = newer
    with pytest.raises(InvalidRequestError, match="MOON_PHASE") as caught:
        await gateway.place("paper", market_order("BTC/USDT", Side.BUY, 1))
    assert (caught.value.reason, caught.value.reason_name) == (ErrorReason.UNSPECIFIED, "MOON_PHASE")


async def test_a_token_is_sent_and_never_shown(fake: FakeGateway) -> None:
    """It rides in the metadata of every call, and in no repr and no error."""
    secret = "bg_topsecret"

    async def denied(_request: Any, context: Any) -> Any:
        await refuse(context, grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID")

    fake.place = denied
    async with impatient(fake.address, token=secret) as gateway:
        with pytest.raises(AuthenticationError) as caught:
            await gateway.place("paper", market_order("BTC/USDT", Side.BUY, 1))
        assert fake.metadata[0]["authorization"] == f"Bearer {secret}"
        shown = [repr(gateway), str(caught.value), repr(caught.value), repr(caught.value.__cause__)]
        shown += [repr(Token(secret)), "".join(traceback.format_exception(caught.value))]
        assert not any(secret in text for text in shown)


async def test_a_closed_client_says_so(gateway: Gateway) -> None:
    """A call on it is an error of its own, not one of the gateway."""
    await gateway.close()
    with pytest.raises(ClosedError):
        await gateway.health()


async def test_within_changes_the_time_of_its_calls_alone(fake: FakeGateway, gateway: Gateway) -> None:
    """A shorter time ends a call that the gateway does not answer; the connection goes on."""

    async def slow(_request: Any, _context: Any) -> Any:
        await asyncio.Event().wait()

    fake.place = slow
    with pytest.raises(DeadlineError) as caught:
        await gateway.within(0.3).place(
            "paper", market_order("BTC/USDT", Side.BUY, 1), client_order_id="slow"
        )
    assert caught.value.outcome_unknown
    assert await gateway.health() == ServingStatus.SERVING
