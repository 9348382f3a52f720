//! `Legend`: classes with their colours, and the meaning of the values in label files.
//!
//! A class list is a text file with one class per line: its name, optionally followed by its colour as three numbers (`road 128
//! 64 128`). Line i, counted from 0, describes value i of the label files. A line named `void` is not a class; value 255 is
//! always void.

pub use super::colours::Colour;

use super::colours::{CAMVID, CITYSCAPES, SCENES};
use anyhow::{Context, Result, bail, ensure};
use sncn_train::data::VOID;
use std::path::Path;

/// The colour of void.
pub(crate) const VOID_COLOUR: Colour = [0; 3];

/// Classes, their colours, and the values of label files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Legend {
    /// The names of the classes.
    pub classes: Vec<String>,
    /// The colours of the classes.
    pub colours: Vec<Colour>,
    /// The class of every value of index files, 255 for void; `None` for values that are not accepted.
    codes: Vec<Option<u8>>,
    /// Whether colours were given, so that RGB label files can be read.
    coloured: bool,
    /// The colours of void.
    void: Vec<Colour>,
}

impl Legend {
    /// A legend in which value i is class i and 255 is void.
    pub fn new(classes: &[(&str, Colour)]) -> Self {
        let mut legend = Self::empty(true);
        classes.iter().for_each(|&(name, colour)| legend.push(name, Some(colour)));
        legend
    }

    /// A legend of classes by name, with the colours of the known data sets; other classes get distinct colours.
    pub(crate) fn known(classes: &[String]) -> Self {
        let tables: [&[(&str, Colour)]; 3] = [&SCENES, &CAMVID, &CITYSCAPES];
        let all = |table: &&&[(&str, Colour)]| classes.iter().all(|class| table.iter().any(|(name, _)| name == class));
        let table = tables.iter().find(all).copied().unwrap_or_default();
        let mut legend = Self::empty(true);
        for class in classes {
            legend.push(class, table.iter().find(|(name, _)| name == class).map(|(_, colour)| *colour));
        }
        legend
    }

    fn empty(coloured: bool) -> Self {
        Self { classes: Vec::new(), colours: Vec::new(), codes: Vec::new(), coloured, void: vec![VOID_COLOUR] }
    }

    fn push(&mut self, name: &str, colour: Option<Colour>) {
        if name.eq_ignore_ascii_case("void") {
            self.codes.push(Some(VOID as u8));
            self.void.extend(colour);
            return;
        }
        self.codes.push(Some(self.classes.len() as u8));
        self.colours.push(colour.unwrap_or_else(|| spread(self.classes.len() + 1)));
        self.classes.push(name.to_string());
    }

    /// The same classes with other values: `codes` yields the class of value 0, 1, …, 255 for void.
    pub(crate) fn with_codes(self, codes: impl IntoIterator<Item = u8>) -> Self {
        Self { codes: codes.into_iter().map(Some).collect(), ..self }
    }

    /// Reads a class list.
    ///
    /// # Errors
    /// If the file cannot be read, or as [`Legend::parse`]; the error names file and line.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("{}: the class list cannot be read; it has one class per line", path.display()))?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    /// Parses the text of a class list.
    ///
    /// # Errors
    /// If a line is malformed, a name or colour is repeated, only some classes have colours, or there are not 1 to 255 classes.
    pub fn parse(text: &str) -> Result<Self> {
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let parts = |line: &str| line.split_whitespace().map(str::to_string).collect::<Vec<_>>();
        let coloured = lines.iter().any(|line| parts(line).len() > 1);
        let mut legend = Self::empty(coloured);
        for (number, line) in (1..).zip(&lines) {
            let parts = parts(line);
            let colour = match &parts[..] {
                [_] => None,
                [_, rgb @ ..] if rgb.len() == 3 => {
                    let values = rgb.iter().map(|value| value.parse::<u8>()).collect::<Result<Vec<_>, _>>();
                    let values =
                        values.with_context(|| format!("line {number}: {line:?}: a colour is three numbers from 0 to 255"))?;
                    Some([values[0], values[1], values[2]])
                }
                _ => bail!("line {number}: {line:?}: expected a name, or a name and three numbers from 0 to 255"),
            };
            let name = &parts[0];
            ensure!(!coloured || colour.is_some(), "line {number}: {name:?} has no colour, but other classes have one");
            ensure!(!legend.classes.contains(name), "line {number}: class {name:?} is repeated");
            if let Some(at) = colour.and_then(|colour| legend.colours.iter().position(|known| *known == colour)) {
                bail!("line {number}: {name:?} has the colour of {:?}", legend.classes[at]);
            }
            legend.push(name, colour);
        }
        ensure!((1..=255).contains(&legend.classes.len()), "{} classes; 1 to 255 are accepted", legend.classes.len());
        Ok(legend)
    }

    /// The class of a value of an index file, 255 for void; `None` if the value is not accepted.
    pub(crate) fn class_of(&self, value: u8) -> Option<u8> {
        if u32::from(value) == VOID {
            return Some(value);
        }
        self.codes.get(usize::from(value)).copied().flatten()
    }

    /// The accepted values of index files, for error messages.
    pub(crate) fn accepted(&self) -> String {
        format!("0 to {} and {VOID} (void) are accepted", self.codes.len().saturating_sub(1))
    }

    /// Whether RGB label files can be read.
    pub(crate) fn is_coloured(&self) -> bool {
        self.coloured
    }

    /// The class of a colour, 255 for void; `None` for other colours.
    pub(crate) fn class_of_colour(&self, colour: Colour) -> Option<u8> {
        let class = self.colours.iter().position(|known| *known == colour).map(|class| class as u8);
        class.or_else(|| self.void.contains(&colour).then_some(VOID as u8))
    }

    /// The colour of a class, black for void.
    pub fn colour(&self, class: u32) -> Colour {
        self.colours.get(class as usize).copied().unwrap_or(VOID_COLOUR)
    }
}

/// A colour for a class without one: the bits of its number spread over the channels, as in the palette of PASCAL VOC.
fn spread(number: usize) -> Colour {
    let mut colour = [0u8; 3];
    for bit in 0..8 {
        for (channel, value) in colour.iter_mut().enumerate() {
            *value |= ((number >> (3 * bit + channel) & 1) as u8) << (7 - bit.min(7));
        }
    }
    colour
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_gives_codes_and_colours_and_void_is_no_class() -> Result<()> {
        let legend = Legend::parse("sky\nvoid\nroad\n")?;
        assert_eq!(legend.classes, ["sky", "road"]);
        assert_eq!([0, 1, 2, 3, 255].map(|value| legend.class_of(value)), [Some(0), Some(255), Some(1), None, Some(255)]);
        assert!(!legend.is_coloured() && legend.colours[0] != legend.colours[1]);
        let legend = Legend::parse("sky 70 130 180\nroad 128 64 128\nvoid 9 9 9")?;
        assert_eq!(legend.class_of_colour([128, 64, 128]), Some(1));
        assert_eq!(legend.class_of_colour([9, 9, 9]), Some(255));
        assert_eq!(legend.class_of_colour([1, 2, 3]), None);
        for (text, word) in [
            ("", "0 classes"),
            ("a\na", "repeated"),
            ("a 1 2", "three numbers"),
            ("a 1 2 300", "0 to 255"),
            ("a 1 2 3\nb", "no colour"),
            ("a 1 2 3\nb 1 2 3", "the colour of"),
        ] {
            let error = format!("{:#}", Legend::parse(text).unwrap_err());
            assert!(error.contains(word), "{text:?}: {error}");
        }
        Ok(())
    }
}
