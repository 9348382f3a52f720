//! Every dictionary of tensors in a pickled object, at any depth.
//!
//! A dictionary is what Python wrote as one, of any class, or the attributes of an object. A whole module (`torch.save(model)`, or a
//! TorchScript archive) is one dictionary, whose names are those of its state dict: joined along `_modules`, or along the
//! attributes of TorchScript's objects. Nothing is run, every node is looked at once, and the names of modules are bounded by the pickle.

use super::tensor::{self, Storages};
use crate::dictionary::{Described, Dictionary, Entry, Source};
use crate::pickle::{Id, Node, Pickle};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// How many keys may lead to a dictionary, and how many modules to a parameter.
const DEPTH: usize = 24;

/// Finds the dictionaries of tensors, in the order of the file.
pub(super) fn dictionaries(pickle: &Pickle, storages: &Storages) -> Vec<Dictionary> {
    let mut walk = Walk {
        pickle,
        storages,
        seen: vec![false; pickle.nodes().len()],
        names: HashMap::new(),
        tensors: HashMap::new(),
        path: Vec::new(),
        depth: 0,
        found: Vec::new(),
    };
    walk.visit(pickle.root());
    walk.found
}

/// The pairs of a dictionary of any class, or the attributes of an object.
fn pairs<'p>(pickle: &'p Pickle, id: Id) -> Option<Cow<'p, [(Id, Id)]>> {
    let dict = |id: Id| match pickle.node(id) {
        Node::Dict(pairs) => Some(Cow::Borrowed(pairs.as_slice())),
        _ => None,
    };
    match pickle.node(id) {
        // with __slots__ the state is a pair, whose first item may be None
        Node::Call { state: Some(state), .. } => {
            dict(*state).or_else(|| pickle.items(*state)?.iter().take(2).find_map(|&item| dict(item)))
        }
        // an OrderedDict as Python 2 wrote it: called with a list of pairs
        Node::Call { callable, arguments, state: None } if pickle.is_global(*callable, "OrderedDict") => {
            let &[list] = pickle.items(*arguments)? else { return None };
            let pair = |&id: &Id| match pickle.items(id) {
                Some(&[key, value]) => Some((key, value)),
                _ => None,
            };
            Some(Cow::Owned(pickle.items(list)?.iter().map(pair).collect::<Option<_>>()?))
        }
        _ => dict(id),
    }
}

/// Whether a node is an object of a TorchScript archive.
fn is_script(pickle: &Pickle, id: Id) -> bool {
    let Node::Call { callable, .. } = pickle.node(id) else { return false };
    matches!(pickle.node(*callable), Node::Global { module, .. } if module.starts_with("__torch__"))
}

/// What may still be spent on the names of one module: it may hold others several times.
struct Budget {
    pairs: usize,
    letters: usize,
}

struct Walk<'p, 'b> {
    pickle: &'p Pickle<'b>,
    storages: &'p Storages,
    seen: Vec<bool>,
    /// Texts and tensors that occur several times are kept once.
    names: HashMap<Id, Arc<str>>,
    tensors: HashMap<Id, Arc<Described>>,
    path: Vec<Arc<str>>,
    depth: usize,
    found: Vec<Dictionary>,
}

impl<'p> Walk<'p, '_> {
    /// A key as a part of a path.
    fn name(&mut self, id: Id) -> Option<Arc<str>> {
        if let Some(name) = self.names.get(&id) {
            return Some(name.clone());
        }
        let name: Arc<str> = match self.pickle.int(id) {
            Some(number) => number.to_string().into(),
            None => tensor::short(self.pickle, id)?.into(),
        };
        self.names.insert(id, name.clone());
        Some(name)
    }

    fn tensor(&mut self, id: Id) -> Option<Arc<Described>> {
        let inner = tensor::tensor(self.pickle, id)?;
        if let Some(known) = self.tensors.get(&inner) {
            return Some(known.clone());
        }
        let described = Arc::new(match tensor::slice(self.pickle, inner, self.storages) {
            Ok(slice) => {
                Described { shape: slice.shape.clone(), kind: slice.kind.name.to_string(), source: Source::Storage(slice) }
            }
            Err(what) => Described { shape: Vec::new(), kind: "unknown".to_string(), source: Source::Fault(what) },
        });
        self.tensors.insert(inner, described.clone());
        Some(described)
    }

    fn visit(&mut self, id: Id) {
        if self.depth > DEPTH || std::mem::replace(&mut self.seen[id], true) || tensor::tensor(self.pickle, id).is_some() {
            return;
        }
        self.depth += 1;
        self.open(id);
        self.depth -= 1;
    }

    fn open(&mut self, id: Id) {
        let pickle = self.pickle;
        if let Some(pairs) = pairs(pickle, id) {
            let entries = if is_script(pickle, id) || is_module(pickle, &pairs) {
                let mut budget = Budget { pairs: pickle.nodes().len() * 4, letters: pickle.bytes_read().saturating_mul(4) };
                let mut entries = Vec::new();
                self.module(id, &mut String::new(), 0, &mut entries, &mut budget);
                entries
            } else {
                self.entries(&pairs)
            };
            if !entries.is_empty() {
                self.found.push(Dictionary { path: self.path.clone(), entries });
            }
            pairs.iter().for_each(|&(key, value)| self.below(key, value));
        } else if let Some(items) = pickle.items(id) {
            items.iter().enumerate().for_each(|(at, &item)| {
                self.path.push(at.to_string().into());
                self.visit(item);
                self.path.pop();
            });
        }
        if let Node::Call { arguments, .. } = pickle.node(id) {
            // what a class of its own was called with
            pickle.items(*arguments).unwrap_or_default().iter().for_each(|&item| self.visit(item));
        }
    }

    fn below(&mut self, key: Id, value: Id) {
        let Some(name) = self.name(key) else { return };
        self.path.push(name);
        self.visit(value);
        self.path.pop();
    }

    /// The tensors of a dictionary; of a name that occurs twice, the last counts.
    fn entries(&mut self, pairs: &[(Id, Id)]) -> Vec<Entry> {
        let mut indices: HashMap<Arc<str>, usize> = HashMap::new();
        let mut entries: Vec<Entry> = Vec::new();
        for &(key, value) in pairs {
            let Some(tensor) = self.tensor(value) else { continue };
            let Some(name) = self.name(key) else { continue };
            match indices.get(&name) {
                Some(&at) => entries[at].tensor = tensor,
                None => {
                    indices.insert(name.clone(), entries.len());
                    entries.push(Entry { name, tensor, part: 0 });
                }
            }
        }
        entries
    }

    /// The parameters and buffers of a module and those in it.
    fn module(&mut self, id: Id, prefix: &mut String, depth: usize, entries: &mut Vec<Entry>, budget: &mut Budget) {
        let pickle = self.pickle;
        let Some(own) = pairs(pickle, id).filter(|_| depth <= DEPTH) else { return };
        if !spend(&mut budget.pairs, own.len() + 1) {
            return;
        }
        self.seen[id] = true;
        let of = |key: &str| own.iter().find(|pair| pickle.text(pair.0).as_deref() == Some(key)).map(|pair| pair.1);
        let (tensors, modules) = if is_script(pickle, id) {
            (own.to_vec(), own.iter().copied().filter(|pair| is_script(pickle, pair.1)).collect::<Vec<_>>())
        } else {
            let inside = |key| of(key).and_then(|id| pairs(pickle, id)).unwrap_or_default();
            ([inside("_parameters"), inside("_buffers")].concat(), inside("_modules").to_vec())
        };
        if !spend(&mut budget.pairs, tensors.len() + modules.len()) {
            return;
        }
        for mut entry in self.entries(&tensors) {
            if !spend(&mut budget.letters, prefix.len() + entry.name.len() + 1) {
                budget.pairs = 0;
                return;
            }
            entry.name = format!("{prefix}{}", entry.name).into();
            entries.push(entry);
        }
        for (key, value) in modules {
            let Some(name) = self.name(key) else { continue };
            let before = prefix.len();
            *prefix += &name;
            prefix.push('.');
            self.module(value, prefix, depth + 1, entries, budget);
            prefix.truncate(before);
        }
    }
}

/// Takes `cost` from what is left; where it is not enough, nothing is left.
fn spend(left: &mut usize, cost: usize) -> bool {
    let enough = cost <= *left;
    *left = left.saturating_sub(cost);
    enough
}

/// Whether these are the attributes of a module.
fn is_module(pickle: &Pickle, pairs: &[(Id, Id)]) -> bool {
    let has = |key: &str| pairs.iter().any(|pair| matches!(pickle.node(pair.0), Node::Text(text) if text == key));
    has("_modules") && has("_parameters")
}
