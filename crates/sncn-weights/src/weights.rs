//! `Weights`: the tensors of a `.pth` or safetensors file, loaded into a network's variables by name.

use crate::pth::{Pth, PthError};
use candle_core::{Device, Tensor};
use sncn_core::Vars;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;

/// The prefix that `DataParallel` adds to every name.
const WRAPPED: &str = "module.";
/// The variable that may be absent: it counts training steps and does not affect the output.
const COUNTER: &str = "num_batches_tracked";

/// Why a file cannot be read, or is not that of the network.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// A file named `.safetensors` that is not one.
    #[error("damaged, or no safetensors file")]
    Safetensors(#[source] candle_core::Error),
    /// A file that is not a state dict of `torch.save`.
    #[error(transparent)]
    Pth(#[from] PthError),
    /// The file has no tensor of this name.
    #[error("no tensor {0}")]
    Tensor(String),
    /// The file has no tensor for a variable that every network of its kind has.
    #[error("it has no {name}: of another network ({count} tensors: {first}, …)")]
    Other {
        /// Name of the variable.
        name: String,
        /// Number of tensors in the file.
        count: usize,
        /// Names of the first of them.
        first: String,
    },
    /// Two tensors of the file have the same name after renaming.
    #[error("{0} and {1} are both named {2} in the network; remove one of them")]
    Twice(String, String, String),
    /// Variables are missing in the file, or have another shape there.
    #[error(
        "{wrong} of {variables} variables are missing or of another shape (the first: {first}), {surplus} names are surplus: \
         weights of another network"
    )]
    Network {
        /// Number of such variables.
        wrong: usize,
        /// Number of all variables of the network.
        variables: usize,
        /// The first of them, and what is wrong with it.
        first: String,
        /// Number of tensors of the file that are not in the network.
        surplus: usize,
    },
    /// The network has no variables.
    #[error("the network has no variables")]
    NoVariables,
    /// candle could not set a variable.
    #[error(transparent)]
    Set(#[from] candle_core::Error),
}

type Result<T> = std::result::Result<T, WeightsError>;

/// The name, shape and type of a tensor in the file.
struct Entry {
    name: String,
    shape: Vec<usize>,
    kind: String,
}

/// The values of all tensors.
enum Values<'a> {
    Pth(Pth<'a>),
    Safetensors(HashMap<String, Tensor>),
}

/// How the tensors of a file are matched with a network's variables.
pub struct NameMap<'a> {
    /// Returns the network's name for the name of a tensor in the file, from which `DataParallel`'s prefix `module.` was removed.
    pub rename: &'a dyn Fn(&str) -> String,
    /// Returns whether a variable keeps its initial value where the file has no tensor of its name and shape.
    pub keep_initial: &'a dyn Fn(&str) -> bool,
}

impl NameMap<'_> {
    /// The names of the file are those of the network, and no variable may be missing.
    pub const STRICT: NameMap<'static> = NameMap { rename: &|name| name.to_string(), keep_initial: &|_| false };
}

/// The outcome of loading for one variable, or for one tensor of the file that is not in the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Loaded from the tensor of the same name.
    Matched,
    /// Loaded from a tensor of another name.
    Renamed,
    /// Not in the file with this shape: the variable keeps its initial value, as [`NameMap::keep_initial`] allows.
    Fresh,
    /// A counter of training steps that is not in the file: it is set to 0.
    Absent,
    /// Not in the file: an error.
    Missing,
    /// In the file with another shape: an error.
    Mismatch,
    /// A tensor of the file that is not in the network.
    Surplus,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Matched => "matched",
            Self::Renamed => "renamed",
            Self::Fresh => "fresh",
            Self::Absent => "absent",
            Self::Missing => "missing",
            Self::Mismatch => "mismatch",
            Self::Surplus => "surplus",
        })
    }
}

/// The tensors of a file. Only those that a network needs are converted.
pub struct Weights<'a> {
    entries: Vec<Entry>,
    values: Values<'a>,
    /// Remarks about the file: entries that are not tensors, and the key under which the state dict was found.
    pub remarks: Vec<String>,
}

impl<'a> Weights<'a> {
    /// Reads the bytes of the file `path`: a safetensors file where its name ends in `.safetensors`, else a file of `torch.save`.
    ///
    /// # Errors
    /// Returns an error where the bytes are not such a file, are damaged, or have no state dict.
    pub fn read(path: &Path, bytes: &'a [u8]) -> Result<Self> {
        if path.extension().is_some_and(|end| end == "safetensors") {
            let tensors = candle_core::safetensors::load_buffer(bytes, &Device::Cpu).map_err(WeightsError::Safetensors)?;
            let entry = |(name, tensor): (&String, &Tensor)| Entry {
                name: name.clone(),
                shape: tensor.dims().to_vec(),
                kind: tensor.dtype().as_str().to_string(),
            };
            let mut entries: Vec<_> = tensors.iter().map(entry).collect();
            entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
            return Ok(Self { entries, values: Values::Safetensors(tensors), remarks: Vec::new() });
        }
        let file = Pth::read(bytes)?;
        let mut remarks: Vec<String> = file.others().iter().map(|name| format!("no tensor  {name}")).collect();
        remarks.extend(file.under().map(|key| format!("the state dict is under {key:?}")));
        let entry = |name: &str| Entry {
            name: name.to_string(),
            shape: file.shape(name).unwrap_or_default().to_vec(),
            kind: file.kind(name).unwrap_or_default().to_string(),
        };
        Ok(Self { entries: file.names().map(entry).collect(), values: Values::Pth(file), remarks })
    }

    fn tensor(&self, name: &str) -> Result<Tensor> {
        match &self.values {
            Values::Pth(file) => Ok(file.tensor(name)?),
            Values::Safetensors(tensors) => tensors.get(name).cloned().ok_or_else(|| WeightsError::Tensor(name.to_string())),
        }
    }

    /// Returns the shape of the tensor `name`, with or without `DataParallel`'s prefix.
    ///
    /// # Errors
    /// Returns [`WeightsError::Other`] where there is none.
    pub fn shape(&self, name: &str) -> Result<&[usize]> {
        let found = self.entries.iter().find(|entry| entry.name.trim_start_matches(WRAPPED) == name);
        let entry = found.ok_or_else(|| {
            let first: Vec<_> = self.entries.iter().take(5).map(|entry| entry.name.as_str()).collect();
            WeightsError::Other { name: name.to_string(), count: self.entries.len(), first: first.join(", ") }
        })?;
        Ok(&entry.shape)
    }

    /// Sets the variables to the tensors of the file. `report` is called once for each variable and each surplus tensor, with the
    /// outcome, the name, and details such as shapes.
    ///
    /// # Errors
    /// Returns an error, and sets nothing, where two tensors have one name after renaming, a variable is missing or has another
    /// shape (`num_batches_tracked` may be missing), or the network has no variables.
    pub fn load(&self, vars: &Vars, names: &NameMap, mut report: impl FnMut(Outcome, &str, &str)) -> Result<()> {
        let mut ours: HashMap<String, &Entry> = HashMap::new();
        for entry in &self.entries {
            let name = (names.rename)(entry.name.trim_start_matches(WRAPPED));
            if let Some(other) = ours.insert(name.clone(), entry) {
                return Err(WeightsError::Twice(other.name.clone(), entry.name.clone(), name));
            }
        }
        let mut wrong = Vec::new();
        let mut values = HashMap::new();
        for (name, var) in vars.all() {
            let (want, found) = (var.dims(), ours.remove(name.as_str()));
            match found {
                Some(entry) if entry.shape == want => {
                    let tensor = self.tensor(&entry.name)?;
                    let same = entry.name == name;
                    let from = if same { String::new() } else { format!(" from {}", entry.name) };
                    let kind =
                        if tensor.dtype() == var.dtype() { String::new() } else { format!(", converted from {}", entry.kind) };
                    report(if same { Outcome::Matched } else { Outcome::Renamed }, &name, &format!("{want:?}{from}{kind}"));
                    values.insert(name, tensor);
                }
                found if (names.keep_initial)(&name) => {
                    let other = found.map_or_else(String::new, |entry| format!(": {:?} in the file", entry.shape));
                    report(Outcome::Fresh, &name, &format!("{want:?}{other}"));
                    // a variable cannot be set to its own storage
                    values.insert(name, var.as_tensor().copy()?);
                }
                Some(entry) => {
                    report(Outcome::Mismatch, &name, &format!("{:?} in the file, {want:?} in the network", entry.shape));
                    wrong.push(format!("{name} has shape {:?} instead of {want:?}", entry.shape));
                }
                None if name.ends_with(COUNTER) => {
                    report(Outcome::Absent, &name, "0 is taken");
                    values.insert(name, var.zeros_like()?);
                }
                None => {
                    report(Outcome::Missing, &name, &format!("{want:?}"));
                    wrong.push(format!("{name} is missing"));
                }
            }
        }
        let mut surplus: Vec<_> = ours.into_values().collect();
        surplus.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        surplus.iter().for_each(|entry| report(Outcome::Surplus, &entry.name, &format!("{:?}", entry.shape)));
        if let Some(first) = wrong.first() {
            let (wrong, variables, first, surplus) = (wrong.len(), vars.all().len(), first.clone(), surplus.len());
            return Err(WeightsError::Network { wrong, variables, first, surplus });
        }
        if values.is_empty() {
            return Err(WeightsError::NoVariables);
        }
        Ok(vars.load(|name| values.get(name).cloned())?)
    }
}
