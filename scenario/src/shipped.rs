//! Checks of the shipped scenario files: every key must be there, with a correct comment.

use std::collections::BTreeMap;

use toml::{Table, Value};

use crate::Scenario;

const FILES: [(&str, &str); 3] = [
    ("mmfi.toml", include_str!("../../scenarios/mmfi.toml")),
    ("digits.toml", include_str!("../../scenarios/digits.toml")),
    ("handwritten.toml", include_str!("../../scenarios/handwritten.toml")),
];

/// Keys that only the first file has: they do not concern the others.
const MMFI: &str = "mmfi.";

/// The smallest scenario (the default limit E_t = 2 needs two transmitters): every key with a default has it.
const SMALLEST: &str = r#"
    [[transmitter]]
    modalities = ["fft"]
    [[transmitter]]
    modalities = ["mel"]
    [[receiver]]
    task = "digit"
    [[link]]
    [[channel]]
    [profile]
    flops = 1
"#;

/// Keys that must be given, and those that may be absent: no value is their default.
const WITHOUT_DEFAULT: [&str; 47] = [
    "data.path",
    "data.test_speaker",
    "data.groups",
    "mmfi.train_subjects",
    "mmfi.train_actions",
    "mmfi.test_subjects",
    "mmfi.test_actions",
    "network.transmitters",
    "network.receivers",
    "network.encoder.weights",
    "network.joint.weights",
    "network.local.weights",
    "network.selector.weights",
    "train.beta_start",
    "train.coding",
    "train.coding_parameters",
    "train.selection_parameters",
    "evaluation.samples_per_message",
    "evaluation.recordings",
    "checkpoint.store",
    "transmitter.modalities",
    "receiver.task",
    "receiver.ignore",
    "link.transmitter",
    "link.receiver",
    "link.bandwidth",
    "channel.transmitter",
    "channel.receiver",
    "channel.snr_db",
    "channel.modulation",
    "channel.code_rate",
    "channel.k_factor",
    "channel.shape",
    "channel.erasure",
    "channel.trace",
    "channel.taps",
    "channel.subcarriers",
    "channel.decay",
    "channel.peak",
    "channel.parameters",
    "receiver.kind",
    "receiver.classes",
    "profile.flops",
    "profile.memory",
    "profile.node",
    "profile.link.bandwidth",
    "profile.link.symbol_time",
];

/// A file's comment above the first occurrence of each key, by `section.key`.
fn comments(text: &str) -> BTreeMap<String, String> {
    let mut comments = BTreeMap::new();
    let (mut section, mut comment) = (String::new(), Vec::new());
    for line in text.lines() {
        if let Some(words) = line.strip_prefix("# ") {
            comment.push(words);
            continue;
        }
        let line = line.trim_start_matches('#');
        if line.starts_with('[') {
            section = format!("{}.", line.trim_matches(['[', ']']));
        } else if let Some((key, _)) = line.split_once(" = ") {
            comments.entry(format!("{section}{key}")).or_insert(comment.join(" "));
        }
        comment.clear();
    }
    comments
}

/// The keys of a channel that carries bits.
const OF_BITS: [&str; 3] = ["transport", "modulation", "code_rate"];

/// The file, with the keys that it leaves out set to their defaults.
fn with_all_keys_set(text: &str) -> String {
    let set = |line: &str| match line.strip_prefix('#') {
        Some(key) if key.starts_with(|first: char| first.is_ascii_lowercase() || first == '[') => {
            key.to_owned()
        }
        _ => line.to_owned(),
    };
    text.lines().map(set).collect::<Vec<_>>().join("\n")
}

/// All keys, from the reader's message about an unknown key.
fn known_keys() -> Vec<String> {
    let mut keys = Vec::new();
    for name in listed("unknown = 1") {
        let (section, list) = (format!("[{name}]\nunknown = 1"), format!("[[{name}]]\nunknown = 1"));
        let inner = [listed(&section), listed(&list)].concat();
        for key in &inner {
            // Some keys are sections themselves.
            let key = format!("{name}.{key}");
            let below = listed(&format!("[{key}]\nunknown = 1"));
            keys.extend(below.iter().map(|below| format!("{key}.{below}")));
            if below.is_empty() {
                keys.push(key);
            }
        }
        if inner.is_empty() {
            keys.push(name);
        }
    }
    keys
}

/// The known names that an error about an unknown one lists.
fn listed(text: &str) -> Vec<String> {
    let message = Scenario::parse(text, "test", &[]).unwrap_err().to_string();
    match message.split_once(", expected ") {
        Some((unknown, expected)) if unknown.ends_with("unknown field `unknown`") => {
            expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

/// The defaults of all keys with one, by `section.key`.
fn defaults() -> BTreeMap<String, Value> {
    let smallest = Scenario::parse(SMALLEST, "the smallest scenario", &[]).unwrap();
    let mut defaults = BTreeMap::new();
    for (name, value) in smallest.to_toml().parse::<Table>().unwrap() {
        let section = match value {
            Value::Table(section) => section,
            Value::Array(mut nodes) => nodes.remove(0).try_into().unwrap(),
            value => {
                defaults.insert(name, value);
                continue;
            }
        };
        for (key, value) in section {
            match value {
                Value::Table(below) => {
                    defaults.extend(
                        below.into_iter().map(|(last, value)| (format!("{name}.{key}.{last}"), value)),
                    );
                }
                value => drop(defaults.insert(format!("{name}.{key}"), value)),
            }
        }
    }
    defaults.retain(|key, _| !WITHOUT_DEFAULT.contains(&key.as_str()));
    defaults
}

#[test]
fn shipped_files_can_be_run_as_they_are_and_with_every_key_set() {
    for (file, text) in FILES {
        let scenario = Scenario::parse(text, file, &[]).unwrap();
        assert_eq!(format!("{}.toml", scenario.name), file);
        // Only the manual split takes its lists, a channel carries either values or bits, only HandWritten takes a test
        // speaker, and only arrays take an array of recordings.
        let all = with_all_keys_set(text).replace("\nrecordings = \"recording\"", "");
        // gaussian, which stands there, has no parameters.
        let all = all.replace("\ncoding_parameters = { levels = 4 }", "");
        let all = match file {
            "handwritten.toml" => all,
            _ => all.replace("\ntest_speaker = \"theo\"", ""),
        };
        let is_of_bits = |line: &&str| OF_BITS.iter().any(|key| line.starts_with(&format!("{key} = ")));
        let analogue: Vec<&str> = all.lines().filter(|line| !is_of_bits(line)).collect();
        Scenario::parse(&analogue.join("\n"), file, &["mmfi.split=manual".into()]).unwrap();
        let of_bits: Vec<&str> = all.lines().filter(is_of_bits).collect();
        assert_eq!(of_bits.len(), OF_BITS.len(), "{file}");
        let digital = [
            "train.coding=dithered".into(),
            "train.rate_estimator=prior".into(),
            format!("channel=[{{kind=\"awgn\",snr_db=10,{}}}]", of_bits.join(",")),
        ];
        Scenario::parse(text, file, &digital).unwrap();
    }
}

#[test]
fn every_key_appears_in_every_file_under_a_comment_with_range_and_default() {
    let keys = known_keys();
    assert!(keys.contains(&"seed".into()) && keys.contains(&"receiver.task".into()), "{keys:?}");
    for (file, text) in FILES {
        let comments = comments(text);
        let keys: Vec<&String> =
            keys.iter().filter(|key| file == FILES[0].0 || !key.starts_with(MMFI)).collect();
        for key in &keys {
            let comment = comments.get(*key).unwrap_or_else(|| panic!("{file} lacks {key}"));
            let ranged = comment.contains("Range: ") || comment.contains("One of: ");
            assert!(ranged && comment.contains("Default: "), "{file}: {key}: {comment:?}");
        }
        assert_eq!(comments.len(), keys.len(), "{file} has keys that nobody reads");
    }
}

#[test]
fn the_defaults_in_the_comments_are_those_of_the_program() {
    let defaults = defaults();
    assert_eq!(defaults.len() + WITHOUT_DEFAULT.len(), known_keys().len());
    for (file, text) in FILES {
        let comments = comments(text);
        for (key, expected) in defaults.iter().filter(|(key, _)| comments.contains_key(*key)) {
            let (_, written) = comments[key].split_once("Default: ").unwrap();
            let table = format!("value = {}", written.trim_end_matches('.')).parse::<Table>();
            assert_eq!(
                table.unwrap_or_else(|_| panic!("{file}: {key}"))["value"],
                *expected,
                "{file}: {key}"
            );
        }
    }
}

#[test]
fn the_choices_in_the_comments_are_those_of_the_program() {
    for (file, text) in FILES {
        let mut compared = 0;
        for (key, comment) in comments(text) {
            let override_ = match key.strip_prefix("channel.") {
                Some(key) => format!("channel=[{{{key}=\"unknown\"}}]"),
                None => format!("{key}=unknown"),
            };
            let message =
                Scenario::parse(SMALLEST, "test", &[override_]).err().map(|error| error.to_string());
            // ... unknown variant `unknown`, expected `this` or `that`, in `section.key`
            let choices =
                message.as_deref().and_then(|message| message.split_once("unknown variant `unknown`, "));
            let Some((_, choices)) = choices else { continue };
            let (choices, _) = choices.split_once(", in ").unwrap();
            let names: Vec<String> =
                choices.split('`').skip(1).step_by(2).map(|name| format!("\"{name}\"")).collect();
            let expected = format!("One of: {}. Default: ", names.join(", "));
            assert!(comment.contains(&expected), "{file}: {key} should say {expected:?}: {comment:?}");
            compared += 1;
        }
        assert_eq!(compared, comments(text).values().filter(|comment| comment.contains("One of: ")).count());
    }
}

#[test]
fn all_files_say_the_same_of_a_key() {
    let [(_, first), others @ ..] = FILES;
    let mut first = comments(first);
    first.retain(|key, _| !key.starts_with(MMFI));
    for (file, text) in others {
        assert_eq!(comments(text), first, "{file}");
    }
}

/// What travels in bits is HandWritten's network otherwise.
#[test]
fn the_scenario_in_bits_differs_from_handwritten_where_it_says_so() {
    let parse = |text, file| Scenario::parse(text, file, &[]).unwrap();
    let bits = parse(include_str!("../../scenarios/handwritten-bits.toml"), "handwritten-bits.toml");
    let changes = bits.differences(&parse(FILES[2].1, FILES[2].0));
    let keys: Vec<&str> = changes.iter().map(|change| change.key.as_str()).collect();
    let expected = [
        "network.feature_dim",
        "train.beta",
        "train.beta_rise",
        "train.beta_start",
        "train.coding",
        "train.prior_lr",
        "train.rate_estimator",
        "train.task_input",
    ];
    assert_eq!(keys, expected);
}

/// The keys of networks that are commented out exist too.
#[test]
fn the_convolutional_scenario_can_be_read_with_every_key_of_its_networks_set() {
    let all = with_all_keys_set(include_str!("../../scenarios/handwritten-cnn.toml"));
    let model = Scenario::parse(&all, "handwritten-cnn.toml", &[]).unwrap().encoder("image").model;
    assert!(model.shape.is_some() && model.order.is_some() && model.weights.is_some());
    assert!(model.outputs.is_some() && model.head.is_some());
}

/// Scenarios that leave most keys out can be read, and are called as their files are.
#[test]
fn shorter_files_can_be_read() {
    for (name, text) in [
        ("two-links", include_str!("../../scenarios/two-links.toml")),
        ("handwritten-bits", include_str!("../../scenarios/handwritten-bits.toml")),
        ("handwritten-cnn", include_str!("../../scenarios/handwritten-cnn.toml")),
        ("watch", include_str!("../../scenarios/watch.toml")),
        ("mfeat", include_str!("../../scenarios/mfeat.toml")),
        ("htad", include_str!("../../scenarios/htad.toml")),
        ("coordination", include_str!("../../scenarios/coordination.toml")),
    ] {
        assert_eq!(Scenario::parse(text, name, &[]).unwrap().name, name);
    }
}
