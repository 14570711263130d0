"""The command line's options, laid over the files with the option as their place."""

from __future__ import annotations

from dataclasses import dataclass

from brokergate.config.document import Listing, Mapping, Node, Origin, Scalar, lay_over, parse_document
from brokergate.config.problems import Problem
from brokergate.config.server import is_loopback, split_address


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the command line says over the files; None leaves a setting as it is."""

    listen: str | None = None
    """The address of the one listener there is; its TLS stays."""
    data_dir: str | None = None
    insecure: bool = False
    """Whether every listener off loopback without TLS is accepted."""
    log_format: str | None = None
    documents: tuple[tuple[str, str], ...] = ()
    """YAML documents that an option stands for, each with what errors call it; later ones over earlier ones."""


NO_OVERRIDES = Overrides()


def override(tree: Mapping, overrides: Overrides, problems: list[Problem]) -> Mapping:
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
    if overrides.insecure and listen is not None:
        put("listen", "--insecure", _insecure(listen))
    if overrides.data_dir is not None:
        put("data_dir", "--data-dir", _option("--data-dir", overrides.data_dir))
    if overrides.log_format is not None:
        origin = Origin("--log-format")
        format_ = {"format": _option("--log-format", overrides.log_format)}
        put("log", "--log-format", Mapping(origin, dict(format_), {"format": origin}))
    for name, text in overrides.documents:
        document, duplicates = parse_document(text, name)
        problems += duplicates
        laid = lay_over(tree, document)
        assert isinstance(laid, Mapping)
        tree = laid
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


def _insecure(listen: Node) -> Node:
    """`listen` with `insecure: true` on every listener that needs it."""
    match listen:
        case Listing():
            return Listing(listen.origin, tuple(_insecure(item) for item in listen.items))
        case Mapping():
            address = listen.items.get("address")
            if "tls" in listen.items or not _reachable(address):
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
