//! Output to standard output and standard error that never panics, even if they are closed or full.

use std::io::{ErrorKind, Write};

/// Writes to standard output. If its reader has gone (a closed pager, `head`), further output is dropped and the exit
/// status stays the same. If the output cannot be written for another reason, such as a full disk, the process ends
/// with one line and status 1.
pub fn say(text: &str) {
    let mut output = std::io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            complain(&format!("error: standard output cannot be written: {error}"));
            std::process::exit(1)
        }
        _ => {}
    }
}

/// Writes a line to standard error, if possible.
pub fn complain(line: &str) {
    let _ = std::io::stderr().lock().write_all(format!("{line}{}\n", remedy(line)).as_bytes());
}

/// What to do about a system limit that any file or socket may reach.
fn remedy(line: &str) -> &'static str {
    // EMFILE (too many open files), as Rust prints it.
    match line.contains("(os error 24)") {
        true => "; raise the limit on open files, for example with `ulimit -n 4096`",
        false => "",
    }
}

/// Like the standard library's macro, but through [`say`]: for crates that import this project's macros
/// (`#[macro_use] extern crate node`).
#[macro_export]
macro_rules! print {
    ($($word:tt)*) => { $crate::say(&format!($($word)*)) };
}

/// The same with a line end.
#[macro_export]
macro_rules! println {
    () => { $crate::say("\n") };
    ($($word:tt)*) => { $crate::say(&(format!($($word)*) + "\n")) };
}

/// Like the standard library's macro, but through [`complain`].
#[macro_export]
macro_rules! eprintln {
    ($($word:tt)*) => { $crate::complain(&format!($($word)*)) };
}
