/// Errors of a store. One line each.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be opened.
    #[error("{location}: {reason}")]
    Open {
        /// Path or URL.
        location: String,
        /// The reason.
        reason: String,
    },
    /// An object cannot be read or written.
    #[error("{name}: {reason}")]
    Object {
        /// Its full name.
        name: String,
        /// The reason.
        reason: String,
    },
}

/// The innermost cause: the outer errors repeat it.
#[cfg(feature = "objects")]
pub(crate) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let text = innermost.to_string();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
