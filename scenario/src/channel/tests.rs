//! Tests of a scenario's channels: which channel applies to a pair, and which values are refused.

use super::ChannelKind;
use crate::{
    Scenario, ScenarioError, SnrDb,
    two_by_two::{TWO_BY_TWO, two_by_two},
};

fn parse(channels: &str) -> Result<Scenario, ScenarioError> {
    two_by_two(channels, &[])
}

#[test]
fn the_last_table_that_matches_holds() {
    let tables = "[[channel]]\nkind = \"awgn\"\nsnr_db = 10\n\
                  [[channel]]\ntransmitter = 1\nkind = \"rayleigh\"\nsnr_db = [0, 20]\n\
                  [[channel]]\ntransmitter = 1\nreceiver = 0\n";
    let scenario = parse(tables).unwrap();
    let kind = |k, t| scenario.channel_between(k, t).map(|channel| channel.kind.clone());
    assert_eq!([kind(0, 0), kind(0, 1)], [(); 2].map(|()| Some(ChannelKind::Awgn)));
    assert_eq!([kind(1, 0), kind(1, 1)], [None, Some(ChannelKind::Rayleigh)]);
    assert_eq!(scenario.channels().count(), 3);
    assert_eq!(scenario.channel_between(0, 0).unwrap().snr_db.unwrap().ends(), [10.0, 10.0]);
    assert_eq!(scenario.channel_between(1, 1).unwrap().snr_db.unwrap().ends(), [0.0, 20.0]);
    assert_eq!(parse("").unwrap().channel_between(0, 0), None);
    assert_eq!(Scenario::parse(&scenario.to_toml(), "again", &[]).unwrap(), scenario);
}

#[test]
fn the_sent_rate_is_an_estimate_with_realised_power_or_a_peak() {
    let is_estimate = |more: &str, method: &str| {
        let set = [format!("channel=[{{kind=\"awgn\",snr_db=3{more}}}]"), format!("train.method={method}")];
        Scenario::parse(TWO_BY_TWO, "my.toml", &set).unwrap().rate_sent_is_estimate()
    };
    assert!(is_estimate(",power=\"realised\"", "pom2dib") && is_estimate(",peak=2.0", "tadib"));
    for power in ["sample", "entry", "average"] {
        assert!(!is_estimate(&format!(",power=\"{power}\""), "pom2dib"));
    }
    // The rate of vddib is a constant.
    assert!(!is_estimate(",peak=2.0", "vddib"));
}

#[test]
fn all_channels_can_be_set_on_the_command_line() {
    let overrides = ["channel=[{kind=\"awgn\",snr_db=10}]".to_owned()];
    let scenario = Scenario::parse(TWO_BY_TWO, "my.toml", &overrides).unwrap();
    assert_eq!(scenario.channel_between(1, 1).unwrap().kind, ChannelKind::Awgn);
}

#[test]
fn the_snr_of_all_noise_can_be_set_at_once() {
    let tables = "[[channel]]\nkind = \"rician\"\nsnr_db = 10\nk_factor = 2.0\ncsi = \"none\"\n\
                  [[channel]]\ntransmitter = 1\nkind = \"erasure\"\nerasure = 0.5\n";
    let scenario = parse(tables).unwrap();
    let set = scenario.channels_at(-3.0).unwrap();
    let changed = Scenario::parse(&scenario.to_toml(), "again", &[set]).unwrap();
    assert_eq!(changed.channel[0].snr_db, Some(SnrDb::Fixed(-3.0)));
    assert_eq!(changed.changes(&scenario).len(), 1);
    assert_eq!(parse("").unwrap().channels_at(3.0), None);
}

#[test]
fn transmitters_of_a_mac_share_one_noise_and_their_gains_are_known() {
    let mac = "[[channel]]\nkind = \"mac\"\nsnr_db = 3\n";
    let scenario = parse(mac).unwrap();
    assert!(scenario.is_mac(0, 0) && scenario.is_mac(1, 1));
    assert!(!scenario.is_steady(scenario.channel_between(0, 0).unwrap()));
    let other = format!("{mac}[[channel]]\ntransmitter = 1\nkind = \"mac\"\nsnr_db = 4\n");
    let ideal = format!("{mac}[[channel]]\ntransmitter = 1\n");
    assert!(!parse(&ideal).unwrap().is_mac(1, 0));
    for (tables, expected) in [
        (other, "transmitters 0 and 1 must have the same snr_db to receiver 0"),
        (mac.replace('3', "[1, 2]"), "needs one snr_db, no range"),
        (format!("{mac}csi = \"none\""), "needs csi = \"receiver\" or \"both\""),
        (format!("straggler.policy = \"skip\"\n{mac}"), "needs straggler.policy = \"wait\""),
    ] {
        let refused = Scenario::parse(
            &(if tables.starts_with("straggler") {
                let (first, rest) = tables.split_once('\n').unwrap();
                format!("{first}\n{TWO_BY_TWO}\n{rest}")
            } else {
                format!("{TWO_BY_TWO}\n{tables}")
            }),
            "my.toml",
            &[],
        );
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains(expected) && refused.lines().count() == 1, "{refused}");
    }
}

#[test]
fn invalid_values_of_a_channel_are_refused_by_their_keys() {
    let noisy = "is missing; a channel with noise (awgn, rayleigh, rician, nakagami, trace, mac) needs it";
    for (tables, expected) in [
        ("kind = \"awgn\"\nsnr_db = nan", "channel 0: snr_db is NaN; it must be from -200 to 200"),
        ("kind = \"awgn\"\nsnr_db = inf", "channel 0: snr_db is inf; it must be from -200 to 200"),
        ("kind = \"awgn\"", &format!("channel 0: snr_db {noisy}")),
        ("kind = \"awgn\"\nsnr_db = [5, 1]", "channel 0: snr_db goes from 5 to 1; put the smaller first"),
        (
            "kind = \"rician\"\nsnr_db = 1\nk_factor = -1.0",
            "channel 0: k_factor is -1; it must be from 0 to 1000000",
        ),
        ("kind = \"rician\"\nsnr_db = 1", "channel 0: k_factor is missing; kind \"rician\" needs it"),
        ("kind = \"awgn\"\nsnr_db = 1\nshape = 2.0", "channel 0: shape is for kind \"nakagami\" alone"),
        (
            "kind = \"nakagami\"\nsnr_db = 1\nshape = 0.4",
            "channel 0: shape is 0.4; it must be from 0.5 to 1000000",
        ),
        ("kind = \"trace\"\nsnr_db = 1", "channel 0: trace is missing; kind \"trace\" needs it"),
        ("kind = \"awgn\"\nsnr_db = 1\ntrace = \"a.npz\"", "channel 0: trace is for kind \"trace\" alone"),
        (
            "kind = \"trace\"\nsnr_db = 1\ntrace = \"a.npz\"\nblock = \"sample\"",
            "channel 0: block is \"sample\", but a trace has one gain for a tick: set \"tick\" or \"round\"",
        ),
        (
            "kind = \"awgn\"\nsnr_db = 1\ncode_rate = 0.5",
            "channel 0: code_rate is for transport = \"digital\" alone",
        ),
        (
            "kind = \"erasure\"\nerasure = 0.5\ntransport = \"digital\"",
            "channel 0: transport is \"digital\", which needs a kind \"awgn\", \"rayleigh\", \"rician\", \"nakagami\" or \"trace\"",
        ),
        (
            "kind = \"awgn\"\nsnr_db = 1\ntransport = \"digital\"\ncsi = \"none\"",
            "channel 0: csi is \"none\", but who decodes bits must know the gain: set \"receiver\" or \"both\"",
        ),
        (
            "kind = \"awgn\"\nsnr_db = 1\ntransport = \"digital\"\npower = \"entry\"",
            "channel 0: power is for transport = \"analogue\" alone: a constellation has its own power",
        ),
        (
            "kind = \"awgn\"\nsnr_db = 1\ntransport = \"digital\"\ncode_rate = 1.0",
            "channel 0: code_rate is 1; it must be from 0.01 to 0.925",
        ),
        ("kind = \"erasure\"\nerasure = 1.5", "channel 0: erasure is 1.5; it must be from 0 to 1"),
        (
            "kind = \"erasure\"\nerasure = 0.5\nsnr_db = 3",
            "channel 0: snr_db is for a channel with noise (awgn, rayleigh, rician, nakagami, trace, mac) alone",
        ),
        (
            "kind = \"awgn\"\nsnr_db = 1\ntaps = 4\nsubcarriers = 8",
            "channel 0: taps is for kinds \"rayleigh\" and \"rician\" alone",
        ),
        (
            "kind = \"rayleigh\"\nsnr_db = 1\ntaps = 4",
            "channel 0: subcarriers is missing; a channel with taps needs it",
        ),
        ("kind = \"rayleigh\"\nsnr_db = 1\ndecay = 0.5", "channel 0: decay is for a channel with taps alone"),
        (
            "kind = \"rayleigh\"\nsnr_db = 1\ntaps = 9\nsubcarriers = 8",
            "channel 0: taps is 9; it must be from 1 to 8",
        ),
        (
            "kind = \"rayleigh\"\nsnr_db = 1\ntaps = 2\nsubcarriers = 8\ndecay = nan",
            "channel 0: decay is NaN; it must be from 0 to 100",
        ),
        (
            "kind = \"rayleig\"\nsnr_db = 1",
            "channel 0: snr_db is for a built-in kind (`ideal`, `awgn`, `rayleigh`, `rician`, `nakagami`, `erasure`, `trace`, \
             `mac`); \"rayleig\" is none, and a kind that a program of your own adds has its keys in `parameters`",
        ),
        (
            "kind = \"awgn\"\nsnr_db = 1\nparameters = { strength = 2 }",
            "channel 0: parameters is for a kind that a program of your own adds, which has no other keys",
        ),
        ("transmitter = 2", "channel 0: transmitter is 2; it must be from 0 to 1"),
        ("receiver = 9", "channel 0: receiver is 9; it must be from 0 to 1"),
        ("kind = \"awgn\"\nsnr_db = 1\npeak = 0.5", "channel 0: peak is 0.5; it must be from 1 to 1000000"),
        (
            "transmitter = 1\n[[channel]]\n",
            "channel 0 never holds: channel 1 overlaps all of it; put the more general one first",
        ),
        (
            "receiver = 1\n[[channel]]\ntransmitter = 0\n[[channel]]\nreceiver = 1",
            "channel 0 never holds: channel 2 overlaps all of it; put the more general one first",
        ),
    ] {
        let message = parse(&format!("[[channel]]\n{tables}")).unwrap_err().to_string();
        assert_eq!(message, format!("my.toml: {expected}"), "{tables}");
    }
}

#[test]
fn malformed_channels_are_refused_in_one_line() {
    for (tables, expected) in [
        ("kind = 3", "invalid type: integer `3`, expected a string"),
        ("kind = \"fog\"\nparameters = 3", "invalid type: integer `3`, expected a map"),
        ("snr = 10", "unknown field `snr`, expected one of `transmitter`, `receiver`, `kind`, `snr_db`, "),
        (
            "snr_db = \"high\"",
            "invalid type: string \"high\", expected a number of dB, or the two ends of a range",
        ),
        ("snr_db = [1]", "invalid length 1, expected a number of dB, or the two ends of a range"),
        ("snr_db = [1, 2, 3]", "invalid length 3, expected a number of dB, or the two ends of a range"),
    ] {
        let message = parse(&format!("[[channel]]\n{tables}")).unwrap_err().to_string();
        assert!(message.starts_with("my.toml: line "), "{message}");
        assert!(message.contains(expected) && message.lines().count() == 1, "{message}");
    }
}

#[test]
fn a_kind_of_a_users_program_has_a_name_power_and_parameters() {
    let own = "[[channel]]\ntransmitter = 1\nkind = \"fog\"\npower = \"entry\"\nparameters = { depth = [1, 2.5], name = \"low\" }";
    let scenario = parse(own).unwrap();
    let channel = scenario.channel_between(1, 0).unwrap();
    assert_eq!(channel.kind.own(), Some("fog"));
    assert_eq!(channel.parameters["depth"], toml::Value::try_from((1, 2.5)).unwrap());
    assert!(!scenario.is_steady(channel) && !scenario.link_varies(1, 0));
    assert_eq!(scenario.channels_at(3.0), None);
    assert_eq!(Scenario::parse(&scenario.to_toml(), "again", &[]).unwrap(), scenario);
    for (set, line) in [
        (
            "train.rate_at=received",
            "train.rate_at is \"received\", but nobody knows the rate of what arrives",
        ),
        (
            "network.see_channel=true",
            "network.see_channel is true, but nobody knows a gain of what kind \"fog\" does",
        ),
        ("train.baseline=gains", "train.baseline is \"gains\", which nobody sees"),
    ] {
        let refused = Scenario::parse(&format!("{TWO_BY_TWO}\n{own}"), "my.toml", &[set.into()]).unwrap_err();
        assert!(refused.to_string().starts_with(&format!("my.toml: {line}")), "{refused}");
    }
}

#[test]
fn the_received_rate_needs_one_gain_for_all_its_samples() {
    let rayleigh = |more: &[&str]| {
        let mut set: Vec<String> = more.iter().map(|&assignment| assignment.into()).collect();
        set.push("train.rate_at=received".into());
        Scenario::parse(TWO_BY_TWO, "my.toml", &set).map(drop).map_err(|error| error.to_string())
    };
    rayleigh(&["channel=[{kind=\"rayleigh\",snr_db=5}]"]).unwrap();
    rayleigh(&["channel=[{kind=\"rayleigh\",snr_db=5,block=\"round\"}]", "train.samples_per_tick=1"])
        .unwrap();
    rayleigh(&["channel=[{kind=\"awgn\",snr_db=5,block=\"sample\"}]", "train.samples_per_tick=1"]).unwrap();
    for refused in [
        &["channel=[{kind=\"rayleigh\",snr_db=5,block=\"sample\"}]"][..],
        &["channel=[{kind=\"rayleigh\",snr_db=5}]", "train.samples_per_tick=1"],
        &["channel=[{kind=\"awgn\",snr_db=[0,5]}]", "train.samples_per_tick=1"],
        &["channel=[{kind=\"awgn\",snr_db=5}]", "train.method=dlsc"],
    ] {
        let message = rayleigh(refused).unwrap_err();
        assert!(message.starts_with("my.toml: train.rate_at is \"received\", but "), "{message}");
    }
}
