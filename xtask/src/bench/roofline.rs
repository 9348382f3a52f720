//! The roofline: the best value that the machine allows, computed from the bytes and operations of a figure.

use super::compare::Row;
use std::hint::black_box;
use std::time::Instant;

/// The case whose figures are rates of the machine: GB/s of a copy, GFLOP/s of multiply-adds.
const MACHINE: &str = "machine";
/// The number of floats that each thread copies, much more than fit in a cache.
const FLOATS: usize = 1 << 24;

/// The rates of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Roofline {
    /// Copy rate, read and write together, in GB/s.
    copy: Option<f64>,
    /// Arithmetic rate in GFLOP/s; known only from a figure.
    arithmetic: Option<f64>,
}

impl Roofline {
    /// Removes the figures of the machine from the rows; the copy rate is measured if a row needs it and no figure has it.
    pub(crate) fn take(rows: &mut Vec<Row>, threads: u32) -> Self {
        let rate = |unit: &str| {
            let of = rows.iter().find(|row| row.case == MACHINE && row.unit.as_deref() == Some(unit));
            of.and_then(|row| row.ours).filter(|rate| *rate > 0.)
        };
        let (copy, arithmetic) = (rate("GB/s"), rate("GFLOP/s"));
        rows.retain(|row| row.case != MACHINE);
        let moved = rows.iter().filter_map(|row| row.figure.as_ref()).any(|figure| figure.bytes.is_some());
        Self { copy: copy.or_else(|| moved.then(|| copy_rate(threads))), arithmetic }
    }

    /// The best value of a row, in its unit.
    pub(crate) fn limit(&self, row: &Row) -> Option<f64> {
        let figure = row.figure.as_ref()?;
        if figure.limit.is_some() || figure.unit != "ms" {
            return figure.limit;
        }
        let time = |amount: Option<f64>, rate: Option<f64>| Some(amount? / rate? / 1e6);
        let (moved, counted) = (time(figure.bytes, self.copy), time(figure.operations, self.arithmetic));
        moved.into_iter().chain(counted).reduce(f64::max)
    }

    /// The limit and the fraction reached, otherwise the arithmetic rate; empty if neither is known.
    pub(crate) fn text(&self, row: &Row) -> String {
        let Some((figure, value)) = row.figure.as_ref().zip(row.ours) else { return String::new() };
        let limit = self.limit(row).map(|limit| {
            let reached = if figure.unit.ends_with("/s") { value / limit } else { limit / value };
            format!("{} ({:.0} %)", number(limit), 100. * reached)
        });
        let rate = || Some(format!("{:.0} GFLOP/s", figure.operations.filter(|_| figure.unit == "ms")? / value / 1e6));
        limit.or_else(rate).unwrap_or_default()
    }
}

/// A number with three significant digits, but all digits before the decimal point.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 99.95 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The copy rate in GB/s, read and write together, with this many threads: the best of five runs.
fn copy_rate(threads: u32) -> f64 {
    let mut buffers: Vec<(Vec<f32>, Vec<f32>)> = (0..threads).map(|_| (vec![1.; FLOATS], vec![0.; FLOATS])).collect();
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        std::thread::scope(|scope| {
            for (from, to) in &mut buffers {
                scope.spawn(|| black_box(to).copy_from_slice(black_box(from)));
            }
        });
        best = best.min(start.elapsed().as_secs_f64());
    }
    f64::from(threads) * (2 * FLOATS * size_of::<f32>()) as f64 / best / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::compare::{Round, rows};

    #[test]
    fn limits_come_from_bytes_and_operations() {
        let line = |text: &str| serde_json::from_str(text).unwrap();
        let ours = [
            r#"{"case":"machine","what":"copy","value":20,"unit":"GB/s"}"#,
            r#"{"case":"a","what":"moved","value":4,"unit":"ms","bytes":4e7}"#,
            r#"{"case":"a","what":"counted","value":4,"unit":"ms","operations":8e8}"#,
            r#"{"case":"a","what":"told","value":90,"unit":"images/s","limit":120}"#,
            r#"{"case":"a","what":"nothing","value":4,"unit":"ms"}"#,
        ];
        let mut rows = rows(&[Round { ours: ours.map(line).into(), theirs: Vec::new() }], false);
        let roofline = Roofline::take(&mut rows, 1);
        let texts: Vec<String> = rows.iter().map(|row| roofline.text(row)).collect();
        assert_eq!(texts, ["2.00 (50 %)", "200 GFLOP/s", "120 (75 %)", ""]);
        let peak = Roofline { arithmetic: Some(400.), ..roofline };
        assert_eq!(peak.text(&rows[1]), "2.00 (50 %)");
    }

    #[test]
    fn a_copy_has_a_rate() {
        assert!(copy_rate(1).is_finite() && copy_rate(1) > 0.);
    }
}
