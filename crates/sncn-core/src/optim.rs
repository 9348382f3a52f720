//! Optimisers with PyTorch's update rules: SGD (momentum, Nesterov, decay), Adam, AdamW; their state can be saved.

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

struct Slot {
    name: String,
    var: Var,
    factor: f64,
    first: Vec<f32>,
    second: Vec<f32>,
}

/// What gradients are multiplied by so that their norm together is at most `most`: min(1, most / (norm + 1e-6)), as in PyTorch.
///
/// # Errors
/// Where a gradient is on no device that can be read.
pub fn clipping(grads: &[&Tensor], most: f64) -> Result<f64> {
    let square = |grad: &&Tensor| grad.to_dtype(DType::F64)?.sqr()?.sum_all()?.to_scalar::<f64>();
    let norm = grads.iter().map(square).sum::<Result<f64>>()?.sqrt();
    Ok((most / (norm + 1e-6)).min(1.))
}

/// An optimiser over named variables.
pub struct Optimizer {
    config: OptimizerConfig,
    slots: Vec<Slot>,
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
        let slots = vars.into_iter().map(|(name, var)| Slot { name, var, factor: 1., first: Vec::new(), second: Vec::new() });
        Ok(Self { config, slots: slots.collect(), clip: None, steps: 0 })
    }

    /// Learning-rate factors by variable name (heads ×10, say).
    pub fn with_factors(mut self, factor: impl Fn(&str) -> f64) -> Self {
        self.slots.iter_mut().for_each(|slot| slot.factor = factor(&slot.name));
        self
    }

    /// Gradients are scaled so that their norm together is at most this, where it is given.
    pub fn with_clip(self, clip: Option<f64>) -> Self {
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
            Some(most) => {
                clipping(&self.slots.iter().filter_map(|slot| grads.get(slot.var.as_tensor())).collect::<Vec<_>>(), most)?
            }
            None => 1.,
        };
        for slot in &mut self.slots {
            let Some(grad) = grads.get(slot.var.as_tensor()) else { continue };
            match scale < 1. {
                true => slot.update(&config, &(grad * scale)?, lr * slot.factor, steps)?,
                false => slot.update(&config, grad, lr * slot.factor, steps)?,
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
        for slot in &self.slots {
            for (kind, values) in [("first", &slot.first), ("second", &slot.second)] {
                if !values.is_empty() {
                    state.push((format!("{kind}/{}", slot.name), Tensor::new(values.as_slice(), &Device::Cpu)?));
                }
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
        for slot in &mut self.slots {
            for (kind, values) in [("first", &mut slot.first), ("second", &mut slot.second)] {
                *values = state.remove(&format!("{kind}/{}", slot.name)).map_or(Ok(Vec::new()), |t| t.to_vec1())?;
                if !values.is_empty() && values.len() != slot.var.elem_count() {
                    bail!("state {kind}/{} has {} values, the variable {}", slot.name, values.len(), slot.var.elem_count())
                }
            }
        }
        match state.keys().min() {
            Some(name) => bail!("state {name} belongs to no variable of this network"),
            None => Ok(()),
        }
    }
}

impl Slot {
    fn update(&mut self, config: &OptimizerConfig, grad: &Tensor, lr: f64, steps: i64) -> Result<()> {
        if grad.elem_count() != self.var.elem_count() {
            bail!("{}: a gradient of {} values for {}", self.name, grad.elem_count(), self.var.elem_count())
        }
        let (first, grad) = (self.first.is_empty(), grad.contiguous()?);
        self.first.resize(grad.elem_count(), 0.);
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
        if matches!(rule, Rule::Adam(_)) {
            self.second.resize(grad.elem_count(), 0.);
        }
        let update = Update { rule, state: RefCell::new((&mut self.first, &mut self.second)) };
        if self.var.device().is_cpu() && self.var.is_contiguous() {
            return self.var.inplace_op2(&grad, &update);
        }
        // elsewhere the step is taken here, and the result sent back
        let (p, g) = (self.var.to_device(&Device::Cpu)?.contiguous()?, grad.to_device(&Device::Cpu)?);
        p.inplace_op2(&g, &update)?;
        self.var.set(&p.to_device(self.var.device())?)
    }
}

enum Rule {
    Sgd(optim::Sgd),
    Adam(optim::Adam),
}

/// A step in place: of a variable, given its gradient.
struct Update<'a> {
    rule: Rule,
    state: RefCell<(&'a mut Vec<f32>, &'a mut Vec<f32>)>,
}

impl InplaceOp2 for Update<'_> {
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
