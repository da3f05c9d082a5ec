use std::{net::SocketAddr, path::PathBuf, time::Duration};

use crate::{Collector, Health, SecurityOptions, Shutdown, Traces};

/// Command line of a transmitter or receiver; all other settings come from the coordinator.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = "Examples, of a transmitter and a receiver:
  pom2dib transmitter --coordinator coordinator.example:7310 --listen 0.0.0.0:7311 --tls certs --data DIR
  pom2dib receiver --coordinator 127.0.0.1:7310 --index 2")]
pub struct Options {
    /// The coordinator's address, as host:port
    #[arg(long, env = "POM2DIB_COORDINATOR", default_value = "127.0.0.1:7310", value_name = "HOST:PORT")]
    pub coordinator: String,

    /// This node's index, from 0; by default that of its certificate, or the first free one
    #[arg(long, env = "POM2DIB_INDEX", value_name = "N")]
    pub index: Option<u32>,

    /// Address to listen on (transmitters); port 0 takes a free port
    #[arg(long, env = "POM2DIB_LISTEN", default_value = "127.0.0.1:0", value_name = "IP:PORT", value_parser = crate::listening)]
    pub listen: SocketAddr,

    /// The address at which receivers reach this transmitter, if not the one it listens on; with 0.0.0.0 the default is
    /// the address from which it reaches the coordinator
    #[arg(long, env = "POM2DIB_ADVERTISE", value_name = "HOST:PORT")]
    pub advertise: Option<String>,

    /// Use TCP also between nodes of one machine, not Unix-domain sockets
    #[arg(long, env = "POM2DIB_TCP_ONLY", value_parser = crate::boolean)]
    pub tcp_only: bool,

    /// Folder of the data set on this machine; overrides the scenario's data.path
    #[arg(long, env = "POM2DIB_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// Device: cpu, cuda:N or auto; overrides the scenario's device
    #[arg(long, env = "POM2DIB_DEVICE", value_name = "DEVICE")]
    pub device: Option<scenario::Device>,

    /// Threads for the matrix products of this node: its share of the machine's cores. Results do not depend on it
    #[arg(long, env = "POM2DIB_THREADS", default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: u16,

    /// Who may connect.
    #[command(flatten)]
    pub security: SecurityOptions,

    /// Listen on an address that other machines can reach even without TLS or a token
    #[arg(long, env = "POM2DIB_INSECURE", value_parser = crate::boolean)]
    pub insecure: bool,

    /// Seconds to wait for the coordinator's answer, at the start and after it is lost
    #[arg(long, env = "POM2DIB_PATIENCE", default_value_t = 60, value_name = "SECONDS")]
    pub patience: u64,

    /// Address of the standard gRPC health service, open to any client (see `pom2dib health`)
    #[arg(long, env = "POM2DIB_HEALTH", value_name = "IP:PORT", value_parser = crate::listening)]
    pub health: Option<SocketAddr>,

    /// Send traces of rounds and evaluation passes to this OpenTelemetry collector, which takes OTLP over gRPC
    #[arg(long, env = "POM2DIB_OTLP", value_name = "URL")]
    pub otlp: Option<Collector>,

    /// End when standard input is closed (the parent process has ended)
    #[arg(long, hide = true)]
    pub end_with_parent: bool,

    /// Whether other nodes of the run are in this process. They then share the rows of the data set in memory.
    #[arg(skip)]
    pub shares_data: bool,

    /// The network that the node uses.
    #[arg(skip)]
    pub network: link::Transport,

    /// Signal for this node to shut down.
    #[arg(skip)]
    pub shutdown: Shutdown,

    /// Where the node's spans go, once it has joined.
    #[arg(skip)]
    pub traces: Traces,

    /// The health service, which reports whether this node has a place in a run.
    #[arg(skip)]
    pub state_of_health: Health,
}

impl Options {
    /// How long to wait for answers of peers.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(self.patience)
    }
}
