//! `Texts`: labelled texts in memory.

/// Classes of sentiment.
pub const CLASSES: [&str; 2] = ["negative", "positive"];

/// A text with its class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The text as it stands in the data set.
    pub text: String,
    /// Its class.
    pub label: u32,
}

/// Labelled texts in memory.
#[derive(Clone, Debug)]
pub struct Texts {
    /// In the order of the data set.
    pub examples: Vec<Example>,
    /// Class names, in label order.
    pub classes: Vec<String>,
    /// One line: what this is and where it comes from.
    pub describe: String,
}

impl Texts {
    /// Of sentiment: negative and positive.
    pub(super) fn sentiment(examples: Vec<Example>, describe: String) -> Self {
        Self { examples, classes: CLASSES.map(str::to_string).to_vec(), describe }
    }

    /// The first texts.
    pub fn first(mut self, limit: Option<usize>) -> Self {
        if let Some(limit) = limit.filter(|&limit| limit < self.examples.len()) {
            self.examples.truncate(limit);
            self.describe += &format!(", texts 0 to {limit}");
        }
        self
    }

    /// Cuts off a share of the texts to choose settings by: every `every`-th, which is a share of every class and source.
    pub(super) fn held_out(self, every: usize) -> (Self, Self) {
        let part = |held: bool| Self {
            examples: self
                .examples
                .iter()
                .enumerate()
                .filter(|(i, _)| (i % every == every - 1) == held)
                .map(|(_, e)| e.clone())
                .collect(),
            classes: self.classes.clone(),
            describe: format!("{}, {} a {every}th held out", self.describe, if held { "of it" } else { "but for" }),
        };
        (part(false), part(true))
    }
}
