//! Renamed keys. The old names are still read, with a deprecation line that gives the new name.

use toml::{Table, Value};

/// Section, old name and new name of every renamed key.
pub const RENAMED: [(&str, &str, &str); 2] =
    [("train", "coding_rate", "coding_lr"), ("train", "selection_rate", "selection_lr")];

/// Replaces the old keys of a table by the new ones, so that files, presets and overrides with either name can be
/// merged; returns whether there was any. A table with both names keeps both, and the reader refuses the old one.
pub(crate) fn rename(scenario: &mut Table) -> bool {
    let mut renamed = false;
    for (section, old, new) in RENAMED {
        let Some(Value::Table(keys)) = scenario.get_mut(section) else { continue };
        if !keys.contains_key(new)
            && let Some(value) = keys.remove(old)
        {
            keys.insert(new.into(), value);
            renamed = true;
        }
    }
    renamed
}

/// The path `a.b` of an override, with the key's new name if it was renamed.
pub(crate) fn renamed(path: &str) -> String {
    let new = RENAMED.iter().find(|(section, old, _)| path == format!("{section}.{old}"));
    new.map_or_else(|| path.into(), |(section, _, new)| format!("{section}.{new}"))
}

/// One line for every deprecated key in a scenario's text or in overrides of the form `a.b=value`. A text that is not
/// TOML gives none: the reader reports the error.
pub fn deprecated_keys(text: &str, overrides: &[String]) -> Vec<String> {
    let table: Table = text.parse().unwrap_or_default();
    let set = |path: &str| {
        overrides.iter().any(|override_| override_.split_once('=').is_some_and(|(key, _)| key.trim() == path))
    };
    let used = RENAMED.iter().filter(|(section, old, _)| {
        let in_file = table.get(*section).and_then(|keys| keys.as_table()?.get(*old)).is_some();
        in_file || set(&format!("{section}.{old}"))
    });
    used.map(|(section, old, new)| format!("{section}.{old} is deprecated: its name is {section}.{new} now"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Preset, Scenario};

    const OLD: &str = "[train]\ncoding_rate = 0.25\nselection_rate = 0.5\n\
        [[transmitter]]\nmodalities = [\"fft\"]\n[[transmitter]]\nmodalities = [\"mel\"]\n[[receiver]]\ntask = \"digit\"\n";

    fn rates(text: &str, preset: Option<Preset>, overrides: &[&str]) -> (f64, f64) {
        let overrides: Vec<String> = overrides.iter().map(|&text| text.into()).collect();
        let train = Scenario::parse_with(text, "my.toml", preset, &overrides).unwrap().train;
        (train.coding_lr, train.selection_lr)
    }

    #[test]
    fn old_names_mean_the_new_keys_in_files_and_overrides_in_any_mixture() {
        let new = OLD.replace("_rate", "_lr");
        assert_eq!(rates(OLD, None, &[]), (0.25, 0.5));
        for text in [OLD, &new] {
            assert_eq!(rates(text, None, &["train.coding_rate=2"]), (2.0, 0.5));
            assert_eq!(rates(text, None, &["train.coding_lr=2", "train.selection_rate = 3"]), (2.0, 3.0));
            // The last override applies, whichever name it uses.
            assert_eq!(rates(text, None, &["train.coding_lr=2", "train.coding_rate=3"]), (3.0, 0.5));
            assert_eq!(rates(text, Some(Preset::Paper), &[]), (1e-4, 5e-5));
            assert_eq!(rates(text, Some(Preset::Paper), &["train.coding_rate=2"]), (2.0, 5e-5));
        }
    }

    #[test]
    fn a_file_with_both_names_is_refused_by_the_old_one() {
        let both = OLD.replace("selection_rate", "coding_lr");
        for overrides in [&[][..], &["seed=2".to_owned()]] {
            let refused = Scenario::parse(&both, "my.toml", overrides).unwrap_err().to_string();
            assert!(
                refused.contains("unknown field `coding_rate`") && refused.lines().count() == 1,
                "{refused}"
            );
        }
    }

    #[test]
    fn every_deprecated_key_is_named_once_with_its_new_name() {
        let lines = deprecated_keys(OLD, &["train.coding_rate=3".into(), "train.beta=1".into()]);
        let expected = ["coding", "selection"]
            .map(|part| format!("train.{part}_rate is deprecated: its name is train.{part}_lr now"));
        assert_eq!(lines, expected);
        assert_eq!(deprecated_keys("", &[" train.selection_rate =3".into()]), expected[1..]);
        assert!(deprecated_keys(&OLD.replace("_rate", "_lr"), &["train.coding_lr=3".into()]).is_empty());
        assert!(deprecated_keys("no TOML", &[]).is_empty());
    }
}
