/** A gateway to test against: `brokergate serve` as a process of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Gateway } from "../src/index.js";

const ROOT = resolve(import.meta.dirname, "../../../..");
const PYTHON = process.env["PYTHON"] ?? join(ROOT, ".venv/bin/python");
const START_TIMEOUT_MS = 60_000;

export class Server {
  address = "127.0.0.1:0";
  readonly #folder = mkdtempSync(join(tmpdir(), "brokergate-"));
  #process: ChildProcess | undefined;

  static async start(): Promise<Server> {
    const server = new Server();
    await server.start();
    return server;
  }

  /** Start a process on the same data and, after the first time, the same port; it serves when this returns. */
  async start(): Promise<void> {
    const [data, file] = [join(this.#folder, "data"), join(this.#folder, "data/address")];
    rmSync(file, { force: true });
    const command = ["-m", "brokergate", "serve", "--listen", this.address, "--data-dir", data];
    const kept = Object.entries(process.env).filter(([name]) => !name.startsWith("BROKERGATE_"));
    const env = { ...Object.fromEntries(kept), PYTHONPATH: join(ROOT, "server") };
    const started = spawn(PYTHON, command, { env, stdio: ["ignore", "ignore", "inherit"] });
    this.#process = started;
    const end = Date.now() + START_TIMEOUT_MS;
    while (!existsSync(file) || !readFileSync(file, "utf8").endsWith("\n")) {
      if (started.exitCode !== null || Date.now() > end)
        throw new Error(`the gateway did not start: ${started.exitCode}`);
      await sleep(10);
    }
    this.address = readFileSync(file, "utf8").split("\n")[0]!;
    const gateway = new Gateway(this.address, { deadlineMs: START_TIMEOUT_MS });
    while (!(await gateway.isServing())) await sleep(10);
    gateway.close();
  }

  async end(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    if (this.#process === undefined || this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, "exit");
    this.#process.kill(signal);
    await ended;
  }

  async close(): Promise<void> {
    await this.end("SIGTERM");
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
