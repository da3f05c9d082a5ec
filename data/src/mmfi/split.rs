//! Which recordings are trained on, and which are for the test.

use super::{
    permutation::permutation,
    protocol::{ACTIONS, Protocol, SUBJECTS, scene},
};

/// How recordings are split.
#[derive(Clone, Debug, PartialEq)]
pub enum SplitRule {
    /// By a permutation of the subjects for every action by itself: the i-th action's has the seed `seed` + i.
    Random {
        /// The share of the subjects that is trained on.
        ratio: f64,
        /// The first action's seed.
        seed: u32,
    },
    /// Every fifth subject is for the test, S05 to S40.
    CrossSubject,
    /// The scene E04 is for the test, subjects S31 to S40.
    CrossScene,
    /// As listed; the protocol does not matter.
    Manual {
        /// What is trained on.
        train: Listed,
        /// What the test is over.
        test: Listed,
    },
}

/// All recordings of some subjects and some actions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// 1 to 40.
    pub subjects: Vec<u8>,
    /// 1 to 27.
    pub actions: Vec<u8>,
}

impl SplitRule {
    /// What the toolbox's manual split lists as it is shipped, to train on and to test on: everybody's first 21
    /// actions, and their last 6.
    pub fn manual_defaults() -> [Listed; 2] {
        let listed = |actions| Listed { subjects: (1..=SUBJECTS).collect(), actions };
        [listed((1..=21).collect()), listed((22..=ACTIONS).collect())]
    }

    /// (subject, action) of all recordings of both splits, in the toolbox's order.
    pub(crate) fn recordings(&self, protocol: Protocol) -> [Vec<(u8, u8)>; 2] {
        let everybody = || 1..=SUBJECTS;
        match self {
            SplitRule::Random { ratio, seed } => {
                let actions = protocol.actions();
                let trained = (ratio * f64::from(SUBJECTS)).floor() as usize;
                let chosen: Vec<Vec<usize>> = (0..actions.len() as u32)
                    .map(|i| permutation(seed.wrapping_add(i), SUBJECTS.into())[..trained].to_vec())
                    .collect();
                let is_trained = |i: usize, subject: u8| chosen[i].contains(&usize::from(subject - 1));
                [true, false].map(|train| ordered(&actions, |i, subject| is_trained(i, subject) == train))
            }
            SplitRule::CrossSubject => [false, true]
                .map(|test| ordered(&protocol.actions(), |_, subject| subject.is_multiple_of(5) == test)),
            SplitRule::CrossScene => [false, true]
                .map(|test| ordered(&protocol.actions(), |_, subject| (scene(subject) == 4) == test)),
            SplitRule::Manual { train, test } => [train, test].map(|listed| {
                let subjects = everybody().filter(|subject| listed.subjects.contains(subject));
                let actions = || (1..=ACTIONS).filter(|action| listed.actions.contains(action));
                subjects.flat_map(|subject| actions().map(move |action| (subject, action))).collect()
            }),
        }
    }
}

/// Subjects come in the order in which they first appear when one goes through the actions, and through the subjects of
/// each; a subject's recordings come in the order of the actions.
fn ordered(actions: &[u8], belongs: impl Fn(usize, u8) -> bool) -> Vec<(u8, u8)> {
    let mut subjects = Vec::new();
    for i in 0..actions.len() {
        for subject in 1..=SUBJECTS {
            if belongs(i, subject) && !subjects.contains(&subject) {
                subjects.push(subject);
            }
        }
    }
    let of_subject = |subject: u8| {
        let belongs = &belongs;
        let theirs = actions.iter().enumerate().filter(move |(i, _)| belongs(*i, subject));
        theirs.map(move |(_, &action)| (subject, action))
    };
    subjects.into_iter().flat_map(of_subject).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANDOM: SplitRule = SplitRule::Random { ratio: 0.8, seed: 0 };

    fn sizes(rule: &SplitRule, protocol: Protocol) -> [usize; 2] {
        rule.recordings(protocol).map(|recordings| 297 * recordings.len())
    }

    #[test]
    fn splits_have_the_toolboxs_sizes() {
        for (protocol, expected) in [
            (Protocol::Daily, [133_056, 33_264]),
            (Protocol::Rehabilitation, [123_552, 30_888]),
            (Protocol::All, [256_608, 64_152]),
        ] {
            assert_eq!(sizes(&RANDOM, protocol), expected);
            assert_eq!(sizes(&SplitRule::CrossSubject, protocol), expected);
        }
        assert_eq!(sizes(&SplitRule::CrossScene, Protocol::All), [240_570, 80_190]);
        let [train, test] = SplitRule::manual_defaults();
        let manual = SplitRule::Manual { train, test };
        assert_eq!(sizes(&manual, Protocol::Daily), [40 * 21 * 297, 40 * 6 * 297]);
    }

    #[test]
    fn a_random_split_is_the_toolboxs() {
        let [train, test] = RANDOM.recordings(Protocol::All);
        assert_eq!(test[0], (1, 1));
        assert_eq!(RANDOM.recordings(Protocol::Daily)[1][0], (1, 2));
        let tested = |action: u8| -> Vec<u8> {
            let mut tested: Vec<u8> =
                test.iter().filter(|(_, of)| *of == action).map(|(subject, _)| *subject).collect();
            tested.sort_unstable();
            tested
        };
        assert_eq!(tested(1), [1, 4, 7, 10, 20, 22, 24, 39]);
        assert_eq!(tested(4), [1, 4, 9, 11, 20, 22, 25, 34]);
        assert_eq!(tested(27), [2, 5, 7, 14, 18, 20, 27, 33]);
        assert_eq!(train.len() + test.len(), 1080);
        assert!(train.iter().all(|recording| !test.contains(recording)));
    }

    #[test]
    fn subjects_come_in_the_order_in_which_actions_bring_them_up() {
        let [_, test] = RANDOM.recordings(Protocol::All);
        let mut subjects: Vec<u8> = test.iter().map(|(subject, _)| *subject).collect();
        subjects.dedup();
        // Those of A01, then those whom A02 adds.
        assert_eq!(subjects[..14], [1, 4, 7, 10, 20, 22, 24, 39, 6, 9, 12, 13, 16, 38]);
    }
}
