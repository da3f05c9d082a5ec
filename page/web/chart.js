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

/** Sizes a canvas for the screen's pixels; returns its context, width and height. */
function fitted(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const scale = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    [canvas.width, canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
  }
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return [context, width, height];
}

class Chart {
  /** `lines` gives the lines to draw: name, colour, and points [round, value]. */
  constructor(title, unit, lines, last) {
    Object.assign(this, { title, lines, last });
    this.canvas = make("canvas", { tabindex: 0, role: "img" });
    this.legend = make("div", { class: "legend" });
    this.element = make("div", { class: "card chart" }, make("h3", {}, title, make("small", {}, unit)), this.canvas, this.legend);
    this.listen();
  }

  paint() {
    const lines = this.lines();
    const [context, width, height] = fitted(this.canvas);
    if (!width) return;
    const box = { left: 46, right: width - 6, top: 8, bottom: height - 20 };
    const last = this.last();
    const isLogX = view.logX;
    let [from, to] = view.range(last);
    if (isLogX) [from, to] = [Math.max(1, from + 1), Math.max(2, to + 1)];
    const shown = lines.map((line) => ({ ...line, even: smoothed(line.points, view.smooth) }));
    const isIn = ([x]) => (isLogX ? x + 1 : x) >= from - 1 && (isLogX ? x + 1 : x) <= to + 1;
    const values = shown.flatMap(({ points, even }) => (view.smooth > 0.5 ? even : points).filter(isIn).map(([, y]) => y)).filter(Number.isFinite);
    let [low, high] = [Math.min(...values), Math.max(...values)];
    const isLogY = view.logY && low > 0;
    if (!values.length) [low, high] = [0, 1];
    const room = isLogY ? 1 : 0.06 * (high - low) || 0.05 * Math.abs(high) || 1;
    if (isLogY) [low, high] = [low / 1.05, high * 1.05]; else [low, high] = [low - room, high + room];
    const scale = (isLog, a, b, c, d) => isLog
      ? (value) => c + (Math.log(value / a) / Math.log(b / a)) * (d - c)
      : (value) => c + ((value - a) / (b - a)) * (d - c);
    const ofRound = scale(isLogX, from, to, box.left, box.right);
    const x = (round) => ofRound(isLogX ? round + 1 : round);
    const y = scale(isLogY, low, high, box.bottom, box.top);
    this.geometry = { box, from, to, isLogX, last };

    context.font = "11px system-ui, sans-serif";
    context.lineWidth = 1;
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
      context.fillText(Math.abs(tick) >= 1e5 ? tick.toExponential(0) : String(tick), box.left - 6, at);
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
    const trace = (points, opacity, thickness) => {
      context.globalAlpha = opacity;
      context.lineWidth = thickness;
      context.beginPath();
      let isDown = false;
      for (const point of points) {
        if (!Number.isFinite(point[1]) || (isLogY && point[1] <= 0)) { isDown = false; continue; }
        context[isDown ? "lineTo" : "moveTo"](x(point[0]), y(point[1]));
        isDown = true;
      }
      context.stroke();
    };
    for (const { points, even, colour, isDashed } of shown) {
      context.strokeStyle = colour;
      context.setLineDash(isDashed ? [5, 4] : []);
      const few = points.length === 1;
      if (few) { context.globalAlpha = 1; context.fillStyle = colour; context.fillRect(x(points[0][0]) - 2, y(points[0][1]) - 2, 4, 4); }
      if (view.smooth > 0) trace(points, 0.22, 1);
      trace(even, 1, 1.8);
    }
    context.restore();
    this.tell(shown, context, x, y, box);
  }

  /** The values at the round under the pointer, or the last ones. */
  tell(shown, context, x, y, box) {
    const at = view.hover;
    if (at !== null && x(at) >= box.left && x(at) <= box.right) {
      context.globalAlpha = 1;
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
    const parts = shown.map(({ name, colour, points }) => {
      let point = points[points.length - 1];
      if (at !== null) point = points.reduce((best, one) => (Math.abs(one[0] - at) < Math.abs(best[0] - at) ? one : best), point ?? [0, NaN]);
      const mark = make("span", { class: "mark" });
      mark.style.background = colour;
      return make("span", {}, mark, name ? `${name} ` : "", make("b", {}, number(point?.[1])));
    });
    const where = at === null ? [] : [make("span", {}, `round ${at}`)];
    this.legend.replaceChildren(...where, ...parts.slice(0, 12));
    this.canvas.setAttribute("aria-label", `${this.title}: ${this.legend.textContent}`);
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
