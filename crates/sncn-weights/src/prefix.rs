//! What programs put before the names of a network's parameters, and how a dictionary of tensors is matched with a network.
//!
//! One rule. The segments of wrappers ([`WRAPPERS`]) are left out wherever they are. Of the names that remain, what stands before names
//! of the network (`model.`, `net.`, `backbone.`, `encoder.`, `1.`, one after another) is a candidate, nothing at all too: names that begin with it lose it,
//! others stay. The one that gives most names of the network is taken; of equal ones nothing at all, then the first in the file.

use crate::dictionary::Entry;
use crate::error::{Result, WeightsError};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// Segments that wrappers of modules add, anywhere in a name: data parallelism, compilation, sharding, checkpointed activations.
const WRAPPERS: [&str; 5] = ["module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module"];
/// The most attributes that may stand before a name.
const CHAIN: usize = 6;
/// The most chains that are tried for a dictionary.
const CHAINS: usize = 16;

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
        // the last is for a network whose own names have the segment of a wrapper
        let prefixes = self.prefixes(entries).into_iter().chain([Prefix::default()]);
        let mut all: Vec<_> = prefixes.map(|prefix| (count(&prefix), prefix)).collect();
        all.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
        all.into_iter().filter(|(count, _)| *count > 0).map(|(count, prefix)| (prefix, count)).collect()
    }

    /// What stands before names of the network, where it does so at least half as often as the most frequent.
    fn prefixes(&self, entries: &[Entry]) -> Vec<Prefix> {
        let none = Prefix { unwrapped: true, chain: String::new() };
        let mut chains: Vec<(String, usize)> = vec![(String::new(), 0)];
        let mut known = HashMap::from([(String::new(), 0)]);
        for entry in entries {
            let name = none.strip(&entry.name);
            let begins = std::iter::once(0).chain(name.match_indices('.').map(|(at, _)| at + 1).take(CHAIN));
            for (chain, rest) in begins.map(|at| name.split_at(at)) {
                if self.names.contains((self.rename)(rest).as_str()) {
                    let at = *known.entry(chain.to_string()).or_insert(chains.len());
                    if at == chains.len() {
                        chains.push((chain.to_string(), 0));
                    }
                    chains[at].1 += 1;
                }
            }
        }
        let most = chains.iter().map(|(_, count)| *count).max().unwrap_or(0);
        chains.retain(|(_, count)| *count > 0 && *count * 2 >= most);
        chains.into_iter().take(CHAINS).map(|(chain, _)| Prefix { unwrapped: true, chain }).collect()
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
