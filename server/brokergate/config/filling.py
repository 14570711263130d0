"""The credentials of accounts: taken from elsewhere where the file has none, and held against what brokers take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Mapping as MappingOf
from typing import TYPE_CHECKING

from brokergate.config.brokers import WORDS, BrokerKind
from brokergate.config.document import Mapping, Node, Path_, Scalar
from brokergate.config.kinds import Found, accounts_of, problem, text_of
from brokergate.config.problems import Problem, nearest
from brokergate.credentials.variables import CredentialsError, default_variable, plain_id, variable

if TYPE_CHECKING:
    from brokergate.config.accounts import AccountConfig
    from brokergate.credentials.lookup import Keyring, Lookup


def with_credentials(
    tree: Mapping,
    kinds: MappingOf[str, BrokerKind],
    layers: Sequence[MappingOf[str, str]],
    keyring: Keyring | None,
    problems: list[Problem],
) -> Mapping:
    """`tree` with credentials in the accounts that have none and whose brokers want some: from the variables of
    `layers`, earlier ones first, or from the keyring."""
    wanting = {
        account: kinds[broker]
        for account, settings in accounts_of(tree)
        if (broker := text_of(settings.items.get("broker"))) in kinds
        and broker is not None
        and "credentials" not in settings.items
        and kinds[broker].credential_names
    }
    accounts = tree.items.get("accounts")
    if not wanting or not isinstance(accounts, Mapping):
        return tree
    # pydantic-settings takes its time to load, and most configurations need it for nothing.
    from brokergate.credentials.lookup import Lookup

    filled: dict[str, Node] = dict(accounts.items)
    lookup: Lookup | None = None
    for account, settings in accounts_of(tree):
        if account not in wanting:
            continue
        try:
            _told_apart(account, accounts.items)
            lookup = lookup or Lookup.of(layers, keyring)
            filled[account] = _filled(account, settings, wanting[account], lookup)
        except CredentialsError as error:
            what, _, way_out = str(error).rpartition("; ")
            problems.append(problem(("accounts", account), settings, what, way_out)[1])
            filled[account] = _with(settings, Mapping(settings.origin, {}, {}))
    return Mapping(
        tree.origin, tree.items | {"accounts": Mapping(accounts.origin, filled, accounts.keys)}, tree.keys
    )


def _told_apart(account: str, accounts: MappingOf[str, Node]) -> None:
    """Two accounts that a variable cannot tell apart would share their keys."""
    alike = sorted(other for other in accounts if other != account and plain_id(other) == plain_id(account))
    if alike:
        raise CredentialsError(
            f"has an id that variables cannot tell from {alike[0]}; give one of them another, or both a 'credentials'"
        )


def _filled(account: str, settings: Mapping, kind: BrokerKind, lookup: Lookup) -> Mapping:
    written = text_of(settings.items.get("environment"))
    environment = kind.environments[0] if written is None else WORDS.get(written)
    taken = lookup.find(account, kind.name, kind.credential_names, environment)
    if taken is None:
        return settings
    secrets: dict[str, Node] = {
        name: Scalar(settings.origin, value, f"<{taken.source}>", literal=False)
        for name, value in taken.values.items()
    }
    return _with(settings, Mapping(settings.origin, secrets, dict.fromkeys(secrets, settings.origin)))


def _with(settings: Mapping, credentials: Mapping) -> Mapping:
    return Mapping(
        settings.origin,
        settings.items | {"credentials": credentials},
        settings.keys | {"credentials": settings.origin},
    )


def wrong_credentials(
    tree: Mapping, kinds: MappingOf[str, BrokerKind], told: Sequence[Problem]
) -> Iterator[Found]:
    """Accounts without the credentials that their broker takes, or with others. Not of accounts that `told` is of."""
    told_of = {problem.key for problem in told}
    for account, settings in accounts_of(tree):
        kind = kinds.get(text_of(settings.items.get("broker")) or "")
        if kind is None or not kind.credential_names or f"accounts.{account}" in told_of:
            continue
        path: Path_ = ("accounts", account, "credentials")
        node = settings.items.get("credentials")
        if node is None:
            if () not in kind.credentials:
                yield problem(path, settings, "is missing", _ways(account, kind))
        elif isinstance(node, Mapping):
            yield from _of_section(path, node, kind)


def refused_credentials(
    accounts: MappingOf[str, AccountConfig], tree: Mapping, kinds: MappingOf[str, BrokerKind]
) -> Iterator[Problem]:
    """Credentials that are complete and, as their broker's own check says, cannot be right."""
    for account, settings in accounts_of(tree):
        configured = accounts[account]
        try:
            kinds[configured.broker].check_credentials(configured.credentials)
        except ValueError as error:
            what, _, way_out = str(error).rpartition("; ")
            node = settings.items.get("credentials", settings)
            yield problem(("accounts", account, "credentials"), node, what, way_out)[1]


def _of_section(path: Path_, section: Mapping, kind: BrokerKind) -> Iterator[Found]:
    strange = [name for name in section.items if name not in kind.credential_names]
    for name in strange:
        # The name itself is not told: where a secret stands in its place, it would be.
        close = nearest(name, kind.credential_names)
        hint = f" (did you mean {close}?)" if close else ""
        text = f"has a name that {kind.name} does not take"
        yield problem(path, section.items[name], text, f"it takes {kind.takes()}{hint}")
    lacking = " and ".join(kind.lacking(section.items))
    if lacking and not strange:
        taken = next((_source(node) for node in section.items.values()), "")
        yield problem(path, section, f"{taken}lacks {lacking}", f"add it; {kind.name} takes {kind.takes()}")


def _source(node: Node) -> str:
    """Where a credential was taken from that is not of the file."""
    if isinstance(node, Scalar) and not node.literal and node.written.startswith("<"):
        return f"as taken from {node.written.strip('<>')} "
    return ""


def _ways(account: str, kind: BrokerKind) -> str:
    """What there is to do for an account without credentials."""
    names = next(names for names in kind.credentials if names)
    written = ", ".join(f'{name}: "${{{default_variable(kind.name, name)}}}"' for name in names)
    variables = " and ".join(variable(account, name) for name in names)
    by_hand = f"brokergate keyring set {account} {' '.join(names)}"
    return f"write 'credentials: {{{written}}}', set {variables}, or run '{by_hand}'"
