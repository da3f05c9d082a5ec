// Curves over the rounds, on a canvas. All charts show the same range of rounds.

/** Round numbers within a range, about `count` of them. */
function ticks(low, high, count) {
  const step = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(step));
  const size = [1, 2, 5, 10].find((size) => size * power >= step) * power;
  const found = [];
  for (let tick = Math.ceil(low / size); tick * size <= high + size * 1e-9; tick++) found.push(Number((tick * size).toPrecision(12)));
  return found;
}

/** Powers of ten, and their parts where there are few. */
function logTicks(low, high) {
  const found = [];
  const powers = Math.ceil(Math.log10(high / low));
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    for (const part of powers > 3 ? [1] : [1, 2, 5]) {
      const tick = part * 10 ** power;
      if (tick >= low && tick <= high) found.push(Number(tick.toPrecision(6)));
    }
  }
  return found;
}

const tickWords = (tick) => (Math.abs(tick) >= 1e5 ? tick.toExponential(0) : String(tick));

/** Exponentially weighted means of points, as if every round were one of them. */
function smoothed(points, weight) {
  if (weight === 0) return points;
  let [sum, all, before] = [0, 0, null];
  return points.map(([x, y]) => {
    if (!Number.isFinite(y)) return [x, y];
    const left = before === null ? 0 : weight ** Math.min(x - before, 64);
    before = x;
    [sum, all] = [left * sum + (1 - weight) * y, left * all + (1 - weight)];
    return [x, sum / all];
  });
}

/** The place of the first point at `x` or beyond. */
function placeOf(points, x) {
  let [low, high] = [0, points.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle][0] < x) low = middle + 1; else high = middle;
  }
  return low;
}

/** The points of a range, and one on either side. */
const within = (points, from, to) => points.slice(Math.max(0, placeOf(points, from) - 1), placeOf(points, to) + 1);

/** Of places in pixels those that can be told apart: of every column of pixels the least and the largest. Null is a gap. */
function visible(places) {
  const kept = [];
  let [column, least, most] = [NaN, null, null];
  const flush = () => {
    if (least) kept.push(...(least === most ? [least] : least[0] <= most[0] ? [least, most] : [most, least]));
    least = most = null;
  };
  for (const place of places) {
    const own = place ? Math.floor(place[0]) : NaN;
    if (own !== column) flush();
    column = own;
    if (!place) kept.push(null);
    else if (!least) least = most = place;
    else if (place[1] < least[1]) least = place;
    else if (place[1] > most[1]) most = place;
  }
  flush();
  return kept;
}

/** Sizes a canvas for the screen's pixels; returns its context, width and height. */
function fitted(canvas, { clientWidth: width, clientHeight: height } = canvas) {
  const scale = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    [canvas.width, canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
  }
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return [context, width, height];
}

/** Places between `c` and `d` of values between `a` and `b`. */
const scaled = (isLog, a, b, c, d) => isLog
  ? (value) => c + (Math.log(value / a) / Math.log(b / a)) * (d - c)
  : (value) => c + ((value - a) / (b - a)) * (d - c);

/** A range of values with some room around it. */
function roomy(low, high, isLog = false) {
  if (!(low <= high)) return [0, 1];
  if (isLog) return [low / 1.05, high * 1.05];
  // What differs by rounding alone is one value: between such neighbours there is no number for a tick.
  const size = Math.max(Math.abs(low), Math.abs(high));
  const room = high - low > 1e-9 * size ? 0.06 * (high - low) : 0.05 * size || 1;
  return [low - room, high + room];
}

/** Bands around more lines than this would hide each other; so would what was measured behind more smoothed lines than that. */
const [MOST_BANDS, MOST_MEASURED] = [3, 8];

class Chart {
  /**
   * `lines` gives the lines to draw: name, colour, dash, and points [round, value], or [round, value, least, largest] where rounds
   * are merged. They are asked for when `version` has changed. `last` is the last round.
   */
  constructor(title, unit, { lines, last, version }) {
    Object.assign(this, { title, lines, last, version, picture: document.createElement("canvas"), repaints: 0, drawn: 0 });
    this.canvas = make("canvas", { tabindex: 0, role: "img" });
    this.legend = make("div", { class: "legend" });
    this.element = make("div", { class: "card chart" }, make("h3", {}, title, make("small", {}, unit)), this.canvas, this.legend);
    this.listen();
  }

  /** Draws the curves if their data, the view or the colours have changed, and the pointer over them. */
  paint() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width) return;
    const data = `${this.version()} ${dressed}`;
    if (data !== this.data) {
      this.data = data;
      this.known = this.lines();
      this.smooth = null;
    }
    if (this.smooth !== view.smooth) {
      this.smooth = view.smooth;
      this.shown = this.known.map((line) => ({ ...line, even: smoothed(line.points, view.smooth) }));
    }
    const look = [data, ...view.range(this.last()), view.logX, view.logY, view.smooth, width, height, window.devicePixelRatio].join(" ");
    if (look !== this.look) {
      this.look = look;
      this.repaints += 1;
      this.drawn = 0;
      this.render();
    }
    this.tell(look);
  }

  /** Draws axes and curves into a picture of their own. */
  render() {
    const [context, width, height] = fitted(this.picture, this.canvas);
    const box = { left: 46, right: width - 6, top: 8, bottom: height - 20 };
    const last = this.last();
    const isLogX = view.logX;
    const range = view.range(last);
    const [from, to] = isLogX ? [Math.max(1, range[0] + 1), Math.max(2, range[1] + 1)] : range;
    const hasBands = this.shown.length <= MOST_BANDS;
    const parts = this.shown.map((line) => ({ ...line, raw: within(line.points, ...range), even: within(line.even, ...range) }));
    let [least, most] = [Infinity, -Infinity];
    for (const { raw, even } of parts) {
      for (const [, ...values] of view.smooth > 0.5 ? even : raw) {
        for (const value of hasBands ? values : values.slice(0, 1)) {
          if (Number.isFinite(value)) [least, most] = [Math.min(least, value), Math.max(most, value)];
        }
      }
    }
    const isLogY = view.logY && least > 0;
    const [low, high] = roomy(least, most, isLogY);
    const ofRound = scaled(isLogX, from, to, box.left, box.right);
    const x = (round) => ofRound(isLogX ? round + 1 : round);
    const y = scaled(isLogY, low, high, box.bottom, box.top);
    this.geometry = { box, from, to, isLogX, x };

    context.font = "11px system-ui, sans-serif";
    context.strokeStyle = style("--line");
    context.fillStyle = style("--dim");
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const tick of isLogY ? logTicks(low, high) : ticks(low, high, 5)) {
      const at = Math.round(y(tick)) + 0.5;
      context.beginPath();
      context.moveTo(box.left, at);
      context.lineTo(box.right, at);
      context.stroke();
      context.fillText(tickWords(tick), box.left - 6, at);
    }
    context.textAlign = "center";
    context.textBaseline = "top";
    for (const tick of isLogX ? logTicks(from, to) : ticks(from, to, Math.max(2, width / 80))) {
      const place = ofRound(tick);
      if (place < box.right - 10 || tick === to) context.fillText(String(tick), Math.min(place, box.right - 8), box.bottom + 5);
    }

    context.save();
    context.beginPath();
    context.rect(box.left, box.top - 3, box.right - box.left, box.bottom - box.top + 6);
    context.clip();
    context.lineJoin = "round";
    const place = (at) => (point) => (Number.isFinite(point[at]) && !(isLogY && point[at] <= 0) ? [x(point[0]), y(point[at])] : null);
    for (const { raw, even, colour, dash, hasDots } of parts) {
      context.strokeStyle = context.fillStyle = colour;
      context.globalAlpha = 0.16;
      if (hasBands && raw.some((point) => point.length > 2)) this.band(context, raw.map(place(2)), raw.map(place(3)));
      context.setLineDash(dash);
      context.globalAlpha = 0.22;
      if (view.smooth > 0 && parts.length <= MOST_MEASURED) this.trace(context, raw.map(place(1)), 1);
      context.globalAlpha = 1;
      this.trace(context, even.map(place(1)), 1.8);
      for (const at of hasDots || raw.length === 1 ? visible(raw.map(place(1))).filter(Boolean) : []) context.fillRect(at[0] - 2.5, at[1] - 2.5, 5, 5);
    }
    context.restore();
  }

  trace(context, places, thickness) {
    const kept = visible(places);
    let isDown = false;
    // Where a line is as dense as the pixels, a thicker one would show no more, and take ten times as long.
    context.lineWidth = kept.length > this.canvas.clientWidth ? 1 : thickness;
    context.beginPath();
    for (const place of kept) {
      if (place) context[isDown ? "lineTo" : "moveTo"](...place);
      isDown = place !== null;
      this.drawn += 1;
    }
    context.stroke();
  }

  band(context, lows, highs) {
    const around = [...visible(highs), ...visible(lows).reverse()].filter(Boolean);
    context.beginPath();
    around.forEach((place, at) => context[at ? "lineTo" : "moveTo"](...place));
    context.fill();
    this.drawn += around.length;
  }

  /** The picture with the pointer over it, and the values there, or the last ones. */
  tell(look) {
    const at = view.hover;
    const told = [look, at, this.brush].join(" ");
    if (told === this.told) return;
    this.told = told;
    const [context, width, height] = fitted(this.canvas);
    context.drawImage(this.picture, 0, 0, width, height);
    const { box, x } = this.geometry;
    if (at !== null && x(at) >= box.left && x(at) <= box.right) {
      context.strokeStyle = style("--dim");
      context.lineWidth = 1;
      context.beginPath();
      context.moveTo(Math.round(x(at)) + 0.5, box.top);
      context.lineTo(Math.round(x(at)) + 0.5, box.bottom);
      context.stroke();
    }
    if (this.brush) {
      context.globalAlpha = 0.15;
      context.fillStyle = style("--accent");
      const [one, other] = this.brush;
      context.fillRect(Math.min(one, other), box.top, Math.abs(other - one), box.bottom - box.top);
      context.globalAlpha = 1;
    }
    const parts = this.shown.slice(0, 12).map((line) => {
      const [, value, least, most] = this.pointAt(line.points, at) ?? [];
      const span = least == null || this.shown.length > 1 ? "" : ` (${number(least)} to ${number(most)})`;
      return make("span", {}, mark(line), line.name ? `${line.name} ` : "", make("b", {}, number(value)), span);
    });
    this.legend.replaceChildren(...(at === null ? [] : [make("span", {}, `round ${at}`)]), ...parts);
    this.canvas.setAttribute("aria-label", `${this.title}: ${this.legend.textContent}`);
  }

  /** The point nearest to a round; the last one without a round. */
  pointAt(points, round) {
    if (round === null) return points[points.length - 1];
    const place = placeOf(points, round);
    const [before, after] = [points[place - 1], points[place]];
    return before && (!after || round - before[0] <= after[0] - round) ? before : after;
  }

  /** The round at a place of the canvas. */
  roundAt(place) {
    const { box, from, to, isLogX } = this.geometry;
    const part = Math.max(0, Math.min(1, (place - box.left) / (box.right - box.left)));
    return isLogX ? from * (to / from) ** part - 1 : from + part * (to - from);
  }

  listen() {
    const { canvas } = this;
    let began = null;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !this.geometry) return;
      began = { x: event.offsetX, pans: event.shiftKey || event.pointerType === "touch", range: view.range(this.last()), isZoomed: view.to !== null };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!this.geometry) return;
      const { box } = this.geometry;
      view.hover = Math.round(this.roundAt(event.offsetX));
      if (began?.pans) {
        const [from, to] = began.range;
        const by = ((began.x - event.offsetX) / (box.right - box.left)) * (to - from);
        const fitting = Math.max(-from, Math.min(this.last() - to, by));
        if (began.isZoomed) view.show(from + fitting, to + fitting, this.last());
      } else if (began) {
        this.brush = [began.x, event.offsetX];
      }
      view.changed();
    });
    const end = (event) => {
      const brush = this.brush;
      [began, this.brush] = [null, null];
      if (brush && Math.abs(brush[1] - brush[0]) > 6 && event.type === "pointerup") {
        const [one, other] = brush.map((place) => this.roundAt(place));
        view.show(Math.min(one, other), Math.max(one, other), this.last());
      } else view.changed();
    };
    canvas.addEventListener("pointerup", end);
    canvas.addEventListener("pointercancel", end);
    canvas.addEventListener("pointerleave", () => { if (!began) { view.hover = null; view.changed(); } });
    canvas.addEventListener("dblclick", () => view.show(0, this.last(), this.last()));
    canvas.addEventListener("wheel", (event) => {
      // The wheel alone scrolls the page.
      if (!(event.ctrlKey || event.metaKey) || !this.geometry) return;
      event.preventDefault();
      const { box } = this.geometry;
      view.zoom(event.deltaY > 0 ? 1.25 : 0.8, this.last(), (event.offsetX - box.left) / (box.right - box.left));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      const name = { ArrowLeft: "left", ArrowRight: "right", "+": "in", "=": "in", "-": "out", 0: "all", Escape: "all" }[event.key];
      if (!name) return;
      event.preventDefault();
      view.command(name, this.last());
    });
  }
}

const COMMANDS = [["out", "−", "show more rounds"], ["in", "+", "show fewer rounds"], ["left", "◀", "earlier rounds"], ["right", "▶", "later rounds"], ["all", "all", "show all rounds"]];

/** Fills a tool bar with what changes the view of all charts. */
function tools(element, last) {
  const input = (name, attributes, change) => {
    const field = make("input", attributes);
    field.addEventListener("input", () => { change(field); view.changed(); });
    return attributes.type === "range" ? make("label", {}, name, " ", field) : make("label", { class: "check" }, field, ` ${name}`);
  };
  element.append(
    input("smoothing", { id: "smooth", type: "range", min: 0, max: 0.98, step: 0.02, value: view.smooth }, (field) => { view.smooth = Number(field.value); }),
    input("log rounds", { id: "log-x", type: "checkbox", checked: view.logX }, (field) => { view.logX = field.checked; }),
    input("log values", { id: "log-y", type: "checkbox", checked: view.logY }, (field) => { view.logY = field.checked; }),
    make("span", { class: "buttons" }, ...COMMANDS.map(([name, sign, words]) => {
      const button = make("button", { type: "button", "aria-label": words }, sign);
      button.addEventListener("click", () => view.command(name, last()));
      return button;
    })));
}
