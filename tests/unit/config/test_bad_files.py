# ruff: noqa: E501, the table is one
"""Every way in which a configuration can be wrong: what is said names file, line, key, value and way out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from brokergate.config import ConfigError
from brokergate.config.document import MAX_DEPTH, MAX_FILE_BYTES, MAX_VALUES
from brokergate.config.problems import MAX_PROBLEMS
from tests.unit.config.paper import load

GOOD = "accounts: {paper: {broker: paper}}\n"


@dataclass(frozen=True)
class Bad:
    """A wrong file, and what must be said of it."""

    name: str
    text: str
    line: int
    key: str
    says: str
    """The problem, with the value where it may be shown."""
    way_out: str


def setting(name: str, text: str, key: str, says: str, way_out: str) -> Bad:
    """A wrong setting on line 2 of a file that is right otherwise."""
    return Bad(name, GOOD + text, 2, key, says, way_out)


def account(name: str, text: str, key: str, says: str, way_out: str) -> Bad:
    """A wrong account `x` on line 1."""
    return Bad(name, f"accounts: {{x: {text}}}", 1, f"accounts.x{key}", says, way_out)


CASES = [
    # What is no configuration at all
    Bad("not yaml", "accounts: {paper: [}\n", 1, "", "is not YAML", "mend the line"),
    Bad("a tab", "accounts:\n\tpaper: {}\n", 2, "", "is not YAML", "mend the line"),
    Bad("an open quote", GOOD + 'server: {data_dir: "x}\n', 3, "", "is not YAML", "in quotes"),
    Bad("an unknown alias", GOOD + "server: *x\n", 2, "", "is not YAML", "mend the line"),
    Bad("a control character", GOOD + "server: \x07\n", 0, "", "is not YAML", "mend the line"),
    Bad("bare braces", "accounts: {x: {broker: ${BROKER}}}\n", 1, "", "is not YAML", "quotes"),
    Bad("a list", "- accounts\n", 1, "", "holds no settings", "write 'accounts:'"),
    Bad("a word", "accounts\n", 1, "", "holds no settings", "write 'accounts:'"),
    Bad("two documents", GOOD + "---\n" + GOOD, 3, "", "a second YAML document begins", "a file of its own"),
    Bad("nothing", "# nothing\n", 1, "accounts", "is missing", "add it: The accounts by their ids"),
    Bad("too deep", GOOD + "server: " + "[" * 40 + "]" * 40, 2, "", f"deeper than {MAX_DEPTH}", "check its brackets"),
    Bad("far too deep", "[" * 5000 + "]" * 5000, 1, "", f"deeper than {MAX_DEPTH}", "check its brackets"),
    Bad("an endless alias", "accounts: &a {x: *a}\n", 1, "accounts.x", "is an alias of what it is in", "write it out"),
    Bad("a tag", GOOD + "server: {data_dir: !!python/name:os.system x}\n", 2, "server.data_dir", "has a YAML tag", "plain"),
    Bad("a merge key", "accounts: {a: &a {broker: paper}, b: {<<: *a}}\n", 1, "accounts.b", "merge key", "write the settings out"),
    Bad("a key that is a list", GOOD + "server: {[a]: b}\n", 2, "server", "a key that is not a name", "'name: value'"),
    # Keys
    Bad("a key twice", GOOD + "profile: testing\nprofile: testing\n", 3, "profile", "is set twice, first on line 2", "keep one"),
    Bad("an account twice", "accounts:\n  x: {broker: paper}\n  x: {broker: paper}\n", 3, "accounts.x", "is set twice", "keep one"),
    setting("a key misspelt", "sever: {}", "sever", "is not a setting", "did you mean server?"),
    setting("a key unlike any", "zzz: 1", "zzz", "is not a setting", "known here: profile, server, accounts, routes"),
    setting("a server key misspelt", "server: {data-dir: x}", "server.data-dir", "is not a setting", "did you mean data_dir?"),
    setting("a listener key misspelt", "server: {listen: [{adress: x}]}", "server.listen[0].adress", "is not a setting", "did you mean address?"),
    setting("a lone listener's key misspelt", "server: {listen: {address: 127.0.0.1:1, TLS: {}}}", "server.listen.TLS", "is not a setting", "did you mean tls?"),
    account("an account key misspelt", "{broker: paper, credential: {}}", ".credential", "is not a setting", "did you mean credentials?"),
    account("a paper key misspelt", "{broker: paper, paper: {latency: 5}}", ".paper.latency", "is not a setting", "did you mean latency_ms?"),
    setting("null", "server: ", "server", "is null", "remove the line"),
    # The server
    setting("an unknown profile", "profile: prod", "profile", "('prod') is not one of development, testing, production", "write one of them (did you mean production?)"),
    setting("a section that is a word", "server: here", "server", "('here') is not a section", "indented"),
    setting("a section that is a list", "server: [a]", "server", "is not a section", "indented"),
    setting("an address without a port", "server: {listen: localhost}", "server.listen", "('localhost') is not HOST:PORT", "such as 127.0.0.1:50051"),
    setting("a port too high", "server: {listen: 127.0.0.1:65536}", "server.listen", "('127.0.0.1:65536') has a port above 65535", "from 0 (any free one)"),
    setting("an IPv6 without brackets", "server: {listen: '::1:50051'}", "server.listen", "is not HOST:PORT", "[::1]:50051"),
    setting("a nameless socket", "server: {listen: 'unix:'}", "server.listen", "names no socket", "unix:/PATH"),
    setting("no listener", "server: {listen: []}", "server.listen", "holds fewer than 1 entries", "An address"),
    setting("a number for listeners", "server: {listen: {address: [1]}}", "server.listen.address", "is refused", "it is:"),
    setting("off loopback", "server: {listen: 0.0.0.0:1}", "server.listen", "('0.0.0.0:1') can be reached from other machines and has no TLS", "--insecure"),
    setting("a host name off loopback", "server: {listen: [gateway.example:1]}", "server.listen[0]", "can be reached", "set 'tls'"),
    setting("TLS without a key", "server: {listen: {address: 127.0.0.1:1, tls: {certificate: x}}}", "server.listen.tls.key", "is missing", "private key"),
    setting("TLS without files", "server: {listen: {address: 127.0.0.1:1, tls: {certificate: x, key: y}}}", "server.listen.tls", "names as its certificate a file that does not exist", "a PEM file"),
    setting("a switch that is a word", "server: {reflection: maybe}", "server.reflection", "('maybe') is not a switch", "write true or false"),
    setting("a switch of YAML 1.1", "server: {reflection: yes}", "server.reflection", "('yes') is not a switch", "write true or false"),
    setting("an exponent", "server: {drain_grace_s: 1e1}", "server.drain_grace_s", "('1e1') is not a whole number", "digits alone"),
    setting("underscores", "server: {drain_grace_s: 1_0}", "server.drain_grace_s", "('1_0') is not a whole number", "digits alone"),
    setting("below zero", "server: {drain_grace_s: -1}", "server.drain_grace_s", "('-1') is out of range", "write at least 0"),
    setting("too large", "server: {drain_grace_s: 3601}", "server.drain_grace_s", "('3601') is out of range", "write at most 3600"),
    setting("a limit of nothing", "server: {limits: {max_subscribers: 0}}", "server.limits.max_subscribers", "('0') is out of range", "at least 1"),
    setting("a limit misspelt", "server: {limits: {max_subscriber: 1}}", "server.limits.max_subscriber", "is not a setting", "max_subscribers?"),
    setting("a log format", "server: {log: {format: jsn}}", "server.log.format", "('jsn') is not one of auto, json, console", "(did you mean json?)"),
    setting("a scope", "server: {client_certificates: {scopes: {bob: write}}}", "server.client_certificates.scopes.bob", "('write') is not a scope", "read, trade or admin"),
    setting("a value that is a list", "server: {data_dir: [a]}", "server.data_dir", "is refused", "it is: The folder"),
    # Accounts
    Bad("no accounts", "accounts: {}\n", 1, "accounts", "holds fewer than 1 entries", "The accounts by their ids"),
    Bad("accounts in a list", "accounts: [paper]\n", 1, "accounts", "is not a section", "indented"),
    Bad("an account id with a blank", "accounts: {a b: {broker: paper}}\n", 1, "accounts.a b", "is not an id", "at most 64"),
    Bad("an account id too long", f"accounts: {{{'a' * 65}: {{broker: paper}}}}\n", 1, f"accounts.{'a' * 65}", "is not an id", "at most 64"),
    Bad("an empty account id", "accounts: {'': {broker: paper}}\n", 1, "accounts.", "is not an id", "at most 64"),
    account("no broker", "{}", ".broker", "is missing", "add it: The broker's name"),
    account("an unknown broker", "{broker: bianry}", ".broker", "('bianry') is not the name of a broker", "write one of: paper"),
    account("a broker of later", "{broker: binance, environment: testnet}", ".broker", "('binance') is not in this release", "remove the account, or use one of: paper"),
    account("a paper account for real money", "{broker: paper, environment: live}", ".environment", "('live') is no environment of paper", "write paper"),
    account("an environment", "{broker: paper, environment: testnt}", ".environment", "('testnt') is not an environment", "did you mean testnet?"),
    account("a decimal comma", "{broker: paper, paper: {initial_balance: {USD: '1,5'}}}", ".paper.initial_balance.USD", "('1,5') is not a plain decimal", "such as 12.5"),
    account("an exponent in money", "{broker: paper, paper: {initial_balance: {USD: 1e6}}}", ".paper.initial_balance.USD", "('1e6') is not a plain decimal", "such as 12.5"),
    account("not a number", "{broker: paper, paper: {initial_balance: {USD: .nan}}}", ".paper.initial_balance.USD", "('.nan') is not a plain decimal", "such as 12.5"),
    account("21 digits", f"{{broker: paper, paper: {{initial_balance: {{USD: {'1' * 21}}}}}}}", ".paper.initial_balance.USD", "is not a plain decimal", "at most 20 digits"),
    account("a negative latency", "{broker: paper, paper: {latency_ms: -1}}", ".paper.latency_ms", "('-1') is out of range", "at least 0"),
    account("a limit without a currency", "{broker: paper, risk_limits: {max_order_notional: {amount: 5}}}", ".risk_limits.max_order_notional.currency", "is missing", "add it: Of which currency"),
    account("a limit below zero", "{broker: paper, risk_limits: {price_collar_percent: -5}}", ".risk_limits.price_collar_percent", "('-5') is not above zero", "above zero"),
    account("a limit in words", "{broker: paper, risk_limits: {max_order_notional: 50000}}", ".risk_limits.max_order_notional", "('50000') is not a section", "{amount: 50000, currency: USDT}"),
    account("a loss of nothing", "{broker: paper, risk_limits: {max_daily_loss: {amount: 0, currency: USD}}}", ".risk_limits.max_daily_loss.amount", "('0') is not above zero", "above zero"),
    account("a currency that is none", "{broker: paper, risk_limits: {max_position_notional: {amount: 5, currency: us$}}}", ".risk_limits.max_position_notional.currency", "('us$') does not match", "Of which currency"),
    account("a quantity of no instrument", "{broker: paper, risk_limits: {max_order_quantity: 5}}", ".risk_limits.max_order_quantity", "('5') is not a section", "by symbol"),
    account("a quantity of zero", "{broker: paper, risk_limits: {max_position_quantity: {BTC/USDT: 0}}}", ".risk_limits.max_position_quantity.BTC/USDT", "('0') is not above zero", "above zero"),
    account("a symbol that is none", "{broker: paper, risk_limits: {instruments: ['B$TC']}}", ".risk_limits.instruments[0]", "('B$TC') does not match", "by their symbols"),
    account("a limit of a symbol that is none", "{broker: paper, risk_limits: {max_order_quantity: {'B$TC': 1}}}", ".risk_limits.max_order_quantity.B$TC", "is not a name for it", "one that matches"),
    account("leave to trade nothing", "{broker: paper, risk_limits: {instruments: []}}", ".risk_limits.instruments", "names no instrument", "remove the line to trade all"),
    account("a limit of what may not be traded", "{broker: paper, risk_limits: {instruments: [AAPL], max_order_quantity: {APPL: 1}}}", ".risk_limits", "limits APPL in max_order_quantity and has it not among instruments", "add it there"),
    account("an unknown time zone", "{broker: paper, risk_limits: {max_daily_loss: {amount: 1, currency: USD}, daily_loss_time_zone: America/NewYork}}", ".risk_limits.daily_loss_time_zone", "('America/NewYork') is not the name of a time zone", "did you mean America/New_York?"),
    account("a time zone that is a path", "{broker: paper, risk_limits: {max_daily_loss: {amount: 1, currency: USD}, daily_loss_time_zone: ../UTC}}", ".risk_limits.daily_loss_time_zone", "('../UTC') is not the name of a time zone", "UTC"),
    account("a time zone of no loss", "{broker: paper, risk_limits: {daily_loss_time_zone: Europe/Berlin}}", ".risk_limits", "sets daily_loss_time_zone without max_daily_loss", "add that"),
    account("no order a second", "{broker: paper, risk_limits: {max_orders_per_second: 0}}", ".risk_limits.max_orders_per_second", "('0') is out of range", "at least 1"),
    account("a quote that is always too old", "{broker: paper, risk_limits: {quote_max_age_ms: 0}}", ".risk_limits.quote_max_age_ms", "('0') is out of range", "at least 1"),
    setting("events that go before they came", "server: {retention: {max_age_days: -1}}", "server.retention.max_age_days", "('-1') is out of range", "write at least 0"),
    setting("a size in words", "server: {retention: {max_size_mib: 10G}}", "server.retention.max_size_mib", "('10G') is not a whole number", "write digits alone"),
    setting("a retention of orders", "server: {retention: {orders: 5}}", "server.retention.orders", "is not a setting", ""),
    account("an age without a queue", "{broker: paper, trading: {queue_max_age_s: 5}}", ".trading", "sets queue_max_age_s without when_disconnected: queue", "add that, or remove queue_max_age_s"),
    account("an age for what is rejected", "{broker: paper, trading: {when_disconnected: reject, queue_max_age_s: 5}}", ".trading", "sets queue_max_age_s without when_disconnected: queue", "add that, or remove queue_max_age_s"),
    account("no age", "{broker: paper, trading: {when_disconnected: queue, queue_max_age_s: 0}}", ".trading.queue_max_age_s", "('0') is out of range", "write at least 1"),
    account("too great an age", "{broker: paper, trading: {when_disconnected: queue, queue_max_age_s: 86401}}", ".trading.queue_max_age_s", "('86401') is out of range", "write at most 86400"),
    account("an unknown cause", "{broker: paper, trading: {stop_on: [rain]}}", ".trading.stop_on[0]", "('rain') is not one of account_suspended, daily_loss, discrepancy", "write one of them"),
    account("a cause that is no list", "{broker: paper, trading: {stop_on: discrepancy}}", ".trading.stop_on", "('discrepancy') is not a list", "write '[a, b]'"),
    account("a stop at no limit", "{broker: paper, trading: {stop_on: [discrepancy, daily_loss]}}", ".trading.stop_on[1]", "('daily_loss') stops at a limit that is not set", "add risk_limits.max_daily_loss"),
    account("a durability", "{broker: paper, durability: disk}", ".durability", "('disk') is not one of full, process", "write one of them"),
    account("an ownership", "{broker: paper, ownership: mine}", ".ownership", "('mine') is not one of shared, exclusive", "write one of them"),
    account("a poll at every moment", "{broker: paper, connection: {poll_interval_ms: 99}}", ".connection.poll_interval_ms", "('99') is out of range", "write at least 100"),
    account("a quiet period before now", "{broker: paper, connection: {quiet_period_ms: -1}}", ".connection.quiet_period_ms", "('-1') is out of range", "write at least 0"),
    account("a wait of hours", "{broker: paper, connection: {request_timeout_ms: 3600000}}", ".connection.request_timeout_ms", "is out of range", "at most 600000"),
    account("an empty secret", "{broker: paper, credentials: {key: ''}}", ".credentials.key", "is empty", "set the variable"),
    account("a secret's file that is missing", "{broker: paper, credentials: {key: {file: /nowhere/x}}}", ".credentials.key", "in a file that cannot be read (No such file or directory)", "name a file"),
    account("a secret that is a mapping", "{broker: paper, credentials: {key: {fil: x}}}", ".credentials.key", "is a mapping", "{file: PATH}"),
    # Routes
    setting("a route to nowhere", "routes: {r: [papr, pap]}", "routes.r", "names no account that there is", "write some of: paper"),
    setting("a route with an account twice", "routes: {r: [paper, paper]}", "routes.r[1]", "('paper') stands there twice", "keep one"),
    setting("a route of no account", "routes: {r: []}", "routes.r", "holds fewer than 1 entries", "Accounts in order"),
    setting("a route that is a word", "routes: {r: paper}", "routes.r", "('paper') is not a list", "[a, b]"),
    setting("a route called as an account", "routes: {paper: [paper]}", "routes.paper", "has the id of an account", "another id"),
    # Variables
    setting("a variable that is not set", "server: {data_dir: '${NOT_THERE}'}", "server.data_dir", "needs the variable NOT_THERE, which is not set", "'${NOT_THERE:-default}'"),
    setting("a variable without an end", "server: {data_dir: '${HOME'}", "server.data_dir", "holds a '${' that is not", "'$${'"),
    setting("a variable without a name", "server: {data_dir: '${}'}", "server.data_dir", "that is not '${NAME}' or '${NAME:-default}'", "mend it"),
    setting("a variable in a variable", "server: {data_dir: '${A:-${B}}'}", "server.data_dir", "holds a '${' that is not", "mend it"),
    setting("a variable's wrong value", "server: {drain_grace_s: '${TEN:-ten}'}", "server.drain_grace_s", "('${TEN:-ten}') is not a whole number", "digits alone"),
    # Production
    Bad("a secret in the file", "profile: production\naccounts: {x: {broker: paper, credentials: {api_key: abc}}}", 2, "accounts.x.credentials.api_key", "is a secret written in the file, which production refuses", "write '${NAME}'"),
    Bad("a secret as a default", "profile: production\naccounts: {x: {broker: paper, credentials: {k: '${K:-abc}'}}}", 2, "accounts.x.credentials.k", "is a secret written in the file", "'{file: PATH}'"),
    Bad("half a secret", "profile: production\naccounts: {x: {broker: paper, credentials: {k: 'ab${K:-}'}}}", 2, "accounts.x.credentials.k", "is a secret written in the file", "was seen"),
    setting("clear text in production", "profile: production\nserver: {listen: {address: 0.0.0.0:1, insecure: true}}", "server.listen.insecure", "is set, which production refuses", "give the listener 'tls'"),
]  # fmt: skip
CASES[-1] = Bad(**{**vars(CASES[-1]), "line": 3})


def problems_of(file: Path) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(file, environment={"K": "from the environment"})
    return caught.value


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_bad_file_is_explained(tmp_path: Path, case: Bad) -> None:
    """The message names the file, the line, the key, the value and the way out."""
    file = tmp_path / "brokergate.yaml"
    file.write_text(case.text, "utf-8")
    error = problems_of(file)
    told = [problem for problem in error.problems if case.says in problem.text]
    assert told, str(error)
    problem = told[0]
    assert (problem.file, problem.line, problem.key) == (str(file), case.line, case.key)
    assert case.way_out in problem.way_out
    assert str(problem) in str(error)


def test_nothing_else_is_said_of_a_bad_file(tmp_path: Path) -> None:
    """One mistake is one problem, but for two; beside it, that a part is of a later release."""
    two = {"a listener key misspelt", "a merge key"}
    for case in CASES:
        file = tmp_path / "brokergate.yaml"
        file.write_text(case.text, "utf-8")
        error = problems_of(file)
        others = [problem for problem in error.problems if "is not in this release" not in problem.text]
        assert len(others or error.problems) == 1 + (case.name in two), f"{case.name}\n{error}"


def test_there_are_enough_of_them() -> None:
    """Each with a name of its own."""
    assert len({case.name for case in CASES}) == len(CASES) >= 40


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    """Of all kinds, in the order of the files and their lines, each once."""
    first, second = tmp_path / "1.yaml", tmp_path / "2.yaml"
    first.write_text(
        "accounts:\n  a: {broker: binance}\n  b: {broker: paper, paper: {latency_ms: x}}\n  b: {broker: paper}\n"
        "server:\n  data_dir: ${NOT_THERE}\n"
    )
    second.write_text("profil: x\nserver: {drain_grace_s: x}\n")
    with pytest.raises(ConfigError) as caught:
        load(first, second)
    found = [(Path(problem.file).name, problem.line, problem.key) for problem in caught.value.problems]
    assert found == [
        ("1.yaml", 2, "accounts.a.broker"),
        ("1.yaml", 3, "accounts.b.paper.latency_ms"),
        ("1.yaml", 4, "accounts.b"),
        ("1.yaml", 6, "server.data_dir"),
        ("2.yaml", 1, "profil"),
        ("2.yaml", 2, "server.drain_grace_s"),
    ]


def test_problems_beyond_the_bound_are_counted(tmp_path: Path) -> None:
    """A file of another program does not flood the terminal."""
    file = tmp_path / "c.yaml"
    file.write_text(GOOD + "".join(f"key{number}: 1\n" for number in range(MAX_PROBLEMS + 7)))
    assert str(problems_of(file)).endswith("\nand 7 more")


def test_a_long_value_is_cut(tmp_path: Path) -> None:
    """At 64 characters, as everywhere."""
    file = tmp_path / "c.yaml"
    file.write_text(GOOD + f"profile: {'x' * 1000}\n")
    assert len(str(problems_of(file)).removeprefix(str(file))) < 250


class TestUnreadable:
    """Files that are no text at all."""

    def test_missing(self, tmp_path: Path) -> None:
        """Every missing file is named."""
        with pytest.raises(ConfigError) as caught:
            load(tmp_path / "a.yaml", tmp_path / "b.yaml")
        assert [Path(problem.file).name for problem in caught.value.problems] == ["a.yaml", "b.yaml"]
        assert "cannot be read (No such file or directory); give the path of a YAML file" in str(caught.value)

    def test_a_folder(self, tmp_path: Path) -> None:
        """A folder is no file."""
        assert "(Is a directory)" in str(problems_of(tmp_path))

    def test_not_utf_8(self, tmp_path: Path) -> None:
        """The line is named."""
        file = tmp_path / "c.yaml"
        file.write_bytes(GOOD.encode() + b"profile: \xff\n")
        assert f"{file}:2: is not UTF-8" in str(problems_of(file))

    def test_too_large(self, tmp_path: Path) -> None:
        """Read no further than the bound."""
        file = tmp_path / "c.yaml"
        file.write_bytes(b"#" * (MAX_FILE_BYTES + 1))
        assert f"larger than {MAX_FILE_BYTES} bytes" in str(problems_of(file))

    def test_too_many_values(self, tmp_path: Path) -> None:
        """A few hundred bytes of aliases would be billions of values."""
        file = tmp_path / "c.yaml"
        levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 10)]
        file.write_text("l0: &l0 [x]\n" + "\n".join(levels))
        assert f"more than {MAX_VALUES} values" in str(problems_of(file))


class TestEnvFile:
    """A `.env` that is wrong."""

    @pytest.mark.parametrize(
        ("content", "line", "says"),
        [
            (b"A=1\nthis is not one\n", 2, "is not 'NAME=value'"),
            (b"A=1\n\nB='hunter2\n", 3, "is not 'NAME=value'"),
            (b"A=\xff\n", 1, "is not UTF-8"),
            (b"#" * (MAX_FILE_BYTES + 1), 0, "is larger than"),
        ],
    )
    def test_it_is_named(self, tmp_path: Path, content: bytes, line: int, says: str) -> None:
        """With its line, and without its values."""
        (tmp_path / ".env").write_bytes(content)
        (tmp_path / "c.yaml").write_text(GOOD)
        (problem,) = problems_of(tmp_path / "c.yaml").problems
        assert (problem.file, problem.line) == (str(tmp_path / ".env"), line)
        assert says in problem.text
        assert "hunter2" not in str(problem)

    def test_it_cannot_be_read(self, tmp_path: Path) -> None:
        """A folder of that name."""
        (tmp_path / ".env").mkdir()
        (tmp_path / "c.yaml").write_text(GOOD)
        assert ".env: cannot be read (Is a directory)" in str(problems_of(tmp_path / "c.yaml"))
