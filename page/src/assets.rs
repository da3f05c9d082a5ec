//! The page's own files: one document with its style and scripts, which asks nothing of any other host.

use std::sync::LazyLock;

use serde_json::Value;

const DOCUMENT: &str = include_str!("../web/page.html");
const LIST: &str = include_str!("../web/list.html");
const REPORT: &str = include_str!("../web/report.html");
const STYLE: &str = include_str!("../web/page.css");

/// The scripts, in the order in which they run.
const SCRIPTS: [&str; 11] = [
    include_str!("../web/words.js"),
    include_str!("../web/store.js"),
    include_str!("../web/source.js"),
    include_str!("../web/chart.js"),
    include_str!("../web/heat.js"),
    include_str!("../web/network.js"),
    include_str!("../web/links.js"),
    include_str!("../web/quantities.js"),
    include_str!("../web/ticks.js"),
    include_str!("../web/panels.js"),
    include_str!("../web/page.js"),
];

/// The scripts of the list of runs.
const LIST_SCRIPTS: [&str; 5] = [
    include_str!("../web/words.js"),
    include_str!("../web/store.js"),
    include_str!("../web/source.js"),
    include_str!("../web/chart.js"),
    include_str!("../web/list.js"),
];

/// The scripts of a report.
const REPORT_SCRIPTS: [&str; 9] = [
    include_str!("../web/words.js"),
    include_str!("../web/store.js"),
    include_str!("../web/chart.js"),
    include_str!("../web/heat.js"),
    include_str!("../web/network.js"),
    include_str!("../web/links.js"),
    include_str!("../web/quantities.js"),
    include_str!("../web/plane.js"),
    include_str!("../web/report.js"),
];

/// A number that style and scripts of this process's pages carry, and nothing that anybody may have put into a page.
static NONCE: LazyLock<String> = LazyLock::new(|| {
    let mut random = [0; 16];
    // Without it the page holds no text of others either.
    let _ = getrandom::fill(&mut random);
    random.iter().map(|byte| format!("{byte:02x}")).collect()
});

static PAGE: LazyLock<String> = LazyLock::new(|| document(DOCUMENT, &SCRIPTS.concat(), "null"));
static RUNS: LazyLock<String> = LazyLock::new(|| document(LIST, &LIST_SCRIPTS.concat(), "null"));

/// The page of a run.
pub(crate) fn page() -> &'static str {
    &PAGE
}

/// The page with a list of runs.
pub(crate) fn list() -> &'static str {
    &RUNS
}

/// The page of a run with its state, an object of JSON, as a file that needs no server.
pub fn file_of(state: &str) -> String {
    document(DOCUMENT, &SCRIPTS.concat(), &within_script(state))
}

/// A report as a file that needs no server: a title as text of HTML, a body of HTML that is XML, too, and `data`, from
/// which its script draws a picture into every element of the body with an attribute `data-picture` (`web/report.js`).
pub fn report(title: &str, body: &str, data: &Value) -> String {
    let script = REPORT_SCRIPTS.concat();
    let style = format!("{STYLE}\n{}", by_night());
    let data = within_script(&data.to_string());
    fill(
        REPORT,
        &[
            ("title", title),
            ("version", env!("CARGO_PKG_VERSION")),
            ("style", &style),
            ("body", body),
            ("data", &data),
            ("script", &script),
        ],
    )
}

/// The dark colours again, for a page whose script does not run and hence does not say which are wanted.
fn by_night() -> String {
    const DARK: &str = ":root[data-theme=\"dark\"] {";
    let rule = STYLE.split_once(DARK).and_then(|(_, rest)| rest.split_once('}'));
    let (colours, _) = rule.expect("the style has dark colours");
    format!("@media (prefers-color-scheme: dark) {{ :root:not([data-theme]) {{{colours}}} }}")
}

/// JSON that neither ends the script that holds it nor is taken for markup.
fn within_script(json: &str) -> String {
    json.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e")
}

/// What a browser may load for the pages: their own style and scripts, and their own server's answers.
pub(crate) fn policy() -> String {
    format!(
        "default-src 'none'; script-src 'nonce-{0}'; style-src 'nonce-{0}'; img-src data:; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        *NONCE
    )
}

fn document(document: &str, script: &str, state: &str) -> String {
    fill(document, &[("nonce", &NONCE), ("style", STYLE), ("script", script), ("state", state)])
}

/// A template with values in the places of their names in braces. What is filled in is not looked at again.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut pieces = template.split('{');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (name, rest) = piece.split_once('}').expect("a brace in a template begins a name");
        let (_, value) = values.iter().find(|(own, _)| *own == name).expect("every name has a value");
        text += value;
        text += rest;
    }
    text
}
