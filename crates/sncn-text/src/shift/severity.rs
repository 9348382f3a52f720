//! How strongly a text is changed.

/// Severities run from 1 to this.
pub const SEVERITIES: usize = 5;

/// The value of a severity.
pub(super) fn at(values: [f64; SEVERITIES], severity: usize) -> f64 {
    values[severity.clamp(1, SEVERITIES) - 1]
}
