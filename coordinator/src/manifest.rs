use std::collections::BTreeMap;

use scenario::Scenario;
use serde::{Deserialize, Serialize};

use crate::{further::Lineage, members::Member, summary::sha256_hex, totals::Totals, validation::Best};

/// File name suffix of a state.
const STATE: &str = ".safetensors";

/// Placeholder for the manifest's own SHA-256 while that is computed.
const BLANK: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The manifest of a checkpoint, written after all its files: it names them and binds them to their run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// SHA-256 of the manifest's own text with 64 zeros in this place. Manifests of the first versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    /// Steps that all parameters have taken.
    pub round: u64,
    /// Version of the program that wrote it.
    pub program: String,
    /// [`dib::NUMERICS`] of the program that wrote it.
    #[serde(default = "first_numerics")]
    pub numerics: u32,
    /// SHA-256 of every file. File names hold the incarnation that wrote them, except in the first versions.
    pub files: BTreeMap<String, String>,
    /// The run; none in manifests of the first versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Binding>,
}

/// The run to which a checkpoint belongs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Binding {
    /// The incarnation that wrote it.
    pub incarnation: u64,
    /// K: the number of transmitters, each with a state.
    pub transmitters: usize,
    /// T: the number of receivers, each with a state.
    pub receivers: usize,
    /// The resolved scenario that was trained, as TOML.
    pub scenario: String,
    /// Synced content of each log at the checkpoint: the lines of all earlier rounds.
    pub logs: BTreeMap<String, Written>,
    /// Totals over those rounds.
    pub totals: Totals,
    /// The best version on validation rows so far, if there are any: its checkpoint is kept too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<Best>,
}

/// The beginning of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: String,
}

/// Why a text is not a valid manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is not JSON of the expected form.
    #[error(transparent)]
    Malformed(#[from] serde_json::Error),
    /// It has changed since it was written.
    #[error("it is not what was written: its own SHA-256 is another")]
    Damaged,
}

/// Default of `numerics` for manifests of the first version, which lack it.
fn first_numerics() -> u32 {
    1
}

impl Manifest {
    /// The manifest of a checkpoint made by this program.
    pub(crate) fn new(round: u64, files: BTreeMap<String, String>, run: Binding) -> Self {
        let (program, numerics) = (proto::VERSION.into(), dib::NUMERICS);
        Manifest { sha256: None, round, program, numerics, files, run: Some(run) }
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// If the text is not JSON of the expected form, or has changed since it was written.
    pub fn parse(text: &[u8]) -> Result<Self, ManifestError> {
        let manifest: Manifest = serde_json::from_slice(text)?;
        let is_whole = match (&manifest.sha256, &manifest.run) {
            (Some(own), _) => {
                let text = String::from_utf8_lossy(text);
                sha256_hex(text.replacen(own.as_str(), BLANK, 1).as_bytes()) == *own
            }
            // A manifest that names its run also holds its own hash.
            (None, run) => run.is_none(),
        };
        if is_whole { Ok(manifest) } else { Err(ManifestError::Damaged) }
    }

    /// Its text, with its own hash.
    pub(crate) fn to_text(&self) -> String {
        let blank = Manifest { sha256: Some(BLANK.into()), ..self.clone() };
        let text = serde_json::to_string_pretty(&blank).expect("a manifest has only strings and numbers");
        // The manifest's hash comes first, so the first match is the right one.
        text.replacen(BLANK, &sha256_hex(text.as_bytes()), 1)
    }

    /// The file that holds a member's state.
    pub(crate) fn file_of(&self, member: Member) -> Option<&str> {
        self.files.keys().map(String::as_str).find(|file| is_state_of(member, file))
    }

    /// A member of the run without a state in the manifest, if there is one. The manifest says how many members there
    /// are; for the first versions the caller may know.
    pub(crate) fn missing(&self, known: Option<(usize, usize)>) -> Option<Member> {
        let own = self.run.as_ref().map(|run| (run.transmitters, run.receivers));
        let (transmitters, receivers) = own.or(known).unwrap_or((1, 1));
        let mut members = Member::all(transmitters.max(1), receivers.max(1));
        members.find(|member| self.file_of(*member).is_none())
    }

    /// The first difference between the trained scenario and `scenario`, as one line. The number of rounds may differ
    /// if nothing depends on it; otherwise the run's lineage must record the change.
    pub(crate) fn differs_from(&self, scenario: &Scenario, lineage: &Lineage) -> Option<String> {
        let run = self.run.as_ref()?;
        let trained = match Scenario::parse(&run.scenario, "the checkpoint's scenario", &[]) {
            Ok(trained) => trained,
            Err(error) => return Some(error.to_string()),
        };
        let Some(difference) = trained.differences(scenario).into_iter().next() else {
            return self.other_rounds(&trained, scenario, lineage);
        };
        let say = |value: Option<String>| {
            value.map_or_else(|| "is not given".into(), |value| format!("is {value}"))
        };
        Some(format!(
            "{} {}, and {} in what was trained to round {}",
            difference.key,
            say(difference.after),
            say(difference.before),
            self.round
        ))
    }

    fn other_rounds(&self, trained: &Scenario, scenario: &Scenario, lineage: &Lineage) -> Option<String> {
        let (now, before) = (scenario.train.rounds, trained.train.rounds);
        let schedule = trained.train.schedule()?;
        let expected = lineage.rounds_since(self.round, before);
        (now != expected).then(|| {
            format!(
                "train.rounds is {now}, and {expected} rounds were given to what was trained to round {} under a schedule that \
                 depends on them ({schedule}); more are given with --resume and --rounds",
                self.round
            )
        })
    }
}

/// The name of a member's state within a checkpoint of an incarnation.
pub(crate) fn state_name(member: Member, incarnation: u64) -> String {
    format!("{}-{}.{incarnation}{STATE}", member.role.name(), member.index)
}

/// The incarnation in a state's file name, if there is one.
pub(crate) fn incarnation_of(file: &str) -> Option<u64> {
    file.strip_suffix(STATE)?.rsplit_once('.')?.1.parse().ok()
}

/// Whether a file name is that of a member's state, of any incarnation or, as in the first versions, of none.
fn is_state_of(member: Member, file: &str) -> bool {
    let own = format!("{}-{}", member.role.name(), member.index);
    let rest = file.strip_suffix(STATE).and_then(|file| file.strip_prefix(&own));
    rest.is_some_and(|rest| {
        rest.is_empty() || rest.strip_prefix('.').is_some_and(|number| number.parse::<u64>().is_ok())
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use node::Role;

    use super::*;
    use crate::further::Extension;

    /// One transmitter and one receiver.
    pub(crate) fn binding() -> Binding {
        let scenario = "[network]\nreceiver_limit = 1\n[train]\nentropy_bonus = 0\n\
                        [[transmitter]]\nmodalities = [\"fft\"]\n[[receiver]]\ntask = \"digit\"\n";
        let scenario = Scenario::parse(scenario, "test", &[]).unwrap().to_toml();
        let (logs, totals) = (BTreeMap::new(), Totals::default());
        Binding { incarnation: 3, transmitters: 1, receivers: 1, scenario, logs, totals, best: None }
    }

    fn manifest(files: &[&str]) -> Manifest {
        let files = files.iter().map(|file| ((*file).to_owned(), "00ff".to_owned()));
        Manifest::new(20, files.collect(), binding())
    }

    const FILES: [&str; 2] = ["transmitter-0.3.safetensors", "receiver-0.3.safetensors"];

    #[test]
    fn a_manifest_comes_back_and_one_that_has_changed_by_a_bit_does_not() {
        let manifest = manifest(&FILES);
        let text = manifest.to_text().into_bytes();
        let back = Manifest::parse(&text).unwrap();
        assert_eq!(Manifest { sha256: None, ..back }, manifest);
        for position in 0..text.len() {
            let mut flipped = text.clone();
            flipped[position] ^= 1;
            assert!(
                Manifest::parse(&flipped).is_err(),
                "at {position}: {}",
                String::from_utf8_lossy(&flipped)
            );
        }
    }

    #[test]
    fn manifests_of_the_first_versions_are_read() {
        let old = br#"{"round": 4, "program": "0.1.0", "files": {"receiver-0.safetensors": "00ff"}}"#;
        let manifest = Manifest::parse(old).unwrap();
        assert_eq!((manifest.round, manifest.numerics, manifest.run.is_none()), (4, 1, true));
    }

    #[test]
    fn a_member_without_a_state_is_missed() {
        let missing = |files: &[&str]| manifest(files).missing(None).map(|member| member.to_string());
        assert_eq!(missing(&FILES), None);
        assert_eq!(missing(&[]), Some("transmitter 0".into()));
        assert_eq!(missing(&FILES[..1]), Some("receiver 0".into()));
        let old =
            Manifest { run: None, ..manifest(&["transmitter-0.safetensors", "receiver-0.safetensors"]) };
        assert_eq!(old.missing(None), None);
        assert_eq!(old.missing(Some((1, 1))), None);
        assert_eq!(old.missing(Some((1, 2))).unwrap().to_string(), "receiver 1");
    }

    #[test]
    fn a_key_in_which_the_scenario_differs_is_named() {
        let manifest = manifest(&FILES);
        let differs = |change: &str| {
            let text = &manifest.run.as_ref().unwrap().scenario;
            let scenario = Scenario::parse(text, "test", &[change.into()]).unwrap();
            manifest.differs_from(&scenario, &Lineage::default())
        };
        let line = differs("seed=2").unwrap();
        assert_eq!(line, "seed is 2, and is 1 in what was trained to round 20");
        assert_eq!(differs("data.path=elsewhere"), None);
        assert_eq!(differs("train.rounds=7"), None, "nothing depends on it");
        assert!(differs("train.entropy_bonus=0.1").is_some());
        assert!(
            differs("network.receivers=2").unwrap().starts_with("receiver[1].task is \"digit\", and is not")
        );
    }

    #[test]
    fn under_a_schedule_other_rounds_are_those_that_the_lineage_tells_of() {
        let scheduled = |rounds: u64| {
            let changes = ["train.cool_down=0.5".to_owned(), format!("train.rounds={rounds}")];
            Scenario::parse(&binding().scenario, "test", &changes).unwrap()
        };
        let run = Binding { scenario: scheduled(40).to_toml(), ..binding() };
        let manifest = Manifest { run: Some(run), ..manifest(&FILES) };
        let given = |steps: &[(u64, u64, u64)]| {
            let extension = |&(round, rounds_before, rounds)| Extension {
                round,
                rounds_before,
                rounds,
                schedule: "learning rates fall".into(),
            };
            Lineage { extended: steps.iter().map(extension).collect(), ..Lineage::default() }
        };
        let differs = |rounds, steps| manifest.differs_from(&scheduled(rounds), &given(steps));
        assert_eq!(differs(40, &[]), None);
        let line = differs(60, &[]).unwrap();
        assert!(line.starts_with("train.rounds is 60, and 40 rounds were given to what was"), "{line}");
        assert!(line.contains("learning rates fall to 0 from round 20 on"), "{line}");
        assert_eq!(differs(60, &[(20, 40, 60)]), None);
        assert_eq!(differs(80, &[(20, 40, 60), (30, 60, 80)]), None);
        // An extension before this checkpoint, which already includes it.
        assert_eq!(differs(40, &[(10, 30, 40)]), None);
        assert!(differs(40, &[(20, 40, 60)]).unwrap().contains("is 40, and 60 rounds"));
        assert!(differs(61, &[(20, 40, 60)]).is_some());
    }

    #[test]
    fn a_state_is_known_by_its_name_with_its_incarnation_or_without() {
        let member = Member { role: Role::Transmitter, index: 1 };
        assert_eq!(incarnation_of(&state_name(member, 7)), Some(7));
        assert_eq!(incarnation_of("transmitter-1.safetensors"), None);
        for name in [&state_name(member, 7), "transmitter-1.safetensors", "transmitter-1.0.safetensors"] {
            assert!(is_state_of(member, name), "{name}");
        }
        let other = Member { index: 11, ..member };
        for name in [
            &state_name(other, 7),
            "receiver-1.7.safetensors",
            "transmitter-1.x.safetensors",
            "transmitter-1.safetensors.7",
            "transmitter-1..safetensors",
        ] {
            assert!(!is_state_of(member, name), "{name}");
        }
    }
}
