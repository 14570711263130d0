"""From files to a configuration: read, lay over one another, expand the variables, check, and say all that is wrong."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from brokergate.config.checks import check
from brokergate.config.document import (
    Listing,
    Mapping,
    Node,
    Origin,
    Scalar,
    lay_over,
    parse_document,
    plain,
    read_document,
)
from brokergate.config.environment import Expansion, read_env_file
from brokergate.config.explain import explain
from brokergate.config.gateway import GatewayConfig, gateway_model
from brokergate.config.problems import ConfigError, Problem
from brokergate.config.server import is_loopback, split_address

EMBEDDED_NAME = "the built-in configuration"
EMBEDDED = "accounts: {paper: {broker: paper}}"
"""What is served without a file: one paper account on its default market, the synthetic one."""


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the command line says over the files; None leaves a setting as it is."""

    listen: str | None = None
    """The address of the one listener there is; its TLS stays."""
    data_dir: str | None = None
    insecure: bool = False
    """Whether every listener off loopback without TLS is accepted."""
    log_format: str | None = None


def load_config(
    files: Sequence[Path],
    *,
    brokers: MappingOf[str, type[BaseModel]],
    environment: MappingOf[str, str],
    overrides: Overrides = Overrides(),
) -> GatewayConfig:
    """The configuration of `files`, later ones laid over earlier ones; without files the embedded default.

    Mappings merge key by key, values and lists replace. Variables are expanded after that, from `environment` and,
    behind it, the `.env` beside the first file (in the current folder without files). `brokers` are the models of the
    brokers' own sections. Reads files, and nothing else of the machine. Raises `ConfigError` with all problems.
    """
    problems: list[Problem] = []
    tree = _read(files, problems)
    variables, unreadable = read_env_file((files[0].parent if files else Path()) / ".env")
    problems += unreadable
    tree = _override(tree, overrides, problems)
    expansion = Expansion({**variables, **environment})
    expanded = expansion.expand(tree)
    assert isinstance(expanded, Mapping)
    model = gateway_model(brokers)
    config: GatewayConfig | None = None
    problems += expansion.problems
    problems += check(model, expanded, brokers, expansion.failed)
    try:
        config = model.model_validate(plain(_with_broker_sections(expanded, brokers)))
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        problems += explain(model, expanded, details, expansion.failed)
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


def _override(tree: Mapping, overrides: Overrides, problems: list[Problem]) -> Mapping:
    """`tree` with the command line's options, each with the option as its place."""
    settings: dict[str, Node] = {}
    keys: dict[str, Origin] = {}

    def put(name: str, option: str, value: Node) -> None:
        settings[name] = value
        keys[name] = Origin(option)

    server = tree.items.get("server")
    listen = server.items.get("listen") if isinstance(server, Mapping) else None
    if overrides.listen is not None:
        listen = _listen_elsewhere(listen, overrides.listen, problems)
        put("listen", "--listen", listen)
    if overrides.insecure:
        put("listen", "--insecure", _insecure(listen))
    if overrides.data_dir is not None:
        put("data_dir", "--data-dir", _option("--data-dir", overrides.data_dir))
    if overrides.log_format is not None:
        origin = Origin("--log-format")
        format_ = {"format": _option("--log-format", overrides.log_format)}
        put("log", "--log-format", Mapping(origin, dict(format_), {"format": origin}))
    if not settings:
        return tree
    origin = Origin(next(iter(keys.values())).file)
    layer = Mapping(origin, {"server": Mapping(origin, settings, keys)}, {"server": origin})
    merged = lay_over(tree, layer)
    assert isinstance(merged, Mapping)
    return merged


def _listen_elsewhere(listen: Node | None, address: str, problems: list[Problem]) -> Node:
    """The listener of the files at another address."""
    option = _option("--listen", address)
    if isinstance(listen, Listing) and len(listen.items) == 1:
        listen = listen.items[0]
    if isinstance(listen, Listing) and listen.items:
        text = f"names one address for the {len(listen.items)} listeners of {listen.origin.file}"
        problems.append(Problem("--listen", 0, "server.listen", text, "change the file"))
        return listen
    if isinstance(listen, Mapping):
        return Mapping(
            listen.origin, listen.items | {"address": option}, listen.keys | {"address": option.origin}
        )
    return option


def _insecure(listen: Node | None) -> Node:
    """`listen` with `insecure: true` on every listener that needs it."""
    match listen:
        case Listing():
            return Listing(listen.origin, tuple(_insecure(item) for item in listen.items))
        case Mapping():
            address = listen.items.get("address")
            if "tls" in listen.items or "insecure" in listen.items or not _reachable(address):
                return listen
            option = _option("--insecure", "true")
            return Mapping(
                listen.origin, listen.items | {"insecure": option}, listen.keys | {"insecure": option.origin}
            )
        case Scalar() if _reachable(listen):
            option = _option("--insecure", "true")
            keys = {"address": listen.origin, "insecure": option.origin}
            return Mapping(listen.origin, {"address": listen, "insecure": option}, keys)
        case Scalar():
            return listen
        case None:
            return _option("--insecure", "127.0.0.1:50051")


def _reachable(address: Node | None) -> bool:
    """Whether `address` may be off loopback; a variable may be anything."""
    if not isinstance(address, Scalar) or address.text is None:
        return False
    try:
        return not is_loopback(split_address(address.text)[0])
    except ValueError:
        return "${" in address.text


def _option(option: str, text: str) -> Scalar:
    return Scalar(Origin(option), text, text)


def _with_broker_sections(tree: Mapping, brokers: MappingOf[str, type[BaseModel]]) -> Mapping:
    """`tree` with the section of its broker in every account, so that its settings' own rules are held."""
    accounts = tree.items.get("accounts")
    if not isinstance(accounts, Mapping):
        return tree
    completed: dict[str, Node] = {}
    for account, settings in accounts.items.items():
        completed[account] = settings
        if not isinstance(settings, Mapping):
            continue
        broker = settings.items.get("broker")
        name = broker.text if isinstance(broker, Scalar) else None
        if name in brokers and name not in settings.items and name is not None:
            empty = Mapping(settings.origin, {}, {})
            completed[account] = Mapping(settings.origin, settings.items | {name: empty}, settings.keys)
    return Mapping(
        tree.origin, tree.items | {"accounts": Mapping(accounts.origin, completed, accounts.keys)}, tree.keys
    )


def _in_order(problems: Sequence[Problem], files: Sequence[Path]) -> list[Problem]:
    """By file as they were given, then by line; each once."""
    order = {str(file): index for index, file in enumerate(files)}
    unique = dict.fromkeys(problems)
    return sorted(
        unique,
        key=lambda problem: (order.get(problem.file, len(order)), problem.file, problem.line, problem.key),
    )
