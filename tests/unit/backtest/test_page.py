"""The page: what stands in it, and that nothing from outside becomes markup."""

from __future__ import annotations

import json
import re
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from brokergate.backtest import results
from brokergate.backtest.commands import Given, Place
from brokergate.backtest.market import SYNTHETIC_START_NS, synthetic_market
from brokergate.backtest.page import embedded, render
from brokergate.backtest.runner import Finished, Run
from brokergate.domain.orders import OrderSpec, OrderType, Side
from brokergate.sim.terms import AccountTerms

HOSTILE = "</script><script>alert(1)</script><!-- {data} &amp; \u2028"


def hostile_run() -> Finished:
    spec = OrderSpec("BTC/USDT", Side.BUY, OrderType.MARKET, Decimal("0.5"))
    script = [Given(SYNTHETIC_START_NS + 10**9, Place(HOSTILE, spec))]
    terms = AccountTerms({"USDT": Decimal(1_000_000)})
    return Run(synthetic_market(3), terms, script=script, until_ns=SYNTHETIC_START_NS + 5 * 10**9)()


def test_what_comes_from_outside_stays_data() -> None:
    run = hostile_run()
    page = render(run, results.document(run, {"market": HOSTILE}, {"label": HOSTILE}))
    assert "alert(1)" in page
    assert "<script>alert" not in page
    assert page.count("</script>") == 2
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    data = json.loads(found[1])
    assert data["orders"][0]["client_order_id"] == HOSTILE
    assert data["inputs"]["market"] == HOSTILE


def test_the_page_needs_nothing_from_elsewhere() -> None:
    run = hostile_run()
    page = render(run, results.document(run, {}, {}))
    assert re.findall(r"(?:src|href)=\"(?!#|data:,)", page) == []
    # The name space of SVG is a name and is not fetched.
    assert set(re.findall(r"https?://[^\"'\s]+", page)) == {"http://www.w3.org/2000/svg"}
    assert "/*style*/" not in page
    assert "/*script*/" not in page


def test_prices_are_differences_that_add_up() -> None:
    run = hostile_run()
    page = render(run, results.document(run, {}, {}))
    data = json.loads(page.split('id="data">')[1].split("</script>")[0])
    series = data["prices"]["BTC/USDT"]
    points = run.recorder.prices["BTC/USDT"].points
    assert list(data["prices"]) == ["BTC/USDT"]
    assert sum(series["prices"]) == points[-1][1]
    assert sum(series["times"]) == (points[-1][0] - run.start_ns) // 1000


@given(st.text())
def test_embedded_json_reads_back_and_holds_no_markup(text: str) -> None:
    made = embedded({"text": text})
    assert json.loads(made) == {"text": text}
    assert not set("<>&\u2028\u2029") & set(made)
