//! The traces of gains that channels replay: each is read when a run begins, and stays what it was then. A process that
//! begins another run, as a Python program may, reads a file again that has changed since.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use dib::GainTrace;
use scenario::{Scenario, ScenarioError};
use sha2::{Digest, Sha256};

use crate::digital::check_digital;

/// What the array of a trace is called, where a file has several.
const ARRAY: &str = "gains";

/// The length of a file in bytes, and when it was written where that is known.
type Stamp = (u64, Option<SystemTime>);

/// A trace, its file's stamp and the digest of its gains.
#[derive(Clone, Copy)]
struct Known {
    stamp: Option<Stamp>,
    trace: &'static GainTrace,
    digest: [u8; 32],
}

/// Those that were read, by path, transmitters and receivers. They stay for as long as the process, and so may be held
/// by anybody.
static READ: Mutex<BTreeMap<(String, usize, usize), Known>> = Mutex::new(BTreeMap::new());

/// Checks that this program has what the channels of a scenario need, and reads all of their traces, for
/// [`air`](crate::air).
///
/// # Errors
/// In one line, the table and the file at fault, or the feature that this program was built without.
pub fn check_channels(scenario: &Scenario) -> Result<(), ScenarioError> {
    check_digital(scenario)?;
    for (number, channel) in scenario.channel.iter().enumerate() {
        if let Some(path) = &channel.trace {
            read(path, scenario, true)
                .map_err(|what| ScenarioError::invalid(format!("channel {number}: trace"), what))?;
        }
    }
    Ok(())
}

/// A trace of a scenario; none if it cannot be read, which [`check_channels`] says.
pub(crate) fn trace(path: &str, scenario: &Scenario) -> Option<&'static GainTrace> {
    read(path, scenario, false).ok().map(|known| known.trace)
}

/// A digest of the data and of the traces of a scenario's channels, which are compared together; that of the data where
/// there are none.
pub fn digest_with_traces(data: [u8; 32], scenario: &Scenario) -> [u8; 32] {
    let traces =
        scenario.channel.iter().filter_map(|channel| read(channel.trace.as_ref()?, scenario, false).ok());
    traces.fold(data, |before, known| {
        let mut digest = Sha256::new();
        digest.update(b"data and traces");
        digest.update(before);
        digest.update(known.digest);
        digest.finalize().into()
    })
}

/// A trace as it is known; with `anew` its file is read again if it has changed.
fn read(path: &str, scenario: &Scenario, anew: bool) -> Result<Known, String> {
    let nodes = (scenario.transmitters(), scenario.receivers());
    let key = (path.to_owned(), nodes.0, nodes.1);
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    let stamp = || std::fs::metadata(path).ok().map(|file| (file.len(), file.modified().ok()));
    if let Some(known) = read.get(&key).filter(|known| !anew || known.stamp == stamp()) {
        return Ok(*known);
    }
    let (shape, gains) = data::read_complex(Path::new(path), ARRAY).map_err(|error| error.to_string())?;
    let mut digest = Sha256::new();
    gains.iter().flatten().for_each(|number| digest.update(number.to_le_bytes()));
    let trace = GainTrace::new(&shape, gains, nodes).map_err(|problem| format!("{path} {problem}"))?;
    let known = Known { stamp: stamp(), trace: Box::leak(Box::new(trace)), digest: digest.finalize().into() };
    read.insert(key, known);
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_are_compared_together_with_the_gains_that_channels_replay() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, gain: f64| {
            let (path, values) = (folder.path().join(name), data::Values::Complex(vec![[gain, 0.5]; 3]));
            let array = data::NewArray { name: ARRAY.into(), shape: vec![3, 1, 1], values };
            data::write_npz(std::fs::File::create(&path).unwrap(), &[array]).unwrap();
            format!("channel=[{{kind=\"trace\",snr_db=3,trace=\"{}\"}}]", path.display())
        };
        let digest = |set: &[String]| {
            let base = "[network]\nreceiver_limit = 1\ntransmitter_limit = 1\n[[transmitter]]\nmodalities = [\"fft\"]\n[[receiver]]\ntask = \"digit\"\n";
            let scenario = Scenario::parse(base, "test", set).unwrap();
            check_channels(&scenario).unwrap();
            digest_with_traces([7; 32], &scenario)
        };
        assert_eq!(digest(&[]), [7; 32]);
        let (one, same, other) = (file("one.npz", 1.0), file("same.npz", 1.0), file("other.npz", 2.0));
        assert_ne!(digest(std::slice::from_ref(&one)), [7; 32]);
        assert_eq!(digest(std::slice::from_ref(&one)), digest(&[same]));
        assert_ne!(digest(std::slice::from_ref(&one)), digest(&[other]));
        // A process may outlive a file.
        let before = digest(std::slice::from_ref(&one));
        std::thread::sleep(std::time::Duration::from_millis(20));
        file("one.npz", 3.0);
        assert_ne!(digest(&[one]), before);
    }
}
