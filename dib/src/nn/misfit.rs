//! Why an architecture cannot be built.

use std::fmt;

/// Why an architecture does not fit the samples: the layer, its input shape and the shape it wants, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The layer's number, counted from 1, with those of the lists that it is nested in: `3`, or `4.2`. None for the
    /// architecture as a whole.
    pub layer: Option<String>,
    /// The kind of the layer or the architecture, such as `conv2d`.
    pub kind: &'static str,
    /// The shape of its input, outermost axis first; empty if the shape is not at fault.
    pub came: Vec<usize>,
    /// What it wants, as a clause: `wants channels x height x width`.
    pub wants: String,
}

impl Misfit {
    /// An error of an architecture as a whole.
    pub(crate) fn of(kind: &'static str, came: &[usize], wants: impl Into<String>) -> Self {
        Misfit { layer: None, kind, came: came.to_vec(), wants: wants.into() }
    }

    /// The same for a layer of a list.
    pub(crate) fn at(mut self, layer: &str) -> Self {
        self.layer = Some(layer.to_owned());
        self
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.layer {
            Some(layer) => write!(formatter, "layer {layer} ({})", self.kind)?,
            None => write!(formatter, "{}", self.kind)?,
        }
        if !self.came.is_empty() {
            write!(formatter, " got {}", by(&self.came))?;
        }
        let and = if self.came.is_empty() || !self.wants.starts_with("wants") { "" } else { " and" };
        write!(formatter, "{and} {}", self.wants)
    }
}

impl std::error::Error for Misfit {}

/// Sizes as text: `16 x 5 x 5`.
pub(super) fn by(sizes: &[usize]) -> String {
    let sizes: Vec<String> = sizes.iter().map(usize::to_string).collect();
    sizes.join(" x ")
}
