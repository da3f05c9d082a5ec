//! The page of a run: in a browser, and under readers that mean it no good.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use harness::{Browser, PATIENCE, Place, free_port, wait_for, wait_until};
use serde_json::{Value, json};

use crate::{PROGRAM, numbers};

/// Long enough to look at, and to disturb.
const RUN: &str = "run tiny.toml --rounds 60 --json";

#[test]
fn a_run_is_watched_in_a_browser_from_start_to_end() {
    let Some(mut browser) = Browser::open() else { return };
    let place = Place::for_longer_runs(PROGRAM);
    let run = place.start(&format!("{RUN} --out a"));
    let url = page_of(&place, "a");
    browser.look(1280, 900, false);
    browser.visit(&format!("{url}#token={}", token_of(&place, "a")));

    browser.wait_until("window.watched?.store.rounds.length > 3");
    browser.click("#pause");
    browser.wait_until(
        "watched.store.status.paused && document.querySelector('#phase').textContent === 'paused'",
    );
    browser.wait_until("document.querySelector('#pause').textContent === 'Resume'");
    // What the nodes' heartbeats say of memory and links.
    browser.wait_until(
        "watched.store.status.nodes.every((node) => node.memory_bytes > 1e6 && node.round_trip_seconds > 0)",
    );
    browser.wait_until(
        "[...document.querySelectorAll('#nodes .node')].every((node) => node.querySelector('.memory').textContent.endsWith('MB') && \
         node.querySelector('.trip').textContent.endsWith('ms'))",
    );
    browser.wait_until(
        "(() => { const cells = [...document.querySelectorAll('#links td')]; \
         return cells.length === 4 && cells.every((cell) => cell.textContent.includes(' ms · ') && cell.textContent.endsWith('B')); })()",
    );
    let status = place.run("status a --json").done().json();
    assert_eq!(status["paused"], true);
    browser.click("#pause");
    browser.wait_until("!watched.store.status.paused");
    browser.wait_until("watched.store.ended");
    run.finish().done();
    browser.wait_until("document.querySelector('#phase').textContent === 'done'");
    browser.wait_until("!document.querySelector('#results').hidden");

    // The scores so far are those of all passes now.
    let pass = browser.evaluate("[watched.store.pass, watched.store.summary.test]");
    assert_eq!((&pass[0]["pass"], &pass[0]["passes"]), (&json!(1), &json!(1)), "{pass}");
    for (so_far, task) in
        pass[0]["tasks"].as_array().unwrap().iter().zip(pass[1]["tasks"].as_array().unwrap())
    {
        assert_eq!([&so_far["name"], &so_far["metric"]], [&task["name"], &task["metric"]]);
        assert_near(
            &[so_far["value"].clone(), so_far["ce"].clone()],
            &[task["value"].clone(), task["ce"].clone()],
        );
    }

    let metrics = place.run_folder("a").lines("metrics.jsonl");
    let lines = place.run_folder("a").lines("selection.jsonl");
    assert_eq!(lines.len(), 60);
    // The map has a pixel for each entry of each receiver in each round, as opaque as the entry was granted.
    let map = numbers(&browser.evaluate(
        "(() => { const { image } = watched.heat; const { data } = image.getContext('2d').getImageData(0, 0, image.width, image.height); \
         return [...data].filter((_, at) => at % 4 === 3); })()",
    ));
    assert_eq!(map.len(), 10 * 60);
    for line in &lines {
        let granted: Vec<f64> = numbers(&line["granted"]);
        let round = &line["round"];
        browser.evaluate(&format!(
            "{{ const slider = document.querySelector('#round'); slider.value = {round}; slider.dispatchEvent(new Event('input')); }}"
        ));
        browser.wait_until(&format!("document.querySelector('#grants-round').textContent === '{round}'"));
        let cells = browser.evaluate(
            "[0, 1].map((t) => [...document.querySelectorAll(`#grants td[data-receiver='${t}']`)].map((cell) => Number(cell.dataset.share)))",
        );
        assert_eq!(numbers(&cells), granted, "the table at round {round}");
        let of_links = &metrics[round.as_u64().unwrap() as usize];
        let cells = browser.evaluate(
            "[0, 1].map((t) => [...document.querySelectorAll(`#links td[data-receiver='${t}']`)].map((cell) => Number(cell.dataset.bytes)))",
        );
        assert_eq!(numbers(&cells), numbers(&of_links["link_bytes"]), "the links at round {round}");
        let all = ["feature", "gradient"].map(|kind| of_links["bytes"][kind].as_f64().unwrap());
        assert_eq!(numbers(&cells).iter().sum::<f64>(), all[0] + all[1]);
        let round = round.as_u64().expect("rounds are numbers") as usize;
        let column: Vec<f64> = (0..10).map(|row| map[60 * row + round]).collect();
        let opacities: Vec<f64> = granted.iter().map(|share| (255.0 * share).round()).collect();
        assert_eq!(column, opacities, "the map at round {round}");
    }
    let drawn = browser.evaluate("watched.charts().length");
    assert!(drawn.as_u64().unwrap() >= 8, "{drawn}");
    let shown = browser.evaluate("document.querySelector('#events').textContent");
    for word in ["all nodes are ready", "paused", "resumed", "done"] {
        assert!(shown.as_str().unwrap().contains(word), "{word}: {shown}");
    }
    assert_eq!(browser.evaluate("location.hash"), "", "the token does not stay in the address");

    for (width, height, is_dark) in [(1280, 900, false), (1280, 900, true), (390, 844, false)] {
        browser.look(width, height, is_dark);
        browser.wait_until("document.documentElement.dataset.theme");
        let fits = browser.evaluate("document.documentElement.scrollWidth <= window.innerWidth");
        assert_eq!(fits, true, "{width} pixels are enough");
    }
    assert_eq!(browser.complaints(), [""; 0]);
    let strangers: Vec<&String> =
        browser.requests().iter().filter(|asked| !asked.starts_with(&url)).collect();
    assert!(
        strangers.iter().all(|asked| asked.starts_with("data:") || *asked == "about:blank"),
        "{strangers:?}"
    );
}

#[test]
fn readers_of_any_kind_change_nothing_of_a_run() {
    let place = Place::for_longer_runs(PROGRAM);
    let alone = place.run(&format!("{RUN} --page off --out alone")).done().json();
    assert!(!place.run_folder("alone").has("page"));
    let run = place.start(&format!("{RUN} --out a"));
    let door = address_of(&page_of(&place, "a"));

    let hundred: Vec<TcpStream> = (0..100).map(|_| send(door, &get(door, "/events"))).collect();
    let _never_reads: Vec<TcpStream> = (0..20).map(|_| send(door, &get(door, "/api/run"))).collect();
    let _slow: Vec<TcpStream> = (0..50).map(|_| send(door, "GET / HTTP/1.1\r\nHost: 127")).collect();
    for garbage in ["\0\u{1}\u{2}\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET\r\n\r\n"] {
        answer(send(door, garbage));
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: {door}\r\n\r\n", "x".repeat(100_000));
    assert!(!answer(send(door, &long)).starts_with("HTTP/1.1 200"));
    let word = token_of(&place, "a");
    let authority = format!("Authorization: Bearer {word}\r\n");
    for (path, headers, status) in [
        ("/api/stop", String::new(), 401),
        ("/api/stop", "Authorization: Bearer 0123456789abcdef0123\r\n".into(), 403),
        ("/api/stop", format!("{authority}Origin: http://evil.example\r\n"), 403),
        ("/api/stop", format!("{authority}Origin: null\r\n"), 403),
        ("/api/stop", format!("{authority}Sec-Fetch-Site: cross-site\r\n"), 403),
        ("/api/nothing", authority.clone(), 404),
        ("/api/%2e%2e", authority.clone(), 404),
    ] {
        assert_eq!(status_of(&answer(send(door, &post(door, path, &headers)))), status, "{path} {headers}");
    }
    let rebound = format!("POST /api/stop HTTP/1.1\r\nHost: evil.example\r\n{authority}\r\n");
    assert_eq!(status_of(&answer(send(door, &rebound))), 421);
    let rebound = "GET /api/run HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    assert_eq!(status_of(&answer(send(door, rebound))), 421);
    assert_eq!(status_of(&answer(send(door, &get(door, "/api/stop")))), 405, "a link stops no run");

    let state = body(&answer(send(door, &get(door, "/api/run"))));
    assert_eq!(state["run"]["name"], "tiny");
    let metrics = answer(send(door, &get(door, "/metrics")));
    for line in ["# TYPE pom2dib_round gauge", "pom2dib_rounds 60", "pom2dib_bytes_total{kind=\"feature\"} "]
    {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    let wait = || answer(send(door, &get(door, "/metrics")));
    wait_until("a round", PATIENCE, || wait().contains("pom2dib_sum_rate_nats "));
    let metrics = wait();
    for name in names_in(include_str!("../../deploy/grafana/pom2dib.json")) {
        assert!(metrics.contains(&format!("# TYPE {name} ")), "{name} of the dashboard: {metrics}");
    }
    assert_eq!(run.finish().done().json()["fingerprint"], alone["fingerprint"]);

    // Each reader has heard every round that it was not told to have lost, and the end.
    for reader in hundred {
        let heard = answer(reader);
        let rounds = heard
            .lines()
            .filter(|line| line.starts_with("data: {\"round\":") && line.contains("\"metrics\""))
            .count();
        assert!(heard.contains("event: end"), "{heard}");
        assert!(rounds > 0 || heard.contains("event: resync"), "{heard}");
        let scores = "event: pass\ndata: {\"pass\":1,\"passes\":1,\"n_ce\":-";
        assert!(heard.contains(scores) || heard.contains("event: resync"), "{heard}");
    }
}

#[test]
fn a_page_that_other_machines_can_reach_is_read_with_the_token_alone() {
    let place = Place::new(PROGRAM);
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken =
        format!("coordinator tiny.toml --out b --listen 127.0.0.1:0 --page {}", busy.local_addr().unwrap());
    place.run(&taken).failed(2, &["for the page", "choose another with --page"]);
    place.run("coordinator tiny.toml --page nowhere").failed(2, &["--page", "off"]);

    let coordinator =
        place.start("coordinator tiny.toml --out a --listen 127.0.0.1:0 --page 0.0.0.0:0 --insecure");
    let shown = address_of(&page_of(&place, "a"));
    let door = SocketAddr::new("127.0.0.1".parse().unwrap(), shown.port());
    assert_eq!(status_of(&answer(send(door, &get(door, "/")))), 200, "the page itself holds nothing");
    for path in ["/api/run", "/events", "/metrics", "/api/rounds?from=0&to=1"] {
        assert_eq!(status_of(&answer(send(door, &get(door, path)))), 401, "{path}");
    }
    let word = place.run_folder("a").text("page-token");
    let authority = format!("Authorization: Bearer {}\r\n", word.trim());
    let read = format!("GET /api/run HTTP/1.1\r\nHost: alice:{}\r\n{authority}\r\n", door.port());
    assert_eq!(body(&answer(send(door, &read)))["status"]["phase"], "waiting for nodes");
    assert_eq!(status_of(&answer(send(door, &post(door, "/api/stop", &authority)))), 200);
    coordinator.finish().done();
}

/// The address of the page of the run in a folder.
fn page_of(place: &Place, folder: &str) -> String {
    let path = place.path(folder).join("page");
    wait_for("the page's address", PATIENCE, || std::fs::read_to_string(&path).ok())
}

fn token_of(place: &Place, folder: &str) -> String {
    place.run_folder(folder).text("token").trim().to_owned()
}

fn address_of(url: &str) -> SocketAddr {
    url.strip_prefix("http://").and_then(|rest| rest.strip_suffix('/')).unwrap().parse().unwrap()
}

fn get(door: SocketAddr, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {door}\r\n\r\n")
}

fn post(door: SocketAddr, path: &str, headers: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: {door}\r\nContent-Length: 0\r\n{headers}\r\n")
}

fn send(door: SocketAddr, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(door).expect("somebody listens there");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // The other end may have had enough already.
    let _ = stream.write_all(request.as_bytes());
    stream
}

/// Everything that comes until the other end closes the connection.
fn answer(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

fn status_of(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{answer:?}"))
}

fn body(answer: &str) -> Value {
    assert_eq!(status_of(answer), 200, "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body follows the headers");
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

/// The names of this program's metrics in a text.
fn names_in(text: &str) -> Vec<&str> {
    let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let words = text.split(|letter| !is_of_name(letter));
    words.filter(|word| word.starts_with("pom2dib_")).collect()
}

/// Numbers that were computed, or written, in another way.
fn assert_near(found: &[Value], expected: &[Value]) {
    assert_eq!(found.len(), expected.len(), "{found:?}, not {expected:?}");
    for (found, expected) in numbers(&found.into()).iter().zip(numbers(&expected.into())) {
        assert!((found - expected).abs() <= 1e-6 * expected.abs().max(1e-3), "{found}, not {expected}");
    }
}

#[test]
fn a_folder_of_runs_is_listed_and_every_run_has_its_page() {
    let place = Place::new(PROGRAM);
    place.run("run tiny.toml --page off --out runs/sweep/one").done();
    place.write("runs/secret", "nobody's business");
    let door: SocketAddr = format!("127.0.0.1:{}", free_port()).parse().unwrap();
    let _pages = place.start(&format!("page runs --listen {door}"));
    wait_until("the page", PATIENCE, || TcpStream::connect(door).is_ok());

    let listed = body(&answer(send(door, &get(door, "/api/runs"))));
    let [run] = listed["runs"].as_array().unwrap().as_slice() else { panic!("{listed}") };
    assert_eq!(
        (&run["path"], &run["phase"], &run["round"]),
        (&"sweep/one".into(), &"done".into(), &6.into())
    );
    assert_eq!(run["curve"].as_array().map(Vec::len), Some(6));
    let state = body(&answer(send(door, &get(door, "/run/sweep%2Fone/api/run"))));
    assert_eq!(state["rounds"].as_array().map(Vec::len), Some(6));
    assert_eq!(state["summary"], place.run_folder("runs/sweep/one").json("summary.json"));
    let lines = place.run_folder("runs/sweep/one").lines("selection.jsonl");
    for (round, line) in state["rounds"].as_array().unwrap().iter().zip(&lines) {
        assert_eq!(&round["selection"], line);
    }
    assert_eq!(status_of(&answer(send(door, &get(door, "/run/sweep%2Fone/")))), 200);
    let some = body(&answer(send(door, &get(door, "/run/sweep%2Fone/api/rounds?from=2&to=3"))));
    assert_eq!(some.as_array().map(Vec::len), Some(2));
    for path in ["/run/..%2F..%2Fetc/api/run", "/run/%2Fetc/api/run", "/run/secret/api/run", "/run/~/"] {
        assert_eq!(status_of(&answer(send(door, &get(door, path)))), 404, "{path}");
    }
    let order = post(door, "/run/sweep%2Fone/api/stop", "");
    assert_eq!(status_of(&answer(send(door, &order))), 403, "there is no token, and nothing to stop");

    place.run("page runs/sweep/one --out one.html").done();
    let page = std::fs::read_to_string(place.path("one.html")).unwrap();
    assert!(page.contains("\"selection\":{\"round\":5,"));
    let others = page.replace("http://www.w3.org/2000/svg", "");
    assert!(!others.contains("src=") && !others.contains("http://") && !others.contains("https://"));
    place.run("page nowhere").failed(2, &["nowhere is no folder"]);
    place.run("page runs --listen 0.0.0.0:0").failed(2, &["--token-file"]);
}

/// A long run of a large network.
const LONG: &str = "
name = \"long\"
[network]
transmitters = 16
receivers = 16
[train]
rounds = 20_000
[[transmitter]]
modalities = [\"fft\"]
[[receiver]]
task = \"digit\"
";

#[test]
fn ten_thousand_rounds_of_sixteen_by_sixteen_entries_are_painted_once_a_frame_and_a_few_points_a_column() {
    let Some(mut browser) = Browser::open() else { return };
    let place = Place::new(PROGRAM);
    place.write("long/scenario.toml", LONG);
    let mut logs = ["metrics.jsonl", "selection.jsonl"]
        .map(|name| std::fs::File::create(place.path("long").join(name)).expect("the folder is there"));
    let mut log = |rounds: std::ops::Range<u64>| {
        let text = rounds.map(lines_of_a_long_run).fold([String::new(), String::new()], |text, lines| {
            let [metrics, selection] = text;
            [metrics + &lines[0], selection + &lines[1]]
        });
        logs.iter_mut().zip(text).for_each(|(log, text)| log.write_all(text.as_bytes()).unwrap());
    };
    log(0..10_000);
    let door: SocketAddr = format!("127.0.0.1:{}", free_port()).parse().unwrap();
    let _pages = place.start(&format!("page long --listen {door}"));
    wait_until("the page", PATIENCE, || TcpStream::connect(door).is_ok());
    browser.look(1280, 900, false);
    browser.visit(&format!("http://{door}/"));
    browser.wait_until("window.watched?.store.last?.round === 9999");
    browser.wait_until("watched.charts().length > 8 && watched.charts().every((chart) => chart.drawn > 0)");
    // Every picture that the page paints from here on is timed.
    browser.evaluate(
        "(() => { window.took = []; const ask = window.requestAnimationFrame; \
         window.requestAnimationFrame = (paint) => ask((at) => { const began = performance.now(); paint(at); took.push(performance.now() - began); }); })()",
    );
    let counts = "watched.charts().map((chart) => chart.repaints)";
    let before = numbers(&browser.evaluate(counts));

    // New rounds, a picture each at most.
    for end in [10_001, 10_002, 10_010] {
        log(end - 1..end);
        browser.wait_until(&format!("watched.store.last.round === {}", end - 1));
    }
    browser.wait_until(&format!("watched.charts().every((chart, at) => chart.repaints > {before:?}[at])"));
    let pictures = browser.evaluate("took.length").as_f64().unwrap();
    let after = numbers(&browser.evaluate(counts));
    assert!(
        before.iter().zip(&after).all(|(one, other)| other - one <= pictures),
        "{before:?} {after:?} {pictures}"
    );

    // A pointer over a curve repaints none, however often it moves before the next picture.
    let moved = browser.evaluate(
        "(async () => { const next = () => new Promise((wake) => requestAnimationFrame(wake)); await next(); await next(); \
         const [charts, times] = [watched.charts(), []]; const before = charts.map((chart) => chart.repaints); \
         const { canvas } = charts[0]; const box = canvas.getBoundingClientRect(); \
         for (let at = 60; at < 160; at++) canvas.dispatchEvent(new PointerEvent('pointermove', { clientX: box.x + at, clientY: box.y + 50 })); \
         await next(); await next(); \
         return [charts.map((chart, at) => chart.repaints - before[at]), charts[0].legend.textContent]; })()",
    );
    assert!(numbers(&moved[0]).iter().all(|count| *count == 0.0), "{moved}");
    assert!(moved[1].as_str().unwrap().starts_with("round "), "{moved}");

    // No line has more than four points a column of pixels, as it is and smoothed.
    let drawn = browser.evaluate(
        "watched.charts().map((chart) => [chart.drawn, chart.shown.length * 2 * 4 * (chart.canvas.clientWidth + 2), \
         chart.shown.reduce((sum, line) => sum + 2 * line.points.length, 0)])",
    );
    for chart in drawn.as_array().unwrap() {
        let [drawn, most, all] = numbers(chart)[..] else { panic!("{chart}") };
        assert!(drawn > 0.0 && drawn <= most && drawn <= all, "{drawn} points of {all}, at most {most}");
    }
    // A change of the view repaints every curve, once.
    let zoomed = browser.evaluate(
        "(async () => { const next = () => new Promise((wake) => requestAnimationFrame(wake)); const charts = watched.charts(); \
         const before = charts.map((chart) => chart.repaints); const version = watched.store.version; \
         for (let times = 0; times < 5; times++) watched.view.command('in', 9999); await next(); await next(); \
         return [watched.store.version - version, charts.map((chart, at) => chart.repaints - before[at])]; })()",
    );
    assert!(zoomed[0] != 0 || numbers(&zoomed[1]).iter().all(|count| *count == 1.0), "{zoomed}");
    browser.evaluate("document.querySelector('#heat').scrollIntoView()");
    browser.evaluate("watched.view.command('all', 9999)");
    let figures = browser.evaluate(
        "(async () => { for (let times = 0; times < 20; times++) { watched.store.version += 1; document.dispatchEvent(new Event('dressed')); \
         await new Promise((wake) => requestAnimationFrame(() => requestAnimationFrame(wake))); } \
         const sorted = took.filter((time) => time > 1).sort((one, other) => one - other); \
         return [sorted.length, sorted[sorted.length >> 1], sorted.at(-1), document.querySelectorAll('*').length, \
         watched.charts().reduce((sum, chart) => sum + chart.drawn, 0), \
         watched.charts().reduce((sum, chart) => sum + chart.shown.reduce((all, line) => all + 2 * line.points.length, 0), 0)]; })()",
    );
    let [repaints, median, longest, elements, drawn, all] = numbers(&figures)[..] else {
        panic!("{figures}")
    };
    let heap = browser.heap_bytes() / 1e6;
    println!(
        "a repaint of {repaints} in ms: median {median:.1}, longest {longest:.1}; {drawn} points of {all}; heap {heap:.0} MB, \
         {elements} elements"
    );
    // What a picture takes follows from these, however busy the machine is.
    assert!(heap < 200.0, "{heap} MB");
    assert!(elements < 5000.0, "{elements} elements");
    assert!(drawn > 0.0 && drawn < 100_000.0, "{drawn} points");
    assert_eq!(browser.complaints(), [""; 0]);
}

/// Lines of metrics.jsonl and selection.jsonl as those of a run: curves that fall and never rest.
fn lines_of_a_long_run(round: u64) -> [String; 2] {
    let noise = |of: u64| (((round * 7919 + of * 104_729) % 1009) as f64) / 1009.0;
    let fall = 2.0 * (-(round as f64) / 3000.0).exp();
    let of_all = |from: u64| -> Vec<f64> { (from..from + 16).map(|t| fall + 0.3 * noise(t)).collect() };
    let metrics = json!({
        "round": round, "sum_rate": 90.0 * fall + noise(1), "n_ce": -fall - 0.2 * noise(2), "loss": 9.0 * fall + noise(3),
        "logl": -30.0 * noise(4), "ce": of_all(10), "rate": of_all(40), "seconds": 0.1 + 0.05 * noise(5),
        "bytes": { "feature": 100_000, "gradient": 90_000, "total": 210_000 },
        "work": { "select": 0.1, "encode": 0.2 + noise(6), "decode": 0.3, "backward": 0.2, "optimize": 0.1, "rate": 0.1, "pack": 0.01, "read": 0.01 },
    });
    let granted: Vec<Vec<f64>> = (0..16)
        .map(|t| {
            (0..16)
                .map(|k| (20.0 * noise(100 + 16 * t + k) / (1.0 + ((t + k) % 4) as f64)).floor() / 20.0)
                .collect()
        })
        .collect();
    let half = vec![0.5; 16];
    let selection = json!({ "round": round, "granted": granted, "encoded": half, "asked": half });
    [metrics, selection].map(|line| format!("{line}\n"))
}

#[test]
fn the_list_of_runs_is_sorted_filtered_and_draws_the_curves_of_those_that_are_ticked() {
    let Some(mut browser) = Browser::open() else { return };
    let place = Place::new(PROGRAM);
    for (name, seed) in [("one", 3), ("other", 1), ("third", 2)] {
        place.run(&format!("run tiny.toml --in-process --page off --seed {seed} --out runs/{name}")).done();
    }
    let door: SocketAddr = format!("127.0.0.1:{}", free_port()).parse().unwrap();
    let _pages = place.start(&format!("page runs --listen {door}"));
    wait_until("the page", PATIENCE, || TcpStream::connect(door).is_ok());
    let url = format!("http://{door}/");
    browser.look(1280, 900, false);
    browser.visit(&url);
    let rows = "[...document.querySelectorAll('#table tbody tr')]";
    let are_seeds = |seeds: &str| {
        format!("JSON.stringify({rows}.map((row) => row.children[3].textContent)) === '{seeds}'")
    };

    browser.wait_until(&are_seeds("[\"3\",\"1\",\"2\"]"));
    for (seeds, order) in [("[\"1\",\"2\",\"3\"]", "ascending"), ("[\"3\",\"2\",\"1\"]", "descending")] {
        browser.click("#table thead th:nth-child(4) button");
        browser.wait_until(&are_seeds(seeds));
        let said = browser.evaluate("document.querySelector('#table thead th:nth-child(4)').ariaSort");
        assert_eq!(said, order);
    }
    browser.evaluate("{ const filter = document.querySelector('#filter'); filter.value = 'seed 2'; filter.dispatchEvent(new Event('input')); }");
    browser.wait_until(&are_seeds("[\"2\"]"));
    // All are ticked at first; the third is not any more.
    browser.wait_until("listed.charts[0].shown.length === 3");
    browser.evaluate("{ window.box = document.querySelector('#table tbody tr input'); }");
    browser.click("#table tbody tr input");
    browser.wait_until("listed.charts.every((chart) => chart.shown.length === 2 && chart.drawn > 0)");
    // Its row's words change, and its box stays: another one would miss a click that had begun, and lose the focus.
    browser.evaluate("{ listed.list.runs.find((run) => run.path === 'third').phase = 'elsewhere'; document.querySelector('#filter').dispatchEvent(new Event('input')); }");
    browser.wait_until(&format!("{rows}[0].textContent.includes('elsewhere')"));
    assert_eq!(
        browser.evaluate(
            "box === document.querySelector('#table tbody tr input') && document.activeElement === box"
        ),
        true
    );
    browser.evaluate("{ const filter = document.querySelector('#filter'); filter.value = ''; filter.dispatchEvent(new Event('input')); }");
    browser.wait_until(&are_seeds("[\"3\",\"2\",\"1\"]"));

    for (chart, key) in ["n_ce", "sum_rate", "loss"].into_iter().enumerate() {
        let lines = browser.evaluate(&format!(
            "listed.charts[{chart}].shown.map(({{ name, colour, points }}) => [name, colour, points])"
        ));
        let [one, other] = lines.as_array().unwrap().as_slice() else { panic!("{lines}") };
        assert_ne!(one[1], other[1], "they have colours of their own");
        for (line, name) in [(one, "one"), (other, "other")] {
            assert_eq!(line[0], name);
            let logged = place.run_folder(&format!("runs/{name}")).lines("metrics.jsonl");
            let logged: Vec<Value> = logged.iter().map(|line| json!([line["round"], line[key]])).collect();
            assert_near(line[2].as_array().unwrap(), &logged);
        }
    }
    let link = browser.evaluate("document.querySelector('#table tbody tr a').href");
    browser.visit(link.as_str().unwrap());
    browser.wait_until("window.watched?.store.rounds.length === 6 && watched.store.run.seed === 3");
    check_silence(&mut browser, &url);
}

#[test]
fn a_page_in_a_file_is_drawn_and_asks_nobody() {
    let Some(mut browser) = Browser::open() else { return };
    let place = Place::new(PROGRAM);
    place.run("run tiny.toml --in-process --page off --out a").done();
    place.run("page a --out one.html").done();
    let url = format!("file://{}", place.path("one.html").display());
    browser.look(390, 844, true);
    browser.visit(&url);
    browser.wait_until(
        "window.watched?.charts().length > 4 && watched.charts().every((chart) => chart.drawn > 0)",
    );
    browser.wait_until("document.querySelector('#phase').textContent === 'done' && !document.querySelector('#results').hidden");
    let lines = place.run_folder("a").lines("selection.jsonl");
    browser.evaluate("{ const slider = document.querySelector('#round'); slider.value = 2; slider.dispatchEvent(new Event('input')); }");
    browser.wait_until("document.querySelector('#grants-round').textContent === '2'");
    let cells = browser.evaluate("[0, 1].map((t) => [...document.querySelectorAll(`#grants td[data-receiver='${t}']`)].map((cell) => Number(cell.dataset.share)))");
    assert_eq!(numbers(&cells), numbers(&lines[2]["granted"]));
    let command = browser.evaluate("document.querySelector('#tick-command').textContent");
    assert_eq!(command, "pom2dib replay a --tick 6");
    assert_eq!(browser.evaluate("document.querySelector('#commands').hidden"), true, "nothing listens");
    check_silence(&mut browser, &url);
}

#[test]
fn a_tick_on_the_page_is_the_one_that_replay_shows() {
    let place = Place::new(PROGRAM);
    let run = "run tiny.toml --in-process --page off --set checkpoint.every=2";
    place.run(&format!("{run} --set record.draws=true --out runs/recorded")).done();
    place.run(&format!("{run} --out runs/plain")).done();
    let replayed = place.run("replay runs/recorded --tick 13 --json").done().json();
    let word = "correct-horse-battery";
    place.write_secret("word", word);
    let door: SocketAddr = format!("127.0.0.1:{}", free_port()).parse().unwrap();
    let _pages = place.start(&format!("page runs --listen {door} --token-file word"));
    wait_until("the page", PATIENCE, || TcpStream::connect(door).is_ok());

    // What follows from the seed, for everybody who reads.
    let tick = body(&answer(send(door, &get(door, "/run/plain/api/tick?tick=13"))));
    assert_near(tick["u"].as_array().unwrap(), replayed["u"].as_array().unwrap());
    assert_eq!((&tick["samples"], &tick["can_replay"]), (&replayed["samples"], &json!(true)));
    assert_eq!(status_of(&answer(send(door, &get(door, "/run/plain/api/tick?tick=18")))), 404);
    assert_eq!(status_of(&answer(send(door, &get(door, "/run/plain/api/tick")))), 400);
    // The rest is computed for whoever may give orders, and by no other site.
    let path = "/run/plain/api/replay?tick=13";
    let authority = format!("Authorization: Bearer {word}\r\n");
    for (headers, status) in [
        (String::new(), 401),
        (format!("{authority}Origin: http://evil.example\r\n"), 403),
        (format!("{authority}Sec-Fetch-Site: cross-site\r\n"), 403),
    ] {
        assert_eq!(status_of(&answer(send(door, &post(door, path, &headers)))), status, "{headers}");
    }
    assert_eq!(status_of(&answer(send(door, &get(door, path)))), 405);
    let last = format!("{authority}Connection: close\r\n");
    let told = answer(send(door, &post(door, "/run/plain/api/replay?tick=18", &last)));
    assert!(told.contains("event: failed") && told.contains("--tick 18"), "{told}");

    let Some(mut browser) = Browser::open() else { return };
    browser.look(1280, 900, false);
    let url = format!("http://{door}/");
    for (name, is_recorded) in [("recorded", true), ("plain", false)] {
        browser.visit(&format!("{url}run/{name}/#token={word}"));
        browser.wait_until(&format!(
            "window.watched?.store.run.folder === 'runs/{name}' && watched.store.rounds.length === 6"
        ));
        browser.wait_until(
            "document.querySelector('#round').max === '5' && document.querySelector('#tick').max === '2'",
        );
        browser.evaluate("{ const slider = document.querySelector('#round'); slider.value = 4; slider.dispatchEvent(new Event('input')); }");
        browser.evaluate("{ const slider = document.querySelector('#tick'); slider.value = 1; slider.dispatchEvent(new Event('input')); }");
        browser.wait_until("document.querySelector('#tick-number').textContent === '13' && document.querySelector('#tick-draws rect')");
        let command = browser.evaluate("document.querySelector('#tick-command').textContent");
        assert_eq!(command, format!("pom2dib replay runs/{name} --tick 13"));
        if !is_recorded {
            assert_eq!(browser.evaluate("document.querySelectorAll('[data-choice]').length"), 0);
            browser.wait_until("document.querySelector('#replay')");
            browser.click("#replay");
        }
        browser.wait_until("document.querySelector('#tick-draws [data-request]')");
        let u = browser.evaluate(
            "[...document.querySelectorAll('#tick-draws rect')].map((bar) => Number(bar.dataset.value))",
        );
        assert_near(u.as_array().unwrap(), replayed["u"].as_array().unwrap());
        let told = |what: &str| {
            format!(
                "[...document.querySelectorAll('#tick-draws [data-samples={what}]')].map((code) => code.textContent)[0]"
            )
        };
        assert_eq!(browser.evaluate(&told("tick")), replayed["samples"]["sha256"]);
        assert_eq!(browser.evaluate(&told("round")), replayed["round_samples_sha256"]);
        let requests = browser.evaluate("[...document.querySelectorAll('[data-request]')].map((chip) => chip.dataset.request.split(' ').map(Number))");
        let expected: Vec<Value> = replayed["requests"]
            .as_array()
            .unwrap()
            .iter()
            .enumerate()
            .flat_map(|(t, own)| own.as_array().unwrap().iter().map(move |k| json!([t, k])))
            .collect();
        assert_eq!(requests, json!(expected), "requests of {name}");
        let choices = browser.evaluate("[...document.querySelectorAll('[data-choice]')].map((chip) => [...chip.dataset.choice.split(' ').map(Number), chip.dataset.granted])");
        let grants = &replayed["grants"];
        let expected: Vec<Value> = replayed["choices"]
            .as_array()
            .unwrap()
            .iter()
            .enumerate()
            .flat_map(|(k, own)| {
                own.as_array().unwrap().iter().map(move |pair| {
                    let is_granted = grants[k].as_array().unwrap().contains(pair);
                    json!([k, pair[0], pair[1], if is_granted { "yes" } else { "no" }])
                })
            })
            .collect();
        assert_eq!(choices, json!(expected), "choices of {name}");
    }
    check_silence(&mut browser, &url);
}

/// Nothing was complained of, and nobody else was asked.
fn check_silence(browser: &mut Browser, url: &str) {
    assert_eq!(browser.complaints(), [""; 0]);
    let is_stranger =
        |asked: &&String| !asked.starts_with(url) && !asked.starts_with("data:") && *asked != "about:blank";
    let strangers: Vec<&String> = browser.requests().iter().filter(is_stranger).collect();
    assert!(strangers.is_empty(), "{strangers:?}");
}
