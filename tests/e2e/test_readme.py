"""The README's lines, run as they are written: with the real grpcurl and `brokergate`, against a real server."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.process import ROOT, ServerProcess, environment
from tests.emulators.client import Emulator

README = ROOT / "README.md"
PORT = "50051"
DEADLINE_EXCEEDED, INVALID_ARGUMENT = 64 + 4, 64 + 3
"""grpcurl's exit status is 64 and the gRPC code."""


def blocks(language: str) -> list[str]:
    """The README's fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def lines(command: str) -> list[str]:
    """The README's lines that begin with a command."""
    every = [line for block in blocks("sh") for line in block.splitlines()]
    return [line for line in every if line.split()[0] == command]


def messages(output: str) -> list[Any]:
    """grpcurl prints one JSON object after the other."""
    found, decoder, text = [], json.JSONDecoder(), output.strip()
    while text:
        message, end = decoder.raw_decode(text)
        found.append(message)
        text = text[end:].lstrip()
    return found


def one(output: str) -> Any:
    """The only answer."""
    (message,) = messages(output)
    return message


def check_order(client_order_id: str, state: str) -> Callable[[str], bool]:
    """An answer with an order in a state."""

    def check(output: str) -> bool:
        order = one(output)["order"]
        return bool(order["client_order_id"] == client_order_id and order["state"] == f"ORDER_STATE_{state}")

    return check


def check_fills(output: str) -> bool:
    """A stream that opens, gives the first order's fills, and is live."""
    said = messages(output.partition("ERROR:")[0])
    events = [event for message in said if "batch" in message for event in message["batch"]["events"]]
    first = [event for event in events if event["fill"]["fill"]["client_order_id"] == "first"]
    return "opened" in said[0] and bool(first) and any("caught_up" in message for message in said)


Check = tuple[int, Callable[[str], bool]]
EXPECTED: dict[str, Check] = {
    " list": (0, lambda out: "brokergate.v1.OrderService" in out.splitlines()),
    "Health/Check": (0, lambda out: one(out) == {"status": "SERVING"}),
    "ListInstruments": (0, lambda out: "BTC/USDT" in [i["symbol"] for i in one(out)["instruments"]]),
    "GetQuote": (
        0,
        lambda out: float(one(out)["quote"]["bid_price"]) < float(one(out)["quote"]["ask_price"]),
    ),
    '"first".*PlaceOrder': (0, check_order("first", "FILLED")),
    '"second".*PlaceOrder': (0, check_order("second", "NEW")),
    "ListOrders": (0, lambda out: [o["client_order_id"] for o in one(out)["orders"]] == ["second", "first"]),
    "ListPositions": (0, lambda out: [p["symbol"] for p in one(out)["positions"]] == ["BTC/USDT"]),
    "ListBalances": (0, lambda out: {"BTC", "USDT"} <= {b["currency_code"] for b in one(out)["balances"]}),
    "CancelOrder": (0, check_order("second", "CANCELED")),
    "StreamFills": (DEADLINE_EXCEEDED, check_fills),
    '"wrong".*PlaceOrder': (INVALID_ARGUMENT, lambda out: '"reason": "PRICE_OFF_TICK"' in out),
}


@pytest.fixture
def run(server: ServerProcess, grpcurl: Path, tmp_path: Path) -> Callable[..., Any]:
    """Run a line in a shell, in an empty folder, as a reader would who served on this server's port."""
    path = os.pathsep.join((str(grpcurl.parent), str(Path(sys.executable).parent), os.environ["PATH"]))
    env = environment({"PATH": path, "BROKERGATE_ADDRESS": server.address})
    port = server.address.rpartition(":")[2]

    def run(line: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", line.replace(PORT, port)],
            cwd=tmp_path,
            env=env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
        )

    return run


def test_every_grpcurl_line_works_as_pasted(run: Callable[..., Any]) -> None:
    """From top to bottom, each line ends with the status and the answer that a reader is promised."""
    left = dict(EXPECTED)
    for line in lines("grpcurl"):
        matching = [pattern for pattern in left if re.search(pattern, line)]
        assert len(matching) == 1, f"no test, or several, know what this line should do: {line}"
        status, check = left.pop(matching[0])
        done = run(line)
        assert done.returncode == status, f"{line}\n{done.stdout}"
        assert check(done.stdout), f"{line}\n{done.stdout}"
    assert not left, f"the README lacks what it should show: {list(left)}"


def test_repeating_a_line_places_nothing_twice(run: Callable[..., Any]) -> None:
    """The README says so, so it holds for its own line."""
    (line,) = [line for line in lines("grpcurl") if '"first"' in line]
    first, second = one(run(line).stdout), one(run(line).stdout)
    assert second["already_existed"] is True
    assert second["order"]["order_id"] == first["order"]["order_id"]


def test_the_python_example_runs_as_written(run: Callable[..., Any], tmp_path: Path) -> None:
    """It places an order and prints its fill."""
    (example,) = blocks("python")
    port = run(f"echo {PORT}").stdout.strip()
    (tmp_path / "example.py").write_text(example.replace(PORT, port), "utf-8")
    done = run(f"{shlex.quote(sys.executable)} example.py")
    assert done.returncode == 0, done.stdout
    assert re.fullmatch(r"FILLED [\d.]+\n[\d.]+ at [\d.]+\n", done.stdout), done.stdout


@pytest.fixture
def binance() -> Iterator[Emulator]:
    """Stands for Binance's testnet."""
    emulator = Emulator.start("binance", key="readme-key", secret="readme-secret")
    yield emulator
    emulator.close()


def test_every_brokergate_line_works_as_pasted(
    run: Callable[..., Any], binance: Emulator, tmp_path: Path
) -> None:
    """The commands for people, and those that make and check a configuration; what goes on for ever is interrupted.
    A reader's editor has written `.env`, and Binance is the emulator."""
    secrets = f"BINANCE_API_KEY={binance.key}\nBINANCE_API_SECRET={binance.secret}\n"
    (tmp_path / ".env").write_text(secrets, "utf-8")
    ran = 0
    for line in lines("brokergate"):
        if " serve" in line:
            # The server of this module was started so; with a file, in test_process.py.
            continue
        follows = "--follow" in line
        done = run(f"timeout --signal=INT 3 {line}" if follows else line)
        # 124: timeout says that it had to end it.
        assert done.returncode == (124 if follows else 0), f"{line}\n{done.stdout}"
        assert "Traceback" not in done.stdout
        if " init binance" in line:
            with (tmp_path / "binance.yaml").open("a", encoding="utf-8") as file:
                file.write(
                    f"    binance: {{rest_url: {binance.url}, stream_url: {binance.ws_url},"
                    f" websocket_api_url: {binance.ws_url}/ws-api/v3}}\n"
                )
        ran += 1
    assert ran >= 6


def test_the_commands_of_make_exist() -> None:
    """`make serve`, `make test` and `make grpcurl` are targets of the Makefile."""
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", README.read_text("utf-8"), re.MULTILINE))
    assert {"serve", "test", "grpcurl"} <= named
    for target in named:
        done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_what_the_readme_links_to_exists() -> None:
    """Every relative link of both READMEs leads somewhere."""
    for readme in (README, ROOT / "clients" / "python" / "README.md"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", readme.read_text("utf-8")):
            assert (readme.parent / target).exists(), f"{readme.name}: {target}"


def test_the_example_that_keeps_its_cursor_never_shows_a_fill_twice(
    run: Callable[..., Any], server: ServerProcess, tmp_path: Path
) -> None:
    """Stopped and started again, examples/follow_fills.py goes on after the fill that it had."""
    example = ROOT / "clients" / "python" / "examples" / "follow_fills.py"
    place = "brokergate order place --symbol BTC/USDT --side buy --quantity 0.00001 --json --id "
    seen: list[str] = []
    history: list[Any] = []
    for number in range(2):
        assert run(place + f"example-{number}").returncode == 0
        process = subprocess.Popen(
            [sys.executable, example, "paper", tmp_path / "cursor"],
            env=environment({"BROKERGATE_ADDRESS": server.address}),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        history = json.loads("[" + run("brokergate fills --json").stdout.strip().replace("\n", ",") + "]")
        assert process.stdout is not None
        shown = [process.stdout.readline() for _ in range(len(history) - len(seen))]
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=30)
        assert process.returncode == 0
        assert rest == ""
        seen += shown
    assert len(seen) == len(history)
