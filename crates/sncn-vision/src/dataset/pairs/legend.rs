//! `Legend`: classes with their colours, and the meaning of the values in label files.
//!
//! A class list is a text file with one class per line: its name, perhaps with its colour as three numbers (`road 128 64 128`; other
//! layouts are in [`super::class_list`]). Line i, counted from 0 without empty lines and comments, describes value i of the label
//! files, unless others are given. A line named `void` is not a class; a value that is none, 255 or in 16 bits 65535, is void.

pub use super::colours::Colour;

use super::class_list::{entries, shown};
use super::colours::{CAMVID, CITYSCAPES, SCENES};
use anyhow::{Context, Error, Result, bail, ensure};
use sncn_train::data::VOID;
use sncn_train::text_file;
use std::path::Path;

/// The colour of void.
pub(crate) const VOID_COLOUR: Colour = [0; 3];

/// −1 in 16 bits, which some tools write for void.
const VOID_WIDE: u16 = u16::MAX;
/// Values that an error lists one by one.
const LISTED: usize = 20;

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

    /// The same classes with other values: `values` are those of the lines of the class list, in their order.
    ///
    /// # Errors
    /// If there are more or fewer values than lines, one is repeated, or it is that of void in 16 bits.
    pub(crate) fn with_values(self, values: &[u16]) -> Result<Self> {
        let lines = self.codes.len();
        ensure!(
            values.len() == lines,
            "values: {} for the {lines} lines of the class list; one for each is wanted",
            values.len()
        );
        let mut codes = Vec::new();
        for (&value, code) in values.iter().zip(&self.codes) {
            ensure!(value < VOID_WIDE, "values: {value} always is void; 0 to {} are accepted", VOID_WIDE - 1);
            let place = usize::from(value);
            codes.resize(codes.len().max(place + 1), None);
            ensure!(codes[place].is_none(), "values: {value} is repeated");
            codes[place] = *code;
        }
        Ok(Self { codes, ..self })
    }

    /// Reads a class list.
    ///
    /// # Errors
    /// If the file cannot be read, or as [`Legend::parse`]; the error names file and line.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path)
            .with_context(|| format!("{}: the class list cannot be read; it has one class per line", path.display()))?;
        text_file::lines(bytes)
            .map_err(Error::msg)
            .and_then(|text| Self::parse(&text))
            .with_context(|| path.display().to_string())
    }

    /// Parses the text of a class list.
    ///
    /// # Errors
    /// If a line is malformed, a name or colour is repeated, only some classes have colours, or there are not 1 to 255 classes.
    pub fn parse(text: &str) -> Result<Self> {
        let entries = entries(text)?;
        let coloured = entries.iter().any(|entry| entry.colour.is_some());
        let mut legend = Self::empty(coloured);
        for entry in entries {
            let (line, name) = (entry.line, shown(&entry.name));
            ensure!(!coloured || entry.colour.is_some(), "line {line}: {name} has no colour, but other classes have one");
            ensure!(!legend.classes.contains(&entry.name), "line {line}: class {name} is repeated");
            if let Some(at) = entry.colour.and_then(|colour| legend.colours.iter().position(|known| *known == colour)) {
                bail!("line {line}: {name} has the colour of {}", shown(&legend.classes[at]));
            }
            legend.push(&entry.name, entry.colour);
        }
        ensure!((1..=255).contains(&legend.classes.len()), "{} classes; 1 to 255 are accepted", legend.classes.len());
        Ok(legend)
    }

    /// The class of a value of an index file, 255 for void; `None` if the value is not accepted.
    pub(crate) fn class_of(&self, value: u16) -> Option<u8> {
        let own = self.codes.get(usize::from(value)).copied().flatten();
        own.or_else(|| (u32::from(value) == VOID || value == VOID_WIDE).then_some(VOID as u8))
    }

    /// Whether 255 is the value of a class, and not void.
    pub(crate) fn uses_255(&self) -> bool {
        self.codes.get(VOID as usize).is_some_and(Option::is_some)
    }

    /// The accepted values of index files, for error messages.
    pub(crate) fn accepted(&self) -> String {
        let values: Vec<usize> = (0..self.codes.len()).filter(|&value| self.codes[value].is_some()).collect();
        let listed = values.iter().take(LISTED).map(usize::to_string).collect::<Vec<_>>().join(", ");
        let own = match values.len() == self.codes.len() {
            true => format!("0 to {}", values.len().saturating_sub(1)),
            false => format!("{listed}{}", if values.len() > LISTED { ", …" } else { "" }),
        };
        format!("{own} and {} (void) are accepted", if self.uses_255() { u32::from(VOID_WIDE) } else { VOID })
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
        let values = |legend: &Legend| [0, 1, 2, 3, 255, 256, 65535].map(|value| legend.class_of(value));
        assert_eq!(values(&legend), [Some(0), Some(255), Some(1), None, Some(255), None, Some(255)]);
        assert!(legend.accepted().starts_with("0 to 2 and 255"));
        let other = legend.clone().with_values(&[255, 3, 256])?;
        assert_eq!(values(&other), [None, None, None, Some(255), Some(0), Some(1), Some(255)]);
        assert!(other.accepted().starts_with("3, 255, 256 and 65535"));
        for (values, word) in
            [(&[0, 1][..], "2 for the 3 lines"), (&[0, 1, 1], "1 is repeated"), (&[0, 1, 65535], "always is void")]
        {
            let error = legend.clone().with_values(values).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
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
