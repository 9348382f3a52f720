//! What wrappers put before the names of a network's parameters, and how a dictionary of tensors is matched with a network.
//!
//! One rule. The segments of wrappers ([`WRAPPERS`]) are left out wherever they are. Of the names that remain, every chain of
//! the attributes that programs keep a network under ([`HOLDERS`]) which some name begins with is tried, the empty one too: names that
//! begin with it lose it, others stay. The chain that gives most names of the network is taken; of equal ones the first, the empty
//! one before all.

use crate::dictionary::Entry;
use crate::error::{Result, WeightsError};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// Segments that wrappers of modules add, anywhere in a name: data parallelism, compilation, sharding, checkpointed activations.
const WRAPPERS: [&str; 5] = ["module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module"];
/// Attributes under which programs keep the network itself, at the beginning of a name.
const HOLDERS: [&str; 22] = [
    "model",
    "net",
    "network",
    "backbone",
    "encoder",
    "_model",
    "_net",
    "base_model",
    "inner_model",
    "ema",
    "ema_model",
    "model_ema",
    "averaged_model",
    "student",
    "teacher",
    "online_encoder",
    "base_encoder",
    "encoder_q",
    "feature_extractor",
    "trunk",
    // behind a layer that normalises, in a sequence
    "0",
    "1",
];
/// The most attributes in a chain.
const CHAIN: usize = 4;
/// The most chains that are tried.
const CHAINS: usize = 32;

/// A way to bring names of a file to those of a network.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Prefix {
    /// Whether the segments of wrappers are left out.
    unwrapped: bool,
    /// The chain of attributes, with a dot after each.
    chain: String,
}

impl Prefix {
    /// The name without what wrappers added.
    pub(crate) fn strip<'n>(&self, name: &'n str) -> Cow<'n, str> {
        let wrapped = |name: &str| name.split('.').any(|part| WRAPPERS.contains(&part));
        if self.unwrapped && wrapped(name) {
            let inner = name.split('.').filter(|part| !WRAPPERS.contains(part)).collect::<Vec<_>>().join(".");
            return Cow::Owned(inner.strip_prefix(&self.chain).map_or(inner.clone(), str::to_string));
        }
        Cow::Borrowed(name.strip_prefix(&self.chain).unwrap_or(name))
    }

    /// The chain of attributes, such as `model.`; empty where names stay as they are.
    pub(crate) fn chain(&self) -> &str {
        &self.chain
    }
}

/// Every prefix that the names of these entries allow.
fn prefixes(entries: &[Entry]) -> Vec<Prefix> {
    let mut all = vec![Prefix { unwrapped: true, chain: String::new() }];
    for entry in entries {
        let name = all[0].strip(&entry.name).into_owned();
        let mut chain = String::new();
        for part in name.split('.').take_while(|part| HOLDERS.contains(part)).take(CHAIN) {
            chain = format!("{chain}{part}.");
            if all.len() < CHAINS && !all.iter().any(|known| known.chain == chain) {
                all.push(Prefix { unwrapped: true, chain: chain.clone() });
            }
        }
    }
    // a network whose own names have such a segment
    all.push(Prefix::default());
    all
}

/// What the names of a network and of a file are to each other.
pub(crate) struct Matching<'a> {
    /// The names of the network.
    pub(crate) names: &'a HashSet<&'a str>,
    /// The network's name for a name of the file without prefix.
    pub(crate) rename: &'a dyn Fn(&str) -> String,
}

impl Matching<'_> {
    /// The prefixes of a dictionary that give names of the network, and how many each gives, the best one first.
    pub(crate) fn fits(&self, entries: &[Entry]) -> Vec<(Prefix, usize)> {
        let count = |prefix: &Prefix| entries.iter().filter_map(|entry| self.name(prefix, entry)).collect::<HashSet<_>>().len();
        let mut all: Vec<_> = prefixes(entries).into_iter().map(|prefix| (count(&prefix), prefix)).collect();
        all.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
        all.into_iter().filter(|(count, _)| *count > 0).map(|(count, prefix)| (prefix, count)).collect()
    }

    /// The network's name of an entry, if it has one.
    fn name(&self, prefix: &Prefix, entry: &Entry) -> Option<String> {
        Some((self.rename)(&prefix.strip(&entry.name))).filter(|name| self.names.contains(name.as_str()))
    }

    /// The index of the entry for each name of the network.
    ///
    /// # Errors
    /// Returns an error where two entries have one name.
    pub(crate) fn assign(&self, entries: &[Entry], best: &Prefix) -> Result<HashMap<String, usize>> {
        let mut found: HashMap<String, usize> = HashMap::new();
        for (at, entry) in entries.iter().enumerate() {
            let Some(name) = self.name(best, entry) else { continue };
            if let Some(known) = found.insert(name.clone(), at) {
                return Err(WeightsError::Twice(entries[known].name.to_string(), entry.name.to_string(), name));
            }
        }
        Ok(found)
    }
}
