// Where the state comes from: a server that tells what happens, or the page itself where it is a file.

const FILE_STATE = JSON.parse(byId("state").textContent);

// The token comes in the part of the address that browsers send nowhere, and is kept for this tab alone.
const credentials = {
  token: null,
  find() {
    const given = new URLSearchParams(location.hash.slice(1)).get("token");
    try {
      const kept = (path) => sessionStorage.getItem(`pom2dib-token ${path}`);
      if (given) sessionStorage.setItem(`pom2dib-token ${location.pathname}`, given);
      // The list of runs hands its own on to their pages.
      this.token = given ?? kept(location.pathname) ?? kept("/");
    } catch {
      this.token = given;
    }
    if (given) history.replaceState(null, "", location.pathname + location.search);
  },
  keep(token) {
    this.token = token;
    try { sessionStorage.setItem(`pom2dib-token ${location.pathname}`, token); } catch { /* Until the tab is closed. */ }
  },
  headers() { return this.token ? { Authorization: `Bearer ${this.token}` } : {}; },
};

async function ask(path, options = {}) {
  const response = await fetch(path, { ...options, headers: credentials.headers(), cache: "no-store" });
  if (!response.ok) throw Object.assign(new Error((await response.text()).trim() || response.statusText), { status: response.status });
  return response;
}

/** Follows a run until it ends: calls `take` with whole states and `heard` with every event. Comes back after losses. */
async function follow(take, heard, connected) {
  if (FILE_STATE) return take(FILE_STATE);
  for (let pause = 500; ; pause = Math.min(2 * pause, 10000)) {
    try {
      // The stream begins first, so that no round falls between it and the state.
      const stream = await ask("events");
      take(await (await ask("api/run")).json());
      connected(true);
      pause = 500;
      if (await read(stream, take, heard)) return connected(false, "the run has ended");
      connected(false, "connection lost");
    } catch (error) {
      connected(false, error.status ? error.message : "no connection", error.status);
      if (error.status === 401 || error.status === 403) return;
    }
    await new Promise((wake) => setTimeout(wake, pause));
  }
}

/** Reads events from a response. Returns whether the run has ended. */
async function read(response, take, heard) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return false;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      let [name, data] = ["round", ""];
      for (const line of part.split("\n")) {
        if (line.startsWith("event: ")) name = line.slice(7);
        else if (line.startsWith("data: ")) data += line.slice(6);
      }
      if (!data) continue;
      if (name === "end") return true;
      if (name === "resync") take(await (await ask("api/run")).json());
      else heard(name, JSON.parse(data));
    }
  }
}
