use std::{net::SocketAddr, path::PathBuf, time::Duration};

use crate::{Health, SecurityOptions, Shutdown};

/// What a transmitter or receiver is told when it starts; all else comes from the coordinator.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = "Examples, of a transmitter and a receiver:
  pom2dib transmitter --coordinator coordinator.example:7310 --listen 0.0.0.0:7311 --tls certs --data DIR
  pom2dib receiver --coordinator 127.0.0.1:7310 --index 2")]
pub struct Options {
    /// Where the coordinator listens, as host:port
    #[arg(long, env = "POM2DIB_COORDINATOR", default_value = "127.0.0.1:7310", value_name = "HOST:PORT")]
    pub coordinator: String,

    /// This node's index, from 0; without one it has that of its certificate, or the coordinator gives the first free
    #[arg(long, env = "POM2DIB_INDEX", value_name = "N")]
    pub index: Option<u32>,

    /// Where this node listens (transmitters); port 0 takes a free one
    #[arg(long, env = "POM2DIB_LISTEN", default_value = "127.0.0.1:0", value_name = "IP:PORT", value_parser = crate::listening)]
    pub listen: SocketAddr,

    /// The address at which receivers reach this transmitter, where it is not the one it listens on; one that listens on
    /// all addresses (0.0.0.0) is otherwise found where it reaches the coordinator from
    #[arg(long, env = "POM2DIB_ADVERTISE", value_name = "HOST:PORT")]
    pub advertise: Option<String>,

    /// Use TCP also between nodes of one machine, not Unix-domain sockets
    #[arg(long, env = "POM2DIB_TCP_ONLY", value_parser = crate::boolean)]
    pub tcp_only: bool,

    /// Folder of the data set on this machine; goes before the scenario's data.path
    #[arg(long, env = "POM2DIB_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// Where to compute: cpu, cuda:N or auto; goes before the scenario's device
    #[arg(long, env = "POM2DIB_DEVICE", value_name = "DEVICE")]
    pub device: Option<scenario::Device>,

    /// How many threads the matrix products of this node may use: its share of the machine's cores. No result depends on
    /// it
    #[arg(long, env = "POM2DIB_THREADS", default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: u16,

    /// Who is let in.
    #[command(flatten)]
    pub security: SecurityOptions,

    /// Listen on an address that other machines can reach although nothing protects it
    #[arg(long, env = "POM2DIB_INSECURE", value_parser = crate::boolean)]
    pub insecure: bool,

    /// How many seconds to wait for the coordinator to answer, at the start and whenever it is lost
    #[arg(long, env = "POM2DIB_PATIENCE", default_value_t = 60, value_name = "SECONDS")]
    pub patience: u64,

    /// Where this node says how it is, to anybody who asks by the standard gRPC health service (see `pom2dib health`)
    #[arg(long, env = "POM2DIB_HEALTH", value_name = "IP:PORT", value_parser = crate::listening)]
    pub health: Option<SocketAddr>,

    /// End when standard input is closed (the parent process is gone)
    #[arg(long, hide = true)]
    pub end_with_parent: bool,

    /// The network that it is on.
    #[arg(skip)]
    pub network: link::Transport,

    /// How this node learns that it is to end.
    #[arg(skip)]
    pub shutdown: Shutdown,

    /// Where this node says whether it has its place in a run.
    #[arg(skip)]
    pub state_of_health: Health,
}

impl Options {
    /// How long to wait for peers to answer.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(self.patience)
    }
}
