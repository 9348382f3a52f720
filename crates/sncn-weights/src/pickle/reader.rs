//! The pickle machine, which only builds nodes.

use super::node::{Id, Node, PickleError, Result};
use std::collections::HashMap;

/// The most bytes of a global's module and name that come from the stack.
const LONGEST: usize = 256;

/// Reads the pickle at the start of `bytes`: its nodes, the root, and its length in bytes.
pub(super) fn read(bytes: &[u8]) -> Result<(Vec<Node>, Id, usize)> {
    let mut reader = Reader { bytes, at: 0, nodes: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
    while !reader.step()? {}
    let root = reader.pop()?;
    Ok((reader.nodes, root, reader.at))
}

/// The state of the machine.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
}

impl<'a> Reader<'a> {
    fn malformed<T>(&self, what: &'static str) -> Result<T> {
        Err(PickleError::Malformed { at: self.at, what })
    }

    fn range(&mut self, count: u64) -> Result<std::ops::Range<usize>> {
        let end = usize::try_from(count).ok().and_then(|count| self.at.checked_add(count)).filter(|&end| end <= self.bytes.len());
        let Some(end) = end else { return Err(PickleError::Truncated(self.at)) };
        let range = self.at..end;
        self.at = end;
        Ok(range)
    }

    fn number(&mut self, bytes: u64) -> Result<u64> {
        let range = self.range(bytes)?;
        Ok(self.bytes[range].iter().rev().fold(0, |value, &byte| (value << 8) | u64::from(byte)))
    }

    fn raw_line(&mut self) -> Result<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let Some(length) = rest.iter().position(|&byte| byte == b'\n') else { return Err(PickleError::Truncated(self.at)) };
        self.at += length + 1;
        Ok(&rest[..length])
    }

    fn line(&mut self) -> Result<&'a str> {
        let line = self.raw_line()?;
        std::str::from_utf8(line).or_else(|_| self.malformed("a line is not UTF-8"))
    }

    fn text(&mut self, length: u64) -> Result<Node> {
        let range = self.range(length)?;
        // Python writes half a surrogate pair, as in the name of an odd file, as what is no UTF-8
        Ok(std::str::from_utf8(&self.bytes[range]).map_or(Node::Other, |text| Node::Text(text.to_string())))
    }

    /// The rest of a line in which protocol 0 writes a number: one that does not fit is a value that no data file needs.
    fn digits(&mut self) -> Result<Node> {
        let line = self.line()?;
        let digits = line.trim_end_matches('L');
        Ok(match (line, digits.parse()) {
            ("00", _) => Node::Bool(false),
            ("01", _) => Node::Bool(true),
            (_, Ok(value)) => Node::Int(value),
            _ if digits.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit()) && !digits.is_empty() => Node::Other,
            _ => return self.malformed("an integer is wanted"),
        })
    }

    /// A string as protocol 0 writes it: in quotes (those of Python 2), or with escapes (`raw`). One with escapes is not decoded.
    fn quoted(&mut self, raw: bool) -> Result<Node> {
        let begin = self.at;
        let line = self.raw_line()?;
        let quote = |byte: u8| line.len() >= 2 && line.first() == Some(&byte) && line.last() == Some(&byte);
        if !raw && !quote(b'\'') && !quote(b'"') {
            return self.malformed("a string without quotes");
        }
        match std::str::from_utf8(line) {
            Ok(text) if !text.contains('\\') && raw => Ok(Node::Text(text.to_string())),
            Ok(text) if !text.contains('\\') => Ok(Node::Bytes(begin + 1..begin + line.len() - 1)),
            _ => Ok(Node::Other),
        }
    }

    /// The key of the memo in the rest of a line.
    fn key(&mut self) -> Result<u64> {
        let line = self.line()?;
        line.parse().or_else(|_| self.malformed("the key of a memo entry is no number"))
    }

    fn push(&mut self, node: Node) {
        self.nodes.push(node);
        self.stack.push(self.nodes.len() - 1);
    }

    fn pop(&mut self) -> Result<Id> {
        if self.marks.last().is_some_and(|&mark| mark == self.stack.len()) {
            return self.malformed("a value is missing before a mark");
        }
        match self.stack.pop() {
            Some(id) => Ok(id),
            None => self.malformed("the stack is empty"),
        }
    }

    fn top(&self) -> Result<Id> {
        self.stack.last().copied().map_or_else(|| self.malformed("the stack is empty"), Ok)
    }

    /// Pops everything above the last mark.
    fn marked(&mut self) -> Result<Vec<Id>> {
        match self.marks.pop() {
            Some(mark) => Ok(self.stack.split_off(mark)),
            None => self.malformed("no mark"),
        }
    }

    fn tuple(&mut self, count: usize) -> Result<()> {
        let mut items = (0..count).map(|_| self.pop()).collect::<Result<Vec<Id>>>()?;
        items.reverse();
        self.push(Node::Tuple(items));
        Ok(())
    }

    fn append(&mut self, items: Vec<Id>) -> Result<()> {
        let top = self.top()?;
        match &mut self.nodes[top] {
            Node::List(list) | Node::Tuple(list) => list.extend(items),
            // a deque or another class that holds items: its call stays as it is
            Node::Call { .. } | Node::Persistent(_) | Node::Other => {}
            _ => return self.malformed("items are appended to what is no list"),
        }
        Ok(())
    }

    fn set(&mut self, items: &[Id]) -> Result<()> {
        if !items.len().is_multiple_of(2) {
            return self.malformed("a key without a value");
        }
        let top = self.top()?;
        let pairs: Vec<_> = items.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        let dict = match self.nodes[top] {
            // an OrderedDict is a call without arguments whose items follow
            Node::Call { state: Some(state), .. } => state,
            Node::Call { state: None, .. } => {
                self.nodes.push(Node::Dict(Vec::new()));
                let state = self.nodes.len() - 1;
                if let Node::Call { state: slot, .. } = &mut self.nodes[top] {
                    *slot = Some(state);
                }
                state
            }
            _ => top,
        };
        match &mut self.nodes[dict] {
            Node::Dict(dict) => dict.extend(pairs),
            // an object whose state is no dictionary
            _ if dict != top => {}
            Node::Persistent(_) | Node::Other => {}
            _ => return self.malformed("items are set on what is no dictionary"),
        }
        Ok(())
    }

    fn call(&mut self) -> Result<()> {
        let (arguments, callable) = (self.pop()?, self.pop()?);
        self.push(Node::Call { callable, arguments, state: None });
        Ok(())
    }

    fn build(&mut self) -> Result<()> {
        let state = self.pop()?;
        let top = self.top()?;
        // not the attributes of an OrderedDict: its items count, not its metadata; what else has a state needs none
        if let Node::Call { state: slot @ None, .. } = &mut self.nodes[top] {
            *slot = Some(state);
        }
        Ok(())
    }

    fn global(&mut self, module: String, name: String) {
        self.push(Node::Global { module, name });
    }

    fn put(&mut self, key: u64) -> Result<()> {
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn get(&mut self, key: u64) -> Result<()> {
        match self.memo.get(&key) {
            Some(&id) => self.stack.push(id),
            None => return self.malformed("an unknown memo entry"),
        }
        Ok(())
    }

    fn integer(&mut self, length: u64) -> Result<()> {
        let range = self.range(length)?;
        let bytes = &self.bytes[range];
        if bytes.len() > 8 {
            self.push(Node::Other);
            return Ok(());
        }
        let fill = if bytes.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
        let mut all = [fill; 8];
        all[..bytes.len()].copy_from_slice(bytes);
        self.push(Node::Int(i64::from_le_bytes(all)));
        Ok(())
    }

    /// Runs one instruction; true at the end.
    fn step(&mut self) -> Result<bool> {
        let at = self.at;
        let op = self.number(1)? as u8;
        match op {
            0x80 => drop(self.number(1)?),
            0x95 => drop(self.number(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'.' => return Ok(true),
            b'N' => self.push(Node::None),
            0x88 => self.push(Node::Bool(true)),
            0x89 => self.push(Node::Bool(false)),
            b'J' => {
                let value = self.number(4)? as u32 as i32;
                self.push(Node::Int(i64::from(value)));
            }
            b'K' | b'M' => {
                let value = self.number(if op == b'K' { 1 } else { 2 })?;
                self.push(Node::Int(value as i64));
            }
            b'I' | b'L' => {
                let value = self.digits()?;
                self.push(value);
            }
            b'F' => match self.line()?.parse() {
                Ok(value) => self.push(Node::Float(value)),
                Err(_) => return self.malformed("a float is wanted"),
            },
            b'S' | b'V' => {
                let value = self.quoted(op == b'V')?;
                self.push(value);
            }
            0x8a | 0x8b => {
                let length = self.number(if op == 0x8a { 1 } else { 4 })?;
                self.integer(length)?;
            }
            b'G' => {
                let range = self.range(8)?;
                let value = self.bytes[range].iter().fold(0u64, |value, &byte| (value << 8) | u64::from(byte));
                self.push(Node::Float(f64::from_bits(value)));
            }
            b'U' | b'C' | b'T' | b'B' | 0x8e | 0x96 => {
                let length = self.number(match op {
                    b'U' | b'C' => 1,
                    b'T' | b'B' => 4,
                    _ => 8,
                })?;
                let range = self.range(length)?;
                self.push(Node::Bytes(range));
            }
            b'X' | 0x8c | 0x8d => {
                let length = self.number(match op {
                    0x8c => 1,
                    b'X' => 4,
                    _ => 8,
                })?;
                let text = self.text(length)?;
                self.push(text);
            }
            b']' => self.push(Node::List(Vec::new())),
            b')' | 0x8f => self.push(Node::Tuple(Vec::new())),
            b'}' => self.push(Node::Dict(Vec::new())),
            b'l' => {
                let items = self.marked()?;
                self.push(Node::List(items));
            }
            b't' | 0x91 => {
                let items = self.marked()?;
                self.push(Node::Tuple(items));
            }
            b'd' => {
                let items = self.marked()?;
                self.push(Node::Dict(Vec::new()));
                self.set(&items)?;
            }
            0x85..=0x87 => self.tuple(usize::from(op - 0x84))?,
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' | 0x90 => {
                let items = self.marked()?;
                self.append(items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(&[key, value])?;
            }
            b'u' => {
                let items = self.marked()?;
                self.set(&items)?;
            }
            // what is dropped may be the mark itself
            b'0' if self.marks.last().is_some_and(|&mark| mark == self.stack.len()) => drop(self.marked()?),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.marked()?),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            b'c' => {
                let (module, name) = (self.line()?.to_string(), self.line()?.to_string());
                self.global(module, name);
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (&self.nodes[module], &self.nodes[name]) {
                    // a long text named again and again would take more memory than the file
                    (Node::Text(module), Node::Text(name)) if module.len() + name.len() > LONGEST => {
                        return self.malformed("a global's name is too long");
                    }
                    (Node::Text(module), Node::Text(name)) => self.global(module.clone(), name.clone()),
                    _ => return self.malformed("a global's name is no text"),
                }
            }
            b'R' | 0x81 => self.call()?,
            // a call with named arguments: the names are not needed
            0x92 => {
                self.pop()?;
                self.call()?;
            }
            // instances of Python 2: the class and its arguments are above a mark, or the class is named here
            b'i' => {
                let (module, name) = (self.line()?.to_string(), self.line()?.to_string());
                let arguments = self.marked()?;
                self.global(module, name);
                self.push(Node::Tuple(arguments));
                self.call()?;
            }
            b'o' => {
                let mut items = self.marked()?.into_iter();
                let Some(callable) = items.next() else { return self.malformed("an instance without a class") };
                self.stack.push(callable);
                self.push(Node::Tuple(items.collect()));
                self.call()?;
            }
            // numbers that stand for classes, and buffers outside the pickle
            0x82..=0x84 => {
                self.number(1 << (op - 0x82))?;
                self.push(Node::Other);
            }
            0x97 => self.push(Node::Other),
            0x98 => drop(self.top()?),
            b'b' => self.build()?,
            b'Q' => {
                let id = self.pop()?;
                self.push(Node::Persistent(id));
            }
            b'P' => {
                let id = self.line()?.to_string();
                self.push(Node::Text(id));
                let id = self.pop()?;
                self.push(Node::Persistent(id));
            }
            b'p' => {
                let key = self.key()?;
                self.put(key)?;
            }
            b'g' => {
                let key = self.key()?;
                self.get(key)?;
            }
            b'q' | b'r' => {
                let key = self.number(if op == b'q' { 1 } else { 4 })?;
                self.put(key)?;
            }
            0x94 => self.put(self.memo.len() as u64)?,
            b'h' | b'j' => {
                let key = self.number(if op == b'h' { 1 } else { 4 })?;
                self.get(key)?;
            }
            op => return Err(PickleError::Instruction { op, at }),
        }
        Ok(false)
    }
}
