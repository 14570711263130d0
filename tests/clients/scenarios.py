"""Plays scenarios at a runner, and says what was not as expected."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from brokergate.domain.access import Scope
from brokergate.v1 import error_pb2
from tests.clients import wire
from tests.clients.house import House
from tests.clients.matching import comparable, problems
from tests.clients.runners import RunnerProcess
from tools.clients import CLIENTS

FILE = CLIENTS / "conformance" / "scenarios.json"

_VARIABLE = re.compile(r"\$\{?([a-z][a-z0-9_]*)\}?")
_REASONS = [name.removeprefix("ERROR_REASON_") for name in error_pb2.ErrorReason.DESCRIPTOR.values_by_name][
    1:
]
# What such an error says is asked again until the deadline.
_REASONS.remove("OUTCOME_UNKNOWN")
_IDS = ("client_order_id", "request_id")


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario of the file."""

    number: int
    name: str
    steps: Sequence[dict[str, Any]]
    fake: dict[str, Any]


def load(file: Path = FILE) -> list[Scenario]:
    """All scenarios. Raises `ValueError` where two have the same name."""
    found = json.loads(file.read_text("utf-8"))["scenarios"]
    names = [each["name"] for each in found]
    if len(set(names)) != len(names):
        raise ValueError("two scenarios have the same name")
    return [
        Scenario(number, each["name"], each["steps"], each.get("fake", {}))
        for number, each in enumerate(found, start=1)
    ]


@dataclass
class Outcome:
    """What a runner saw of a scenario: `seen` step by step, as far as all clients must see the same."""

    scenario: str
    seen: list[Any] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


class Player:
    """Plays scenarios at one runner and its house. `tell` hears every line that is exchanged."""

    def __init__(
        self, runner: RunnerProcess, house: House, tell: Callable[[str], None] = lambda line: None
    ) -> None:
        self._runner = runner
        self._house = house
        self._tell = tell

    def play(self, scenario: Scenario) -> Outcome:
        """Play one; a step that goes wrong ends it."""
        outcome = Outcome(scenario.name)
        if not self._house.server.running:
            self._house.server.start()
        if scenario.fake:
            self._house.fake.play(scenario.fake)
        scene = _Scene(scenario.number, self._house)
        for number, step in _unrolled(scenario.steps, scene):
            try:
                seen, wrong = self._step(dict(step), scene)
            except Exception as error:  # noqa: BLE001, one scenario fails and the others go on
                seen, wrong = None, [f"{type(error).__name__}: {error}"]
            if seen is not None and step.get("compare", True):
                outcome.seen.append(comparable(seen))
            if wrong:
                title = step.get("do") or step.get("harness")
                outcome.wrong += [f"step {number} ({title}): {problem}" for problem in wrong]
                break
        return outcome

    def _step(self, step: dict[str, Any], scene: _Scene) -> tuple[Any, list[str]]:
        expected, keep = step.pop("expect", {"ok": {}}), step.pop("keep", {})
        meanwhile = step.pop("meanwhile", [])
        step.pop("compare", None)
        if "harness" in step:
            seen = scene.act(scene.fill_in(step))
            wrong = list(problems(scene.fill_in(expected), seen)) if expected != {"ok": {}} else []
            scene.keep(keep, seen)
            return None, wrong
        filled = scene.fill_in(step)
        rpc = filled.get("rpc", "")
        told = self._told(filled)
        self._tell(f"> {json.dumps(told)}")
        self._runner.tell(told)
        for action in meanwhile:
            scene.act(scene.fill_in(action))
        seen = self._runner.answer()
        self._tell(f"< {json.dumps(seen)}")
        if "failed" in seen:
            return None, [seen["failed"]]
        said = seen.get("ok", {})
        if "response" in said:
            said["response"] = wire.response_content(rpc, said["response"])
        if "responses" in said:
            said["responses"] = [wire.response_content(rpc, text) for text in said["responses"]]
        wrong = list(problems(scene.fill_in(expected), seen))
        if "error" in seen and "error" not in expected:
            wrong = [f"an error was seen: {json.dumps(seen['error'])}"]
        scene.keep(keep, seen)
        return seen, wrong

    def _told(self, step: dict[str, Any]) -> dict[str, Any]:
        """The step as the runner gets it."""
        if step["do"] == "connect":
            to = step.pop("to", "gateway")
            step["address"] = self._house.address(to)
            if "token" not in step and to in ("gateway", "tls", "mtls"):
                step["token"] = self._house.tokens["admin"]
            elif step.get("token") is not None:
                step["token"] = self._house.tokens.get(step["token"], step["token"])
            for name in ("ca_file", "cert_file", "key_file"):
                if name in step:
                    step[name] = self._house.files[step[name]]
        if "requests" in step:
            step["requests"] = [wire.request_text(step["rpc"], request) for request in step["requests"]]
        elif "request" in step:
            if "id" not in step:
                ids = [step["request"][name] for name in _IDS if step["request"].get(name)]
                step["id"] = ids[0] if ids else ""
            step["request"] = wire.request_text(step["rpc"], step["request"])
        return step


def _unrolled(steps: Sequence[dict[str, Any]], scene: _Scene) -> Iterator[tuple[int, dict[str, Any]]]:
    """The steps with their numbers; one with `each` comes once for each of its items, which is `$item` then."""
    for number, step in enumerate(steps, start=1):
        if "each" not in step:
            yield number, step
            continue
        for item in scene.fill_in(step["each"]):
            scene.values["item"] = item
            yield number, {name: value for name, value in step.items() if name != "each"}


def _results(responses: list[dict[str, Any]]) -> list[list[str]]:
    """What became of the commands of an order entry stream, by their ids."""
    results = [result for response in responses for result in response["results"]]
    return sorted(
        [result["request_id"], result["order"]["state"] if "order" in result else result["error"]["reason"]]
        for result in results
    )


class _Scene:
    """What a scenario knows: its account, made when it is first named, its ids, and what it kept."""

    def __init__(self, number: int, house: House) -> None:
        self._number = number
        self._house = house
        self.values: dict[str, Any] = {"number": number, "reasons": _REASONS}

    def fill_in(self, given: Any) -> Any:
        """`given` with its `$variables` replaced."""
        if isinstance(given, dict):
            return {name: self.fill_in(value) for name, value in given.items()}
        if isinstance(given, list):
            return [self.fill_in(value) for value in given]
        if not isinstance(given, str):
            return given
        if (whole := _VARIABLE.fullmatch(given)) is not None:
            return self._value(whole[1])
        return _VARIABLE.sub(lambda found: str(self._value(found[1])), given)

    def _value(self, name: str) -> Any:
        if name not in self.values:
            if name == "account" or name.startswith("account_"):
                self.values[name] = f"{name.replace('_', '-')}-{self._number}"
                self._house.create_account(self.values[name])
            elif name.startswith("id_"):
                self.values[name] = f"{name}-{self._number}"
            else:
                raise KeyError(f"${name} was not kept")
        return self.values[name]

    def keep(self, wanted: dict[str, str], seen: Any) -> None:
        """Keep parts of what was seen, by their paths."""
        for name, path in wanted.items():
            value = seen
            for part in path.split("."):
                value = value[int(part)] if isinstance(value, list) else value[part]
            self.values[name] = value

    def act(self, action: dict[str, Any]) -> Any:
        """Do something at the gateways. Returns what came of it."""
        house, fake = self._house, self._house.fake
        match action["harness"]:
            case "kill":
                house.server.kill9()
            case "terminate":
                house.server.terminate()
            case "start":
                house.server.start()
            case "fill":
                house.fill(action["account_id"], action["count"], action["prefix"])
            case "rest":
                house.rest(action["account_id"], action["count"], action["prefix"])
            case "push":
                house.push(action["account_id"], action["bid"], action["ask"])
            case "call":
                return house.call(action["rpc"], action["request"])
            case "token":
                name = f"{action['name']}-{self._number}"
                scope = Scope[action["scope"]]
                self.values[action["name"]] = house.token(name, scope, action.get("accounts"))
            case "revoke":
                house.revoke(f"{action['name']}-{self._number}")
            case "foreign_cursor":
                self.values[action["name"]] = house.foreign_cursor(action["cursor"], action["of"])
            case "fake_stop":
                fake.stop()
            case "fake_start":
                fake.start()
            case "wait_asked":
                fake.wait(action["rpc"], "asked", action["count"])
            case "wait_ended":
                fake.wait(action["rpc"], "ended", action["count"])
            case "asked":
                return fake.asked(action["rpc"])
            case "equal":
                return {"equal": action["items"][0] == action["items"][1]}
            case "sorted":
                return {"sorted": action["items"] == sorted(action["items"])}
            case "next_millisecond":
                began = time.time_ns() // 1_000_000
                while time.time_ns() // 1_000_000 < began + 2:
                    pass
            case "batch":
                self.values[action["name"]] = self._batch(action["count"], action["wrong"])
            case "book":
                self.values[action["name"]] = house.book(action["bid"], action["ask"])
            case "results":
                return {"results": _results(action["responses"])}
            case "wait_for_room":
                house.wait_for_room()
            case other:
                raise ValueError(f"the harness cannot {other!r}")
        return {}

    def _batch(self, count: int, wrong: int) -> list[dict[str, Any]]:
        """Orders that rest, and one among them whose price is off the tick."""
        orders = []
        for number in range(count):
            spec = {"symbol": "BTC/USDT", "side": "SIDE_BUY", "type": "ORDER_TYPE_LIMIT", "quantity": "0.1"}
            spec["limit_price"] = "50.001" if number == wrong else f"{number % 90 + 1}.25"
            spec_id = f"{self.fill_in('$id_batch')}-{number}"
            orders.append({"client_order_id": spec_id, "order": spec})
        return orders
