// What was drawn at every tick of a round, where the run records it.

const tickDraws = { round: null, draws: null, isAsking: false };

/** Shows the draws of the chosen round; asks for them once it is known which. */
function showTicks(store, round) {
  byId("ticks").hidden = !store.run.draws || FILE_STATE !== null || !round;
  if (byId("ticks").hidden) return;
  if (tickDraws.round === round.round) return paintTick(store);
  if (tickDraws.isAsking) return;
  tickDraws.isAsking = true;
  const wanted = round.round;
  // The slider may be under way: the last round asked for is shown, and no request overtakes another.
  setTimeout(async () => {
    try {
      Object.assign(tickDraws, { draws: await (await ask(`api/draws?round=${wanted}`)).json() });
    } catch {
      tickDraws.draws = null;
    }
    Object.assign(tickDraws, { round: wanted, isAsking: false });
    later();
  }, 120);
}

function paintTick(store) {
  const { draws } = tickDraws;
  byId("ticks-round").textContent = tickDraws.round;
  const all = draws?.ticks ?? [];
  byId("tick").max = Math.max(0, all.length - 1);
  const tick = all[Math.min(Number(byId("tick").value), all.length - 1)];
  byId("tick-number").textContent = tick ? tick.tick : "–";
  if (!tick) return byId("tick-draws").replaceChildren("not recorded");
  const { run } = store;
  const chip = (text, isCapped) => make("span", { class: "chip" }, isCapped ? make("s", { title: "taken away by the cap" }, text) : text);
  const parts = [];
  const row = (name, ...content) => parts.push(make("dt", {}, name), make("dd", {}, ...content));
  row("u", bars(tick.u));
  run.receivers.forEach((receiver, t) => row(`rx ${t} · ${receiver.task}`, "requests ", ...tick.requests[t].map((k) => chip(`tx ${k}`))));
  run.transmitters.forEach((transmitter, k) => {
    const isGranted = ([t, m]) => tick.grants[k].some((pair) => pair[0] === t && pair[1] === m);
    const chips = tick.choices[k].map((pair) => chip(`${transmitter.modalities[pair[1]]} for rx ${pair[0]}`, !isGranted(pair)));
    row(`tx ${k}`, ...(chips.length ? ["grants ", ...chips] : ["is not requested"]));
  });
  row("samples", make("code", { title: "SHA-256 over the samples of the round" }, draws.samples));
  byId("tick-draws").replaceChildren(make("dl", {}, ...parts));
}

/** Values as bars around a line. */
function bars(values) {
  const most = Math.max(...values.map(Math.abs), 1e-9);
  const wide = 14 * values.length;
  const svg = draw("svg", { viewBox: `0 0 ${wide} 40`, role: "img", "aria-label": values.map((value) => value.toFixed(2)).join(" ") },
    draw("line", { class: "axis", x1: 0, x2: wide, y1: 20, y2: 20 }),
    ...values.map((value, at) => {
      const height = (18 * Math.abs(value)) / most;
      return draw("rect", { x: 14 * at + 2, width: 10, y: value > 0 ? 20 - height : 20, height, rx: 2, fill: colour(value > 0 ? 0 : 1) }, draw("title", {}, value.toFixed(4)));
    }));
  svg.style.maxWidth = `${wide}px`;
  return svg;
}

byId("tick").addEventListener("input", () => paintTick(store));
