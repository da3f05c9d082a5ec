use coordinator::{Redraw, SampleSource, StreamArguments, WhenFull};
use randomness::Stream;

use crate::plan::between;

/// How a stream is served.
#[derive(Clone, Debug)]
pub(crate) struct ServicePlan {
    pub(crate) stream: StreamArguments,
    /// The samples that the sensor sends before it only waits for calm.
    pub(crate) samples: u64,
}

impl ServicePlan {
    pub(crate) fn draw(draws: &mut Stream) -> Self {
        let choose = |draws: &mut Stream, from: &[f64]| from[draws.below(from.len() as u64) as usize];
        let is_test = draws.below(4) == 0;
        let source = if is_test { SampleSource::Test } else { SampleSource::Grpc(None) };
        let when_full = [WhenFull::Block, WhenFull::DropOldest, WhenFull::DropNewest];
        let stream = StreamArguments {
            source,
            rate: Some(choose(draws, &[5.0, 40.0, 300.0])),
            batch_up_to: between(draws, 1, 16) as u16,
            wait_up_to: choose(draws, &[0.0, 0.0, 20.0, 100.0]),
            queue: between(draws, 1, 40) as u32,
            when_full: when_full[draws.below(3) as usize],
            deadline: (!is_test && draws.below(2) == 0).then(|| choose(draws, &[5.0, 60.0, 500.0])),
            redraw: (draws.below(3) == 0).then(|| Redraw::Samples(between(draws, 20, 90))),
            without_after: choose(draws, &[1.0, 4.0, 60.0]) as u32,
            ..StreamArguments::default()
        };
        ServicePlan { stream, samples: between(draws, 50, 200) }
    }
}
