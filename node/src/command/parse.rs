use std::{ffi::OsString, io::IsTerminal};

use clap::{
    Command, Parser,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::{complain, say};

/// Reads the command line of this process, as [`parse_from`] does.
pub fn parse<C: Parser>() -> C {
    parse_from(std::env::args_os().collect())
}

/// Parses a command line whose first word is the program. On an error prints one line, as for any other user error, and
/// ends the process.
pub fn parse_from<C: Parser>(words: Vec<OsString>) -> C {
    C::try_parse_from(&words).unwrap_or_else(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion if !std::io::stdout().is_terminal() => {
            say(&error.render().to_string());
            std::process::exit(0)
        }
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => error.exit(),
        _ => {
            let mut command = C::command();
            // Before that, arguments do not have their names.
            command.build();
            let variable =
                variable(&error, &command, &words).map(|name| format!(" (the environment's {name})"));
            let variable = variable.unwrap_or_default();
            complain(&format!("{}{variable}; try --help", one_line(&error.to_string())));
            std::process::exit(2)
        }
    })
}

/// The environment variable with the value that an error complains about: a user who gave no flag would not recognise
/// the flag that the error names.
fn variable(error: &clap::Error, command: &Command, words: &[OsString]) -> Option<String> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let (flag, value) = (text(ContextKind::InvalidArg)?, text(ContextKind::InvalidValue)?);
    // The command line overrides the environment.
    let given = words.iter().skip(1).map(|word| word.to_string_lossy());
    if { given }.any(|word| word == value || word.ends_with(&format!("={value}"))) {
        return None;
    }
    let of_command = command.get_arguments().find_map(|argument| {
        let name = argument.get_env()?.to_str()?;
        let is_it = argument.to_string() == flag && std::env::var(name).is_ok_and(|found| found == value);
        is_it.then(|| name.to_owned())
    });
    of_command.or_else(|| command.get_subcommands().find_map(|below| variable(error, below, words)))
}

/// The paragraphs of a message that state the problem and the remedy, on one line.
fn one_line(message: &str) -> String {
    let paragraphs = message.trim().split("\n\n");
    let telling = paragraphs.filter(|paragraph| {
        !["Usage:", "For more information"].iter().any(|start| paragraph.starts_with(start))
    });
    let lines = telling.map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Options;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn every_mistake_on_the_command_line_takes_one_line_that_names_it() {
        for (words, expected) in [
            (vec!["--patience", "soon"], "error: invalid value 'soon' for '--patience <SECONDS>': "),
            (vec!["--devise", "cpu"], "error: unexpected argument '--devise' found; tip: "),
            (vec!["--listen"], "error: a value is required for '--listen <IP:PORT>'"),
            (
                vec!["--device", "gpu"],
                "error: invalid value 'gpu' for '--device <DEVICE>': device \"gpu\" is none of",
            ),
        ] {
            let error = Cli::try_parse_from([&["node"], words.as_slice()].concat()).unwrap_err();
            let line = one_line(&error.to_string());
            assert!(line.starts_with(expected), "{line}");
            assert_eq!(line.lines().count(), 1);
        }
    }
}
