//! `Task`: what a kind of table is about, which program takes it, and the words that reports use for it.

use std::fmt;

/// A task: the main number of its test sets, and its words.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Task {
    /// What tables call it.
    pub name: &'static str,
    /// The program that trains and evaluates.
    pub program: &'static str,
    /// What a training set has, in the plural: `images`, `texts`.
    pub examples: &'static str,
    /// The main metric of a test set, as results files name it; a fraction.
    pub metric: &'static str,
    /// Its name in a sentence.
    pub called: &'static str,
    /// Its name at the beginning of a sentence.
    pub title: &'static str,
    /// What shifts of its examples are called, in the singular.
    pub shift: &'static str,
    /// The mean over corruptions and severities of a set: as a heading, and in a sentence.
    pub corrupted: (&'static str, &'static str),
    /// Whether less of the main metric is better.
    pub low: bool,
    /// What the metric is counted over, in the plural.
    pub counted: &'static str,
    /// The metrics that an evaluation prints for every test set, each with its heading; all are fractions.
    pub columns: &'static [(&'static str, &'static str)],
    /// Metrics in results files that no column shows.
    pub further: &'static [&'static str],
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Task({:?})", self.name)
    }
}

impl Task {
    /// The metrics of a test set that are one number, the main one first.
    pub fn metrics(&self) -> impl Iterator<Item = &'static str> + use<> {
        let shown = self.columns.iter().map(|(metric, _)| *metric);
        let others = shown.chain(self.further.iter().copied()).filter({
            let main = self.metric;
            move |metric| *metric != main
        });
        std::iter::once(self.metric).chain(others)
    }

    /// Whether the confidence of its answers is measured.
    pub fn is_calibrated(&self) -> bool {
        self.metrics().any(|metric| metric == "ece")
    }

    /// The task of that name.
    ///
    /// # Errors
    /// The names of the known tasks, where it is not among them.
    pub fn of(name: &str) -> Result<&'static Self, UnknownTask> {
        TASKS.iter().copied().find(|task| task.name == name).ok_or_else(|| UnknownTask { name: name.to_string() })
    }
}

/// The name of a task that is not in [`TASKS`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("task is {name:?}; known: {}", TASKS.map(|task| task.name).join(", "))]
pub struct UnknownTask {
    /// That name.
    pub name: String,
}

/// Every task. To add one: a line here, and a program whose `Task` in `sncn_train::harness` refers to it.
pub const TASKS: [&Task; 3] = [&CLASSIFY, &SEGMENT, &SENTIMENT];

/// Images to classes.
pub const CLASSIFY: Task = Task {
    name: "classify",
    program: "sncn-classify",
    examples: "images",
    metric: "error",
    called: "error",
    title: "Error",
    shift: "corruption",
    corrupted: ("mCE", "mean corruption error"),
    low: true,
    counted: "images",
    columns: &[("error", "error %"), ("macro_f1", "macro F1 %"), ("ece", "ECE %")],
    further: &[
        "nll",
        "ece_scaled",
        "nll_scaled",
        "top5_error",
        "error_all_classes",
        "top5_error_all_classes",
        "mce_alexnet",
        "relative_mce_alexnet",
        "mean_ce_alexnet",
    ],
};

/// Pixels to classes.
pub const SEGMENT: Task = Task {
    name: "segment",
    program: "sncn-segment",
    examples: "images",
    metric: "miou",
    called: "mIoU",
    title: "mIoU",
    shift: "corruption",
    corrupted: ("mean mIoU", "mean mIoU over corruptions and severities"),
    low: false,
    counted: "pixels",
    columns: &[
        ("miou", "mIoU %"),
        ("miou_present", "of present %"),
        ("mean_accuracy", "mean acc. %"),
        ("pixel_accuracy", "pixels %"),
    ],
    further: &[],
};

/// Texts to classes.
pub const SENTIMENT: Task = Task {
    name: "sentiment",
    program: "sncn-sentiment",
    examples: "texts",
    metric: "accuracy",
    called: "accuracy",
    title: "Accuracy",
    shift: "shift",
    corrupted: ("mean accuracy", "mean accuracy over shifts and severities"),
    low: false,
    counted: "texts",
    columns: &[("accuracy", "accuracy %"), ("macro_f1", "macro F1 %"), ("ece", "ECE %")],
    further: &["error", "nll", "ece_scaled", "nll_scaled", "top5_error"],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_the_main_metric_comes_first() {
        for (index, task) in TASKS.into_iter().enumerate() {
            assert_eq!(Task::of(task.name), Ok(task));
            assert!(TASKS[..index].iter().all(|other| other.name != task.name && other.program != task.program));
            let metrics: Vec<_> = task.metrics().collect();
            assert_eq!(metrics[0], task.metric);
            assert!((1..metrics.len()).all(|at| !metrics[..at].contains(&metrics[at])), "{metrics:?}");
        }
        let error = Task::of("hear").unwrap_err();
        assert_eq!(error.to_string(), "task is \"hear\"; known: classify, segment, sentiment");
    }
}
