//! The water of spatter: edges of a byte layer (Canny 1986), the distance to them (Borgefors 1986), equalised and embossed.

use super::Dims;
use super::filter::Border;

/// Thresholds of the edge detector.
const LOW: i32 = 50;
const HIGH: i32 = 150;
/// tan 22.5° with 15 fractional bits.
const TANGENT: i32 = 13573;
/// Chamfer steps with 16 fractional bits: side, diagonal, knight's move.
const STEPS: [i32; 3] = [65536, 91750, 143976];
const FAR: i32 = 1 << 29;

/// How strongly water is lit at each pixel.
pub(super) fn relief(layer: &[u8], dims: Dims) -> Vec<u8> {
    let distance = distances(&edges(layer, dims), dims);
    let near: Vec<f32> = distance.iter().map(|&d| (d as f32 / 65536.0).min(20.0)).collect();
    let mean = |values: &dyn Fn(usize) -> f64, i: usize| window(i, dims).map(values).iter().sum::<f64>();
    let mut bytes: Vec<u8> = (0..near.len()).map(|i| (mean(&|j| f64::from(near[j]), i) / 9.0) as f32 as u8).collect();
    equalise(&mut bytes);
    const EMBOSS: [i32; 9] = [-2, -1, 0, -1, 1, 1, 0, 1, 2];
    let embossed: Vec<u8> = (0..bytes.len())
        .map(|i| {
            let sum: i32 = window(i, dims).iter().zip(EMBOSS).map(|(&j, k)| k * i32::from(bytes[j])).sum();
            sum.clamp(0, 255) as u8
        })
        .collect();
    (0..bytes.len()).map(|i| (mean(&|j| f64::from(embossed[j]), i) / 9.0 + 0.5) as u8).collect()
}

/// The 3 × 3 neighbourhood of pixel i, row-major, border reflect101.
fn window(i: usize, dims: Dims) -> [usize; 9] {
    let (h, w) = ((i / dims.width) as isize, (i % dims.width) as isize);
    std::array::from_fn(|k| {
        let row = Border::Reflect101.index(h + (k / 3) as isize - 1, dims.height);
        row * dims.width + Border::Reflect101.index(w + (k % 3) as isize - 1, dims.width)
    })
}

/// Edge pixels: local maxima of the gradient above the low threshold that are connected to one above the high threshold.
fn edges(layer: &[u8], dims: Dims) -> Vec<bool> {
    let (height, width) = (dims.height as isize, dims.width as isize);
    let at = |h: isize, w: isize| {
        let (h, w) = (Border::Nearest.index(h, dims.height), Border::Nearest.index(w, dims.width));
        i32::from(layer[h * dims.width + w])
    };
    let gradient = |h: isize, w: isize| {
        let column = |w: isize| at(h - 1, w) + 2 * at(h, w) + at(h + 1, w);
        let row = |h: isize| at(h, w - 1) + 2 * at(h, w) + at(h, w + 1);
        (column(w + 1) - column(w - 1), row(h + 1) - row(h - 1))
    };
    let pixels = || (0..height).flat_map(move |h| (0..width).map(move |w| (h, w)));
    let slopes: Vec<(i32, i32)> = pixels().map(|(h, w)| gradient(h, w)).collect();
    let magnitude = |h: isize, w: isize| {
        if h < 0 || w < 0 || h >= height || w >= width {
            return 0;
        }
        let (gx, gy) = slopes[(h * width + w) as usize];
        gx.abs() + gy.abs()
    };
    let candidate = |h: isize, w: isize| {
        let m = magnitude(h, w);
        if m <= LOW {
            return false;
        }
        let (gx, gy) = slopes[(h * width + w) as usize];
        let (x, y) = (gx.abs(), gy.abs() << 15);
        if y < TANGENT * x {
            m > magnitude(h, w - 1) && m >= magnitude(h, w + 1)
        } else if y > (TANGENT + (2 << 15)) * x {
            m > magnitude(h - 1, w) && m >= magnitude(h + 1, w)
        } else {
            let s = if (gx ^ gy) < 0 { -1 } else { 1 };
            m > magnitude(h - 1, w - s) && m > magnitude(h + 1, w + s)
        }
    };
    let open: Vec<bool> = pixels().map(|(h, w)| candidate(h, w)).collect();
    let mut edge = vec![false; open.len()];
    let mut stack: Vec<(isize, isize)> =
        pixels().filter(|&(h, w)| open[(h * width + w) as usize] && magnitude(h, w) > HIGH).collect();
    while let Some((h, w)) = stack.pop() {
        if h < 0 || w < 0 || h >= height || w >= width {
            continue;
        }
        let i = (h * width + w) as usize;
        if open[i] && !edge[i] {
            edge[i] = true;
            stack.extend((0..9).map(|k| (h + k / 3 - 1, w + k % 3 - 1)));
        }
    }
    edge
}

/// Chamfer distances to the nearest edge, by a forward and a backward pass, in units of 2⁻¹⁶ pixels.
fn distances(edge: &[bool], dims: Dims) -> Vec<i32> {
    const BEFORE: [(isize, isize, usize); 8] =
        [(-2, -1, 2), (-2, 1, 2), (-1, -2, 2), (-1, -1, 1), (-1, 0, 0), (-1, 1, 1), (-1, 2, 2), (0, -1, 0)];
    let mut distance: Vec<i32> = edge.iter().map(|&edge| if edge { 0 } else { FAR }).collect();
    let (height, width) = (dims.height as isize, dims.width as isize);
    let mut relax = |i: isize, sign: isize| {
        let (h, w) = (i / width, i % width);
        for (dy, dx, step) in BEFORE {
            let (y, x) = (h + sign * dy, w + sign * dx);
            if y >= 0 && x >= 0 && y < height && x < width {
                let through = distance[(y * width + x) as usize] + STEPS[step];
                distance[i as usize] = distance[i as usize].min(through);
            }
        }
    };
    (0..height * width).for_each(|i| relax(i, 1));
    (0..height * width).rev().for_each(|i| relax(i, -1));
    distance
}

/// Histogram equalisation of a byte plane.
fn equalise(plane: &mut [u8]) {
    let mut counts = [0u32; 256];
    plane.iter().for_each(|&v| counts[usize::from(v)] += 1);
    let Some(first) = counts.iter().position(|&count| count > 0) else { return };
    let rest = plane.len() as u32 - counts[first];
    if rest == 0 {
        return;
    }
    let scale = 255.0 / rest as f32;
    let mut table = [0u8; 256];
    let mut sum = 0u32;
    for i in first + 1..256 {
        sum += counts[i];
        table[i] = (sum as f32 * scale).round_ties_even().clamp(0.0, 255.0) as u8;
    }
    plane.iter_mut().for_each(|v| *v = table[usize::from(*v)]);
}
