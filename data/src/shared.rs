//! Rows that several nodes of one process share, as long as any of the nodes uses them.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use randomness::Seed;

use crate::{Settings, error::DataError};

/// The rows of data sets that are open in this process.
pub(crate) struct Open<R> {
    known: Mutex<Vec<Place<R>>>,
}

/// The place of the rows of a data set, for the settings and the seed of a run. Its lock is held while rows are read.
struct Place<R> {
    settings: Settings,
    seed: Seed,
    rows: Arc<Mutex<Weak<R>>>,
}

impl<R> Open<R> {
    pub(crate) const fn new() -> Self {
        Open { known: Mutex::new(Vec::new()) }
    }

    /// The rows that are open already, or those that `read` returns. A call waits while another call reads them.
    ///
    /// # Errors
    /// Those of `read`; then nothing is open, and the next call reads again.
    pub(crate) fn rows(
        &self,
        settings: &Settings,
        seed: Seed,
        read: impl FnOnce() -> Result<Arc<R>, DataError>,
    ) -> Result<Arc<R>, DataError> {
        let place = self.place(settings, seed);
        // Rows are entered only when they are complete, so that a poisoned lock is as good as any.
        let mut open = place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rows) = open.upgrade() {
            return Ok(rows);
        }
        let rows = read()?;
        *open = Arc::downgrade(&rows);
        Ok(rows)
    }

    fn place(&self, settings: &Settings, seed: Seed) -> Arc<Mutex<Weak<R>>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Removes places without users and readers. `lock` does not wait: only `known` refers to them.
        known.retain(|place| {
            Arc::strong_count(&place.rows) > 1
                || place.rows.lock().unwrap_or_else(PoisonError::into_inner).strong_count() > 0
        });
        if let Some(place) = known.iter().find(|place| place.seed == seed && place.settings == *settings) {
            return place.rows.clone();
        }
        let rows = Arc::new(Mutex::new(Weak::new()));
        known.push(Place { settings: settings.clone(), seed, rows: rows.clone() });
        rows
    }
}

#[cfg(test)]
mod tests {
    use std::{
        path::Path,
        sync::{
            Barrier,
            atomic::{AtomicUsize, Ordering},
        },
        thread,
    };

    use super::*;

    fn settings(folder: &str) -> Settings {
        Settings::new("digits", Some(folder.into()))
    }

    #[test]
    fn rows_are_read_once_and_again_after_their_last_use() {
        let (open, reads) = (Open::new(), AtomicUsize::new(0));
        let rows = |settings: &Settings, seed: u64| {
            let read = || Ok(Arc::new(reads.fetch_add(1, Ordering::Relaxed)));
            open.rows(settings, Seed::from_number(seed), read).unwrap()
        };
        let (here, there) = (settings("here"), settings("there"));
        let first = rows(&here, 1);
        assert!(Arc::ptr_eq(&first, &rows(&here, 1)));
        // Another folder, another seed, another preparation: other rows.
        let frozen = here.clone().with("frozen_audio", true);
        let others = [rows(&there, 1), rows(&here, 2), rows(&frozen, 1)];
        assert_eq!((*first, others.map(|rows| *rows)), (0, [1, 2, 3]));
        assert_eq!(*rows(&there, 1), 4, "unused rows were kept");
        drop(first);
        assert_eq!(*rows(&here, 1), 5, "unused rows were kept");
        rows(&there, 3);
        assert_eq!(open.known.lock().unwrap().len(), 1, "unused places were kept");
    }

    #[test]
    fn calls_during_a_read_wait_for_the_same_rows() {
        let (open, reads, all) = (Open::new(), AtomicUsize::new(0), Barrier::new(8));
        let rows = || {
            all.wait();
            let read = || {
                thread::sleep(std::time::Duration::from_millis(20));
                Ok(Arc::new(reads.fetch_add(1, Ordering::Relaxed)))
            };
            let rows = open.rows(&settings("here"), Seed::from_number(1), read).unwrap();
            // Rows stay open until all threads have them.
            all.wait();
            *rows
        };
        let read: Vec<usize> = thread::scope(|scope| {
            let asking: Vec<_> = (0..8).map(|_| scope.spawn(rows)).collect();
            asking.into_iter().map(|asking| asking.join().unwrap()).collect()
        });
        assert_eq!((read, reads.into_inner()), (vec![0; 8], 1));
    }

    #[test]
    fn a_failed_read_leaves_nothing_open() {
        let open = Open::new();
        let fails = || Err(DataError::malformed(Path::new("here"), "is damaged"));
        assert!(open.rows(&settings("here"), Seed::from_number(1), fails).is_err());
        let rows = open.rows(&settings("here"), Seed::from_number(1), || Ok(Arc::new(7))).unwrap();
        assert_eq!(*rows, 7);
    }
}
