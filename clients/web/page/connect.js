// The Connect protocol as far as a page needs it: unary calls and server streams, in JSON, by fetch alone.
// Money and 64-bit numbers are text in it, so nothing is rounded on the way.

const ENDS = 2; // the flag of a stream's last message

/** A call that failed: gRPC's code (`invalid_argument`), and the contract's reason (`PRICE_OFF_TICK`), if it has one. */
export class CallError extends Error {
  constructor({ code = "unknown", message = "no message", details = [] }) {
    super(message);
    this.code = code;
    const info = details.find((detail) => detail.type === "google.rpc.ErrorInfo");
    this.reason = info?.debug?.reason ?? "";
  }
}

export class Client {
  #token = "";

  /** Whose calls they are from now on. It is kept in this object alone. */
  useToken(token) {
    this.#token = token;
  }

  /** The answer to a unary call, unless `signal` aborts it: `call("PositionService/ListPositions", {accountId: "paper"})`. */
  async call(method, request, signal) {
    const response = await this.#post(method, "application/json", JSON.stringify(request), signal);
    return response.json();
  }

  /** Each message of a server stream, until it ends or `signal` aborts it. */
  async *stream(method, request, signal) {
    const response = await this.#post(method, "application/connect+json", enveloped(JSON.stringify(request)), signal);
    for await (const [flags, text] of envelopes(response.body)) {
      const message = JSON.parse(text);
      if (!(flags & ENDS)) yield message;
      else if (message.error) throw new CallError(message.error);
    }
  }

  async #post(method, type, body, signal) {
    const headers = { "Content-Type": type, "Connect-Protocol-Version": "1" };
    if (this.#token) headers.Authorization = `Bearer ${this.#token}`;
    const response = await fetch(`/brokergate.v1.${method}`, { method: "POST", headers, body, signal });
    if (response.ok) return response;
    const text = await response.text();
    let error;
    try {
      error = JSON.parse(text);
    } catch {
      error = { code: response.status >= 500 ? "unavailable" : "unknown", message: text.slice(0, 200) };
    }
    throw new CallError(error);
  }
}

/** A message before whose bytes stand its flags and its length. */
function enveloped(text) {
  const bytes = new TextEncoder().encode(text);
  const envelope = new Uint8Array(5 + bytes.length);
  new DataView(envelope.buffer).setUint32(1, bytes.length);
  envelope.set(bytes, 5);
  return envelope;
}

async function* envelopes(body) {
  let pending = new Uint8Array();
  for (const reader = body.getReader(); ; ) {
    while (pending.length >= 5) {
      const end = 5 + new DataView(pending.buffer, pending.byteOffset).getUint32(1);
      if (pending.length < end) break;
      yield [pending[0], new TextDecoder().decode(pending.subarray(5, end))];
      pending = pending.subarray(end);
    }
    const { done, value } = await reader.read();
    if (done) return;
    const joined = new Uint8Array(pending.length + value.length);
    joined.set(pending);
    joined.set(value, pending.length);
    pending = joined;
  }
}
