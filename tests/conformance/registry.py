"""The cases: numbered, named, and with what a broker must be able to do for them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from brokergate.domain.capabilities import Capabilities, ReplaceSupport
from brokergate.domain.orders import OrderType, SelfTradePrevention, TimeInForce, TriggerSource
from tests.conformance.bench import Bench

Body = Callable[[Bench], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Need:
    """Something that a case needs, by the words of the table, and how capabilities say that it is there."""

    words: str
    met: Callable[[Capabilities], bool]


@dataclass(frozen=True, slots=True)
class Case:
    """One case. `title` is what holds when it passes."""

    number: int
    title: str
    needs: tuple[Need, ...]
    body: Body

    def lacking(self, capabilities: Capabilities) -> str:
        """What a broker lacks for it; empty where it must pass."""
        return ", ".join(need.words for need in self.needs if not need.met(capabilities))


CASES: dict[int, Case] = {}


def case(number: int, title: str, *needs: Need) -> Callable[[Body], Body]:
    """Makes a function a case."""

    def keep(body: Body) -> Body:
        if number in CASES:
            raise ValueError(f"there are two cases {number}")
        CASES[number] = Case(number, title, needs, body)
        return body

    return keep


def order(kind: OrderType, time_in_force: TimeInForce) -> Need:
    """Orders of that type and time in force."""
    return Need(
        f"{kind.name} with {time_in_force.name}",
        lambda capabilities: time_in_force in capabilities.order_types.get(kind, frozenset()),
    )


def flag(name: str) -> Need:
    """A capability that is there or not."""
    return Need(name, lambda capabilities: bool(getattr(capabilities, name)))


def triggered_by(source: TriggerSource) -> Need:
    """Stops that go by that price."""
    return Need(f"trigger source {source.name}", lambda capabilities: source in capabilities.trigger_sources)


def prevents(policy: SelfTradePrevention) -> Need:
    """That self-trade prevention."""
    return Need(policy.name, lambda capabilities: policy in capabilities.self_trade_prevention)


REPLACES = Need("replace", lambda capabilities: capabilities.replace is not ReplaceSupport.NONE)
"""Orders can be changed."""
