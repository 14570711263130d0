"""Messages of an order entry stream: commands, each taken or refused by itself, and the lease."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from brokergate.codec.decode import order as orders
from brokergate.codec.decode.fields import NS_PER_S, Violations, count, duration_ns, identifier
from brokergate.codec.decode.order import MAX_BATCH, Mutation
from brokergate.domain.access import GATEWAY, Caller
from brokergate.domain.commands import CancelAllOrders, CancelOrder, OrderFailure, PlaceOrder, ReplaceOrder
from brokergate.domain.errors import GatewayError
from brokergate.domain.values import changed
from brokergate.v1 import order_pb2

MAX_GRACE_S = 60

EntryCommand = (
    PlaceOrder | Mutation[ReplaceOrder] | Mutation[CancelOrder] | Mutation[CancelAllOrders] | OrderFailure
)


_NAMES: Mapping[type, str] = {
    PlaceOrder: "place",
    ReplaceOrder: "replace",
    CancelOrder: "cancel",
    CancelAllOrders: "cancel_all",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One command under the name that its result will carry, or why there is none."""

    request_id: str
    index: int
    command: EntryCommand

    @property
    def path(self) -> str:
        """Where the fields of its command are in the message: `commands[3].place.`."""
        command = self.command.command if isinstance(self.command, Mutation) else self.command
        return f"commands[{self.index}].{_NAMES[type(command)]}."


@dataclass(frozen=True, slots=True)
class Lease:
    """Whether the stream's orders are cancelled when it breaks, and how long after."""

    enabled: bool
    grace_s: float


@dataclass(frozen=True, slots=True)
class EntryMessage:
    """What one message brings; `lease` None leaves it as it is."""

    entries: tuple[Entry, ...]
    lease: Lease | None


def decode_entry(request: order_pb2.StreamOrderEntryRequest, caller: Caller = GATEWAY) -> EntryMessage:
    """A StreamOrderEntryRequest that `caller` sent. A command that is wrong is a failure in its place; too many of
    them, or a lease that is wrong, make the whole message wrong."""
    out = Violations()
    count(out, "commands", request.commands, 0, MAX_BATCH)
    lease: Lease | None = None
    if request.HasField("cancel_on_disconnect"):
        wanted = request.cancel_on_disconnect
        grace_ns = duration_ns(out, "cancel_on_disconnect.grace", wanted.grace, 0, MAX_GRACE_S)
        lease = Lease(wanted.enabled, grace_ns / NS_PER_S)
    out.check()
    return EntryMessage(
        tuple(
            Entry(command.request_id, index, _command(f"commands[{index}].", command, caller))
            for index, command in enumerate(request.commands)
        ),
        lease,
    )


def _command(path: str, command: order_pb2.OrderCommand, caller: Caller) -> EntryCommand:
    out = Violations()
    name = identifier(out, f"{path}request_id", command.request_id)
    try:
        match command.WhichOneof("command"):
            case "place":
                place = orders.place_at(out, f"{path}place.", command.place, caller)
                return changed(place, method="StreamOrderEntry")
            case "replace":
                path += "replace."
                replace = orders.replace_at(out, path, command.replace)
                return orders.mutation_at(
                    out, path, command.replace.request_id or name, replace, command.replace.route_id
                )
            case "cancel":
                path += "cancel."
                cancel = orders.cancel_at(out, path, command.cancel)
                return orders.mutation_at(
                    out, path, command.cancel.request_id or name, cancel, command.cancel.route_id
                )
            case "cancel_all":
                path += "cancel_all."
                cancel_all = orders.cancel_all_at(out, path, command.cancel_all)
                return orders.mutation_at(out, path, command.cancel_all.request_id or name, cancel_all)
            case _:
                out.add(f"{path}command", "is required; give place, replace, cancel or cancel_all")
                return OrderFailure(out.error())
    except GatewayError as error:
        return OrderFailure(error)
