//! A first run of a graph: what it asks for, what comes out, and whether it can be a module at all.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor, Var};
use randomness::{Purpose, Seed};

use crate::tape::Graph;
use crate::variables::{Recorder, Variable};

/// Why a graph cannot be a module.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It failed.
    #[error("the graph fails on 3 rows of {inputs} numbers: {source}")]
    Graph {
        /// How many numbers a row has.
        inputs: usize,
        /// What candle says.
        source: candle_core::Error,
    },
    /// What comes out is no matrix with a row for each row of the input.
    #[error("the graph makes {got:?} of 3 rows; it must make [3, outputs] of them, with at least 1 output")]
    Shape {
        /// The shape that came out.
        got: Vec<usize>,
    },
    /// It learns nothing.
    #[error("the graph asks for no variable: a network that learns nothing cannot be trained")]
    Nothing,
    /// Something gets no gradient. Training would go on all the same, and never change it.
    #[error(
        "no gradient comes to {names} through the graph: an operation on the way has no backward pass, such as candle's fused \
         layer_norm, rms_norm and softmax_last_dim (use their _slow or plain forms), or the output does not depend on it"
    )]
    Silent {
        /// The variables, and the input, in words.
        names: String,
    },
    /// A gradient is not that of finite differences.
    #[error(
        "candle's gradient of {name} is {got:e} along its own direction, where finite differences say {slope:e}: an operation of the \
         graph has a wrong backward pass, as conv1d, max_pool2d and some strided conv2d have (a graph whose gradients are meant to \
         be others takes Tape::with_own_gradients)"
    )]
    Wrong {
        /// The variable, or the input, in words.
        name: String,
        /// The norm of the gradient.
        got: f64,
        /// The central difference quotient in its direction.
        slope: f64,
    },
    /// The output of a row changes with the rows beside it.
    #[error(
        "what the graph makes of a row changes with the rows beside it, as with batch normalisation: how a round is cut into \
         parts would change its results"
    )]
    Mixed,
    /// The same input gives another output the second time.
    #[error(
        "the graph makes something else of the same rows when it is run again, as with candle's Dropout: draws without an \
         address cannot be repeated"
    )]
    Drawn,
}

/// What is known of a graph after its first run.
pub(crate) struct Rehearsed {
    pub(crate) variables: Vec<Variable>,
    pub(crate) outputs: usize,
}

const ROWS: usize = 3;

/// Runs a graph forward and back on rows that are made up, in f32 on the CPU.
pub(crate) fn rehearse(inputs: usize, graph: &Graph) -> Result<Rehearsed, Refusal> {
    let failed = |source| Refusal::Graph { inputs, source };
    let (rows, recorder) = made_up(inputs, DType::F32).map_err(failed)?;
    let output = graph(recorder.builder(), rows.as_tensor()).map_err(failed)?;
    let outputs = match *output.dims() {
        [ROWS, outputs] if outputs > 0 => outputs,
        _ => return Err(Refusal::Shape { got: output.dims().to_vec() }),
    };
    let (variables, values) = recorder.recorded();
    if variables.is_empty() {
        return Err(Refusal::Nothing);
    }

    let gradients = output.sum_all().and_then(|sum| sum.backward()).map_err(failed)?;
    let silent =
        variables.iter().filter(|variable| gradients.get(values[&variable.name].as_tensor()).is_none());
    let mut silent: Vec<String> = silent.map(|variable| format!("variable {}", variable.name)).collect();
    if gradients.get(rows.as_tensor()).is_none() {
        silent.push("the input".to_owned());
    }
    if !silent.is_empty() {
        return Err(Refusal::Silent { names: silent.join(", ") });
    }

    let numbers =
        |tensor: &Tensor| tensor.flatten_all().and_then(|flat| flat.to_vec1::<f32>()).map_err(failed);
    let again = graph(recorder.builder(), rows.as_tensor()).map_err(failed)?;
    if numbers(&again)? != numbers(&output)? {
        return Err(Refusal::Drawn);
    }
    let alone =
        rows.narrow(0, 1, 1).and_then(|row| graph(recorder.builder(), &row.contiguous()?)).map_err(failed)?;
    let beside = output.narrow(0, 1, 1).map_err(failed)?;
    let differs = |(alone, beside): (&f32, &f32)| (alone - beside).abs() > 1e-3 * (1.0 + beside.abs());
    if alone.dims() != beside.dims() || numbers(&alone)?.iter().zip(&numbers(&beside)?).any(differs) {
        return Err(Refusal::Mixed);
    }
    Ok(Rehearsed { variables, outputs })
}

/// Rows, and a backend that makes variables up.
fn made_up(inputs: usize, dtype: DType) -> candle_core::Result<(Var, Recorder)> {
    let mut stream = Seed::from_number(0).named_stream(Purpose::Weights, "tape", &[], 0);
    let drawn: Vec<f64> = (0..ROWS * inputs).map(|_| stream.normal()).collect();
    let rows = Tensor::from_vec(drawn, (ROWS, inputs), &Device::Cpu)?.to_dtype(dtype)?;
    Ok((Var::from_tensor(&rows)?, Recorder::new(stream, dtype)))
}

/// Compares candle's gradients with finite differences, in f64: of the input and of each variable, along the gradient
/// itself.
pub(crate) fn compare(inputs: usize, graph: &Graph) -> Result<(), Refusal> {
    let failed = |source| Refusal::Graph { inputs, source };
    let (rows, recorder) = made_up(inputs, DType::F64).map_err(failed)?;
    // Different weights for all outputs, so that none stands for another.
    let cost = || -> candle_core::Result<Tensor> {
        let output = graph(recorder.builder(), rows.as_tensor())?;
        let weights = Tensor::arange(0u32, output.elem_count() as u32, &Device::Cpu)?.to_dtype(DType::F64)?;
        (output.flatten_all()? * ((weights * 0.7)?.sin()? + 1.5)?)?.sum_all()
    };
    let gradients = cost().and_then(|cost| cost.backward()).map_err(failed)?;
    let mut places: BTreeMap<String, Var> = BTreeMap::new();
    places.extend(recorder.recorded().1.into_iter().map(|(name, value)| (format!("variable {name}"), value)));
    places.insert("the input".to_owned(), rows.clone());
    for (name, place) in places {
        let Some(gradient) = gradients.get(place.as_tensor()) else { continue };
        let (got, slope) = slope_along(gradient, &place, &cost).map_err(failed)?;
        if (got - slope).abs() > 1e-3 * got + 1e-6 {
            return Err(Refusal::Wrong { name, got, slope });
        }
    }
    Ok(())
}

/// The norm of a gradient, and the central difference quotient of `cost` in its direction, at a variable that is moved
/// and brought back.
fn slope_along(
    gradient: &Tensor,
    place: &Var,
    cost: &impl Fn() -> candle_core::Result<Tensor>,
) -> candle_core::Result<(f64, f64)> {
    const STEP: f64 = 1e-5;
    let norm = gradient.sqr()?.sum_all()?.to_scalar::<f64>()?.sqrt();
    if norm == 0.0 {
        return Ok((0.0, 0.0));
    }
    let (start, direction) = (place.as_tensor().copy()?.detach(), (gradient / norm)?);
    let at = |step: f64| {
        place.set(&(&start + (&direction * step)?)?)?;
        cost()?.to_scalar::<f64>()
    };
    let slope = (at(STEP)? - at(-STEP)?) / (2.0 * STEP);
    place.set(&start)?;
    Ok((norm, slope))
}
