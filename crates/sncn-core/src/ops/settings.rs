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

impl Conv {
    /// Returns the zeros before and after an axis of `length` values, for a kernel of `kernel` taps; stride and kernel are at least 1.
    pub fn pads(&self, length: usize, kernel: usize) -> (usize, usize) {
        if !self.same {
            return (self.padding, self.padding);
        }
        let read = length.div_ceil(self.stride).saturating_sub(1) * self.stride + self.dilation * (kernel - 1) + 1;
        let zeros = read.saturating_sub(length);
        (zeros / 2, zeros - zeros / 2)
    }
}

impl Default for Conv {
    fn default() -> Self {
        Self { stride: 1, padding: 0, same: false, dilation: 1, groups: 1 }
    }
}
