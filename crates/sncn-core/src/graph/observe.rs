//! Observers of a recording's operations: measurements, which have a clock.

use std::cell::RefCell;

/// A function that is called with the name of each operation after it ran.
pub type Observer = Box<dyn FnMut(&'static str)>;

thread_local! {
    static OBSERVER: RefCell<Option<Observer>> = const { RefCell::new(None) };
}

/// Sets the observer of the recordings that this thread runs, forward and backward; `None` removes it.
pub fn observe(observer: Option<Observer>) {
    OBSERVER.set(observer);
}

/// Calls the observer.
pub(super) fn done(name: &'static str) {
    OBSERVER.with_borrow_mut(|observer| observer.iter_mut().for_each(|observer| observer(name)));
}
