//! What features that know no receiver can reach: N-CE over the rate, where one feature for all says in which part of a
//! partition a sample lies.
//!
//! A partition is of the combinations of labels, of which the built-in tasks have ten, the digits. This is no bound:
//! features that are random given the labels are not tried. It begins where nothing is sent and ends where all labels
//! are, which takes their joint entropy; only there N-CE is 0.

use std::collections::BTreeMap;

use super::bound::entropy;

/// The most combinations whose partitions are enumerated; of ten there are 115,975.
const MOST: usize = 10;

/// Rates closer than this are equal up to rounding.
const SAME: f64 = 1e-9;

/// The corners of the upper hull of (rate, N-CE), in nats, in the order of rates. `counts` has how often each
/// combination of the receivers' labels occurs. Points between two corners are reached by drawing one of them with the
/// common randomness. None without combinations, or with more than [`MOST`].
pub(super) fn reachable(counts: &BTreeMap<Vec<u32>, usize>) -> Option<Vec<(f64, f64)>> {
    if !(1..=MOST).contains(&counts.len()) {
        return None;
    }
    let combinations: Vec<(&[u32], usize)> =
        counts.iter().map(|(labels, count)| (labels.as_slice(), *count)).collect();
    let mut points = Vec::new();
    each_partition(counts.len(), &mut |parts| points.push(point(&combinations, parts)));
    Some(upper_hull(points))
}

/// Calls `see` once for every partition of `things` elements, with the part of each element; parts are numbered by
/// first appearance.
fn each_partition(things: usize, see: &mut dyn FnMut(&[usize])) {
    let mut parts = Vec::with_capacity(things);
    extend(&mut parts, things, see);
}

fn extend(parts: &mut Vec<usize>, things: usize, see: &mut dyn FnMut(&[usize])) {
    if parts.len() == things {
        see(parts.as_slice());
        return;
    }
    let next = parts.iter().max().map_or(0, |last| last + 1);
    for part in 0..=next {
        parts.push(part);
        extend(parts, things, see);
        parts.pop();
    }
}

/// Rate and N-CE of a feature that says the part: H(P), and minus the sum over receivers of H(Y_t, P) - H(P).
fn point(combinations: &[(&[u32], usize)], parts: &[usize]) -> (f64, f64) {
    let tasks = combinations.first().map_or(0, |(labels, _)| labels.len());
    let rate = entropy(combinations.iter().zip(parts).map(|((_, count), part)| (*part, *count)));
    let left = |task: usize| {
        let both = combinations.iter().zip(parts);
        entropy(both.map(|((labels, count), part)| ((*part, labels[task]), *count))) - rate
    };
    (rate, (-(0..tasks).map(left).sum::<f64>()).min(0.0))
}

/// The corners of the least concave curve above all points, from the left to the right.
fn upper_hull(mut points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    points.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut highest: Vec<(f64, f64)> = Vec::new();
    for (rate, n_ce) in points {
        match highest.last_mut() {
            Some(last) if rate - last.0 < SAME => last.1 = last.1.max(n_ce),
            _ => highest.push((rate, n_ce)),
        }
    }
    let mut hull: Vec<(f64, f64)> = Vec::new();
    for point in highest {
        while let [.., before, last] = hull[..] {
            let along = (last.0 - before.0) * (point.1 - before.1);
            let across = (last.1 - before.1) * (point.0 - before.0);
            // The last one lies on the line from the one before to this point, or below.
            if along < across {
                break;
            }
            hull.pop();
        }
        hull.push(point);
    }
    hull
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partitions(things: usize) -> Vec<Vec<usize>> {
        let mut all = Vec::new();
        each_partition(things, &mut |parts| all.push(parts.to_vec()));
        all
    }

    /// Digit, parity and ring of equally frequent digits.
    fn digits() -> BTreeMap<Vec<u32>, usize> {
        let ring = |digit: u32| u32::from([0, 6, 8, 9].contains(&digit));
        (0..10).map(|digit| (vec![digit, digit % 2, ring(digit)], 1)).collect()
    }

    #[test]
    fn every_partition_comes_once() {
        let counts = [1, 2, 5, 15, 52, 203];
        for (things, expected) in (1..).zip(counts) {
            let all = partitions(things);
            let mut different = all.clone();
            different.sort();
            different.dedup();
            assert_eq!((all.len(), different.len()), (expected, expected), "of {things}");
        }
    }

    #[test]
    fn n_ce_rises_by_the_rate_for_each_receiver_of_the_task() {
        for (receivers, slope) in [(1, 1.0), (2, 2.0)] {
            let counts = [5, 2, 2, 1].into_iter().enumerate();
            let counts: BTreeMap<Vec<u32>, usize> =
                counts.map(|(label, count)| (vec![label as u32; receivers], count)).collect();
            let hull = reachable(&counts).unwrap();
            let (first, last) = (hull[0], hull[hull.len() - 1]);
            assert!(first.0.abs() < 1e-12 && last.1.abs() < 1e-12, "{hull:?}");
            assert!((first.1 + slope * last.0).abs() < 1e-12, "{hull:?}");
            for (rate, n_ce) in hull {
                assert!((n_ce - slope * (rate - last.0)).abs() < 1e-9, "{rate}: {n_ce}");
            }
        }
    }

    #[test]
    fn of_digits_the_curve_is_concave_lies_above_all_partitions_and_ends_where_the_digit_is_known() {
        let counts = digits();
        let hull = reachable(&counts).unwrap();
        let ends = [hull[0], hull[hull.len() - 1]];
        let nothing = -(10_f64.ln() + 2_f64.ln() + entropy_of_ring());
        assert!(ends[0].0.abs() < 1e-12 && (ends[0].1 - nothing).abs() < 1e-9, "{ends:?}");
        assert!((ends[1].0 - 10_f64.ln()).abs() < 1e-9 && ends[1].1.abs() < 1e-9, "{ends:?}");
        let slopes: Vec<f64> =
            hull.windows(2).map(|pair| (pair[1].1 - pair[0].1) / (pair[1].0 - pair[0].0)).collect();
        assert!(slopes.windows(2).all(|pair| pair[1] <= pair[0] + 1e-6), "{slopes:?}");
        // A partition that informs all three tasks gains most for its rate.
        assert!(slopes[0] > 1.5 && slopes.iter().all(|slope| (0.99..=3.01).contains(slope)), "{slopes:?}");
        let height = |rate: f64| {
            let at = hull.windows(2).position(|pair| rate <= pair[1].0).unwrap_or(hull.len() - 2);
            hull[at].1 + slopes[at] * (rate - hull[at].0)
        };
        let combinations: Vec<(&[u32], usize)> = counts.keys().map(|labels| (labels.as_slice(), 1)).collect();
        each_partition(10, &mut |parts| {
            let (rate, n_ce) = point(&combinations, parts);
            assert!(n_ce <= height(rate) + 1e-9, "{parts:?}: {n_ce} above {}", height(rate));
        });
    }

    /// H of the ring, which four of ten digits have.
    fn entropy_of_ring() -> f64 {
        -(0.4 * 0.4_f64.ln() + 0.6 * 0.6_f64.ln())
    }

    #[test]
    fn zero_or_more_than_ten_combinations_are_not_enumerated() {
        assert_eq!(reachable(&BTreeMap::new()), None);
        assert_eq!(reachable(&(0..11).map(|label| (vec![label], 1)).collect()), None);
    }
}
