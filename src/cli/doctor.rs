//! `pom2dib doctor`: tests the connection to a coordinator or transmitter hop by hop and names the one that fails.

use std::{
    io::ErrorKind,
    net::SocketAddr,
    process::ExitCode,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use link::{Channel, LinkError, Name, Security};
use node::SecurityOptions;
use proto::v1::{LookReply, LookRequest, probe_client::ProbeClient};
use serde_json::{Value, json};
use tokio::net::{TcpStream, lookup_host};

/// Number of probes for the median round trip.
const LOOKS: usize = 11;

/// Bytes of a payload in speed measurements; a probe carries at most this many.
const PIECE: usize = 1 << 20;

/// Duration of the speed measurement in one direction.
const LONG_ENOUGH: Duration = Duration::from_millis(500);
const MOST_PIECES: usize = 64;

/// Least time limit for the measurements: a mebibyte takes a while on a slow connection.
const MEASURING: Duration = Duration::from_secs(60);

/// Difference of clocks in seconds above which the user should set them: the validity of certificates depends on them.
const SKEW: f64 = 60.0;

/// Which process to test, and with which credentials.
#[derive(clap::Args)]
#[command(after_long_help = "Examples:
  pom2dib doctor coordinator.example:7310
  pom2dib doctor node-2.example:7311 --peer transmitter-2 --tls certs")]
pub(crate) struct Arguments {
    /// Address of the coordinator or transmitter, as host:port
    #[arg(env = "POM2DIB_COORDINATOR", default_value = "127.0.0.1:7310", value_name = "HOST:PORT")]
    address: String,

    /// The expected name in its certificate, if certificates are used: coordinator or transmitter-K
    #[arg(long, default_value = "coordinator", value_name = "NAME", value_parser = listener)]
    peer: Name,

    /// Seconds that each hop may take
    #[arg(long, default_value_t = 5, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    patience: u64,

    /// Credentials for the connection.
    #[command(flatten)]
    security: SecurityOptions,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

fn listener(text: &str) -> Result<Name, String> {
    Name::parse(text)
        .filter(|name| name.listens())
        .ok_or_else(|| "those who listen are coordinator and transmitter-K".into())
}

/// The hops in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hop {
    Name,
    Port,
    Trust,
    Version,
    RoundTrip,
    Bandwidth,
    Clock,
}

impl Hop {
    fn title(self) -> &'static str {
        match self {
            Hop::Name => "name",
            Hop::Port => "port",
            Hop::Trust => "TLS and token",
            Hop::Version => "version",
            Hop::RoundTrip => "round trip",
            Hop::Bandwidth => "bandwidth",
            Hop::Clock => "clock",
        }
    }
}

/// A failed hop, with advice.
type Broken = (Hop, String);

/// The observations: printed at once, or together at the end.
struct Walk {
    json: bool,
    seen: Vec<Value>,
}

impl Walk {
    fn passed(&mut self, hop: Hop, line: String) {
        if self.json {
            self.seen.push(json!({ "hop": hop.title(), "ok": true, "line": line }));
        } else {
            say(&format!("{:<14} {line}\n", hop.title()));
        }
    }
}

/// Runs the tests and returns the exit status: 0 all is well, 1 a hop failed, 2 wrong input.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let security = arguments.security.of_visitor().map_err(|error| error.to_string());
    let security = security.map(|security| security.finding_token_of(&arguments.address));
    let given = link::check_address(&arguments.address).map_err(|error| error.to_string()).and(security);
    let (runtime, security) = match (runtime, given) {
        (Ok(runtime), Ok(security)) => (runtime, security),
        (Err(error), _) => return complain(&format!("cannot start the async runtime: {error}"), 1),
        (_, Err(error)) => return complain(&error, 2),
    };
    let mut walk = Walk { json: arguments.json, seen: Vec::new() };
    let outcome = runtime.block_on(arguments.walk(&security, &mut walk));
    let address = &arguments.address;
    if arguments.json {
        let mut hops = walk.seen;
        if let Err((hop, line)) = &outcome {
            hops.push(json!({ "hop": hop.title(), "ok": false, "line": line }));
        }
        let broken = outcome.as_ref().err().map(|(hop, _)| hop.title());
        say(&format!("{}\n", json!({ "address": address, "hops": hops, "broken": broken })));
    }
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err((hop, line)) => complain(&format!("{address}: {}: {line}", hop.title()), 1),
    }
}

impl Arguments {
    async fn walk(&self, security: &Security, walk: &mut Walk) -> Result<(), Broken> {
        let patience = Duration::from_secs(self.patience);
        let found = resolve(&self.address, patience).await.map_err(|line| (Hop::Name, line))?;
        walk.passed(Hop::Name, format!("{} is {}", host(&self.address), addresses(&found)));
        walk.passed(Hop::Port, connect(&found, patience).await.map_err(|line| (Hop::Port, line))?);
        let channel = self.enter(security).await.map_err(|line| (Hop::Trust, line))?;
        walk.passed(Hop::Trust, trust(security));
        let mut client = ProbeClient::new(channel).max_decoding_message_size(2 * PIECE);
        let (line, skew) = version(&mut client, patience).await.map_err(|line| (Hop::Version, line))?;
        walk.passed(Hop::Version, line);
        let measured = async {
            let line = round_trip(&mut client).await.map_err(|line| (Hop::RoundTrip, line))?;
            walk.passed(Hop::RoundTrip, line);
            let there = speed(&mut client, PIECE, 0).await.map_err(|line| (Hop::Bandwidth, line))?;
            let back = speed(&mut client, 0, PIECE).await.map_err(|line| (Hop::Bandwidth, line))?;
            walk.passed(Hop::Bandwidth, format!("{there:.1} MB/s there, {back:.1} MB/s back"));
            Ok(())
        };
        let slow = || (Hop::Bandwidth, format!("a few mebibytes took more than {} s", MEASURING.as_secs()));
        tokio::time::timeout(MEASURING.max(patience), measured).await.map_err(|_| slow())??;
        walk.passed(Hop::Clock, clock(skew).map_err(|line| (Hop::Clock, line))?);
        Ok(())
    }

    /// Tries once: the test is to find what does not answer now.
    async fn enter(&self, security: &Security) -> Result<Channel, String> {
        link::dial(self.peer, &self.address, security, Duration::ZERO).await.map_err(|error| match error {
            LinkError::Untrusted { peer, problem, .. } => {
                let hint = match problem.as_str() {
                    problem if problem.contains("is made out to") => "; if that is whom you mean, say so with --peer",
                    problem if problem.contains("speaks TLS") || problem.contains("another authority") => {
                        "; or is it another program's port?"
                    }
                    _ => "",
                };
                format!("{peer} {problem}{hint}")
            }
            LinkError::Unreachable { error, .. } => format!(
                "something takes connections there, but it does not answer as a pom2dib should ({error}): is it \
                 another program's port, or a transmitter that has not joined yet?"
            ),
            other => other.to_string(),
        })
    }
}

async fn resolve(address: &str, patience: Duration) -> Result<Vec<SocketAddr>, String> {
    let host = host(address);
    let remedy = "check its spelling, /etc/hosts and the name server, or give an IP address";
    match tokio::time::timeout(patience, lookup_host(address)).await {
        Err(_) => Err(format!("no name server answers within {} s for {host}: {remedy}", patience.as_secs())),
        Ok(Err(error)) => Err(format!("{host} has no address ({error}): {remedy}")),
        Ok(Ok(found)) => match found.collect::<Vec<_>>() {
            found if found.is_empty() => Err(format!("{host} has no address: {remedy}")),
            found => Ok(found),
        },
    }
}

/// Tries all addresses: a name may have an unreachable address beside a reachable one.
async fn connect(found: &[SocketAddr], patience: Duration) -> Result<String, String> {
    let (mut open, mut closed) = (Vec::new(), Vec::new());
    for address in found {
        let begun = Instant::now();
        match tokio::time::timeout(patience, TcpStream::connect(address)).await {
            Ok(Ok(_)) => {
                open.push(format!("{address} takes connections ({:.2} ms)", milliseconds(begun.elapsed())))
            }
            Ok(Err(error)) => {
                closed.push(format!("{address} {}", of_connecting(error.kind(), &error.to_string())))
            }
            Err(_) => closed.push(format!("{address} {}", of_connecting(ErrorKind::TimedOut, ""))),
        }
    }
    match open.is_empty() {
        true => Err(closed.join("; ")),
        false => Ok([open, closed].concat().join("; ")),
    }
}

fn of_connecting(kind: ErrorKind, error: &str) -> String {
    match kind {
        ErrorKind::ConnectionRefused => {
            "is a machine that answers, but nothing listens at that port: is the process started, with --listen on an \
             address that others can reach (0.0.0.0 or [::]), and is it the right port?"
                .into()
        }
        ErrorKind::TimedOut => {
            "does not answer: the address is wrong, the machine is down, or a firewall drops what comes to that port".into()
        }
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => {
            format!("cannot be reached from here ({error}): there is no way to that network, or no such machine in it")
        }
        _ => format!("cannot be connected to: {error}"),
    }
}

fn trust(security: &Security) -> String {
    match (security.name(), security.has_token()) {
        (Some(own), token) => {
            let also = if token { ", and takes the token" } else { "" };
            format!("TLS 1.3; both trust each other's certificate (this one is made out to {own}){also}")
        }
        (None, true) => "no TLS; the token is taken".into(),
        (None, false) => "no TLS, no token: nothing is asked for".into(),
    }
}

/// The name and build of the process that answers, and by how many seconds its clock is ahead.
async fn version(client: &mut ProbeClient<Channel>, patience: Duration) -> Result<(String, f64), String> {
    let before = now();
    let reply = tokio::time::timeout(patience, look(client, 0, 0)).await;
    let reply = reply.map_err(|_| format!("no answer within {} s", patience.as_secs()))?;
    let LookReply { who, version, protocol, clock, .. } = reply.map_err(|line| {
        format!("it does not say which build it is ({line}): is it a pom2dib, and of the same version on all machines?")
    })?;
    let skew = clock - (before + now()) / 2.0;
    let [who, version] =
        [who, version].map(|text| link::printable(&text.chars().take(40).collect::<String>()));
    if version != proto::VERSION || protocol.as_ref() != proto::protocol_digest() {
        let own = proto::VERSION;
        return Err(format!(
            "{who} is of version {version}, this program of version {own}, or of another build: install the same on all machines"
        ));
    }
    Ok((format!("{who}, version {version}, the same protocol as here"), skew))
}

async fn round_trip(client: &mut ProbeClient<Channel>) -> Result<String, String> {
    let mut times = Vec::with_capacity(LOOKS);
    for _ in 0..LOOKS {
        let begun = Instant::now();
        look(client, 0, 0).await?;
        times.push(begun.elapsed());
    }
    times.sort();
    let (median, longest) = (milliseconds(times[LOOKS / 2]), milliseconds(times[LOOKS - 1]));
    Ok(format!("{median:.2} ms, median of {LOOKS}; the longest {longest:.2} ms"))
}

/// Speed of payloads in one direction, in megabytes a second.
async fn speed(client: &mut ProbeClient<Channel>, there: usize, back: usize) -> Result<f64, String> {
    let begun = Instant::now();
    let mut pieces = 0;
    while pieces < MOST_PIECES && begun.elapsed() < LONG_ENOUGH {
        look(client, there, back).await?;
        pieces += 1;
    }
    Ok((pieces * (there + back)) as f64 / 1e6 / begun.elapsed().as_secs_f64())
}

fn clock(skew: f64) -> Result<String, String> {
    let (size, way) = (skew.abs(), if skew < 0.0 { "behind" } else { "ahead of" });
    let line = format!("its clock is {size:.1} s {way} this machine's");
    match size > SKEW {
        true => Err(format!("{line}: set one of them, for certificates are checked by the clock")),
        false => Ok(line),
    }
}

async fn look(client: &mut ProbeClient<Channel>, there: usize, back: usize) -> Result<LookReply, String> {
    let request = LookRequest { payload: vec![0; there].into(), answer: back as u32 };
    let reply = client.look(request).await.map_err(|status| link::printable(status.message()))?.into_inner();
    match reply.payload.len() == back {
        true => Ok(reply),
        false => Err(format!("it sent {} bytes where {back} were asked for", reply.payload.len())),
    }
}

fn host(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

fn addresses(found: &[SocketAddr]) -> String {
    found.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>().join(" and ")
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn complain(line: &str, status: u8) -> ExitCode {
    eprintln!("error: {line}");
    ExitCode::from(status)
}

/// A reader that has gone needs no more output.
fn say(text: &str) {
    node::say(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_differ_by_minutes_are_told_which_way() {
        assert_eq!(clock(-0.26).unwrap(), "its clock is 0.3 s behind this machine's");
        assert!(
            clock(300.0).unwrap_err().starts_with("its clock is 300.0 s ahead of this machine's: set one")
        );
        assert!(clock(-61.0).unwrap_err().contains("61.0 s behind"));
    }
}
