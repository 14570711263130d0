/**
 * A small market maker: it keeps a bid and an ask at the best prices, follows its fills, and is flat when it ends.
 *
 *     build/market_maker --seconds 30 [--address 127.0.0.1:50051] [--account paper] [--symbol BTC/USDT] [--quantity 0.01]
 *
 * Without --seconds it goes on until Ctrl+C. A token is taken from BROKERGATE_TOKEN.
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
    quantity: { type: "string", default: "0.01" },
    seconds: { type: "string" },
  },
});
const { account, symbol } = values;
const quantity = new Decimal(values.quantity);
/** The most that it holds, either way. */
const limit = quantity.times(5);
const token = process.env["BROKERGATE_TOKEN"];
const gateway = new Gateway(values.address, token === undefined ? {} : { token });

let position = new Decimal(0);
let [placed, replaced, filled] = [0, 0, 0];
const quotes = new Map<Side, Order>();

const working = (order: Order) =>
  order.state === OrderState.NEW ||
  order.state === OrderState.PARTIALLY_FILLED ||
  order.state === OrderState.PENDING_NEW;

/** Have the quote of one side rest at `price`: placed, or moved there. */
async function quoteAt(side: Side.BUY | Side.SELL, price: Decimal | undefined): Promise<void> {
  const order = quotes.get(side);
  const full = side === Side.BUY ? position.gte(limit) : position.lte(limit.negated());
  if (price === undefined || full || order?.spec?.limitPrice?.eq(price)) return;
  try {
    if (order === undefined) {
      const { order: made } = await gateway.place(account, {
        ...limitOrder(symbol, side, quantity, price),
        postOnly: true,
      });
      placed += 1;
      if (working(made)) quotes.set(side, made);
    } else {
      const moved = await gateway.replace(account, order, order.generation, { limitPrice: price });
      replaced += 1;
      if (working(moved)) quotes.set(side, moved);
      else quotes.delete(side);
    }
  } catch (error) {
    // It filled or changed before it could be moved, or would take there: the next quote goes on from what it is now.
    if (!(error instanceof GatewayError && error.code === Code.FAILED_PRECONDITION) || order === undefined) throw error;
    const now = (
      await gateway.orders.getOrder({
        target: { case: "accountId", value: account },
        order: { id: { case: "orderId", value: order.orderId } },
      })
    ).order;
    if (now !== undefined && working(now)) quotes.set(side, now);
    else quotes.delete(side);
  }
}

/** The best bid and ask for ever: the stream is opened again where it ends. */
async function* market(signal: AbortSignal): AsyncGenerator<Exact<v1.Quote>> {
  while (!signal.aborted) {
    try {
      const request = {
        target: { case: "accountId" as const, value: account },
        symbols: [symbol],
        kinds: [MarketDataKind.QUOTE],
        minInterval: { seconds: 0n, nanos: 200_000_000 },
      };
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

const stop = new AbortController();
process.once("SIGINT", () => stop.abort());
process.once("SIGTERM", () => stop.abort());
if (values.seconds !== undefined) setTimeout(() => stop.abort(), Number(values.seconds) * 1000).unref();

const held = await gateway.positions.listPositions({ accountId: account });
position = held.positions.find((each) => each.symbol === symbol)?.quantity ?? position;
const fills = gateway.fills({ accountIds: [account], symbols: [symbol], after: held.cursor });
async function follow(): Promise<void> {
  for await (const fill of fills) {
    filled += 1;
    position = fill.side === Side.BUY ? position.plus(fill.quantity) : position.minus(fill.quantity);
    console.log(`${Side[fill.side]} ${fill.quantity} at ${fill.price}, position ${position}`);
    const order = quotes.get(fill.side);
    if (order?.orderId !== fill.orderId) continue;
    const cumQuantity = order.cumQuantity.plus(fill.quantity);
    if (cumQuantity.gte(order.quantity)) quotes.delete(fill.side);
    else quotes.set(fill.side, { ...order, cumQuantity });
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
  const { positions } = await gateway.positions.listPositions({ accountId: account });
  return [
    ...orders.map((order) => `order ${order.orderId}`),
    ...positions.filter((each) => each.symbol === symbol).map((each) => `position ${each.quantity}`),
  ];
}

/** It goes on to the end, which is to be flat, but not with status 0. */
function failed(what: unknown): void {
  console.error(what instanceof Error ? what.message : what);
  process.exitCode = 1;
  stop.abort();
}

const following = follow().catch(failed);
try {
  for await (const { bidPrice, askPrice } of market(stop.signal)) {
    await quoteAt(Side.BUY, bidPrice);
    await quoteAt(Side.SELL, askPrice);
  }
} catch (error) {
  failed(error);
}
try {
  const left = await flatten();
  if (left.length > 0) failed(`NOT FLAT in ${symbol}: ${left.join(", ")}`);
} catch (error) {
  failed(error);
  failed(`NOT FLAT in ${symbol}: orders and a position, as far as is known`);
}
fills.close();
await following;
console.log(`placed ${placed}, replaced ${replaced}, fills ${filled}`);
gateway.close();
