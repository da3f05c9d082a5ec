//! Quoting for the command line of a POSIX shell.

use std::path::Path;

/// A text as a single word, quoted if a shell would otherwise misread it.
pub fn shell_word(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+=:,@%".contains(letter);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.into(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// A path as a single word.
pub fn shell_path(path: &Path) -> String {
    shell_word(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_every_word() {
        for text in ["plain", "", "a b", "it's", "$HOME `x` \"y\" \\", "a=1,b=2", "~", "line\nend"] {
            let output = std::process::Command::new("sh")
                .args(["-c", &format!("printf %s {}", shell_word(text))])
                .output();
            assert_eq!(String::from_utf8(output.unwrap().stdout).unwrap(), text);
        }
    }

    #[test]
    fn only_words_that_a_shell_would_misread_are_quoted() {
        let words = ["run", "--set=a.b=1e-4", "", "two words", "it's", "[{loss=0.5}]"];
        let expected = ["run", "--set=a.b=1e-4", "''", "'two words'", r"'it'\''s'", "'[{loss=0.5}]'"];
        assert_eq!(words.map(shell_word), expected);
        assert_eq!(shell_path(Path::new("/a/train.beta=0.1,seed=3")), "/a/train.beta=0.1,seed=3");
    }
}
