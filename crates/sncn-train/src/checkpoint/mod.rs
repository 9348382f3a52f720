//! Checkpoints: one safetensors file with weights, optimiser state, step and the resolved run.
//!
//! Weights have their state-dict names, so any safetensors reader can use them; optimiser state has the prefix `optimizer/`, and what is trained
//! beside the network `companion/`. Of a run
//! that averages its weights, the averaged ones have these names, and those that training goes on from have the prefix `trained/`.
//! The metadata key `sncn` holds a JSON document with the step, the run and the SHA-256 of all tensors. A file is written
//! under a temporary name, synced and renamed; the last two are kept. Every random stream is derived from the run's seed and
//! the step, so nothing else is needed to resume bit for bit.

mod error;

use crate::digest::hex;
use crate::files::{remove_abandoned, write_atomically};
use crate::learner::Learner;
use candle_core::{DType, Device, Tensor};
pub use error::CheckpointError;
use safetensors::{SafeTensors, View};
use serde_json::Value;
use sha2::{Digest, Sha256};
use sncn_core::{Vars, WeightAverage};
use sncn_record::SeededRun;
pub use sncn_record::checkpoint::{FORMAT, Header, KEY, Validation};
use sncn_weights::Format;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

const STATE: &str = "optimizer/";
const COMPANION: &str = "companion/";
const TRAINED: &str = "trained/";
/// The file name of the weights of the best epoch, in runs with early stopping.
pub(crate) const SELECTED: &str = "selected.safetensors";
/// The largest 16-bit float.
const LARGEST_HALF: f32 = 65504.;
/// The number of checkpoints of a run that are kept.
pub const KEPT: usize = 2;

type Result<T> = std::result::Result<T, CheckpointError>;

/// A checkpoint in memory.
pub struct Checkpoint {
    /// Its header.
    pub header: Header,
    tensors: HashMap<String, Tensor>,
    path: PathBuf,
}

/// The SHA-256 of the tensors in the order of their names; only one tensor at a time is copied to memory.
fn digest<V: View>(mut tensors: Vec<(&str, V)>) -> String {
    tensors.sort_unstable_by_key(|(name, _)| *name);
    let mut sha = Sha256::new();
    for (name, tensor) in tensors {
        sha.update(format!("{name} {:?} {}\n", tensor.shape(), tensor.data_len()));
        sha.update(tensor.data());
    }
    hex(&sha.finalize())
}

/// The SHA-256 of variables, as a checkpoint with these weights and no other tensors has it.
pub fn digest_of(vars: &Vars) -> String {
    let all = vars.all();
    digest(all.iter().map(|(name, var)| (name.as_str(), var.as_tensor())).collect())
}

/// Saves what training changes, and the `average` of the weights where there is one, as `<folder>/checkpoint-<step>.safetensors` and removes all but
/// the last [`KEPT`] checkpoints.
///
/// # Errors
/// If the file cannot be written, or an old one cannot be removed.
pub fn save(folder: &Path, learner: &Learner<'_>, average: Option<&WeightAverage>, mut header: Header) -> Result<PathBuf> {
    let mut tensors = weights_of(learner.vars);
    if let Some(average) = average {
        let (averages, mut trained): (HashMap<&str, &Tensor>, _) = (average.values().collect(), Vec::new());
        for (name, tensor) in &mut tensors {
            let own = averages.get(name.as_str()).map(|averaged| std::mem::replace(tensor, (*averaged).clone()));
            trained.extend(own.map(|own| (format!("{TRAINED}{name}"), own)));
        }
        tensors.extend(trained);
    }
    let mut extend = |prefix: &str, state: Vec<(String, Tensor)>| {
        tensors.extend(state.into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor)));
    };
    extend(STATE, learner.optimizer.state()?);
    learner.companion.as_ref().map_or(Ok(()), |companion| companion.state().map(|state| extend(COMPANION, state)))?;
    header.sha256 = checked(&tensors)?;
    let path = folder.join(format!("checkpoint-{:08}.safetensors", header.step));
    write(&path, &tensors, HashMap::from([(KEY.to_string(), serde_json::to_string(&header)?)]))?;
    remove_abandoned(folder);
    let all = list(folder)?;
    for old in &all[..all.len().saturating_sub(KEPT)] {
        fs::remove_file(old).map_err(|error| file(old, "an old checkpoint could not be removed", error))?;
    }
    Ok(path)
}

/// Saves `vars` without optimiser state as the checkpoint `path`, for evaluation and prediction; returns the SHA-256 of the tensors.
///
/// # Errors
/// If the file cannot be written; no partial file is left.
pub fn save_weights(path: &Path, vars: &Vars, header: Header) -> Result<String> {
    save_tensors(path, &weights_of(vars), header)
}

/// As [`save_weights`], with every 32-bit float as the nearest of 16 bits: half the size. It is read like any other checkpoint.
///
/// # Errors
/// As [`save_weights`], and if a weight is too large for 16 bits.
pub fn save_half(path: &Path, vars: &Vars, header: Header) -> Result<String> {
    let mut tensors = weights_of(vars);
    for (name, tensor) in tensors.iter_mut().filter(|(_, tensor)| tensor.dtype() == DType::F32) {
        if tensor.elem_count() > 0 && tensor.abs()?.max_all()?.to_scalar::<f32>()? > LARGEST_HALF {
            return Err(CheckpointError::Large(name.clone()));
        }
        *tensor = tensor.to_dtype(DType::F16)?;
    }
    save_tensors(path, &tensors, header)
}

fn save_tensors(path: &Path, tensors: &[(String, Tensor)], mut header: Header) -> Result<String> {
    header.sha256 = checked(tensors)?;
    write(path, tensors, HashMap::from([(KEY.to_string(), serde_json::to_string(&header)?)]))?;
    Ok(header.sha256)
}

/// Whether a tensor is what networks are evaluated with.
fn is_weight(name: &str) -> bool {
    ![STATE, COMPANION, TRAINED].iter().any(|prefix| name.starts_with(prefix))
}

fn weights_of(vars: &Vars) -> Vec<(String, Tensor)> {
    vars.all().into_iter().map(|(name, var)| (name, var.as_detached_tensor())).collect()
}

/// The SHA-256 of the tensors, after a check that checkpoints support their types.
fn checked(tensors: &[(String, Tensor)]) -> Result<String> {
    let other = tensors.iter().find(|(_, tensor)| !matches!(tensor.dtype(), DType::F16 | DType::F32 | DType::F64 | DType::I64));
    if let Some((name, tensor)) = other {
        return Err(CheckpointError::Type(name.clone(), tensor.dtype()));
    }
    Ok(digest(tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect()))
}

fn write(path: &Path, tensors: &[(String, Tensor)], metadata: HashMap<String, String>) -> Result<()> {
    let views = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
    Ok(write_atomically(path, &safetensors::serialize(views, Some(metadata))?)?)
}

/// Lists the checkpoints of a folder, oldest first; a missing folder has none.
///
/// # Errors
/// If the folder exists and cannot be read.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    let unreadable = |error| file(folder, "not readable", error);
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with("checkpoint-") && name.ends_with(".safetensors") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Reads the newest checkpoint of a folder, if there is one.
///
/// # Errors
/// If the newest checkpoint is damaged; the message says whether an older one can be used.
pub fn newest(folder: &Path) -> Result<Option<Checkpoint>> {
    let all = list(folder)?;
    let Some(last) = all.last() else { return Ok(None) };
    Checkpoint::read(last).map(Some).map_err(|error| {
        let whole = all.iter().rev().skip(1).find(|path| Checkpoint::read(path).is_ok());
        let advice = match whole {
            Some(older) => format!("{} is whole: delete the damaged file and run again to go on from it", older.display()),
            None => "no older checkpoint is whole: delete the folder and start again".to_string(),
        };
        CheckpointError::Newest { error: Box::new(error), advice }
    })
}

impl Checkpoint {
    /// The file that it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads and verifies a checkpoint file.
    ///
    /// # Errors
    /// If the file is missing, truncated, damaged, or not a checkpoint of this project.
    pub fn read(path: &Path) -> Result<Self> {
        let damaged = |what, source| CheckpointError::Damaged { path: path.to_path_buf(), what, source };
        let foreign = |found: &str| CheckpointError::Foreign { path: path.to_path_buf(), found: found.to_string() };
        if path.is_dir() {
            return Err(foreign("a folder (of a run, it is given as --run-dir)"));
        }
        let bytes = fs::read(path).map_err(|error| file(path, "not readable", error))?;
        match Format::of(&bytes) {
            // of a checkpoint that is cut short before its brace nothing can be told
            Format::Safetensors => {}
            found => return Err(foreign(&found.to_string())),
        }
        let (_, metadata) =
            SafeTensors::read_metadata(&bytes).map_err(|error| damaged(" (no safetensors header)", Some(error.into())))?;
        let read = SafeTensors::deserialize(&bytes).map_err(|error| damaged(" or truncated", Some(error.into())))?;
        let Some(text) = metadata.metadata().as_ref().and_then(|map| map.get(KEY)) else {
            return Err(foreign("a safetensors file without a run in it"));
        };
        let header: Header = serde_json::from_str(text).map_err(|error| damaged(": the header", Some(error.into())))?;
        if header.format != FORMAT {
            return Err(CheckpointError::Format { path: path.to_path_buf(), format: header.format });
        }
        if digest(read.iter().collect()) != header.sha256 {
            return Err(damaged(" (its checksum does not match)", None));
        }
        let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)
            .map_err(|error| damaged(": the tensors", Some(error.into())))?;
        Ok(Self { header, tensors, path: path.to_path_buf() })
    }

    /// Loads the weights into `vars`: of a run that averages them, the averages.
    ///
    /// # Errors
    /// If the variables and the saved weights do not have the same names and shapes.
    pub fn load_weights(&self, vars: &Vars) -> Result<()> {
        let known: Vec<String> = vars.all().into_iter().map(|(name, _)| name).collect();
        let surplus = self.tensors.keys().filter(|name| is_weight(name) && !known.contains(name)).min();
        if let Some(name) = surplus {
            return Err(CheckpointError::Surplus { path: self.path.clone(), name: name.clone() });
        }
        vars.load(|name| self.tensors.get(name).cloned())
            .map_err(|source| CheckpointError::Network { path: self.path.clone(), source })
    }

    /// Loads the weights that training goes on from into `vars`, of a run that averages them.
    ///
    /// # Errors
    /// If one of the trainable variables is missing or has another shape.
    pub fn load_trained(&self, vars: &Vars) -> Result<()> {
        let trainable: HashSet<String> = vars.trainable().into_iter().map(|(name, _)| name).collect();
        let get = |name: &str| match trainable.contains(name) {
            true => self.tensors.get(&format!("{TRAINED}{name}")).cloned(),
            false => self.tensors.get(name).cloned(),
        };
        vars.load(get).map_err(|source| CheckpointError::Network { path: self.path.clone(), source })
    }

    /// Writes the weights, with PyTorch's names, as a plain safetensors file; returns the number of tensors. Its header has the
    /// class names and these notes, each JSON, under their names.
    ///
    /// # Errors
    /// If the file cannot be written; no partial file is left.
    pub fn export(&self, path: &Path, notes: &[(&str, Value)]) -> Result<usize> {
        let weights = self.tensors.iter().filter(|(name, _)| is_weight(name));
        let weights: Vec<_> = weights.map(|(name, tensor)| (name.clone(), tensor.clone())).collect();
        let mut metadata: HashMap<String, String> =
            notes.iter().map(|(name, note)| (name.to_string(), note.to_string())).collect();
        metadata.insert("classes".to_string(), Value::from(self.header.classes.clone()).to_string());
        // the key that other programs look for
        metadata.insert("format".to_string(), "pt".to_string());
        write(path, &weights, metadata)?;
        Ok(weights.len())
    }

    /// Loads the saved state of the optimiser, and of what is trained beside the network.
    ///
    /// # Errors
    /// If it is that of another one.
    pub fn load_beside(&self, learner: &mut Learner<'_>) -> Result<()> {
        let state = |prefix: &'static str| {
            self.tensors.iter().filter_map(move |(name, t)| name.strip_prefix(prefix).map(|name| (name.to_string(), t.clone())))
        };
        let unfit = |what| move |source| CheckpointError::State { path: self.path.clone(), what, source };
        learner.optimizer.load_state(state(STATE).collect()).map_err(unfit("optimiser"))?;
        match &mut learner.companion {
            Some(companion) => {
                companion.load_state(state(COMPANION).collect()).map_err(unfit("networks that are trained beside this one"))
            }
            None => Ok(()),
        }
    }

    /// Checks that the checkpoint belongs to `run`.
    ///
    /// # Errors
    /// If a setting differs; the error names the first one with both values.
    pub fn check_run(&self, run: &SeededRun) -> Result<()> {
        let saved = &self.header.run;
        if saved == run {
            return Ok(());
        }
        let keys = |run: &Value| run.as_object().into_iter().flat_map(|map| map.keys().cloned()).collect::<Vec<_>>();
        let all = keys(&saved.run).into_iter().chain(keys(&run.run));
        let show = |value: Option<&Value>| value.map_or("absent".to_string(), Value::to_string);
        let (key, there, here) = match all.into_iter().find(|key| saved.run.get(key) != run.run.get(key)) {
            Some(key) => (key.clone(), show(saved.run.get(&key)), show(run.run.get(&key))),
            None => ("seed".to_string(), saved.seed.to_string(), run.seed.to_string()),
        };
        Err(CheckpointError::OtherRun { path: self.path.clone(), key, there, here })
    }
}

fn file(path: &Path, what: &'static str, source: io::Error) -> CheckpointError {
    CheckpointError::File { path: path.to_path_buf(), what, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_nn::Init;
    use sncn_core::Seed;

    #[test]
    fn what_is_too_large_for_16_bits_is_named_and_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("half.safetensors");
        let header = || Header {
            format: FORMAT,
            task: String::new(),
            step: 0,
            total: 0,
            run: SeededRun { run: Value::Null, seed: 0 },
            classes: Vec::new(),
            validation: Vec::new(),
            epochs: Vec::new(),
            told: Vec::new(),
            built: sncn_record::Build::default(),
            sha256: String::new(),
        };
        for (value, is_taken) in [(65504., true), (65536., false)] {
            let vars = Vars::new(Seed::new(0), DType::F32, &Device::Cpu);
            vars.builder().get_with_hints(3, "weight", Init::Const(value)).unwrap();
            match save_half(&path, &vars, header()) {
                Ok(_) => {
                    assert!(is_taken);
                    let kept = Checkpoint::read(&path).unwrap();
                    kept.load_weights(&vars).unwrap();
                    fs::remove_file(&path).unwrap();
                }
                Err(error) => {
                    assert!(!is_taken && error.to_string().contains("weight: a value is too large"), "{error}");
                    assert!(!path.exists());
                }
            }
        }
    }
}
