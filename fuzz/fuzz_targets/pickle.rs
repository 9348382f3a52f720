//! Any bytes are a pickle or an error, and every node can be asked for what it may be.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sncn_weights::pickle::{Id, Node, Pickle};

/// Everything that readers ask of a node.
fn ask(pickle: &Pickle, id: Id) {
    let _ = (pickle.text(id), pickle.int(id), pickle.bytes(id), pickle.byte_array(id), pickle.items(id));
    let _ = (pickle.entry(id, "data"), pickle.entry(id, "labels"), pickle.is_global(id, "dtype"));
}

/// The nodes that a node names.
fn inside(node: &Node) -> Vec<Id> {
    match node {
        Node::List(items) | Node::Tuple(items) => items.clone(),
        Node::Dict(pairs) => pairs.iter().flat_map(|&(key, value)| [key, value]).collect(),
        Node::Call { callable, arguments, state } => [*callable, *arguments].into_iter().chain(*state).collect(),
        Node::Persistent(id) => vec![*id],
        _ => Vec::new(),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(pickle) = Pickle::read(bytes) else { return };
    assert!(pickle.bytes_read() <= bytes.len());
    let (mut seen, mut open) = (std::collections::HashSet::new(), vec![pickle.root()]);
    while let Some(id) = open.pop() {
        if seen.insert(id) {
            ask(&pickle, id);
            open.extend(inside(pickle.node(id)));
        }
    }
});
