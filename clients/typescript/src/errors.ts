/** What went wrong, as values: gRPC's code, the contract's reason, and what the error's details say. */
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { type ServiceError, status as Code } from "@grpc/grpc-js";
import { type Error as ItemError, ErrorReason } from "./gen/brokergate/v1/error_pb.js";

export { Code };

/** One field that is wrong: its path from the request (`order.limit_price`), and what is wrong with it. */
export interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

interface Details {
  readonly reason: ErrorReason;
  readonly reasonName: string;
  readonly violations: readonly FieldViolation[];
  readonly metadata: Readonly<Record<string, string>>;
  readonly retryDelayMs: number | undefined;
}

/**
 * A call or a stream failed. Its text is for people and holds no secret.
 *
 * `reason` is UNSPECIFIED where the error is not the gateway's own (a connection that was refused) and where the gateway
 * is newer than this client; `reasonName` then has the newer name, and is empty otherwise. `metadata` holds facts for
 * programs, such as `earliest_cursor`. `retryDelayMs` is the gateway's word on when to try again.
 *
 * Of a call that changes something `id` is the one under which it may be repeated safely (for an order its
 * client_order_id, for a batch that of its first order), and `outcomeUnknown` says that it may have been carried out: an
 * answer was lost, or the gateway does not know it itself.
 */
export class GatewayError extends Error {
  override readonly name = "GatewayError";
  readonly code: Code;
  readonly reason: ErrorReason;
  readonly reasonName: string;
  readonly violations: readonly FieldViolation[];
  readonly metadata: Readonly<Record<string, string>>;
  readonly retryDelayMs: number | undefined;
  readonly id: string;
  readonly outcomeUnknown: boolean;
  /** The gateway's own words, without the code or reason before them. */
  readonly text: string;

  constructor(code: Code, text: string, details: Partial<Details> = {}, id = "", outcomeUnknown = false) {
    const again = outcomeUnknown ? ` (the outcome is unknown; repeat with id ${JSON.stringify(id)} to learn it)` : "";
    super(`${details.reasonName || Code[code] || code}: ${text}${again}`);
    this.code = code;
    this.text = text;
    this.reason = details.reason ?? ErrorReason.UNSPECIFIED;
    this.reasonName = details.reasonName ?? "";
    this.violations = details.violations ?? [];
    this.metadata = details.metadata ?? {};
    this.retryDelayMs = details.retryDelayMs;
    this.id = id;
    this.outcomeUnknown = outcomeUnknown;
  }

  /** The same error, of a call whose next attempt the deadline ended. */
  askedAgain(): GatewayError {
    return new GatewayError(this.code, `${this.text}; asked again, and no answer came before the deadline`, this);
  }

  /** The same error, of a call with this id. */
  of(id: string, outcomeUnknown: boolean): GatewayError {
    return id === "" ? this : new GatewayError(this.code, this.text, this, id, outcomeUnknown);
  }
}

/** The error of what this client refuses itself, before anything is sent. */
export function refusal(field: string, description: string): GatewayError {
  return new GatewayError(Code.INVALID_ARGUMENT, `${field}: ${description}`, {
    reason: ErrorReason.INVALID_FIELD,
    reasonName: "INVALID_FIELD",
    violations: [{ field, description }],
  });
}

/** The name of a reason without its prefix, or its number where it is newer than this client. */
export function reasonName(reason: ErrorReason): string {
  return ErrorReason[reason] ?? String(reason);
}

/** The error of one item of a batch or of an order entry stream. */
export function itemError(error: Omit<ItemError, "$typeName">): GatewayError {
  return new GatewayError(error.code, error.message, {
    reason: error.reason,
    reasonName: reasonName(error.reason),
    violations: error.fieldViolations.map(({ field, description }) => ({ field, description })),
    metadata: { ...error.metadata },
  });
}

/** The error of a call, with the details that the gateway sent. Throws what is none, which is a bug. */
export function fromServiceError(error: unknown): GatewayError {
  if (error instanceof GatewayError) return error;
  const { code, details, metadata } = error as Partial<ServiceError>;
  if (code === undefined || metadata === undefined) throw error;
  const [status] = metadata.get("grpc-status-details-bin");
  return new GatewayError(code, details || "no message", status instanceof Buffer ? detailsOf(status) : {});
}

/**
 * The details of a serialised `google.rpc.Status`, as far as the gateway sends them; other kinds are passed over, as is
 * garbage. They are read by field number: these messages have not changed since 2017, and their package is not needed.
 */
export function detailsOf(status: Uint8Array): Partial<Details> {
  let [reason, name] = [ErrorReason.UNSPECIFIED, ""];
  let metadata: Record<string, string> = {};
  let retryDelayMs: number | undefined;
  const violations: FieldViolation[] = [];
  try {
    for (const any of messages(status, 3)) {
      const kind = text(any, 1).split("/google.rpc.")[1];
      const [detail = new Uint8Array()] = messages(any, 2);
      if (kind === "BadRequest") {
        for (const item of messages(detail, 1)) violations.push({ field: text(item, 1), description: text(item, 2) });
      } else if (kind === "RetryInfo") {
        const [delay = new Uint8Array()] = messages(detail, 1);
        retryDelayMs = integer(delay, 1) * 1000 + integer(delay, 2) / 1e6;
      } else if (kind === "ErrorInfo" && text(detail, 2) === "brokergate") {
        name = text(detail, 1);
        const known = ErrorReason[name as keyof typeof ErrorReason];
        reason = typeof known === "number" ? known : ErrorReason.UNSPECIFIED;
        metadata = Object.fromEntries(messages(detail, 3).map((entry) => [text(entry, 1), text(entry, 2)]));
      }
    }
  } catch {
    return {};
  }
  return { reason, reasonName: name, violations, metadata, retryDelayMs };
}

function messages(bytes: Uint8Array, wanted: number): Uint8Array[] {
  const found: Uint8Array[] = [];
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    if (number === wanted && wireType === 2) found.push(reader.bytes());
    else reader.skip(wireType, number);
  }
  return found;
}

function text(bytes: Uint8Array, wanted: number): string {
  return new TextDecoder().decode(messages(bytes, wanted).at(-1));
}

function integer(bytes: Uint8Array, wanted: number): number {
  const reader = new BinaryReader(bytes);
  let value = 0;
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    if (number === wanted && wireType === 0) value = Number(reader.int64());
    else reader.skip(wireType, number);
  }
  return value;
}
