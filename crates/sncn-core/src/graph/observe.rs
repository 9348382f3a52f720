//! Who wants to know when an operation of a recording is done: measurements, say, which have a clock.

use std::cell::RefCell;

/// Is told the name of every operation when it is done.
pub type Observer = Box<dyn FnMut(&'static str)>;

thread_local! {
    static OBSERVER: RefCell<Option<Observer>> = const { RefCell::new(None) };
}

/// From now on `observer` is told of every operation of recordings that this thread runs; `None` ends that.
pub fn observe(observer: Option<Observer>) {
    OBSERVER.set(observer);
}

/// An operation of that name is done.
pub(super) fn done(name: &'static str) {
    OBSERVER.with_borrow_mut(|observer| observer.iter_mut().for_each(|observer| observer(name)));
}
