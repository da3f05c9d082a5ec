//! `pom2dib compose`: writes a folder from which `docker compose up` runs a scenario with one container for each node.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use authority::Authority;
use coordinator::ScenarioArguments;
use link::Name;
use scenario::Scenario;

/// Validity of certificates, in days.
const DAYS: u32 = 365;

/// Path of the data set in a container.
const DATA: &str = "/data";

/// Write a compose file with one service for every node of a scenario.
#[derive(clap::Args)]
#[command(after_long_help = "Examples:
  pom2dib compose --scenario mine.toml --out net && docker compose -f net/docker-compose.yml up
  pom2dib compose --scenario mine.toml --data DIR --tls --out net")]
pub(crate) struct Arguments {
    /// The scenario file; by default the built-in digits
    #[arg(long, value_name = "SCENARIO")]
    scenario: Option<PathBuf>,

    /// Change a key of the scenario, for example --set network.transmitters=5 (may be repeated)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,

    /// Folder of the data set on the machine that runs the containers
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// The folder to write, with docker-compose.yml, scenario.toml and certificates
    #[arg(long, default_value = "compose", value_name = "DIR")]
    out: PathBuf,

    /// Overwrite the files in --out, certificates included
    #[arg(long)]
    force: bool,

    /// Make certificates, and let the containers accept no other connections
    #[arg(long)]
    tls: bool,

    /// Give every node a GPU (by the NVIDIA container toolkit)
    #[arg(long)]
    gpu: bool,

    /// The image; by default pom2dib, or pom2dib:cuda with --gpu
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
}

/// Writes the folder and returns the exit status: 0 done, 2 wrong input.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match arguments.write() {
        Ok(lines) => {
            // If the reader has gone, the files are still there.
            node::say(lines.as_ref());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

impl Arguments {
    fn write(&self) -> anyhow::Result<String> {
        let out = &self.out;
        if self.tls {
            authority::check()?;
        }
        let (scenario, data) = self.scenario()?;
        let occupied = out.read_dir().is_ok_and(|mut entries| entries.next().is_some());
        if occupied && !self.force {
            bail!(
                "{} holds something already: choose another --out, or overwrite it with --force",
                out.display()
            );
        }
        std::fs::create_dir_all(out).with_context(|| out.display().to_string())?;
        authority::replace(&out.join("scenario.toml"), &scenario.to_toml(), 0o644)?;
        if self.tls {
            certificates(&out.join("certs"), &scenario)?;
        }
        authority::replace(&out.join("docker-compose.yml"), &self.file(&scenario, data.as_deref())?, 0o644)?;
        let (transmitters, receivers) = (scenario.transmitters(), scenario.receivers());
        Ok(format!(
            "{out}: a coordinator, {transmitters} transmitters and {receivers} receivers; start them with\n\
             docker compose --project-directory {out} up\n\
             and, once they have trained, serve their run with\n\
             docker compose --project-directory {out} --profile serve up --scale coordinator=0\n",
            out = out.display()
        ))
    }

    /// The scenario for the containers, and the folder of its data on this machine.
    fn scenario(&self) -> anyhow::Result<(Scenario, Option<PathBuf>)> {
        let (scenario, set, data) = (self.scenario.clone(), self.set.clone(), self.data.clone());
        let arguments = ScenarioArguments { scenario, set, data, ..ScenarioArguments::default() };
        let mut scenario = arguments.resolve()?;
        if let Some(store) = scenario.checkpoint.store.as_ref().filter(|store| !store.contains("://")) {
            bail!(
                "checkpoint.store is {store}, a folder that no container has: name an object store, or none, and the \
                 run's volume keeps the checkpoints"
            );
        }
        let data = match scenario.data.path.take() {
            Some(path) => Some(std::path::absolute(&path).with_context(|| path.display().to_string())?),
            None => None,
        };
        scenario.data.path = data.as_ref().map(|_| DATA.into());
        Ok((scenario, data))
    }

    fn file(&self, scenario: &Scenario, data: Option<&Path>) -> anyhow::Result<String> {
        let data = data
            .map(|path| path.to_str().context("the data's folder must have a name in UTF-8"))
            .transpose()?;
        let transmitters = (0..scenario.transmitters() as u32).map(Name::Transmitter);
        let receivers = (0..scenario.receivers() as u32).map(Name::Receiver);
        let names = std::iter::once(Name::Coordinator).chain(transmitters).chain(receivers);
        let services: String = names.map(|name| self.service(name, data)).collect();
        let services = services + &self.stream_service();
        Ok(format!("{}services:\n{services}\nnetworks:\n  pom2dib:\n\nvolumes:\n  run:\n", self.common()))
    }

    /// The common part of all services.
    fn common(&self) -> String {
        let image = match (&self.image, self.gpu) {
            (Some(image), _) => image.as_str(),
            (None, true) => "pom2dib:cuda",
            (None, false) => "pom2dib",
        };
        let (protection, reason) = if self.tls {
            ("  POM2DIB_TLS: /certs\n", "Every process shows a certificate of its own, and asks for one.")
        } else {
            (
                "  POM2DIB_INSECURE: \"true\"\n  POM2DIB_TOKEN:\n",
                "Only these containers, and this machine itself, reach their network: so nothing is asked for, unless the\n\
                 # environment of `docker compose` holds a POM2DIB_TOKEN. Write it with --tls for certificates.",
            )
        };
        format!(
            "# Written by `pom2dib compose`. {reason}
x-environment: &environment
{protection}  POM2DIB_COORDINATOR: coordinator:7310
  POM2DIB_HEALTH: 127.0.0.1:7300
  POM2DIB_LOG:
  # One container is one machine to the others: there is no Unix-domain socket between two.
  POM2DIB_TCP_ONLY: \"true\"

x-process: &process
  image: {image}
  # Who ends with status 0 has done its work. Who is lost comes back, and the network goes on from its last checkpoint.
  restart: on-failure
  read_only: true
  tmpfs: [/tmp]
  cap_drop: [ALL]
  security_opt: [\"no-new-privileges:true\"]
  networks: [pom2dib]
  healthcheck:
    test: [CMD, pom2dib, health, --ready]
    interval: 5s
    timeout: 10s
    start_period: 30s

",
            image = quoted(image)
        )
    }

    fn service(&self, name: Name, data: Option<&str>) -> String {
        let stem = name.stem();
        let (command, listen, grace) = match name {
            Name::Transmitter(k) => (format!("transmitter, --index, \"{k}\""), Some("0.0.0.0:7311"), "15s"),
            Name::Receiver(t) => (format!("receiver, --index, \"{t}\""), None, "15s"),
            _ => ("coordinator, /scenario.toml, --resume-or-start".into(), Some("0.0.0.0:7310"), "45s"),
        };
        let mut volumes = Vec::new();
        if name == Name::Coordinator {
            volumes.extend(["run:/var/lib/pom2dib".into(), "./scenario.toml:/scenario.toml:ro".into()]);
        } else if let Some(data) = data {
            volumes.push(format!("{data}:{DATA}:ro"));
        }
        volumes.extend(self.certificates_of(&stem));
        // Not without limit: wrong input stays wrong.
        let restart = if name == Name::Coordinator { "    restart: on-failure:20\n" } else { "" };
        let mut text = format!(
            "  {stem}:\n    <<: *process\n    command: [{command}]\n    stop_grace_period: {grace}\n{restart}    \
             environment:\n      <<: *environment\n"
        );
        if let Some(listen) = listen {
            text += &format!("      POM2DIB_LISTEN: {listen}\n");
        }
        if self.gpu && name != Name::Coordinator {
            text += "      POM2DIB_DEVICE: cuda:0\n    deploy:\n      resources:\n        reservations:\n          \
                     devices:\n            - driver: nvidia\n              count: 1\n              capabilities: [gpu]\n";
        }
        text + &mounted(&volumes)
    }

    /// The files of a process with a certificate of its own.
    fn certificates_of(&self, stem: &str) -> Vec<String> {
        let files = ["ca.pem".into(), format!("{stem}.pem"), format!("{stem}.key")];
        let mount = |file: String| format!("./certs/{file}:/certs/{file}:ro");
        if self.tls { files.map(mount).to_vec() } else { Vec::new() }
    }

    /// The coordinator of the run as a service, which nodes find under the coordinator's name.
    fn stream_service(&self) -> String {
        let flags =
            ["SOURCE", "RATE", "LIMIT", "DEADLINE", "BATCH_UP_TO", "QUEUE", "WHEN_FULL", "RELOAD", "JSON"];
        let flags: String = flags.map(|flag| format!("      POM2DIB_{flag}:\n")).concat();
        let volumes = [vec!["run:/var/lib/pom2dib".into()], self.certificates_of("coordinator")].concat();
        format!(
            "  # Serves the run, once it has been trained: docker compose --profile serve up --scale coordinator=0\n  \
               service:\n    <<: *process\n    profiles: [serve]\n    command: [coordinator, --serve, run]\n    \
               stop_grace_period: 45s\n    restart: on-failure:20\n    \
               networks:\n      pom2dib:\n        aliases: [coordinator]\n    \
               environment:\n      <<: *environment\n      POM2DIB_LISTEN: 0.0.0.0:7310\n{flags}{}",
            mounted(&volumes)
        )
    }
}

/// The volumes of a service, if it has any.
fn mounted(volumes: &[String]) -> String {
    let lines = volumes.iter().map(|volume| format!("      - {}\n", quoted(volume))).collect::<String>();
    if lines.is_empty() { lines } else { format!("    volumes:\n{lines}") }
}

/// Text for compose files: JSON strings are valid YAML, and a dollar must be doubled, since it starts a variable.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text.replace('$', "$$")).to_string()
}

/// Makes certificates for all nodes. The folder is closed to other users of this machine, but the container's user,
/// which is another one, must be able to read its key.
fn certificates(folder: &Path, scenario: &Scenario) -> anyhow::Result<()> {
    if folder.exists() {
        authority::clear(folder)?;
    }
    let authority = Authority::create(folder, DAYS)?;
    authority.issue(Name::Admin, DAYS)?;
    let transmitters = (0..scenario.transmitters() as u32).map(Name::Transmitter);
    let receivers = (0..scenario.receivers() as u32).map(Name::Receiver);
    for name in std::iter::once(Name::Coordinator).chain(transmitters).chain(receivers) {
        authority.issue(name, DAYS)?;
        let key = folder.join(format!("{}.key", name.stem()));
        std::fs::set_permissions(&key, Permissions::from_mode(0o644))
            .with_context(|| key.display().to_string())?;
    }
    Ok(())
}
