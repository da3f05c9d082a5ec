use clap::{Parser, error::ErrorKind};

/// Reads the command line. What is wrong with it is said in one line, like whatever else is wrong with what users give.
pub fn parse<C: Parser>() -> C {
    C::try_parse().unwrap_or_else(|error| match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => error.exit(),
        _ => {
            eprintln!("{}; try --help", one_line(&error.to_string()));
            std::process::exit(2)
        }
    })
}

/// The paragraphs that say what is wrong and what would be right.
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
