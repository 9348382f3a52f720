//! `Conv`: the settings of a convolution.

/// Settings of a convolution, the same along both axes; the default has stride 1, no padding, dilation 1 and 1 group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv {
    /// Stride.
    pub stride: usize,
    /// Zero padding on every side.
    pub padding: usize,
    /// Dilation of the kernel.
    pub dilation: usize,
    /// Number of groups of channels.
    pub groups: usize,
}

impl Default for Conv {
    fn default() -> Self {
        Self { stride: 1, padding: 0, dilation: 1, groups: 1 }
    }
}
