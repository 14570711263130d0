"""How far a paper account is from its venue, and what goes wrong on the way: the settings of the line between them."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from brokergate.config.section import Amount, Count, Section, Text, within
from brokergate.domain.faults import Fault, FaultKind
from brokergate.domain.money import parse_decimal
from brokergate.sim.dice import Dice
from brokergate.sim.latency import ConstantLatency, Latency, NormalLatency, RecordedLatency
from brokergate.sim.mishaps import LASTING

MAX_LATENCY_MS = Decimal(60_000)
MAX_DELAY_MS = 3_600_000
MAX_FAULTS = 16
MAX_RECORDED = 10_000_000
NS_PER_MS = 1_000_000
DEFAULT_SEED = 0

_KINDS = {kind.name.lower(): kind for kind in FaultKind if kind is not FaultKind.UNSPECIFIED}
_DELAYED = LASTING | {FaultKind.DELAYED_EVENTS, FaultKind.REORDERED_EVENTS}
_UNITS = {"ns": Decimal(1), "us": Decimal(1_000), "ms": Decimal(NS_PER_MS), "s": Decimal(1_000_000_000)}


def _kind(value: object) -> object:
    if isinstance(value, FaultKind):
        return value
    if isinstance(value, str) and value in _KINDS:
        return _KINDS[value]
    raise ValueError(f"is no fault; write one of {', '.join(_KINDS)}")


def _order(value: object) -> object:
    if value in ("recorded", "random"):
        return value
    raise ValueError("is no order; write recorded or random")


def _unit(value: object) -> object:
    if isinstance(value, str) and value in _UNITS:
        return value
    raise ValueError(f"is no unit; write one of {', '.join(_UNITS)}")


Milliseconds = Annotated[
    Amount, within(0, MAX_LATENCY_MS, f"milliseconds, at least 0 and at most {MAX_LATENCY_MS}")
]


class RecordedLatencyConfig(Section):
    """Latencies as somebody measured them."""

    file: Text
    """The file: a latency a line, or CSV with a header and `column`. None may be below 0."""
    column: Text | None = None
    """The header of the column to read. Default: the file has one number a line and no header."""
    unit: Annotated[str, BeforeValidator(_unit)] = "ms"
    """What the numbers count: `ns`, `us`, `ms` or `s`; at most a minute each. Default `ms`."""
    order: Annotated[str, BeforeValidator(_order)] = "recorded"
    """`recorded`: one after another, from the beginning again after the last. `random`: any of them, by the seed.
    Default `recorded`."""

    def read(self) -> list[int]:
        """The latencies in nanoseconds. `ValueError` naming file and line, `OSError`."""
        path = Path(self.file)
        try:
            latencies = self._read(path)
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not UTF-8 text ({error.reason})") from None
        if not latencies:
            raise ValueError(f"{path} has no latency in it")
        return latencies

    def _read(self, path: Path) -> list[int]:
        with path.open(newline="", encoding="utf-8") as lines:
            if self.column is None:
                rows = ((number, line.strip()) for number, line in enumerate(lines, 1))
            else:
                table = csv.DictReader(lines)
                if self.column not in (table.fieldnames or ()):
                    raise ValueError(f"{path}: line 1 has no column {self.column!r}")
                rows = ((table.line_num, (row[self.column] or "").strip()) for row in table)
            latencies: list[int] = []
            for number, text in rows:
                if text:
                    latencies.append(self._nanoseconds(f"{path}: line {number}", text))
                if len(latencies) > MAX_RECORDED:
                    raise ValueError(f"{path} has more than {MAX_RECORDED} latencies")
        return latencies

    def _nanoseconds(self, where: str, text: str) -> int:
        try:
            latency = parse_decimal(text)
        except ValueError:
            raise ValueError(f"{where}: {text[:40]!r} is not a number") from None
        if latency < 0:
            raise ValueError(
                f"{where}: the latency {text[:40]} is below 0; a rejected order, as which hftbacktest reads it, is the "
                "fault rejection here"
            )
        if latency * _UNITS[self.unit] > MAX_LATENCY_MS * NS_PER_MS:
            raise ValueError(f"{where}: the latency {text[:40]} {self.unit} is above {MAX_LATENCY_MS} ms")
        return int(latency * _UNITS[self.unit])


class OneWayConfig(Section):
    """How long a message takes one way: one of `constant_ms`, `mean_ms`, `recorded`."""

    constant_ms: Milliseconds | None = None
    """Always so many milliseconds. Default 0."""
    mean_ms: Milliseconds | None = None
    """Normally distributed milliseconds, of this mean; what would be below 0 is 0. Default none."""
    deviation_ms: Milliseconds | None = None
    """The standard deviation that belongs to `mean_ms`, in milliseconds. Default 0."""
    recorded: RecordedLatencyConfig | None = None
    """As measured. Default none."""

    @model_validator(mode="after")
    def _one(self) -> OneWayConfig:
        named = [name for name in ("constant_ms", "mean_ms", "recorded") if getattr(self, name) is not None]
        if len(named) > 1:
            raise ValueError(f"names {' and '.join(named)}; keep one")
        if self.deviation_ms is not None and self.mean_ms is None:
            raise ValueError("sets deviation_ms without mean_ms; add mean_ms, or remove it")
        return self

    @property
    def none(self) -> bool:
        """Whether a message takes no time."""
        return not (self.constant_ms or self.mean_ms or self.deviation_ms or self.recorded)

    def model(self, seed: int, name: str) -> Latency:
        """The model, with dice of its own. `ValueError` and `OSError` for a recording that cannot be read."""
        if self.mean_ms is not None:
            return NormalLatency(_ns(self.mean_ms), _ns(self.deviation_ms or Decimal(0)), Dice(seed, name))
        if self.recorded is not None:
            dice = Dice(seed, name) if self.recorded.order == "random" else None
            return RecordedLatency(self.recorded.read(), dice)
        return ConstantLatency(_ns(self.constant_ms or Decimal(0)))


class LatencyConfig(Section):
    """How long messages between the gateway and the venue take, in the venue's time."""

    request: OneWayConfig = OneWayConfig()
    """From the gateway to the venue: an order matches against the book as it is when it arrives. Default: no time."""
    response: OneWayConfig = OneWayConfig()
    """From the venue to the gateway: answers and events come so late. Default: no time."""
    seed: Annotated[Count, Field(ge=0, le=2**64 - 1)] = DEFAULT_SEED
    """The same seed gives the same latencies. Default 0."""


class FaultConfig(Section):
    """Something that goes wrong on purpose."""

    kind: Annotated[FaultKind, BeforeValidator(_kind)]
    """`lost_acknowledgement`, `delayed_events`, `duplicated_events`, `reordered_events`, `mute_stream`, `disconnect`,
    `rejection` or `maintenance`."""
    rate_percent: Annotated[Amount, within(0, 100, "per cent, above 0 and at most 100", above=True)] = (
        Decimal(100)
    )
    """How often, in per cent of the occasions. Default 100."""
    delay_ms: Annotated[Count, Field(ge=0, le=MAX_DELAY_MS)] | None = None
    """How late an event comes (delayed_events, reordered_events), or how long it lasts (disconnect, maintenance; 0
    until the faults are set anew), in milliseconds. Default 0; 100 for reordered_events."""

    @model_validator(mode="after")
    def _fits(self) -> FaultConfig:
        if self.delay_ms is not None and self.kind not in _DELAYED:
            raise ValueError(f"sets delay_ms, which {self.kind.name.lower()} has no use for; remove it")
        if self.kind is FaultKind.DELAYED_EVENTS and not self.delay_ms:
            raise ValueError("delays events by nothing; add delay_ms, above 0")
        return self

    def fault(self) -> Fault:
        """As it is put in force."""
        return Fault(self.kind, self.rate_percent, (self.delay_ms or 0) * NS_PER_MS)


Faults = Annotated[tuple[FaultConfig, ...], Field(max_length=MAX_FAULTS)]


def both_ways(latency_ms: Decimal) -> LatencyConfig:
    """The same constant latency each way."""
    way = OneWayConfig(constant_ms=latency_ms)
    return LatencyConfig(request=way, response=way)


def _ns(milliseconds: Decimal) -> int:
    return int(milliseconds * NS_PER_MS)
