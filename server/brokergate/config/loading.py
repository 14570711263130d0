"""From files to a configuration: read, lay over one another, expand the variables, check, and say all that is wrong."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from brokergate.config.brokers import BrokerKind
from brokergate.config.checks import check
from brokergate.config.document import (
    Mapping,
    Node,
    lay_over,
    parse_document,
    plain,
    read_document,
)
from brokergate.config.environment import Expansion, read_env_file
from brokergate.config.explain import explain
from brokergate.config.filling import refused_credentials, with_credentials
from brokergate.config.gateway import GatewayConfig, gateway_model
from brokergate.config.kinds import conflicts, named_kinds, with_brokers_defaults
from brokergate.config.overrides import NO_OVERRIDES, Overrides, override
from brokergate.config.problems import ConfigError, Problem

if TYPE_CHECKING:
    from brokergate.credentials.lookup import Keyring

EMBEDDED_NAME = "the built-in configuration"
EMBEDDED = "accounts: {paper: {broker: paper}}"
"""What is served without a file: one paper account on its default market, the synthetic one."""


def load_config(
    files: Sequence[Path],
    *,
    brokers: MappingOf[str, BrokerKind],
    environment: MappingOf[str, str],
    overrides: Overrides = NO_OVERRIDES,
    keyring: Keyring | None = None,
) -> GatewayConfig:
    """The configuration of `files`, later ones laid over earlier ones; without files the embedded default.

    Mappings merge key by key, values and lists replace. Variables are expanded after that, from `environment` and,
    behind it, the `.env` beside the first file (in the current folder without files). `brokers` are all that an
    account may name; only those that one does are taken out. `keyring` has credentials of accounts that have
    none in the files. Reads files, and nothing else of the machine. Raises `ConfigError` with all problems.
    """
    problems: list[Problem] = []
    tree = _read(files, problems)
    variables, unreadable = read_env_file((files[0].parent if files else Path()) / ".env")
    problems += unreadable
    tree = override(tree, overrides, problems)
    expansion = Expansion({**variables, **environment})
    expanded = expansion.expand(tree)
    assert isinstance(expanded, Mapping)
    kinds, unusable = named_kinds(expanded, brokers)
    model = gateway_model(kinds)
    config: GatewayConfig | None = None
    problems += expansion.problems
    problems += unusable
    expanded = with_credentials(expanded, kinds, (environment, variables), keyring, problems)
    problems += check(model, expanded, brokers, kinds, expansion.failed, tuple(problems))
    try:
        config = model.model_validate(plain(with_brokers_defaults(expanded, kinds)))
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        problems += explain(model, expanded, details, expansion.failed)
    if config is not None and not problems:
        problems += refused_credentials(config.accounts, expanded, kinds)
        problems += conflicts(config.accounts, expanded, kinds)
    if problems or config is None:
        raise ConfigError(_in_order(problems, files)) from None
    return config


def _read(files: Sequence[Path], problems: list[Problem]) -> Mapping:
    if not files:
        return parse_document(EMBEDDED, EMBEDDED_NAME)[0]
    trees: list[Mapping] = []
    unread: list[Problem] = []
    for file in files:
        try:
            tree, duplicates = read_document(file)
        except ConfigError as error:
            unread += error.problems
        else:
            trees.append(tree)
            problems += duplicates
    if unread:
        # What would be missing because of a file that was not read is not worth telling.
        raise ConfigError([*unread, *problems])
    merged: Node = trees[0]
    for tree in trees[1:]:
        merged = lay_over(merged, tree)
    assert isinstance(merged, Mapping)
    return merged


def _in_order(problems: Sequence[Problem], files: Sequence[Path]) -> list[Problem]:
    """By file as they were given, then by line; each once."""
    order = {str(file): index for index, file in enumerate(files)}
    unique = dict.fromkeys(problems)
    return sorted(
        unique,
        key=lambda problem: (order.get(problem.file, len(order)), problem.file, problem.line, problem.key),
    )
