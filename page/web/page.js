// Puts the page together: what comes in changes the store, and the store is painted at the screen's next picture.

const store = new Store();
const connection = { isOpen: false, wasOpen: false, words: FILE_STATE ? "saved in a file" : "connecting" };
const chosen = { round: null, isNewest: true, exact: null };
const heat = new Heat(byId("heat"), store, choose);
const lastRound = () => Math.max(1, store.last?.round ?? 1);
let charts = [];

// ---------------------------------------------------------------------------------------------------------- charts

const line = (name, colour, of, isDashed = false) => ({ name, colour, isDashed, points: store.rounds.filter((round) => of(round) != null).map((round) => [round.round, of(round)]) });
const receivers = (of) => () => store.run.receivers.map((receiver, t) => line(receiver.task, colour(t), (round) => of(round)?.[t], t >= 8));

/** The charts that this run has something for. */
function chooseCharts() {
  const has = (of) => store.rounds.some((round) => of(round) != null);
  const wanted = [
    ["N-CE", "nats", () => [line("", colour(0), (round) => round.n_ce), ...(has((round) => round.validation) ? [line("validation", colour(1), (round) => round.validation?.n_ce)] : [])]],
    ["Sum-rate", "nats", () => [line("", colour(2), (round) => round.sum_rate)]],
    ["Loss", "sum of the objectives", () => [line("", colour(4), (round) => round.loss)]],
    ["Cross entropy by task", "nats", receivers((round) => round.ce)],
    ["Rate by receiver", "nats", receivers((round) => round.rate)],
    ["Seconds of a round", "s", () => [line("", colour(5), (round) => round.seconds)]],
    ["Bytes of a round", "kB", () => ["total", "feature", "gradient"].map((kind, n) => line(kind, colour(n), (round) => round.bytes?.[kind] / 1000))],
    ["Work of all nodes", "s a round", () => WORK.slice(1).filter((kind) => store.last?.work?.[kind] > 0).map((kind) => line(kind, workColour(kind), (round) => round.work?.[kind]))],
  ];
  if (has((round) => round.rates)) {
    const kinds = Object.keys(store.rounds.find((round) => round.rates).rates).filter((kind) => Number.isFinite(store.rounds.find((round) => round.rates).rates[kind]));
    wanted.push(["Rates of a sample", "by name", () => kinds.map((kind, n) => line(kind.replaceAll("_", " "), colour(n), (round) => round.rates?.[kind]))]);
  }
  if (has((round) => round.rates?.coded_bits)) {
    const nats = 1 / Math.LN2;
    wanted.push(["Bits of a sample", "bits", () => [line("coded", colour(0), (round) => round.rates?.coded_bits),
      line("against the prior", colour(1), (round) => round.rates?.prior_nats == null ? null : nats * round.rates.prior_nats),
      line("messages", colour(2), (round) => round.rates?.message_bytes == null ? null : 8 * round.rates.message_bytes)]]);
  }
  if (has((round) => round.link_snr_db)) wanted.push(["SNR by link", "dB", () => snrLines(store, line)]);
  const titles = wanted.map(([title]) => title).join();
  if (titles === charts.titles) return;
  charts = wanted.map(([title, unit, lines]) => new Chart(title, unit, lines, lastRound));
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

let isDue = false;
/** Paints at the next picture, once, however much has come in. */
function later() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => { isDue = false; paint(); });
}

function paint() {
  if (!store.names) return;
  paintHeader(store, connection);
  paintCommands(store, connection);
  paintTiles(store);
  chooseCharts();
  charts.forEach((chart) => chart.paint());
  const round = shownRound();
  const number = round?.round ?? 0;
  heat.paint(round ? number : null);
  const slider = byId("round");
  slider.max = store.last?.round ?? 0;
  slider.value = chosen.isNewest ? slider.max : chosen.round;
  if (document.activeElement !== byId("round-number")) byId("round-number").value = number;
  byId("grants-round").textContent = round ? number : "–";
  paintNetwork(byId("network"), store, round);
  paintGrants(byId("grants"), store, round);
  showTicks(store, round);
  paintNodes(store);
  paintLinks(store, round);
  paintResults(store);
  paintEvents(store);
}

view.listeners.push(() => charts.forEach((chart) => chart.paint()));
document.addEventListener("dressed", later);
new ResizeObserver(later).observe(document.querySelector("main"));
for (const [id, change] of [["smooth", (input) => { view.smooth = Number(input.value); }], ["log-x", (input) => { view.logX = input.checked; }], ["log-y", (input) => { view.logY = input.checked; }]]) {
  byId(id).addEventListener("input", (event) => { change(event.target); view.changed(); });
}
document.querySelectorAll("[data-view]").forEach((button) => button.addEventListener("click", () => view.command(button.dataset.view, lastRound())));

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
    Object.assign(store.status, await (await ask(`api/${name}`, { method: "POST" })).json());
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
window.watched = { store, heat, view, charts: () => charts };
