//! `guarded`: a call of tract, which may end in a panic where a graph contradicts itself.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// Whether this thread is inside a guarded call.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Calls tract. A panic inside the call is an error, its message in one line, and is not printed.
pub(crate) fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |info| {
            if !INSIDE.get() {
                usual(info);
            }
        }));
    });
    let outside = INSIDE.replace(true);
    // what the call has changed is dropped with it
    let ended = catch_unwind(AssertUnwindSafe(call));
    INSIDE.set(outside);
    ended.map_err(|payload| format!("tract gave up on the graph, which may be damaged: {}", said(payload.as_ref())))
}

/// The message of a panic.
fn said(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref::<&str>().copied());
    text.unwrap_or("no reason given").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_and_the_thread_goes_on() {
        assert_eq!(guarded(|| 3), Ok(3));
        let values: Vec<u8> = Vec::new();
        let error = guarded(|| values[values.len()]).unwrap_err();
        assert!(error.contains("the len is 0"), "{error}");
        assert!(!INSIDE.get());
        assert_eq!(guarded(|| guarded(|| 4)), Ok(Ok(4)));
    }
}
