//! Answers to requests.

use std::{collections::BTreeMap, path, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use link::CallerAddress;
use serde_json::{Value, json};
use tokio::process;

use crate::{
    AnswerFeed, Command, Door, Runs, Watch, assets,
    door::{Asks, Refusal},
    logs,
    replays::Replays,
    runs, stream,
};

/// Most rounds in an answer about a range of rounds.
const MOST_ROUNDS: u64 = 2048;

/// Answers that read files at the same time.
const READERS: usize = 2;

/// Metrics for a scraper, as text.
type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

/// What was drawn at a tick of the run in a folder as far as that follows from the seed: an object of JSON, or a line
/// why there is none.
type Ticks = Arc<dyn Fn(&path::Path, u64) -> Result<Value, String> + Send + Sync>;

/// A page, what it shows, and who may see it.
#[derive(Clone)]
pub struct Site {
    door: Door,
    shown: Shown,
    metrics: Option<Metrics>,
    answers: Option<Arc<AnswerFeed>>,
    ticks: Option<Ticks>,
    replays: Option<Replays>,
    readers: Arc<tokio::sync::Semaphore>,
}

/// What a site shows.
#[derive(Clone)]
enum Shown {
    One(Arc<Watch>),
    Folder(Arc<Runs>),
}

type Answer = Result<Response, Refusal>;

impl Site {
    /// The page of one run.
    pub fn of_run(watch: Arc<Watch>, door: Door) -> Self {
        Site::new(Shown::One(watch), door)
    }

    /// The pages of a folder of runs.
    pub fn of_folder(runs: Arc<Runs>, door: Door) -> Self {
        Site::new(Shown::Folder(runs), door)
    }

    fn new(shown: Shown, door: Door) -> Self {
        let readers = Arc::new(tokio::sync::Semaphore::new(READERS));
        Site { door, shown, metrics: None, answers: None, ticks: None, replays: None, readers }
    }

    /// The same with metrics.
    pub fn with_metrics(self, metrics: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Site { metrics: Some(Arc::new(metrics)), ..self }
    }

    /// The same with the answers of a service.
    pub fn with_answers(self, answers: Option<Arc<AnswerFeed>>) -> Self {
        Site { answers, ..self }
    }

    /// The same with what was drawn at ticks of the run in a folder as far as that follows from the seed: an object of
    /// JSON, or a line why there is none.
    pub fn with_ticks(
        self,
        ticks: impl Fn(&path::Path, u64) -> Result<Value, String> + Send + Sync + 'static,
    ) -> Self {
        Site { ticks: Some(Arc::new(ticks)), ..self }
    }

    /// The same with a command that computes a tick of the run in a folder again: it prints an object of JSON, and on
    /// standard error how far it has come. Whoever may give orders can have it run.
    pub fn with_replay(
        self,
        command: impl Fn(&path::Path, u64) -> process::Command + Send + Sync + 'static,
    ) -> Self {
        Site { replays: Some(Replays::new(command)), ..self }
    }

    /// The responses, for a server.
    pub fn router(self) -> Router {
        let (prefix, others) = match &self.shown {
            Shown::One(_) => {
                ("", Router::new().route("/metrics", get(metrics)).route("/answers", get(answers)))
            }
            Shown::Folder(_) => {
                ("/run/{run}", Router::new().route("/", get(home)).route("/api/runs", get(list)))
            }
        };
        // A run's page asks for what lies beside it.
        let at = |path: &str| format!("{prefix}{path}");
        let all = others
            .route(&at("/"), get(page))
            .route(&at("/events"), get(events))
            .route(&at("/api/run"), get(state))
            .route(&at("/api/rounds"), get(rounds))
            .route(&at("/api/draws"), get(draws))
            .route(&at("/api/tick"), get(tick))
            .route(&at("/api/replay"), post(replay))
            .route(&at("/api/{command}"), post(command));
        all.layer(middleware::from_fn_with_state(self.clone(), guard)).with_state(self)
    }

    /// The run that a path names.
    fn watch(&self, names: &BTreeMap<String, String>) -> Result<Arc<Watch>, Refusal> {
        match &self.shown {
            Shown::One(watch) => Ok(watch.clone()),
            Shown::Folder(runs) => {
                let name = names.get("run").map(String::as_str).unwrap_or_default();
                runs.watch(name).ok_or_else(|| (StatusCode::NOT_FOUND, "there is no such run here".into()))
            }
        }
    }
}

/// Checks a request before it is answered, and adds to every answer what keeps browsers from misusing it.
async fn guard(State(site): State<Site>, request: Request, next: Next) -> Response {
    let data = ["/api/", "/events", "/metrics", "/answers"];
    let is_page = !data.iter().any(|part| request.uri().path().contains(part));
    let asks = match *request.method() {
        Method::GET | Method::HEAD if is_page => Asks::Page,
        Method::GET | Method::HEAD => Asks::Read,
        _ => Asks::Order,
    };
    let checked = site.door.check(asks, request.headers());
    let mut response = match checked {
        Ok(()) => next.run(request).await,
        Err(refusal) => {
            let caller = request.extensions().get().and_then(|CallerAddress(address)| *address);
            let from = caller.map_or("this machine".into(), |address| address.to_string());
            link::log_refusal("a reader of the page", from, &refusal.1);
            refusal.into_response()
        }
    };
    protect(response.headers_mut());
    response
}

fn protect(headers: &mut HeaderMap) {
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cache-control", "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

type Names = Path<BTreeMap<String, String>>;

async fn page(State(site): State<Site>, Path(names): Names) -> Answer {
    site.watch(&names)?;
    Ok(html(assets::page()))
}

fn html(text: &'static str) -> Response {
    let policy = assets::policy();
    let kind = (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned());
    ([kind, (header::CONTENT_SECURITY_POLICY, policy)], text).into_response()
}

fn json_text(text: impl Into<Body>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text.into()).into_response()
}

/// The list of runs; of a folder that is a run's, that run's page.
async fn home(State(site): State<Site>) -> Response {
    match &site.shown {
        Shown::Folder(runs) if runs.is_run() => {
            (StatusCode::SEE_OTHER, [(header::LOCATION, format!("/run/{}/", runs::ITSELF))]).into_response()
        }
        _ => html(assets::list()),
    }
}

async fn list(State(site): State<Site>) -> Answer {
    let Shown::Folder(runs) = &site.shown else { return Err(unknown()) };
    let runs = runs.clone();
    let listed = read(&site, move || runs.list()).await?;
    Ok(json_text(listed))
}

async fn state(State(site): State<Site>, Path(names): Names) -> Answer {
    let watch = site.watch(&names)?;
    if let Shown::Folder(runs) = &site.shown {
        let (runs, name) = (runs.clone(), names.get("run").cloned().unwrap_or_default());
        read(&site, move || runs.refresh(&name)).await?;
    }
    Ok(json_text(watch.state()))
}

/// The rounds from `from` to `to`, thinned, of the run's logs.
async fn rounds(State(site): State<Site>, Path(names): Names, request: Request) -> Answer {
    let watch = site.watch(&names)?;
    let (Some(from), Some(to)) = (asked(&request, "from"), asked(&request, "to")) else {
        return Err((StatusCode::BAD_REQUEST, "say which rounds: /api/rounds?from=0&to=99".into()));
    };
    let found = read(&site, move || logs::rounds_between(watch.folder(), from, to, MOST_ROUNDS)).await?;
    let found = found.map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, format!("the logs: {error}")))?;
    Ok(json_text(format!("[{}]", found.join(","))))
}

/// A number in a request's query.
fn asked(request: &Request, name: &str) -> Option<u64> {
    let query = request.uri().query().unwrap_or_default();
    let pair = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    pair.and_then(|text| text.parse().ok())
}

/// The draws of a round, where the run records them.
async fn draws(State(site): State<Site>, Path(names): Names, request: Request) -> Answer {
    let watch = site.watch(&names)?;
    let round = asked(&request, "round")
        .ok_or_else(|| (StatusCode::BAD_REQUEST, "say which round: /api/draws?round=0".to_owned()))?;
    let found = read(&site, move || logs::draws_of(watch.folder(), round)).await?;
    let found =
        found.map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, format!("draws.jsonl: {error}")))?;
    let missing = || {
        let line =
            format!("the draws of round {round} are not recorded: set record.draws, or use `pom2dib replay`");
        (StatusCode::NOT_FOUND, line)
    };
    Ok(json_text(found.ok_or_else(missing)?))
}

/// A tick as far as it follows from the seed, and whether the rest can be computed by `replay`.
async fn tick(State(site): State<Site>, Path(names): Names, request: Request) -> Answer {
    let watch = site.watch(&names)?;
    let ticks = site.ticks.clone().ok_or_else(unknown)?;
    let number = asked_tick(&request)?;
    let own = watch.clone();
    let found = read(&site, move || ticks(own.folder(), number)).await?;
    let mut found = found.map_err(|line| (StatusCode::NOT_FOUND, line))?;
    found["can_replay"] = json!(site.replays.is_some() && site.door.has_token() && !is_live(&watch));
    Ok(json_text(found.to_string()))
}

/// Computes a tick of a run again, from its last checkpoint before that.
async fn replay(State(site): State<Site>, Path(names): Names, request: Request) -> Answer {
    let watch = site.watch(&names)?;
    let replays = site.replays.as_ref().ok_or_else(unknown)?;
    let number = asked_tick(&request)?;
    if is_live(&watch) {
        let line = "the run is under way, and would be slowed down: ask again when it has ended, or use `pom2dib replay`";
        return Err((StatusCode::CONFLICT, line.into()));
    }
    let kind = (header::CONTENT_TYPE, "text/event-stream");
    Ok(([kind], replays.begin(watch.folder(), number)?).into_response())
}

fn asked_tick(request: &Request) -> Result<u64, Refusal> {
    asked(request, "tick")
        .ok_or_else(|| (StatusCode::BAD_REQUEST, "say which tick, as in ?tick=0".to_owned()))
}

/// Whether a run is under way, as far as its files say.
fn is_live(watch: &Watch) -> bool {
    watch.status()["live"] == true
}

async fn events(State(site): State<Site>, Path(names): Names) -> Answer {
    let watch = site.watch(&names)?;
    let refresh: Box<dyn Fn() + Send> = match &site.shown {
        Shown::One(_) => Box::new(|| {}),
        Shown::Folder(runs) => {
            let (runs, name) = (runs.clone(), names.get("run").cloned().unwrap_or_default());
            Box::new(move || {
                let (runs, name) = (runs.clone(), name.clone());
                tokio::task::spawn_blocking(move || runs.refresh(&name));
            })
        }
    };
    let kind = (header::CONTENT_TYPE, "text/event-stream");
    Ok(([kind], stream::events(watch, refresh)).into_response())
}

/// The answers of a service from now on; a page of a run that is trained has none.
async fn answers(State(site): State<Site>) -> Answer {
    let answers = site.answers.as_ref().ok_or_else(unknown)?;
    let kind = (header::CONTENT_TYPE, "text/event-stream");
    Ok(([kind], stream::answers(answers.follow())).into_response())
}

async fn metrics(State(site): State<Site>) -> Answer {
    let metrics = site.metrics.as_ref().ok_or_else(unknown)?;
    let kind = (header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
    Ok(([kind], metrics()).into_response())
}

async fn command(State(site): State<Site>, Path(names): Names) -> Answer {
    let watch = site.watch(&names)?;
    let command = match names.get("command").map(String::as_str) {
        Some("pause") => Command::Pause,
        Some("resume") => Command::Resume,
        Some("stop") => Command::Stop,
        _ => return Err(unknown()),
    };
    watch.command(command).map_err(|line| (StatusCode::CONFLICT, line))?;
    Ok(json_text(watch.status().to_string()))
}

fn unknown() -> Refusal {
    (StatusCode::NOT_FOUND, "there is no such page".into())
}

/// Reads files away from the async runtime, a few answers at a time.
async fn read<T: Send + 'static>(
    site: &Site,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    let busy = |_| (StatusCode::SERVICE_UNAVAILABLE, "ask again".to_owned());
    let _permit = site.readers.acquire().await.map_err(|_| busy(()))?;
    tokio::task::spawn_blocking(work).await.map_err(|_| busy(()))
}
