use std::{io::Read, process::ExitCode};

use tokio::signal::unix::{SignalKind, signal};

use crate::{Health, NodeError, Options, Shutdown};

/// Ends this process as soon as its standard input is closed. The parent holds the other end, so that even a killed
/// parent takes its children along.
pub fn end_with_parent() {
    std::thread::spawn(|| {
        let mut byte = [0];
        while matches!(std::io::stdin().read(&mut byte), Ok(1..)) {}
        tracing::error!("the parent process is gone: ending");
        std::process::exit(1);
    });
}

/// Runs a node on its own runtime and returns the exit status: 0 done, 2 wrong user input, 1 the run failed.
pub fn main<F>(options: Options, run: impl FnOnce(Options) -> F) -> ExitCode
where
    F: Future<Output = Result<(), NodeError>>,
{
    if options.end_with_parent {
        end_with_parent();
    }
    // One worker is enough for the links; the compute thread is the one that needs a core.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(async {
            // A terminal sends Ctrl-C to the whole process group: the parent decides what it means.
            let _parents_affair = options.end_with_parent.then(|| signal(SignalKind::interrupt()));
            let shutdown = Shutdown::on(&[SignalKind::terminate()]);
            let state_of_health = Health::serve(options.health).await?;
            run(Options { shutdown, state_of_health, ..options }).await
        }),
        Err(error) => Err(NodeError::Input(format!("cannot start the async runtime: {error}"))),
    };
    crate::join_machines();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", link::printable(&error.to_string()));
            ExitCode::from(if error.is_input() { 2 } else { 1 })
        }
    }
}
