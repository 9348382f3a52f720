//! bf16: the upper half of an f32, 8 bits of precision in the range of f32. Factors are rounded to it; sums are f32.
//!
//! Two values are stored in the bits of one f32 (a pair, with the even channel in the low half), so that code that copies rows of f32
//! also copies rows of pairs; `pairs.rs` rounds whole rows.

/// Rounds to the nearest bf16, ties to even. NaN stays NaN, and subnormal numbers become 0, as with the processor's instruction.
#[inline(always)]
pub fn round(x: f32) -> f32 {
    f32::from_bits(half(x) << 16)
}

#[inline(always)]
fn half(x: f32) -> u32 {
    let bits = x.to_bits();
    let nearest = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    let kept = if x.abs() < f32::MIN_POSITIVE { bits >> 16 & 0x8000 } else { nearest };
    if x.is_nan() { bits >> 16 | 0x40 } else { kept }
}

/// Both rounded, in the bits of one f32.
#[inline(always)]
pub(crate) fn pair(low: f32, high: f32) -> f32 {
    f32::from_bits(half(low) | half(high) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_to_the_nearest_even() {
        let ulp = 1.0 / 128.0;
        assert_eq!(round(1.0 + 0.49 * ulp), 1.0);
        assert_eq!(round(1.0 + 0.5 * ulp), 1.0);
        assert_eq!(round(1.0 + 0.51 * ulp), 1.0 + ulp);
        assert_eq!(round(1.0 + 1.5 * ulp), 1.0 + 2.0 * ulp);
        assert_eq!(round(-(1.0 + 1.5 * ulp)), -(1.0 + 2.0 * ulp));
        assert_eq!(round(f32::MAX), f32::INFINITY);
        assert_eq!(round(f32::NEG_INFINITY), f32::NEG_INFINITY);
        assert_eq!(round(f32::MIN_POSITIVE), f32::MIN_POSITIVE);
        assert_eq!(round(f32::MIN_POSITIVE / 2.0), 0.0);
        assert!(round(f32::from_bits(0x7f80_0001)).is_nan() && round(f32::from_bits(0xffff_ffff)).is_nan());
    }
}
