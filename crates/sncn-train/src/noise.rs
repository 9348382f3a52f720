//! Adversarial noise (Rusak et al. 2020, arXiv:2001.06057): perturbations of a given size that stay within the range of images.

use candle_core::{DType, Result, Tensor, bail};

/// Below this δ² counts as no more, so that nothing is divided by 0.
const FLOOR: f64 = 1e-20;

/// Images with noise of the size that was asked for, where the range of values allows it.
pub struct Projected {
    /// clip(x + η·δ, 0, 1), of the shape of the images.
    pub images: Tensor,
    /// η of every image (N).
    pub scales: Vec<f64>,
    /// Whether the size was reached; where it is not, every value stands at an end of the range.
    pub reached: Vec<bool>,
}

/// Where one image's noise ends.
struct Scale {
    /// η².
    square: f64,
    /// The sum of squares that the clipped values contribute.
    clipped: f64,
    reached: bool,
}

/// η² with Σ min(η²·δ², s²) = ε², which rises with η² in straight lines between the places where a value is clipped.
fn scale(room: &[f64], noise: &[f64], epsilon: f64) -> Scale {
    let (squares, room): (Vec<f64>, Vec<f64>) = (noise.iter().map(|d| d * d).collect(), room.iter().map(|s| s * s).collect());
    let ends: Vec<f64> = squares.iter().zip(&room).map(|(d, s)| s / d.max(FLOOR)).collect();
    let mut order: Vec<usize> = (0..ends.len()).collect();
    order.sort_by(|&a, &b| ends[a].total_cmp(&ends[b]));
    // the sum of δ² of what is not clipped, added up from the end so that nothing cancels
    let mut left = vec![0.; order.len() + 1];
    for (at, &i) in order.iter().enumerate().rev() {
        left[at] = left[at + 1] + squares[i];
    }
    let (wanted, mut clipped) = (epsilon * epsilon, 0.);
    for (at, &i) in order.iter().enumerate() {
        let square = (wanted - clipped) / left[at];
        if left[at] > 0. && square <= ends[i] {
            return Scale { square, clipped, reached: true };
        }
        clipped += room[i];
    }
    Scale { square: order.last().map_or(0., |&i| ends[i]), clipped, reached: false }
}

/// Scales the noise δ (N, …) of images x (N, …) with values in 0..1 so that ‖clip(x + ηδ, 0, 1) − x‖₂ is `epsilon` for every image.
/// Gradients flow to δ through η. An image that cannot be changed that much has all its values at the ends of the range, and gives none.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use sncn_train::noise::project;
///
/// # fn main() -> candle_core::Result<()> {
/// let images = Tensor::new(&[[0.5f64, 0.5, 0.9]], &Device::Cpu)?;
/// let noise = Tensor::new(&[[1f64, -1., 1.]], &Device::Cpu)?;
/// let noisy = project(&images, &noise, 0.3)?;
/// // the last value is clipped at 1, and the others make up for it
/// let size = (noisy.images - images)?.sqr()?.sum_all()?.sqrt()?.to_scalar::<f64>()?;
/// assert!((size - 0.3).abs() < 1e-12 && noisy.reached[0] && noisy.scales[0] > 0.1);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If the shapes differ, `epsilon` is not positive, or a value is not finite.
pub fn project(images: &Tensor, noise: &Tensor, epsilon: f64) -> Result<Projected> {
    if images.dims() != noise.dims() || images.rank() < 2 {
        bail!("noise of shape {:?} for images of shape {:?}", noise.dims(), images.dims())
    }
    if !(epsilon.is_finite() && epsilon > 0.) {
        bail!("noise of size {epsilon}; a positive number is accepted")
    }
    let n = images.dim(0)?;
    let (xs, delta) = (images.reshape((n, ()))?, noise.reshape((n, ()))?);
    let rows = |t: &Tensor| t.detach().to_dtype(DType::F64)?.to_vec2::<f64>();
    let (values, noises) = (rows(&xs)?, rows(&delta)?);
    let (mut moves, mut fixed, mut wanted, mut unreached) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut scales, mut reached) = (Vec::new(), Vec::new());
    for (n, (x, d)) in values.iter().zip(&noises).enumerate() {
        if let Some(at) = x.iter().zip(d).position(|(x, d)| !x.is_finite() || !d.is_finite()) {
            bail!("image {n}: value {at} is {}, its noise {}", x[at], d[at])
        }
        let room: Vec<f64> = x.iter().zip(d).map(|(x, d)| if *d >= 0. { 1. - x } else { *x }).collect();
        let found = scale(&room, d, epsilon);
        for ((x, d), s) in x.iter().zip(d).zip(&room) {
            let free = found.reached && found.square * d * d <= s * s;
            moves.push(f64::from(u8::from(free)));
            fixed.push(if free { 0. } else { (x + found.square.sqrt() * d).clamp(0., 1.) });
        }
        wanted.push(if found.reached { epsilon * epsilon - found.clipped } else { found.square });
        unreached.push(f64::from(u8::from(!found.reached)));
        scales.push(found.square.sqrt());
        reached.push(found.reached);
    }
    let constants =
        |values: Vec<f64>, columns: usize| Tensor::from_vec(values, (n, columns), images.device())?.to_dtype(images.dtype());
    let columns = xs.dim(1)?;
    let (moves, fixed) = (constants(moves, columns)?, constants(fixed, columns)?);
    let free = (&delta * &moves)?;
    let total = (free.sqr()?.sum_keepdim(1)? + constants(unreached, 1)?)?;
    let eta = (constants(wanted, 1)? / total)?.sqrt()?;
    let moved = ((xs * moves)? + free.broadcast_mul(&eta)?)?;
    Ok(Projected { images: (moved + fixed)?.reshape(images.shape())?, scales, reached })
}
