//! How many files, and so connections, the system lets a process have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Fewest open files to work with: the async runtime, standard streams and first sockets need almost as many, and
/// without them even the runtime's start may panic.
const LEAST: usize = 32;

/// Enough for a listener's connections and all else; a higher limit would slow down programs that close every
/// descriptor.
const ENOUGH: u64 = 16_384;

/// Raises the limit of open files as far as needed, if the system allows it: the soft limit is often 1,024, and the
/// hard limit far higher. Call it at the start of a program; child processes inherit the limit.
///
/// # Errors
/// If the limit is too low for the program to work: one line with both numbers and the system's error.
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
