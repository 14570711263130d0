"""Routes against the accounts that they name.

An account that is not there is no reason to refuse the rest: its route goes on without it, and says so. A route of
which nothing is left, or which mixes what is live with what is not, is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as MappingOf

from brokergate.config.brokers import WORDS, BrokerKind
from brokergate.config.document import Listing, Mapping, Node
from brokergate.config.gateway import GatewayConfig
from brokergate.config.kinds import Found, accounts_of, problem, shown, text_of
from brokergate.config.problems import nearest
from brokergate.domain.accounts import Environment


def check_routes(tree: Mapping, kinds: MappingOf[str, BrokerKind]) -> Iterator[Found]:
    """Each route has an id of its own and an account at least, each once, and never falls back from live to paper."""
    routes = tree.items.get("routes")
    known = dict(accounts_of(tree))
    for route, node in routes.items.items() if isinstance(routes, Mapping) else ():
        if route in known:
            yield problem(("routes", route), node, "has the id of an account", "give the route another id")
        if isinstance(node, Listing) and node.items:
            yield from _check_accounts(route, node, known, kinds)


def _check_accounts(
    route: str, listing: Listing, known: MappingOf[str, Mapping], kinds: MappingOf[str, BrokerKind]
) -> Iterator[Found]:
    seen: dict[str, bool | None] = {}
    for index, node in enumerate(listing.items):
        account = text_of(node)
        if account is None:
            continue
        if account in seen:
            yield problem(("routes", route, index), node, f"{shown(node)} stands there twice", "keep one")
            continue
        live = seen[account] = _is_live(known[account], kinds) if account in known else None
        unlike = next(
            (name for name, its in seen.items() if None not in (its, live) and its is not live), None
        )
        if unlike is not None:
            text = f"{shown(node)} is {'' if live else 'not '}live, and {unlike!r} is{' not' if live else ''}"
            way_out = "make one route of the live accounts and another one of the others"
            yield problem(("routes", route, index), node, text, way_out)
    names = [name for name in map(text_of, listing.items) if name is not None]
    if names and not any(name in known for name in names):
        way_out = f"write some of: {', '.join(sorted(known)) or 'none there are'}"
        yield problem(("routes", route), listing, "names no account that there is", way_out)


def _is_live(account: Mapping, kinds: MappingOf[str, BrokerKind]) -> bool | None:
    """Whether the account is at its broker for real; None where its environment cannot be told."""
    node: Node | None = account.items.get("environment")
    if node is None:
        kind = kinds.get(text_of(account.items.get("broker")) or "")
        return None if kind is None else kind.environments[0] is Environment.LIVE
    environment = WORDS.get(text_of(node) or "")
    return None if environment is None else environment is Environment.LIVE


def missing_accounts(config: GatewayConfig) -> Iterator[str]:
    """What is to be told of the accounts that routes name and that are not there."""
    for route, accounts in config.routes.items():
        for index, account in enumerate(accounts):
            if account not in config.accounts:
                close = nearest(account, config.accounts)
                hint = f"; did you mean {close}?" if close else ""
                yield f"routes.{route}[{index}]: {account!r} is not an account, and the route goes on without it{hint}"
