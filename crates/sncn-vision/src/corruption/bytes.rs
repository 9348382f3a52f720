//! Conversion between bytes and values in 0..1.

use super::vectorised::vectorised;

/// v / 255 for every byte v, by value.
pub(super) static UNIT: [f64; 256] = {
    let mut table = [0.0; 256];
    let mut v = 0;
    while v < 256 {
        table[v] = v as f64 / 255.0;
        v += 1;
    }
    table
};

/// The values of [`UNIT`] in single precision, as some corruptions begin with them.
pub(super) static UNIT_SINGLE: [f64; 256] = {
    let mut table = [0.0; 256];
    let mut v = 0;
    while v < 256 {
        table[v] = UNIT[v] as f32 as f64;
        v += 1;
    }
    table
};

/// Writes the bytes as values in 0..1 into `x`, which is as long.
#[inline(always)]
pub(super) fn unit(image: &[u8], x: &mut [f64]) {
    for (x, &v) in x.iter_mut().zip(image) {
        *x = UNIT[usize::from(v)];
    }
}

/// The whole part of a value from 0 to 2³² − 1, as the low bits of a sum with 2⁵²: unlike a cast, compilers make vector instructions of it.
/// NaN gives 0.
#[inline(always)]
pub(super) fn whole(y: f64) -> u32 {
    (y.floor() + 4_503_599_627_370_496.0).to_bits() as u32
}

/// The final conversion of values in 0..255 to bytes: clipped, then truncated (NaN gives 0).
pub fn truncate(y: &[f32], out: &mut [u8]) {
    vectorised(
        #[inline(always)]
        || {
            for (out, &y) in out.iter_mut().zip(y) {
                // as in `whole`, with 2²³
                *out = (y.clamp(0.0, 255.0).floor() + 8_388_608.0).to_bits() as u8;
            }
        },
    );
}

/// The final conversion of values in 0..1 to bytes: u8 = trunc(255 · clip01(y)).
pub fn truncate_unit(y: &[f64], out: &mut [u8]) {
    vectorised(
        #[inline(always)]
        || {
            for (out, &y) in out.iter_mut().zip(y) {
                *out = whole(y.clamp(0.0, 1.0) * 255.0) as u8;
            }
        },
    );
}
