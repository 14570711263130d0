// Lists an account's positions and fills, then follows both over whatever happens to the connection.

import { CallError, Client } from "./connect.js";

const HEARTBEAT_S = 5;
const MISSED_HEARTBEATS = 3;
const ROWS = 200;
const [SHORTEST_PAUSE_MS, LONGEST_PAUSE_MS] = [100, 2000];
// What no new connection mends.
const FINAL = new Set(["invalid_argument", "not_found", "permission_denied", "unauthenticated", "unimplemented"]);

const client = new Client();
const element = (id) => document.getElementById(id);
const positions = new Map();
let following = new AbortController();

function tell(state, problem = "") {
  element("state").textContent = element("state").dataset.state = state;
  element("problem").textContent = problem;
  element("problem").hidden = !problem;
}

/** A decimal for the eye: without zeros at its end. */
const short = (decimal = "") => (decimal.includes(".") ? decimal.replace(/\.?0+$/, "") : decimal);
const isFlat = (quantity) => /^-?0+(\.0+)?$/.test(quantity);
const money = ({ amount, currencyCode }) => `${short(amount)} ${currencyCode}`;
const sideOf = (fill) => fill.side.replace("SIDE_", "").toLowerCase();
// What takes back an earlier fill, or takes its place, is not one more.
const kindOf = ({ kind = "" }) => (/_(BUST|CORRECTION)$/.test(kind) ? `, ${kind.replace("FILL_KIND_", "").toLowerCase()}` : "");
const reasonOf = (error) => [error.reason, error.message].filter(Boolean).join(": ");

/** A time for the eye: with its day where that is not today. */
function timeOf(text) {
  const time = new Date(text);
  return time.toDateString() === new Date().toDateString() ? time.toLocaleTimeString() : time.toLocaleString();
}

/** What is shown while the account's broker is away is its last word. */
function tellAway(message) {
  element("away").textContent = message;
  element("away").hidden = !message;
}

function row(cells) {
  const made = document.createElement("tr");
  for (const [text, kind] of cells) {
    const cell = document.createElement("td");
    cell.textContent = text;
    if (kind) cell.className = kind;
    made.append(cell);
  }
  return made;
}

function showPosition(position) {
  if (isFlat(position.quantity)) positions.delete(position.symbol);
  else positions.set(position.symbol, position);
  const sorted = [...positions.values()].sort((a, b) => (a.symbol < b.symbol ? -1 : 1));
  element("positions").tBodies[0].replaceChildren(
    ...sorted.map(({ symbol, quantity, averagePrice, realizedPnl }) =>
      row([
        [symbol],
        [short(quantity), "number"],
        [short(averagePrice), "number"],
        [realizedPnl ? money(realizedPnl) : "", "number"],
      ]),
    ),
  );
}

function showFill(fill) {
  const body = element("fills").tBodies[0];
  body.prepend(
    row([
      [timeOf(fill.eventTime)],
      [sideOf(fill) + kindOf(fill), sideOf(fill)],
      [short(fill.quantity), "number"],
      [fill.symbol],
      [short(fill.price), "number"],
      [(fill.fees ?? []).map(money).join(", "), "number"],
      [fill.clientOrderId ?? ""],
    ]),
  );
  while (body.rows.length > ROWS) body.lastElementChild.remove();
}

function showConnection({ state, message }) {
  const connected = state === "CONNECTION_STATE_CONNECTED";
  tellAway(connected ? "" : `The broker is away${message ? `: ${message}` : "."}`);
}

/** Shows how things stand, and returns the cursor after which nothing is missed. Shows nothing once `signal` has aborted: another
 * account may be shown by then. */
async function list(accountId, signal) {
  // The fills first: what is filled before the positions are read comes again as an event, and is absolute in a position.
  const fills = await client.call("OrderService/ListFills", { accountId, pageSize: ROWS }, signal);
  const held = await client.call("PositionService/ListPositions", { accountId }, signal);
  signal.throwIfAborted();
  positions.clear();
  element("positions").tBodies[0].replaceChildren();
  element("fills").tBodies[0].replaceChildren();
  for (const position of held.positions ?? []) showPosition(position);
  for (const fill of (fills.fills ?? []).toReversed()) showFill(fill);
  tellAway(held.stale ? `The broker is away; the positions are those of ${timeOf(held.asOf)}.` : "");
  // Only what was read is shown as empty.
  element("standing").hidden = false;
  return fills.cursor;
}

/** Follows the account until `signal`; resumes by the cursor, and shows no event twice. */
async function follow(accountId, signal) {
  let cursor = "";
  let highest = { epoch: "", sequence: 0n };
  let pause = 0;
  while (!signal.aborted) {
    const silence = new AbortController();
    const either = AbortSignal.any([signal, silence.signal]);
    let timer;
    let problem = "";
    const listen = () => {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), MISSED_HEARTBEATS * HEARTBEAT_S * 1000);
    };
    try {
      listen();
      cursor ||= await list(accountId, either);
      const request = {
        accountIds: [accountId],
        afterCursor: cursor,
        kinds: ["EVENT_KIND_FILL", "EVENT_KIND_POSITION", "EVENT_KIND_CONNECTION"],
        heartbeatInterval: `${HEARTBEAT_S}s`,
      };
      const messages = client.stream("EventService/StreamEvents", request, either);
      for await (const message of messages) {
        listen();
        if (message.opened) {
          if (message.opened.epoch !== highest.epoch) highest = { epoch: message.opened.epoch, sequence: 0n };
        } else {
          pause = 0;
        }
        for (const event of message.batch?.events ?? []) {
          if (BigInt(event.sequence) <= highest.sequence) continue;
          highest.sequence = BigInt(event.sequence);
          if (event.fill) showFill(event.fill.fill);
          if (event.position) showPosition(event.position.position);
          if (event.connection) showConnection(event.connection);
        }
        cursor = message.cursor || cursor;
        if (message.caughtUp) tell("live");
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof CallError && FINAL.has(error.code)) return fail(error);
      if (error instanceof CallError) problem = reasonOf(error);
      // The cursor's events are gone, or the journal is another one: begin with how things stand.
      if (error.code === "out_of_range") cursor = "";
    } finally {
      clearTimeout(timer);
    }
    tell("resuming", problem);
    pause = Math.min(LONGEST_PAUSE_MS, pause ? pause * 2 : SHORTEST_PAUSE_MS);
    await new Promise((resume) => setTimeout(resume, Math.random() * pause));
  }
}

function fail(error) {
  tell("ended", reasonOf(error));
  element("login").hidden = error.code !== "unauthenticated";
}

function choose() {
  following.abort();
  following = new AbortController();
  element("standing").hidden = true;
  tell("connecting");
  follow(element("account").value, following.signal);
}

async function begin() {
  tell("connecting");
  try {
    const deadline = AbortSignal.timeout(MISSED_HEARTBEATS * HEARTBEAT_S * 1000);
    const { accounts = [] } = await client.call("AccountService/ListAccounts", {}, deadline);
    element("account").replaceChildren(...accounts.map(({ accountId }) => new Option(accountId)));
    element("account").disabled = accounts.length === 0;
    element("login").hidden = true;
    if (accounts.length > 0) choose();
    else tell("ended", "there is no account that you may see");
  } catch (error) {
    if (error instanceof CallError && FINAL.has(error.code)) return fail(error);
    tell("resuming", error.message);
    setTimeout(begin, LONGEST_PAUSE_MS);
  }
}

element("account").addEventListener("change", choose);
element("login").addEventListener("submit", (event) => {
  event.preventDefault();
  client.useToken(element("token").value);
  element("token").value = "";
  begin();
});
begin();
