//! The severities of shifts.

/// The highest severity; the lowest is 1.
pub const SEVERITIES: usize = 5;

/// The value for a severity.
pub(super) fn at(values: [f64; SEVERITIES], severity: usize) -> f64 {
    values[severity.clamp(1, SEVERITIES) - 1]
}
