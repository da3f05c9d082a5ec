//! The module `pom2dib._native`.

use std::{
    any::Any,
    ffi::OsString,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    process::ExitCode,
};

use pom2dib::Program;
use pyo3::prelude::*;

use crate::{channel, dataset, network, policy};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pyo3::import_exception!(pom2dib._errors, InternalError);

/// Does what the words of a command line say, and gives the exit status. `start` is the command that starts this
/// program again, and `file` the library that it is in. Other threads may run Python meanwhile. To be called once in a
/// process, which it may end.
#[pyfunction]
fn main(py: Python<'_>, arguments: Vec<OsString>, start: Vec<OsString>, file: PathBuf) -> PyResult<u8> {
    let program = Program::new()
        .arguments(arguments)
        .started_by(start, file)
        .model("python", network::build)
        .channel("python", channel::build)
        .policy("python", policy::build)
        .data("python", dataset::PythonSource)
        .compute_within(network::within);
    let outcome = py.detach(|| catch_unwind(AssertUnwindSafe(|| program.run())));
    outcome.map(number).map_err(|panic| InternalError::new_err(message(&*panic)))
}

/// An exit status as a number; it does not say it itself.
fn number(code: ExitCode) -> u8 {
    (0..u8::MAX).find(|number| ExitCode::from(*number) == code).unwrap_or(u8::MAX)
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
}

/// The program, for `pom2dib/__main__.py`.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(main, module)?)
}
