//! Who does what where: subjects, scenes, actions and protocols of MM-Fi.

/// Subjects, S01 to S40.
pub const SUBJECTS: u8 = 40;

/// Actions, A01 to A27.
pub const ACTIONS: u8 = 27;

/// Scenes, E01 to E04: ten subjects each.
pub const SCENES: u8 = 4;

/// The daily activities of protocol 1; protocol 2 has the others, the rehabilitation exercises.
const DAILY: [u8; 14] = [2, 3, 4, 5, 13, 14, 17, 18, 19, 20, 21, 22, 23, 27];

/// Which actions take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// The 14 daily activities.
    Daily,
    /// The 13 rehabilitation exercises.
    Rehabilitation,
    /// All 27.
    All,
}

impl Protocol {
    /// The protocol of that number, 1 to 3.
    pub fn numbered(number: u8) -> Option<Protocol> {
        match number {
            1 => Some(Protocol::Daily),
            2 => Some(Protocol::Rehabilitation),
            3 => Some(Protocol::All),
            _ => None,
        }
    }

    /// Its actions, in order.
    pub(crate) fn actions(self) -> Vec<u8> {
        let takes_part = |action: &u8| match self {
            Protocol::Daily => DAILY.contains(action),
            Protocol::Rehabilitation => !DAILY.contains(action),
            Protocol::All => true,
        };
        (1..=ACTIONS).filter(takes_part).collect()
    }
}

/// The scene of a subject: 1 to 4.
pub fn scene(subject: u8) -> u8 {
    (subject - 1) / (SUBJECTS / SCENES) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_share_all_actions_out() {
        assert_eq!(Protocol::Daily.actions().len(), 14);
        assert_eq!(Protocol::Rehabilitation.actions(), [1, 6, 7, 8, 9, 10, 11, 12, 15, 16, 24, 25, 26]);
        assert_eq!(Protocol::All.actions(), (1..=27).collect::<Vec<u8>>());
        assert_eq!([1, 10, 11, 20, 21, 40].map(scene), [1, 1, 2, 2, 3, 4]);
    }
}
