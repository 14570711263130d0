"""The page: one HTML file that needs nothing but a browser, drawn from a run's document.

Everything that comes from outside (symbols, ids, messages) stands in JSON alone, with `<`, `>` and `&` escaped, and the
script puts it on the page as text, never as markup.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from brokergate.backtest.recording import PriceSeries
from brokergate.backtest.results import Document
from brokergate.backtest.runner import Finished

_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_PARTS = ("style.css", "draw.js", "tables.js", "report.js")


def render(run: Finished, document: Document) -> str:
    """The page of a run and its document."""
    assets = files("brokergate.backtest").joinpath("page")
    page = assets.joinpath("page.html").read_text("utf-8")
    style, *scripts = [assets.joinpath(part).read_text("utf-8") for part in _PARTS]
    data = {**document, "prices": _prices(run)}
    # The data comes last, so that nothing in it is taken for a place to fill.
    page = page.replace("/*style*/", style).replace("/*script*/", "\n".join(scripts))
    return page.replace("{data}", embedded(data))


def embedded(data: object) -> str:
    """JSON that can stand inside a script element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return "".join(_ESCAPES.get(letter, letter) for letter in text) if _special(text) else text


def _special(text: str) -> bool:
    return any(letter in text for letter in _ESCAPES)


def _prices(run: Finished) -> dict[str, Any]:
    """The price of each instrument that orders were given in, of the first one where there was none. Times are
    microseconds after the run's start, prices half ticks; each number is the difference to the one before."""
    ordered = {record.order.spec.symbol for record in run.blotter.records.values()}
    shown = [symbol for symbol in run.recorder.prices if symbol in ordered] or list(run.recorder.prices)[:1]
    return {symbol: _deltas(run.recorder.prices[symbol], run.start_ns) for symbol in shown}


def _deltas(series: PriceSeries, start_ns: int) -> dict[str, list[int]]:
    times = [(time_ns - start_ns) // 1000 for time_ns, _ in series.points]
    prices = [doubled for _, doubled in series.points]
    return {"times": _differences(times), "prices": _differences(prices)}


def _differences(values: list[int]) -> list[int]:
    return [value - before for value, before in zip(values, [0, *values], strict=False)]
