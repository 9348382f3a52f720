//! The water of [`super::spatter`]: edges of a byte layer (Canny 1986) and the distance to them (Borgefors 1986), equalised and
//! embossed.

use super::apply::sized;
use super::dims::Dims;
use super::filter::Border;

/// Thresholds of the edge detector.
const LOW: i32 = 50;
const HIGH: i32 = 150;
/// tan 22.5° with 15 fractional bits.
const TANGENT: i32 = 13573;
/// Chamfer steps with 16 fractional bits: side, diagonal, knight's move.
const STEPS: [i32; 3] = [65536, 91750, 143976];
const FAR: i32 = 1 << 29;

/// The brightness of water at each pixel of a byte layer; `work` holds all intermediate planes.
pub(super) fn relief<'a>(layer: &[u8], dims: Dims, work: &'a mut [Vec<i32>; 6]) -> &'a [i32] {
    let (height, width) = (dims.height, dims.width);
    let wide = width + 2;
    let [padded, slopes, magnitude, state, plane, sums] = work;
    let padded = sized(padded, wide * (height + 2));
    let (slopes, magnitude) = (sized(slopes, 2 * dims.pixels()), sized(magnitude, wide * (height + 2)));
    let (state, plane, sums) = (sized(state, wide * (height + 2)), sized(plane, dims.pixels()), sized(sums, dims.pixels()));
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            plane.iter_mut().zip(layer).for_each(|(p, &l)| *p = i32::from(l));
            pad(plane, dims, Border::Nearest, padded);
            gradients(padded, dims, slopes, magnitude);
            edges(slopes, magnitude, dims, state);
            distances(state, dims, plane);
            // distances in 2⁻¹⁶ pixels, cut at 20, averaged over 3 × 3 and truncated to whole pixels
            plane.iter_mut().for_each(|d| *d = (*d).min(20 << 16));
            pad(plane, dims, Border::Reflect101, padded);
            convolve(padded, dims, [1; 9], sums);
            plane.iter_mut().zip(&*sums).for_each(|(p, s)| *p = (f64::from(*s) / (9.0 * 65536.0)) as f32 as i32);
            equalise(plane);
            pad(plane, dims, Border::Reflect101, padded);
            convolve(padded, dims, [-2, -1, 0, -1, 1, 1, 0, 1, 2], sums);
            sums.iter_mut().for_each(|s| *s = (*s).clamp(0, 255));
            pad(sums, dims, Border::Reflect101, padded);
            convolve(padded, dims, [1; 9], plane);
            plane.iter_mut().for_each(|p| *p = (2 * *p + 9) / 18);
        },
    );
    plane
}

/// Writes a plane with one pixel of border on every side into `padded`.
#[inline(always)]
fn pad(plane: &[i32], dims: Dims, border: Border, padded: &mut [i32]) {
    let wide = dims.width + 2;
    for (h, out) in padded.chunks_exact_mut(wide).enumerate().take(dims.height + 2) {
        let row = &plane[border.index(h as isize - 1, dims.height) * dims.width..][..dims.width];
        out[1..=dims.width].copy_from_slice(row);
        out[0] = row[border.index(-1, dims.width)];
        out[wide - 1] = row[border.index(dims.width as isize, dims.width)];
    }
}

/// The 3 × 3 correlation of a padded plane.
#[inline(always)]
fn convolve(padded: &[i32], dims: Dims, kernel: [i32; 9], out: &mut [i32]) {
    let wide = dims.width + 2;
    for (h, out) in out.chunks_exact_mut(dims.width).enumerate() {
        let (a, b, c) = (&padded[h * wide..][..wide], &padded[(h + 1) * wide..][..wide], &padded[(h + 2) * wide..][..wide]);
        for (w, out) in out.iter_mut().enumerate() {
            let (a, b, c) = (&a[w..w + 3], &b[w..w + 3], &c[w..w + 3]);
            let top = kernel[0] * a[0] + kernel[1] * a[1] + kernel[2] * a[2];
            let middle = kernel[3] * b[0] + kernel[4] * b[1] + kernel[5] * b[2];
            *out = top + middle + kernel[6] * c[0] + kernel[7] * c[1] + kernel[8] * c[2];
        }
    }
}

/// Sobel slopes (x then y, plane after plane) and |gx| + |gy| on the padded grid, 0 outside the image.
#[inline(always)]
fn gradients(padded: &[i32], dims: Dims, slopes: &mut [i32], magnitude: &mut [i32]) {
    let wide = dims.width + 2;
    let (x, y) = slopes.split_at_mut(dims.pixels());
    convolve(padded, dims, [-1, 0, 1, -2, 0, 2, -1, 0, 1], x);
    convolve(padded, dims, [-1, -2, -1, 0, 0, 0, 1, 2, 1], y);
    magnitude.fill(0);
    let rows = x.chunks_exact(dims.width).zip(y.chunks_exact(dims.width));
    for ((x, y), out) in rows.zip(magnitude[wide..].chunks_exact_mut(wide)) {
        for ((out, x), y) in out[1..].iter_mut().zip(x).zip(y) {
            *out = x.abs() + y.abs();
        }
    }
}

/// Marks edges with 2: local maxima of the gradient above the low threshold, connected to one above the high threshold.
#[inline(always)]
fn edges(slopes: &[i32], magnitude: &[i32], dims: Dims, state: &mut [i32]) {
    let wide = dims.width + 2;
    state.fill(0);
    let mut stack = Vec::new();
    for i in 0..dims.pixels() {
        let at = (i / dims.width + 1) * wide + i % dims.width + 1;
        let m = magnitude[at];
        if m <= LOW {
            continue;
        }
        let (gx, gy) = (slopes[i], slopes[dims.pixels() + i]);
        let (x, y) = (gx.abs(), gy.abs() << 15);
        let highest = if y < TANGENT * x {
            m > magnitude[at - 1] && m >= magnitude[at + 1]
        } else if y > (TANGENT + (2 << 15)) * x {
            m > magnitude[at - wide] && m >= magnitude[at + wide]
        } else if (gx ^ gy) < 0 {
            m > magnitude[at - wide + 1] && m > magnitude[at + wide - 1]
        } else {
            m > magnitude[at - wide - 1] && m > magnitude[at + wide + 1]
        };
        if highest {
            state[at] = 1;
            if m > HIGH {
                stack.push(at);
            }
        }
    }
    while let Some(at) = stack.pop() {
        if state[at] == 1 {
            state[at] = 2;
            stack.extend([at - wide - 1, at - wide, at - wide + 1, at - 1, at + 1, at + wide - 1, at + wide, at + wide + 1]);
        }
    }
}

/// Row and column offset of the neighbours that the forward pass has visited, with the index of their step.
const BEFORE: [(isize, isize, usize); 8] =
    [(-2, -1, 2), (-2, 1, 2), (-1, -2, 2), (-1, -1, 1), (-1, 0, 0), (-1, 1, 1), (-1, 2, 2), (0, -1, 0)];

/// Lowers the distance of pixel i to that through its neighbours on one side; `offsets` are used for pixels not at the border.
#[inline(always)]
fn relax<const SIGN: isize>(distance: &mut [i32], i: usize, dims: Dims, offsets: [(isize, i32); 8]) {
    let (height, width) = (dims.height, dims.width);
    let (h, w) = (i / width, i % width);
    let mut best = distance[i];
    if best > 0 && h >= 2 && w >= 2 && h + 2 < height && w + 2 < width {
        for (offset, step) in offsets {
            best = best.min(distance[i.wrapping_add_signed(SIGN * offset)] + step);
        }
    } else if best > 0 {
        for (dy, dx, step) in BEFORE {
            let (y, x) = (h.wrapping_add_signed(SIGN * dy), w.wrapping_add_signed(SIGN * dx));
            if y < height && x < width {
                best = best.min(distance[y * width + x] + STEPS[step]);
            }
        }
    }
    distance[i] = best;
}

/// Chamfer distances to the nearest edge, by a forward and a backward pass, in units of 2⁻¹⁶ pixels.
#[inline(always)]
fn distances(state: &[i32], dims: Dims, distance: &mut [i32]) {
    let (height, width) = (dims.height, dims.width);
    for (row, state) in distance.chunks_exact_mut(width).zip(state[width + 2..].chunks_exact(width + 2)) {
        row.iter_mut().zip(&state[1..]).for_each(|(d, &s)| *d = if s == 2 { 0 } else { FAR });
    }
    let offsets = BEFORE.map(|(dy, dx, step)| (dy * width as isize + dx, STEPS[step]));
    for i in 0..height * width {
        relax::<1>(distance, i, dims, offsets);
    }
    for i in (0..height * width).rev() {
        relax::<-1>(distance, i, dims, offsets);
    }
}

/// Histogram equalisation of a plane of bytes.
#[inline(always)]
fn equalise(plane: &mut [i32]) {
    let mut counts = [0u32; 256];
    plane.iter().for_each(|&v| counts[v as usize] += 1);
    let Some(first) = counts.iter().position(|&count| count > 0) else { return };
    let rest = plane.len() as u32 - counts[first];
    if rest == 0 {
        return;
    }
    let scale = 255.0 / rest as f32;
    let mut table = [0; 256];
    let mut sum = 0u32;
    for i in first + 1..256 {
        sum += counts[i];
        table[i] = (sum as f32 * scale).round_ties_even().clamp(0.0, 255.0) as i32;
    }
    plane.iter_mut().for_each(|v| *v = table[*v as usize]);
}
