//! The number of threads of candle's own operations, which can only be set by two environment variables before first use.

/// The variables: for candle's own thread pool, and for its matrix products, which use `rayon`.
const VARIABLES: [&str; 2] = ["CANDLE_NUM_THREADS", "RAYON_NUM_THREADS"];

/// Whether this is the only thread of the process; `false` where that is unknown.
fn is_alone() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() == 1)
}

/// Makes candle use `count` threads. A program calls this first of all: where the process has more than one thread already, it has no
/// effect and returns `false`.
///
/// With other load on the machine, a pool with more threads than free processors spends more time waiting than computing.
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
