/**
 * One call and its repeats.
 *
 * Every unary call of the contract may be repeated: a read changes nothing, a mutation carries an id under which the
 * gateway does it once. So a call whose answer was lost is sent again, as it was, until its deadline.
 */
import { setTimeout as sleep } from "node:timers/promises";
import {
  type DescMessage,
  type DescMethod,
  type DescMethodBiDiStreaming,
  type DescMethodClientStreaming,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type DescService,
  fromBinary,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { type Client, Metadata } from "@grpc/grpc-js";
import { type Exact, type ExactInit, toExact, toMessage } from "./decimals.js";
import type { Token } from "./connection.js";
import { Code, fromServiceError, GatewayError } from "./errors.js";
import { ErrorReason } from "./gen/brokergate/v1/error_pb.js";
import { newId } from "./ids.js";

export interface CallOptions {
  /** Bounds a unary call with its repeats; that of the connection where absent. A stream has none where absent. */
  readonly deadlineMs?: number | undefined;
  /** Gives the call up: it ends CANCELLED. */
  readonly signal?: AbortSignal | undefined;
}

const LOST_CODES: ReadonlySet<Code> = new Set([Code.UNAVAILABLE, Code.CANCELLED, Code.INTERNAL, Code.UNKNOWN]);
const OPEN_CODES: ReadonlySet<Code> = new Set([Code.UNAVAILABLE, Code.UNAUTHENTICATED, Code.PERMISSION_DENIED]);

/** Whether the connection broke, or something before the gateway answered in its place. */
function wasLost(error: GatewayError): boolean {
  return error.reasonName === "" && LOST_CODES.has(error.code);
}

/** Whether the gateway may have done what was asked although this error came. */
function maybeDone(error: GatewayError): boolean {
  const unknown = error.code === Code.DEADLINE_EXCEEDED || error.reason === ErrorReason.OUTCOME_UNKNOWN;
  return unknown || wasLost(error);
}

/** Whether this is no more than a deadline that passed. */
function isLate(error: GatewayError): boolean {
  return error.code === Code.DEADLINE_EXCEEDED && error.reasonName === "";
}

/** Whether the same call may succeed now or later. */
export function invitesRepeat(error: GatewayError): boolean {
  return error.code === Code.UNAVAILABLE || error.reason === ErrorReason.OUTCOME_UNKNOWN || wasLost(error);
}

/** Growing pauses, in milliseconds: each is drawn from 0 to a span that doubles. */
export class Backoff {
  static readonly FIRST_MS = 100;
  static readonly LONGEST_MS = 2_000;
  #spanMs = 0;

  /** The next pause, never shorter than the gateway asked for. */
  next(atLeastMs = 0): number {
    this.#spanMs = Math.min(Backoff.LONGEST_MS, this.#spanMs * 2 || Backoff.FIRST_MS);
    return Math.max(Math.random() * this.#spanMs, atLeastMs);
  }

  /** Something went well: begin with short pauses again. */
  reset(): void {
    this.#spanMs = 0;
  }
}

/** `request` with the ids that it lacks, and the one under which it may be repeated. Empty for a read. */
function withIds(method: DescMethod, request: any): [any, string] {
  const { field } = method.input;
  if (field.clientOrderId !== undefined) {
    const id = request.clientOrderId || newId();
    return [{ ...request, clientOrderId: id, order: named(request.order, id), ocoOrders: linked(request, id) }, id];
  }
  if (field.requestId !== undefined) {
    const id = request.requestId || newId();
    return [{ ...request, requestId: id }, id];
  }
  if (method.name === "BatchPlaceOrders") {
    const orders = (request.orders ?? []).map((item: any) => {
      const id = item.clientOrderId || newId();
      return { ...item, clientOrderId: id, order: named(item.order, id) };
    });
    return [{ ...request, orders }, orders[0]?.clientOrderId ?? ""];
  }
  return [request, ""];
}

/** A bracket's legs are named after its entry, so that a repeat names them alike. */
function named(order: any, id: string): any {
  const leg = (given: any, end: string) => given && { ...given, clientOrderId: given.clientOrderId || `${id}-${end}` };
  return order && { ...order, takeProfit: leg(order.takeProfit, "tp"), stopLoss: leg(order.stopLoss, "sl") };
}

/** The other members of an OCO group are named after the first one. */
function linked(request: any, id: string): any {
  return request.ocoOrders?.map((other: any, index: number) => ({
    ...other,
    clientOrderId: other.clientOrderId || `${id}-${index + 2}`,
  }));
}

type Shape<D extends DescMessage> = MessageShape<D>;

/** A request: its fields with decimals as `Exactly`, or a message that was made already. */
export type Request<D extends DescMessage> = ExactInit<Shape<D>> | Shape<D>;
/** An answer: the message, with `Decimal` in place of decimal text. */
export type Answer<D extends DescMessage> = Exact<Shape<D>>;

/** A service of the contract, each RPC by its name. Ids that a request lacks are made; unary calls are repeated. */
export type ServiceClient<S extends DescService> = {
  readonly [P in keyof S["method"]]: S["method"][P] extends DescMethodUnary<infer I, infer O>
    ? (request: Request<I>, options?: CallOptions) => Promise<Answer<O>>
    : S["method"][P] extends DescMethodServerStreaming<infer I, infer O>
      ? (request: Request<I>, options?: CallOptions) => AsyncGenerator<Answer<O>, void>
      : S["method"][P] extends DescMethodClientStreaming<infer I, infer O>
        ? (requests: Requests<I>, options?: CallOptions) => Promise<Answer<O>>
        : S["method"][P] extends DescMethodBiDiStreaming<infer I, infer O>
          ? (requests: Requests<I>, options?: CallOptions) => AsyncGenerator<Answer<O>, void>
          : never;
};
type Requests<D extends DescMessage> = Iterable<Request<D>> | AsyncIterable<Request<D>>;

const cancelled = (text: string) => new GatewayError(Code.CANCELLED, text);
const closedError = () => cancelled("this client was closed");
const identity = (bytes: Buffer) => bytes;
const pathOf = (method: DescMethod) => `/${method.parent.typeName}/${method.name}`;

/** Makes calls over a channel, with the token and the deadline of a connection. */
export class Caller {
  closed = false;
  /** What ends each call, stream and pause that is under way. */
  readonly #underWay = new Set<() => void>();
  readonly #channel: Client;
  readonly #token: Token | undefined;
  readonly #deadlineMs: number;

  constructor(channel: Client, token: Token | undefined, deadlineMs: number) {
    this.#channel = channel;
    this.#token = token;
    this.#deadlineMs = deadlineMs;
  }

  /** End what is under way: it fails CANCELLED, which gRPC's own closing of a channel leaves to run on. */
  close(): void {
    this.closed = true;
    for (const end of [...this.#underWay]) end();
  }

  /** Has `end` called when the signal aborts or the client is closed, until the function that it returns is. */
  #until(end: () => void, signal: AbortSignal | undefined): () => void {
    signal?.addEventListener("abort", end);
    this.#underWay.add(end);
    if (signal?.aborted) end();
    return () => {
      signal?.removeEventListener("abort", end);
      this.#underWay.delete(end);
    };
  }

  /** Wait; less where the signal aborts or the client is closed. */
  async pause(pauseMs: number, signal: AbortSignal | undefined): Promise<void> {
    const woken = new AbortController();
    const done = this.#until(() => woken.abort(), signal);
    await sleep(pauseMs, undefined, { signal: woken.signal }).catch(() => undefined);
    done();
  }

  /** The error of a call: where the client was closed under it, that. */
  #errorOf(caught: unknown): GatewayError {
    return this.closed ? closedError() : fromServiceError(caught);
  }

  /** A service of the contract, each RPC as a function. */
  service<S extends DescService>(service: S): ServiceClient<S> {
    const entries = service.methods.map((method) => [method.localName, this.#function(method)]);
    return Object.fromEntries(entries) as ServiceClient<S>;
  }

  #function(method: DescMethod): (request: any, options?: CallOptions) => unknown {
    const { input, output } = method;
    switch (method.methodKind) {
      case "unary":
        return async (request, options) => {
          const [whole, id] = withIds(method, request);
          return toExact(output, await this.unary(method as DescMethodUnary, toMessage(input, whole), id, options));
        };
      case "server_streaming":
        return (request, options) => this.#exactly(output, this.stream(method, [toMessage(input, request)], options));
      case "client_streaming":
        return async (requests, options) => {
          let answer: unknown;
          for await (const message of this.#exactly(output, this.stream(method, requests, options))) answer = message;
          return answer;
        };
      case "bidi_streaming":
        return (requests, options) => this.#exactly(output, this.stream(method, requests, options));
    }
  }

  async *#exactly(desc: DescMessage, messages: AsyncIterable<any>): AsyncGenerator<unknown, void> {
    for await (const message of messages) yield toExact(desc, message);
  }

  /**
   * The answer to a unary call, asked for again until the deadline as often as it takes. `id` is that of a mutation.
   * Throws `GatewayError`.
   */
  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: Shape<I>,
    id = "",
    { deadlineMs = this.#deadlineMs, signal }: CallOptions = {},
  ): Promise<Shape<O>> {
    const answer = await this.repeat(pathOf(method), toBinary(method.input, request), id, deadlineMs, signal);
    return fromBinary(method.output, answer);
  }

  /** The same on bytes, of any method. */
  async repeat(path: string, request: Uint8Array, id: string, deadlineMs = this.#deadlineMs, signal?: AbortSignal) {
    const end = performance.now() + deadlineMs;
    const backoff = new Backoff();
    let maybe = false;
    let before: GatewayError | undefined;
    for (;;) {
      let error: GatewayError;
      try {
        return await this.#attempt(path, request, end - performance.now(), signal);
      } catch (caught) {
        error = this.#errorOf(caught);
      }
      maybe ||= maybeDone(error);
      // What went wrong before says more than that time ran out.
      if (before && isLate(error)) throw before.askedAgain().of(id, maybe && id !== "");
      const leavesOpen = maybeDone(error) || OPEN_CODES.has(error.code);
      error = error.of(id, maybe && id !== "" && leavesOpen);
      if (this.closed || signal?.aborted || !invitesRepeat(error)) throw error;
      const pauseMs = backoff.next(error.retryDelayMs);
      if (performance.now() + pauseMs >= end) throw error;
      await this.pause(pauseMs, signal);
      const unwanted = this.closed ? closedError() : signal?.aborted && cancelled("the caller gave up");
      if (unwanted) throw unwanted.of(id, maybe && id !== "");
      before = error;
    }
  }

  #attempt(path: string, request: Uint8Array, leftMs: number, signal?: AbortSignal): Promise<Buffer> {
    this.#expectOpen();
    return new Promise((resolve, reject) => {
      const deadline = Date.now() + leftMs;
      const call = this.#channel.makeUnaryRequest(
        path,
        identity,
        identity,
        Buffer.from(request.buffer, request.byteOffset, request.byteLength),
        this.#metadata(),
        { deadline },
        (error, answer) => {
          done();
          if (error) reject(error);
          else resolve(answer as Buffer);
        },
      );
      const done = this.#until(() => call.cancel(), signal);
    });
  }

  /**
   * A call with streams, as it is: no repeats, no resuming. `requests` are asked for as fast as they are taken; the call is
   * cancelled when the caller stops reading. Throws `GatewayError`.
   */
  async *stream(
    method: DescMethod,
    requests: Iterable<any> | AsyncIterable<any>,
    { deadlineMs, signal }: CallOptions = {},
  ): AsyncGenerator<any, void> {
    this.#expectOpen();
    const options = deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs };
    // grpc-js has its four kinds apart for convenience alone: on the wire each is a case of this one.
    const call = this.#channel.makeBidiStreamRequest(
      pathOf(method),
      identity,
      (bytes: Buffer) => fromBinary(method.output, bytes),
      this.#metadata(),
      options,
    );
    const done = this.#until(() => call.cancel(), signal);
    let failure: unknown;
    const send = async () => {
      try {
        for await (const request of requests) {
          if (call.destroyed || call.writableEnded) return;
          const bytes = Buffer.from(toBinary(method.input, toMessage(method.input, request)));
          if (!call.write(bytes)) await new Promise((go) => call.once("drain", go).once("close", go));
        }
        call.end();
      } catch (error) {
        failure = error;
        call.cancel();
      }
    };
    // Not waited for: the gateway may end the call while the caller still thinks about its next request.
    void send();
    try {
      yield* call;
    } catch (error) {
      throw failure ?? this.#errorOf(error);
    } finally {
      done();
      call.cancel();
    }
  }

  #metadata(): Metadata {
    return this.#token?.metadata() ?? new Metadata();
  }

  #expectOpen(): void {
    if (this.closed) throw closedError();
  }
}
