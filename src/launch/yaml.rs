//! YAML, as manifests are written in it.

use serde_json::Value;

/// Documents of a file, in order.
pub(crate) fn documents(documents: &[Value]) -> String {
    documents.iter().map(|document| format!("---\n{}", block(document, 0))).collect()
}

/// A value in block style at an indentation, ending with a line's end.
fn block(value: &Value, indent: usize) -> String {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(map) if !map.is_empty() => {
            let entry = |(key, value): (&String, &Value)| match is_flat(value) {
                true => format!("{pad}{}: {}", word(key), flat(value, indent)),
                false => format!("{pad}{}:\n{}", word(key), block(value, indent + 2)),
            };
            map.iter().map(entry).collect()
        }
        Value::Array(list) if !list.is_empty() => {
            let entry = |value: &Value| match is_flat(value) {
                true => format!("{pad}- {}", flat(value, indent)),
                // The first line moves up to the dash.
                false => format!("{pad}- {}", block(value, indent + 2).trim_start()),
            };
            list.iter().map(entry).collect()
        }
        other => format!("{pad}{}", flat(other, indent)),
    }
}

fn is_flat(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty() || list.iter().all(|value| value.is_string()),
        _ => true,
    }
}

/// A value that needs no lines of its own, but for a text of several lines.
fn flat(value: &Value, indent: usize) -> String {
    match value {
        Value::String(text) if text.ends_with('\n') && !text.starts_with([' ', '\n']) => {
            let pad = " ".repeat(indent + 2);
            let lines =
                text.lines().map(|line| if line.is_empty() { "\n".into() } else { format!("{pad}{line}\n") });
            format!("|\n{}", lines.collect::<String>())
        }
        Value::Array(list) => {
            let words: Vec<String> = list.iter().map(|value| flat(value, 0).trim_end().to_owned()).collect();
            format!("[{}]\n", words.join(", "))
        }
        Value::String(text) => word(text) + "\n",
        other => format!("{other}\n"),
    }
}

/// A text on one line: as it is where nobody can take it for anything else, or as JSON, which is YAML too.
fn word(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "._/-".contains(letter);
    let first = text.chars().next().is_some_and(|letter| letter.is_ascii_alphabetic() || letter == '/');
    let keyword = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    match first && text.chars().all(plain) && !keyword.contains(&text.to_ascii_lowercase().as_str()) {
        true => text.into(),
        false => Value::from(text).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_reads_as_one_would_write_it() {
        let document = json!({
            "apiVersion": "v1",
            "args": ["point", "--list", "/a b", "1"],
            "data": { "scenario.toml": "a = 1\n\nb = \"x\"\n" },
            "empty": {},
            "env": [{ "name": "A", "value": "true" }, { "name": "B", "value": "12" }],
            "replicas": 3,
        });
        let expected = "---\napiVersion: v1\nargs: [point, \"--list\", \"/a b\", \"1\"]\ndata:\n  scenario.toml: |\n    a = 1\n\n    \
                        b = \"x\"\nempty: {}\nenv:\n  - name: A\n    value: \"true\"\n  - name: B\n    value: \"12\"\nreplicas: 3\n";
        assert_eq!(documents(&[document]), expected);
    }
}
