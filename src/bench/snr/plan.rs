//! Which networks are trained, at which SNR each, and at which SNRs they are judged.

use anyhow::bail;
use coordinator::ScenarioArguments;
use scenario::{Channel, ChannelKind, Equaliser, Power, Scenario, SnrDb, Transport};

use super::Arguments;

/// Es/N0 in dB of a channel that is as good as without noise.
const CLEAR: f64 = 100.0;

/// How a network was trained.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Training {
    /// At the SNR of its evaluation.
    Each(f64),
    /// At SNRs drawn from the whole range.
    Random(f64, f64),
    /// Without noise.
    Clear,
    /// With bits over channels without noise, at this train.beta.
    Digital(Option<String>),
}

/// A network, and the SNRs at which it is judged.
pub(super) struct Planned {
    pub(super) training: Training,
    pub(super) seed: u64,
    pub(super) arguments: ScenarioArguments,
    /// None: at that of its training, by its own summary.
    pub(super) judged_at: Vec<f64>,
}

impl Training {
    /// In the table and the picture.
    pub(super) fn name(&self) -> String {
        match self {
            Training::Each(_) => "trained at each SNR".into(),
            Training::Random(..) => "trained at random SNRs".into(),
            Training::Clear => "trained without noise".into(),
            Training::Digital(None) => "digital chain".into(),
            Training::Digital(Some(beta)) => format!("digital chain, beta {beta}"),
        }
    }

    /// Of its folder.
    pub(super) fn folder(&self) -> String {
        match self {
            Training::Each(snr_db) => format!("at-{snr_db}"),
            Training::Random(low, high) => format!("random-{low}-to-{high}"),
            Training::Clear => "clear".into(),
            Training::Digital(None) => "digital".into(),
            Training::Digital(Some(beta)) => format!("digital-beta-{beta}"),
        }
    }

    /// What sets it on a command line, given the scenario's channels.
    fn set(&self, channels: &[Channel]) -> Vec<String> {
        let (snr_db, is_digital) = match *self {
            Training::Each(snr_db) => (SnrDb::Fixed(snr_db), false),
            Training::Random(low, high) => (SnrDb::Range(low, high), false),
            Training::Clear => (SnrDb::Fixed(CLEAR), false),
            Training::Digital(_) => (SnrDb::Fixed(CLEAR), true),
        };
        let changed = channels.iter().cloned().map(|mut channel| {
            channel.snr_db = channel.snr_db.map(|_| snr_db);
            if !is_digital {
                channel.transport = Transport::Analogue;
                (channel.modulation, channel.code_rate) = (None, None);
            } else if channel.snr_db.is_some() {
                // A constellation has a power of its own.
                (channel.transport, channel.power, channel.peak) = (Transport::Digital, Power::Sample, None);
                channel.equaliser = Equaliser::Mmse;
            }
            channel
        });
        let tables =
            toml::Value::try_from(changed.collect::<Vec<_>>()).expect("channels have strings and numbers");
        let mut set = vec![format!("channel={tables}")];
        if let Training::Digital(beta) = self {
            set.extend(["train.coding=dithered", "train.rate_estimator=prior"].map(String::from));
            set.extend(beta.iter().map(|beta| format!("train.beta={beta}")));
        } else if channels.iter().any(Channel::is_digital) {
            // What a scenario with bits must have, values must not.
            set.extend(["train.coding=gaussian", "train.rate_estimator=per-dimension"].map(String::from));
        }
        set
    }
}

/// All networks, and a line for each training that is left out.
pub(super) fn plan(arguments: &Arguments) -> anyhow::Result<(Vec<Planned>, Vec<String>)> {
    let scenario = arguments.scenario.resolve()?;
    let channels = channels(&scenario);
    let mut snrs = arguments.snr_db.clone();
    snrs.sort_by(f64::total_cmp);
    snrs.dedup();
    let (Some(&low), Some(&high)) = (snrs.first(), snrs.last()) else { bail!("--snr-db: give at least one") };
    let mut trainings: Vec<Training> = snrs.iter().map(|snr_db| Training::Each(*snr_db)).collect();
    trainings.extend([Training::Random(low, high), Training::Clear]);
    match arguments.digital_beta.as_slice() {
        [] => trainings.push(Training::Digital(None)),
        [none] if none == "none" => {}
        betas => trainings.extend(betas.iter().map(|beta| Training::Digital(Some(beta.clone())))),
    }
    let set = |training: &Training, seed: u64| {
        let mut own = arguments.scenario.clone();
        own.seed = Some(seed);
        own.set.extend(training.set(&channels));
        own
    };
    let (mut kept, mut left_out) = (Vec::new(), Vec::new());
    for training in trainings {
        let checked = set(&training, scenario.seed).resolve().map(drop);
        match why_left_out(&training, checked.map_err(anyhow::Error::from))? {
            Some(why) => left_out.push(why),
            None => kept.push(training),
        }
    }
    let seeds = if arguments.seeds.is_empty() { vec![scenario.seed] } else { arguments.seeds.clone() };
    let planned = seeds.into_iter().flat_map(|seed| kept.iter().map(move |training| (seed, training)));
    let plan = |(seed, training): (u64, &Training)| Planned {
        training: training.clone(),
        seed,
        arguments: set(training, seed),
        judged_at: if matches!(training, Training::Each(_)) { Vec::new() } else { snrs.clone() },
    };
    Ok((planned.map(plan).collect(), left_out))
}

/// Why a training is left out, given the result of its scenario's check: it was not asked for, and these channels or
/// this program do not support it. None if it is kept.
fn why_left_out(training: &Training, checked: anyhow::Result<()>) -> anyhow::Result<Option<String>> {
    let Err(error) = checked else { return Ok(None) };
    match training {
        // A mac has one SNR, and sends no bits; a program without the feature `digital` says how to get one with it.
        Training::Random(..) | Training::Digital(None) => {
            Ok(Some(format!("left out: {}: {error:#}", training.name())))
        }
        Training::Digital(Some(_)) => {
            Err(error.context(format!("{} (--digital-beta none leaves it out)", training.name())))
        }
        Training::Each(_) | Training::Clear => Err(error.context(training.name())),
    }
}

/// The scenario's channels; one with white noise between all nodes if none has noise.
fn channels(scenario: &Scenario) -> Vec<Channel> {
    match scenario.channel.iter().any(|channel| channel.snr_db.is_some()) {
        true => scenario.channel.clone(),
        false => {
            vec![Channel { kind: ChannelKind::Awgn, snr_db: Some(SnrDb::Fixed(CLEAR)), ..Channel::default() }]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(training: &Training, channel: &str) -> anyhow::Result<Scenario> {
        let given = if channel.is_empty() { Vec::new() } else { vec![format!("channel=[{{{channel}}}]")] };
        parsed(training.set(&channels(&parsed(given)?)))
    }

    fn parsed(set: Vec<String>) -> anyhow::Result<Scenario> {
        let base = "[network]\nreceiver_limit = 1\ntransmitter_limit = 1\n[[transmitter]]\nmodalities = [\"fft\"]\n[[receiver]]\ntask = \"digit\"\n";
        Ok(Scenario::parse(base, "test", &set)?)
    }

    #[test]
    fn what_these_channels_or_this_program_cannot_have_is_left_out_unless_it_is_asked_for() {
        let refused = || Err(anyhow::anyhow!("build it with --features digital"));
        let why = |training: &Training| why_left_out(training, refused()).unwrap().unwrap();
        assert_eq!(
            why(&Training::Digital(None)),
            "left out: digital chain: build it with --features digital"
        );
        assert!(why(&Training::Random(0.0, 5.0)).starts_with("left out: trained at random SNRs: "));
        let asked = why_left_out(&Training::Digital(Some("0.1".into())), refused()).unwrap_err();
        let line = format!("{asked:#}");
        assert!(line.contains("--digital-beta none") && line.contains("--features digital"), "{line}");
        why_left_out(&Training::Each(3.0), refused()).unwrap_err();
        assert_eq!(why_left_out(&Training::Clear, Ok(())).unwrap(), None);
    }

    #[test]
    fn every_training_has_the_scenarios_channels_at_its_own_snr() {
        let at = |training: &Training, channel: &str| {
            words(training, channel).unwrap().channel_between(0, 0).unwrap().clone()
        };
        let plain = at(&Training::Each(-3.0), "");
        assert_eq!((plain.kind, plain.snr_db), (ChannelKind::Awgn, Some(SnrDb::Fixed(-3.0))));
        let own = "kind=\"rayleigh\",snr_db=5,power=\"entry\",block=\"round\"";
        let random = at(&Training::Random(-6.0, 20.0), own);
        assert_eq!((random.kind, random.power), (ChannelKind::Rayleigh, Power::Entry));
        assert_eq!(random.snr_db, Some(SnrDb::Range(-6.0, 20.0)));
        // What only a digital transport has is left behind.
        let bits =
            format!("{own},transport=\"digital\",modulation=\"bpsk\"").replace("\"entry\"", "\"sample\"");
        let set = format!("channel=[{{{bits}}}]");
        let coded = ["train.coding=dithered", "train.rate_estimator=prior"].map(String::from);
        let scenario = parsed([&coded[..], &[set]].concat()).unwrap();
        let analogue = Training::Clear.set(&channels(&scenario));
        let analogue = parsed(analogue).unwrap();
        assert_eq!(analogue.channel_between(0, 0).unwrap().modulation, None);
        let digital = at(&Training::Digital(Some("0.01".into())), own);
        assert_eq!((digital.transport, digital.power), (Transport::Digital, Power::Sample));
        assert_eq!(digital.snr_db, Some(SnrDb::Fixed(CLEAR)));
        let scenario = words(&Training::Digital(Some("0.01".into())), own).unwrap();
        assert_eq!(scenario.train.beta, 0.01);
        assert!(words(&Training::Digital(None), "kind=\"mac\",snr_db=5").is_err());
    }
}
