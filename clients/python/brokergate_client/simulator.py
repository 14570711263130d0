"""Paper accounts beside trading, for somebody whose token has the scope admin."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from google.protobuf.duration_pb2 import Duration

from brokergate.v1 import simulator_pb2
from brokergate_client.enums import FaultKind, known
from brokergate_client.exact import decimal_text
from brokergate_client.ids import new_id

ALWAYS = Decimal(100)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong on purpose. `rate_percent` is how often, of the occasions; `delay` how late an event
    comes or how long it lasts, in whole microseconds."""

    kind: FaultKind | int
    rate_percent: Decimal = ALWAYS
    delay: timedelta = timedelta(0)


class Simulator:
    """`Gateway.simulator`: what can be done to a paper account."""

    def __init__(self, call: Callable[..., Awaitable[Any]], stub: Any) -> None:
        self._call = call
        self._stub = stub

    async def set_faults(
        self, account_id: str, faults: Sequence[Fault] = (), *, request_id: str | None = None
    ) -> tuple[Fault, ...]:
        """Have these things go wrong on the account, in place of those before and after a restart too; none ends all.
        Gives what is in force. The same `request_id` is done once, and the answer is the same; one is made where none
        is given."""
        request_id = request_id or new_id()
        answer: simulator_pb2.SetFaultsResponse = await self._call(
            self._stub.SetFaults,
            simulator_pb2.SetFaultsRequest(
                request_id=request_id, account_id=account_id, faults=[_encode(fault) for fault in faults]
            ),
            request_id,
        )
        return tuple(_decode(fault) for fault in answer.faults)


def _encode(fault: Fault) -> simulator_pb2.Fault:
    delay = Duration()
    delay.FromTimedelta(fault.delay)
    return simulator_pb2.Fault(
        kind=simulator_pb2.FaultKind.ValueType(fault.kind),
        rate_percent=decimal_text(fault.rate_percent),
        delay=delay if fault.delay else None,
    )


def _decode(fault: simulator_pb2.Fault) -> Fault:
    return Fault(known(FaultKind, fault.kind), Decimal(fault.rate_percent), fault.delay.ToTimedelta())
