//! Predictions as text, a line for each pass, row and receiver, and as arrays.

use std::io::{self, Write};

use coordinator::Trained;
use data::{NewArray, Values};
use serde_json::{Map, Value, json};

use super::prediction::{Kind, Prediction};

/// "0:fft" for modality fft of transmitter 0, in (k, m) order.
fn entry_names(trained: &Trained) -> Vec<String> {
    let of = |(k, node): (usize, &scenario::Transmitter)| {
        node.modalities.iter().map(|name| format!("{k}:{name}")).collect::<Vec<String>>()
    };
    trained.scenario.transmitter.iter().enumerate().flat_map(of).collect()
}

/// (pass, row, receiver), in this order.
fn lines(predictions: &[Prediction]) -> impl Iterator<Item = (usize, usize, &Prediction)> {
    let (passes, rows) = predictions.first().map_or((0, 0), |first| (first.passes, first.rows));
    let rows = (0..passes).flat_map(move |pass| (0..rows).map(move |row| (pass, row)));
    rows.flat_map(|(pass, row)| predictions.iter().map(move |prediction| (pass, row, prediction)))
}

impl Prediction {
    fn line(&self, pass: usize, row: usize) -> usize {
        pass * self.rows + row
    }

    /// The indices of the decoded entries.
    fn used_at(&self, line: usize) -> impl Iterator<Item = usize> {
        let used = &self.used[line * self.entries..][..self.entries];
        used.iter().enumerate().filter(|(_, used)| **used).map(|(entry, _)| entry)
    }

    fn z_at(&self, line: usize, entry: usize) -> Option<&[f32]> {
        Some(&self.z.as_ref()?[(line * self.entries + entry) * self.feature_dim..][..self.feature_dim])
    }

    fn answer_at(&self, line: usize) -> Vec<String> {
        match &self.answers {
            Kind::Classes { answers, names, .. } => vec![class(answers[line], names)],
            Kind::Values { width, values, .. } => {
                values[line * width..][..*width].iter().map(f32::to_string).collect()
            }
        }
    }

    fn label_at(&self, row: usize) -> Vec<String> {
        match &self.answers {
            Kind::Classes { labels, names, .. } => {
                labels[row].iter().map(|&label| class(label, names)).collect()
            }
            Kind::Values { width, labels, .. } => {
                let labels = &labels[row * width..][..*width];
                labels.iter().filter(|value| !value.is_nan()).map(f32::to_string).collect()
            }
        }
    }

    fn probabilities_at(&self, line: usize) -> &[f32] {
        match &self.answers {
            Kind::Classes { classes, probabilities, .. } => &probabilities[line * classes..][..*classes],
            Kind::Values { .. } => &[],
        }
    }
}

/// A class by its name or, without one, its number.
fn class(class: u32, names: &[String]) -> String {
    names.get(class as usize).cloned().unwrap_or_else(|| class.to_string())
}

/// Comma-separated values (RFC 4180) with a header.
pub(crate) fn csv(file: &mut impl Write, trained: &Trained, predictions: &[Prediction]) -> io::Result<()> {
    let entries = entry_names(trained);
    let most = predictions.iter().map(|prediction| prediction.probabilities_at(0).len()).max().unwrap_or(0);
    let mut head: Vec<String> =
        ["pass", "row", "receiver", "task", "answer", "label", "entries"].map(str::to_owned).into();
    head.extend((0..most).map(|class| format!("p{class}")));
    let with_z = predictions.iter().any(|prediction| prediction.z.is_some());
    if with_z {
        let dim = trained.scenario.network.feature_dim;
        head.extend(entries.iter().flat_map(|entry| (0..dim).map(move |at| format!("z:{entry}:{at}"))));
    }
    record(file, &head)?;
    for (pass, row, prediction) in lines(predictions) {
        let line = prediction.line(pass, row);
        let used: Vec<&str> = prediction.used_at(line).map(|entry| entries[entry].as_str()).collect();
        let mut fields = vec![
            pass.to_string(),
            row.to_string(),
            prediction.receiver.to_string(),
            prediction.task.clone(),
            prediction.answer_at(line).join(" "),
            prediction.label_at(row).join(" "),
            used.join(" "),
        ];
        fields.extend(prediction.probabilities_at(line).iter().map(f32::to_string));
        fields.resize(7 + most, String::new());
        if with_z {
            for entry in 0..entries.len() {
                let z = prediction.z_at(line, entry).unwrap_or_default();
                let is_used = prediction.used[line * prediction.entries + entry];
                fields.extend(z.iter().map(|value| if is_used { value.to_string() } else { String::new() }));
            }
        }
        record(file, &fields)?;
    }
    Ok(())
}

fn record(file: &mut impl Write, fields: &[String]) -> io::Result<()> {
    let quoted = |field: &String| match field.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field.clone(),
    };
    writeln!(file, "{}", fields.iter().map(quoted).collect::<Vec<String>>().join(","))
}

/// One JSON object for each line.
pub(crate) fn json_lines(
    file: &mut impl Write,
    trained: &Trained,
    predictions: &[Prediction],
) -> io::Result<()> {
    let entries = entry_names(trained);
    for (pass, row, prediction) in lines(predictions) {
        let line = prediction.line(pass, row);
        let used: Vec<&String> = prediction.used_at(line).map(|entry| &entries[entry]).collect();
        let mut object = json!({
            "pass": pass,
            "row": row,
            "receiver": prediction.receiver,
            "task": prediction.task,
            "entries": used,
        });
        match &prediction.answers {
            Kind::Classes { answers, labels, names, .. } => {
                object["answer"] = named(names, answers[line]);
                object["label"] = labels[row].map_or(Value::Null, |class| named(names, class));
                object["probabilities"] = prediction.probabilities_at(line).iter().map(number).collect();
            }
            Kind::Values { width, values, labels } => {
                object["answer"] = values[line * width..][..*width].iter().map(number).collect();
                let labels = &labels[row * width..][..*width];
                let are_there = !labels.iter().any(|label| label.is_nan());
                object["label"] = if are_there { labels.iter().map(number).collect() } else { Value::Null };
            }
        }
        if prediction.z.is_some() {
            let of = |entry: usize| {
                let z = prediction.z_at(line, entry).unwrap_or_default();
                (entries[entry].clone(), z.iter().map(number).collect::<Value>())
            };
            object["z"] = Value::Object(prediction.used_at(line).map(of).collect::<Map<String, Value>>());
        }
        writeln!(file, "{object}")?;
    }
    Ok(())
}

/// A class by its name, if its labels were texts.
fn named(names: &[String], class: u32) -> Value {
    names.get(class as usize).map_or_else(|| json!(class), |name| json!(name))
}

/// The shortest number that reads back to the same f32.
fn number(value: &f32) -> Value {
    value.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

/// Arrays by receiver; the first axes are passes and rows.
pub(crate) fn arrays(trained: &Trained, predictions: &[Prediction]) -> Vec<NewArray> {
    let entries = entry_names(trained);
    let mut arrays =
        vec![NewArray { name: "entries".into(), shape: vec![entries.len()], values: Values::Texts(entries) }];
    for prediction in predictions {
        let mut add = |name: &str, shape: &[usize], values: Values| {
            let name = format!("receiver{}.{name}", prediction.receiver);
            arrays.push(NewArray { name, shape: shape.into(), values });
        };
        let (passes, rows) = (prediction.passes, prediction.rows);
        match &prediction.answers {
            Kind::Classes { classes, probabilities, answers, labels, names } => {
                let whole = |number: u32| i64::from(number);
                add(
                    "answer",
                    &[passes, rows],
                    Values::Integers(answers.iter().copied().map(whole).collect()),
                );
                add("probabilities", &[passes, rows, *classes], Values::Floats(probabilities.clone()));
                let labels = labels.iter().map(|label| label.map_or(-1, whole)).collect();
                add("label", &[rows], Values::Integers(labels));
                if !names.is_empty() {
                    add("names", &[names.len()], Values::Texts(names.clone()));
                }
            }
            Kind::Values { width, values, labels } => {
                add("answer", &[passes, rows, *width], Values::Floats(values.clone()));
                add("label", &[rows, *width], Values::Floats(labels.clone()));
            }
        }
        add("used", &[passes, rows, prediction.entries], Values::Booleans(prediction.used.clone()));
        if let Some(z) = &prediction.z {
            let shape = [passes, rows, prediction.entries, prediction.feature_dim];
            add("z", &shape, Values::Floats(z.clone()));
        }
    }
    arrays
}
