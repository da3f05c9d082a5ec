//! The losses of the objective, per row, and their gradients.

use candle_core::Tensor;
pub use kernels::loss::Labels;

use crate::Result;

/// -log softmax(logits)\[label\] of every row, in nats, an f64 tensor \[rows\]: logits [rows, classes].
///
/// # Errors
///
/// If shapes do not fit.
pub fn cross_entropy(logits: &Tensor, labels: &Labels) -> Result<Tensor> {
    Ok(kernels::loss::cross_entropy(&logits.contiguous()?, labels)?)
}

/// `weight` (softmax(logits) - onehot(label)), [rows, classes]: the gradient of `weight` times the sum over the rows.
///
/// # Errors
///
/// If shapes do not fit.
pub fn cross_entropy_gradient(logits: &Tensor, labels: &Labels, weight: f64) -> Result<Tensor> {
    Ok(kernels::loss::cross_entropy_gradient(&logits.contiguous()?, labels, weight)?)
}

/// The mean over the outputs of the squared error, for every row, an f64 tensor \[rows\]: both [rows, outputs].
///
/// # Errors
///
/// If shapes do not fit.
pub fn mean_squared_error(prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
    Ok(kernels::loss::mean_squared_error(&prediction.contiguous()?, &target.contiguous()?)?)
}

/// The gradient of `weight` times the sum over the rows of [`mean_squared_error`], [rows, outputs].
///
/// # Errors
///
/// If shapes do not fit.
pub fn mean_squared_error_gradient(prediction: &Tensor, target: &Tensor, weight: f64) -> Result<Tensor> {
    let (prediction, target) = (prediction.contiguous()?, target.contiguous()?);
    Ok(kernels::loss::mean_squared_error_gradient(&prediction, &target, weight)?)
}

/// The entropy of the labels' frequencies in nats: H(Y), the cross entropy of guessing by frequency. Labels from
/// `classes` upwards do not count; 0 without labels.
pub fn label_entropy(labels: &[u32], classes: usize) -> f64 {
    let mut counts = vec![0u64; classes];
    for &label in labels {
        if let Some(count) = counts.get_mut(label as usize) {
            *count += 1;
        }
    }
    let total = counts.iter().sum::<u64>() as f64;
    let shares = counts.into_iter().filter(|&count| count > 0).map(|count| count as f64 / total);
    shares.map(|share| -share * libm::log(share)).sum()
}
