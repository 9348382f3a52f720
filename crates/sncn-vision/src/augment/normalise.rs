//! The conversion from bytes to network inputs.

/// Maps a value in 0..255 to [−1, 1]: (v/255 − ½)/½.
pub fn normalise(value: f32) -> f32 {
    (value / 255.0 - 0.5) / 0.5
}

/// Applies [`normalise`] to every value.
pub(super) fn normalise_all(values: &mut [f32]) {
    values.iter_mut().for_each(|v| *v = normalise(*v));
}
