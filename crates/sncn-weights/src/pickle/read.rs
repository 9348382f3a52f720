//! `Pickle`: the values of a pickle, by number.

use super::node::{Id, Node, Result};
use super::reader;

/// A pickle that was read.
pub struct Pickle<'a> {
    bytes: &'a [u8],
    nodes: Vec<Node>,
    root: Id,
    end: usize,
}

impl<'a> Pickle<'a> {
    /// Reads one pickle from the start of `bytes`.
    ///
    /// # Errors
    /// Where it is truncated, malformed, or uses instructions that data files do not.
    pub fn read(bytes: &'a [u8]) -> Result<Self> {
        let (nodes, root, end) = reader::read(bytes)?;
        Ok(Self { bytes, nodes, root, end })
    }

    /// The value.
    pub fn root(&self) -> Id {
        self.root
    }

    /// Bytes that it takes; another may follow.
    pub fn bytes_read(&self) -> usize {
        self.end
    }

    /// A node.
    pub fn node(&self, id: Id) -> &Node {
        &self.nodes[id]
    }

    /// All nodes, in the order in which they were made.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The value of a dictionary's key (text, or bytes as Python 2 wrote them).
    pub fn entry(&self, dict: Id, key: &str) -> Option<Id> {
        let pairs = match &self.nodes[dict] {
            Node::Dict(pairs) => pairs,
            Node::Call { state: Some(state), .. } => match &self.nodes[*state] {
                Node::Dict(pairs) => pairs,
                _ => return None,
            },
            _ => return None,
        };
        pairs.iter().find(|(name, _)| self.text(*name).as_deref() == Some(key)).map(|&(_, value)| value)
    }

    /// Text, or bytes read as UTF-8.
    pub fn text(&self, id: Id) -> Option<String> {
        match &self.nodes[id] {
            Node::Text(text) => Some(text.clone()),
            _ => String::from_utf8(self.bytes(id)?).ok(),
        }
    }

    /// The items of a list or tuple.
    pub fn items(&self, id: Id) -> Option<&[Id]> {
        match &self.nodes[id] {
            Node::List(items) | Node::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// An integer.
    pub fn int(&self, id: Id) -> Option<i64> {
        match self.nodes[id] {
            Node::Int(value) => Some(value),
            _ => None,
        }
    }

    /// Bytes, also in the form that Python 3 gives them in old protocols: a call of `_codecs.encode` with Latin-1 text.
    pub fn bytes(&self, id: Id) -> Option<Vec<u8>> {
        match &self.nodes[id] {
            Node::Bytes(range) => Some(self.bytes[range.clone()].to_vec()),
            Node::Call { callable, arguments, .. } if self.is_global(*callable, "encode") => {
                // the argument must be text itself: one that refers to a call again would nest without end
                let Node::Text(text) = &self.nodes[*self.items(*arguments)?.first()?] else { return None };
                text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
            }
            _ => None,
        }
    }

    /// Whether a node is a global of that name, whatever its module.
    pub fn is_global(&self, id: Id, wanted: &str) -> bool {
        matches!(&self.nodes[id], Node::Global { name, .. } if name == wanted)
    }

    /// Shape and elements of a numpy array of unsigned bytes in C order.
    pub fn byte_array(&self, id: Id) -> Option<(Vec<usize>, Vec<u8>)> {
        let Node::Call { callable, arguments, state } = &self.nodes[id] else { return None };
        let (shape, dtype, data) = if let Some(state) = state {
            let [_, shape, dtype, fortran, data] = *self.items(*state)? else { return None };
            let fits = self.is_global(*callable, "_reconstruct") && self.nodes[fortran] == Node::Bool(false);
            (fits.then_some(shape)?, dtype, data)
        } else {
            // protocol 5
            let [data, dtype, shape, order] = *self.items(*arguments)? else { return None };
            let fits = self.is_global(*callable, "_frombuffer") && self.text(order)? == "C";
            (fits.then_some(shape)?, dtype, data)
        };
        let Node::Call { callable: kind, arguments, .. } = &self.nodes[dtype] else { return None };
        let name = self.items(*arguments)?.first().and_then(|&name| self.text(name))?;
        if !self.is_global(*kind, "dtype") || name.trim_start_matches('|') != "u1" {
            return None;
        }
        let extents = self.items(shape)?.iter().map(|&extent| usize::try_from(self.int(extent)?).ok());
        let shape = extents.collect::<Option<Vec<usize>>>()?;
        let data = self.bytes(data)?;
        let count = shape.iter().try_fold(1usize, |count, &extent| count.checked_mul(extent))?;
        (count == data.len()).then_some((shape, data))
    }
}
