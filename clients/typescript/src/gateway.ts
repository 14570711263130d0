/** The client: one object, one connection, the whole of trading. */
import { inspect } from "node:util";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Int32ValueSchema, StringValueSchema } from "@bufbuild/protobuf/wkt";
import type { Client } from "@grpc/grpc-js";
import { Caller, type CallOptions, type ServiceClient } from "./calls.js";
import { type ConnectOptions, openChannel, Token } from "./connection.js";
import type { Exact, ExactInit, Exactly } from "./decimals.js";
import { AccountService } from "./gen/brokergate/v1/account_service_pb.js";
import { BrokerService } from "./gen/brokergate/v1/broker_service_pb.js";
import { OrderType, type Side } from "./gen/brokergate/v1/enums_pb.js";
import { InstrumentService } from "./gen/brokergate/v1/instrument_service_pb.js";
import { MarketDataService } from "./gen/brokergate/v1/market_data_service_pb.js";
import type {
  CancelOrderRequest,
  LinkedOrder,
  Order as OrderMessage,
  OrderSpec as OrderSpecMessage,
  PlaceOrderResponse,
  ReplaceOrderRequest,
} from "./gen/brokergate/v1/order_pb.js";
import { OrderService } from "./gen/brokergate/v1/order_service_pb.js";
import { PositionService } from "./gen/brokergate/v1/position_service_pb.js";
import { SimulatorService } from "./gen/brokergate/v1/simulator_service_pb.js";
import { TradingControlService } from "./gen/brokergate/v1/trading_control_service_pb.js";
import { EventStream, type EventOptions, type FillOptions, FillStream } from "./streams.js";

export type Order = Exact<OrderMessage>;
export type OrderSpec = ExactInit<OrderSpecMessage>;
export type Placed = Exact<PlaceOrderResponse> & { order: Order };

/** Where an order goes: an account, or a route, which chooses one for good. */
export type Target = string | { readonly routeId: string };
/** One of an order's two names. */
export type OrderName = { readonly orderId: string } | { readonly clientOrderId: string };

export interface PlaceOptions extends CallOptions {
  /** Made where absent; to repeat safely after a restart of yours, give one and keep it. */
  readonly clientOrderId?: string | undefined;
  /** The other members of an OCO group; those without a client_order_id are named after the first one. */
  readonly oco?: readonly ExactInit<LinkedOrder>[];
}

/** What of an order shall change; what is absent stays. `quantity` is the new total, including what is filled. */
export type Change = Pick<
  ExactInit<ReplaceOrderRequest>,
  "quantity" | "limitPrice" | "stopPrice" | "trailAmount" | "trailPercent" | "expireTime" | "displayQuantity"
>;

type Once = CallOptions & { readonly requestId?: string | undefined };

/** Buys or sells at what the market offers. */
export function marketOrder(symbol: string, side: Side, quantity: Exactly): OrderSpec {
  return { symbol, side, type: OrderType.MARKET, size: { case: "quantity", value: quantity } };
}

/** Buys or sells at `limitPrice` or better. */
export function limitOrder(symbol: string, side: Side, quantity: Exactly, limitPrice: Exactly): OrderSpec {
  return { symbol, side, type: OrderType.LIMIT, size: { case: "quantity", value: quantity }, limitPrice };
}

function targetOf(target: Target): { case: "accountId" | "routeId"; value: string } {
  return typeof target === "string" ? { case: "accountId", value: target } : { case: "routeId", value: target.routeId };
}

function refOf(name: OrderName): ExactInit<CancelOrderRequest>["order"] {
  return "orderId" in name
    ? { id: { case: "orderId", value: name.orderId } }
    : { id: { case: "clientOrderId", value: name.clientOrderId } };
}

/**
 * A connection to a gateway, which connects when it is first used.
 *
 * Every method throws `GatewayError`. A unary call whose answer was lost, or that ends UNAVAILABLE, is asked again under
 * the same id until its deadline, which never does a thing twice.
 */
export class Gateway {
  readonly address: string;
  readonly orders: ServiceClient<typeof OrderService>;
  readonly positions: ServiceClient<typeof PositionService>;
  readonly accounts: ServiceClient<typeof AccountService>;
  readonly brokers: ServiceClient<typeof BrokerService>;
  readonly instruments: ServiceClient<typeof InstrumentService>;
  readonly marketData: ServiceClient<typeof MarketDataService>;
  readonly control: ServiceClient<typeof TradingControlService>;
  readonly simulator: ServiceClient<typeof SimulatorService>;
  /** The layer below: raw messages, with the same deadlines, repeats and errors. */
  readonly caller: Caller;
  readonly #channel: Client;

  constructor(address: string, options: ConnectOptions = {}) {
    this.address = address;
    const token = options.token === undefined ? undefined : new Token(options.token);
    this.#channel = openChannel(address, options);
    this.caller = new Caller(this.#channel, token, options.deadlineMs ?? 10_000);
    this.orders = this.caller.service(OrderService);
    this.positions = this.caller.service(PositionService);
    this.accounts = this.caller.service(AccountService);
    this.brokers = this.caller.service(BrokerService);
    this.instruments = this.caller.service(InstrumentService);
    this.marketData = this.caller.service(MarketDataService);
    this.control = this.caller.service(TradingControlService);
    this.simulator = this.caller.service(SimulatorService);
  }

  /** Close the connection: calls and streams that are under way end CANCELLED. */
  close(): void {
    this.caller.close();
    this.#channel.close();
  }

  /**
   * Place an order. One that a rule or the venue refuses is an answer: `order.state` REJECTED, with its `rejectReason`.
   * The legs of a bracket that have no client_order_id are named after it.
   */
  async place(target: Target, order: OrderSpec, options: PlaceOptions = {}): Promise<Placed> {
    const { clientOrderId, oco = [] } = options;
    const request = { target: targetOf(target), order, ocoOrders: oco, ...(clientOrderId && { clientOrderId }) };
    return (await this.orders.placeOrder(request, options)) as Placed;
  }

  /** Change a working order, last seen at `expectedGeneration`: GENERATION_MISMATCH where it has changed since. */
  async replace(
    target: Target,
    name: OrderName,
    expectedGeneration: number,
    change: Change,
    options: Once = {},
  ): Promise<Order> {
    const { requestId = "" } = options;
    const request = { target: targetOf(target), order: refOf(name), expectedGeneration, requestId, ...change };
    return (await this.orders.replaceOrder(request, options)).order as Order;
  }

  /** Cancel a working order, and give it as it then stands: it may have filled first. */
  async cancel(target: Target, name: OrderName, options: Once = {}): Promise<Order> {
    const { requestId = "" } = options;
    const request = { target: targetOf(target), order: refOf(name), requestId };
    return (await this.orders.cancelOrder(request, options)).order as Order;
  }

  /** Where an account's journal stands now: take it before placing, and stream fills after it. */
  async cursor(accountId: string, options?: CallOptions): Promise<string> {
    return (await this.accounts.getAccount({ accountId }, options)).cursor;
  }

  /** Executions as they are booked, for ever. */
  fills(options: FillOptions = {}): FillStream {
    return new FillStream(this.caller, options);
  }

  /** Every entry of the journal, for ever. */
  events(options: EventOptions = {}): EventStream {
    return new EventStream(this.caller, options);
  }

  /** Whether the gateway serves, or one of its services (`brokergate.v1.OrderService`, `brokergate.broker.paper`). */
  async isServing(service = "", { deadlineMs, signal }: CallOptions = {}): Promise<boolean> {
    // grpc.health.v1 without a dependency on its package: a message with one string, answered by one number.
    const request = toBinary(StringValueSchema, create(StringValueSchema, { value: service }));
    const answer = await this.caller.repeat("/grpc.health.v1.Health/Check", request, "", deadlineMs, signal);
    return fromBinary(Int32ValueSchema, answer).value === 1;
  }

  toString(): string {
    return `Gateway(${JSON.stringify(this.address)})`;
  }

  toJSON(): string {
    return this.toString();
  }

  [inspect.custom](): string {
    return this.toString();
  }
}

/** All items of a long list, page by page: `for await (const order of pages(gateway.orders.listOrders, { … }, "orders"))`. */
export async function* pages<
  Request extends { pageToken?: string },
  Page extends { nextPageToken: string },
  K extends keyof Page,
>(
  list: (request: Request, options?: CallOptions) => Promise<Page>,
  request: Request,
  items: K,
  options?: CallOptions,
): AsyncGenerator<Page[K] extends (infer Item)[] ? Item : never, void> {
  for (let pageToken = request.pageToken ?? ""; ;) {
    const page = await list({ ...request, pageToken }, options);
    yield* page[items] as any;
    if (page.nextPageToken === "") return;
    pageToken = page.nextPageToken;
  }
}
