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
  Decimal,
  ErrorReason,
  type Exact,
  Gateway,
  GatewayError,
  limitOrder,
  MarketDataKind,
  type Order,
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
const most = quantity.times(values.most);
const token = process.env["BROKERGATE_TOKEN"];
const gateway = new Gateway(values.address, token === undefined ? {} : { token });

let position = new Decimal(0);
let [placed, replaced, filled] = [0, 0, 0];
const quotes = new Map<Side, Order>();

const working = (order: Order) =>
  order.state === OrderState.NEW ||
  order.state === OrderState.PARTIALLY_FILLED ||
  order.state === OrderState.PENDING_NEW;

/** Have the side's order work at `price`, or not at all; gives what works then. */
async function moved(side: Side.BUY | Side.SELL, price: Decimal, wanted: boolean): Promise<Order | undefined> {
  const order = quotes.get(side);
  try {
    if (order === undefined) {
      if (!wanted) return undefined;
      const spec = { ...limitOrder(symbol, side, quantity, price), postOnly: true };
      const { order: made } = await gateway.place(account, spec);
      placed += 1;
      return made;
    }
    if (!wanted) return await gateway.cancel(account, order);
    if (order.spec?.limitPrice?.eq(price)) return order;
    const changed = await gateway.replace(account, order, order.generation, { limitPrice: price });
    replaced += 1;
    return changed;
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    if (error.reason === ErrorReason.ORDER_ENDED) return undefined; // it filled meanwhile
    console.log(`${Side[side]}: ${error.message}`);
    if (order === undefined) return undefined;
    // Somebody else changed it, or its outcome is not known yet: what it is now decides.
    const target = { case: "accountId" as const, value: account };
    const now = await gateway.orders.getOrder({ target, order: { id: { case: "orderId", value: order.orderId } } });
    return now.order;
  }
}

async function quote(side: Side.BUY | Side.SELL, price: Decimal, wanted: boolean): Promise<void> {
  const order = await moved(side, price, wanted);
  if (order !== undefined && working(order)) quotes.set(side, order);
  else quotes.delete(side);
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
      if (!(error instanceof GatewayError)) throw error;
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
    if (bidPrice !== undefined) await quote(Side.BUY, bidPrice.minus(away), position.lt(most));
    if (askPrice !== undefined) await quote(Side.SELL, askPrice.plus(away), position.gt(most.negated()));
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
