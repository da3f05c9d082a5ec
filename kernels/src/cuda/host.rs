//! Operations without a GPU kernel: their operands are copied to the CPU, which computes them, and the result is copied
//! back. Correct but slow: each waits for the device, and copies an operand's whole storage.

use candle_core::backend::{BackendDevice, BackendStorage};
use candle_core::{
    CudaStorage, CustomOp1, CustomOp2, CustomOp3, InplaceOp2, InplaceOp3, Layout, Result, Shape,
};

type Operand<'a> = (&'a CudaStorage, &'a Layout);

/// An operation of one operand, in new memory.
pub(crate) fn apply_1(op: &impl CustomOp1, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
    let (result, shape) = op.cpu_fwd(&x.to_cpu_storage()?, layout)?;
    Ok((x.device().storage_from_cpu_storage_owned(result)?, shape))
}

/// An operation of two operands, in new memory.
pub(crate) fn apply_2(op: &impl CustomOp2, x: Operand<'_>, y: Operand<'_>) -> Result<(CudaStorage, Shape)> {
    let (result, shape) = op.cpu_fwd(&x.0.to_cpu_storage()?, x.1, &y.0.to_cpu_storage()?, y.1)?;
    Ok((x.0.device().storage_from_cpu_storage_owned(result)?, shape))
}

/// An operation of three operands, in new memory.
pub(crate) fn apply_3(
    op: &impl CustomOp3,
    x: Operand<'_>,
    y: Operand<'_>,
    z: Operand<'_>,
) -> Result<(CudaStorage, Shape)> {
    let [on_x, on_y, on_z] = [x.0, y.0, z.0].map(BackendStorage::to_cpu_storage);
    let (result, shape) = op.cpu_fwd(&on_x?, x.1, &on_y?, y.1, &on_z?, z.1)?;
    Ok((x.0.device().storage_from_cpu_storage_owned(result)?, shape))
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

/// An operation of three operands that changes the first.
pub(crate) fn update_3(
    op: &impl InplaceOp3,
    (target, target_layout): (&mut CudaStorage, &Layout),
    x: Operand<'_>,
    y: Operand<'_>,
) -> Result<()> {
    let mut on_host = target.to_cpu_storage()?;
    op.cpu_fwd(&mut on_host, target_layout, &x.0.to_cpu_storage()?, x.1, &y.0.to_cpu_storage()?, y.1)?;
    *target = target.device().storage_from_cpu_storage_owned(on_host)?;
    Ok(())
}
