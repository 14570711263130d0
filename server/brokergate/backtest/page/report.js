// The page of one run, from its data.
const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const summed = (deltas) => { let sum = 0; return deltas.map((delta) => (sum += delta)); };
const instruments = Object.fromEntries(data.instruments.map((each) => [each.symbol, each]));
const start = micros(data.start), end = Math.max(micros(data.end), micros(data.start) + 1);
const found = data.summary, base = found.base_currency;
const places = (increment) => (increment.split(".")[1] || "").length;

const state = { left: 0, from: start, to: end, symbol: Object.keys(data.prices)[0] || data.instruments[0].symbol };

// What is drawn, once

const prices = {};
for (const [symbol, series] of Object.entries(data.prices)) {
  const half = Number(instruments[symbol].price_increment) / 2, digits = places(instruments[symbol].price_increment) + 1;
  prices[symbol] = {
    times: summed(series.times).map((us) => us + start), values: summed(series.prices).map((each) => each * half),
    kind: "price", stepped: true, say: (value) => `${grouped(value, digits)} ${instruments[symbol].quote_currency}`,
  };
}

const fills = data.fills.map((fill) => ({
  id: fill.execution_id, time: micros(fill.time), value: Number(fill.price), symbol: fill.symbol,
  side: fill.side.toLowerCase(), liquidity: fill.liquidity.toLowerCase(), fill,
}));

function describe(mark) {
  const { fill } = mark;
  const fees = fill.fees.filter((fee) => Number(fee.amount)).map((fee) => `${fee.amount} ${fee.currency}`).join(", ");
  const lines = [
    `${fill.side === "BUY" ? "Bought" : "Sold"} ${fill.quantity} at ${fill.price} as ${mark.liquidity}`,
    `${clock(mark.time, 3)} UTC, order ${fill.client_order_id}`,
  ];
  if (fill.slippage !== null) lines.push(`slippage ${short(fill.slippage, 4)} ${fill.currency} (${short(fill.slippage_bps)} bps)`);
  if (fees) lines.push(`fee ${fees}`);
  return lines.join("\n");
}

const known = data.equity.filter((point) => point[1] !== null);
const equity = {
  times: known.map((point) => micros(point[0])), values: known.map((point) => Number(point[1])), kind: "equity",
  stepped: true, say: (value) => `${grouped(value, 2)} ${base}`,
};
let peak = -Infinity;
const drawdown = {
  times: equity.times, kind: "drawdown", stepped: true, say: (value) => `${grouped(value, 2)} ${base}`,
  values: equity.values.map((value) => { peak = Math.max(peak, value); return value - peak; }),
};

function position(symbol) {
  const steps = data.position_steps[symbol] || [], digits = places(instruments[symbol].quantity_increment);
  return {
    times: [start, ...steps.map((step) => micros(step[0]))], values: [0, ...steps.map((step) => Number(step[1]))],
    kind: "position", stepped: true, say: (value) => grouped(value, digits),
  };
}

// Summary

function tiles() {
  const profit = known.length ? Number(found.end_equity) - Number(found.start_equity) : null;
  const currencies = (map, say) => Object.entries(map).map(([currency, value]) => say(value, currency));
  const list = [
    ["Equity at the end", found.end_equity === null ? "–" : `${short(found.end_equity)} ${base}`,
      profit === null ? "" : `${profit > 0 ? "+" : ""}${short(profit)} since the start`],
    ["Profit before fees", `${short(Number(found.realized_pnl || 0) + Number(found.unrealized_pnl || 0))} ${base}`,
      `${short(found.realized_pnl)} realised, ${short(found.unrealized_pnl)} unrealised`],
    ["Largest drawdown", found.drawdown ? `${short(found.drawdown.amount)} ${base}` : "–",
      found.drawdown ? `${short(Number(found.drawdown.share || 0) * 100, 4)} %; longest under water ${span(found.drawdown.longest_ns)}` : ""],
    ["Fees", currencies(found.fees, (amount, currency) => `${short(amount)} ${currency}`).join(", ") || "0", ""],
    ["Slippage on arrival mid", currencies(found.slippage, (cost, currency) => `${short(cost.execution)} ${currency}`).join(", ") || "0",
      currencies(found.slippage, (cost) => `${short(cost.execution_bps)} bps; not filling cost ${short(cost.opportunity)}`).join(", ")],
    ["Orders", found.orders.toLocaleString("en-US"),
      Object.entries(found.outcomes).filter(([, count]) => count).map(([outcome, count]) => `${count} ${outcome}`).join(", ")],
    ["Filled of what was ordered", currencies(found.fill_ratio, (ratio) => (ratio.ratio === null ? "–" : `${short(Number(ratio.ratio) * 100, 1)} %`)).join(", ") || "–",
      Object.keys(found.fill_ratio).join(", ")],
    ["Fills", found.fills.toLocaleString("en-US"), `${found.maker_fills} as maker, ${found.fills - found.maker_fills} as taker`],
    ["Turnover", currencies(found.volume, (volume, currency) => `${short(volume.turnover)} ${currency}`).join(", ") || "0",
      currencies(found.volume, (volume) => `${short(Number(volume.maker_share) * 100, 1)} % as maker`).join(", ")],
    ["Wait in the queue", found.queue_waits && found.queue_waits.count ? span(found.queue_waits.median_ns) : "–",
      found.queue_waits ? `median; 90 % within ${span(found.queue_waits.p90_ns)}; ${found.queue_waits.never} never filled` : "no order rested"],
  ];
  for (const [title, large, small] of list) {
    const tile = element("div", {}, element("dt", {}, title), element("dd", { class: "large" }, large));
    if (small) tile.append(element("dd", { class: "small" }, small));
    at("summary").append(tile);
  }
  if (found.unvalued_currencies.length) {
    at("unvalued").hidden = false;
    at("unvalued").textContent = `Equity is not known at the end: nothing tells what ${found.unvalued_currencies.join(", ")} is worth in ${base}.`;
  }
}

// Charts over time

function legend() {
  const made = element("p", { class: "legend" });
  for (const [side, liquidity, text] of [["buy", "maker", "bought as maker"], ["buy", "taker", "bought as taker"], ["sell", "maker", "sold as maker"], ["sell", "taker", "sold as taker"]]) {
    const drawing = shape("svg", { viewBox: "-7 -7 14 14", "aria-hidden": "true" });
    drawing.append(shape("path", { class: `${side} ${liquidity} fill key`, d: MARKS[side] }));
    made.append(element("span", {}, drawing, text));
  }
  return made;
}

function zoom(from, to) {
  const width = Math.min(end - start, Math.max(1000, to - from));
  state.from = Math.max(start, Math.min(from, end - width));
  state.to = state.from + width;
  draw();
}

function draw() {
  hideTip();
  const { from, to, symbol } = state, shared = { from, to, zoom };
  const phone = innerWidth < 600;
  const nothing = { times: [], values: [], kind: "price", say: String };
  const charts = [
    [at("price"), { title: `Price of ${symbol}, with fills`, series: prices[symbol] || nothing, height: phone ? 280 : 360,
      marks: fills.filter((mark) => mark.symbol === symbol), describe, legend }],
    [at("position"), { title: `Position in ${symbol}`, series: position(symbol), height: phone ? 140 : 160, zero: true }],
    [at("equity"), { title: `Equity in ${base}`, series: equity, height: phone ? 170 : 200 }],
    [at("drawdown"), { title: `Drawdown in ${base}`, series: drawdown, height: phone ? 130 : 150, area: true, zero: true }],
  ];
  // One edge for all, so that a moment stands at the same place in each.
  const drawAll = (left) => charts.map(([figure, chart]) => timeChart(figure, { ...shared, ...chart, left }));
  const needed = drawAll(state.left), left = Math.max(...needed);
  if (left !== state.left) drawAll(state.left = left);
  at("range").textContent = `${day(from)} ${clock(from, 1)} to ${day(from) === day(to) ? "" : `${day(to)} `}${clock(to, 1)} UTC`;
  at("zoom-out").disabled = at("all").disabled = from === start && to === end;
  at("earlier").disabled = from === start;
  at("later").disabled = to === end;
}

function toolbar() {
  const symbols = Object.keys(data.prices);
  for (const symbol of symbols) at("symbol").append(element("option", { value: symbol }, symbol));
  at("symbol-label").hidden = symbols.length < 2;
  at("symbol").addEventListener("change", () => { state.symbol = at("symbol").value; draw(); });
  const width = () => state.to - state.from;
  const ways = {
    earlier: () => zoom(state.from - width() / 2, state.to - width() / 2),
    later: () => zoom(state.from + width() / 2, state.to + width() / 2),
    "zoom-in": () => zoom(state.from + width() / 4, state.to - width() / 4),
    "zoom-out": () => zoom(state.from - width() / 2, state.to + width() / 2),
    all: () => zoom(start, end),
  };
  for (const [id, way] of Object.entries(ways)) at(id).addEventListener("click", way);
}

// Distributions

// Twenty or so bins over the middle 98 % of the values; what lies beyond counts in the outermost, which then are open.
function slippageBins() {
  const values = data.fills.filter((fill) => fill.slippage_bps !== null).map((fill) => Number(fill.slippage_bps)).sort((a, b) => a - b);
  if (!values.length) return [];
  const rank = (share) => values[Math.min(values.length - 1, Math.floor(values.length * share))];
  let low = Math.min(0, rank(0.01)), high = Math.max(0, rank(0.99));
  if (high - low < 1e-9) { low -= 0.5; high += 0.5; }
  const { ticks, label } = valueTicks(low, high, 24), step = ticks[1] - ticks[0];
  const first = Math.floor(low / step + 1e-9), count = Math.floor(high / step + 1e-9) - first + 1;
  const bins = Array.from({ length: count }, (_, i) => {
    const from = label((first + i) * step), to = label((first + i + 1) * step);
    return { label: from, long: `${from} to ${to} bps`, count: 0, edge: true };
  });
  for (const value of values) bins[Math.max(0, Math.min(count - 1, Math.floor(value / step + 1e-9) - first))].count++;
  if (values[0] < first * step) bins[0].long = `below ${label((first + 1) * step)} bps`;
  if (values[values.length - 1] >= (first + count) * step) bins[count - 1].long = `${label((first + count - 1) * step)} bps or more`;
  return bins;
}

function waitBins() {
  const waits = data.orders.filter((order) => order.queue_wait_ns !== null).map((order) => order.queue_wait_ns);
  if (!waits.length) return [];
  const edges = [0, 1e6, 1e7, 1e8, 3e8, 1e9, 3e9, 1e10, 3e10, 6e10, 3e11, 6e11, 18e11, 36e11, 864e11, Infinity];
  const bins = edges.slice(0, -1).map((from, i) => ({
    label: from ? span(from) : "0", edge: true, long: edges[i + 1] === Infinity ? `${span(from)} or more` : `${span(from)} to ${span(edges[i + 1])}`, count: 0,
  }));
  for (const wait of waits) bins[indexAt(edges, wait)].count++;
  const used = bins.map((bin) => bin.count > 0), first = used.indexOf(true), last = used.lastIndexOf(true);
  return bins.slice(first, last + 1);
}

function distributions() {
  const unknown = data.fills.filter((fill) => fill.slippage_bps === null).length;
  histogram(at("slippage"), { title: "Slippage of fills, in basis points of the arrival mid", bins: slippageBins(),
    note: data.fills.length ? `Below zero is better than the mid.${unknown ? ` ${unknown} fills without a mid are left out.` : ""}` : "Nothing was filled." });
  const waits = found.queue_waits;
  histogram(at("waits"), { title: "Wait from the book to the first fill", bins: waitBins(),
    note: waits ? `Orders that stood in the book and never filled from there: ${waits.never}.` : "No order stood in the book." });
}

function smallTables() {
  const money = [];
  for (const [currency, amount] of Object.entries(found.fees)) money.push(["Fees", amount, currency]);
  for (const [currency, cost] of Object.entries(found.slippage)) {
    money.push(["Slippage of fills", cost.execution, currency], ["Cost of what did not fill", cost.opportunity, currency]);
  }
  for (const [currency, volume] of Object.entries(found.volume)) {
    money.push(["Turnover", volume.turnover, currency], ["Turnover as maker", volume.maker, currency]);
  }
  const amount = { title: "Amount", number: true };
  at("costs").append(plainTable("Costs and turnover", ["What", amount, "Currency"], money));
  const rows = Object.entries(found.outcomes).map(([outcome, count]) => [`Orders ${outcome}`, count]);
  for (const [reason, count] of Object.entries(found.refusals)) rows.push([`Refused for ${reason}`, count]);
  for (const [symbol, ratio] of Object.entries(found.fill_ratio)) {
    rows.push([`Ordered of ${symbol}`, ratio.ordered], [`Filled of ${symbol}`, ratio.filled]);
  }
  at("filling").append(plainTable("What became of orders", ["What", { title: "Count or quantity", number: true }], rows));
}

// Tables

const numeric = (title) => ({ title, number: true });
const longText = (title) => ({ title, long: true });
const moment = (iso) => (iso === null ? "" : `${iso.slice(0, 10)} ${iso.slice(11, 26)}`);

function tables() {
  const orders = data.orders;
  pagedTable(at("orders"), "orders",
    ["Order", "Given (UTC)", "Symbol", "Side", "Type", "In force", numeric("Quantity"), numeric("Limit"), numeric("Stop"), "State",
      numeric("Filled"), numeric("Average price"), numeric("Arrival mid"), numeric("Queue wait"), longText("What the venue said")],
    orders.length, (i) => {
      const order = orders[i];
      return [order.client_order_id, moment(order.given), order.symbol, order.side, order.type, order.time_in_force, order.quantity, order.limit_price,
        order.stop_price, order.state, order.filled_quantity, order.average_price === null ? "" : short(order.average_price, 8), order.arrival_mid,
        order.queue_wait_ns === null ? "" : span(order.queue_wait_ns), [order.reason, order.message].filter(Boolean).join(": ")];
    });
  pagedTable(at("fills"), "fills",
    ["Fill", "Time (UTC)", "Order", "Symbol", "Side", numeric("Quantity"), numeric("Price"), "As", numeric("Fee"), numeric("Arrival mid"), numeric("Slippage"), numeric("bps")],
    data.fills.length, (i) => {
      const fill = data.fills[i];
      return [fill.execution_id, moment(fill.time), fill.client_order_id, fill.symbol, fill.side, fill.quantity, fill.price, fill.liquidity,
        fill.fees.map((fee) => `${fee.amount} ${fee.currency}`).join(", "), fill.arrival_mid, fill.slippage, fill.slippage_bps === null ? "" : short(fill.slippage_bps, 3)];
    });
  if (data.refused_commands.length) {
    at("refused").hidden = false;
    pagedTable(at("refused"), "refused cancels and replaces", ["Time (UTC)", "Command", "Order", "Reason", longText("What the venue said")],
      data.refused_commands.length, (i) => {
        const refused = data.refused_commands[i];
        return [moment(refused.time), refused.command, refused.client_order_id, refused.reason, refused.message];
      });
  }
  at("holdings").append(
    plainTable("Positions", ["Symbol", numeric("Quantity"), numeric("Average price"), numeric("Mark"), numeric("Realised"), numeric("Unrealised"), "Currency"],
      data.positions.map((each) => [each.symbol, each.quantity, each.average_price === null ? "" : short(each.average_price, 8), each.mark_price, each.realized_pnl, each.unrealized_pnl, each.currency])),
    plainTable("Balances", ["Currency", numeric("Total"), numeric("Held for open orders")], data.balances.map((each) => [each.currency, each.total, each.held])),
  );
}

function cash() {
  const rows = [...data.notices.map(([time, message]) => [time, "NOTICE", "", "", "", message]),
    ...data.ledger.map((entry) => [entry.time, entry.kind, entry.amount, entry.currency, entry.symbol, entry.description])].sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
  if (!rows.length) return;
  at("cash").hidden = false;
  pagedTable(at("cash"), "margin and cash", ["Time (UTC)", "Kind", numeric("Amount"), "Currency", "Symbol", longText("What the venue said")],
    rows.length, (i) => [moment(rows[i][0]), ...rows[i].slice(1)]);
}

function flattened(value, name, rows) {
  if (value !== null && typeof value === "object" && Object.keys(value).length) {
    for (const [key, inner] of Object.entries(value)) flattened(inner, Array.isArray(value) ? `${name}[${key}]` : name ? `${name}.${key}` : key, rows);
  } else {
    rows.push([name, value !== null && typeof value === "object" ? "none" : String(value)]);
  }
  return rows;
}

function settings() {
  const rows = [["brokergate", data.generator.version], ...Object.entries(data.inputs).filter(([, value]) => value !== ""), ...flattened(data.settings, "", [])];
  at("settings").append(plainTable("Inputs, and the account's settings", ["Setting", longText("Value")], rows));
}

const ran = data.inputs.orders || data.inputs.strategy || "nothing";
at("told").textContent = `${ran} on ${data.inputs.market}, ${moment(data.start)} to ${moment(data.end)} UTC, ${data.updates.toLocaleString("en-US")} market updates`;
document.title = `Replay of ${ran}`;
tiles();
toolbar();
draw();
distributions();
smallTables();
tables();
cash();
settings();

let drawnAt = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === drawnAt) return;
  drawnAt = innerWidth;
  draw();
  distributions();
});
