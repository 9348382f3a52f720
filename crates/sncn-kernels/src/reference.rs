//! The switch that keeps these kernels out of tensor operations, so that the reference implementations run instead.
//!
//! Other devices have no kernels of this project: there every operation is made of the tensor library's own operations. The
//! switch forces the same on the CPU, where tests can hold both to each other. `SNCN_KERNELS=reference` turns it on for a whole
//! process, [`forced`] for one closure on one thread. The kernels themselves ignore it: whoever chooses between a kernel and a
//! reference implementation asks [`is_forced`].

use std::cell::Cell;
use std::sync::LazyLock;

/// The value of `SNCN_KERNELS` that turns the switch on.
pub(crate) const NAME: &str = "reference";

/// The environment variable, read once.
pub(crate) static ASKED: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("SNCN_KERNELS").ok());

thread_local! {
    static FORCED: Cell<bool> = const { Cell::new(false) };
}

/// Whether reference implementations are forced here: on this thread by [`forced`], or in the process by the environment.
pub fn is_forced() -> bool {
    FORCED.get() || ASKED.as_deref() == Some(NAME)
}

/// Runs `f` with reference implementations forced on this thread; calls may be nested, and a panic turns the switch back too.
///
/// A backward pass chooses nothing: it follows the operations of the forward pass, wherever it is called.
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
