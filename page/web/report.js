// Fills in the pictures of a report: wherever its page has a place for one.

const data = JSON.parse(byId("data").textContent);
const stores = data.runs.map((state) => {
  const store = new Store();
  store.take(state);
  return store;
});
const lastRound = () => Math.max(1, ...stores.map((store) => store.last?.round ?? 1));
const charts = [];
const heats = [];
const painters = [];
const later = eachFrame(() => painters.forEach((paint) => paint()));

Object.assign(view, { smooth: 0, logX: data.log.rounds, logY: data.log.values });

/** A picture in a frame of its own; `paint` draws it into an element. */
function framed(title, paint) {
  const place = make("div");
  painters.push(() => paint(place));
  return make("figure", { class: "card" }, make("figcaption", {}, title), place);
}

function charted(title, unit, lines) {
  const chart = new Chart(title, unit, { lines, last: lastRound, version: () => 0 });
  charts.push(chart);
  painters.push(() => chart.paint());
  return chart.element;
}

/** The curves of a run. */
const curvesOf = (store, isWanted) => quantities(store).filter(isWanted).filter(({ lines }) => lines.length)
  .map(({ title, unit, lines }) => charted(title, unit, () => quantities(store).find((one) => one.title === title).lines.map((line) => traced(store, line))));

/** The curves of several runs over each other: one chart for every line that any of them has. */
function curvesOver() {
  const isWhole = (quantity) => quantity.isWhole;
  const wanted = new Map(stores.flatMap((store) => quantities(store).filter(isWhole)
    .flatMap(({ title, unit, lines }) => lines.map(([name]) => [`${title} ${name}`, { title, unit, name }]))));
  return [...wanted.values()].map(({ title, unit, name }) => charted(name ? `${title}, ${name}` : title, unit, () => stores.flatMap((store, n) => {
    const line = quantities(store).find((one) => one.title === title)?.lines.find((line) => line[0] === name);
    return line ? [{ ...traced(store, line), ...look(n), name: store.run.folder }] : [];
  })));
}

const PICTURES = {
  training(element) {
    const bar = make("div", { class: "tools", role: "toolbar", "aria-label": "axes" });
    tools(bar, lastRound);
    const curves = stores.length === 1 ? curvesOf(stores[0], () => true) : curvesOver();
    element.append(bar, make("div", { class: "curves" }, ...curves,
      framed("Information plane: N-CE over sum-rate, nats; from the ring to the dot", (place) => paintWays(place, stores))));
  },

  receivers(element, store) {
    element.append(make("div", { class: "curves" }, ...curvesOf(store, (quantity) => !quantity.isWhole)));
  },

  /** The map of grants; the network and the table beside it are of the last rounds until others are chosen in it. */
  selection(element, store) {
    const table = element.firstElementChild;
    const late = { ...store.last, granted: Float64Array.from(data.runs[stores.indexOf(store)].late.granted.flat()) };
    const words = `in the last ${data.runs[stores.indexOf(store)].late.rounds} rounds`;
    let chosen = null;
    const canvas = make("canvas", { class: "heat", role: "img", tabindex: 0, "aria-label": "granted share of each entry over the rounds" });
    const heat = new Heat(canvas, store, (round) => { chosen = Math.min(round, store.last.round); later(); });
    heats.push(heat);
    const [network, grants, which] = [make("div"), make("div", { class: "scroll" }, table), [make("b"), make("b")]];
    const back = make("button", { type: "button" }, words);
    back.addEventListener("click", () => { chosen = null; later(); });
    painters.push(() => {
      const round = chosen === null ? late : store.rounds.find((one) => one.round >= chosen) ?? store.last;
      heat.paint(chosen);
      paintNetwork(network, store, round);
      if (chosen === null) grants.replaceChildren(table); else paintGrants(grants, store, round);
      const said = chosen === null ? words : round.first === round.round ? `in round ${round.round}` : `in rounds ${round.first} to ${round.round}`;
      which.forEach((name) => { name.textContent = said; });
      back.hidden = chosen === null;
    });
    element.replaceChildren(
      make("figure", { class: "card" }, make("figcaption", {}, "The share of ticks at which an entry was granted, the darker, the larger; to the right, rounds. Click to choose."), canvas, back),
      make("div", { class: "pair" },
        make("figure", { class: "card" }, make("figcaption", {}, "Who was granted what ", which[0], ": width by grants, colour by rate"), network),
        make("figure", { class: "card" }, make("figcaption", {}, "Grants ", which[1], ", per cent of ticks"), grants)));
  },

  strengths(element, store) {
    const table = element.firstElementChild;
    element.replaceChildren(framed("Links by strength", (place) => paintStrengths(place, store.summary.strengths)),
      make("details", {}, make("summary", {}, "as numbers"), table));
  },

  /** Scores over the SNR: a picture for each metric with a line for each of its tasks, and one of N-CE. */
  snr(element, store) {
    const table = element.firstElementChild;
    const rows = data.runs[stores.indexOf(store)].over_snr;
    const tasks = rows[0].tasks;
    const of = (at) => rows.map(({ snr_db, tasks }) => ({ at: snr_db, value: tasks[at].value, bar: tasks[at].ci95 }));
    const pictures = [...new Set(tasks.map(({ metric }) => metric))].map((metric) => framed(`${metric}, and 95 % intervals`, (place) => paintOverSnr(place, metric,
      tasks.flatMap(({ name, metric: own }, at) => (own === metric ? [{ look: look(at), name, points: of(at) }] : [])))));
    const whole = framed("N-CE, nats", (place) => paintOverSnr(place, "N-CE", [{ look: look(tasks.length), name: "N-CE", points: rows.map(({ snr_db, n_ce }) => ({ at: snr_db, value: n_ce })) }]));
    element.replaceChildren(make("div", { class: "pair" }, ...pictures, whole), table);
  },

  front(element, front) {
    element.append(framed(`N-CE over ${front.axis}; the Pareto front is filled`, (place) => paintFront(place, front)));
  },
};

dress();
for (const element of document.querySelectorAll("[data-picture]")) {
  const { picture, at } = element.dataset;
  PICTURES[picture](element, picture === "front" ? data.fronts[at] : stores[at]);
}
view.listeners.push(later);
document.addEventListener("dressed", later);
new ResizeObserver(later).observe(document.querySelector("main"));
later();

// For tests and for whoever looks into it with the browser's tools.
window.drawn = { stores, charts, heats, view };
