//! Standard output and standard error that may be closed or full: neither makes the program panic.

use std::io::{ErrorKind, Write};

/// Writes to standard output. A reader that has gone away (a pager that was left, `head`) has seen enough: what else is said is
/// dropped, and the exit status is what it would have been. If the output cannot be written for another reason, a full disk for
/// example, the process ends with one line and status 1.
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

/// Writes a line to standard error, if that can be written at all.
pub fn complain(line: &str) {
    let _ = std::io::stderr().lock().write_all(format!("{line}{}\n", remedy(line)).as_bytes());
}

/// What to do about a limit of the system that any file or socket may meet.
fn remedy(line: &str) -> &'static str {
    // EMFILE, as Rust writes it.
    match line.contains("(os error 24)") {
        true => "; raise the limit on open files, for example with `ulimit -n 4096`",
        false => "",
    }
}

/// Like the standard library's, but by [`say`]: crates that take this project's macros (`#[macro_use] extern crate node`) print
/// with it.
#[macro_export]
macro_rules! print {
    ($($word:tt)*) => { $crate::say(&format!($($word)*)) };
}

/// The same with the end of a line.
#[macro_export]
macro_rules! println {
    () => { $crate::say("\n") };
    ($($word:tt)*) => { $crate::say(&(format!($($word)*) + "\n")) };
}

/// Like the standard library's, but by [`complain`].
#[macro_export]
macro_rules! eprintln {
    ($($word:tt)*) => { $crate::complain(&format!($($word)*)) };
}
