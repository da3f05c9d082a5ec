use proto::v1::order::Order;

/// Why a node ended early. One line each.
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
    /// The user's settings for this node cannot be used.
    #[error("{0}")]
    Input(String),
    /// A peer's message cannot be used.
    #[error("{peer}: {error}")]
    Message {
        /// The peer that sent it.
        peer: String,
        /// What is wrong with it.
        error: proto::WireError,
    },
    /// A peer broke the protocol.
    #[error("{peer}: {what}")]
    Protocol {
        /// The peer.
        peer: String,
        /// What it did.
        what: String,
    },
    /// A peer was lost.
    #[error("lost {peer}: {reason}")]
    Lost {
        /// The peer.
        peer: String,
        /// What this node observed.
        reason: String,
    },
    /// A peer cannot be reached at its announced address.
    #[error("{peer}: {error}")]
    Unreachable {
        /// The peer.
        peer: String,
        /// The failed attempt.
        error: link::LinkError,
    },
    /// The coordinator was lost.
    #[error("lost the coordinator: {0}")]
    CoordinatorLost(String),
    /// The compute thread has panicked.
    #[error("the compute thread panicked; its message stands above")]
    Panicked,
    /// The coordinator refused this node.
    #[error("the coordinator refused this node: {0}")]
    Refused(String),
    /// The incarnation is over: a node was lost, and the network continues from its last checkpoint.
    #[error("back to the last checkpoint: {0}")]
    RolledBack(String),
    /// The coordinator ended the run.
    #[error("the coordinator ended the run: {0}")]
    Aborted(String),
    /// Training has made a value infinite or NaN.
    #[error("{0}; try a smaller learning rate")]
    Diverged(String),
}

impl NodeError {
    /// Makes an error that names the peer which sent a message.
    pub fn message(peer: impl Into<String>) -> impl FnOnce(proto::WireError) -> NodeError {
        let peer = peer.into();
        move |error| NodeError::Message { peer, error }
    }

    /// Makes an error that names a peer which broke the protocol.
    pub fn protocol(peer: impl Into<String>, what: impl Into<String>) -> NodeError {
        NodeError::Protocol { peer: peer.into(), what: what.into() }
    }

    /// Makes an error for an unexpected order, which it names only: the content may be secret.
    pub fn unexpected(order: &Order, when: &str) -> NodeError {
        let whole = format!("{order:?}");
        let name = whole.split('(').next().unwrap_or_default();
        NodeError::protocol("the coordinator", format!("sent {name} {when}"))
    }

    /// Whether a peer or the coordinator was lost, and this node could continue if it came back.
    pub fn is_loss(&self) -> bool {
        matches!(self, NodeError::Lost { .. } | NodeError::Unreachable { .. } | NodeError::CoordinatorLost(_))
    }

    /// Whether the user's input (exit status 2) rather than the run (1) is at fault.
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
