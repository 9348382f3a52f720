//! `ConvShape`: the shape of a convolution.

/// Shape of a convolution of x (n, h, w, c_in) with a weight (c_out, c_in / groups, kh, kw).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ConvShape {
    pub n: usize,
    pub h: usize,
    pub w: usize,
    pub c_in: usize,
    pub c_out: usize,
    pub kh: usize,
    pub kw: usize,
    pub stride: usize,
    /// Zeros before the first row and column, and after the last ones.
    pub padding: (usize, usize),
    /// Further zeros after the last row and column.
    pub extra: (usize, usize),
    pub dilation: usize,
    pub groups: usize,
}

impl ConvShape {
    /// Returns the output height and width. The dilated kernel must not be larger than the padded input.
    pub fn output(&self) -> (usize, usize) {
        let size = |x: usize, zeros: usize, k: usize| (x + zeros - self.dilation * (k - 1) - 1) / self.stride + 1;
        (size(self.h, 2 * self.padding.0 + self.extra.0, self.kh), size(self.w, 2 * self.padding.1 + self.extra.1, self.kw))
    }

    /// Whether every output is computed from the input at the same position.
    pub(crate) fn pointwise(&self) -> bool {
        self.kh == 1 && self.kw == 1 && self.stride == 1 && self.padding == (0, 0) && self.extra == (0, 0)
    }

    /// Whether every channel is convolved by itself.
    pub(crate) fn depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.c_in && self.groups == self.c_out
    }

    pub(super) fn positions(&self) -> usize {
        let (h, w) = self.output();
        h * w
    }

    pub(super) fn group_in(&self) -> usize {
        self.c_in / self.groups
    }

    pub(super) fn group_out(&self) -> usize {
        self.c_out / self.groups
    }

    pub(super) fn depth(&self) -> usize {
        self.group_in() * self.kh * self.kw
    }

    /// The input position of a tap, where it is inside the image.
    #[inline(always)]
    pub(super) fn tap(&self, (oy, ox): (usize, usize), ky: usize, kx: usize) -> Option<usize> {
        let y = (oy * self.stride + ky * self.dilation).wrapping_sub(self.padding.0);
        let x = (ox * self.stride + kx * self.dilation).wrapping_sub(self.padding.1);
        (y < self.h && x < self.w).then(|| (y * self.w + x) * self.c_in)
    }

    pub(super) fn empty(&self) -> bool {
        self.n == 0 || self.c_in == 0 || self.c_out == 0 || self.positions() == 0 || self.h * self.w == 0
    }
}
