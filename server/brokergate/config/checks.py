"""What no single section can say of itself. Reads the tree of the files, so that it speaks even where one fails."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from collections.abc import Mapping as MappingOf

from pydantic import BaseModel

from brokergate.config.accounts import PAPER
from brokergate.config.brokers import BrokerKind
from brokergate.config.document import Listing, Mapping, Node, Path_, scalars
from brokergate.config.fields import is_secret
from brokergate.config.filling import wrong_credentials
from brokergate.config.gateway import Profile
from brokergate.config.kinds import accounts_of, problem, shown, text_of, wrong_environments
from brokergate.config.problems import Problem
from brokergate.config.routes import check_routes
from brokergate.domain.policy import StopCause

NOT_YET = "is not in this release"
_KNOWN_BROKERS = ("alpaca", "binance", "bybit", "ibkr", "kraken", "oanda", "tradier")


def check(
    model: type[BaseModel],
    tree: Mapping,
    brokers: Collection[str],
    kinds: MappingOf[str, BrokerKind],
    failed: Collection[Path_],
    told: Sequence[Problem],
) -> Iterator[Problem]:
    """Everything that is wrong between the sections of `tree`, but for the values at `failed` and the accounts of
    `told`, told before."""
    found = [*_brokers(tree, brokers), *_stops(tree), *check_routes(tree, kinds), *_feeds(tree)]
    if text_of(tree.items.get("profile")) == Profile.PRODUCTION:
        found += [*_written_secrets(model, tree), *_insecure_listeners(tree)]
    found += wrong_environments(tree, kinds)
    found += wrong_credentials(tree, kinds, told)
    for path, wrong in found:
        if path not in failed:
            yield wrong


def _brokers(tree: Mapping, brokers: Collection[str]) -> Iterator[tuple[Path_, Problem]]:
    for account, settings in accounts_of(tree):
        path: Path_ = ("accounts", account, "broker")
        node = settings.items.get("broker")
        name = text_of(node)
        if node is not None and name in _KNOWN_BROKERS and name not in brokers:
            way_out = f"remove the account, or use one of: {', '.join(sorted(brokers))}"
            yield problem(path, node, f"{shown(node)} {NOT_YET}", way_out)
        elif node is not None and name and name not in brokers:
            way_out = f"write one of: {', '.join(sorted(brokers))}"
            yield problem(path, node, f"{shown(node)} is not the name of a broker", way_out)
        for other in brokers:
            section = settings.items.get(other)
            if section is not None and name in brokers and name != other:
                yield problem(
                    ("accounts", account, other),
                    section,
                    f"is the section of another broker than {name}",
                    "remove it",
                )


def _stops(tree: Mapping) -> Iterator[tuple[Path_, Problem]]:
    """A stop that nothing could set off is refused: somebody relies on it."""
    for account, settings in accounts_of(tree):
        trading, limits = settings.items.get("trading"), settings.items.get("risk_limits")
        causes = trading.items.get("stop_on") if isinstance(trading, Mapping) else None
        limited = isinstance(limits, Mapping) and "max_daily_loss" in limits.items
        for index, cause in enumerate(causes.items if isinstance(causes, Listing) else ()):
            if text_of(cause) == StopCause.DAILY_LOSS.value and not limited:
                way_out = "add risk_limits.max_daily_loss, or remove it"
                path: Path_ = ("accounts", account, "trading", "stop_on", index)
                yield problem(path, cause, f"{shown(cause)} stops at a limit that is not set", way_out)


def _feeds(tree: Mapping) -> Iterator[tuple[Path_, Problem]]:
    """A market that is followed is another account's that there is, and nobody follows himself, over others either."""
    known = {account for account, _ in accounts_of(tree)}
    followed = {
        account: node
        for account, settings in accounts_of(tree)
        if (node := _under(settings, PAPER, "feed", "account")) is not None
    }
    for account, node in followed.items():
        path: Path_ = ("accounts", account, PAPER, "feed", "account")
        name = text_of(node)
        if name is not None and name not in known:
            others = ", ".join(sorted(known - {account})) or "none there are"
            yield problem(path, node, f"{shown(node)} is not an account", f"write one of: {others}")
            continue
        line = [account]
        while name is not None and name in followed and name not in line:
            line.append(name)
            name = text_of(followed[name])
        if name == account:
            circle = " → ".join([*line, account])
            yield problem(
                path, node, f"{shown(node)} follows itself: {circle}", "give one of them a market of its own"
            )


def _under(node: Node | None, *keys: str) -> Node | None:
    """What stands under `keys`; None where nothing does."""
    for key in keys:
        if not isinstance(node, Mapping):
            return None
        node = node.items.get(key)
    return node


def _written_secrets(model: type[BaseModel], tree: Mapping) -> Iterator[tuple[Path_, Problem]]:
    for path, scalar in scalars(tree):
        in_file = path[-1] == "file" and is_secret(model, path[:-2])
        if is_secret(model, path) and not in_file and scalar.literal and scalar.text:
            yield problem(
                path,
                scalar,
                "is a secret written in the file, which production refuses",
                "write '${NAME}' and set the variable, or '{file: PATH}'; then replace the secret, which was seen",
            )


def _insecure_listeners(tree: Mapping) -> Iterator[tuple[Path_, Problem]]:
    server = tree.items.get("server")
    listen = server.items.get("listen") if isinstance(server, Mapping) else None
    listeners: list[tuple[Path_, Node]] = [(("server", "listen"), listen)] if listen is not None else []
    if isinstance(listen, Listing):
        listeners = [(("server", "listen", index), item) for index, item in enumerate(listen.items)]
    for path, listener in listeners:
        insecure = listener.items.get("insecure") if isinstance(listener, Mapping) else None
        if insecure is not None and (text_of(insecure) or "").lower() == "true":
            yield problem(
                (*path, "insecure"),
                insecure,
                "is set, which production refuses",
                "give the listener 'tls', or use another profile",
            )
