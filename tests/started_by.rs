//! A program without an executable of its own: all processes that it starts are started by the command that it names.
//! This file is both the program and its test: with the argument "as-program" it is the program, and without it
//! starting a role is refused, as an interpreter would.

use std::{ffi::OsString, path::Path, process::ExitCode};

use harness::Place;
use pom2dib::Program;

const AS_PROGRAM: &str = "as-program";

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let first = words.next();
    let this = std::env::current_exe().expect("this test is an executable");
    match first {
        Some(word) if word == AS_PROGRAM => {
            // The content of this file identifies the build.
            let file = Path::new(&std::env::var_os("PROGRAM_FILE").unwrap_or_default()).to_path_buf();
            let start = [this.into_os_string(), OsString::from(AS_PROGRAM)];
            Program::new().arguments(words).started_by(start, file).run()
        }
        // Cargo's arguments for tests begin with a dash, or name a test.
        Some(word) if ["coordinator", "transmitter", "receiver", "run"].iter().any(|role| word == *role) => {
            eprintln!("error: this is an interpreter, which knows no {}", word.display());
            ExitCode::from(2)
        }
        _ => {
            nodes_and_runs_of_its_own_are_started_by_the_command_that_it_names(&this);
            println!("1 passed, 0 failed");
            ExitCode::SUCCESS
        }
    }
}

fn nodes_and_runs_of_its_own_are_started_by_the_command_that_it_names(this: &Path) {
    let program: &'static str = this.to_str().expect("cargo's paths are UTF-8").to_owned().leak();
    let place = Place::new(program);
    place.run("run tiny.toml").failed(2, &["this is an interpreter"]);

    place.write("library.so", "what is called a build");
    let run = format!("PROGRAM_FILE=library.so {AS_PROGRAM} run tiny.toml --out a --json");
    let summary = place.run(&run).done().json();
    assert_eq!(summary["rounds"], 6);
    place.run(&format!("{AS_PROGRAM} evaluate a")).done();

    // A sweep starts runs, which start nodes; the file identifies its build.
    let sweep = format!("PROGRAM_FILE=library.so {AS_PROGRAM} sweep tiny.toml --set seed=1,2 --out sweep");
    place.run(&sweep).done();
    let other = sweep.replace("library.so", "other.so");
    place.write("other.so", "another build");
    let said = place.run(&other).done().stderr;
    assert!(
        said.contains("2 of 2 points that are there were made by another build of this program"),
        "{said}"
    );
    place.assert_all_gone();
}
