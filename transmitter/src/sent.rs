use dib::{ChoiceGrid, Draw, Grants};
use node::Choice;

use crate::{coded::Coded, requested::Requested};

/// What a transmitter must remember of a round until its gradients come.
pub(crate) struct Sent {
    pub(crate) round: u64,
    pub(crate) requested: Requested,
    pub(crate) choice: Option<Choice>,
    /// What its policy chose, if it has one.
    pub(crate) chosen: Option<Vec<Draw>>,
    pub(crate) parts: Vec<SentPart>,
    /// The part whose gradients are due.
    pub(crate) due: usize,
}

/// What was sent of some ticks of a round.
pub(crate) struct SentPart {
    /// The choices before the cap at all these ticks.
    pub(crate) choices: ChoiceGrid,
    pub(crate) grants: Grants,
    pub(crate) coded: Coded,
}

impl Sent {
    pub(crate) fn is_last_due(&self) -> bool {
        self.due + 1 == self.parts.len()
    }

    /// At how many ticks of a round each modality was granted to anybody.
    pub(crate) fn encoded(&self, modalities: usize) -> Vec<u32> {
        let ticks = || self.parts.iter().flat_map(|part| part.grants.ticks());
        let of = |m: usize| ticks().filter(|granted| granted.iter().any(|&(_, of)| of == m)).count();
        (0..modalities).map(|m| of(m) as u32).collect()
    }

    /// The largest number of entries granted at a tick, or of features under multicast. E_k limits it.
    pub(crate) fn most_entries(&self, is_multicast: bool) -> u32 {
        let counts = self.parts.iter().flat_map(|part| part.grants.counts(is_multicast));
        counts.max().unwrap_or(0) as u32
    }
}
