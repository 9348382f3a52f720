//! `Later`: values that are written when they are first needed.
//!
//! An evaluation pass keeps a convolution back until something reads its result. What is pending by then (a norm, a shortcut, an
//! activation) is applied while the values are in the cache, so that the map is written once and the next operation finds nothing
//! to do as it reads.

use super::pooled::{Pooled, Values};
use std::sync::{Arc, OnceLock};

/// What is done to values as they are written: instance, first position, values.
pub(super) type After<'a> = dyn Fn(usize, usize, &mut [f32]) + Sync + 'a;

/// Writes all values, in parts; calls a function for each part after it was written.
pub(super) type Write = Box<dyn Fn(&After<'_>, &mut [f32]) + Send + Sync>;

/// Values, or what writes them.
pub(super) struct Later {
    values: OnceLock<Arc<Values>>,
    write: Option<Write>,
    len: usize,
}

impl Later {
    /// Values that exist.
    pub(super) fn of(values: Arc<Values>) -> Self {
        Self { len: values.len(), values: values.into(), write: None }
    }

    /// `len` values that `write` writes.
    pub(super) fn new(len: usize, write: Write) -> Self {
        Self { values: OnceLock::new(), write: Some(write), len }
    }

    /// The number of values.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether the values exist.
    pub(super) fn is_written(&self) -> bool {
        self.values.get().is_some()
    }

    /// The values; they are written where they do not exist.
    pub(super) fn values(&self) -> &Arc<Values> {
        self.values_after(&|_, _, _| {})
    }

    /// As `values`; `after` is called for each part where they are written now.
    pub(super) fn values_after(&self, after: &After<'_>) -> &Arc<Values> {
        self.values.get_or_init(|| {
            let mut data = Pooled::take(self.len);
            self.write(after, &mut data);
            Arc::new(Values::Own(data))
        })
    }

    /// Writes values that do not exist yet to `data`, with `after` applied to each part.
    pub(super) fn write(&self, after: &After<'_>, data: &mut [f32]) {
        if let Some(write) = &self.write {
            write(after, data);
        }
    }

    /// The values alone.
    pub(super) fn into_values(self) -> Arc<Values> {
        self.values();
        self.values.into_inner().unwrap_or_else(|| Arc::new(Values::Own(Pooled::take(0))))
    }
}
