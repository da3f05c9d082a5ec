//! What can go wrong in the numerical half.

/// An error of a network, a loss or a rate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A tensor operation failed: shapes or dtypes that do not fit, or the device.
    #[error("tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
    /// A network was asked for that cannot be.
    #[error("network {name}: {inputs} inputs and {outputs} outputs; there must be at least one of each")]
    Shape {
        /// The network.
        name: String,
        /// How many inputs were asked for.
        inputs: usize,
        /// How many outputs were asked for.
        outputs: usize,
    },
    /// A Gaussian encoder was given nothing to draw from.
    #[error("network {name}: a Gaussian encoder needs noise")]
    Noise {
        /// The network.
        name: String,
    },
    /// Blocks of rows that do not divide what they should.
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
        /// What is wrong with it, and what would be right.
        problem: String,
    },
}

/// A result of the numerical half.
pub type Result<T> = std::result::Result<T, Error>;
