//! Scratch memory that threads keep: fresh pages cost more than the arithmetic done in them.

use std::cell::RefCell;

/// Floats in a cache line; scratch starts on one, because a vector that straddles two lines costs two loads.
const LINE: usize = 16;

thread_local! {
    static POOL: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// The smallest buffer of so many floats, or else the largest, which gives way to a new one.
fn fitting(pool: &mut Vec<Vec<f32>>, len: usize) -> Vec<f32> {
    let key = |data: &Vec<f32>| if data.len() < len { (true, usize::MAX - data.len()) } else { (false, data.len()) };
    let best = (0..pool.len()).min_by_key(|&i| key(&pool[i]));
    best.map(|i| pool.swap_remove(i)).unwrap_or_default()
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
        let mut data = POOL.with_borrow_mut(|pool| fitting(pool, len + LINE));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_fits_what_it_is_taken_for() {
        let mut pool = vec![vec![0.0; 100], vec![0.0; 10], vec![0.0; 40]];
        assert_eq!(fitting(&mut pool, 30).len(), 40, "not the largest: the next may need it");
        assert_eq!(fitting(&mut pool, 200).len(), 100, "of those that are too small the one nearest to it");
        assert_eq!((fitting(&mut pool, 1).len(), fitting(&mut pool, 1).len()), (10, 0));
    }
}
