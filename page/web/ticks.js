// What was drawn at the ticks of a round: as it was recorded, or as far as it follows from the seed; the rest is computed again for whoever
// may ask for that.

/** `known` ticks by their numbers, the recorded `draws` of a `round`, and the `progress` of a tick that is computed. */
const drawn = { known: new Map(), round: null, draws: null, isAsking: false, progress: null };

/** A tick that could not be found is asked for again after so many milliseconds. */
const [AGAIN, MOST_TICKS] = [3000, 500];

/** Shows the chosen tick of the chosen round. */
function showTicks(store, round) {
  byId("ticks").hidden = !round;
  if (!round) return;
  const count = store.run.ticks_per_round;
  byId("tick").max = count - 1;
  const tick = round.round * count + Math.min(Number(byId("tick").value), count - 1);
  const found = drawn.known.get(tick);
  // Whoever follows the newest round of many has not asked for one.
  const isWanted = store.run.draws || store.ended || !chosen.isNewest;
  part("tick", [tick, found, isWanted, drawn.progress], () => paintTick(store, round.round, tick, found ?? {}, isWanted));
  const isDue = !found || (found.trouble && Date.now() - found.at > AGAIN);
  if (isWanted && isDue && connection.isOpen && !drawn.isAsking) askTick(store, round.round, tick);
}

/** Asks for a tick. The slider may be under way: no request overtakes another. */
function askTick(store, round, tick) {
  drawn.isAsking = true;
  setTimeout(async () => {
    try {
      if (connection.isOpen) keepTick(tick, await tickOf(store, round, tick));
    } catch (error) {
      keepTick(tick, { trouble: error.message, at: Date.now() });
    }
    drawn.isAsking = false;
    later();
  }, 120);
}

async function tickOf(store, round, tick) {
  const known = await (await ask(`api/tick?tick=${tick}`)).json();
  if (!store.run.draws) return known;
  try {
    if (drawn.round !== round) Object.assign(drawn, { draws: await (await ask(`api/draws?round=${round}`)).json(), round });
  } catch (error) {
    return { ...known, trouble: error.message, at: Date.now() };
  }
  return { ...known, ...drawn.draws.ticks.find((one) => one.tick === tick), round_samples_sha256: drawn.draws.samples };
}

function keepTick(tick, found) {
  if (drawn.known.size > MOST_TICKS) drawn.known.clear();
  drawn.known.set(tick, found);
}

/** Has a tick computed again, from the last checkpoint before it. */
async function replayTick(tick) {
  if (!credentials.token) {
    const token = await question("Compute this tick", "That needs the token with which this page is served (pom2dib page --token-file).", "OK", true);
    if (!token) return;
    credentials.keep(token);
  }
  const known = drawn.known.get(tick);
  drawn.progress = "begins";
  later();
  try {
    await read(await ask(`api/replay?tick=${tick}`, { method: "POST" }), () => {}, (name, object) => {
      if (name === "progress") drawn.progress = object.line;
      if (name === "tick") keepTick(tick, { ...known, ...object, samples: object.samples ?? known.samples });
      if (name === "failed") keepTick(tick, { ...known, failed: object.line });
      later();
    });
  } catch (error) {
    if (error.status === 401 || error.status === 403) credentials.keep("");
    keepTick(tick, { ...known, failed: error.message });
  }
  drawn.progress = null;
  later();
}

function paintTick(store, round, tick, found, isWanted) {
  byId("ticks-round").textContent = round;
  byId("tick-number").textContent = tick;
  const { run } = store;
  const parts = [];
  const row = (name, ...content) => parts.push(make("dt", {}, name), make("dd", {}, ...content));
  const chip = (text, data, isCapped) => make("span", { class: "chip", ...data }, isCapped ? make("s", { title: "taken away by the cap" }, text) : text);
  if (found.u?.length) row("u", bars(found.u));
  // Where every node draws its own.
  (found.own_u?.receivers ?? []).forEach((u, t) => row(`u of rx ${t}`, bars(u)));
  (found.own_u?.transmitters ?? []).forEach((u, k) => row(`u of tx ${k}`, bars(u)));
  if (found.requests) {
    run.receivers.forEach((receiver, t) => row(`rx ${t} · ${receiver.task}`, "requests ", ...found.requests[t].map((k) => chip(`tx ${k}`, { "data-request": `${t} ${k}` }))));
    run.transmitters.forEach((transmitter, k) => {
      const isGranted = ([t, m]) => found.grants[k].some((pair) => pair[0] === t && pair[1] === m);
      const chips = found.choices[k].map(([t, m]) => {
        const has = isGranted([t, m]);
        return chip(`${transmitter.modalities[m]} for rx ${t}`, { "data-choice": `${k} ${t} ${m}`, "data-granted": has ? "yes" : "no" }, !has);
      });
      row(`tx ${k}`, ...(chips.length ? ["grants ", ...chips] : ["is not requested"]));
    });
  }
  const { samples } = found;
  if (samples) {
    row("samples", make("code", { title: "SHA-256 over the rows and epochs of this tick", "data-samples": "tick" }, samples.sha256),
      make("details", {}, make("summary", {}, `${samples.rows.length} rows of the training set`), samples.rows.join(" ")));
  }
  if (found.round_samples_sha256) row("of the round", make("code", { title: "SHA-256 over the rows and epochs of all its ticks", "data-samples": "round" }, found.round_samples_sha256));
  if (!found.requests) row("the rest", ...theRest(tick, found, isWanted));
  const command = `pom2dib replay ${shellWord(run.folder)} --tick ${tick}`;
  const copy = make("button", { type: "button", class: "quiet", hidden: !navigator.clipboard }, "Copy");
  copy.addEventListener("click", () => navigator.clipboard.writeText(command).then(() => { copy.textContent = "Copied"; }, () => {}));
  row("as text", make("code", { id: "tick-command" }, command), " ", copy);
  byId("tick-draws").replaceChildren(make("dl", {}, ...parts));
}

/** What is said of requests and choices that are not known, and a button for whoever may have them computed. */
function theRest(tick, found, isWanted) {
  if (drawn.progress !== null) return [make("span", { role: "status" }, `is computed: ${drawn.progress}`)];
  if (!isWanted) return ["choose a round, and its ticks are shown"];
  const words = "requests and choices depend on the networks: they are computed again from the last checkpoint before the tick, ";
  if (!found.can_replay) return [found.trouble ? `${found.trouble}; ` : "", words, "by this command"];
  const button = make("button", { type: "button", id: "replay" }, "Compute them");
  button.addEventListener("click", () => replayTick(tick));
  return [found.failed ? `${found.failed}; ` : "", words, "by the command below or here ", button];
}

/** A text as a word of a shell. */
const shellWord = (text) => (/^[\w.\/,:=@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** Values as bars around a line. */
function bars(values) {
  const most = Math.max(...values.map(Math.abs), 1e-9);
  const wide = 14 * values.length;
  const svg = draw("svg", { viewBox: `0 0 ${wide} 40`, role: "img", "aria-label": values.map((value) => value.toFixed(2)).join(" ") },
    draw("line", { class: "axis", x1: 0, x2: wide, y1: 20, y2: 20 }),
    ...values.map((value, at) => {
      const height = (18 * Math.abs(value)) / most;
      return draw("rect", { x: 14 * at + 2, width: 10, y: value > 0 ? 20 - height : 20, height, rx: 2, fill: colour(value > 0 ? 0 : 1), "data-value": value }, draw("title", {}, value.toFixed(4)));
    }));
  svg.style.maxWidth = `${wide}px`;
  return svg;
}

byId("tick").addEventListener("input", () => later());
