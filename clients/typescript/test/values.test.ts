/** What needs no gateway: decimals, ids, error details, tokens. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { create, fromBinary, type DescMessage, ScalarType, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { decimalText, isDecimal, toExact, toMessage } from "../src/decimals.js";
import { detailsOf } from "../src/errors.js";
import {
  Code,
  Decimal,
  ErrorReason,
  Gateway,
  GatewayError,
  isLoopback,
  newId,
  OrderType,
  Side,
  v1,
} from "../src/index.js";

const refuses = (run: () => unknown, field: string) =>
  assert.throws(run, (error) => error instanceof GatewayError && error.violations[0]?.field === field);

test("decimals of the contract pass, at their limits too; all else is refused by name", () => {
  const widest = `-${"9".repeat(20)}.${"9".repeat(18)}`;
  for (const text of ["0", "-0.5", "00.10", widest]) assert.equal(decimalText(text, "x"), text);
  assert.equal(decimalText(new Decimal(widest), "x"), widest);
  assert.equal(decimalText(new Decimal("1e-18"), "x"), "0.000000000000000001");
  assert.equal(decimalText(10n ** 19n, "x"), "1".padEnd(20, "0"));
  const wrong = [
    "",
    " 1",
    "1 ",
    "+1",
    "1e5",
    "1.",
    ".1",
    "NaN",
    "Infinity",
    "١",
    "1_0",
    "9".repeat(21),
    `0.${"1".repeat(19)}`,
  ];
  for (const text of wrong) refuses(() => decimalText(text, "x"), "x");
  for (const value of [0.1, null, {}, new Decimal(NaN), new Decimal("1e20")])
    refuses(() => decimalText(value, "x"), "x");
});

test("arithmetic keeps the contract's 38 digits", () => {
  const wide = new Decimal(`${"9".repeat(20)}.${"9".repeat(18)}`);
  assert.equal(wide.plus("0.000000000000000001").toFixed(), "1".padEnd(21, "0"));
});

test("a field that is no decimal is named by its path", () => {
  const order = { size: { case: "quantity" as const, value: "1e3" } };
  refuses(() => toMessage(v1.PlaceOrderRequestSchema, { order }), "order.quantity");
  refuses(() => toMessage(v1.BatchPlaceOrdersRequestSchema, { orders: [{}, { order }] }), "orders[1].order.quantity");
  refuses(() => toMessage(v1.ReplaceOrderRequestSchema, { limitPrice: "" }), "limit_price");
});

test("a part of an answer can be asked for again, changed", () => {
  const spec = toExact(v1.OrderSpecSchema, create(v1.OrderSpecSchema, { symbol: "X", limitPrice: "60000" }));
  const order = { ...spec, limitPrice: "61000", takeProfit: { limitPrice: new Decimal("66000") } };
  const message = toMessage(v1.PlaceOrderRequestSchema, { order });
  const sent = fromBinary(v1.PlaceOrderRequestSchema, toBinary(v1.PlaceOrderRequestSchema, message));
  assert.deepEqual(
    [sent.order?.symbol, sent.order?.limitPrice, sent.order?.takeProfit?.limitPrice],
    ["X", "61000", "66000"],
  );
});

test("messages become exact and stay themselves", () => {
  const spec = create(v1.OrderSpecSchema, { size: { case: "quantity", value: "0.10" }, limitPrice: "60000" });
  const order = create(v1.OrderSchema, { spec, quantity: "0.10", pending: [{ replacement: { limitPrice: "1" } }] });
  const exact = toExact(v1.OrderSchema, order);
  assert.ok(exact.spec?.size.case === "quantity" && exact.spec.size.value.eq("0.1"));
  assert.ok(exact.spec.limitPrice?.eq(60000) && exact.quantity.eq("0.1"));
  assert.ok(exact.pending[0]?.replacement?.limitPrice?.eq(1));
  assert.equal(exact.averagePrice, undefined);
  assert.ok(exact.leavesQuantity.isNaN(), "what is no number is not zero");
});

test("every field of the contract that is written as a decimal is one here", () => {
  const files = [v1.AccountSchema, v1.BrokerSchema, v1.ErrorSchema, v1.EventSchema, v1.FillSchema, v1.InstrumentSchema];
  const more = [
    v1.QuoteSchema,
    v1.MoneySchema,
    v1.OrderSchema,
    v1.PositionSchema,
    v1.FaultSchema,
    v1.DiscrepancySchema,
  ];
  const text: string[] = [];
  const look = (desc: DescMessage) => {
    for (const field of desc.fields) {
      if (field.fieldKind === "scalar" && field.scalar === ScalarType.STRING && !isDecimal(field))
        text.push(field.name);
    }
  };
  for (const { file } of [...files, ...more]) file.messages.forEach(look);
  const suspects =
    /price|quantity|amount|percent|notional|cost|total|fee|latency|volume|balance|increment|_ms$|seconds$/;
  assert.deepEqual(
    text.filter((name) => suspects.test(name)),
    [],
  );
});

test("ids are long, sortable and unique", () => {
  const ids = Array.from({ length: 10_000 }, newId);
  assert.equal(new Set(ids).size, ids.length);
  assert.deepEqual([...ids].sort(), ids);
  for (const id of ids) assert.match(id, /^[A-Za-z0-9_-]{26}$/);
});

test("error details are read; newer reasons are kept as text, garbage and other details passed over", () => {
  const string = (number: number, value: string) => new BinaryWriter().tag(number, 2).string(value).finish();
  const nested = (number: number, ...parts: Uint8Array[]) =>
    new BinaryWriter().tag(number, 2).bytes(Buffer.concat(parts)).finish();
  const detail = (kind: string, ...parts: Uint8Array[]) =>
    nested(3, string(1, `type.googleapis.com/google.rpc.${kind}`), nested(2, ...parts));
  const info = (reason: string, domain = "brokergate") =>
    detail("ErrorInfo", string(1, reason), string(2, domain), nested(3, string(1, "limit"), string(2, "7")));
  const delay = nested(1, new BinaryWriter().tag(1, 0).int64(2n).tag(2, 0).int32(500_000_000).finish());
  const violation = nested(1, string(1, "order.quantity"), string(2, "wrong"));
  const status = Buffer.concat([
    ...[detail("Help", string(1, "?")), info("ELSEWHERE", "googleapis.com"), info("PRICE_OFF_TICK")],
    ...[detail("BadRequest", violation), detail("RetryInfo", delay)],
  ]);
  assert.deepEqual(detailsOf(status), {
    reason: ErrorReason.PRICE_OFF_TICK,
    reasonName: "PRICE_OFF_TICK",
    metadata: { limit: "7" },
    violations: [{ field: "order.quantity", description: "wrong" }],
    retryDelayMs: 2500,
  });
  const { reason, reasonName } = detailsOf(info("MOON_PHASE"));
  assert.deepEqual([reason, reasonName], [ErrorReason.UNSPECIFIED, "MOON_PHASE"]);
  assert.deepEqual(detailsOf(Buffer.from([0xff, 0xff, 0xff])), {});
});

test("identifying 64-bit integers are text, counts are bigint", () => {
  const event = create(v1.EventSchema, { sequence: "18446744073709551615" });
  assert.equal(fromBinary(v1.EventSchema, toBinary(v1.EventSchema, event)).sequence, "18446744073709551615");
});

const misfit = (error: unknown) =>
  error instanceof GatewayError && error.code === Code.INVALID_ARGUMENT && !error.message.includes("hush");

test("a token is never shown, and never sent unencrypted off this machine", () => {
  const gateway = new Gateway("127.0.0.1:1", { token: "hush-hush" });
  for (const shown of [
    String(gateway),
    JSON.stringify(gateway),
    inspect(gateway.caller, { showHidden: true, depth: 9 }),
  ]) {
    assert.ok(!shown.includes("hush-hush"));
  }
  gateway.close();
  assert.throws(() => new Gateway("gateway.example:50051", { token: "hush-hush" }), misfit);
  assert.throws(() => new Gateway("127.0.0.1:1", { token: "hush hush" }), misfit);
  assert.throws(() => new Gateway("127.0.0.1:1", { tls: { key: "half of a pair" } }), misfit);
  for (const address of ["127.0.0.1:1", "[::1]:1", "localhost", "dns:///localhost:1", "unix:/run/x"]) {
    assert.ok(isLoopback(address), address);
  }
  for (const address of ["10.0.0.1:1", "localhost.example:1", "[::2]:1", "127.0.0.1.example:1"]) {
    assert.ok(!isLoopback(address), address);
  }
});

test("orders are typed", () => {
  const order = { symbol: "BTC/USDT", side: Side.BUY, type: OrderType.LIMIT };
  // @ts-expect-error a number is not exact
  refuses(() => toMessage(v1.PlaceOrderRequestSchema, { order: { ...order, limitPrice: 0.1 } }), "order.limit_price");
});
