//! Batch normalisation (Ioffe, Szegedy 2015): y = w·(x − mean)/√(var + eps) + b, over instances and positions.
//!
//! From the instance table: the batch mean is the mean of the instances' means, the batch variance that of their
//! variances plus the spread of their means. So one statistics pass serves it, and it is one affine map.

use super::{Canonical, Layer, MemoryLayout, Place};
use crate::graph::FeatureMap;
use crate::pass::Pass;
use crate::stats::{Outside, Stats, apply_centred};
use candle_core::{DType, Result, Tensor, Var, bail};
use candle_nn::Init;

/// BatchNorm with running statistics (momentum 0.1, unbiased running variance, as in PyTorch).
pub struct BatchNorm {
    weight: Tensor,
    bias: Tensor,
    running_mean: Var,
    running_var: Var,
    batches: Var,
    eps: f64,
    momentum: f64,
    layout: MemoryLayout,
}

impl BatchNorm {
    /// With PyTorch's names, eps 1e-5, momentum 0.1.
    ///
    /// # Errors
    /// Where a variable exists with another shape.
    pub fn new(place: &Place) -> Result<Self> {
        let (c, vb) = (place.channels, &place.vb);
        let one = |name, value| vb.get_with_hints(c, name, Init::Const(value));
        Ok(Self {
            weight: one("weight", 1.)?,
            bias: one("bias", 0.)?,
            running_mean: Var::from_tensor(&one("running_mean", 0.)?)?,
            running_var: Var::from_tensor(&one("running_var", 1.)?)?,
            batches: Var::from_tensor(&vb.get_with_hints_dtype((), "num_batches_tracked", Init::Const(0.), DType::I64)?)?,
            eps: 1e-5,
            momentum: 0.1,
            layout: place.layout,
        })
    }

    /// The normalising centre, scale and shift, each (1, C), from the table of instance means (and variances and counts of maps).
    pub(crate) fn table(&self, mean: &Tensor, within: Option<&Stats>, train: bool) -> Result<(Tensor, Tensor, Tensor)> {
        if !train {
            let running = |table: &Var| table.unsqueeze(0)?.to_dtype(mean.dtype());
            return self.scale_and_shift(&running(&self.running_mean)?, &running(&self.running_var)?);
        }
        let (n, _) = mean.dims2()?;
        let (weights, total) = match within {
            Some(stats) => (stats.count.clone(), stats.count.sum_all()?.to_dtype(DType::F64)?.to_scalar::<f64>()?),
            None => (Tensor::ones((n, 1), mean.dtype(), mean.device())?, n as f64),
        };
        if total < 2. {
            bail!("BatchNorm in training needs at least 2 values a channel, this batch has {total}: use a larger batch")
        }
        let average = |table: &Tensor| table.broadcast_mul(&weights)?.sum_keepdim(0)? / total;
        let batch_mean = average(mean)?;
        let spread = mean.broadcast_sub(&batch_mean)?.sqr()?;
        let variance = average(&within.map_or_else(|| Ok(spread.clone()), |stats| &stats.variance + &spread)?)?;
        self.track(&batch_mean.detach().squeeze(0)?, &variance.detach().squeeze(0)?, total)?;
        self.scale_and_shift(&batch_mean, &variance)
    }

    /// Takes a batch's mean and biased variance (C), over `total` values, into the running statistics.
    pub(crate) fn track(&self, mean: &Tensor, variance: &Tensor, total: f64) -> Result<()> {
        let keep = |running: &Var, now: &Tensor, factor: f64| {
            let now = (now * (self.momentum * factor))?.to_dtype(running.dtype())?;
            running.set(&((running.as_detached_tensor() * (1. - self.momentum))? + now)?)
        };
        keep(&self.running_mean, mean, 1.)?;
        keep(&self.running_var, variance, total / (total - 1.))?;
        self.batches.set(&(self.batches.as_detached_tensor() + self.batches.ones_like()?)?)
    }

    /// The scale γ (C).
    pub(crate) fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The shift β (C).
    pub(crate) fn bias(&self) -> &Tensor {
        &self.bias
    }

    /// Running mean and variance (C).
    pub(crate) fn running(&self) -> (Tensor, Tensor) {
        (self.running_mean.as_detached_tensor(), self.running_var.as_detached_tensor())
    }

    /// eps under the root.
    pub(crate) fn eps(&self) -> f64 {
        self.eps
    }

    fn scale_and_shift(&self, mean: &Tensor, variance: &Tensor) -> Result<(Tensor, Tensor, Tensor)> {
        let row = |parameter: &Tensor| parameter.unsqueeze(0)?.to_dtype(mean.dtype());
        let a = row(&self.weight)?.div(&(variance + self.eps)?.sqrt()?)?;
        Ok((mean.clone(), a, row(&self.bias)?))
    }

    /// The centre, scale and shift for statistics of a map, for layers that combine tables.
    pub(crate) fn table_of(&self, stats: Option<&Stats>, train: bool) -> Result<(Tensor, Tensor, Tensor)> {
        match stats {
            Some(stats) => self.table(&stats.mean, Some(stats), train),
            None => self.table(&self.bias.unsqueeze(0)?, None, false),
        }
    }

    /// Normalises a table (N, C) over its rows, as PyTorch's BatchNorm1d.
    ///
    /// # Errors
    /// In training, where there is one row.
    pub fn rows(&self, table: &Tensor, pass: &Pass) -> Result<Tensor> {
        let (m, a, b) = self.table(table, None, pass.train)?;
        table.broadcast_sub(&m)?.broadcast_mul(&a)?.broadcast_add(&b)
    }

    /// BatchNorm and, where `relu`, the rectifier in the same pass over the map.
    ///
    /// # Errors
    /// As [`Layer::forward`].
    pub fn norm(&self, xs: &Tensor, relu: bool, pass: &Pass) -> Result<Tensor> {
        if relu
            && self.layout == MemoryLayout::ChannelsLast
            && let Some(ys) = FeatureMap::alone(xs, pass, |xs| xs.norm_relu(self, pass))?
        {
            return Ok(ys);
        }
        let map = Canonical::of(xs, self.layout, pass)?;
        let stats = if pass.train { Some(Stats::of(&map.xs, &map.extent)?) } else { None };
        let (m, a, b) = self.table_of(stats.as_ref(), pass.train)?;
        map.restore(&apply_centred(&map.xs, &m, &a, &b, &map.extent, Outside::Zero, relu)?)
    }
}

impl Layer for BatchNorm {
    fn forward(&self, xs: &Tensor, pass: &Pass) -> Result<Tensor> {
        if xs.rank() == 2 {
            return self.rows(xs, pass);
        }
        self.norm(xs, false, pass)
    }

    fn recordable(&self) -> bool {
        true
    }

    fn on_map(&self, xs: &FeatureMap, pass: &Pass) -> Result<FeatureMap> {
        xs.norm(self, pass)
    }
}
