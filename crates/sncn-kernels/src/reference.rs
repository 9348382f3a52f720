//! The switch that makes tensor operations run their reference implementations instead of these kernels.
//!
//! On other devices every operation runs its reference implementation, in candle's own operations. This switch forces the same on the
//! CPU, so that tests can compare the two. `SNCN_KERNELS=reference` turns it on for the process, [`forced`] for one closure on one
//! thread. The kernels ignore it: code that chooses between a kernel and a reference implementation calls [`is_forced`].

use std::cell::Cell;
use std::sync::LazyLock;

/// The value of `SNCN_KERNELS` that turns the switch on.
pub(crate) const NAME: &str = "reference";

/// The environment variable, read once.
pub(crate) static ASKED: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("SNCN_KERNELS").ok());

thread_local! {
    static FORCED: Cell<bool> = const { Cell::new(false) };
}

/// Returns whether reference implementations are forced: on this thread by [`forced`], or in the process by the environment.
pub fn is_forced() -> bool {
    FORCED.get() || ASKED.as_deref() == Some(NAME)
}

/// Runs `f` with reference implementations forced on this thread. Calls may be nested, and a panic resets the switch.
///
/// A backward pass uses what its forward pass used, wherever it is called.
///
/// ```
/// use sncn_kernels::reference::{forced, is_forced};
/// assert!(forced(is_forced));
/// ```
pub fn forced<R>(f: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            FORCED.set(self.0);
        }
    }
    let _restore = Restore(FORCED.replace(true));
    f()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_forced_inside_the_closure_only_and_on_one_thread() {
        let outside = is_forced();
        forced(|| {
            assert!(is_forced());
            forced(|| assert!(is_forced()));
            assert!(is_forced());
            std::thread::scope(|scope| scope.spawn(|| assert_eq!(is_forced(), outside)).join()).unwrap();
        });
        assert!(std::panic::catch_unwind(|| forced(|| panic!("on purpose"))).is_err());
        assert_eq!(is_forced(), outside);
    }
}
