//! Text from outside, made safe for a terminal or a log.

/// How many characters are shown, so that a reason stays short.
const LONGEST: usize = 2000;

/// Text from outside (a peer's name, version or reason) as one line without effects on the terminal: control
/// characters, including ANSI escapes, line ends, and characters that reorder text or are invisible become `\u{1b}` and
/// the like. Longer text is cut, and marked as cut.
///
/// Apply it to every text of a peer that is printed or logged, at the latest on its way to a terminal. Applying it
/// twice changes nothing.
pub fn printable(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(4 * LONGEST));
    let mut length = 0;
    for character in text.chars() {
        match character {
            '\n' => line += "\\n",
            '\t' => line.push(' '),
            hidden if is_hidden(hidden) => line.extend(hidden.escape_unicode()),
            shown => line.push(shown),
        }
        length += 1;
        if length > LONGEST {
            break;
        }
    }
    // With its mark, what was cut is no longer than what is not: a second time changes nothing.
    if line.chars().count() > LONGEST {
        let mark = format!("... ({} characters)", text.chars().count());
        line = line.chars().take(LONGEST - mark.len()).collect::<String>() + &mark;
    }
    line
}

/// Whether a character acts on a terminal, reorders text, or is invisible.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            // Marks, embeddings, overrides and isolates of the writing direction.
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Line ends that only some terminals honour.
            | '\u{2028}' | '\u{2029}'
            // Invisible characters.
            | '\u{00ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_act_on_a_terminal_or_hide_are_spelt_out_and_others_stay() {
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
        assert!(line.chars().count() <= LONGEST);
        let hidden = printable(&"\u{200b}".repeat(1999));
        for line in [line, hidden] {
            assert_eq!(printable(&line), line, "a second time changes nothing");
        }
    }
}
