/** How the gateway is reached: address, TLS, token, and the settings that find a dead peer. */
import { isIP } from "node:net";
import { type ChannelCredentials, Client, credentials, Metadata } from "@grpc/grpc-js";
import { refusal } from "./errors.js";

/**
 * Encrypt, and check the gateway's certificate against `roots` (PEM), or Node's own authorities where absent. With
 * `certificate` and `key` (PEM) the client shows a certificate of its own (mTLS). `serverName` is the name to expect in
 * the gateway's certificate where it is not the address's.
 */
export interface Tls {
  readonly roots?: Buffer | string;
  readonly certificate?: Buffer | string;
  readonly key?: Buffer | string;
  readonly serverName?: string;
}

export interface ConnectOptions {
  /** The bearer token. Over plaintext it goes to this machine alone, unless `allowPlaintextToken`. */
  readonly token?: string;
  /** Absent: nothing is encrypted. */
  readonly tls?: Tls;
  /** Bounds every unary call with its repeats; 10 s where absent. */
  readonly deadlineMs?: number;
  /** How often a connection with calls on it is tried; 20 s where absent. The gateway refuses less than 10 s. */
  readonly keepaliveMs?: number;
  /** How long the answer to that may take; 10 s where absent. */
  readonly keepaliveTimeoutMs?: number;
  /** Something else encrypts: a tunnel, a mesh. */
  readonly allowPlaintextToken?: boolean;
  /** What the gateway's audit calls this program, 1 to 64 printable ASCII characters. */
  readonly clientName?: string;
}

const MAX_RECEIVE_BYTES = 16 * 1024 * 1024;

const bytes = (pem: Buffer | string | undefined): Buffer | null => (pem === undefined ? null : Buffer.from(pem));

/** gRPC's form. Throws `GatewayError` for half of a pair, Node's own error for what is no PEM. */
function credentialsOf(tls: Tls | undefined): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure();
  if ((tls.certificate === undefined) !== (tls.key === undefined)) {
    throw refusal("tls", "certificate and key go together: give both for mTLS, or neither");
  }
  return credentials.createSsl(bytes(tls.roots), bytes(tls.key), bytes(tls.certificate));
}

/** A channel that connects when it is first used. */
export function openChannel(address: string, options: ConnectOptions): Client {
  const { tls, token, clientName = "brokergate-client-typescript" } = options;
  if (!/^[\x21-\x7e][\x20-\x7e]{0,63}$/.test(clientName)) {
    throw refusal("client_name", "it must be 1 to 64 characters of printable ASCII");
  }
  if (token !== undefined && tls === undefined && !isLoopback(address) && !options.allowPlaintextToken) {
    throw refusal(
      "token",
      `for ${JSON.stringify(address)} it would be sent unencrypted; give tls: {}, or allowPlaintextToken where ` +
        "something else encrypts",
    );
  }
  return new Client(address, credentialsOf(tls), {
    "grpc.primary_user_agent": clientName,
    "grpc.keepalive_time_ms": options.keepaliveMs ?? 20_000,
    "grpc.keepalive_timeout_ms": options.keepaliveTimeoutMs ?? 10_000,
    // gRPC's own pauses between connections grow to two minutes, which is long for one who holds positions.
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 2_000,
    // Repeating is decided in one place, where the ids are known: calls.ts.
    "grpc.enable_retries": 0,
    "grpc.service_config_disable_resolution": 1,
    "grpc.max_receive_message_length": MAX_RECEIVE_BYTES,
    // Two clients in one process do not share a connection, and so not its fate.
    "grpc.use_local_subchannel_pool": 1,
    // gRPC would go by way of the proxy that the environment names, and the token with it.
    ...(isLoopback(address) ? { "grpc.enable_http_proxy": 0 } : {}),
    ...(tls?.serverName === undefined
      ? {}
      : { "grpc.ssl_target_name_override": tls.serverName, "grpc.default_authority": tls.serverName }),
  });
}

/** A bearer token that no inspection, JSON or text shows. */
export class Token {
  readonly #text: string;

  constructor(text: string) {
    // The value itself stays out of the message.
    if (!/^[\x21-\x7e]+$/.test(text)) {
      throw refusal("token", "it is empty or holds blanks or control characters; give it as it was printed");
    }
    this.#text = text;
  }

  /** New call metadata that carries it. */
  metadata(): Metadata {
    const metadata = new Metadata();
    metadata.set("authorization", `Bearer ${this.#text}`);
    return metadata;
  }
}

/** Whether what goes to `address` stays on this machine: a loopback address, `localhost`, or a Unix socket. */
export function isLoopback(address: string): boolean {
  if (/^unix(-abstract)?:/.test(address)) return true;
  const found = /^(?:(?:ipv4|ipv6|dns):)?\/*(?:\[([^\]]*)\]|([^:/]*))(?::[\w-]+)?$/.exec(address);
  const host = found?.[1] ?? found?.[2] ?? "";
  if (isIP(host) === 4) return host.startsWith("127.");
  return isIP(host) === 6 ? /^(0*:)*:?0*1$/.test(host) : host.toLowerCase() === "localhost";
}
