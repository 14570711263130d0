/** The conformance runner: does the steps of clients/CONFORMANCE.md through this client, and prints what it saw. */
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { inspect } from "node:util";
import { type DescMethod, type DescMethodUnary, fromBinary, toBinary } from "@bufbuild/protobuf";
import { decimalText } from "../src/decimals.js";
import * as client from "../src/index.js";
import { Code, Decimal, Gateway, GatewayError, newId, StartPosition, v1 } from "../src/index.js";

type Step = Record<string, any>;

const SERVICES = [
  v1.AccountService,
  v1.BrokerService,
  v1.EventService,
  v1.InstrumentService,
  v1.MarketDataService,
  v1.OrderService,
  v1.PositionService,
  v1.SimulatorService,
  v1.TradingControlService,
];

type Next = IteratorResult<client.Fill | client.EventItem, void>;

interface OpenStream {
  readonly stream: client.FillStream | client.EventStream;
  readonly items: AsyncGenerator<client.Fill | client.EventItem, void>;
  readonly last: Map<string, bigint>;
  /** A read that a `take` began and did not wait for. */
  pending: Promise<Next> | undefined;
  inOrder: boolean;
}

let gateway: Gateway | undefined;
let options: client.ConnectOptions = {};
const streams = new Map<string, OpenStream>();

function connected(): Gateway {
  if (gateway === undefined) throw new Error("there is no client: connect first");
  return gateway;
}

function openStream(name: string): OpenStream {
  const found = streams.get(name);
  if (found === undefined) throw new Error(`no stream is called ${name}`);
  return found;
}

/** The name of an enum's number without its prefix, or the number where it has none. */
function nameOf(names: Record<number, string>, value: number): string {
  return names[value] ?? String(value);
}

function methodOf(rpc: string): DescMethod {
  const [service, name] = rpc.split("/");
  for (const known of SERVICES) {
    if (known.typeName === service || known.name === service) {
      const method = known.methods.find((candidate) => candidate.name === name);
      if (method !== undefined) return method;
    }
  }
  throw new Error(`the contract has no ${rpc}`);
}

const decode = (text: string) => new Uint8Array(Buffer.from(text, "base64"));
const encode = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
const text = (value: client.Decimal | undefined) => value?.toFixed() ?? null;

function orderOf(order: client.Order) {
  const { spec } = order;
  return {
    order_id: order.orderId,
    client_order_id: order.clientOrderId,
    account_id: order.accountId,
    symbol: spec?.symbol ?? "",
    side: nameOf(client.Side, spec?.side ?? 0),
    type: nameOf(client.OrderType, spec?.type ?? 0),
    state: nameOf(client.OrderState, order.state),
    generation: order.generation,
    quantity: text(order.quantity),
    cum_quantity: text(order.cumQuantity),
    leaves_quantity: text(order.leavesQuantity),
    limit_price: text(spec?.limitPrice),
    average_price: text(order.averagePrice),
    reject_reason: nameOf(client.ErrorReason, order.rejectReason),
  };
}

const KINDS: Record<string, string> = Object.fromEntries(
  v1.EventSchema.oneofs[0]!.fields.map((field) => [field.localName, field.name.toUpperCase()]),
);

function itemOf(item: client.Fill | client.Event) {
  const { eventId: event_id, accountId: account_id, sequence, cursor } = item;
  const place = { event_id, account_id, sequence, cursor };
  if (item.kind === "event") return { ...place, kind: KINDS[item.payload.case ?? ""] ?? "UNKNOWN" };
  return {
    ...place,
    fill_id: item.fillId,
    client_order_id: item.clientOrderId,
    symbol: item.symbol,
    side: nameOf(client.Side, item.side),
    quantity: text(item.quantity),
    price: text(item.price),
    kind: nameOf(client.FillKind, item.kind),
    liquidity: nameOf(client.Liquidity, item.liquidity),
    fees: item.fees.map(({ amount, currencyCode }) => ({ amount: text(amount), currency_code: currencyCode })),
  };
}

function errorOf(error: GatewayError) {
  return {
    code: nameOf(Code as unknown as Record<number, string>, error.code),
    reason: error.reasonName,
    message: error.text,
    violations: error.violations,
    metadata: error.metadata,
    retry_delay_ms: error.retryDelayMs === undefined ? null : Math.round(error.retryDelayMs),
    outcome_unknown: error.outcomeUnknown,
    id: error.id,
  };
}

function close(): void {
  for (const { stream, pending } of streams.values()) {
    pending?.catch(() => undefined);
    stream.close();
  }
  streams.clear();
  gateway?.close();
  gateway = undefined;
}

function orderNameOf(step: Step): client.OrderName {
  return step.order_id ? { orderId: step.order_id } : { clientOrderId: step.client_order_id };
}

type Ending = "caught_up" | "timed_out";

async function take(step: Step) {
  const open = openStream(step.name);
  const items: unknown[] = [];
  let [count, ending]: [number, Ending | undefined] = [0, undefined];
  let last: client.Fill | client.Event | undefined;
  // One waiter that is told by whoever comes first: racing promises that live long would keep every item alive.
  let wake = () => {};
  const end = (how: Ending) => {
    ending ??= how;
    wake();
  };
  const timer = setTimeout(() => end("timed_out"), step.timeout_ms ?? 20_000);
  if (step.until === "caught_up") {
    if (open.stream.isCaughtUp) end("caught_up");
    else {
      // What ends the stream is told to its reader as well.
      const ended = () => {};
      void open.stream.caughtUp().then(() => end("caught_up"), ended);
    }
  }
  try {
    while (ending === undefined && (step.count == null || count < step.count)) {
      open.pending ??= open.items.next();
      const next = await new Promise<Next | undefined>((resolve, reject) => {
        wake = () => resolve(undefined);
        open.pending?.then(resolve, reject);
      }).catch((error) => {
        open.pending = undefined;
        throw error;
      });
      if (next === undefined) break;
      open.pending = undefined;
      const { value } = next;
      if (value === undefined) throw new Error("the stream has ended");
      if (value.kind === "caughtUp" || value.kind === "snapshot") continue;
      count += 1;
      last = value;
      const sequence = BigInt(value.sequence);
      if (sequence <= (open.last.get(value.accountId) ?? 0n)) open.inOrder = false;
      open.last.set(value.accountId, sequence);
      if (!step.summary) items.push(itemOf(value));
    }
  } finally {
    clearTimeout(timer);
  }
  const how = ending === undefined ? {} : { [ending]: true };
  if (!step.summary) return { items, ...how };
  return { count, in_order: open.inOrder, last: last === undefined ? null : itemOf(last), ...how };
}

const STEPS: Record<string, (step: Step) => unknown> = {
  connect(step) {
    close();
    const pem = (file: string | null | undefined) => (file ? readFileSync(file) : undefined);
    const [roots, certificate, key] = [pem(step.ca_file), pem(step.cert_file), pem(step.key_file)];
    options = {
      ...(step.token != null && { token: step.token }),
      ...(roots && {
        tls: {
          roots,
          ...(certificate && { certificate }),
          ...(key && { key }),
          ...(step.server_name && { serverName: step.server_name }),
        },
      }),
      ...(step.timeout_ms != null && { deadlineMs: step.timeout_ms }),
    };
    gateway = new Gateway(step.address, options);
    return {};
  },
  disconnect() {
    close();
    return {};
  },
  show() {
    const shown = connected();
    const forms = [String(shown), inspect(shown, { showHidden: true, depth: 20 }), JSON.stringify(shown)];
    const caller = inspect(shown.caller, { showHidden: true, depth: 20 });
    return { text: [...forms, caller, inspect({ ...shown }, { depth: 20 })].join("\n") };
  },
  new_id: ({ count }) => ({ ids: Array.from({ length: count }, newId) }),
  decimal: (step) => ({ text: new Decimal(decimalText(step.text, "text")).toFixed() }),
  async call(step) {
    const method = methodOf(step.rpc) as DescMethodUnary;
    const giveUp = new AbortController();
    const timer = step.cancel_after_ms == null ? undefined : setTimeout(() => giveUp.abort(), step.cancel_after_ms);
    try {
      const request = fromBinary(method.input, decode(step.request));
      const options = { deadlineMs: step.timeout_ms ?? undefined, signal: giveUp.signal };
      const answer = await connected().caller.unary(method, request, step.id ?? "", options);
      return { response: encode(toBinary(method.output, answer)) };
    } finally {
      clearTimeout(timer);
    }
  },
  async stream_call(step) {
    const method = methodOf(step.rpc);
    const requests = step.requests.map((request: string) => fromBinary(method.input, decode(request)));
    const responses: string[] = [];
    for await (const message of connected().caller.stream(method, requests, {
      deadlineMs: step.timeout_ms ?? 10_000,
    })) {
      responses.push(encode(toBinary(method.output, message)));
      if (responses.length === step.take) break;
    }
    return { responses };
  },
  async place(step) {
    const spec: Step = { symbol: step.symbol, side: v1.Side[step.side], type: v1.OrderType[step.type] };
    spec.size = { case: "quantity", value: step.quantity };
    if (step.limit_price != null) spec.limitPrice = step.limit_price;
    if (step.stop_price != null) spec.stopPrice = step.stop_price;
    if (step.time_in_force != null) spec.timeInForce = v1.TimeInForce[step.time_in_force];
    if (step.post_only != null) spec.postOnly = step.post_only;
    const { order, alreadyExisted } = await connected().place(step.account_id, spec as client.OrderSpec, {
      clientOrderId: step.client_order_id ?? undefined,
      deadlineMs: step.timeout_ms ?? undefined,
    });
    return { order: orderOf(order), already_existed: alreadyExisted };
  },
  async replace(step) {
    const change: client.Change = {
      ...(step.quantity != null && { quantity: step.quantity }),
      ...(step.limit_price != null && { limitPrice: step.limit_price }),
    };
    const once = { requestId: step.request_id ?? undefined, deadlineMs: step.timeout_ms ?? undefined };
    const name = orderNameOf(step);
    return { order: orderOf(await connected().replace(step.account_id, name, step.expected_generation, change, once)) };
  },
  async cancel(step) {
    const once = { requestId: step.request_id ?? undefined, deadlineMs: step.timeout_ms ?? undefined };
    return { order: orderOf(await connected().cancel(step.account_id, orderNameOf(step), once)) };
  },
  open(step) {
    const start = step.start as keyof typeof StartPosition | undefined;
    const common = {
      accountIds: step.account_ids ?? [],
      after: step.after ?? undefined,
      start: start == null ? StartPosition.LIVE : (StartPosition[start] ?? new Date(start)),
      ...(step.heartbeat_ms != null && { heartbeatMs: step.heartbeat_ms }),
    };
    const kinds = (step.kinds ?? []).map((kind: keyof typeof client.EventKind) => client.EventKind[kind]);
    const stream =
      step.stream === "fills"
        ? connected().fills({ ...common, symbols: step.symbols ?? [] })
        : connected().events({ ...common, kinds });
    const items = stream[Symbol.asyncIterator]() as OpenStream["items"];
    const open: OpenStream = { stream, items, last: new Map(), pending: undefined, inOrder: true };
    // Opens it at the gateway; what comes first waits for the first `take`.
    open.pending = items.next();
    open.pending.catch(() => undefined);
    streams.set(step.name, open);
    return {};
  },
  take,
  stream: ({ name }) => ({ cursor: openStream(name).stream.cursor, reconnects: openStream(name).stream.reconnects }),
  async close({ name }) {
    const { stream, items, pending } = openStream(name);
    streams.delete(name);
    stream.close();
    await pending?.catch(() => undefined);
    await items.return();
    return {};
  },
};

async function answer(line: string): Promise<unknown> {
  let step: Step = {};
  try {
    step = JSON.parse(line);
    const run = STEPS[step.do];
    if (run === undefined) return { failed: `no step is called ${step.do}` };
    return { ok: await run(step) };
  } catch (error) {
    if (!(error instanceof GatewayError)) return { failed: inspect(error) };
    const gaveUp = step.cancel_after_ms != null && error.code === Code.CANCELLED;
    return { error: gaveUp ? { code: "CANCELLED" } : errorOf(error) };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await answer(line))}\n`);
}
close();
