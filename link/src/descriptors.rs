//! How many files, and so connections, the system lets a process have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Fewer than the async runtime, standard streams and the first sockets take: with less, even its start may panic.
const LEAST: usize = 32;

/// Enough for a listener's connections and all else; more would only make programs slow that close everything.
const ENOUGH: u64 = 16_384;

/// Lets this process open as many files as it may need, if the system does: the soft limit is often 1,024, and the hard
/// one far higher. For the start of a program; what it starts later has the same limit.
///
/// # Errors
/// If the system allows so few that the program cannot work: one line that gives both numbers, and the system's error.
pub fn raise_descriptor_limit() -> Result<(), String> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.unwrap_or(ENOUGH).min(ENOUGH);
    if current.is_some_and(|current| current < wanted) {
        let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
        if let Err(error) = raised {
            tracing::info!(%error, "the limit of open files stays where it is");
        }
    }
    match allowed() {
        LEAST.. => Ok(()),
        few => {
            let error = std::io::Error::from(rustix::io::Errno::MFILE);
            Err(format!("this program opens {LEAST} files or more, and the limit here is {few}: {error}"))
        }
    }
}

/// How many files this process may have open.
pub(crate) fn allowed() -> usize {
    let current = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(current).unwrap_or(usize::MAX)
}
