//! `PoolShape`: the shape of a pooling.

/// Shape of a pooling of (n, h, w, c) with square windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct PoolShape {
    pub n: usize,
    pub h: usize,
    pub w: usize,
    pub c: usize,
    pub kernel: usize,
    pub stride: usize,
    pub padding: usize,
}

impl PoolShape {
    /// Returns the output height and width. The window must not be larger than the padded map.
    pub fn output(&self) -> (usize, usize) {
        let size = |x: usize| (x + 2 * self.padding - self.kernel) / self.stride + 1;
        (size(self.h), size(self.w))
    }

    pub(super) fn sizes(&self) -> (usize, usize) {
        let (h, w) = self.output();
        ((self.h * self.w * self.c).max(1), (h * w * self.c).max(1))
    }

    /// Calls `visit(output position, input position)`, row-major, for every pair inside the image.
    pub(super) fn each(&self, mut visit: impl FnMut(usize, usize)) {
        let (ho, wo) = self.output();
        for p in 0..ho * wo {
            for t in 0..self.kernel * self.kernel {
                let y = (p / wo * self.stride + t / self.kernel).wrapping_sub(self.padding);
                let x = (p % wo * self.stride + t % self.kernel).wrapping_sub(self.padding);
                if y < self.h && x < self.w {
                    visit(p, y * self.w + x);
                }
            }
        }
    }
}
