//! A rule on a plain tensor, of any type and device, on candle's tape: statistics come to the host, the rule runs there,
//! and its matrices go back.

use super::instances::{MapShape, Moments, Subject, host_values};
use super::run::{Outcome, Rule, run};
use crate::backward::{Left, thread};
use crate::pass::Pass;
use crate::stats::{Outside, Positions, Stats, apply_centred};
use candle_core::{CpuStorage, CustomOp2, DType, Device, Layout, Result, Shape, Tensor, bail};
use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};

/// A tensor (N, P, C), with the statistics that were taken of it on candle's tape.
struct Plain<'a> {
    xs: &'a Tensor,
    sizes: &'a MapShape,
    taken: RefCell<Vec<Stats>>,
}

impl Subject for Plain<'_> {
    fn shape(&self) -> MapShape {
        self.sizes.clone()
    }

    fn moments(&self, positions: &Positions) -> Result<Moments> {
        let stats = Stats::of(self.xs, positions)?;
        let (mean, variance) = (host_values(&stats.mean)?, host_values(&stats.variance)?);
        self.taken.borrow_mut().push(stats);
        Ok(Moments { mean, variance })
    }
}

/// Runs a rule on a tensor (N, P, C) of that grid; padding behind sequences becomes 0. Nothing where the rule leaves the map
/// as it is.
///
/// # Errors
/// As the rule.
pub(crate) fn on_tensor(rule: &dyn Rule, xs: &Tensor, sizes: &MapShape, pass: &Pass) -> Result<Option<Tensor>> {
    let plain = Plain { xs, sizes, taken: RefCell::default() };
    let Some(outcome) = run(rule, &plain, pass, true)? else { return Ok(None) };
    let (whole, within) = (sizes.positions(None), outcome.within.clone());
    let packed = on_tape(outcome, &plain.taken.into_inner(), sizes)?;
    let packed = packed.to_dtype(xs.dtype())?.to_device(xs.device())?;
    let [m, a, b] = [packed.get(0)?, packed.get(1)?, packed.get(2)?];
    let outside = if within == whole { Outside::Zero } else { Outside::Keep };
    let ys = apply_centred(xs, &m, &a, &b, &within, outside, false)?;
    if within == whole || whole == Positions::All {
        return Ok(Some(ys));
    }
    // what lies outside the span stays, but for the padding
    let (zero, one) = (m.zeros_like()?.detach(), m.ones_like()?.detach());
    apply_centred(&ys, &zero, &one, &zero, &whole, Outside::Zero, false).map(Some)
}

/// Centre, scale and bias as a tensor (3, N, C) in f64 on the host, on candle's tape.
fn on_tape(outcome: Outcome, taken: &[Stats], sizes: &MapShape) -> Result<Tensor> {
    let shape = (3, sizes.instances, sizes.channels);
    let values = outcome.matrices().concat();
    let parameters: Vec<Tensor> = outcome.parameters.iter().map(|(tensor, _)| tensor.clone()).collect();
    let host = |tensor: &Tensor| tensor.to_device(&Device::Cpu)?.to_dtype(DType::F64);
    let matrices = taken.iter().flat_map(|stats| [&stats.mean, &stats.variance]).map(host).collect::<Result<Vec<_>>>()?;
    let inputs = match matrices.is_empty() {
        true => Tensor::zeros((1, sizes.instances, sizes.channels), DType::F64, &Device::Cpu)?,
        false => Tensor::stack(&matrices, 0)?,
    };
    let left = Left::<f64>::default();
    let thread = thread(&parameters, &left)?;
    inputs.apply_op2(&thread, RuleOp { values: Mutex::new(Some(values)), shape, outcome: Arc::new(outcome), left })
}

/// A rule as an operation of candle: from stacked statistics (2·regions, N, C) and a thread through the parameters.
struct RuleOp {
    /// What it gives, until candle takes it.
    values: Mutex<Option<Vec<f64>>>,
    shape: (usize, usize, usize),
    outcome: Arc<Outcome>,
    left: Left<f64>,
}

impl CustomOp2 for RuleOp {
    fn name(&self) -> &'static str {
        "rule"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        match self.values.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(values) => Ok((CpuStorage::F64(values), self.shape.into())),
            None => bail!("a rule gives its matrices once"),
        }
    }

    fn bwd(&self, inputs: &Tensor, thread: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [centre, scale, bias] = [grad.get(0)?, grad.get(1)?, grad.get(2)?];
        let pulled = self.outcome.backward([host_values(&centre)?, host_values(&scale)?, host_values(&bias)?]);
        self.left.put(pulled.parameters.into_iter().map(Option::unwrap_or_default).collect());
        let len = self.shape.1 * self.shape.2;
        let zeros = || vec![0.; len];
        let mut all: Vec<f64> = pulled.regions.into_iter().flatten().flat_map(|matrix| matrix.unwrap_or_else(zeros)).collect();
        all.resize(inputs.elem_count(), 0.);
        Ok((Some(Tensor::from_vec(all, inputs.shape(), &Device::Cpu)?), Some(thread.zeros_like()?)))
    }
}
