"""Makes requests from a seed: shot number n is always the same, whatever was sent before it."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tests.e2e.badinput.cases import SITUATIONS, SPEC_AT, contradiction_cases, situation_cases
from tests.e2e.badinput.contract import RPCS, Rpc, is_map, leaves
from tests.e2e.badinput.edits import put
from tests.e2e.badinput.house import ADMIN, EXPIRED, READER, REVOKED, STOPPER, STRANGER
from tests.e2e.badinput.rules import form_of
from tests.e2e.badinput.valid import SYMBOL, Scene, ground, makers


class Kind(StrEnum):
    """How a request was made."""

    VALID = "valid"
    FIELD_WRONG = "valid, one field wrong"
    FIELD_CHANGED = "valid, one field another right value"
    FIELD_RANDOM = "valid, one field random"
    COMBINATION = "fields that are wrong together or as things stand"
    RANDOM_MESSAGE = "random message"
    RANDOM_BYTES = "random bytes"
    TRUNCATED = "valid bytes, cut off"
    MUTATED = "valid bytes, mutated"
    CALLER = "valid, from a caller without the right"


REFUSED_ONLY: Mapping[Kind, int] = {
    Kind.FIELD_WRONG: 70,
    Kind.COMBINATION: 12,
    Kind.RANDOM_BYTES: 12,
    Kind.CALLER: 6,
}
"""Kinds that the gateway refuses if they ask for a change, with their weights."""

EVERYTHING: Mapping[Kind, int] = {
    Kind.VALID: 10,
    Kind.FIELD_WRONG: 22,
    Kind.FIELD_CHANGED: 14,
    Kind.FIELD_RANDOM: 22,
    Kind.COMBINATION: 6,
    Kind.RANDOM_MESSAGE: 8,
    Kind.RANDOM_BYTES: 4,
    Kind.TRUNCATED: 5,
    Kind.MUTATED: 7,
    Kind.CALLER: 2,
}

TEXTS: Sequence[str] = (
    *(
        "",
        " ",
        "0",
        "1",
        "-1",
        "1.5",
        "1e5",
        "NaN",
        "max",
        "paper",
        SYMBOL,
        "play",
        "resting",
        "used",
    ),
    *(
        "x" * 64,
        "x" * 65,
        "x" * 4000,
        "\0",
        "\n",
        "a\nb",
        "é",
        "🙂",
        "١",
        "Ａ",
        "../../etc/passwd",
        "' OR 1=1 --",
    ),
    *(
        "{}",
        "%s%n",
        "${HOME}",
        "\ud7ff",
        "\u202e",
        "\ufeff",
        "\U0010ffff",
        "9" * 20,
        "9" * 20 + "." + "9" * 18,
    ),
    "0." + "0" * 17 + "1",
)
INTEGERS: Sequence[int] = (
    0,
    1,
    2,
    -1,
    99,
    1000,
    1001,
    2**31 - 1,
    -(2**31),
    2**32 - 1,
    2**63 - 1,
    -(2**63),
    2**64 - 1,
)

STOPS = frozenset({"EmergencyStop", "ResumeTrading"})
"""RPCs that mean every account where none is named."""

_RANGES: Mapping[int, tuple[int, int]] = {
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_ENUM: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**64 - 1),
}


@dataclass(frozen=True, slots=True)
class Shot:
    """One request: whose token goes with it, and what it was made from."""

    number: int
    kind: Kind
    rpc: Rpc
    bodies: tuple[bytes, ...]
    token: str
    label: str

    def __str__(self) -> str:
        return f"shot {self.number} ({self.kind}) {self.rpc.name} {self.label}"


class Generator:
    """Shots of the kinds in `weights` about `account`. `orders` are client_order_ids that may exist there, `known` is
    what a client knows from answers, by the name of the field that takes it."""

    def __init__(
        self,
        seed: int,
        weights: Mapping[Kind, int],
        account: str,
        orders: Sequence[str],
        known: Mapping[str, Sequence[Any]],
    ) -> None:
        self._seed = seed
        self._weights = weights
        self._account = account
        self._orders = orders
        self._known = known
        self._rpcs = list(RPCS.values())

    def shot(self, number: int) -> Shot:
        """Shot `number`."""
        rng = random.Random(f"{self._seed}/{self._account}/{number}")
        scene = Scene(account=self._account, prefix=f"g{number}", resting=rng.choice(self._orders))
        (kind,) = rng.choices(list(self._weights), list(self._weights.values()))
        rpc = rng.choice(self._rpcs)
        token, label, body = ADMIN, "", b""
        match kind:
            case Kind.VALID:
                body = makers(scene)[rpc.name]().SerializeToString()
            case Kind.COMBINATION:
                rpc, label, body = self._combination(rng, scene)
            case Kind.FIELD_WRONG | Kind.FIELD_CHANGED | Kind.FIELD_RANDOM:
                rpc, label, body = self._field(rng, scene, kind)
            case Kind.RANDOM_MESSAGE:
                message = rpc.request()
                _scramble(rng, message, depth=0)
                body, label = message.SerializeToString(), _short(message)
            case Kind.RANDOM_BYTES:
                body = rng.randbytes(rng.choice((0, 1, 2, 7, 40, 300, 5000)))
            case Kind.TRUNCATED:
                whole = makers(scene)[rpc.name]().SerializeToString()
                body = whole[: rng.randrange(len(whole) or 1)]
            case Kind.MUTATED:
                body = _mutated(rng, makers(scene)[rpc.name]().SerializeToString())
            case Kind.CALLER:
                body = makers(scene)[rpc.name]().SerializeToString()
                token = label = rng.choice((EXPIRED, REVOKED, STRANGER, READER, ""))
        if token == ADMIN and rpc.name in STOPS:
            token = STOPPER
        return Shot(number, kind, rpc, (body,), token, label)

    def _field(self, rng: random.Random, scene: Scene, kind: Kind) -> tuple[Rpc, str, bytes]:
        """A valid request, one of its fields changed: one that there are values of this kind for."""
        while True:
            rpc = rng.choice(self._rpcs)
            fields = list(leaves(rpc.fields))
            if not fields:
                continue
            leaf = rng.choice(fields)
            form = form_of(rpc.name, leaf)
            request = ground(scene, rpc.name, leaf.path, leaf.key)
            if kind is Kind.FIELD_WRONG:
                if not form.wrong:
                    continue
                # By reason first: what is malformed in thirty ways shall not drown what is off the tick.
                reason = rng.choice(sorted({wrong.reason for wrong in form.wrong}))
                wrong = rng.choice([wrong for wrong in form.wrong if wrong.reason == reason])
                put(request, leaf.path, wrong.value)
                return rpc, f"{leaf.path}: {wrong.label}", request.SerializeToString()
            if kind is Kind.FIELD_CHANGED:
                right = (*form.right, *self._known.get(leaf.field.name, ()))
                if not right:
                    continue
                value = rng.choice(right)
            else:
                value = _random_value(rng, leaf.field, depth=1)
            put(request, leaf.path, value)
            return rpc, f"{leaf.path} = {str(value)[:80]!r}", request.SerializeToString()

    def _combination(self, rng: random.Random, scene: Scene) -> tuple[Rpc, str, bytes]:
        # The situations name the orders of the scene as it was furnished.
        scene.resting = "resting"
        if rng.random() < len(SITUATIONS) / 100:
            cases = list(situation_cases(scene))
        else:
            cases = list(contradiction_cases(scene, rng.choice(list(SPEC_AT))))
        case = rng.choice(cases)
        return RPCS[case.rpc], case.label, case.request.SerializeToString()


def _short(message: Message) -> str:
    return " ".join(str(message).split())[:200]


def _scramble(rng: random.Random, message: Message, depth: int) -> None:
    for field in message.DESCRIPTOR.fields:
        if rng.random() < 0.6:
            put(message, field.name, _random_value(rng, field, depth))


def _random_value(rng: random.Random, field: Any, depth: int) -> Any:
    if is_map(field):
        return {_text(rng): _text(rng) for _ in range(rng.choice((0, 1, 3, 17)))}
    if field.is_repeated:
        return [_random_item(rng, field, depth) for _ in range(rng.choice((0, 1, 2, 5)))]
    return _random_item(rng, field, depth)


def _random_item(rng: random.Random, field: Any, depth: int) -> Any:
    if field.message_type is not None:
        message: Message = field.message_type._concrete_class()
        if depth < 4:
            _scramble(rng, message, depth + 1)
        return message
    if field.type == FieldDescriptor.TYPE_STRING:
        return _text(rng)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return rng.random() < 0.5
    low, high = _RANGES[field.type]
    if field.enum_type is not None and rng.random() < 0.6:
        return rng.choice(list(field.enum_type.values_by_number))
    if rng.random() < 0.2:
        return rng.randint(low, high)
    return rng.choice([number for number in INTEGERS if low <= number <= high])


def _text(rng: random.Random) -> str:
    if rng.random() < 0.7:
        return rng.choice(TEXTS)
    return "".join(
        chr(rng.choice((rng.randrange(32, 127), rng.randrange(0x20, 0xD7FF))))
        for _ in range(rng.randrange(70))
    )


_MUTATIONS: Sequence[Callable[[random.Random, bytearray, int], None]] = (
    lambda rng, body, at: body.__setitem__(at, rng.randrange(256)),
    lambda rng, body, at: body.__setitem__(at, body[at] ^ 1 << rng.randrange(8)),
    lambda rng, body, at: body.insert(at, rng.randrange(256)),
    lambda rng, body, at: body.__delitem__(at),
    lambda rng, body, at: body.__setitem__(slice(at, at), body[at : at + rng.randrange(1, 20)]),
    lambda rng, body, at: body.__setitem__(slice(at, at), b"\xff" * rng.randrange(1, 12)),
)


def _mutated(rng: random.Random, body: bytes) -> bytes:
    changed = bytearray(body)
    for _ in itertools.repeat(None, rng.choice((1, 1, 1, 2, 3, 6))):
        if changed:
            rng.choice(_MUTATIONS)(rng, changed, rng.randrange(len(changed)))
    return bytes(changed)
