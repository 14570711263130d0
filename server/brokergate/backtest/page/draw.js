// Elements, scales and charts. Text goes on the page as text, never as markup.
const SVG = "http://www.w3.org/2000/svg";

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function shape(name, attributes = {}, text = null) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== null) made.textContent = text;
  return made;
}

// Numbers and times

const grouped = (value, places) =>
  value.toLocaleString("en-US", { minimumFractionDigits: places, maximumFractionDigits: places });

function short(text, places = 2) {
  if (text === null || text === undefined) return "–";
  const value = Number(text);
  const shown = value.toLocaleString("en-US", { maximumFractionDigits: places });
  if (value !== 0 && Number(shown.replaceAll(",", "")) === 0)
    return value.toLocaleString("en-US", { maximumSignificantDigits: 2 });
  return shown;
}

function span(ns) {
  if (ns === null || ns === undefined) return "–";
  const units = [["ns", 1e3], ["µs", 1e3], ["ms", 1e3], ["s", 60], ["min", 60], ["h", 24], ["d", Infinity]];
  let value = ns;
  for (const [unit, next] of units) {
    if (value < next) return `${value.toLocaleString("en-US", { maximumSignificantDigits: 3 })} ${unit}`;
    value /= next;
  }
  return "";
}

// Microseconds since 1970: exact in a double until the year 2255.
const micros = (iso) => Date.parse(`${iso.slice(0, 19)}Z`) * 1000 + Number(iso.slice(20, 26));
const clock = (us, digits = 0) => {
  const iso = new Date(Math.floor(us / 1000)).toISOString();
  return digits ? iso.slice(11, 20 + digits) : iso.slice(11, 19);
};
const day = (us) => new Date(Math.floor(us / 1000)).toISOString().slice(0, 10);

const TIME_STEPS = [1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6, 1e7, 15e6, 3e7, 6e7, 12e7, 3e8, 6e8, 9e8, 18e8,
  36e8, 72e8, 108e8, 216e8, 432e8, 864e8, 1728e8, 6048e8, 2592e9, 7776e9, 31536e9];

function timeTicks(from, to, most) {
  const step = TIME_STEPS.find((each) => (to - from) / each <= most) || TIME_STEPS[TIME_STEPS.length - 1];
  const ticks = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) ticks.push(at);
  const label = (us) => {
    if (step >= 864e8) return day(us);
    if (step >= 6e7) return clock(us).slice(0, 5);
    return clock(us, step >= 1e6 ? 0 : step >= 1e5 ? 1 : step >= 1e4 ? 2 : 3);
  };
  return { ticks, label };
}

function valueTicks(low, high, most, least = 0) {
  const rough = (high - low) / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((each) => each * power).find((each) => each >= rough && each >= least) || least;
  const ticks = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n++) ticks.push(n * step);
  let places = 0;
  while (places < 10 && Math.abs(Math.round(step * 10 ** places) - step * 10 ** places) > 1e-6) places++;
  return { ticks, label: (value) => grouped(Math.abs(value) < step / 1e6 ? 0 : value, places) };
}

// The last index whose time is not after `time`; -1 before the first.
function indexAt(times, time) {
  let low = 0, high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] <= time) low = middle + 1; else high = middle;
  }
  return low - 1;
}

// What a pixel column can show of a series: where it enters, its lowest, its highest, where it leaves.
function thin(times, values, from, to, columns) {
  const first = Math.max(0, indexAt(times, from)), last = Math.min(times.length - 1, indexAt(times, to));
  const points = [];
  if (last < first) return points;
  if (last - first < columns * 4) {
    for (let i = first; i <= last; i++) points.push([times[i], values[i]]);
  } else {
    const width = (to - from) / columns;
    let i = first;
    while (i <= last) {
      const column = Math.floor((times[i] - from) / width), start = i;
      let low = i, high = i;
      while (i <= last && Math.floor((times[i] - from) / width) === column) {
        if (values[i] < values[low]) low = i;
        if (values[i] > values[high]) high = i;
        i++;
      }
      for (const k of [...new Set([start, low, high, i - 1])].sort((a, b) => a - b)) points.push([times[k], values[k]]);
    }
  }
  if (points.length && times[last] < to) points.push([to, values[last]]);
  return points;
}

function extent(points) {
  let low = Infinity, high = -Infinity;
  for (const [, value] of points) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

// Tooltip

const tip = document.getElementById("tip");

function showTip(text, x, y) {
  if (tip.textContent !== text) tip.textContent = text;
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const left = x + 14 + box.width > innerWidth ? x - 14 - box.width : x + 14;
  const top = y + 14 + box.height > innerHeight ? y - 14 - box.height : y + 14;
  tip.style.left = `${Math.max(4, Math.min(left, innerWidth - box.width - 4))}px`;
  tip.style.top = `${Math.max(4, top)}px`;
}

function hideTip() { tip.hidden = true; }
addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });

// Frames of charts

function frame(figure, { height, low, high, title, left = 0, least = 0 }) {
  const width = Math.max(240, figure.clientWidth);
  const vertical = valueTicks(low, high, Math.max(2, Math.floor(height / 42)), least);
  const longest = Math.max(3, ...vertical.ticks.map((value) => vertical.label(value).length));
  const needed = Math.ceil(longest * 7.2) + 10;
  const box = { left: Math.max(left, needed), needed, right: 10, top: 10, bottom: 26, width, height };
  box.x0 = box.left; box.x1 = width - box.right; box.y0 = height - box.bottom; box.y1 = box.top;
  const drawing = shape("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "group", "aria-label": title });
  const y = (value) => box.y0 - ((value - low) / (high - low)) * (box.y0 - box.y1);
  for (const value of vertical.ticks) {
    drawing.append(
      shape("line", { class: "grid", x1: box.x0, x2: box.x1, y1: y(value), y2: y(value) }),
      shape("text", { x: box.x0 - 6, y: y(value) + 4, "text-anchor": "end" }, vertical.label(value)),
    );
  }
  drawing.append(shape("line", { class: "axis", x1: box.x0, x2: box.x1, y1: box.y0, y2: box.y0 }));
  return { drawing, box, y };
}

const padded = (low, high) => {
  if (low === high) return [low - Math.max(1e-9, Math.abs(low) * 1e-6, 0.5), high + Math.max(1e-9, Math.abs(high) * 1e-6, 0.5)];
  const room = (high - low) * 0.06;
  return [low - room, high + room];
};

const path = (points, x, y, stepped) => {
  let text = "";
  points.forEach(([time, value], i) => {
    const at = x(time).toFixed(1), high = y(value).toFixed(1);
    text += i === 0 ? `M${at} ${high}` : stepped ? `H${at}V${high}` : `L${at} ${high}`;
  });
  return text;
};

// A chart over time. `series`: {times, values, kind, stepped, say}; `marks` go on it; `zoom` takes a new range. Gives the
// room that its labels need on the left.
function timeChart(figure, { title, series, from, to, height, marks = [], area = false, zero = false, zoom, describe, legend, left }) {
  const kept = [...figure.querySelectorAll("details")];
  const open = kept.some((each) => each.open);
  figure.replaceChildren(element("figcaption", {}, title));
  if (legend) figure.append(legend());
  const wide = Math.max(240, figure.clientWidth);
  const points = thin(series.times, series.values, from, to, wide);
  const inside = marks.filter((mark) => mark.time >= from && mark.time <= to);
  if (!points.length) {
    figure.append(element("p", { class: "none" }, "There is nothing to show for this time."));
    return 0;
  }
  let [low, high] = extent([...points, ...inside.map((mark) => [mark.time, mark.value])]);
  if (zero) { low = Math.min(low, 0); high = Math.max(high, 0); }
  [low, high] = padded(low, high);
  if (area) high = Math.min(high, 0) || 0;
  const { drawing, box, y } = frame(figure, { height, low, high, title, left });
  const x = (time) => box.x0 + ((time - from) / (to - from)) * (box.x1 - box.x0);
  const horizontal = timeTicks(from, to, Math.max(2, Math.floor((box.x1 - box.x0) / 90)));
  for (const time of horizontal.ticks) {
    const at = x(time);
    drawing.append(
      shape("line", { class: "grid", x1: at, x2: at, y1: box.y1, y2: box.y0 }),
      shape("text", { x: Math.min(at, box.x1 - 24), y: box.y0 + 18, "text-anchor": "middle" }, horizontal.label(time)),
    );
  }
  if (area) {
    const line = path(points, x, y, true);
    drawing.append(shape("path", { class: `area ${series.kind}`, d: `${line}V${y(0)}H${x(points[0][0]).toFixed(1)}Z` }));
  }
  drawing.append(shape("path", { class: `line ${series.kind}`, d: path(points, x, y, series.stepped) }));
  const cross = shape("line", { class: "cross", y1: box.y1, y2: box.y0, visibility: "hidden" });
  const brush = shape("rect", { class: "brush", y: box.y1, height: box.y0 - box.y1, visibility: "hidden" });
  drawing.append(cross, brush);
  const placed = placeMarks(drawing, inside, x, y, describe);
  watchPointer(drawing, { box, from, to, x, y, series, cross, brush, placed, zoom });
  figure.append(drawing, asTable(title, series, from, to, open));
  return box.needed;
}

const MARKS = { buy: "M0 -5.5L5 4H-5Z", sell: "M0 5.5L5 -4H-5Z" };

function placeMarks(drawing, marks, x, y, describe) {
  const group = shape("g", { role: "group", "aria-label": `${marks.length} fills; arrow keys go from one to the next` });
  const placed = marks.map((mark, i) => {
    const node = shape("path", {
      class: `fill ${mark.side} ${mark.liquidity}`, d: MARKS[mark.side], tabindex: i === 0 ? 0 : -1, role: "img",
      transform: `translate(${x(mark.time).toFixed(1)} ${y(mark.value).toFixed(1)})`, "data-fill": mark.id,
      "aria-label": describe(mark).replaceAll("\n", ", "),
    });
    group.append(node);
    return { node, mark, x: x(mark.time), y: y(mark.value) };
  });
  const light = (each) => {
    const box = each.node.getBoundingClientRect();
    lit(placed, each);
    showTip(describe(each.mark), box.left + box.width / 2, box.top + box.height / 2);
  };
  placed.forEach((each, i) => {
    each.light = () => light(each);
    each.node.addEventListener("focus", each.light);
    each.node.addEventListener("pointerenter", each.light);
    each.node.addEventListener("blur", () => { lit(placed, null); hideTip(); });
    each.node.addEventListener("keydown", (event) => {
      const to = { ArrowRight: i + 1, ArrowDown: i + 1, ArrowLeft: i - 1, ArrowUp: i - 1, Home: 0, End: placed.length - 1 }[event.key];
      if (to === undefined || !placed[to]) return;
      event.preventDefault();
      each.node.setAttribute("tabindex", -1);
      placed[to].node.setAttribute("tabindex", 0);
      placed[to].node.focus();
    });
  });
  if (marks.length) drawing.append(group);
  return placed;
}

function lit(placed, chosen) {
  if (placed.lit) placed.lit.node.classList.remove("shown");
  placed.lit = chosen;
  if (chosen) chosen.node.classList.add("shown");
}

function watchPointer(drawing, { box, from, to, x, y, series, cross, brush, placed, zoom }) {
  let pressed = null;
  const here = (event) => {
    const view = drawing.getBoundingClientRect(), scale = box.width / view.width;
    return { x: (event.clientX - view.left) * scale, y: (event.clientY - view.top) * scale };
  };
  const timeAt = (at) => from + ((Math.min(box.x1, Math.max(box.x0, at)) - box.x0) / (box.x1 - box.x0)) * (to - from);
  drawing.addEventListener("pointermove", (event) => {
    const at = here(event);
    if (pressed !== null) {
      brush.setAttribute("x", Math.max(box.x0, Math.min(pressed, at.x)));
      brush.setAttribute("width", Math.abs(Math.min(box.x1, Math.max(box.x0, at.x)) - pressed));
      brush.setAttribute("visibility", "visible");
      hideTip();
      return;
    }
    let nearest = null, least = 14 * 14;
    for (const each of placed) {
      const distance = (each.x - at.x) ** 2 + (each.y - at.y) ** 2;
      if (distance < least) { least = distance; nearest = each; }
    }
    if (nearest) { cross.setAttribute("visibility", "hidden"); nearest.light(); return; }
    lit(placed, null);
    const time = timeAt(at.x), index = indexAt(series.times, time);
    if (index < 0 || at.x < box.x0) { hideTip(); return; }
    cross.setAttribute("x1", x(time)); cross.setAttribute("x2", x(time)); cross.setAttribute("visibility", "visible");
    showTip(`${clock(time, 3)} UTC\n${series.say(series.values[index])}`, event.clientX, event.clientY);
  });
  drawing.addEventListener("pointerleave", () => {
    cross.setAttribute("visibility", "hidden");
    if (!drawing.contains(document.activeElement)) { lit(placed, null); hideTip(); }
  });
  drawing.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "mouse" || event.button !== 0) return;
    pressed = Math.min(box.x1, Math.max(box.x0, here(event).x));
    drawing.setPointerCapture(event.pointerId);
  });
  drawing.addEventListener("pointerup", (event) => {
    if (pressed === null) return;
    const end = Math.min(box.x1, Math.max(box.x0, here(event).x)), start = pressed;
    pressed = null;
    brush.setAttribute("visibility", "hidden");
    if (Math.abs(end - start) > 8) zoom(timeAt(Math.min(start, end)), timeAt(Math.max(start, end)));
  });
}

// Twenty moments of what a chart shows.
function asTable(title, series, from, to, open) {
  const rows = [];
  for (let i = 0; i <= 20; i++) {
    const time = from + ((to - from) * i) / 20, index = indexAt(series.times, time);
    if (index >= 0) rows.push([clock(time, 3), series.say(series.values[index])]);
  }
  return folded(`${title}: as a table`, ["Time (UTC)", title], rows, open);
}

function folded(title, headings, rows, open = false) {
  const made = element("details", open ? { open: "" } : {}, element("summary", {}, title));
  made.append(plainTable("", headings, rows));
  return made;
}

// Bars of counts. `bins`: {label, long, count}.
function histogram(figure, { title, bins, note }) {
  figure.replaceChildren(element("figcaption", {}, title));
  const total = bins.reduce((sum, bin) => sum + bin.count, 0);
  if (!total) {
    figure.append(element("p", { class: "none" }, note || "There is nothing to show."));
    return;
  }
  const height = 200, high = Math.max(...bins.map((bin) => bin.count)) * 1.08;
  const { drawing, box, y } = frame(figure, { height, low: 0, high, title, least: 1 });
  const width = Math.min(80, (box.x1 - box.x0) / bins.length);
  const widest = Math.max(...bins.map((bin) => bin.label.length)) * 7 + 12;
  const every = Math.max(1, Math.ceil(widest / width));
  bins.forEach((bin, i) => {
    const left = box.x0 + i * width;
    const bar = shape("rect", {
      class: "bar", x: left + Math.min(2, width * 0.1), width: Math.max(1, width - Math.min(4, width * 0.2)),
      y: y(bin.count), height: box.y0 - y(bin.count),
    });
    const text = `${bin.long}: ${bin.count.toLocaleString("en-US")} of ${total.toLocaleString("en-US")}`;
    const target = shape("rect", { x: left, width, y: box.y1, height: box.y0 - box.y1, fill: "transparent" });
    target.addEventListener("pointermove", (event) => showTip(text, event.clientX, event.clientY));
    target.addEventListener("pointerleave", hideTip);
    drawing.append(bar, target);
    if (i % every === 0) drawing.append(
      shape("text", { x: left + (bin.edge ? 0 : width / 2), y: box.y0 + 18, "text-anchor": "middle" }, bin.label));
  });
  figure.append(drawing);
  if (note) figure.append(element("p", { class: "note" }, note));
  figure.append(folded(`${title}: as a table`, ["Range", "Count"], bins.filter((b) => b.count).map((b) => [b.long, String(b.count)])));
}
