use std::{
    io::IsTerminal,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context, bail};
use coordinator::Drawn;
use link::{LinkError, Listener, Token};
use page::{Door, Runs, Site};
use tokio::signal::unix::SignalKind;

use crate::{cli::slow::Slow, program::again};

/// Where readers find the token.
const TOKEN_PLACE: &str = "that of --token-file, or in the address that `pom2dib page` has printed";

/// Serve the pages of a folder of runs and sweeps, live and finished: a list of them, their curves over each other, and
/// the page of each. Or write the page of one run as a file.
#[derive(clap::Args)]
#[command(after_long_help = "Examples:
  pom2dib page runs                         # until Ctrl-C
  pom2dib page runs/mine                    # one run
  pom2dib page runs/mine --out mine.html    # a file that needs no server")]
pub(crate) struct Arguments {
    /// A folder of runs, or a run's folder
    #[arg(value_name = "FOLDER", default_value = "runs")]
    folder: PathBuf,

    /// Address to listen on; others than this machine's own need --token-file
    #[arg(long, default_value = "127.0.0.1:0", value_name = "IP:PORT", value_parser = node::listening)]
    listen: SocketAddr,

    /// File with the token that readers on other machines must show, and whoever has a tick computed again
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// Write the page of the run in FOLDER to this file, and serve nothing
    #[arg(long, value_name = "FILE", conflicts_with_all = ["listen", "token_file"])]
    out: Option<PathBuf>,

    /// Print the page's address or file as one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let done = match &arguments.out {
        Some(out) => write(arguments, out),
        None => serve(arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // All possible errors are those of input: a folder without runs, a file that cannot be written, a port in use.
        Err(error) => {
            eprintln!("error: {}", link::printable(&format!("{error:#}")));
            ExitCode::from(2)
        }
    }
}

fn write(arguments: &Arguments, out: &Path) -> anyhow::Result<()> {
    let reading = format!("reading the logs in {}", arguments.folder.display());
    let state = Slow::during(&reading, || Runs::state_of(&arguments.folder)).map_err(anyhow::Error::msg)?;
    std::fs::write(out, page::file_of(&state))
        .with_context(|| format!("{}: cannot be written; choose another --out", out.display()))?;
    say(arguments, &out.display().to_string());
    Ok(())
}

fn serve(arguments: &Arguments) -> anyhow::Result<()> {
    let runs = Arc::new(Runs::below(&arguments.folder).map_err(anyhow::Error::msg)?);
    let given = arguments.token_file.as_ref().map(|file| Token::read(file)).transpose()?;
    // A log may be read by others, so only a terminal is told a token, and only then one is made.
    let shows_token = !arguments.json && std::io::stdout().is_terminal();
    let token = match given {
        None if shows_token && arguments.listen.ip().is_loopback() => {
            Some(Token::random(Path::new("the page's token"))?)
        }
        given => given,
    };
    if token.is_none() && !arguments.listen.ip().is_loopback() {
        bail!(
            "{} can be reached from other machines: give --token-file FILE, or listen on 127.0.0.1",
            arguments.listen
        );
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let listener = Listener::bind_for_page(arguments.listen).await.map_err(|error| match error {
            LinkError::Listen { address, error } => {
                anyhow::anyhow!(
                    "cannot listen on {address}: {error}; choose another --listen (port 0 takes a free one)"
                )
            }
            other => other.into(),
        })?;
        let address = listener.address();
        let fragment = token.as_ref().filter(|_| shows_token).map(Token::fragment).unwrap_or_default();
        say(arguments, &format!("http://{address}/{fragment}"));
        let drawn = Drawn::default();
        let site = Site::of_folder(runs, Door::new(address, token, TOKEN_PLACE))
            .with_ticks(move |folder, tick| drawn.tick(folder, tick))
            .with_replay(replay);
        let stop = node::Shutdown::on(&[SignalKind::interrupt(), SignalKind::terminate()]);
        listener.serve_http(site.router(), stop.announced()).await;
        Ok(())
    })
}

/// The command that computes a tick of a run again.
fn replay(folder: &Path, tick: u64) -> tokio::process::Command {
    // Without a program the command fails, and says so.
    let program = again().unwrap_or_else(|_| std::process::Command::new("pom2dib"));
    let mut command = tokio::process::Command::from(program);
    command.arg("replay").arg(folder).args(["--json", "--tick", &tick.to_string()]);
    command
}

fn say(arguments: &Arguments, page: &str) {
    let json = || serde_json::json!({ "page": page }).to_string();
    println!("{}", if arguments.json { json() } else { page.to_owned() });
}
