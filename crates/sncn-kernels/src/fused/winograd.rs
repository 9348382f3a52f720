//! Winograd's convolution of a unit: 16 products of (tiles × c_in) by (c_in × c_out), a block of tiles at a time.
//!
//! A dilated kernel runs on the d² interleaved grids: a tile's positions lie d apart, nothing else changes. The last tiles of
//! an odd map are partial.

use super::pack::{PackedWeight, Precision};
use super::plan::{Map, Plan, Unit, Window};
use super::transform::{Input, InputPairs, Output, Planes, Steps, Tile};
use crate::scratch::Scratch;
use crate::tile::{Pairs, Rows};

/// Floats of transformed source in a block.
const BLOCK: usize = 96 * 1024;

/// Source channels whose weights are kept in cache where the whole weight is not.
const DEPTH: usize = 512;

/// Tiles of a block whose 16 planes have `channels` channels.
pub(super) fn block(channels: usize) -> usize {
    (BLOCK / (16 * channels.max(1)) / 8 * 8).clamp(16, 128)
}

/// The tiles of a unit, image by image; `source` rows are `window.width` positions, `target` rows `target.w`.
pub(super) fn tiles(dilation: usize, unit: &Unit, window: &Window, source: Map, target: Map, tiles: &mut Vec<Tile>) {
    tiles.clear();
    let origins = |len: usize| (0..dilation).flat_map(move |a| (a..len).step_by(2 * dilation));
    let inside = |at: usize, len: usize| if at + dilation < len { 2 } else { 1 };
    let rows = unit.rows.len();
    for image in 0..unit.images.len() {
        for y in origins(rows) {
            for x in origins(target.w) {
                tiles.push(Tile {
                    source: ((image * window.rows + y) * window.width + x) * source.c,
                    target: ((image * rows + y) * target.w + x) * target.c,
                    rows: inside(y, rows),
                    columns: inside(x, target.w),
                });
            }
        }
    }
}

/// Distances between the positions of a tile.
pub(super) fn steps(dilation: usize, width: usize, channels: usize) -> Steps {
    Steps { row: dilation * width * channels, column: dilation * channels }
}

/// What one job keeps between units.
pub(super) struct Winograd {
    tiles: Vec<Tile>,
}

impl Winograd {
    pub(super) fn new() -> Self {
        Self { tiles: Vec::new() }
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
        let (s, (inner, outer), form) = (&plan.shape, plan.group(), weight.form);
        let (width, panels) = (form.panel(), outer.div_ceil(form.panel()));
        let channels = plan.source.c.next_multiple_of(width / 2);
        let pairs = weight.precision == Precision::Bf16;
        // a weight beyond the cache is read once for many tiles, position by position; otherwise a panel stays in cache
        let wide = plan.wide();
        let (most, together) = if wide { (plan.tiles(), panels) } else { (block(channels), form.panels()) };
        let (inner, channels) = if pairs { (inner.div_ceil(2), channels / 2) } else { (inner, channels) };
        let depth = if wide { DEPTH } else { inner };
        let (spread, products) = (Planes::new(most, channels), Planes::new(most, together * width));
        let (mut v, mut m) = (Scratch::take(spread.len()), Scratch::take(products.len()));
        tiles(s.dilation, unit, window, plan.source, plan.target, &mut self.tiles);
        for tiles in self.tiles.chunks(most) {
            let input = Input {
                map: source,
                steps: steps(s.dilation, window.width, plan.source.c),
                channels: plan.source.c,
                tiles,
                planes: spread,
                out: &mut v,
            };
            if pairs {
                form.run_pairs(InputPairs(input))
            } else {
                form.run(input)
            }
            for (g, first) in (0..s.groups).flat_map(|g| (0..panels).step_by(together).map(move |p| (g, p))) {
                let here = first..panels.min(first + together);
                for (t, start) in (0..16).flat_map(|t| (0..inner).step_by(depth).map(move |k| (t, k))) {
                    let len = depth.min(inner - start);
                    for p in here.clone().step_by(form.panels()) {
                        let columns = (form.panels() * width).min(outer - p * width);
                        let product = Rows {
                            a: &v[t * spread.plane + g * inner + start..],
                            a_row: channels,
                            a_step: 1,
                            offsets: &[0],
                            len,
                            b: &weight.data[(((g * panels + p) * 16 + t) * inner + start) * width..],
                            b_step: width,
                            next: (16 * inner * width, width),
                            c: &mut m[t * products.plane + (p - first) * width..],
                            c_row: together * width,
                            rows: tiles.len(),
                            columns: columns.next_multiple_of(width / 2),
                            add: start > 0,
                        };
                        if pairs { form.run_pairs(Pairs(product)) } else { form.run(product) }
                    }
                }
                form.run(Output {
                    products: &m,
                    planes: products,
                    tiles,
                    channels: outer.min(here.end * width) - first * width,
                    steps: steps(s.dilation, plan.target.w, plan.target.c),
                    map: &mut out[g * outer + first * width..],
                });
            }
        }
    }
}
