//! Text that somebody else has written, as a terminal or a log may show it.

/// How many characters of it are shown: a reason has one line, whoever gives it.
const LONGEST: usize = 2000;

/// Text from outside (a peer's name, version or reason) as one line that moves no cursor and hides nothing: control
/// characters, ANSI's among them, line ends, and what reorders text or cannot be seen become `\u{1b}` and the like. What is
/// too long is cut, and says so.
///
/// Whoever prints or logs what a peer has written passes it through here, once it has come off the wire at the latest
/// where it leaves for a terminal. To do so twice changes nothing.
pub fn printable(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(4 * LONGEST));
    for (at, character) in text.chars().enumerate() {
        if at == LONGEST {
            line += &format!("... ({} characters)", text.chars().count());
            break;
        }
        match character {
            '\n' => line += "\\n",
            '\t' => line.push(' '),
            hidden if is_hidden(hidden) => line.extend(hidden.escape_unicode()),
            shown => line.push(shown),
        }
    }
    line
}

/// Whether a character acts on a terminal, on the order of the text, or leaves no trace.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            // Marks, embeddings, overrides and isolates of the writing direction.
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Line ends that not every terminal takes for one.
            | '\u{2028}' | '\u{2029}'
            // Nothing that one sees.
            | '\u{00ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_or_hides_is_spelt_out_and_all_else_stays() {
        for (text, shown) in [
            ("receiver 1: Größe 東京 😀 \"quoted\" \\ fine", "receiver 1: Größe 東京 😀 \"quoted\" \\ fine"),
            ("\u{1b}[2J\u{1b}]0;owned\u{7}", "\\u{1b}[2J\\u{1b}]0;owned\\u{7}"),
            ("\u{9b}31mred", "\\u{9b}31mred"),
            ("done\r\nerror: none", "done\\u{d}\\nerror: none"),
            ("a\tb\u{8}\u{7f}\0", "a b\\u{8}\\u{7f}\\u{0}"),
            (
                "run \u{202e}txt.exe\u{202c} \u{2066}x\u{2069}",
                "run \\u{202e}txt.exe\\u{202c} \\u{2066}x\\u{2069}",
            ),
            ("ad\u{200b}min\u{feff}\u{2028}", "ad\\u{200b}min\\u{feff}\\u{2028}"),
        ] {
            assert_eq!(printable(text), shown);
            assert_eq!(printable(shown), shown, "a second time changes nothing");
        }
    }

    #[test]
    fn a_reason_without_end_is_cut_and_says_so() {
        let line = printable(&"é".repeat(3_000_000));
        assert!(line.ends_with("é... (3000000 characters)"), "{}", &line[line.len() - 80..]);
        assert!(line.chars().count() < LONGEST + 40);
    }
}
