//! Optimisers with PyTorch's update rules: SGD (momentum, Nesterov, decay), Adam, AdamW; their state can be saved.
//!
//! Variables in f32 on the CPU step as a kernel, others as the reference implementation: candle's operations, on the variable's
//! device and in its type.

use crate::ops::has_kernel;
use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, DType, Device, InplaceOp2, Layout, Result, Tensor, Var, bail};
use serde::{Deserialize, Serialize};
use sncn_kernels::optim;
use sncn_kernels::simd::Form;
use std::cell::RefCell;
use std::collections::HashMap;

/// Which optimiser, with what settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum OptimizerConfig {
    /// buf = momentum·buf + g; p −= lr·(g + momentum·buf) with Nesterov, else lr·buf.
    Sgd {
        /// Share of the old direction.
        momentum: f64,
        /// Nesterov's form.
        nesterov: bool,
        /// Added to the gradient as decay·p.
        weight_decay: f64,
    },
    /// Kingma, Ba 2015, bias corrected; decay is added to the gradient.
    Adam {
        /// Shares of the old moments.
        betas: (f64, f64),
        /// Added to the root.
        eps: f64,
        /// Added to the gradient as decay·p.
        weight_decay: f64,
    },
    /// Loshchilov, Hutter 2019: p is first scaled by 1 − lr·decay.
    AdamW {
        /// Shares of the old moments.
        betas: (f64, f64),
        /// Added to the root.
        eps: f64,
        /// Decoupled decay.
        weight_decay: f64,
    },
}

struct VarState {
    name: String,
    var: Var,
    factor: f64,
    first: Moment,
    second: Moment,
}

/// A running mean of a variable's gradients or of their squares, absent before the first step.
enum Moment {
    None,
    /// Where kernels step.
    Values(Vec<f32>),
    /// Where tensor operations do, and as it was saved.
    Tensor(Tensor),
}

impl Moment {
    fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// The values, zeros where there were none, leaving nothing behind.
    fn take_values(&mut self, like: &Tensor) -> Result<Vec<f32>> {
        match std::mem::replace(self, Self::None) {
            Self::None => Ok(vec![0.; like.elem_count()]),
            Self::Values(values) => Ok(values),
            Self::Tensor(tensor) => tensor.flatten_all()?.to_dtype(DType::F32)?.to_vec1(),
        }
    }

    /// As a tensor like the variable.
    fn tensor(&self, like: &Tensor) -> Result<Tensor> {
        match self {
            Self::None => like.zeros_like()?,
            Self::Values(values) => Tensor::new(values.as_slice(), &Device::Cpu)?,
            Self::Tensor(tensor) => tensor.clone(),
        }
        .to_device(like.device())?
        .to_dtype(like.dtype())?
        .reshape(like.shape())
    }

    /// As it is saved: a row in main memory; nothing before the first step.
    fn saved(&self) -> Result<Option<Tensor>> {
        match self {
            Self::None => Ok(None),
            Self::Values(values) => Tensor::new(values.as_slice(), &Device::Cpu).map(Some),
            Self::Tensor(tensor) => tensor.flatten_all()?.to_device(&Device::Cpu).map(Some),
        }
    }
}

/// What gradients are multiplied by so that their norm together is at most `most`: min(1, most / (norm + 1e-6)), as in PyTorch.
///
/// # Errors
/// Where a gradient is on no device that can be read.
pub fn clip_coefficient(grads: &[&Tensor], most: f64) -> Result<f64> {
    let square = |grad: &&Tensor| grad.to_dtype(DType::F64)?.sqr()?.sum_all()?.to_scalar::<f64>();
    let norm = grads.iter().map(square).sum::<Result<f64>>()?.sqrt();
    Ok((most / (norm + 1e-6)).min(1.))
}

/// An optimiser over named variables.
pub struct Optimizer {
    config: OptimizerConfig,
    entries: Vec<VarState>,
    clip: Option<f64>,
    steps: i64,
}

impl Optimizer {
    /// Over these variables, with no state.
    ///
    /// # Errors
    /// Where a setting is outside its range.
    pub fn new(config: OptimizerConfig, vars: Vec<(String, Var)>) -> Result<Self> {
        if let OptimizerConfig::Sgd { momentum, nesterov: true, .. } = config
            && momentum <= 0.
        {
            bail!("optimizer sgd: nesterov needs a momentum above 0, not {momentum}")
        }
        let entries =
            vars.into_iter().map(|(name, var)| VarState { name, var, factor: 1., first: Moment::None, second: Moment::None });
        Ok(Self { config, entries: entries.collect(), clip: None, steps: 0 })
    }

    /// Learning-rate factors by variable name (heads ×10, say).
    pub fn with_lr_factors(mut self, factor: impl Fn(&str) -> f64) -> Self {
        self.entries.iter_mut().for_each(|entry| entry.factor = factor(&entry.name));
        self
    }

    /// Gradients are scaled so that their norm together is at most this, where it is given.
    pub fn with_clip_norm(self, clip: Option<f64>) -> Self {
        Self { clip, ..self }
    }

    /// One update; variables without a gradient are left alone.
    ///
    /// # Errors
    /// Where a gradient does not fit its variable.
    pub fn step(&mut self, grads: &GradStore, lr: f64) -> Result<()> {
        self.steps += 1;
        let (config, steps) = (self.config.clone(), self.steps);
        let scale = match self.clip {
            Some(most) => clip_coefficient(
                &self.entries.iter().filter_map(|entry| grads.get(entry.var.as_tensor())).collect::<Vec<_>>(),
                most,
            )?,
            None => 1.,
        };
        for entry in &mut self.entries {
            let Some(grad) = grads.get(entry.var.as_tensor()) else { continue };
            match scale < 1. {
                true => entry.update(&config, &(grad * scale)?, lr * entry.factor, steps)?,
                false => entry.update(&config, grad, lr * entry.factor, steps)?,
            }
        }
        Ok(())
    }

    /// The state, by name.
    ///
    /// # Errors
    /// Where a tensor cannot be made.
    pub fn state(&self) -> Result<Vec<(String, Tensor)>> {
        let mut state = vec![("steps".to_string(), Tensor::new(self.steps, &Device::Cpu)?)];
        for entry in &self.entries {
            for (kind, moment) in [("first", &entry.first), ("second", &entry.second)] {
                state.extend(moment.saved()?.map(|values| (format!("{kind}/{}", entry.name), values)));
            }
        }
        Ok(state)
    }

    /// Puts a saved state back.
    ///
    /// # Errors
    /// Where it is that of other variables.
    pub fn load_state(&mut self, state: Vec<(String, Tensor)>) -> Result<()> {
        let mut state: HashMap<String, Tensor> = state.into_iter().collect();
        let Some(steps) = state.remove("steps") else { bail!("the optimiser state lacks \"steps\"") };
        self.steps = steps.to_scalar()?;
        for entry in &mut self.entries {
            for (kind, moment) in [("first", &mut entry.first), ("second", &mut entry.second)] {
                let (saved, wanted) = (state.remove(&format!("{kind}/{}", entry.name)), entry.var.elem_count());
                if let Some(values) = saved.as_ref().filter(|values| values.elem_count() != wanted) {
                    bail!("state {kind}/{} has {} values, the variable {wanted}", entry.name, values.elem_count())
                }
                *moment = saved.map_or(Moment::None, Moment::Tensor);
            }
        }
        match state.keys().min() {
            Some(name) => bail!("state {name} belongs to no variable of this network"),
            None => Ok(()),
        }
    }
}

impl VarState {
    fn update(&mut self, config: &OptimizerConfig, grad: &Tensor, lr: f64, steps: i64) -> Result<()> {
        if grad.elem_count() != self.var.elem_count() {
            bail!("{}: a gradient of {} values for {}", self.name, grad.elem_count(), self.var.elem_count())
        }
        let (first, grad) = (self.first.is_none(), grad.contiguous()?);
        let adam = |betas, eps, weight_decay, decoupled_decay| {
            let step = i32::try_from(steps).unwrap_or(i32::MAX);
            optim::Adam { lr, betas, eps, weight_decay, decoupled_decay, step }
        };
        let rule = match *config {
            OptimizerConfig::Sgd { momentum, nesterov, weight_decay } => {
                Rule::Sgd(optim::Sgd { lr, momentum, nesterov, weight_decay, first })
            }
            OptimizerConfig::Adam { betas, eps, weight_decay } => Rule::Adam(adam(betas, eps, weight_decay, 0.)),
            OptimizerConfig::AdamW { betas, eps, weight_decay } => Rule::Adam(adam(betas, eps, 0., weight_decay)),
        };
        let keeps_squares = matches!(rule, Rule::Adam(_));
        if has_kernel(&self.var) && self.var.dtype() == DType::F32 && self.var.is_contiguous() {
            let first = self.first.take_values(&self.var)?;
            let second = if keeps_squares { self.second.take_values(&self.var)? } else { Vec::new() };
            let update = Update { rule, state: RefCell::new((first, second)) };
            self.var.inplace_op2(&grad, &update)?;
            let (first, second) = update.state.into_inner();
            self.first = Moment::Values(first);
            if keeps_squares {
                self.second = Moment::Values(second);
            }
            return Ok(());
        }
        let (p, g) = (self.var.as_detached_tensor(), grad.detach().reshape(self.var.shape())?);
        let first = self.first.tensor(&p)?;
        let (p, first) = match rule {
            Rule::Sgd(sgd) => reference::sgd(&sgd, &p, &g, &first)?,
            Rule::Adam(adam) => {
                let (p, first, second) = reference::adam(&adam, &p, &g, &first, &self.second.tensor(&p)?)?;
                self.second = Moment::Tensor(second);
                (p, first)
            }
        };
        self.first = Moment::Tensor(first);
        self.var.set(&p)
    }
}

/// The steps made of candle's operations: what they make of a variable p and its moments, given its gradient g.
mod reference {
    use candle_core::{Result, Tensor};
    use sncn_kernels::optim::{Adam, Sgd};

    pub(super) fn sgd(s: &Sgd, p: &Tensor, g: &Tensor, buffer: &Tensor) -> Result<(Tensor, Tensor)> {
        let g = (g + (p * s.weight_decay)?)?;
        let buffer = if s.first { g.clone() } else { ((buffer * s.momentum)? + &g)? };
        let along = if s.nesterov { (g + (&buffer * s.momentum)?)? } else { buffer.clone() };
        Ok(((p - (along * s.lr)?)?, buffer))
    }

    pub(super) fn adam(s: &Adam, p: &Tensor, g: &Tensor, m: &Tensor, v: &Tensor) -> Result<(Tensor, Tensor, Tensor)> {
        let (rate, root) = (s.lr / (1. - s.betas.0.powi(s.step)), (1. - s.betas.1.powi(s.step)).sqrt());
        let g = (g + (p * s.weight_decay)?)?;
        let m = ((m * s.betas.0)? + (&g * (1. - s.betas.0))?)?;
        let v = ((v * s.betas.1)? + (g.sqr()? * (1. - s.betas.1))?)?;
        let along = m.div(&((v.sqrt()? / root)? + s.eps)?)?;
        Ok((((p * (1. - s.lr * s.decoupled_decay))? - (along * rate)?)?, m, v))
    }
}

enum Rule {
    Sgd(optim::Sgd),
    Adam(optim::Adam),
}

/// A step in place: of a variable, given its gradient.
struct Update {
    rule: Rule,
    state: RefCell<(Vec<f32>, Vec<f32>)>,
}

impl InplaceOp2 for Update {
    fn name(&self) -> &'static str {
        "optimizer-step"
    }

    fn cpu_fwd(&self, p: &mut CpuStorage, at: &Layout, g: &CpuStorage, of: &Layout) -> Result<()> {
        let (CpuStorage::F32(p), CpuStorage::F32(g)) = (p, g) else { bail!("optimisers step in f32") };
        let (Some(at), Some(of)) = (at.contiguous_offsets(), of.contiguous_offsets()) else {
            bail!("an optimiser's tensors are contiguous")
        };
        let (p, g, mut state) = (&mut p[at.0..at.1], &g[of.0..of.1], self.state.borrow_mut());
        let (first, second) = &mut *state;
        match &self.rule {
            Rule::Sgd(sgd) => optim::sgd_step(Form::current(), sgd, p, g, first),
            Rule::Adam(adam) => optim::adam_step(Form::current(), adam, p, g, first, second),
        }
        Ok(())
    }
}
