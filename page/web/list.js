// The list of runs below a folder: sortable, and the chosen ones' curves over each other.

const MOST_CURVES = 8;
const CURVES = [["N-CE", "nats", 1], ["Sum-rate", "nats", 2], ["Loss", "sum of the objectives", 3]];
const list = { runs: [], chosen: null, version: 0, text: "", sort: { by: "path", isDown: false } };
const lastRound = () => Math.max(1, ...list.runs.filter((run) => list.chosen.has(run.path)).map((run) => run.curve.at(-1)?.[0] ?? 1));
const order = () => list.runs.filter((run) => list.chosen?.has(run.path));
const charts = CURVES.map(([title, unit, at]) => new Chart(title, unit, {
  lines: () => order().map((run, n) => ({ ...look(n), name: run.path, points: run.curve.map((point) => [point[0], point[at]]) })),
  last: lastRound,
  version: () => list.version,
}));

const score = (run, name) => run.test.tasks?.find((task) => task.name === name && task.metric === "top1")?.value;
const COLUMNS = [
  ["path", "run", (run) => run.path], ["method", "method", (run) => run.run.method], ["scenario", "scenario", (run) => run.run.name],
  ["seed", "seed", (run) => run.run.seed], ["phase", "state", (run) => run.phase], ["round", "rounds", (run) => run.round],
  ["n_ce", "N-CE", (run) => run.test.n_ce ?? run.curve.at(-1)?.[1]], ["rate", "sum-rate", (run) => run.test.sum_rate ?? run.curve.at(-1)?.[2]],
];

// What can be clicked stays in the page while its words change: an element that is replaced between the press and the release of a
// mouse misses the click, and one that has the keyboard's focus loses it.
const head = make("tr");
const body = make("tbody");
const heads = new Map();
const rows = new Map();

/** Makes nodes the children of an element; those that are its children already are not touched. */
function place(element, nodes) {
  const now = [...element.childNodes];
  if (now.length !== nodes.length || nodes.some((node, at) => node !== now[at])) element.replaceChildren(...nodes);
}

/** The head of a column, which sorts by it. */
function headOf(name, title, at) {
  if (!heads.has(name)) {
    const button = make("button", { type: "button", class: "sort" });
    button.addEventListener("click", () => { list.sort = { by: name, isDown: list.sort.by === name && !list.sort.isDown }; later(); });
    heads.set(name, make("th", { scope: "col", class: at ? null : "left" }, button));
  }
  const cell = heads.get(name);
  const order = list.sort.by !== name ? null : list.sort.isDown ? "descending" : "ascending";
  cell.ariaSort = order;
  cell.firstChild.textContent = title + (order === null ? "" : list.sort.isDown ? " ▾" : " ▴");
  return cell;
}

/** The row of a run; `at` is its place among the runs that are drawn, -1 if it is not. */
function rowOf(run, columns, at) {
  if (!rows.has(run.path)) {
    const box = make("input", { type: "checkbox", "aria-label": `draw the curves of ${run.path}` });
    box.addEventListener("change", () => { list.chosen[box.checked ? "add" : "delete"](run.path); list.version += 1; later(); });
    const link = make("a", { href: `run/${encodeURIComponent(run.path)}/` }, run.path);
    rows.set(run.path, { box, row: make("tr", {}, make("th", { scope: "row" }, box, " ", link)) });
  }
  const { box, row } = rows.get(run.path);
  box.checked = at >= 0;
  box.style.accentColor = at >= 0 ? colour(at) : "";
  columns.slice(1).forEach((column, at) => {
    const [now, cell] = [row.children[at + 1], cellOf(run, column)];
    if (!now) row.append(cell); else if (!now.isEqualNode(cell)) now.replaceWith(cell);
  });
  while (row.children.length > columns.length) row.lastChild.remove();
  return row;
}

function cellOf(run, [name, , of]) {
  const found = of(run);
  const text = name === "round" ? `${found} of ${run.run.rounds}` : name === "seed" ? String(found) : typeof found === "number" ? number(found) : found ?? "";
  if (name === "phase" && run.own_page) return make("td", {}, text, " · ", make("a", { href: run.own_page }, "its own page"));
  return make("td", {}, text);
}

function paint() {
  if (!list.chosen) return;
  charts.forEach((chart) => chart.paint());
  const tasks = [...new Set(list.runs.flatMap((run) => (run.test.tasks ?? []).filter((task) => task.metric === "top1").map((task) => task.name)))].slice(0, 4);
  const columns = [...COLUMNS, ...tasks.map((name) => [`task ${name}`, `${name}, %`, (run) => (score(run, name) == null ? null : 100 * score(run, name))])];
  const { by, isDown } = list.sort;
  const value = (columns.find(([name]) => name === by) ?? columns[0])[2];
  const compare = (one, other) => (typeof one === "number" && typeof other === "number" ? one - other : String(one ?? "").localeCompare(String(other ?? ""), undefined, { numeric: true }));
  const filter = byId("filter").value.toLowerCase();
  const isShown = (run) => `${run.path} ${run.run.method} ${run.run.name} seed ${run.run.seed}`.toLowerCase().includes(filter);
  const runs = list.runs.filter(isShown).sort((one, other) => (isDown ? -1 : 1) * compare(value(one), value(other)));
  const places = order().map((run) => run.path);
  place(head, columns.map(([name, title], at) => headOf(name, title, at)));
  place(body, runs.map((run) => rowOf(run, columns, places.indexOf(run.path))));
  byId("count").textContent = `${list.runs.length} below this folder; the first ${MOST_CURVES} are drawn until you choose`;
}

const later = eachFrame(paint);

async function load() {
  try {
    const text = await (await ask("api/runs")).text();
    if (text !== list.text) {
      const answer = JSON.parse(text);
      Object.assign(list, { text, runs: answer.runs, version: list.version + 1 });
      byId("folder").textContent = answer.folder;
      list.chosen ??= new Set(list.runs.slice(0, MOST_CURVES).map((run) => run.path));
      later();
    }
  } catch (error) {
    const isLocked = error.status === 401 || error.status === 403;
    byId("count").textContent = isLocked ? "this page asks for its token: add #token=TOKEN to its address" : error.status ? error.message : "no connection";
  }
  setTimeout(load, 3000);
}

byId("curves").replaceChildren(...charts.map((chart) => chart.element));
byId("table").replaceChildren(make("table", { class: "runs" }, make("thead", {}, head), body));
view.listeners.push(eachFrame(() => charts.forEach((chart) => chart.paint())));
document.addEventListener("dressed", later);
new ResizeObserver(later).observe(document.querySelector("main"));
byId("filter").addEventListener("input", later);
tools(byId("axes"), lastRound);
addEventListener("hashchange", () => credentials.find());
credentials.find();
dress();
load();

// For tests and for whoever looks into it with the browser's tools.
window.listed = { list, charts, view };
