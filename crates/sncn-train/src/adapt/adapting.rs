//! `Adapting`: a network that adapts to the batches it answers.

use super::settings::{Adapt, Tent};
use candle_core::{DType, Result, Tensor, Var, bail};
use sncn_core::layer::is_gate_parameter;
use sncn_core::optim::Optimizer;
use sncn_core::{Network, Pass, TestTime, Vars, backward, loss};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What TENT trains, with the values from before.
struct Trained {
    optimizer: Optimizer,
    source: Vec<(Var, Tensor)>,
}

/// What has happened since the beginning of a test set.
struct State {
    test_time: TestTime,
    batches: usize,
    trained: Option<Trained>,
}

/// A network that adapts to the batches it answers, in evaluation passes. When it is dropped, the network has the weights from before.
///
/// ```
/// use candle_core::{DType, Device, Result, Tensor};
/// use sncn_core::block::{ConvLayer, Head};
/// use sncn_core::layer::BatchNorm;
/// use sncn_core::{BuildContext, FeatureMap, Network, Pass, Seed, Vars};
/// use sncn_train::adapt::{Adapt, Adapting};
///
/// struct Small(ConvLayer, BatchNorm, Head);
///
/// impl Network for Small {
///     fn forward(&self, xs: &Tensor, pass: &Pass) -> Result<Tensor> {
///         let map = self.0.on_map(&FeatureMap::from_tensor(xs, true, pass)?)?;
///         self.2.forward(&self.1.norm_relu(&map, pass)?.global_avg_pool()?)
///     }
///
///     fn sites(&self) -> usize {
///         0
///     }
/// }
///
/// # fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
/// let vars = Vars::new(Seed::new(0), DType::F32, &Device::Cpu);
/// let cx = BuildContext::new(8, vars.builder());
/// let conv = ConvLayer::same(cx.vb.pp("conv"), 3, 8, 3, 1)?;
/// let network = Small(conv, BatchNorm::new(&cx.at(8, cx.vb.pp("norm")))?, Head::new(cx.vb.pp("head"), 8, 5)?);
/// let (images, pass) = (Seed::new(1).normal((16, 6, 6, 3))?, Pass::eval());
/// let entropy = |logits: &Tensor| sncn_core::loss::entropy(logits)?.mean_all()?.to_scalar::<f32>();
///
/// let tent = Adapt::parse("tent")?.resolved(16)?;
/// let adapting = Adapting::new(&network, &vars, &tent);
/// let before = entropy(&adapting.forward(&images, &pass)?)?;
/// for _ in 0..20 {
///     adapting.forward(&images, &pass)?;
/// }
/// assert!(entropy(&adapting.forward(&images, &pass)?)? < before);
/// # Ok(())
/// # }
/// ```
pub struct Adapting<'a> {
    network: &'a dyn Network,
    vars: &'a Vars,
    adapt: &'a Adapt,
    state: Mutex<State>,
}

impl<'a> Adapting<'a> {
    /// A network with its variables, which adapts with these resolved settings ([`Adapt::resolved`]).
    pub fn new(network: &'a dyn Network, vars: &'a Vars, adapt: &'a Adapt) -> Self {
        let state = State { test_time: adapt.test_time(), batches: 0, trained: None };
        Self { network, vars, adapt, state: Mutex::new(state) }
    }

    /// The settings.
    pub fn adapt(&self) -> &Adapt {
        self.adapt
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a test set: with the weights from before, a fresh optimiser, and nothing gathered.
    ///
    /// # Errors
    /// If a variable cannot be set.
    pub fn begin(&self) -> Result<()> {
        let mut state = self.state();
        restore(&mut state)?;
        (state.test_time, state.batches) = (self.adapt.test_time(), 0);
        Ok(())
    }

    /// Whether a test set is to be read as a whole, for its statistics alone, before it is answered.
    pub fn gathers_first(&self) -> bool {
        matches!(self.adapt, Adapt::WholeSet(_))
    }

    /// From now on the statistics of all batches since the beginning are used.
    pub fn use_gathered(&self) {
        let mut state = self.state();
        state.test_time = state.test_time.gathered();
    }

    /// Answers a batch and then steps down the entropy of the answers.
    fn tent(&self, tent: &Tent, xs: &Tensor, pass: &Pass) -> Result<Tensor> {
        let mut state = self.state();
        if tent.episodic {
            restore(&mut state)?;
        }
        let own = Pass::adapting(&state.test_time);
        let own = match pass.lengths() {
            Some(lengths) => own.with_lengths(lengths.clone()),
            None => own,
        };
        let logits = self.network.forward(xs, &own)?;
        state.batches += 1;
        let entropies = loss::entropy(&logits)?;
        let values = entropies.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            bail!(
                "TENT: in batch {} of this set the entropy of answer {} of {} is {}: the scores are no finite numbers; choose a lower \
                 adapt.lr, \"episodic\": true, or statistics alone",
                state.batches,
                at + 1,
                values.len(),
                values[at]
            )
        }
        let gradients = backward(&entropies.mean_all()?)?;
        if state.trained.is_none() {
            state.trained = Some(self.begin_training(tent, &state.test_time)?);
        }
        if let Some(trained) = &mut state.trained {
            trained.optimizer.step(&gradients, tent.lr)?;
        }
        Ok(logits.detach())
    }

    /// An optimiser of the parameters that adapt, which are known once a batch has passed through the network.
    fn begin_training(&self, tent: &Tent, test_time: &TestTime) -> Result<Trained> {
        let adapts = |name: &str, var: &Var| {
            (tent.place.has(false) && test_time.is_of_body(var.as_tensor())) || (tent.place.has(true) && is_gate_parameter(name))
        };
        let vars: Vec<(String, Var)> = self.vars.trainable().into_iter().filter(|(name, var)| adapts(name, var)).collect();
        if vars.is_empty() {
            bail!("{}", self.nothing_adapts())
        }
        let source = vars.iter().map(|(_, var)| Ok((var.clone(), var.as_detached_tensor().copy()?)));
        Ok(Trained { source: source.collect::<Result<_>>()?, optimizer: Optimizer::new(tent.optimizer.clone(), vars)? })
    }

    fn nothing_adapts(&self) -> String {
        let (has, where_) = match (self.adapt.place().has(false), self.adapt.place().has(true)) {
            (true, false) => ("no BatchNorm on its maps", "body"),
            (false, true) => ("no SelfNorm gates", "gates"),
            _ => ("no BatchNorm", "both"),
        };
        format!(
            "adapt: the network has {has}, so that nothing adapts with \"where\": {where_:?}; choose another, or take adapt away"
        )
    }
}

/// Gives trained parameters the values from before, and forgets the optimiser.
fn restore(state: &mut State) -> Result<()> {
    let Some(Trained { source, .. }) = state.trained.take() else { return Ok(()) };
    source.iter().try_for_each(|(var, value)| var.set(value))
}

impl Network for Adapting<'_> {
    fn forward(&self, xs: &Tensor, pass: &Pass) -> Result<Tensor> {
        if pass.train {
            bail!("a network adapts in evaluation passes, and this is a training pass")
        }
        let (logits, adapted) = match self.adapt {
            Adapt::Tent(tent) => (self.tent(tent, xs, pass)?, true),
            _ => {
                let test_time = self.state().test_time.clone();
                (self.network.forward(xs, &pass.clone().with_test_time(&test_time))?, test_time.adapted() > 0)
            }
        };
        if !adapted {
            bail!("{}", self.nothing_adapts())
        }
        Ok(logits)
    }

    fn sites(&self) -> usize {
        self.network.sites()
    }
}

impl Drop for Adapting<'_> {
    fn drop(&mut self) {
        // the variables were set to values of their own shape before
        let _ = restore(&mut self.state());
    }
}
