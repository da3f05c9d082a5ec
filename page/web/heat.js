// The grants over the rounds: a row for every entry of every receiver, a column for every round, as far as there is room.

class Heat {
  constructor(canvas, store, choose) {
    Object.assign(this, { canvas, store, choose, image: document.createElement("canvas"), columns: [] });
    const at = (event) => {
      const { box } = this;
      if (!box || event.offsetX < box.left || !this.columns.length) return null;
      const column = Math.floor(((event.offsetX - box.left) / (box.right - box.left)) * this.columns.length);
      return this.columns[Math.max(0, Math.min(this.columns.length - 1, column))];
    };
    const pick = (event) => { const found = at(event); if (found) choose(found.last); };
    canvas.addEventListener("pointerdown", (event) => { if (event.button === 0) { canvas.setPointerCapture(event.pointerId); this.isHeld = true; pick(event); } });
    canvas.addEventListener("pointermove", (event) => { this.hint(event, at(event)); if (this.isHeld) pick(event); });
    canvas.addEventListener("pointerup", () => { this.isHeld = false; });
    canvas.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[event.key];
      if (!by) return;
      event.preventDefault();
      choose(Math.max(0, (this.chosen ?? Infinity) + by));
    });
  }

  /** The rows of the map: receiver t, entry e, and where they are drawn. */
  layout() {
    const { run, names } = this.store;
    const entries = names.length;
    const size = Math.max(2, Math.min(18, Math.floor(520 / Math.max(1, entries * run.receivers.length))));
    const rows = [];
    let top = 0;
    run.receivers.forEach((receiver, t) => {
      top += size >= 9 ? 22 : 16;
      names.forEach((_, e) => { rows.push({ t, e, top }); top += size; });
      top += 4;
    });
    return { rows, size, height: top + 18 };
  }

  paint(chosen) {
    this.chosen = chosen;
    const { store, canvas } = this;
    const rounds = store.rounds.filter((round) => round.granted);
    const { rows, size, height } = this.layout();
    if (canvas.style.height !== `${height}px`) canvas.style.height = `${height}px`;
    const [context, width] = fitted(canvas);
    const isNarrow = width < 520;
    const box = { left: isNarrow ? 76 : 116, right: width - 2, top: 0, bottom: height - 18 };
    this.box = box;
    this.cut(rounds, Math.max(1, Math.floor(box.right - box.left)));
    this.render(rows.length);

    context.font = "12px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.imageSmoothingEnabled = false;
    const { names, run } = store;
    rows.forEach(({ t, e, top }, row) => {
      if (e === 0) {
        context.fillStyle = style("--ink");
        context.font = "600 12px system-ui, sans-serif";
        context.textAlign = "left";
        context.fillText(`receiver ${t} · ${run.receivers[t].task}`, 0, top - (size >= 9 ? 11 : 8));
        context.font = "12px system-ui, sans-serif";
        context.fillStyle = style("--soft");
        context.fillRect(box.left, top, box.right - box.left, size * names.length);
      }
      if (size >= 9) {
        context.fillStyle = style("--dim");
        context.textAlign = "right";
        context.fillText(names[e].name, box.left - 6, top + size / 2, box.left - 6);
      }
      if (this.columns.length) context.drawImage(this.image, 0, row, this.columns.length, 1, box.left, top, box.right - box.left, size - (size > 4 ? 1 : 0));
    });
    this.axis(context, box);
  }

  axis(context, box) {
    const { columns } = this;
    if (!columns.length) return;
    const last = columns[columns.length - 1].last;
    const wide = (box.right - box.left) / columns.length;
    const place = (round) => box.left + (columns.findIndex((column) => column.last >= round) + 0.5) * wide;
    context.fillStyle = style("--dim");
    context.textAlign = "center";
    context.textBaseline = "top";
    for (const tick of ticks(0, Math.max(1, last), Math.max(2, (box.right - box.left) / 110))) {
      if (Number.isInteger(tick) && tick <= last) context.fillText(String(tick), Math.min(place(tick), box.right - 12), box.bottom + 4);
    }
    if (this.chosen !== null && this.chosen <= last) {
      context.strokeStyle = style("--warn");
      context.lineWidth = 2;
      const at = Math.max(box.left + 1, Math.min(box.right - 1, place(this.chosen)));
      context.beginPath();
      context.moveTo(at, 0);
      context.lineTo(at, box.bottom);
      context.stroke();
    }
  }

  /** Puts rounds together, as many as needed, so that there are at most `most` columns. */
  cut(rounds, most) {
    const each = Math.ceil(rounds.length / most) || 1;
    const key = `${rounds.length} ${each} ${rounds[rounds.length - 1]?.round} ${style("--heat")}`;
    if (key === this.key) return;
    this.key = key;
    this.isStale = true;
    this.columns = [];
    for (let first = 0; first < rounds.length; first += each) {
      const own = rounds.slice(first, first + each);
      const mean = own.length === 1 ? own[0].granted : new Float64Array(own[0].granted.length);
      if (own.length > 1) {
        for (const { granted } of own) for (let at = 0; at < mean.length; at++) mean[at] += granted[at] / own.length;
      }
      this.columns.push({ first: own[0].first, last: own[own.length - 1].round, mean });
    }
  }

  /** One pixel for every cell: the colour of heat, as opaque as the entry was granted. */
  render(rows) {
    if (!this.isStale || !this.columns.length) return;
    this.isStale = false;
    const { image, columns } = this;
    [image.width, image.height] = [columns.length, rows];
    const context = image.getContext("2d");
    const pixels = context.createImageData(columns.length, rows);
    const heat = parseInt(style("--heat").slice(1), 16);
    const [red, green, blue] = [heat >> 16, (heat >> 8) & 255, heat & 255];
    const { data } = pixels;
    columns.forEach(({ mean }, column) => {
      for (let row = 0; row < rows; row++) {
        const at = 4 * (row * columns.length + column);
        data[at] = red;
        data[at + 1] = green;
        data[at + 2] = blue;
        data[at + 3] = Math.round(255 * mean[row]);
      }
    });
    context.putImageData(pixels, 0, 0);
  }

  /** A title with the value under the pointer. */
  hint(event, column) {
    const { rows, size } = this.layout();
    const row = rows.findIndex(({ top }) => event.offsetY >= top && event.offsetY < top + size);
    if (!column || row < 0) { this.canvas.title = ""; return; }
    const { t, e } = rows[row];
    const entry = this.store.names[e];
    const when = column.first === column.last ? `round ${column.last}` : `rounds ${column.first} to ${column.last}`;
    this.canvas.title = `${when}: transmitter ${entry.k} · ${entry.modality} to receiver ${t}: ${percent(column.mean[row])} % of ticks`;
  }
}
