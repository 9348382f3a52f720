//! Blur pooling (Zhang 2019, arXiv:1904.11486): a map is blurred before every second position of it is taken, so that a shift of the
//! image by one pixel changes the result little. The comparison called MaxBlur pooling is a network that has it in the place of strides.

use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;
use sncn_core::graph::{Dims, Operation};
use sncn_core::{FeatureMap, trace};

/// Blur by (1, 2, 1)/4 in both directions and a stride of 2; the map is mirrored beyond its edges.
struct Blur;

/// The weights of neighbouring positions.
const WEIGHTS: [f32; 3] = [0.25, 0.5, 0.25];

/// The map at half its height and width, rounded up.
///
/// # Errors
/// If the map has fewer than 2 rows or columns, beyond which nothing could be mirrored.
pub(super) fn blur_pool(xs: &FeatureMap) -> Result<FeatureMap> {
    xs.apply_operation(Blur)
}

/// For every position of the result the positions of a row or column that its taps read.
fn taps(len: usize) -> Vec<[usize; 3]> {
    let mirrored = |at: usize| if at == len { len - 2 } else { at };
    (0..len).step_by(2).map(|at| [at.checked_sub(1).unwrap_or(1), at, mirrored(at + 1)]).collect()
}

impl Operation for Blur {
    type Saved = ();

    fn name(&self) -> &'static str {
        "blur pooling"
    }

    fn output(&self, (n, h, w, c): Dims) -> Result<Dims> {
        if h.min(w) < 2 {
            bail!("blur pooling: a map of {h} × {w} positions; at least 2 × 2 are wanted")
        }
        Ok((n, h.div_ceil(2), w.div_ceil(2), c))
    }

    fn forward(&self, xs: &[f32], (_, h, w, c): Dims, ys: &mut [f32]) -> Result<()> {
        let (rows, columns) = (taps(h), taps(w));
        let images = ys.par_chunks_exact_mut(rows.len() * columns.len() * c).zip(xs.par_chunks_exact(h * w * c));
        images.for_each(|(ys, xs)| {
            for (y, (row, column)) in ys.chunks_exact_mut(c).zip(places(&rows, &columns)) {
                y.fill(0.);
                each_tap(row, column, |weight, at, across| {
                    let x = &xs[(at * w + across) * c..][..c];
                    y.iter_mut().zip(x).for_each(|(y, x)| *y += weight * x);
                });
            }
        });
        Ok(())
    }

    fn backward(&self, (): &(), _: &[f32], (_, h, w, c): Dims, gy: &[f32], gx: &mut [f32], _: &mut [Vec<f32>]) {
        let (rows, columns) = (taps(h), taps(w));
        let images = gx.par_chunks_exact_mut(h * w * c).zip(gy.par_chunks_exact(rows.len() * columns.len() * c));
        images.for_each(|(gx, gy)| {
            gx.fill(0.);
            for (g, (row, column)) in gy.chunks_exact(c).zip(places(&rows, &columns)) {
                each_tap(row, column, |weight, at, across| {
                    let x = &mut gx[(at * w + across) * c..][..c];
                    x.iter_mut().zip(g).for_each(|(x, g)| *x += weight * g);
                });
            }
        });
    }

    fn reference(&self, xs: &Tensor) -> Result<Tensor> {
        let along = |xs: &Tensor, dim: usize| -> Result<Tensor> {
            let taps = taps(xs.dim(dim)?);
            let mut sum: Option<Tensor> = None;
            for (tap, weight) in WEIGHTS.into_iter().enumerate() {
                let places: Vec<u32> = taps.iter().map(|taps| taps[tap] as u32).collect();
                let part = (xs.index_select(&Tensor::new(places, xs.device())?, dim)? * f64::from(weight))?;
                sum = Some(sum.map_or_else(|| Ok(part.clone()), |sum| sum + &part)?);
            }
            sum.map_or_else(|| bail!("no taps"), Ok)
        };
        self.output(xs.dims4()?)?;
        along(&along(xs, 1)?, 2)
    }

    fn traced(&self) -> Option<trace::Operation> {
        Some(trace::Operation::Blur(std::array::from_fn(|at| WEIGHTS[at / 3] * WEIGHTS[at % 3])))
    }
}

/// The taps of every position of the result, row by row.
fn places<'a>(rows: &'a [[usize; 3]], columns: &'a [[usize; 3]]) -> impl Iterator<Item = (&'a [usize; 3], &'a [usize; 3])> {
    rows.iter().flat_map(move |row| columns.iter().map(move |column| (row, column)))
}

/// Calls `add` with the weight, the row and the column of each of the nine taps.
fn each_tap(rows: &[usize; 3], columns: &[usize; 3], mut add: impl FnMut(f32, usize, usize)) {
    for (row, down) in rows.iter().zip(WEIGHTS) {
        for (column, across) in columns.iter().zip(WEIGHTS) {
            add(down * across, *row, *column);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device, Var};
    use sncn_core::{Pass, Seed, reference};

    /// Values and the gradient of their product with fixed numbers.
    fn both(xs: &Tensor) -> Result<(Tensor, Tensor)> {
        let var = Var::from_tensor(xs)?;
        let ys = blur_pool(&FeatureMap::from_tensor(var.as_tensor(), true, &Pass::train(Seed::new(0)))?)?.to_tensor()?;
        let factors = Seed::new(5).normal(ys.shape())?.to_dtype(ys.dtype())?;
        let grads = (&ys * factors)?.sum_all()?.backward()?;
        let Some(gradient) = grads.get(var.as_tensor()) else { bail!("no gradient") };
        Ok((ys.detach(), gradient.clone()))
    }

    #[test]
    fn a_recorded_map_is_blurred_as_tensors_are_and_as_a_convolution_does() -> Result<()> {
        for (h, w) in [(2, 2), (5, 8), (7, 3), (6, 6)] {
            let xs = Seed::new(1).normal((2, h, w, 3))?;
            let (ys, gradient) = both(&xs)?;
            assert_eq!(ys.dims(), [2, h.div_ceil(2), w.div_ceil(2), 3]);
            let (wanted, other) = reference::forced(|| both(&xs))?;
            let far = |a: &Tensor, b: &Tensor| (a - b)?.abs()?.max_all()?.to_dtype(DType::F64)?.to_scalar::<f64>();
            assert!(far(&ys, &wanted)? < 1e-6 && far(&gradient, &other)? < 1e-6, "{h} × {w}");
            // mirrored by hand, one channel at a time
            let padded = xs.permute((0, 3, 1, 2))?.reshape((6, 1, h, w))?;
            let mirror = |xs: &Tensor, dim: usize| {
                let len = xs.dim(dim)?;
                Tensor::cat(&[&xs.narrow(dim, 1, 1)?, xs, &xs.narrow(dim, len - 2, 1)?], dim)
            };
            let kernel: Vec<f32> = (0..9).map(|i| WEIGHTS[i / 3] * WEIGHTS[i % 3]).collect();
            let kernel = Tensor::from_vec(kernel, (1, 1, 3, 3), &Device::Cpu)?;
            let by_hand = mirror(&mirror(&padded, 2)?, 3)?.conv2d(&kernel, 0, 2, 1, 1)?;
            let by_hand = by_hand.reshape((2, 3, h.div_ceil(2), w.div_ceil(2)))?.permute((0, 2, 3, 1))?;
            assert!(far(&ys, &by_hand)? < 1e-6, "{h} × {w}");
        }
        assert!(both(&Seed::new(1).normal((1, 1, 4, 2))?).is_err());
        Ok(())
    }
}
