//! Rows that occur at several positions of a matrix: spreading them out, and summing the gradients of their positions.

pub(crate) mod segment;

pub use segment::Segment;

use candle_core::{Layout, Result, Tensor, bail};

use crate::Real;
#[cfg(feature = "cuda")]
use crate::access::for_cuda_dtype;
use crate::access::{for_dtype, read, write};
use crate::lanes::vectorise;
use crate::operation::{Cpu, CpuMut, Operation, Update2};
#[cfg(feature = "cuda")]
use crate::operation::{Gpu, GpuMut};

/// targets += sources, row by row according to the segments: targets [m, n], sources [k, n].
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn spread(targets: &Tensor, sources: &Tensor, segments: &[Segment]) -> Result<()> {
    targets.inplace_op2(sources, &Operation(Spread(segments)))
}

/// sources += targets, the transpose of [`spread`]: sources [k, n], targets [m, n]. In the order of segments and rows.
///
/// # Errors
///
/// If an operand's shape, number type, layout or device does not fit.
pub fn collect(sources: &Tensor, targets: &Tensor, segments: &[Segment]) -> Result<()> {
    sources.inplace_op2(targets, &Operation(Collect(segments)))
}

struct Spread<'a>(&'a [Segment]);
struct Collect<'a>(&'a [Segment]);

impl Update2 for Spread<'_> {
    fn name(&self) -> &'static str {
        "spread"
    }

    fn on_cpu(
        &self,
        (targets, targets_layout): CpuMut<'_>,
        (sources, sources_layout): Cpu<'_>,
    ) -> Result<()> {
        check(self.name(), self.0, sources_layout, targets_layout)?;
        let width = sources_layout.dims()[1];
        let pairs = || pairs(self.0).map(|(source, target)| (target, source));
        for_dtype!(
            sources,
            self.name(),
            add_rows((targets, targets_layout), (sources, sources_layout), width, pairs())
        )
    }

    #[cfg(feature = "cuda")]
    fn on_gpu(
        &self,
        (targets, targets_layout): GpuMut<'_>,
        (sources, sources_layout): Gpu<'_>,
    ) -> Result<()> {
        check(self.name(), self.0, sources_layout, targets_layout)?;
        let (targets, from) = ((targets, targets_layout), (sources, sources_layout));
        for_cuda_dtype!(sources, self.name(), crate::cuda::segments::spread(targets, from, self.0))
    }
}

impl Update2 for Collect<'_> {
    fn name(&self) -> &'static str {
        "collect"
    }

    fn on_cpu(
        &self,
        (sources, sources_layout): CpuMut<'_>,
        (targets, targets_layout): Cpu<'_>,
    ) -> Result<()> {
        check(self.name(), self.0, sources_layout, targets_layout)?;
        let width = sources_layout.dims()[1];
        for_dtype!(
            targets,
            self.name(),
            add_rows((sources, sources_layout), (targets, targets_layout), width, pairs(self.0))
        )
    }

    #[cfg(feature = "cuda")]
    fn on_gpu(
        &self,
        (sources, sources_layout): GpuMut<'_>,
        (targets, targets_layout): Gpu<'_>,
    ) -> Result<()> {
        check(self.name(), self.0, sources_layout, targets_layout)?;
        let (sources, from) = ((sources, sources_layout), (targets, targets_layout));
        for_cuda_dtype!(targets, self.name(), crate::cuda::segments::collect(sources, from, self.0))
    }
}

/// (source row, target row) of all rows of all segments, in order.
fn pairs(segments: &[Segment]) -> impl Iterator<Item = (usize, usize)> {
    segments.iter().flat_map(|segment| {
        (0..segment.rows)
            .map(|row| (segment.source + if segment.repeat { 0 } else { row }, segment.target + row))
    })
}

fn check(name: &str, segments: &[Segment], sources: &Layout, targets: &Layout) -> Result<()> {
    let ((source_rows, width), (target_rows, same)) = (sources.shape().dims2()?, targets.shape().dims2()?);
    let inside = |segment: &Segment| {
        segment.source + segment.source_rows() <= source_rows && segment.target + segment.rows <= target_rows
    };
    if width != same || !segments.iter().all(inside) {
        bail!("{name}: segments do not fit rows {source_rows} x {width} and {target_rows} x {same}");
    }
    Ok(())
}

/// to[a] += from[b] for every pair (a, b) of rows.
fn add_rows<T: Real>(
    to: CpuMut<'_>,
    from: Cpu<'_>,
    width: usize,
    mut pairs: impl Iterator<Item = (usize, usize)>,
) -> Result<()> {
    let (to, from) = (write::<T>(to.0, to.1)?, read::<T>(from.0, from.1)?);
    vectorise(
        #[inline(always)]
        || {
            for (a, b) in pairs.by_ref() {
                let (to, from) = (&mut to[a * width..(a + 1) * width], &from[b * width..(b + 1) * width]);
                for (to, &from) in to.iter_mut().zip(from) {
                    *to += from;
                }
            }
        },
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    const SEGMENTS: [Segment; 3] = [
        Segment { source: 0, target: 1, rows: 2, repeat: false },
        Segment { source: 2, target: 0, rows: 3, repeat: true },
        Segment { source: 1, target: 3, rows: 1, repeat: false },
    ];

    #[test]
    fn rows_stand_where_the_segments_put_them_and_are_collected_from_there() {
        let sources = Tensor::new(&[[1f32, 2.0], [10.0, 20.0], [100.0, 200.0]], &Device::Cpu).unwrap();
        let targets = Tensor::zeros((4, 2), DType::F32, &Device::Cpu).unwrap();
        spread(&targets, &sources, &SEGMENTS).unwrap();
        let rows = targets.to_vec2::<f32>().unwrap();
        assert_eq!(rows, [[100.0, 200.0], [101.0, 202.0], [110.0, 220.0], [10.0, 20.0]]);

        let back = Tensor::zeros((3, 2), DType::F32, &Device::Cpu).unwrap();
        collect(&back, &targets, &SEGMENTS).unwrap();
        let rows = back.to_vec2::<f32>().unwrap();
        assert_eq!(rows, [[101.0, 202.0], [120.0, 240.0], [311.0, 622.0]]);
    }

    #[test]
    fn segments_outside_are_refused() {
        let zeros = |rows: usize| Tensor::zeros((rows, 2), DType::F32, &Device::Cpu).unwrap();
        assert!(spread(&zeros(3), &zeros(3), &SEGMENTS).is_err());
        assert!(collect(&zeros(2), &zeros(4), &SEGMENTS).is_err());
    }
}
