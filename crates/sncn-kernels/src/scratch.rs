//! Scratch memory that threads keep: fresh pages cost more than the arithmetic done in them.

use std::cell::RefCell;

/// Floats in a cache line; scratch starts on one, because a vector that straddles two lines costs two loads.
const LINE: usize = 16;

thread_local! {
    static POOL: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer that begins on a cache line. Its contents are whatever was left there.
pub(crate) struct Scratch {
    data: Vec<f32>,
    start: usize,
    len: usize,
}

impl Scratch {
    /// `len` floats from this thread's pool.
    pub(crate) fn take(len: usize) -> Self {
        let mut data = POOL.with_borrow_mut(Vec::pop).unwrap_or_default();
        if data.len() < len + LINE {
            data = vec![0.0; len + LINE];
        }
        // align_offset may in principle decline; then the buffer is only slower
        let start = data.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
        Self { data, start, len }
    }
}

impl std::ops::Deref for Scratch {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.data[self.start..self.start + self.len]
    }
}

impl std::ops::DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.data[self.start..self.start + self.len]
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let data = std::mem::take(&mut self.data);
        // a thread that is going away has no pool any more
        let _ = POOL.try_with(|pool| pool.borrow_mut().push(data));
    }
}
