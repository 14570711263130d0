"""Secrets stay secret (law 10): whatever is wrong with a configuration, what is said of it shows none."""

from __future__ import annotations

import hashlib
import json
import string
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from brokergate.adapters.registry import BROKERS
from brokergate.config import ConfigError, gateway_model, load_config
from brokergate.config.fields import settings
from tests.unit.config.paper import load

SHOWN_AT_MOST = 6
"""Characters of a secret in a row that may turn up by chance."""

# Digests, so that no piece of a secret is by chance, or by hypothesis' knowledge of the source, a word of ours.
words = st.integers(0, 2**64).map(
    lambda number: hashlib.sha256(str(number).encode()).hexdigest()[:32].upper()
)
signs = st.text(string.punctuation + string.ascii_letters, max_size=3)
anything = st.tuples(signs, words, signs, words, signs).map("".join)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all examples."""
    return tmp_path_factory.mktemp("secrecy")


def pieces(secret: str) -> Iterator[str]:
    """All that must not be seen of a secret."""
    for start in range(len(secret) - SHOWN_AT_MOST):
        yield secret[start : start + SHOWN_AT_MOST + 1]


def outcome(file: Path, **environment: str) -> str:
    """All that loading a file lets the world see: the configuration, or the error with its traceback."""
    try:
        config = load(file, environment=environment)
    except ConfigError as raised:
        error = raised
    else:
        account = config.accounts["paper"]
        shown = [config, config.model_dump(), account.credentials]
        return "\n".join([str(config), config.model_dump_json(), *map(repr, shown)])
    assert error.__context__ is None, "a chained error would be printed with this one"
    return "\n".join([repr(error), repr(error.problems), *traceback.format_exception(error)])


def assert_hidden(secret: str, said: str) -> None:
    for piece in pieces(secret):
        assert piece not in said, f"{piece!r} of the secret {secret!r} is in:\n{said}"


def credentials(text: str, rest: str = "") -> str:
    return f"accounts:\n  paper:\n    broker: paper\n    credentials:\n      {text}\n{rest}"


@given(
    secret=anything, other=st.sampled_from(["", "server: {listen: x}\n", "zzz: 1\n", "profile: production\n"])
)
def test_a_secret_where_it_belongs(folder: Path, secret: str, other: str) -> None:
    """Quoted in the file, with and without something else that is wrong, and where production refuses it."""
    file = folder / "c.yaml"
    file.write_text(credentials(f"api_key: {json.dumps(secret)}", other))
    assert_hidden(secret, outcome(file))


@given(secret=anything)
@example("*abcdefghijklmnop")
@example("!abcdefghijklmnop")
@example("&abcdefghijklmnop")
@example("%abcdefghijklmnop")
@example("'abcdefghijklmnop")
@example("abcdefghijklm: nop")
@example("[abcdefghijklmnop")
@example("${abcdefghijklmnop!")
def test_a_secret_that_is_not_quoted(folder: Path, secret: str) -> None:
    """As YAML it may be a tag, an alias or nonsense; what is said of that does not repeat it."""
    # "${NAME}" names a variable, which is told: nobody can mend what is not named.
    assume("${" not in secret or "}" not in secret)
    file = folder / "c.yaml"
    file.write_text(credentials(f"api_key: {secret}"))
    assert_hidden(secret, outcome(file))


@given(secret=words)
def test_a_secret_in_the_place_of_its_name(folder: Path, secret: str) -> None:
    """Key and value changed places, also twice."""
    file = folder / "c.yaml"
    file.write_text(credentials(f"{secret}: api_key\n      {secret}: api_key"))
    assert_hidden(secret, outcome(file))


@given(
    secret=anything,
    shape=st.sampled_from(["[{}]", "{{a: {}}}", "{{file: {}}}", "{{file: [{}]}}", "{{file: /x, more: {}}}"]),
)
def test_a_secret_in_another_form(folder: Path, secret: str, shape: str) -> None:
    """A list or a mapping where a text belongs."""
    assume("/" not in secret)
    file = folder / "c.yaml"
    file.write_text(credentials("api_key: " + shape.format(json.dumps(secret))))
    assert_hidden(secret, outcome(file))


@given(secret=anything)
def test_a_secret_in_a_file(folder: Path, secret: str) -> None:
    """`{file: PATH}`."""
    (folder / "secret").write_text(secret)
    file = folder / "c.yaml"
    file.write_text(credentials(f"api_key: {{file: {folder / 'secret'}}}"))
    assert_hidden(secret, outcome(file))


@given(
    secret=words, name=st.sampled_from(["api_key", "apikey", "token", "secret", "password", "private_key"])
)
def test_a_secret_under_a_key_that_is_no_setting(folder: Path, secret: str, name: str) -> None:
    """Beside `credentials` and not in it: the key is told, the value is not."""
    file = folder / "c.yaml"
    file.write_text(f"accounts: {{paper: {{broker: paper, {name}: {secret}}}}}")
    assert_hidden(secret, outcome(file))


def everywhere() -> list[str]:
    """Every setting there is, as a document that sets it and no other to a variable."""
    documents = []
    for setting in settings(gateway_model(BROKERS)):
        parts = setting.path.replace("[]", ".[]").replace("<id>", "paper").split(".")
        text = "${SECRET}"
        tree: object = text
        for part in reversed(parts):
            tree = [tree] if part == "[]" else {part: tree}
        documents.append(json.dumps(tree))
        # And one level below it, where it is a section or maps names to values.
        tree = {"paper": text}
        for part in reversed(parts):
            tree = [tree] if part == "[]" else {part: tree}
        documents.append(json.dumps(tree))
    return documents


EVERYWHERE = everywhere()


@given(secret=anything, document=st.sampled_from(EVERYWHERE), prefix=st.sampled_from(["", "x", "1"]))
def test_a_variable_in_any_setting(folder: Path, secret: str, document: str, prefix: str) -> None:
    """What is wrong with its value is told by the reference, never by the value."""
    first, second = folder / "1.yaml", folder / "2.yaml"
    first.write_text("accounts: {paper: {broker: paper}}\n")
    second.write_text(document.replace("${SECRET}", prefix + "${SECRET}"))
    try:
        load_config([first, second], brokers=BROKERS, environment={"SECRET": secret})
    except ConfigError as error:
        assert_hidden(secret, "".join(traceback.format_exception(error)))


def test_every_setting_was_tried() -> None:
    """The documents above reach the settings of all sections."""
    assert len(EVERYWHERE) > 80
    assert any("price_collar_percent" in document for document in EVERYWHERE)
    assert any("push" in document for document in EVERYWHERE)
    assert any("client_ca" in document for document in EVERYWHERE)


@given(secret=anything)
def test_a_secret_in_the_env_file(folder: Path, secret: str) -> None:
    """Also where the file is broken just there."""
    place = folder / "env"
    place.mkdir(exist_ok=True)
    (place / ".env").write_text(f"KEY={secret}\n{secret}\nKEY2='{secret}\n")
    (place / "c.yaml").write_text(
        credentials("api_key: ${KEY}", "server: {listen: '${KEY}', data_dir: '${KEY3}'}\n")
    )
    assert_hidden(secret, outcome(place / "c.yaml"))
