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
    /// A module draws, and was not told where its rows are addressed.
    #[error("network {name}: its module draws, and nobody said where the rows are addressed")]
    Addresses {
        /// The network.
        name: String,
    },
    /// What a forward pass kept was given to the backward pass of another kind of module.
    #[error("a backward pass was given what the forward pass of another kind of network kept")]
    Trace,
    /// An encoder whose network has another number of outputs than its features take.
    #[error("network {name}: {got} outputs, but its features take {expected}")]
    Outputs {
        /// The network.
        name: String,
        /// How many it has.
        got: usize,
        /// How many it should have.
        expected: usize,
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
