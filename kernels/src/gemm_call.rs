//! The one unsafe call: a strided matrix product of the `gemm` crate.
#![expect(unsafe_code, reason = "the gemm crate takes raw pointers and strides")]

use gemm::Parallelism;

use crate::Real;
use crate::product::Matrix;

/// C = A B over a depth of at most `DEPTH`, or C += A B: `c` is row-major, [a.rows, b.columns].
///
/// # Panics
///
/// If a slice is too short for its shape.
pub(crate) fn gemm_into<T: Real>(c: &mut [T], a: Matrix<'_, T>, b: Matrix<'_, T>, accumulate: bool) {
    check(c.len(), a, b);
    // SAFETY: `check` has made sure that every element that the shapes and strides address lies inside its slice,
    // `c` is borrowed exclusively, and T is f32 or f64, the types that the crate dispatches on.
    unsafe { call(c.as_mut_ptr(), a, b, accumulate) }
}

/// A B in new memory that is not zeroed first.
pub(crate) fn gemm_new<T: Real>(a: Matrix<'_, T>, b: Matrix<'_, T>) -> Vec<T> {
    let length = a.rows * b.columns;
    let mut c = Vec::with_capacity(length);
    check(length, a, b);
    // SAFETY: as above; the memory is the vector's own, and the product writes each of its `length` elements without
    // reading it, since it does not accumulate.
    unsafe {
        call(c.as_mut_ptr(), a, b, false);
        c.set_len(length);
    }
    c
}

fn check<T>(c: usize, a: Matrix<'_, T>, b: Matrix<'_, T>) {
    assert_eq!(a.columns, b.rows, "the inner sizes of a product differ");
    assert!(c >= a.rows * b.columns && a.fits() && b.fits(), "an operand of a product is too short");
}

/// # Safety
///
/// `c` points to a.rows * b.columns elements that nobody else uses, readable if `accumulate`; `a` and `b` fit.
unsafe fn call<T: Real>(c: *mut T, a: Matrix<'_, T>, b: Matrix<'_, T>, accumulate: bool) {
    // SAFETY: passed on from the caller. Strides fit an isize because slices do.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            c,
            1,
            b.columns as isize,
            accumulate,
            a.values.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.values.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            T::ONE,
            T::ONE,
            false,
            false,
            false,
            parallelism(),
        );
    }
}

/// Parallelism over the current thread's pool, or none outside a pool. The bits do not depend on it.
fn parallelism() -> Parallelism {
    match rayon::current_thread_index() {
        Some(_) if rayon::current_num_threads() > 1 => Parallelism::Rayon(0),
        _ => Parallelism::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::product::accumulate_chain;
    use crate::product::tests::{matrix, random};

    fn equals_the_safe_version<T: Real>() {
        for (rows, depth, columns) in
            [(400, 220, 512), (17, 3, 16), (33, 512, 31), (400, 300, 2), (2, 256, 130)]
        {
            for (left, right) in [(false, false), (true, false), (false, true), (true, true)] {
                let a = random::<T>(1, rows * depth);
                let b = random::<T>(2, depth * columns);
                let (a, b) = (matrix(&a, rows, depth, left), matrix(&b, depth, columns, right));
                let mut safe = vec![T::ZERO; rows * columns];
                accumulate_chain(&mut safe, a, b, false);
                assert!(gemm_new(a, b) == safe, "{rows} {depth} {columns} {left} {right}");
                let start = random::<T>(3, rows * columns);
                let (mut fast, mut safe) = (start.clone(), start);
                gemm_into(&mut fast, a, b, true);
                accumulate_chain(&mut safe, a, b, true);
                assert!(fast == safe, "{rows} {depth} {columns} {left} {right}, accumulated");
            }
        }
    }

    #[test]
    fn the_fast_product_has_the_bits_of_the_safe_one() {
        equals_the_safe_version::<f32>();
        equals_the_safe_version::<f64>();
    }

    #[test]
    fn so_it_has_on_several_threads() {
        for threads in [2, 3, 7] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                equals_the_safe_version::<f32>();
                equals_the_safe_version::<f64>();
            });
        }
    }
}
