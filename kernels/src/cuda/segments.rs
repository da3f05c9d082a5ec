//! Spreading rows and collecting them: the table of segments is a launch argument. Targets may be columns of a wider
//! matrix.
#![expect(unsafe_code, reason = "promises that the table of segments is laid out as its kernels declare it")]

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::driver::DeviceRepr;
use candle_core::{CudaStorage, Layout, Result, bail};

use super::launch::{Argument, Grid, Module, count, launch, module, operand, strided};
use crate::Real;
use crate::segments::segment::Segment;

const MODULE: Module = module!("segments");
/// Largest number of segments in a launch.
const MOST: usize = 200;
const THREADS: u32 = 256;

/// The layout that segments.cu declares.
#[repr(C)]
struct SegmentTable {
    count: u32,
    segments: [[u32; 4]; MOST],
}

// SAFETY: plain numbers in C's order, as the kernels declare them.
unsafe impl DeviceRepr for SegmentTable {}

type Operand<'a> = (&'a CudaStorage, &'a Layout);

pub(crate) fn spread<T: Real>(
    targets: (&mut CudaStorage, &Layout),
    sources: Operand<'_>,
    segments: &[Segment],
) -> Result<()> {
    let (device, width) = (sources.0.device(), sources.1.dims()[1]);
    let (targets, sources) = (strided::<T>(targets.0, targets.1)?, operand::<T>(sources.0, sources.1)?);
    for segments in segments.chunks(MOST) {
        let largest = segments.iter().map(|segment| segment.rows * width).max().unwrap_or(0);
        let grid =
            Grid { blocks: (segments.len(), largest.div_ceil(THREADS as usize)), threads: (THREADS, 1) };
        let table = SegmentTable::new(segments)?;
        let arguments = [
            Argument::Operand(targets.operand),
            Argument::Operand(sources),
            Argument::Table(&table),
            count(width)?,
            count(targets.stride)?,
        ];
        launch::<T>(device, &MODULE, "spread", grid, &arguments)?;
    }
    Ok(())
}

pub(crate) fn collect<T: Real>(
    sources: (&mut CudaStorage, &Layout),
    targets: Operand<'_>,
    segments: &[Segment],
) -> Result<()> {
    let (device, (rows, width)) = (targets.0.device(), sources.1.shape().dims2()?);
    let (sources, targets) = (operand::<T>(sources.0, sources.1)?, strided::<T>(targets.0, targets.1)?);
    for segments in segments.chunks(MOST) {
        let grid = Grid { blocks: (rows, width.div_ceil(THREADS as usize)), threads: (THREADS, 1) };
        let table = SegmentTable::new(segments)?;
        let arguments = [
            Argument::Operand(sources),
            Argument::Operand(targets.operand),
            Argument::Table(&table),
            count(width)?,
            count(targets.stride)?,
        ];
        launch::<T>(device, &MODULE, "collect", grid, &arguments)?;
    }
    Ok(())
}

impl SegmentTable {
    fn new(segments: &[Segment]) -> Result<Self> {
        let mut table = SegmentTable { count: segments.len() as u32, segments: [[0; 4]; MOST] };
        for (place, segment) in table.segments.iter_mut().zip(segments) {
            let sizes = [segment.source, segment.target, segment.rows].map(u32::try_from);
            let [Ok(source), Ok(target), Ok(rows)] = sizes else {
                bail!("{segment:?} is too long for a kernel");
            };
            *place = [source, target, rows, u32::from(segment.repeat)];
        }
        Ok(table)
    }
}
