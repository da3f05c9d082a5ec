//! Health of this process, for supervisors, containers and probes that restart it.

use std::{
    fmt,
    net::SocketAddr,
    process::ExitCode,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{http::header::CONTENT_TYPE, routing::get};
use link::{LinkError, Listener, Name, Security};
use tonic::service::Routes;
use tonic_health::{
    ServingStatus,
    pb::{HealthCheckRequest, health_check_response, health_client::HealthClient},
    server::{HealthReporter, health_reporter},
};

use crate::{NodeError, control::figures::Figures};

/// The service that is `SERVING` while the process has its place in a run. The empty name stands for the process being
/// alive.
const READY: &str = "ready";

/// The health service of a process, at an address of its own: a probe has no certificate and no token, and a receiver
/// listens nowhere else. Off by default. The same port has `/metrics` for Prometheus.
#[derive(Clone, Debug, Default)]
pub struct Health {
    reporter: Option<HealthReporter>,
    figures: Figures,
    metrics: Metrics,
}

/// Gives the text of the metrics.
type Text = Box<dyn Fn() -> String + Send + Sync>;

/// The metrics of the process, if they are not those of a node.
#[derive(Clone, Default)]
struct Metrics(Arc<Mutex<Option<Text>>>);

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Metrics")
    }
}

impl Health {
    /// Serves `grpc.health.v1.Health` at an address, if given, until the process ends, and `/metrics` over HTTP/1.1.
    /// Any client may ask; the answers tell whether the process is alive, whether it has its place in a run, and its
    /// figures.
    ///
    /// # Errors
    /// An input error if the address cannot be listened on.
    pub async fn serve(address: Option<SocketAddr>) -> Result<Self, NodeError> {
        let Some(address) = address else { return Ok(Health::default()) };
        let listener = Listener::bind_for_health(address).await.map_err(|error| match error {
            LinkError::Listen { address, error } => {
                NodeError::Input(format!("cannot listen on {address}: {error}; choose another with --health"))
            }
            other => other.into(),
        })?;
        let (reporter, service) = health_reporter();
        let health = Health { reporter: Some(reporter), ..Health::default() };
        health.ready(false).await;
        let told = health.clone();
        let metrics =
            get(async move || ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], told.text()));
        let routes = Routes::new(service).into_axum_router().route("/metrics", metrics);
        let router = listener.server().accept_http1(true).add_routes(routes.into());
        tokio::spawn(async move {
            if let Err(error) = listener.serve(router, std::future::pending()).await {
                tracing::error!(%error, "nobody can ask for this process's health any more");
            }
        });
        Ok(health)
    }

    /// Serves these metrics instead of a node's.
    pub fn publish(&self, metrics: impl Fn() -> String + Send + Sync + 'static) {
        *self.metrics.0.lock().expect("no code panics while it holds this lock") = Some(Box::new(metrics));
    }

    /// Whether anybody could ask.
    pub fn is_served(&self) -> bool {
        self.reporter.is_some()
    }

    /// The figures of the node whose health this is.
    pub(crate) fn figures(&self) -> Figures {
        self.figures.clone()
    }

    fn text(&self) -> String {
        let metrics = self.metrics.0.lock().expect("no code panics while it holds this lock");
        metrics.as_ref().map_or_else(|| self.figures.text(), |metrics| metrics())
    }

    /// Sets whether the process has its place in a run.
    pub async fn ready(&self, ready: bool) {
        if let Some(reporter) = &self.reporter {
            let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
            reporter.set_service_status(READY, status).await;
        }
    }
}

/// Which process to ask for its health, and which service.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = "Examples:
  pom2dib health                            # of the process in this container
  pom2dib health 127.0.0.1:7300 --ready")]
pub struct HealthArguments {
    /// Address of the process's health service: its --health
    #[arg(env = "POM2DIB_HEALTH", default_value = "127.0.0.1:7300", value_name = "HOST:PORT")]
    pub address: String,

    /// Ask whether it has its place in a run, not only whether it is alive
    #[arg(long)]
    pub ready: bool,

    /// How many seconds to wait for the answer
    #[arg(long, default_value_t = 5, value_name = "SECONDS")]
    pub patience: u64,
}

/// Asks a process for its health and returns the exit status: 0 healthy, 1 not.
pub fn health(arguments: &HealthArguments) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let answer = match runtime {
        Ok(runtime) => runtime.block_on(ask(arguments)),
        Err(error) => Err(format!("cannot start the async runtime: {error}")),
    };
    match answer {
        Ok(line) => {
            // If the reader has gone, the exit status still tells.
            crate::say(&format!("{line}\n"));
            ExitCode::SUCCESS
        }
        Err(line) => {
            eprintln!("error: {line}");
            ExitCode::FAILURE
        }
    }
}

async fn ask(arguments: &HealthArguments) -> Result<String, String> {
    let HealthArguments { address, ready, patience } = arguments;
    let patience = Duration::from_secs(*patience);
    let service = if *ready { READY } else { "" };
    let answer = async {
        let channel = link::dial(Name::Coordinator, address, &Security::default(), patience).await;
        let mut client = HealthClient::new(channel.map_err(|error| match error {
            // A health port demands no credentials; the other ports of the program do.
            link::LinkError::Untrusted { problem, .. } => {
                format!("{address}: {problem}; is it what --health was given?")
            }
            error => error.to_string(),
        })?);
        let answer = client.check(HealthCheckRequest { service: service.into() }).await;
        answer.map_err(|status| {
            let said = link::printable(status.message());
            format!("{address}: {said}; is it what --health was given?")
        })
    };
    let silent = || format!("{address} did not answer within {} s", patience.as_secs());
    let answer = tokio::time::timeout(2 * patience, answer).await.map_err(|_| silent())??;
    match answer.into_inner().status() {
        health_check_response::ServingStatus::Serving if *ready => {
            Ok(format!("{address} has its place in a run"))
        }
        health_check_response::ServingStatus::Serving => Ok(format!("{address} is alive")),
        _ => Err(format!("{address} is alive, but has no place in a run yet")),
    }
}
