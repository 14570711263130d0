"""The faults of the matrix: what befalls which request or stream, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Arguments = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row. The kinds and their arguments are the emulators' (`tests/emulators/faults.py`)."""

    key: str
    title: str
    request: tuple[str, Arguments] | None = None
    """Befalls each order that is placed, a cancel, and queries."""
    stream: tuple[str, Arguments] | None = None
    """Befalls what the private stream tells, or stands."""
    at_once: tuple[str, Arguments] | None = None
    """Is done three times, with trading in between."""
    resolver: bool = False
    """The host's name is not found. Done here, and not at the emulator; the connections that stand are cut."""
    lasts_s: float = 0.0
    """How long it goes on after the last order."""
    unasked: bool = False
    """Whether the queries that would resolve a lost order fail as well while it goes on."""
    unknown: bool = False
    """Whether the outcome of orders cannot be known at first: then some must have been uncertain."""

    @property
    def counted(self) -> frozenset[str]:
        """The emulator's kinds that count as injected. Where answers are lost and the stream is kept back beside, that
        the lost order is not told all the same, the answers count."""
        first = self.request or self.stream or self.at_once
        return frozenset(() if first is None else (first[0],))


def _status(code: int, accept: bool, **more: Any) -> tuple[str, Arguments]:
    return "status", {"code": code, "accept": accept, **more}


UNTOLD = ("lose_frame", {"count": 6})
"""Beside lost answers: the stream does not tell what the answer would have told."""

LOST: dict[str, Any] = {"unknown": True, "unasked": True, "lasts_s": 2.0}
"""Of orders that the venue has and whose answers were lost."""

SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "lost-after",
        "answer lost after accept",
        request=("answer_lost_after_accept", {}),
        stream=UNTOLD,
        **LOST,
    ),
    Scenario(
        "lost-before", "answer lost before accept", request=("answer_lost_before_accept", {}), unknown=True
    ),
    Scenario("429", "429, too many requests", request=_status(429, False, retry_after=1)),
    Scenario("418", "418, banned", request=_status(418, False, retry_after=1)),
    Scenario("403", "403 of the web application firewall", request=_status(403, False)),
    Scenario(
        "5xx-accepted",
        "5xx, and the request was carried out",
        request=_status(503, True),
        stream=UNTOLD,
        **LOST,
    ),
    Scenario("5xx-not", "5xx, and it was not", request=_status(500, False), unknown=True),
    Scenario("html", "HTML in place of JSON", request=("html", {"accept": True}), stream=UNTOLD, **LOST),
    Scenario("mute", "stream mute", stream=("mute_stream", {"on": "orders"}), lasts_s=1.0),
    Scenario("cut", "stream cut", at_once=("cut_stream", {})),
    Scenario("lost-frame", "frames lost on a healthy socket", stream=("lose_frame", {"count": 4})),
    Scenario("duplicate", "frames twice", stream=("duplicate_frames", {"count": 1000})),
    Scenario("reorder", "frames in another order", stream=("reorder_frames", {"count": 3})),
    Scenario("clock", "clock off by 2 s", stream=("clock_off", {"ms": 2000})),
    Scenario("restart", "venue restarts", at_once=("restart", {"seconds": 0.3})),
    Scenario("maintenance", "maintenance", stream=("maintenance", {}), lasts_s=1.0),
    Scenario("revoked", "key revoked, and given back", stream=("key_revoked", {}), lasts_s=1.0),
    Scenario("dns", "DNS fails", resolver=True, lasts_s=0.5),
    Scenario("slow-loris", "slow loris", request=("slow_loris", {}), stream=UNTOLD, **LOST),
    Scenario("partial", "partial JSON", request=("partial_json", {}), stream=UNTOLD, **LOST),
)


_HANG: dict[str, Any] = {"how": "hang"}
"""The connection stays; by default it is cut with the answer."""


def _said(code: int) -> Scenario:
    """Messages with the ids of orders that live, and go on living."""
    storm = {"code": code, "orders": True, "times": 3}
    return Scenario(f"said-{code}", f"{code} said of orders that live", at_once=("error_storm", storm))


def _kept_out(kind: str, title: str) -> Scenario:
    return Scenario(
        kind.replace("_", "-"), title, stream=(kind, {"count": 4}), at_once=("cut_stream", {}), lasts_s=1.0
    )


OF_TWS: tuple[Scenario, ...] = (
    Scenario(
        "lost-after",
        "answer lost after accept",
        request=("answer_lost_after_accept", _HANG),
        stream=UNTOLD,
        # A poll may find the order before its answer is given up.
        unasked=True,
        lasts_s=2.0,
    ),
    Scenario(
        "cut-after",
        "connection lost after accept",
        request=("answer_lost_after_accept", {}),
        stream=UNTOLD,
        **LOST,
    ),
    Scenario(
        "lost-before",
        "answer lost before accept",
        request=("answer_lost_before_accept", _HANG),
        unknown=True,
    ),
    Scenario(
        "cut-before", "connection lost before accept", request=("answer_lost_before_accept", {}), unknown=True
    ),
    Scenario(
        "late",
        "orders arrive after they were given up",
        request=("arrives_late", {"seconds": 1.0, **_HANG}),
        unknown=True,
        lasts_s=1.0,
    ),
    Scenario("mute", "stream mute", stream=("mute_stream", {"on": "orders"}), lasts_s=1.0),
    Scenario("silent", "TWS connected and silent", stream=("mute", {}), lasts_s=2.0),
    Scenario("half-open", "connection half open", at_once=("half_open", {}), lasts_s=2.0),
    Scenario("cut", "connection cut", at_once=("cut_stream", {})),
    Scenario("lost-frame", "frames lost on a healthy socket", stream=("lose_frame", {"count": 4})),
    Scenario("duplicate", "frames twice", stream=("duplicate_frames", {"count": 1000})),
    Scenario("reorder", "frames in another order", stream=("reorder_frames", {"count": 3})),
    Scenario("replay", "executions told again", at_once=("replay_executions", {})),
    Scenario(
        "late-costs",
        "commissions half a second late",
        stream=("late_commission", {"seconds": 0.5}),
        lasts_s=1.0,
    ),
    Scenario("lag", "questions find what is older", stream=("query_lag", {"seconds": 0.5}), lasts_s=1.0),
    Scenario("clock", "clock off by 2 s", stream=("clock_off", {"ms": 2000})),
    Scenario("restart", "TWS restarts", at_once=("restart", {"seconds": 0.3})),
    Scenario(
        "rolled-back",
        "TWS restarts, its order ids begin anew",
        at_once=("restart", {"seconds": 0.3, "roll_back": True}),
    ),
    Scenario(
        "stuck", "TWS restarts, the client id stuck (326)", at_once=("restart", {"seconds": 0.2, "stuck": 2})
    ),
    _kept_out("client_id_taken", "client id in use (326)"),
    _kept_out("silent_accept", "connections taken in silence"),
    _kept_out("accept_then_close", "connections taken and closed"),
    Scenario("maintenance", "TWS is away", stream=("maintenance", {}), lasts_s=1.0),
    Scenario("nightly", "line to IB lost and back (1100, 1102)", at_once=("nightly_reset", {"seconds": 0.2})),
    Scenario(
        "data-lost",
        "line to IB lost and back, data lost (1100, 1101)",
        at_once=("nightly_reset", {"seconds": 0.2, "data_lost": True}),
    ),
    Scenario("farms", "data farms flap (2103, 2105)", at_once=("farm_flap", {"times": 5})),
    Scenario("pacing", "too many messages (100)", at_once=("error_storm", {"code": 100, "times": 1})),
    Scenario("read-only", "API read-only for a while (321)", stream=("read_only", {}), lasts_s=1.0),
    Scenario("localised", "messages in another language", stream=("localised", {}), lasts_s=0.5),
    *(_said(code) for code in (10349, 161, 10148, 105, 201, 99_999)),
    Scenario("dns", "DNS fails", resolver=True, lasts_s=0.5),
)
"""What befalls a TWS: its wire has no HTTP, and troubles of its own."""
