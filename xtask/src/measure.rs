//! `Measure`: what the tables of a task are about, and the words for it.

use anyhow::{Result, bail};

/// The main number of a task.
#[derive(Debug)]
pub(crate) struct Measure {
    /// The task, as tables name it.
    pub(crate) task: &'static str,
    /// The program that trains and evaluates, and its package.
    pub(crate) program: (&'static str, &'static str),
    /// The metric in results files.
    pub(crate) metric: &'static str,
    /// Its name in a sentence.
    pub(crate) name: &'static str,
    /// Its name at the beginning of one.
    pub(crate) title: &'static str,
    /// The mean over corruptions and severities of a set: as a heading, and in a sentence.
    pub(crate) corrupted: (&'static str, &'static str),
    /// Whether less is better.
    pub(crate) low: bool,
    /// What is counted, in the plural.
    pub(crate) counted: &'static str,
    /// Further metrics.
    pub(crate) others: &'static [&'static str],
}

/// Every task.
pub(crate) const MEASURES: [Measure; 3] = [
    Measure {
        task: "classify",
        program: ("sncn-classify", "sncn-vision"),
        metric: "error",
        name: "error",
        title: "Error",
        corrupted: ("mCE", "mean corruption error"),
        low: true,
        counted: "examples",
        others: &["macro_f1", "nll", "ece"],
    },
    Measure {
        task: "segment",
        program: ("sncn-segment", "sncn-vision"),
        metric: "miou",
        name: "mIoU",
        title: "mIoU",
        corrupted: ("mean mIoU", "mean mIoU over corruptions and severities"),
        low: false,
        counted: "pixels",
        others: &["miou_present", "mean_accuracy", "pixel_accuracy"],
    },
    Measure {
        task: "sentiment",
        program: ("sncn-sentiment", "sncn-text"),
        metric: "accuracy",
        name: "accuracy",
        title: "Accuracy",
        corrupted: ("mean accuracy", "mean accuracy over shifts and severities"),
        low: false,
        counted: "texts",
        others: &["error", "macro_f1", "nll", "ece"],
    },
];

impl Measure {
    /// That of a task.
    ///
    /// # Errors
    /// Lists the known tasks.
    pub(crate) fn of(task: &str) -> Result<&'static Self> {
        match MEASURES.iter().find(|measure| measure.task == task) {
            Some(measure) => Ok(measure),
            None => {
                let known: Vec<_> = MEASURES.iter().map(|measure| measure.task).collect();
                bail!("task is {task:?}; known: {}", known.join(", "))
            }
        }
    }
}
