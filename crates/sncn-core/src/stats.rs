//! The two primitives: instance statistics, and the affine map that puts them to use.
//!
//! ```text
//! stats : x (N, P, C) → mean, biased variance (N, C)
//! apply : y = a·(x − m) + b, with m, a and b (N, C), or (1, C) for all instances alike
//! ```
//!
//! SelfNorm, CrossNorm and every norm of the project are a different middle between the two. On the CPU both run as
//! kernels with their own backward; elsewhere as their reference implementations, which are made of candle's operations.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, DType, Layout, Result, Shape, Tensor, bail};
use sncn_kernels::affine::{Affine, channel_affine, channel_affine_backward};
use sncn_kernels::positions::Positions as KernelPositions;
use sncn_kernels::stats::{MapShape, instance_stats, instance_stats_backward};
use std::sync::Arc;

pub use sncn_kernels::affine::Outside;

use crate::ops::{constants, has_kernel};
use crate::pass::BoundingBox;

/// Which positions of an instance take part.
#[derive(Clone, Debug, PartialEq)]
pub enum Positions {
    /// All of them.
    All,
    /// A box of a grid of that width.
    Box(BoundingBox, usize),
    /// The first `lengths[n]` of instance n.
    Prefix(Arc<[usize]>),
    /// Of instance n the positions from `spans[n].0` up to (not including) `spans[n].1`.
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
                bail!("box {w:?} does not lie in a map of {p} positions, {width} a row")
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

/// Mean and biased variance (N, C), with the number of positions of each instance (N, 1).
#[derive(Clone, Debug)]
pub struct Stats {
    /// Means (N, C).
    pub mean: Tensor,
    /// Variances (N, C), divided by the number of positions.
    pub variance: Tensor,
    /// Positions of each instance (N, 1).
    pub count: Tensor,
    few: Option<usize>,
}

impl Stats {
    /// Statistics of x (N, P, C) over the positions.
    ///
    /// # Errors
    /// Where x has another rank, or the positions do not fit.
    pub fn of(xs: &Tensor, positions: &Positions) -> Result<Self> {
        let (n, p, _) = xs.dims3()?;
        positions.check(n, p)?;
        let counts: Vec<usize> = (0..n).map(|i| positions.as_kernel().count(i, p)).collect();
        let few = counts.iter().copied().find(|&count| count < 2);
        let count = constants(counts.iter().map(|&count| count as f64).collect(), xs)?.reshape((n, 1))?;
        let packed = if has_kernel(xs) {
            xs.contiguous()?.apply_op1(InstanceStats(positions.clone()))?
        } else {
            reference::stats(xs, positions)?
        };
        Ok(Self { mean: packed.get(0)?, variance: packed.get(1)?, count, few })
    }

    /// Unbiased standard deviation √(variance·p/(p − 1) + eps), (N, C).
    ///
    /// # Errors
    /// Where an instance has one position: its deviation is not defined.
    pub fn deviation(&self, eps: f64) -> Result<Tensor> {
        if let Some(count) = self.few {
            bail!(
                "the deviation over {count} position(s) is not defined: SelfNorm and CrossNorm need maps of at least 2 positions"
            )
        }
        let factor = self.count.broadcast_div(&(&self.count - 1.)?)?;
        (self.variance.broadcast_mul(&factor)? + eps)?.sqrt()
    }
}

/// y = a·x + b on x (N, P, C) with tables (N, C) or (1, C), at the positions; rectified where `relu`.
///
/// # Errors
/// Where shapes do not fit.
pub fn apply(xs: &Tensor, a: &Tensor, b: &Tensor, positions: &Positions, outside: Outside, relu: bool) -> Result<Tensor> {
    apply_centred(xs, &b.zeros_like()?, a, b, positions, outside, relu)
}

/// y = a·(x − m) + b: as [`apply`], exact where the mean is large against the spread.
///
/// # Errors
/// Where shapes do not fit.
pub fn apply_centred(
    xs: &Tensor,
    m: &Tensor,
    a: &Tensor,
    b: &Tensor,
    positions: &Positions,
    outside: Outside,
    relu: bool,
) -> Result<Tensor> {
    let (n, p, c) = xs.dims3()?;
    positions.check(n, p)?;
    let mut rows = 1;
    for table in [m, a, b] {
        let (r, channels) = table.dims2()?;
        if channels != c || (r != 1 && r != n) {
            bail!("an affine table of shape {:?} does not fit a map of {n} instances and {c} channels", table.shape())
        }
        rows = rows.max(r);
    }
    let table = |t: &Tensor| t.broadcast_as((rows, c))?.contiguous();
    let packed = Tensor::stack(&[table(m)?, table(a)?, table(b)?], 0)?;
    if has_kernel(xs) {
        return xs.contiguous()?.apply_op2(&packed, ChannelAffine { positions: positions.clone(), outside, relu });
    }
    reference::apply(xs, &packed, positions, outside, relu)
}

/// The values of a contiguous CPU tensor, copied out.
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
            other => bail!("{other:?} is not supported here: use f32 or f64"),
        }
    };
}

fn slice<'a, T: candle_core::WithDType>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
    let Some((start, end)) = layout.contiguous_offsets() else { bail!("a contiguous tensor is wanted") };
    Ok(&storage.as_slice::<T>()?[start..end])
}

/// Runs `f` over the values of contiguous CPU tensors.
fn with_slices<T: candle_core::WithDType, R>(tensors: &[&Tensor], f: impl FnOnce(&[&[T]]) -> Result<R>) -> Result<R> {
    let held: Vec<_> = tensors.iter().map(|t| t.storage_and_layout()).collect();
    let slices = held.iter().map(|(storage, layout)| match &**storage {
        candle_core::Storage::Cpu(storage) => slice::<T>(storage, layout),
        _ => bail!("a CPU tensor is wanted"),
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
        let out = with_dtype!(storage.dtype(), T => {
            let mut packed = vec![T::default(); 2 * table];
            let (mean, variance) = packed.split_at_mut(table);
            instance_stats(slice::<T>(storage, layout)?, shape, self.0.as_kernel(), mean, variance);
            <T as candle_core::WithDType>::to_cpu_storage_owned(packed)
        });
        Ok((out, Shape::from((2, shape.instances, shape.channels))))
    }

    fn bwd(&self, xs: &Tensor, packed: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let shape = map_shape(xs.shape())?;
        let table = shape.instances * shape.channels;
        let grad = grad.contiguous()?;
        with_dtype!(xs.dtype(), T => with_slices::<T, _>(&[xs, packed, &grad], |s| {
            let mut dx = vec![T::default(); xs.elem_count()];
            let (g_mean, g_variance) = s[2].split_at(table);
            instance_stats_backward(s[0], shape, self.0.as_kernel(), &s[1][..table], g_mean, g_variance, &mut dx);
            Tensor::from_vec(dx, xs.shape(), xs.device()).map(Some)
        }))
    }
}

struct ChannelAffine {
    positions: Positions,
    outside: Outside,
    relu: bool,
}

impl ChannelAffine {
    fn kernel(&self, shape: MapShape, rows: usize) -> Affine<'_> {
        Affine { shape, positions: self.positions.as_kernel(), outside: self.outside, relu: self.relu, rows }
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
        let out = with_dtype!(xs.dtype(), T => {
            let (xs, packed) = (slice::<T>(xs, xs_layout)?, slice::<T>(packed, packed_layout)?);
            let (m, rest) = packed.split_at(rows * channels);
            let (a, b) = rest.split_at(rows * channels);
            let mut ys = vec![T::default(); xs.len()];
            channel_affine(&op, xs, m, a, b, &mut ys);
            <T as candle_core::WithDType>::to_cpu_storage_owned(ys)
        });
        Ok((out, xs_layout.shape().clone()))
    }

    fn bwd(&self, xs: &Tensor, packed: &Tensor, ys: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let table = packed.dim(1)? * packed.dim(2)?;
        let op = self.kernel(map_shape(xs.shape())?, packed.dim(1)?);
        let grad = grad.contiguous()?;
        with_dtype!(xs.dtype(), T => with_slices::<T, _>(&[xs, packed, ys, &grad], |s| {
            let (m, a) = (&s[1][..table], &s[1][table..2 * table]);
            let (mut dx, mut dt) = (vec![T::default(); xs.elem_count()], vec![T::default(); 3 * table]);
            let (dm, rest) = dt.split_at_mut(table);
            let (da, db) = rest.split_at_mut(table);
            channel_affine_backward(&op, s[0], m, a, s[2], s[3], &mut dx, da, db);
            dm.iter_mut().zip(a).zip(&*db).for_each(|((dm, &a), &db)| *dm = -(a * db));
            let tensor = |values, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device()).map(Some);
            Ok((tensor(dx, xs)?, tensor(dt, packed)?))
        }))
    }
}

/// The primitives made of candle's operations, which run on every device.
mod reference {
    use super::{Outside, Positions, Result, Tensor, constants};
    use crate::ops::relu as rectified;

    /// 1 where a position takes part, else 0, (N, P, C); nothing where all do.
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

    /// xs with 0 outside the mask, so that nothing there, not even NaN, has a part in values or gradients.
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

    /// y = a·(x − m) + b at the positions; the tables m, a, b are packed (3, N or 1, C).
    pub(super) fn apply(xs: &Tensor, packed: &Tensor, positions: &Positions, outside: Outside, relu: bool) -> Result<Tensor> {
        let (table, mask) = (|i| packed.get(i)?.unsqueeze(1), mask(xs, positions)?);
        let ys = inside(xs, mask.as_ref())?.broadcast_sub(&table(0)?)?.broadcast_mul(&table(1)?)?.broadcast_add(&table(2)?)?;
        let ys = if relu { rectified(&ys)? } else { ys };
        match (mask, outside) {
            (Some(mask), Outside::Keep) => mask.where_cond(&ys, xs),
            (mask, _) => inside(&ys, mask.as_ref()),
        }
    }
}
