//! Weights of other programs: the tensors of a `.pth` or safetensors file, matched with a network's variables by name.

use anyhow::{Context, Result, bail, ensure};
use candle_core::{Device, Tensor};
use sncn_core::Vars;
use sncn_core::pth::Pth;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// What `DataParallel` puts before every name.
const WRAPPED: &str = "module.";
/// What may be absent: it counts training steps and changes no output.
const COUNTER: &str = "num_batches_tracked";

/// The tensors of a file.
pub struct Weights {
    tensors: Vec<(String, Tensor, String)>,
    /// Remarks about what else the file holds.
    pub remarks: Vec<String>,
}

impl Weights {
    /// Reads a file that `torch.save` wrote, or a safetensors file.
    ///
    /// # Errors
    /// Where it is neither, damaged, or holds no state dict.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("{}: not readable", path.display()))?;
        let found = if path.extension().is_some_and(|end| end == "safetensors") {
            candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).context("damaged, or no safetensors file").map(
                |tensors| {
                    let tensors: BTreeMap<_, _> = tensors.into_iter().collect();
                    let kind = |tensor: &Tensor| tensor.dtype().as_str().to_string();
                    let tensors = tensors.into_iter().map(|(name, tensor)| (name, tensor.clone(), kind(&tensor))).collect();
                    Self { tensors, remarks: Vec::new() }
                },
            )
        } else {
            Self::of_pth(&bytes)
        };
        found.with_context(|| path.display().to_string())
    }

    fn of_pth(bytes: &[u8]) -> Result<Self> {
        let file = Pth::read(bytes)?;
        let one = |name: &str| Ok((name.to_string(), file.tensor(name)?, file.kind(name).unwrap_or_default().to_string()));
        let mut remarks: Vec<String> = file.others().iter().map(|name| format!("no tensor  {name}")).collect();
        remarks.extend(file.under().map(|key| format!("the state dict stands under {key:?}")));
        Ok(Self { tensors: file.names().map(one).collect::<Result<_>>()?, remarks })
    }

    /// The file's name and extents of the variable `name`.
    ///
    /// # Errors
    /// Where it has none.
    pub fn shape(&self, name: &str) -> Result<&[usize]> {
        let found = self.tensors.iter().find(|(theirs, _, _)| theirs.trim_start_matches(WRAPPED) == name);
        let (_, tensor, _) = found.with_context(|| {
            let has: Vec<_> = self.tensors.iter().take(5).map(|(name, _, _)| name.as_str()).collect();
            format!(
                "it has no {name}: of another network ({} tensors: {}, …); check --backbone and --layers",
                self.tensors.len(),
                has.join(", ")
            )
        })?;
        Ok(tensor.dims())
    }

    /// Puts the tensors into `vars`; `say` hears every name: matched, renamed, missing, surplus or of another shape.
    ///
    /// # Errors
    /// Where a variable is missing or has another shape (counters of batches may be missing); nothing is set then.
    pub fn load(&self, vars: &Vars, mut say: impl FnMut(&str)) -> Result<()> {
        let mut ours: HashMap<String, (&str, &Tensor, &str)> = HashMap::new();
        for (theirs, tensor, kind) in &self.tensors {
            let name = theirs.trim_start_matches(WRAPPED);
            if let Some((other, _, _)) = ours.insert(name.to_string(), (theirs, tensor, kind)) {
                bail!("both {other} and {theirs} stand for {name}; remove one of them")
            }
        }
        let mut wrong = Vec::new();
        let mut values = HashMap::new();
        for (name, var) in vars.all() {
            let (want, Some((theirs, tensor, kind))) = (var.dims(), ours.remove(&name)) else {
                if name.ends_with(COUNTER) {
                    say(&format!("absent     {name}: 0 is taken"));
                    values.insert(name, var.zeros_like()?);
                } else {
                    say(&format!("missing    {name} {:?}", var.dims()));
                    wrong.push(format!("{name} is missing"));
                }
                continue;
            };
            if tensor.dims() != want {
                say(&format!("mismatch   {name}: {:?} in the file, {want:?} in the network", tensor.dims()));
                wrong.push(format!("{name} has shape {:?} instead of {want:?}", tensor.dims()));
                continue;
            }
            let renamed = if theirs == name { "matched   ".to_string() } else { format!("renamed    {theirs} →") };
            let converted = if tensor.dtype() == var.dtype() { String::new() } else { format!(", converted from {kind}") };
            say(&format!("{renamed} {name} {want:?}{converted}"));
            values.insert(name, tensor.clone());
        }
        let mut surplus: Vec<_> = ours.into_values().collect();
        surplus.sort_unstable_by_key(|(theirs, _, _)| *theirs);
        surplus.iter().for_each(|(theirs, tensor, _)| say(&format!("surplus    {theirs} {:?}", tensor.dims())));
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
