"""The brokers by name. A new one is a folder with a `KIND` and a line in `_BUILT_IN`; one from somebody else's package
is an entry point of the group `brokergate.brokers` (docs/plugins.md), or is added by `BrokerRegistry.register`.

Nothing is loaded before it is asked for: the names cost nothing, a kind loads its settings, and a broker its adapter.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel

from brokergate.adapters.context import BrokerContext
from brokergate.config.accounts import AccountConfig
from brokergate.config.brokers import BrokerKind
from brokergate.config.section import Section
from brokergate.domain.accounts import Environment
from brokergate.ports.broker import AbstractBroker

MakeBroker = Callable[[AccountConfig, BrokerContext], AbstractBroker]
"""Makes the broker of an account from its configuration, unconnected. An `AbstractBroker` whose `__init__` takes these
two is one."""
MakeBrokerT = TypeVar("MakeBrokerT", bound=MakeBroker)

ENTRY_POINTS = "brokergate.brokers"
"""The group of entry points that bring brokers: `name = "package.module:KIND"`, a `BrokerKind`, or a module whose
import registers the name."""

_BUILT_IN: Mapping[str, str] = {
    "alpaca": "brokergate.adapters.alpaca.config:KIND",
    "binance": "brokergate.adapters.binance.config:KIND",
    "ibkr": "brokergate.adapters.ibkr.config:KIND",
    "paper": "brokergate.adapters.paper.config:KIND",
}
"""Where the kinds of our own brokers are."""


class NoSettings(Section):
    """A broker without settings of its own."""


class UnknownBrokerError(ValueError):
    """There is no broker of this name, or it cannot be loaded; the text says why, and the way out."""


class BrokerRegistry:
    """Every broker that an account may name: our own, those of installed packages, and those that were registered."""

    _registered: ClassVar[dict[str, BrokerKind]] = {}

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """All names, sorted. Loads no broker."""
        return tuple(sorted({*_BUILT_IN, *cls._registered, *_plugins()}))

    @classmethod
    def get(cls, broker: str) -> BrokerKind:
        """The kind of `broker`; its settings are loaded, what trades is not. Raises `UnknownBrokerError`."""
        if (registered := cls._registered.get(broker)) is not None:
            return registered
        plugins = _plugins().get(broker, ())
        bringers = [_package(point) for point in plugins]
        if broker in _BUILT_IN:
            bringers.append("brokergate")
        if len(bringers) > 1:
            raise UnknownBrokerError(
                f"the broker {broker!r} is brought by {' and '.join(sorted(bringers))}; uninstall all but one"
            )
        if not bringers:
            raise UnknownBrokerError(f"no broker {broker!r}; there are {', '.join(cls.names())}")
        if not plugins:
            module, _, attribute = _BUILT_IN[broker].partition(":")
            kind: BrokerKind = getattr(importlib.import_module(module), attribute)
            return kind
        return cls._loaded(broker, plugins[0])

    @classmethod
    def _loaded(cls, broker: str, point: importlib.metadata.EntryPoint) -> BrokerKind:
        """The kind that an entry point brings."""
        try:
            found = point.load()
        except Exception as error:
            raise UnknownBrokerError(
                f"the broker {broker!r} of the package {_package(point)} cannot be loaded "
                f"({type(error).__name__}: {error}); install a version of it that goes with this gateway"
            ) from error
        if isinstance(found, BrokerKind) and found.name == broker:
            cls._registered.setdefault(broker, found)
        if broker not in cls._registered:
            raise UnknownBrokerError(
                f"the package {_package(point)} announces a broker {broker!r} and brings none; its entry point has "
                "to name a BrokerKind of that name, or a module that registers one"
            )
        return cls._registered[broker]

    @classmethod
    def add(cls, kind: BrokerKind) -> None:
        """Adds a broker, before a configuration is read. `ValueError` for a name that is taken."""
        if kind.name in _BUILT_IN or kind.name in cls._registered:
            raise ValueError(f"there is a broker {kind.name!r} already; give this one another name")
        cls._registered[kind.name] = kind

    @classmethod
    def register(
        cls,
        name: str,
        *,
        settings: type[BaseModel] = NoSettings,
        environments: Sequence[Environment] = (Environment.PAPER,),
        credentials: Sequence[Sequence[str]] = ((),),
        optional_credentials: Sequence[str] = (),
    ) -> Callable[[MakeBrokerT], MakeBrokerT]:
        """Decorates a factory, or an `AbstractBroker` that takes what a factory takes: accounts may name it from then
        on. What the arguments mean is said at `BrokerKind`. `ValueError` for a name that is taken."""

        def decorate(factory: MakeBrokerT) -> MakeBrokerT:
            sets = tuple(tuple(names) for names in credentials)
            cls.add(
                BrokerKind(name, settings, factory, tuple(environments), sets, tuple(optional_credentials))
            )
            return factory

        return decorate


class BrokerKinds(Mapping[str, BrokerKind]):
    """The registry as a mapping: a kind is loaded when it is taken out."""

    def __getitem__(self, name: str) -> BrokerKind:
        if name not in self:
            raise KeyError(name)
        return BrokerRegistry.get(name)

    def __iter__(self) -> Iterator[str]:
        return iter(BrokerRegistry.names())

    def __len__(self) -> int:
        return len(BrokerRegistry.names())

    def __contains__(self, name: object) -> bool:
        return name in BrokerRegistry.names()


BROKERS = BrokerKinds()
"""Every broker there is, for `load_config`."""


@cache
def _plugins() -> Mapping[str, Sequence[importlib.metadata.EntryPoint]]:
    """The entry points of installed packages, by the broker's name; read once a process."""
    found: dict[str, list[importlib.metadata.EntryPoint]] = {}
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        found.setdefault(point.name, []).append(point)
    return found


def _package(point: importlib.metadata.EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value.partition(":")[0]


def create_broker(account: AccountConfig, context: BrokerContext) -> AbstractBroker:
    """The broker of a configured account, unconnected. Raises `UnknownBrokerError`, and `ValueError` where its factory
    makes none."""
    kind = BrokerRegistry.get(account.broker)
    broker: Any = kind.load()(account, context)
    if not isinstance(broker, AbstractBroker):
        raise ValueError(f"the factory of {kind.name!r} made a {type(broker).__name__} and no broker")
    return broker
