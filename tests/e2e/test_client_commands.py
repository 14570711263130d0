"""Trading for people: `brokergate order`, `fills`, `positions`, `balances`, `health`, as processes."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import StartServer
from tests.e2e.process import ServerProcess, environment, run_brokergate

Run = Callable[..., subprocess.CompletedProcess[str]]
PLACE = ("order", "place", "--symbol", "BTC/USDT", "--side", "buy", "--quantity")


@pytest.fixture
def run(shared_server: ServerProcess) -> Run:
    """`brokergate …` at this module's server, its output in pipes."""

    def run(*arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
        return run_brokergate(*arguments, env={"BROKERGATE_ADDRESS": shared_server.address} | env)

    return run


def follow(server: ServerProcess, *arguments: str) -> subprocess.Popen[str]:
    """`brokergate fills --follow`, running."""
    return subprocess.Popen(
        [sys.executable, "-m", "brokergate", "fills", "--follow", *arguments],
        env=environment({"BROKERGATE_ADDRESS": server.address}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def read_line(process: subprocess.Popen[str]) -> str:
    """Its next line of output."""
    assert process.stdout is not None
    return process.stdout.readline()


def test_an_order_is_placed_listed_and_cancelled(run: Run) -> None:
    """With aligned text for a pipe: headings, and the order in its states."""
    placed = run(*PLACE, "0.1", "--type", "limit", "--price", "1000", "--tif", "gtc", "--id", "text")
    assert placed.returncode == 0, placed.stderr
    heading, row = placed.stdout.splitlines()
    assert heading.split()[:2] == ["CREATED", "ORDER"]
    assert row.split()[2:] == ["text", "BTC/USDT", "BUY", "LIMIT", "0.1", "1000", "0", "NEW"]
    order_id = row.split()[1]
    listed = run("order", "list", "--open")
    assert order_id in listed.stdout
    cancelled = run("order", "cancel", order_id)
    assert cancelled.returncode == 0, cancelled.stderr
    assert cancelled.stdout.splitlines()[1].endswith("CANCELED")
    assert order_id not in run("order", "list", "--open").stdout


def test_json_is_one_object_a_line_with_decimals_as_strings(run: Run) -> None:
    """What a pipe reads loses no digit, and enums have names."""
    placed = json.loads(run(*PLACE, "0.0100", "--json", "--id", "json").stdout)
    assert (placed["state"], placed["spec"]["quantity"], placed["client_order_id"]) == (
        "FILLED",
        "0.0100",
        "json",
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", placed["create_time"])
    for command in (("order", "list"), ("fills",), ("positions",), ("balances",)):
        done = run(*command, "--json")
        assert done.returncode == 0, done.stderr
        values = [json.loads(line) for line in done.stdout.splitlines()]
        assert values, command
        for name in ("quantity", "price", "total"):
            assert all(isinstance(value[name], str) for value in values if name in value), command


def test_positions_and_balances_agree_with_what_was_bought(run: Run) -> None:
    """The position is what the fills add up to, and so is the currency that was bought."""
    run(*PLACE, "0.02")
    (position,) = [json.loads(line) for line in run("positions", "--json").stdout.splitlines()]
    balances = {
        value["currency_code"]: value
        for value in map(json.loads, run("balances", "--json").stdout.splitlines())
    }
    assert float(position["quantity"]) == float(balances["BTC"]["total"]) > 0


def test_a_rejected_order_is_shown_and_exits_with_1(run: Run) -> None:
    """The order is on standard output, the reason on standard error."""
    done = run(*PLACE, "1000", "--type", "limit", "--price", "60000", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["state"] == "REJECTED"
    assert re.fullmatch(r"brokergate: rejected, INSUFFICIENT_FUNDS: .+\n", done.stderr)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (
            (*PLACE, "0.1", "--type", "limit", "--price", "1.001"),
            1,
            "PRICE_OFF_TICK: order.limit_price: 1.001",
        ),
        (("order", "cancel", "--id", "nobody"), 1, "ORDER_NOT_FOUND"),
        (("positions", "--account", "nobody"), 1, "ACCOUNT_NOT_FOUND"),
        (("fills", "--after", "nonsense"), 1, "CURSOR_INVALID"),
        (("balances", "--address", "127.0.0.1:1"), 3, "127.0.0.1:1: UNAVAILABLE: .*refused"),
        (("health", "--address", "127.0.0.1:1"), 3, "refused"),
        (("order", "cancel"), 2, "one of the two"),
        (("balances", "--token-file", "/nonexistent"), 2, "/nonexistent cannot be read"),
        (("balances", "--ca-file", "/nonexistent"), 2, "/nonexistent"),
    ],
)
def test_an_error_is_one_readable_line_and_a_status(
    run: Run, arguments: tuple[str, ...], status: int, said: str
) -> None:
    """1 refused, 2 wrong usage, 3 no answer; nothing on standard output and no traceback."""
    done = run(*arguments)
    assert done.returncode == status, done.stderr
    assert re.fullmatch(rf"brokergate: .*{said}.*\n", done.stderr), done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("quantity", ["much", "NaN", ""])
def test_a_number_that_is_none_is_wrong_usage(run: Run, quantity: str) -> None:
    """It is told before anything is sent."""
    done = run(*PLACE, quantity)
    assert done.returncode == 2
    assert "is not a number" in done.stderr


def test_health_says_whether_it_serves(run: Run) -> None:
    """As the image's health check asks: of the gateway, of a service, of a broker, of what there is not."""
    for service in (
        (),
        ("--service", "brokergate.v1.OrderService"),
        ("--service", "brokergate.broker.paper"),
    ):
        done = run("health", *service)
        assert (done.returncode, done.stdout) == (0, "SERVING\n"), done.stderr
    assert run("health", "--service", "brokergate.broker.none").returncode == 1


def test_fills_are_followed_until_interrupted(run: Run, shared_server: ServerProcess) -> None:
    """Each as it is booked; Ctrl+C ends it with 130 and without a word."""
    run(*PLACE, "0.001", "--id", "before")
    process = follow(shared_server, "--json", "--after", cursors(run)["before"])
    run(*PLACE, "0.001", "--id", "followed")
    fill = json.loads(read_line(process))
    assert (fill["client_order_id"], fill["quantity"].rstrip("0")) == ("followed", "0.001")
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=30)
    assert (process.returncode, *rest) == (130, "", "")


def cursors(run: Run) -> dict[str, str]:
    """The cursor of the last fill of each order, by client_order_id, in the order of the journal."""
    done = run("fills", "--all", "--json")
    assert done.returncode == 0, done.stderr
    return {fill["client_order_id"]: fill["cursor"] for fill in map(json.loads, done.stdout.splitlines())}


def test_fills_after_a_cursor_end_with_the_history(run: Run) -> None:
    """Without --follow a stream that has caught up ends; what was before the cursor is not shown."""
    for number in range(3):
        run(*PLACE, "0.001", "--id", f"after-{number}")
    done = run("fills", "--after", cursors(run)["after-0"], "--json")
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["client_order_id"] for line in done.stdout.splitlines()] == [
        "after-1",
        "after-2",
    ]
    assert run("fills", "--after", cursors(run)["after-2"], "--json").stdout == ""


def test_a_pipe_that_closes_ends_it_quietly(run: Run, shared_server: ServerProcess) -> None:
    """`brokergate fills --follow | head -1`: no traceback, no complaint."""
    process = follow(shared_server)
    assert read_line(process).startswith("TIME")
    assert process.stdout is not None
    process.stdout.close()
    for number in range(2):
        run(*PLACE, "0.001", "--id", f"pipe-{number}")
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait(30) == 0


def test_a_terminal_gets_a_table(shared_server: ServerProcess) -> None:
    """Drawn with lines, and within the terminal; no JSON, no aligned text."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.run(
            [sys.executable, "-m", "brokergate", "balances"],
            env=environment({"BROKERGATE_ADDRESS": shared_server.address, "COLUMNS": "100", "TERM": "xterm"}),
            stdout=theirs,
            timeout=60,
        )
        shown = re.sub(r"\x1b\[[0-9;]*m", "", os.read(ours, 65536).decode())
    finally:
        os.close(ours)
        os.close(theirs)
    assert process.returncode == 0
    assert "CURRENCY" in shown
    assert "─" in shown
    assert all(len(line) <= 100 for line in shown.splitlines())


def test_a_token_comes_from_the_environment_or_a_file_and_is_never_shown(
    start_server: StartServer, tmp_path: Path
) -> None:
    """Without it the gateway refuses; a wrong one is not repeated in the error."""
    server = start_server()
    run_brokergate(
        "token", "new", "me", "--scope", "trade", "--accounts", "paper", "--data-dir", server.data_dir
    )
    made = run_brokergate(
        *("token", "new", "you", "--scope", "trade", "--accounts", "paper", "--data-dir", server.data_dir)
    )
    token = made.stdout.strip()
    server.restart()
    file = tmp_path / "token"
    file.write_text(token + "\n")
    env = {"BROKERGATE_ADDRESS": server.address}
    assert run_brokergate("balances", env=env | {"BROKERGATE_TOKEN": token}).returncode == 0
    assert run_brokergate("balances", "--token-file", file, env=env).returncode == 0
    wrong = run_brokergate("balances", env=env | {"BROKERGATE_TOKEN": "bg_wrong_and_secret"})
    assert wrong.returncode == 1
    assert "TOKEN_INVALID" in wrong.stderr
    assert "wrong_and_secret" not in wrong.stderr
    assert token not in server.log


def test_a_token_is_not_sent_in_clear_text_off_this_machine(run: Run) -> None:
    """It is refused before anything is sent, with the way out."""
    done: Any = run("balances", "--address", "10.255.255.1:50051", BROKERGATE_TOKEN="bg_secret")
    assert done.returncode == 2
    assert "unencrypted" in done.stderr
    assert "bg_secret" not in done.stderr
