//! `Pickle`: the values of a pickle.

use super::node::{Id, Node, Result};
use super::reader;

/// The values of a pickle. All functions that take an [`Id`] panic where it is not one of this pickle.
pub struct Pickle<'a> {
    bytes: &'a [u8],
    nodes: Vec<Node>,
    root: Id,
    end: usize,
}

impl<'a> Pickle<'a> {
    /// Reads the pickle at the start of `bytes`.
    ///
    /// # Errors
    /// Returns an error where the pickle is truncated or malformed, or has instructions that data files do not use.
    pub fn read(bytes: &'a [u8]) -> Result<Self> {
        let (nodes, root, end) = reader::read(bytes)?;
        Ok(Self { bytes, nodes, root, end })
    }

    /// Returns the pickled value.
    pub fn root(&self) -> Id {
        self.root
    }

    /// Returns the length of the pickle in bytes; another may follow.
    pub fn bytes_read(&self) -> usize {
        self.end
    }

    /// Returns a node.
    pub fn node(&self, id: Id) -> &Node {
        &self.nodes[id]
    }

    /// Returns all nodes, in the order of the pickle.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Returns the value of a key (a string, or bytes as Python 2 wrote them) of a dictionary, or of an object whose state is one.
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

    /// Returns a string, or bytes decoded as UTF-8.
    pub fn text(&self, id: Id) -> Option<String> {
        match &self.nodes[id] {
            Node::Text(text) => Some(text.clone()),
            _ => String::from_utf8(self.bytes(id)?).ok(),
        }
    }

    /// Returns the items of a list or tuple.
    pub fn items(&self, id: Id) -> Option<&[Id]> {
        match &self.nodes[id] {
            Node::List(items) | Node::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// Returns an integer.
    pub fn int(&self, id: Id) -> Option<i64> {
        match self.nodes[id] {
            Node::Int(value) => Some(value),
            _ => None,
        }
    }

    /// Returns bytes, also those that Python 3 wrote in old protocols: a call of `_codecs.encode` with a Latin-1 string.
    pub fn bytes(&self, id: Id) -> Option<Vec<u8>> {
        match &self.nodes[id] {
            Node::Bytes(range) => Some(self.bytes[range.clone()].to_vec()),
            Node::Call { callable, arguments, .. } if self.is_global(*callable, "encode") => {
                // the argument must be a string itself: a call could refer to itself
                let Node::Text(text) = &self.nodes[*self.items(*arguments)?.first()?] else { return None };
                text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
            }
            _ => None,
        }
    }

    /// Returns whether a node is a class or function of that name, in any module.
    pub fn is_global(&self, id: Id, wanted: &str) -> bool {
        matches!(&self.nodes[id], Node::Global { name, .. } if name == wanted)
    }

    /// Returns the shape and the elements of a numpy array of type uint8 in C order.
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
        let dims = self.items(shape)?.iter().map(|&dim| usize::try_from(self.int(dim)?).ok());
        let shape = dims.collect::<Option<Vec<usize>>>()?;
        let data = self.bytes(data)?;
        let count = shape.iter().try_fold(1usize, |count, &dim| count.checked_mul(dim))?;
        (count == data.len()).then_some((shape, data))
    }
}
