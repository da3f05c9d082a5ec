use std::time::{Duration, Instant};

/// Measures how long something takes, for reports. No result depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// One that begins now.
    pub fn begin() -> Self {
        Stopwatch(Instant::now())
    }

    /// Seconds since it began.
    pub fn seconds(self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}

/// A phase of a compute thread's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProfilerPhase {
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
    /// Conversion between tensors and messages.
    Pack,
}

impl ProfilerPhase {
    /// All phases, in the order of [`Profiler::take`].
    pub const ALL: [ProfilerPhase; 9] = [
        ProfilerPhase::Wait,
        ProfilerPhase::Read,
        ProfilerPhase::Select,
        ProfilerPhase::Encode,
        ProfilerPhase::Rate,
        ProfilerPhase::Decode,
        ProfilerPhase::Backward,
        ProfilerPhase::Optimize,
        ProfilerPhase::Pack,
    ];

    /// The name in logs and tables.
    pub fn name(self) -> &'static str {
        match self {
            ProfilerPhase::Wait => "wait",
            ProfilerPhase::Read => "read",
            ProfilerPhase::Select => "select",
            ProfilerPhase::Encode => "encode",
            ProfilerPhase::Rate => "rate",
            ProfilerPhase::Decode => "decode",
            ProfilerPhase::Backward => "backward",
            ProfilerPhase::Optimize => "optimize",
            ProfilerPhase::Pack => "pack",
        }
    }
}

/// Measures how a compute thread spends its time. No result depends on it.
#[derive(Debug)]
pub struct Profiler {
    current: ProfilerPhase,
    since: Instant,
    spent: [Duration; ProfilerPhase::ALL.len()],
}

impl Default for Profiler {
    fn default() -> Self {
        Profiler {
            current: ProfilerPhase::Wait,
            since: Instant::now(),
            spent: [Duration::ZERO; ProfilerPhase::ALL.len()],
        }
    }
}

impl Profiler {
    /// Starts a phase.
    pub fn turn_to(&mut self, work: ProfilerPhase) {
        let now = Instant::now();
        self.spent[self.current as usize] += now - self.since;
        self.current = work;
        self.since = now;
    }

    /// Seconds in each phase since the last call, in the order of [`ProfilerPhase::ALL`].
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
        assert!(ProfilerPhase::ALL.iter().enumerate().all(|(position, work)| *work as usize == position));
    }

    #[test]
    fn all_time_is_accounted_for_once() {
        let start = Instant::now();
        let mut profiler = Profiler::default();
        profiler.turn_to(ProfilerPhase::Encode);
        profiler.turn_to(ProfilerPhase::Wait);
        let spent: f64 = profiler.take().iter().sum();
        assert!(spent <= start.elapsed().as_secs_f64());
        assert!(profiler.take().iter().sum::<f64>() < start.elapsed().as_secs_f64() - spent + 1e-9);
    }
}
