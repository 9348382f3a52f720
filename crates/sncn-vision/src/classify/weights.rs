//! Weights of other programs: the tensors of a `.pth` or safetensors file, matched with a network's variables by name.

use anyhow::{Context, Result, bail, ensure};
use candle_core::{Device, Tensor};
use sncn_core::Vars;
use sncn_core::pth::Pth;
use std::collections::HashMap;
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
            format!(
                "it has no {name}: of another network ({} tensors: {}, …); check --backbone and --layers",
                self.entries.len(),
                has.join(", ")
            )
        })?;
        Ok(&entry.shape)
    }

    /// Puts the tensors into `vars`; `say` hears every name: matched, renamed, missing, surplus or of another shape.
    ///
    /// # Errors
    /// Where a variable is missing or has another shape (counters of batches may be missing); nothing is set then.
    pub fn load(&self, vars: &Vars, mut say: impl FnMut(&str)) -> Result<()> {
        let mut ours: HashMap<&str, &Entry> = HashMap::new();
        for entry in &self.entries {
            let name = entry.name.trim_start_matches(WRAPPED);
            if let Some(other) = ours.insert(name, entry) {
                bail!("both {} and {} stand for {name}; remove one of them", other.name, entry.name)
            }
        }
        let mut wrong = Vec::new();
        let mut values = HashMap::new();
        for (name, var) in vars.all() {
            let (want, Some(entry)) = (var.dims(), ours.remove(name.as_str())) else {
                if name.ends_with(COUNTER) {
                    say(&format!("absent     {name}: 0 is taken"));
                    values.insert(name, var.zeros_like()?);
                } else {
                    say(&format!("missing    {name} {:?}", var.dims()));
                    wrong.push(format!("{name} is missing"));
                }
                continue;
            };
            if entry.shape != want {
                say(&format!("mismatch   {name}: {:?} in the file, {want:?} in the network", entry.shape));
                wrong.push(format!("{name} has shape {:?} instead of {want:?}", entry.shape));
                continue;
            }
            let tensor = self.tensor(&entry.name)?;
            let renamed = if entry.name == name { "matched   ".to_string() } else { format!("renamed    {} →", entry.name) };
            let converted =
                if tensor.dtype() == var.dtype() { String::new() } else { format!(", converted from {}", entry.kind) };
            say(&format!("{renamed} {name} {want:?}{converted}"));
            values.insert(name, tensor);
        }
        let mut surplus: Vec<_> = ours.into_values().collect();
        surplus.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        surplus.iter().for_each(|entry| say(&format!("surplus    {} {:?}", entry.name, entry.shape)));
        if let Some(first) = wrong.first() {
            bail!(
                "{} of {} variables are missing or of another shape (listed above; the first: {first}), {} names are surplus: \
                 weights of another network; check --backbone, --layers and --classes",
                wrong.len(),
                vars.all().len(),
                surplus.len()
            )
        }
        ensure!(!values.is_empty(), "the network has no variables");
        Ok(vars.load(|name| values.get(name).cloned())?)
    }
}
