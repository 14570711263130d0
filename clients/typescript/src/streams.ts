/**
 * Streams that survive: each resumes by its cursor, for ever, and gives every event once.
 *
 * The gateway gives every event at least once, and an account's sequences rise without a hole. What makes it once is
 * here: per account the highest sequence that was given, of one epoch of the journal. It does not grow with the stream.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Backoff, type Caller, invitesRepeat } from "./calls.js";
import { type Exact, toExact } from "./decimals.js";
import { Code, fromServiceError, GatewayError, reasonName } from "./errors.js";
import { ErrorReason } from "./gen/brokergate/v1/error_pb.js";
import {
  type Event as EventMessage,
  type EventBatch,
  type EventKind,
  EventSchema,
  StartPosition,
  type Snapshot,
  SnapshotSchema,
  type StreamEventsResponse,
  type StreamFillsRequestSchema,
  type StreamFillsResponse,
} from "./gen/brokergate/v1/event_pb.js";
import { EventService } from "./gen/brokergate/v1/event_service_pb.js";
import type { Fill as FillMessage } from "./gen/brokergate/v1/fill_pb.js";
import type { StreamClosing, StreamOpened } from "./gen/brokergate/v1/stream_pb.js";

/** So many heartbeats in a row that did not come mean that the peer is gone, whatever TCP says. */
const MISSED_HEARTBEATS = 3;
/** `StreamOpened` is sent at once; a gateway that takes longer is asked again. */
const OPEN_TIMEOUT_MS = 10_000;

export interface StreamOptions {
  /** Whose; all that the caller may see where absent. */
  readonly accountIds?: readonly string[];
  /** Start after this cursor, one that was kept. */
  readonly after?: string | undefined;
  /** Without a cursor start here: at a named place or at a time; at the next event where absent. */
  readonly start?: StartPosition | Date | Timestamp;
  /** How often the gateway says that nothing happened: 1 s to 60 s; 10 s where absent. */
  readonly heartbeatMs?: number;
}

export interface FillOptions extends StreamOptions {
  /** Only these; all where absent. */
  readonly symbols?: readonly string[];
}

export interface EventOptions extends StreamOptions {
  /** Only these; all where absent. */
  readonly kinds?: readonly EventKind[];
}

/** An event's place in the journal of its account. `cursor` is the one to keep once the event has been dealt with. */
interface Place {
  readonly eventId: string;
  readonly accountId: string;
  readonly sequence: string;
  readonly cursor: string;
}

/** All that was journalled before the stream was opened has been given. Comes again after every reconnect. */
export interface CaughtUp {
  readonly kind: "caughtUp";
  readonly cursor: string;
}

/** One execution. A broker may correct one or take it back: its own `kind` says so. */
export type Fill = Exact<FillMessage> & Place;
/** One entry of a journal; `payload.case` is undefined where this client is too old to know it. */
export type Event = Exact<EventMessage> & { readonly kind: "event" };
/** The state of the accounts at `cursor`: orders that have not ended, positions that are not flat, balances. */
export type State = Omit<Exact<Snapshot>, "$typeName" | "last"> & {
  readonly kind: "snapshot";
  readonly cursor: string;
};
/** What a stream of events gives. */
export type EventItem = Event | State | CaughtUp;

type Message = StreamEventsResponse | StreamFillsResponse;

function closingError({ reason, message }: StreamClosing): GatewayError {
  const codes: Partial<Record<ErrorReason, Code>> = {
    [ErrorReason.TOKEN_REVOKED]: Code.UNAUTHENTICATED,
    [ErrorReason.SLOW_CONSUMER]: Code.RESOURCE_EXHAUSTED,
  };
  const text = message || `the gateway ended the stream: ${reasonName(reason)}`;
  return new GatewayError(codes[reason] ?? Code.UNAVAILABLE, text, { reason, reasonName: reasonName(reason) });
}

const wasClosed = () => new GatewayError(Code.CANCELLED, "the stream was closed");

/**
 * What the streams share. Iterate it with `for await`; to break and to iterate again goes on where it was left.
 *
 * Throws `GatewayError` for what no new connection can mend: reason CURSOR_EXPIRED, CURSOR_EPOCH, TOKEN_INVALID …
 */
abstract class ResumingStream<Item> implements AsyncIterable<Item> {
  /** Resumes after all that was given so far; it also moves on while nothing comes that passes the filter. */
  cursor: string;
  /** Connections after the first. */
  reconnects = 0;
  /** Whether the stream is live: all that was journalled before it was opened has been given. */
  isCaughtUp = false;

  readonly #caller: Caller;
  readonly #method: typeof EventService.method.streamEvents | typeof EventService.method.streamFills;
  readonly #options: StreamOptions & Partial<FillOptions & EventOptions>;
  readonly #closing = new AbortController();
  // Until the snapshot is whole no cursor is worth anything: resuming after one would leave the state out.
  protected awaitsSnapshot: boolean;
  #epoch = "";
  #seen = new Map<string, bigint>();
  #whenLive: { promise: Promise<void>; resolve: () => void; reject: (error: Error) => void } | undefined;

  constructor(
    caller: Caller,
    method: typeof EventService.method.streamEvents | typeof EventService.method.streamFills,
    options: StreamOptions & Partial<FillOptions & EventOptions>,
  ) {
    this.#caller = caller;
    this.#method = method;
    this.#options = options;
    this.cursor = options.after ?? "";
    this.awaitsSnapshot = this.cursor === "" && options.start === StartPosition.SNAPSHOT;
  }

  abstract [Symbol.asyncIterator](): AsyncGenerator<Item, void>;

  /** Resolves once the stream is live; somebody has to iterate it meanwhile. Rejects with what ends the stream before. */
  caughtUp(): Promise<void> {
    if (this.isCaughtUp) return Promise.resolve();
    if (this.#closing.signal.aborted) return Promise.reject(wasClosed());
    if (this.#whenLive === undefined) {
      let [resolve, reject]: [() => void, (error: Error) => void] = [() => {}, () => {}];
      const promise = new Promise<void>((...settle) => ([resolve, reject] = settle));
      // Who iterates is told as well: a caller that waits later, or not at all, has no error of its own to handle.
      promise.catch(() => {});
      this.#whenLive = { promise, resolve, reject };
    }
    return this.#whenLive.promise;
  }

  /** End it, also one that waits: iterating then ends without an error. */
  close(): void {
    this.#closing.abort();
    this.#neverLive(wasClosed());
  }

  #request(): any {
    const { accountIds = [], start, heartbeatMs = 10_000, symbols = [], kinds = [] } = this.#options;
    const heartbeatInterval = {
      seconds: BigInt(Math.floor(heartbeatMs / 1000)),
      nanos: Math.round((heartbeatMs % 1000) * 1e6),
    };
    const common = { accountIds: [...accountIds], heartbeatInterval };
    const filters = this.#method.name === "StreamFills" ? { symbols: [...symbols] } : { kinds: [...kinds] };
    return create(this.#method.input, { ...common, ...filters, start: startOf(this.cursor, start) } as any);
  }

  /** What the gateway says over one connection after another; `opened` begins each. */
  protected async *messages(): AsyncGenerator<Message, void> {
    const backoff = new Backoff();
    const closing = this.#closing.signal;
    while (!closing.aborted) {
      let pauseMs: number;
      try {
        for await (const message of this.#connection(backoff)) {
          yield message;
          if (message.cursor !== "" && !this.awaitsSnapshot) this.cursor = message.cursor;
          if (message.payload.case === "closing") throw closingError(message.payload.value);
        }
        throw new GatewayError(Code.UNAVAILABLE, "the gateway ended the stream");
      } catch (caught) {
        if (closing.aborted) return;
        const error = fromServiceError(caught);
        if (this.#caller.closed || !this.#mayResume(error)) {
          this.#neverLive(error);
          throw error;
        }
        pauseMs = backoff.next(error.retryDelayMs);
      } finally {
        this.isCaughtUp = false;
      }
      await this.#caller.pause(pauseMs, closing);
      this.reconnects += 1;
    }
  }

  async *#connection(backoff: Backoff): AsyncGenerator<Message, void> {
    // No AbortSignal.any: something of each stays with the signal that lasts, and connections may be many.
    const hangUp = new AbortController();
    const leave = () => hangUp.abort();
    let silent = false;
    this.#closing.signal.addEventListener("abort", leave);
    const call = this.#caller.stream(this.#method, [this.#request()], { signal: hangUp.signal });
    let silenceMs = OPEN_TIMEOUT_MS;
    try {
      for (;;) {
        const timer = setTimeout(() => {
          silent = true;
          hangUp.abort();
        }, silenceMs);
        const next = await call.next().finally(() => clearTimeout(timer));
        if (next.done) return;
        silenceMs = MISSED_HEARTBEATS * (this.#options.heartbeatMs ?? 10_000);
        const message: Message = next.value;
        if (message.payload.case === "opened") this.#opened(message.payload.value);
        else backoff.reset();
        if (message.payload.case === "caughtUp") this.#live();
        yield message;
      }
    } catch (error) {
      if (!silent) throw error;
      throw new GatewayError(Code.UNAVAILABLE, `nothing came for ${silenceMs} ms, not even a heartbeat`);
    } finally {
      this.#closing.signal.removeEventListener("abort", leave);
      await call.return();
    }
  }

  #opened({ epoch }: StreamOpened): void {
    if (epoch === this.#epoch) return;
    // Sequences of another epoch say nothing about these.
    this.#seen.clear();
    this.#epoch = epoch;
  }

  #live(): void {
    this.isCaughtUp = true;
    this.#whenLive?.resolve();
    this.#whenLive = undefined;
  }

  #neverLive(error: GatewayError): void {
    this.#whenLive?.reject(error);
    this.#whenLive = undefined;
  }

  /** Whether a new connection can help. Before the first one stood, a crowded gateway is the caller's to know. */
  #mayResume(error: GatewayError): boolean {
    if (error.reason === ErrorReason.TOO_MANY_STREAMS) return this.#epoch !== "";
    return error.reason === ErrorReason.SLOW_CONSUMER || invitesRepeat(error);
  }

  /**
   * The events of a batch that were not given before; `cursor` is the one to keep after each.
   *
   * A cursor of an event speaks of its account alone. Where the stream may hold several, the safe one between two events
   * of a batch is that of the message before: resuming there repeats up to a batch and loses nothing.
   */
  protected *fresh(cursor: string, { events }: EventBatch): Generator<EventMessage> {
    const single = this.#options.accountIds?.length === 1;
    for (const [index, event] of events.entries()) {
      const sequence = BigInt(event.sequence);
      if (sequence <= (this.#seen.get(event.accountId) ?? 0n)) continue;
      this.#seen.set(event.accountId, sequence);
      if (index === events.length - 1) this.cursor = cursor;
      else if (single) this.cursor = event.cursor;
      yield event;
    }
  }
}

function startOf(
  cursor: string,
  start: StreamOptions["start"],
): MessageInitShape<typeof StreamFillsRequestSchema>["start"] {
  if (cursor !== "") return { case: "afterCursor", value: cursor };
  if (start === undefined) return { case: "startPosition", value: StartPosition.LIVE };
  if (typeof start === "number") return { case: "startPosition", value: start };
  return { case: "startTime", value: start instanceof Date ? timestampFromDate(start) : start };
}

/** Executions as they are booked: `for await (const fill of gateway.fills({ after: cursor }))`. */
export class FillStream extends ResumingStream<Fill> {
  constructor(caller: Caller, options: FillOptions) {
    super(caller, EventService.method.streamFills, options);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Fill, void> {
    for await (const { cursor, payload } of this.messages()) {
      if (payload.case !== "batch") continue;
      for (const event of this.fresh(cursor, payload.value)) {
        const { eventId, accountId, sequence } = event;
        const exact = toExact(EventSchema, event);
        // Fees that came later belong to `Gateway.events`; here they only move the cursor.
        if (exact.payload.case !== "fill" || exact.payload.value.fill === undefined) continue;
        yield Object.assign(exact.payload.value.fill, { eventId, accountId, sequence, cursor: this.cursor });
      }
    }
  }
}

/** Every entry of the journal, between them `CaughtUp`, and first the `State` where a snapshot was asked for. */
export class EventStream extends ResumingStream<EventItem> {
  constructor(caller: Caller, options: EventOptions) {
    super(caller, EventService.method.streamEvents, options);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<EventItem, void> {
    let pages: Exact<Snapshot>[] = [];
    for await (const { cursor, payload } of this.messages()) {
      switch (payload.case) {
        case "opened":
          // A snapshot that was cut short begins anew.
          pages = [];
          break;
        case "batch":
          for (const event of this.fresh(cursor, payload.value)) {
            yield Object.assign(toExact(EventSchema, event), { kind: "event" as const, cursor: this.cursor });
          }
          break;
        case "caughtUp":
          yield { kind: "caughtUp", cursor };
          break;
        case "snapshot":
          pages.push(toExact(SnapshotSchema, payload.value));
          if (payload.value.last) {
            this.awaitsSnapshot = false;
            this.cursor = cursor;
            yield {
              kind: "snapshot",
              cursor,
              orders: pages.flatMap((page) => page.orders),
              positions: pages.flatMap((page) => page.positions),
              balances: pages.flatMap((page) => page.balances),
            };
            pages = [];
          }
          break;
      }
    }
  }
}
