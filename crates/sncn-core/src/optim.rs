//! Optimisers with PyTorch's update rules: SGD (momentum, Nesterov, weight decay), Adam and AdamW. Their state can be saved.
//!
//! f32 variables on the CPU are updated by a kernel, others by the reference implementation: candle's operations, on the
//! variable's device and in its type.

use crate::ops::has_kernel;
use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, DType, Device, InplaceOp2, Layout, Result, Tensor, Var, bail};
use serde::{Deserialize, Serialize};
use sncn_kernels::optim;
use sncn_kernels::simd::Form;
use std::cell::RefCell;
use std::collections::HashMap;

/// The optimiser and its settings; as JSON `{"kind": "sgd", …}`. The learning rate is an argument of [`Optimizer::step`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum OptimizerConfig {
    /// Stochastic gradient descent: buf = momentum·buf + g; p −= lr·(g + momentum·buf) with Nesterov, else p −= lr·buf.
    Sgd {
        /// The momentum.
        momentum: f64,
        /// Whether to use Nesterov momentum.
        nesterov: bool,
        /// Added to the gradient as decay·p.
        weight_decay: f64,
    },
    /// Adam (Kingma, Ba 2015, algorithm 1), with weight decay added to the gradient.
    Adam {
        /// Decay rates β₁ and β₂ of the moments.
        betas: (f64, f64),
        /// Added to the denominator.
        eps: f64,
        /// Added to the gradient as decay·p.
        weight_decay: f64,
    },
    /// AdamW (Loshchilov, Hutter 2019, algorithm 2): as Adam, but p is first multiplied by 1 − lr·decay.
    AdamW {
        /// Decay rates β₁ and β₂ of the moments.
        betas: (f64, f64),
        /// Added to the denominator.
        eps: f64,
        /// Decoupled weight decay.
        weight_decay: f64,
    },
}

/// A variable with its state.
struct VarState {
    name: String,
    var: Var,
    factor: f64,
    /// Whether weight decay acts on it.
    decays: bool,
    first: Moment,
    second: Moment,
}

/// A running mean of a variable's gradients (or SGD's momentum buffer), or of their squares; `None` before the first step.
enum Moment {
    None,
    /// Of variables that a kernel updates.
    Values(Vec<f32>),
    /// Of other variables, and after loading.
    Tensor(Tensor),
}

impl Moment {
    fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Takes the values, zeros where there are none.
    fn take_values(&mut self, like: &Tensor) -> Result<Vec<f32>> {
        match std::mem::replace(self, Self::None) {
            Self::None => Ok(vec![0.; like.elem_count()]),
            Self::Values(values) => Ok(values),
            Self::Tensor(tensor) => tensor.flatten_all()?.to_dtype(DType::F32)?.to_vec1(),
        }
    }

    /// A tensor of the variable's shape, type and device.
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

    /// The form in which it is saved: one-dimensional, on the CPU; `None` before the first step.
    fn saved(&self) -> Result<Option<Tensor>> {
        match self {
            Self::None => Ok(None),
            Self::Values(values) => Tensor::new(values.as_slice(), &Device::Cpu).map(Some),
            Self::Tensor(tensor) => tensor.flatten_all()?.to_device(&Device::Cpu).map(Some),
        }
    }
}

/// Computes the factor that limits the norm of all gradients together to `max_norm`: min(1, max_norm / (norm + 1e-6)), as PyTorch's
/// `clip_grad_norm_`.
///
/// # Errors
/// Returns candle's error where a gradient cannot be read.
pub fn clip_coefficient(grads: &[&Tensor], max_norm: f64) -> Result<f64> {
    let square = |grad: &&Tensor| grad.to_dtype(DType::F64)?.sqr()?.sum_all()?.to_scalar::<f64>();
    let norm = grads.iter().map(square).sum::<Result<f64>>()?.sqrt();
    Ok((max_norm / (norm + 1e-6)).min(1.))
}

/// An optimiser of named variables.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use candle_nn::Module;
/// use sncn_core::optim::{Optimizer, OptimizerConfig};
/// use sncn_core::{Seed, Vars, backward, loss};
///
/// # fn main() -> candle_core::Result<()> {
/// let vars = Vars::new(Seed::new(0), DType::F32, &Device::Cpu);
/// let linear = candle_nn::linear(4, 2, vars.builder())?;
/// let sgd = OptimizerConfig::Sgd { momentum: 0.9, nesterov: true, weight_decay: 0. };
/// let mut optimizer = Optimizer::new(sgd, vars.trainable())?;
/// let xs = Tensor::new(&[[1f32, 0., 0., 0.], [0., 1., 0., 0.]], &Device::Cpu)?;
/// let mut losses = Vec::new();
/// for _ in 0..20 {
///     let loss = loss::cross_entropy(&linear.forward(&xs)?, &[0, 1], None)?;
///     losses.push(loss::value(&loss)?);
///     optimizer.step(&backward(&loss)?, 0.1)?;
/// }
/// assert!(losses[19] < losses[0]);
/// # Ok(())
/// # }
/// ```
pub struct Optimizer {
    config: OptimizerConfig,
    entries: Vec<VarState>,
    clip: Option<f64>,
    steps: i64,
}

impl Optimizer {
    /// An optimiser of these variables, without state.
    ///
    /// # Errors
    /// Returns an error for Nesterov momentum without momentum.
    pub fn new(config: OptimizerConfig, vars: Vec<(String, Var)>) -> Result<Self> {
        if let OptimizerConfig::Sgd { momentum, nesterov: true, .. } = config
            && momentum <= 0.
        {
            bail!("optimizer sgd: nesterov needs a momentum above 0, not {momentum}")
        }
        let (factor, decays) = (1., true);
        let state = |(name, var)| VarState { name, var, factor, decays, first: Moment::None, second: Moment::None };
        Ok(Self { config, entries: vars.into_iter().map(state).collect(), clip: None, steps: 0 })
    }

    /// Multiplies the learning rate of each variable by `factor(name)` (10 for heads, for example).
    pub fn with_lr_factors(mut self, factor: impl Fn(&str) -> f64) -> Self {
        self.entries.iter_mut().for_each(|entry| entry.factor = factor(&entry.name));
        self
    }

    /// Weight decay acts on the variables alone of whose names `decays` is true: often not on biases and norms.
    pub fn with_decay_of(mut self, decays: impl Fn(&str) -> bool) -> Self {
        self.entries.iter_mut().for_each(|entry| entry.decays = decays(&entry.name));
        self
    }

    /// Limits the norm of all gradients together to `clip`; `None` does not limit it.
    pub fn with_clip_norm(self, clip: Option<f64>) -> Self {
        Self { clip, ..self }
    }

    /// Updates the variables with learning rate `lr`; those without a gradient keep their values.
    ///
    /// # Errors
    /// Returns an error where a gradient has another number of values than its variable.
    pub fn step(&mut self, grads: &GradStore, lr: f64) -> Result<()> {
        self.steps += 1;
        let (config, steps) = (self.config.clone(), self.steps);
        let scale = match self.clip {
            Some(max_norm) => clip_coefficient(
                &self.entries.iter().filter_map(|entry| grads.get(entry.var.as_tensor())).collect::<Vec<_>>(),
                max_norm,
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

    /// Returns the state by name: `steps`, and `first/<name>` and `second/<name>` for the moments of each variable.
    ///
    /// # Errors
    /// Returns candle's error where a tensor cannot be copied to the CPU.
    pub fn state(&self) -> Result<Vec<(String, Tensor)>> {
        let mut state = vec![("steps".to_string(), Tensor::new(self.steps, &Device::Cpu)?)];
        for entry in &self.entries {
            for (kind, moment) in [("first", &entry.first), ("second", &entry.second)] {
                state.extend(moment.saved()?.map(|values| (format!("{kind}/{}", entry.name), values)));
            }
        }
        Ok(state)
    }

    /// Loads a state that [`Optimizer::state`] returned.
    ///
    /// # Errors
    /// Returns an error where `steps` is missing, a moment has another number of values than its variable, or a name is that of no
    /// variable.
    pub fn load_state(&mut self, state: Vec<(String, Tensor)>) -> Result<()> {
        let mut state: HashMap<String, Tensor> = state.into_iter().collect();
        let Some(steps) = state.remove("steps") else { bail!("the optimiser state has no \"steps\"") };
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
        let decay = |decay: f64| if self.decays { decay } else { 0. };
        let rule = match *config {
            OptimizerConfig::Sgd { momentum, nesterov, weight_decay } => {
                Rule::Sgd(optim::Sgd { lr, momentum, nesterov, weight_decay: decay(weight_decay), first })
            }
            OptimizerConfig::Adam { betas, eps, weight_decay } => Rule::Adam(adam(betas, eps, decay(weight_decay), 0.)),
            OptimizerConfig::AdamW { betas, eps, weight_decay } => Rule::Adam(adam(betas, eps, 0., decay(weight_decay))),
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

/// The update rules in candle's operations: from a variable p, its moments and its gradient g, the new p and moments.
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

/// An update of a variable in place, given its gradient.
struct Update {
    rule: Rule,
    state: RefCell<(Vec<f32>, Vec<f32>)>,
}

impl InplaceOp2 for Update {
    fn name(&self) -> &'static str {
        "optimizer-step"
    }

    fn cpu_fwd(&self, p: &mut CpuStorage, at: &Layout, g: &CpuStorage, of: &Layout) -> Result<()> {
        let (CpuStorage::F32(p), CpuStorage::F32(g)) = (p, g) else { bail!("the optimiser kernels take f32") };
        let (Some(at), Some(of)) = (at.contiguous_offsets(), of.contiguous_offsets()) else {
            bail!("the optimiser kernels take contiguous tensors")
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
