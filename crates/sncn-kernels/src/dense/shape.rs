//! `LinearShape`: the shape of a linear layer.

/// Rows a task takes.
pub(super) const ROWS: usize = 64;

/// Shape of a linear layer and its input.
#[derive(Clone, Copy, Debug)]
pub struct LinearShape {
    /// Number of rows of the input.
    pub rows: usize,
    /// Number of input channels.
    pub c_in: usize,
    /// Number of output channels.
    pub c_out: usize,
}

impl LinearShape {
    /// Panics where a slice is not of this shape.
    pub(super) fn check(&self, x: &[f32], weight: &[f32], y: &[f32]) {
        let lens = (self.rows * self.c_in, self.c_in * self.c_out, self.rows * self.c_out);
        assert_eq!((x.len(), weight.len(), y.len()), lens, "linear: lengths");
    }
}
