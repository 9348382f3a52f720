//! Texts in JSON, in the forms that programs write: an object a line, a list of objects, an object of columns, rows with a list of the
//! columns' names, and each of them under a key.

use super::rows::{Columns, Rows};
use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::{Deserializer, Map, Value};
use sncn_train::text_file::{listed, quoted};
use std::path::Path;

/// How deep records may lie under keys.
const DEPTH: usize = 3;

/// Reads the rows into `table`.
pub(super) fn read(text: &str, columns: &Columns, path: &Path, table: &mut Rows) -> Result<()> {
    let mut values = Deserializer::from_str(text).into_iter::<Value>();
    let mut reader = Reader { columns, path, table };
    let (mut line, mut seen, mut count, mut first) = (1, 0, 0, None);
    loop {
        // of the next value
        let begin = values.byte_offset() + text[values.byte_offset()..].find(|c: char| !c.is_whitespace()).unwrap_or(0);
        line += text[seen..begin].bytes().filter(|&byte| byte == b'\n').count();
        seen = begin;
        let Some(value) = values.next() else { break };
        let value = value.map_err(|error| anyhow!("{}:{}: not JSON ({error})", path.display(), error.line()))?;
        count += 1;
        if count == 1 {
            first = Some((line, value));
            continue;
        }
        for (line, value) in first.take().into_iter().chain([(line, value)]) {
            reader.record(&value, &|| format!("{}:{line}", path.display()))?;
        }
    }
    // nothing follows the first value: it may hold all rows
    first.map_or(Ok(()), |(_, value)| reader.whole(&value, "", DEPTH))
}

struct Reader<'a> {
    columns: &'a Columns,
    path: &'a Path,
    table: &'a mut Rows,
}

impl Reader<'_> {
    fn name(&self, under: &str) -> String {
        if under.is_empty() { self.path.display().to_string() } else { format!("{}: {under}", self.path.display()) }
    }

    /// Adds an object with the keys of a text and its label.
    fn record(&mut self, value: &Value, place: &dyn Fn() -> String) -> Result<()> {
        let Some(fields) = self.fields(value) else {
            let Columns { text, label } = self.columns;
            bail!("{}: {} is no object with the keys {text:?} and {label:?}", place(), quoted(&value.to_string()))
        };
        let text = self.field(fields, &self.columns.text).with_context(place)?;
        let label = self.field(fields, &self.columns.label).with_context(place)?;
        self.row(text, label, place)
    }

    fn field<'v>(&self, fields: &'v Map<String, Value>, name: &str) -> Result<&'v Value> {
        let names: Vec<&str> = fields.keys().map(String::as_str).collect();
        let place = Columns::find(name, &names)?;
        fields.values().nth(place).with_context(|| format!("no key {name:?}"))
    }

    fn row(&mut self, text: &Value, label: &Value, place: &dyn Fn() -> String) -> Result<()> {
        let Value::String(text) = text else {
            bail!("{}: {:?} is {}, expected a string", place(), self.columns.text, quoted(&text.to_string()))
        };
        let label = match label {
            Value::String(word) => word.clone(),
            Value::Number(_) | Value::Bool(_) | Value::Null => label.to_string(),
            _ => bail!("{}: {:?} is {}, expected one class a text", place(), self.columns.label, quoted(&label.to_string())),
        };
        self.table.push(text.clone(), &label, place)
    }

    /// Adds all rows of a value that is the whole file, or lies in it under the key `under`.
    fn whole(&mut self, value: &Value, under: &str, depth: usize) -> Result<()> {
        let file = self.name(under);
        match value {
            Value::Array(items) => {
                items.iter().enumerate().try_for_each(|(i, item)| self.record(item, &|| format!("{file}: record {}", i + 1)))
            }
            Value::Object(fields) => self.object(fields, &file, depth),
            other => bail!("{file}: {} is no table of texts", quoted(&other.to_string())),
        }
    }

    fn object(&mut self, fields: &Map<String, Value>, file: &str, depth: usize) -> Result<()> {
        let names: Vec<&str> = fields.keys().map(String::as_str).collect();
        if let Some(Value::Array(rows)) = fields.get("data")
            && let Some(Value::Array(names)) = fields.get("columns")
        {
            return self.split(names, rows, file);
        }
        if Columns::find(&self.columns.text, &names).is_ok() {
            let (text, label) = (self.field(fields, &self.columns.text), self.field(fields, &self.columns.label));
            let (text, label) = (text?, label.with_context(|| file.to_string())?);
            return self.columns(text, label, file);
        }
        // rows by their names
        if fields.len() > 1 && fields.values().all(|value| self.has_text(value)) {
            return fields.iter().try_for_each(|(key, value)| self.record(value, &|| format!("{file}: {}", quoted(key))));
        }
        let under: Vec<_> = fields.iter().filter(|(_, value)| self.holds(value, depth)).collect();
        match under[..] {
            [(key, value)] if depth > 0 => self.whole(value, key, depth - 1),
            [] | [_] => Columns::find(&self.columns.text, &names).map(drop).with_context(|| file.to_string()),
            _ => {
                let keys: Vec<&str> = under.iter().map(|(key, _)| key.as_str()).collect();
                bail!("{file}: records are under {}; write those that are wanted to a file of their own", listed(&keys))
            }
        }
    }

    /// The object that has the key of a text: a value itself, or the one object in it, as servers of data sets give rows; else the value,
    /// if that is an object.
    fn fields<'v>(&self, value: &'v Value) -> Option<&'v Map<String, Value>> {
        let fields = value.as_object()?;
        let has = |fields: &&Map<String, Value>| fields.keys().any(|key| Columns::find(&self.columns.text, &[key]).is_ok());
        if has(&fields) {
            return Some(fields);
        }
        let inner: Vec<_> = fields.values().filter_map(Value::as_object).collect();
        Some(
            if let [inner] = inner[..]
                && has(&inner)
            {
                inner
            } else {
                fields
            },
        )
    }

    /// Whether a value is a record.
    fn has_text(&self, value: &Value) -> bool {
        let has = |fields: &Map<String, Value>| fields.keys().any(|key| Columns::find(&self.columns.text, &[key]).is_ok());
        self.fields(value).is_some_and(has)
    }

    /// Whether a value is rows, or has some under a key.
    fn holds(&self, value: &Value, depth: usize) -> bool {
        match value {
            Value::Array(items) => items.first().is_some_and(|item| self.has_text(item)),
            Value::Object(fields) => {
                let is_split = fields.contains_key("columns") && fields.contains_key("data");
                is_split || self.has_text(value) || (depth > 0 && fields.values().any(|value| self.holds(value, depth - 1)))
            }
            _ => false,
        }
    }

    /// Columns of equal length: lists, or objects with one key a row; or a single text with its label.
    fn columns(&mut self, texts: &Value, labels: &Value, file: &str) -> Result<()> {
        match (texts, labels) {
            (Value::Array(texts), Value::Array(labels)) => {
                ensure!(texts.len() == labels.len(), "{file}: {} texts and {} labels", texts.len(), labels.len());
                let mut rows = texts.iter().zip(labels).enumerate();
                rows.try_for_each(|(i, (text, label))| self.row(text, label, &|| format!("{file}: row {}", i + 1)))
            }
            (Value::Object(texts), Value::Object(labels)) => texts.iter().try_for_each(|(key, text)| {
                let place = || format!("{file}: row {}", quoted(key));
                let label = labels.get(key).with_context(|| format!("{}: no label", place()))?;
                self.row(text, label, &place)
            }),
            _ => self.row(texts, labels, &|| file.to_string()),
        }
    }

    /// Rows as lists, with the names of the columns beside them.
    fn split(&mut self, names: &[Value], rows: &[Value], file: &str) -> Result<()> {
        let names: Vec<&str> = names.iter().map(|name| name.as_str().unwrap_or_default()).collect();
        let find = |name: &str| Columns::find(name, &names).with_context(|| file.to_string());
        let (text, label) = (find(&self.columns.text)?, find(&self.columns.label)?);
        for (i, row) in rows.iter().enumerate() {
            let place = || format!("{file}: row {}", i + 1);
            let (Some(text), Some(label)) = (row.get(text), row.get(label)) else {
                bail!("{}: {} columns are wanted", place(), names.len())
            };
            self.row(text, label, &place)?;
        }
        Ok(())
    }
}
