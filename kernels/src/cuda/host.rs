//! Operations that have no kernel for GPUs: their operands come to the CPU, which computes them, and the result goes back. Right,
//! and slow: each waits for the device, and copies an operand's whole storage.

use candle_core::backend::{BackendDevice, BackendStorage};
use candle_core::{CudaStorage, CustomOp1, InplaceOp2, Layout, Result, Shape};

/// An operation of one operand, in new memory.
pub(crate) fn apply_1(op: &impl CustomOp1, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
    let (result, shape) = op.cpu_fwd(&x.to_cpu_storage()?, layout)?;
    Ok((x.device().storage_from_cpu_storage_owned(result)?, shape))
}

/// An operation that changes its first operand.
pub(crate) fn update_2(
    op: &impl InplaceOp2,
    (target, target_layout): (&mut CudaStorage, &Layout),
    (source, source_layout): (&CudaStorage, &Layout),
) -> Result<()> {
    let mut on_host = target.to_cpu_storage()?;
    op.cpu_fwd(&mut on_host, target_layout, &source.to_cpu_storage()?, source_layout)?;
    *target = target.device().storage_from_cpu_storage_owned(on_host)?;
    Ok(())
}
