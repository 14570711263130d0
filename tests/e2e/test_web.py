"""A gateway for browsers and REST: clients/web in a process of its own, before a real gateway, and its page in a real
browser. Screenshots go to .reports/web."""

from __future__ import annotations

import http.client
import json
import shlex
import struct
import subprocess
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc
import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

from brokergate.v1 import account_pb2, enums_pb2, event_pb2, order_pb2, order_service_pb2_grpc
from tests.e2e.browser import open_browser
from tests.e2e.conftest import StartServer
from tests.e2e.process import ROOT, ServerProcess, environment, run_brokergate
from tests.unit.transport.certificates import Authority
from tools.clients import Language

WEB = Language("web", ("go",))
SCREENSHOTS = ROOT / ".reports" / "web"
PATIENCE_S = 20.0
JSON = {"Content-Type": "application/json", "Connect-Protocol-Version": "1"}


@pytest.fixture(autouse=True, scope="module")
def _toolchain() -> None:
    """Go is there, or its absence is no error here."""
    if reason := WEB.left_out:
        pytest.skip(f"clients/web left out: {reason}")


@contextmanager
def served(gateway: str, *arguments: str | Path) -> Iterator[str]:
    """The web server before a gateway; its address. Built where it is not yet."""
    WEB.build()
    with subprocess.Popen(
        [
            WEB.folder / "build" / "brokergate-web",
            "--listen",
            "127.0.0.1:0",
            "--gateway",
            gateway,
            *arguments,
        ],
        stdout=subprocess.PIPE,
        env=environment(),
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("http://"), line
            yield line.strip().removeprefix("http://")
        finally:
            process.terminate()
            assert process.wait(PATIENCE_S) == 0


@pytest.fixture(scope="module")
def web(shared_server: ServerProcess) -> Iterator[str]:
    with served(shared_server.address) as address:
        yield address


def ask(
    web: str, path: str, body: object = None, *, headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    """The status and the JSON that a GET, or a POST of `body`, gets."""
    connection = http.client.HTTPConnection(web, timeout=PATIENCE_S)
    try:
        connection.request(
            "GET" if body is None else "POST",
            path,
            None if body is None else json.dumps(body),
            {"Content-Type": "application/json"} if headers is None else headers,
        )
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def market(client_order_id: str, quantity: str = "0.01", side: str = "SIDE_BUY") -> dict[str, Any]:
    """A market order, as REST takes it."""
    order = {"symbol": "BTC/USDT", "side": side, "type": "ORDER_TYPE_MARKET", "quantity": quantity}
    return {"clientOrderId": client_order_id, "order": order}


def test_the_web_server_passes_its_own_tests() -> None:
    """gofmt, vet, and what needs no gateway."""
    try:
        WEB.test()
    except subprocess.CalledProcessError as error:
        pytest.fail(error.stdout)


def test_rest(web: str) -> None:
    """Placed once, seen everywhere, cancelled; what is wrong is named."""
    orders = "/v1/accounts/paper/orders"
    status, placed = ask(web, orders, market("rest-1"))
    assert (status, placed["order"]["state"]) == (200, "ORDER_STATE_FILLED")
    status, again = ask(web, orders, market("rest-1"))
    assert (status, again["alreadyExisted"]) == (200, True)
    assert ask(web, f"{orders}/rest-1")[1]["order"] == placed["order"]
    assert ask(web, f"{orders}?pageSize=1")[1]["orders"] == [placed["order"]]
    assert ask(web, "/v1/accounts/paper/fills")[1]["fills"][0]["clientOrderId"] == "rest-1"
    assert ask(web, "/v1/accounts/paper/positions")[1]["positions"][0]["symbol"] == "BTC/USDT"
    assert {each["currencyCode"] for each in ask(web, "/v1/accounts/paper/balances")[1]["balances"]} >= {
        "BTC",
        "USDT",
    }
    assert ask(web, "/v1/accounts/paper/quotes/BTC/USDT")[1]["quote"]["bidPrice"]
    assert ask(web, "/v1/accounts")[1]["accounts"][0]["accountId"] == "paper"

    resting = market("rest-2")
    resting["order"] |= {"type": "ORDER_TYPE_LIMIT", "limitPrice": "1000"}
    assert ask(web, orders, resting)[1]["order"]["state"] == "ORDER_STATE_NEW"
    status, cancelled = ask(web, f"{orders}/rest-2:cancel", {"requestId": "rest-cancel"})
    assert (status, cancelled["order"]["state"]) == (200, "ORDER_STATE_CANCELED")

    resting["clientOrderId"] = "rest-3"
    resting["order"]["limitPrice"] = "1000.001"
    status, error = ask(web, orders, resting)
    assert (status, error["code"]) == (400, grpc.StatusCode.INVALID_ARGUMENT.value[0])
    assert error["details"][0]["reason"] == "PRICE_OFF_TICK"
    assert ask(web, f"{orders}/never")[0] == 404
    status, error = ask(web, f"{orders}?openonly=true")
    assert (status, error["details"][0]["reason"]) == (400, "MALFORMED_MESSAGE")
    assert error["details"][1]["fieldViolations"][0]["field"] == "openonly"
    assert "openOnly" in error["message"]
    assert ask(web, f"{orders}?pageSize=many")[0] == 400


def test_connect(web: str) -> None:
    """Any method by POST, one without side effects by GET, and its errors in words."""
    path = "/brokergate.v1.MarketDataService/GetQuote"
    quoted = {"accountId": "paper", "symbol": "BTC/USDT"}
    assert ask(web, path, quoted, headers=JSON)[1]["quote"]["symbol"] == "BTC/USDT"
    query = urllib.parse.urlencode({"connect": "v1", "encoding": "json", "message": json.dumps(quoted)})
    assert ask(web, f"{path}?{query}", headers={})[1]["quote"]["symbol"] == "BTC/USDT"
    assert ask(web, "/grpc.health.v1.Health/Check", {}, headers=JSON) == (200, {"status": "SERVING"})
    status, error = ask(web, path, quoted | {"symbol": "NO/SUCH"}, headers=JSON)
    assert (status, error["code"]) == (404, "not_found")
    assert error["details"][0]["debug"]["reason"] == "INSTRUMENT_NOT_FOUND"


def test_a_request_that_cannot_be_read_places_nothing(web: str) -> None:
    """It is refused at once, with the reason, by REST and by Connect; nothing in it is passed over."""
    good = market("unread")
    order = good["order"]
    bodies = [
        [],
        good | {"reduceOnly": True},
        good | {"order": order | {"quantity": 0.1}},
        good | {"order": order | {"limitPrise": "1000"}},
        good | {"order": order | {"timeInForce": "IOC"}},
    ]
    paths = {
        "/v1/accounts/paper/orders": None,
        "/brokergate.v1.OrderService/PlaceOrder": JSON,
    }
    for path, headers in paths.items():
        for body in bodies:
            status, error = ask(web, path, body, headers=headers)
            assert status == 400, (path, body, error)
            assert error["code"] == ("invalid_argument" if headers else 3)
            (info,) = error["details"]
            assert (info if headers is None else info["debug"])["reason"] == "MALFORMED_MESSAGE"
    assert ask(web, "/v1/accounts/paper/orders/unread")[0] == 404
    status, error = ask(web, "/v1/accounts/paper/orders?openOnlly=true")
    assert status >= 400
    assert "openOnlly" in error["message"]


def test_a_call_without_a_message(web: str) -> None:
    """Is refused; the gateway would never answer it."""
    with grpc.insecure_channel(web) as channel:
        call: grpc.StreamUnaryMultiCallable[bytes, bytes] = channel.stream_unary(
            "/brokergate.v1.AccountService/ListAccounts"
        )
        with pytest.raises(grpc.RpcError) as refused:
            call(iter(()), timeout=PATIENCE_S)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_the_lines_of_the_readme_work_as_pasted(server: ServerProcess) -> None:
    """From top to bottom, beside a fresh gateway."""
    text = (WEB.folder / "README.md").read_text("utf-8")
    lines = [line for line in text.splitlines() if line.startswith("curl ")]
    assert len(lines) == 7
    with served(server.address) as web:
        for line in lines:
            words = shlex.split(line, comments=True)[1:]
            headers = dict(word.split(": ", 1) for option, word in pairwise(words) if option == "-H")
            bodies = [json.loads(word) for option, word in pairwise(words) if option == "-d"]
            path = words[-1].removeprefix("http://127.0.0.1:50080")
            status, answer = ask(web, path, *bodies, headers=headers)
            assert status == 200, f"{line}\n{answer}"


def framed(message: Any) -> bytes:
    """A message as gRPC-Web sends it."""
    content: bytes = message.SerializeToString()
    return struct.pack(">BI", 0, len(content)) + content


def test_grpc_web(web: str) -> None:
    """A unary call, and a stream from the journal's beginning until it has caught up."""
    headers = {"Content-Type": "application/grpc-web+proto", "X-Grpc-Web": "1"}
    connection = http.client.HTTPConnection(web, timeout=PATIENCE_S)

    def call(method: str, message: Any) -> http.client.HTTPResponse:
        connection.request("POST", f"/brokergate.v1.{method}", framed(message), headers)
        response = connection.getresponse()
        assert response.status == 200
        return response

    def frame(response: http.client.HTTPResponse) -> tuple[int, bytes]:
        flags, length = struct.unpack(">BI", response.read(5))
        return flags, response.read(length)

    answer = call("AccountService/ListAccounts", account_pb2.ListAccountsRequest())
    flags, content = frame(answer)
    assert flags == 0
    assert account_pb2.ListAccountsResponse.FromString(content).accounts[0].account_id == "paper"
    flags, content = frame(answer)
    assert flags == 0x80
    assert b"grpc-status: 0" in content.lower()
    assert answer.read() == b""

    assert ask(web, "/v1/accounts/paper/orders", market("web-1"))[0] == 200
    earliest = event_pb2.StreamFillsRequest(start_position=event_pb2.START_POSITION_EARLIEST)
    stream = call("EventService/StreamFills", earliest)
    filled: set[str] = set()
    while True:
        flags, content = frame(stream)
        assert flags == 0, content
        message = event_pb2.StreamFillsResponse.FromString(content)
        filled |= {event.fill.fill.client_order_id for event in message.batch.events}
        if message.HasField("caught_up"):
            break
    assert "web-1" in filled
    connection.close()


def test_grpc_itself_passes(web: str) -> None:
    """So one address may serve all."""
    with grpc.insecure_channel(web) as channel:
        stub = order_service_pb2_grpc.OrderServiceStub(channel)
        spec = order_pb2.OrderSpec(
            symbol="BTC/USDT",
            side=enums_pb2.SIDE_BUY,
            type=enums_pb2.ORDER_TYPE_MARKET,
            quantity="0.01",
        )
        placed: order_pb2.PlaceOrderResponse = stub.PlaceOrder(
            order_pb2.PlaceOrderRequest(account_id="paper", client_order_id="plain-1", order=spec), timeout=10
        )
        assert placed.order.state == enums_pb2.ORDER_STATE_FILLED


def test_a_gateway_that_is_down(free_address: str) -> None:
    """Is UNAVAILABLE, in words."""
    with served(free_address) as web:
        status, error = ask(web, "/brokergate.v1.AccountService/ListAccounts", {}, headers=JSON)
    assert (status, error) == (503, {"code": "unavailable", "message": "the gateway cannot be reached"})


def test_a_gateway_with_tls(start_server: StartServer, tmp_path: Path) -> None:
    """The authority's certificate lets the server in, and another authority's does not."""
    authority = Authority(tmp_path)
    own = authority.sign("gateway")
    config = tmp_path / "tls.yaml"
    config.write_text(
        "server:\n"
        "  listen:\n"
        "    address: 127.0.0.1:0\n"
        f"    tls: {{certificate: {own.certificate}, key: {own.key}}}\n"
        "accounts: {paper: {broker: paper, paper: {feed: {synthetic: {seed: 7}}}}}\n",
        "utf-8",
    )
    credentials = grpc.ssl_channel_credentials(authority.certificate.read_bytes())
    server = start_server("--config", config, credentials=credentials)
    with served(server.address, "--ca", authority.certificate) as web:
        status, answer = ask(web, "/v1/accounts")
    assert (status, answer["accounts"][0]["accountId"]) == (200, "paper")
    (tmp_path / "other").mkdir()
    with served(server.address, "--ca", Authority(tmp_path / "other").certificate) as web:
        assert ask(web, "/v1/accounts")[0] == 503


@pytest.fixture
def free_address(start_server: StartServer) -> str:
    """Where a gateway was, and none is."""
    server = start_server()
    server.terminate()
    return server.address


class Page:
    """The page in the browser."""

    def __init__(self, driver: webdriver.Chrome, web: str) -> None:
        self.driver = driver
        driver.get_log("browser")  # type: ignore[no-untyped-call]
        metrics = {"width": 1000, "height": 700, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        driver.get(f"http://{web}/")

    def await_state(self, state: str) -> None:
        """Returns once the page says so."""
        WebDriverWait(self.driver, PATIENCE_S, 0.05).until(lambda _: self.text("state") == state)

    def await_fills(self, client_order_ids: list[str]) -> None:
        """Returns once these, newest first, are the orders of the newest fills."""

        def are_there(_: webdriver.Chrome) -> bool:
            shown = list(dict.fromkeys(row[6] for row in self.rows("fills")))
            return shown[: len(client_order_ids)] == client_order_ids

        WebDriverWait(self.driver, PATIENCE_S, 0.05).until(are_there)

    def text(self, element_id: str) -> str:
        return self.driver.find_element(By.ID, element_id).text

    def rows(self, table: str) -> list[list[str]]:
        """The table's cells."""
        rows = "[...document.getElementById(arguments[0]).tBodies[0].rows]"
        script = f"return {rows}.map(row => [...row.cells].map(cell => cell.textContent))"
        found: list[list[str]] = self.driver.execute_script(script, table)
        return found

    def errors(self) -> list[str]:
        """What the console complains of since the last look."""
        return [entry["message"] for entry in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]

    def screenshot(self, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        assert self.driver.save_screenshot(str(SCREENSHOTS / f"{name}.png"))


@pytest.fixture(scope="module")
def driver() -> Iterator[webdriver.Chrome]:
    with open_browser() as made:
        yield made


def test_the_page_lists_positions_and_follows_fills(server: ServerProcess, driver: webdriver.Chrome) -> None:
    """What was before it was opened, what comes while it is, and what comes after the gateway was killed; each once."""
    with served(server.address) as web:
        assert ask(web, "/v1/accounts/paper/orders", market("before", "0.2"))[0] == 200
        page = Page(driver, web)
        page.await_state("live")
        page.await_fills(["before"])
        assert [row[:2] for row in page.rows("positions")] == [["BTC/USDT", "0.2"]]

        assert ask(web, "/v1/accounts/paper/orders", market("while", "0.05", "SIDE_SELL"))[0] == 200
        page.await_fills(["while", "before"])
        WebDriverWait(driver, PATIENCE_S, 0.05).until(lambda _: page.rows("positions")[0][1] == "0.15")
        assert page.errors() == []
        page.screenshot("live")

        server.kill9()
        page.await_state("resuming")
        server.start()
        page.await_state("live")
        assert ask(web, "/v1/accounts/paper/orders", market("after", "0.15", "SIDE_SELL"))[0] == 200
        page.await_fills(["after", "while", "before"])
        WebDriverWait(driver, PATIENCE_S, 0.05).until(lambda _: page.rows("positions") == [])
        told = ask(web, "/v1/accounts/paper/fills")[1]["fills"]
        assert len(page.rows("fills")) == len(told)
        # Only that the gateway was away.
        assert all("Failed to load resource" in error for error in page.errors())


def test_the_page_asks_for_a_token(start_server: StartServer, driver: webdriver.Chrome) -> None:
    """Where the gateway wants one: a wrong one is refused in words, the right one opens, and neither is kept."""
    server = start_server()
    made = run_brokergate(
        *("token", "new", "page", "--scope", "read", "--accounts", "paper", "--data-dir", server.data_dir)
    )
    token = made.stdout.split()[-1]
    server.restart()
    with served(server.address) as web:
        page = Page(driver, web)
        for given, state in ((None, "ended"), ("bg_" + "A" * 43, "ended"), (token, "live")):
            if given is not None:
                driver.find_element(By.ID, "token").send_keys(given)
                driver.find_element(By.CSS_SELECTOR, "#login button").click()
            page.await_state(state)
            if state == "ended":
                assert page.text("problem").startswith("TOKEN_INVALID: ")
                # What could not be read is not shown as empty.
                assert "No position is open" not in driver.find_element(By.TAG_NAME, "body").text
                page.screenshot("token")
        assert not driver.find_element(By.ID, "login").is_displayed()
        assert "No position is open" in driver.find_element(By.TAG_NAME, "body").text
        assert driver.execute_script("return localStorage.length + sessionStorage.length") == 0
        assert token not in driver.page_source


LATE = """
const real = window.fetch;
window.fetch = async (url, init) => {
  const answer = await real(url, { ...init, signal: undefined });
  if (url.endsWith("ListPositions") && init.body.includes(arguments[0])) {
    await new Promise((resolve) => { window.release = resolve; });
  }
  return answer;
};
"""
"""Holds an account's positions back until `release()`, whatever becomes of the call."""

CHANGED = """
const real = window.fetch;
window.fetch = async (url, init) => {
  const answer = await real(url, init);
  if (!url.endsWith("ListFills")) return answer;
  const told = await answer.json();
  for (const fill of told.fills) Object.assign(fill, arguments[0]);
  return new Response(JSON.stringify(told));
};
"""
"""Puts something else into every fill that is listed."""


def choose(page: Page, account: str) -> None:
    """In the page's list of accounts."""
    Select(page.driver.find_element(By.ID, "account")).select_by_visible_text(account)


@pytest.fixture
def two_accounts(start_server: StartServer, tmp_path: Path) -> ServerProcess:
    """A gateway with the paper accounts `one` and `two`."""
    config = tmp_path / "two.yaml"
    feed = "{broker: paper, paper: {feed: {synthetic: {seed: 7}}}}"
    config.write_text(f"accounts:\n  one: {feed}\n  two: {feed}\n", "utf-8")
    return start_server("--config", config)


def test_one_account_is_never_shown_under_the_name_of_another(
    two_accounts: ServerProcess, driver: webdriver.Chrome
) -> None:
    """However late an answer comes to what was asked before another account was chosen."""
    with served(two_accounts.address) as web:
        for account in ("one", "two"):
            assert ask(web, f"/v1/accounts/{account}/orders", market(f"of-{account}"))[0] == 200
        page = Page(driver, web)
        page.await_state("live")
        choose(page, "two")
        page.await_fills(["of-two"])
        driver.execute_script(LATE, '"one"')
        choose(page, "one")
        WebDriverWait(driver, PATIENCE_S, 0.05).until(
            lambda _: driver.execute_script("return 'release' in window")
        )
        choose(page, "two")
        page.await_state("live")
        driver.execute_script("release()")
        assert ask(web, "/v1/accounts/two/orders", market("later"))[0] == 200
        page.await_fills(["later", "of-two"])
        assert len(page.rows("fills")) == len(ask(web, "/v1/accounts/two/fills")[1]["fills"])


def test_what_is_shown_while_the_broker_is_away_is_marked(
    two_accounts: ServerProcess, driver: webdriver.Chrome
) -> None:
    """Before the page was opened, and while it is open."""

    def disconnect(web: str, name: str, *, away: bool) -> None:
        faults = [{"kind": "FAULT_KIND_DISCONNECT", "ratePercent": "100"}] if away else []
        wanted = {"accountId": "one", "requestId": name, "faults": faults}
        assert ask(web, "/brokergate.v1.SimulatorService/SetFaults", wanted, headers=JSON)[0] == 200

    def await_away(page: Page, *, away: bool) -> None:
        shown = driver.find_element(By.ID, "away")
        WebDriverWait(driver, PATIENCE_S, 0.05).until(
            lambda _: away == (shown.is_displayed() and shown.text.startswith("The broker is away"))
        )

    with served(two_accounts.address) as web:
        page = Page(driver, web)
        choose(page, "one")
        page.await_state("live")
        await_away(page, away=False)
        disconnect(web, "d1", away=True)
        await_away(page, away=True)
        page.screenshot("away")
        page = Page(driver, web)
        page.await_state("resuming")
        WebDriverWait(driver, PATIENCE_S, 0.05).until(
            lambda _: page.text("problem").startswith("BROKER_UNAVAILABLE: ")
        )
        assert "No position is open" not in driver.find_element(By.TAG_NAME, "body").text
        disconnect(web, "d2", away=False)
        page.await_state("live")
        await_away(page, away=False)
        assert page.text("problem") == ""


def test_the_page_shows_so_many_fills_and_no_markup(server: ServerProcess, driver: webdriver.Chrome) -> None:
    """Of thousands the newest are there; what a broker calls things is text; a bust is no sale."""
    with served(server.address) as web:
        page = Page(driver, web)
        page.await_state("live")
        for batch in range(3):
            orders = [market(f"many-{batch}-{index}", "0.0001") for index in range(100)]
            path = "/brokergate.v1.OrderService/BatchPlaceOrders"
            assert ask(web, path, {"accountId": "paper", "orders": orders}, headers=JSON)[0] == 200
        page.await_fills(["many-2-99"])
        assert len(page.rows("fills")) == 200

        markup = "<img src=x onerror=\"document.title='mine'\">"
        driver.execute_script(CHANGED, {"symbol": markup, "clientOrderId": markup, "kind": "FILL_KIND_BUST"})
        driver.execute_script("document.getElementById('account').dispatchEvent(new Event('change'))")
        WebDriverWait(driver, PATIENCE_S, 0.05).until(
            lambda _: page.rows("fills")[:1] and page.rows("fills")[0][3] == markup
        )
        assert page.rows("fills")[0][1] == "buy, bust"
        assert page.rows("fills")[0][6] == markup
        assert driver.find_elements(By.TAG_NAME, "img") == []
