// Tiles, nodes, results and events.

const PHASES = {
  training: "accent", validating: "accent", evaluating: "accent", "saving a checkpoint": "accent", done: "good", "saying goodbye": "good",
  stopped: "warn", failed: "bad", "has not ended": "warn", "waiting for nodes": "warn",
};

function paintHeader(store, connection) {
  const { run, status } = store;
  byId("name").textContent = `${run.method} on ${run.name}`;
  byId("what").textContent = `seed ${run.seed} · ${run.transmitters.length} transmitters, ${run.receivers.length} receivers · ` +
    `${run.ticks_per_round} ticks of ${run.samples_per_tick} samples a round · E_t = ${run.receiver_limit}, E_k = ${run.transmitter_limit}`;
  const phase = status.paused ? "paused" : status.phase ?? "";
  const isLost = connection.wasOpen && !connection.isOpen && !store.ended;
  byId("phase").textContent = isLost ? `${phase} · ${connection.words}` : phase;
  byId("phase").dataset.kind = isLost ? "bad" : status.paused ? "warn" : PHASES[phase] ?? "";
  document.title = `${store.done}/${run.rounds} ${phase} · ${run.name}`;

  const part = run.rounds ? store.done / run.rounds : 0;
  byId("progress").firstElementChild.style.width = `${100 * Math.min(1, part)}%`;
  byId("progress").setAttribute("aria-valuenow", store.done);
  byId("progress").setAttribute("aria-valuemax", run.rounds);
  byId("done").textContent = `round ${store.done} of ${run.rounds} · ${Math.round(100 * part)} %`;
  const pace = store.pace;
  const left = (run.rounds - store.done) * pace;
  byId("left").textContent = !Number.isFinite(pace) ? "" : `${number(1 / pace)} rounds/s` +
    (store.done >= run.rounds || store.ended ? "" : status.paused ? " · paused" : ` · ${duration(left)} left`);
  byId("trouble").hidden = !status.trouble;
  byId("trouble").textContent = status.trouble ? `went back ${status.rollbacks > 1 ? `${status.rollbacks} times, last` : "once,"} because ${status.trouble}` : "";

  byId("program").textContent = store.program;
  byId("folder").textContent = run.folder;
  byId("connection").textContent = connection.words;
}

/** The commands, for whoever has the token and while there is a run to command. */
function paintCommands(store, connection) {
  const isLive = store.commands && connection.isOpen && !store.ended;
  byId("commands").hidden = !(isLive && credentials.token);
  byId("unlock").hidden = !(isLive && !credentials.token);
  byId("pause").textContent = store.status.paused ? "Resume" : "Pause";
}

function paintTiles(store) {
  const { last, status } = store;
  const sum = (array) => array?.reduce((total, value) => total + value, 0);
  const entries = last?.granted ? sum([...last.granted]) : NaN;
  const best = store.rounds.findLast((round) => round.validation)?.validation;
  const tiles = [
    ["N-CE", number(last?.n_ce), "nats"], ["sum-rate", number(last?.sum_rate), "nats"], ["loss", number(last?.loss), ""],
    ["entries a tick", number(entries), "granted"], ["on the wire", bytes(last?.bytes?.total), "a round"],
    ["a round takes", number(last?.seconds), "s"],
  ];
  if (best) tiles.push(["validation N-CE", number(best.n_ce), "nats"]);
  if (last?.rates?.coded_bits != null) tiles.push(["coded", number(last.rates.coded_bits), "bits a sample"]);
  if (status.checkpoint != null) tiles.push(["checkpoint", String(status.checkpoint), "rounds"]);
  byId("tiles").replaceChildren(...tiles.map(([name, value, unit]) =>
    make("dl", { class: "tile" }, make("dt", {}, name), make("dd", {}, value, make("small", {}, unit)))));
}

/** Seconds of a node by kind of work, over the last rounds. */
function workOf(store, node) {
  const [role, index] = node.split(" ");
  const sums = WORK.map(() => 0);
  let rounds = 0;
  for (const round of store.rounds.slice(-30)) {
    const own = round.nodes?.[`${role}s`]?.[index];
    if (!own) continue;
    rounds += 1;
    own.forEach((seconds, kind) => { sums[kind] += seconds; });
  }
  return rounds ? sums.map((seconds) => seconds / rounds) : null;
}

function paintNodes(store) {
  const nodes = store.status.nodes ?? [];
  const section = byId("nodes").parentElement;
  section.hidden = nodes.length === 0;
  if (!nodes.length) return;
  const isOver = store.ended;
  byId("kinds").replaceChildren(...WORK.slice(1).map((kind) => {
    const mark = make("span", { class: "mark" });
    mark.style.background = workColour(kind);
    return make("span", {}, mark, kind);
  }));
  byId("nodes").replaceChildren(...nodes.map((node) => {
    const kind = isOver ? "" : !node.joined ? "bad" : node.silent_seconds > 3 ? "warn" : node.doing.startsWith("computing") ? "accent" : "good";
    const work = workOf(store, node.node);
    const all = work?.reduce((sum, seconds) => sum + seconds, 0);
    const bar = make("div", { class: "work", role: "img", "aria-label": work ? WORK.map((kind, at) => `${kind} ${number(work[at])} s`).join(", ") : "no round yet" });
    // Waiting comes last, so that work begins where the bar does.
    for (const name of work ? [...WORK.slice(1), "wait"] : []) {
      const seconds = work[WORK.indexOf(name)];
      const part = make("span", { title: `${name}: ${number(seconds)} s a round` });
      part.style.width = `${(100 * seconds) / all}%`;
      part.style.background = workColour(name);
      bar.append(part);
    }
    return make("div", { class: "node" },
      make("b", {}, make("span", { class: "dot", "data-kind": kind }), node.node),
      make("span", { class: "dim doing" }, isOver ? "has ended" : node.doing),
      make("span", { class: "dim device" }, node.device ?? ""),
      make("span", { class: "dim memory", title: "memory of its process" }, node.memory_bytes == null ? "" : bytes(node.memory_bytes)),
      make("span", { class: "dim trip", title: "round trip to the coordinator" }, node.round_trip_seconds == null ? "" : milliseconds(node.round_trip_seconds)),
      bar,
      make("span", { class: "seconds dim" }, work ? `${number(all - work[0])} s` : ""));
  }));
}

/** The scores on the test set; before they are final those of the passes that have ended, without intervals. */
function paintResults(store) {
  const { pass } = store;
  const test = store.summary?.test ?? pass;
  byId("results").hidden = !test;
  if (!test) return;
  const isFinal = test !== pass;
  byId("results-note").textContent = isFinal ? `N-CE ${number(test.n_ce)} nats · sum-rate ${number(test.sum_rate)} nats (${test.rate_estimator}, N = ${test.rate_samples}) · ` +
    `${number(test.selected_entries)} entries · ${test.samples} samples, ${test.passes} ${test.passes > 1 ? "passes" : "pass"}`
    : `pass ${pass.pass} of ${pass.passes} · N-CE ${number(pass.n_ce)} nats so far`;
  const percentage = (task, value) => (value == null ? "" : task.metric === "top1" ? `${(100 * value).toFixed(1)} %` : number(value));
  const columns = [["task", (task) => task.name], ["metric", (task) => task.metric], ["score", (task) => percentage(task, task.value)],
    ["95 % interval", (task) => task.ci95.map((end) => percentage(task, end)).join(" to ")], ["cross entropy", (task) => number(task.ce)],
    ["majority", (task) => percentage(task, task.majority)]].filter(([name]) => isFinal || !["95 % interval", "majority"].includes(name));
  const head = columns.map(([name], at) => make("th", at ? { scope: "col" } : { scope: "col", class: "left" }, name));
  const rows = test.tasks.map((task) => make("tr", {}, make("th", { scope: "row" }, task.name), ...columns.slice(1).map(([, of]) => make("td", {}, of(task)))));
  byId("results-table").replaceChildren(make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows)));
}

const KINDS = { lost: "--bad", failed: "--bad", paused: "--warn", stop: "--warn", resumed: "--good", done: "--good", checkpoint: "--accent", validated: "--c4", best: "--c4" };
const kindColour = (kind) => style(KINDS[kind] ?? "--dim");

/** Events by time: a point for each, and the last ones in words. */
function paintEvents(store) {
  const { events } = store;
  const list = byId("events");
  byId("timeline").parentElement.parentElement.hidden = events.length === 0;
  if (!events.length) return;
  const [first, last] = [events[0].at, events[events.length - 1].at];
  const wide = Math.max(280, byId("timeline").clientWidth || 900);
  const x = (at) => 10 + (last > first ? (at - first) / (last - first) : 0) * (wide - 20);
  const points = events.map((event) => {
    const point = draw("circle", { cx: x(event.at).toFixed(1), cy: 14, r: 5, fill: kindColour(event.kind) }, draw("title", {}, `${clock(event.at)} round ${event.round}: ${event.text}`));
    point.style.fillOpacity = 0.8;
    return point;
  });
  byId("timeline").replaceChildren(draw("svg", { viewBox: `0 0 ${wide} 42`, role: "img", "aria-label": `${events.length} events` },
    draw("line", { class: "axis", x1: 4, x2: wide - 4, y1: 14, y2: 14 }), ...points,
    draw("text", { x: 4, y: 36 }, clock(first)), draw("text", { x: wide - 4, y: 36, "text-anchor": "end" }, clock(last))));
  list.replaceChildren(...events.slice(-60).reverse().map((event) => {
    const dot = make("span", { class: "dot" });
    dot.style.background = kindColour(event.kind);
    return make("li", {}, make("time", {}, clock(event.at)), make("span", { class: "dim" }, `round ${event.round}`), make("span", {}, dot, event.text));
  }));
}
