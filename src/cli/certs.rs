//! `pom2dib certs new|add|renew|show|token`.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use authority::{Authority, Found};
use clap::Subcommand;
use coordinator::ScenarioArguments;
use link::Name;
use time::OffsetDateTime;

/// Make certificates by which the nodes of a network authenticate each other.
#[derive(clap::Args)]
#[command(after_long_help = "Examples:
  pom2dib certs new certs --transmitters 3 --receivers 3
  pom2dib certs show certs
  pom2dib certs renew certs
  pom2dib certs token token    # a word that all nodes show, in place of certificates")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make an authority, and a certificate for the coordinator, every node and an administrator
    #[command(after_long_help = "Examples:
  pom2dib certs new certs --transmitters 3 --receivers 3
  pom2dib certs new certs --scenario mine.toml --days 30")]
    New {
        /// The folder, which only you will be able to enter
        folder: PathBuf,
        #[command(flatten)]
        network: Certified,
        #[command(flatten)]
        validity: Validity,
        /// Replace the certificates in the folder, and the authority
        #[arg(long)]
        force: bool,
    },
    /// Make further certificates with the authority of a folder
    #[command(after_long_help = "Example:
  pom2dib certs add certs transmitter-3 receiver-3")]
    Add {
        /// The folder
        folder: PathBuf,
        /// Names: coordinator, transmitter-K, receiver-T or admin
        #[arg(required = true, value_parser = name)]
        names: Vec<Name>,
        #[command(flatten)]
        validity: Validity,
        /// Replace those that exist
        #[arg(long)]
        force: bool,
    },
    /// Replace all certificates of a folder by new ones of the same authority; running nodes load them without a
    /// restart
    #[command(after_long_help = "Example:
  pom2dib certs renew certs --days 90")]
    Renew {
        /// The folder
        folder: PathBuf,
        #[command(flatten)]
        validity: Validity,
    },
    /// Show the names of the certificates in a folder, and until when they are valid
    #[command(after_long_help = "Example:
  pom2dib certs show certs")]
    Show {
        /// The folder
        folder: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Make a join token: simpler than certificates, but weaker
    #[command(after_long_help = "Example:
  pom2dib certs token token && pom2dib coordinator mine.toml --token-file token")]
    Token {
        /// The file, which only you will be able to read
        file: PathBuf,
        /// Replace the file
        #[arg(long)]
        force: bool,
    },
}

/// How many certificates are needed.
#[derive(clap::Args)]
struct Certified {
    /// The scenario whose nodes get certificates; by default the built-in digits
    #[arg(long, value_name = "SCENARIO", conflicts_with_all = ["transmitters", "receivers"])]
    scenario: Option<PathBuf>,

    /// Number of transmitters, instead of a scenario
    #[arg(long, value_name = "K", requires = "receivers", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    transmitters: Option<u32>,

    /// Number of receivers, instead of a scenario
    #[arg(long, value_name = "T", requires = "transmitters", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    receivers: Option<u32>,
}

#[derive(clap::Args)]
struct Validity {
    /// Days for which the certificates are valid
    #[arg(long, default_value_t = 365, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let outcome = match &arguments.command {
        Command::New { folder, network, validity, force } => new(folder, network, validity.days, *force),
        Command::Add { folder, names, validity, force } => add(folder, names, validity.days, *force),
        Command::Renew { folder, validity } => renew(folder, validity.days),
        Command::Show { folder, json } => show(folder, *json),
        Command::Token { file, force } => token(file, *force),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn new(folder: &Path, network: &Certified, days: u32, force: bool) -> anyhow::Result<()> {
    authority::check()?;
    let (transmitters, receivers) = network.size()?;
    let occupied = folder.read_dir().is_ok_and(|mut entries| entries.next().is_some());
    if occupied && !force {
        bail!(
            "{} holds something already: choose another folder, or say --force to replace its certificates",
            folder.display()
        );
    }
    if occupied {
        authority::clear(folder)?;
    }
    let authority = Authority::create(folder, days)?;
    let names = [Name::Coordinator, Name::Admin]
        .into_iter()
        .chain((0..transmitters).map(Name::Transmitter))
        .chain((0..receivers).map(Name::Receiver));
    for name in names {
        authority.issue(name, days)?;
    }
    say(&format!(
        "{folder}: certificates for the coordinator, {transmitters} transmitters, {receivers} receivers and an \
         administrator, valid for {days} days\n\
         give each process ca.pem and the .pem and .key of its own name (--tls DIR); keep ca.key where only you can read it\n",
        folder = folder.display()
    ));
    Ok(())
}

impl Certified {
    fn size(&self) -> anyhow::Result<(u32, u32)> {
        if let (Some(transmitters), Some(receivers)) = (self.transmitters, self.receivers) {
            return Ok((transmitters, receivers));
        }
        let scenario =
            ScenarioArguments { scenario: self.scenario.clone(), ..Default::default() }.resolve()?;
        Ok((u32::try_from(scenario.transmitters())?, u32::try_from(scenario.receivers())?))
    }
}

fn add(folder: &Path, names: &[Name], days: u32, force: bool) -> anyhow::Result<()> {
    let authority = Authority::open(folder)?;
    for name in names {
        let exists =
            [".pem", ".key"].into_iter().any(|extension| folder.join(name.stem() + extension).exists());
        if exists && !force {
            bail!("{} holds a certificate of {name} already: say --force to replace it", folder.display());
        }
    }
    names.iter().try_for_each(|name| authority.issue(*name, days))
}

fn renew(folder: &Path, days: u32) -> anyhow::Result<()> {
    let authority = Authority::open(folder)?;
    let names = authority::found_in(folder)?.into_iter().filter_map(|found| found.name);
    names.into_iter().try_for_each(|name| authority.issue(name, days))
}

fn show(folder: &Path, as_json: bool) -> anyhow::Result<()> {
    let found = authority::found_in(folder)?;
    let now = OffsetDateTime::now_utc();
    if as_json {
        let list: Vec<_> = found.iter().map(|found| json(found, now)).collect();
        say(&format!("{}\n", serde_json::json!({ "folder": folder, "certificates": list })));
    } else {
        found.iter().for_each(|found| say(&line(found, now)));
    }
    Ok(())
}

fn whose(found: &Found) -> String {
    found.name.map_or("the authority".into(), |name| name.to_string())
}

fn line(found: &Found, now: OffsetDateTime) -> String {
    let until = found.until;
    let left = match (until - now).whole_days() {
        _ if until < now => "expired".into(),
        days => format!("{days} days left"),
    };
    let (date, hour, minute) = (until.date(), until.hour(), until.minute());
    format!("{:<20} until {date} {hour:02}:{minute:02} UTC ({left})\n", whose(found))
}

fn json(found: &Found, now: OffsetDateTime) -> serde_json::Value {
    serde_json::json!({
        "name": found.name.map_or("ca".into(), Name::stem),
        "until": found.until.unix_timestamp(),
        "expired": found.until < now,
    })
}

fn token(file: &Path, force: bool) -> anyhow::Result<()> {
    if file.exists() && !force {
        bail!("{} exists already: choose another file, or say --force to replace it", file.display());
    }
    let mut random = [0; 32];
    getrandom::fill(&mut random).context("the system gives no random bytes")?;
    let word = randomness::hex(&random);
    authority::replace(file, &(word + "\n"), 0o600)
}

fn name(text: &str) -> Result<Name, String> {
    Name::parse(text).ok_or_else(|| "names are coordinator, transmitter-K, receiver-T and admin".into())
}

/// A reader that has gone needs no output.
fn say(text: &str) {
    node::say(text);
}
