//! The regularised incomplete beta function, from which Student's t and the binomial distribution are computed.

/// Most steps of the continued fraction; a few dozen suffice for the arguments used here.
const STEPS: usize = 10_000;

/// I_x(a, b) for a, b > 0 and x from 0 to 1, by its continued fraction (Numerical Recipes 6.4; Abramowitz and Stegun
/// 26.5.8).
pub(super) fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return if x <= 0.0 { 0.0 } else { 1.0 };
    }
    // The fraction converges quickly on this side; the other is its complement.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(b, a, 1.0 - x);
    }
    let front = libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b) + a * x.ln() + b * (-x).ln_1p();
    front.exp() * fraction(a, b, x) / a
}

/// The continued fraction, by the modified Lentz method.
fn fraction(a: f64, b: f64, x: f64) -> f64 {
    let safe = |value: f64| if value.abs() < f64::MIN_POSITIVE { f64::MIN_POSITIVE } else { value };
    let (mut c, mut d) = (1.0, 1.0 / safe(1.0 - (a + b) * x / (a + 1.0)));
    let mut value = d;
    for step in 1..STEPS {
        let m = step as f64;
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        for term in [even, odd] {
            d = 1.0 / safe(1.0 + term * d);
            c = safe(1.0 + term / c);
            value *= c * d;
        }
        if (c * d - 1.0).abs() < 1e-15 {
            break;
        }
    }
    value
}

/// Bisection: where a function that rises from below `target` at `low` to above it at `high` crosses it.
pub(super) fn crossing(rises: impl Fn(f64) -> f64, target: f64, low: f64, high: f64) -> f64 {
    let (mut low, mut high) = (low, high);
    // More steps than it takes to reach neighbouring numbers.
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if rises(middle) < target { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_has_its_closed_forms(a in 0.05_f64..200.0, x in 0.0_f64..1.0) {
            // I_x(a, 1) = x^a, I_x(1, b) = 1 - (1 - x)^b.
            prop_assert!((incomplete_beta(a, 1.0, x) - x.powf(a)).abs() < 1e-11);
            prop_assert!((incomplete_beta(1.0, a, x) - (1.0 - (1.0 - x).powf(a))).abs() < 1e-11);
            // I_x(1/2, 1/2) = 2/pi asin(sqrt(x)).
            let arcsine = 2.0 / std::f64::consts::PI * x.sqrt().asin();
            prop_assert!((incomplete_beta(0.5, 0.5, x) - arcsine).abs() < 1e-11);
        }

        #[test]
        fn it_is_the_tail_of_a_binomial(n in 1_u32..60, share in 0.0_f64..1.0, k in 1_u32..60) {
            prop_assume!(k <= n);
            // P(at least k of n) = I_p(k, n - k + 1), summed term by term.
            let mut choose = 1.0;
            let mut tail = 0.0;
            for i in 0..=n {
                if i >= k {
                    tail += choose * share.powi(i as i32) * (1.0 - share).powi((n - i) as i32);
                }
                choose *= f64::from(n - i) / f64::from(i + 1);
            }
            let own = incomplete_beta(k.into(), (n - k + 1).into(), share);
            prop_assert!((own - tail).abs() < 1e-9, "{} beside {}", own, tail);
        }
    }
}
