//! The common part of link and channel tables: each applies to one transmitter or all, and one receiver or all.

use crate::{Scenario, ScenarioError, validate::within};

/// Whether a table with this node (none: all nodes) applies to node `index`.
pub(crate) fn names(node: Option<usize>, index: usize) -> bool {
    node.is_none_or(|node| node == index)
}

impl Scenario {
    /// Checks the transmitter and receiver in `table`, such as `link 0`.
    pub(crate) fn validate_pair(
        &self,
        table: &str,
        transmitter: Option<usize>,
        receiver: Option<usize>,
    ) -> Result<(), ScenarioError> {
        let below = |name: &str, node: Option<usize>, count: usize| match node {
            Some(index) => within(&format!("{table}: {name}"), index, 0, count - 1),
            None => Ok(()),
        };
        below("transmitter", transmitter, self.transmitters())?;
        below("receiver", receiver, self.receivers())
    }
}
