use std::path::Path;

use toml::{Table, Value};

use crate::{
    Preset, Scenario, ScenarioError,
    data::take_own_keys,
    renamed::{rename, renamed},
    validate::{MOST_NODES, within},
};

/// The default share of the training rows that is held out, where a scenario asks for validation.
const HELD_OUT: f64 = 0.1;

impl Scenario {
    /// Reads a scenario file, applies overrides of the form `a.b=value`, expands the node lists and validates.
    ///
    /// # Errors
    ///
    /// [`ScenarioError`] if the file cannot be read, is malformed, or has a value that cannot be used.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self, ScenarioError> {
        Self::read_with(path, None, overrides)
    }

    /// The same with a preset, which overrides the file and is overridden by `overrides`.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_with(
        path: &Path,
        preset: Option<Preset>,
        overrides: &[String],
    ) -> Result<Self, ScenarioError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ScenarioError::Unreadable { path: path.into(), error })?;
        Self::parse_with(&text, &path.display().to_string(), preset, overrides)
    }

    /// The same from a text; `origin` names it in error messages.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn parse(text: &str, origin: &str, overrides: &[String]) -> Result<Self, ScenarioError> {
        Self::parse_with(text, origin, None, overrides)
    }

    /// [`read_with`](Self::read_with) from a text.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn parse_with(
        text: &str,
        origin: &str,
        preset: Option<Preset>,
        overrides: &[String],
    ) -> Result<Self, ScenarioError> {
        let mut table: Table = text.parse().map_err(|error| malformed(origin, text, &error))?;
        let renamed = rename(&mut table);
        if let Some(preset) = preset {
            let mut overridden = table.clone();
            overrides.iter().try_for_each(|assignment| set(&mut overridden, assignment))?;
            preset.apply(&mut table, &overridden);
        }
        for assignment in overrides {
            set(&mut table, assignment)?;
        }
        let own = take_own_keys(&mut table);
        // Without changes the text itself is deserialised, so that errors carry a line number.
        let mut scenario: Scenario = if preset.is_none() && overrides.is_empty() && !renamed && own.is_empty()
        {
            toml::from_str(text).map_err(|error| malformed(origin, text, &error))?
        } else {
            table.try_into().map_err(|error| misplaced(origin, &error))?
        };
        scenario.data.own = own;
        let scenario = scenario.expanded().map_err(|error| error.of(origin))?.with_rows_to_validate_on();
        scenario.validate().map_err(|error| error.of(origin))?;
        Ok(scenario)
    }

    /// The scenario as TOML text. Reading it back gives the same scenario.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a scenario has only strings, numbers and lists")
    }

    /// Holds out a tenth of the rows if the scenario asks for validation without saying how many.
    fn with_rows_to_validate_on(mut self) -> Self {
        if self.evaluation.every > 0 && self.data.hold_out == 0.0 {
            self.data.hold_out = HELD_OUT;
        }
        self
    }

    /// Repeats the node lists cyclically to the numbers in `[network]`.
    fn expanded(mut self) -> Result<Self, ScenarioError> {
        self.transmitter = repeated(&self.transmitter, self.network.transmitters.take(), "transmitter")?;
        self.receiver = repeated(&self.receiver, self.network.receivers.take(), "receiver")?;
        Ok(self)
    }
}

fn repeated<N: Clone>(list: &[N], count: Option<usize>, role: &str) -> Result<Vec<N>, ScenarioError> {
    if list.is_empty() {
        return Err(ScenarioError::invalid(
            format!("[[{role}]]"),
            format!("is missing: list at least one {role}"),
        ));
    }
    // Checked before anything is repeated: a mistyped number must not fill the memory.
    let count = count.unwrap_or(list.len());
    within(&format!("network.{role}s"), count, 1, MOST_NODES)?;
    Ok(list.iter().cycle().take(count).cloned().collect())
}

/// Applies one override to the raw table.
fn set(table: &mut Table, assignment: &str) -> Result<(), ScenarioError> {
    let fail = |message: String| ScenarioError::Malformed { origin: format!("--set {assignment}"), message };
    let Some((path, text)) = assignment.split_once('=') else {
        return Err(fail("write it as key=value, for example train.rounds=500".into()));
    };
    let path = renamed(path.trim());
    let keys: Vec<&str> = path.split('.').collect();
    let (last, parents) = keys.split_last().expect("split gives at least one piece");
    let mut here = table;
    for key in parents {
        here = here
            .entry(*key)
            .or_insert_with(|| Value::Table(Table::new()))
            .as_table_mut()
            .ok_or_else(|| fail(format!("\"{key}\" is not a section")))?;
    }
    here.insert((*last).into(), parse_value(text.trim()));
    Ok(())
}

/// Parses a TOML value; other text is taken as a string, so that `train.method=tadib` needs no quotes.
fn parse_value(text: &str) -> Value {
    format!("value = {text}")
        .parse::<Table>()
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(text.into()))
}

/// Shortens TOML's message to one line, with the line number if there is one.
fn malformed(origin: &str, text: &str, error: &toml::de::Error) -> ScenarioError {
    let line = error.span().map(|span| 1 + text[..span.start.min(text.len())].matches('\n').count());
    let large_seed = line.and_then(|line| large_seed(text.lines().nth(line - 1)?));
    let origin = match line {
        Some(line) => format!("{origin}: line {line}"),
        None => origin.into(),
    };
    let message = large_seed.unwrap_or_else(|| error.message().lines().collect::<Vec<_>>().join("; "));
    ScenarioError::Malformed { origin, message }
}

/// The message for a line with a seed beyond TOML's integers, which end at 2^63 - 1.
fn large_seed(line: &str) -> Option<String> {
    let (key, value) = line.split_once('=')?;
    let digits = value.split('#').next()?.trim().replace('_', "");
    let is_large = digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<i64>().is_err();
    if key.trim() != "seed" || digits.is_empty() || !is_large {
        return None;
    }
    let remedy = match digits.parse::<u64>() {
        Ok(seed) => format!("beyond {} it stands in quotes: seed = \"{seed}\"", i64::MAX),
        Err(_) => format!("beyond {} it stands in quotes", i64::MAX),
    };
    Some(format!("a seed is from 0 to {}, and {remedy}", u64::MAX))
}

/// The same for a table that overrides have changed, which has no lines: names the key instead.
fn misplaced(origin: &str, error: &toml::de::Error) -> ScenarioError {
    let text = error.to_string();
    let lines = text.lines().filter(|line| !line.is_empty());
    ScenarioError::Malformed { origin: origin.into(), message: lines.collect::<Vec<_>>().join(", ") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Device, Method};

    const DIGITS: &str = include_str!("../../scenarios/digits.toml");

    /// Three transmitters, two receivers, everything else at its default.
    const SMALL: &str = r#"
        [[transmitter]]
        modalities = ["fft"]
        [[transmitter]]
        modalities = ["mel", "noise-1"]
        [[transmitter]]
        modalities = ["mel"]
        [[receiver]]
        task = "digit"
        [[receiver]]
        task = "parity"
    "#;

    fn parse(text: &str, overrides: &[&str]) -> Result<Scenario, ScenarioError> {
        let overrides: Vec<String> = overrides.iter().map(|&assignment| assignment.into()).collect();
        Scenario::parse(text, "my.toml", &overrides)
    }

    fn refusal(text: &str, overrides: &[&str]) -> String {
        parse(text, overrides).unwrap_err().to_string()
    }

    #[test]
    fn a_seed_that_is_too_large_for_toml_is_told_its_range_and_that_quotes_help() {
        let with = |line: &str| format!("name = \"x\"\n{line}\n{SMALL}");
        for (line, remedy) in [
            ("seed = 18446744073709551615", "stands in quotes: seed = \"18446744073709551615\""),
            ("seed = 9_223_372_036_854_775_808 # large", "stands in quotes: seed = \"9223372036854775808\""),
            ("seed=18446744073709551616", "beyond 9223372036854775807 it stands in quotes"),
        ] {
            let said = refusal(&with(line), &[]);
            assert!(
                said.starts_with("my.toml: line 2: a seed is from 0 to 18446744073709551615, and"),
                "{said}"
            );
            assert!(said.ends_with(remedy) && !said.contains('\n'), "{said}");
        }
        // The advice works, in the file and on the command line.
        let quoted = parse(&with("seed = \"18446744073709551615\""), &[]).unwrap();
        assert_eq!(quoted, parse(&with(""), &["seed=18446744073709551615"]).unwrap());
        assert_eq!(quoted.seed, u64::MAX);
        assert!(!refusal(&with("seeds = 18446744073709551615"), &[]).contains("a seed is"));
    }

    #[test]
    fn missing_keys_have_their_defaults() {
        let scenario = parse(SMALL, &[]).unwrap();
        let lists = Scenario {
            transmitter: scenario.transmitter.clone(),
            receiver: scenario.receiver.clone(),
            ..Scenario::default()
        };
        assert_eq!(scenario, lists);
        assert_eq!((scenario.transmitters(), scenario.receivers(), scenario.modalities(1)), (3, 2, 2));
        assert_eq!(scenario.transmitter[0].device, Device::Auto);
    }

    #[test]
    fn overrides_go_before_the_file_and_the_last_one_wins() {
        let scenario = parse(
            SMALL,
            &["seed=2", "train.method=tadib", "train.beta = 1e-4", "name=\"a b\"", "seed=3", "data.path=/x"],
        )
        .unwrap();
        assert_eq!((scenario.seed, scenario.name.as_str()), (3, "a b"));
        assert_eq!((scenario.train.method, scenario.train.beta), (Method::TADIB, 1e-4));
        assert_eq!(scenario.data.path.as_deref(), Some(Path::new("/x")));
    }

    #[test]
    fn node_lists_repeat_cyclically_or_are_cut() {
        let repeated = parse(SMALL, &["network.transmitters=7", "network.receivers=1"]).unwrap();
        let counts: Vec<usize> = (0..7).map(|k| repeated.modalities(k)).collect();
        assert_eq!(counts, [1, 2, 1, 1, 2, 1, 1]);
        assert_eq!(repeated.receivers(), 1);
        assert_eq!(repeated.receiver[0].task, "digit");
    }

    #[test]
    fn limits_hold_only_where_they_are_wanted_and_somebody_selects() {
        let limits = |overrides: &[&str]| {
            let scenario = parse(SMALL, overrides).unwrap();
            (scenario.receiver_limit(), scenario.transmitter_limit(1))
        };
        assert_eq!(limits(&[]), (2, 4));
        assert_eq!(limits(&["network.limits=false"]), (3, 4));
        assert_eq!(limits(&["network.limits=false", "network.receivers=3"]), (3, 6));
        assert_eq!(limits(&["train.method=tadib", "network.transmitter_limit=1"]), (3, 4));
    }

    #[test]
    fn every_mistake_is_answered_by_one_line_that_names_it() {
        for (text, expected) in [
            ("name = ", "my.toml: line 1: "),
            ("seed = 1\nbeta = 2\n", "my.toml: line 2: unknown field `beta`, expected one of `name`, "),
            ("[train]\nbate = 2\n", "my.toml: line 2: unknown field `bate`, expected one of `method`, "),
            ("[train]\nbeta = \"x\"\n", "my.toml: line 2: invalid type: string \"x\", expected f64"),
            (
                "[train]\nmethod = \"best\"\n",
                "my.toml: line 2: unknown variant `best`, expected one of `pom2dib`, `rs-dib`, ",
            ),
            ("[data]\nsource = 3\n", "my.toml: line 2: invalid type: integer `3`, expected a string"),
            ("seed = -1\n", "my.toml: line 1: invalid value: integer `-1`, expected u64"),
            ("[[transmitter]]\n", "my.toml: line 1: missing field `modalities`"),
            (
                "[[receiver]]\ntask = \"digit\"\ndevice = \"gpu\"\n",
                "my.toml: line 3: device \"gpu\" is none of cpu, cuda:N and auto",
            ),
            ("", "my.toml: [[transmitter]] is missing: list at least one transmitter"),
            (
                "[[transmitter]]\nmodalities = [\"fft\"]\n",
                "my.toml: [[receiver]] is missing: list at least one receiver",
            ),
        ] {
            let message = refusal(text, &[]);
            assert!(message.starts_with(expected), "{text:?}: {message}");
            assert_eq!(message.lines().count(), 1, "{message}");
        }
    }

    #[test]
    fn every_value_out_of_range_is_refused_by_its_key() {
        for (assignment, expected) in [
            ("network.feature_dim=0", "network.feature_dim is 0; it must be from 1 to 4096"),
            ("network.feature_dim=5000", "network.feature_dim is 5000; it must be from 1 to 4096"),
            ("network.receiver_limit=0", "network.receiver_limit (E_t) is 0; it must be from 1 to 3"),
            ("network.receiver_limit=4", "network.receiver_limit (E_t) is 4; it must be from 1 to 3"),
            ("network.transmitter_limit=0", "network.transmitter_limit (E_k) is 0; it must be at least 1"),
            ("network.transmitters=0", "network.transmitters is 0; it must be from 1 to 4096"),
            (
                "network.receivers=9223372036854775807",
                "network.receivers is 9223372036854775807; it must be from 1 to 4096",
            ),
            ("data.noise_width=0", "data.noise_width is 0; it must be from 1 to 1048576"),
            ("data.validation=true", "data.validation is for data.source \"handwritten\" alone"),
            ("data.test_speaker=theo", "data.test_speaker is for data.source \"handwritten\" alone"),
            ("data.frozen_audio=true", "data.frozen_audio is for data.source \"handwritten\" alone"),
            ("train.rounds=0", "train.rounds is 0; it must be at least 1"),
            ("train.ticks_per_round=0", "train.ticks_per_round is 0; it must be from 1 to 1048576"),
            ("train.samples_per_tick=0", "train.samples_per_tick is 0; it must be from 1 to 1048576"),
            (
                "train.samples_per_tick=1000000",
                "train.ticks_per_round x train.samples_per_tick is 20000000; it must be from 1 to 1048576",
            ),
            ("train.ticks_per_part=0", "train.ticks_per_part is 0; it must be a multiple of 10"),
            ("train.ticks_per_part=15", "train.ticks_per_part is 15; it must be a multiple of 10"),
            ("train.beta=-1.0", "train.beta is -1; it must be 0 or more"),
            ("train.beta_start=0.0", "train.beta_start is 0; it must be above 0"),
            ("train.beta_rise=1.5", "train.beta_rise is 1.5; it must be from 0 to 1"),
            ("train.entropy_bonus=-0.1", "train.entropy_bonus is -0.1; it must be 0 or more"),
            ("train.entropy_until=nan", "train.entropy_until is NaN; it must be from 0 to 1"),
            ("train.cool_down=-0.1", "train.cool_down is -0.1; it must be from 0 to 1"),
            ("train.gamma=nan", "train.gamma is NaN; it must be 0 or more"),
            ("train.modality_dropout=1.0", "train.modality_dropout is 1; it must be from 0 to 0.99"),
            ("train.modality_dropout=nan", "train.modality_dropout is NaN; it must be from 0 to 0.99"),
            ("train.empty_penalty=nan", "train.empty_penalty is NaN; it must be 0 or more"),
            ("train.worst_memory=1.5", "train.worst_memory is 1.5; it must be from 0 to 1"),
            ("train.worst_lr=nan", "train.worst_lr is NaN; it must be from 0 to 1000"),
            ("train.worst_lr=1e4", "train.worst_lr is 10000; it must be from 0 to 1000"),
            ("train.empty_penalty=-1.0", "train.empty_penalty is -1; it must be 0 or more"),
            ("train.coding_lr=inf", "train.coding_lr is inf; it must be 0 or more"),
            ("train.selection_lr=-1e-9", "train.selection_lr is -0.000000001; it must be 0 or more"),
            ("train.weight_decay=-0.5", "train.weight_decay is -0.5; it must be 0 or more"),
            ("train.selection_clip=-inf", "train.selection_clip is -inf; it must be 0 or more"),
            ("evaluation.passes=0", "evaluation.passes is 0; it must be from 1 to 10000"),
            (
                "evaluation.joint_rate_samples=1",
                "evaluation.joint_rate_samples is 1; it must be from 2 to 20000",
            ),
        ] {
            assert_eq!(refusal(SMALL, &[assignment]), format!("my.toml: {expected}"));
        }
        let both = ["train.objective=worst", "straggler.policy=skip"];
        let expected =
            "my.toml: train.objective is \"worst\", for which nodes wait until they know all costs";
        let refused = refusal(SMALL, &both);
        assert!(refused.starts_with(expected) && refused.lines().count() == 1, "{refused}");
        let together = ["train.objective=worst", "train.credit=shared", "train.baseline=label-entropy"];
        let refused = refusal(SMALL, &together);
        assert!(refused.starts_with("my.toml: train.baseline is \"label-entropy\""), "{refused}");
        assert!(refused.ends_with("set \"leave-one-out\"") && refused.lines().count() == 1, "{refused}");
        for other in ["train.objective=sum", "train.credit=own", "train.baseline=none", "train.method=tadib"]
        {
            assert!(parse(SMALL, &[&together[..], &[other]].concat()).is_ok(), "{other}");
        }
        let one_class = SMALL.replace("task = \"digit\"", "task = \"digit\"\nclasses = 1");
        let expected = "my.toml: classes of receiver 0 is 1; it must be from 2 to 65536";
        assert_eq!(refusal(&one_class, &[]), expected);
        let two_kinds = format!("{SMALL}[[receiver]]\ntask = \"digit\"\nkind = \"regression\"\n");
        let expected =
            "my.toml: receiver[2] has task \"digit\" with other kind or classes than an earlier one";
        assert!(refusal(&two_kinds, &[]).starts_with(expected));
        let no_modality = SMALL.replace("[\"fft\"]", "[]");
        let expected = "my.toml: modalities of transmitter 0: their number is 0; it must be from 1 to 4096";
        assert_eq!(refusal(&no_modality, &[]), expected);
    }

    #[test]
    fn an_override_that_cannot_be_applied_is_refused_by_its_own_text() {
        for (assignment, expected) in [
            ("seed", "--set seed: write it as key=value, for example train.rounds=500"),
            ("seed.more=1", "--set seed.more=1: \"seed\" is not a section"),
            ("transmitter.0=1", "--set transmitter.0=1: \"transmitter\" is not a section"),
            ("train.beat=1", "my.toml: unknown field `beat`, expected one of `method`, "),
            ("=1", "my.toml: unknown field ``, expected one of `name`, "),
        ] {
            let message = refusal(&format!("seed = 1\n{SMALL}"), &[assignment]);
            assert!(message.starts_with(expected), "{message}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let message = Scenario::read(Path::new("/no/such.toml"), &[]).unwrap_err().to_string();
        assert!(message.starts_with("/no/such.toml: "), "{message}");
        assert!(message.ends_with("; give the path of a scenario file"), "{message}");
    }

    #[test]
    fn every_device_has_one_spelling() {
        for text in ["auto", "cpu", "cuda:0", "cuda:11"] {
            assert_eq!(text.parse::<Device>().unwrap().to_string(), text);
        }
        for text in ["", "gpu", "cuda", "cuda:", "cuda:-1", "cpu:0", "CPU"] {
            assert!(
                text.parse::<Device>().unwrap_err().contains("is none of cpu, cuda:N and auto"),
                "{text}"
            );
        }
    }

    /// Scenarios with numbers of any size and names with any characters.
    fn some_scenario() -> impl Strategy<Value = Scenario> {
        let numbers = (0..=i64::MAX as u64, 1u64.., 1usize..=4096, 0u64..=i64::MAX as u64);
        let reals = proptest::collection::vec(0.0f64..=f64::MAX, 6);
        (any::<String>(), numbers, reals, proptest::option::of(any::<String>())).prop_map(
            |(name, (seed, rounds, feature_dim, every), reals, path)| {
                let mut scenario = parse(SMALL, &[]).unwrap();
                (scenario.name, scenario.seed) = (name, seed);
                (scenario.train.rounds, scenario.network.feature_dim) = (rounds >> 1 | 1, feature_dim);
                scenario.checkpoint.every = every;
                scenario.data.path = path.map(Into::into);
                let train = &mut scenario.train;
                (train.beta, train.gamma, train.coding_lr) = (reals[0], reals[1], reals[2]);
                (train.selection_lr, train.weight_decay) = (reals[3], reals[4]);
                train.selection_clip = reals[5];
                scenario.transmitter[1].device = Device::Cuda(feature_dim);
                scenario
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(scenario in some_scenario()) {
            prop_assert_eq!(parse(&scenario.to_toml(), &[]).unwrap(), scenario);
        }

        #[test]
        fn arbitrary_text_is_refused_in_one_line(text in any::<String>()) {
            prop_assert_eq!(refusal(&text, &[]).lines().count(), 1);
        }

        #[test]
        fn a_damaged_file_never_panics(start in 0..DIGITS.len(), length in 0usize..40, put in any::<String>()) {
            let end = (start + length).min(DIGITS.len());
            let damaged = [&DIGITS[..start], &put, &DIGITS[end..]].concat();
            if let Err(error) = parse(&damaged, &[]) {
                prop_assert_eq!(error.to_string().lines().count(), 1);
            }
        }

        #[test]
        fn an_arbitrary_override_never_panics(key in "[a-z._]{0,20}", value in any::<String>()) {
            for assignment in [format!("{key}={value}"), value] {
                if let Err(error) = parse(DIGITS, &[&assignment]) {
                    let message = error.to_string();
                    let origins = ["my.toml: ", "--set "];
                    prop_assert!(origins.iter().any(|origin| message.starts_with(origin)), "{}", message);
                }
            }
        }
    }
}
