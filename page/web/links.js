// Links between transmitters and receivers: round trips as the nodes' heartbeats have them, bytes, coded bits and SNR of a round.

/** A table of all links: a row for every transmitter, a column for every receiver. Hidden where nothing is known of any. */
function paintLinks(store, round) {
  const { run, status } = store;
  const receiver = (t) => status.nodes?.find((node) => node.node === `receiver ${t}`);
  const trip = (t, k) => receiver(t)?.transmitter_round_trip_seconds?.[k];
  const of = (t, k) => ["link_bytes", "link_coded_bits", "link_snr_db"].map((name) => round?.[name]?.[t]?.[k]);
  const all = run.receivers.flatMap((_, t) => run.transmitters.flatMap((_, k) => [trip(t, k), ...of(t, k)]));
  const section = byId("links").parentElement;
  section.hidden = all.every((value) => value == null);
  if (section.hidden) return;
  const head = make("tr", {}, make("th"), ...run.receivers.map((one, t) => make("th", { scope: "col" }, `rx ${t} · ${one.task}`)));
  const rows = run.transmitters.map((_, k) => make("tr", {}, make("th", { scope: "row" }, `tx ${k}`), ...run.receivers.map((_, t) => {
    const [seconds, [size, bits, db]] = [trip(t, k), of(t, k)];
    const words = [[seconds, milliseconds], [size, bytes], [bits, (bits) => `${number(bits)} bits`], [db, (db) => `${db.toFixed(1)} dB`]]
      .flatMap(([value, say]) => (value == null ? [] : [say(value)]));
    return make("td", { "data-receiver": t, "data-transmitter": k, "data-bytes": size }, words.join(" · ") || "·");
  })));
  byId("links").replaceChildren(make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)));
}

/** Most links with a curve each. */
const MOST_LINKS = 12;

/** Lines of the SNR: one for every link, or where those are too many the mean over a receiver's. */
function snrLines(store) {
  const { transmitters, receivers } = store.run;
  if (transmitters.length * receivers.length <= MOST_LINKS) {
    return receivers.flatMap((_, t) => transmitters.map((_, k) => [`tx ${k} to rx ${t}`, look(t * transmitters.length + k), (round) => round.link_snr_db?.[t]?.[k]]));
  }
  const mean = (links) => {
    const known = (links ?? []).filter((db) => db != null);
    return known.length ? known.reduce((sum, db) => sum + db, 0) / known.length : null;
  };
  return receivers.map((_, t) => [`to rx ${t}`, look(t), (round) => mean(round.link_snr_db?.[t])]);
}
