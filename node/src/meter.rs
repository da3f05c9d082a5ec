use std::time::{Duration, Instant};

/// What a compute thread may be busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Work {
    /// Waiting for the next message or order.
    Wait,
    /// Reading samples and drawing noise.
    Read,
    /// Drawing selections, capping, and the selector's own step.
    Select,
    /// Encoders forward.
    Encode,
    /// Rate estimates.
    Rate,
    /// Decoders forward, with losses.
    Decode,
    /// Encoders and decoders backward.
    Backward,
    /// Optimizer steps of encoders and decoders.
    Optimize,
    /// Between tensors and messages.
    Pack,
}

impl Work {
    /// All kinds, in the order of [`Meter::take`].
    pub const ALL: [Work; 9] = [
        Work::Wait,
        Work::Read,
        Work::Select,
        Work::Encode,
        Work::Rate,
        Work::Decode,
        Work::Backward,
        Work::Optimize,
        Work::Pack,
    ];

    /// The name in logs and tables.
    pub fn name(self) -> &'static str {
        match self {
            Work::Wait => "wait",
            Work::Read => "read",
            Work::Select => "select",
            Work::Encode => "encode",
            Work::Rate => "rate",
            Work::Decode => "decode",
            Work::Backward => "backward",
            Work::Optimize => "optimize",
            Work::Pack => "pack",
        }
    }
}

/// Where a compute thread's time goes. It only watches: nothing that is computed depends on it.
#[derive(Debug)]
pub struct Meter {
    current: Work,
    since: Instant,
    spent: [Duration; Work::ALL.len()],
}

impl Default for Meter {
    fn default() -> Self {
        Meter { current: Work::Wait, since: Instant::now(), spent: [Duration::ZERO; Work::ALL.len()] }
    }
}

impl Meter {
    /// From now on the thread does `work`.
    pub fn turn_to(&mut self, work: Work) {
        let now = Instant::now();
        self.spent[self.current as usize] += now - self.since;
        self.current = work;
        self.since = now;
    }

    /// Seconds spent on each kind of work since the last call, in the order of [`Work::ALL`].
    pub fn take(&mut self) -> Vec<f64> {
        self.turn_to(self.current);
        std::mem::take(&mut self.spent).iter().map(Duration::as_secs_f64).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kinds_stand_in_their_own_order() {
        assert!(Work::ALL.iter().enumerate().all(|(position, work)| *work as usize == position));
    }

    #[test]
    fn all_time_is_accounted_for_once() {
        let start = Instant::now();
        let mut meter = Meter::default();
        meter.turn_to(Work::Encode);
        meter.turn_to(Work::Wait);
        let spent: f64 = meter.take().iter().sum();
        assert!(spent <= start.elapsed().as_secs_f64());
        assert!(meter.take().iter().sum::<f64>() < start.elapsed().as_secs_f64() - spent + 1e-9);
    }
}
