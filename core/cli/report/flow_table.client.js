// The report's flow table: search, verdict chips, sorting, pages, details. It runs in the reader's browser.
// Why no table library: Tabulator (450 KB in every report) builds a grid of <div> whose heads cannot be reached from the keyboard;
// Grid.js has had no release since 2024 and no row details. A real <table> with pages prints, is read aloud and needs only this.
// Text reaches the page through textContent and attributes only, so that nothing in it can become markup.
const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const COLUMNS = ["Start", "Net", "Process", "Source", "Destination", "Rule", "Verdict", "Packets", "Up", "Down"];
const [DESTINATION, VERDICT, PACKETS, WAY, HOST, DETAILS, STEPS] = [4, 6, 7, 10, 11, 12, 13];
const [PAGE_ROWS, PRINT_ROWS] = [100, 2000];
const CLASSES = [
  "start",
  "net",
  "process",
  "source",
  "destination",
  "rule",
  "verdict",
  "number packets",
  "number up",
  "number down",
];
const FIELDS = { rule: 5, host: HOST, process: 2 };
const table = document.querySelector("table.flows");
const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
const words = data.flows.map((row) =>
  [...row.slice(0, PACKETS), row[WAY], ...row[DETAILS].filter((each) => typeof each === "string")].join("\n")
    .toLowerCase()
);
const manyDays = new Set(data.flows.map((row) => row[0].slice(0, 10))).size > 1;
const all = data.flows.map((_, i) => i);
const state = { sort: 0, down: false, page: 0, verdicts: new Set(), only: undefined, shown: all, open: new Set() };
const count = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, ",");

function bytes(n) {
  const unit = n < 999.5 ? 0 : Math.min(5, Math.floor(Math.log10(n / 0.9995) / 3));
  const value = n / 1000 ** unit;
  return `${unit === 0 ? n : value.toFixed(value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2)} ${
    ["B", "kB", "MB", "GB", "TB", "PB"][unit]
  }`;
}

function make(name, parent, text = "", attributes = {}) {
  const element = parent.appendChild(document.createElement(name));
  element.textContent = text;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function cellText(row, column) {
  if (column === 0) return manyDays ? row[0].slice(5, 23).replace("T", " ") : row[0].slice(11, 23);
  return column < PACKETS ? row[column] : column === PACKETS ? count(row[column]) : bytes(row[column]);
}

function details(row, body) {
  const cell = make("td", make("tr", body, "", { class: "details" }), "", { colspan: COLUMNS.length });
  const list = make("dl", cell);
  const facts = [["start", row[0]]];
  for (let i = 0; i < row[DETAILS].length; i += 2) facts.push([data.names[row[DETAILS][i]], row[DETAILS][i + 1]]);
  facts.push(["rule", row[5]], ["verdict", row[WAY] === "" ? row[VERDICT] : `${row[VERDICT]} via ${row[WAY]}`]);
  for (
    const [name, text] of [...facts, ["upload", `${count(row[8])} bytes`], ["download", `${count(row[9])} bytes`]]
  ) {
    const pair = make("div", list);
    make("dt", pair, name);
    make("dd", pair, text);
  }
  const steps = row[STEPS].length > 0 ? make("ol", cell, "", { "aria-label": "How the flow was decided" }) : undefined;
  for (const [outcome, wording, about, why] of row[STEPS].map((at) => data.steps[at])) {
    const step = make("li", steps, "", { class: `step ${outcome === "matched" ? "matched" : "other"}` });
    make("b", step, wording);
    make("code", step, about);
    make("span", step, why);
  }
}

function line(at, body) {
  const [row, open] = [data.flows[at], state.open.has(at)];
  const tr = make("tr", body, "", { class: "flow", "data-at": at });
  for (let i = 0; i < COLUMNS.length; i++) {
    const cell = make("td", tr, i === DESTINATION || i === VERDICT ? "" : cellText(row, i), { class: CLASSES[i] });
    cell.title = i < PACKETS ? row[i] : count(row[i]);
    if (i === DESTINATION) make("button", cell, row[i], { type: "button", "aria-expanded": open, class: "open" });
    if (i !== VERDICT) continue;
    cell.title = `${row[i]} ${row[WAY]}`;
    make("b", cell, row[i], { class: `key-${row[i]}` });
    cell.append(` ${row[WAY]}`);
  }
  if (open) details(row, body);
}

function draw(from = state.page * PAGE_ROWS, rows = PAGE_ROWS) {
  const pages = Math.max(1, Math.ceil(state.shown.length / PAGE_ROWS));
  const body = document.createElement("tbody");
  for (const at of state.shown.slice(from, from + rows)) line(at, body);
  table.tBodies[0].replaceWith(body);
  byId("shown").textContent = `${count(state.shown.length)} of ${count(all.length)} flows`;
  byId("page").textContent = `Page ${count(state.page + 1)} of ${count(pages)}`;
  [byId("previous").disabled, byId("next").disabled] = [state.page === 0, state.page === pages - 1];
  table.querySelectorAll("thead th").forEach((head, i) =>
    head.setAttribute("aria-sort", i !== state.sort ? "none" : state.down ? "descending" : "ascending")
  );
}

function select() {
  const wanted = byId("search").value.toLowerCase().split(/\s+/).filter((word) => word !== "");
  const { only, sort, down, verdicts } = state;
  const compare = sort >= PACKETS ? (a, b) => a - b : collator.compare;
  state.shown = all.filter((at) =>
    (verdicts.size === 0 || verdicts.has(data.flows[at][VERDICT])) && (!only || only.test(data.flows[at])) &&
    wanted.every((word) => words[at].includes(word))
  ).sort((a, b) => (down ? -1 : 1) * compare(data.flows[a][sort], data.flows[b][sort]) || a - b);
  state.page = 0;
  draw();
}

function narrow(only) {
  state.only = only;
  byId("only").hidden = only === undefined;
  byId("only").textContent = only === undefined ? "" : `${only.label} ✕`;
  if (only !== undefined) byId("flows").scrollIntoView();
  select();
}

const heads = make("tr", table.tHead);
COLUMNS.forEach((name, i) => {
  make("button", make("th", heads, "", { scope: "col", class: CLASSES[i] }), name, { type: "button" }).addEventListener(
    "click",
    () => {
      [state.down, state.sort] = [state.sort === i ? !state.down : i >= PACKETS, i];
      select();
    },
  );
});
table.addEventListener("click", (event) => {
  const row = event.target.closest("tr.flow");
  if (row === null || getSelection().toString() !== "") return;
  const at = Number(row.dataset.at);
  if (!state.open.delete(at)) state.open.add(at);
  draw();
  table.querySelector(`tr[data-at="${at}"] button.open`).focus();
});
document.addEventListener("click", (event) => {
  const { field, value, from, until } = event.target.closest("[data-field], [data-from]")?.dataset ?? {};
  if (field !== undefined) {
    narrow({
      label: `${field}: ${value || "none"}`,
      test: (row) => row[FIELDS[field]] === value,
    });
  }
  if (from !== undefined) {
    narrow({
      label: `${from.slice(11, 23)} to ${until.slice(11, 23)}`,
      test: (row) => row[0] >= from && row[0] < until,
    });
  }
});
for (const chip of document.querySelectorAll("[data-verdict]")) {
  chip.addEventListener("click", () => {
    if (!state.verdicts.delete(chip.dataset.verdict)) state.verdicts.add(chip.dataset.verdict);
    chip.setAttribute("aria-pressed", state.verdicts.has(chip.dataset.verdict));
    select();
  });
}
byId("search").addEventListener("input", select);
byId("only").addEventListener("click", () => narrow(undefined));
for (const [id, step] of [["previous", -1], ["next", 1]]) {
  byId(id).addEventListener("click", () => {
    state.page += step;
    draw();
    byId("flows").scrollIntoView();
  });
}
addEventListener("beforeprint", () => draw(0, PRINT_ROWS));
addEventListener("afterprint", () => draw());
select();
