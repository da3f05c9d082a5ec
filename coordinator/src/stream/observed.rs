use super::Names;

/// Values by entry in (k, m) order, where there are any.
pub(crate) type Values = Vec<Option<Vec<f32>>>;

/// What is observed of a sample, as it is put together.
pub(crate) struct Observed<'a> {
    names: &'a Names,
    /// The one transmitter that may observe; none: all may.
    only: Option<usize>,
    values: Values,
    /// Whether an entry's values were given for its transmitter alone.
    own: Vec<bool>,
}

impl<'a> Observed<'a> {
    /// Nothing, of a sample that one transmitter or all may observe.
    pub(crate) fn new(names: &'a Names, only: Option<usize>) -> Self {
        let entries = names.entries.len();
        Observed { names, only, values: vec![None; entries], own: vec![false; entries] }
    }

    /// The entries that a key means: "mel" is observed by every transmitter that has this modality, "1:mel" by
    /// transmitter 1 alone. All have the same width.
    fn places(&self, key: &str) -> Result<(Vec<usize>, bool), String> {
        let entries = &self.names.entries;
        let own = entries.iter().position(|entry| entry == key);
        let is_meant = |&at: &usize| {
            let (transmitter, modality) = entries[at].split_once(':').unwrap_or_default();
            let is_allowed = self.only.is_none_or(|only| transmitter == only.to_string());
            is_allowed && own.map_or(modality == key, |own| own == at)
        };
        let places: Vec<usize> = (0..entries.len()).filter(is_meant).collect();
        if !places.is_empty() {
            return Ok((places, own.is_some()));
        }
        let key: String = key.chars().take(40).collect();
        Err(match self.only {
            Some(only) => format!("transmitter {only}, who sends it, does not observe {key:?}"),
            None => format!("nobody observes {key:?}: there are {}", entries.join(", ")),
        })
    }

    /// How many values a sample of what a key means has.
    pub(crate) fn width(&self, key: &str) -> Result<usize, String> {
        self.places(key).map(|(places, _)| self.names.widths[places[0]])
    }

    /// Takes finite values. Those for one transmitter go before those for all, in whichever order they come.
    pub(crate) fn take(&mut self, key: &str, values: Vec<f32>) -> Result<(), String> {
        let (places, own) = self.places(key)?;
        let width = self.names.widths[places[0]];
        if values.len() != width {
            return Err(format!("{key} has {} values, and a sample of it has {width}", values.len()));
        }
        for place in places {
            if own || !self.own[place] {
                (self.values[place], self.own[place]) = (Some(values.clone()), own);
            }
        }
        Ok(())
    }

    /// All that was observed.
    pub(crate) fn values(self) -> Values {
        self.values
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn names() -> Names {
        Names {
            modalities: vec![vec!["a".into(), "b".into()], vec!["a".into()]],
            entries: vec!["0:a".into(), "0:b".into(), "1:a".into()],
            widths: vec![2, 1, 2],
            tasks: Vec::new(),
            classes: BTreeMap::new(),
        }
    }

    #[test]
    fn values_for_one_transmitter_go_before_those_for_all_in_any_order() {
        let names = names();
        for order in [["a", "1:a"], ["1:a", "a"]] {
            let mut observed = Observed::new(&names, None);
            for key in order {
                observed.take(key, if key == "a" { vec![1.0, 2.0] } else { vec![7.0, 8.0] }).unwrap();
            }
            assert_eq!(observed.values(), [Some(vec![1.0, 2.0]), None, Some(vec![7.0, 8.0])]);
        }
    }

    #[test]
    fn who_speaks_for_a_transmitter_observes_for_it_alone() {
        let names = names();
        let mut observed = Observed::new(&names, Some(1));
        observed.take("a", vec![1.0, 2.0]).unwrap();
        for key in ["0:a", "b", "0:b"] {
            assert!(observed.take(key, vec![1.0, 2.0]).unwrap_err().contains("transmitter 1"), "{key}");
        }
        assert_eq!(observed.values(), [None, None, Some(vec![1.0, 2.0])]);
        let mut all = Observed::new(&names, None);
        assert!(all.take("c", vec![1.0]).unwrap_err().contains("there are 0:a, 0:b, 1:a"));
        assert!(
            all.take("b", vec![1.0, 2.0]).unwrap_err().contains("b has 2 values, and a sample of it has 1")
        );
    }
}
