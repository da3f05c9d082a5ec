// The network at a round: transmitters with their modalities on the left, receivers on the right.

/** A colour between low and high, by a number from 0 to 1. */
const shade = (part) => style(`--r${Math.max(0, Math.min(4, Math.round(4 * part)))}`);

/** Draws the network at a round into an element. */
function paintNetwork(element, store, round) {
  const { run, names } = store;
  if (!names.length || !round?.granted) return element.replaceChildren();
  const [step, gap, left, right, wide] = [24, 14, 190, 400, 560];
  const places = [];
  const boxes = [];
  let y = 8;
  run.transmitters.forEach((transmitter, k) => {
    boxes.push(draw("rect", { class: "box", x: 4, y: y - 4, width: left - 4, height: step * transmitter.modalities.length + 8, rx: 8 }));
    boxes.push(draw("text", { class: "name", x: 14, y: y + (step * transmitter.modalities.length) / 2 + 4 }, `tx ${k}`));
    for (const modality of transmitter.modalities) {
      places.push(y + step / 2);
      boxes.push(draw("text", { x: left - 10, y: y + step / 2 + 4, "text-anchor": "end" }, modality));
      y += step;
    }
    y += gap;
  });
  const height = Math.max(y, run.receivers.length * (step + 10) + 8);
  const spot = (t) => (height * (t + 0.5)) / run.receivers.length;

  // Nats of an entry while it is granted: of the test set, where that has been judged, else the mean over a receiver's entries.
  const judged = store.summary?.test?.entry_rates?.map((of) => of.flat());
  const rate = (t, e) => {
    if (judged?.[t]?.[e] != null) return judged[t][e];
    const granted = round.granted.subarray(t * names.length, (t + 1) * names.length).reduce((sum, share) => sum + share, 0);
    return granted > 0 ? round.rate?.[t] / granted : NaN;
  };
  const links = [];
  run.receivers.forEach((_, t) => names.forEach((_, e) => {
    const share = round.granted[t * names.length + e];
    if (share >= 0.005) links.push({ t, e, share, rate: rate(t, e) });
  }));
  const known = links.map((link) => link.rate).filter(Number.isFinite);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const part = (value) => (high > low ? (value - low) / (high - low) : 0.5);
  const middle = (left + right) / 2;
  const paths = links.sort((one, other) => one.share - other.share).map(({ t, e, share, rate }) => {
    const [from, to] = [places[e], spot(t)];
    const path = draw("path", {
      class: "link", "stroke-width": (0.8 + 8 * share).toFixed(2), d: `M${left} ${from}C${middle} ${from} ${middle} ${to} ${right} ${to}`,
      "data-share": share,
    }, draw("title", {}, `transmitter ${names[e].k} · ${names[e].modality} to receiver ${t}: ${percent(share)} % of ticks, ${number(rate)} nats`));
    path.setAttribute("stroke", Number.isFinite(rate) ? shade(part(rate)) : style("--dim"));
    return path;
  });
  run.receivers.forEach((receiver, t) => {
    boxes.push(draw("rect", { class: "box", x: right, y: spot(t) - 14, width: wide - right - 4, height: 28, rx: 8 }));
    boxes.push(draw("text", { class: "name", x: right + 12, y: spot(t) + 4 }, `rx ${t} · ${receiver.task}`));
  });
  const legend = known.length ? [0, 1, 2, 3, 4].map((level) => draw("rect", { x: left + 16 + 26 * level, y: height + 8, width: 26, height: 8, fill: style(`--r${level}`) })) : [];
  if (known.length) {
    legend.push(draw("text", { x: left + 10, y: height + 16, "text-anchor": "end" }, `${number(low)} nats`));
    legend.push(draw("text", { x: left + 152, y: height + 16 }, `${number(high)} nats an entry`));
  }
  element.replaceChildren(draw("svg", { viewBox: `0 0 ${wide} ${height + 24}`, role: "img", "aria-label": `the network at round ${round.round}` }, ...paths, ...boxes, ...legend));
}

/** The grants of a round as a table: a row for every entry, a column for every receiver. */
function paintGrants(element, store, round) {
  const { run, names } = store;
  if (!names.length || !round?.granted) return element.replaceChildren();
  const head = make("tr", {}, make("th"), ...run.receivers.map((receiver, t) => make("th", { scope: "col" }, `rx ${t} · ${receiver.task}`)));
  const rows = names.map((entry, e) => make("tr", {}, make("th", { scope: "row" }, `tx ${entry.k} · ${entry.modality}`), ...run.receivers.map((_, t) => {
    const share = round.granted[t * names.length + e];
    const cell = make("td", { "data-receiver": t, "data-entry": e, "data-share": share }, share > 0 ? percent(share) : "·");
    cell.style.background = `color-mix(in srgb, ${style("--heat")} ${Math.round(45 * share)}%, transparent)`;
    return cell;
  })));
  element.replaceChildren(make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)));
}
