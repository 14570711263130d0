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
      [new Date(fill.eventTime).toLocaleTimeString()],
      [sideOf(fill), sideOf(fill)],
      [short(fill.quantity), "number"],
      [fill.symbol],
      [short(fill.price), "number"],
      [(fill.fees ?? []).map(money).join(", "), "number"],
      [fill.clientOrderId ?? ""],
    ]),
  );
  while (body.rows.length > ROWS) body.lastElementChild.remove();
}

/** Shows how things stand, and returns the cursor after which nothing is missed. */
async function list(accountId) {
  // The fills first: what is filled before the positions are read comes again as an event, and is absolute in a position.
  const fills = await client.call("OrderService/ListFills", { accountId, pageSize: ROWS });
  const held = await client.call("PositionService/ListPositions", { accountId });
  positions.clear();
  element("positions").tBodies[0].replaceChildren();
  element("fills").tBodies[0].replaceChildren();
  for (const position of held.positions ?? []) showPosition(position);
  for (const fill of (fills.fills ?? []).toReversed()) showFill(fill);
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
    let timer;
    const listen = () => {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), MISSED_HEARTBEATS * HEARTBEAT_S * 1000);
    };
    try {
      cursor ||= await list(accountId);
      if (signal.aborted) return;
      const request = {
        accountIds: [accountId],
        afterCursor: cursor,
        kinds: ["EVENT_KIND_FILL", "EVENT_KIND_POSITION"],
        heartbeatInterval: `${HEARTBEAT_S}s`,
      };
      listen();
      const messages = client.stream("EventService/StreamEvents", request, AbortSignal.any([signal, silence.signal]));
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
        }
        cursor = message.cursor || cursor;
        if (message.caughtUp) tell("live");
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof CallError && FINAL.has(error.code)) return fail(error);
      // The cursor's events are gone, or the journal is another one: begin with how things stand.
      if (error.code === "out_of_range") cursor = "";
    } finally {
      clearTimeout(timer);
    }
    tell("resuming");
    pause = Math.min(LONGEST_PAUSE_MS, pause ? pause * 2 : SHORTEST_PAUSE_MS);
    await new Promise((resume) => setTimeout(resume, Math.random() * pause));
  }
}

function fail(error) {
  tell("ended", [error.reason, error.message].filter(Boolean).join(": "));
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
    const { accounts = [] } = await client.call("AccountService/ListAccounts", {});
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
