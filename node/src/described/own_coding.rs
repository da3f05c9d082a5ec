//! Codings that a user's program adds.

use std::sync::{Arc, PoisonError, RwLock};

use dib::{
    CodedRows, Coding, Error, Phase,
    coding::{CodeError, Decoder, Encoder},
};
use randomness::Seed;
use scenario::{Scenario, ScenarioError, TrainCoding};
use serde::de::DeserializeOwned;

use super::own_kind::{AskedKeys, check_new_name};

/// The key that names a coding.
const KEY: &str = "train.coding";

/// The most outputs of an encoder for a value.
const MOST_OUTPUTS: usize = 2;

/// The most bits of a value, on average over the rows of an entry: messages have no room for more.
const MOST_BITS: usize = 32;

/// The requested coding.
pub struct WantedCoding {
    /// d: values in a feature.
    pub feature_dim: usize,
    /// From this all draws derive: see [`CodedRows::draws`].
    pub seed: Seed,
    keys: AskedKeys,
}

impl WantedCoding {
    /// The value of a key in `train.coding_parameters`, if the scenario sets it. Keys that are never asked for are
    /// refused.
    ///
    /// # Errors
    /// If the key's value is of another type.
    pub fn key<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, String> {
        self.keys.get(key)
    }

    /// All its parameters as an object of JSON, for a coding that checks by itself what they may be.
    pub fn keys(&self) -> String {
        self.keys.all()
    }
}

/// Makes a coding, or returns one line on what is wrong with the request.
pub type BuildCoding = dyn Fn(&WantedCoding) -> Result<Arc<dyn Coding<f32>>, String> + Send + Sync;

/// The added codings, in order.
static ADDED: RwLock<Vec<(&'static str, Arc<BuildCoding>)>> = RwLock::new(Vec::new());

/// Adds a coding to those that this process knows, under its name in scenarios.
///
/// # Errors
/// If the name is taken, or is not 1 to 64 letters, digits, hyphens and underscores.
pub fn register_coding(name: &'static str, build: Arc<BuildCoding>) -> Result<(), String> {
    check_new_name("coding", name, &names())?;
    ADDED.write().unwrap_or_else(PoisonError::into_inner).push((name, build));
    Ok(())
}

/// The names of all codings that this process knows.
fn names() -> Vec<&'static str> {
    let added = ADDED.read().unwrap_or_else(PoisonError::into_inner);
    TrainCoding::names().chain(added.iter().map(|(name, _)| *name)).collect()
}

/// Checks that this program knows the coding of the scenario.
pub(super) fn check_coding(scenario: &Scenario) -> Result<(), ScenarioError> {
    match scenario.train.coding.as_ref().and_then(TrainCoding::own) {
        Some(name) if !names().contains(&name) => Err(ScenarioError::invalid(KEY, unknown(name))),
        _ => Ok(()),
    }
}

/// Makes the scenario's coding, if it is one that this program has added, and tries it out.
///
/// # Errors
/// In one line, the key at fault, and what is wrong with it.
pub fn try_coding(scenario: &Scenario) -> Result<(), ScenarioError> {
    let Some(own) = added_coding(scenario, Seed::from_number(scenario.seed))? else { return Ok(()) };
    own.try_out().map_err(|error| ScenarioError::invalid(format!("{KEY}:"), error.to_string()))
}

/// The scenario's coding, if it is one that this program has added.
///
/// # Errors
/// If this program does not know it, or it refuses its parameters.
pub fn added_coding(scenario: &Scenario, seed: Seed) -> Result<Option<OwnCoding>, ScenarioError> {
    let train = &scenario.train;
    let Some(name) = train.coding.as_ref().and_then(TrainCoding::own) else { return Ok(None) };
    let feature_dim = scenario.network.feature_dim;
    let added = ADDED.read().unwrap_or_else(PoisonError::into_inner);
    let build = added.iter().find(|(known, _)| *known == name).map(|(_, build)| build.clone());
    drop(added);
    let build = build.ok_or_else(|| ScenarioError::invalid(KEY, unknown(name)))?;
    let wanted = WantedCoding { feature_dim, seed, keys: AskedKeys::new(&train.coding_parameters) };
    let invalid = |line| ScenarioError::invalid(format!("{KEY}_parameters:"), line);
    let coding = build(&wanted).map_err(invalid)?;
    if let Some(line) = wanted.keys.not_asked() {
        return Err(invalid(line));
    }
    let outputs = coding.outputs();
    if !(1..=MOST_OUTPUTS).contains(&outputs) {
        let what =
            format!("\"{name}\" wants {outputs} outputs for a value; it must be from 1 to {MOST_OUTPUTS}");
        return Err(ScenarioError::invalid(format!("{KEY}:"), what));
    }
    Ok(Some(OwnCoding { name: name.to_owned(), feature_dim, coding }))
}

fn unknown(name: &str) -> String {
    let known = names().iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    format!("is \"{name}\", which is no coding of this program: it has {known}")
}

/// A coding of a user's program, as runs call it: what it gives is checked.
pub struct OwnCoding {
    name: String,
    feature_dim: usize,
    coding: Arc<dyn Coding<f32>>,
}

/// What a coding makes of the outputs for some rows.
#[derive(Clone, Debug)]
pub struct OwnEntry {
    /// Those that travel.
    pub symbols: Encoder,
    /// The feature that both ends have, row after row.
    pub z: Vec<f32>,
    /// Of each row, in nats.
    pub rates: Vec<f64>,
}

impl OwnCoding {
    /// Outputs of an encoder for each value of a feature.
    pub fn outputs(&self) -> usize {
        self.coding.outputs()
    }

    /// Codes an encoder's outputs, [rows, outputs x d], and reads what it has written, as the receiver does.
    ///
    /// # Errors
    /// The coding's own line, or what it gives that no coding may give.
    pub fn encode(&self, rows: &CodedRows, outputs: &[f32]) -> dib::Result<OwnEntry> {
        let count = outputs.len() / self.outputs();
        let mut symbols = Encoder::default();
        self.coding.encode(rows, outputs, &mut symbols)?;
        if !symbols.is_sound() {
            return Err(self.error(rows, "has written a symbol without a share of what may come"));
        }
        let bits = symbols.ideal_bits();
        if bits > (MOST_BITS * count) as f64 {
            let problem =
                format!("has written {bits:.0} bits for {count} values: it may take {MOST_BITS} for each");
            return Err(self.error(rows, &problem));
        }
        let stream = symbols.clone().finish();
        let unread =
            |error: CodeError| self.error(rows, &format!("cannot read what it has written: it {error}"));
        let (mut decoder, mut z) = (Decoder::new(&stream).map_err(unread)?, Vec::with_capacity(count));
        self.coding.decode(rows, count, &mut decoder, &mut z).map_err(unread)?;
        decoder.finish().map_err(unread)?;
        if z.len() != count {
            let problem = format!("has read {} values where {count} were written", z.len());
            return Err(self.error(rows, &problem));
        }
        let rates = self.coding.rates(rows, outputs);
        if rates.len() != count / self.feature_dim {
            let problem = format!("gives {} rates for {} rows", rates.len(), count / self.feature_dim);
            return Err(self.error(rows, &problem));
        }
        self.check_finite(rows, "a feature of", &z)?;
        match rates.iter().find(|rate| !(rate.is_finite() && **rate >= 0.0)) {
            Some(rate) => Err(self.error(rows, &format!("gives a rate of {rate}: it must be 0 or more"))),
            None => Ok(OwnEntry { symbols, z, rates }),
        }
    }

    /// Takes the symbols of so many rows and appends their d values each.
    ///
    /// # Errors
    /// If they are none that a transmitter writes.
    pub fn decode(
        &self,
        rows: &CodedRows,
        count: usize,
        decoder: &mut Decoder<'_>,
        values: &mut Vec<f32>,
    ) -> Result<(), CodeError> {
        let start = values.len();
        // A coding cannot touch what others have read.
        let mut z = Vec::new();
        self.coding.decode(rows, count * self.feature_dim, decoder, &mut z)?;
        values.extend(z);
        let read = &values[start..];
        match read.len() == count * self.feature_dim && read.iter().all(|value| value.is_finite()) {
            true => Ok(()),
            false => Err(CodeError::Damaged),
        }
    }

    /// The gradient with respect to an encoder's outputs: see [`Coding::pull_back`].
    ///
    /// # Errors
    /// The coding's own line, or a gradient that is none.
    pub fn pull_back(
        &self,
        rows: &CodedRows,
        outputs: &[f32],
        gradient: &[f32],
        price: f64,
    ) -> dib::Result<Vec<f32>> {
        let pulled = self.coding.pull_back(rows, outputs, gradient, price)?;
        if pulled.len() != outputs.len() {
            let problem =
                format!("gives a gradient of {} values for {} outputs", pulled.len(), outputs.len());
            return Err(self.error(rows, &problem));
        }
        self.check_finite(rows, "a gradient of", &pulled)?;
        Ok(pulled)
    }

    /// Codes two rows: the same must come out again, and a row's feature must not depend on the other.
    fn try_out(&self) -> dib::Result<()> {
        let rows =
            CodedRows { phase: Phase::Train, transmitter: 0, receiver: 0, modality: 0, moment: 0, first: 0 };
        let width = self.outputs() * self.feature_dim;
        let outputs: Vec<f32> = (0..2 * width).map(|at| (at % 7) as f32 / 2.0 - 1.5).collect();
        let first = self.encode(&rows, &outputs)?;
        if self.encode(&rows, &outputs)?.z != first.z {
            let problem =
                "makes something else of the same outputs at a second call: draw from the rows' address";
            return Err(self.error(&rows, problem));
        }
        let mut other = outputs.clone();
        other[..width].iter_mut().for_each(|output| *output += 1.0);
        if self.encode(&rows, &other)?.z[self.feature_dim..] != first.z[self.feature_dim..] {
            let problem = "makes something else of a row if another one changes: rows must not be mixed";
            return Err(self.error(&rows, problem));
        }
        self.pull_back(&rows, &outputs, &first.z, 1.0).map(drop)
    }

    fn check_finite(&self, rows: &CodedRows, what: &str, values: &[f32]) -> dib::Result<()> {
        match values.iter().find(|value| !value.is_finite()) {
            Some(value) => Err(self.error(rows, &format!("gives {what} {value}: numbers must be finite"))),
            None => Ok(()),
        }
    }

    fn error(&self, rows: &CodedRows, problem: &str) -> Error {
        let CodedRows { transmitter, receiver, modality, .. } = rows;
        Error::Own(format!(
            "the coding \"{}\", for modality {modality} from transmitter {transmitter} to receiver {receiver}, {problem}",
            self.name
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Sends bits of values, but for one thing that no coding may do.
    struct Faulty {
        fault: String,
        calls: AtomicU32,
    }

    impl Coding<f32> for Faulty {
        fn outputs(&self) -> usize {
            if self.fault == "outputs" { 3 } else { 2 }
        }

        fn encode(&self, _: &CodedRows, outputs: &[f32], symbols: &mut Encoder) -> dib::Result<()> {
            let calls = self.calls.fetch_add(1, Ordering::Relaxed);
            let sum: f32 = outputs.iter().sum();
            for row in outputs.chunks_exact(4) {
                for mean in &row[..2] {
                    let value = match self.fault.as_str() {
                        "counts" => calls as f32,
                        "mixes" => sum,
                        "infinite" => f32::INFINITY,
                        _ => *mean,
                    };
                    symbols.push_digits(value.to_bits().into(), 32);
                }
            }
            match self.fault.as_str() {
                "long" => symbols.push_digits(0, 32),
                "fails" => return Err(Error::Own("no code".into())),
                _ => {}
            }
            Ok(())
        }

        fn decode(
            &self,
            _: &CodedRows,
            count: usize,
            symbols: &mut Decoder<'_>,
            z: &mut Vec<f32>,
        ) -> Result<(), CodeError> {
            for _ in 0..count {
                z.push(f32::from_bits(symbols.digits(32)? as u32));
            }
            if self.fault == "values" {
                z.pop();
            }
            Ok(())
        }

        fn rates(&self, _: &CodedRows, outputs: &[f32]) -> Vec<f64> {
            let rate = if self.fault == "rate" { f64::NAN } else { 1.0 };
            vec![rate; outputs.len() / 4 + usize::from(self.fault == "rates")]
        }

        fn pull_back(&self, _: &CodedRows, _: &[f32], gradient: &[f32], _: f64) -> dib::Result<Vec<f32>> {
            let pulled = if self.fault == "slope" { f32::NAN } else { 0.5 };
            Ok(vec![pulled; if self.fault == "gradient" { 1 } else { 2 * gradient.len() }])
        }
    }

    fn scenario(coding: &str) -> Scenario {
        let text = format!(
            "network.receiver_limit = 1\nnetwork.feature_dim = 2\n[[transmitter]]\nmodalities = [\"fft\"]\n\
             [[receiver]]\ntask = \"digit\"\n[train]\n{coding}"
        );
        Scenario::parse(&text, "test", &[]).unwrap()
    }

    #[test]
    fn what_no_coding_may_do_is_one_line_before_the_first_round() {
        let build = |wanted: &WantedCoding| {
            assert_eq!(wanted.feature_dim, 2);
            let fault = wanted.key("fault")?.unwrap_or_default();
            Ok(Arc::new(Faulty { fault, calls: AtomicU32::new(0) }) as Arc<dyn Coding<f32>>)
        };
        register_coding("faulty", Arc::new(build)).unwrap();
        let taken = register_coding("faulty", Arc::new(build)).unwrap_err();
        assert_eq!(taken, "two kinds of coding are called \"faulty\": give one another name");
        register_coding("code-book", Arc::new(build)).unwrap_err();
        register_coding("my coding", Arc::new(build)).unwrap_err();
        try_coding(&scenario("coding = \"faulty\"")).unwrap();
        let own = "train.coding: the coding \"faulty\", for modality 0 from transmitter 0 to receiver 0,";
        for (parameters, expected) in [
            (
                "fault = \"counts\"",
                format!("{own} makes something else of the same outputs at a second call: "),
            ),
            ("fault = \"mixes\"", format!("{own} makes something else of a row if another one changes: ")),
            ("fault = \"infinite\"", format!("{own} gives a feature of inf: numbers must be finite")),
            ("fault = \"long\"", format!("{own} has written 160 bits for 4 values: it may take 32 for each")),
            ("fault = \"values\"", format!("{own} has read 3 values where 4 were written")),
            ("fault = \"rate\"", format!("{own} gives a rate of NaN: it must be 0 or more")),
            ("fault = \"rates\"", format!("{own} gives 3 rates for 2 rows")),
            ("fault = \"gradient\"", format!("{own} gives a gradient of 1 values for 8 outputs")),
            ("fault = \"slope\"", format!("{own} gives a gradient of NaN: numbers must be finite")),
            ("fault = \"outputs\"", "train.coding: \"faulty\" wants 3 outputs for a value; ".into()),
            ("fault = \"fails\"", "train.coding: no code".into()),
            (
                "fault = 3",
                "train.coding_parameters: fault is 3: invalid type: integer `3`, expected a string".into(),
            ),
            ("falt = \"mixes\"", "train.coding_parameters: falt is unknown: the kind has fault".into()),
        ] {
            let text = format!("coding = \"faulty\"\ncoding_parameters = {{ {parameters} }}");
            let refused = try_coding(&scenario(&text)).unwrap_err().to_string();
            assert!(refused.starts_with(&format!("scenario: {expected}")), "{refused}");
        }
    }

    #[test]
    fn a_coding_that_no_program_has_is_refused_by_its_key() {
        let refused = check_coding(&scenario("coding = \"fog\"")).unwrap_err().to_string();
        let line = "scenario: train.coding is \"fog\", which is no coding of this program: it has `gaussian`, `dithered`, ";
        assert!(refused.starts_with(line), "{refused}");
        assert_eq!(
            check_coding(&scenario("coding = \"gaussian\"")).map_err(|error| error.to_string()),
            Ok(())
        );
        assert_eq!(check_coding(&scenario("rounds = 3")).map_err(|error| error.to_string()), Ok(()));
    }
}
