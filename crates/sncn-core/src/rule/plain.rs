//! A rule on a tensor of any type and device, on candle's tape: statistics are copied to the host, the rule runs there, and its
//! result is copied back.

use super::instances::{MapShape, Moments, RuleInput, host_values};
use super::run::{Evaluated, Rule, run};
use crate::backward::{Left, chain};
use crate::pass::Pass;
use crate::stats::{Outside, Positions, Stats, apply_affine};
use crate::trace;
use candle_core::{CpuStorage, CustomOp2, DType, Device, Layout, Result, Shape, Tensor, bail};
use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};

/// A tensor (N, P, C), with the statistics computed from it so far on candle's tape.
struct Plain<'a> {
    xs: &'a Tensor,
    shape: &'a MapShape,
    taken: RefCell<Vec<Stats>>,
}

impl RuleInput for Plain<'_> {
    fn shape(&self) -> MapShape {
        self.shape.clone()
    }

    fn moments(&self, positions: &Positions) -> Result<Moments> {
        let stats = Stats::of(self.xs, positions)?;
        let (mean, variance) = (host_values(&stats.mean)?, host_values(&stats.variance)?);
        self.taken.borrow_mut().push(stats);
        Ok(Moments { mean, variance })
    }
}

/// Runs a rule on a tensor (N, P, C) of the given shape; padding after sequences becomes 0. `None` where the rule leaves the map
/// as it is.
pub(crate) fn on_tensor(rule: &dyn Rule, xs: &Tensor, shape: &MapShape, pass: &Pass) -> Result<Option<Tensor>> {
    let plain = Plain { xs, shape, taken: RefCell::default() };
    let Some(evaluated) = run(rule, &plain, pass, true)? else { return Ok(None) };
    let (whole, within) = (shape.positions(None), evaluated.within.clone());
    if trace::is_on() {
        trace::keep_rule(evaluated.traced(&whole));
    }
    let packed = on_tape(evaluated, &plain.taken.into_inner(), shape)?;
    let packed = packed.to_dtype(xs.dtype())?.to_device(xs.device())?;
    let [m, a, b] = [packed.get(0)?, packed.get(1)?, packed.get(2)?];
    let outside = if within == whole { Outside::Zero } else { Outside::Keep };
    let ys = apply_affine(xs, &m, &a, &b, &within, outside)?;
    if within == whole || whole == Positions::All {
        return Ok(Some(ys));
    }
    // positions outside the span keep their values, but for the padding
    let (zero, one) = (m.zeros_like()?.detach(), m.ones_like()?.detach());
    apply_affine(&ys, &zero, &one, &zero, &whole, Outside::Zero).map(Some)
}

/// Centre, scale and bias as a tensor (3, N, C) in f64 on the host, on candle's tape.
fn on_tape(evaluated: Evaluated, taken: &[Stats], map: &MapShape) -> Result<Tensor> {
    let shape = (3, map.instances, map.channels);
    let values = evaluated.matrices().concat();
    let parameters: Vec<Tensor> = evaluated.parameters.iter().map(|(tensor, _)| tensor.clone()).collect();
    let host = |tensor: &Tensor| tensor.to_device(&Device::Cpu)?.to_dtype(DType::F64);
    let matrices = taken.iter().flat_map(|stats| [&stats.mean, &stats.variance]).map(host).collect::<Result<Vec<_>>>()?;
    let inputs = match matrices.is_empty() {
        true => Tensor::zeros((1, map.instances, map.channels), DType::F64, &Device::Cpu)?,
        false => Tensor::stack(&matrices, 0)?,
    };
    let left = Left::<f64>::default();
    let chain = chain(&parameters, &left)?;
    inputs.apply_op2(&chain, RuleOp { values: Mutex::new(Some(values)), shape, evaluated: Arc::new(evaluated), left })
}

/// A rule as an operation of candle: its inputs are stacked statistics (2·regions, N, C) and the chain of parameters.
struct RuleOp {
    /// The result, until candle takes it.
    values: Mutex<Option<Vec<f64>>>,
    shape: (usize, usize, usize),
    evaluated: Arc<Evaluated>,
    left: Left<f64>,
}

impl CustomOp2 for RuleOp {
    fn name(&self) -> &'static str {
        "rule"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        match self.values.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(values) => Ok((CpuStorage::F64(values), self.shape.into())),
            None => bail!("the result of a rule is taken once"),
        }
    }

    fn bwd(&self, inputs: &Tensor, chain: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [centre, scale, bias] = [grad.get(0)?, grad.get(1)?, grad.get(2)?];
        let gradients = self.evaluated.backward([host_values(&centre)?, host_values(&scale)?, host_values(&bias)?]);
        self.left.put(gradients.parameters.into_iter().map(Option::unwrap_or_default).collect());
        let len = self.shape.1 * self.shape.2;
        let zeros = || vec![0.; len];
        let mut all: Vec<f64> = gradients.regions.into_iter().flatten().flat_map(|matrix| matrix.unwrap_or_else(zeros)).collect();
        all.resize(inputs.elem_count(), 0.);
        Ok((Some(Tensor::from_vec(all, inputs.shape(), &Device::Cpu)?), Some(chain.zeros_like()?)))
    }
}
