/** The client against a gateway that runs, dies and comes back. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
  Code,
  Decimal,
  ErrorReason,
  type Fill,
  Gateway,
  GatewayError,
  limitOrder,
  marketOrder,
  OrderState,
  pages,
  Side,
  StartPosition,
} from "../src/index.js";
import { Server } from "./server.js";

const BTC = "BTC/USDT";
const market = (quantity = "0.001") => marketOrder(BTC, Side.BUY, quantity);
const failsWith = (reason: ErrorReason) => (error: unknown) => error instanceof GatewayError && error.reason === reason;

let server: Server;
let gateway: Gateway;
before(async () => {
  server = await Server.start();
  gateway = new Gateway(server.address);
});
after(async () => {
  gateway.close();
  await server.close();
});

test("an order is placed once under its id, changed and cancelled", async () => {
  const order = limitOrder(BTC, Side.BUY, "0.1", new Decimal("1000.00"));
  const first = await gateway.place("paper", order, { clientOrderId: "twice" });
  const again = await gateway.place("paper", order, { clientOrderId: "twice" });
  assert.deepEqual([first.alreadyExisted, again.alreadyExisted], [false, true]);
  assert.equal(again.order.orderId, first.order.orderId);
  assert.ok(first.order.leavesQuantity.eq("0.1"));
  const changed = await gateway.replace("paper", first.order, 1, { limitPrice: "999" });
  assert.ok(changed.generation === 2 && changed.spec?.limitPrice?.eq(999));
  await assert.rejects(
    gateway.replace("paper", first.order, 1, { limitPrice: "998" }),
    failsWith(ErrorReason.GENERATION_MISMATCH),
  );
  const gone = await gateway.cancel("paper", { clientOrderId: "twice" });
  assert.equal(gone.state, OrderState.CANCELED);
});

test("an error names the field, and the id to repeat with", async () => {
  const off = gateway.place("paper", limitOrder(BTC, Side.BUY, "0.1", "1000.001"), { clientOrderId: "off" });
  await assert.rejects(off, (error) => {
    assert.ok(error instanceof GatewayError);
    assert.equal(error.reason, ErrorReason.PRICE_OFF_TICK);
    assert.deepEqual([error.code, error.id, error.outcomeUnknown], [Code.INVALID_ARGUMENT, "off", false]);
    assert.equal(error.violations[0]?.field, "order.limit_price");
    return true;
  });
});

test("a list is read page by page", async () => {
  const ids = Array.from({ length: 5 }, (_, index) => `page-${index}`);
  for (const clientOrderId of ids) await gateway.place("paper", market(), { clientOrderId });
  const found: string[] = [];
  const request = { accountId: "paper", symbol: BTC, pageSize: 2 };
  for await (const order of pages(gateway.orders.listOrders, request, "orders")) found.push(order.clientOrderId);
  assert.deepEqual(found.slice(0, 5), ids.reverse());
});

test("order entry and market data stream", async () => {
  const commands = ["a", "b"].map((id) => ({
    requestId: id,
    command: {
      case: "place" as const,
      value: { target: { case: "accountId" as const, value: "paper" }, clientOrderId: `entry-${id}`, order: market() },
    },
  }));
  const results: string[] = [];
  for await (const response of gateway.orders.streamOrderEntry([{ commands }])) {
    for (const { requestId, result } of response.results) {
      assert.ok(result.case === "order" && result.value.cumQuantity.eq("0.001"));
      results.push(requestId);
    }
  }
  assert.deepEqual(results.sort(), ["a", "b"]);
  const target = { case: "accountId" as const, value: "paper" };
  const wrong = { case: "place" as const, value: { target, order: limitOrder(BTC, Side.BUY, "1e3", "1") } };
  const refused = gateway.orders.streamOrderEntry([{ commands: [{ requestId: "c", command: wrong }] }]).next();
  await assert.rejects(refused, failsWith(ErrorReason.INVALID_FIELD));
  for await (const { updates } of gateway.marketData.streamMarketData({ target, symbols: [BTC] })) {
    const [update] = updates;
    assert.ok(update?.data.case === "quote" && update.data.value.bidPrice?.gt(0));
    break;
  }
});

test("fills come once over kills, and the caught-up notice with them", async () => {
  const own = await Server.start();
  const client = new Gateway(own.address, { deadlineMs: 60_000 });
  try {
    const stream = client.fills({ accountIds: ["paper"], start: StartPosition.EARLIEST, heartbeatMs: 1000 });
    const fills: Fill[] = [];
    const wanted = 30;
    const reading = (async () => {
      for await (const fill of stream) if (fills.push(fill) === wanted) return;
    })();
    await stream.caughtUp();
    for (let number = 0; number < wanted; number++) {
      const placing = client.place("paper", market(), { clientOrderId: `order-${number}` });
      if (number % 10 === 5) {
        await sleep(number % 3);
        await own.end("SIGKILL");
        await own.start();
      }
      assert.equal((await placing).order.state, OrderState.FILLED);
    }
    await reading;
    assert.deepEqual(
      fills.map((fill) => fill.clientOrderId),
      Array.from({ length: wanted }, (_, number) => `order-${number}`),
    );
    assert.ok(stream.reconnects >= 3);
    const rest = client.fills({ accountIds: ["paper"], after: fills[wanted - 2]?.cursor });
    for await (const fill of rest) {
      assert.equal(fill.fillId, fills[wanted - 1]?.fillId);
      break;
    }
    const foreign = gateway.fills({ after: stream.cursor })[Symbol.asyncIterator]();
    await assert.rejects(foreign.next(), failsWith(ErrorReason.CURSOR_EPOCH));
  } finally {
    client.close();
    await own.close();
  }
});

test("events begin with a snapshot and say when they are live", async () => {
  const { order } = await gateway.place("paper", limitOrder(BTC, Side.BUY, "0.01", "900"));
  const kinds: string[] = [];
  for await (const item of gateway.events({ accountIds: ["paper"], start: StartPosition.SNAPSHOT })) {
    kinds.push(item.kind);
    if (item.kind === "snapshot") assert.ok(item.orders.some((each) => each.orderId === order.orderId));
    if (item.kind === "caughtUp") await gateway.place("paper", market());
    if (item.kind === "event" && item.payload.case === "fill") break;
  }
  assert.deepEqual(kinds.slice(0, 2), ["snapshot", "caughtUp"]);
});

test("a gateway that is not there is an error in time, and its outcome unknown", async () => {
  const nobody = new Gateway("127.0.0.1:1", { deadlineMs: 500 });
  await assert.rejects(nobody.place("paper", market(), { clientOrderId: "lost" }), (error) => {
    assert.ok(error instanceof GatewayError);
    assert.ok([Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED].includes(error.code));
    assert.deepEqual([error.id, error.outcomeUnknown], ["lost", true]);
    return true;
  });
  await assert.rejects(
    nobody.accounts.listAccounts({}),
    (error) => error instanceof GatewayError && !error.outcomeUnknown,
  );
  nobody.close();
  await assert.rejects(
    nobody.accounts.listAccounts({}),
    (error) => error instanceof GatewayError && error.code === Code.CANCELLED,
  );
});

test("what the caller gives up ends at once", async () => {
  const giveUp = new AbortController();
  const nobody = new Gateway("127.0.0.1:1", { deadlineMs: 60_000 });
  const waiting = nobody.accounts.listAccounts({}, { signal: giveUp.signal });
  giveUp.abort();
  await assert.rejects(waiting, (error) => error instanceof GatewayError && error.code === Code.CANCELLED);
  nobody.close();
  const stream = gateway.fills();
  const reading = stream[Symbol.asyncIterator]().next();
  await stream.caughtUp();
  stream.close();
  assert.deepEqual(await reading, { done: true, value: undefined });
});

test("who waits to be caught up is told what the stream failed of", { timeout: 30_000 }, async () => {
  const refused = gateway.fills({ accountIds: ["nobody-s"] });
  const waiting = refused.caughtUp();
  await assert.rejects(refused[Symbol.asyncIterator]().next(), failsWith(ErrorReason.ACCOUNT_NOT_FOUND));
  await assert.rejects(waiting, failsWith(ErrorReason.ACCOUNT_NOT_FOUND));
  const closed = gateway.fills();
  const never = closed.caughtUp();
  closed.close();
  const isCancelled = (error: unknown) => error instanceof GatewayError && error.code === Code.CANCELLED;
  await assert.rejects(never, isCancelled);
  await assert.rejects(closed.caughtUp(), isCancelled);
});

test("closing the client ends what is under way, CANCELLED", { timeout: 30_000 }, async () => {
  const closing = new Gateway(server.address);
  const isCancelled = (error: unknown) => error instanceof GatewayError && error.code === Code.CANCELLED;
  const fills = closing.fills({ accountIds: ["paper"] });
  const fill = fills[Symbol.asyncIterator]().next();
  await fills.caughtUp();
  const market = closing.marketData.streamMarketData({
    target: { case: "accountId", value: "paper" },
    symbols: [BTC],
  });
  await market.next();
  const update = (async () => {
    for await (const _ of market);
  })();
  const nobody = new Gateway("127.0.0.1:1", { deadlineMs: 60_000 });
  const call = nobody.accounts.listAccounts({});
  const never = nobody.fills()[Symbol.asyncIterator]().next();
  for (const each of [closing, nobody]) each.close();
  await Promise.all([fill, update, call, never].map((each) => assert.rejects(each, isCancelled)));
});
