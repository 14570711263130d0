"""Write docs/configuration.md from the configuration's models, so that it says what they do."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, SecretStr

from brokergate.adapters.registry import BROKERS
from brokergate.config import gateway_model
from brokergate.config.fields import alternatives, settings

PAGE = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"

INTRODUCTION = """\
# Configuration

<!-- Written by tools/configuration_docs.py from server/brokergate/config; change it there. -->

```sh
brokergate init development > brokergate.yaml     # also: testing, production
brokergate check brokergate.yaml                  # says all that is wrong, and what would be served
brokergate serve --config brokergate.yaml
```

Without a file the gateway serves one paper account, `paper`, on a synthetic market, on `127.0.0.1:50051`, with its data
in `./data`.

**Files.** YAML, UTF-8. Several `--config` are laid over one another in their order: mappings merge key by key at every
depth; a value, a null or a list replaces what was there. Options of the command line (`--listen`, `--data-dir`,
`--insecure`, `--log-format`) win over all files. `--listen` changes the address of the one listener there is and
leaves its TLS alone. Paths are relative to the folder that the gateway is started in.

**Values** are the text that is written, so `0.1` is exactly 0.1, an account may be called `no`, and quotes change
nothing. Switches are `true` or `false`. Whole numbers are digits alone. Amounts are plain decimals without an exponent,
at most 20 digits before the point and 18 after it. Keys that are not settings, keys that stand twice, tags and merge
keys (`<<`) are refused; anchors and aliases work.

**Variables.** `${NAME}` is the value of a variable and an error where it is not set; `${NAME:-default}` is the default
where it is not set or empty; `$${` is a plain `${`. They are replaced after the files were laid over one another, once,
in values and not in keys, and what they hold is never read as YAML. Within braces quote them: `{api_key: "${KEY}"}`.
The process's environment is asked first, then the file `.env` beside the first configuration file (without files: in
the current folder). A variable that is set and empty in the environment hides the one of `.env`. A `$` in `.env` is a
`$`.

**Secrets** are written `${NAME}` or `{file: PATH}`. With `profile: production` a secret in the file itself is refused,
as are listeners without TLS that other machines can reach. No error and no log shows a secret, or what a variable
holds.

**Tokens.** `brokergate token new NAME --scope read|trade|admin --accounts ID,…` makes one in `data_dir/tokens.json`. As
long as none was ever made, programs on this machine need none; others always need a token, or a client certificate.

**Exit status.** `check`: 0 when all is well, 1 with problems. `serve`: 2 for a configuration that cannot be used, 1
when it could not start for another reason, 0 after SIGTERM or Ctrl+C.
"""


def kind(annotation: Any) -> str:
    """A type in a reader's words."""
    members = [member for member in alternatives(annotation) if member is not type(None)]
    return " or ".join(dict.fromkeys(_kind(member) for member in members))


def _kind(member: Any) -> str:
    origin, arguments = get_origin(member), get_args(member)
    if origin is dict:
        return f"name → {kind(arguments[1])}"
    if origin in (list, tuple):
        return f"list of {kind(arguments[0])}"
    if isinstance(member, type):
        if issubclass(member, BaseModel):
            return "section"
        if issubclass(member, Enum):
            return "word"
        known = {bool: "switch", int: "whole number", Decimal: "amount", SecretStr: "secret", str: "text"}
        return known.get(member, "path" if issubclass(member, Path) else member.__name__)
    return str(member)


def bounds(metadata: list[Any]) -> str:
    """The limits of a value, of pydantic's constraints."""
    texts = []
    for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<")):
        texts += [
            f"{sign} {getattr(item, name)}" for item in metadata if getattr(item, name, None) is not None
        ]
    return ", ".join(texts)


def page() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *_sections()])


def _sections() -> Iterator[str]:
    model = gateway_model(BROKERS)
    found = list(settings(model))
    groups: dict[str, list[str]] = {"": []}
    titles: dict[str, str] = {"": model.__doc__ or ""}
    for setting in found:
        # A section's settings stand under the section's own path, in a table of their own.
        parent = re.sub(r"\.?[^.]+$", "", setting.path)
        name = setting.path.rpartition(".")[2]
        field = setting.field
        words = kind(field.annotation)
        limits = bounds(field.metadata)
        need = " **Required.**" if field.is_required() and "Required" not in (field.description or "") else ""
        text = " ".join((field.description or "").split()).replace("|", "\\|")
        row = f"| `{name}` | {words}{f', {limits}' if limits else ''} | {text}{need} |"
        groups.setdefault(parent, []).append(row)
        for section in setting.sections:
            step = {"section": ""}.get(words, ".<id>" if words.startswith("name") else "[]")
            titles.setdefault(setting.path + step, section.__doc__ or "")
    for path, rows in groups.items():
        yield f"## {f'`{path}`' if path else 'The file'}\n"
        yield " ".join(titles.get(path, "").split()) + "\n"
        yield "| setting | value | what it is |\n|---|---|---|"
        yield "\n".join(rows) + "\n"


def main() -> int:
    """Write the page, or with --check say whether it is up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 where the page is out of date"
    )
    if parser.parse_args().check:
        if PAGE.exists() and PAGE.read_text("utf-8") == page():
            return 0
        print(
            "docs/configuration.md is out of date; run 'python tools/configuration_docs.py'", file=sys.stderr
        )
        return 1
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
