use proto::v1::order::Order;

/// Why a node ended before its work was done. One line each.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A channel could not be opened.
    #[error(transparent)]
    Link(#[from] link::LinkError),
    /// The scenario that the coordinator sent cannot be run.
    #[error(transparent)]
    Scenario(#[from] scenario::ScenarioError),
    /// The data cannot be used.
    #[error(transparent)]
    Data(#[from] data::DataError),
    /// The mathematics failed.
    #[error(transparent)]
    Dib(#[from] dib::Error),
    /// A tensor operation failed.
    #[error("tensor operation: {0}")]
    Tensor(#[from] candle_core::Error),
    /// What the user asked of this node cannot be had.
    #[error("{0}")]
    Input(String),
    /// A peer's message cannot be used.
    #[error("{peer}: {error}")]
    Message {
        /// Whose message.
        peer: String,
        /// What is wrong with it.
        error: proto::WireError,
    },
    /// A peer broke the protocol.
    #[error("{peer}: {what}")]
    Protocol {
        /// Who.
        peer: String,
        /// What it did.
        what: String,
    },
    /// A peer is gone.
    #[error("lost {peer}: {reason}")]
    Lost {
        /// Who.
        peer: String,
        /// What was seen.
        reason: String,
    },
    /// A peer is not where it was said to be.
    #[error("{peer}: {error}")]
    Unreachable {
        /// Who.
        peer: String,
        /// What was tried.
        error: link::LinkError,
    },
    /// The coordinator is gone.
    #[error("lost the coordinator: {0}")]
    CoordinatorLost(String),
    /// The compute thread has panicked.
    #[error("the compute thread panicked; its message stands above")]
    Panicked,
    /// The coordinator refused this node.
    #[error("the coordinator refused this node: {0}")]
    Refused(String),
    /// The incarnation is over: somebody was lost, and the network goes on from its last checkpoint.
    #[error("back to the last checkpoint: {0}")]
    RolledBack(String),
    /// The coordinator ended the run.
    #[error("the coordinator ended the run: {0}")]
    Aborted(String),
    /// A value that training has driven out of the finite numbers.
    #[error("{0}; try a smaller learning rate")]
    Diverged(String),
}

impl NodeError {
    /// Blames a peer for a message.
    pub fn message(peer: impl Into<String>) -> impl FnOnce(proto::WireError) -> NodeError {
        let peer = peer.into();
        move |error| NodeError::Message { peer, error }
    }

    /// Blames a peer for what it did.
    pub fn protocol(peer: impl Into<String>, what: impl Into<String>) -> NodeError {
        NodeError::Protocol { peer: peer.into(), what: what.into() }
    }

    /// Blames the coordinator for an order that was not due, by its name: what is in it may be secret.
    pub fn unexpected(order: &Order, when: &str) -> NodeError {
        let whole = format!("{order:?}");
        let name = whole.split('(').next().unwrap_or_default();
        NodeError::protocol("the coordinator", format!("sent {name} {when}"))
    }

    /// Whether somebody is gone, and this node could go on if they came back.
    pub fn is_loss(&self) -> bool {
        matches!(self, NodeError::Lost { .. } | NodeError::Unreachable { .. } | NodeError::CoordinatorLost(_))
    }

    /// Whether the fault lies in what the user gave (exit status 2) rather than in the run (1).
    pub fn is_input(&self) -> bool {
        matches!(
            self,
            NodeError::Scenario(_)
                | NodeError::Data(_)
                | NodeError::Input(_)
                | NodeError::Refused(_)
                | NodeError::Link(_)
        )
    }
}
