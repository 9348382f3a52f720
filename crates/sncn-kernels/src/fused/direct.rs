//! Direct convolution of a unit: rows of the register tile are neighbouring target positions, terms are taps and channels.

use super::pack::PackedWeight;
use super::plan::{Direction, Plan, Unit, Window};
use crate::tile::{Pairs, Rows};

/// What one job keeps between units.
pub(super) struct Direct {
    offsets: Vec<usize>,
    width: usize,
}

impl Direct {
    pub(super) fn new() -> Self {
        Self { offsets: Vec::new(), width: usize::MAX }
    }

    /// Target rows of the unit from its staged windows.
    pub(super) fn unit(
        &mut self,
        plan: &Plan,
        weight: &PackedWeight,
        unit: &Unit,
        window: &Window,
        source: &[f32],
        out: &mut [f32],
    ) {
        let (s, (inner, outer), target) = (&plan.shape, plan.group(), plan.target);
        let (from, to) = if plan.direction == Direction::Forward { (s.stride, 1) } else { (1, s.stride) };
        let (width, rows) = (weight.form.panel(), unit.rows.len());
        let pixels = window.width * plan.source.c;
        // a 1×1 kernel at stride 1 sees the images of a unit as one long row
        let flat = s.pointwise();
        let (images, rows, columns) =
            if flat { (1, 1, unit.images.len() * rows * target.w) } else { (unit.images.len(), rows, target.w) };
        let mut read = 0;
        for (phase, &start) in weight.phases.iter().zip(&weight.starts) {
            let (segments, len) = (phase.taps.len() / phase.run, phase.run * inner);
            if self.width != window.width {
                self.offsets.extend(phase.offsets(window, plan.source.c));
            }
            let offsets = read..read + segments;
            read += segments;
            let depth = segments * len;
            if columns <= phase.start.1 {
                continue;
            }
            let (panels, together) = (outer.div_ceil(width), weight.form.panels());
            for (g, p) in (0..s.groups).flat_map(|g| (0..panels).step_by(together).map(move |p| (g, p))) {
                let b = &weight.data[start + (g * panels + p) * depth * width..];
                let channel = g * outer + p * width;
                for image in 0..images {
                    for (i, row) in (phase.start.0..rows).step_by(to).enumerate() {
                        let a = (image * window.rows + i * from) * pixels + g * inner;
                        let c = ((image * rows + row) * columns + phase.start.1) * target.c + channel;
                        let product = Rows {
                            a: &source[a..],
                            a_row: from * plan.source.c,
                            a_step: 1,
                            offsets: &self.offsets[offsets.clone()],
                            len,
                            b,
                            b_step: width,
                            next: (depth * width, width),
                            c: &mut out[c..],
                            c_row: to * target.c,
                            rows: (columns - phase.start.1).div_ceil(to),
                            columns: (together * width).min(outer - p * width),
                            add: false,
                        };
                        if weight.paired() { weight.form.run_pairs(Pairs(product)) } else { weight.form.run(product) }
                    }
                }
            }
        }
        self.width = window.width;
    }
}
