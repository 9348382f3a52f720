//! `Conv`: the settings of a convolution.

/// Settings of a convolution, equal along both axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv {
    /// Distance between output positions.
    pub stride: usize,
    /// Zeros on every side.
    pub padding: usize,
    /// Distance between kernel taps.
    pub dilation: usize,
    /// Independent channel groups.
    pub groups: usize,
}

impl Default for Conv {
    fn default() -> Self {
        Self { stride: 1, padding: 0, dilation: 1, groups: 1 }
    }
}
