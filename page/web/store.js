// What the page knows of a run.

/** A function that has something painted at the screen's next picture: once, however often it is called until then. */
function eachFrame(paint) {
  let isDue = false;
  return () => {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => { isDue = false; paint(); });
  };
}

/** Most rounds kept here, and most shares of all of them; beyond, every other one goes. */
const [MOST_KEPT, MOST_SHARES] = [4096, 1 << 24];

/**
 * Numbers of a line by receiver as an array of arrays. A large network's line has a table instead: `shape`, what the `rest` is, and the
 * places `at` which it `is` something else. Null where that is not `rows` times one of these numbers of `columns`.
 */
function whole(grid, rows, columns) {
  if (!grid?.shape) return grid ?? null;
  const { shape: [high, wide], rest, at, is } = grid;
  if (high !== rows || !columns.includes(wide) || !Array.isArray(at) || !Array.isArray(is)) return null;
  const flat = new Array(rows * wide).fill(rest);
  at.forEach((place, n) => { if (place < flat.length) flat[place] = is[n]; });
  return Array.from({ length: rows }, (_, row) => flat.slice(row * wide, (row + 1) * wide));
}

class Store {
  constructor() {
    this.rounds = [];
    this.stride = 1;
    /** Counts the changes of the rounds. */
    this.version = 0;
    this.events = [];
    this.status = {};
    this.summary = null;
    /** The scores of the passes over the test set that have ended. */
    this.pass = null;
    this.run = { rounds: 0, transmitters: [], receivers: [] };
  }

  /** Takes a whole state, as /api/run has it. */
  take(state) {
    Object.assign(this, { run: state.run, events: state.events, summary: state.summary, pass: state.pass ?? null, status: state.status });
    this.program = state.program;
    this.commands = state.commands;
    this.stride = state.stride;
    this.names = this.run.transmitters.flatMap((one, k) =>
      one.modalities.map((modality) => ({ k, modality, name: `${k} · ${modality}` })));
    this.rounds = state.rounds.map((round) => this.flat(round));
    this.version += 1;
  }

  /** A round with its grants in one array, receiver by receiver. Of merged rounds, `first` is the first, `low` and `high` are the range. */
  flat(round) {
    const granted = this.whole(round.selection?.granted);
    const [metrics, low, high] = [round.metrics, round.low, round.high].map((line) => this.wholeLine(line));
    const { first = round.round } = round;
    return { ...metrics, round: round.round, first, low, high, nodes: round.nodes, granted: granted ? Float64Array.from(granted.flat()) : null };
  }

  /** Numbers by receiver and entry, or by receiver and transmitter. */
  whole(grid) {
    return whole(grid, this.run.receivers.length, [this.names.length, this.run.transmitters.length]);
  }

  /** A line, or a range of lines, with all such numbers. */
  wholeLine(line) {
    const grids = Object.entries(line ?? {}).filter(([, value]) => value?.shape);
    return grids.length ? { ...line, ...Object.fromEntries(grids.map(([key, grid]) => [key, this.whole(grid)])) } : line;
  }

  /** Adds a round, or goes back to it. */
  add(round) {
    while (this.rounds.length && this.last.round >= round.round) this.rounds.pop();
    // Between the kept rounds only the newest stays.
    if (this.rounds.length && this.last.round % this.stride !== 0) this.rounds.pop();
    this.rounds.push(this.flat(round));
    this.version += 1;
    if (this.rounds.length > Math.min(MOST_KEPT, Math.max(2, MOST_SHARES / (this.names.length * this.run.receivers.length)))) {
      this.stride *= 2;
      const newest = this.last;
      this.rounds = this.rounds.filter((kept) => kept === newest || kept.round % this.stride === 0);
    }
  }

  get last() {
    return this.rounds[this.rounds.length - 1];
  }

  /** The place of the kept round nearest to a number. */
  nearest(round) {
    let [low, high] = [0, this.rounds.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.rounds[middle].round < round) low = middle + 1; else high = middle;
    }
    const before = this.rounds[low - 1];
    return before && round - before.round < this.rounds[low].round - round ? low - 1 : low;
  }

  /** Seconds of a round, mean over the last ones. */
  get pace() {
    const late = this.rounds.slice(-50).map((round) => round.seconds).filter((seconds) => seconds > 0);
    return late.reduce((sum, seconds) => sum + seconds, 0) / late.length;
  }

  get done() {
    return Math.max(this.status.round ?? 0, this.last ? this.last.round + 1 : 0);
  }
}

/** Which rounds all curves show, and how. */
const view = {
  from: 0, to: null, logX: false, logY: false, smooth: 0.6, hover: null,
  listeners: [],
  changed() { this.listeners.forEach((listener) => listener()); },
  /** The range shown, of `last` rounds. */
  range(last) { return [this.from, this.to ?? Math.max(1, last)]; },
  show(from, to, last) {
    const least = 4;
    if (to - from < least) [from, to] = [(from + to - least) / 2, (from + to + least) / 2];
    if (from <= 0 && to >= last) [this.from, this.to] = [0, null];
    else [this.from, this.to] = [Math.max(0, from), Math.min(to, last)];
    this.changed();
  },
  /** Zooms by a factor around a part of the range, or moves by a part of it. */
  zoom(factor, last, at = 0.5) {
    const [from, to] = this.range(last);
    const middle = from + at * (to - from);
    this.show(middle - (middle - from) * factor, middle + (to - middle) * factor, last);
  },
  move(part, last) {
    const [from, to] = this.range(last);
    const by = Math.max(-from, Math.min(last - to, part * (to - from)));
    this.show(from + by, to + by, last);
  },
  command(name, last) {
    ({ in: () => this.zoom(0.5, last), out: () => this.zoom(2, last), left: () => this.move(-0.25, last),
      right: () => this.move(0.25, last), all: () => this.show(0, last, last) })[name]();
  },
};
