//! What tables of pairs, links and channels, have in common: they are of one transmitter or all, to one receiver or all.

use crate::{Scenario, ScenarioError, validate::within};

/// Whether a table that names this node, or all where it names none, is of node `index`.
pub(crate) fn names(node: Option<usize>, index: usize) -> bool {
    node.is_none_or(|node| node == index)
}

impl Scenario {
    /// Checks the transmitter and the receiver that `table`, such as `link 0`, names.
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
