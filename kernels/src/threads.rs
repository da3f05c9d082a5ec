//! Independent rows, computed on several threads.

use rayon::prelude::*;

/// From this many numbers on, a loop is worth sharing among threads.
const WORTH: usize = 16 * 1024;

/// Lets `work` write consecutive pieces of whole rows: it gets a piece's first row, and the piece. Runs on all threads
/// of the current thread's pool, or on this thread alone outside a pool. The result must not depend on the pieces.
pub(crate) fn for_rows<T: Send>(rows: &mut [T], width: usize, work: impl Fn(usize, &mut [T]) + Sync) {
    if width == 0 || rows.is_empty() {
        return;
    }
    let threads = if rows.len() >= WORTH { threads() } else { 1 };
    if threads == 1 {
        return work(0, rows);
    }
    // Several pieces for each thread, so that a delayed thread leaves work to the others.
    let piece = (rows.len() / width).div_ceil(4 * threads);
    rows.par_chunks_mut(piece * width).enumerate().for_each(|(number, rows)| work(number * piece, rows));
}

/// Lets `work` write consecutive pieces of a given number of rows, as [`for_rows`] does, with working memory of its
/// thread, which keeps its content between pieces.
pub(crate) fn for_pieces<T: Send>(
    rows: &mut [T],
    width: usize,
    piece: usize,
    work: impl Fn(&mut Vec<T>, usize, &mut [T]) + Sync,
) {
    if width == 0 || piece == 0 {
        return;
    }
    if threads() == 1 {
        let mut own = Vec::new();
        for (number, rows) in rows.chunks_mut(piece * width).enumerate() {
            work(&mut own, number * piece, rows);
        }
        return;
    }
    let pieces = rows.par_chunks_mut(piece * width).enumerate();
    pieces.for_each_init(Vec::new, |own, (number, rows)| work(own, number * piece, rows));
}

/// The number of threads in the current thread's pool; 1 outside a pool.
pub fn threads() -> usize {
    rayon::current_thread_index().map_or(1, |_| rayon::current_num_threads())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_written_once_on_any_number_of_threads() {
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for (count, width) in [(0, 3), (7, 3), (40_001, 3), (3, 40_000)] {
                let mut rows = vec![0; count * width];
                let write = |first: usize, piece: &mut [usize]| {
                    for (number, row) in piece.chunks_exact_mut(width).enumerate() {
                        row.iter_mut().for_each(|value| *value += first + number + 1);
                    }
                };
                pool.install(|| for_rows(&mut rows, width, write));
                assert!(rows.iter().enumerate().all(|(place, &value)| value == place / width + 1));
            }
        }
    }
}
