// Pictures that do not go over the rounds: planes of two quantities, and counts by strength.

/**
 * Draws points over two axes: `ways` of a look and points [x, y], and `dots` of a look, a place, words, whether they are filled, and
 * the ends of a bar if there is one. `what` is on the vertical axis.
 */
function paintPlane(element, axis, ways, dots, what = "N-CE") {
  const ends = ({ place, bar = [] }) => bar.map((end) => [place[0], end]);
  const all = [...ways.flatMap((way) => way.points), ...dots.map(({ place }) => place), ...dots.flatMap(ends)];
  const [width, height, left, below, edge] = [Math.max(280, element.clientWidth), 300, 56, 44, 14];
  const range = (at) => roomy(...all.reduce(([low, high], point) => [Math.min(low, point[at]), Math.max(high, point[at])], [Infinity, -Infinity]));
  const [[from, to], [low, high]] = [range(0), range(1)];
  const x = scaled(false, from, to, left, width - edge);
  const y = scaled(false, low, high, height - below, edge);
  const parts = ticks(low, high, 5).flatMap((tick) => [
    draw("line", { class: "axis", x1: left, x2: width - edge, y1: y(tick), y2: y(tick) }),
    draw("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, tickWords(tick)),
  ]);
  for (const tick of ticks(from, to, Math.min(5, width / 80))) parts.push(draw("text", { x: x(tick), y: height - below + 17, "text-anchor": "middle" }, tickWords(tick)));
  parts.push(draw("text", { x: width - edge, y: height - 6, "text-anchor": "end" }, axis));
  for (const { look, points } of ways) {
    parts.push(draw("polyline", { class: "way", stroke: look.colour, "stroke-dasharray": look.dash.join(" "), points: points.map((point) => `${x(point[0]).toFixed(1)},${y(point[1]).toFixed(1)}`).join(" ") }));
  }
  for (const { look, place, words, isFilled, bar } of dots) {
    if (bar) parts.push(draw("line", { class: "bar", stroke: look.colour, x1: x(place[0]), x2: x(place[0]), y1: y(bar[0]), y2: y(bar[1]) }));
    parts.push(draw("circle", { class: "dot", cx: x(place[0]), cy: y(place[1]), r: 4.5, stroke: look.colour, fill: isFilled ? look.colour : style("--card"), "data-x": place[0], "data-y": place[1] }, draw("title", {}, words)));
  }
  element.replaceChildren(draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${what} over ${axis}` }, ...parts));
}

/** The paths of runs over the information plane, each from a ring to a dot. */
function paintWays(element, stores) {
  const ways = stores.map((store, n) => ({ look: look(n), name: store.run.folder, points: store.rounds.map((round) => [round.sum_rate, round.n_ce]) })).filter((way) => way.points.length);
  const dots = ways.flatMap(({ look, name, points }) => [[points[0], false], [points.at(-1), true]].map(([place, isFilled]) => (
    { look, place, isFilled, words: `${name}: ${isFilled ? "last" : "first"} rounds, sum-rate ${number(place[0])}, N-CE ${number(place[1])} nats` })));
  paintPlane(element, "sum-rate, nats", ways, dots);
}

/** The rows of a sweep: those that no other beats in both quantities are filled, and joined. Means over several seeds have a bar. */
function paintFront(element, { axis, dots }) {
  const placed = dots.map(({ name, n_ce, half_width: half, spent, is_on_front }) => (
    { look: look(0), place: [spent, n_ce], bar: half === null ? undefined : [n_ce - half, n_ce + half], isFilled: is_on_front,
      words: `${name}: ${number(spent)} (${axis}), N-CE ${number(n_ce)}${half === null ? "" : ` ± ${number(half)}`}` }));
  const front = placed.filter((dot) => dot.isFilled).map(({ place }) => place).sort((one, other) => one[0] - other[0]);
  paintPlane(element, axis, [{ look: look(0), points: front }], placed);
}

/** Scores over the SNR: a line for each of `scores`, which are a look, a name, and points of an SNR, a value and the ends of its interval. */
function paintOverSnr(element, what, scores) {
  const ways = scores.map(({ look, points }) => ({ look, points: points.map(({ at, value }) => [at, value]) }));
  const dots = scores.flatMap(({ look, name, points }) => points.map(({ at, value, bar }) => ({ look, place: [at, value], bar, isFilled: true,
    words: `${name} at ${number(at)} dB: ${number(value)}${bar ? `, ${number(bar[0])} to ${number(bar[1])}` : ""}` })));
  paintPlane(element, "Es/N0, dB", ways, dots, what);
}

/** Links by their strength in steps of decibels: all, and in front of them those over which anything was granted. */
function paintStrengths(element, { first_db, step_db, links, granted }) {
  const first = Math.max(0, links.findIndex((count) => count > 0));
  const steps = links.slice(first, links.findLastIndex((count) => count > 0) + 1).map((all, at) => ({ all, used: granted[first + at] ?? 0, from: first_db + (first + at) * step_db }));
  const most = Math.max(1, ...steps.map(({ all }) => all));
  const [width, height, below] = [Math.max(280, element.clientWidth), 220, 36];
  const ground = height - below;
  const wide = width / steps.length;
  const bar = (count, at, fill) => draw("rect", { x: at * wide + 1, width: Math.max(1, wide - 2), y: ground - (count / most) * (ground - 8), height: (count / most) * (ground - 8), fill });
  const parts = steps.map(({ all, used, from }, at) => draw("g", { "data-links": all, "data-granted": used },
    draw("title", {}, `${from} to ${from + step_db} dB: ${used} of ${all} links granted`),
    draw("rect", { x: at * wide, width: wide, y: 0, height: ground, fill: "transparent" }), bar(all, at, style("--c5")), bar(used, at, style("--c0"))));
  const words = steps.flatMap(({ from }, at) => ((first + at) % 5 ? [] : [draw("text", { x: Math.max(12, at * wide), y: ground + 16, "text-anchor": "middle" }, String(from))]));
  element.replaceChildren(draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "links by strength" },
    draw("line", { class: "axis", x1: 0, x2: width, y1: ground, y2: ground }), ...parts, ...words, draw("text", { x: width, y: height - 4, "text-anchor": "end" }, "|h|² Es/N0, dB")));
}
