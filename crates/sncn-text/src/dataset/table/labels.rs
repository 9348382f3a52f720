//! `Label`: what stands in a column of labels, and the classes that a column means.

use anyhow::{Result, ensure};
use sncn_train::text_file::quoted;
use std::collections::BTreeMap;

/// The classes of sentiment.
pub const CLASSES: [&str; 2] = ["negative", "positive"];

/// The spellings of the classes of sentiment and of what lies between.
const SPELLINGS: [(&str, &str); 6] = [
    ("neg", CLASSES[0]),
    ("negative", CLASSES[0]),
    ("neu", "neutral"),
    ("neutral", "neutral"),
    ("pos", CLASSES[1]),
    ("positive", CLASSES[1]),
];

/// More labels than this, and more than half as many as texts, are no classes.
const MANY: usize = 100;

/// A label in one spelling, so that `1`, `1.0` and `True`, `5` and `5 stars`, `pos` and `Positive` are the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Label {
    /// A whole number.
    Number(i64),
    /// A word, in lower case.
    Word(String),
}

impl Label {
    /// Reads a label.
    ///
    /// # Errors
    /// If it is missing, or a number that is not whole.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let word = text.trim().to_lowercase();
        ensure!(
            !["", "nan", "null", "n/a", "na"].contains(&word.as_str()),
            "label {word:?}: the text has none; remove it, or label it"
        );
        if let Ok(number) = word.parse::<f64>()
            && number.is_finite()
        {
            ensure!(
                number.fract() == 0. && number.abs() < 1e15,
                "label {}: a score; a class is wanted, as a word or a whole number",
                quoted(text)
            );
            return Ok(Self::Number(number as i64));
        }
        let stars = word.strip_suffix("stars").or(word.strip_suffix("star")).map(|count| count.trim_end_matches([' ', '-']));
        if let Some(count) = stars.and_then(|count| count.parse().ok()) {
            return Ok(Self::Number(count));
        }
        if word.chars().all(|c| c == '★' || c == '☆') {
            return Ok(Self::Number(word.chars().filter(|&c| c == '★').count() as i64));
        }
        Ok(match word.as_str() {
            "true" => Self::Number(1),
            "false" => Self::Number(0),
            _ => {
                Self::Word(SPELLINGS.iter().find(|(spelling, _)| *spelling == word).map_or(word, |(_, class)| class.to_string()))
            }
        })
    }

    /// The label that the name of a network's class is.
    pub(crate) fn of_class(name: &str) -> Self {
        Self::parse(name).unwrap_or_else(|_| Self::Word(name.to_lowercase()))
    }

    /// The class of sentiment that it names: numbers are 0 and 1, or, where they are `signed`, -1 and 1.
    fn sentiment(&self, signed: bool) -> Option<u32> {
        match self {
            Self::Number(1) => Some(1),
            Self::Number(0) if !signed => Some(0),
            Self::Number(-1) if signed => Some(0),
            Self::Word(word) => CLASSES.iter().position(|class| class == word).map(|class| class as u32),
            Self::Number(_) => None,
        }
    }
}

/// A label that occurs in a file: its number in the order of their first rows, how it is written there, and where.
pub(super) struct Seen {
    pub(super) number: usize,
    pub(super) text: String,
    pub(super) place: String,
}

/// The classes that the labels of a file mean.
pub(super) struct Meaning {
    /// Names of the classes, in order.
    pub(super) names: Vec<String>,
    /// The whole number that stood for each class, where only numbers did.
    pub(super) numbers: Option<Vec<i64>>,
    /// The class of every label, by [`Seen::number`].
    pub(super) classes: Vec<u32>,
}

impl Meaning {
    /// Sentiment where the labels are of it (0, 1, -1, false, true, neg, pos, …), else a class for each label: numbers in their order,
    /// words in the alphabet's.
    ///
    /// # Errors
    /// If there are nearly as many labels as the file's `rows`.
    pub(super) fn of(seen: &BTreeMap<Label, Seen>, rows: usize) -> Result<Self> {
        ensure!(
            seen.len() <= MANY || seen.len() * 2 <= rows,
            "{} different labels in {rows} rows: numbers or names of rows, not classes",
            seen.len()
        );
        let numbers: Option<Vec<i64>> =
            seen.keys().map(|label| if let Label::Number(number) = label { Some(*number) } else { None }).collect();
        if let Some(meaning) = Self::sentiment(seen) {
            return Ok(Self { numbers: numbers.map(|_| vec![0, 1]), ..meaning });
        }
        let mut classes = vec![0; seen.len()];
        for (class, seen) in (0..).zip(seen.values()) {
            classes[seen.number] = class;
        }
        if numbers.as_deref() == Some(&[-1, 0, 1]) {
            let names = [CLASSES[0], "neutral", CLASSES[1]].map(str::to_string).to_vec();
            return Ok(Self { names, numbers: Some(vec![0, 1, 2]), classes });
        }
        let name = |(label, seen): (&Label, &Seen)| match label {
            // "5 stars" stays that, "5.0" becomes 5
            Label::Number(number) if seen.text.trim().parse::<f64>().is_ok() => number.to_string(),
            _ => seen.text.trim().to_string(),
        };
        Ok(Self { names: seen.iter().map(name).collect(), numbers, classes })
    }

    /// The two classes of sentiment, if all labels are of it.
    pub(super) fn sentiment(seen: &BTreeMap<Label, Seen>) -> Option<Self> {
        let signed = seen.contains_key(&Label::Number(-1));
        let mut classes = vec![0; seen.len()];
        for (label, seen) in seen {
            classes[seen.number] = label.sentiment(signed)?;
        }
        Some(Self { names: CLASSES.map(str::to_string).to_vec(), numbers: None, classes })
    }
}

/// The network's class of every class of a test set, which has the classes `own`: of the same name; or, where a set's labels are
/// `numbers`, or the network's classes have no names (`LABEL_0`), that of the same number. Only the classes that occur must have one.
///
/// # Errors
/// The first class that occurs and has none.
pub(crate) fn matched(own: &[String], numbers: Option<&[i64]>, occurs: &[bool], network: &[String]) -> Result<Vec<u32>, usize> {
    let labels: Vec<Label> = network.iter().map(|name| Label::of_class(name)).collect();
    let of_sentiment = |class: u32| labels.len() == 2 && labels.iter().all(|label| label.sentiment(false).is_some()) && class < 2;
    let by_name = |class: usize| {
        let label = Label::of_class(&own[class]);
        let same = labels.iter().position(|known| *known == label);
        let alike = || label.sentiment(false).filter(|&class| of_sentiment(class));
        same.or_else(|| labels.iter().position(|known| known.sentiment(false).is_some() && known.sentiment(false) == alike()))
    };
    let by_number = |class: usize| usize::try_from(numbers?[class]).ok().filter(|&number| number < network.len());
    let is_nameless = network.iter().enumerate().all(|(i, name)| *name == format!("LABEL_{i}"));
    let in_order = |class: usize| (is_nameless && network.len() == 2 && own == CLASSES).then_some(class);
    let all = |place: &dyn Fn(usize) -> Option<usize>| -> Result<Vec<u32>, usize> {
        (0..own.len())
            .map(|class| place(class).or((!occurs[class]).then_some(0)).map(|place| place as u32).ok_or(class))
            .collect()
    };
    all(&by_name).or_else(|first| all(&by_number).or_else(|_| all(&in_order)).map_err(|_| first))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(labels: &[&str]) -> Result<(Vec<String>, Vec<u32>)> {
        let mut seen = BTreeMap::new();
        for text in labels {
            let number = seen.len();
            seen.entry(Label::parse(text)?).or_insert(Seen { number, text: text.to_string(), place: String::new() });
        }
        let meaning = Meaning::of(&seen, labels.len())?;
        let class = |text: &&str| meaning.classes[seen[&Label::parse(text).unwrap()].number];
        Ok((meaning.names.clone(), labels.iter().map(class).collect()))
    }

    #[test]
    fn labels_of_any_spelling_become_classes() -> Result<()> {
        let gives = |labels: &[&str], names: &[&str], classes: &[u32]| {
            let (found, of) = meaning(labels).unwrap();
            assert_eq!(
                (found.iter().map(String::as_str).collect::<Vec<_>>().as_slice(), of.as_slice()),
                (names, classes),
                "{labels:?}"
            );
        };
        let sentiment = CLASSES.as_slice();
        gives(&["1.0", "0", " Pos ", "negative", "True", "false"], sentiment, &[1, 0, 1, 0, 1, 0]);
        gives(&["1"], sentiment, &[1]);
        gives(&["-1", "1"], sentiment, &[0, 1]);
        gives(&["1", "-1", "0"], &["negative", "neutral", "positive"], &[2, 0, 1]);
        gives(&["pos", "neutral", "neg"], &["neg", "neutral", "pos"], &[2, 1, 0]);
        gives(&["3", "1.0", "10", "2"], &["1", "2", "3", "10"], &[2, 0, 3, 1]);
        gives(&["5 stars", "1 star", "5", "★★☆☆☆"], &["1 star", "★★☆☆☆", "5 stars"], &[2, 0, 2, 1]);
        gives(&["sport", "Arts", "SPORT"], &["Arts", "sport"], &[1, 0, 1]);
        for (label, word) in [("", "has none"), ("NaN", "has none"), ("0.73", "a score"), ("1e300", "a score")] {
            let error = meaning(&[label]).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        let names: Vec<String> = (0..150).map(|i| format!("id{i}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert!(meaning(&names).unwrap_err().to_string().contains("150 different labels in 150 rows"));
        assert_eq!(meaning(&[names.as_slice(), &names, &names].concat())?.0.len(), 150);
        Ok(())
    }

    #[test]
    fn classes_of_a_set_are_found_in_the_network() {
        let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        let place = |own: &[&str], numbers: Option<&[i64]>, network: &[&str]| {
            matched(&names(own), numbers, &vec![true; own.len()], &names(network))
        };
        let sentiment = CLASSES.as_slice();
        assert_eq!(place(sentiment, None, &["NEGATIVE", "POSITIVE"]).unwrap(), [0, 1]);
        assert_eq!(place(sentiment, None, &["pos", "neg"]).unwrap(), [1, 0]);
        assert_eq!(place(sentiment, None, &["LABEL_0", "LABEL_1"]).unwrap(), [0, 1]);
        assert_eq!(place(sentiment, None, &["neg", "neutral", "pos"]).unwrap(), [0, 2]);
        assert_eq!(place(sentiment, Some(&[0, 1]), &["0", "1", "2"]).unwrap(), [0, 1]);
        assert_eq!(place(&["1", "2"], Some(&[1, 2]), &["1 star", "2 stars", "3 stars"]).unwrap(), [0, 1]);
        assert_eq!(place(&["0", "1", "2"], Some(&[0, 1, 2]), &["1 star", "2 stars", "3 stars"]).unwrap(), [0, 1, 2]);
        assert_eq!(place(&["0", "1", "2"], Some(&[0, 1, 2]), &["arts", "sport", "news"]).unwrap(), [0, 1, 2]);
        for (own, numbers, network) in [
            (sentiment, None, ["arts", "sport"].as_slice()),
            (sentiment, None, &["LABEL_0", "LABEL_1", "LABEL_2"]),
            (&["0", "7"], Some([0, 7].as_slice()), &["arts", "sport"]),
            (&["arts"], None, &["LABEL_0", "LABEL_1"]),
        ] {
            assert!(place(own, numbers, network).is_err(), "{own:?}");
        }
        assert_eq!(place(&["1", "7"], Some(&[1, 7]), &["negative", "positive"]), Err(1), "1 is positive, 7 is nothing");
        let absent = matched(&names(&["arts", "sport"]), None, &[false, true], &names(&["sport", "news"]));
        assert_eq!(absent.unwrap()[1], 0, "a class that does not occur needs no place");
    }
}
