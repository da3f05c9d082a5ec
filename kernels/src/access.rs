//! From candle's storages to slices.

use candle_core::{CpuStorage, Layout, Result, Storage, Tensor, bail};

use crate::Real;

/// Lets `look` see the numbers of a contiguous f32 tensor: where they are, if they are in this machine's memory, else a
/// copy.
pub fn with_values<R>(tensor: &Tensor, look: impl FnOnce(&[f32]) -> R) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => Ok(look(read::<f32>(storage, layout)?)),
        _ => {
            drop(storage);
            Ok(look(&tensor.flatten_all()?.to_vec1::<f32>()?))
        }
    }
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
