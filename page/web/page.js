// Puts the page together: what comes in changes the store, and the store is painted at the screen's next picture.

const store = new Store();
const connection = { isOpen: false, wasOpen: false, words: FILE_STATE ? "saved in a file" : "connecting" };
const chosen = { round: null, isNewest: true, exact: null };
const heat = new Heat(byId("heat"), store, choose);
const lastRound = () => Math.max(1, store.last?.round ?? 1);
let wanted = [];
let charts = [];

// ---------------------------------------------------------------------------------------------------------- charts

/** The charts that this run has something for. */
function chooseCharts() {
  wanted = quantities(store);
  const titles = wanted.map(({ title }) => title).join();
  if (titles === charts.titles) return;
  charts = wanted.map(({ title, unit }, at) => new Chart(title, unit, {
    lines: () => wanted[at].lines.map((line) => traced(store, line)), last: lastRound, version: () => store.version,
  }));
  charts.titles = titles;
  byId("curves").replaceChildren(...charts.map((chart) => chart.element));
}

// ---------------------------------------------------------------------------------------------------------- choosing a round

/** Shows a round's grants; beyond the newest, the newest. A round that was thinned away is asked for. */
async function choose(round) {
  const newest = store.last?.round ?? 0;
  chosen.round = Math.max(0, Math.min(round, newest));
  chosen.isNewest = chosen.round === newest;
  chosen.exact = null;
  byId("follow").checked = chosen.isNewest;
  later();
  const kept = store.rounds[store.nearest(chosen.round)];
  if (kept?.round === chosen.round || FILE_STATE) return;
  const wanted = chosen.round;
  // Whoever moves on is not asked for: every answer is read from the run's logs.
  await new Promise((wake) => setTimeout(wake, 150));
  if (chosen.round !== wanted) return;
  try {
    const [found] = await (await ask(`api/rounds?from=${wanted}&to=${wanted}`)).json();
    if (found && chosen.round === wanted) { chosen.exact = store.flat(found); later(); }
  } catch { /* The nearest one stays. */ }
}

function shownRound() {
  if (!store.rounds.length) return null;
  if (chosen.isNewest) return store.rounds.findLast((round) => round.granted) ?? store.last;
  return chosen.exact ?? store.rounds[store.nearest(chosen.round)];
}

byId("round").addEventListener("input", (event) => choose(Number(event.target.value)));
byId("round-number").addEventListener("change", (event) => choose(Number(event.target.value) || 0));
byId("follow").addEventListener("change", (event) => choose(event.target.checked ? Infinity : chosen.round ?? lastRound()));

let playing = null;
byId("play").addEventListener("click", () => {
  if (playing) { clearInterval(playing); playing = null; byId("play").textContent = "▶"; return; }
  const step = Math.max(store.stride, Math.ceil(lastRound() / 240));
  if (chosen.isNewest) choose(0);
  byId("play").textContent = "❚❚";
  playing = setInterval(() => {
    if (chosen.round >= lastRound()) return byId("play").click();
    const next = store.rounds[store.nearest(chosen.round + step)].round;
    choose(next > chosen.round ? next : chosen.round + step);
  }, 60);
});

// ---------------------------------------------------------------------------------------------------------- painting

/** What every part was painted with. */
const painted = {};

/** Paints a part of the page if what it shows, or the colours, have changed. */
function part(name, shown, paint) {
  const before = painted[name];
  const now = [...shown, dressed];
  if (before?.every((value, at) => value === now[at])) return;
  painted[name] = now;
  paint();
}

function paint() {
  if (!store.names) return;
  const { version, status, summary, pass, last, events, ended } = store;
  paintHeader(store, connection);
  paintCommands(store, connection);
  part("tiles", [version, status], () => paintTiles(store));
  part("charts", [version], chooseCharts);
  charts.forEach((chart) => chart.paint());
  const round = shownRound();
  const number = round?.round ?? 0;
  heat.paint(round ? number : null);
  const slider = byId("round");
  slider.max = last?.round ?? 0;
  slider.value = chosen.isNewest ? slider.max : chosen.round;
  if (document.activeElement !== byId("round-number")) byId("round-number").value = number;
  byId("grants-round").textContent = round ? number : "–";
  part("network", [round, summary], () => {
    paintNetwork(byId("network"), store, round);
    paintGrants(byId("grants"), store, round);
  });
  showTicks(store, round);
  part("nodes", [version, status, ended], () => paintNodes(store));
  part("links", [round, status], () => paintLinks(store, round));
  part("results", [summary, pass], () => paintResults(store));
  part("events", [events, events.length, byId("timeline").clientWidth], () => paintEvents(store));
}

const later = eachFrame(paint);
view.listeners.push(eachFrame(() => charts.forEach((chart) => chart.paint())));
document.addEventListener("dressed", later);
new ResizeObserver(later).observe(document.querySelector("main"));
tools(byId("axes"), lastRound);

// A range of a long run that was thinned: the rounds between are asked for.
let refining = null;
view.listeners.push(() => {
  clearTimeout(refining);
  if (FILE_STATE || store.stride === 1 || view.to === null) return;
  refining = setTimeout(async () => {
    const [from, to] = view.range(lastRound()).map(Math.round);
    if (to - from > 4 * store.stride * 2048) return;
    try {
      const fine = (await (await ask(`api/rounds?from=${from}&to=${to}`)).json()).map((round) => store.flat(round));
      if (view.to === null) return;
      const others = store.rounds.filter((round) => (round.round < from || round.round > to) && (round === store.last || round.round % store.stride === 0));
      store.rounds = [...others, ...fine].sort((one, other) => one.round - other.round);
      store.version += 1;
      later();
    } catch { /* What is there stays. */ }
  }, 250);
});

// ---------------------------------------------------------------------------------------------------------- commands

/** Asks a question; returns whether it was answered with yes, or the text typed in. */
function question(title, text, yes, asksToken = false) {
  const dialog = byId("ask");
  byId("ask-title").textContent = title;
  byId("ask-text").textContent = text;
  byId("ask-yes").textContent = yes;
  byId("ask-field").hidden = !asksToken;
  byId("ask-token").value = "";
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((answer) => dialog.addEventListener("close", () => {
    answer(dialog.returnValue === "yes" && (asksToken ? byId("ask-token").value.trim() : true));
  }, { once: true }));
}

async function command(name) {
  try {
    store.status = { ...store.status, ...await (await ask(`api/${name}`, { method: "POST" })).json() };
  } catch (error) {
    if (error.status === 403 || error.status === 401) credentials.keep("");
    connection.words = error.message;
  }
  later();
}

byId("pause").addEventListener("click", () => command(store.status.paused ? "resume" : "pause"));
byId("stop").addEventListener("click", async () => {
  if (await question("Stop this run?", "It saves a checkpoint first, and can be resumed from there.", "Stop")) command("stop");
});
byId("unlock").addEventListener("click", async () => {
  const token = await question("Take control", "Pausing and stopping need the run's token: the file \"token\" (or \"page-token\") in the run's folder.", "OK", true);
  if (token) { credentials.keep(token); later(); }
});

// ---------------------------------------------------------------------------------------------------------- beginning

credentials.find();
dress();
follow(
  (state) => {
    store.take(state);
    if (FILE_STATE || state.status.phase === "done") store.ended = Boolean(FILE_STATE) || !state.commands;
    if (!chosen.isNewest) choose(chosen.round);
    later();
  },
  (name, object) => {
    if (name === "round") store.add(object);
    else if (name === "status") store.status = object;
    else if (name === "event") store.events.push(object);
    else if (name === "summary") store.summary = object;
    else if (name === "pass") store.pass = object;
    later();
  },
  (isOpen, words, status) => {
    if (words === "the run has ended") store.ended = true;
    connection.isOpen = isOpen;
    connection.wasOpen ||= isOpen;
    connection.words = words ?? "connected";
    if (status === 401) {
      byId("phase").textContent = "asks for the token";
      question("This page asks for the run's token", "It is in the run's folder, in the file \"token\" (or \"page-token\").", "OK", true)
        .then((token) => { if (token) { credentials.keep(token); location.reload(); } });
    }
    later();
  },
);

// For tests and for whoever looks into it with the browser's tools.
window.watched = { store, heat, view, drawn, charts: () => charts };
