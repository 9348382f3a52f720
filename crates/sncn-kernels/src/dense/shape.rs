//! `LinearShape`: the extents of an affine map.

/// Rows a task takes.
pub(super) const ROWS: usize = 64;

/// Extents of an affine map.
#[derive(Clone, Copy, Debug)]
pub struct LinearShape {
    /// Rows of the input.
    pub rows: usize,
    /// Channels in.
    pub c_in: usize,
    /// Channels out.
    pub c_out: usize,
}

impl LinearShape {
    /// Panics where the slices are not of this shape.
    pub(super) fn check(&self, x: &[f32], weight: &[f32], y: &[f32]) {
        let lens = (self.rows * self.c_in, self.c_in * self.c_out, self.rows * self.c_out);
        assert_eq!((x.len(), weight.len(), y.len()), lens, "linear: lengths");
    }
}
