//! Kinds of channel that a user's program adds.

use std::sync::{Arc, PoisonError, RwLock};

use dib::{Channel, Crossing, Error, Measure, Phase};
use randomness::Seed;
use scenario::{ChannelKind, Scenario, ScenarioError};
use serde::de::DeserializeOwned;

use super::own_kind::{AskedKeys, check_new_name};

/// The requested channel.
pub struct WantedChannel {
    /// The sending transmitter k.
    pub transmitter: usize,
    /// The hearing receiver t.
    pub receiver: usize,
    /// Values in a feature: the width of what is sent.
    pub feature_dim: usize,
    /// Samples in a tick: the rows of what is sent.
    pub samples: usize,
    /// From this all draws derive: see [`Crossing::draws`].
    pub seed: Seed,
    keys: AskedKeys,
}

impl WantedChannel {
    /// The value of a key in the channel's `parameters`, if the scenario sets it. Keys that are never asked for are
    /// refused.
    ///
    /// # Errors
    /// If the key's value is of another type.
    pub fn key<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, String> {
        self.keys.get(key)
    }

    /// All its `parameters` as an object of JSON, for a kind that checks by itself what they may be.
    pub fn keys(&self) -> String {
        self.keys.all()
    }
}

/// Makes a channel, or returns one line on what is wrong with the request.
pub type BuildChannel = dyn Fn(&WantedChannel) -> Result<Arc<dyn Channel<f32>>, String> + Send + Sync;

/// The added kinds, in order.
static ADDED: RwLock<Vec<(&'static str, Arc<BuildChannel>)>> = RwLock::new(Vec::new());

/// Adds a kind of channel to those that this process knows, under its name in scenarios.
///
/// # Errors
/// If the name is taken, or is not 1 to 64 letters, digits, hyphens and underscores.
pub fn register_channel(name: &'static str, build: Arc<BuildChannel>) -> Result<(), String> {
    check_new_name("channel", name, &names())?;
    ADDED.write().unwrap_or_else(PoisonError::into_inner).push((name, build));
    Ok(())
}

/// The names of all kinds that this process knows.
fn names() -> Vec<&'static str> {
    let added = ADDED.read().unwrap_or_else(PoisonError::into_inner);
    ChannelKind::names().chain(added.iter().map(|(name, _)| *name)).collect()
}

/// Checks that this program knows the kinds of all channels of the scenario.
pub(super) fn check_channel_kinds(scenario: &Scenario) -> Result<(), ScenarioError> {
    for (number, channel) in scenario.channel.iter().enumerate() {
        if let Some(name) = channel.kind.own().filter(|name| !names().contains(name)) {
            return Err(ScenarioError::invalid(format!("channel {number}: kind"), unknown(name)));
        }
    }
    Ok(())
}

/// Makes every channel of the scenario that is of a kind which this program has added, and tries it out.
///
/// # Errors
/// In one line, the table at fault, and what is wrong with it.
pub fn try_channels(scenario: &Scenario) -> Result<(), ScenarioError> {
    for (k, t, _) in scenario.channels() {
        if let Some(channel) = own_channel(scenario, Seed::from_number(scenario.seed), k, t) {
            let tried = channel?.try_out((k, t)).map_err(|error| error.to_string());
            tried.map_err(|line| ScenarioError::invalid(table(scenario, k, t), line))?;
        }
    }
    Ok(())
}

/// The channel from transmitter k to receiver t, if it is of a kind that this program has added.
pub(super) fn own_channel(
    scenario: &Scenario,
    seed: Seed,
    k: usize,
    t: usize,
) -> Option<Result<OwnChannel, ScenarioError>> {
    let described = scenario.channel_between(k, t)?;
    let name = described.kind.own()?;
    let (feature_dim, samples) = (scenario.network.feature_dim, scenario.train.samples_per_tick);
    let keys = AskedKeys::new(&described.parameters);
    let wanted = WantedChannel { transmitter: k, receiver: t, feature_dim, samples, seed, keys };
    let invalid = |line| ScenarioError::invalid(table(scenario, k, t), line);
    let added = ADDED.read().unwrap_or_else(PoisonError::into_inner);
    let build = added.iter().find(|(known, _)| *known == name).map(|(_, build)| build.clone());
    drop(added);
    let built = build.ok_or_else(|| format!("its kind {}", unknown(name))).and_then(|build| build(&wanted));
    Some(match (built, wanted.keys.not_asked()) {
        (Ok(channel), None) => Ok(OwnChannel { kind: name.to_owned(), feature_dim, samples, channel }),
        (Ok(_), Some(line)) => Err(invalid(format!("parameters.{line}"))),
        (Err(line), _) => Err(invalid(line)),
    })
}

/// Where the channel from transmitter k to receiver t stands.
fn table(scenario: &Scenario, k: usize, t: usize) -> String {
    let of_pair = scenario.channel_between(k, t);
    let number = of_pair.and_then(|own| scenario.channel.iter().position(|other| std::ptr::eq(own, other)));
    format!("channel {}:", number.unwrap_or_default())
}

fn unknown(kind: &str) -> String {
    let known = names().iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    format!("is \"{kind}\", which is no kind of channel of this program: it has {known}")
}

/// A channel of a user's program, as runs call it: what it gives is checked, and it is always given as many samples as
/// a tick has, with zeros for those that are not there. So what it draws for a sample does not depend on how a stream
/// or a test set is cut.
pub(super) struct OwnChannel {
    kind: String,
    feature_dim: usize,
    samples: usize,
    channel: Arc<dyn Channel<f32>>,
}

impl OwnChannel {
    /// All samples of a tick.
    fn whole(&self, values: &[f32]) -> Vec<f32> {
        let mut whole = values.to_vec();
        whole.resize((self.samples * self.feature_dim).max(values.len()), 0.0);
        whole
    }

    fn check_finite(&self, what: &str, crossing: &Crossing, values: &[f32]) -> dib::Result<()> {
        let Some(at) = values.iter().position(|value| !value.is_finite()) else { return Ok(()) };
        let Crossing { transmitter, tick, .. } = crossing;
        let (sample, value) = (at / self.feature_dim, values[at]);
        Err(Error::Own(format!(
            "the channel \"{}\" from transmitter {transmitter} {what} {value} for sample {sample} of tick {tick}: numbers must be finite",
            self.kind
        )))
    }

    /// Sends a tick through it: the same must come out again, and a sample must not depend on others.
    fn try_out(&self, (transmitter, receiver): (usize, usize)) -> dib::Result<()> {
        let crossing = Crossing { phase: Phase::Train, pass: 0, transmitter, receiver, modality: 0, tick: 0 };
        let sent = fixed_values(self.samples * self.feature_dim);
        let arrived = |sent: &[f32]| {
            let mut values = sent.to_vec();
            self.send(&crossing, &mut values).map(|()| values)
        };
        let first = arrived(&sent)?;
        let refuse = |problem: &str| Err(Error::Own(format!("the channel \"{}\" {problem}", self.kind)));
        if arrived(&sent)? != first {
            return refuse(
                "makes something else of the same values at a second call: draw from the crossing's address",
            );
        }
        let mut other = sent.clone();
        other[..self.feature_dim].iter_mut().for_each(|value| *value += 1.0);
        if arrived(&other)?[self.feature_dim..] != first[self.feature_dim..] {
            return refuse(
                "makes something else of a sample if another one changes: samples must not be mixed",
            );
        }
        let mut gradient = sent.clone();
        self.pull_back(&crossing, if self.keeps_sent() { &sent } else { &[] }, &mut gradient)
    }

    /// A digest's part of what it does at a crossing: what arrives of fixed values.
    pub(super) fn audit_record(&self, crossing: &Crossing) -> dib::Result<Vec<u8>> {
        let mut values = fixed_values(self.samples * self.feature_dim);
        self.send(crossing, &mut values)?;
        Ok(values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }
}

/// Values of mean power 1.
fn fixed_values(count: usize) -> Vec<f32> {
    (0..count).map(|at| (at % 7) as f32 / 2.0 - 1.5).collect()
}

impl Channel<f32> for OwnChannel {
    fn send(&self, crossing: &Crossing, features: &mut [f32]) -> dib::Result<()> {
        let mut whole = self.whole(features);
        self.channel.send(crossing, &mut whole)?;
        features.copy_from_slice(&whole[..features.len()]);
        self.check_finite("gives", crossing, features)
    }

    fn pull_back(&self, crossing: &Crossing, sent: &[f32], gradient: &mut [f32]) -> dib::Result<()> {
        let mut whole = self.whole(gradient);
        let sent = if self.keeps_sent() { self.whole(sent) } else { Vec::new() };
        self.channel.pull_back(crossing, &sent, &mut whole)?;
        gradient.copy_from_slice(&whole[..gradient.len()]);
        self.check_finite("pulls a gradient back to", crossing, gradient)
    }

    fn keeps_sent(&self) -> bool {
        self.channel.keeps_sent()
    }

    /// Its uses are counted even if it says nothing of its noise.
    fn measure(&self, crossing: &Crossing, rows: usize) -> Option<Measure> {
        let unknown = Measure { snr_db: None, capacity: None };
        Some(self.channel.measure(crossing, rows).unwrap_or(unknown))
    }

    fn libraries(&self) -> Vec<String> {
        self.channel.libraries()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Does one thing that no channel may do.
    struct Faulty {
        fault: String,
        calls: AtomicU32,
    }

    impl Channel<f32> for Faulty {
        fn send(&self, _: &Crossing, features: &mut [f32]) -> dib::Result<()> {
            let calls = self.calls.fetch_add(1, Ordering::Relaxed);
            let sum: f32 = features.iter().sum();
            match self.fault.as_str() {
                "counts" => features[0] += calls as f32,
                "mixes" => features.iter_mut().for_each(|value| *value += sum),
                "infinite" => features[5] = f32::INFINITY,
                "fails" => return Err(Error::Own("no air".into())),
                _ => {}
            }
            Ok(())
        }

        fn pull_back(&self, _: &Crossing, sent: &[f32], gradient: &mut [f32]) -> dib::Result<()> {
            assert!(sent.is_empty(), "nobody keeps what was sent");
            gradient[0] = if self.fault == "gradient" { f32::NAN } else { gradient[0] };
            Ok(())
        }
    }

    fn scenario(channel: &str) -> Scenario {
        let text = format!(
            "network.receiver_limit = 1\nnetwork.feature_dim = 4\n[[transmitter]]\nmodalities = [\"fft\"]\n[[receiver]]\ntask = \"digit\"\n\
             [[channel]]\nkind = \"awgn\"\nsnr_db = 1\n[[channel]]\ntransmitter = 0\n{channel}"
        );
        Scenario::parse(&text, "test", &[]).unwrap()
    }

    #[test]
    fn what_no_channel_may_do_is_one_line_before_the_first_round() {
        let build = |wanted: &WantedChannel| {
            assert_eq!((wanted.transmitter, wanted.receiver, wanted.samples), (0, 0, 20));
            let fault = wanted.key("fault")?.unwrap_or_default();
            Ok(Arc::new(Faulty { fault, calls: AtomicU32::new(0) }) as Arc<dyn Channel<f32>>)
        };
        register_channel("faulty", Arc::new(build)).unwrap();
        let taken = register_channel("faulty", Arc::new(build)).unwrap_err();
        assert_eq!(taken, "two kinds of channel are called \"faulty\": give one another name");
        register_channel("mac", Arc::new(build)).unwrap_err();
        register_channel("my kind", Arc::new(build)).unwrap_err();
        try_channels(&scenario("kind = \"faulty\"")).unwrap();
        for (parameters, expected) in [
            (
                "fault = \"counts\"",
                "the channel \"faulty\" makes something else of the same values at a second call: ",
            ),
            (
                "fault = \"mixes\"",
                "the channel \"faulty\" makes something else of a sample if another one changes: ",
            ),
            (
                "fault = \"infinite\"",
                "the channel \"faulty\" from transmitter 0 gives inf for sample 1 of tick 0: ",
            ),
            (
                "fault = \"gradient\"",
                "the channel \"faulty\" from transmitter 0 pulls a gradient back to NaN for sample 0 ",
            ),
            ("fault = \"fails\"", "no air"),
            ("fault = 3", "fault is 3: invalid type: integer `3`, expected a string"),
            ("falt = \"mixes\"", "parameters.falt is unknown: the kind has fault"),
        ] {
            let refused =
                try_channels(&scenario(&format!("kind = \"faulty\"\nparameters = {{ {parameters} }}")));
            let refused = refused.unwrap_err().to_string();
            assert!(refused.starts_with(&format!("scenario: channel 1: {expected}")), "{refused}");
        }
    }

    #[test]
    fn a_kind_that_no_program_has_is_refused_by_its_table() {
        let refused = check_channel_kinds(&scenario("kind = \"fog\"")).unwrap_err().to_string();
        let line = "scenario: channel 1: kind is \"fog\", which is no kind of channel of this program: it has `ideal`, `awgn`, ";
        assert!(refused.starts_with(line), "{refused}");
        assert_eq!(
            check_channel_kinds(&scenario("kind = \"ideal\"")).map_err(|error| error.to_string()),
            Ok(())
        );
    }
}
