//! Losses per row, and their gradients.

use candle_core::backend::BackendStorage;
use candle_core::{CudaStorage, Layout, Result, Shape};

use super::launch::{Argument, Fresh, Grid, Module, count, launch, module, operand};
use crate::Real;

const MODULE: Module = module!("loss");

type Operand<'a> = (&'a CudaStorage, &'a Layout);

/// The losses or, with a weight, the gradient.
pub(crate) fn classify<T: Real>(
    weight: Option<f64>,
    logits: Operand<'_>,
    labels: Operand<'_>,
) -> Result<(CudaStorage, Shape)> {
    let (rows, classes) = logits.1.shape().dims2()?;
    let device = logits.0.device();
    let (logits, labels) = (operand::<T>(logits.0, logits.1)?, operand::<u32>(labels.0, labels.1)?);
    let (logits, labels) = (Argument::Operand(logits), Argument::Operand(labels));
    let (grid, sizes) = (Grid::over(rows), [count(rows)?, count(classes)?]);
    let [rows_argument, classes_argument] = sizes;
    let Some(weight) = weight else {
        let losses = Fresh::<f64>::new(device, rows)?;
        let target = Argument::Operand(losses.operand());
        let arguments = [target, logits, labels, rows_argument, classes_argument];
        launch::<T>(device, &MODULE, "cross_entropy", grid, &arguments)?;
        return Ok((losses.into_storage(), Shape::from(rows)));
    };
    let gradient = Fresh::<T>::new(device, rows * classes)?;
    let target = Argument::Operand(gradient.operand());
    let arguments = [target, logits, labels, Argument::Number(weight), rows_argument, classes_argument];
    launch::<T>(device, &MODULE, "cross_entropy_gradient", grid, &arguments)?;
    Ok((gradient.into_storage(), Shape::from((rows, classes))))
}

/// The losses or, with a weight, the gradient.
pub(crate) fn regress<T: Real>(
    weight: Option<f64>,
    prediction: Operand<'_>,
    target: Operand<'_>,
) -> Result<(CudaStorage, Shape)> {
    let (rows, outputs) = prediction.1.shape().dims2()?;
    let device = prediction.0.device();
    let (prediction, target) = (operand::<T>(prediction.0, prediction.1)?, operand::<T>(target.0, target.1)?);
    let (prediction, target) = (Argument::Operand(prediction), Argument::Operand(target));
    let Some(weight) = weight else {
        let losses = Fresh::<f64>::new(device, rows)?;
        let result = Argument::Operand(losses.operand());
        let arguments = [result, prediction, target, count(rows)?, count(outputs)?];
        launch::<T>(device, &MODULE, "squared_error", Grid::over(rows), &arguments)?;
        return Ok((losses.into_storage(), Shape::from(rows)));
    };
    let size = rows * outputs;
    let gradient = Fresh::<T>::new(device, size)?;
    let result = Argument::Operand(gradient.operand());
    let factor = Argument::Number(2.0 * weight / outputs as f64);
    let arguments = [result, prediction, target, factor, count(size)?];
    launch::<T>(device, &MODULE, "squared_error_gradient", Grid::over(size), &arguments)?;
    Ok((gradient.into_storage(), Shape::from((rows, outputs))))
}
