//! The page's own files: one document with its style and scripts, which asks nothing of any other host.

use std::sync::LazyLock;

const DOCUMENT: &str = include_str!("../web/page.html");
const LIST: &str = include_str!("../web/list.html");
const STYLE: &str = include_str!("../web/page.css");

/// The scripts, in the order in which they run.
const SCRIPTS: [&str; 10] = [
    include_str!("../web/words.js"),
    include_str!("../web/store.js"),
    include_str!("../web/source.js"),
    include_str!("../web/chart.js"),
    include_str!("../web/heat.js"),
    include_str!("../web/network.js"),
    include_str!("../web/links.js"),
    include_str!("../web/ticks.js"),
    include_str!("../web/panels.js"),
    include_str!("../web/page.js"),
];

/// The scripts of the list of runs.
const LIST_SCRIPTS: [&str; 4] = [
    include_str!("../web/words.js"),
    include_str!("../web/store.js"),
    include_str!("../web/chart.js"),
    include_str!("../web/list.js"),
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
    // Nothing in a text may end the script that holds it.
    document(DOCUMENT, &SCRIPTS.concat(), &state.replace('<', "\\u003c"))
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
    document
        .replace("{nonce}", &NONCE)
        .replace("{style}", STYLE)
        .replace("{script}", script)
        .replace("{state}", state)
}
