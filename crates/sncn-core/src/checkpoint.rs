//! Checkpoints: one safetensors file with weights, optimiser state, step and the resolved run.
//!
//! Weights stand under their state-dict names, so any safetensors reader can use them; optimiser state under `optimizer/`.
//! The metadata key `sncn` holds a JSON document with the step, the run and the SHA-256 of all tensors. A file is written
//! under a temporary name, synced and renamed; the last two are kept. Every stream follows from the run's seed and the
//! step, so nothing else is needed to go on bit for bit.

use crate::Vars;
use crate::optim::Optimizer;
use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Device, Tensor};
use safetensors::{SafeTensors, View};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

const KEY: &str = "sncn";
const STATE: &str = "optimizer/";
/// The file of the best checkpoint, where training chooses one: weights alone.
pub const SELECTED: &str = "selected.safetensors";
/// How many checkpoints of a run are kept.
pub const KEPT: usize = 2;

/// What a checkpoint says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Version of this layout.
    pub format: u32,
    /// Steps done.
    pub step: usize,
    /// Steps of the whole run.
    pub total: usize,
    /// The resolved run.
    pub run: Value,
    /// Class names, in label order.
    pub classes: Vec<String>,
    /// Scores on held-out examples so far, where training looks at them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<Held>,
    /// SHA-256 over names, shapes and bytes of all tensors.
    pub sha256: String,
}

/// A score on held-out examples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// Steps done.
    pub step: usize,
    /// The higher, the better.
    pub score: f64,
}

/// A checkpoint in memory.
pub struct Checkpoint {
    /// Its header.
    pub header: Header,
    tensors: HashMap<String, Tensor>,
    path: PathBuf,
}

/// Over the tensors by their names; the bytes of one at a time are in memory.
fn digest<V: View>(mut tensors: Vec<(&str, V)>) -> String {
    tensors.sort_unstable_by_key(|(name, _)| *name);
    let mut sha = Sha256::new();
    for (name, tensor) in tensors {
        sha.update(format!("{name} {:?} {}\n", tensor.shape(), tensor.data_len()));
        sha.update(tensor.data());
    }
    sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes `bytes` as `path`: under a temporary name beside it, synced, renamed.
///
/// # Errors
/// Where the disk is full or the folder cannot be written; the old file, if any, is untouched.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).with_context(|| format!("{}: the folder cannot be made", folder.display()))?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let temporary = folder.join(format!(".{name}.partial"));
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(folder)?.sync_all()
    };
    write().or_else(|error| {
        // what was not finished must not be mistaken for a result; a failed removal changes nothing
        let _ = fs::remove_file(&temporary);
        Err(error).with_context(|| {
            format!("{}: could not be written; free space or choose another folder, then resume", path.display())
        })
    })
}

/// Saves `vars` and `optimizer` as `<folder>/checkpoint-<step>.safetensors` and drops all but the last two.
///
/// # Errors
/// Where it cannot be written.
pub fn save(folder: &Path, vars: &Vars, optimizer: &Optimizer, mut header: Header) -> Result<PathBuf> {
    let mut tensors = weights_of(vars);
    tensors.extend(optimizer.state()?.into_iter().map(|(name, tensor)| (format!("{STATE}{name}"), tensor)));
    header.sha256 = checked(&tensors)?;
    let path = folder.join(format!("checkpoint-{:08}.safetensors", header.step));
    write(&path, &tensors, HashMap::from([(KEY.to_string(), serde_json::to_string(&header)?)]))?;
    let all = list(folder)?;
    for old in &all[..all.len().saturating_sub(KEPT)] {
        fs::remove_file(old).with_context(|| format!("{}: an old checkpoint could not be removed", old.display()))?;
    }
    Ok(path)
}

/// Saves `vars` alone as the checkpoint `path`: enough to evaluate and to predict, not to train on.
///
/// # Errors
/// Where it cannot be written; nothing is left behind.
pub fn save_weights(path: &Path, vars: &Vars, mut header: Header) -> Result<()> {
    let tensors = weights_of(vars);
    header.sha256 = checked(&tensors)?;
    write(path, &tensors, HashMap::from([(KEY.to_string(), serde_json::to_string(&header)?)]))
}

fn weights_of(vars: &Vars) -> Vec<(String, Tensor)> {
    vars.all().into_iter().map(|(name, var)| (name, var.as_detached_tensor())).collect()
}

/// The digest of tensors that can be saved.
fn checked(tensors: &[(String, Tensor)]) -> Result<String> {
    let other = tensors.iter().find(|(_, tensor)| !matches!(tensor.dtype(), DType::F32 | DType::F64 | DType::I64));
    if let Some((name, tensor)) = other {
        bail!("{name}: a tensor of type {:?} cannot be saved", tensor.dtype())
    }
    Ok(digest(tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect()))
}

fn write(path: &Path, tensors: &[(String, Tensor)], metadata: HashMap<String, String>) -> Result<()> {
    let views = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
    write_atomically(path, &safetensors::serialize(views, Some(metadata))?)
}

/// The checkpoints of a folder, oldest first.
///
/// # Errors
/// Where the folder exists and cannot be read.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("{}: not readable", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with("checkpoint-") && name.ends_with(".safetensors") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The newest checkpoint of a folder, if any.
///
/// # Errors
/// Where the newest is damaged; the message offers the older one.
pub fn newest(folder: &Path) -> Result<Option<Checkpoint>> {
    let all = list(folder)?;
    let Some(last) = all.last() else { return Ok(None) };
    Checkpoint::read(last).map(Some).map_err(|error| {
        let whole = all.iter().rev().skip(1).find(|path| Checkpoint::read(path).is_ok());
        let advice = match whole {
            Some(older) => format!("{} is whole: delete the damaged file and run again to go on from it", older.display()),
            None => "no older checkpoint is whole: delete the folder and start again".to_string(),
        };
        anyhow::anyhow!("{error:#}; {advice}")
    })
}

impl Checkpoint {
    /// Reads and verifies a file.
    ///
    /// # Errors
    /// Where it is missing, truncated, damaged, or not a checkpoint of this project.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("{}: not readable", path.display()))?;
        let at = || path.display().to_string();
        let (_, metadata) =
            SafeTensors::read_metadata(&bytes).with_context(|| format!("{}: damaged (no safetensors header)", at()))?;
        let file = SafeTensors::deserialize(&bytes).with_context(|| format!("{}: damaged or truncated", at()))?;
        let Some(text) = metadata.metadata().as_ref().and_then(|map| map.get(KEY)) else {
            bail!("{}: a safetensors file, but not a checkpoint of sncn (its metadata lacks {KEY:?})", at())
        };
        let header: Header = serde_json::from_str(text).with_context(|| format!("{}: damaged header", at()))?;
        ensure!(header.format == 1, "{}: format {} is newer than this program, which reads 1", at(), header.format);
        let sum = digest(file.iter().collect());
        ensure!(sum == header.sha256, "{}: damaged (its checksum does not match)", at());
        let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).with_context(at)?;
        Ok(Self { header, tensors, path: path.to_path_buf() })
    }

    /// Puts the weights into `vars`.
    ///
    /// # Errors
    /// Where the network differs from the saved one.
    pub fn load_weights(&self, vars: &Vars) -> Result<()> {
        let known: Vec<String> = vars.all().into_iter().map(|(name, _)| name).collect();
        let surplus = self.tensors.keys().filter(|name| !name.starts_with(STATE) && !known.contains(name)).min();
        if let Some(name) = surplus {
            bail!("{}: a checkpoint of another network: it has {name}, which this network lacks", self.path.display())
        }
        vars.load(|name| self.tensors.get(name).cloned())
            .with_context(|| format!("{}: a checkpoint of another network", self.path.display()))
    }

    /// Writes the weights alone, under PyTorch's names, as a plain safetensors file; says how many tensors that are.
    ///
    /// # Errors
    /// Where it cannot be written; nothing is left behind.
    pub fn export(&self, path: &Path) -> Result<usize> {
        let weights = self.tensors.iter().filter(|(name, _)| !name.starts_with(STATE));
        let weights: Vec<_> = weights.map(|(name, tensor)| (name.clone(), tensor.clone())).collect();
        // the mark that other programs look for
        write(path, &weights, HashMap::from([("format".to_string(), "pt".to_string())]))?;
        Ok(weights.len())
    }

    /// Puts the saved state into `optimizer`.
    ///
    /// # Errors
    /// Where it is the state of another optimiser.
    pub fn load_optimizer(&self, optimizer: &mut Optimizer) -> Result<()> {
        let state =
            self.tensors.iter().filter_map(|(name, t)| name.strip_prefix(STATE).map(|name| (name.to_string(), t.clone())));
        optimizer.load_state(state.collect()).with_context(|| format!("{}: optimiser state", self.path.display()))
    }

    /// Refuses a checkpoint of another run.
    ///
    /// # Errors
    /// Names the first key that differs, with both values.
    pub fn check_run(&self, run: &Value) -> Result<()> {
        if self.header.run == *run {
            return Ok(());
        }
        let (Some(saved), Some(asked)) = (self.header.run.as_object(), run.as_object()) else {
            bail!("{}: a checkpoint of another run", self.path.display())
        };
        let key = saved.keys().chain(asked.keys()).find(|key| saved.get(*key) != asked.get(*key));
        let show = |map: &serde_json::Map<String, Value>| {
            key.and_then(|key| map.get(key)).map_or("absent".to_string(), Value::to_string)
        };
        bail!(
            "{}: a checkpoint of another run: {:?} is {} there and {} here; choose another --run-dir",
            self.path.display(),
            key.map_or("", String::as_str),
            show(saved),
            show(asked)
        )
    }
}
