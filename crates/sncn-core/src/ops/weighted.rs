//! What convolutions and linear layers have in common on candle's tape: an input, a weight and an optional bias.

use super::common::{by_dtype, elements};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, WithDType};
use sncn_kernels::linear::column_sums;

/// An argument of an operation.
pub(super) type Argument<'a> = (&'a CpuStorage, &'a Layout);

/// The gradients of x and weight.
pub(super) type Gradients = (Option<Tensor>, Option<Tensor>);

/// The sum over all dimensions but the last.
struct ColumnSums;

impl CustomOp1 for ColumnSums {
    fn name(&self) -> &'static str {
        "column-sums"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let c = l.dims().last().copied().unwrap_or(0);
        by_dtype!("column-sums", s, T => {
            let mut out = vec![T::default(); c];
            column_sums(elements::<T>("column-sums", s, l)?, c, &mut out);
            Ok((T::to_cpu_storage_owned(out), c.into()))
        })
    }
}

/// A linear function y of x with a weight, plus a bias for every channel.
pub(super) trait Weighted: Send + Sync {
    const NAME: &'static str;

    /// Computes y.
    fn run(&self, x: Argument<'_>, weight: Argument<'_>, bias: Option<Argument<'_>>) -> Result<(CpuStorage, Shape)>;

    /// Computes the gradients of x and weight from that of y, which is contiguous.
    fn gradients(&self, x: &Tensor, weight: &Tensor, gy: &Tensor) -> Result<Gradients>;
}

/// It, as an operation of candle.
pub(super) struct Taped<W>(pub(super) W);

impl<W: Weighted> CustomOp2 for Taped<W> {
    fn name(&self) -> &'static str {
        W::NAME
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        self.0.run((s1, l1), (s2, l2), None)
    }

    fn bwd(&self, x: &Tensor, weight: &Tensor, _: &Tensor, gy: &Tensor) -> Result<Gradients> {
        self.0.gradients(x, weight, &gy.contiguous()?)
    }
}

impl<W: Weighted> CustomOp3 for Taped<W> {
    fn name(&self) -> &'static str {
        W::NAME
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.0.run((s1, l1), (s2, l2), Some((s3, l3)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        _: &Tensor,
        gy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gy = gy.contiguous()?;
        let (dx, dw) = self.0.gradients(x, weight, &gy)?;
        Ok((dx, dw, Some(gy.apply_op1_no_bwd(&ColumnSums)?)))
    }
}
