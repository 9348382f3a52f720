//! Links in Markdown files: every relative target is a file or folder of the tree, and every anchor a heading of its page.

use std::collections::{BTreeMap, BTreeSet};

/// The files that links may point to.
pub(crate) struct Tree<'a> {
    /// Every file of the tree, and every folder above one.
    paths: BTreeSet<String>,
    /// The text of every Markdown file.
    pages: &'a BTreeMap<String, String>,
}

impl<'a> Tree<'a> {
    /// Of these files, named from the root with `/` between folders.
    pub(crate) fn new<'f>(files: impl Iterator<Item = &'f str>, pages: &'a BTreeMap<String, String>) -> Self {
        let mut paths = BTreeSet::from([String::new()]);
        for file in files {
            let above = file.match_indices('/').map(|(at, _)| file[..at].to_string());
            paths.extend(above.chain([file.to_string()]));
        }
        Self { paths, pages }
    }

    /// Links of all pages that lead nowhere, with file and line.
    pub(crate) fn dead(&self) -> Vec<String> {
        let of_page = |(name, text): (&String, &String)| {
            let dead = links(text).into_iter().filter_map(|(line, target)| {
                let why = self.follow(name, &target).err()?;
                Some(format!("{name}:{line}: the link to {target} is dead: {why}"))
            });
            dead.collect::<Vec<_>>()
        };
        self.pages.iter().flat_map(of_page).collect()
    }

    fn follow(&self, page: &str, target: &str) -> Result<(), String> {
        if ["https://", "http://", "mailto:"].iter().any(|scheme| target.starts_with(scheme)) {
            return Ok(());
        }
        let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
        let path = if path.is_empty() { page.to_string() } else { resolve(page, path).ok_or("it leads out of the tree")? };
        if !self.paths.contains(&path) {
            return Err(format!("there is no {path}"));
        }
        match (anchor, self.pages.get(&path)) {
            (Some(anchor), Some(text)) if !anchors(text).contains(anchor) => Err(format!("{path} has no heading #{anchor}")),
            _ => Ok(()),
        }
    }
}

/// A target relative to the folder of its page, from the root; nothing where it leads out of the tree.
fn resolve(page: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Targets of links and pictures outside code, with their lines.
fn links(text: &str) -> Vec<(usize, String)> {
    let plain = without_code(text);
    let mut found = Vec::new();
    for (index, line) in plain.lines().enumerate() {
        let mut add = |target: &str| {
            let target = target.trim().trim_start_matches('<').split([' ', '>']).next().unwrap_or_default();
            found.push((index + 1, target.to_string()));
        };
        for (at, _) in line.match_indices("](") {
            let rest = &line[at + 2..];
            let mut depth = 1;
            let end = rest.find(|c| {
                depth += i32::from(c == '(') - i32::from(c == ')');
                depth == 0
            });
            add(&rest[..end.unwrap_or(rest.len())]);
        }
        for attribute in ["src=\"", "href=\""] {
            line.match_indices(attribute).for_each(|(at, _)| {
                add(line[at + attribute.len()..].split('"').next().unwrap_or_default());
            });
        }
        if let Some((_, target)) = line.trim_start().strip_prefix('[').and_then(|rest| rest.split_once("]: ")) {
            add(target);
        }
    }
    found
}

/// The text with fenced blocks blanked; lines stay where they are.
fn without_fences(text: &str) -> String {
    let mut fence: Option<&str> = None;
    let lines = text.lines().map(|line| {
        let marker = ["```", "~~~"].into_iter().find(|marker| line.trim_start().starts_with(marker));
        match (fence, marker) {
            (None, None) => return line,
            (None, Some(_)) => fence = marker,
            (Some(open), Some(marker)) if open == marker => fence = None,
            _ => {}
        }
        ""
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The text with fenced blocks and code spans blanked; lines stay where they are.
fn without_code(text: &str) -> String {
    let text = without_fences(text);
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(start) = rest.find('`') {
        let ticks = rest[start..].chars().take_while(|&c| c == '`').count();
        let (open, inside) = (&rest[..start], &rest[start + ticks..]);
        plain += open;
        let runs = inside.match_indices(&rest[start..start + ticks]);
        let lone = |at: usize| !inside[..at].ends_with('`') && !inside[at + ticks..].starts_with('`');
        match runs.map(|(at, _)| at).find(|&at| lone(at)) {
            Some(end) => {
                plain.extend(inside[..end].chars().filter(|&c| c == '\n'));
                rest = &inside[end + ticks..];
            }
            None => rest = inside,
        }
    }
    plain + rest
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for heading in without_fences(text).lines().filter(|line| line.starts_with('#')) {
        let slug = slug(heading.trim_start_matches('#').trim());
        let free = std::iter::once(slug.clone()).chain((1..).map(|n| format!("{slug}-{n}"))).find(|slug| !found.contains(slug));
        found.extend(free);
    }
    found
}

fn slug(heading: &str) -> String {
    // a link in a heading counts by its words
    let mut words = heading.to_string();
    while let Some((at, end)) = words.find("](").and_then(|at| Some((at, at + words[at..].find(')')?))) {
        words.replace_range(at..=end, "");
    }
    let kept =
        words.to_lowercase().chars().filter(|&c| c.is_alphanumeric() || c == '-' || c == '_' || c == ' ').collect::<String>();
    kept.replace(' ', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dead(pages: &[(&str, &str)]) -> Vec<String> {
        let pages: BTreeMap<String, String> = pages.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
        let files = pages.keys().map(String::as_str).chain(["data/a.png", "src/main.rs"]);
        Tree::new(files, &pages).dead()
    }

    #[test]
    fn a_dead_link_is_told_with_file_and_line() {
        assert_eq!(
            dead(&[("docs/a.md", "one\n[b](b.md) and ![a](../data/b.png)\n[up](../../x)\n"), ("docs/b.md", "")]),
            [
                "docs/a.md:2: the link to ../data/b.png is dead: there is no data/b.png",
                "docs/a.md:3: the link to ../../x is dead: it leads out of the tree"
            ]
        );
    }

    #[test]
    fn an_anchor_is_a_heading() {
        let page = "# One `sncn` & two\n## Same\n## Same\n```\n# no heading\n```\n## [Linked](a.md): it";
        let links = "[1](b.md#one-sncn--two) [2](b.md#same-1) [3](b.md#linked-it) [4](b.md#no-heading) [5](#here)\n# Here";
        assert_eq!(
            dead(&[("a.md", links), ("b.md", page)]),
            ["a.md:1: the link to b.md#no-heading is dead: b.md has no heading #no-heading"]
        );
    }

    #[test]
    fn what_is_no_link_of_the_tree_is_left_alone() {
        let text = "[a](https://a.b/c) `[x](y)` ``a ` [x](y)`` [`code`](src/main.rs) [folder](src)\n```sh\n[x](y)\n```\n\
                    [ref]: data/a.png\n<img src=\"data/a.png\">\n[title](data/a.png \"A (b)\")\nindex[0](1)";
        assert_eq!(dead(&[("README.md", text)]), ["README.md:8: the link to 1 is dead: there is no 1"]);
        assert_eq!(dead(&[("README.md", "[ref]: nowhere.md\n<a href=\"gone\">")]).len(), 2);
    }
}
