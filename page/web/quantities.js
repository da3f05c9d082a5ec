// What is drawn over the rounds of a run: on its page, and in reports.

const WORK = ["wait", "read", "select", "encode", "rate", "decode", "backward", "optimize", "pack"];
const workColour = (kind) => (kind === "wait" ? "transparent" : colour(WORK.indexOf(kind) - 1));

const PER_BIT = 1 / Math.LN2;

/**
 * The quantities that a run has something for. Each has lines of a name, a look, and a value `of` a round; `isWhole` says that its lines
 * are of the whole network, so that those of several runs can be compared.
 */
function quantities(store) {
  const { run, rounds } = store;
  const has = (of) => rounds.some((round) => of(round) != null);
  const one = (n, of) => [["", look(n), of]];
  const times = (factor, value) => (value == null ? null : factor * value);
  const receivers = (of) => run.receivers.map((receiver, t) => [receiver.task, look(t), (round) => of(round)?.[t]]);
  const isValidated = has((round) => round.validation);
  const validated = ["validation", look(1), (round) => round.validation?.n_ce];
  const found = [
    { title: "N-CE", unit: "nats", isWhole: true, lines: [["", look(0), (round) => round.n_ce], ...(isValidated ? [validated] : [])] },
    { title: "Sum-rate", unit: "nats", isWhole: true, lines: one(2, (round) => round.sum_rate) },
    { title: "Loss", unit: "sum of the objectives", isWhole: true, lines: one(4, (round) => round.loss) },
    { title: "Cross entropy by task", unit: "nats; of values, mean squared error", lines: receivers((round) => round.ce) },
    { title: "Rate by receiver", unit: "nats", lines: receivers((round) => round.rate) },
    { title: "Seconds of a round", unit: "s", isWhole: true, lines: one(5, (round) => round.seconds) },
    { title: "Bytes of a round", unit: "kB", isWhole: true,
      lines: ["total", "feature", "gradient"].map((kind, n) => [kind, look(n), (round) => times(1e-3, round.bytes?.[kind])]) },
    { title: "Work of all nodes", unit: "s a round",
      lines: WORK.slice(1).filter((kind) => store.last?.work?.[kind] > 0).map((kind) => [kind, { colour: workColour(kind), dash: [] }, (round) => round.work?.[kind]]) },
    { title: "Log-likelihood (21)", unit: "nats", isWhole: true, lines: one(6, (round) => round.logl) },
  ];
  if (isValidated) {
    found.push({ title: "Gap", unit: "nats, validation below training", isWhole: true, lines: one(3, (round) => round.validation?.gap) });
    found.push({ title: "Validation score by task", unit: "fraction right; of values, mean squared error", lines: receivers((round) => round.validation?.scores) });
  }
  const rates = rounds.find((round) => round.rates)?.rates;
  if (rates) {
    const kinds = Object.keys(rates).filter((kind) => Number.isFinite(rates[kind]));
    found.push({ title: "Rates of a sample", unit: "by name", lines: kinds.map((kind, n) => [kind.replaceAll("_", " "), look(n), (round) => round.rates?.[kind]]) });
  }
  if (has((round) => round.rates?.coded_bits)) {
    found.push({ title: "Bits of a sample", unit: "bits", lines: [
      ["coded", look(0), (round) => round.rates?.coded_bits],
      ["against the prior", look(1), (round) => times(PER_BIT, round.rates?.prior_nats)],
      ["messages", look(2), (round) => times(8, round.rates?.message_bytes)],
    ] });
  }
  if (has((round) => round.link_snr_db)) found.push({ title: "SNR by link", unit: "dB", lines: snrLines(store) });
  return found;
}

/** A line with its points: the middle of the rounds that a point stands for, the value, and the range of merged rounds. */
function traced(store, [name, look, of]) {
  const points = [];
  for (const round of store.rounds) {
    const value = of(round);
    if (value == null) continue;
    const at = (round.first + round.round) / 2;
    points.push(round.low ? [at, value, of(round.low), of(round.high)] : [at, value]);
  }
  // Dots show which rounds have a value where few of them do.
  return { name, ...look, points, hasDots: points.length < store.rounds.length / 2 };
}
