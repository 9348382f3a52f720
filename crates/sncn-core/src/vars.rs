//! `Vars`: a store of variables in the order of their creation, each initialised from a stream of its own.
//!
//! The order is that of PyTorch's state dict where a network is built in PyTorch's order. The variable `name` is initialised from
//! the stream `seed/init/<name>`, so networks that have a layer in common start with the same weights in it.

use crate::Seed;
use candle_core::{DType, Device, Result, Shape, Tensor, Var, bail};
use candle_nn::init::{FanInOut, NonLinearity, NormalOrUniform};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Default)]
struct Store {
    order: Vec<String>,
    vars: HashMap<String, Var>,
    /// Prefix of names → prefix of the names of their streams, where the two differ.
    streams: HashMap<String, String>,
}

/// A store of variables behind a candle `VarBuilder`, like candle's `VarMap`, but ordered and seeded. Clones share the variables.
///
/// ```
/// use candle_core::{DType, Device};
/// use candle_nn::Module;
/// use sncn_core::{Seed, Vars};
///
/// # fn main() -> candle_core::Result<()> {
/// let vars = Vars::new(Seed::new(0), DType::F32, &Device::Cpu);
/// let linear = candle_nn::linear(4, 2, vars.builder().pp("fc"))?;
/// let names: Vec<_> = vars.all().into_iter().map(|(name, _)| name).collect();
/// assert_eq!(names, ["fc.weight", "fc.bias"]);
/// assert_eq!(linear.forward(&Seed::new(1).normal((3, 4))?)?.dims(), [3, 2]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Vars {
    store: Arc<Mutex<Store>>,
    seed: Seed,
    dtype: DType,
    device: Device,
}

/// Whether a state-dict name is that of a buffer, which is saved but not trained.
fn is_buffer(name: &str) -> bool {
    ["running_mean", "running_var", "num_batches_tracked", "x_ra", "x2_ra"].iter().any(|suffix| name.ends_with(suffix))
}

impl Vars {
    /// An empty store; variables get `dtype` and lie on `device`. `seed` is the run's seed.
    pub fn new(seed: Seed, dtype: DType, device: &Device) -> Self {
        Self { store: Arc::default(), seed: seed.named("init"), dtype, device: device.clone() }
    }

    /// Returns a builder that creates variables in this store, and returns existing ones by name.
    pub fn builder(&self) -> VarBuilder<'static> {
        VarBuilder::from_backend(Box::new(self.clone()), self.dtype, self.device.clone())
    }

    /// Makes variables that are created below `prefix` draw their initial values from the streams of names below `stream`.
    ///
    /// For networks whose published names count attached layers too: with it a parameter of the baseline begins with the
    /// same values whatever is attached. Names in checkpoints do not change.
    pub fn draw_as(&self, prefix: impl Into<String>, stream: impl Into<String>) {
        self.lock().streams.insert(prefix.into(), stream.into());
    }

    /// The name of the stream that the variable `name` draws from: the longest prefix given to [`Vars::draw_as`] replaced.
    fn stream(&self, name: &str) -> String {
        let store = self.lock();
        let known = name.rmatch_indices('.').find_map(|(end, _)| Some((end, store.streams.get(&name[..end])?)));
        known.map_or_else(|| name.to_string(), |(end, stream)| format!("{stream}{}", &name[end..]))
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns all variables and buffers with their names, in order of creation.
    pub fn all(&self) -> Vec<(String, Var)> {
        let store = self.lock();
        store.order.iter().filter_map(|name| store.vars.get(name).map(|var| (name.clone(), var.clone()))).collect()
    }

    /// Returns the variables without the buffers, in order of creation.
    pub fn trainable(&self) -> Vec<(String, Var)> {
        self.all().into_iter().filter(|(name, _)| !is_buffer(name)).collect()
    }

    /// Returns the number of trainable values.
    pub fn parameter_count(&self) -> usize {
        self.trainable().iter().map(|(_, var)| var.elem_count()).sum()
    }

    /// Sets every variable and buffer to `get(name)`, converted to its type and device. On an error nothing is set.
    ///
    /// # Errors
    /// Returns an error where `get` has no tensor for a name, or one of another shape, or one with a value that is NaN or infinite.
    pub fn load(&self, mut get: impl FnMut(&str) -> Option<Tensor>) -> Result<()> {
        let (mut missing, mut found) = (Vec::new(), Vec::new());
        for (name, var) in self.all() {
            match get(&name) {
                Some(tensor) if tensor.shape() == var.shape() => {
                    check_finite(&name, &tensor)?;
                    found.push((var, tensor));
                }
                Some(tensor) => bail!("{name} has shape {:?}, the network wants {:?}", tensor.shape(), var.shape()),
                None => missing.push(name),
            }
        }
        if !missing.is_empty() {
            bail!("{} variables of the network are missing, the first of them {}", missing.len(), missing[0]);
        }
        for (var, tensor) in found {
            var.set(&tensor.to_dtype(var.dtype())?.to_device(var.device())?)?;
        }
        Ok(())
    }

    fn initialise(&self, shape: &Shape, name: &str, init: Init, dtype: DType) -> Result<Tensor> {
        let mut rng = self.seed.named(&self.stream(name)).rng();
        let count = shape.elem_count();
        let normal = |rng: &mut _, mean: f64, stdev: f64| -> Vec<f64> {
            (0..count).map(|_| mean + stdev * Distribution::<f64>::sample(&StandardNormal, rng)).collect()
        };
        let values: Vec<f64> = match init {
            Init::Const(value) => vec![value; count],
            Init::Randn { mean, stdev } => normal(&mut rng, mean, stdev),
            Init::Uniform { lo, up } => (0..count).map(|_| rng.random_range(lo..up)).collect(),
            Init::Kaiming { dist, fan, non_linearity } => {
                let gain = match non_linearity {
                    NonLinearity::ReLU => 2f64.sqrt(),
                    NonLinearity::Tanh => 5. / 3.,
                    NonLinearity::Linear | NonLinearity::Sigmoid => 1.,
                    NonLinearity::SELU => 0.75,
                    NonLinearity::ExplicitGain(gain) => gain,
                };
                let std = gain / (fan_of(fan, shape) as f64).sqrt();
                match dist {
                    NormalOrUniform::Normal => normal(&mut rng, 0., std),
                    NormalOrUniform::Uniform => {
                        let bound = 3f64.sqrt() * std;
                        (0..count).map(|_| rng.random_range(-bound..bound)).collect()
                    }
                }
            }
        };
        Tensor::from_vec(values, shape.clone(), &self.device)?.to_dtype(dtype)
    }
}

fn fan_of(fan: FanInOut, shape: &Shape) -> usize {
    let dims = shape.dims();
    let receptive: usize = dims.iter().skip(2).product();
    match fan {
        FanInOut::FanIn => dims.get(1).copied().unwrap_or(1) * receptive,
        FanInOut::FanOut => dims.first().copied().unwrap_or(1) * receptive,
    }
}

impl SimpleBackend for Vars {
    fn get(&self, shape: Shape, name: &str, init: Init, dtype: DType, _device: &Device) -> Result<Tensor> {
        if let Some(var) = self.lock().vars.get(name) {
            if var.shape() != &shape {
                bail!("{name} exists with shape {:?}, asked for with {shape:?}", var.shape());
            }
            return Ok(var.as_tensor().clone());
        }
        let var = Var::from_tensor(&self.initialise(&shape, name, init, dtype)?)?;
        let tensor = var.as_tensor().clone();
        let mut store = self.lock();
        store.order.push(name.to_string());
        store.vars.insert(name.to_string(), var);
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, _dtype: DType, _device: &Device) -> Result<Tensor> {
        match self.lock().vars.get(name) {
            Some(var) => Ok(var.as_tensor().clone()),
            None => bail!("no variable {name}; ask with a shape to create it"),
        }
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.lock().vars.contains_key(name)
    }
}

/// Refuses a tensor with a value that is NaN or infinite.
fn check_finite(name: &str, tensor: &Tensor) -> Result<()> {
    let values = tensor.flatten_all()?;
    let found = match tensor.dtype() {
        DType::F64 => values.to_vec1::<f64>()?.into_iter().enumerate().find(|(_, value)| !value.is_finite()),
        dtype if dtype.is_float() => {
            let values = values.to_dtype(DType::F32)?.to_vec1::<f32>()?;
            values.into_iter().map(f64::from).enumerate().find(|(_, value)| !value.is_finite())
        }
        _ => None,
    };
    match found {
        Some((index, value)) => bail!("{name}: value {index} is {value}; weights must be finite: take an earlier checkpoint"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_depend_on_the_name_alone_and_order_is_kept() -> Result<()> {
        let make = |names: &[&str]| -> Result<Vars> {
            let vars = Vars::new(Seed::new(3), DType::F32, &Device::Cpu);
            for name in names {
                vars.builder().get_with_hints((4, 3), name, Init::Randn { mean: 0., stdev: 1. })?;
            }
            Ok(vars)
        };
        let (one, two) = (make(&["b", "a"])?, make(&["a", "c", "b"])?);
        assert_eq!(one.all()[0].0, "b");
        assert_eq!(one.all()[0].1.to_vec2::<f32>()?, two.all()[2].1.to_vec2::<f32>()?);
        assert_ne!(one.all()[0].1.to_vec2::<f32>()?, one.all()[1].1.to_vec2::<f32>()?);
        Ok(())
    }

    #[test]
    fn a_prefix_can_draw_from_the_stream_of_another() -> Result<()> {
        let value = |prefixes: &[(&str, &str)], name: &str| -> Result<f32> {
            let vars = Vars::new(Seed::new(3), DType::F32, &Device::Cpu);
            prefixes.iter().for_each(|(prefix, stream)| vars.draw_as(*prefix, *stream));
            vars.builder().get_with_hints((), name, Init::Randn { mean: 0., stdev: 1. })?.to_vec0()
        };
        assert_eq!(value(&[("a.5", "a.4")], "a.5.weight")?, value(&[], "a.4.weight")?);
        assert_eq!(value(&[("a", "b"), ("a.5", "a.4")], "a.5.weight")?, value(&[], "a.4.weight")?);
        assert_eq!(value(&[("a.5", "a.4")], "a.55.weight")?, value(&[], "a.55.weight")?);
        Ok(())
    }

    #[test]
    fn loading_is_strict() -> Result<()> {
        let vars = Vars::new(Seed::new(3), DType::F32, &Device::Cpu);
        vars.builder().get((2, 2), "a.weight")?;
        assert!(vars.load(|_| None).unwrap_err().to_string().contains("a.weight"));
        let wrong = Tensor::zeros(3, DType::F32, &Device::Cpu)?;
        assert!(vars.load(|_| Some(wrong.clone())).unwrap_err().to_string().contains("shape"));
        Ok(())
    }

    #[test]
    fn weights_that_are_not_finite_are_named() -> Result<()> {
        let vars = Vars::new(Seed::new(0), DType::F32, &Device::Cpu);
        vars.builder().get_with_hints(3, "weight", Init::Const(1.))?;
        for (value, text) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
            let weights = Tensor::new(&[0f32, 1., value], &Device::Cpu)?;
            let error = vars.load(|_| Some(weights.clone())).unwrap_err().to_string();
            assert!(error.contains(&format!("weight: value 2 is {text}; weights must be finite")), "{error}");
        }
        let (_, kept) = vars.all().remove(0);
        assert_eq!(kept.to_vec1::<f32>()?, [1., 1., 1.], "nothing is set");
        Ok(())
    }
}
