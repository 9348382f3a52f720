//! `Tree`: the modules of one crate, and the file that defines the item of a path.
//!
//! A re-exported name (`pub use`) belongs to the file that defines it.

use crate::items::{self, Import, Scope};
use std::collections::{BTreeMap, BTreeSet};

/// The modules of a crate.
pub(crate) struct Tree {
    modules: Vec<Module>,
}

struct Module {
    file: String,
    parent: usize,
    children: BTreeMap<String, usize>,
    scope: Scope,
}

/// The item that a path names.
#[derive(Clone, Debug, PartialEq)]
enum Target {
    Module(usize),
    /// A name and the module that defines it.
    Name(usize, String),
}

/// A dependency: the file that uses a name, the file that defines it, and the name.
pub(crate) type Edge = (String, String, String);

impl Tree {
    /// Reads the crate with root file `root`; `files` has the text of every file by its path. A module without a file is an error.
    pub(crate) fn read(root: &str, files: &BTreeMap<String, String>) -> Result<Self, String> {
        let mut tree = Self { modules: Vec::new() };
        let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder);
        let scope = items::read(files.get(root).map_or("", String::as_str));
        tree.add(root, folder, 0, scope, files)?;
        Ok(tree)
    }

    /// Adds a module and its sub-modules, whose files are in `folder`.
    fn add(
        &mut self,
        file: &str,
        folder: &str,
        parent: usize,
        mut scope: Scope,
        files: &BTreeMap<String, String>,
    ) -> Result<usize, String> {
        let own = self.modules.len();
        let (names, inline) = (std::mem::take(&mut scope.files), std::mem::take(&mut scope.inline));
        self.modules.push(Module { file: file.to_string(), parent, children: BTreeMap::new(), scope });
        for scope in inline {
            let name = scope.name.clone();
            let child = self.add(file, &format!("{folder}/{name}"), own, scope, files)?;
            self.modules[own].children.insert(name, child);
        }
        for name in names {
            let places = [format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")];
            let Some((path, text)) = places.iter().find_map(|path| files.get_key_value(path)) else {
                return Err(format!("{file}: mod {name}: neither {} nor {} exists", places[0], places[1]));
            };
            let child = self.add(path, &format!("{folder}/{name}"), own, items::read(text), files)?;
            self.modules[own].children.insert(name, child);
        }
        Ok(own)
    }

    /// Every use of a name of another file of the crate.
    pub(crate) fn edges(&self) -> BTreeSet<Edge> {
        let mut edges = BTreeSet::new();
        for (at, module) in self.modules.iter().enumerate() {
            let imported = module.scope.imports.iter().map(|import| &import.path);
            for path in imported.chain(&module.scope.paths) {
                for target in self.resolve(at, path, &mut Vec::new()) {
                    if let Target::Name(to, name) = target {
                        edges.insert((module.file.clone(), self.modules[to].file.clone(), name));
                    }
                }
            }
            // a macro without a path is resolved by its textual order
            let lookup = |name: &String| self.lookup(at, name, &mut Vec::new());
            for name in module.scope.called.iter().filter(|name| lookup(name).is_none()) {
                let by = self.modules.iter().filter(|module| module.scope.macros.contains(name));
                edges.extend(by.map(|by| (module.file.clone(), by.file.clone(), format!("{name}!"))));
            }
        }
        edges.retain(|(from, to, _)| from != to);
        edges
    }

    /// The items that `path` in module `from` names; none if they are outside the crate. `seen` are the names that are being
    /// resolved.
    fn resolve(&self, from: usize, path: &[String], seen: &mut Vec<(usize, String)>) -> Vec<Target> {
        let (mut at, mut start) = (from, 0);
        while let Some(word) = path.get(start) {
            match word.as_str() {
                "crate" => at = 0,
                "self" => {}
                "super" => at = self.modules[at].parent,
                _ => break,
            }
            start += 1;
        }
        self.follow(at, &path[start..], start > 0, seen)
    }

    /// As `resolve`, starting in module `at`; with `inside`, the first name must be an item of that module.
    fn follow(&self, at: usize, path: &[String], inside: bool, seen: &mut Vec<(usize, String)>) -> Vec<Target> {
        let Some((name, rest)) = path.split_first() else { return vec![Target::Module(at)] };
        let Some(targets) = self.lookup(at, name, seen) else {
            // the compiler finds it there, so it is defined by something that is not read here (the result of a macro)
            return if inside { vec![Target::Name(at, name.clone())] } else { Vec::new() };
        };
        if rest.is_empty() {
            return targets;
        }
        let modules = targets.iter().filter_map(|target| if let Target::Module(at) = target { Some(*at) } else { None });
        let deeper: Vec<Target> = modules.flat_map(|at| self.follow(at, rest, true, seen)).collect();
        // otherwise the name is a type, and the rest is a variant or function of it
        if deeper.is_empty() { targets } else { deeper }
    }

    /// The items called `name` in module `at`: a module, a definition or both; empty if external, `None` if unknown.
    fn lookup(&self, at: usize, name: &String, seen: &mut Vec<(usize, String)>) -> Option<Vec<Target>> {
        let key = (at, name.clone());
        if seen.contains(&key) {
            return None;
        }
        seen.push(key);
        let (module, mut found) = (&self.modules[at], Vec::new());
        found.extend(module.children.get(name).map(|&child| Target::Module(child)));
        found.extend(module.scope.defined.get(name).map(|name| Target::Name(at, name.clone())));
        let mut known = !found.is_empty();
        for import in module.scope.imports.iter().filter(|import| import.name == *name) {
            known = true;
            found.extend(self.resolve(at, &import.path, seen));
        }
        if !known {
            for import in module.scope.imports.iter().filter(|import| import.name == "*") {
                let all = self.everything(at, import, name, seen);
                known |= all.is_some();
                found.extend(all.into_iter().flatten());
            }
        }
        seen.pop();
        known.then_some(found)
    }

    /// `name` among all names of a module that `use …::*` brings in.
    fn everything(&self, at: usize, import: &Import, name: &String, seen: &mut Vec<(usize, String)>) -> Option<Vec<Target>> {
        let modules = self.resolve(at, &import.path, seen).into_iter();
        let mut found = modules.filter_map(|target| match target {
            Target::Module(module) => self.lookup(module, name, seen),
            Target::Name(..) => None,
        });
        found.next()
    }
}
