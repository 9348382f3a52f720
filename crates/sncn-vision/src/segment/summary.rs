//! What `sncn-segment evaluate` prints besides the sets' numbers, and what it writes as CSV: the IoU of every class.

use sncn_record::Measurement;
use sncn_record::task::SEGMENT;
use sncn_train::harness::summary::{print_sets, print_shifts, value};

/// A measurement in percent; nothing where there is none: the class does not occur.
fn percent(measurements: &[Measurement], split: &str, metric: &str) -> Option<String> {
    value(measurements, split, metric).map(|value| format!("{:.2}", 100. * value))
}

fn splits(measurements: &[Measurement]) -> impl Iterator<Item = &str> {
    measurements.iter().filter(|m| m.metric == SEGMENT.metric).map(|m| m.split.as_str())
}

/// Prints a table of the sets, one of the classes, and one of each corrupted set by corruption and severity.
pub(super) fn print(measurements: &[Measurement], classes: &[String]) {
    print_sets(&SEGMENT, measurements);
    let whole: Vec<&str> = splits(measurements).filter(|split| !split.contains('/')).collect();
    if !whole.is_empty() {
        let head: String = whole.iter().map(|split| format!(" {split:>18}")).collect();
        out!("\n{:24}{head}", "IoU %");
        for class in classes {
            let cell = |split: &&str| percent(measurements, split, &format!("iou/{class}")).unwrap_or_else(|| "–".to_string());
            let cells: String = whole.iter().map(|split| format!(" {:>18}", cell(split))).collect();
            out!("{class:24}{cells}");
        }
    }
    print_shifts(&SEGMENT, measurements);
}

/// mIoU and the IoU of every class in percent, a row for each test set; empty where a class does not occur.
pub(super) fn csv(measurements: &[Measurement], classes: &[String]) -> String {
    let mut text = format!("set,miou,{}\n", classes.join(","));
    for split in splits(measurements) {
        let metrics = std::iter::once("miou".to_string()).chain(classes.iter().map(|class| format!("iou/{class}")));
        let cells: Vec<String> = metrics.map(|metric| percent(measurements, split, &metric).unwrap_or_default()).collect();
        text += &format!("{split},{}\n", cells.join(","));
    }
    text
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
        assert_eq!(csv(&measurements, &classes), "set,miou,road,car\nday,50.00,75.00,\nday-c/fog/1,25.00,,\n");
    }
}
