"""Control of trading from a terminal: stop, resume, state, audit, discrepancies, clear-freeze and resolve, as processes
against a real server."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import StartServer
from tests.e2e.process import ServerProcess, run_brokergate

Run = Callable[..., subprocess.CompletedProcess[str]]
PLACE = ("order", "place", "--symbol", "BTC/USDT", "--side", "buy")
RESTING = (*PLACE, "--quantity", "0.1", "--type", "limit", "--price", "1000", "--tif", "gtc")


@pytest.fixture
def run(shared_server: ServerProcess) -> Iterator[Run]:
    """`brokergate …` at this module's server, which trades again when the test is over."""

    def run(*arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
        return run_brokergate(*arguments, env={"BROKERGATE_ADDRESS": shared_server.address} | env)

    yield run
    assert run("resume", "--reason", "the test is over").returncode == 0


def rows(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """The JSON lines of a command that did what it was asked."""
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_stop_is_proven_outlives_the_gateway_and_ends_by_a_resume(start_server: StartServer) -> None:
    """What is open is cancelled, the output says how far it came, and the exit status that all is proven. No order
    goes out, not after `kill -9` either, until somebody resumes."""
    server = start_server()
    env = {"BROKERGATE_ADDRESS": server.address}
    assert run_brokergate(*RESTING, "--id", "open", env=env).returncode == 0
    stop = run_brokergate("stop", "--reason", "a rogue strategy", "--wait", env=env, timeout_s=30)
    assert stop.returncode == 0, stop.stderr
    lines = stop.stdout.splitlines()
    assert lines[0].split() == ["ACCOUNT", "STATE", "SINCE", "STOP", "FROZEN", "REASON"]
    assert lines[1].split()[:2] == ["paper", "STOPPED"]
    assert lines[1].endswith("a rogue strategy")
    assert "PHASE" in lines[2]
    assert lines[-1].split()[1:6] == ["paper", "DONE", "1", "1", "0"]
    (order,) = rows(run_brokergate("order", "list", "--json", env=env))
    assert order["state"] == "CANCELED"
    for _ in range(2):
        refused = run_brokergate(*RESTING, env=env)
        assert refused.returncode == 1
        assert "TRADING_STOPPED" in refused.stderr
        server.kill9()
        server.start()
    (state,) = rows(run_brokergate("state", "--json", env=env))
    assert (state["state"], state["reason"]) == ("STOPPED", "a rogue strategy")
    resumed = run_brokergate("resume", "paper", "--reason", "it was mended", env=env)
    assert resumed.stdout.splitlines()[1].split()[:2] == ["paper", "ACTIVE"]
    assert run_brokergate(*RESTING, env=env).returncode == 0


def test_a_flattening_stop_closes_positions(run: Run) -> None:
    """Once nothing is open; the positions that are left are named until there are none."""
    assert run(*PLACE, "--quantity", "0.1").returncode == 0
    done = run("stop", "paper", "--reason", "go home", "--flatten", "--wait", "--json")
    state, *updates = rows(done)
    assert state["stop_operation_id"]
    assert updates[-1]["progress"]["phase"] == "DONE"
    assert updates[-1]["progress"]["open_positions"] == []
    assert rows(run("positions", "--json")) == []


def test_a_second_stop_joins_the_first(run: Run) -> None:
    """It asks for more, under the operation that holds."""
    assert run(*PLACE, "--quantity", "0.1").returncode == 0
    (first,) = rows(run("stop", "--reason", "one", "--json"))
    (second, *updates) = rows(run("stop", "--reason", "two", "--flatten", "--wait", "--json"))
    assert second["stop_operation_id"] == first["stop_operation_id"]
    assert updates[-1]["progress"]["phase"] == "DONE"
    assert rows(run("positions", "--json")) == []


def test_a_request_id_makes_a_stop_and_a_resume_repeatable(run: Run) -> None:
    """The same answer, word for word; another request under the id is refused."""
    stop = ("stop", "paper", "--reason", "once", "--request-id", "stop-it", "--json")
    first = run(*stop)
    assert first.returncode == 0, first.stderr
    assert run(*stop).stdout == first.stdout
    other = run("stop", "paper", "--reason", "twice", "--request-id", "stop-it")
    assert other.returncode == 1
    assert "REQUEST_ID_REUSED" in other.stderr
    resume = ("resume", "paper", "--reason", "done", "--request-id", "go-on", "--json")
    assert rows(run(*resume)) == rows(run(*resume))


def test_the_audit_says_who_asked_for_what(run: Run) -> None:
    """Newest first, with the ids, and what the client calls itself."""
    assert run(*RESTING, "--id", "audited").returncode == 0
    assert run("order", "cancel", "--id", "audited").returncode == 0
    cancelled, placed, *_ = rows(run("audit", "paper", "--json"))
    assert (placed["method"], placed["client_order_id"]) == ("PlaceOrder", "audited")
    assert cancelled["method"] == "CancelOrder"
    assert cancelled["request_id"]
    for record in (placed, cancelled):
        assert record["actor"] == "anonymous"
        assert record["peer"].startswith("ipv4:127.0.0.1:")
        assert record["client_name"].startswith("brokergate-cli ")
    since = placed["time"]
    assert [record["client_order_id"] for record in rows(run("audit", "paper", "--since", since, "--json"))][
        -1
    ] == "audited"
    assert rows(run("audit", "paper", "--actor", "nobody", "--json")) == []
    assert rows(run("audit", "paper", "--until", "2020-01-01", "--json")) == []
    table = run("audit", "paper", "--limit", "1")
    assert table.stdout.splitlines()[0].split()[:3] == ["TIME", "ACTOR", "METHOD"]
    assert len(table.stdout.splitlines()) == 2


def test_nothing_disagrees_on_a_paper_account(run: Run) -> None:
    """An empty list; what is not frozen cannot be freed, and what is certain not resolved."""
    assert rows(run("discrepancies", "paper", "--all", "--json")) == []
    clear = run("clear-freeze", "paper", "BTC/USDT", "--reason", "why not")
    assert clear.returncode == 1
    assert "NOT_FROZEN" in clear.stderr
    assert run(*RESTING, "--id", "certain").returncode == 0
    resolve = run("resolve", "paper", "--id", "certain", "--outcome", "never-placed", "--reason", "I think")
    assert resolve.returncode == 1
    assert "ORDER_NOT_UNCERTAIN" in resolve.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("stop",), "--reason"),
        (("resume",), "--reason"),
        (("stop", "nowhere", "--reason", "x"), "ACCOUNT_NOT_FOUND"),
        (("stop", "--reason", "x" * 257), "reason"),
        (("stop", "--reason", "x", "--request-id", "a b"), "request_id"),
        (("audit",), "ACCOUNT"),
        (("audit", "paper", "--since", "yesterday"), "'yesterday' is no time; write 2026-11-21"),
        (("clear-freeze", "paper", "--reason", "x"), "SYMBOL"),
        (("resolve", "paper", "--reason", "x", "--outcome", "ended", "--id", "a"), "--filled"),
        (("resolve", "paper", "--reason", "x", "--outcome", "working", "--id", "a"), "--broker-order-id"),
        (("resolve", "paper", "--reason", "x", "--outcome", "never-placed", "--id", "a", "--filled", "1"), "--filled"),
        (("resolve", "paper", "--reason", "x", "--outcome", "lost", "--id", "a"), "never-placed"),
        (("resolve", "paper", "--reason", "x", "--outcome", "never-placed"), "one of the two"),
    ],
)  # fmt: skip
def test_wrong_usage_is_told_in_a_line_and_changes_nothing(
    run: Run, arguments: tuple[str, ...], says: str
) -> None:
    """It names what is wrong; nothing is stopped."""
    done = run(*arguments)
    assert done.returncode in (1, 2)
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    (state,) = rows(run("state", "paper", "--json"))
    assert state["state"] == "ACTIVE"


def test_a_token_without_the_scope_stops_nothing(start_server: StartServer) -> None:
    """Who may trade may see the state; stopping, resuming and the audit are for admins. An admin of one account stops
    that one by naming none."""
    server = start_server()
    tokens = {}
    for name, scope, accounts in (
        ("trader", "trade", "paper"),
        ("owner", "admin", "paper"),
        ("stranger", "admin", "elsewhere"),
    ):
        made = run_brokergate(
            *("token", "new", name, "--scope", scope, "--accounts", accounts),
            *("--data-dir", str(server.data_dir)),
        )
        tokens[name] = made.stdout.split()[-1]

    def run_as(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        env = {"BROKERGATE_ADDRESS": server.address, "BROKERGATE_TOKEN": tokens[name]}
        return run_brokergate(*arguments, env=env)

    for arguments in (
        ("stop", "--reason", "x"),
        ("resume", "--reason", "x"),
        ("audit", "paper"),
        ("discrepancies", "paper"),
    ):
        refused = run_as("trader", *arguments)
        assert refused.returncode == 1
        assert "SCOPE_INSUFFICIENT" in refused.stderr
    for named in ((), ("paper",)):
        refused = run_as("stranger", "stop", "--reason", "x", *named)
        assert refused.returncode == 1
        assert "ACCOUNT_NOT_ALLOWED" in refused.stderr
    assert rows(run_as("trader", "state", "--json"))[0]["state"] == "ACTIVE"
    (stopped,) = rows(run_as("owner", "stop", "--reason", "mine", "--json"))
    assert (stopped["account_id"], stopped["state"]) == ("paper", "STOPPED")
