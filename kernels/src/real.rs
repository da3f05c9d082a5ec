//! The two number types, with transcendental functions that vectorise.

use std::ops::Neg;

use candle_core::{CpuStorage, DType, Error, Result, WithDType};

/// Requirements of a number type for GPUs, in a build with CUDA.
#[cfg(feature = "cuda")]
pub(crate) use crate::cuda::CudaReal as OnDevice;

/// Requirements of a number type for GPUs: none in a build without CUDA.
#[cfg(not(feature = "cuda"))]
pub trait OnDevice {}
#[cfg(not(feature = "cuda"))]
impl OnDevice for f32 {}
#[cfg(not(feature = "cuda"))]
impl OnDevice for f64 {}

/// f32, for runs, or f64, for tests of the mathematics.
pub trait Real: WithDType + Neg<Output = Self> + OnDevice {
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// 1/2.
    const HALF: Self;
    /// A value below every number.
    const LOWEST: Self;

    /// e to the power of `self`; in f32 branch-free, within 2 ulp, 0 below the range and infinite above it.
    fn exp(self) -> Self;
    /// The natural logarithm of a normal positive number; in f32 branch-free, within 2 ulp.
    fn ln(self) -> Self;
    /// ln(1 + `self`) for a nonnegative number, accurate near 0.
    fn ln_1p(self) -> Self;
    /// The hyperbolic tangent; in f32 branch-free, within 4 ulp.
    fn tanh(self) -> Self;
    /// The square root, correctly rounded.
    fn sqrt(self) -> Self;
    /// `self` * `factor` + `summand`, rounded once.
    fn mul_add(self, factor: Self, summand: Self) -> Self;
    /// The numbers of a storage of this type.
    ///
    /// # Errors
    ///
    /// If it is a storage of another type.
    fn slice_mut(storage: &mut CpuStorage) -> Result<&mut [Self]>;

    /// [`Real::exp`] of every number in place: the form in which the compiler vectorises it.
    #[inline(always)]
    fn exp_all(values: &mut [Self]) {
        for value in values {
            *value = value.exp();
        }
    }

    /// The nearest integer, ties away from zero.
    fn round(self) -> Self;

    /// 1 / (1 + e^-x), the derivative of ln(1 + e^x).
    #[inline(always)]
    fn sigmoid(x: Self) -> Self {
        let decay = Self::magnitude_decay(x);
        let numerator = if x < Self::ZERO { decay } else { Self::ONE };
        numerator / (Self::ONE + decay)
    }

    /// e^-|x|.
    #[inline(always)]
    fn magnitude_decay(x: Self) -> Self {
        (-x.larger(-x)).exp()
    }

    /// The standard normal distribution function of `self`; in f32 branch-free, within 3e-7.
    fn normal_share(self) -> Self;

    /// The larger of two numbers; the second one if either is NaN.
    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        if self > other { self } else { other }
    }
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const HALF: Self = 0.5;
    const LOWEST: Self = f32::NEG_INFINITY;

    /// Cephes' reduction and polynomial. The scale 2^n is applied in two halves, so that n may leave the range of
    /// normal exponents.
    #[inline(always)]
    fn exp(self) -> Self {
        const LOW: f32 = -104.0;
        const HIGH: f32 = 89.0;
        // 1.5 * 2^23: adding it rounds to an integer, which is then in the low bits.
        const ROUNDER: f32 = 12_582_912.0;
        // ln 2 in two pieces; n times the first is exact.
        const LN_2_HIGH: f32 = 0.693_359_4;
        const LN_2_LOW: f32 = -2.121_944_4e-4;
        let clamped = if self < LOW { LOW } else { self };
        let clamped = if clamped > HIGH { HIGH } else { clamped };
        let shifted = clamped * std::f32::consts::LOG2_E + ROUNDER;
        let power = (shifted.to_bits() as i32).wrapping_sub(ROUNDER.to_bits() as i32);
        let n = shifted - ROUNDER;
        let r = (clamped - n * LN_2_HIGH) - n * LN_2_LOW;
        let mut series = 1.987_569_1e-4;
        series = series * r + 1.398_2e-3;
        series = series * r + 8.333_452e-3;
        series = series * r + 4.166_579_6e-2;
        series = series * r + 1.666_666_5e-1;
        series = series * r + 0.5;
        let base = series * (r * r) + r + 1.0;
        let half = power >> 1;
        base * power_of_two(half) * power_of_two(power.wrapping_sub(half))
    }

    /// The reduction and polynomial of fdlibm's `logf`, without its special cases.
    #[inline(always)]
    fn ln(self) -> Self {
        const SQRT_HALF: i32 = 0x3f35_04f3;
        const ONE: i32 = 0x3f80_0000;
        let bits = (self.to_bits() as i32).wrapping_add(ONE - SQRT_HALF);
        let power = ((bits >> 23) - 127) as f32;
        let mantissa = f32::from_bits((bits & 0x007f_ffff).wrapping_add(SQRT_HALF) as u32);
        let f = mantissa - 1.0;
        let s = f / (2.0 + f);
        let z = s * s;
        let w = z * z;
        let even = w * (0.400_009_72 + w * 0.242_790_79);
        let odd = z * (0.666_666_6 + w * 0.284_987_87);
        let half_square = 0.5 * f * f;
        s * (half_square + (odd + even)) + power * 9.058_001e-6 - half_square + f + power * 0.693_138_1
    }

    /// ln of the rounded sum, corrected for the rounding error.
    #[inline(always)]
    fn ln_1p(self) -> Self {
        let sum = 1.0 + self;
        Real::ln(sum) + (self - (sum - 1.0)) / sum
    }

    /// Abramowitz and Stegun, 7.1.26, for the smaller of both tails.
    #[inline(always)]
    fn normal_share(self) -> Self {
        let x = self * std::f32::consts::FRAC_1_SQRT_2;
        let t = 1.0 / (1.0 + 0.327_591_1 * x.larger(-x));
        let mut series = 1.061_405_4;
        series = series * t - 1.453_152;
        series = series * t + 1.421_413_7;
        series = series * t - 0.284_496_74;
        series = series * t + 0.254_829_6;
        let tail = 0.5 * series * t * Real::exp(-x * x);
        if x < 0.0 { tail } else { 1.0 - tail }
    }

    /// Cephes' polynomial near 0, and 1 - 2 / (e^2|x| + 1) elsewhere.
    #[inline(always)]
    fn tanh(self) -> Self {
        let magnitude = if self < 0.0 { -self } else { self };
        let square = self * self;
        let mut series = -5.704_988_7e-3;
        series = series * square + 2.063_909e-2;
        series = series * square - 5.373_971_5e-2;
        series = series * square + 1.333_144_2e-1;
        series = series * square - 3.333_328e-1;
        let near = series * square * self + self;
        let far = 1.0 - 2.0 / (Real::exp(magnitude + magnitude) + 1.0);
        let far = if self < 0.0 { -far } else { far };
        if magnitude < 0.625 { near } else { far }
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        self.sqrt()
    }

    #[inline(always)]
    fn round(self) -> Self {
        self.round()
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, summand: Self) -> Self {
        self.mul_add(factor, summand)
    }

    fn slice_mut(storage: &mut CpuStorage) -> Result<&mut [Self]> {
        match storage {
            CpuStorage::F32(values) => Ok(values),
            other => Err(wrong_dtype(DType::F32, other)),
        }
    }
}

/// 2 to the power of an integer between -126 and 127.
#[inline(always)]
fn power_of_two(power: i32) -> f32 {
    f32::from_bits((power.wrapping_add(127) << 23) as u32)
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const HALF: Self = 0.5;
    const LOWEST: Self = f64::NEG_INFINITY;

    #[inline(always)]
    fn exp(self) -> Self {
        libm::exp(self)
    }

    #[inline(always)]
    fn ln(self) -> Self {
        libm::log(self)
    }

    #[inline(always)]
    fn ln_1p(self) -> Self {
        libm::log1p(self)
    }

    #[inline(always)]
    fn normal_share(self) -> Self {
        0.5 * libm::erfc(-self * std::f64::consts::FRAC_1_SQRT_2)
    }

    #[inline(always)]
    fn tanh(self) -> Self {
        libm::tanh(self)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        self.sqrt()
    }

    #[inline(always)]
    fn round(self) -> Self {
        self.round()
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, summand: Self) -> Self {
        self.mul_add(factor, summand)
    }

    fn slice_mut(storage: &mut CpuStorage) -> Result<&mut [Self]> {
        match storage {
            CpuStorage::F64(values) => Ok(values),
            other => Err(wrong_dtype(DType::F64, other)),
        }
    }
}

fn wrong_dtype(expected: DType, storage: &CpuStorage) -> Error {
    let got = candle_core::backend::BackendStorage::dtype(storage);
    Error::UnexpectedDType { msg: "operands of one operation share their dtype", expected, got }.bt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The distance from the correctly rounded result, in units of its last place.
    fn ulps(got: f32, exact: f64) -> f64 {
        let rounded = exact as f32;
        let unit = f64::from(f32::from_bits(rounded.to_bits() + 1)) - f64::from(rounded);
        (f64::from(got) - exact).abs() / unit
    }

    #[test]
    fn exp_is_within_two_ulp_of_libm() {
        let mut worst: f64 = 0.0;
        let mut x = -87.3f32;
        while x < 88.7 {
            worst = worst.max(ulps(Real::exp(x), libm::exp(f64::from(x))));
            x += 0.000_937;
        }
        assert!(worst < 2.0, "{worst}");
    }

    #[test]
    fn exp_leaves_its_range_as_it_should() {
        assert_eq!(Real::exp(0f32), 1.0);
        assert_eq!(Real::exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(Real::exp(-1e30f32), 0.0);
        assert_eq!(Real::exp(f32::INFINITY), f32::INFINITY);
        assert_eq!(Real::exp(100f32), f32::INFINITY);
        assert!(Real::exp(f32::NAN).is_nan());
        // Subnormal results lose precision gradually.
        assert!((f64::from(Real::exp(-95f32)) / libm::exp(-95.0) - 1.0).abs() < 1e-3);
    }

    #[test]
    fn the_hyperbolic_tangent_is_within_four_ulp_of_libm() {
        let mut worst: f64 = 0.0;
        let mut x = 1e-30f32;
        while x < 30.0 {
            worst = worst.max(ulps(Real::tanh(x), libm::tanh(f64::from(x))));
            assert_eq!(Real::tanh(-x), -Real::tanh(x));
            x *= 1.000_31;
        }
        assert!(worst < 4.0, "{worst}");
        assert_eq!([0.0, f32::INFINITY, f32::NEG_INFINITY].map(Real::tanh), [0.0, 1.0, -1.0]);
        assert!(Real::tanh(f32::NAN).is_nan());
    }

    #[test]
    fn logarithms_are_within_two_ulp_of_libm() {
        let (mut worst, mut worst_1p): (f64, f64) = (0.0, 0.0);
        let mut x = 1.2e-38f32;
        while x < 3e38 {
            worst = worst.max(ulps(Real::ln(x), libm::log(f64::from(x))));
            worst_1p = worst_1p.max(ulps(Real::ln_1p(x), libm::log1p(f64::from(x))));
            x *= 1.000_31;
        }
        assert!(worst < 2.0 && worst_1p < 2.0, "{worst} {worst_1p}");
        assert_eq!(Real::ln(1f32), 0.0);
        assert_eq!(Real::ln_1p(0f32), 0.0);
    }
}
