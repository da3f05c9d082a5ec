//! Copies of numbers to the device and back, through page-locked memory, which the driver need not copy first.
#![expect(
    unsafe_code,
    reason = "page-locked memory is the driver's, and is copied while the program goes on"
)]

use std::cell::RefCell;
use std::collections::HashMap;

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::driver::{CudaEvent, PinnedHostSlice, result, sys};
use candle_core::cuda_backend::{DeviceId, WrapErr};
use candle_core::{CudaDevice, CudaStorage, DType, Layout, Result, bail};

use super::launch::{Operand, operand};
use crate::numbers::Numbers;

/// Alignment of pieces, in bytes: twice a memory transaction of the device.
const ALIGNMENT: usize = 256;

/// Page-locked memory of one thread for one device and direction.
struct Buffer {
    memory: PinnedHostSlice<u8>,
    /// Marks the end of the last copy out of it.
    read: CudaEvent,
}

thread_local! {
    static UPLOADS: RefCell<HashMap<DeviceId, Buffer>> = RefCell::new(HashMap::new());
    static DOWNLOADS: RefCell<HashMap<DeviceId, Buffer>> = RefCell::new(HashMap::new());
}

/// Copies all parts to the device at once; returns where each starts there.
pub(crate) fn upload(device: &CudaDevice, parts: &[Vec<f32>]) -> Result<(CudaStorage, Vec<usize>)> {
    let mut total = 0;
    let mut starts = Vec::with_capacity(parts.len());
    for values in parts {
        starts.push(total);
        total += values.len().next_multiple_of(ALIGNMENT / size_of::<f32>());
    }
    // SAFETY: only the parts that are copied here are read; the gaps between them are not.
    let mut target = unsafe { device.alloc::<f32>(total.max(1))? };
    let stream = device.cuda_stream();
    UPLOADS.with_borrow_mut(|stages| {
        let stage = stage(stages, device, total * size_of::<f32>(), sys::CU_MEMHOSTALLOC_WRITECOMBINED)?;
        stage.read.synchronize().w()?;
        let host = stage.memory.as_mut_ptr().w()?.cast::<f32>();
        // SAFETY: the memory holds `total` numbers, is aligned for them, and the event shows that no copy reads it any
        // more.
        let host = unsafe { std::slice::from_raw_parts_mut(host, total) };
        for (values, &start) in parts.iter().zip(&starts) {
            host[start..start + values.len()].copy_from_slice(values);
        }
        stream.memcpy_htod(&*host, &mut target).w()?;
        stage.read.record(&stream).w()
    })?;
    Ok((CudaStorage::wrap_cuda_slice(target, device.clone()), starts))
}

/// Calls `look` with the numbers of all operands, f32 and f64, after one wait for the device.
pub(crate) fn with_numbers<R>(
    device: &CudaDevice,
    operands: &[(&CudaStorage, &Layout)],
    look: impl FnOnce(&[Numbers<'_>]) -> R,
) -> Result<R> {
    let mut pieces = Vec::with_capacity(operands.len());
    let mut end = 0;
    for &(storage, layout) in operands {
        let (operand, width) = match storage.dtype() {
            DType::F32 => (operand::<f32>(storage, layout)?, size_of::<f32>()),
            DType::F64 => (operand::<f64>(storage, layout)?, size_of::<f64>()),
            other => bail!("numbers of {} are not fetched", other.as_str()),
        };
        let start = end;
        end = (start + operand.size * width).next_multiple_of(ALIGNMENT);
        pieces.push((operand, width, start));
    }
    DOWNLOADS.with_borrow_mut(|stages| {
        let memory = stage(stages, device, end, 0)?.memory.as_mut_ptr().w()?;
        for &(operand, width, start) in &pieces {
            // SAFETY: the piece lies inside the memory, which holds `end` bytes.
            unsafe { fetch(device, memory.add(start), operand, width)? };
        }
        device.cuda_stream().synchronize().w()?;
        let numbers: Vec<Numbers<'_>> = pieces
            .iter()
            .map(|&(operand, width, start)| {
                // SAFETY: the copies are done, so these are numbers; positions are aligned for either type, and the
                // memory is not written while the slices live.
                unsafe {
                    let from = memory.add(start);
                    match width {
                        4 => Numbers::F32(std::slice::from_raw_parts(from.cast(), operand.size)),
                        _ => Numbers::F64(std::slice::from_raw_parts(from.cast(), operand.size)),
                    }
                }
            })
            .collect();
        Ok(look(&numbers))
    })
}

/// # Safety
///
/// The target must have room for the operand, and must stay until the stream is done.
unsafe fn fetch(device: &CudaDevice, target: *mut u8, operand: Operand, width: usize) -> Result<()> {
    if operand.size == 0 {
        return Ok(());
    }
    // SAFETY: passed on from the caller.
    let target = unsafe { std::slice::from_raw_parts_mut(target, operand.size * width) };
    // SAFETY: source and target have the same length; the stream is the device's own.
    unsafe { result::memcpy_dtoh_async(target, operand.pointer, device.cuda_stream().cu_stream()) }.w()
}

/// The thread's memory for a device, of at least `bytes` bytes.
fn stage<'a>(
    stages: &'a mut HashMap<DeviceId, Buffer>,
    device: &CudaDevice,
    bytes: usize,
    flags: u32,
) -> Result<&'a mut Buffer> {
    let room = stages.get(&device.id()).map_or(0, |stage| stage.memory.len());
    if room < bytes.max(1) {
        let context = device.cuda_stream().context().clone();
        // SAFETY: it is written before it is read.
        let memory =
            unsafe { context.alloc_pinned_with_flags(bytes.max(1).next_power_of_two(), flags) }.w()?;
        let read = context.new_event(None).w()?;
        if let Some(old) = stages.insert(device.id(), Buffer { memory, read }) {
            old.read.synchronize().w()?;
        }
    }
    Ok(stages.get_mut(&device.id()).expect("it has just been made"))
}
