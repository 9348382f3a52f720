//! The state dict in the object's pickle: its key, its storages, its tensors.

use super::error::{PthError, Result, part};
use super::kind::{KINDS, Kind, StorageSlice};
use crate::pickle::{Id, Node, Pickle};
use std::collections::{BTreeSet, HashMap};

/// Keys under which training programs keep a state dict.
const KEYS: [&str; 4] = ["state_dict", "model", "net", "model_state_dict"];

/// The most bytes of a name or key: a longer one that is repeated could take more memory than the file.
const LONGEST: usize = 1024;
/// The most dimensions of a tensor in PyTorch.
const DIMENSIONS: usize = 64;

/// A storage, as described in the pickle.
#[derive(Debug, PartialEq)]
pub(super) struct Storage {
    /// Its element type; `None` for an untyped storage, whose elements are bytes.
    pub(super) kind: Option<&'static Kind>,
    /// Number of elements.
    pub(super) count: usize,
}

impl Storage {
    /// Its size in bytes, where that does not overflow.
    pub(super) fn bytes(&self) -> Option<usize> {
        self.count.checked_mul(self.kind.map_or(1, |kind| kind.bytes))
    }

    /// A description for error messages.
    pub(super) fn describe(&self) -> String {
        format!("{} elements of {}", self.count, self.kind.map_or("one byte", |kind| kind.name))
    }
}

/// The state dict, and the key it was found under.
pub(super) struct Found {
    pub(super) id: Id,
    pub(super) under: Option<&'static str>,
}

/// A name or key.
fn short(pickle: &Pickle, id: Id) -> Option<String> {
    let length = match pickle.node(id) {
        Node::Text(text) => text.len(),
        Node::Bytes(range) => range.len(),
        _ => return None,
    };
    if length <= LONGEST { pickle.text(id) } else { None }
}

/// The pairs of a dictionary, also of an `OrderedDict`.
fn pairs<'p>(pickle: &'p Pickle, id: Id) -> Option<&'p [(Id, Id)]> {
    match pickle.node(id) {
        Node::Dict(pairs) => Some(pairs),
        Node::Call { callable, state: Some(state), .. } if pickle.is_global(*callable, "OrderedDict") => {
            match pickle.node(*state) {
                Node::Dict(pairs) => Some(pairs),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Finds the state dict.
pub(super) fn find(pickle: &Pickle) -> Result<Found> {
    let has_tensors = |id: Id| pairs(pickle, id).is_some_and(|pairs| pairs.iter().any(|&(_, value)| is_tensor(pickle, value)));
    let root = pickle.root();
    if has_tensors(root) {
        return Ok(Found { id: root, under: None });
    }
    if matches!(pickle.node(root), Node::Call { .. }) && pickle.entry(root, "_modules").is_some() {
        return Err(PthError::Content(
            "a whole module was saved, which only its own code can rebuild; save its state_dict() instead".into(),
        ));
    }
    for key in KEYS {
        if let Some(id) = pickle.entry(root, key).filter(|&id| has_tensors(id)) {
            return Ok(Found { id, under: Some(key) });
        }
    }
    let keys: Vec<String> = pairs(pickle, root).unwrap_or_default().iter().take(8).filter_map(|p| short(pickle, p.0)).collect();
    let has = if keys.is_empty() { "no dictionary with names".to_string() } else { format!("the keys {}", keys.join(", ")) };
    Err(PthError::Content(format!(
        "no state dict with tensors in it: the saved object has {has}; it may be a state dict itself or hold one under {}",
        KEYS.join(", ")
    )))
}

/// The name of the function and the arguments of a call into `torch._utils`.
fn call<'p>(pickle: &'p Pickle, id: Id) -> Option<(&'p str, &'p [Id])> {
    let Node::Call { callable, arguments, .. } = pickle.node(id) else { return None };
    let Node::Global { module, name } = pickle.node(*callable) else { return None };
    (module == "torch._utils").then_some((name.as_str(), pickle.items(*arguments)?))
}

/// The call that rebuilds a tensor, which may be the argument of one that rebuilds a parameter.
fn tensor(pickle: &Pickle, id: Id) -> Option<Id> {
    match call(pickle, id)? {
        ("_rebuild_parameter" | "_rebuild_parameter_with_state", arguments) => {
            let &inner = arguments.first()?;
            matches!(call(pickle, inner)?.0, "_rebuild_tensor_v2" | "_rebuild_tensor_v3").then_some(inner)
        }
        ("_rebuild_tensor_v2" | "_rebuild_tensor_v3", _) => Some(id),
        _ => None,
    }
}

fn is_tensor(pickle: &Pickle, id: Id) -> bool {
    tensor(pickle, id).is_some()
}

/// The key and the description of a storage from its persistent id: ("storage", type, key, location, count, …).
fn storage(pickle: &Pickle, id: Id) -> std::result::Result<(String, Storage), String> {
    let items = pickle.items(id).unwrap_or_default();
    let [tag, class, key, _, count, rest @ ..] = items else { return Err("its storage is not described as one".into()) };
    if pickle.text(*tag).as_deref() != Some("storage") {
        return Err("its storage is not described as one".into());
    }
    if rest.iter().any(|&view| *pickle.node(view) != Node::None) {
        return Err("its storage is a view of another: save the file again with PyTorch 1.6 or later".into());
    }
    let Node::Global { name, .. } = pickle.node(*class) else { return Err("its storage has no type".into()) };
    let kind = KINDS.iter().find(|kind| kind.storage == name);
    if kind.is_none() && name != "UntypedStorage" {
        let known: Vec<_> = KINDS.iter().map(|kind| kind.storage).filter(|name| !name.is_empty()).collect();
        return Err(format!("its storage is a {name:?}; {}, UntypedStorage are accepted", known.join(", ")));
    }
    let key = short(pickle, *key).ok_or("its storage has no key")?;
    let count = pickle.int(*count).and_then(|count| usize::try_from(count).ok()).ok_or("its storage has no size")?;
    Ok((key, Storage { kind, count }))
}

/// All storages that the pickle describes.
pub(super) fn storages(pickle: &Pickle) -> Result<HashMap<String, Storage>> {
    let mut found: HashMap<String, Storage> = HashMap::new();
    for node in pickle.nodes() {
        let Node::Persistent(id) = node else { continue };
        // other persistent ids are an error only where a tensor of the state dict uses them
        let Ok((key, storage)) = storage(pickle, *id) else { continue };
        match found.get(&key) {
            Some(known) if *known != storage => {
                return part(&format!("storage {key:?}"), format!("{} and {}", known.describe(), storage.describe()));
            }
            _ => drop(found.insert(key, storage)),
        }
    }
    Ok(found)
}

/// The entries of a state dict.
pub(super) struct Entries {
    pub(super) slices: Vec<(String, StorageSlice)>,
    /// The index of each name among them.
    pub(super) indices: HashMap<String, usize>,
    pub(super) others: Vec<String>,
}

/// Reads the entries of the state dict; of a name that occurs twice, the last entry is used.
pub(super) fn entries(pickle: &Pickle, dict: Id, storages: &HashMap<String, Storage>) -> Result<Entries> {
    let mut indices: HashMap<String, usize> = HashMap::new();
    let (mut slices, mut others): (Vec<(String, StorageSlice)>, BTreeSet<String>) = Default::default();
    for &(name, value) in pairs(pickle, dict).unwrap_or_default() {
        let Some(name) = short(pickle, name) else {
            others.insert("(a name that is not a short string)".to_string());
            continue;
        };
        let Some(id) = tensor(pickle, value) else {
            others.insert(name);
            continue;
        };
        let slice = slice(pickle, id, storages).map_err(|what| PthError::Tensor { name: name.clone(), what })?;
        match indices.get(&name) {
            Some(&at) => slices[at].1 = slice,
            None => {
                indices.insert(name.clone(), slices.len());
                slices.push((name, slice));
            }
        }
    }
    Ok(Entries { slices, indices, others: others.into_iter().collect() })
}

/// The tensor that a call of `_rebuild_tensor_v2` or `_v3` would make, checked against its storage.
fn slice(pickle: &Pickle, id: Id, storages: &HashMap<String, Storage>) -> std::result::Result<StorageSlice, String> {
    let (name, arguments) = call(pickle, id).ok_or("not rebuilt by torch._utils")?;
    let &[location, offset, shape, strides, ref rest @ ..] = arguments else { return Err("too few arguments".into()) };
    let Node::Persistent(location) = *pickle.node(location) else { return Err("its storage is not in the file".into()) };
    let (key, _) = storage(pickle, location)?;
    let storage = storages.get(&key).ok_or("its storage is not in the file")?;
    let kind = match name {
        "_rebuild_tensor_v3" => rest.get(2).and_then(|&id| dtype(pickle, id)).ok_or("an element type that is not accepted")?,
        _ => storage.kind.ok_or("an untyped storage without an element type")?,
    };
    if pickle.items(shape).is_some_and(|shape| shape.len() > DIMENSIONS) {
        return Err(format!("more than {DIMENSIONS} dimensions"));
    }
    let number = |id: Id| pickle.int(id).and_then(|value| usize::try_from(value).ok());
    let numbers = |id: Id| pickle.items(id)?.iter().map(|&id| number(id)).collect::<Option<Vec<usize>>>();
    let offset = number(offset).ok_or("its offset is no number")?;
    let shape = numbers(shape).ok_or("its shape is no tuple of numbers")?;
    let strides = numbers(strides).ok_or("its strides are no tuple of numbers that are 0 or more")?;
    if shape.len() != strides.len() {
        return Err(format!("{} dimensions and {} strides", shape.len(), strides.len()));
    }
    let available = storage.bytes().ok_or("its storage is too large")? / kind.bytes;
    let error =
        || format!("shape {shape:?}, strides {strides:?}, offset {offset} do not fit its storage of {available} elements");
    // dimensions are multiplied elsewhere too, so those of an empty tensor must not overflow either
    let all = shape.iter().try_fold(1usize, |count, &dim| count.checked_mul(dim.max(1))).ok_or_else(error)?;
    let count = if shape.contains(&0) { 0 } else { all };
    let last = shape.iter().zip(&strides).try_fold(offset, |at, (&dim, &stride)| {
        let steps = dim.saturating_sub(1);
        at.checked_add(steps.checked_mul(stride)?)
    });
    if count > available || (count > 0 && last.is_none_or(|last| last >= available)) {
        return Err(error());
    }
    Ok(StorageSlice { key, kind, offset, shape, strides, count })
}

/// The element type `torch.<name>`.
fn dtype(pickle: &Pickle, id: Id) -> Option<&'static Kind> {
    match pickle.node(id) {
        Node::Global { module, name } if module == "torch" => KINDS.iter().find(|kind| kind.name == name),
        _ => None,
    }
}
