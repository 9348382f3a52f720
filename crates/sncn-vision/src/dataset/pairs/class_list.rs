//! `entries`: the lines of a class list, of any layout that people have.
//!
//! A line is a name, perhaps with a colour as three numbers after it or before it, apart by spaces, tabs or commas; a name may have
//! spaces and be quoted. Empty lines, lines that begin with `#`, and a first line `name,r,g,b` are none.

use super::colours::Colour;
use anyhow::{Result, bail, ensure};

/// Characters of a line that an error quotes.
const QUOTED: usize = 80;
/// Words for the columns of a class list, in lower case.
const HEADER: [&[&str]; 4] =
    [&["name", "class", "label", "classname", "class_name"], &["r", "red"], &["g", "green"], &["b", "blue"]];

/// A line of a class list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its number in the file, from 1 on.
    pub(super) line: usize,
    /// The name of the class.
    pub(super) name: String,
    /// Its colour, if it has one.
    pub(super) colour: Option<Colour>,
}

/// Reads the lines of a class list.
///
/// # Errors
/// Names the line, as the file counts them, that is neither a name nor a name with a colour.
pub(super) fn entries(text: &str) -> Result<Vec<Entry>> {
    let lines = (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let mut lines: Vec<(usize, &str)> = lines.collect();
    let header = lines.first().is_some_and(|(_, line)| is_header(line));
    if header {
        lines.remove(0);
    }
    let entries = lines.iter().map(|&(line, text)| entry(line, text, header)).collect::<Result<Vec<_>>>()?;
    let numbered = |entry: &Entry| entry.name.split_once([' ', ':', ',', '\t']).is_some_and(|(first, _)| is_number(first));
    if let Some(first) = entries.first().filter(|_| entries.iter().all(numbered)) {
        bail!(
            "line {}: {} begins with a number; the lines are values 0, 1, … in this order, and have the names alone (a value that is \
             no class is named void)",
            first.line,
            shown(&first.name)
        )
    }
    Ok(entries)
}

fn is_header(line: &str) -> bool {
    let fields = fields(line);
    let known = |(field, words): (&String, &&[&str])| words.contains(&field.to_lowercase().as_str());
    fields.len() >= HEADER.len() && fields.iter().zip(&HEADER).all(known)
}

/// A line for an error: its beginning, in quotes.
pub(super) fn shown(line: &str) -> String {
    match line.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{:?}…", &line[..end]),
        None => format!("{line:?}"),
    }
}

fn is_number(word: &str) -> bool {
    let digits = word.strip_prefix(['-', '+']).unwrap_or(word);
    digits.starts_with(|c: char| c.is_ascii_digit()) && digits.parse::<f64>().is_ok()
}

/// The parts of a line: by tabs, else by commas, else by spaces; quotes keep what is between them together.
fn fields(line: &str) -> Vec<String> {
    let between = |c: char| match (line.contains('\t'), line.contains(',')) {
        (true, _) => c == '\t',
        (false, true) => c == ',',
        (false, false) => c.is_whitespace(),
    };
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            c if between(c) && !quoted => fields.push(std::mem::take(&mut field)),
            c => field.push(c),
        }
    }
    fields.push(field);
    fields.iter().map(|field| field.trim().to_string()).filter(|field| !field.is_empty()).collect()
}

fn entry(line: usize, text: &str, header: bool) -> Result<Entry> {
    let mut fields = fields(text);
    if header {
        fields.truncate(4);
    }
    // a colour whose numbers are apart by spaces, beside a name apart by a tab or comma
    let words = |field: &str| field.split_whitespace().map(str::to_string).collect::<Vec<_>>();
    let is_colour = |field: &str| words(field).len() == 3 && words(field).iter().all(|word| is_number(word));
    fields = match &fields[..] {
        [one, other] if is_colour(one) => [words(one), vec![other.clone()]].concat(),
        [one, other] if is_colour(other) => [vec![one.clone()], words(other)].concat(),
        _ => fields,
    };
    let after = fields.iter().rev().take_while(|field| is_number(field)).count();
    let before = fields.iter().take_while(|field| is_number(field)).count();
    let wrong = || format!("line {line}: {}: expected a name, or a name and a colour, three numbers from 0 to 255", shown(text));
    let (name, colour) = match (before, after) {
        (3, 0) => (&fields[3..], Some(&fields[..3])),
        (_, 3) if fields.len() > 3 => (&fields[..fields.len() - 3], Some(&fields[fields.len() - 3..])),
        // one number may end a name
        (_, 0 | 1) => (&fields[..], None),
        _ => bail!(wrong()),
    };
    let value = |word: &String| word.parse::<u8>().ok();
    let colour = match colour {
        Some(words) => {
            let values: Option<Vec<u8>> = words.iter().map(value).collect();
            ensure!(values.is_some(), wrong());
            values.map(|values| [values[0], values[1], values[2]])
        }
        None => None,
    };
    let whole = colour.is_none() && !text.contains('"');
    let name = if whole { text.trim_end_matches(',').trim().to_string() } else { name.join(" ") };
    ensure!(!name.is_empty(), wrong());
    Ok(Entry { line, name, colour })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Vec<(usize, String, Option<Colour>)>> {
        Ok(entries(text)?.into_iter().map(|entry| (entry.line, entry.name, entry.colour)).collect())
    }

    #[test]
    fn every_layout_of_a_line_is_read() {
        let light = |line| (line, "traffic light".to_string(), Some([250, 170, 30]));
        for text in [
            "traffic light 250 170 30",
            "traffic light,250,170,30",
            "traffic light, 250, 170, 30",
            "\"traffic light\",250,170,30",
            "\"traffic light\" 250 170 30",
            "traffic light\t250\t170\t30",
            "traffic light\t250 170 30",
            "250 170 30 traffic light",
            "250 170 30\ttraffic light",
            "250,170,30,traffic light",
        ] {
            assert_eq!(of(text).unwrap(), [light(1)], "{text}");
        }
        assert_eq!(of("name,r,g,b\ntraffic light,250,170,30").unwrap(), [light(2)]);
        assert_eq!(of("# of mine\n\nname, R, G, B, used\ntraffic light,250,170,30,1").unwrap(), [light(4)]);
        let plain = |line, name: &str| (line, name.to_string(), None);
        assert_eq!(
            of("sky\n\n# no class\ntraffic light\nterrain 2\n").unwrap(),
            [plain(1, "sky"), plain(4, "traffic light"), plain(5, "terrain 2")]
        );
        assert_eq!(of("cars, trucks\n\"a, b\"\nsky,").unwrap(), [plain(1, "cars, trucks"), plain(2, "a, b"), plain(3, "sky")]);
    }

    #[test]
    fn a_line_that_is_none_is_named_as_the_file_counts_it_and_quoted_in_part() {
        let error = |text: &str| of(text).unwrap_err().to_string();
        assert!(error("sky\n\n# a\nroad 1 2\n").starts_with("line 4: \"road 1 2\": expected"));
        assert!(error("sky 1 2 3 4").contains("three numbers"));
        assert!(error("sky 1 2 300").contains("0 to 255"));
        assert!(error("sky 1 -2 3").contains("0 to 255"));
        assert!(error("0 sky\n1 road\n").contains("begins with a number"));
        assert!(error("1: sky").contains("begins with a number"));
        assert!(error("0,sky\n1,road\n").contains("begins with a number"));
        let long = error(&format!("{} 1 2", "x".repeat(5000)));
        assert!(long.chars().count() < 250 && long.contains('…'), "{long}");
    }
}
