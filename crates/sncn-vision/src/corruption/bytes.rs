//! Conversion between bytes and values in 0..1.

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

/// The final conversion of values in 0..255 to bytes: clipped, then truncated (NaN gives 0).
#[inline(always)]
pub fn truncate(y: &[f32], out: &mut [u8]) {
    for (out, &y) in out.iter_mut().zip(y) {
        *out = y.clamp(0.0, 255.0) as u8;
    }
}

/// The final conversion of values in 0..1 to bytes: u8 = trunc(255 · clip01(y)).
#[inline(always)]
pub fn truncate_unit(y: &[f64], out: &mut [u8]) {
    for (out, &y) in out.iter_mut().zip(y) {
        *out = (y.clamp(0.0, 1.0) * 255.0) as u8;
    }
}
