//! Losses per row, in f64, and their gradients.

use candle_core::{CpuStorage, Device, Layout, Result, Shape, Tensor, bail};

use crate::Real;
#[cfg(feature = "cuda")]
use crate::access::for_cuda_dtype;
use crate::access::{for_dtype, read};
use crate::lanes::vectorise;
use crate::operation::{Apply2, Cpu, Made, Operation};
#[cfg(feature = "cuda")]
use crate::operation::{Gpu, MadeOnGpu};

/// Labels, on the device of their logits.
#[derive(Clone, Debug)]
pub struct Labels {
    /// u32, \[rows\]: all below `classes`.
    values: Tensor,
    classes: usize,
}

impl Labels {
    /// One label for each row; an error if one is not below `classes`.
    ///
    /// # Errors
    ///
    /// If a label is not below `classes`, or the device fails.
    pub fn new(labels: &[u32], classes: usize, device: &Device) -> Result<Self> {
        if let Some(label) = labels.iter().find(|&&label| label as usize >= classes) {
            bail!("cross-entropy: label {label} is none of {classes} classes");
        }
        Ok(Labels { values: Tensor::from_slice(labels, labels.len(), device)?, classes })
    }
}

/// -log softmax(logits)\[label\] of every row in nats, an f64 tensor \[rows\]: logits [rows, classes].
///
/// # Errors
///
/// If shapes, number types or devices do not fit.
pub fn cross_entropy(logits: &Tensor, labels: &Labels) -> Result<Tensor> {
    logits
        .apply_op2_no_bwd(&labels.values, &Operation(CrossEntropy { classes: labels.classes, weight: None }))
}

/// `weight` (softmax(logits) - onehot(label)): [rows, classes].
///
/// # Errors
///
/// If shapes, number types or devices do not fit.
pub fn cross_entropy_gradient(logits: &Tensor, labels: &Labels, weight: f64) -> Result<Tensor> {
    logits.apply_op2_no_bwd(
        &labels.values,
        &Operation(CrossEntropy { classes: labels.classes, weight: Some(weight) }),
    )
}

/// The mean over the outputs of the squared error, for every row, an f64 tensor \[rows\]: both [rows, outputs].
///
/// # Errors
///
/// If shapes, number types or devices do not fit.
pub fn mean_squared_error(prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
    prediction.apply_op2_no_bwd(target, &Operation(SquaredError { weight: None }))
}

/// `weight` times the gradient of the sum of [`mean_squared_error`]: [rows, outputs].
///
/// # Errors
///
/// If shapes, number types or devices do not fit.
pub fn mean_squared_error_gradient(prediction: &Tensor, target: &Tensor, weight: f64) -> Result<Tensor> {
    prediction.apply_op2_no_bwd(target, &Operation(SquaredError { weight: Some(weight) }))
}

struct CrossEntropy {
    /// All labels are below it.
    classes: usize,
    /// The gradient with this weight, or the values.
    weight: Option<f64>,
}

impl Apply2 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross-entropy"
    }

    fn on_cpu(&self, (logits, layout): Cpu<'_>, (labels, labels_layout): Cpu<'_>) -> Result<Made> {
        self.check(layout, labels_layout)?;
        let labels = labels.as_slice::<u32>()?;
        for_dtype!(logits, self.name(), classify(self.weight, logits, layout, labels))
    }

    #[cfg(feature = "cuda")]
    fn on_gpu(&self, (logits, layout): Gpu<'_>, (labels, labels_layout): Gpu<'_>) -> Result<MadeOnGpu> {
        self.check(layout, labels_layout)?;
        let (from, labels) = ((logits, layout), (labels, labels_layout));
        for_cuda_dtype!(logits, self.name(), crate::cuda::loss::classify(self.weight, from, labels))
    }
}

impl CrossEntropy {
    fn check(&self, logits: &Layout, labels: &Layout) -> Result<()> {
        let (rows, classes) = logits.shape().dims2()?;
        let labelled = labels.shape().elem_count();
        if labelled != rows || classes != self.classes {
            bail!(
                "cross-entropy: {labelled} labels of {} classes do not fit logits {rows} x {classes}",
                self.classes
            );
        }
        Ok(())
    }
}

fn classify<T: Real>(
    weight: Option<f64>,
    logits: &CpuStorage,
    layout: &Layout,
    labels: &[u32],
) -> Result<Made> {
    let (rows, classes) = layout.shape().dims2()?;
    let logits = read::<T>(logits, layout)?;
    let labelled = || logits.chunks_exact(classes.max(1)).zip(labels);
    let Some(weight) = weight else {
        let value = |(row, &label): (&[T], &u32)| (log_sum(row) - row[label as usize]).to_f64();
        return Ok((CpuStorage::F64(labelled().map(value).collect()), Shape::from(rows)));
    };
    let weight = T::from_f64(weight);
    let mut gradient = vec![T::ZERO; logits.len()];
    vectorise(
        #[inline(always)]
        || {
            for (gradient, (row, &label)) in gradient.chunks_exact_mut(classes.max(1)).zip(labelled()) {
                let total = log_sum(row);
                for (gradient, &logit) in gradient.iter_mut().zip(row) {
                    *gradient = weight * (logit - total).exp();
                }
                gradient[label as usize] -= weight;
            }
        },
    );
    Ok((T::to_cpu_storage_owned(gradient), layout.shape().clone()))
}

/// log of the sum of the exponentials.
#[inline(always)]
fn log_sum<T: Real>(row: &[T]) -> T {
    let highest = row.iter().fold(T::LOWEST, |highest, &logit| logit.larger(highest));
    let mut sum = T::ZERO;
    for &logit in row {
        sum += (logit - highest).exp();
    }
    highest + sum.ln()
}

struct SquaredError {
    /// The gradient with this weight, or the values.
    weight: Option<f64>,
}

impl Apply2 for SquaredError {
    fn name(&self) -> &'static str {
        "squared-error"
    }

    fn on_cpu(
        &self,
        (prediction, prediction_layout): Cpu<'_>,
        (target, target_layout): Cpu<'_>,
    ) -> Result<Made> {
        self.check(prediction_layout, target_layout)?;
        for_dtype!(
            prediction,
            self.name(),
            regress(self, (prediction, prediction_layout), (target, target_layout))
        )
    }

    #[cfg(feature = "cuda")]
    fn on_gpu(
        &self,
        (prediction, prediction_layout): Gpu<'_>,
        (target, target_layout): Gpu<'_>,
    ) -> Result<MadeOnGpu> {
        self.check(prediction_layout, target_layout)?;
        let (from, target) = ((prediction, prediction_layout), (target, target_layout));
        for_cuda_dtype!(prediction, self.name(), crate::cuda::loss::regress(self.weight, from, target))
    }
}

impl SquaredError {
    fn check(&self, prediction: &Layout, target: &Layout) -> Result<()> {
        let (shape, other) = (prediction.shape(), target.shape());
        if shape != other || shape.dims2()?.1 == 0 {
            bail!("squared-error: shapes {shape:?} and {other:?} do not fit");
        }
        Ok(())
    }
}

fn regress<T: Real>(
    op: &SquaredError,
    (prediction, layout): Cpu<'_>,
    (target, target_layout): Cpu<'_>,
) -> Result<Made> {
    let (rows, outputs) = layout.shape().dims2()?;
    let prediction = read::<T>(prediction, layout)?;
    let target = read::<T>(target, target_layout)?;
    let errors = prediction.iter().zip(target).map(|(&prediction, &target)| prediction - target);
    if let Some(weight) = op.weight {
        let scale = T::from_f64(2.0 * weight / outputs as f64);
        let gradient = errors.map(|error| scale * error).collect();
        return Ok((T::to_cpu_storage_owned(gradient), layout.shape().clone()));
    }
    let errors: Vec<f64> = errors.map(T::to_f64).collect();
    let values =
        errors.chunks_exact(outputs).map(|row| row.iter().map(|e| e * e).sum::<f64>() / outputs as f64);
    Ok((CpuStorage::F64(values.collect()), Shape::from(rows)))
}
