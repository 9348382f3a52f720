//! The storages and tensors that a pickled object describes.

use super::error::{Result, part};
use super::kind::{KINDS, Kind, StorageSlice};
use crate::pickle::{Id, Node, Pickle};
use std::collections::HashMap;

/// The most bytes of a name or key: a longer one that is repeated could take more memory than the file.
const LONGEST: usize = 1024;
/// The most dimensions of a tensor in PyTorch.
const DIMENSIONS: usize = 64;

/// A storage, as described in the pickle.
#[derive(Debug, PartialEq)]
pub(super) struct Storage {
    /// Its element type; `None` for an untyped storage, whose elements are bytes, and for those of types that are not read.
    pub(super) kind: Option<&'static Kind>,
    /// Number of elements.
    pub(super) count: usize,
    /// Size of an element in bytes.
    size: usize,
}

/// Storages of element types that are not read, and the sizes of these in bytes: others may follow them in the file.
const UNREAD: [(&str, usize); 8] = [
    ("UntypedStorage", 1),
    ("ComplexFloatStorage", 8),
    ("ComplexDoubleStorage", 16),
    ("QInt8Storage", 1),
    ("QUInt8Storage", 1),
    ("QInt32Storage", 4),
    ("QUInt4x2Storage", 1),
    ("QUInt2x4Storage", 1),
];

/// The storages of a file, by their keys.
pub(super) type Storages = HashMap<String, Storage>;

impl Storage {
    /// Its size in bytes, where that does not overflow.
    pub(super) fn bytes(&self) -> Option<usize> {
        self.count.checked_mul(self.size)
    }

    /// A description for error messages.
    pub(super) fn describe(&self) -> String {
        format!("{} elements of {}", self.count, self.kind.map_or(format!("{} bytes", self.size), |kind| kind.name.to_string()))
    }
}

/// A name or key.
pub(super) fn short(pickle: &Pickle, id: Id) -> Option<String> {
    let length = match pickle.node(id) {
        Node::Text(text) => text.len(),
        Node::Bytes(range) => range.len(),
        _ => return None,
    };
    if length <= LONGEST { pickle.text(id) } else { None }
}

/// The name of the function and the arguments of a call into `torch._utils`.
fn call<'p>(pickle: &'p Pickle, id: Id) -> Option<(&'p str, &'p [Id])> {
    let Node::Call { callable, arguments, .. } = pickle.node(id) else { return None };
    let (module, name) = global(pickle, *callable)?;
    let arguments = pickle.items(*arguments)?;
    if (module, name) == ("torch._tensor", "_rebuild_from_type_v2") {
        // a tensor with attributes of its own, or of a class of its own: the function, the class, the arguments, the attributes
        let &[function, _, arguments, _] = arguments else { return None };
        let (module, name) = global(pickle, function)?;
        return (module == "torch._utils").then_some((name, pickle.items(arguments)?));
    }
    (module == "torch._utils").then_some((name, arguments))
}

fn global<'p>(pickle: &'p Pickle, id: Id) -> Option<(&'p str, &'p str)> {
    match pickle.node(id) {
        Node::Global { module, name } => Some((module, name)),
        _ => None,
    }
}

/// The call that rebuilds a tensor, which may be the argument of one that rebuilds a parameter.
pub(super) fn tensor(pickle: &Pickle, id: Id) -> Option<Id> {
    const REBUILD: [&str; 3] = ["_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3"];
    match call(pickle, id)? {
        ("_rebuild_parameter" | "_rebuild_parameter_with_state", arguments) => {
            let &inner = arguments.first()?;
            REBUILD.contains(&call(pickle, inner)?.0).then_some(inner)
        }
        (name, _) => REBUILD.contains(&name).then_some(id),
    }
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
    let (_, name) = global(pickle, *class).ok_or("its storage has no type")?;
    let kind = KINDS.iter().find(|kind| kind.storage == name);
    let unread = UNREAD.iter().find(|(unread, _)| *unread == name).map(|&(_, size)| size);
    let size = kind.map(|kind| kind.bytes).or(unread).ok_or_else(|| unaccepted(name))?;
    let key = short(pickle, *key).ok_or("its storage has no key")?;
    let count = pickle.int(*count).and_then(|count| usize::try_from(count).ok()).ok_or("its storage has no size")?;
    Ok((key, Storage { kind, count, size }))
}

/// Why a tensor on a storage of that class cannot be read.
fn unaccepted(class: &str) -> String {
    let known: Vec<_> = KINDS.iter().map(|kind| kind.storage).filter(|name| !name.is_empty()).collect();
    format!("its storage is a {class:.60?}; {}, UntypedStorage are accepted", known.join(", "))
}

/// The class of a storage, from its persistent id.
fn class<'p>(pickle: &'p Pickle, id: Id) -> Option<&'p str> {
    Some(global(pickle, *pickle.items(id)?.get(1)?)?.1)
}

/// All storages that the pickle describes.
pub(super) fn storages(pickle: &Pickle) -> Result<Storages> {
    let mut found: Storages = HashMap::new();
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

/// The tensor that a call of `_rebuild_tensor_v2` or `_v3` would make, checked against its storage.
pub(super) fn slice(pickle: &Pickle, id: Id, storages: &Storages) -> std::result::Result<StorageSlice, String> {
    let (name, arguments) = call(pickle, id).ok_or("not rebuilt by torch._utils")?;
    let &[location, offset, shape, strides, ref rest @ ..] = arguments else { return Err("too few arguments".into()) };
    let Node::Persistent(location) = *pickle.node(location) else { return Err("its storage is not in the file".into()) };
    let (key, _) = storage(pickle, location)?;
    let storage = storages.get(&key).ok_or("its storage is not in the file")?;
    let kind = match name {
        "_rebuild_tensor_v3" => rest.get(2).and_then(|&id| dtype(pickle, id)).ok_or("an element type that is not accepted")?,
        _ => match (storage.kind, class(pickle, location)) {
            (Some(kind), _) => kind,
            (None, Some(name)) if name != "UntypedStorage" => return Err(unaccepted(name)),
            _ => return Err("an untyped storage without an element type".into()),
        },
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
