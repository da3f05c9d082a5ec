//! The same for many things, on all cores.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

/// Is told (done, of how many), from any thread.
pub type Progress<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// What `each` gives for 0 to `count`, in order; or the first error in that order. After an error nothing is begun.
///
/// # Errors
///
/// The first of `each`, in order.
pub fn map<T: Send, E: Send>(
    count: usize,
    progress: Progress<'_>,
    each: impl Fn(usize) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let results: Mutex<Vec<(usize, Result<T, E>)>> = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(count);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        return;
                    }
                    let result = each(index);
                    if result.is_err() {
                        next.store(count, Ordering::Relaxed);
                    }
                    results.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
                    progress(done.fetch_add(1, Ordering::Relaxed) + 1, count);
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_unstable_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_an_error_ends_it() {
        let doubled = map(100, &|_, _| {}, |index| Ok::<_, ()>(2 * index)).unwrap();
        assert_eq!(doubled, (0..100).map(|index| 2 * index).collect::<Vec<_>>());
        let begun = AtomicUsize::new(0);
        let failed = map(100_000, &|_, _| {}, |index| {
            begun.fetch_add(1, Ordering::Relaxed);
            if index >= 10 { Err(index) } else { Ok(()) }
        });
        assert_eq!(failed, Err(10));
        assert!(begun.into_inner() < 100_000);
    }
}
