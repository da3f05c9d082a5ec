//! Containers for tests: an engine, an image around the program under test, and compose projects.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::Value;

use crate::{Outcome, PATIENCE, Process, Signal, wait_for};

/// Name of the image under test.
const IMAGE: &str = "pom2dib-test";

/// A running container engine with the image under test.
pub struct Engine {
    root: PathBuf,
    compose: Vec<Vec<&'static str>>,
}

/// A compose project, removed with its volumes when dropped.
pub struct Project<'a> {
    engine: &'a Engine,
    compose: Vec<&'static str>,
    name: String,
    folder: PathBuf,
    variables: Vec<(String, String)>,
}

/// A container of a project.
pub struct Container {
    id: String,
}

impl Engine {
    /// The engine of this machine, with an image of `program`, which is `target/release/pom2dib` of the repository
    /// `root`. None without an engine or a base image: then a line says so.
    pub fn find(root: &str, program: &str) -> Option<Engine> {
        // The image is built once, however many tests begin at the same time.
        static COMPOSE: OnceLock<Result<Vec<Vec<&'static str>>, String>> = OnceLock::new();
        let root = PathBuf::from(root);
        match COMPOSE.get_or_init(|| Engine::open(&root, Path::new(program))) {
            Ok(compose) => Some(Engine { root, compose: compose.clone() }),
            Err(reason) => {
                eprintln!("skipped: {reason}");
                None
            }
        }
    }

    fn open(root: &Path, program: &Path) -> Result<Vec<Vec<&'static str>>, String> {
        ask("docker", &["version", "--format", "{{.Server.Version}}"])
            .map_err(|_| "no Docker engine answers here")?;
        let kinds = [vec!["docker", "compose"], vec!["docker-compose"]];
        let compose: Vec<_> = kinds
            .into_iter()
            .filter(|words| ask(words[0], &[&words[1..], &["version"]].concat()).is_ok())
            .collect();
        if compose.is_empty() {
            return Err("there is neither `docker compose` nor docker-compose".into());
        }
        let place = root.join("target/release/pom2dib");
        if place.canonicalize().ok() != program.canonicalize().ok() {
            return Err(format!("the program under test is not {}, which the image takes", place.display()));
        }
        let base = base()?;
        let base = format!("BASE={base}");
        let words = ["build", "--quiet", "--target", "prebuilt", "--build-arg", &base, "--tag", IMAGE];
        ask("docker", &[&words, &[root.to_str().expect("the repository has a name in UTF-8")][..]].concat())
            .unwrap_or_else(|error| panic!("the image cannot be built: {error}"));
        Ok(compose)
    }

    /// The number of installed versions of compose: version 2, version 1, or both.
    pub fn composes(&self) -> usize {
        self.compose.len()
    }

    /// A project of the compose file in a folder, with one version of compose and these environment variables.
    pub fn project(&self, kind: usize, folder: &Path, variables: &[(&str, &str)]) -> Project<'_> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let name = format!("pom2dibtest{}n{number}", std::process::id());
        let compose = self.compose[kind].clone();
        Project { engine: self, compose, name, folder: folder.into(), variables: variables.collect() }
    }

    /// The repository.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// An image as `docker image inspect` describes it; `None` for the one under test, else its base.
    pub fn image(&self, name: Option<&str>) -> Value {
        inspect(&["image", "inspect", name.unwrap_or(IMAGE)])
    }

    /// The base of the image under test.
    pub fn base(&self) -> String {
        base().expect("it was there before")
    }

    /// Builds deploy/cached.Dockerfile with BuildKit from a folder, with a stand-in for cargo, and returns the output
    /// of the program in the image. None without a client for BuildKit: then a line says so.
    pub fn build_with_caches(&self, folder: &Path, cargo: &str) -> Option<String> {
        let write =
            |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("it can be written");
        write("cargo", cargo);
        std::fs::set_permissions(folder.join("cargo"), std::fs::Permissions::from_mode(0o755))
            .expect("it is ours");
        let (base, tools, image) = (self.base(), format!("{IMAGE}:tools"), format!("{IMAGE}:cached"));
        write("tools.Dockerfile", &format!("FROM {base}\nCOPY cargo /usr/local/bin/cargo\n"));
        let file = self.root.join("deploy/cached.Dockerfile");
        // A newer client needs the plug-in buildx for it; Debian's does not.
        let build = |client: &str, file: &Path, tag: &str, arguments: &[&str]| {
            let mut command = Command::new(client);
            command.env("DOCKER_BUILDKIT", "1").args(["build", "--quiet", "--tag", tag, "--file"]).arg(file);
            command.args(arguments.iter().flat_map(|argument| ["--build-arg", argument])).arg(folder);
            let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            if output.status.success() { Ok(()) } else { Err(said) }
        };
        let clients = ["docker", "/usr/bin/docker"];
        let made = clients.into_iter().find_map(|client| {
            build(client, &folder.join("tools.Dockerfile"), &tools, &[]).ok().map(|()| client)
        });
        let Some(client) = made else {
            eprintln!("skipped: no client speaks to BuildKit here");
            return None;
        };
        let arguments = [format!("BASE={base}"), format!("RUST={tools}")];
        build(client, &file, &image, &[&arguments[0], &arguments[1]])
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        Some(ask("docker", &["run", "--rm", &image]).expect("the program in it runs"))
    }

    /// Runs the image once and returns its output.
    pub fn run(&self, options: &[&str], words: &[&str]) -> Result<String, String> {
        ask("docker", &[&["run", "--rm"], options, &[IMAGE], words].concat())
    }

    /// The same with the image for GPUs, built from a program at this path in the repository.
    pub fn run_cuda(&self, program: &str, words: &[&str]) -> Result<String, String> {
        let image = format!("{IMAGE}:cuda");
        let (base, program) = (format!("BASE={}", self.base()), format!("PROGRAM={program}"));
        let root = self.root.to_str().expect("the repository has a name in UTF-8");
        let file = format!("{root}/deploy/cuda.Dockerfile");
        let options = ["--target", "prebuilt", "--build-arg", &base, "--build-arg", &program];
        let build = [&["build", "--quiet", "--file", &file, "--tag", &image], &options[..], &[root]].concat();
        ask("docker", &build)?;
        ask("docker", &[&["run", "--rm", "--read-only", "--tmpfs", "/tmp", &image], words].concat())
    }
}

/// The base image: the Dockerfile's own if it has been pulled, else a Debian of this machine's release, made here once.
fn base() -> Result<String, String> {
    let official = "debian:bookworm-slim";
    let release = release().ok_or("this machine is no Debian, and the image of one cannot be made")?;
    if release == "bookworm" && ask("docker", &["image", "inspect", official]).is_ok() {
        return Ok(official.into());
    }
    let name = format!("pom2dib-test-base:{release}");
    if ask("docker", &["image", "inspect", &name]).is_ok() {
        return Ok(name);
    }
    let script = format!(
        "set -e; folder=$(mktemp -d); trap 'rm -rf \"$folder\"' EXIT; \
         debootstrap --variant=minbase --include=ca-certificates {release} \"$folder\" >&2; \
         rm -rf \"$folder\"/var/cache/apt/archives/*.deb \"$folder\"/var/lib/apt/lists/*; \
         tar -C \"$folder\" -c . | docker import - {name}"
    );
    ask("sh", &["-c", &script]).map_err(|error| {
        format!("there is no {official}, and debootstrap makes no base: {}", last_line(&error))
    })?;
    Ok(name)
}

fn release() -> Option<String> {
    let text = std::fs::read_to_string("/etc/os-release").ok()?;
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    field("ID=").filter(|id| id == "debian").and_then(|_| field("VERSION_CODENAME="))
}

impl Project<'_> {
    /// Starts compose with these arguments.
    pub fn start(&self, words: &str) -> Process {
        Process::start(words, self.command().args(words.split_whitespace()))
    }

    /// The same, and waits for the end.
    pub fn run(&self, words: &str) -> Outcome {
        self.start(words).finish_within(4 * PATIENCE)
    }

    /// The containers of a service, in the order of their numbers.
    pub fn containers(&self, service: &str) -> Vec<Container> {
        let label = |what: &str, name: &str| format!("label=com.docker.compose.{what}={name}");
        let (project, service) = (label("project", &self.name), label("service", service));
        let format = "{{.ID}} {{.Names}}";
        let words =
            ["ps", "--all", "--no-trunc", "--filter", &project, "--filter", &service, "--format", format];
        let listed = ask("docker", &words).expect("the engine lists its containers");
        let mut named: Vec<_> = listed.lines().filter_map(|line| line.split_once(' ')).collect();
        named.sort_by_key(|(_, name)| name.to_owned());
        named.into_iter().map(|(id, _)| Container { id: id.into() }).collect()
    }

    /// The only container of a service, once it exists.
    pub fn container(&self, service: &str) -> Container {
        wait_for(service, PATIENCE, || self.containers(service).pop())
    }

    /// The network of all containers.
    pub fn network(&self) -> String {
        format!("{}_pom2dib", self.name)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.compose[0]);
        command.args(&self.compose[1..]).args(["--project-name", &self.name]).current_dir(&self.folder);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("POM2DIB_") {
                command.env_remove(name);
            }
        }
        command.env("POM2DIB_IMAGE", IMAGE);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

impl Drop for Project<'_> {
    fn drop(&mut self) {
        let _engine = self.engine;
        let words = ["down", "--volumes", "--remove-orphans", "--timeout", "1"];
        let _ = self.command().args(words).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

impl Container {
    /// The engine's description of it.
    pub fn inspect(&self) -> Value {
        inspect(&["inspect", &self.id])
    }

    /// Whether its health check passes.
    pub fn is_healthy(&self) -> bool {
        let words = ["inspect", "--format", "{{.State.Health.Status}}", &self.id];
        ask("docker", &words).is_ok_and(|status| status.trim() == "healthy")
    }

    /// Its exit status, if it has ended for good.
    pub fn status(&self) -> Option<i64> {
        let state = &self.inspect()["State"];
        let over = state["Status"] == "exited";
        over.then(|| state["ExitCode"].as_i64().expect("an exit status is a number"))
    }

    /// How often the engine has started it again.
    pub fn restarts(&self) -> u64 {
        self.inspect()["RestartCount"].as_u64().expect("a count")
    }

    /// Its standard output and standard error so far.
    pub fn logs(&self) -> (String, String) {
        let output = Command::new("docker").args(["logs", &self.id]).output().expect("docker starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&output.stdout), text(&output.stderr))
    }

    /// Sends its process a signal from outside, as the system does: the engine does not take it for a user's request.
    pub fn signal(&self, signal: Signal) {
        let pid = self.inspect()["State"]["Pid"].as_u64().filter(|pid| *pid > 0);
        signal.send(pid.expect("it runs") as u32);
    }

    /// Disconnects it from a network, or reconnects it.
    pub fn connect(&self, network: &str, connected: bool) {
        let word = if connected { "connect" } else { "disconnect" };
        ask("docker", &["network", word, network, &self.id]).expect("the engine changes its networks");
    }
}

fn inspect(words: &[&str]) -> Value {
    let text = ask("docker", words).unwrap_or_else(|error| panic!("docker {}: {error}", words.join(" ")));
    let mut list: Value = serde_json::from_str(&text).expect("docker answers in JSON");
    list[0].take()
}

/// Runs a program to its end: its output, or why it failed.
fn ask(program: &str, words: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(words).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(text(&output.stderr)),
    }
}

fn last_line(text: &str) -> &str {
    text.trim().lines().last().unwrap_or_default()
}
