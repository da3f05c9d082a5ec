//! Access to candle's storages as slices.

use candle_core::{CpuStorage, Layout, Result, Storage, Tensor, bail};

use crate::{Numbers, Real};

/// Calls `look` with the numbers of contiguous tensors of one device: directly if they are in this machine's memory,
/// else as a copy of all of them after one wait for the device.
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn with_numbers<R>(tensors: &[&Tensor], look: impl FnOnce(&[Numbers<'_>]) -> R) -> Result<R> {
    let storages: Vec<_> = tensors.iter().map(|tensor| tensor.storage_and_layout()).collect();
    #[cfg(feature = "cuda")]
    if let Some((Storage::Cuda(first), _)) = storages.first().map(|(storage, layout)| (&**storage, layout)) {
        let operands = storages.iter().map(|(storage, layout)| match &**storage {
            Storage::Cuda(storage) => Ok((storage, *layout)),
            _ => bail!("tensors of several devices are not looked at together"),
        });
        let operands = operands.collect::<Result<Vec<_>>>()?;
        return crate::cuda::staging::with_numbers(&first.device, &operands, look);
    }
    let numbers = storages.iter().map(|(storage, layout)| match &**storage {
        Storage::Cpu(storage @ CpuStorage::F64(_)) => read(storage, layout).map(Numbers::F64),
        Storage::Cpu(storage) => read(storage, layout).map(Numbers::F32),
        _ => bail!("numbers of {:?} cannot be looked at", storage.device().location()),
    });
    Ok(look(&numbers.collect::<Result<Vec<_>>>()?))
}

/// [`with_numbers`] of one f32 tensor.
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn with_values<R>(tensor: &Tensor, look: impl FnOnce(&[f32]) -> R) -> Result<R> {
    with_numbers(&[tensor], |numbers| look(numbers[0].f32s()))
}

/// The numbers of a contiguous operand.
pub(crate) fn read<'a, T: Real>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
    let (start, end) = contiguous(layout)?;
    Ok(&storage.as_slice::<T>()?[start..end])
}

/// The numbers of a contiguous operand that is updated in place.
pub(crate) fn write<'a, T: Real>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [T]> {
    let (start, end) = contiguous(layout)?;
    Ok(&mut T::slice_mut(storage)?[start..end])
}

fn contiguous(layout: &Layout) -> Result<(usize, usize)> {
    match layout.contiguous_offsets() {
        // An empty view may begin behind the end of its storage.
        Some((start, end)) if start == end => Ok((0, 0)),
        Some(offsets) => Ok(offsets),
        None => bail!("an operand of shape {:?} is not contiguous", layout.shape()),
    }
}

/// Calls `function::<T>(...)` for the number type T of a storage.
macro_rules! for_dtype {
    ($storage:expr, $name:expr, $function:ident ($($argument:expr),* $(,)?)) => {
        match $storage {
            candle_core::CpuStorage::F32(_) => $function::<f32>($($argument),*),
            candle_core::CpuStorage::F64(_) => $function::<f64>($($argument),*),
            other => candle_core::bail!(
                "{} wants f32 or f64, not {:?}",
                $name,
                candle_core::backend::BackendStorage::dtype(other)
            ),
        }
    };
}
pub(crate) use for_dtype;

/// The same for a storage on a GPU.
#[cfg(feature = "cuda")]
macro_rules! for_cuda_dtype {
    ($storage:expr, $name:expr, $($function:ident)::+ ($($argument:expr),* $(,)?)) => {
        match candle_core::backend::BackendStorage::dtype($storage) {
            candle_core::DType::F32 => $($function)::+::<f32>($($argument),*),
            candle_core::DType::F64 => $($function)::+::<f64>($($argument),*),
            other => candle_core::bail!("{} wants f32 or f64, not {other:?}", $name),
        }
    };
}
#[cfg(feature = "cuda")]
pub(crate) use for_cuda_dtype;
