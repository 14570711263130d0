// Tables: whole ones, and those that are leafed through.
const ROWS = 25;

function headed(columns) {
  const row = element("tr");
  for (const column of columns) {
    const attributes = { scope: "col" };
    if (column.number) attributes.class = "number";
    row.append(element("th", attributes, column.title));
  }
  return element("thead", {}, row);
}

function body(columns, rows) {
  const made = element("tbody");
  for (const values of rows) {
    const row = element("tr");
    values.forEach((value, i) => {
      const column = columns[i], kind = column.number ? "number" : column.long ? "long" : "";
      row.append(element("td", kind ? { class: kind } : {}, value === null || value === undefined ? "" : String(value)));
    });
    made.append(row);
  }
  return made;
}

function scrolled(label, table) {
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, table);
}

function columnsOf(headings) {
  return headings.map((each) => (typeof each === "string" ? { title: each } : each));
}

function plainTable(caption, headings, rows) {
  const columns = columnsOf(headings), table = element("table");
  if (caption) table.append(element("caption", {}, caption));
  table.append(headed(columns), body(columns, rows));
  return scrolled(caption || columns.map((column) => column.title).join(", "), table);
}

function pagedTable(section, label, headings, count, rowAt) {
  if (!count) {
    section.append(element("p", { class: "none" }, "There are none."));
    return;
  }
  const columns = columnsOf(headings), table = element("table");
  const pages = Math.ceil(count / ROWS);
  const told = element("output", { "aria-live": "polite" });
  const buttons = {};
  let page = 0;
  const draw = () => {
    const first = page * ROWS, last = Math.min(count, first + ROWS);
    const rows = [];
    for (let i = first; i < last; i++) rows.push(rowAt(i));
    table.replaceChildren(headed(columns), body(columns, rows));
    told.textContent = `${(first + 1).toLocaleString("en-US")} to ${last.toLocaleString("en-US")} of ${count.toLocaleString("en-US")}`;
    buttons.First.disabled = buttons.Previous.disabled = page === 0;
    buttons.Next.disabled = buttons.Last.disabled = page === pages - 1;
  };
  const ways = { First: () => 0, Previous: () => page - 1, Next: () => page + 1, Last: () => pages - 1 };
  const pager = element("nav", { class: "pager", "aria-label": `Pages of ${label}` });
  for (const [name, way] of Object.entries(ways)) {
    buttons[name] = element("button", { type: "button", "aria-label": `${name} page of ${label}` }, name);
    buttons[name].addEventListener("click", () => { page = Math.max(0, Math.min(pages - 1, way())); draw(); });
    pager.append(buttons[name]);
  }
  pager.append(told);
  draw();
  section.append(scrolled(label, table));
  if (pages > 1) section.append(pager);
}
