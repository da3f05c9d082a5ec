//! Errors of the numerical crates.

/// An error of a network, a loss or a rate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A tensor operation failed: shapes or dtypes that do not fit, or the device.
    #[error("tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
    /// A network cannot have the requested size.
    #[error("network {name}: {inputs} inputs and {outputs} outputs; there must be at least one of each")]
    Shape {
        /// The network.
        name: String,
        /// Requested inputs.
        inputs: usize,
        /// Requested outputs.
        outputs: usize,
    },
    /// A Gaussian encoder got no noise.
    #[error("network {name}: a Gaussian encoder needs noise")]
    Noise {
        /// The network.
        name: String,
    },
    /// A module draws, but got no addresses of its rows.
    #[error("network {name}: its module draws, and the rows were given no addresses")]
    Addresses {
        /// The network.
        name: String,
    },
    /// A backward pass got the intermediate values of another kind of module.
    #[error("a backward pass was given what the forward pass of another kind of network kept")]
    Trace,
    /// An encoder's network has the wrong number of outputs for its features.
    #[error("network {name}: {got} outputs, but its features take {expected}")]
    Outputs {
        /// The network.
        name: String,
        /// Its outputs.
        got: usize,
        /// The expected outputs.
        expected: usize,
    },
    /// Blocks of rows whose sum is not the number of rows.
    #[error("network {name}: blocks of {blocks} rows in all do not divide {rows} rows")]
    Blocks {
        /// The network.
        name: String,
        /// The sum of the blocks.
        blocks: usize,
        /// The rows that went through the network.
        rows: usize,
    },
    /// A saved state lacks a tensor.
    #[error("saved state lacks tensor {name}")]
    Missing {
        /// The tensor.
        name: String,
    },
    /// A saved state holds a tensor that does not fit.
    #[error("tensor {name} of the saved state {problem}")]
    Unfit {
        /// The tensor.
        name: String,
        /// The problem and the remedy.
        problem: String,
    },
    /// A module, a channel, a coding or a policy that a user's program adds has failed: its own line.
    #[error("{0}")]
    Own(String),
}

/// A result of the numerical half.
pub type Result<T> = std::result::Result<T, Error>;
