use std::collections::BTreeMap;

use proto::{
    Packer, WireError, check_finite, check_length, decode_bits, encode_bits,
    v1::{Answers, Batch, Observation},
};
use scenario::Scenario;

use super::Sample;
use crate::summary::ClassCounts;

/// What a network's entries and answers are called, and how large they are.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    /// The modalities of every transmitter.
    pub(crate) modalities: Vec<Vec<String>>,
    /// "0:fft" for modality fft of transmitter 0, in (k, m) order.
    pub(crate) entries: Vec<String>,
    /// Values a sample, in the same order; nothing before the nodes are ready.
    pub(crate) widths: Vec<usize>,
    /// The receivers' tasks.
    pub(crate) tasks: Vec<String>,
    /// The classes of receivers that classify: how many, and their names if their labels are texts.
    pub(crate) classes: BTreeMap<usize, (usize, Vec<String>)>,
}

impl Names {
    pub(crate) fn of(scenario: &Scenario) -> Self {
        let modalities: Vec<Vec<String>> =
            scenario.transmitter.iter().map(|node| node.modalities.clone()).collect();
        let of = |(k, names): (usize, &Vec<String>)| {
            names.iter().map(|name| format!("{k}:{name}")).collect::<Vec<String>>()
        };
        Names {
            entries: modalities.iter().enumerate().flat_map(of).collect(),
            modalities,
            widths: Vec::new(),
            tasks: scenario.tasks(),
            classes: BTreeMap::new(),
        }
    }

    pub(crate) fn know(&mut self, classes: &[ClassCounts], widths: Vec<usize>) {
        let of = |of: &ClassCounts| (of.receiver, (of.train.len(), of.names.clone()));
        self.classes = classes.iter().map(of).collect();
        self.widths = widths;
    }

    /// The position of an entry in (k, m) order; none if there is no such entry.
    pub(crate) fn entry(&self, k: usize, m: usize) -> Option<usize> {
        let modalities = self.modalities.get(k)?;
        let before: usize = self.modalities[..k].iter().map(Vec::len).sum();
        (m < modalities.len()).then_some(before + m)
    }

    /// Each transmitter's order for a batch: with what it observes, if the samples are given.
    pub(crate) fn orders(&self, order: &Batch, samples: &[Sample]) -> Vec<Batch> {
        let of = |k: usize| {
            let observed = match order.given {
                true => {
                    (0..self.modalities[k].len()).filter_map(|m| self.observation(k, m, samples)).collect()
                }
                false => Vec::new(),
            };
            Batch { observed, ..order.clone() }
        };
        (0..self.modalities.len()).map(of).collect()
    }

    /// What transmitter k observes of a modality; none if that is nothing at all.
    fn observation(&self, k: usize, m: usize, samples: &[Sample]) -> Option<Observation> {
        let entry = self.entry(k, m)?;
        let width = self.widths[entry];
        let absent: Vec<bool> = samples.iter().map(|sample| sample.observed[entry].is_none()).collect();
        if !absent.contains(&false) {
            return None;
        }
        let mut packer = Packer::new(samples.len() * width);
        for sample in samples {
            match &sample.observed[entry] {
                Some(values) => packer.extend(values.iter().copied()),
                None => packer.extend(std::iter::repeat_n(0.0, width)),
            }
        }
        let absent = if absent.contains(&true) { encode_bits(&absent) } else { bytes::Bytes::new() };
        let values = Some(packer.pack(&[samples.len(), width]));
        Some(Observation { modality: m as u32, values, absent })
    }

    /// Checks a receiver's answers to so many samples.
    pub(crate) fn check(
        &self,
        receiver: usize,
        first: u64,
        samples: usize,
        answers: &Answers,
    ) -> Result<(), WireError> {
        if answers.first != first {
            let (got, expected) = (answers.first.to_string(), first.to_string());
            return Err(WireError::Stamp { what: "first sample", got, expected });
        }
        let width = answers.width as usize;
        if width == 0 || width > 1 << 20 {
            return Err(WireError::Missing("width of its outputs"));
        }
        check_length("outputs", "bytes", answers.outputs.len(), 4 * width * samples)?;
        let classes = self.classes.get(&receiver).map(|(classes, _)| *classes);
        check_length("labels", "values", answers.labels.len(), classes.map_or(0, |_| samples))?;
        if let Some(classes) = classes {
            check_length("outputs", "classes", width, classes)?;
            let wrong = answers.labels.iter().find(|label| **label as usize >= classes);
            if let Some(&label) = wrong {
                return Err(WireError::Index { what: "label", got: label as usize, bound: classes });
            }
        }
        for used in &answers.used {
            let entry = self.entry(used.transmitter as usize, used.modality as usize);
            entry.ok_or(WireError::Missing("entry of that number"))?;
            if !used.samples.is_empty() {
                decode_bits("the samples of an entry", &used.samples, samples)?;
            }
            check_finite("nats", used.nats.as_slice())?;
        }
        if let Some(&k) = answers.without.iter().find(|k| **k as usize >= self.modalities.len()) {
            return Err(WireError::Index {
                what: "transmitter",
                got: k as usize,
                bound: self.modalities.len(),
            });
        }
        check_finite("times", &[answers.decode, answers.encode, answers.score])
    }

    /// What a receiver decodes.
    pub(crate) fn decoded(&self, answers: &Answers) -> Vec<String> {
        let used = answers.used.iter();
        let places = used.filter_map(|used| self.entry(used.transmitter as usize, used.modality as usize));
        places.map(|entry| self.entries[entry].clone()).collect()
    }
}
