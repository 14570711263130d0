"""The replay's page in a real browser, Debian's Chromium without a window: at the widths of a desk and a
phone, light and dark.

Screenshots of each go to .reports/replay. Without a browser these tests fail, unless BROKERGATE_BROWSER_OPTIONAL=1.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.e2e.browser import open_browser
from tests.e2e.console import brokergate

DESK, PHONE = (1280, 900), (390, 844)
SCREENSHOTS = Path(__file__).resolve().parents[2] / ".reports" / "replay"
ORDERS = """time,client_order_id,side,type,quantity,limit_price,stop_price
+10s,market-buy,buy,market,5,,
+20s,resting-buy,buy,limit,0.5,61820.00,
+40s,stop-sell,sell,stop,0.5,,61650.00
+60s,<b>resting-sell</b>,sell,limit,0.8,61720.00,
+90s,off-tick,sell,limit,0.8,61720.001,
+200s,market-sell,sell,market,3.1,,
+300s,far-buy,buy,limit,0.3,50000,
"""


class Page:
    """A report in the browser, and the results that it was drawn from."""

    def __init__(self, driver: webdriver.Chrome, file: Path) -> None:
        self.driver = driver
        self.file = file
        self.results: dict[str, Any] = json.loads(file.with_suffix(".json").read_text("utf-8"))

    def open(self, size: tuple[int, int] = DESK, scheme: str = "light") -> Page:
        """Shows it at a size and in a scheme, from the disk."""
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        self.driver.get(self.file.as_uri())
        return self

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def script(self, text: str, *arguments: object) -> Any:
        return self.driver.execute_script(text, *arguments)

    def tip(self) -> str:
        """What the tooltip says; empty while it is hidden."""
        tip = self.one("#tip")
        return tip.text if tip.is_displayed() else ""

    def errors(self) -> list[str]:
        """What the console complains of since the last look."""
        return [entry["message"] for entry in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]

    def screenshot(self, name: str) -> bytes:
        """Of the whole page, kept for people."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        height = self.script("return document.documentElement.scrollHeight")
        clip = {"x": 0, "y": 0, "width": self.script("return innerWidth"), "height": height, "scale": 1}
        answer = self.driver.execute_cdp_cmd(
            "Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True}
        )
        image = base64.b64decode(answer["data"])
        (SCREENSHOTS / f"{name}.png").write_bytes(image)
        return image


@pytest.fixture(scope="module")
def driver() -> Iterator[webdriver.Chrome]:
    with open_browser() as made:
        yield made


@pytest.fixture(scope="module")
def orders_report(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of the recorded BTC market, with orders of every fate."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "orders.csv").write_text(ORDERS)
    tape = shared_data / "crypto_l2" / "binance_spot_btcusdt_20240808.gz"
    return made(folder, "--orders", "orders.csv", "--tape", str(tape), "--paper", "taker_fee_percent=0.1")


@pytest.fixture(scope="module")
def demo_report(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of a market maker on the same market: hundreds of fills."""
    tape = shared_data / "crypto_l2" / "binance_spot_btcusdt_20240808.gz"
    return made(tmp_path_factory.mktemp("report"), "--demo", "--tape", str(tape))


def made(folder: Path, *arguments: str) -> Path:
    done = brokergate("replay", *arguments, "--report", "out.html", "--json", "out.json", cwd=folder)
    assert (done.status, done.stderr) == (0, "")
    return folder / "out.html"


@pytest.fixture
def page(driver: webdriver.Chrome, orders_report: Path) -> Page:
    return Page(driver, orders_report)


@pytest.fixture
def demo(driver: webdriver.Chrome, demo_report: Path) -> Page:
    return Page(driver, demo_report)


def rgb(text: str) -> tuple[float, ...]:
    """The numbers of `rgb(1, 2, 3)`."""
    return tuple(float(part) for part in text[text.index("(") + 1 : -1].split(",")[:3])


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, contrast ratio of two colours: (L1 + 0.05) / (L2 + 0.05) of their relative luminances."""

    def luminance(colour: str) -> float:
        parts = [part / 255 for part in rgb(colour)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_it_is_drawn_whole_at_each_width_and_scheme(
    demo: Page, page: Page, size: tuple[int, int], scheme: str
) -> None:
    """No error, no sideways scrolling, every fill a mark, nothing empty, and text that stands out."""
    for name, report in (("demo", demo), ("orders", page)):
        report.open(size, scheme)
        assert report.errors() == []
        assert report.script("return document.documentElement.scrollWidth") <= size[0]
        assert report.script("return document.body.scrollWidth") <= size[0]
        assert len(report.all("#price [data-fill]")) == len(report.results["fills"]) > 0
        for chart in ("price", "position", "equity", "drawdown"):
            drawn = report.one(f"#{chart} path.line")
            assert drawn.get_attribute("d").count("V") > 3, chart  # type: ignore[union-attr]
            assert drawn.rect["width"] > 0.6 * report.one(f"#{chart}").rect["width"]
        assert report.all("#slippage rect.bar")
        assert report.all("#waits rect.bar")
        back = report.script("return getComputedStyle(document.body).backgroundColor")
        assert (sum(rgb(back)) < 200) == (scheme == "dark")
        for selector, property_name in (
            ("body", "color"), (".note", "color"), (".tiles dt", "color"), ("summary", "color"), ("svg text", "fill"),
        ):  # fmt: skip
            colour = report.script(
                "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]",
                selector,
                property_name,
            )
            assert contrast(colour, back) >= 4.5, selector
        assert len(report.screenshot(f"{name}-{size[0]}-{scheme}")) > 50_000


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_no_label_lies_over_another(demo: Page, size: tuple[int, int]) -> None:
    """The texts of each chart, pair by pair."""
    demo.open(size)
    for chart in demo.all("figure svg[role=group]"):
        boxes = [text.rect for text in chart.find_elements(By.TAG_NAME, "text")]
        assert boxes
        for index, one in enumerate(boxes):
            for other in boxes[index + 1 :]:
                apart = (
                    one["x"] + one["width"] <= other["x"] + 1
                    or other["x"] + other["width"] <= one["x"] + 1
                    or one["y"] + one["height"] <= other["y"] + 3
                    or other["y"] + other["height"] <= one["y"] + 3
                )
                assert apart, (chart.accessible_name, one, other)


def test_pointing_at_a_fill_shows_its_price(page: Page) -> None:
    page.open()
    for fill in (page.results["fills"][0], page.results["fills"][-1]):
        mark = page.one(f'[data-fill="{fill["execution_id"]}"]')
        page.script("arguments[0].scrollIntoView({block: 'center'})", mark)
        ActionChains(page.driver).move_to_element(mark).perform()
        # Marks lie over one another where an order fills at several prices: the one on top is shown.
        shown = page.all(".fill.shown")
        assert len(shown) == 1
        found = next(
            each
            for each in page.results["fills"]
            if each["execution_id"] == shown[0].get_attribute("data-fill")
        )
        assert f"at {found['price']} as {found['liquidity'].lower()}" in page.tip()
        assert found["side"] == fill["side"]


def test_the_keyboard_goes_from_fill_to_fill(page: Page) -> None:
    """One stop for Tab, then the arrow keys; each fill says what it is."""
    page.open()
    marks = page.all("#price [data-fill]")
    assert [mark.get_attribute("tabindex") for mark in marks].count("0") == 1
    page.script("arguments[0].focus()", marks[0])
    fills = page.results["fills"]
    for fill in fills[:3]:
        assert page.driver.switch_to.active_element.get_attribute("data-fill") == fill["execution_id"]
        assert f"{fill['quantity']} at {fill['price']}" in page.tip()
        label = page.driver.switch_to.active_element.get_attribute("aria-label")
        assert label is not None
        assert fill["price"] in label
        assert fill["client_order_id"] in label
        ActionChains(page.driver).send_keys(Keys.ARROW_RIGHT).perform()
    ActionChains(page.driver).send_keys(Keys.END).perform()
    assert page.driver.switch_to.active_element.get_attribute("data-fill") == fills[-1]["execution_id"]
    ActionChains(page.driver).send_keys(Keys.ESCAPE).perform()
    assert page.tip() == ""
    assert page.errors() == []


def test_pointing_at_a_line_shows_its_value(demo: Page) -> None:
    demo.open()
    equity = demo.one("#equity svg")
    demo.script("arguments[0].scrollIntoView({block: 'center'})", equity)
    ActionChains(demo.driver).move_to_element(equity).perform()
    tip = demo.tip()
    assert tip.endswith("USDT")
    value = float(tip.split("\n")[1].removesuffix(" USDT").replace(",", ""))
    values = [float(point[1]) for point in demo.results["equity"]]
    assert min(values) - 0.01 <= value <= max(values) + 0.01


@pytest.mark.parametrize("name", ["orders", "fills"])
def test_tables_are_leafed_through(demo: Page, name: str) -> None:
    demo.open()
    rows = demo.results[name]
    key = {"orders": "client_order_id", "fills": "execution_id"}[name]

    def shown() -> list[str]:
        return [cell.text for cell in demo.all(f"#{name} tbody td:first-child")]

    def press(which: str) -> None:
        button = demo.one(f"#{name} .pager button[aria-label^={which}]")
        demo.script("arguments[0].scrollIntoView({block: 'center'})", button)
        button.click()

    assert shown() == [row[key] for row in rows[:25]]
    press("Next")
    assert shown() == [row[key] for row in rows[25:50]]
    press("Last")
    assert shown()[-1] == rows[-1][key]
    assert not demo.one(f"#{name} .pager button[aria-label^=Next]").is_enabled()
    press("First")
    assert shown()[0] == rows[0][key]
    assert demo.one(f"#{name} .pager output").text == f"1 to 25 of {len(rows)}"


def test_zooming_shows_a_part_and_all_again(demo: Page) -> None:
    """By button, by dragging over a chart, and back."""
    demo.open()
    every = len(demo.all("#price [data-fill]"))
    demo.one("#zoom-in").click()
    part = len(demo.all("#price [data-fill]"))
    assert 0 < part < every
    chart = demo.one("#price svg[role=group]")
    demo.script("arguments[0].scrollIntoView({block: 'center'})", chart)
    drag = ActionChains(demo.driver).move_to_element_with_offset(chart, -100, 120).click_and_hold()
    drag.move_by_offset(150, 0).release().perform()
    assert 0 <= len(demo.all("#price [data-fill]")) < part
    demo.one("#all").click()
    assert len(demo.all("#price [data-fill]")) == every
    assert demo.errors() == []


def test_it_follows_the_width_of_the_window(demo: Page) -> None:
    demo.open(DESK)
    metrics = {"width": PHONE[0], "height": PHONE[1], "deviceScaleFactor": 1, "mobile": False}
    demo.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    demo.driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    assert demo.one("#price svg[role=group]").rect["width"] <= PHONE[0]
    assert demo.script("return document.documentElement.scrollWidth") <= PHONE[0]
    assert len(demo.all("#price [data-fill]")) == len(demo.results["fills"])


def test_names_from_outside_are_text(page: Page) -> None:
    page.open()
    assert page.all("#orders b") == []
    assert "<b>resting-sell</b>" in page.one("#orders tbody").text


def test_charts_have_names_and_tables_beside_them(page: Page) -> None:
    page.open()
    for figure in page.all("figure"):
        assert figure.find_element(By.TAG_NAME, "figcaption").text
        figure.find_element(By.TAG_NAME, "summary").click()
        assert figure.find_elements(By.CSS_SELECTOR, "table tbody tr")
    for table in page.all("table"):
        assert table.find_elements(By.CSS_SELECTOR, "th[scope=col]")
    unnamed = [
        each
        for each in page.all("button, select, [role=region], [role=group]")
        if each.is_displayed() and not each.accessible_name
    ]
    assert unnamed == []
    assert page.driver.title == "Replay of orders.csv"


def test_a_hundred_thousand_prices_are_drawn_as_what_the_pixels_can_show(
    driver: webdriver.Chrome, demo_report: Path, tmp_path: Path
) -> None:
    """The line stays short, and a spike of a single update is still on it."""
    text = demo_report.read_text("utf-8")
    before, rest = text.split('id="data">')
    data_text, after = rest.split("</script>", 1)
    data = json.loads(data_text)
    count, spike = 100_000, 61_234
    levels = [12_366_000 + (i * 7919) % 401 - (40_000 if i == spike else 0) for i in range(count)]
    series = data["prices"]["BTC/USDT"]
    series["times"] = [3_400] * count
    series["prices"] = [level - last for level, last in zip(levels, [0, *levels], strict=False)]
    (tmp_path / "out.html").write_text(f'{before}id="data">{json.dumps(data)}</script>{after}', "utf-8")
    (tmp_path / "out.json").write_text(demo_report.with_suffix(".json").read_text("utf-8"))
    report = Page(driver, tmp_path / "out.html").open()
    assert report.errors() == []
    line = report.one("#price path.line.price").get_attribute("d")
    assert line is not None
    assert line.count("V") < 4 * DESK[0]
    lowest = max(float(step.split("H")[0]) for step in line.split("V")[1:])
    shown = sorted({float(step.split("H")[0]) for step in line.split("V")[1:]})
    assert lowest - shown[-2] > 100
    assert len(report.all("#price [data-fill]")) == len(report.results["fills"])
