//! A network of candle-transformers, from a file of weights with their published names, as a [`Network`]. It runs as candle's own
//! operations and is measured, not trained.

mod names;
#[cfg(test)]
mod tests;

use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Func, Init, Module, VarBuilder};
use serde_json::Value;
use sncn_core::block::in_chunks;
use sncn_core::{Network, Pass};
use sncn_train::files;
use sncn_train::text_file::{self, listed};
use sncn_weights::{Entry, NameMap, Weights};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The file beside the weights that says which network they are of.
const CONFIG: &str = "config.json";

/// Ends of the names of tensors that networks here do without: counters of training steps, what only pretraining reads, and what is computed
/// from sizes.
const UNREAD: [&str; 5] =
    ["num_batches_tracked", "mask_token", "relative_position_index", "pooler.dense.weight", "pooler.dense.bias"];

/// A network of candle-transformers.
pub(super) struct Candle {
    /// Its file of weights.
    pub(super) path: PathBuf,
    /// Its name, as timm or candle-transformers has it.
    pub(super) name: &'static str,
    /// The number of classes.
    pub(super) classes: usize,
    /// What `config.json` beside its weights says, if there is one.
    pub(super) config: Value,
    model: Func<'static>,
    /// Whether it takes one image at a time.
    is_alone: bool,
}

/// The folder that a path means, itself or that of a file.
fn folder(path: &Path) -> &Path {
    if path.is_dir() { path } else { path.parent().unwrap_or(Path::new("")) }
}

/// Whether `config.json` lies there, in a folder or beside a file.
pub(super) fn is_described(path: &Path) -> bool {
    folder(path).join(CONFIG).is_file()
}

impl Candle {
    /// Opens weights: a file, or a folder with one and `config.json`. `network` names the network; without it that file does. `side` is that
    /// of its images in pixels.
    ///
    /// # Errors
    /// If the network is not known, or the weights are damaged or another network's.
    pub(super) fn open(path: &Path, network: Option<&str>) -> Result<Self> {
        let file = folder(path).join(CONFIG);
        let config: Value = match file.is_file() {
            true => serde_json::from_str(&text_file::read(&file)?.text).with_context(|| file.display().to_string())?,
            false => Value::Null,
        };
        let wanted = match (network, named_in(&config)) {
            (Some(name), _) => name.to_string(),
            (None, Some(name)) => name,
            (None, None) => bail!("{}: it does not name a network that is known here: name it by --network", file.display()),
        };
        let named = names::all().into_iter().find(|named| named.name == wanted);
        let known = || listed(&names::all().iter().map(|named| named.name).collect::<Vec<_>>());
        let named = named.with_context(|| {
            format!("{wanted:?} is no network of candle-transformers that is known here ({}): export it to ONNX", known())
        })?;
        let weights = Weights::open(path, files::look)?;
        let at = weights.path().to_path_buf();
        let opened = || -> Result<_> {
            let holds = |entries: &[Entry]| entries.iter().any(|entry| entry.name() == named.head);
            let dictionary = weights.dictionaries().iter().find(|dictionary| holds(dictionary.entries()));
            let dictionary =
                dictionary.with_context(|| format!("there is no {}: weights of another network than {wanted}", named.head))?;
            let all: Vec<String> = dictionary.entries().iter().map(|entry| entry.name().to_string()).collect();
            let found = weights.find(&all, &NameMap::STRICT, None)?;
            let classes = found.shape(named.head).and_then(|shape| shape.first().copied()).unwrap_or_default();
            ensure!(classes > 1, "{} has no two classes", named.head);
            let taken = Arc::default();
            let tensors = Tensors { all: found.tensors()?, taken: Arc::clone(&taken) };
            let builder = VarBuilder::from_backend(Box::new(tensors), DType::F32, Device::Cpu);
            let model =
                (named.build)(classes, &config, builder).with_context(|| format!("these are not the weights of {wanted}"))?;
            let taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
            let is_left = |name: &&str| !taken.contains(*name) && !UNREAD.iter().any(|end| name.ends_with(end));
            let left: Vec<&str> = all.iter().map(String::as_str).filter(is_left).collect();
            ensure!(
                left.is_empty(),
                "{wanted} has no place for {} of its tensors ({}): name the network that they are of by --network",
                left.len(),
                listed(&left)
            );
            Ok((model, classes))
        };
        let (model, classes) = opened().with_context(|| at.display().to_string())?;
        Ok(Self { path: at, name: named.name, classes, config, model, is_alone: false })
    }

    /// Lets it answer two images of noise, as images are brought to it; finds out whether it takes them together.
    ///
    /// # Errors
    /// If it cannot take images of that side, or does not answer with a finite score for every class.
    pub(super) fn probe(&mut self, side: usize) -> Result<()> {
        let noise = |index: usize| ((index as u32).wrapping_mul(2_654_435_761) >> 16) as f32 / 65_536. - 0.5;
        let images = Tensor::from_vec((0..2 * side * side * 3).map(noise).collect(), (2, side, side, 3), &Device::Cpu)?;
        let pass = Pass::eval();
        // some multiply matrices that lie apart where there are several images, which candle refuses
        self.is_alone = self.forward(&images, &pass).is_err();
        let scores = self.forward(&images, &pass);
        let scores =
            scores.with_context(|| format!("{} does not take images of {side} x {side} pixels: correct --input", self.name))?;
        ensure!(scores.dims() == [2, self.classes], "{} answers {:?} for {} classes", self.name, scores.dims(), self.classes);
        let scores: Vec<f32> = scores.flatten_all()?.to_vec1()?;
        ensure!(scores.iter().all(|score| score.is_finite()), "{} answers what is not finite to an image of noise", self.name);
        Ok(())
    }
}

/// The network that a `config.json` names: timm's `architecture`, without what follows a dot, or a vision transformer of Hugging Face.
fn named_in(config: &Value) -> Option<String> {
    let text = |key: &str| config.get(key).and_then(Value::as_str);
    match (text("architecture"), text("model_type")) {
        (Some(name), _) => Some(name.split('.').next().unwrap_or(name).to_string()),
        (None, Some(names::VIT)) => Some(names::VIT.to_string()),
        _ => None,
    }
}

impl Network for Candle {
    fn forward(&self, xs: &Tensor, pass: &Pass) -> candle_core::Result<Tensor> {
        if pass.train {
            candle_core::bail!("{}: a network of candle-transformers is measured here and not trained", self.path.display())
        }
        let answers = |xs: &Tensor| self.model.forward(&xs.permute((0, 3, 1, 2))?.contiguous()?);
        if self.is_alone {
            let each = (0..xs.dim(0)?).map(|index| answers(&xs.narrow(0, index, 1)?));
            return Tensor::cat(&each.collect::<candle_core::Result<Vec<_>>>()?, 0);
        }
        in_chunks(xs, pass, answers)
    }

    fn sites(&self) -> usize {
        0
    }
}

/// The tensors of a file, with the names of those that a network took; it may ask for some that it can do without.
struct Tensors {
    all: HashMap<String, Tensor>,
    taken: Arc<Mutex<BTreeSet<String>>>,
}

impl SimpleBackend for Tensors {
    fn get(&self, shape: Shape, name: &str, _: Init, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        match self.all.get(name) {
            Some(tensor) if *tensor.shape() != shape => {
                candle_core::bail!("{name} has shape {:?}, and {:?} is wanted", tensor.dims(), shape.dims())
            }
            _ => self.get_unchecked(name, dtype, device),
        }
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        let Some(tensor) = self.all.get(name) else { candle_core::bail!("{name} is missing") };
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_string());
        tensor.to_device(device)?.to_dtype(dtype)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.all.contains_key(name)
    }
}
