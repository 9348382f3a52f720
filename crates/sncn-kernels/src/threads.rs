//! How many threads candle's own operations use: it asks two environment variables, once, and knows no other way.

/// The variables: candle's pool of threads, and the products it hands to `rayon`.
const VARIABLES: [&str; 2] = ["CANDLE_NUM_THREADS", "RAYON_NUM_THREADS"];

/// Whether this is the process's only thread; `false` where the system does not tell.
fn is_alone() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() == 1)
}

/// Tells candle to use `count` threads; has no effect once the process has more than one thread, and tells so.
///
/// A program calls it first of all. Beside other work a pool that waits for more threads than there are processors for it waits
/// longer than it computes.
pub fn set_candle_threads(count: usize) -> bool {
    let alone = is_alone();
    if alone {
        for variable in VARIABLES {
            // SAFETY: the environment may be changed while no other thread can read it, and there is none: counted above, and this
            // one, which alone could start others, starts none before the call returns.
            unsafe { std::env::set_var(variable, count.to_string()) }
        }
    }
    alone
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_is_set_beside_other_threads() {
        let (send, receive) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || receive.recv());
        let before = super::VARIABLES.map(std::env::var_os);
        assert!(!super::set_candle_threads(3));
        assert_eq!(super::VARIABLES.map(std::env::var_os), before);
        drop(send);
        assert!(other.join().is_ok_and(|received| received.is_err()));
    }
}
