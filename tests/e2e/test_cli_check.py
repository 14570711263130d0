"""`brokergate init`, `check` and what `serve` says before it serves, as a user runs them."""

from __future__ import annotations

import re
import subprocess
import textwrap
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from brokergate.cli import COMMANDS
from tests.e2e.console import SCRIPT, brokergate
from tests.unit.config.test_tls import make_certificate


@pytest.mark.parametrize("template", ["development", "testing"])
def test_a_template_is_a_configuration(tmp_path: Path, template: str) -> None:
    """Printed by `init`, accepted by `check` as it stands."""
    printed = brokergate("init", template, cwd=tmp_path)
    assert (printed.status, printed.stderr) == (0, "")
    (tmp_path / "brokergate.yaml").write_bytes(printed.stdout)
    checked = brokergate("check", "brokergate.yaml", cwd=tmp_path)
    assert (checked.status, checked.stderr) == (0, "")
    assert f"profile   {template}\n" in checked.text


def documented(project_root: Path) -> dict[str, str]:
    """The configurations that the documentation shows, each made whole."""
    heads = {"accounts:": "", "paper:": "accounts:\n  a:\n    broker: paper\n", "slippage:": ""}
    heads["slippage:"] = f"{heads['paper:']}    paper:\n"
    found = {}
    for page in sorted((project_root / "docs").glob("*.md")):
        for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", page.read_text("utf-8"), re.DOTALL)):
            key = block.split(maxsplit=1)[0]
            depth = {"accounts:": 0, "paper:": 4, "slippage:": 6}[key]
            found[f"{page.stem}-{number}.yaml"] = heads[key] + textwrap.indent(block, " " * depth)
    return found


def test_what_the_documentation_shows_is_accepted(project_root: Path, tmp_path: Path) -> None:
    """With the model of one's own that it shows, where it says that it belongs."""
    page = (project_root / "docs" / "paper-venue.md").read_text("utf-8")
    (tmp_path / "my_models").mkdir()
    (tmp_path / "my_models" / "slips.py").write_text(page.split("```python\n")[1].split("```")[0])
    (tmp_path / "latency.csv").write_text("response_ns\n40000000\n")
    key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_bytes(key)
    shown = documented(project_root)
    assert len(shown) >= 5
    for name, text in shown.items():
        (tmp_path / name).write_text(text)
        needed = re.findall(r"\$\{([A-Z_]+)\}", text)
        variables = {one: str(tmp_path / "key.pem") if one.endswith("_FILE") else "x" for one in needed}
        checked = brokergate("check", name, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path), **variables})
        assert (checked.status, checked.stderr) == (0, ""), text


def test_the_template_for_production_names_what_it_needs(tmp_path: Path) -> None:
    """Each variable that its comments name is asked for, and with them it is accepted."""
    (tmp_path / "brokergate.yaml").write_bytes(brokergate("init", "production", cwd=tmp_path).stdout)
    without = brokergate("check", "brokergate.yaml", cwd=tmp_path)
    assert without.status == 1
    needed = ["BROKERGATE_TLS_CERTIFICATE", "BROKERGATE_TLS_KEY", "BROKERGATE_DATA_DIR"]
    assert without.stderr.startswith(f"brokergate: {len(needed)} problems\n")
    for name in needed:
        assert f"needs the variable {name}, which is not set" in without.stderr
    certificate, key = make_certificate(tmp_path, "gateway")
    variables = dict(zip(needed, map(str, (certificate, key, tmp_path / "data")), strict=True))
    checked = brokergate("check", "brokergate.yaml", cwd=tmp_path, env=variables)
    assert (checked.status, checked.stderr) == (0, "")
    assert "listen    0.0.0.0:50443 (TLS)\n" in checked.text
    # The same out of a file beside the configuration.
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
    assert brokergate("check", "brokergate.yaml", cwd=tmp_path).text == checked.text


def test_init_writes_a_file_and_never_over_one(tmp_path: Path) -> None:
    """What a user has changed stays."""
    assert brokergate("init", "testing", "--out", "b.yaml", cwd=tmp_path).status == 0
    assert (tmp_path / "b.yaml").read_bytes() == brokergate("init", "testing", cwd=tmp_path).stdout
    (tmp_path / "b.yaml").write_text("mine")
    again = brokergate("init", "testing", "--out", "b.yaml", cwd=tmp_path)
    assert (again.status, again.stderr) == (
        1,
        "brokergate: b.yaml exists; choose another name, or remove it first\n",
    )
    assert (tmp_path / "b.yaml").read_text() == "mine"


def test_check_prints_what_would_be_served(tmp_path: Path) -> None:
    """Of all files, laid over one another, and starts nothing."""
    (tmp_path / "1.yaml").write_text(
        "accounts: {a: {broker: paper}, b: {broker: paper, trading: {enabled: false}}}\n"
    )
    (tmp_path / "2.yaml").write_text(
        "server: {listen: [127.0.0.1:1, {address: '[::]:2', insecure: true}], tokens: t}\n"
    )
    done = brokergate("check", "1.yaml", "2.yaml", cwd=tmp_path)
    assert (done.status, done.stderr) == (0, "")
    assert done.text == (
        "profile   development\n"
        "listen    127.0.0.1:1 (this machine only)\n"
        "listen    [::]:2 (clear text, insecure)\n"
        "data      data\n"
        "tokens    t\n"
        "account   a: paper, paper, trading\n"
        "account   b: paper, paper, read only\n"
    )
    assert sorted(file.name for file in tmp_path.iterdir()) == ["1.yaml", "2.yaml"]


BAD_PAPER = [
    ("{delay_ms: 1}", "accounts.p.paper.delay_ms is not a setting"),
    ("{initial_balance: {USD: -1}}", "accounts.p.paper.initial_balance.USD ('-1') is out of range"),
    ("{initial_balance: {USD: 0.1e1}}", "accounts.p.paper.initial_balance.USD ('0.1e1') is not a plain decimal"),
    ("{initial_balance: {usd: 1}}", "accounts.p.paper.initial_balance.usd is not a name for it; write one that"),
    ("{feed: {synthetic: {seed: -1}}}", "accounts.p.paper.feed.synthetic.seed ('-1') is out of range"),
    ("{feed: {synthetic: {}, push: {}}}", "accounts.p.paper.feed names synthetic and push; keep one"),
    ("{feed: {speed: 2}}", "accounts.p.paper.feed sets speed without a tape; add tape"),
    ("{feed: {tape: x, speed: -2}}", "accounts.p.paper.feed.speed ('-2') is not a speed; write 'max'"),
    ("{feed: {tape: x, paused: 1}}", "accounts.p.paper.feed.paused ('1') is not a switch; write true or false"),
    ("{feed: {push: {instruments: [{}]}}}", "accounts.p.paper.feed.push.instruments[0].symbol is missing"),
]  # fmt: skip


@pytest.mark.parametrize(("paper", "says"), BAD_PAPER, ids=[says for _, says in BAD_PAPER])
def test_a_paper_accounts_settings_are_checked(tmp_path: Path, paper: str, says: str) -> None:
    """With file and line, as all the others."""
    (tmp_path / "b.yaml").write_text(f"accounts:\n  p: {{broker: paper, paper: {paper}}}\n")
    done = brokergate("check", "b.yaml", cwd=tmp_path)
    assert (done.status, done.text) == (1, "")
    assert f"b.yaml:2: {says}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bad_configuration_is_not_served(tmp_path: Path) -> None:
    """Told on standard error, with status 2, before anything is made."""
    (tmp_path / "b.yaml").write_text(
        "accounts: {p: {broker: binance, credentials: {api_key: hunter2hunter2}}}\n"
    )
    done = brokergate("serve", "--config", "b.yaml", cwd=tmp_path)
    assert (done.status, done.text) == (2, "")
    assert done.stderr == (
        "brokergate: the configuration cannot be used\n"
        "b.yaml:1: accounts.p.credentials lacks api_secret; add it; binance takes {api_key, api_secret} or "
        "{api_key, private_key}\n"
    )
    assert [file.name for file in tmp_path.iterdir()] == ["b.yaml"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["--listen", "0.0.0.0:0"],
            "--listen: server.listen ('0.0.0.0:0') can be reached from other machines",
        ),
        (["--listen", "50051"], "--listen: server.listen ('50051') is not HOST:PORT"),
        (["--config", "nowhere.yaml"], "nowhere.yaml: cannot be read (No such file or directory)"),
        (["--log-format", "xml"], "xml"),
        (["--frob"], "--frob"),
    ],
)
def test_serve_refuses_wrong_options(tmp_path: Path, arguments: list[str], says: str) -> None:
    """With status 2 and the option's name."""
    done = brokergate("serve", *arguments, cwd=tmp_path)
    assert done.status == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_help_names_every_command_and_status(tmp_path: Path) -> None:
    """Without loading any of them."""
    done = brokergate("--help", cwd=tmp_path)
    assert done.status == 0
    for name, entry in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(entry.help[:30])}", done.text, re.MULTILINE)
    assert "Exit status: 0 done" in done.text


def test_an_unknown_command_is_wrong_usage(tmp_path: Path) -> None:
    """Status 2, as for a wrong option."""
    done = brokergate("frob", cwd=tmp_path)
    assert done.status == 2
    assert "No such command 'frob'" in done.stderr


def test_a_reader_that_goes_away_is_no_crash(tmp_path: Path) -> None:
    """`brokergate … | head -1`."""
    pipe = subprocess.Popen(
        [SCRIPT, "init", "development"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert pipe.stdout is not None
    assert pipe.stderr is not None
    pipe.stdout.close()
    assert pipe.wait(60) == 1
    assert pipe.stderr.read() == b""
    pipe.stderr.close()
