//! What `sncn-segment evaluate` prints and writes as CSV.

use sncn_train::harness::Measurement;
use sncn_train::harness::summary::{print_shifted, shifted, value};

/// A reader of measurements.
pub struct Summary<'a> {
    measurements: &'a [Measurement],
    classes: &'a [String],
}

impl<'a> Summary<'a> {
    /// Of these measurements, with the classes in their order.
    pub fn new(measurements: &'a [Measurement], classes: &'a [String]) -> Self {
        Self { measurements, classes }
    }

    /// A measurement in percent, or a dash where there is none: the class does not occur.
    fn percent(&self, split: &str, metric: &str) -> String {
        value(self.measurements, split, metric).map_or_else(|| "–".to_string(), |value| format!("{:.2}", 100. * value))
    }

    fn splits(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let measurements = self.measurements;
        measurements.iter().filter(|m| m.metric == "miou").map(|m| m.split.as_str())
    }

    /// Prints a table of the sets, one of the classes, and one of each corrupted set by corruption and severity.
    pub fn print(&self) {
        out!("{:24} {:>8} {:>12} {:>14} {:>10}", "test set", "mIoU %", "of present %", "mean acc. %", "pixels %");
        let whole: Vec<&str> = self.splits().filter(|split| !split.contains('/')).collect();
        for split in &whole {
            let [miou, present, mean, pixels] =
                ["miou", "miou_present", "mean_accuracy", "pixel_accuracy"].map(|metric| self.percent(split, metric));
            out!("{split:24} {miou:>8} {present:>12} {mean:>14} {pixels:>10}");
        }
        if !whole.is_empty() {
            let head: String = whole.iter().map(|split| format!(" {split:>18}")).collect();
            out!("\n{:24}{head}", "IoU %");
        }
        for class in self.classes.iter().filter(|_| !whole.is_empty()) {
            let cells: String =
                whole.iter().map(|split| format!(" {:>18}", self.percent(split, &format!("iou/{class}")))).collect();
            out!("{class:24}{cells}");
        }
        for (set, rows) in shifted(self.measurements, "miou") {
            print_shifted(&format!("{set}: mIoU % by corruption and severity"), &rows);
            out!("mean over corruptions and severities {:.2} %", 100. * rows.mean());
        }
    }

    /// mIoU and the IoU of every class in percent, a row for each test set; empty where a class does not occur.
    pub fn csv(&self) -> String {
        let mut text = format!("set,miou,{}\n", self.classes.join(","));
        for split in self.splits() {
            let metrics = self.classes.iter().map(|class| format!("iou/{class}"));
            let cells = std::iter::once("miou".to_string()).chain(metrics).map(|metric| match self.percent(split, &metric) {
                missing if missing == "–" => String::new(),
                value => value,
            });
            text += &format!("{split},{}\n", cells.collect::<Vec<_>>().join(","));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_that_does_not_occur_is_left_empty() {
        let measured = |split: &str, metric: &str, value: f64| Measurement {
            split: split.to_string(),
            metric: metric.to_string(),
            value,
            n: 10,
        };
        let measurements =
            [measured("day", "miou", 0.5), measured("day", "iou/road", 0.75), measured("day-c/fog/1", "miou", 0.25)];
        let classes = ["road", "car"].map(str::to_string);
        let summary = Summary::new(&measurements, &classes);
        assert_eq!(summary.csv(), "set,miou,road,car\nday,50.00,75.00,\nday-c/fog/1,25.00,,\n");
    }
}
