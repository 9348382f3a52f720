//! `StateDict`: the dictionary of tensors that a network's variables are in, and loading it.

use crate::dictionary::Entry;
use crate::error::{Result, WeightsError};
use crate::part::{Part, tensors};
use candle_core::Tensor;
use sncn_core::Vars;
use std::collections::{HashMap, HashSet};
use std::fmt;

/// The variable that may be absent: it counts training steps and does not affect the output.
const COUNTER: &str = "num_batches_tracked";

/// How the tensors of a file are matched with a network's variables.
pub struct NameMap<'a> {
    /// Returns the network's name for the name of a tensor in the file, from which what wrappers added was removed.
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

/// The dictionary that a network's variables are in, as [`Weights::find`](crate::Weights::find) chose it.
pub struct StateDict<'w> {
    pub(crate) parts: &'w [Part],
    pub(crate) entries: Vec<Entry>,
    /// The index of the entry for each name of the network that is there.
    pub(crate) found: HashMap<String, usize>,
    pub(crate) map: &'w NameMap<'w>,
    /// Where it is and how its names begin, with the number of names of the network; `None` where nothing else could be meant.
    pub place: Option<String>,
    /// What else in the file has names of the network.
    pub others: Option<String>,
}

impl fmt::Debug for StateDict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateDict")
            .field("found", &self.found)
            .field("place", &self.place)
            .field("others", &self.others)
            .finish_non_exhaustive()
    }
}

impl StateDict<'_> {
    fn entry(&self, name: &str) -> Option<&Entry> {
        self.found.get(name).and_then(|&at| self.entries.get(at))
    }

    /// Returns the shape of the tensor for a variable.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entry(name).map(Entry::shape)
    }

    /// Reads the tensors of the network's names that are there, as the file has them.
    ///
    /// # Errors
    /// Returns an error where a tensor is damaged or not finite.
    pub fn tensors(&self) -> Result<HashMap<String, Tensor>> {
        let found: Vec<(&String, &Entry)> = self.found.iter().map(|(name, &at)| (name, &self.entries[at])).collect();
        let entries: Vec<&Entry> = found.iter().map(|(_, entry)| *entry).collect();
        let tensors = tensors(self.parts, &entries)?;
        Ok(found.into_iter().map(|(name, _)| name.clone()).zip(tensors).collect())
    }

    /// Sets the variables to the tensors of the file. `report` is called once for each variable and each surplus tensor, with the
    /// outcome, the name, and details such as shapes.
    ///
    /// # Errors
    /// Returns an error, and sets nothing, where a variable is missing or has another shape (`num_batches_tracked` may be missing), a
    /// tensor is damaged or not finite, or the network has no variables.
    pub fn load(&self, vars: &Vars, mut report: impl FnMut(Outcome, &str, &str)) -> Result<()> {
        let all = vars.all();
        if all.is_empty() {
            return Err(WeightsError::NoVariables);
        }
        let fits = |name: &str, want: &[usize]| self.entry(name).filter(|entry| entry.shape() == want);
        let needed: Vec<_> = all.iter().filter_map(|(name, var)| Some((name, fits(name, var.dims())?))).collect();
        let tensors = tensors(self.parts, &needed.iter().map(|&(_, entry)| entry).collect::<Vec<_>>())?;
        let mut values: HashMap<&str, Tensor> = needed.iter().map(|(name, _)| name.as_str()).zip(tensors).collect();
        let mut wrong = Vec::new();
        let mut used = HashSet::new();
        for (name, var) in &all {
            let (want, found) = (var.dims(), self.entry(name));
            used.extend(self.found.get(name).copied());
            match (found, values.get(name.as_str())) {
                (Some(entry), Some(tensor)) => {
                    let same = entry.name() == name;
                    let from = if same { String::new() } else { format!(" from {}", entry.name()) };
                    let kind =
                        if tensor.dtype() == var.dtype() { String::new() } else { format!(", converted from {}", entry.kind()) };
                    report(if same { Outcome::Matched } else { Outcome::Renamed }, name, &format!("{want:?}{from}{kind}"));
                    // what is finite in f64 need not be so in f32
                    if var.dtype().is_float() {
                        let tensor = tensor.to_dtype(var.dtype())?;
                        values.insert(name, tensor);
                    }
                }
                (found, _) if (self.map.keep_initial)(name) => {
                    let other = found.map_or_else(String::new, |entry| format!(": {:?} in the file", entry.shape()));
                    report(Outcome::Fresh, name, &format!("{want:?}{other}"));
                    // a variable cannot be set to its own storage
                    values.insert(name, var.as_tensor().copy()?);
                }
                (Some(entry), _) => {
                    report(Outcome::Mismatch, name, &format!("{:?} in the file, {want:?} in the network", entry.shape()));
                    wrong.push(format!("{name} has shape {:?} instead of {want:?}", entry.shape()));
                }
                (None, _) if name.ends_with(COUNTER) => {
                    report(Outcome::Absent, name, "0 is taken");
                    values.insert(name, var.zeros_like()?);
                }
                (None, _) => {
                    report(Outcome::Missing, name, &format!("{want:?}"));
                    wrong.push(format!("{name} is missing"));
                }
            }
        }
        let mut surplus: Vec<_> = (0..self.entries.len()).filter(|at| !used.contains(at)).map(|at| &self.entries[at]).collect();
        surplus.sort_unstable_by_key(|entry| entry.name());
        surplus.iter().for_each(|entry| report(Outcome::Surplus, entry.name(), &format!("{:?}", entry.shape())));
        if let Some(first) = wrong.first() {
            let (wrong, variables, first, surplus) = (wrong.len(), all.len(), first.clone(), surplus.len());
            return Err(WeightsError::Network { wrong, variables, first, surplus });
        }
        Ok(vars.load(|name| values.get(name).cloned())?)
    }
}
