"""The example of docs/connections.md does what the page says."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import cast

from tests.e2e.process import ROOT
from tests.unit.adapters.connection.wires import raw, raw_server

PAGE = (ROOT / "docs" / "connections.md").read_text("utf-8")
(BLOCK,) = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


async def test_the_example_tells_the_three_ends_apart() -> None:
    names: dict[str, object] = {}
    exec(compile(BLOCK, "docs/connections.md", "exec"), names)
    ask = cast(Callable[[str], Awaitable[str]], names["ask"])
    async with raw_server() as server:
        assert await ask(server.url) == "200: ok"
        assert server.requests[0].line == b"GET /time?zone=UTC%2B1 HTTP/1.1"
        server.answer = raw()
        assert (await ask(server.url)).startswith("nobody knows: ")
    assert (await ask(server.url)).startswith("nothing left: ")
