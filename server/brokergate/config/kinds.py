"""The brokers that a configuration names: what each brings to its accounts before they are validated, and whether an
account's environment is one of its broker's."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as MappingOf

from brokergate.config.accounts import AccountConfig
from brokergate.config.brokers import WORDS, BrokerKind
from brokergate.config.document import Mapping, Node, Path_, Scalar, render_path
from brokergate.config.problems import Problem
from brokergate.domain.errors import shorten

Found = tuple[Path_, Problem]


def accounts_of(tree: Mapping) -> Iterator[tuple[str, Mapping]]:
    """The accounts by their ids, as far as they are sections."""
    accounts = tree.items.get("accounts")
    for account, settings in accounts.items.items() if isinstance(accounts, Mapping) else ():
        if isinstance(settings, Mapping):
            yield account, settings


def text_of(node: Node | None) -> str | None:
    """The text of a value; None for what is none."""
    return node.text if isinstance(node, Scalar) else None


def shown(node: Node) -> str:
    """The value as the file has it."""
    return f"({shorten(node.written)!r})" if isinstance(node, Scalar) else ""


def problem(path: Path_, node: Node, text: str, way_out: str) -> Found:
    """What is wrong with the value at `path`."""
    return path, Problem(node.origin.file, node.origin.line, render_path(path), text, way_out)


def named_kinds(
    tree: Mapping, brokers: MappingOf[str, BrokerKind]
) -> tuple[dict[str, BrokerKind], list[Problem]]:
    """The kinds of the brokers that accounts name, or have a section of; no other is loaded. And what is wrong with
    those that cannot be loaded."""
    kinds: dict[str, BrokerKind] = {}
    problems: list[Problem] = []
    unusable: set[str] = set()
    for account, settings in accounts_of(tree):
        broker = settings.items.get("broker")
        for name in dict.fromkeys((text_of(broker) or "", *settings.items)):
            if name in kinds or name in unusable or name not in brokers:
                continue
            try:
                kinds[name] = brokers[name]
            except ValueError as error:
                unusable.add(name)
                what, _, way_out = str(error).rpartition("; ")
                path, node = ("accounts", account, "broker"), broker or settings
                problems.append(problem(path, node, f"{shown(node)} cannot be used: {what}", way_out)[1])
    return kinds, problems


def with_brokers_defaults(tree: Mapping, kinds: MappingOf[str, BrokerKind]) -> Mapping:
    """`tree` with the section of its broker in every account, so that its settings' own rules are held, and with the
    broker's first environment where the account names none."""
    accounts = tree.items.get("accounts")
    if not isinstance(accounts, Mapping):
        return tree
    completed: dict[str, Node] = dict(accounts.items)
    for account, settings in accounts_of(tree):
        kind = kinds.get(text_of(settings.items.get("broker")) or "")
        if kind is not None:
            written = kind.environments[0].name.lower()
            defaults: dict[str, Node] = {
                kind.name: Mapping(settings.origin, {}, {}),
                "environment": Scalar(settings.origin, written, written),
            }
            places = dict.fromkeys(defaults, settings.origin)
            completed[account] = Mapping(settings.origin, defaults | settings.items, places | settings.keys)
    return Mapping(
        tree.origin, tree.items | {"accounts": Mapping(accounts.origin, completed, accounts.keys)}, tree.keys
    )


def conflicts(
    accounts: MappingOf[str, AccountConfig], tree: Mapping, kinds: MappingOf[str, BrokerKind]
) -> Iterator[Problem]:
    """What does not go together between the accounts of a broker, as that says itself."""
    for name, kind in kinds.items():
        own = {account: config for account, config in accounts.items() if config.broker == name}
        for conflict in kind.check_accounts(own):
            path: Path_ = ("accounts", conflict.account, *conflict.key)
            node = _deepest(tree, path)
            written = shown(node) if node is not None else ""
            text = f"{written} {conflict.text}".lstrip()
            yield problem(path, tree if node is None else node, text, conflict.way_out)[1]


def _deepest(tree: Mapping, path: Path_) -> Node | None:
    """What is written at `path`, or around it."""
    node: Node = tree
    for key in path:
        below = node.items.get(str(key)) if isinstance(node, Mapping) else None
        if below is None:
            return node
        node = below
    return node


def wrong_environments(tree: Mapping, kinds: MappingOf[str, BrokerKind]) -> Iterator[Found]:
    """Accounts in a world that their broker does not have."""
    for account, settings in accounts_of(tree):
        kind = kinds.get(text_of(settings.items.get("broker")) or "")
        node = settings.items.get("environment")
        environment = WORDS.get(text_of(node) or "")
        if kind is None or node is None or environment is None or environment in kind.environments:
            continue
        worlds = " or ".join(world.name.lower() for world in kind.environments)
        path: Path_ = ("accounts", account, "environment")
        yield problem(path, node, f"{shown(node)} is no environment of {kind.name}", f"write {worlds}")
