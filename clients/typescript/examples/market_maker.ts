/**
 * A market maker for a paper account: it quotes one bid below the market's and one ask above it, moves them with it,
 * follows its fills, and on Ctrl+C, or after --seconds, cancels both and closes the position.
 *
 *     build/market_maker --seconds 30
 *
 * A token is taken from BROKERGATE_TOKEN.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import {
  Code,
  Decimal,
  ErrorReason,
  type Exact,
  Gateway,
  GatewayError,
  limitOrder,
  MarketDataKind,
  newId,
  type Order,
  type OrderSpec,
  OrderState,
  Side,
  type v1,
} from "brokergate-client";

const { values } = parseArgs({
  options: {
    address: { type: "string", default: "127.0.0.1:50051" },
    account: { type: "string", default: "paper" },
    symbol: { type: "string", default: "BTC/USDT" },
    /** The size of each quote. */
    quantity: { type: "string", default: "0.01" },
    /** How far each quote is from the best price, in price increments. */
    ticks: { type: "string", default: "20" },
    /** The largest position, long or short, in quotes. */
    most: { type: "string", default: "5" },
    /** The least seconds between two moves. */
    interval: { type: "string", default: "0.2" },
    seconds: { type: "string" },
  },
});
const { account, symbol } = values;
const quantity = new Decimal(values.quantity);
/** Up to this position, long or short, there is room for a quote. */
const room = quantity.times(values.most).minus(quantity);
const token = process.env["BROKERGATE_TOKEN"];
const gateway = new Gateway(values.address, token === undefined ? {} : { token });

let position = new Decimal(0);
let [placed, replaced, filled] = [0, 0, 0];
const quotes = new Map<Side, Order>();
/** Placed, and nobody knows whether. */
const unanswered = new Map<Side, { clientOrderId: string; spec: OrderSpec }>();

const ENDED: ReadonlySet<OrderState> = new Set([
  OrderState.FILLED,
  OrderState.CANCELED,
  OrderState.REJECTED,
  OrderState.EXPIRED,
]);
/** What a market stream ends with for good. */
const FINAL: ReadonlySet<Code> = new Set([
  Code.INVALID_ARGUMENT,
  Code.NOT_FOUND,
  Code.FAILED_PRECONDITION,
  Code.UNAUTHENTICATED,
  Code.PERMISSION_DENIED,
  Code.UNIMPLEMENTED,
]);

/** Have the side's order work at `price`, or not at all. Where that fails the next quote tries again. */
async function quote(side: Side.BUY | Side.SELL, price: Decimal, wanted: boolean): Promise<void> {
  const order = quotes.get(side);
  let now: Order | undefined;
  try {
    try {
      now = await moved(side, order, price, wanted);
    } catch (error) {
      if (order === undefined || !(error instanceof GatewayError)) throw error;
      if (error.reason !== ErrorReason.ORDER_ENDED) console.log(`${Side[side]}: ${error.message}`);
      // It filled, somebody else changed it, or the outcome is not known: what it is now decides.
      now = await look(order);
    }
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    console.log(`${Side[side]}: ${error.message}`);
    return;
  }
  if (now === undefined || ENDED.has(now.state)) quotes.delete(side);
  else quotes.set(side, now);
}

/** The side's order as it is after what there was to do. */
async function moved(
  side: Side.BUY | Side.SELL,
  order: Order | undefined,
  price: Decimal,
  wanted: boolean,
): Promise<Order | undefined> {
  if (order === undefined) return wanted || unanswered.has(side) ? place(side, price) : undefined;
  if (!wanted) return gateway.cancel(account, order);
  // It may have filled here, or somebody else have ended it.
  if (order.spec?.limitPrice?.eq(price)) return look(order);
  const now = await gateway.replace(account, order, order.generation, { limitPrice: price });
  replaced += 1;
  return now;
}

/** Place a quote, or learn what became of one whose answer never came: under its id it is placed once. */
async function place(side: Side.BUY | Side.SELL, price: Decimal): Promise<Order> {
  const { clientOrderId, spec } = unanswered.get(side) ?? {
    clientOrderId: newId(),
    spec: { ...limitOrder(symbol, side, quantity, price), postOnly: true },
  };
  unanswered.delete(side);
  try {
    const { order } = await gateway.place(account, spec, { clientOrderId });
    if (order.state === OrderState.REJECTED) {
      console.log(`${Side[side]}: ${ErrorReason[order.rejectReason]}: ${order.rejectMessage}`);
    } else {
      placed += 1;
    }
    return order;
  } catch (error) {
    if (error instanceof GatewayError && error.outcomeUnknown) unanswered.set(side, { clientOrderId, spec });
    throw error;
  }
}

async function look(order: Order): Promise<Order | undefined> {
  const target = { case: "accountId" as const, value: account };
  return (await gateway.orders.getOrder({ target, order: { id: { case: "orderId", value: order.orderId } } })).order;
}

/** The market's quotes for ever: the stream is opened again where it ends. */
async function* market(signal: AbortSignal): AsyncGenerator<Exact<v1.Quote>> {
  const interval = Number(values.interval);
  const request = {
    target: { case: "accountId" as const, value: account },
    symbols: [symbol],
    kinds: [MarketDataKind.QUOTE],
    minInterval: { seconds: BigInt(Math.trunc(interval)), nanos: Math.round((interval % 1) * 1e9) },
  };
  while (!signal.aborted) {
    try {
      for await (const { updates } of gateway.marketData.streamMarketData(request, { signal })) {
        for (const { data } of updates) if (data.case === "quote") yield data.value;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof GatewayError) || FINAL.has(error.code)) throw error;
      console.log(`the market is away: ${error.message}`);
    }
    await sleep(1000, undefined, { signal }).catch(() => undefined);
  }
}

/** Cancel what works and close what is held; gives what is left. */
async function flatten(): Promise<string[]> {
  await gateway.orders.cancelAllOrders({ accountId: account, symbol });
  try {
    await gateway.positions.closePosition({ accountId: account, symbol });
  } catch (error) {
    if (!(error instanceof GatewayError && error.reason === ErrorReason.POSITION_NOT_FOUND)) throw error;
  }
  const { orders } = await gateway.orders.listOrders({ accountId: account, symbol, openOnly: true });
  const { positions, stale } = await gateway.positions.listPositions({ accountId: account });
  return [
    ...orders.map((order) => `order ${order.orderId}`),
    ...(stale ? ["a position, as far as is known: the broker is away"] : []),
    ...positions.filter((each) => each.symbol === symbol).map((each) => `position ${each.quantity}`),
  ];
}

const stop = new AbortController();
process.once("SIGINT", () => stop.abort());
process.once("SIGTERM", () => stop.abort());
if (values.seconds !== undefined && Number(values.seconds) > 0) {
  setTimeout(() => stop.abort(), Number(values.seconds) * 1000).unref();
}

/** It goes on to the end, which is to be flat, but not with status 0. */
function failed(what: unknown): void {
  console.error(what instanceof Error ? what.message : what);
  process.exitCode = 1;
  stop.abort();
}

const target = { case: "accountId" as const, value: account };
const tick = (await gateway.instruments.getInstrument({ target, symbol })).instrument?.priceIncrement ?? new Decimal(0);
const away = tick.times(values.ticks);
const held = await gateway.positions.listPositions({ accountId: account });
position = held.positions.find((each) => each.symbol === symbol)?.quantity ?? position;
const fills = gateway.fills({ accountIds: [account], symbols: [symbol], after: held.cursor });
async function follow(): Promise<void> {
  for await (const fill of fills) {
    filled += 1;
    position = fill.side === Side.BUY ? position.plus(fill.quantity) : position.minus(fill.quantity);
    console.log(`${Side[fill.side]} ${fill.quantity} at ${fill.price}, position ${position}`);
  }
}

const following = follow().catch(failed);
try {
  // A quote behind each of the best prices; a side without one stays as it is.
  for await (const { bidPrice, askPrice } of market(stop.signal)) {
    if (bidPrice !== undefined) await quote(Side.BUY, bidPrice.minus(away), position.lte(room));
    if (askPrice !== undefined) await quote(Side.SELL, askPrice.plus(away), position.gte(room.negated()));
  }
} catch (error) {
  failed(error);
}
let flat = false;
try {
  const left = await flatten();
  flat = left.length === 0;
  if (!flat) failed(`NOT FLAT in ${symbol}: ${left.join(", ")}`);
} catch (error) {
  failed(error);
  failed(`NOT FLAT in ${symbol}: orders and a position, as far as is known`);
}
fills.close();
await following;
console.log(`placed ${placed}, replaced ${replaced}, fills ${filled}`);
if (flat) console.log("flat");
gateway.close();
