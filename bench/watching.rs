//! What it costs a run to be watched: processor seconds of all its processes with the page, a reader of its events,
//! Prometheus and traces, and without any of them, in turns; and its wall time with 100 readers that read and one that
//! never does. A measurement, not a test: it asserts nothing about time.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use clap::Parser;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
    trace_service_server::{TraceService, TraceServiceServer},
};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

const PROGRAM: &str = env!("CARGO_BIN_EXE_pom2dib");

/// Networks so small that a round computes little: what watching costs does not depend on them, and shows better.
const SMALL: [&str; 4] = [
    "network.encoder.hidden=[32,16]",
    "network.joint.hidden=[32,16]",
    "network.local.hidden=[32,16]",
    "network.selector.hidden=[32,16]",
];

/// The unit of times in /proc: a hundredth of a second on every Linux (USER_HZ).
const CLOCK_TICK: f64 = 0.01;

/// Interval between two requests of Prometheus, shorter than usual.
const SCRAPE: Duration = Duration::from_secs(1);

/// Readers of a crowd.
const CROWD: usize = 100;

/// Measure what it costs a run of digits to be watched.
#[derive(Parser)]
#[command(name = "cargo bench --bench watching --")]
struct Arguments {
    /// Rounds of a run with small networks; what watching adds to one is measured there
    #[arg(long, default_value_t = 400, value_name = "N")]
    rounds: u64,

    /// How often each is measured; they take turns
    #[arg(long, default_value_t = 4, value_name = "N")]
    turns: usize,

    /// Rounds of the longer of two runs with the usual networks, from whose difference the cost of a round follows
    #[arg(long, default_value_t = 60, value_name = "N")]
    usual: u64,

    /// What cargo bench says
    #[arg(long, hide = true)]
    bench: bool,
}

/// What a run took, in seconds: of all its processors, and of the clock.
#[derive(Clone, Copy)]
struct Spent {
    processor: f64,
    wall: f64,
}

/// Counts spans, and keeps none.
#[derive(Clone, Default)]
struct Counter(Arc<AtomicU64>);

#[tonic::async_trait]
impl TraceService for Counter {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let scopes =
            request.into_inner().resource_spans.into_iter().flat_map(|of_process| of_process.scope_spans);
        self.0.fetch_add(scopes.map(|scope| scope.spans.len() as u64).sum(), Ordering::Relaxed);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn main() -> ExitCode {
    match measure(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let runtime = Runtime::new()?;
    let spans = Counter::default();
    let collector = collect(&runtime, &spans)?;
    let place = tempfile::tempdir()?;
    let small: Vec<String> = SMALL
        .iter()
        .chain(&["train.ticks_per_round=5", "checkpoint.every=0", "evaluation.passes=1"])
        .map(|set| format!("--set={set}"))
        .collect();

    let (mut alone, mut watched, mut crowded) = (Vec::new(), Vec::new(), Vec::new());
    let (mut alone_rounds, mut crowded_rounds) = (Vec::new(), Vec::new());
    let (mut events, mut heard) = (0, 0);
    for turn in 0..arguments.turns {
        let out = place.path().join(format!("alone-{turn}"));
        alone.push(finish(start(&small, arguments.rounds, &out, &["--page", "off"])?)?);
        alone_rounds.push(round_of(&out)?);
        let out = place.path().join(format!("watched-{turn}"));
        let run = start(&small, arguments.rounds, &out, &["--page", "127.0.0.1:0", "--otlp", &collector])?;
        let door = page_of(&out)?;
        let reader = std::thread::spawn(move || read_events(door));
        std::thread::spawn(move || scrape(door));
        watched.push(finish(run)?);
        events += reader.join().expect("it does not panic")?;
        let out = place.path().join(format!("crowded-{turn}"));
        let run = start(&small, arguments.rounds, &out, &["--page", "127.0.0.1:0"])?;
        let door = page_of(&out)?;
        let readers: Vec<_> = (0..CROWD).map(|_| std::thread::spawn(move || read_events(door))).collect();
        // It asks for everything, and never reads.
        let slow = ["/events", "/api/run"].map(|path| ask(door, path));
        crowded.push(finish(run)?);
        crowded_rounds.push(round_of(&out)?);
        drop(slow);
        for reader in readers {
            heard += reader.join().expect("it does not panic")?;
        }
    }
    let expected = arguments.rounds * arguments.turns as u64;
    let spans = spans.0.load(Ordering::Relaxed);
    ensure!(
        events > 0 && spans >= expected,
        "{events} rounds were read and {spans} spans collected, of {expected} rounds"
    );

    let usual = |rounds: u64| {
        finish(start(&[], rounds, &place.path().join(format!("usual-{rounds}")), &["--page", "off"])?)
    };
    let (short, long) = (usual(arguments.usual / 3)?, usual(arguments.usual)?);
    let round = (long.processor - short.processor) / (arguments.usual - arguments.usual / 3) as f64;

    let of = |all: &[Spent], of: fn(&Spent) -> f64| all.iter().map(of).sum::<f64>() / expected as f64;
    let added: Vec<f64> = (alone.iter().zip(&watched))
        .map(|(alone, watched)| (watched.processor - alone.processor) / arguments.rounds as f64)
        .collect();
    let mean = added.iter().sum::<f64>() / added.len() as f64;
    let squares = added.iter().map(|added| (added - mean).powi(2)).sum::<f64>();
    let error = (squares / (added.len() * added.len().saturating_sub(1).max(1)) as f64).sqrt();
    let found = json!({
        "rounds": arguments.rounds, "turns": arguments.turns,
        "events_read": events, "spans": spans, "events_read_by_the_crowd": heard,
        "alone_processor_ms_a_round": 1e3 * of(&alone, |spent| spent.processor),
        "watched_processor_ms_a_round": 1e3 * of(&watched, |spent| spent.processor),
        "alone_wall_ms_a_round": 1e3 * of(&alone, |spent| spent.wall),
        "watched_wall_ms_a_round": 1e3 * of(&watched, |spent| spent.wall),
        "crowded_wall_ms_a_round": 1e3 * of(&crowded, |spent| spent.wall),
        "crowded_processor_ms_a_round": 1e3 * of(&crowded, |spent| spent.processor),
        "alone_ms_of_a_round_by_turn": alone_rounds,
        "crowded_ms_of_a_round_by_turn": crowded_rounds,
        "added_processor_ms_a_round": 1e3 * mean,
        "its_standard_error_ms": 1e3 * error,
        "added_by_turn_ms": added.iter().map(|added| 1e3 * added).collect::<Vec<_>>(),
        "usual_processor_ms_a_round": 1e3 * round,
        "share_of_a_usual_round": mean / round,
    });
    println!("{found:#}");
    Ok(())
}

/// Starts a run of digits.
fn start(
    sets: &[String],
    rounds: u64,
    out: &Path,
    watched: &[&str],
) -> anyhow::Result<(Child, f64, Instant)> {
    let mut command = Command::new(PROGRAM);
    command
        .args(["run", "--rounds", &rounds.to_string(), "--json", "--out"])
        .arg(out)
        .args(sets)
        .args(watched);
    let before = processor_of_children()?;
    let run = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    Ok((run, before, Instant::now()))
}

/// What it took, with all processes that it started.
fn finish((mut run, before, began): (Child, f64, Instant)) -> anyhow::Result<Spent> {
    let status = run.wait()?;
    ensure!(status.success(), "the run failed: {status}");
    Ok(Spent { processor: processor_of_children()? - before, wall: began.elapsed().as_secs_f64() })
}

/// Milliseconds of a round as the run has logged them, mean over all rounds: without its beginning and end.
fn round_of(out: &Path) -> anyhow::Result<f64> {
    let text = fs::read_to_string(out.join("metrics.jsonl"))?;
    let seconds = |line: &str| -> anyhow::Result<f64> {
        let line: serde_json::Value = serde_json::from_str(line)?;
        line["seconds"].as_f64().context("a round of metrics.jsonl has no seconds")
    };
    let all = text.lines().map(seconds).collect::<anyhow::Result<Vec<f64>>>()?;
    ensure!(!all.is_empty(), "{} has no rounds", out.display());
    Ok(1e3 * all.iter().sum::<f64>() / all.len() as f64)
}

/// Processor seconds of all processes that were waited for, and of those that they waited for.
fn processor_of_children() -> anyhow::Result<f64> {
    let text = fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = text.rsplit_once(')').context("/proc/self/stat has a name in parentheses")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    // cutime and cstime, the 16th and 17th.
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    Ok(CLOCK_TICK
        * ticks(13).zip(ticks(14)).map(|(user, system)| user + system).context("/proc/self/stat is short")?)
}

/// Serves a collector; returns its URL.
fn collect(runtime: &Runtime, spans: &Counter) -> anyhow::Result<String> {
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
    let url = format!("http://{}", listener.local_addr()?);
    let service = TraceServiceServer::new(spans.clone());
    runtime
        .spawn(Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener)));
    Ok(url)
}

/// Where the page of a run that has begun is served.
fn page_of(out: &Path) -> anyhow::Result<SocketAddr> {
    let file: PathBuf = out.join("page");
    for _ in 0..600 {
        if let Ok(url) = fs::read_to_string(&file) {
            let address = url.trim().trim_start_matches("http://").trim_end_matches('/');
            return address.parse().with_context(|| format!("{url} is no address"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    bail!("{} does not come", file.display())
}

/// Asks the page for something; the answer comes over what is returned.
fn ask(door: SocketAddr, path: &str) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(door)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {door}\r\n\r\n")?;
    Ok(stream)
}

/// Reads all events of a run; returns how many rounds there were.
fn read_events(door: SocketAddr) -> anyhow::Result<u64> {
    let mut stream = ask(door, "/events")?;
    let mut text = Vec::new();
    // The end may come as a reset.
    let _ = stream.read_to_end(&mut text);
    let is_round = |line: &&str| line.starts_with("data: {\"round\":") && line.contains("\"metrics\":");
    Ok(String::from_utf8_lossy(&text).lines().filter(is_round).count() as u64)
}

/// Requests the metrics repeatedly until the server stops answering.
fn scrape(door: SocketAddr) {
    let scrape = || -> std::io::Result<()> {
        let mut stream = TcpStream::connect(door)?;
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: {door}\r\nConnection: close\r\n\r\n")?;
        stream.read_to_end(&mut Vec::new()).map(drop)
    };
    while scrape().is_ok() {
        std::thread::sleep(SCRAPE);
    }
}
