//! How an operation is given to candle: each implements one of the traits here, by the number of its operands and
//! whether it changes the first, and is passed as [`Operation`].
//!
//! An operation without a GPU kernel leaves out `on_gpu`: its operands are then copied to the CPU, which computes it,
//! and the result is copied back. Correct but slow: each waits for the device, and copies an operand's whole storage.

use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, InplaceOp1, InplaceOp2, InplaceOp3, Layout, Result, Shape,
};
#[cfg(feature = "cuda")]
use candle_core::{
    CudaStorage,
    backend::{BackendDevice, BackendStorage},
};

/// An operand in this machine's memory.
pub(crate) type Cpu<'a> = (&'a CpuStorage, &'a Layout);
/// An operand in this machine's memory that is changed.
pub(crate) type CpuMut<'a> = (&'a mut CpuStorage, &'a Layout);
/// A result in this machine's memory.
pub(crate) type Made = (CpuStorage, Shape);

/// An operand on a GPU.
#[cfg(feature = "cuda")]
pub(crate) type Gpu<'a> = (&'a CudaStorage, &'a Layout);
/// An operand on a GPU that is changed.
#[cfg(feature = "cuda")]
pub(crate) type GpuMut<'a> = (&'a mut CudaStorage, &'a Layout);
/// A result on a GPU.
#[cfg(feature = "cuda")]
pub(crate) type MadeOnGpu = (CudaStorage, Shape);

/// An operation as candle takes it.
pub(crate) struct Operation<T>(pub(crate) T);

/// An operation of one operand, in new memory.
pub(crate) trait Apply1 {
    fn name(&self) -> &'static str;

    fn on_cpu(&self, x: Cpu<'_>) -> Result<Made>;

    #[cfg(feature = "cuda")]
    fn on_gpu(&self, x: Gpu<'_>) -> Result<MadeOnGpu> {
        let x_on_cpu = x.0.to_cpu_storage()?;
        let (result, shape) = self.on_cpu((&x_on_cpu, x.1))?;
        Ok((x.0.device().storage_from_cpu_storage_owned(result)?, shape))
    }
}

impl<T: Apply1> CustomOp1 for Operation<T> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn cpu_fwd(&self, x: &CpuStorage, x_layout: &Layout) -> Result<Made> {
        self.0.on_cpu((x, x_layout))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, x: &CudaStorage, x_layout: &Layout) -> Result<MadeOnGpu> {
        self.0.on_gpu((x, x_layout))
    }
}

/// An operation of two operands, in new memory.
pub(crate) trait Apply2 {
    fn name(&self) -> &'static str;

    fn on_cpu(&self, x: Cpu<'_>, y: Cpu<'_>) -> Result<Made>;

    #[cfg(feature = "cuda")]
    fn on_gpu(&self, x: Gpu<'_>, y: Gpu<'_>) -> Result<MadeOnGpu> {
        let x_on_cpu = x.0.to_cpu_storage()?;
        let y_on_cpu = y.0.to_cpu_storage()?;
        let (result, shape) = self.on_cpu((&x_on_cpu, x.1), (&y_on_cpu, y.1))?;
        Ok((x.0.device().storage_from_cpu_storage_owned(result)?, shape))
    }
}

impl<T: Apply2> CustomOp2 for Operation<T> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn cpu_fwd(&self, x: &CpuStorage, x_layout: &Layout, y: &CpuStorage, y_layout: &Layout) -> Result<Made> {
        self.0.on_cpu((x, x_layout), (y, y_layout))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        x_layout: &Layout,
        y: &CudaStorage,
        y_layout: &Layout,
    ) -> Result<MadeOnGpu> {
        self.0.on_gpu((x, x_layout), (y, y_layout))
    }
}

/// An operation of three operands, in new memory.
pub(crate) trait Apply3 {
    fn name(&self) -> &'static str;

    fn on_cpu(&self, x: Cpu<'_>, y: Cpu<'_>, z: Cpu<'_>) -> Result<Made>;

    #[cfg(feature = "cuda")]
    fn on_gpu(&self, x: Gpu<'_>, y: Gpu<'_>, z: Gpu<'_>) -> Result<MadeOnGpu> {
        let x_on_cpu = x.0.to_cpu_storage()?;
        let y_on_cpu = y.0.to_cpu_storage()?;
        let z_on_cpu = z.0.to_cpu_storage()?;
        let (result, shape) = self.on_cpu((&x_on_cpu, x.1), (&y_on_cpu, y.1), (&z_on_cpu, z.1))?;
        Ok((x.0.device().storage_from_cpu_storage_owned(result)?, shape))
    }
}

impl<T: Apply3> CustomOp3 for Operation<T> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        y: &CpuStorage,
        y_layout: &Layout,
        z: &CpuStorage,
        z_layout: &Layout,
    ) -> Result<Made> {
        self.0.on_cpu((x, x_layout), (y, y_layout), (z, z_layout))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        x_layout: &Layout,
        y: &CudaStorage,
        y_layout: &Layout,
        z: &CudaStorage,
        z_layout: &Layout,
    ) -> Result<MadeOnGpu> {
        self.0.on_gpu((x, x_layout), (y, y_layout), (z, z_layout))
    }
}

/// An operation that changes its operand.
pub(crate) trait Update1 {
    fn name(&self) -> &'static str;

    fn on_cpu(&self, target: CpuMut<'_>) -> Result<()>;

    #[cfg(feature = "cuda")]
    fn on_gpu(&self, target: GpuMut<'_>) -> Result<()> {
        let mut target_on_cpu = target.0.to_cpu_storage()?;
        self.on_cpu((&mut target_on_cpu, target.1))?;
        *target.0 = target.0.device().storage_from_cpu_storage_owned(target_on_cpu)?;
        Ok(())
    }
}

impl<T: Update1> InplaceOp1 for Operation<T> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn cpu_fwd(&self, target: &mut CpuStorage, target_layout: &Layout) -> Result<()> {
        self.0.on_cpu((target, target_layout))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, target: &mut CudaStorage, target_layout: &Layout) -> Result<()> {
        self.0.on_gpu((target, target_layout))
    }
}

/// An operation of two operands that changes the first.
pub(crate) trait Update2 {
    fn name(&self) -> &'static str;

    fn on_cpu(&self, target: CpuMut<'_>, x: Cpu<'_>) -> Result<()>;

    #[cfg(feature = "cuda")]
    fn on_gpu(&self, target: GpuMut<'_>, x: Gpu<'_>) -> Result<()> {
        let mut target_on_cpu = target.0.to_cpu_storage()?;
        let x_on_cpu = x.0.to_cpu_storage()?;
        self.on_cpu((&mut target_on_cpu, target.1), (&x_on_cpu, x.1))?;
        *target.0 = target.0.device().storage_from_cpu_storage_owned(target_on_cpu)?;
        Ok(())
    }
}

impl<T: Update2> InplaceOp2 for Operation<T> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn cpu_fwd(
        &self,
        target: &mut CpuStorage,
        target_layout: &Layout,
        x: &CpuStorage,
        x_layout: &Layout,
    ) -> Result<()> {
        self.0.on_cpu((target, target_layout), (x, x_layout))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        target: &mut CudaStorage,
        target_layout: &Layout,
        x: &CudaStorage,
        x_layout: &Layout,
    ) -> Result<()> {
        self.0.on_gpu((target, target_layout), (x, x_layout))
    }
}

/// An operation of three operands that changes the first.
pub(crate) trait Update3 {
    fn name(&self) -> &'static str;

    fn on_cpu(&self, target: CpuMut<'_>, x: Cpu<'_>, y: Cpu<'_>) -> Result<()>;

    #[cfg(feature = "cuda")]
    fn on_gpu(&self, target: GpuMut<'_>, x: Gpu<'_>, y: Gpu<'_>) -> Result<()> {
        update_3_by_cpu(self, target, x, y)
    }
}

/// Copies the operands of an operation to the CPU, and the one that it changes back.
#[cfg(feature = "cuda")]
pub(crate) fn update_3_by_cpu(
    operation: &(impl Update3 + ?Sized),
    target: GpuMut<'_>,
    x: Gpu<'_>,
    y: Gpu<'_>,
) -> Result<()> {
    let mut target_on_cpu = target.0.to_cpu_storage()?;
    let [x_on_cpu, y_on_cpu] = [x.0, y.0].map(BackendStorage::to_cpu_storage);
    operation.on_cpu((&mut target_on_cpu, target.1), (&x_on_cpu?, x.1), (&y_on_cpu?, y.1))?;
    *target.0 = target.0.device().storage_from_cpu_storage_owned(target_on_cpu)?;
    Ok(())
}

impl<T: Update3> InplaceOp3 for Operation<T> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn cpu_fwd(
        &self,
        target: &mut CpuStorage,
        target_layout: &Layout,
        x: &CpuStorage,
        x_layout: &Layout,
        y: &CpuStorage,
        y_layout: &Layout,
    ) -> Result<()> {
        self.0.on_cpu((target, target_layout), (x, x_layout), (y, y_layout))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        target: &mut CudaStorage,
        target_layout: &Layout,
        x: &CudaStorage,
        x_layout: &Layout,
        y: &CudaStorage,
        y_layout: &Layout,
    ) -> Result<()> {
        self.0.on_gpu((target, target_layout), (x, x_layout), (y, y_layout))
    }
}
