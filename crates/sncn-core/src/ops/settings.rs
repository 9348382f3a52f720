//! `Conv`: the settings of a convolution.

/// Settings of a convolution, the same along both axes; the default has stride 1, no padding, dilation 1 and 1 group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv {
    /// Stride.
    pub stride: usize,
    /// Zero padding on every side; 0 with `same`.
    pub padding: usize,
    /// Whether to pad as TensorFlow's "SAME": with as many zeros as give ⌈size / stride⌉ rows and columns, of an odd number the odd one
    /// after the map.
    pub same: bool,
    /// Dilation of the kernel.
    pub dilation: usize,
    /// Number of groups of channels.
    pub groups: usize,
}

impl Default for Conv {
    fn default() -> Self {
        Self { stride: 1, padding: 0, same: false, dilation: 1, groups: 1 }
    }
}
