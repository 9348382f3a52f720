//! What networks read instead of bytes.

/// Takes a value on the scale 0..255 to [−1, 1].
pub fn normalise(value: f32) -> f32 {
    (value / 255.0 - 0.5) / 0.5
}

/// [`normalise`] for all of them.
pub(super) fn normalise_all(values: &mut [f32]) {
    values.iter_mut().for_each(|v| *v = normalise(*v));
}
