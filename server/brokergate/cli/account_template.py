"""The configuration to begin with for a broker that has no template of its own, such as one of an installed package."""

from __future__ import annotations

from collections.abc import Iterator

from brokergate.config.brokers import BrokerKind
from brokergate.config.fields import settings
from brokergate.credentials.variables import default_variable

WIDTH = 118
"""Characters of a line."""


def account_template(kind: BrokerKind) -> str:
    """The YAML of one account; every setting that its section can have stands in a comment."""
    return "\n".join(_lines(kind)) + "\n"


def _lines(kind: BrokerKind) -> Iterator[str]:
    name, worlds = kind.name, [world.name.lower() for world in kind.environments]
    required = next((names for names in kind.credentials if names), ())
    yield f"# brokergate with an account at {name}. Variables come from the environment, or from '.env' beside it."
    yield "#"
    for credential in required:
        yield f"#   {default_variable(name, credential)}"
    yield f"#   brokergate check {name}.yaml"
    yield f"#   brokergate brokers test {name}-main --config {name}.yaml    # connects, and places nothing"
    yield f"#   brokergate serve --config {name}.yaml"
    yield ""
    yield "accounts:"
    yield f"  {name}-main:"
    yield f"    broker: {name}"
    others = f"    # or {', '.join(worlds[1:])}" if worlds[1:] else ""
    yield f"    environment: {worlds[0]}{others}"
    if required:
        yield "    credentials:"
    for credential in required:
        yield f"      {credential}: ${{{default_variable(name, credential)}}}"
    yield "    # A live account takes orders only where this says so."
    yield "    trading: {enabled: true}"
    own = [
        setting for setting in settings(kind.settings) if "." not in setting.path and "[" not in setting.path
    ]
    if own:
        yield f"    # {name}:"
    for setting in own:
        about = " ".join((setting.field.description or "").split()).partition(". ")[0].rstrip(".")
        line = f"    #   {setting.path}:    # {about}"
        yield line if len(line) <= WIDTH else line[: WIDTH - 1].rsplit(" ", 1)[0] + " …"
