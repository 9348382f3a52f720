//! Weights of other programs: the tensors of a `.pth` or safetensors file, matched with a network's variables by name.

use crate::Vars;
use crate::pth::Pth;
use anyhow::{Context, Result, bail, ensure};
use candle_core::{Device, Tensor};
use std::collections::HashMap;
use std::fmt;
use std::path::Path;

/// What `DataParallel` puts before every name.
const WRAPPED: &str = "module.";
/// What may be absent: it counts training steps and changes no output.
const COUNTER: &str = "num_batches_tracked";

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
pub struct Names<'a> {
    /// The network's name of a tensor of the file (DataParallel's `module.` is taken away before).
    pub renamed: &'a dyn Fn(&str) -> String,
    /// The variables that keep their values where the file has nothing of their name and shape.
    pub fresh: &'a dyn Fn(&str) -> bool,
}

impl Names<'_> {
    /// As they are, and nothing may be missing.
    pub const STRICT: Names<'static> = Names { renamed: &|name| name.to_string(), fresh: &|_| false };
}

/// What became of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
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

impl fmt::Display for Fate {
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
            let tensors =
                candle_core::safetensors::load_buffer(bytes, &Device::Cpu).context("damaged, or no safetensors file")?;
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
            Values::Safetensors(tensors) => tensors.get(name).cloned().with_context(|| format!("no tensor {name}")),
        }
    }

    /// The extents of what stands for the variable `name`.
    ///
    /// # Errors
    /// Where it has none.
    pub fn shape(&self, name: &str) -> Result<&[usize]> {
        let found = self.entries.iter().find(|entry| entry.name.trim_start_matches(WRAPPED) == name);
        let entry = found.with_context(|| {
            let has: Vec<_> = self.entries.iter().take(5).map(|entry| entry.name.as_str()).collect();
            format!("it has no {name}: of another network ({} tensors: {}, …)", self.entries.len(), has.join(", "))
        })?;
        Ok(&entry.shape)
    }

    /// Puts the tensors into `vars`; `say` hears the fate of every name, and what there is to say of it.
    ///
    /// # Errors
    /// Where a variable is missing or has another shape (counters of batches may be missing); nothing is set then.
    pub fn load(&self, vars: &Vars, names: &Names, mut say: impl FnMut(Fate, &str, &str)) -> Result<()> {
        let mut ours: HashMap<String, &Entry> = HashMap::new();
        for entry in &self.entries {
            let name = (names.renamed)(entry.name.trim_start_matches(WRAPPED));
            if let Some(other) = ours.insert(name.clone(), entry) {
                bail!("both {} and {} stand for {name}; remove one of them", other.name, entry.name)
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
                    say(if same { Fate::Matched } else { Fate::Renamed }, &name, &format!("{want:?}{from}{kind}"));
                    values.insert(name, tensor);
                }
                found if (names.fresh)(&name) => {
                    let other = found.map_or_else(String::new, |entry| format!(": {:?} in the file", entry.shape));
                    say(Fate::Fresh, &name, &format!("{want:?}{other}"));
                    // a variable cannot be set to its own storage
                    values.insert(name, var.as_tensor().copy()?);
                }
                Some(entry) => {
                    say(Fate::Mismatch, &name, &format!("{:?} in the file, {want:?} in the network", entry.shape));
                    wrong.push(format!("{name} has shape {:?} instead of {want:?}", entry.shape));
                }
                None if name.ends_with(COUNTER) => {
                    say(Fate::Absent, &name, "0 is taken");
                    values.insert(name, var.zeros_like()?);
                }
                None => {
                    say(Fate::Missing, &name, &format!("{want:?}"));
                    wrong.push(format!("{name} is missing"));
                }
            }
        }
        let mut surplus: Vec<_> = ours.into_values().collect();
        surplus.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        surplus.iter().for_each(|entry| say(Fate::Surplus, &entry.name, &format!("{:?}", entry.shape)));
        if let Some(first) = wrong.first() {
            bail!(
                "{} of {} variables are missing or of another shape (the first: {first}), {} names are surplus: weights of another \
                 network",
                wrong.len(),
                vars.all().len(),
                surplus.len()
            )
        }
        ensure!(!values.is_empty(), "the network has no variables");
        Ok(vars.load(|name| values.get(name).cloned())?)
    }
}
