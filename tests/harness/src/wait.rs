use std::time::{Duration, Instant};

/// Time limit for operations that should take seconds: only a program that hangs reaches it, even on a slow machine.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Pause between two checks.
const PAUSE: Duration = Duration::from_millis(10);

/// Checks repeatedly until there is a result.
pub fn wait_for<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(start.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(PAUSE);
    }
}

/// Checks repeatedly until a condition holds.
pub fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    wait_for(what, limit, || holds().then_some(()));
}
