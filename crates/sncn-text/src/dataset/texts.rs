//! `Texts`: labelled texts in memory.

use super::table::{CLASSES, matched};
use anyhow::{Result, anyhow};
use sncn_train::text_file::{listed, quoted};

/// A text with its class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The text as in the data set.
    pub text: String,
    /// The number of its class.
    pub label: u32,
}

/// What stands for each class in a file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Labels {
    /// The whole number, where numbers do.
    pub(crate) numbers: Option<Vec<i64>>,
    /// Where it stands first.
    pub(crate) places: Vec<String>,
}

/// Labelled texts in memory.
#[derive(Clone, Debug)]
pub struct Texts {
    /// The texts in the order of the data set.
    pub examples: Vec<Example>,
    /// Class names, in label order.
    pub classes: Vec<String>,
    /// What stands for each class in the file that the texts are from; empty for texts that are from none.
    pub(crate) labels: Labels,
    /// A line for users: name, size and origin of the data.
    pub describe: String,
    /// What users should know of how the files were read, such as an encoding that was guessed.
    pub remark: Option<String>,
}

impl Texts {
    /// Texts with the classes negative and positive.
    pub(super) fn sentiment(examples: Vec<Example>, describe: String) -> Self {
        Self { examples, classes: CLASSES.map(str::to_string).to_vec(), labels: Labels::default(), describe, remark: None }
    }

    /// The same texts with the numbers that their classes have in a network with the classes `network`. Classes are the same by name
    /// (`pos` and `POSITIVE`, `5` and `5 stars`), or by number, where a set's labels are numbers or the network's classes have no names
    /// (`LABEL_0`).
    ///
    /// # Errors
    /// If a class that occurs is none of the network's; the error says where it stands, and lists both sides.
    pub fn in_classes(mut self, network: &[String]) -> Result<Self> {
        let mut occurs = vec![false; self.classes.len()];
        self.examples.iter().for_each(|example| occurs[example.label as usize] = true);
        let places = matched(&self.classes, self.labels.numbers.as_deref(), &occurs, network).map_err(|class| {
            let place = self.labels.places.get(class).map_or_else(|| self.describe.clone(), String::clone);
            anyhow!(
                "{place}: class {} is none of the network's ({}); the set has {}",
                quoted(&self.classes[class]),
                listed(network),
                listed(&self.classes)
            )
        })?;
        self.examples.iter_mut().for_each(|example| example.label = places[example.label as usize]);
        Ok(Self { classes: network.to_vec(), labels: Labels::default(), ..self })
    }

    /// The first `limit` texts; all of them without a limit.
    pub fn first(mut self, limit: Option<usize>) -> Self {
        if let Some(limit) = limit.filter(|&limit| limit < self.examples.len()) {
            self.examples.truncate(limit);
            self.describe += &format!(", texts 0 to {limit}");
        }
        self
    }

    /// Splits off every `every`-th text of each class for validation, whatever the order of the texts; returns the other texts and
    /// the validation set.
    pub(super) fn split_validation(self, every: usize) -> (Self, Self) {
        let mut seen = vec![0usize; self.classes.len()];
        let chosen = self.examples.iter().map(|example| {
            let count = &mut seen[example.label as usize];
            *count += 1;
            count.is_multiple_of(every)
        });
        let chosen: Vec<bool> = chosen.collect();
        let part = |validation: bool| Self {
            examples: self.examples.iter().zip(&chosen).filter(|(_, one)| **one == validation).map(|(e, _)| e.clone()).collect(),
            classes: self.classes.clone(),
            labels: self.labels.clone(),
            remark: self.remark.clone(),
            describe: format!(
                "{}, {} {every}th text of each class",
                self.describe,
                if validation { "every" } else { "without every" }
            ),
        };
        (part(false), part(true))
    }
}
