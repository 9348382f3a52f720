//! The two primitives of every statistics layer: instance statistics, and the affine map that applies what is computed from them.
//!
//! ```text
//! Stats::of      x (N, P, C) → mean, biased variance (N, C)
//! apply_affine   y = scale·(x − centre) + bias, with centre, scale and bias (N, C), or (1, C) for all instances
//! ```
//!
//! On the CPU both run as kernels with their own backward pass; elsewhere as their reference implementations, which are made of
//! candle's operations.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, DType, Layout, Result, Shape, Storage, Tensor, WithDType, bail};
use sncn_kernels::affine::{Affine, channel_affine, channel_affine_backward};
use sncn_kernels::positions::Positions as KernelPositions;
use sncn_kernels::simd::Form;
use sncn_kernels::stats::{MapShape, instance_stats, instance_stats_backward};
use std::sync::Arc;

pub use sncn_kernels::affine::Outside;

use crate::ops::{by_dtype, constants, elements, has_kernel};
use crate::pass::BoundingBox;

/// The positions of an instance that statistics are taken over, or that an affine map changes.
#[derive(Clone, Debug, PartialEq)]
pub enum Positions {
    /// All positions.
    All,
    /// A box of an image's map, with the map's width.
    Box(BoundingBox, usize),
    /// The first `lengths[n]` positions of instance n.
    Prefix(Arc<[usize]>),
    /// Positions `spans[n].0..spans[n].1` of instance n.
    Spans(Arc<[(usize, usize)]>),
}

impl Positions {
    pub(crate) fn as_kernel(&self) -> KernelPositions<'_> {
        match self {
            Positions::All => KernelPositions::All,
            Positions::Box(w, width) => {
                KernelPositions::Box { width: *width, top: w.top, left: w.left, bottom: w.bottom, right: w.right }
            }
            Positions::Prefix(lengths) => KernelPositions::Prefix(lengths),
            Positions::Spans(spans) => KernelPositions::Spans(spans),
        }
    }

    pub(crate) fn check(&self, n: usize, p: usize) -> Result<()> {
        match self {
            Positions::Box(w, width)
                if *width == 0 || w.right > *width || w.bottom * width > p || w.top > w.bottom || w.left > w.right =>
            {
                bail!("box {w:?} is not inside a map of {p} positions and width {width}")
            }
            Positions::Prefix(lengths) if lengths.len() != n || lengths.iter().any(|&length| length > p) => {
                bail!("lengths {lengths:?} do not fit {n} instances of {p} positions")
            }
            Positions::Spans(spans) if spans.len() != n || spans.iter().any(|&(start, end)| start > end || end > p) => {
                bail!("spans {spans:?} do not fit {n} instances of {p} positions")
            }
            _ => Ok(()),
        }
    }
}

/// Mean and biased variance of every (instance, channel).
#[derive(Clone, Debug)]
pub struct Stats {
    /// The means (N, C).
    pub mean: Tensor,
    /// The variances (N, C), divided by the number of positions.
    pub variance: Tensor,
}

impl Stats {
    /// Computes the statistics of x (N, P, C) over `positions`; those of an instance without positions are 0.
    ///
    /// # Errors
    /// Returns an error where x is not (N, P, C), or `positions` is not inside it.
    pub fn of(xs: &Tensor, positions: &Positions) -> Result<Self> {
        let (n, p, _) = xs.dims3()?;
        positions.check(n, p)?;
        let packed = match has_kernel(xs) {
            true => xs.contiguous()?.apply_op1(InstanceStats(positions.clone()))?,
            false => reference::stats(xs, positions)?,
        };
        Ok(Self { mean: packed.get(0)?, variance: packed.get(1)? })
    }
}

/// Applies y = scale·(x − centre) + bias to x (N, P, C) at `positions`, with matrices (N, C) or (1, C). `outside` says what y is at
/// other positions.
///
/// # Errors
/// Returns an error where x is not (N, P, C), a matrix has another shape, or `positions` is not inside x.
pub fn apply_affine(
    xs: &Tensor,
    centre: &Tensor,
    scale: &Tensor,
    bias: &Tensor,
    positions: &Positions,
    outside: Outside,
) -> Result<Tensor> {
    let (n, p, c) = xs.dims3()?;
    positions.check(n, p)?;
    let mut rows = 1;
    for matrix in [centre, scale, bias] {
        let (r, channels) = matrix.dims2()?;
        if channels != c || (r != 1 && r != n) {
            bail!("an affine map with a matrix of shape {:?} on {n} instances and {c} channels", matrix.shape())
        }
        rows = rows.max(r);
    }
    let matrix = |t: &Tensor| t.broadcast_as((rows, c))?.contiguous();
    let packed = Tensor::stack(&[matrix(centre)?, matrix(scale)?, matrix(bias)?], 0)?;
    if has_kernel(xs) {
        return xs.contiguous()?.apply_op2(&packed, ChannelAffine { positions: positions.clone(), outside });
    }
    reference::apply(xs, &packed, positions, outside)
}

/// Runs `$body` with `$t` bound to the element type `$dtype`.
macro_rules! with_dtype {
    ($dtype:expr, $t:ident => $body:expr) => {
        match $dtype {
            DType::F32 => {
                type $t = f32;
                $body
            }
            DType::F64 => {
                type $t = f64;
                $body
            }
            other => bail!("statistics of {other:?}; accepted: f32, f64"),
        }
    };
}

/// Runs `f` on the values of contiguous CPU tensors.
fn with_slices<T: WithDType, R>(tensors: &[&Tensor], f: impl FnOnce(&[&[T]]) -> Result<R>) -> Result<R> {
    let held: Vec<_> = tensors.iter().map(|t| t.storage_and_layout()).collect();
    let slices = held.iter().map(|(storage, layout)| match &**storage {
        Storage::Cpu(storage) => elements::<T>("statistics", storage, layout),
        _ => bail!("statistics: expected a CPU tensor"),
    });
    f(&slices.collect::<Result<Vec<_>>>()?)
}

fn map_shape(shape: &Shape) -> Result<MapShape> {
    let (instances, positions, channels) = shape.dims3()?;
    Ok(MapShape { instances, positions, channels })
}

struct InstanceStats(Positions);

impl CustomOp1 for InstanceStats {
    fn name(&self) -> &'static str {
        "instance-stats"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let shape = map_shape(layout.shape())?;
        let table = shape.instances * shape.channels;
        by_dtype!("instance-stats", storage, T => {
            let mut packed = vec![T::default(); 2 * table];
            let (mean, variance) = packed.split_at_mut(table);
            let xs = elements::<T>("instance-stats", storage, layout)?;
            instance_stats(Form::current(), xs, shape, self.0.as_kernel(), mean, variance);
            Ok((T::to_cpu_storage_owned(packed), Shape::from((2, shape.instances, shape.channels))))
        })
    }

    fn bwd(&self, xs: &Tensor, packed: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let shape = map_shape(xs.shape())?;
        let table = shape.instances * shape.channels;
        let grad = grad.contiguous()?;
        with_dtype!(xs.dtype(), T => with_slices::<T, _>(&[xs, packed, &grad], |s| {
            let mut dx = vec![T::default(); xs.elem_count()];
            let (g_mean, g_variance) = s[2].split_at(table);
            instance_stats_backward(Form::current(), s[0], shape, self.0.as_kernel(), &s[1][..table], g_mean, g_variance, &mut dx);
            Tensor::from_vec(dx, xs.shape(), xs.device()).map(Some)
        }))
    }
}

struct ChannelAffine {
    positions: Positions,
    outside: Outside,
}

impl ChannelAffine {
    fn kernel(&self, shape: MapShape, rows: usize) -> Affine<'_> {
        Affine { shape, positions: self.positions.as_kernel(), outside: self.outside, rows }
    }
}

impl CustomOp2 for ChannelAffine {
    fn name(&self) -> &'static str {
        "channel-affine"
    }

    fn cpu_fwd(
        &self,
        xs: &CpuStorage,
        xs_layout: &Layout,
        packed: &CpuStorage,
        packed_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_, rows, channels) = packed_layout.shape().dims3()?;
        let op = self.kernel(map_shape(xs_layout.shape())?, rows);
        by_dtype!("channel-affine", xs, T => {
            let xs = elements::<T>("channel-affine", xs, xs_layout)?;
            let packed = elements::<T>("channel-affine", packed, packed_layout)?;
            let (m, rest) = packed.split_at(rows * channels);
            let (a, b) = rest.split_at(rows * channels);
            let mut ys = vec![T::default(); xs.len()];
            channel_affine(Form::current(), &op, xs, m, a, b, &mut ys);
            Ok((T::to_cpu_storage_owned(ys), xs_layout.shape().clone()))
        })
    }

    fn bwd(&self, xs: &Tensor, packed: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let table = packed.dim(1)? * packed.dim(2)?;
        let op = self.kernel(map_shape(xs.shape())?, packed.dim(1)?);
        let grad = grad.contiguous()?;
        with_dtype!(xs.dtype(), T => with_slices::<T, _>(&[xs, packed, &grad], |s| {
            let (m, a) = (&s[1][..table], &s[1][table..2 * table]);
            let (mut dx, mut dt) = (vec![T::default(); xs.elem_count()], vec![T::default(); 3 * table]);
            let (dm, rest) = dt.split_at_mut(table);
            let (da, db) = rest.split_at_mut(table);
            channel_affine_backward(Form::current(), &op, s[0], m, a, s[2], &mut dx, da, db);
            dm.iter_mut().zip(a).zip(&*db).for_each(|((dm, &a), &db)| *dm = -(a * db));
            let tensor = |values, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device()).map(Some);
            Ok((tensor(dx, xs)?, tensor(dt, packed)?))
        }))
    }
}

/// The primitives in candle's operations, which run on every device.
mod reference {
    use super::{Outside, Positions, Result, Tensor, constants};

    /// 1 at the positions, else 0, (N, P, C); `None` for all positions.
    fn mask(xs: &Tensor, positions: &Positions) -> Result<Option<Tensor>> {
        if *positions == Positions::All {
            return Ok(None);
        }
        let (n, p, c) = xs.dims3()?;
        let mut mask = vec![0u8; n * p];
        for (i, mask) in mask.chunks_exact_mut(p.max(1)).enumerate() {
            positions.as_kernel().runs(i, p).for_each(|run| mask[run].fill(1));
        }
        Tensor::from_vec(mask, (n, p, 1), xs.device())?.broadcast_as((n, p, c)).map(Some)
    }

    /// xs with 0 outside the mask, so that no value there, not even NaN, affects values or gradients.
    fn inside(xs: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        mask.map_or_else(|| Ok(xs.clone()), |mask| mask.where_cond(xs, &xs.zeros_like()?))
    }

    /// Mean and biased variance, packed (2, N, C); those of an instance without positions are 0.
    pub(super) fn stats(xs: &Tensor, positions: &Positions) -> Result<Tensor> {
        let ((n, p, _), mask) = (xs.dims3()?, mask(xs, positions)?);
        let counts = (0..n).map(|i| positions.as_kernel().count(i, p).max(1) as f64).collect();
        let counts = constants(counts, xs)?.reshape((n, 1, 1))?;
        let mean = |xs: &Tensor| xs.sum_keepdim(1)?.broadcast_div(&counts);
        let centre = mean(&inside(xs, mask.as_ref())?)?;
        let variance = mean(&inside(&xs.broadcast_sub(&centre)?, mask.as_ref())?.sqr()?)?;
        Tensor::stack(&[centre.squeeze(1)?, variance.squeeze(1)?], 0)
    }

    /// y = scale·(x − centre) + bias at the positions; the matrices are packed (3, N or 1, C).
    pub(super) fn apply(xs: &Tensor, packed: &Tensor, positions: &Positions, outside: Outside) -> Result<Tensor> {
        let (matrix, mask) = (|i| packed.get(i)?.unsqueeze(1), mask(xs, positions)?);
        let ys = inside(xs, mask.as_ref())?.broadcast_sub(&matrix(0)?)?.broadcast_mul(&matrix(1)?)?.broadcast_add(&matrix(2)?)?;
        match (mask, outside) {
            (Some(mask), Outside::Keep) => mask.where_cond(&ys, xs),
            (mask, _) => inside(&ys, mask.as_ref()),
        }
    }
}
