//! Weights of other programs: the tensors of a `.pth` or safetensors file, matched with a network's variables by name.

use crate::pth::{Pth, PthError};
use candle_core::{Device, Tensor};
use sncn_core::Vars;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;

/// What `DataParallel` puts before every name.
const WRAPPED: &str = "module.";
/// What may be absent: it counts training steps and changes no output.
const COUNTER: &str = "num_batches_tracked";

/// Why a file was refused, or does not fit a network.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// Not what the end of its name says.
    #[error("damaged, or no safetensors file")]
    Safetensors(#[source] candle_core::Error),
    /// Not what `torch.save` writes.
    #[error(transparent)]
    Pth(#[from] PthError),
    /// The file lacks a tensor of that name.
    #[error("no tensor {0}")]
    Tensor(String),
    /// The file lacks a variable that every such network has.
    #[error("it has no {name}: of another network ({count} tensors: {first}, …)")]
    Other {
        /// The variable.
        name: String,
        /// How many tensors the file has.
        count: usize,
        /// The first of them.
        first: String,
    },
    /// Two tensors stand for one variable.
    #[error("both {0} and {1} stand for {2}; remove one of them")]
    Twice(String, String, String),
    /// Variables are missing or of another shape.
    #[error(
        "{wrong} of {variables} variables are missing or of another shape (the first: {first}), {surplus} names are surplus: \
         weights of another network"
    )]
    Network {
        /// How many are wrong.
        wrong: usize,
        /// Of how many.
        variables: usize,
        /// What is wrong with the first.
        first: String,
        /// How many names of the file the network lacks.
        surplus: usize,
    },
    /// There is nothing to load into.
    #[error("the network has no variables")]
    NoVariables,
    /// A variable could not be set.
    #[error(transparent)]
    Set(#[from] candle_core::Error),
}

type Result<T> = std::result::Result<T, WeightsError>;

/// A tensor of a file: its name, extents and element type there.
struct Entry {
    name: String,
    shape: Vec<usize>,
    kind: String,
}

/// Where its values are.
enum Values<'a> {
    Pth(Pth<'a>),
    Safetensors(HashMap<String, Tensor>),
}

/// How names of a file are matched with a network's.
pub struct NameMap<'a> {
    /// The network's name of a tensor of the file (DataParallel's `module.` is taken away before).
    pub rename: &'a dyn Fn(&str) -> String,
    /// The variables that keep their values where the file has nothing of their name and shape.
    pub keep_initial: &'a dyn Fn(&str) -> bool,
}

impl NameMap<'_> {
    /// As they are, and nothing may be missing.
    pub const STRICT: NameMap<'static> = NameMap { rename: &|name| name.to_string(), keep_initial: &|_| false };
}

/// What became of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The file has it.
    Matched,
    /// The file has it under another name.
    Renamed,
    /// The variable keeps its value.
    Fresh,
    /// A counter that the file lacks.
    Absent,
    /// The file lacks the variable.
    Missing,
    /// The file has it with another shape.
    Mismatch,
    /// The network lacks it.
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

/// The tensors of a file; only those that a network wants are made.
pub struct Weights<'a> {
    entries: Vec<Entry>,
    values: Values<'a>,
    /// Remarks about what else the file holds.
    pub remarks: Vec<String>,
}

impl<'a> Weights<'a> {
    /// Reads the bytes of a safetensors file, by its `path`, or else of one that `torch.save` wrote.
    ///
    /// # Errors
    /// Where it is neither, damaged, or holds no state dict.
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
        remarks.extend(file.under().map(|key| format!("the state dict stands under {key:?}")));
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

    /// The extents of what stands for the variable `name`.
    ///
    /// # Errors
    /// Where it has none.
    pub fn shape(&self, name: &str) -> Result<&[usize]> {
        let found = self.entries.iter().find(|entry| entry.name.trim_start_matches(WRAPPED) == name);
        let entry = found.ok_or_else(|| {
            let first: Vec<_> = self.entries.iter().take(5).map(|entry| entry.name.as_str()).collect();
            WeightsError::Other { name: name.to_string(), count: self.entries.len(), first: first.join(", ") }
        })?;
        Ok(&entry.shape)
    }

    /// Puts the tensors into `vars`; `say` hears the fate of every name, and what there is to say of it.
    ///
    /// # Errors
    /// Where a variable is missing or has another shape (counters of batches may be missing); nothing is set then.
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
